//! Neural machine translation with attention.

pub mod attention;
mod cache;
pub mod decoder;
pub mod encoder;
pub mod error;
pub mod feed_forward;
pub mod loss;
pub mod model;
pub mod position;
pub mod search;
pub mod text;
pub mod transformer;

pub use encoder::NormOrder;
pub use error::{Error, Result};
pub use loss::cross_entropy;
pub use model::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
pub use position::Positions;
pub use search::{Beam, Greedy, Hypothesis, LengthPenalty, Limits, Sampling, Search};
pub use text::SpecialTokens;
pub use transformer::{Transformer, TransformerConfig, Tying};
