//! `MobileNet` (Howard et al. 2017, <https://arxiv.org/abs/1704.04861>): each convolution taken
//! apart into a depthwise one and a 1×1.
//!
//! torchvision has no such model. Layers follow the authors' code (TensorFlow slim
//! `mobilenet_v1.py`) and Keras's `MobileNet`: batch norm with ε = 1e-3 and `ReLU6` after each
//! convolution. Names are those of timm's `mobilenetv1_100`. Differences: kernels start as in
//! [`MobileNetV2`](crate::MobileNetV2), and padding is symmetric unless
//! [`Padding::Same`] asks for TensorFlow's.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::layers::{Activation, ConvNormAct, ConvNormActConfig, NormConfig};
use model_utils::ops;
use model_utils::weights::Stored;

use crate::classifier::{Classifier, Stage};
use crate::error::{Result, check_common, check_strides, check_width};
use crate::layers::{Padding, linear, mobile_conv, scaled};
use crate::striding::{Step, Striding};

/// The paper's table 1: channels and repeats; the stride of a row's first block is 2 where
/// `true`. A row ends a stage.
const ROWS: [(usize, usize, bool); 5] =
    [(64, 1, false), (128, 2, true), (256, 2, true), (512, 6, true), (1024, 2, true)];
const STEM_CHANNELS: f64 = 32.0;

/// Configuration of [`MobileNetV1`].
#[derive(Config, Debug, PartialEq)]
pub struct MobileNetV1Config {
    /// The width multiplier α: channel counts are multiplied by it and rounded to multiples of 8.
    #[config(default = 1.0)]
    pub width: f64,
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// Dropped share of the features before the classifier.
    #[config(default = 0.001)]
    pub dropout: f64,
    /// The strides of the five places that halve an image: the stem and the rows of 128, 256, 512
    /// and 1024 channels. Small images want fewer: `[1, 1, 2, 2, 2]` for 32×32.
    #[config(default = "[2; 5]")]
    pub strides: [usize; 5],
    /// The stride of the last map at most: 8, 16 or 32. What would go beyond is dilated.
    #[config(default = 32)]
    pub output_stride: usize,
    /// Added to variances. TensorFlow and Keras: 1e-3; timm's own: 1e-5.
    #[config(default = 1e-3)]
    pub epsilon: f64,
    /// Where zeros stand around what is convolved.
    #[config(default = "Padding::Symmetric")]
    pub padding: Padding,
}

/// `MobileNet`. See the [module](self).
#[derive(Module, Debug)]
pub struct MobileNetV1 {
    stem: ConvNormAct,
    rows: Vec<Vec<Separable>>,
    dropout: Dropout,
    classifier: Linear,
    #[module(skip)]
    stages: Vec<Stage>,
    #[module(skip)]
    config: MobileNetV1Config,
}

/// 3×3 depthwise, then 1×1.
#[derive(Module, Debug)]
pub struct Separable {
    depthwise: ConvNormAct,
    pointwise: ConvNormAct,
}

impl MobileNetV1Config {
    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<MobileNetV1> {
        check_common(self.classes, self.channels, self.dropout, self.output_stride)?;
        check_width(self.width)?;
        check_strides(self.strides)?;
        let [stem_stride, strides @ ..] = self.strides;
        let mut strides = strides.into_iter();
        let mut striding = Striding::new(self.output_stride);

        let mut input = scaled(STEM_CHANNELS, self.width);
        let stem = self.conv([self.channels, input], 3);
        let stem = self.padding.build(stem, striding.step(stem_stride), device);
        let mut rows = Vec::with_capacity(ROWS.len());
        let mut stages = Vec::with_capacity(ROWS.len());
        for (channels, repeats, halves) in ROWS {
            let output = scaled(channels as f64, self.width);
            let first = if halves { strides.next().unwrap_or(1) } else { 1 };
            let mut row = Vec::with_capacity(repeats);
            for repeat in 0..repeats {
                let step = striding.step(if repeat == 0 { first } else { 1 });
                row.push(self.separable([input, output], step, device));
                input = output;
            }
            rows.push(row);
            stages.push(striding.stage(output));
        }
        Ok(MobileNetV1 {
            stem,
            rows,
            dropout: DropoutConfig::new(self.dropout).init(),
            classifier: linear(input, self.classes, device),
            stages,
            config: self.clone(),
        })
    }

    fn conv(&self, channels: [usize; 2], kernel_size: usize) -> ConvNormActConfig {
        let norm = NormConfig::new().with_epsilon(self.epsilon);
        mobile_conv(channels, kernel_size, norm, Activation::Relu6)
    }

    fn separable(&self, [input, output]: [usize; 2], step: Step, device: &Device) -> Separable {
        let depthwise = self.conv([input, input], 3).with_groups(input);
        Separable {
            depthwise: self.padding.build(depthwise, step, device),
            pointwise: self.conv([input, output], 1).init(device),
        }
    }
}

impl Classifier for MobileNetV1 {
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.stem.forward(images);
        let mut maps = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            for block in row {
                x = block.pointwise.forward(block.depthwise.forward(x));
            }
            maps.push(x.clone());
        }
        maps
    }

    /// The mean over space, dropout in training, the linear layer.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        let x = self.dropout.forward(ops::global_avg_pool(features));
        ops::linear(&self.classifier, x)
    }

    crate::model_macros::classifier!();

    fn freeze_backbone(self) -> Self {
        Self { stem: self.stem.freeze(), rows: self.rows.freeze(), ..self }
    }
}

impl Stored for MobileNetV1 {
    crate::model_macros::stored!(MobileNetV1Config, "mobilenet_v1");

    /// timm's names: `conv_stem`, `bn1`, `blocks.0.0.conv_dw`, `bn1`, `conv_pw`, `bn2`.
    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts[..] {
            ["stem", "conv", leaf] => format!("conv_stem.{leaf}"),
            ["stem", _, leaf] => format!("bn1.{leaf}"),
            ["rows", row, block, part, layer, leaf] => {
                let name = match (part, layer) {
                    ("depthwise", "conv") => "conv_dw",
                    ("depthwise", _) => "bn1",
                    (_, "conv") => "conv_pw",
                    _ => "bn2",
                };
                format!("blocks.{row}.{block}.{name}.{leaf}")
            }
            _ => path.to_owned(),
        }
    }
}
