//! The tokens that stand for no text.

use serde::{Deserialize, Serialize};

/// The ids of the tokens that stand for no text; the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// Fills a batch up behind shorter sentences.
    pub pad: u32,
    /// What the decoder is given first.
    pub bos: u32,
    /// Ends a sentence.
    pub eos: u32,
    /// Stands for what the tokenizer does not know.
    pub unk: u32,
}

/// 0 pad, 1 begin, 2 end, 3 unknown.
impl Default for SpecialTokens {
    fn default() -> Self {
        Self { pad: 0, bos: 1, eos: 2, unk: 3 }
    }
}
