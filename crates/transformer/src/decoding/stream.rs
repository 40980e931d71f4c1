//! Tokens as they are found.

use model_utils::config;

use super::length_limits::LengthLimits;
use super::scores::{Rule, Scores, Written};
use crate::encoder_decoder::{Decoding, EncoderDecoder, Padded};
use crate::error::Result;

/// The tokens of one sentence, decoded greedily one at a time. See
/// [`Greedy::stream`](super::Greedy::stream).
pub struct Stream<'a, M: EncoderDecoder> {
    model: &'a M,
    state: M::State,
    limits: LengthLimits,
    ids: Vec<u32>,
    most: usize,
    is_over: bool,
}

impl<'a, M: EncoderDecoder> Stream<'a, M> {
    pub(super) fn new(model: &'a M, source: &Padded, limits: &LengthLimits) -> Result<Self> {
        limits.check_for(model, source)?;
        config::require(
            source.batch() == 1,
            "source",
            source.batch(),
            "one row, as it is streamed",
        )?;
        let most = limits.most(source.lengths[0]);
        let state = model.start(source, Decoding { steps: most, beams: 1, attention: false });
        Ok(Self { model, state, limits: limits.clone(), ids: Vec::new(), most, is_over: false })
    }
}

impl<M: EncoderDecoder> Iterator for Stream<'_, M> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.is_over || self.ids.len() == self.most {
            return None;
        }
        let last = self.ids.last().copied().unwrap_or(self.limits.special.bos);
        let step = self.model.step(&[last], &mut self.state);
        let written = |_| Some(Written { ids: &self.ids, most: self.most });
        let scores = Scores::read(step, &self.limits, Rule::OfLogits, written);
        let best = scores.top(0, 1).first().map(|best| best.id);
        let best = best.filter(|&id| id != self.limits.special.eos);
        match best {
            Some(id) => self.ids.push(id),
            None => self.is_over = true,
        }
        best
    }
}
