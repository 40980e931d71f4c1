//! EXP3.

use model_utils_core::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use super::arms::{Arms, has_arms};
use super::softmax::softmax;
use super::{Bandit, Choice};
use crate::error::Result;

/// EXP3 for rewards in 0..=1, with the learning rate for a known number of steps.
///
/// ```math
/// \pi(k) \propto e^{-\eta L_k}, \qquad L_a \mathrel{+}= \frac{1 - r}{p_a}, \qquad
/// \eta = \sqrt{\frac{2 \ln K}{K T}}
/// ```
///
/// It divides by the probability that the arm was picked with, which comes back with the choice;
/// without one [`update`](Bandit::update) is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exp3 {
    /// Less the estimated losses of each arm.
    arms: Arms<f64>,
    steps: usize,
}

impl Exp3 {
    /// For so many steps.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or steps.
    pub fn new(arms: usize, steps: usize) -> Result<Self> {
        config::at_least("steps", steps, 1)?;
        Ok(Self { arms: Arms::new(arms, 0.0)?, steps })
    }

    /// η of as many arms as there are.
    fn rate(&self) -> f64 {
        let arms = self.arms.open().count() as f64;
        (2.0 * arms.ln() / (arms * self.steps as f64)).sqrt()
    }
}

impl Bandit for Exp3 {
    has_arms!(arms);

    fn probabilities(&self, _context: &[f64]) -> Result<Option<Vec<f64>>> {
        let rate = self.rate();
        Ok(Some(softmax(&self.arms.scores(|score| rate * score), 1.0)))
    }

    fn update(&mut self, _context: &[f64], choice: Choice, reward: f64) -> Result<()> {
        config::share("reward", reward)?;
        self.arms.check(choice)?;
        let known = choice.propensity.ok_or_else(|| {
            ConfigError::new("propensity", "missing", "that with which the arm was picked")
        })?;
        let score = self.arms.get_mut(choice.arm)?;
        // Losses keep the estimate bounded: 1 − (1 − r) / p.
        let next = *score - (1.0 - reward) / known;
        config::require(next.is_finite(), "propensity", known, "a share that can divide a loss")?;
        *score = next;
        Ok(())
    }

    /// Its weight is the mean of the others'.
    fn add_arm(&mut self) -> usize {
        let rate = self.rate();
        let most = self.arms.open().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: f64 = self.arms.open().map(|score| (rate * (score - most)).exp()).sum();
        let mean = weights / self.arms.open().count() as f64;
        self.arms.add(if rate > 0.0 { most + mean.ln() / rate } else { most })
    }
}
