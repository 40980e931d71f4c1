//! Neural machine translation with attention.

mod decode;
pub mod error;
pub mod grammar;
mod hash;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod search;
pub mod text;
pub mod trainer;
pub mod translator;

pub use error::{Error, Result};
pub use loss::cross_entropy;
pub use model::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
pub use search::{Hypothesis, Limits, Search};
pub use text::{SpecialTokens, Splits, Tokenizer, TokenizerConfig, Tokenizers};
pub use trainer::{Schedule, Trained, Trainer, TrainingConfig};
pub use translator::{Evaluation, Translation, Translator, TranslatorConfig};
