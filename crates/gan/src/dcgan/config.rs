//! The configuration of both networks, and how their layers begin.

use burn::config::Config;
use burn::module::Param;
use burn::nn::{BatchNorm, BatchNormConfig, Initializer};
use burn::tensor::{Device, Tensor};
use model_utils::ConfigError;
use model_utils::config::{at_least, require, share_below_one};
use model_utils::layers::normal;

use crate::player::Output;

/// Both networks of a DCGAN.
///
/// A square image of `size` = base · 2ⁿ pixels is built from a base × base map in n doublings, as
/// many as leave a base of at least `smallest`: 4 to 7 by default. The number of channels is `width`
/// at the largest hidden map and doubles towards the smallest.
///
/// | preset | kernel | random numbers | width | biases at the ends |
/// | --- | --- | --- | --- | --- |
/// | [`for_size`](Self::for_size) | 4×4 | 100 | 64 | yes |
/// | [`radford`](Self::radford) | 5×5 | 100, uniform: [`Prior::Uniform`](crate::noise::Prior) | 128 | yes |
/// | [`pytorch`](Self::pytorch) | 4×4 | 100 | 64 | no: the `state_dict` of PyTorch's example |
///
/// The first and last layer are fully connected (the paper removes hidden ones only): they are kept
/// as the convolutions of a 1×1 map that PyTorch's example has.
#[derive(Config, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // Each is a rule of the paper.
pub struct DcganConfig {
    /// Height and width of an image.
    pub size: usize,
    /// Channels of an image.
    #[config(default = 3)]
    pub channels: usize,
    /// Channels of the largest hidden map.
    #[config(default = 64)]
    pub width: usize,
    /// The least side of the smallest map, 1 to 4. The discriminator's last layer adds up what the
    /// kernels before it see: on a small image's map of 4×4 each sees a part of the image, with
    /// another pair of layers all of it.
    #[config(default = 4)]
    pub smallest: usize,
    /// Random numbers a sample.
    #[config(default = 100)]
    pub latent: usize,
    /// Side of the kernels: 4, or 5 as in the paper.
    #[config(default = 4)]
    pub kernel_size: usize,
    /// Whether the layers at both ends have biases.
    #[config(default = true)]
    pub end_bias: bool,
    /// Classes to ask for; 0 for none. They are embedded and appended: to the random numbers, and
    /// to the image as a further channel (Mirza and Osindero 2014).
    #[config(default = 0)]
    pub classes: usize,
    /// Numbers that a class is embedded in for the generator.
    #[config(default = 32)]
    pub embedding: usize,
    /// Whether the discriminator's weights are spectrally normalised.
    #[config(default = false)]
    pub spectral_norm: bool,
    /// Whether the generator's hidden layers are batch-normalised.
    #[config(default = true)]
    pub normalise_generator: bool,
    /// Whether the discriminator's hidden layers but the first are batch-normalised; a gradient
    /// penalty needs them not to be.
    #[config(default = true)]
    pub normalise_discriminator: bool,
    /// Slope of the discriminator's rectifiers below 0.
    #[config(default = 0.2)]
    pub slope: f64,
    /// Width of a hidden fully connected layer in either network; 0 for none, as in the paper.
    #[config(default = 0)]
    pub fully_connected: usize,
    /// Whether maps are doubled by repeating pixels and halved by max pooling, between convolutions
    /// of stride 1, in place of strides.
    #[config(default = false)]
    pub pooling: bool,
    /// Whether the generator ends in a hyperbolic tangent.
    #[config(default = true)]
    pub tanh: bool,
    /// What the discriminator's last layer gives.
    #[config(default = "Output::Logit")]
    pub output: Output,
}

impl DcganConfig {
    /// For images of this side: 28, 32, 64, 128, or another base · 2ⁿ.
    pub fn for_size(size: usize) -> Self {
        Self::new(size)
    }

    /// As the paper's own code builds it, for images of 64 × 64.
    pub fn radford() -> Self {
        Self::new(64).with_width(128).with_kernel_size(5)
    }

    /// As PyTorch's example builds it, for images of 64 × 64.
    pub fn pytorch() -> Self {
        Self::new(64).with_end_bias(false)
    }

    /// The side of the smallest map and the number of doublings.
    fn stages(&self) -> Result<(usize, usize), ConfigError> {
        let (mut base, mut doublings) = (self.size, 0);
        let smallest = self.smallest;
        require((1..=4).contains(&smallest), "smallest", smallest, "1 to 4")?;
        while base >= 2 * smallest && base.is_multiple_of(2) {
            base /= 2;
            doublings += 1;
        }
        let expected = format!(
            "base · 2ⁿ with a base of {smallest} to {} and n from 2 to 6: 28, 32, 64, 128, …",
            2 * smallest - 1
        );
        let fits = (smallest..2 * smallest).contains(&base) && (2..=6).contains(&doublings);
        require(fits, "size", self.size, expected)?;
        Ok((base, doublings))
    }

    /// Channels of the hidden maps, the smallest map's first.
    pub(super) fn hidden(&self, doublings: usize) -> Vec<usize> {
        (0..doublings).rev().map(|at| self.width << at).collect()
    }

    pub(super) fn check(&self) -> Result<(usize, usize), ConfigError> {
        let stages = self.stages()?;
        require([1, 3].contains(&self.channels), "channels", self.channels, "1 or 3")?;
        require((1..=1024).contains(&self.width), "width", self.width, "1 to 1024")?;
        at_least("latent", self.latent, 1)?;
        require([4, 5].contains(&self.kernel_size), "kernel_size", self.kernel_size, "4 or 5")?;
        share_below_one("slope", self.slope)?;
        require(self.classes != 1, "classes", self.classes, "0, or at least 2")?;
        if self.classes > 0 {
            at_least("embedding", self.embedding, 1)?;
        }
        Ok(stages)
    }
}

/// The deviation that all weights start with.
const DEVIATION: f64 = 0.02;

pub(super) fn weights() -> Initializer {
    normal(DEVIATION)
}

pub(super) fn batch_norm(channels: usize, device: &Device) -> BatchNorm {
    let gain = Initializer::Normal { mean: 1.0, std: DEVIATION };
    BatchNorm {
        gamma: gain.init([channels], device),
        ..BatchNormConfig::new(channels).init(device)
    }
}

/// Biases start at 0.
pub(super) fn zero_bias(
    bias: Option<Param<Tensor<1>>>,
    device: &Device,
) -> Option<Param<Tensor<1>>> {
    bias.map(|bias| Initializer::Zeros.init(bias.lazy_shape(), device))
}
