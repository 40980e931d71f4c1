//! `VGG` (Simonyan and Zisserman 2014, <https://arxiv.org/abs/1409.1556>): 3×3 convolutions and
//! pooling, nothing else, and three large linear layers.
//!
//! Layers and names follow torchvision's `vgg11` to `vgg19_bn`. The width multiplier, the hidden
//! features and the pooled side are this crate's, since the original head alone has 124 million
//! parameters, too many for small images.

use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Linear, PaddingConfig2d, Relu};
use burn::tensor::{Device, Tensor};
use model_utils::config;
use model_utils::layers::{Activation, NormConfig, he_normal};
use model_utils::ops;
use model_utils::weights::Stored;

use crate::classifier::{Classifier, Stage};
use crate::error::{Result, check_common, check_strides, check_width};
use crate::layers::{linear, scaled, stage_maps};
use crate::striding::Striding;

/// Channels of the five groups of convolutions, each of which ends in pooling.
const CHANNELS: [f64; 5] = [64.0, 128.0, 256.0, 512.0, 512.0];

/// Convolutions of each group: the paper's columns A, B, D and E.
const VGG_11: [usize; 5] = [1, 1, 2, 2, 2];
const VGG_13: [usize; 5] = [2, 2, 2, 2, 2];
const VGG_16: [usize; 5] = [2, 2, 3, 3, 3];
const VGG_19: [usize; 5] = [2, 2, 4, 4, 4];

/// Configuration of [`Vgg`].
#[derive(Config, Debug, PartialEq)]
pub struct VggConfig {
    /// Convolutions of each of the five groups.
    pub convs: [usize; 5],
    /// Whether batch normalisation follows each convolution.
    #[config(default = false)]
    pub batch_norm: bool,
    /// The width multiplier: channels of convolutions are multiplied by it and rounded to
    /// multiples of 8.
    #[config(default = 1.0)]
    pub width: f64,
    /// Features of the two hidden linear layers; 0 leaves them out.
    #[config(default = 4096)]
    pub hidden: usize,
    /// Side of the map that the first linear layer takes, to which any other is averaged.
    #[config(default = 7)]
    pub pooled: usize,
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// Dropped share of hidden features.
    #[config(default = 0.5)]
    pub dropout: f64,
    /// The strides of the five poolings; at 1 one is left out. Images below 32×32 need that.
    #[config(default = "[2; 5]")]
    pub strides: [usize; 5],
    /// The stride of the last map at most: 8, 16 or 32. What would go beyond is dilated.
    #[config(default = 32)]
    pub output_stride: usize,
}

/// `VGG`. See the [module](self).
#[derive(Module, Debug)]
pub struct Vgg {
    features: Vec<Layer>,
    hidden: Vec<Linear>,
    dropout: Dropout,
    classifier: Linear,
    #[module(skip)]
    stages: Vec<Stage>,
    /// The number of layers up to each stage's end.
    #[module(skip)]
    ends: Vec<usize>,
    #[module(skip)]
    config: VggConfig,
}

/// A layer of the sequence, which has torchvision's numbering.
#[derive(Module, Debug)]
pub enum Layer {
    /// 3×3, with a bias.
    Conv(Conv2d),
    /// After a convolution, where the configuration has it.
    Norm(BatchNorm),
    /// max(x, 0)
    Relu(Relu),
    /// 2×2, at the end of a group.
    Pool(MaxPool2d),
}

impl VggConfig {
    /// VGG-11: 132,863,336 parameters, 132,868,840 with batch norm.
    pub fn vgg11() -> Self {
        Self::new(VGG_11)
    }

    /// VGG-13: 133,047,848 parameters, 133,053,736 with batch norm.
    pub fn vgg13() -> Self {
        Self::new(VGG_13)
    }

    /// VGG-16: 138,357,544 parameters, 138,365,992 with batch norm.
    pub fn vgg16() -> Self {
        Self::new(VGG_16)
    }

    /// VGG-19: 143,667,240 parameters, 143,678,248 with batch norm.
    pub fn vgg19() -> Self {
        Self::new(VGG_19)
    }

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Vgg> {
        check_common(self.classes, self.channels, self.dropout, self.output_stride)?;
        check_width(self.width)?;
        check_strides(self.strides)?;
        let each = self.convs.iter().all(|&convs| convs > 0);
        config::require(each, "convs", self.convs, "at least one in each group")?;
        config::require((1..=64).contains(&self.pooled), "pooled", self.pooled, "1 to 64")?;
        let mut striding = Striding::new(self.output_stride);
        let mut input = self.channels;
        let mut features = Vec::new();
        let (mut stages, mut ends) = (Vec::new(), Vec::new());
        for ((channels, convs), stride) in CHANNELS.into_iter().zip(self.convs).zip(self.strides) {
            let output = scaled(channels, self.width);
            for _ in 0..convs {
                features.push(Layer::Conv(conv([input, output], striding.dilation, device)));
                if self.batch_norm {
                    features.push(Layer::Norm(NormConfig::new().init(output, device)));
                }
                features.push(Layer::Relu(Relu::new()));
                input = output;
            }
            if stride > 1 {
                let step = striding.step(stride);
                // Without its step, a window looks as far as the next place it would have had.
                let over = if step.stride == 1 { step.dilation } else { 0 };
                let pool = MaxPool2dConfig::new([2, 2])
                    .with_strides([step.stride; 2])
                    .with_dilation([step.dilation; 2])
                    .with_padding(PaddingConfig2d::Explicit(0, 0, over, over));
                features.push(Layer::Pool(pool.init()));
            }
            stages.push(striding.stage(output));
            ends.push(features.len());
        }
        let mut flat = input * self.pooled * self.pooled;
        let mut hidden = Vec::new();
        if self.hidden > 0 {
            for _ in 0..2 {
                hidden.push(linear(flat, self.hidden, device));
                flat = self.hidden;
            }
        }
        Ok(Vgg {
            features,
            hidden,
            dropout: DropoutConfig::new(self.dropout).init(),
            classifier: linear(flat, self.classes, device),
            stages,
            ends,
            config: self.clone(),
        })
    }
}

/// 3×3 with a bias that keeps the size.
fn conv(channels: [usize; 2], dilation: usize, device: &Device) -> Conv2d {
    let mut conv = Conv2dConfig::new(channels, [3, 3])
        .with_dilation([dilation; 2])
        .with_padding(PaddingConfig2d::Explicit(dilation, dilation, dilation, dilation))
        .with_initializer(he_normal())
        .init(device);
    conv.bias = Some(burn::nn::Initializer::Zeros.init([channels[1]], device));
    conv
}

impl Classifier for Vgg {
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        stage_maps(&self.features, &self.ends, images, |layer, x| match layer {
            Layer::Conv(conv) => ops::conv2d(conv, x),
            Layer::Norm(norm) => ops::batch_norm(norm, x),
            Layer::Relu(_) => Activation::Relu.forward(x),
            Layer::Pool(pool) => ops::max_pool2d(pool, x),
        })
    }

    /// The map averaged to `pooled` × `pooled`, then the linear layers, with dropout in training.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        let x = ops::adaptive_avg_pool2d(features, [self.config.pooled; 2]);
        let mut x: Tensor<2> = x.flatten(1, 3);
        for layer in &self.hidden {
            x = self.dropout.forward(Activation::Relu.forward(ops::linear(layer, x)));
        }
        ops::linear(&self.classifier, x)
    }

    crate::model_macros::classifier!();

    fn freeze_backbone(self) -> Self {
        Self { features: self.features.freeze(), ..self }
    }

    /// Every pooling halves the side and drops an odd row.
    fn min_side(&self) -> usize {
        self.stages.last().map_or(1, |stage| stage.stride)
    }
}

impl Stored for Vgg {
    crate::model_macros::stored!(VggConfig, "vgg");

    /// The sequence is torchvision's; of the head, every third layer has weights.
    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts[..] {
            ["hidden", index, leaf] => {
                let index: usize = index.parse().unwrap_or_default();
                format!("classifier.{}.{leaf}", 3 * index)
            }
            ["classifier", leaf] => format!("classifier.6.{leaf}"),
            _ => path.to_owned(),
        }
    }
}
