//! Every model by its name.

use std::fmt;
use std::str::FromStr;

use burn::config::Config;
use burn::tensor::Device;
use model_utils::config::ConfigError;

use crate::densenet::DenseNetConfig;
use crate::error::{Error, Result};
use crate::image_model::{Family, ImageModel};
use crate::layers::{Padding, Stem};
use crate::mobilenet_v1::MobileNetV1Config;
use crate::mobilenet_v2::MobileNetV2Config;
use crate::mobilenet_v3::MobileNetV3Config;
use crate::resnet::ResNetConfig;
use crate::vgg::VggConfig;

/// A published model.
///
/// ```
/// use mobilenet_densenet::Architecture;
///
/// let architecture: Architecture = "resnet18".parse()?;
/// assert_eq!(architecture, Architecture::ResNet18);
/// assert_eq!(Architecture::Vgg16Bn.to_string(), "vgg16_bn");
/// # Ok::<(), mobilenet_densenet::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the models'.
#[non_exhaustive]
pub enum Architecture {
    MobileNetV1,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    DenseNet121,
    DenseNet161,
    DenseNet169,
    DenseNet201,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
    Vgg11,
    Vgg11Bn,
    Vgg13,
    Vgg13Bn,
    Vgg16,
    Vgg16Bn,
    Vgg19,
    Vgg19Bn,
}

/// Architecture, name, family.
const TABLE: [(Architecture, &str, Family); 21] = [
    (Architecture::MobileNetV1, "mobilenet_v1", Family::MobileNetV1),
    (Architecture::MobileNetV2, "mobilenet_v2", Family::MobileNetV2),
    (Architecture::MobileNetV3Large, "mobilenet_v3_large", Family::MobileNetV3),
    (Architecture::MobileNetV3Small, "mobilenet_v3_small", Family::MobileNetV3),
    (Architecture::DenseNet121, "densenet121", Family::DenseNet),
    (Architecture::DenseNet161, "densenet161", Family::DenseNet),
    (Architecture::DenseNet169, "densenet169", Family::DenseNet),
    (Architecture::DenseNet201, "densenet201", Family::DenseNet),
    (Architecture::ResNet18, "resnet18", Family::ResNet),
    (Architecture::ResNet34, "resnet34", Family::ResNet),
    (Architecture::ResNet50, "resnet50", Family::ResNet),
    (Architecture::ResNet101, "resnet101", Family::ResNet),
    (Architecture::ResNet152, "resnet152", Family::ResNet),
    (Architecture::Vgg11, "vgg11", Family::Vgg),
    (Architecture::Vgg11Bn, "vgg11_bn", Family::Vgg),
    (Architecture::Vgg13, "vgg13", Family::Vgg),
    (Architecture::Vgg13Bn, "vgg13_bn", Family::Vgg),
    (Architecture::Vgg16, "vgg16", Family::Vgg),
    (Architecture::Vgg16Bn, "vgg16_bn", Family::Vgg),
    (Architecture::Vgg19, "vgg19", Family::Vgg),
    (Architecture::Vgg19Bn, "vgg19_bn", Family::Vgg),
];

/// Images below this side get the variant for small images.
const SMALL_SIDE: usize = 64;
/// Hidden features of a `VGG` for small images.
const SMALL_HIDDEN: usize = 512;

/// What an [`Architecture`] is built for.
#[derive(Config, Debug, PartialEq)]
pub struct BuildOptions {
    /// Classes to tell apart.
    #[config(default = 1000)]
    pub classes: usize,
    /// Channels of the images: 3 for colour, 1 for gray.
    #[config(default = 3)]
    pub channels: usize,
    /// Side of the images. Below 64 the variant for small images is built: two strides fewer, or
    /// the papers' stem for small images; of a `VGG` a small head.
    #[config(default = 224)]
    pub side: usize,
    /// The width multiplier; a `DenseNet` has its growth rate and first maps multiplied.
    #[config(default = 1.0)]
    pub width: f64,
    /// Added to the variances of a `MobileNet`, where it is not the default.
    pub epsilon: Option<f64>,
    /// Where zeros stand around what a `MobileNet` convolves.
    #[config(default = "Padding::Symmetric")]
    pub padding: Padding,
    /// The stride of the last map at most: 8, 16 or 32.
    #[config(default = 32)]
    pub output_stride: usize,
}

/// A `MobileNet` of a configuration with the options set: all three have the same fields for them.
macro_rules! mobile_net {
    ($config:expr, $options:expr, $device:expr) => {{
        let (config, options) = ($config, $options);
        let epsilon = options.epsilon.unwrap_or(config.epsilon);
        let config = config
            .with_width(options.width)
            .with_classes(options.classes)
            .with_channels(options.channels)
            .with_strides(options.strides())
            .with_output_stride(options.output_stride)
            .with_padding(options.padding)
            .with_epsilon(epsilon);
        Ok(config.init($device)?.into())
    }};
}

impl Architecture {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(architecture, ..)| architecture)
    }

    /// Its name, which is torchvision's: `mobilenet_v2`, `vgg16_bn`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The type of its models.
    pub fn family(self) -> Family {
        self.row().2
    }

    fn row(self) -> (Self, &'static str, Family) {
        // The table has the order of the variants.
        TABLE[self as usize]
    }

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for options that cannot work.
    pub fn build(self, options: &BuildOptions, device: &Device) -> Result<ImageModel> {
        let dense = |config| -> Result<_> { Ok(options.dense(config).init(device)?.into()) };
        let residual = |config| -> Result<_> { Ok(options.residual(config).init(device)?.into()) };
        let vgg = |config| -> Result<_> { Ok(options.vgg(config).init(device)?.into()) };
        match self {
            Self::MobileNetV1 => mobile_net!(MobileNetV1Config::new(), options, device),
            Self::MobileNetV2 => mobile_net!(MobileNetV2Config::new(), options, device),
            Self::MobileNetV3Large => mobile_net!(MobileNetV3Config::large(), options, device),
            Self::MobileNetV3Small => mobile_net!(MobileNetV3Config::small(), options, device),
            Self::DenseNet121 => dense(DenseNetConfig::densenet121()),
            Self::DenseNet161 => dense(DenseNetConfig::densenet161()),
            Self::DenseNet169 => dense(DenseNetConfig::densenet169()),
            Self::DenseNet201 => dense(DenseNetConfig::densenet201()),
            Self::ResNet18 => residual(ResNetConfig::resnet18()),
            Self::ResNet34 => residual(ResNetConfig::resnet34()),
            Self::ResNet50 => residual(ResNetConfig::resnet50()),
            Self::ResNet101 => residual(ResNetConfig::resnet101()),
            Self::ResNet152 => residual(ResNetConfig::resnet152()),
            Self::Vgg11 => vgg(VggConfig::vgg11()),
            Self::Vgg11Bn => vgg(VggConfig::vgg11().with_batch_norm(true)),
            Self::Vgg13 => vgg(VggConfig::vgg13()),
            Self::Vgg13Bn => vgg(VggConfig::vgg13().with_batch_norm(true)),
            Self::Vgg16 => vgg(VggConfig::vgg16()),
            Self::Vgg16Bn => vgg(VggConfig::vgg16().with_batch_norm(true)),
            Self::Vgg19 => vgg(VggConfig::vgg19()),
            Self::Vgg19Bn => vgg(VggConfig::vgg19().with_batch_norm(true)),
        }
    }
}

impl BuildOptions {
    fn dense(&self, config: DenseNetConfig) -> DenseNetConfig {
        let scaled = |count: usize| (count as f64 * self.width).round() as usize;
        DenseNetConfig {
            growth_rate: scaled(config.growth_rate),
            init_features: scaled(config.init_features),
            ..config
        }
        .with_classes(self.classes)
        .with_channels(self.channels)
        .with_stem(self.stem())
        .with_output_stride(self.output_stride)
    }

    fn residual(&self, config: ResNetConfig) -> ResNetConfig {
        config
            .with_width(self.width)
            .with_classes(self.classes)
            .with_channels(self.channels)
            .with_stem(self.stem())
            .with_output_stride(self.output_stride)
    }

    fn vgg(&self, config: VggConfig) -> VggConfig {
        let config = config
            .with_width(self.width)
            .with_classes(self.classes)
            .with_channels(self.channels)
            .with_output_stride(self.output_stride);
        if !self.is_small() {
            return config;
        }
        // Below 32 one pooling less leaves a place of the map.
        let last = if self.side < 32 { 1 } else { 2 };
        let hidden = (SMALL_HIDDEN as f64 * self.width).round() as usize;
        config.with_strides([2, 2, 2, 2, last]).with_pooled(1).with_hidden(hidden)
    }

    fn is_small(&self) -> bool {
        self.side < SMALL_SIDE
    }

    fn stem(&self) -> Stem {
        if self.is_small() { Stem::Small } else { Stem::ImageNet }
    }

    fn strides(&self) -> [usize; 5] {
        if self.is_small() { [1, 1, 2, 2, 2] } else { [2; 5] }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Architecture {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::all().find(|architecture| architecture.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            ConfigError::new("model", text, format!("one of {}", names.join(", "))).into()
        })
    }
}
