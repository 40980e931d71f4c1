use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

use super::{Activation, he_normal};
use crate::ops;

/// The constants of a batch normalisation.
#[derive(Config, Debug, PartialEq)]
pub struct NormConfig {
    /// Added to the variance. `PyTorch`: 1e-5, TensorFlow and `MobileNetV3`: 1e-3.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Share of the newest batch in the running statistics.
    #[config(default = 0.1)]
    pub momentum: f64,
}

impl NormConfig {
    /// A batch normalisation of `channels` channels with these constants.
    pub fn init(&self, channels: usize, device: &Device) -> BatchNorm {
        BatchNormConfig::new(channels)
            .with_epsilon(self.epsilon)
            .with_momentum(self.momentum)
            .init(device)
    }
}

/// Configuration of [`ConvNormAct`].
#[derive(Config, Debug)]
pub struct ConvNormActConfig {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Side of the square kernel.
    pub kernel_size: usize,
    /// Stride in both directions.
    #[config(default = 1)]
    pub stride: usize,
    /// Distance between the kernel's taps.
    #[config(default = 1)]
    pub dilation: usize,
    /// Groups of channels that do not see each other; the channel count for a depthwise one.
    #[config(default = 1)]
    pub groups: usize,
    /// Normalisation; without one the convolution has a bias.
    #[config(default = "Some(NormConfig::new())")]
    pub norm: Option<NormConfig>,
    /// What follows the normalisation.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// How the kernel starts.
    #[config(default = "he_normal()")]
    pub initializer: Initializer,
}

impl ConvNormActConfig {
    /// Builds the block; the padding keeps the size at stride 1 (odd kernels).
    pub fn init(&self, device: &Device) -> ConvNormAct {
        let pad = self.dilation * (self.kernel_size - 1) / 2;
        let conv = Conv2dConfig::new(self.channels, [self.kernel_size; 2])
            .with_stride([self.stride; 2])
            .with_dilation([self.dilation; 2])
            .with_groups(self.groups)
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(self.norm.is_none())
            .with_initializer(self.initializer.clone())
            .init(device);
        ConvNormAct {
            conv,
            norm: self.norm.as_ref().map(|norm| norm.init(self.channels[1], device)),
            activation: self.activation,
        }
    }
}

/// Convolution, batch normalisation, activation: the block most image models are made of.
#[derive(Module, Debug)]
pub struct ConvNormAct {
    /// The convolution.
    pub conv: Conv2d,
    /// The normalisation, if any.
    pub norm: Option<BatchNorm>,
    /// The activation.
    #[module(skip)]
    pub activation: Activation,
}

impl ConvNormAct {
    /// `[batch, channels_in, height, width]` → `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = ops::conv2d(&self.conv, x);
        let x = match &self.norm {
            Some(norm) => ops::batch_norm(norm, x),
            None => x,
        };
        self.activation.forward(x)
    }
}
