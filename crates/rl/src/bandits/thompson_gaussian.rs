//! Thompson sampling of normal rewards.

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::means::{Mean, Means, learns_means, remembers};
use super::{Bandit, Choice, largest};
use crate::error::Result;

/// Thompson sampling for normal rewards of known deviation, from a normal prior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThompsonGaussian {
    means: Means,
    noise: f64,
    prior: f64,
}

impl ThompsonGaussian {
    /// Rewards of deviation `noise`, means drawn around 0 with deviation `prior`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or deviations that are not finite and
    /// above 0.
    pub fn new(arms: usize, noise: f64, prior: f64) -> Result<Self> {
        config::positive("noise", noise)?;
        config::positive("prior", prior)?;
        Ok(Self { means: Means::new(arms)?, noise, prior })
    }

    remembers!();

    /// The normal distribution of an arm's mean: mean and standard deviation.
    ///
    /// # Errors
    ///
    /// [`Error::Action`](crate::Error::Action) for an arm that is not there.
    pub fn posterior(&self, arm: usize) -> Result<(f64, f64)> {
        Ok(self.normal(self.means.arms.get(arm)?))
    }

    fn normal(&self, Mean { pulls, mean }: &Mean) -> (f64, f64) {
        if *pulls == 0.0 {
            return (0.0, self.prior);
        }
        let weight = pulls + (self.noise / self.prior).powi(2);
        (mean * (pulls / weight), self.noise / weight.sqrt())
    }
}

impl Bandit for ThompsonGaussian {
    fn select(&self, _context: &[f64], random: &mut Random) -> Result<Choice> {
        largest(&self.means.arms.scores(|arm| {
            let (mean, deviation) = self.normal(arm);
            mean + deviation * random.normal()
        }))
    }

    learns_means!(config::finite);
}
