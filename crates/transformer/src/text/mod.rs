//! Text: tokenizers, sentence pairs and the batches that are made of them.

mod batches;
mod encoded;
mod filter;
mod folder;
mod marian_files;
mod paragraph;
mod sentence_piece;
mod special;
mod spellings;
mod splits;
mod subword_trainer;
mod token_limit;
mod token_stream;
mod tokenizer;
mod tokenizer_config;
mod unigram_trainer;

pub use batches::TokenBatches;
pub(crate) use batches::by_length;
pub use encoded::{EncodedPair, EncodedPairs, Tokenizers};
pub use filter::{Filter, LengthUnit};
pub(crate) use marian_files::MarianFiles;
pub use paragraph::Paragraph;
pub use special::{SpecialNames, SpecialTokens};
pub use splits::{Side, Splits, SplitsConfig};
pub use token_limit::{Overlong, OverlongReport, TokenLimit};
pub use token_stream::TokenStream;
pub use tokenizer::Tokenizer;
pub use tokenizer_config::{Normalization, Subwords, TokenizerConfig};
