//! Every model by its name.

use std::fmt;
use std::str::FromStr;

use burn::config::Config;
use burn::tensor::Device;
use model_utils::weights::Stored;

use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::{
    DenseNet, DenseNetConfig, MobileNetV1, MobileNetV1Config, MobileNetV2, MobileNetV2Config,
    MobileNetV3, MobileNetV3Config, Padding, ResNet, ResNetConfig, Stem, Vgg, VggConfig,
};

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

const NAMES: [(Architecture, &str); 21] = [
    (Architecture::MobileNetV1, "mobilenet_v1"),
    (Architecture::MobileNetV2, "mobilenet_v2"),
    (Architecture::MobileNetV3Large, "mobilenet_v3_large"),
    (Architecture::MobileNetV3Small, "mobilenet_v3_small"),
    (Architecture::DenseNet121, "densenet121"),
    (Architecture::DenseNet161, "densenet161"),
    (Architecture::DenseNet169, "densenet169"),
    (Architecture::DenseNet201, "densenet201"),
    (Architecture::ResNet18, "resnet18"),
    (Architecture::ResNet34, "resnet34"),
    (Architecture::ResNet50, "resnet50"),
    (Architecture::ResNet101, "resnet101"),
    (Architecture::ResNet152, "resnet152"),
    (Architecture::Vgg11, "vgg11"),
    (Architecture::Vgg11Bn, "vgg11_bn"),
    (Architecture::Vgg13, "vgg13"),
    (Architecture::Vgg13Bn, "vgg13_bn"),
    (Architecture::Vgg16, "vgg16"),
    (Architecture::Vgg16Bn, "vgg16_bn"),
    (Architecture::Vgg19, "vgg19"),
    (Architecture::Vgg19Bn, "vgg19_bn"),
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

/// A type of models that publishes some of the architectures.
pub trait Family: Classifier + Stored<Error = Error> {
    /// The configuration of one of its architectures.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an architecture of another family.
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<Self::Config>;
}

/// What is done with a model of any type: see [`Architecture::build`].
pub trait WithModel {
    /// What comes out.
    type Output;
    /// What may go wrong.
    type Error: From<Error>;

    /// Does it.
    ///
    /// # Errors
    ///
    /// Its own.
    fn with<M: Family>(self, model: M) -> Result<Self::Output, Self::Error>;
}

impl Architecture {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(architecture, _)| architecture)
    }

    /// Its name, which is torchvision's: `mobilenet_v2`, `vgg16_bn`.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(architecture, _)| *architecture == self);
        found.map_or("", |(_, name)| name)
    }

    /// Builds the model with fresh weights and hands it on.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for options that cannot work; errors of `then`.
    pub fn build<W: WithModel>(
        self,
        options: &BuildOptions,
        device: &Device,
        then: W,
    ) -> Result<W::Output, W::Error> {
        match self {
            Self::MobileNetV1 => self.of::<MobileNetV1, W>(options, device, then),
            Self::MobileNetV2 => self.of::<MobileNetV2, W>(options, device, then),
            Self::MobileNetV3Large | Self::MobileNetV3Small => {
                self.of::<MobileNetV3, W>(options, device, then)
            }
            Self::DenseNet121 | Self::DenseNet161 | Self::DenseNet169 | Self::DenseNet201 => {
                self.of::<DenseNet, W>(options, device, then)
            }
            Self::ResNet18
            | Self::ResNet34
            | Self::ResNet50
            | Self::ResNet101
            | Self::ResNet152 => self.of::<ResNet, W>(options, device, then),
            _ => self.of::<Vgg, W>(options, device, then),
        }
    }

    fn of<M: Family, W: WithModel>(
        self,
        options: &BuildOptions,
        device: &Device,
        then: W,
    ) -> Result<W::Output, W::Error> {
        let config = M::configure(self, options)?;
        then.with(M::from_config(&config, device)?)
    }

    /// What a family says of an architecture that is not its own.
    pub(crate) fn foreign<T>(self, model: &str) -> Result<T> {
        Err(Error::config("architecture", self.name(), &format!("one of the family {model}")))
    }
}

/// A configuration of a `MobileNet` with the options set: all three have the same fields for them.
macro_rules! mobile_net {
    ($config:expr, $options:expr) => {{
        let (config, options) = ($config, $options);
        let epsilon = options.epsilon.unwrap_or(config.epsilon);
        config
            .with_width(options.width)
            .with_classes(options.classes)
            .with_channels(options.channels)
            .with_strides(options.strides())
            .with_output_stride(options.output_stride)
            .with_padding(options.padding)
            .with_epsilon(epsilon)
    }};
}

impl Family for MobileNetV1 {
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<MobileNetV1Config> {
        if architecture != Architecture::MobileNetV1 {
            return architecture.foreign(Self::MODEL);
        }
        Ok(mobile_net!(MobileNetV1Config::new(), options))
    }
}

impl Family for MobileNetV2 {
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<MobileNetV2Config> {
        if architecture != Architecture::MobileNetV2 {
            return architecture.foreign(Self::MODEL);
        }
        Ok(mobile_net!(MobileNetV2Config::new(), options))
    }
}

impl Family for MobileNetV3 {
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<MobileNetV3Config> {
        let config = match architecture {
            Architecture::MobileNetV3Large => MobileNetV3Config::large(),
            Architecture::MobileNetV3Small => MobileNetV3Config::small(),
            _ => return architecture.foreign(Self::MODEL),
        };
        Ok(mobile_net!(config, options))
    }
}

impl Family for DenseNet {
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<DenseNetConfig> {
        let config = match architecture {
            Architecture::DenseNet121 => DenseNetConfig::densenet121(),
            Architecture::DenseNet161 => DenseNetConfig::densenet161(),
            Architecture::DenseNet169 => DenseNetConfig::densenet169(),
            Architecture::DenseNet201 => DenseNetConfig::densenet201(),
            _ => return architecture.foreign(Self::MODEL),
        };
        let scaled = |count: usize| (count as f64 * options.width).round() as usize;
        Ok(DenseNetConfig {
            growth_rate: scaled(config.growth_rate),
            init_features: scaled(config.init_features),
            ..config
        }
        .with_classes(options.classes)
        .with_channels(options.channels)
        .with_stem(options.stem())
        .with_output_stride(options.output_stride))
    }
}

impl Family for ResNet {
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<ResNetConfig> {
        let config = match architecture {
            Architecture::ResNet18 => ResNetConfig::resnet18(),
            Architecture::ResNet34 => ResNetConfig::resnet34(),
            Architecture::ResNet50 => ResNetConfig::resnet50(),
            Architecture::ResNet101 => ResNetConfig::resnet101(),
            Architecture::ResNet152 => ResNetConfig::resnet152(),
            _ => return architecture.foreign(Self::MODEL),
        };
        Ok(config
            .with_width(options.width)
            .with_classes(options.classes)
            .with_channels(options.channels)
            .with_stem(options.stem())
            .with_output_stride(options.output_stride))
    }
}

impl Family for Vgg {
    fn configure(architecture: Architecture, options: &BuildOptions) -> Result<VggConfig> {
        let (config, batch_norm) = match architecture {
            Architecture::Vgg11 => (VggConfig::vgg11(), false),
            Architecture::Vgg11Bn => (VggConfig::vgg11(), true),
            Architecture::Vgg13 => (VggConfig::vgg13(), false),
            Architecture::Vgg13Bn => (VggConfig::vgg13(), true),
            Architecture::Vgg16 => (VggConfig::vgg16(), false),
            Architecture::Vgg16Bn => (VggConfig::vgg16(), true),
            Architecture::Vgg19 => (VggConfig::vgg19(), false),
            Architecture::Vgg19Bn => (VggConfig::vgg19(), true),
            _ => return architecture.foreign(Self::MODEL),
        };
        let config = config
            .with_batch_norm(batch_norm)
            .with_width(options.width)
            .with_classes(options.classes)
            .with_channels(options.channels)
            .with_output_stride(options.output_stride);
        if !options.is_small() {
            return Ok(config);
        }
        // Below 32 one pooling less leaves a place of the map.
        let last = if options.side < 32 { 1 } else { 2 };
        let hidden = (SMALL_HIDDEN as f64 * options.width).round() as usize;
        Ok(config.with_strides([2, 2, 2, 2, last]).with_pooled(1).with_hidden(hidden))
    }
}

impl BuildOptions {
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
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(architecture, _)| *architecture).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::config("model", text, &format!("one of {}", names.join(", ")))
        })
    }
}
