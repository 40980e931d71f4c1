//! UCB1 and its relatives.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::means::{Means, learns_means, remembers};
use super::{Bandit, Choice, greedy};
use crate::error::Result;

/// UCB1 and its relatives: mean + c √(ln t / n), arms without pulls before all others.
///
/// With [`with_memory`](Self::with_memory) it is D-UCB and with [`with_window`](Self::with_window)
/// SW-UCB (Garivier and Moulines 2011): mean, n and t are then those that are remembered. Their c is
/// 2 B √ξ and B √ξ, for rewards up to B; UCB1 has c = √2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ucb {
    means: Means,
    width: f64,
}

impl Ucb {
    /// UCB1: c = √2, for rewards in 0..=1.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms.
    pub fn new(arms: usize) -> Result<Self> {
        Self::with_width(arms, std::f64::consts::SQRT_2)
    }

    /// Another `c`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or a width below 0 or not finite.
    pub fn with_width(arms: usize, width: f64) -> Result<Self> {
        config::not_negative("width", width)?;
        Ok(Self { means: Means::new(arms)?, width })
    }

    remembers!();
}

impl Bandit for Ucb {
    fn probabilities(&self, _context: &[f64]) -> Result<Option<Vec<f64>>> {
        let log = self.means.log();
        Ok(Some(greedy(
            &self.means.optimistic(|arm| arm.mean + self.width * (log / arm.pulls).sqrt()),
        )))
    }

    learns_means!(config::finite);
}
