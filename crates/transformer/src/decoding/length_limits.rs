//! What every strategy keeps to.

use derive_setters::Setters;
use model_utils::config::{self, ConfigError};

use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;
use crate::text::SpecialTokens;

/// What every strategy keeps to: special tokens and lengths.
#[derive(Debug, Clone, PartialEq, Setters)]
#[setters(prefix = "with_")]
pub struct LengthLimits {
    /// The ids that stand for no text. Pad and begin are never generated.
    pub special: SpecialTokens,
    /// Fewest tokens before the end; 0 by default.
    pub min_length: usize,
    /// Most tokens without the end; 256 by default.
    pub max_length: usize,
    /// Most tokens a source token, beside ten; 2 by default. `None` leaves `max_length` alone.
    pub max_ratio: Option<f64>,
    /// Whether the token of unknown text may be generated; not by default.
    pub allow_unknown: bool,
    /// Whether hypotheses carry their attention; not by default.
    pub attention: bool,
}

impl LengthLimits {
    /// The default limits with these special tokens.
    pub fn new(special: SpecialTokens) -> Self {
        Self {
            special,
            min_length: 0,
            max_length: 256,
            max_ratio: Some(2.0),
            allow_unknown: false,
            attention: false,
        }
    }

    /// Most tokens, the end not counted, for a source of this length.
    pub(crate) fn most(&self, source_length: usize) -> usize {
        let by_ratio = self.max_ratio.map(|ratio| (ratio * source_length as f64) as usize + 10);
        by_ratio.unwrap_or(usize::MAX).min(self.max_length).max(self.min_length)
    }

    /// Refuses limits that cannot work, and what the model cannot take.
    pub(crate) fn check_for<M: EncoderDecoder>(&self, model: &M, source: &Padded) -> Result<()> {
        self.check()?;
        let [_, targets] = model.vocabularies();
        let special = self.special;
        for (field, id) in [("pad", special.pad), ("bos", special.bos), ("eos", special.eos)] {
            let what = format!("below the target vocabulary of {targets}");
            config::require((id as usize) < targets, field, id, what)?;
        }
        let Some(most) = model.max_length() else { return Ok(()) };
        let longest =
            source.time().max(source.lengths.iter().map(|&n| self.most(n)).max().unwrap_or(0));
        let what = format!("at most the model's {most} positions, on either side");
        Ok(config::require(longest <= most, "length", longest, what)?)
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::at_least("max_length", self.max_length, 1)?;
        let (least, most) = (self.min_length, self.max_length);
        config::require(least <= most, "min_length", least, "at most `max_length`")?;
        let ratio = self.max_ratio;
        config::require(ratio.is_none_or(|ratio| ratio > 0.0), "max_ratio", ratio, "above 0")
    }
}
