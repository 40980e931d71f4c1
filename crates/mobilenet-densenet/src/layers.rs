//! What the models' layers share: the kinds of stems, the padding of each framework, the last
//! linear layer.

use burn::nn::PaddingConfig2d;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use model_utils::layers::{
    Activation, ConvNormAct, ConvNormActConfig, NormConfig, make_divisible, normal,
};
use serde::{Deserialize, Serialize};

use crate::striding::Step;

/// What comes before the first block of [`DenseNet`](crate::DenseNet) and
/// [`ResNet`](crate::ResNet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stem {
    /// 7×7 convolution of stride 2, batch norm, `ReLU`, 3×3 max pooling of stride 2.
    #[default]
    ImageNet,
    /// 3×3 convolution of stride 1, no pooling; in a `ResNet` with batch norm and `ReLU`.
    Small,
}

/// Where the zeros of a convolution of stride 2 stand. It matters only for published weights:
/// each framework's weights were trained with its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Padding {
    /// As many on each side: PyTorch.
    #[default]
    Symmetric,
    /// As few as make ⌈size / stride⌉ places, an odd one at the end: TensorFlow's `SAME`.
    Same,
}

impl Padding {
    /// Builds a convolution that walks by `step` with this padding. With holes both paddings are
    /// the same, since the stride is 1 then.
    pub(crate) fn build(self, conv: ConvNormActConfig, step: Step, device: &Device) -> ConvNormAct {
        let conv = conv.with_stride(step.stride).with_dilation(step.dilation);
        let mut block = conv.init(device);
        if self == Self::Same && step.stride > 1 {
            block.conv.padding = PaddingConfig2d::Same;
        }
        block
    }
}

/// Channel counts are multiples of this.
const DIVISOR: usize = 8;
/// Standard deviation of the kernels of a `MobileNet` at the start.
const KERNEL_STD: f64 = 0.09;

/// Channels times a width multiplier, as a multiple of 8.
pub(crate) fn scaled(channels: f64, width: f64) -> usize {
    make_divisible(channels * width, DIVISOR)
}

/// A convolution as all of a `MobileNet`.
pub(crate) fn mobile_conv(
    channels: [usize; 2],
    kernel_size: usize,
    norm: NormConfig,
    activation: Activation,
) -> ConvNormActConfig {
    ConvNormActConfig::new(channels, kernel_size)
        .with_norm(Some(norm))
        .with_activation(activation)
        .with_initializer(normal(KERNEL_STD))
}

/// The maps behind the layers of a sequence at which stages end: `ends` holds the number of layers
/// up to each stage's end.
pub(crate) fn stage_maps<L>(
    layers: &[L],
    ends: &[usize],
    mut x: Tensor<4>,
    forward: impl Fn(&L, Tensor<4>) -> Tensor<4>,
) -> Vec<Tensor<4>> {
    let mut maps = Vec::with_capacity(ends.len() + 1);
    for (index, layer) in layers.iter().enumerate() {
        x = forward(layer, x);
        if ends.contains(&(index + 1)) {
            maps.push(x.clone());
        }
    }
    maps
}

/// A linear layer of N(0, 0.01) weights and no bias to start with, as torchvision's.
pub(crate) fn linear(features: usize, classes: usize, device: &Device) -> Linear {
    with_zero_bias(LinearConfig::new(features, classes).with_initializer(normal(0.01)), device)
}

/// A linear layer whose bias starts at 0.
pub(crate) fn with_zero_bias(config: LinearConfig, device: &Device) -> Linear {
    let mut linear = config.init(device);
    linear.bias = Some(Initializer::Zeros.init([config.d_output], device));
    linear
}

/// A fresh linear layer for other classes, on the device of the old one.
pub(crate) fn replacing(old: &Linear, classes: usize) -> Linear {
    let [features, _] = old.weight.dims();
    linear(features, classes, &old.weight.device())
}

/// The index of a layer within torchvision's convolution–normalisation–activation.
pub(crate) fn torch_index(layer: &str) -> usize {
    usize::from(layer == "norm")
}
