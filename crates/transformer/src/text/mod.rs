//! Text: tokenizers, sentence pairs and the batches that are made of them.

pub mod batches;
pub mod encoded;
pub mod special;
pub mod splits;
pub mod tokenizer;

pub use batches::TokenBatches;
pub use encoded::{EncodedPair, Overlong, Tokenizers};
pub use special::{SpecialNames, SpecialTokens};
pub use splits::{Filter, Side, Splits};
pub use tokenizer::{Subwords, TokenStream, Tokenizer, TokenizerConfig};
