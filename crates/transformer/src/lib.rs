//! Neural machine translation with attention.

pub mod error;
pub mod text;

pub use error::{Error, Result};
