//! Which pairs are learnt from.

use std::collections::HashSet;

use burn::config::Config;
use model_utils::config::{self, ConfigError};
use model_utils::data::{DropReason, SentencePair, SentencePairs};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What the length of a sentence is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// What stands between white space.
    #[default]
    Words,
    /// Characters (Unicode scalar values) that are no white space: for languages that put none
    /// between words, as Japanese, Chinese, Thai.
    Characters,
}

impl LengthUnit {
    /// The length of a sentence.
    pub fn length(self, text: &str) -> usize {
        match self {
            Self::Words => text.split_whitespace().count(),
            Self::Characters => text.chars().filter(|c| !c.is_whitespace()).count(),
        }
    }
}

/// The pairs that are kept; as it is made, all of them.
///
/// ```
/// use transformer::text::{Filter, LengthUnit};
///
/// let filter = Filter::new()
///     .with_unit(LengthUnit::Characters)
///     .with_max_length(Some(200))
///     .with_max_ratio(Some(4.0));
/// let pairs = [("行け。", "Go."), ("行け。", "Go on, and do not look back.")].into_iter().collect();
/// let kept = filter.apply(pairs)?;
/// assert_eq!(kept.report().to_string(), "1 pairs, 1 dropped: 1 lengths too unlike (first: line 2)");
/// # Ok::<(), transformer::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct Filter {
    /// What lengths are counted in.
    #[config(default = "LengthUnit::Words")]
    pub unit: LengthUnit,
    /// The least length of either side.
    #[config(default = 0)]
    pub min_length: usize,
    /// The greatest length of either side.
    pub max_length: Option<usize>,
    /// How many times as long one side may be as the other.
    pub max_ratio: Option<f64>,
    /// The least share of letters (Unicode's alphabetic characters) among the characters of either
    /// side that are no white space, 0 to 1: below it are figures, addresses and tables.
    #[config(default = 0.0)]
    pub min_letters: f64,
    /// Whether a pair is kept only where it comes first.
    #[config(default = false)]
    pub unique: bool,
}

impl Filter {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { min_length, max_length, max_ratio, min_letters, .. } = *self;
        let expected = format!("at least `min_length`, {min_length}");
        let holds = max_length.is_none_or(|most| most >= min_length);
        config::require(holds, "max_length", max_length, expected)?;
        let holds = max_ratio.is_none_or(|ratio| ratio >= 1.0);
        config::require(holds, "max_ratio", max_ratio, "at least 1")?;
        let holds = (0.0..=1.0).contains(&min_letters);
        config::require(holds, "min_letters", min_letters, "a share from 0 to 1")
    }

    /// Why a pair is not kept, duplicates left out.
    fn reason(&self, pair: &SentencePair) -> Option<DropReason> {
        let sides = [&pair.source, &pair.target];
        let [a, b] = sides.map(|text| self.unit.length(text));
        let (less, more) = (a.min(b), a.max(b));
        let letters = |text: &String| {
            let seen = text.chars().filter(|c| !c.is_whitespace());
            let (all, letters) = seen.fold((0, 0), |(all, letters), c| {
                (all + 1, letters + u64::from(c.is_alphabetic()))
            });
            (letters as f64) < self.min_letters * f64::from(all)
        };
        if less < self.min_length {
            Some(DropReason::TooShort)
        } else if self.max_length.is_some_and(|most| more > most) {
            Some(DropReason::TooLong)
        } else if self.max_ratio.is_some_and(|ratio| more as f64 > ratio * less as f64) {
            Some(DropReason::Ratio)
        } else if self.min_letters > 0.0 && sides.into_iter().any(letters) {
            Some(DropReason::FewLetters)
        } else {
            None
        }
    }

    /// The pairs that are kept; what is dropped is counted in their report.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for limits that nothing can keep, [`Error::Pairs`] where nothing is left.
    pub fn apply(&self, pairs: SentencePairs) -> Result<SentencePairs> {
        self.check()?;
        let mut seen = HashSet::new();
        let kept = pairs.dropping(|pair| {
            self.reason(pair).or_else(|| {
                let again = self.unique && !seen.insert(pair.clone());
                again.then_some(DropReason::Duplicate)
            })
        });
        if kept.pairs().is_empty() {
            return Err(Error::pairs("the filter", format!("no pair is left: {}", kept.report())));
        }
        Ok(kept)
    }
}
