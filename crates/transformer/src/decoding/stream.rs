//! Tokens as they are found.

use model_utils::config;

use super::length_limits::LengthLimits;
use super::scores::Scores;
use crate::encoder_decoder::{Decoding, EncoderDecoder, Padded};
use crate::error::Result;

/// The tokens of one sentence, decoded greedily one at a time. See
/// [`Greedy::stream`](super::Greedy::stream).
pub struct Stream<'a, M: EncoderDecoder> {
    model: &'a M,
    state: M::State,
    limits: LengthLimits,
    last: u32,
    written: usize,
    most: usize,
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
        let (limits, last) = (limits.clone(), limits.special.bos);
        Ok(Self { model, state, limits, last, written: 0, most })
    }
}

impl<M: EncoderDecoder> Iterator for Stream<'_, M> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.written == self.most {
            return None;
        }
        let step = self.model.step(&[self.last], &mut self.state);
        let best = Scores::read(step, &self.limits, self.written).top(0, 1).first()?.id;
        if best == self.limits.special.eos {
            self.written = self.most;
            return None;
        }
        self.last = best;
        self.written += 1;
        Some(best)
    }
}
