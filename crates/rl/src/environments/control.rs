use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::control_vector::ControlVectorEnvironment;
use super::dynamics::Dynamics;
use crate::environment::{Environment, Step, from_state, to_state};
use crate::error::{Error, Result};
use crate::space::Spaces;

/// A single environment of some dynamics, with Gymnasium's time limit.
///
/// [`make_vec`](Self::make_vec) makes a vector of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ControlEnvironment<D: Dynamics> {
    dynamics: D,
    limit: Option<u64>,
    state: D::State,
    elapsed: u64,
    running: bool,
}

impl<D: Dynamics> Default for ControlEnvironment<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dynamics> ControlEnvironment<D> {
    /// The environment with Gymnasium's constants.
    pub fn new() -> Self {
        Self::from_dynamics(D::default())
    }

    /// The environment with other constants.
    pub fn from_dynamics(dynamics: D) -> Self {
        let state = D::State::default();
        Self { dynamics, limit: Some(D::LIMIT), state, elapsed: 0, running: false }
    }

    /// The steps after which an episode is truncated, `None` for never.
    #[must_use]
    pub fn limit(mut self, steps: Option<u64>) -> Self {
        self.limit = steps;
        self
    }

    /// So many environments at once, with Gymnasium's constants, started from a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none.
    pub fn make_vec(count: usize, seed: u64) -> Result<ControlVectorEnvironment<D>> {
        ControlVectorEnvironment::new(D::default(), count, seed)
    }

    /// The state, of which the observation may show a part.
    pub fn now(&self) -> D::State {
        self.state
    }

    /// Starts an episode in a given state.
    pub fn start_in(&mut self, state: D::State) -> D::Observation {
        (self.state, self.elapsed, self.running) = (state, 0, true);
        self.dynamics.observe(&state)
    }

    /// The equations and their constants.
    pub fn dynamics(&self) -> &D {
        &self.dynamics
    }
}

impl<D: Dynamics> Environment for ControlEnvironment<D> {
    type Observation = D::Observation;
    type Action = D::Action;

    fn spaces(&self) -> Spaces {
        self.dynamics.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<D::Observation> {
        let start = self.dynamics.start(&mut Random::new(seed));
        Ok(self.start_in(start))
    }

    fn step(&mut self, action: &D::Action) -> Result<Step<D::Observation>> {
        if !self.running {
            return Err(Error::Ended);
        }
        self.dynamics.check(action)?;
        let (reward, terminated) = self.dynamics.advance(&mut self.state, action);
        self.elapsed += 1;
        let truncated = !terminated && self.limit.is_some_and(|limit| self.elapsed >= limit);
        self.running = !(terminated || truncated);
        let observation = self.dynamics.observe(&self.state);
        Ok(Step::new(observation, reward).terminated(terminated).truncated(truncated))
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let saved: Self = from_state(state)?;
        let state = saved.state.as_ref();
        if !state.iter().all(|x| x.is_finite()) {
            return Err(Error::Resume(format!("a state that is not finite: {state:?}")));
        }
        same_constants(&saved.dynamics, &self.dynamics)?;
        *self = saved;
        Ok(())
    }
}

/// Refuses the state of a world with other constants.
pub(super) fn same_constants<D: Dynamics>(found: &D, expected: &D) -> Result<()> {
    let differences = config::differences(&to_state(expected)?, &to_state(found)?);
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::Resume(format!("the state is of another world: {}", lines.join("; "))))
}
