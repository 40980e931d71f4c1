use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{Act, Environment, Features, Step, from_state, refused, to_state};
use crate::error::{Error, Result};
use crate::random::Random;
use crate::space::{Space, Spaces};
use crate::vector::{Lanes, Stored};

/// The numbers of a state: `[f64; N]`.
pub trait Columns:
    Copy + Debug + Default + AsRef<[f64]> + AsMut<[f64]> + Serialize + DeserializeOwned + Send + Sync
{
}

impl<T> Columns for T where
    T: Copy
        + Debug
        + Default
        + AsRef<[f64]>
        + AsMut<[f64]>
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// The equations of a world whose state is a few numbers, and their constants; the state is
/// apart.
pub trait Dynamics: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync {
    /// What the world is in: `[f64; N]`.
    type State: Columns;
    /// What is observed: `[f64; N]`.
    type Observation: Columns + Features + Stored;
    /// What can be done: an index or `[f64; N]`.
    type Action: Act + Clone + Debug + Send + Sync;
    /// Its name in Gymnasium.
    const NAME: &'static str;
    /// The steps after which Gymnasium truncates an episode.
    const LIMIT: u64;

    /// What observations and actions may be.
    fn spaces(&self) -> Spaces;

    /// The state that an episode starts in.
    fn start(&self, random: &mut Random) -> Self::State;

    /// One step; the reward, and whether it ends the task. The action was checked.
    fn advance(&self, state: &mut Self::State, action: &Self::Action) -> (f64, bool);

    /// What is observed of a state.
    fn observe(&self, state: &Self::State) -> Self::Observation;

    /// Refuses an action outside the space.
    ///
    /// # Errors
    ///
    /// [`Error::Action`].
    fn check(&self, action: &Self::Action) -> Result<()>;

    /// [`advance`](Self::advance) for many states that lie side by side.
    fn advance_columns(
        &self,
        columns: &mut [Vec<f64>],
        actions: &[Self::Action],
        rewards: &mut [f64],
        terminated: &mut [bool],
    ) {
        for (i, action) in actions.iter().enumerate() {
            let mut state = Self::State::default();
            state.as_mut().iter_mut().zip(&*columns).for_each(|(x, column)| *x = column[i]);
            (rewards[i], terminated[i]) = self.advance(&mut state, action);
            columns.iter_mut().zip(state.as_ref()).for_each(|(column, x)| column[i] = *x);
        }
    }

    /// [`observe`](Self::observe) for many states. `[count, features]`
    fn observe_columns(&self, columns: &[Vec<f64>], out: &mut [f32]) {
        let features = Self::Observation::default().as_ref().len();
        for (i, row) in out.chunks_exact_mut(features).enumerate() {
            let mut state = Self::State::default();
            state.as_mut().iter_mut().zip(columns).for_each(|(x, column)| *x = column[i]);
            let observation = self.observe(&state);
            row.iter_mut().zip(observation.as_ref()).for_each(|(out, x)| *out = *x as f32);
        }
    }
}

/// A single environment of some dynamics, with Gymnasium's time limit.
///
/// [`many`](Self::many) makes a vector of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Control<D: Dynamics> {
    dynamics: D,
    limit: Option<u64>,
    state: D::State,
    elapsed: u64,
    running: bool,
}

impl<D: Dynamics> Default for Control<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dynamics> Control<D> {
    /// The environment with Gymnasium's constants.
    pub fn new() -> Self {
        Self::with(D::default())
    }

    /// The environment with other constants.
    pub fn with(dynamics: D) -> Self {
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
    pub fn many(count: usize, seed: u64) -> Result<Lanes<D>> {
        Lanes::new(D::default(), count, seed)
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

impl<D: Dynamics> Environment for Control<D> {
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
        Ok(Step { observation, reward, terminated, truncated })
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = from_state(state)?;
        Ok(())
    }
}

/// Refuses an index that the space does not hold.
pub(super) fn check_index(index: usize, space: &Space) -> Result<()> {
    if space.holds_index(index) { Ok(()) } else { Err(refused(&index, space)) }
}

/// Refuses numbers that are not finite. Finite ones beyond the ends are clipped by the dynamics,
/// as in Gymnasium.
pub(super) fn check_numbers(numbers: &[f64], space: &Space) -> Result<()> {
    if numbers.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(refused(&numbers, space)) }
}
