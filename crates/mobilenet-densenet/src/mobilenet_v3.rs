//! `MobileNetV3` (Howard et al. 2019, <https://arxiv.org/abs/1905.02244>): inverted residuals found
//! by search, with squeeze-excite and hard-swish.
//!
//! Layers and names follow torchvision's `mobilenet_v3_large` and `mobilenet_v3_small`; batch norm
//! has ε = 1e-3 and momentum 0.01. One difference: with an output stride below 32, the layer that
//! would have halved the map keeps the dilation before it, as torchvision's `ResNet` does and its
//! dilated `MobileNetV3` does not.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::layers::{
    Activation, ConvNormAct, ConvNormActConfig, NormConfig, SqueezeExcite, SqueezeExciteConfig,
};
use model_utils::ops;
use model_utils::weights::Stored;
use serde::{Deserialize, Serialize};

use crate::classifier::{Classifier, Stage};
use crate::error::{Result, check_common, check_strides, check_width};
use crate::layers::{Padding, linear, mobile_conv, scaled, stage_maps, torch_index};
use crate::striding::Striding;

/// Which of the two that the paper found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// The paper's table 1.
    #[default]
    Large,
    /// The paper's table 2.
    Small,
}

/// Kernel, expanded channels, channels, squeeze-excite, hard-swish; the stride is 2 where the last
/// is `true`.
type Row = (usize, usize, usize, bool, bool, bool);

const LARGE: [Row; 15] = [
    (3, 16, 16, false, false, false),
    (3, 64, 24, false, false, true),
    (3, 72, 24, false, false, false),
    (5, 72, 40, true, false, true),
    (5, 120, 40, true, false, false),
    (5, 120, 40, true, false, false),
    (3, 240, 80, false, true, true),
    (3, 200, 80, false, true, false),
    (3, 184, 80, false, true, false),
    (3, 184, 80, false, true, false),
    (3, 480, 112, true, true, false),
    (3, 672, 112, true, true, false),
    (5, 672, 160, true, true, true),
    (5, 960, 160, true, true, false),
    (5, 960, 160, true, true, false),
];
const SMALL: [Row; 11] = [
    (3, 16, 16, true, false, true),
    (3, 72, 24, false, false, true),
    (3, 88, 24, false, false, false),
    (5, 96, 40, true, true, true),
    (5, 240, 40, true, true, false),
    (5, 240, 40, true, true, false),
    (5, 120, 48, true, true, false),
    (5, 144, 48, true, true, false),
    (5, 288, 96, true, true, true),
    (5, 576, 96, true, true, false),
    (5, 576, 96, true, true, false),
];
const STEM_CHANNELS: f64 = 16.0;
/// Channels of the last map for each channel of the last block.
const LAST_EXPANSION: usize = 6;
/// Squeeze-excite's inner channels are this part of its outer ones.
const SQUEEZE: usize = 4;

impl Size {
    fn rows(self) -> &'static [Row] {
        match self {
            Self::Large => &LARGE,
            Self::Small => &SMALL,
        }
    }

    /// Features of the hidden linear layer.
    fn hidden(self) -> f64 {
        match self {
            Self::Large => 1280.0,
            Self::Small => 1024.0,
        }
    }
}

/// Configuration of [`MobileNetV3`].
#[derive(Config, Debug, PartialEq)]
pub struct MobileNetV3Config {
    /// Which of the two.
    pub size: Size,
    /// The width multiplier α: channel counts are multiplied by it and rounded to multiples of 8.
    #[config(default = 1.0)]
    pub width: f64,
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// Dropped share of the features before the last layer.
    #[config(default = 0.2)]
    pub dropout: f64,
    /// The strides of the five places that halve an image, in order. Small images want fewer:
    /// `[1, 1, 2, 2, 2]` for 32×32.
    #[config(default = "[2; 5]")]
    pub strides: [usize; 5],
    /// The stride of the last map at most: 8, 16 or 32. What would go beyond is dilated.
    #[config(default = 32)]
    pub output_stride: usize,
    /// Added to variances.
    #[config(default = 1e-3)]
    pub epsilon: f64,
    /// Where zeros stand around what is convolved.
    #[config(default = "Padding::Symmetric")]
    pub padding: Padding,
}

/// `MobileNetV3`. See the [module](self).
#[derive(Module, Debug)]
pub struct MobileNetV3 {
    features: Vec<Feature>,
    hidden: Linear,
    dropout: Dropout,
    classifier: Linear,
    #[module(skip)]
    stages: Vec<Stage>,
    /// The number of layers up to each stage's end.
    #[module(skip)]
    ends: Vec<usize>,
    #[module(skip)]
    config: MobileNetV3Config,
}

/// A layer of the sequence, which has torchvision's numbering.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // A model has two dozen.
pub enum Feature {
    /// The first and the last.
    Conv(ConvNormAct),
    /// All between.
    Block(InvertedResidual),
}

/// Expansion, depthwise convolution, squeeze-excite, projection; added to the input where the
/// shapes allow it.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    block: Vec<Part>,
    residual: bool,
}

/// A layer of a block, which has torchvision's numbering.
#[derive(Module, Debug)]
pub enum Part {
    /// Any of the three convolutions.
    Conv(ConvNormAct),
    /// Between the last two.
    Squeeze(SqueezeExcite),
}

impl MobileNetV3Config {
    /// `MobileNetV3`-Large: 5,483,032 parameters.
    pub fn large() -> Self {
        Self::new(Size::Large)
    }

    /// `MobileNetV3`-Small: 2,542,856 parameters.
    pub fn small() -> Self {
        Self::new(Size::Small)
    }

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<MobileNetV3> {
        check_common(self.classes, self.channels, self.dropout, self.output_stride)?;
        check_width(self.width)?;
        check_strides(self.strides)?;
        let [stem_stride, strides @ ..] = self.strides;
        let mut strides = strides.into_iter();
        let mut striding = Striding::new(self.output_stride);

        let mut input = scaled(STEM_CHANNELS, self.width);
        let stem = self.conv([self.channels, input], 3, Activation::HardSwish);
        let stem = self.padding.build(stem, striding.step(stem_stride), device);
        let mut features = vec![Feature::Conv(stem)];
        let (mut stages, mut ends) = (Vec::new(), Vec::new());
        for row @ &(_, _, channels, _, _, halves) in self.size.rows() {
            if halves {
                stages.push(striding.stage(input));
                ends.push(features.len());
            }
            let output = scaled(channels as f64, self.width);
            let stride = if halves { strides.next().unwrap_or(1) } else { 1 };
            let block = self.block([input, output], row, stride, &mut striding, device);
            features.push(Feature::Block(block));
            input = output;
        }
        stages.push(striding.stage(input));
        ends.push(features.len());
        let last = LAST_EXPANSION * input;
        features
            .push(Feature::Conv(self.conv([input, last], 1, Activation::HardSwish).init(device)));
        stages.push(striding.stage(last));
        ends.push(features.len());
        let hidden = scaled(self.size.hidden(), self.width);
        Ok(MobileNetV3 {
            features,
            hidden: linear(last, hidden, device),
            dropout: DropoutConfig::new(self.dropout).init(),
            classifier: linear(hidden, self.classes, device),
            stages,
            ends,
            config: self.clone(),
        })
    }

    fn conv(&self, channels: [usize; 2], kernel: usize, act: Activation) -> ConvNormActConfig {
        let norm = NormConfig::new().with_epsilon(self.epsilon).with_momentum(0.01);
        mobile_conv(channels, kernel, norm, act)
    }

    fn block(
        &self,
        [input, output]: [usize; 2],
        &(kernel, expanded, _, squeezes, swishes, _): &Row,
        stride: usize,
        striding: &mut Striding,
        device: &Device,
    ) -> InvertedResidual {
        let expanded = scaled(expanded as f64, self.width);
        let act = if swishes { Activation::HardSwish } else { Activation::Relu };
        let mut block = Vec::with_capacity(4);
        if expanded != input {
            block.push(Part::Conv(self.conv([input, expanded], 1, act).init(device)));
        }
        let depthwise = self.conv([expanded; 2], kernel, act).with_groups(expanded);
        block.push(Part::Conv(self.padding.build(depthwise, striding.step(stride), device)));
        if squeezes {
            let squeezed = scaled((expanded / SQUEEZE) as f64, 1.0);
            let config = SqueezeExciteConfig::new(expanded, squeezed);
            block.push(Part::Squeeze(config.with_gate(Activation::HardSigmoid).init(device)));
        }
        let project = self.conv([expanded, output], 1, Activation::Identity);
        block.push(Part::Conv(project.init(device)));
        InvertedResidual { block, residual: stride == 1 && input == output }
    }
}

impl InvertedResidual {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let out = self.block.iter().fold(x.clone(), |x, part| match part {
            Part::Conv(conv) => conv.forward(x),
            Part::Squeeze(squeeze) => squeeze.forward(x),
        });
        if self.residual { out + x } else { out }
    }
}

impl Classifier for MobileNetV3 {
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        stage_maps(&self.features, &self.ends, images, |feature, x| match feature {
            Feature::Conv(conv) => conv.forward(x),
            Feature::Block(block) => block.forward(x),
        })
    }

    /// The mean over space, the hidden layer with hard-swish, dropout in training, the last layer.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        let x = ops::linear(&self.hidden, ops::global_avg_pool(features));
        let x = self.dropout.forward(Activation::HardSwish.forward(x));
        ops::linear(&self.classifier, x)
    }

    crate::model_macros::classifier!();

    fn freeze_backbone(self) -> Self {
        Self { features: self.features.freeze(), ..self }
    }
}

impl Stored for MobileNetV3 {
    crate::model_macros::stored!(MobileNetV3Config, "mobilenet_v3");

    /// The sequences are torchvision's; a convolution is `0`, its normalisation `1`.
    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts[..] {
            ["features", index, layer @ ("conv" | "norm"), leaf] => {
                format!("features.{index}.{}.{leaf}", torch_index(layer))
            }
            ["features", index, "block", part, layer @ ("conv" | "norm"), leaf] => {
                format!("features.{index}.block.{part}.{}.{leaf}", torch_index(layer))
            }
            ["hidden", leaf] => format!("classifier.0.{leaf}"),
            ["classifier", leaf] => format!("classifier.3.{leaf}"),
            _ => path.to_owned(),
        }
    }
}
