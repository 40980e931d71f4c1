//! `ResNet` (He et al. 2015, <https://arxiv.org/abs/1512.03385>): blocks that add to what they were
//! given.
//!
//! Layers and names follow torchvision's `resnet18` and its kin: the stride of a bottleneck is at
//! its 3×3 convolution ("v1.5"). The stem for small images is that of the paper's section 4.2,
//! with 64 channels.

use burn::config::Config;
use burn::module::Module;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use model_utils::config;
use model_utils::layers::{Activation, ConvNormAct, ConvNormActConfig, he_normal};
use model_utils::ops;
use model_utils::weights::Stored;
use serde::{Deserialize, Serialize};

use crate::classifier::{Classifier, Stage};
use crate::error::{Result, check_common, check_width};
use crate::layers::{Padding, Stem, scaled, torch_index, with_zero_bias};
use crate::striding::Striding;

/// Channels of the four groups of blocks, before the expansion of a bottleneck.
const CHANNELS: [f64; 4] = [64.0, 128.0, 256.0, 512.0];
const STEM_CHANNELS: f64 = 64.0;
/// Channels of a bottleneck's output for each inner one.
const EXPANSION: usize = 4;

/// What a block consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// 3×3, 3×3.
    Basic,
    /// 1×1, 3×3, 1×1 with four times the channels.
    Bottleneck,
}

/// Configuration of [`ResNet`].
#[derive(Config, Debug, PartialEq)]
pub struct ResNetConfig {
    /// What a block consists of.
    pub kind: BlockKind,
    /// Blocks of each of the four groups.
    pub blocks: [usize; 4],
    /// The width multiplier: channel counts are multiplied by it and rounded to multiples of 8.
    #[config(default = 1.0)]
    pub width: f64,
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// What comes first.
    #[config(default = "Stem::ImageNet")]
    pub stem: Stem,
    /// The stride of the last map at most: 8, 16 or 32. What would go beyond is dilated.
    #[config(default = 32)]
    pub output_stride: usize,
}

type Preset = (BlockKind, [usize; 4]);
const RESNET_18: Preset = (BlockKind::Basic, [2, 2, 2, 2]);
const RESNET_34: Preset = (BlockKind::Basic, [3, 4, 6, 3]);
const RESNET_50: Preset = (BlockKind::Bottleneck, [3, 4, 6, 3]);
const RESNET_101: Preset = (BlockKind::Bottleneck, [3, 4, 23, 3]);
const RESNET_152: Preset = (BlockKind::Bottleneck, [3, 8, 36, 3]);

/// `ResNet`. See the [module](self).
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvNormAct,
    pool: Option<MaxPool2d>,
    layers: Vec<Vec<Block>>,
    classifier: Linear,
    #[module(skip)]
    stages: Vec<Stage>,
    #[module(skip)]
    config: ResNetConfig,
}

/// Convolutions beside a shortcut, which is a 1×1 convolution where channels or space change.
#[derive(Module, Debug)]
pub struct Block {
    convs: Vec<ConvNormAct>,
    shortcut: Option<ConvNormAct>,
}

impl ResNetConfig {
    fn preset((kind, blocks): Preset) -> Self {
        Self::new(kind, blocks)
    }

    /// ResNet-18: 11,689,512 parameters.
    pub fn resnet18() -> Self {
        Self::preset(RESNET_18)
    }

    /// ResNet-34: 21,797,672 parameters.
    pub fn resnet34() -> Self {
        Self::preset(RESNET_34)
    }

    /// ResNet-50: 25,557,032 parameters.
    pub fn resnet50() -> Self {
        Self::preset(RESNET_50)
    }

    /// ResNet-101: 44,549,160 parameters.
    pub fn resnet101() -> Self {
        Self::preset(RESNET_101)
    }

    /// ResNet-152: 60,192,808 parameters.
    pub fn resnet152() -> Self {
        Self::preset(RESNET_152)
    }

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<ResNet> {
        check_common(self.classes, self.channels, 0.0, self.output_stride)?;
        check_width(self.width)?;
        let each = self.blocks.iter().all(|&blocks| blocks > 0);
        config::require(each, "blocks", self.blocks, "at least one block in each group")?;
        let mut striding = Striding::new(self.output_stride);
        let mut input = scaled(STEM_CHANNELS, self.width);
        let (kernel, stride) = match self.stem {
            Stem::ImageNet => (7, 2),
            Stem::Small => (3, 1),
        };
        let stem = conv([self.channels, input], kernel);
        let stem = Padding::Symmetric.build(stem, striding.step(stride), device);
        let mut stages = vec![striding.stage(input)];
        let pool = (self.stem == Stem::ImageNet).then(|| {
            striding.step(2);
            MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init()
        });
        let mut layers = Vec::with_capacity(CHANNELS.len());
        for (index, (channels, blocks)) in CHANNELS.into_iter().zip(self.blocks).enumerate() {
            let inner = scaled(channels, self.width);
            let mut layer = Vec::with_capacity(blocks);
            for block in 0..blocks {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                let (block, output) = self.block([input, inner], stride, &mut striding, device);
                layer.push(block);
                input = output;
            }
            layers.push(layer);
            stages.push(striding.stage(input));
        }
        let classifier = with_zero_bias(LinearConfig::new(input, self.classes), device);
        Ok(ResNet { stem, pool, layers, classifier, stages, config: self.clone() })
    }

    /// A block and its output channels.
    fn block(
        &self,
        [input, inner]: [usize; 2],
        stride: usize,
        striding: &mut Striding,
        device: &Device,
    ) -> (Block, usize) {
        let step = striding.step(stride);
        let walk = |conv: ConvNormActConfig| Padding::Symmetric.build(conv, step, device);
        let last = |channels, kernel| conv(channels, kernel).with_activation(Activation::Identity);
        let (convs, output) = match self.kind {
            BlockKind::Basic => {
                // The second looks as what comes after does.
                let second = last([inner; 2], 3).with_dilation(striding.dilation);
                (vec![walk(conv([input, inner], 3)), second.init(device)], inner)
            }
            BlockKind::Bottleneck => {
                let output = EXPANSION * inner;
                let convs = vec![
                    conv([input, inner], 1).init(device),
                    walk(conv([inner; 2], 3)),
                    last([inner, output], 1).init(device),
                ];
                (convs, output)
            }
        };
        let shortcut = (stride != 1 || input != output)
            .then(|| last([input, output], 1).with_stride(step.stride).init(device));
        (Block { convs, shortcut }, output)
    }
}

/// A convolution as all of this model's: batch norm, `ReLU`.
fn conv(channels: [usize; 2], kernel_size: usize) -> ConvNormActConfig {
    ConvNormActConfig::new(channels, kernel_size).with_initializer(he_normal())
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x.clone()),
            None => x.clone(),
        };
        let out = self.convs.iter().fold(x, |x, conv| conv.forward(x));
        Activation::Relu.forward(out + shortcut)
    }
}

impl Classifier for ResNet {
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.stem.forward(images);
        let mut maps = vec![x.clone()];
        if let Some(pool) = &self.pool {
            x = ops::max_pool2d(pool, x);
        }
        for layer in &self.layers {
            x = layer.iter().fold(x, |x, block| block.forward(x));
            maps.push(x.clone());
        }
        maps
    }

    /// The mean over space, then the linear layer.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        ops::linear(&self.classifier, ops::global_avg_pool(features))
    }

    crate::model_macros::classifier!();

    fn freeze_backbone(self) -> Self {
        Self { stem: self.stem.freeze(), layers: self.layers.freeze(), ..self }
    }
}

impl Stored for ResNet {
    crate::model_macros::stored!(ResNetConfig, "resnet");

    /// torchvision counts groups and convolutions from 1: `layer1.0.conv1`, `layer1.0.bn1`.
    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let one_up = |index: &str| index.parse::<usize>().unwrap_or_default() + 1;
        match parts[..] {
            ["stem", "conv", leaf] => format!("conv1.{leaf}"),
            ["stem", _, leaf] => format!("bn1.{leaf}"),
            ["layers", layer, block, "shortcut", part, leaf] => {
                format!("layer{}.{block}.downsample.{}.{leaf}", one_up(layer), torch_index(part))
            }
            ["layers", layer, block, _, conv, part, leaf] => {
                let part = if part == "conv" { "conv" } else { "bn" };
                format!("layer{}.{block}.{part}{}.{leaf}", one_up(layer), one_up(conv))
            }
            ["classifier", leaf] => format!("fc.{leaf}"),
            _ => path.to_owned(),
        }
    }
}
