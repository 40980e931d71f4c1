//! What was left out of sentence pairs, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a line or pair was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// Both sides are blank.
    BlankBoth,
    /// The sentence to translate is blank.
    BlankSource,
    /// The translation is blank.
    BlankTarget,
    /// A line of a table has fewer columns than those that were chosen.
    TooFewColumns,
    /// Bytes that are not UTF-8, or zeros among them.
    NotUtf8,
    /// A line of more than 1 MiB.
    LongLine,
    /// A line that is not JSON.
    NotJson,
    /// An object without a text under one of the keys.
    NoKey,
    /// Fewer words or characters than a filter wants.
    TooShort,
    /// More words or characters than a filter allows.
    TooLong,
    /// One side is too many times as long as the other.
    Ratio,
    /// Too few of the characters are letters.
    FewLetters,
    /// The same pair came before.
    Duplicate,
    /// A side stands in the validation or test part.
    HeldOut,
}

impl DropReason {
    /// Whether the line is not as its format has it; blank on both sides is, and so is all that a
    /// filter drops.
    pub fn is_fault(self) -> bool {
        use DropReason::{
            BlankSource, BlankTarget, LongLine, NoKey, NotJson, NotUtf8, TooFewColumns,
        };
        matches!(
            self,
            BlankSource | BlankTarget | TooFewColumns | NotUtf8 | LongLine | NotJson | NoKey
        )
    }

    /// The reason where the sides are told apart the other way round.
    fn turned(self) -> Self {
        match self {
            Self::BlankSource => Self::BlankTarget,
            Self::BlankTarget => Self::BlankSource,
            other => other,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlankBoth => "blank on both sides",
            Self::BlankSource => "blank source",
            Self::BlankTarget => "blank target",
            Self::TooFewColumns => "too few columns",
            Self::NotUtf8 => "not UTF-8",
            Self::LongLine => "line longer than 1 MiB",
            Self::NotJson => "not a JSON object",
            Self::NoKey => "no text under a key",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::Ratio => "lengths too unlike",
            Self::FewLetters => "too few letters",
            Self::Duplicate => "duplicate",
            Self::HeldOut => "in validation or test",
        })
    }
}

/// How many were dropped for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub count: u64,
    /// The line of the first one, counted from 1.
    pub first_line: u64,
}

/// How many pairs were kept, and what was dropped, by reason.
///
/// ```
/// use model_utils_core::data::{DropReason, SentencePairs};
///
/// let pairs: SentencePairs = [("um", "one"), ("a", "a"), ("um", "one")].into_iter().collect();
/// let left = pairs.dropping(|pair| (pair.source == pair.target).then_some(DropReason::Duplicate));
/// assert_eq!(left.report().to_string(), "2 pairs, 1 dropped: 1 duplicate (first: line 2)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PairReport {
    /// The file or files; empty for pairs that come from none.
    pub origin: String,
    /// Pairs that were kept.
    pub kept: u64,
    /// What was dropped.
    pub dropped: BTreeMap<DropReason, Dropped>,
}

impl PairReport {
    /// How many were dropped, for all reasons together.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.count).sum()
    }

    /// How many lines were not as their format has them.
    pub fn faults(&self) -> u64 {
        let faults = self.dropped.iter().filter(|(reason, _)| reason.is_fault());
        faults.map(|(_, dropped)| dropped.count).sum()
    }

    /// Counts one more.
    pub(super) fn count(&mut self, reason: DropReason, line: u64) {
        let dropped = self.dropped.entry(reason).or_insert(Dropped { count: 0, first_line: line });
        dropped.count += 1;
        dropped.first_line = dropped.first_line.min(line);
    }

    pub(super) fn turned(mut self) -> Self {
        self.dropped =
            self.dropped.into_iter().map(|(reason, dropped)| (reason.turned(), dropped)).collect();
        self
    }

    /// What was dropped, in words.
    pub(super) fn reasons(&self) -> String {
        let reason = |(reason, Dropped { count, first_line }): (&DropReason, &Dropped)| {
            format!("{count} {reason} (first: line {first_line})")
        };
        self.dropped.iter().map(reason).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for PairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.origin.is_empty() {
            write!(f, "{}: ", self.origin)?;
        }
        write!(f, "{} pairs, ", self.kept)?;
        match self.dropped() {
            0 => f.write_str("none dropped"),
            count => write!(f, "{count} dropped: {}", self.reasons()),
        }
    }
}
