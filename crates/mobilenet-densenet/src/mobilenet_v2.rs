//! `MobileNetV2` (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>): inverted residuals,
//! wide inside and narrow between, with depthwise convolutions.
//!
//! Layers and names follow torchvision's `mobilenet_v2`. Kernels start as in the authors' own code
//! (TensorFlow slim, `mobilenet.training_scope`): normal with a standard deviation of 0.09,
//! where torchvision takes it from the fan-out. Batch normalisation follows each, so the scale
//! only sets how far a step of the optimiser turns the kernel.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::layers::{Activation, ConvNormAct, ConvNormActConfig, NormConfig};
use model_utils::ops;
use model_utils::weights::Stored;

use crate::classifier::{Classifier, Stage};
use crate::error::{Result, check_common, check_strides, check_width};
use crate::layers::{Padding, linear, mobile_conv, scaled, stage_maps, torch_index};
use crate::striding::{Step, Striding};

/// The paper's table 2: expansion t, channels c, repeats n; the stride of a row's first block
/// is 2 where `true`.
const ROWS: [(usize, usize, usize, bool); 7] = [
    (1, 16, 1, false),
    (6, 24, 2, true),
    (6, 32, 3, true),
    (6, 64, 4, true),
    (6, 96, 3, false),
    (6, 160, 3, true),
    (6, 320, 1, false),
];
const STEM_CHANNELS: f64 = 32.0;
const HEAD_CHANNELS: f64 = 1280.0;
/// Blocks in all rows together.
const BLOCKS: usize = 17;

/// Configuration of [`MobileNetV2`].
#[derive(Config, Debug, PartialEq)]
pub struct MobileNetV2Config {
    /// The width multiplier α: channel counts are multiplied by it and rounded to multiples
    /// of 8. The head never gets narrower than 1280.
    #[config(default = 1.0)]
    pub width: f64,
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// Dropped share of the features before the classifier.
    #[config(default = 0.2)]
    pub dropout: f64,
    /// The strides of the five places that halve an image: the stem and the rows of 24, 32, 64
    /// and 160 channels. Small images want fewer: `[1, 1, 2, 2, 2]` for 32×32.
    #[config(default = "[2; 5]")]
    pub strides: [usize; 5],
    /// The stride of the last map at most: 8, 16 or 32. What would go beyond is dilated.
    #[config(default = 32)]
    pub output_stride: usize,
    /// Added to variances. PyTorch: 1e-5, TensorFlow and Keras: 1e-3.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Where zeros stand around what is convolved.
    #[config(default = "Padding::Symmetric")]
    pub padding: Padding,
}

/// `MobileNetV2`. See the [module](self).
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    stem: ConvNormAct,
    blocks: Vec<InvertedResidual>,
    head: ConvNormAct,
    dropout: Dropout,
    classifier: Linear,
    #[module(skip)]
    stages: Vec<Stage>,
    /// The number of blocks up to each stage's end, but for the last stage, which the head ends.
    #[module(skip)]
    ends: Vec<usize>,
    #[module(skip)]
    config: MobileNetV2Config,
}

/// 1×1 expansion, 3×3 depthwise, 1×1 projection without activation; added to the input where
/// the shapes allow it.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    expand: Option<ConvNormAct>,
    depthwise: ConvNormAct,
    project: ConvNormAct,
    residual: bool,
}

impl MobileNetV2Config {
    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<MobileNetV2> {
        check_common(self.classes, self.channels, self.dropout, self.output_stride)?;
        check_width(self.width)?;
        check_strides(self.strides)?;
        let [stem_stride, strides @ ..] = self.strides;
        let mut strides = strides.into_iter();
        let mut striding = Striding::new(self.output_stride);

        let stem_channels = scaled(STEM_CHANNELS, self.width);
        let stem = self.conv([self.channels, stem_channels], 3);
        let stem = self.padding.build(stem, striding.step(stem_stride), device);
        let mut blocks = Vec::with_capacity(BLOCKS);
        let (mut stages, mut ends) = (Vec::new(), Vec::new());
        let mut input = stem_channels;
        for (expansion, channels, repeats, halves) in ROWS {
            if halves {
                stages.push(striding.stage(input));
                ends.push(blocks.len());
            }
            let output = scaled(channels as f64, self.width);
            let first = if halves { strides.next().unwrap_or(1) } else { 1 };
            for repeat in 0..repeats {
                let stride = if repeat == 0 { first } else { 1 };
                let residual = stride == 1 && input == output;
                let step = striding.step(stride);
                blocks.push(self.block([input, output], expansion, step, residual, device));
                input = output;
            }
        }
        stages.push(striding.stage(input));
        ends.push(blocks.len());
        let features = scaled(HEAD_CHANNELS, self.width.max(1.0));
        stages.push(striding.stage(features));
        Ok(MobileNetV2 {
            stem,
            blocks,
            head: self.conv([input, features], 1).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            classifier: linear(features, self.classes, device),
            stages,
            ends,
            config: self.clone(),
        })
    }

    /// A convolution as all of this model's: batch norm, `ReLU6`.
    fn conv(&self, channels: [usize; 2], kernel_size: usize) -> ConvNormActConfig {
        let norm = NormConfig::new().with_epsilon(self.epsilon);
        mobile_conv(channels, kernel_size, norm, Activation::Relu6)
    }

    fn block(
        &self,
        [input, output]: [usize; 2],
        expansion: usize,
        step: Step,
        residual: bool,
        device: &Device,
    ) -> InvertedResidual {
        let hidden = input * expansion;
        let depthwise = self.conv([hidden, hidden], 3).with_groups(hidden);
        let project = self.conv([hidden, output], 1).with_activation(Activation::Identity);
        InvertedResidual {
            expand: (expansion != 1).then(|| self.conv([input, hidden], 1).init(device)),
            depthwise: self.padding.build(depthwise, step, device),
            project: project.init(device),
            residual,
        }
    }
}

impl InvertedResidual {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => expand.forward(x.clone()),
            None => x.clone(),
        };
        let out = self.project.forward(self.depthwise.forward(hidden));
        if self.residual { out + x } else { out }
    }
}

impl Classifier for MobileNetV2 {
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let x = self.stem.forward(images);
        let mut maps = stage_maps(&self.blocks, &self.ends, x, InvertedResidual::forward);
        // The last block ends a stage too.
        maps.extend(maps.last().cloned().map(|x| self.head.forward(x)));
        maps
    }

    /// The mean over space, dropout in training, the linear layer.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        let x = self.dropout.forward(ops::global_avg_pool(features));
        ops::linear(&self.classifier, x)
    }

    crate::model_macros::classifier!();

    fn freeze_backbone(self) -> Self {
        Self {
            stem: self.stem.freeze(),
            blocks: self.blocks.freeze(),
            head: self.head.freeze(),
            ..self
        }
    }
}

impl Stored for MobileNetV2 {
    crate::model_macros::stored!(MobileNetV2Config, "mobilenet_v2");

    /// torchvision numbers everything: `features.0` is the stem, `features.1` to `17` are the
    /// blocks with `conv.0` … inside, `features.18` is the head.
    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts[..] {
            ["stem", layer, leaf] => format!("features.0.{}.{leaf}", torch_index(layer)),
            ["head", layer, leaf] => {
                format!("features.{}.{}.{leaf}", BLOCKS + 1, torch_index(layer))
            }
            ["classifier", leaf] => format!("classifier.1.{leaf}"),
            ["blocks", index, part, layer, leaf] => {
                let index: usize = index.parse().unwrap_or_default();
                // The first block has no expansion, which moves its other parts up.
                let skipped = usize::from(index == 0);
                let place = match part {
                    "expand" => format!("0.{}", torch_index(layer)),
                    "depthwise" => format!("{}.{}", 1 - skipped, torch_index(layer)),
                    _ => format!("{}", 2 - skipped + torch_index(layer)),
                };
                format!("features.{}.conv.{place}.{leaf}", index + 1)
            }
            _ => path.to_owned(),
        }
    }
}
