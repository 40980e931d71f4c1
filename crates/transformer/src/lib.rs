//! Neural machine translation with attention.

pub mod error;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod search;
pub mod text;

pub use error::{Error, Result};
pub use loss::cross_entropy;
pub use model::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
pub use search::{Hypothesis, Limits, Search};
pub use text::{SpecialTokens, Splits, Tokenizer, TokenizerConfig, Tokenizers};
