//! Which advertisement to show to whom, while tastes change.

use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{Environment, Step, from_state, refused, to_state};
use crate::error::{Error, Result};
use crate::space::{Space, Spaces};

/// How many people and advertisements there are, and how fast tastes change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdvertisingConfig {
    /// Advertisements to choose from.
    pub ads: usize,
    /// Numbers that describe who looks.
    pub features: usize,
    /// The click rate of a person without preferences.
    pub base_rate: f64,
    /// How much the features matter: the standard deviation of the weights.
    pub strength: f64,
    /// How far each weight wanders a step: the standard deviation; 0 for tastes that stay.
    pub drift: f64,
}

impl Default for AdvertisingConfig {
    fn default() -> Self {
        Self { ads: 8, features: 5, base_rate: 0.04, strength: 0.8, drift: 0.002 }
    }
}

/// A click model: an advertisement `k` is clicked by a person `x` with the probability
/// `σ(w_k · x + b)`, whose weights wander at random. Reward 1 for a click. It never ends.
///
/// The last feature of a person is always 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Advertising {
    config: AdvertisingConfig,
    /// `[ads, features]`
    weights: Vec<f64>,
    person: Vec<f64>,
    random: Random,
    running: bool,
}

impl Advertising {
    /// The world of a configuration; its tastes follow from the seed of the reset.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no advertisements or features, a base rate outside 0 to 1, or a
    /// strength or drift below 0 or not finite.
    pub fn new(config: AdvertisingConfig) -> Result<Self> {
        let most = 1 << 16;
        config::require((1..=most).contains(&config.ads), "ads", config.ads, "1 to 65536")?;
        let features = config.features;
        config::require((1..=1 << 10).contains(&features), "features", features, "1 to 1024")?;
        let rate = config.base_rate;
        config::require(rate > 0.0 && rate < 1.0, "base_rate", rate, "a share between 0 and 1")?;
        config::not_negative("strength", config.strength)?;
        config::not_negative("drift", config.drift)?;
        Ok(Self {
            weights: vec![0.0; config.ads * config.features],
            person: vec![0.0; config.features],
            config,
            random: Random::new(0),
            running: false,
        })
    }

    /// The click rate of each advertisement for the person who looks now.
    pub fn click_rates(&self) -> Vec<f64> {
        let base = (self.config.base_rate / (1.0 - self.config.base_rate)).ln();
        let rate = |weights: &[f64]| {
            let score: f64 = weights.iter().zip(&self.person).map(|(w, x)| w * x).sum();
            1.0 / (1.0 + (-(base + score)).exp())
        };
        self.weights.chunks(self.config.features).map(rate).collect()
    }

    fn next_person(&mut self) {
        let last = self.person.len() - 1;
        for x in &mut self.person[..last] {
            *x = self.random.uniform_in(-1.0..1.0);
        }
        self.person[last] = 1.0;
    }
}

impl Environment for Advertising {
    type Observation = Vec<f64>;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces {
            observation: Space::symmetric(self.config.features, 1.0),
            action: Space::Discrete(self.config.ads),
        }
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        self.random = Random::new(seed);
        for weight in &mut self.weights {
            *weight = self.config.strength * self.random.normal();
        }
        self.next_person();
        self.running = true;
        Ok(self.person.clone())
    }

    fn step(&mut self, action: &usize) -> Result<Step<Vec<f64>>> {
        if !self.running {
            return Err(Error::Ended);
        }
        if *action >= self.config.ads {
            return Err(refused(action, &Space::Discrete(self.config.ads)));
        }
        let rate = self.click_rates()[*action];
        let reward = f64::from(u8::from(self.random.bernoulli(rate)));
        if self.config.drift > 0.0 {
            for weight in &mut self.weights {
                *weight += self.config.drift * self.random.normal();
            }
        }
        self.next_person();
        let observation = self.person.clone();
        Ok(Step::new(observation, reward))
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = from_state(state)?;
        Ok(())
    }
}
