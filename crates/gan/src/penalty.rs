//! What holds the discriminator's slope: weight clipping and exact gradient penalties.
//!
//! With `g = ∇ₓD(x)` of each sample:
//!
//! | penalty | adds to the discriminator's loss | paper |
//! | --- | --- | --- |
//! | interpolated | weight · mean (‖g‖ − 1)² at random points between real and made samples | Gulrajani et al. 2017 |
//! | R1 | γ/2 · mean ‖g‖² at real samples | Mescheder et al. 2018 |
//! | R1 and R2 | the same at real and at made samples | Roth et al. 2017, Huang et al. 2024 |
//! | clipping | nothing: weights are clamped to ±limit after each step | Arjovsky et al. 2017 |
//!
//! The gradient with respect to the weights is exact: an ordinary backward pass gives `g`, which is
//! then held still as a direction `u`; a [Jacobian-vector product](crate::jvp) gives `s = u·∇ₓD`, which
//! autodiff differentiates. With `u = (‖g‖ − 1) g/‖g‖`, ∇(‖g‖ − 1)² = 2∇s, and with `u = g`,
//! ∇‖g‖² = 2∇s. What weighs a sample stands in its direction, as where a batch has statistics in common
//! the output of one sample moves with all samples: the sum over the batch is exact for any network.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Int, Tensor};
use model_utils::config;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::jvp::Dual;
use crate::player::Discriminator;

/// What holds the discriminator's slope.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Penalty {
    /// Nothing.
    #[default]
    None,
    /// Weights are clamped after each step of the discriminator.
    Clip {
        /// To at most this size.
        limit: f64,
    },
    /// Slopes other than 1 between real and made samples are penalised (WGAN-GP).
    Interpolated {
        /// The weight λ, 10 in the paper.
        weight: f64,
    },
    /// Slopes at real samples are penalised.
    R1 {
        /// The weight γ.
        gamma: f64,
    },
    /// Slopes at real and at made samples are penalised.
    R1R2 {
        /// The weight γ.
        gamma: f64,
    },
}

impl Penalty {
    /// Whether it looks at the slope with respect to the samples.
    pub fn needs_jvp(self) -> bool {
        matches!(self, Self::Interpolated { .. } | Self::R1 { .. } | Self::R1R2 { .. })
    }

    pub(crate) fn check<const D: usize>(self, discriminator: &impl Discriminator<D>) -> Result<()> {
        let (field, value) = match self {
            Self::None => return Ok(()),
            Self::Clip { limit } => ("limit", limit),
            Self::Interpolated { weight } => ("weight", weight),
            Self::R1 { gamma } | Self::R1R2 { gamma } => ("gamma", gamma),
        };
        config::positive(field, value)?;
        match discriminator.no_jvp() {
            Some(reason) if self.needs_jvp() => Err(Error::network(
                "discriminator",
                format!("a gradient penalty was asked for, but {reason}"),
            )),
            _ => Ok(()),
        }
    }
}

/// A gradient penalty as a loss.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GradientPenalty {
    /// What to add to the loss, `[1]`: its gradient with respect to the weights is the penalty's,
    /// its value is not.
    pub surrogate: Tensor<1>,
    /// The penalty's value, `[1]`, without gradient.
    pub value: Tensor<1>,
    /// ‖g‖ of each sample, `[batch, 1]`, without gradient.
    pub norms: Tensor<2>,
}

/// The gradient of the discriminator's output with respect to each sample, without graph. The
/// discriminator is not touched.
///
/// # Errors
///
/// [`Error::Network`] where the output does not depend on the samples.
pub fn input_gradient<const D: usize, N: Discriminator<D>>(
    discriminator: &N,
    x: Tensor<D>,
    classes: Option<Tensor<1, Int>>,
) -> Result<Tensor<D>> {
    let still = frozen(discriminator);
    let x = x.detach().require_grad();
    let gradients = still.forward(x.clone(), classes).sum().backward();
    let gradient = x.grad(&gradients).ok_or_else(|| {
        Error::network("discriminator", "its output does not depend on the samples")
    })?;
    Ok(Tensor::from_inner(gradient))
}

/// weight · mean (‖∇ₓD(x)‖ − target)², as of WGAN-GP with the target 1.
///
/// # Errors
///
/// [`Error::Network`] for a discriminator without [`Discriminator::jvp`].
pub fn gradient_penalty<const D: usize, N: Discriminator<D>>(
    discriminator: &N,
    x: Tensor<D>,
    classes: Option<Tensor<1, Int>>,
    target: f64,
    weight: f64,
) -> Result<GradientPenalty> {
    let gradient = input_gradient(discriminator, x.clone(), classes.clone())?;
    let norms = norms(&gradient);
    let shape = std::array::from_fn(|axis| if axis == 0 { x.dims()[0] } else { 1 });
    let off = norms.clone() - target;
    let direction = gradient * (off.clone() / norms.clone()).reshape::<D, _>(shape);
    let slope = discriminator.jvp(Dual { value: x.detach(), tangent: direction }, classes)?.tangent;
    Ok(GradientPenalty {
        surrogate: slope.mean() * (2.0 * weight),
        value: off.powi_scalar(2).mean() * weight,
        norms,
    })
}

/// γ/2 · mean ‖∇ₓD(x)‖²: R1 at real samples, R2 at made ones.
///
/// # Errors
///
/// [`Error::Network`] for a discriminator without [`Discriminator::jvp`].
pub fn zero_centred_gradient_penalty<const D: usize, N: Discriminator<D>>(
    discriminator: &N,
    x: Tensor<D>,
    classes: Option<Tensor<1, Int>>,
    gamma: f64,
) -> Result<GradientPenalty> {
    let gradient = input_gradient(discriminator, x.clone(), classes.clone())?;
    let norms = norms(&gradient);
    let slope = discriminator.jvp(Dual { value: x.detach(), tangent: gradient }, classes)?.tangent;
    Ok(GradientPenalty {
        surrogate: slope.mean() * gamma,
        value: norms.clone().powi_scalar(2).mean() * (gamma / 2.0),
        norms,
    })
}

/// Holds [`Discriminator::jvp`] against [`Discriminator::forward`]: along the gradient `g` of these samples
/// the output has the slope ‖g‖², all samples together.
///
/// # Errors
///
/// [`Error::Network`] with both numbers where they are apart by more than a thousandth.
pub fn check_jvp<const D: usize, N: Discriminator<D>>(
    discriminator: &N,
    x: Tensor<D>,
    classes: Option<Tensor<1, Int>>,
) -> Result<()> {
    let gradient = input_gradient(discriminator, x.clone(), classes.clone())?;
    let still = frozen(discriminator);
    let along = Dual { value: x.detach(), tangent: gradient.clone() };
    let slope = still.jvp(along, classes)?.tangent.sum().into_scalar::<f64>();
    let expected = gradient.powi_scalar(2).sum().into_scalar::<f64>();
    // Written so that NaN is refused as well.
    if (slope - expected).abs() <= 1e-3 * expected {
        return Ok(());
    }
    let reason = format!(
        "its `jvp` is not the derivative of its `forward`: along the gradient it gives {slope:.4e}, \
         expected {expected:.4e}"
    );
    Err(Error::network("discriminator", reason))
}

/// A copy on the same device that takes batch statistics as the original does, has no gradients of
/// its own, and whose running statistics are thrown away with it.
pub fn frozen<M: Module>(module: &M) -> M {
    module.valid().train().no_grad()
}

/// `[batch, 1]`
fn norms<const D: usize>(gradient: &Tensor<D>) -> Tensor<2> {
    let flat: Tensor<2> = gradient.clone().reshape([gradient.dims()[0] as i32, -1]);
    // Not below what can be divided by.
    flat.powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12)
}

/// Clamps every weight to ±limit.
pub(crate) fn clip<M: Module>(module: M, limit: f64) -> M {
    struct Clip(f64);
    impl ModuleMapper for Clip {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let limit = self.0;
            if !param.is_require_grad() {
                return param;
            }
            param
                .map(|weight| weight.inner().clamp(-limit, limit))
                .map(|weight| Tensor::from_inner(weight).require_grad())
        }
    }
    module.map(&mut Clip(limit))
}
