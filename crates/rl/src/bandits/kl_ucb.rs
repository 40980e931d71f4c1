//! KL-UCB.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::means::{Means, learns_means, remembers};
use super::{Bandit, Choice, greedy};
use crate::error::Result;

/// KL-UCB for rewards in 0..=1, arms without pulls before all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KlUcb {
    means: Means,
}

impl KlUcb {
    /// The bandit of Garivier and Cappé with c = 0, which they recommend.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms.
    pub fn new(arms: usize) -> Result<Self> {
        Ok(Self { means: Means::new(arms)? })
    }

    remembers!();
}

/// The Kullback–Leibler divergence of two coins.
fn divergence(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The largest q with n · d(mean, q) ≤ log, by bisection.
fn upper(mean: f64, pulls: f64, log: f64) -> f64 {
    let most = log / pulls;
    let (mut low, mut high) = (mean, 1.0);
    for _ in 0..32 {
        let middle = f64::midpoint(low, high);
        if divergence(mean, middle) <= most {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

impl Bandit for KlUcb {
    fn probabilities(&self, _context: &[f64]) -> Result<Option<Vec<f64>>> {
        let log = self.means.log();
        let scores = self.means.optimistic(|arm| upper(arm.mean.clamp(0.0, 1.0), arm.pulls, log));
        Ok(Some(greedy(&scores)))
    }

    learns_means!(config::share);
}
