//! How a tokenizer is trained.

use std::fmt;

use burn::config::{Config, config_to_json};
use derive_setters::Setters;
use model_utils::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use super::special::SpecialNames;

/// How words are cut into subwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subwords {
    /// Byte-pair encoding: the most frequent neighbours are joined, again and again (Sennrich et al.
    /// 2016, <https://arxiv.org/abs/1508.07909>).
    #[default]
    Bpe,
    /// `WordPiece`: longest match first; pieces that go on a word begin with `##` (Schuster and
    /// Nakajima 2012).
    WordPiece,
    /// A unigram language model: of all ways to cut a word, the most probable (Kudo 2018,
    /// <https://arxiv.org/abs/1804.10959>).
    Unigram,
}

impl std::str::FromStr for Subwords {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "bpe" => Ok(Self::Bpe),
            "word_piece" | "wordpiece" => Ok(Self::WordPiece),
            "unigram" => Ok(Self::Unigram),
            _ => {
                Err(ConfigError::new("subwords", format!("{name:?}"), "bpe, word_piece or unigram"))
            }
        }
    }
}

/// Which of the forms that Unicode has for one text is taken (<https://unicode.org/reports/tr15/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// The text as it is: `é` as one character and as two are different.
    None,
    /// Composed: what looks the same is the same.
    #[default]
    Nfc,
    /// Composed, and what means the same is the same: `ﬁ` is `fi`, `Ａ` is `A`, `①` is `1`. What is
    /// decoded has the plain forms.
    Nfkc,
}

/// How a tokenizer is trained.
///
/// With the defaults every text of every language goes to ids and back: what is rare has no token of
/// its own and goes as the bytes of its UTF-8. The 256 tokens for bytes are part of the vocabulary; a
/// vocabulary of some hundred ids over few letters does better without them.
///
/// A file that does not say a field has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
#[serde(default)]
pub struct TokenizerConfig {
    /// How words are cut.
    pub subwords: Subwords,
    /// The most ids, with the special tokens; little text gives fewer.
    pub vocabulary: usize,
    /// Whether letters are made small first; what is decoded then has small letters.
    pub lowercase: bool,
    /// Pairs of neighbours that come less often are not joined (BPE and `WordPiece`).
    pub min_frequency: u64,
    /// Whether a character without a token becomes the bytes of its UTF-8, `<0x00>` to `<0xFF>`,
    /// instead of the unknown token.
    pub byte_fallback: bool,
    /// The share of the text whose characters have tokens of their own, the frequent ones first, above
    /// 0 and at most 1. With 1 all have one.
    pub character_coverage: f64,
    /// The form of Unicode.
    pub normalization: Normalization,
    /// Text that is always one token: never cut, never part of another one.
    pub user_symbols: Vec<String>,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            subwords: Subwords::default(),
            vocabulary: 6000,
            lowercase: false,
            min_frequency: 2,
            byte_fallback: true,
            character_coverage: 0.9995,
            normalization: Normalization::default(),
            user_symbols: Vec::new(),
        }
    }
}

impl Config for TokenizerConfig {}

impl fmt::Display for TokenizerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&config_to_json(self))
    }
}

impl TokenizerConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses what cannot work with any text.
    ///
    /// # Errors
    ///
    /// That names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::at_least("vocabulary", self.vocabulary, 1)?;
        let share = self.character_coverage;
        config::require(
            share > 0.0 && share <= 1.0,
            "character_coverage",
            share,
            "above 0 and at most 1",
        )?;
        for symbol in &self.user_symbols {
            let marks = ["▁", "##"].iter().any(|mark| symbol.contains(mark));
            let taken = SpecialNames::default().all().contains(&symbol.as_str())
                || byte_of(symbol).is_some();
            config::require(
                !symbol.is_empty() && !symbol.contains(char::is_whitespace) && !marks && !taken,
                "user_symbols",
                format!("{symbol:?}"),
                "text without white space, `▁` and `##` that names no special token and no byte",
            )?;
        }
        Ok(())
    }
}

/// The token of a byte.
pub(super) fn byte_token(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// The byte that a token stands for.
pub(super) fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hexadecimal.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
