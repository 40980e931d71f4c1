//! Bandits: one state, many arms, and the question how much to try.
//!
//! | bandit | picks |
//! | --- | --- |
//! | [`EpsilonGreedy`] | the best mean, a share ε at random; with high first values and a constant step it is the optimistic one (Sutton and Barto 2018, 2.6) |
//! | [`Ucb`] | the largest mean + c √(ln t / n) (Auer et al. 2002: c = √2) |
//! | [`KlUcb`] | the largest mean that the Kullback–Leibler divergence still allows (Garivier and Cappé 2011) |
//! | [`ThompsonBernoulli`], [`ThompsonGaussian`] | the best of a draw from the posterior (Thompson 1933) |
//! | [`Exp3`] | by weights that hold against any rewards (Auer et al. 2002) |
//! | [`LinUcb`] | the largest optimistic linear prediction from a context (Li et al. 2010) |
//!
//! ```
//! use rl::bandits::{Bandit, ThompsonBernoulli, play};
//! use rl::random::Random;
//!
//! let rates = [0.02, 0.06, 0.04];
//! let mut random = Random::new(42);
//! let mut bandit = ThompsonBernoulli::new(rates.len())?;
//! let regret = play(&mut bandit, &rates, 10_000, &mut random);
//! assert!(regret.last().unwrap() < &200.0);
//! # Ok::<(), rl::Error>(())
//! ```

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Picks arms and learns from what they bring.
pub trait Bandit {
    /// The arm to pull; only contextual bandits look at the context.
    fn select(&mut self, context: &[f64], random: &mut Random) -> usize;

    /// Takes note of the reward of an arm; one that is not finite is not counted.
    fn update(&mut self, context: &[f64], arm: usize, reward: f64);
}

/// Plays arms that pay 1 with these probabilities; the expected regret after each step:
///
/// ```math
/// R_t = \sum_{s \le t} \big( \max_k p_k - p_{a_s} \big)
/// ```
pub fn play(bandit: &mut dyn Bandit, rates: &[f64], steps: usize, random: &mut Random) -> Vec<f64> {
    let best = rates.iter().copied().fold(0.0, f64::max);
    let mut regret = 0.0;
    let one = |_| {
        let arm = bandit.select(&[], random);
        let reward = f64::from(u8::from(random.bernoulli(rates[arm])));
        bandit.update(&[], arm, reward);
        regret += best - rates[arm];
        regret
    };
    (0..steps).map(one).collect()
}

/// Pulls and mean rewards of the arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Arms {
    pulls: Vec<u64>,
    means: Vec<f64>,
    total: u64,
}

impl Arms {
    fn new(arms: usize, mean: f64) -> Result<Self> {
        config::at_least("arms", arms, 1)?;
        Ok(Self { pulls: vec![0; arms], means: vec![mean; arms], total: 0 })
    }

    fn push(&mut self, arm: usize, reward: f64, rate: Option<f64>) {
        if !reward.is_finite() {
            return;
        }
        self.total += 1;
        self.pulls[arm] += 1;
        let rate = rate.unwrap_or(1.0 / self.pulls[arm] as f64);
        self.means[arm] += rate * (reward - self.means[arm]);
    }

    /// The first arm that was never pulled.
    fn untried(&self) -> Option<usize> {
        self.pulls.iter().position(|pulls| *pulls == 0)
    }
}

/// The largest of some scores, one of equals at random.
#[allow(clippy::float_cmp)] // Equal scores are meant.
fn best(scores: impl Iterator<Item = f64>, random: &mut Random) -> usize {
    let (mut choice, mut most, mut equals) = (0, f64::NEG_INFINITY, 0.0);
    for (arm, score) in scores.enumerate() {
        if score > most {
            (choice, most, equals) = (arm, score, 1.0);
        } else if score == most {
            equals += 1.0;
            if random.bernoulli(1.0 / equals) {
                choice = arm;
            }
        }
    }
    choice
}

/// ε-greedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpsilonGreedy {
    arms: Arms,
    epsilon: f64,
    step: Option<f64>,
}

impl EpsilonGreedy {
    /// A share `epsilon` of pulls at random, else the best sample mean.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms or a share outside 0..=1.
    pub fn new(arms: usize, epsilon: f64) -> Result<Self> {
        config::share("epsilon", epsilon)?;
        Ok(Self { arms: Arms::new(arms, 0.0)?, epsilon, step: None })
    }

    /// The optimistic bandit: greedy, from high first values that a constant step wears off.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms, a value that is not finite, or a step outside (0, 1].
    pub fn optimistic(arms: usize, value: f64, step: f64) -> Result<Self> {
        config::finite("value", value)?;
        config::share_above_zero("step", step)?;
        Ok(Self { arms: Arms::new(arms, value)?, epsilon: 0.0, step: Some(step) })
    }
}

impl Bandit for EpsilonGreedy {
    fn select(&mut self, _context: &[f64], random: &mut Random) -> usize {
        if self.epsilon > 0.0 && random.bernoulli(self.epsilon) {
            return random.below(self.arms.means.len());
        }
        best(self.arms.means.iter().copied(), random)
    }

    fn update(&mut self, _context: &[f64], arm: usize, reward: f64) {
        self.arms.push(arm, reward, self.step);
    }
}

/// UCB1 and its relatives: mean + c √(ln t / n).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ucb {
    arms: Arms,
    width: f64,
}

impl Ucb {
    /// UCB1: c = √2, for rewards in 0..=1.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms.
    pub fn new(arms: usize) -> Result<Self> {
        Self::with_width(arms, std::f64::consts::SQRT_2)
    }

    /// Another `c`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms or a width below 0 or not finite.
    pub fn with_width(arms: usize, width: f64) -> Result<Self> {
        config::not_negative("width", width)?;
        Ok(Self { arms: Arms::new(arms, 0.0)?, width })
    }
}

impl Bandit for Ucb {
    fn select(&mut self, _context: &[f64], random: &mut Random) -> usize {
        if let Some(arm) = self.arms.untried() {
            return arm;
        }
        let log = ((self.arms.total + 1) as f64).ln();
        let (means, pulls) = (&self.arms.means, &self.arms.pulls);
        let score = |(mean, n): (&f64, &u64)| mean + self.width * (log / *n as f64).sqrt();
        best(means.iter().zip(pulls).map(score), random)
    }

    fn update(&mut self, _context: &[f64], arm: usize, reward: f64) {
        self.arms.push(arm, reward, None);
    }
}

/// KL-UCB for rewards in 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KlUcb {
    arms: Arms,
}

impl KlUcb {
    /// The bandit of Garivier and Cappé with c = 0, which they recommend.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms.
    pub fn new(arms: usize) -> Result<Self> {
        Ok(Self { arms: Arms::new(arms, 0.0)? })
    }
}

/// The Kullback–Leibler divergence of two coins.
fn divergence(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The largest q with n · d(mean, q) ≤ log, by bisection.
fn upper(mean: f64, pulls: u64, log: f64) -> f64 {
    let most = log / pulls as f64;
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
    fn select(&mut self, _context: &[f64], random: &mut Random) -> usize {
        if let Some(arm) = self.arms.untried() {
            return arm;
        }
        let log = ((self.arms.total + 1) as f64).ln();
        let (means, pulls) = (&self.arms.means, &self.arms.pulls);
        best(means.iter().zip(pulls).map(|(mean, n)| upper(*mean, *n, log)), random)
    }

    fn update(&mut self, _context: &[f64], arm: usize, reward: f64) {
        if reward.is_finite() {
            self.arms.push(arm, reward.clamp(0.0, 1.0), None);
        }
    }
}

/// Thompson sampling for rewards of 0 or 1, from even priors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThompsonBernoulli {
    /// Successes and failures of each arm, each plus 1.
    counts: Vec<[f64; 2]>,
    /// What a pull leaves of the counts, 1 for all.
    memory: f64,
}

impl ThompsonBernoulli {
    /// For arms that stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms.
    pub fn new(arms: usize) -> Result<Self> {
        Self::with_memory(arms, 1.0)
    }

    /// For arms that drift: each pull leaves this share of an arm's counts.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms or a share outside (0, 1].
    pub fn with_memory(arms: usize, memory: f64) -> Result<Self> {
        config::at_least("arms", arms, 1)?;
        config::share_above_zero("memory", memory)?;
        Ok(Self { counts: vec![[1.0; 2]; arms], memory })
    }
}

impl Bandit for ThompsonBernoulli {
    fn select(&mut self, _context: &[f64], random: &mut Random) -> usize {
        let draws: Vec<f64> = self.counts.iter().map(|[a, b]| random.beta(*a, *b)).collect();
        best(draws.into_iter(), random)
    }

    fn update(&mut self, _context: &[f64], arm: usize, reward: f64) {
        if !reward.is_finite() {
            return;
        }
        let counts = &mut self.counts[arm];
        for count in counts.iter_mut() {
            *count = 1.0 + (*count - 1.0) * self.memory;
        }
        let reward = reward.clamp(0.0, 1.0);
        counts[0] += reward;
        counts[1] += 1.0 - reward;
    }
}

/// Thompson sampling for normal rewards of known deviation, from a normal prior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThompsonGaussian {
    arms: Arms,
    noise: f64,
    prior: f64,
}

impl ThompsonGaussian {
    /// Rewards of deviation `noise`, means drawn around 0 with deviation `prior`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms or deviations that are not finite and above 0.
    pub fn new(arms: usize, noise: f64, prior: f64) -> Result<Self> {
        config::positive("noise", noise)?;
        config::positive("prior", prior)?;
        Ok(Self { arms: Arms::new(arms, 0.0)?, noise, prior })
    }
}

impl Bandit for ThompsonGaussian {
    fn select(&mut self, _context: &[f64], random: &mut Random) -> usize {
        let (noise, prior) = (self.noise * self.noise, self.prior * self.prior);
        let draw = |(mean, n): (&f64, &u64)| {
            let variance = 1.0 / (1.0 / prior + *n as f64 / noise);
            mean * *n as f64 / noise * variance + variance.sqrt() * random.normal()
        };
        let draws: Vec<f64> = self.arms.means.iter().zip(&self.arms.pulls).map(draw).collect();
        best(draws.into_iter(), random)
    }

    fn update(&mut self, _context: &[f64], arm: usize, reward: f64) {
        self.arms.push(arm, reward, None);
    }
}

/// EXP3 for rewards in 0..=1, with the learning rate for a known number of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exp3 {
    /// Logarithms of the weights.
    scores: Vec<f64>,
    rate: f64,
    probabilities: Vec<f64>,
}

impl Exp3 {
    /// For so many steps: η = √(2 ln K / (K T)).
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms or steps.
    pub fn new(arms: usize, steps: usize) -> Result<Self> {
        config::at_least("arms", arms, 1)?;
        config::at_least("steps", steps, 1)?;
        let rate = (2.0 * (arms as f64).ln() / (arms as f64 * steps as f64)).sqrt();
        Ok(Self { scores: vec![0.0; arms], rate, probabilities: vec![1.0 / arms as f64; arms] })
    }
}

impl Bandit for Exp3 {
    fn select(&mut self, _context: &[f64], random: &mut Random) -> usize {
        let most = self.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.scores.iter().map(|s| (s - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        self.probabilities = weights.iter().map(|w| w / total).collect();
        random.weighted(self.probabilities.iter().copied()).unwrap_or(0)
    }

    fn update(&mut self, _context: &[f64], arm: usize, reward: f64) {
        if !reward.is_finite() {
            return;
        }
        // Losses keep the estimate bounded: 1 − (1 − r) / p.
        let loss = (1.0 - reward.clamp(0.0, 1.0)) / self.probabilities[arm];
        self.scores[arm] -= self.rate * loss;
    }
}

/// `LinUCB` with a model for each arm ("disjoint"): ridge regression from context to reward, and the
/// width of its confidence added.
///
/// ```math
/// a = \arg\max_k \; \theta_k^\top x + \alpha \sqrt{x^\top A_k^{-1} x}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinUcb {
    features: usize,
    width: f64,
    memory: f64,
    arms: Vec<Ridge>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ridge {
    /// The inverse of A. `[features, features]`
    inverse: Vec<f64>,
    target: Vec<f64>,
}

impl LinUcb {
    /// Arms, features of a context, and α.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no arms or features, or a width below 0 or not finite.
    pub fn new(arms: usize, features: usize, width: f64) -> Result<Self> {
        config::at_least("arms", arms, 1)?;
        config::at_least("features", features, 1)?;
        config::not_negative("width", width)?;
        let mut inverse = vec![0.0; features * features];
        (0..features).for_each(|i| inverse[i * features + i] = 1.0);
        let ridge = Ridge { inverse, target: vec![0.0; features] };
        Ok(Self { features, width, memory: 1.0, arms: vec![ridge; arms] })
    }

    /// For tastes that drift: each pull leaves this share of what an arm's model knows.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a share outside (0, 1].
    pub fn with_memory(mut self, share: f64) -> Result<Self> {
        config::share_above_zero("memory", share)?;
        self.memory = share;
        Ok(self)
    }

    /// Refuses a context of another length.
    ///
    /// # Errors
    ///
    /// [`Error::Spaces`].
    pub fn check(&self, context: &[f64]) -> Result<()> {
        if context.len() == self.features && context.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        let expected = format!("{} finite numbers", self.features);
        Err(Error::spaces("observation", format!("{context:?}"), expected))
    }
}

impl Ridge {
    fn times(&self, x: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum();
        self.inverse.chunks(x.len()).map(dot).collect()
    }
}

impl Bandit for LinUcb {
    fn select(&mut self, context: &[f64], random: &mut Random) -> usize {
        let score = |ridge: &Ridge| {
            let along = ridge.times(context);
            let mean: f64 = along.iter().zip(&ridge.target).map(|(a, b)| a * b).sum();
            let variance: f64 = along.iter().zip(context).map(|(a, b)| a * b).sum();
            mean + self.width * variance.max(0.0).sqrt()
        };
        best(self.arms.iter().map(score), random)
    }

    fn update(&mut self, context: &[f64], arm: usize, reward: f64) {
        let Some(ridge) = self.arms.get_mut(arm).filter(|_| reward.is_finite()) else { return };
        if self.memory < 1.0 {
            ridge.target.iter_mut().for_each(|b| *b *= self.memory);
            // Never less sure than the prior was.
            let trace: f64 =
                (0..self.features).map(|i| ridge.inverse[i * (self.features + 1)]).sum();
            if trace < self.features as f64 {
                ridge.inverse.iter_mut().for_each(|a| *a /= self.memory);
            }
        }
        // Sherman and Morrison: the inverse after A + x xᵀ.
        let along = ridge.times(context);
        let scale = 1.0 + along.iter().zip(context).map(|(a, b)| a * b).sum::<f64>();
        for (row, a) in ridge.inverse.chunks_mut(self.features).zip(&along) {
            row.iter_mut().zip(&along).for_each(|(cell, b)| *cell -= a * b / scale);
        }
        ridge.target.iter_mut().zip(context).for_each(|(b, x)| *b += reward * x);
    }
}
