//! Text: tokenizers, sentence pairs and the batches that are made of them.

mod batches;
mod encoded;
mod filter;
mod folder;
mod special;
mod splits;
mod token_limit;
mod tokenizer;

pub use batches::TokenBatches;
pub(crate) use batches::by_length;
pub use encoded::{EncodedPair, EncodedPairs, Tokenizers};
pub use filter::{Filter, LengthUnit};
pub use special::{SpecialNames, SpecialTokens};
pub use splits::{Side, Splits, SplitsConfig};
pub use token_limit::{Overlong, OverlongReport, TokenLimit};
pub use tokenizer::{Subwords, TokenStream, Tokenizer, TokenizerConfig};
