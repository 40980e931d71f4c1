//! Noise in the priors of the root.

use crate::error::{Result, require};
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

    pub(crate) fn check(self) -> Result<()> {
        require(
            self.alpha.is_finite() && self.alpha > 0.0,
            "root_noise.alpha",
            self.alpha,
            "a positive number",
        )?;
        require(
            (0.0..=1.0).contains(&self.fraction),
            "root_noise.fraction",
            self.fraction,
            "0 to 1",
        )
    }

    /// Mixes noise into priors.
    pub fn mix(&self, priors: &mut [f32], random: &mut Random) {
        let noise: Vec<f64> =
            priors.iter().map(|_| random.gamma(f64::from(self.alpha)).max(1e-300)).collect();
        let total: f64 = noise.iter().sum();
        for (prior, noise) in priors.iter_mut().zip(noise) {
            *prior = (1.0 - self.fraction) * *prior + self.fraction * (noise / total) as f32;
        }
    }
}
