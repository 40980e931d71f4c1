//! Losses of both players, pure functions of the discriminator's logits.
//!
//! With the logit `D(x)` and σ the logistic function, `real` and `fake` being `[batch, 1]`:
//!
//! | loss | the discriminator minimises | the generator minimises | paper |
//! | --- | --- | --- | --- |
//! | minimax | −log σ(D(x)) − log(1 − σ(D(G(z)))) | log(1 − σ(D(G(z)))) | Goodfellow et al. 2014 |
//! | non-saturating | the same | −log σ(D(G(z))) | the same |
//! | least squares | ½(D(x) − 1)² + ½D(G(z))² | ½(D(G(z)) − 1)² | Mao et al. 2017 |
//! | Wasserstein | D(G(z)) − D(x) | −D(G(z)) | Arjovsky et al. 2017 |
//! | hinge | max(0, 1 − D(x)) + max(0, 1 + D(G(z))) | −D(G(z)) | Lim and Ye 2017 |
//! | relativistic | −log σ(D(x) − D(G(z))) | −log σ(D(G(z)) − D(x)) | Jolicoeur-Martineau 2018, Huang et al. 2024 |
//!
//! All are means over the batch. The relativistic loss pairs the n-th real sample with the n-th made
//! one. Logarithms are taken of logits, never of probabilities.

use burn::tensor::{Tensor, activation};
use model_utils::ConfigError;
use model_utils::ops;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::player::Output;

/// Which loss both players have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// The game of the first paper; the generator learns little while it is bad.
    Minimax,
    /// The same optimum with gradients for a bad generator.
    #[default]
    NonSaturating,
    /// Squares in place of logarithms.
    LeastSquares,
    /// The distance of the earth mover; the discriminator must be held to a slope by a
    /// [`Penalty`](crate::penalty::Penalty).
    Wasserstein,
    /// The margin loss of `SNGAN` and `BigGAN`.
    Hinge,
    /// Real and made samples are compared in pairs; with R1 and R2 the loss of `R3GAN`.
    Relativistic,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Minimax,
        Self::NonSaturating,
        Self::LeastSquares,
        Self::Wasserstein,
        Self::Hinge,
        Self::Relativistic,
    ];

    /// Its name in `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimax => "minimax",
            Self::NonSaturating => "non_saturating",
            Self::LeastSquares => "least_squares",
            Self::Wasserstein => "wasserstein",
            Self::Hinge => "hinge",
            Self::Relativistic => "relativistic",
        }
    }

    /// The discriminator's loss, `[1]`, of logits for real and made samples, `[batch, 1]` each.
    pub fn discriminator(self, real: Tensor<2>, fake: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Minimax | Self::NonSaturating => {
                minus_log_sigmoid(real) + minus_log_sigmoid(fake.neg())
            }
            Self::LeastSquares => {
                ((real - 1.0).powi_scalar(2).mean() + fake.powi_scalar(2).mean()) / 2.0
            }
            Self::Wasserstein => fake.mean() - real.mean(),
            Self::Hinge => ops::relu(real.neg() + 1.0).mean() + ops::relu(fake + 1.0).mean(),
            Self::Relativistic => minus_log_sigmoid(real - fake),
        }
    }

    /// The generator's loss, `[1]`. `real` is read by the relativistic loss alone.
    pub fn generator(self, real: Option<Tensor<2>>, fake: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Minimax => minus_log_sigmoid(fake.neg()).neg(),
            Self::NonSaturating => minus_log_sigmoid(fake),
            Self::LeastSquares => (fake - 1.0).powi_scalar(2).mean() / 2.0,
            Self::Wasserstein | Self::Hinge => fake.mean().neg(),
            Self::Relativistic => match real {
                Some(real) => minus_log_sigmoid(fake - real),
                None => minus_log_sigmoid(fake),
            },
        }
    }

    /// Whether the generator's loss looks at real samples.
    pub fn pairs(self) -> bool {
        self == Self::Relativistic
    }

    /// Refuses a last layer that the loss does not belong to.
    pub(crate) fn check_output(self, output: Output) -> Result<()> {
        if output == Output::Logit || self == Self::LeastSquares {
            return Ok(());
        }
        let reason = format!(
            "it ends in a sigmoid, and the {} loss expects logits: it applies the logistic function \
             itself, where it needs one",
            self.name()
        );
        Err(Error::network("discriminator", reason))
    }
}

/// By the name.
impl std::str::FromStr for Loss {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|loss| loss.name() == name).ok_or_else(|| {
            let expected = Self::ALL.map(Self::name).join(", ");
            ConfigError::new("loss", format!("{name:?}"), expected)
        })
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The mean of −log σ(x).
fn minus_log_sigmoid(x: Tensor<2>) -> Tensor<1> {
    activation::log_sigmoid(x).mean().neg()
}
