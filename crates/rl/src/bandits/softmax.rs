//! Boltzmann exploration.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::means::{Means, learns_means, remembers};
use super::{Bandit, Choice};
use crate::error::Result;

/// Boltzmann exploration: better means more often.
///
/// ```math
/// \pi(k) = \frac{e^{\hat\mu_k / \tau}}{\sum_j e^{\hat\mu_j / \tau}}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Softmax {
    means: Means,
    temperature: f64,
}

impl Softmax {
    /// Arms and the temperature τ, in units of the reward: near 0 it is greedy, high it is even.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or a temperature that is not finite and
    /// above 0.
    pub fn new(arms: usize, temperature: f64) -> Result<Self> {
        config::positive("temperature", temperature)?;
        Ok(Self { means: Means::new(arms)?, temperature })
    }

    remembers!();
}

/// Weights in proportion to exp(score), of sum 1.
pub(super) fn softmax(scores: &[f64], temperature: f64) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| ((s - most) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

impl Bandit for Softmax {
    fn probabilities(&self, _context: &[f64]) -> Result<Option<Vec<f64>>> {
        Ok(Some(softmax(&self.means.arms.scores(|arm| arm.mean), self.temperature)))
    }

    learns_means!(config::finite);
}
