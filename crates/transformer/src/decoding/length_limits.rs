//! What every strategy keeps to.

use derive_setters::Setters;
use model_utils::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;
use crate::text::SpecialTokens;

/// The longest sentences that can be asked for, in tokens.
const LONGEST: usize = 1 << 16;

/// What every strategy keeps to: special tokens, lengths, and what may stand in a sentence.
///
/// Lengths count the tokens of [`prefix`](Self::prefix) and not that of the end. All of it can be
/// written and read with serde; what is left out has its default.
#[derive(Debug, Clone, PartialEq, Setters, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[setters(prefix = "with_")]
#[allow(clippy::struct_excessive_bools)] // Switches, each by itself.
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
    /// The tokens that each sentence begins with. They are part of what is found and count for
    /// nothing in its score and in what scores are divided by.
    pub prefix: Vec<u32>,
    /// The first token, where there is no prefix (`forced_bos_token_id` in Hugging Face): its
    /// log-probability counts as 0.
    pub first_token: Option<u32>,
    /// Whether a sentence that reaches its greatest length ends there with the token of end, at a
    /// log-probability of 0 (`forced_eos_token_id` in Hugging Face); otherwise it is cut.
    pub end_at_limit: bool,
    /// No sequence of so many tokens comes twice in a sentence.
    pub no_repeat_ngram: Option<usize>,
    /// Makes the tokens that a sentence has already less likely where it is above 1 (Keskar et al.
    /// 2019, <https://arxiv.org/abs/1909.05858>); 1 by default. Beams multiply log-probabilities by
    /// it; the other strategies divide logits above 0 and multiply those below, as Hugging Face does.
    pub repetition_penalty: f64,
    /// Whether beams are ranked by probabilities among the tokens that are allowed
    /// (`renormalize_logits` in Hugging Face); by default among all.
    pub renormalize: bool,
    /// Whether hypotheses carry their attention; not by default.
    pub attention: bool,
}

impl Default for LengthLimits {
    fn default() -> Self {
        Self::new(SpecialTokens::default())
    }
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
            prefix: Vec::new(),
            first_token: None,
            end_at_limit: false,
            no_repeat_ngram: None,
            repetition_penalty: 1.0,
            renormalize: false,
            attention: false,
        }
    }

    /// Most tokens, the end not counted, for a source of this length.
    pub(crate) fn most(&self, source_length: usize) -> usize {
        let by_ratio = self
            .max_ratio
            .map(|ratio| ((ratio * source_length as f64) as usize).saturating_add(10));
        let least = self.min_length.max(self.prefix.len() + 1);
        by_ratio.unwrap_or(usize::MAX).min(self.max_length).max(least)
    }

    /// The only token that may come after those written, where there is but one.
    pub(super) fn forced(&self, written: usize, most: usize) -> Option<u32> {
        match self.prefix.get(written) {
            Some(&id) => Some(id),
            None if self.end_at_limit && written + 1 >= most => Some(self.special.eos),
            None if written == 0 => self.first_token,
            None => None,
        }
    }

    /// The tokens that would repeat a sequence, in no order; some more than once.
    pub(super) fn repeating<'a>(&self, ids: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        let n = self.no_repeat_ngram.filter(|&n| n <= ids.len());
        n.into_iter().flat_map(move |n| {
            let last = &ids[ids.len() + 1 - n..];
            ids.windows(n).filter(move |gram| gram[..n - 1] == *last).map(move |gram| gram[n - 1])
        })
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
        for &id in self.prefix.iter().chain(&self.first_token) {
            let is_text = (id as usize) < targets && ![special.pad, special.eos].contains(&id);
            let what = format!("below the target vocabulary of {targets}, neither pad nor end");
            config::require(is_text, "prefix", id, what)?;
        }
        let Some(most) = model.max_length() else { return Ok(()) };
        let longest =
            source.time().max(source.lengths.iter().map(|&n| self.most(n)).max().unwrap_or(0));
        let what = format!("at most the model's {most} positions, on either side");
        Ok(config::require(longest <= most, "length", longest, what)?)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let longest = format!("1 to {LONGEST}");
        let is_length = (1..=LONGEST).contains(&self.max_length);
        config::require(is_length, "max_length", self.max_length, longest)?;
        let prefix = self.prefix.len();
        config::require(prefix < self.max_length, "prefix", prefix, "fewer than `max_length`")?;
        config::at_least("no_repeat_ngram", self.no_repeat_ngram.unwrap_or(1), 1)?;
        config::positive("repetition_penalty", self.repetition_penalty)?;
        let (least, most) = (self.min_length, self.max_length);
        config::require(least <= most, "min_length", least, "at most `max_length`")?;
        let ratio = self.max_ratio;
        config::require(ratio.is_none_or(|ratio| ratio > 0.0), "max_ratio", ratio, "above 0")
    }
}
