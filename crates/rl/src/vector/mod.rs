//! Many environments at once, for agents that learn from batches.
//!
//! An environment that has ended starts anew within the same step: the observation after it is
//! the first of the next episode, and [`Transitions::final_observations`] holds the last of the
//! one that ended, which is what an agent bootstraps from where an episode was truncated.
//!
//! The episode `k` of environment `i` follows from (seed, i, k) alone, so that nothing depends
//! on the number of threads.

mod normalized;
mod sync;

use model_utils_core::random::mix;
use serde_json::Value;

pub use normalized::NormalizedVector;
pub use sync::SyncVectorEnvironment;

use crate::environment::{Element, Info, action, refused};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// An action for each environment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Actions<'a> {
    /// Of [`Space::Discrete`]. `[count]`
    Indices(&'a [usize]),
    /// The flat numbers of any space. `[count, numbers]`
    Numbers(&'a [f64]),
}

impl Actions<'_> {
    /// Refuses what is not an action for each, and indices that are not in the space.
    pub(crate) fn expect(self, count: usize, space: &Space) -> Result<()> {
        let fits = match self {
            Self::Indices(indices) => indices.len() == count,
            Self::Numbers(numbers) => numbers.len() == count * space.numbers(),
        };
        if !fits {
            let expected = format!("{count} actions, each {space}");
            return Err(Error::Action { action: format!("{self:?}"), expected });
        }
        if let (Self::Indices(indices), Space::Discrete(_)) = (self, space)
            && let Some(index) = indices.iter().find(|index| !space.holds_index(**index))
        {
            return Err(refused(index, space));
        }
        Ok(())
    }
}

/// An episode that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Which environment it was in.
    pub environment: usize,
    /// The sum of its rewards.
    pub reward: f64,
    /// Its steps.
    pub length: u64,
    /// What the environment said beside its last step.
    pub info: Info,
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
    /// Which actions were possible there, where not all were. `[count, choices]`
    pub final_masks: Option<Vec<bool>>,
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
            final_masks: None,
            episodes: Vec::new(),
        }
    }

    /// Writes which actions were possible at an end; all where that is not said.
    pub(crate) fn write_final_mask(&mut self, i: usize, choices: usize, mask: Option<&[bool]>) {
        if mask.is_some() || self.final_masks.is_some() {
            let all = self.final_masks.get_or_insert_default();
            all.resize(self.rewards.len() * choices, true);
            let row = &mut all[i * choices..][..choices];
            match mask {
                Some(mask) => row.copy_from_slice(mask),
                None => row.fill(true),
            }
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

    /// Which actions are possible now, where not all are. `[count, choices]`
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
    /// [`Error::Action`], and [`Error::NotFinite`],
    /// [`Error::Observation`] and [`Error::Mask`] with
    /// the first environment at fault.
    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions>;

    /// All that the rest follows from.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] where an environment cannot save itself.
    fn state(&self) -> Result<Value>;

    /// Goes on from a saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] where the state is not of these environments.
    fn restore(&mut self, state: &Value) -> Result<()>;
}

impl<V: VectorEnvironment + ?Sized> VectorEnvironment for Box<V> {
    fn spaces(&self) -> &Spaces {
        (**self).spaces()
    }

    fn count(&self) -> usize {
        (**self).count()
    }

    fn observations(&self) -> &[f32] {
        (**self).observations()
    }

    fn masks(&self) -> Option<&[bool]> {
        (**self).masks()
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        (**self).reset(seed)
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions> {
        (**self).step(actions)
    }

    fn state(&self) -> Result<Value> {
        (**self).state()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        (**self).restore(state)
    }
}

/// The seed of an environment's episode.
pub(crate) fn episode_seed(seed: u64, environment: usize, episode: u64) -> u64 {
    mix(mix(seed, environment as u64), episode)
}

/// The action of one of the environments.
pub(crate) fn chosen<A: Element>(
    actions: Actions<'_>,
    at: usize,
    space: &Space,
    step: u64,
) -> Result<A> {
    let width = space.numbers();
    match actions {
        Actions::Indices(indices) => action(&[indices[at] as f64], space),
        Actions::Numbers(numbers) => {
            let row = &numbers[at * width..][..width];
            if let Some(value) = row.iter().copied().find(|x| !x.is_finite()) {
                return Err(Error::NotFinite { what: "action", value, environment: at, step });
            }
            action(row, space)
        }
    }
}
