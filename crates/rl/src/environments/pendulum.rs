//! Swing a pendulum up and hold it there: Gymnasium's `Pendulum-v1`.
//!
//! | | |
//! | --- | --- |
//! | observation | cos θ, sin θ, angular velocity in ±8 |
//! | action | torque in ±2 (clipped) |
//! | reward | −(θ² + 0.1 ω² + 0.001 u²), θ from upright in ±π |
//! | ends | never |
//! | limit | 200 steps |

use std::f64::consts::PI;

use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::control::ControlEnvironment;
use super::dynamics::{Dynamics, check_numbers};
use crate::error::Result;
use crate::space::{Space, Spaces};

/// The environment.
pub type Pendulum = ControlEnvironment<PendulumDynamics>;

/// Constants and equations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendulumDynamics {
    /// m/s²
    pub gravity: f64,
    /// kg
    pub mass: f64,
    /// m
    pub length: f64,
    /// Seconds a step.
    pub step_s: f64,
    /// The greatest angular velocity in rad/s.
    pub fastest: f64,
    /// The greatest torque in N·m.
    pub most_torque: f64,
}

impl Default for PendulumDynamics {
    fn default() -> Self {
        Self { gravity: 10.0, mass: 1.0, length: 1.0, step_s: 0.05, fastest: 8.0, most_torque: 2.0 }
    }
}

impl Dynamics for PendulumDynamics {
    type State = [f64; 2];
    type Observation = [f64; 3];
    type Action = [f64; 1];
    const NAME: &'static str = "Pendulum-v1";
    const LIMIT: u64 = 200;

    fn spaces(&self) -> Spaces {
        Spaces {
            observation: Space::within(&[1.0, 1.0, self.fastest]),
            action: Space::symmetric(1, self.most_torque),
        }
    }

    fn start(&self, random: &mut Random) -> [f64; 2] {
        [random.uniform_in(-PI..PI), random.uniform_in(-1.0..1.0)]
    }

    fn advance(&self, state: &mut [f64; 2], [torque]: &[f64; 1]) -> (f64, bool) {
        let [angle, velocity] = *state;
        let torque = torque.clamp(-self.most_torque, self.most_torque);
        let from_upright = (angle + PI).rem_euclid(2.0 * PI) - PI;
        let cost = from_upright.powi(2) + 0.1 * velocity.powi(2) + 0.001 * torque.powi(2);
        let push = 3.0 * self.gravity / (2.0 * self.length) * angle.sin()
            + 3.0 / (self.mass * self.length.powi(2)) * torque;
        let velocity = (velocity + push * self.step_s).clamp(-self.fastest, self.fastest);
        *state = [angle + velocity * self.step_s, velocity];
        (-cost, false)
    }

    fn observe(&self, [angle, velocity]: &[f64; 2]) -> [f64; 3] {
        [angle.cos(), angle.sin(), *velocity]
    }

    fn check(&self, action: &[f64; 1]) -> Result<()> {
        check_numbers(action, &Space::symmetric(1, self.most_torque))
    }
}
