//! Published weights: where they come from, what goes with them, and how a model gets them.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use mobilenet_densenet::{Architecture, Pretrained, Weights};
//! use model_utils::image::Image;
//! # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
//!
//! let weights = Weights::TfLite(Path::new("mobilenet_v2_1.0_224_quant.tflite"));
//! let model = Pretrained::load(Architecture::MobileNetV2, weights, &device)?
//!     .with_labels_from("imagenet_labels.txt")?;
//! for answer in model.classify(&Image::open("grace_hopper.bmp")?, 5)? {
//!     println!("{:.2} {}", answer.probability, answer.label);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | source | padding | ε | preprocessing | classes |
//! | --- | --- | --- | --- | --- |
//! | torchvision | symmetric | 1e-5, `MobileNetV3` 1e-3 | shorter side 256 or 232, middle 224, `ImageNet`'s mean and deviation | 1000 |
//! | timm | symmetric | 1e-5 | as torchvision; a `MobileNetV1` −1 to 1 | 1000 |
//! | timm's `tf_` models | `SAME` | 1e-3 | shorter side 256, middle 224, −1 to 1 | 1000 |
//! | TensorFlow Lite | `SAME` | folded | `side` × `side`, as the file's input says, else −1 to 1 | 1001, 0 is the background |
//! | Keras, a `MobileNet` | `SAME` | 1e-3 | `side` × `side`, −1 to 1 | 1000 |
//! | Keras, a `DenseNet` | symmetric | 1.001e-5 | 224 × 224, `ImageNet`'s mean and deviation | 1000 |
//! | Keras, a `VGG` | symmetric | | 224 × 224, bytes less their mean | 1000 |
//!
//! Of Keras Applications this reads `MobileNet`, `MobileNetV2`, both `MobileNetV3` (of width 1, not
//! the minimalistic ones), `DenseNet` 121, 169 and 201, `VGG` 16 and 19, with their classifiers.
//! Its `ResNet`s are others than those here. Where an inner map has an odd side, Keras's first
//! `MobileNet` drops a row that is kept here; images with sides that are multiples of 32 have none.

mod content;
mod keras;
mod preprocessing;
mod pretrained;
mod published;
mod source;
mod tflite;
mod timm;
mod traced;

pub use preprocessing::{Preprocessing, Resize};
pub use pretrained::{Answer, Pretrained};
pub use published::Published;
pub use source::Weights;
