//! What a first program needs: `use model_utils_core::prelude::*`.

pub use crate::atomic;
pub use crate::budget::{Budget, Spent};
pub use crate::config::ConfigError;
pub use crate::error::Error;
pub use crate::event::{Asks, Event, Observer, Silent, Stop, StopReason};
pub use crate::history::History;
pub use crate::log::{CsvLog, JsonLines};
#[cfg(feature = "progress")]
pub use crate::progress::ProgressBar;
pub use crate::random::Random;
