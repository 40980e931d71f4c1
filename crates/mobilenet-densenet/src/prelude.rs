//! What a first program needs, Burn and devices included: `use mobilenet_densenet::prelude::*`.

pub use model_utils::burn;
pub use model_utils::device::{DeviceSpec, seed};
pub use model_utils::train::{Budget, ProgressBar, Silent};
pub use model_utils::weights::Stored;

pub use crate::classifier::{Classifier, Prediction};
pub use crate::mobilenet_v2::{MobileNetV2, MobileNetV2Config};
