//! What a network must do to play: any Burn module becomes a generator or a discriminator by
//! implementing one trait.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::jvp::Dual;

/// Makes samples of rank `D` (with the batch: 4 for images, 2 for vectors) from random numbers.
pub trait Generator<const D: usize>: Module {
    /// How many random numbers it takes a sample.
    fn latent(&self) -> usize;

    /// Classes that can be asked for; 0 where none can.
    fn classes(&self) -> usize {
        0
    }

    /// The shape of one sample: `[channels, height, width]` or `[features]`.
    fn sample_shape(&self) -> Vec<usize>;

    /// The values it can give, where they have bounds: −1 and 1 after a hyperbolic tangent.
    fn range(&self) -> Option<[f64; 2]> {
        None
    }

    /// `[batch, latent]`, and `[batch]` classes where there are any → samples.
    fn forward(&self, z: Tensor<2>, classes: Option<Tensor<1, Int>>) -> Tensor<D>;
}

/// What the last layer of a discriminator gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
pub enum Output {
    /// Any number: the logarithm of the odds that a sample is real, or a critic's value.
    #[default]
    Logit,
    /// A number between 0 and 1, after a sigmoid of its own.
    Probability,
}

/// Tells real samples from made ones.
pub trait Discriminator<const D: usize>: Module {
    /// The shape of one input; of packed samples the first axis is `packing` times as long.
    fn input_shape(&self) -> Vec<usize>;

    /// Classes that it is told; 0 where it is told none.
    fn classes(&self) -> usize {
        0
    }

    /// What its last layer gives.
    fn output(&self) -> Output {
        Output::Logit
    }

    /// Samples, and `[batch]` classes where there are any → `[batch, 1]`.
    fn forward(&self, x: Tensor<D>, classes: Option<Tensor<1, Int>>) -> Tensor<2>;

    /// Why [`jvp`](Self::jvp) cannot be computed for it, where it cannot.
    fn no_jvp(&self) -> Option<String> {
        Some("it has no Jacobian-vector product: implement `Discriminator::jvp`".to_owned())
    }

    /// [`forward`](Self::forward), with the derivative along a direction carried beside the value:
    /// what gradient penalties are made of. See [`jvp`](crate::jvp).
    ///
    /// # Errors
    ///
    /// [`Error::Network`] for a discriminator without such a pass.
    fn jvp(&self, x: Dual<D>, classes: Option<Tensor<1, Int>>) -> Result<Dual<2>> {
        let _ = (x, classes);
        Err(Error::network("discriminator", self.no_jvp().unwrap_or_default()))
    }
}

/// A configuration from which both networks are made.
pub trait Networks<const D: usize>: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The generator.
    type Generator: Generator<D>;
    /// The discriminator.
    type Discriminator: Discriminator<D>;

    /// Builds both with fresh weights; the discriminator sees `packing` samples at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the field that cannot work.
    fn init(
        &self,
        packing: usize,
        device: &Device,
    ) -> Result<(Self::Generator, Self::Discriminator)>;
}
