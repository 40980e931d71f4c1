//! The likeliest token at each step.

use super::{Hypothesis, Limits, Search, rows, stream::Stream};
use crate::error::Result;
use crate::model::{EncoderDecoder, Padded};

/// Takes the likeliest token at each step. One hypothesis a sentence, whose score is its
/// log-probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Greedy;

impl Greedy {
    /// The tokens of one sentence as they are found, the end not among them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for limits that cannot work or a source that is not of one row.
    pub fn stream<'a, M: EncoderDecoder>(
        self,
        model: &'a M,
        source: &Padded,
        limits: &Limits,
    ) -> Result<Stream<'a, M>> {
        Stream::new(model, source, limits)
    }
}

impl Search for Greedy {
    fn search<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &Limits,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        limits.check_for(model, source)?;
        let eos = limits.special.eos;
        let choose = |scores: &super::scores::Scores, place: rows::Place| {
            scores.top(place.row, 1).first().map_or(eos, |best| best.id)
        };
        Ok(rows::decode(model, source, limits, 1, choose))
    }
}
