//! What a first program needs, Burn included: `use compress::prelude::*`.

pub use model_utils::burn;
pub use model_utils::burn::tensor::{Int, Tensor};
pub use model_utils::device::{DeviceSpec, seed};
pub use model_utils::graph::Graph;
pub use model_utils::ops;
pub use model_utils::train::{Budget, ProgressBar, Silent};

pub use crate::Report;
pub use crate::distill::{SoftTargets, distill};
pub use crate::prune::{Importance, Structured};
pub use crate::quantize::PostTraining;
pub use crate::report::TestSet;
