//! How good a policy is.

use std::fmt;

use model_utils_core::config;
use model_utils_core::random::mix;
use serde::{Deserialize, Serialize};

use crate::environment::{Element, Environment, Policy, check_reward, misfit};
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

/// The steps after which an episode of [`evaluate`] counts as one without an end.
pub const MOST_STEPS: u64 = 1_000_000;

/// Lets a policy act for some episodes, each from its own seed.
///
/// # Errors
///
/// [`Error::Config`] for no episodes, [`Error::Spaces`] for an environment of other spaces than the
/// policy's, [`Error::Observation`] and [`Error::NotFinite`] for what the environment's spaces do not
/// hold, [`Error::Endless`] for an episode of [`MOST_STEPS`], and what the environment and the policy
/// refuse.
pub fn evaluate<E: Environment + ?Sized, P>(
    policy: &P,
    environment: &mut E,
    episodes: usize,
    seed: u64,
) -> Result<Evaluation>
where
    E::Observation: Element,
    P: Policy<E::Observation, E::Action> + ?Sized,
{
    config::at_least("episodes", episodes, 1)?;
    let spaces = environment.spaces();
    spaces.check()?;
    if let Some(expected) = policy.spaces() {
        expected.expect(&spaces)?;
    }
    let space = &spaces.observation;
    let mut evaluation = Evaluation { rewards: Vec::new(), lengths: Vec::new() };
    for episode in 0..episodes {
        let mut observation = environment.reset(mix(seed, episode as u64))?;
        let (mut total, mut length) = (0.0, 0);
        loop {
            observation.form(space).map_err(|fault| misfit(fault, space, 0, length))?;
            if let Some(mask) = environment.mask() {
                spaces.check_mask(mask)?;
            }
            let action = policy.act(&observation, environment.mask())?;
            let step = environment.step(&action)?;
            length += 1;
            check_reward(step.reward, 0, length)?;
            total += step.reward;
            if step.ended() {
                let last = step.observation.form(space);
                last.map_err(|fault| misfit(fault, space, 0, length))?;
                break;
            }
            if length >= MOST_STEPS {
                return Err(Error::Endless { steps: length });
            }
            observation = step.observation;
        }
        evaluation.rewards.push(total);
        evaluation.lengths.push(length);
    }
    Ok(evaluation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environments::{Advertising, AdvertisingConfig, CartPole};
    use crate::space::{Space, Spaces};

    struct OfTwo(Spaces);

    impl Policy<[f64; 4], usize> for OfTwo {
        fn act(&self, _observation: &[f64; 4], _mask: Option<&[bool]>) -> Result<usize> {
            Ok(0)
        }

        fn spaces(&self) -> Option<&Spaces> {
            Some(&self.0)
        }
    }

    #[test]
    fn worlds_without_an_end_and_policies_of_other_worlds_are_errors() {
        let mut ads = Advertising::new(AdvertisingConfig::default()).unwrap();
        let error = evaluate(&|_: &Vec<f64>| 0, &mut ads, 1, 1).unwrap_err();
        assert!(matches!(error, Error::Endless { steps: MOST_STEPS }), "{error}");

        let spaces = |numbers| Spaces {
            observation: Space::symmetric(numbers, 1.0),
            action: Space::Discrete(2),
        };
        evaluate(&OfTwo(spaces(4)), &mut CartPole::new(), 1, 1).unwrap();
        let error = evaluate(&OfTwo(spaces(2)), &mut CartPole::new(), 1, 1).unwrap_err();
        assert!(error.to_string().contains("observation space is 4 numbers"), "{error}");
    }
}
