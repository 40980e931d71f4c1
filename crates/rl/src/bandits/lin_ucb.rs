//! `LinUCB`.

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::linear::{Linear, learns_linear, predicts};
use super::{Bandit, Choice, greedy};
use crate::error::Result;

/// `LinUCB` with a model for each arm ("disjoint"): ridge regression from context to reward, and the
/// width of its confidence added.
///
/// ```math
/// a = \arg\max_k \; \theta_k^\top x + \alpha \sqrt{x^\top A_k^{-1} x}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinUcb {
    models: Linear,
    width: f64,
}

impl LinUcb {
    /// Arms, features of a context, and α.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or features, or a width below 0 or not
    /// finite.
    pub fn new(arms: usize, features: usize, width: f64) -> Result<Self> {
        config::not_negative("width", width)?;
        Ok(Self { models: Linear::new(arms, features)?, width })
    }

    predicts!();
}

impl Bandit for LinUcb {
    fn probabilities(&self, context: &[f64]) -> Result<Option<Vec<f64>>> {
        let score = |mean, width| mean + self.width * width;
        Ok(Some(greedy(&self.models.scores(context, score)?)))
    }

    learns_linear!();
}
