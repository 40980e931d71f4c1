//! What a first program needs: `use transformer::prelude::*;`.

pub use model_utils::burn;
pub use model_utils::device::{DeviceSpec, seed};
pub use model_utils::train::{Budget, ProgressBar, Silent};

pub use crate::decoding::{Beam, Greedy};
pub use crate::grammar::Grammar;
pub use crate::text::Splits;
pub use crate::translator::{Translator, TranslatorConfig};
