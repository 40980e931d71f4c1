//! Thompson sampling of linear models.

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::linear::{Linear, learns_linear, predicts};
use super::{Bandit, Choice, largest};
use crate::error::Result;

/// Linear Thompson sampling with a model for each arm (`LinTS`): the best of a draw from the
/// posterior of each prediction.
///
/// ```math
/// \tilde\theta_k \sim N\big(\theta_k, v^2 A_k^{-1}\big), \qquad
/// a = \arg\max_k \; \tilde\theta_k^\top x
/// ```
///
/// With v the deviation of the rewards around their expectation, and λ (v / deviation of the
/// weights)², it is the posterior of Bayes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[doc(alias = "LinTS")]
pub struct ThompsonLinear {
    models: Linear,
    noise: f64,
}

impl ThompsonLinear {
    /// Arms, features of a context, and v.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for no arms or features, or a `noise` that is not
    /// finite and above 0.
    pub fn new(arms: usize, features: usize, noise: f64) -> Result<Self> {
        config::positive("noise", noise)?;
        Ok(Self { models: Linear::new(arms, features)?, noise })
    }

    predicts!();
}

impl Bandit for ThompsonLinear {
    fn select(&self, context: &[f64], random: &mut Random) -> Result<Choice> {
        // A draw of θ gives the prediction a normal draw of this deviation, whatever the context.
        let draw = |mean, width| mean + self.noise * width * random.normal();
        largest(&self.models.scores(context, draw)?)
    }

    learns_linear!();
}
