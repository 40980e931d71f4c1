//! Special tokens: padding, begin and end of a sentence, and what has no token of its own.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The ids of the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// Fills up the shorter sentences of a batch.
    pub pad: u32,
    /// Begins a sentence.
    pub bos: u32,
    /// Ends a sentence.
    pub eos: u32,
    /// Stands for what has no token.
    pub unk: u32,
}

impl Default for SpecialTokens {
    fn default() -> Self {
        Self { pad: 0, bos: 1, eos: 2, unk: 3 }
    }
}

impl SpecialTokens {
    /// Whether an id is one of them.
    pub fn is_special(&self, id: u32) -> bool {
        [self.pad, self.bos, self.eos, self.unk].contains(&id)
    }
}

/// The names of the special tokens in a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialNames {
    /// That of padding.
    pub pad: String,
    /// That of the begin.
    pub bos: String,
    /// That of the end.
    pub eos: String,
    /// That of the unknown.
    pub unk: String,
}

impl Default for SpecialNames {
    fn default() -> Self {
        let [pad, bos, eos, unk] = ["<pad>", "<bos>", "<eos>", "<unk>"].map(str::to_owned);
        Self { pad, bos, eos, unk }
    }
}

impl SpecialNames {
    /// All names in the order of [`SpecialTokens::default`].
    pub fn all(&self) -> [&str; 4] {
        [&self.pad, &self.bos, &self.eos, &self.unk]
    }

    /// The ids behind the names.
    pub(crate) fn resolve(
        &self,
        id_of: impl Fn(&str) -> Option<u32>,
        place: &str,
    ) -> Result<SpecialTokens> {
        let id = |name: &str| {
            id_of(name).ok_or_else(|| {
                Error::tokenizer(place, format!("it does not know the special token `{name}`"))
            })
        };
        let [pad, bos, eos, unk] = self.all();
        Ok(SpecialTokens { pad: id(pad)?, bos: id(bos)?, eos: id(eos)?, unk: id(unk)? })
    }
}
