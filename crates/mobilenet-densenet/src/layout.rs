//! What sets the layers of the same model apart: the stem for small images, the padding of the
//! framework that trained it.

use burn::nn::PaddingConfig2d;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::Device;
use model_utils::layers::{ConvNormAct, ConvNormActConfig, normal};
use serde::{Deserialize, Serialize};

use crate::stage::Step;

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

/// A linear layer of N(0, 0.01) weights and no bias to start with, as torchvision's.
pub(crate) fn linear(features: usize, classes: usize, device: &Device) -> Linear {
    let mut linear =
        LinearConfig::new(features, classes).with_initializer(normal(0.01)).init(device);
    linear.bias = Some(Initializer::Zeros.init([classes], device));
    linear
}

/// A fresh linear layer for other classes, on the device of the old one; its bias starts at 0.
pub(crate) fn another_head(old: &Linear, classes: usize) -> Linear {
    let [features, _] = old.weight.dims();
    linear(features, classes, &old.weight.device())
}

/// The place of a layer within torchvision's convolution–normalisation–activation.
pub(crate) fn place(layer: &str) -> usize {
    usize::from(layer == "norm")
}
