//! How long a run may go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a run may go on: until the first of its limits is reached.
///
/// ```
/// use model_utils_core::{Budget, Spent};
/// use std::time::Duration;
///
/// let budget = Budget::steps(1000).or_time(Duration::from_secs(60));
/// assert!(!budget.is_spent(Spent { steps: 999, ..Spent::default() }));
/// assert!(budget.is_spent(Spent { steps: 1000, ..Spent::default() }));
/// assert!(budget.is_spent(Spent { time: Duration::from_secs(61), ..Spent::default() }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Steps, in all: of an optimiser, of an environment.
    pub steps: Option<u64>,
    /// Passes over the data, in all.
    pub epochs: Option<u64>,
    /// Episodes that have ended, in all, where an agent learns in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episodes: Option<u64>,
    /// Time spent, the parts before a resume included.
    pub time: Option<Duration>,
}

/// What a run has done so far, the parts before a resume included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Steps.
    pub steps: u64,
    /// Passes over the data.
    pub epochs: u64,
    /// Episodes that have ended.
    pub episodes: u64,
    /// Time.
    pub time: Duration,
}

impl Budget {
    /// So many steps.
    pub fn steps(steps: u64) -> Self {
        Self { steps: Some(steps), ..Self::default() }
    }

    /// So many passes over the data.
    pub fn epochs(epochs: u64) -> Self {
        Self { epochs: Some(epochs), ..Self::default() }
    }

    /// So many episodes.
    pub fn episodes(episodes: u64) -> Self {
        Self { episodes: Some(episodes), ..Self::default() }
    }

    /// So much time.
    pub fn time(time: Duration) -> Self {
        Self { time: Some(time), ..Self::default() }
    }

    /// Or so many steps, whichever comes first.
    #[must_use]
    pub fn or_steps(self, steps: u64) -> Self {
        Self { steps: Some(steps), ..self }
    }

    /// Or so much time, whichever comes first.
    #[must_use]
    pub fn or_time(self, time: Duration) -> Self {
        Self { time: Some(time), ..self }
    }

    /// Whether a run that has done so much has to end.
    pub fn is_spent(&self, spent: Spent) -> bool {
        self.steps.is_some_and(|limit| spent.steps >= limit)
            || self.epochs.is_some_and(|limit| spent.epochs >= limit)
            || self.episodes.is_some_and(|limit| spent.episodes >= limit)
            || self.time.is_some_and(|limit| spent.time >= limit)
    }
}
