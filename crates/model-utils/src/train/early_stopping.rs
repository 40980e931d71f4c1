use serde::{Deserialize, Serialize};

use crate::checkpoint::Goal;

/// Ends a run whose score has not improved for a number of evaluations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    goal: Goal,
    patience: usize,
    #[serde(with = "crate::number::option")]
    best: Option<f64>,
    since: usize,
}

impl EarlyStopping {
    /// Waits for `patience` evaluations without a new best.
    pub fn new(goal: Goal, patience: usize) -> Self {
        Self { goal, patience, best: None, since: 0 }
    }

    /// With the patience of another.
    pub(super) fn with_patience_of(self, other: &Self) -> Self {
        Self { patience: other.patience, ..self }
    }

    /// Takes a score; `true` when it is time to stop. NaN is no improvement.
    pub fn is_over(&mut self, score: f64) -> bool {
        let improved = match self.best {
            Some(best) => self.goal.is_better(score, best),
            None => !score.is_nan(),
        };
        if improved {
            self.best = Some(score);
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.was_over()
    }

    /// Whether it was time to stop at the last score.
    pub fn was_over(&self) -> bool {
        self.since >= self.patience.max(1)
    }

    /// The best score so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_it_was_told() {
        let mut lowest = EarlyStopping::new(Goal::Lowest, 2);
        let over: Vec<bool> =
            [3.0, 2.0, 2.0, f64::NAN].into_iter().map(|score| lowest.is_over(score)).collect();
        assert_eq!(over, [false, false, false, true]);
        assert_eq!(lowest.best(), Some(2.0));
        let mut highest = EarlyStopping::new(Goal::Highest, 1);
        assert!(!highest.is_over(0.5));
        assert!(!highest.is_over(0.6));
        assert!(highest.is_over(0.6));
    }
}
