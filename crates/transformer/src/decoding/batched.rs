//! Translating many sentences: batches of like length, answers in the caller's order.

use burn::tensor::Device;

use super::length_limits::LengthLimits;
use super::strategy::{DecodingStrategy, Hypothesis};
use crate::encoder_decoder::{EncoderDecoder, Padded};
use crate::error::Result;
use crate::text::by_length;

/// The most sentences that are decoded at once.
const MAX_SENTENCES: usize = 64;
/// The most rows, of all their hypotheses.
const MAX_ROWS: usize = 1024;
/// The most source tokens of them, padding included.
const MAX_TOKENS: usize = 4096;

/// The hypotheses of each source, the best first, in the order of the sources. `listen` is
/// called before each batch with the number of sentences that are done, and may end it.
pub(crate) fn decode_batched<M: EncoderDecoder>(
    model: &M,
    sources: &[Vec<u32>],
    strategy: &impl DecodingStrategy,
    limits: &LengthLimits,
    device: &Device,
    listen: &impl Fn(usize) -> model_utils::Result<()>,
) -> Result<Vec<Vec<Hypothesis>>> {
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    let mut found = vec![Vec::new(); sources.len()];
    let mut done = 0;
    let most = (MAX_ROWS / strategy.rows().max(1)).clamp(1, MAX_SENTENCES);
    for batch in by_length(&lengths, MAX_TOKENS, most) {
        listen(done)?;
        done += batch.len();
        let rows: Vec<Vec<u32>> = batch.iter().map(|&at| sources[at].clone()).collect();
        let source = Padded::new(&rows, limits.special.pad, device);
        for (at, hypotheses) in batch.into_iter().zip(strategy.decode(model, &source, limits)?) {
            found[at] = hypotheses;
        }
    }
    Ok(found)
}
