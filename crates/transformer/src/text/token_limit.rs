//! How long a sentence may be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What becomes of a sentence that has more tokens than a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// It is an error that names its place.
    #[default]
    Refuse,
    /// Its end is cut off.
    Truncate,
    /// Its pair is left out; in translation it is refused.
    Skip,
}

/// The most tokens of a sentence, and what becomes of longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLimit {
    /// The most tokens, the end included.
    pub max_tokens: usize,
    /// What becomes of longer sentences.
    pub overlong: Overlong,
}

impl TokenLimit {
    /// At most `max_tokens` tokens, the end included.
    pub fn new(max_tokens: usize, overlong: Overlong) -> Self {
        Self { max_tokens, overlong }
    }

    /// Where pairs would be left out they are cut, so that figures are of all.
    pub(crate) fn keeping_all(mut self) -> Self {
        if self.overlong == Overlong::Skip {
            self.overlong = Overlong::Truncate;
        }
        self
    }

    /// Makes ids fit, or refuses them; a cut sentence keeps its end. Returns how many were cut.
    pub(super) fn fit(self, ids: &mut Vec<u32>, place: impl FnOnce() -> String) -> Result<usize> {
        let limit = self.max_tokens;
        if ids.len() <= limit {
            return Ok(0);
        }
        if self.overlong != Overlong::Truncate {
            return Err(Error::TooLong { place: place(), tokens: ids.len(), limit });
        }
        let (whole, end) = (ids.len(), ids.pop());
        ids.truncate(limit.saturating_sub(1));
        ids.extend(end);
        Ok(whole - ids.len())
    }
}

/// What became of the pairs of a set that have more tokens than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlongReport {
    /// Pairs of the set.
    pub pairs: usize,
    /// Pairs of which a side was cut.
    pub truncated: usize,
    /// Pairs that were left out.
    pub skipped: usize,
    /// The line of the first pair that was cut or left out, counted from 1.
    pub first_line: Option<u64>,
    /// The most tokens of a sentence, its end included.
    pub max_tokens: usize,
}

impl fmt::Display for OverlongReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, truncated, skipped, first_line, max_tokens } = self;
        let Some(line) = first_line else {
            return write!(f, "none of {pairs} pairs has more than {max_tokens} tokens on a side");
        };
        write!(
            f,
            "{} of {pairs} pairs have more than {max_tokens} tokens on a side: {truncated} \
             truncated, {skipped} skipped (first: line {line})",
            truncated + skipped
        )
    }
}
