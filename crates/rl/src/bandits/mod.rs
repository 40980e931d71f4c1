//! Bandits: one state, many arms, and the question how much to try.
//!
//! | bandit | picks |
//! | --- | --- |
//! | [`EpsilonGreedy`] | the best mean, a share ε at random; with high first values and a constant step it is the optimistic one (Sutton and Barto 2018, 2.6) |
//! | [`Softmax`] | in proportion to exp(mean / τ) (Boltzmann; Sutton and Barto 2018, 2.8) |
//! | [`Ucb`] | the largest mean + c √(ln t / n) (Auer et al. 2002: c = √2); with a memory or a window D-UCB and SW-UCB (Garivier and Moulines 2011) |
//! | [`KlUcb`] | the largest mean that the Kullback–Leibler divergence still allows (Garivier and Cappé 2011) |
//! | [`ThompsonBernoulli`], [`ThompsonGaussian`] | the best of a draw from the posterior (Thompson 1933) |
//! | [`Exp3`] | by weights that hold against any rewards (Auer et al. 2002) |
//! | [`LinUcb`] | the largest optimistic linear prediction from a context (Li et al. 2010) |
//! | [`ThompsonLinear`] | the best of a draw from the posterior of linear models (Agrawal and Goyal 2013) |
//!
//! What another policy would have earned is estimated from a log by [`replay`],
//! [`inverse_propensity`] and [`doubly_robust`].
//!
//! ```
//! use rl::bandits::{Bandit, ThompsonBernoulli, play};
//! use rl::random::Random;
//!
//! let rates = [0.02, 0.06, 0.04];
//! let mut random = Random::new(42);
//! let mut bandit = ThompsonBernoulli::new(rates.len())?;
//! let regret = play(&mut bandit, &rates, 10_000, &mut random)?;
//! assert!(regret.last().unwrap() < &200.0);
//! # Ok::<(), rl::Error>(())
//! ```
//!
//! In a program of one's own the choice goes out and comes back with its reward, later if need be:
//!
//! ```
//! use rl::bandits::{Bandit, Exp3};
//! use rl::random::Random;
//!
//! let mut bandit = Exp3::new(3, 1000)?;
//! let choice = bandit.select(&[], &mut Random::new(42))?;
//! assert!((choice.propensity.unwrap() - 1.0 / 3.0).abs() < 1e-9);
//! bandit.update(&[], choice, 1.0)?;
//! # Ok::<(), rl::Error>(())
//! ```

mod arms;
mod epsilon_greedy;
mod evaluation;
mod exp3;
mod kl_ucb;
mod lin_ucb;
mod linear;
mod means;
mod ridge;
mod softmax;
mod thompson_bernoulli;
mod thompson_gaussian;
mod thompson_linear;
mod ucb;

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

pub use epsilon_greedy::EpsilonGreedy;
pub use evaluation::{Estimate, Logged, doubly_robust, inverse_propensity, replay};
pub use exp3::Exp3;
pub use kl_ucb::KlUcb;
pub use lin_ucb::LinUcb;
pub use softmax::Softmax;
pub use thompson_bernoulli::ThompsonBernoulli;
pub use thompson_gaussian::ThompsonGaussian;
pub use thompson_linear::ThompsonLinear;
pub use ucb::Ucb;

use crate::error::Result;

/// An arm, and the probability with which it was picked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The arm to pull.
    pub arm: usize,
    /// The probability with which it was picked, where it is known.
    pub propensity: Option<f64>,
}

impl From<usize> for Choice {
    /// An arm that somebody else picked.
    fn from(arm: usize) -> Self {
        Self { arm, propensity: None }
    }
}

impl Choice {
    /// An index, drawn with these probabilities.
    fn draw(probabilities: &[f64], random: &mut Random) -> Result<Self> {
        let arm = random.weighted(probabilities.iter().copied());
        let arm = arm.filter(|arm| probabilities[*arm] > 0.0).ok_or_else(arms::none)?;
        Ok(Self { arm, propensity: Some(probabilities[arm].min(1.0)) })
    }
}

/// Picks arms and learns from what they bring.
///
/// Arms are numbered from 0; the number of an arm that was removed is not given to another, so that
/// feedback that comes late finds its own. A bandit of one's own has either
/// [`probabilities`](Self::probabilities) or a [`select`](Self::select).
pub trait Bandit {
    /// How many arms there have been, those that were removed included.
    fn arms(&self) -> usize;

    /// Whether there is such an arm, and it was not removed.
    fn has(&self, arm: usize) -> bool;

    /// Numbers in a context; 0 for a bandit that does not look at it.
    fn features(&self) -> usize {
        0
    }

    /// The probability with which each arm would be picked now, 0 for those that were removed. `None`
    /// where it has no closed form, as in Thompson sampling.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a context of another length or with a number that is not finite.
    fn probabilities(&self, context: &[f64]) -> Result<Option<Vec<f64>>> {
        let _ = context;
        Ok(None)
    }

    /// The arm to pull, by default with its [`probabilities`](Self::probabilities); only contextual
    /// bandits look at the context.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a context of another length or with a number that is not finite.
    fn select(&self, context: &[f64], random: &mut Random) -> Result<Choice> {
        Choice::draw(&self.probabilities(context)?.unwrap_or_default(), random)
    }

    /// Takes note of the reward of a choice. After an error nothing is changed.
    ///
    /// # Errors
    ///
    /// [`Error::Action`](crate::Error::Action) for an arm that is not there; [`Error::Config`](crate::Error::Config) for a reward that is not
    /// finite or not in the range of the bandit, for a propensity outside (0, 1], and for such a
    /// context as [`select`](Self::select) refuses.
    fn update(&mut self, context: &[f64], choice: Choice, reward: f64) -> Result<()>;

    /// Adds an arm of which nothing is known; its number.
    fn add_arm(&mut self) -> usize;

    /// Removes an arm.
    ///
    /// # Errors
    ///
    /// [`Error::Action`](crate::Error::Action) for an arm that is not there; [`Error::Config`](crate::Error::Config) for the last one.
    fn remove_arm(&mut self, arm: usize) -> Result<()>;
}

/// Plays arms that pay 1 with these probabilities; the expected regret after each step:
///
/// ```math
/// R_t = \sum_{s \le t} \big( \max_k p_k - p_{a_s} \big)
/// ```
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a contextual bandit, more or fewer rates than arms (those that were removed
/// have one too, which does not count), or a rate outside 0..=1.
pub fn play(
    bandit: &mut dyn Bandit,
    rates: &[f64],
    steps: usize,
    random: &mut Random,
) -> Result<Vec<f64>> {
    let features = bandit.features();
    config::require(features == 0, "features", features, "a bandit that needs no context")?;
    let expected = format!("{} probabilities", bandit.arms());
    let is_possible =
        rates.len() == bandit.arms() && rates.iter().all(|rate| (0.0..=1.0).contains(rate));
    config::require(is_possible, "rates", rates, expected)?;
    let open = rates.iter().enumerate().filter(|(arm, _)| bandit.has(*arm));
    let best = open.map(|(_, rate)| *rate).fold(0.0, f64::max);
    let mut regret = 0.0;
    let mut one = || {
        let choice = bandit.select(&[], random)?;
        let rate = *rates.get(choice.arm).ok_or_else(|| arms::missing(choice.arm))?;
        bandit.update(&[], choice, f64::from(u8::from(random.bernoulli(rate))))?;
        regret += best - rate;
        Ok(regret)
    };
    (0..steps).map(|_| one()).collect()
}

/// The probabilities of who picks the largest score, one of equals at random.
#[allow(clippy::float_cmp)] // Equal scores are meant.
fn greedy(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let equals = scores.iter().filter(|score| **score == most).count() as f64;
    scores.iter().map(|score| if *score == most { 1.0 / equals } else { 0.0 }).collect()
}

/// The largest of some drawn scores.
fn largest(scores: &[f64]) -> Result<Choice> {
    let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    Ok(best.ok_or_else(arms::none)?.into())
}
