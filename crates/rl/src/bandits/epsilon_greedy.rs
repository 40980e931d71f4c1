//! ε-greedy.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::means::{Means, learns_means, remembers};
use super::{Bandit, Choice, greedy};
use crate::error::Result;

/// ε-greedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpsilonGreedy {
    means: Means,
    epsilon: f64,
}

impl EpsilonGreedy {
    /// A share `epsilon` of pulls at random, else the best sample mean.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or a share outside 0..=1.
    pub fn new(arms: usize, epsilon: f64) -> Result<Self> {
        config::share("epsilon", epsilon)?;
        Ok(Self { means: Means::new(arms)?, epsilon })
    }

    /// The optimistic bandit: greedy, from high first values that a constant step wears off.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms, a value that is not finite, or a step
    /// outside (0, 1].
    pub fn optimistic(arms: usize, value: f64, step: f64) -> Result<Self> {
        Ok(Self { means: Means::stepping(arms, value, step)?, epsilon: 0.0 })
    }

    remembers!();
}

impl Bandit for EpsilonGreedy {
    fn probabilities(&self, _context: &[f64]) -> Result<Option<Vec<f64>>> {
        let arms = &self.means.arms;
        let even = self.epsilon / arms.open().count() as f64;
        let mix = |(best, random)| (1.0 - self.epsilon) * best + random;
        let best = greedy(&arms.scores(|arm| arm.mean));
        Ok(Some(best.into_iter().zip(arms.map(0.0, |_| even)).map(mix).collect()))
    }

    learns_means!(config::finite);
}
