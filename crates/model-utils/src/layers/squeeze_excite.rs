use burn::config::Config;
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};

use super::Activation;
use crate::ops;

/// Configuration of [`SqueezeExcite`].
#[derive(Config, Debug)]
pub struct SqueezeExciteConfig {
    /// Channels in and out.
    pub channels: usize,
    /// Channels between the two convolutions.
    pub squeezed: usize,
    /// Between the two convolutions.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// On the weights; `MobileNetV3` takes [`Activation::HardSigmoid`].
    #[config(default = "Activation::Sigmoid")]
    pub gate: Activation,
}

/// Weighs each channel by what the whole image holds of all channels (Hu et al. 2018).
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    /// Channels to squeezed channels, 1×1.
    pub fc1: Conv2d,
    /// Squeezed channels to channels, 1×1.
    pub fc2: Conv2d,
    /// Between the two.
    #[module(skip)]
    pub activation: Activation,
    /// On the weights.
    #[module(skip)]
    pub gate: Activation,
}

impl SqueezeExciteConfig {
    /// Builds the block.
    pub fn init(&self, device: &Device) -> SqueezeExcite {
        let conv = |channels| {
            Conv2dConfig::new(channels, [1, 1]).with_padding(PaddingConfig2d::Valid).init(device)
        };
        SqueezeExcite {
            fc1: conv([self.channels, self.squeezed]),
            fc2: conv([self.squeezed, self.channels]),
            activation: self.activation,
            gate: self.gate,
        }
    }
}

impl SqueezeExcite {
    /// `[batch, channels, height, width]` → the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weights = x.clone().mean_dims(&[2, 3]);
        let weights = self.activation.forward(ops::conv2d(&self.fc1, weights));
        let weights = self.gate.forward(ops::conv2d(&self.fc2, weights));
        x * weights
    }
}
