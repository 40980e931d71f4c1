//! Thompson sampling of coins.

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::means::{Mean, Means, learns_means, remembers};
use super::{Bandit, Choice, largest};
use crate::error::Result;

/// Thompson sampling for rewards of 0 or 1, from even priors; rewards between count in parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThompsonBernoulli {
    means: Means,
}

impl ThompsonBernoulli {
    /// Arms, of which every rate is as likely as another at first.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms.
    pub fn new(arms: usize) -> Result<Self> {
        Ok(Self { means: Means::new(arms)? })
    }

    remembers!();

    /// The beta distribution of an arm's rate: successes and failures, each plus 1.
    ///
    /// # Errors
    ///
    /// [`Error::Action`](crate::Error::Action) for an arm that is not there.
    pub fn posterior(&self, arm: usize) -> Result<(f64, f64)> {
        Ok(beta(self.means.arms.get(arm)?))
    }
}

fn beta(Mean { pulls, mean }: &Mean) -> (f64, f64) {
    let mean = mean.clamp(0.0, 1.0);
    (1.0 + mean * pulls, 1.0 + (1.0 - mean) * pulls)
}

impl Bandit for ThompsonBernoulli {
    fn select(&self, _context: &[f64], random: &mut Random) -> Result<Choice> {
        largest(&self.means.arms.scores(|arm| {
            let (a, b) = beta(arm);
            random.beta(a, b)
        }))
    }

    learns_means!(config::share);
}
