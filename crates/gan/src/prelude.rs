//! What a first program needs: `use gan::prelude::*;`.

pub use model_utils::burn;
pub use model_utils::data::{ShapesConfig, Split};
pub use model_utils::device::{DeviceSpec, seed};
pub use model_utils::train::{Budget, ProgressBar, Silent};

pub use crate::config::GanConfig;
pub use crate::dcgan::DcganConfig;
pub use crate::loss::Loss;
pub use crate::reals::Images;
