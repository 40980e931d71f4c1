//! How good a policy is.

use std::fmt;

use model_utils_core::config;
use model_utils_core::random::mix;
use serde::{Deserialize, Serialize};

use crate::environment::{Environment, Features, Policy, Step};
use crate::error::{Error, Result};

/// The rewards of some episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The sum of rewards of each episode.
    pub rewards: Vec<f64>,
    /// The steps of each episode.
    pub lengths: Vec<u64>,
}

impl Evaluation {
    /// The mean reward of an episode.
    pub fn mean(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len() as f64
    }

    /// The standard deviation over episodes.
    pub fn standard_deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.rewards.iter().map(|r| (r - mean).powi(2)).sum();
        (squares / self.rewards.len() as f64).sqrt()
    }
}

/// As `500.0 ± 0.0`.
impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        write!(f, "{:.digits$} ± {:.digits$}", self.mean(), self.standard_deviation())
    }
}

/// Lets a policy act for some episodes, each from its own seed.
///
/// # Errors
///
/// [`Error::Config`] for no episodes, [`Error::NotFinite`], and what the environment and the
/// policy refuse.
pub fn evaluate<E: Environment, P>(
    policy: &P,
    environment: &mut E,
    episodes: usize,
    seed: u64,
) -> Result<Evaluation>
where
    E::Observation: Features,
    P: Policy<E::Observation, E::Action> + ?Sized,
{
    config::at_least("episodes", episodes, 1)?;
    let mut evaluation = Evaluation { rewards: Vec::new(), lengths: Vec::new() };
    for episode in 0..episodes {
        let mut observation = environment.reset(mix(seed, episode as u64))?;
        let (mut total, mut length) = (0.0, 0);
        loop {
            let action = policy.act(&observation, environment.mask())?;
            let step = environment.step(&action)?;
            length += 1;
            check(&step, 0, length)?;
            total += step.reward;
            if step.ended() {
                break;
            }
            observation = step.observation;
        }
        evaluation.rewards.push(total);
        evaluation.lengths.push(length);
    }
    Ok(evaluation)
}

/// Refuses rewards and observations that are not finite.
pub(crate) fn check<O: Features>(step: &Step<O>, environment: usize, number: u64) -> Result<()> {
    let error = |what, value| Err(Error::NotFinite { what, value, environment, step: number });
    if !step.reward.is_finite() {
        return error("reward", step.reward);
    }
    match step.observation.not_finite() {
        Some(value) => error("observation", value),
        None => Ok(()),
    }
}
