//! What another policy would have earned, from a log.

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use super::Bandit;
use crate::error::Result;

/// A line of a log: what was known, what was chosen, and what it brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// What was known of the situation.
    pub context: Vec<f64>,
    /// The arm that was pulled.
    pub arm: usize,
    /// The probability with which it was picked.
    pub propensity: f64,
    /// What it brought.
    pub reward: f64,
}

/// What a policy earns a pull.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean reward.
    pub value: f64,
    /// The standard error of the mean, which does not know of any bias.
    pub standard_error: f64,
    /// How many lines of the log the policy could have written too.
    pub lines: usize,
}

impl Estimate {
    /// Mean and standard error of at least two terms.
    fn of(terms: &[f64], lines: usize) -> Result<Self> {
        config::at_least("lines", terms.len(), 2)?;
        let count = terms.len() as f64;
        let value = terms.iter().sum::<f64>() / count;
        let squares: f64 = terms.iter().map(|term| (term - value).powi(2)).sum();
        let standard_error = (squares / (count - 1.0) / count).sqrt();
        config::finite("value", value + standard_error)?;
        Ok(Self { value, standard_error, lines })
    }
}

impl Logged {
    fn check(&self) -> Result<()> {
        config::share_above_zero("propensity", self.propensity)?;
        Ok(config::finite("reward", self.reward)?)
    }
}

/// Lets a bandit live through a log of even choices: it learns from the lines whose arm it picks
/// itself (Li et al. 2011). The value is the mean reward of those, as if it had been there.
///
/// The standard error is that of rewards that do not depend on each other, as those of a bandit that
/// has learned enough.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a propensity other than 1 / arms, and where fewer than
/// two lines remain; whatever the bandit refuses.
pub fn replay(log: &[Logged], bandit: &mut dyn Bandit, random: &mut Random) -> Result<Estimate> {
    let open = (0..bandit.arms()).filter(|arm| bandit.has(*arm)).count() as f64;
    for line in log {
        line.check()?;
        config::require(bandit.has(line.arm), "arm", line.arm, "an arm of the bandit")?;
        let is_even = (line.propensity * open - 1.0).abs() < 1e-6;
        config::require(
            is_even,
            "propensity",
            line.propensity,
            format!("1 / {open}: even choices"),
        )?;
    }
    let mut rewards = Vec::new();
    for line in log {
        let choice = bandit.select(&line.context, random)?;
        if choice.arm == line.arm {
            bandit.update(&line.context, choice, line.reward)?;
            rewards.push(line.reward);
        }
    }
    Estimate::of(&rewards, rewards.len())
}

/// The value of a policy by inverse propensity scores (Horvitz and Thompson 1952): right on average
/// where the propensities are, with a large error where they are small.
///
/// ```math
/// \frac 1 n \sum_i \frac{\pi(a_i \mid x_i)}{p_i} r_i
/// ```
///
/// The policy gives the probability of each arm in a context.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for fewer than two lines, propensities outside (0, 1],
/// rewards that are not finite and probabilities that are none or lack an arm; whatever the policy
/// refuses.
pub fn inverse_propensity(
    log: &[Logged],
    policy: impl FnMut(&[f64]) -> Result<Vec<f64>>,
) -> Result<Estimate> {
    estimate(log, policy, None)
}

/// The doubly robust value of a policy (Dudík et al. 2011): right on average where the propensities
/// or the model are, and nearer than [`inverse_propensity`] with a model that is nearly right.
///
/// ```math
/// \frac 1 n \sum_i \Big( \sum_k \pi(k \mid x_i) \hat r(x_i, k)
///   + \frac{\pi(a_i \mid x_i)}{p_i} \big( r_i - \hat r(x_i, a_i) \big) \Big)
/// ```
///
/// The policy gives the probability of each arm in a context, the model the reward it expects of each:
/// [`LinUcb::means`](super::LinUcb::means), for one, after updates with other lines than these.
///
/// # Errors
///
/// As [`inverse_propensity`]; for expectations that are not finite or lack an arm; whatever the model
/// refuses.
pub fn doubly_robust(
    log: &[Logged],
    policy: impl FnMut(&[f64]) -> Result<Vec<f64>>,
    mut model: impl FnMut(&[f64]) -> Result<Vec<f64>>,
) -> Result<Estimate> {
    estimate(log, policy, Some(&mut model))
}

type Model<'a> = &'a mut dyn FnMut(&[f64]) -> Result<Vec<f64>>;

fn estimate(
    log: &[Logged],
    mut policy: impl FnMut(&[f64]) -> Result<Vec<f64>>,
    mut model: Option<Model<'_>>,
) -> Result<Estimate> {
    let mut lines = 0;
    let mut term = |line: &Logged| {
        line.check()?;
        let (arm, context) = (line.arm, &line.context);
        let target = policy(context)?;
        let sum: f64 = target.iter().sum();
        let are_shares = target.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-6;
        let has_arm = arm < target.len();
        config::require(
            are_shares && has_arm,
            "policy",
            &target,
            format!("probabilities of sum 1, that of arm {arm} among them"),
        )?;
        let expected =
            model.as_mut().map_or_else(|| Ok(vec![0.0; target.len()]), |of| of(context))?;
        // An arm that the policy never takes may have no expectation.
        let known = target.iter().zip(&expected).all(|(p, r)| *p == 0.0 || r.is_finite());
        config::require(
            known && expected.len() == target.len(),
            "model",
            &expected,
            format!("{} finite numbers", target.len()),
        )?;
        let used = |(p, r): (&f64, &f64)| if *p > 0.0 { p * r } else { 0.0 };
        let direct: f64 = target.iter().zip(&expected).map(used).sum();
        if target[arm] == 0.0 {
            return Ok(direct);
        }
        lines += 1;
        Ok(direct + target[arm] / line.propensity * (line.reward - expected[arm]))
    };
    let terms = log.iter().map(&mut term).collect::<Result<Vec<f64>>>()?;
    Estimate::of(&terms, lines)
}
