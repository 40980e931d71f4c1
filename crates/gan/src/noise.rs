//! Random numbers on the host, each stream a function of a seed and an index: what makes a run
//! resume exactly and give the same on every device.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};
use model_utils::config;
use model_utils::random::mix;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A stream of random numbers.
#[derive(Debug)]
pub struct Noise {
    rng: ChaCha8Rng,
}

impl Noise {
    /// The stream of an index.
    pub fn new(seed: u64, index: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(mix(seed, index)) }
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.rng.random()
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n.max(1))
    }

    /// Standard normal numbers (Box and Muller 1958).
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(count + 1);
        while numbers.len() < count {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            let (sin, cos) = (TAU * self.uniform()).sin_cos();
            numbers.extend([(radius * cos) as f32, (radius * sin) as f32]);
        }
        numbers.truncate(count);
        numbers
    }
}

/// What the generator's random numbers are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// Normal with mean 0 and deviation 1.
    #[default]
    Normal,
    /// Uniform between −1 and 1, as in the DCGAN paper.
    Uniform,
}

impl Prior {
    /// `[count, latent]`
    pub fn draw(
        self,
        noise: &mut Noise,
        count: usize,
        latent: usize,
        device: &Device,
    ) -> Tensor<2> {
        let numbers = match self {
            Self::Normal => noise.normal(count * latent),
            Self::Uniform => {
                (0..count * latent).map(|_| (2.0 * noise.uniform() - 1.0) as f32).collect()
            }
        };
        Tensor::from_data(TensorData::new(numbers, [count, latent]), device)
    }

    /// `[count, latent]` with every number within ±`bound`, drawn again until it is: samples nearer
    /// to the middle of what was learned, less varied (the truncation trick of Brock et al. 2018).
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a bound that is not above 0.01.
    pub fn draw_truncated(
        self,
        noise: &mut Noise,
        count: usize,
        latent: usize,
        bound: f64,
        device: &Device,
    ) -> Result<Tensor<2>> {
        config::require(bound > 0.01, "bound", bound, "above 0.01")?;
        let mut one = || loop {
            let number = match self {
                Self::Normal => noise.normal(1)[0],
                Self::Uniform => (2.0 * noise.uniform() - 1.0) as f32,
            };
            if f64::from(number.abs()) <= bound {
                return number;
            }
        };
        let numbers: Vec<f32> = (0..count * latent).map(|_| one()).collect();
        Ok(Tensor::from_data(TensorData::new(numbers, [count, latent]), device))
    }
}
