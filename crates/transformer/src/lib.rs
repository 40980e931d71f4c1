//! Neural machine translation with attention.

pub mod attention;
mod cache;
mod decode;
pub mod decoder;
pub mod encoder;
pub mod error;
pub mod feed_forward;
pub mod grammar;
mod hash;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod models;
pub mod position;
pub mod recurrent;
pub mod search;
pub mod text;
pub mod trainer;
pub mod transformer;
pub mod translator;

pub use encoder::NormOrder;
pub use error::{Error, Result};
pub use grammar::Grammar;
pub use loss::cross_entropy;
pub use model::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
pub use models::{Model, ModelConfig};
pub use position::Positions;
pub use recurrent::{Recurrent, RecurrentConfig};
pub use search::{Beam, Greedy, Hypothesis, LengthPenalty, Limits, Sampling, Search};
pub use text::{SpecialTokens, Splits, Tokenizer, TokenizerConfig, Tokenizers};
pub use trainer::{Schedule, Trained, Trainer, TrainingConfig};
pub use transformer::{Transformer, TransformerConfig, Tying};
pub use translator::{Evaluation, Translation, Translator, TranslatorConfig};
