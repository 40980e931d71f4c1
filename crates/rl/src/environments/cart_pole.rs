//! Balance a pole on a cart: Barto, Sutton and Anderson 1983, after Gymnasium's `CartPole-v1`.
//!
//! | | |
//! | --- | --- |
//! | observation | position, velocity, angle from upright in rad, angular velocity |
//! | action | 0 pushes to the left, 1 to the right |
//! | reward | 1 a step, the last one included |
//! | ends | position beyond ±2.4 or angle beyond ±12° |
//! | limit | 500 steps |

use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::control::ControlEnvironment;
use super::dynamics::{Dynamics, check_index};
use crate::error::Result;
use crate::space::{Space, Spaces};

/// The environment.
pub type CartPole = ControlEnvironment<CartPoleDynamics>;

/// Constants and equations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CartPoleDynamics {
    /// m/s²
    pub gravity: f64,
    /// kg
    pub mass_cart: f64,
    /// kg
    pub mass_pole: f64,
    /// Half the pole's length in m.
    pub half_length: f64,
    /// The push in N.
    pub force: f64,
    /// Seconds a step, by Euler's explicit rule.
    pub step_s: f64,
    /// The angle at which the pole counts as fallen, in rad.
    pub most_angle: f64,
    /// The position at which the track ends.
    pub most_position: f64,
}

impl Default for CartPoleDynamics {
    fn default() -> Self {
        Self {
            gravity: 9.8,
            mass_cart: 1.0,
            mass_pole: 0.1,
            half_length: 0.5,
            force: 10.0,
            step_s: 0.02,
            most_angle: 12.0 * 2.0 * std::f64::consts::PI / 360.0,
            most_position: 2.4,
        }
    }
}

/// How many environments are computed side by side.
const LANES: usize = 8;

/// ±1 / n! of the series of sine and cosine.
const SINE: [f64; 7] = [
    1.0,
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
];
const COSINE: [f64; 8] = [
    1.0,
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
];

/// The sine and cosine of an angle of at most 0.5 rad, within an ulp or two: the first terms of
/// their series, without branches, so that a loop over many becomes vector code.
#[inline(always)]
#[allow(clippy::inline_always)]
fn small_sin_cos(x: f64) -> (f64, f64) {
    let y = x * x;
    let horner = |terms: &[f64]| terms.iter().rev().fold(0.0, |sum, term| sum * y + term);
    let sine = horner(&SINE);
    let cosine = horner(&COSINE);
    (x * sine, cosine)
}

impl CartPoleDynamics {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn next(&self, [x, v, angle, w]: [f64; 4], force: f64, (sin, cos): (f64, f64)) -> [f64; 4] {
        let mass = self.mass_cart + self.mass_pole;
        let mass_length = self.mass_pole * self.half_length;
        let temp = (force + mass_length * (w * w) * sin) / mass;
        let angular = (self.gravity * sin - cos * temp)
            / (self.half_length * (4.0 / 3.0 - self.mass_pole * (cos * cos) / mass));
        let linear = temp - mass_length * angular * cos / mass;
        let step = self.step_s;
        [x + step * v, v + step * linear, angle + step * w, w + step * angular]
    }

    #[inline(always)]
    // Without branches, so that a loop over many becomes vector code.
    #[allow(clippy::inline_always, clippy::needless_bitwise_bool)]
    fn is_over(&self, x: f64, angle: f64) -> bool {
        (x < -self.most_position)
            | (x > self.most_position)
            | (angle < -self.most_angle)
            | (angle > self.most_angle)
    }
}

impl Dynamics for CartPoleDynamics {
    type State = [f64; 4];
    type Observation = [f64; 4];
    type Action = usize;
    const NAME: &'static str = "CartPole-v1";
    const LIMIT: u64 = 500;

    fn spaces(&self) -> Spaces {
        let inf = f64::INFINITY;
        Spaces {
            observation: Space::within(&[
                self.most_position * 2.0,
                inf,
                self.most_angle * 2.0,
                inf,
            ]),
            action: Space::Discrete(2),
        }
    }

    fn start(&self, random: &mut Random) -> [f64; 4] {
        std::array::from_fn(|_| random.uniform_in(-0.05..0.05))
    }

    fn advance(&self, state: &mut [f64; 4], action: &usize) -> (f64, bool) {
        let force = if *action == 1 { self.force } else { -self.force };
        *state = self.next(*state, force, state[2].sin_cos());
        (1.0, self.is_over(state[0], state[2]))
    }

    fn observe(&self, state: &[f64; 4]) -> [f64; 4] {
        *state
    }

    fn check(&self, action: &usize) -> Result<()> {
        check_index(*action, &Space::Discrete(2))
    }

    fn advance_columns(
        &self,
        columns: &mut [Vec<f64>],
        actions: &[usize],
        rewards: &mut [f64],
        terminated: &mut [bool],
    ) {
        let [x, v, angle, w] = columns else { return };
        let count = actions.len();
        let (x, v, angle, w) =
            (&mut x[..count], &mut v[..count], &mut angle[..count], &mut w[..count]);
        let force = |action: usize| f64::from(action as i32 * 2 - 1) * self.force;
        // Always, but for states that were set from outside.
        if angle.iter().fold(true, |small, a| small & (a.abs() < 0.5)) {
            // Eight at a time in arrays of their own, which become vectors.
            let (whole_x, _) = x.as_chunks_mut::<LANES>();
            let (whole_v, _) = v.as_chunks_mut::<LANES>();
            let (whole_angle, _) = angle.as_chunks_mut::<LANES>();
            let (whole_w, _) = w.as_chunks_mut::<LANES>();
            let (whole_actions, _) = actions.as_chunks::<LANES>();
            for ((((x, v), angle), w), actions) in
                whole_x.iter_mut().zip(whole_v).zip(whole_angle).zip(whole_w).zip(whole_actions)
            {
                let before = (*x, *v, *angle, *w);
                for k in 0..LANES {
                    let state = [before.0[k], before.1[k], before.2[k], before.3[k]];
                    let turn = small_sin_cos(state[2]);
                    [x[k], v[k], angle[k], w[k]] = self.next(state, force(actions[k]), turn);
                }
            }
            let whole = count - count % LANES;
            for i in whole..count {
                let (state, turn) = ([x[i], v[i], angle[i], w[i]], small_sin_cos(angle[i]));
                [x[i], v[i], angle[i], w[i]] = self.next(state, force(actions[i]), turn);
            }
        } else {
            for i in 0..count {
                let (state, turn) = ([x[i], v[i], angle[i], w[i]], angle[i].sin_cos());
                [x[i], v[i], angle[i], w[i]] = self.next(state, force(actions[i]), turn);
            }
        }
        rewards.fill(1.0);
        for (i, over) in terminated.iter_mut().enumerate() {
            *over = self.is_over(x[i], angle[i]);
        }
    }

    fn observe_columns(&self, columns: &[Vec<f64>], out: &mut [f32]) {
        let [x, v, angle, w] = columns else { return };
        let (rows, _) = out.as_chunks_mut::<4>();
        for ((((row, x), v), angle), w) in rows.iter_mut().zip(x).zip(v).zip(angle).zip(w) {
            *row = [*x as f32, *v as f32, *angle as f32, *w as f32];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_are_those_of_the_standard_library() {
        for i in -500..=500 {
            let x = f64::from(i) / 1000.0;
            let (sin, cos) = small_sin_cos(x);
            assert!((sin - x.sin()).abs() < 3e-16 && (cos - x.cos()).abs() < 3e-16, "{x}");
        }
    }
}
