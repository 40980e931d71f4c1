//! How long a run may go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

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
#[serde(default, deny_unknown_fields)]
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

    /// Refuses a budget that would never end a run, for none of its limits is among those that the
    /// run counts, named as the fields are: `steps`, `epochs`, `episodes`, `time`.
    ///
    /// ```
    /// use model_utils_core::Budget;
    ///
    /// let counted = ["steps", "time"];
    /// assert!(Budget::steps(10).require_any_of(&counted).is_ok());
    /// let error = Budget::episodes(1).require_any_of(&counted).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid configuration: `budget` is episodes 1, expected a limit of steps or time"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the field `budget`.
    pub fn require_any_of(&self, counted: &[&str]) -> Result<(), ConfigError> {
        let found: Vec<(&str, String)> = [
            ("steps", self.steps.map(|limit| limit.to_string())),
            ("epochs", self.epochs.map(|limit| limit.to_string())),
            ("episodes", self.episodes.map(|limit| limit.to_string())),
            ("time", self.time.map(|limit| format!("{limit:?}"))),
        ]
        .into_iter()
        .filter_map(|(name, limit)| Some((name, limit?)))
        .collect();
        if found.iter().any(|(name, _)| counted.contains(name)) {
            return Ok(());
        }
        let limits: Vec<String> =
            found.into_iter().map(|(name, limit)| format!("{name} {limit}")).collect();
        let value = if limits.is_empty() { "without a limit".into() } else { limits.join(" or ") };
        let expected = format!("a limit of {}", counted.join(" or "));
        Err(ConfigError::new("budget", value, expected))
    }

    /// Whether a run that has done so much has to end.
    pub fn is_spent(&self, spent: Spent) -> bool {
        self.steps.is_some_and(|limit| spent.steps >= limit)
            || self.epochs.is_some_and(|limit| spent.epochs >= limit)
            || self.episodes.is_some_and(|limit| spent.episodes >= limit)
            || self.time.is_some_and(|limit| spent.time >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_ends_no_run_is_refused() {
        let counted = ["steps", "time"];
        let second = Duration::from_secs(1);
        for budget in [Budget::steps(0), Budget::time(second), Budget::epochs(1).or_time(second)] {
            budget.require_any_of(&counted).unwrap();
        }
        for (budget, value) in [
            (Budget::default(), "without a limit"),
            (Budget::epochs(1), "epochs 1"),
            (Budget { episodes: Some(2), ..Budget::epochs(1) }, "epochs 1 or episodes 2"),
        ] {
            let error = budget.require_any_of(&counted).unwrap_err();
            assert_eq!((error.field, error.value.as_str()), ("budget", value));
            assert_eq!(error.expected, "a limit of steps or time");
        }
    }

    #[test]
    fn a_saved_budget_with_a_limit_that_is_none_is_refused() {
        let budget: Budget = serde_json::from_str(r#"{"steps":3}"#).unwrap();
        assert_eq!(budget, Budget::steps(3));
        let error = serde_json::from_str::<Budget>(r#"{"step":3}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `step`"), "{error}");
    }
}
