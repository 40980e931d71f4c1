//! What all ways to find sentences have in common.

use serde::{Deserialize, Serialize};

use super::beam::Beam;
use super::greedy::Greedy;
use super::length_limits::LengthLimits;
use super::sampling::Sampling;
use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;

/// A sentence that a strategy found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without those of begin and end.
    pub ids: Vec<u32>,
    /// What hypotheses are ranked by: the log-probability after length normalisation and penalties.
    pub score: f64,
    /// The sum of the tokens' log-probabilities, that of the end with them; tokens that the limits
    /// force count 0.
    pub log_probability: f64,
    /// Whether it ends with the token of end; otherwise the length limit cut it.
    pub is_finished: bool,
    /// For each of its tokens and its end the attention over the source tokens, where it was asked
    /// for and the model attends.
    pub attention: Option<Vec<Vec<f32>>>,
}

impl Hypothesis {
    /// That of a source in which nothing stands.
    pub(crate) fn empty() -> Self {
        Self {
            ids: Vec::new(),
            score: 0.0,
            log_probability: 0.0,
            is_finished: true,
            attention: None,
        }
    }

    /// For each of its tokens the source token that it attends to most.
    pub fn alignment(&self) -> Option<Vec<usize>> {
        let attention = self.attention.as_ref()?;
        let most = |weights: &Vec<f32>| {
            let pairs = weights.iter().enumerate();
            pairs.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(token, _)| token)
        };
        Some(attention.iter().take(self.ids.len()).map(most).collect())
    }
}

/// Runs it on one of the threads that share the work of operations: a thread from outside would
/// sleep through each of them and be woken.
pub(super) fn among_workers<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// The most rows a sentence that a strategy decodes side by side.
pub(super) const MOST_ROWS: usize = 1024;

/// A way to find sentences.
pub trait DecodingStrategy {
    /// The hypotheses of each source row, the best first; none where no sentence can be found, as the
    /// model's logits are not finite or the limits forbid every token.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the setting that cannot work.
    fn decode<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &LengthLimits,
    ) -> Result<Vec<Vec<Hypothesis>>>;

    /// Rows a sentence that it decodes side by side; batches are smaller the more there are.
    fn rows(&self) -> usize {
        1
    }
}

/// A strategy that is chosen while the program runs, or read with serde:
/// `{"strategy": "beam", "size": 5}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum Strategy {
    /// The likeliest token at each step.
    Greedy(Greedy),
    /// Tokens by chance.
    Sampling(Sampling),
    /// The likeliest few sentences, step by step.
    Beam(Beam),
}

impl DecodingStrategy for Strategy {
    fn decode<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &LengthLimits,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        match self {
            Self::Greedy(greedy) => greedy.decode(model, source, limits),
            Self::Sampling(sampling) => sampling.decode(model, source, limits),
            Self::Beam(beam) => beam.decode(model, source, limits),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Greedy(greedy) => greedy.rows(),
            Self::Sampling(sampling) => sampling.rows(),
            Self::Beam(beam) => beam.rows(),
        }
    }
}

impl From<Greedy> for Strategy {
    fn from(greedy: Greedy) -> Self {
        Self::Greedy(greedy)
    }
}

impl From<Sampling> for Strategy {
    fn from(sampling: Sampling) -> Self {
        Self::Sampling(sampling)
    }
}

impl From<Beam> for Strategy {
    fn from(beam: Beam) -> Self {
        Self::Beam(beam)
    }
}
