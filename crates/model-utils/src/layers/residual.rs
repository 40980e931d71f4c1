use burn::config::Config;
use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Activation, ConvNormAct, ConvNormActConfig, NormConfig};
use crate::ops;

/// Where a residual block normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NormOrder {
    /// conv–norm–act–conv–norm, add, act (He et al. 2015; AlphaGo Zero).
    #[default]
    Post,
    /// norm–act–conv–norm–act–conv, add (He et al. 2016).
    Pre,
}

/// Configuration of [`ResidualBlock`].
#[derive(Config, Debug)]
pub struct ResidualBlockConfig {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Stride of the first convolution.
    #[config(default = 1)]
    pub stride: usize,
    /// Where the block normalises.
    #[config(default = "NormOrder::Post")]
    pub order: NormOrder,
    /// Constants of the normalisations.
    #[config(default = "NormConfig::new()")]
    pub norm: NormConfig,
    /// The activation.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
}

/// Two 3×3 convolutions beside a shortcut, which is the identity wherever the shapes allow it
/// and a 1×1 convolution elsewhere.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// The first normalisation.
    pub norm1: BatchNorm,
    /// The first convolution, with the stride.
    pub conv1: Conv2d,
    /// The second normalisation.
    pub norm2: BatchNorm,
    /// The second convolution.
    pub conv2: Conv2d,
    /// The projection on the shortcut where channels or space change.
    pub shortcut: Option<ConvNormAct>,
    /// Where the block normalises.
    #[module(skip)]
    pub order: NormOrder,
    /// The activation.
    #[module(skip)]
    pub activation: Activation,
}

impl ResidualBlockConfig {
    /// Builds the block.
    pub fn init(&self, device: &Device) -> ResidualBlock {
        let [input, output] = self.channels;
        let conv = |channels, kernel, stride| {
            ConvNormActConfig::new(channels, kernel)
                .with_stride(stride)
                .with_norm(Some(self.norm.clone()))
                .with_activation(Activation::Identity)
                .init(device)
        };
        let first_norm = match self.order {
            NormOrder::Post => output,
            NormOrder::Pre => input,
        };
        let projects = input != output || self.stride != 1;
        ResidualBlock {
            norm1: self.norm.init(first_norm, device),
            conv1: conv([input, output], 3, self.stride).conv,
            norm2: self.norm.init(output, device),
            conv2: conv([output, output], 3, 1).conv,
            shortcut: projects.then(|| {
                let mut shortcut = conv([input, output], 1, self.stride);
                if self.order == NormOrder::Pre {
                    // The sum is normalised by the next block.
                    shortcut.norm = None;
                }
                shortcut
            }),
            order: self.order,
            activation: self.activation,
        }
    }
}

impl ResidualBlock {
    /// `[batch, channels_in, height, width]` → `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let act = |x| self.activation.forward(x);
        match self.order {
            NormOrder::Post => {
                let shortcut = self.project(x.clone());
                let x = act(ops::batch_norm(&self.norm1, ops::conv2d(&self.conv1, x)));
                let x = ops::batch_norm(&self.norm2, ops::conv2d(&self.conv2, x));
                act(x + shortcut)
            }
            NormOrder::Pre => {
                let normed = act(ops::batch_norm(&self.norm1, x.clone()));
                // A projection takes the normalised input, an identity the raw one.
                let shortcut =
                    if self.shortcut.is_some() { self.project(normed.clone()) } else { x };
                let x = ops::conv2d(&self.conv1, normed);
                let x = act(ops::batch_norm(&self.norm2, x));
                ops::conv2d(&self.conv2, x) + shortcut
            }
        }
    }

    fn project(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        }
    }
}
