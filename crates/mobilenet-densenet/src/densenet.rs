//! `DenseNet` (Huang et al. 2017, <https://arxiv.org/abs/1608.06993>): every layer sees the maps
//! of all layers before it in its block, side by side.
//!
//! Layers and names follow torchvision's `densenet121` and its kin; the stem for small images
//! is the paper's (section 4). Checkpoints of before 2018, with `norm.1` for `norm1`, load too.
//!
//! All maps of a block are inputs of all its later layers, so training keeps many of them. Pleiss
//! et al. 2017 (<https://arxiv.org/abs/1707.06990>) compute the cheap ones, concatenation and
//! normalisation, anew in the backward pass. Here that is a property of the device: on
//! `device.autodiff().gradient_checkpointing()` Burn keeps what was expensive to compute and
//! recomputes the rest, with the same gradients; nothing of the model changes.

use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use model_utils::config::{self, ConfigError};
use model_utils::layers::{Activation, NormConfig, he_normal};
use model_utils::ops;
use model_utils::weights::{Import, Report, Stored};

use crate::classifier::{Classifier, Stage};
use crate::error::{Result, check_common};
use crate::layers::{Stem, with_zero_bias};
use crate::striding::Striding;

/// Configuration of [`DenseNet`].
#[derive(Config, Debug, PartialEq)]
pub struct DenseNetConfig {
    /// Maps that each layer adds (k).
    pub growth_rate: usize,
    /// Layers of each dense block.
    pub blocks: Vec<usize>,
    /// Maps before the first block.
    pub init_features: usize,
    /// Each layer's 1×1 convolution makes this many times k maps (the B in DenseNet-BC).
    #[config(default = 4)]
    pub bn_size: usize,
    /// Share of maps that a transition keeps, θ (the C in DenseNet-BC).
    #[config(default = 0.5)]
    pub compression: f64,
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// Dropped share of each layer's maps.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// What comes first.
    #[config(default = "Stem::ImageNet")]
    pub stem: Stem,
    /// The stride of the last map at most: 8, 16 or 32. What would go beyond is dilated.
    #[config(default = 32)]
    pub output_stride: usize,
}

/// growth rate, blocks, maps before the first block
type Preset = (usize, [usize; 4], usize);
const DENSENET_121: Preset = (32, [6, 12, 24, 16], 64);
const DENSENET_161: Preset = (48, [6, 12, 36, 24], 96);
const DENSENET_169: Preset = (32, [6, 12, 32, 32], 64);
const DENSENET_201: Preset = (32, [6, 12, 48, 32], 64);

/// `DenseNet`. See the [module](self).
#[derive(Module, Debug)]
pub struct DenseNet {
    conv0: Conv2d,
    norm0: Option<BatchNorm>,
    pool0: MaxPool2d,
    blocks: Vec<DenseBlock>,
    transitions: Vec<Transition>,
    norm5: BatchNorm,
    classifier: Linear,
    #[module(skip)]
    stages: Vec<Stage>,
    #[module(skip)]
    config: DenseNetConfig,
}

/// Layers that each append their maps to what they were given.
#[derive(Module, Debug)]
pub struct DenseBlock {
    layers: Vec<DenseLayer>,
}

/// norm–`ReLU`–1×1, norm–`ReLU`–3×3.
#[derive(Module, Debug)]
pub struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
    dropout: Dropout,
}

/// norm–`ReLU`–1×1 and 2×2 mean pooling between two blocks.
#[derive(Module, Debug)]
pub struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
    /// Absent where the output stride is reached.
    pool: Option<AvgPool2d>,
    /// Distance between the values of a mean without pooling.
    dilation: usize,
}

impl DenseNetConfig {
    fn preset((growth_rate, blocks, init_features): Preset) -> Self {
        Self::new(growth_rate, blocks.to_vec(), init_features)
    }

    /// DenseNet-121 for `ImageNet`: 7,978,856 parameters.
    pub fn densenet121() -> Self {
        Self::preset(DENSENET_121)
    }

    /// DenseNet-161: 28,681,000 parameters.
    pub fn densenet161() -> Self {
        Self::preset(DENSENET_161)
    }

    /// DenseNet-169: 14,149,480 parameters.
    pub fn densenet169() -> Self {
        Self::preset(DENSENET_169)
    }

    /// DenseNet-201: 20,013,928 parameters.
    pub fn densenet201() -> Self {
        Self::preset(DENSENET_201)
    }

    /// DenseNet-BC for small images (the paper's section 4): three equal blocks, 2k maps before
    /// the first, ten classes. `depth` counts all layers: L = 6n + 4 for n layers a block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a depth that is not 6n + 4 with n ≥ 1.
    pub fn small(depth: usize, growth_rate: usize) -> Result<Self> {
        let fits = depth >= 10 && (depth - 4).is_multiple_of(6);
        config::require(fits, "depth", depth, "6n + 4: 10, 16, 22, …, 100")?;
        let layers = (depth - 4) / 6;
        Ok(Self::new(growth_rate, vec![layers; 3], 2 * growth_rate)
            .with_stem(Stem::Small)
            .with_classes(10))
    }

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<DenseNet> {
        self.check()?;
        let norm = |channels| NormConfig::new().init(channels, device);
        let (kernel, stride, pad) = match self.stem {
            Stem::ImageNet => (7, 2, 3),
            Stem::Small => (3, 1, 1),
        };
        let conv0 = Conv2dConfig::new([self.channels, self.init_features], [kernel; 2])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(false)
            .with_initializer(he_normal())
            .init(device);
        let mut striding = Striding::new(self.output_stride);
        striding.step(stride);
        let mut features = self.init_features;
        let mut stages = Vec::with_capacity(self.blocks.len() + 1);
        if self.stem == Stem::ImageNet {
            stages.push(striding.stage(features));
            striding.step(2);
        }
        let mut blocks = Vec::with_capacity(self.blocks.len());
        let mut transitions = Vec::new();
        for (index, &layers) in self.blocks.iter().enumerate() {
            let layers: Vec<_> = (0..layers)
                .map(|layer| {
                    let input = features + layer * self.growth_rate;
                    self.layer(input, striding.dilation, device)
                })
                .collect();
            features += layers.len() * self.growth_rate;
            blocks.push(DenseBlock { layers });
            stages.push(striding.stage(features));
            if index + 1 < self.blocks.len() {
                let kept = (features as f64 * self.compression) as usize;
                let step = striding.step(2);
                let pool = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]);
                transitions.push(Transition {
                    norm: norm(features),
                    conv: bare_conv([features, kept], 1, 1, device),
                    pool: (step.stride == 2).then(|| pool.init()),
                    dilation: step.dilation,
                });
                features = kept;
            }
        }
        let classifier = with_zero_bias(LinearConfig::new(features, self.classes), device);
        Ok(DenseNet {
            conv0,
            norm0: (self.stem == Stem::ImageNet).then(|| norm(self.init_features)),
            pool0: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            blocks,
            transitions,
            norm5: norm(features),
            classifier,
            stages,
            config: self.clone(),
        })
    }

    fn layer(&self, input: usize, dilation: usize, device: &Device) -> DenseLayer {
        let inner = self.bn_size * self.growth_rate;
        let norm = |channels| NormConfig::new().init(channels, device);
        DenseLayer {
            norm1: norm(input),
            conv1: bare_conv([input, inner], 1, 1, device),
            norm2: norm(inner),
            conv2: bare_conv([inner, self.growth_rate], 3, dilation, device),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_common(self.classes, self.channels, self.dropout, self.output_stride)?;
        for (field, value) in [
            ("growth_rate", self.growth_rate),
            ("init_features", self.init_features),
            ("bn_size", self.bn_size),
        ] {
            config::at_least(field, value, 1)?;
        }
        let each = !self.blocks.is_empty() && self.blocks.iter().all(|&layers| layers > 0);
        let expected = "at least one block, each of at least one layer";
        config::require(each, "blocks", &self.blocks, expected)?;
        let theta = self.compression;
        let least = (self.init_features + self.blocks[0] * self.growth_rate) as f64;
        let fits = theta > 0.0 && theta <= 1.0 && least * theta >= 1.0;
        config::require(fits, "compression", theta, "above 0, at most 1, and leaving a map")
    }
}

/// The names in checkpoints of before 2018 as torchvision has them now.
pub(crate) fn with_new_names(import: Import) -> Result<Import> {
    Ok(import.rename(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", "$1$2.")?)
}

/// A convolution without bias that keeps the size.
fn bare_conv(channels: [usize; 2], kernel: usize, dilation: usize, device: &Device) -> Conv2d {
    let pad = dilation * (kernel / 2);
    Conv2dConfig::new(channels, [kernel; 2])
        .with_dilation([dilation; 2])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .with_initializer(he_normal())
        .init(device)
}

fn norm_relu(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    Activation::Relu.forward(ops::batch_norm(norm, x))
}

impl DenseLayer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = ops::conv2d(&self.conv1, norm_relu(&self.norm1, x));
        let x = ops::conv2d(&self.conv2, norm_relu(&self.norm2, x));
        self.dropout.forward(x)
    }
}

impl DenseBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.layers.iter().fold(x, |maps, layer| {
            let new = layer.forward(maps.clone());
            ops::concatenate(maps, new, 1)
        })
    }
}

impl Transition {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = ops::conv2d(&self.conv, norm_relu(&self.norm, x));
        match &self.pool {
            Some(pool) => ops::avg_pool2d(pool, x),
            None => spread_mean(spread_mean(x, 2, self.dilation), 3, self.dilation),
        }
    }
}

/// The mean of each place and the one `distance` further along an axis; at the end, where there is
/// none, the last places stand in.
fn spread_mean(x: Tensor<4>, axis: usize, distance: usize) -> Tensor<4> {
    let length = x.dims()[axis];
    if length <= distance {
        return x;
    }
    let further = x.clone().narrow(axis, distance, length - distance);
    let last = x.clone().narrow(axis, length - distance, distance);
    (x + Tensor::cat(vec![further, last], axis)) / 2.0
}

impl Classifier for DenseNet {
    /// After the stem for `ImageNet` and after each block, before its transition; the last map is
    /// normalised and rectified.
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::with_capacity(self.stages.len());
        let mut x = ops::conv2d(&self.conv0, images);
        if let Some(norm) = &self.norm0 {
            x = norm_relu(norm, x);
            maps.push(x.clone());
            x = ops::max_pool2d(&self.pool0, x);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if let Some(transition) = self.transitions.get(index) {
                maps.push(x.clone());
                x = transition.forward(x);
            }
        }
        maps.push(norm_relu(&self.norm5, x));
        maps
    }

    /// The mean over space, then the linear layer.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        ops::linear(&self.classifier, ops::global_avg_pool(features))
    }

    crate::model_macros::classifier!();

    fn freeze_backbone(self) -> Self {
        Self {
            conv0: self.conv0.freeze(),
            norm0: self.norm0.freeze(),
            blocks: self.blocks.freeze(),
            transitions: self.transitions.freeze(),
            norm5: self.norm5.freeze(),
            ..self
        }
    }

    /// Every transition halves the side and drops an odd row.
    fn min_side(&self) -> usize {
        let halvings = self.transitions.iter().filter(|transition| transition.pool.is_some());
        let after_stem = 1 << halvings.count();
        match self.config.stem {
            Stem::Small => after_stem,
            // Both halvings of this stem round up.
            Stem::ImageNet => 4 * (after_stem - 1) + 1,
        }
    }
}

impl Stored for DenseNet {
    crate::model_macros::stored!(DenseNetConfig, "densenet");

    /// torchvision counts blocks and layers from 1: `features.denseblock1.denselayer1.norm1`.
    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let one_up = |index: &str| index.parse::<usize>().unwrap_or_default() + 1;
        match parts[..] {
            ["blocks", block, "layers", layer, part, leaf] => format!(
                "features.denseblock{}.denselayer{}.{part}.{leaf}",
                one_up(block),
                one_up(layer)
            ),
            ["transitions", index, part, leaf] => {
                format!("features.transition{}.{part}.{leaf}", one_up(index))
            }
            [part @ ("conv0" | "norm0" | "norm5"), leaf] => format!("features.{part}.{leaf}"),
            _ => path.to_owned(),
        }
    }

    /// Takes the names of old checkpoints too: `denselayer1.norm.1` for `denselayer1.norm1`.
    fn import(self, import: &Import) -> Result<(Self, Report)> {
        Ok(with_new_names(import.clone())?.into_module(self, Self::torch_name)?)
    }
}
