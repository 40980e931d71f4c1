//! Light image models on [Burn](https://burn.dev): `MobileNet` V1 to V3 and `DenseNet`, and `ResNet`
//! and `VGG` to hold them against, of any width, depth and image size, that agree with torchvision
//! and load published weights.
//!
//! # A first program
//!
//! ```
//! use burn::tensor::Tensor;
//! use mobilenet_densenet::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let device = "flex".parse::<DeviceSpec>()?.open()?;
//!     seed(&device, 42);
//!
//!     // configuration → model → answer
//!     let model = MobileNetV2Config::new().with_width(0.35).with_classes(10).init(&device)?;
//!     let images = Tensor::<4>::zeros([2, 3, 96, 96], &device);
//!     for Prediction { class, probability } in &model.predict(images, 3)?[0] {
//!         println!("{probability:.2} class {class}");
//!     }
//!
//!     // One file holds weights and configuration, under PyTorch's names.
//!     let path = std::env::temp_dir().join("model.safetensors");
//!     model.save(&path)?;
//!     let again = MobileNetV2::load(&path, &device)?;
//!     assert_eq!(again.config().width, 0.35);
//!     Ok(())
//! }
//! ```
//!
//! Weights of torchvision, with a report of what was applied:
//!
//! ```no_run
//! use mobilenet_densenet::DenseNetConfig;
//! use model_utils::weights::{Import, Stored};
//! # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
//!
//! let model = DenseNetConfig::densenet121().init(&device)?;
//! let (model, report) = model.import(&Import::new("densenet121.pth"))?;
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`mobilenet_v2`] | Sandler et al. 2018, <https://arxiv.org/abs/1801.04381> |
//! | [`mobilenet_v1`], [`mobilenet_v3`] | Howard et al. 2017, <https://arxiv.org/abs/1704.04861>; 2019, <https://arxiv.org/abs/1905.02244> |
//! | [`densenet`] | Huang et al. 2017, <https://arxiv.org/abs/1608.06993>: DenseNet-121 to 201 and DenseNet-BC for small images |
//! | [`resnet`] | He et al. 2015, <https://arxiv.org/abs/1512.03385>: ResNet-18 to 152 |
//! | [`vgg`] | Simonyan and Zisserman 2014, <https://arxiv.org/abs/1409.1556>: VGG-11 to 19 |
//! | [`classifier`] | what all can do: stages, another head, freezing; predict, a training step, evaluate |
//! | [`image_model`] | a model of any family as one type |
//! | [`architecture`] | every published model by its name |
//! | [`layers`] | the kinds of stems and paddings |
//! | [`batch_mix`] | mixup and `CutMix` |
//! | `weights` | published weights with their preprocessing: torchvision, timm, Keras, TensorFlow Lite |
//! | `visualization` | Grad-CAM and feature maps |
//! | [`prelude`] | what the first program needs |
//!
//! Any model becomes a graph with `model_utils::graph::Graph::trace`: its `summary` counts parameters
//! and multiply–adds, its `fold_batch_norm` makes inference faster.
//!
//! # Features
//!
//! `flex` (default), `ndarray`, `wgpu`, `cuda`: the devices. `pretrained` (default): `weights` and
//! `visualization`. `download`: torchvision's files by name.

pub mod architecture;
pub mod batch_mix;
pub mod classifier;
pub mod densenet;
pub mod error;
pub mod image_model;
pub mod layers;
pub mod mobilenet_v1;
pub mod mobilenet_v2;
pub mod mobilenet_v3;
mod model_macros;
pub mod prelude;
pub mod resnet;
mod striding;
pub mod vgg;
#[cfg(feature = "pretrained")]
pub mod visualization;
#[cfg(feature = "pretrained")]
pub mod weights;

pub use architecture::{Architecture, BuildOptions};
pub use batch_mix::{BatchMix, MixedBatch};
pub use classifier::{Batch, ClassificationReport, Classifier, Prediction, Stage};
pub use densenet::{DenseNet, DenseNetConfig};
pub use error::{Error, Result};
pub use image_model::{Family, ImageModel};
pub use layers::{Padding, Stem};
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Config};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use mobilenet_v3::{MobileNetV3, MobileNetV3Config};
pub use resnet::{ResNet, ResNetConfig};
pub use vgg::{Vgg, VggConfig};
#[cfg(feature = "pretrained")]
pub use weights::{Answer, Preprocessing, Pretrained, Published, Weights};
