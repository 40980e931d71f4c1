//! The likeliest token at each step.

use serde::{Deserialize, Serialize};

use super::length_limits::LengthLimits;
use super::rows;
use super::scores::Scores;
use super::strategy::{DecodingStrategy, Hypothesis};
use super::stream::Stream;
use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;

/// Takes the likeliest token at each step. One hypothesis a sentence, whose score is its
/// log-probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
        limits: &LengthLimits,
    ) -> Result<Stream<'a, M>> {
        Stream::new(model, source, limits)
    }
}

impl DecodingStrategy for Greedy {
    fn decode<M: EncoderDecoder>(
        &self,
        model: &M,
        source: &Padded,
        limits: &LengthLimits,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        limits.check_for(model, source)?;
        let choose = |scores: &Scores, place: rows::Place| {
            scores.top(place.row, 1).first().map(|best| best.id)
        };
        Ok(rows::decode(model, source, limits, 1, choose))
    }
}
