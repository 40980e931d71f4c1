//! Many environments at once, for agents that learn from batches.
//!
//! An environment that has ended starts anew within the same step: the observation after it is
//! the first of the next episode, and [`Transitions::final_observations`] holds the last of the
//! one that ended, which is what an agent bootstraps from where an episode was truncated.
//!
//! The episode `k` of environment `i` follows from (seed, i, k) alone, so that nothing depends
//! on the number of threads.

mod sync;

use model_utils_core::random::mix;
use serde_json::Value;

pub use sync::SyncVectorEnvironment;

use crate::error::Result;
use crate::space::Spaces;

/// An action for each environment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Actions<'a> {
    /// `[count]`
    Indices(&'a [usize]),
    /// `[count, features]`
    Numbers(&'a [f32]),
}

/// An episode that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    /// Which environment it was in.
    pub environment: usize,
    /// The sum of its rewards.
    pub reward: f64,
    /// Its steps.
    pub length: u64,
}

/// What a step brought in all environments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transitions {
    /// `[count]`
    pub rewards: Vec<f32>,
    /// Whether the task has ended. `[count]`
    pub terminated: Vec<bool>,
    /// Whether the episode was cut off from outside. `[count]`
    pub truncated: Vec<bool>,
    /// The last observation of the episodes that have ended, in the rows of their environments;
    /// other rows hold what they held. `[count, features]`
    pub final_observations: Vec<f32>,
    /// The episodes that have ended.
    pub episodes: Vec<Episode>,
}

impl Transitions {
    pub(crate) fn new(count: usize, features: usize) -> Self {
        Self {
            rewards: vec![0.0; count],
            terminated: vec![false; count],
            truncated: vec![false; count],
            final_observations: vec![0.0; count * features],
            episodes: Vec::new(),
        }
    }

    /// Whether the episode of an environment has ended, either way.
    pub fn ended(&self, environment: usize) -> bool {
        self.terminated[environment] || self.truncated[environment]
    }
}

/// Environments of one kind, stepped together.
pub trait VectorEnvironment {
    /// What observations and actions may be.
    fn spaces(&self) -> &Spaces;

    /// How many there are, at least one.
    fn count(&self) -> usize;

    /// What is observed now. `[count, features]`
    fn observations(&self) -> &[f32];

    /// Which actions are possible now, where not all are. `[count, actions]`
    fn masks(&self) -> Option<&[bool]> {
        None
    }

    /// Starts all anew, from a seed.
    ///
    /// # Errors
    ///
    /// Where an environment cannot start.
    fn reset(&mut self, seed: u64) -> Result<()>;

    /// Does one thing in each.
    ///
    /// # Errors
    ///
    /// [`Error::Action`](crate::Error::Action),
    /// [`Error::NotFinite`](crate::Error::NotFinite) with the first environment at fault.
    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions>;

    /// All that the rest follows from.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`](crate::Error::Resume) where an environment cannot save itself.
    fn state(&self) -> Result<Value>;

    /// Goes on from a saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`](crate::Error::Resume) where the state is not of these environments.
    fn restore(&mut self, state: &Value) -> Result<()>;
}

/// The seed of an environment's episode.
pub(crate) fn episode_seed(seed: u64, environment: usize, episode: u64) -> u64 {
    mix(mix(seed, environment as u64), episode)
}
