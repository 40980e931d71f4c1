//! Swing a two-link pendulum up by its middle joint: Sutton 1996, after Gymnasium's `Acrobot-v1`
//! with the equations of Sutton and Barto's book.
//!
//! | | |
//! | --- | --- |
//! | observation | cos θ₁, sin θ₁, cos θ₂, sin θ₂, both angular velocities |
//! | action | torque −1, 0 or 1 at the middle joint |
//! | reward | −1 a step, 0 on the last |
//! | ends | −cos θ₁ − cos(θ₁ + θ₂) > 1 |
//! | limit | 500 steps |

use std::f64::consts::PI;

use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::control::ControlEnvironment;
use super::dynamics::{Dynamics, check_index};
use crate::error::Result;
use crate::space::{Space, Spaces};

/// The environment.
pub type Acrobot = ControlEnvironment<AcrobotDynamics>;

/// Constants and equations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcrobotDynamics {
    /// The links' masses in kg.
    pub masses: [f64; 2],
    /// The length of the first link in m.
    pub length: f64,
    /// Where the links' masses lie, in m from their upper ends.
    pub centers: [f64; 2],
    /// The links' moments of inertia.
    pub inertia: f64,
    /// m/s²
    pub gravity: f64,
    /// Seconds a step, by the rule of Runge and Kutta.
    pub step_s: f64,
    /// The greatest angular velocities in rad/s.
    pub fastest: [f64; 2],
}

impl Default for AcrobotDynamics {
    fn default() -> Self {
        Self {
            masses: [1.0; 2],
            length: 1.0,
            centers: [0.5; 2],
            inertia: 1.0,
            gravity: 9.8,
            step_s: 0.2,
            fastest: [4.0 * PI, 9.0 * PI],
        }
    }
}

impl AcrobotDynamics {
    fn derivative(&self, [angle1, angle2, w1, w2]: [f64; 4], torque: f64) -> [f64; 4] {
        let ([m1, m2], l1, [c1, c2]) = (self.masses, self.length, self.centers);
        let (i, g) = (self.inertia, self.gravity);
        let (sin2, cos2) = angle2.sin_cos();
        let d1 = m1 * c1 * c1 + m2 * (l1 * l1 + c2 * c2 + 2.0 * l1 * c2 * cos2) + i + i;
        let d2 = m2 * (c2 * c2 + l1 * c2 * cos2) + i;
        let phi2 = m2 * c2 * g * (angle1 + angle2 - PI / 2.0).cos();
        let phi1 = -m2 * l1 * c2 * w2 * w2 * sin2 - 2.0 * m2 * l1 * c2 * w2 * w1 * sin2
            + (m1 * c1 + m2 * l1) * g * (angle1 - PI / 2.0).cos()
            + phi2;
        let a2 = (torque + d2 / d1 * phi1 - m2 * l1 * c2 * w1 * w1 * sin2 - phi2)
            / (m2 * c2 * c2 + i - d2 * d2 / d1);
        let a1 = -(d2 * a2 + phi1) / d1;
        [w1, w2, a1, a2]
    }
}

/// An angle between −π and π.
fn wrap(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

impl Dynamics for AcrobotDynamics {
    type State = [f64; 4];
    type Observation = [f64; 6];
    type Action = usize;
    const NAME: &'static str = "Acrobot-v1";
    const LIMIT: u64 = 500;

    fn spaces(&self) -> Spaces {
        let [fast1, fast2] = self.fastest;
        Spaces {
            observation: Space::within(&[1.0, 1.0, 1.0, 1.0, fast1, fast2]),
            action: Space::Discrete(3),
        }
    }

    fn start(&self, random: &mut Random) -> [f64; 4] {
        std::array::from_fn(|_| random.uniform_in(-0.1..0.1))
    }

    fn advance(&self, state: &mut [f64; 4], action: &usize) -> (f64, bool) {
        let (torque, step) = (*action as f64 - 1.0, self.step_s);
        let along = |k: [f64; 4], h: f64| std::array::from_fn(|i| state[i] + h * k[i]);
        let k1 = self.derivative(*state, torque);
        let k2 = self.derivative(along(k1, step / 2.0), torque);
        let k3 = self.derivative(along(k2, step / 2.0), torque);
        let k4 = self.derivative(along(k3, step), torque);
        let next: [f64; 4] = std::array::from_fn(|i| {
            state[i] + step / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i])
        });
        let [fast1, fast2] = self.fastest;
        *state = [
            wrap(next[0]),
            wrap(next[1]),
            next[2].clamp(-fast1, fast1),
            next[3].clamp(-fast2, fast2),
        ];
        let terminated = -state[0].cos() - (state[1] + state[0]).cos() > 1.0;
        (if terminated { 0.0 } else { -1.0 }, terminated)
    }

    fn observe(&self, [angle1, angle2, w1, w2]: &[f64; 4]) -> [f64; 6] {
        [angle1.cos(), angle1.sin(), angle2.cos(), angle2.sin(), *w1, *w2]
    }

    fn check(&self, action: &usize) -> Result<()> {
        check_index(*action, &Space::Discrete(3))
    }
}
