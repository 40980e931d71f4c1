//! What a first program needs, Burn included: `use model_utils::prelude::*`.

pub use burn;
pub use burn::tensor::{Device, Int, Tensor};
pub use model_utils_core::prelude::*;

pub use crate::checkpoint::Checkpoints;
#[cfg(feature = "images")]
pub use crate::data::ToTensors;
pub use crate::device::{DeviceSpec, seed};
#[cfg(any(feature = "images", feature = "picture"))]
pub use crate::image::{Image, ImageTensor};
pub use crate::ops;
pub use crate::train::{Batches, Evaluation, StepOutput, Supervised, SupervisedConfig};
pub use crate::weights::Stored;
