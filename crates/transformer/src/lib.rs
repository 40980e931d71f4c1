//! Neural machine translation with attention.

pub mod error;

pub use error::{Error, Result};
