//! Text: tokenizers, sentence pairs and the batches that are made of them.

mod batches;
mod encoded;
mod marian_files;
mod sentence_piece;
mod special;
mod splits;
mod token_limit;
mod tokenizer;

pub use batches::TokenBatches;
pub(crate) use batches::by_length;
pub use encoded::{EncodedPair, Tokenizers};
pub(crate) use marian_files::MarianFiles;
pub use special::{SpecialNames, SpecialTokens};
pub use splits::{Filter, Side, Splits};
pub use token_limit::{Overlong, TokenLimit};
pub use tokenizer::{Subwords, TokenStream, Tokenizer, TokenizerConfig};
