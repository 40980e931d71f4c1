use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a run may go on: until the first of its limits is reached.
///
/// ```
/// use model_utils::train::Budget;
/// use std::time::Duration;
///
/// let budget = Budget::steps(1000).or_time(Duration::from_secs(60));
/// assert!(!budget.is_spent(999, 0, Duration::ZERO));
/// assert!(budget.is_spent(1000, 0, Duration::ZERO));
/// assert!(budget.is_spent(10, 0, Duration::from_secs(61)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// Optimiser steps, in all.
    pub steps: Option<u64>,
    /// Passes over the data, in all.
    pub epochs: Option<u64>,
    /// Time spent, the parts before a resume included.
    pub time: Option<Duration>,
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
    pub fn is_spent(&self, steps: u64, epochs: u64, time: Duration) -> bool {
        self.steps.is_some_and(|limit| steps >= limit)
            || self.epochs.is_some_and(|limit| epochs >= limit)
            || self.time.is_some_and(|limit| time >= limit)
    }
}
