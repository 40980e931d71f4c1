//! What all ways to find sentences have in common.

use super::length_limits::LengthLimits;
use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;

/// A sentence that a strategy found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without those of begin and end.
    pub ids: Vec<u32>,
    /// What hypotheses are ranked by: the log-probability after length normalisation and penalties.
    pub score: f64,
    /// The sum of the tokens' log-probabilities, that of the end with them.
    pub log_probability: f64,
    /// Whether it ends with the token of end; otherwise the length limit cut it.
    pub is_finished: bool,
    /// For each of its tokens and its end the attention over the source tokens, where it was asked
    /// for and the model attends.
    pub attention: Option<Vec<Vec<f32>>>,
}

impl Hypothesis {
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

/// A way to find sentences.
pub trait DecodingStrategy {
    /// The hypotheses of each source row, the best first.
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
}
