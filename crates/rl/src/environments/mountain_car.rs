//! Drive out of a valley with too weak an engine: Moore 1990, after Gymnasium's `MountainCar-v0`
//! and `MountainCarContinuous-v0`.
//!
//! | | discrete | continuous |
//! | --- | --- | --- |
//! | observation | position in [−1.2, 0.6], velocity in ±0.07 | the same |
//! | action | 0 left, 1 nothing, 2 right | the push, in ±1 (clipped) |
//! | reward | −1 a step | 100 at the goal, −0.1 a² a step |
//! | ends | position ≥ 0.5 | position ≥ 0.45 |
//! | limit | 200 steps | 999 steps |

use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::control::ControlEnvironment;
use super::dynamics::{Dynamics, check_index, check_numbers};
use crate::error::Result;
use crate::space::{Space, Spaces};

/// The environment with three actions.
pub type MountainCar = ControlEnvironment<MountainCarDynamics>;
/// The environment whose action is the push.
pub type MountainCarContinuous = ControlEnvironment<MountainCarContinuousDynamics>;

/// Constants and equations with three actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountainCarDynamics {
    /// What the engine adds to the velocity.
    pub force: f64,
    /// What the slope adds at most.
    pub gravity: f64,
    /// The position of the goal.
    pub goal: f64,
}

impl Default for MountainCarDynamics {
    fn default() -> Self {
        Self { force: 0.001, gravity: 0.0025, goal: 0.5 }
    }
}

const LEFT: f64 = -1.2;
const RIGHT: f64 = 0.6;
const FASTEST: f64 = 0.07;

fn observed() -> Space {
    Space::Continuous { low: vec![LEFT, -FASTEST], high: vec![RIGHT, FASTEST] }
}

/// A push along the slope; the left wall takes the velocity away.
fn roll([position, velocity]: [f64; 2], push: f64, gravity: f64) -> [f64; 2] {
    let velocity = velocity + (push - gravity * (3.0 * position).cos());
    let velocity = velocity.clamp(-FASTEST, FASTEST);
    let position = (position + velocity).clamp(LEFT, RIGHT);
    [position, if position == LEFT && velocity < 0.0 { 0.0 } else { velocity }]
}

impl Dynamics for MountainCarDynamics {
    type State = [f64; 2];
    type Observation = [f64; 2];
    type Action = usize;
    const NAME: &'static str = "MountainCar-v0";
    const LIMIT: u64 = 200;

    fn spaces(&self) -> Spaces {
        Spaces { observation: observed(), action: Space::Discrete(3) }
    }

    fn start(&self, random: &mut Random) -> [f64; 2] {
        [random.uniform_in(-0.6..-0.4), 0.0]
    }

    fn advance(&self, state: &mut [f64; 2], action: &usize) -> (f64, bool) {
        *state = roll(*state, (*action as f64 - 1.0) * self.force, self.gravity);
        (-1.0, state[0] >= self.goal && state[1] >= 0.0)
    }

    fn observe(&self, state: &[f64; 2]) -> [f64; 2] {
        *state
    }

    fn check(&self, action: &usize) -> Result<()> {
        check_index(*action, &Space::Discrete(3))
    }
}

/// Constants and equations with a push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountainCarContinuousDynamics {
    /// What the full push adds to the velocity.
    pub power: f64,
    /// What the slope adds at most.
    pub gravity: f64,
    /// The position of the goal.
    pub goal: f64,
}

impl Default for MountainCarContinuousDynamics {
    fn default() -> Self {
        Self { power: 0.0015, gravity: 0.0025, goal: 0.45 }
    }
}

impl Dynamics for MountainCarContinuousDynamics {
    type State = [f64; 2];
    type Observation = [f64; 2];
    type Action = [f64; 1];
    const NAME: &'static str = "MountainCarContinuous-v0";
    const LIMIT: u64 = 999;

    fn spaces(&self) -> Spaces {
        Spaces { observation: observed(), action: Space::symmetric(1, 1.0) }
    }

    fn start(&self, random: &mut Random) -> [f64; 2] {
        [random.uniform_in(-0.6..-0.4), 0.0]
    }

    fn advance(&self, state: &mut [f64; 2], [action]: &[f64; 1]) -> (f64, bool) {
        *state = roll(*state, action.clamp(-1.0, 1.0) * self.power, self.gravity);
        let terminated = state[0] >= self.goal && state[1] >= 0.0;
        (if terminated { 100.0 } else { 0.0 } - action * action * 0.1, terminated)
    }

    fn observe(&self, state: &[f64; 2]) -> [f64; 2] {
        *state
    }

    fn check(&self, action: &[f64; 1]) -> Result<()> {
        check_numbers(action, &Space::symmetric(1, 1.0))
    }
}
