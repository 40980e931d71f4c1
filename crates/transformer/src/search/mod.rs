//! From a model to sentences.

mod limits;

pub use limits::Limits;

use crate::error::Result;
use crate::model::{EncoderDecoder, Padded};

/// A sentence that a search found.
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

/// A way to find sentences.
pub trait Search {
    /// The hypotheses of each source row, the best first.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the setting that cannot work.
    fn search<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &Limits,
    ) -> Result<Vec<Vec<Hypothesis>>>;
}
