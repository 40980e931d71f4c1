//! Noise in the priors of the root.

use model_utils_core::{ConfigError, config};

use crate::error::Result;
use crate::random::Random;

/// Dirichlet noise: the root's priors become (1 − ε) p + ε η, η ~ Dir(α) (AlphaGo Zero, Silver et
/// al. 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dirichlet {
    /// Concentration α: 0.03 for 19×19 Go, about 10 / the number of legal actions.
    pub alpha: f32,
    /// The share of the noise, ε: 0.25 in the paper.
    pub fraction: f32,
}

impl Dirichlet {
    /// Noise with a concentration and the paper's share of 0.25.
    pub const fn new(alpha: f32) -> Self {
        Self { alpha, fraction: 0.25 }
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        config::positive("root_noise.alpha", self.alpha)?;
        config::share("root_noise.fraction", self.fraction)
    }

    /// Mixes noise into priors.
    pub fn mix(&self, priors: &mut [f32], random: &mut Random) {
        let noise: Vec<f64> =
            priors.iter().map(|_| random.gamma_f32(f64::from(self.alpha)).max(1e-300)).collect();
        let total: f64 = noise.iter().sum();
        for (prior, noise) in priors.iter_mut().zip(noise) {
            *prior = (1.0 - self.fraction) * *prior + self.fraction * (noise / total) as f32;
        }
    }
}
