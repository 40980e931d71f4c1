//! Translating many sentences: batches of like length, answers in the caller's order.

use burn::tensor::Device;

use crate::error::Result;
use crate::model::{EncoderDecoder, Padded};
use crate::search::{Hypothesis, Limits, Search};
use crate::text::batches::by_length;

/// How many sentences and padded source tokens are searched at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AtOnce {
    pub(crate) sentences: usize,
    pub(crate) tokens: usize,
}

impl Default for AtOnce {
    fn default() -> Self {
        Self { sentences: 64, tokens: 4096 }
    }
}

/// The hypotheses of each source, the best first, in the order of the sources.
pub(crate) fn decode<M: EncoderDecoder>(
    model: &M,
    sources: &[Vec<u32>],
    search: &impl Search,
    limits: &Limits,
    at_once: AtOnce,
    device: &Device,
) -> Result<Vec<Vec<Hypothesis>>> {
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    let mut found = vec![Vec::new(); sources.len()];
    for batch in by_length(&lengths, at_once.tokens, at_once.sentences) {
        let rows: Vec<Vec<u32>> = batch.iter().map(|&at| sources[at].clone()).collect();
        let source = Padded::new(&rows, limits.special.pad, device);
        for (at, hypotheses) in batch.into_iter().zip(search.search(model, &source, limits)?) {
            found[at] = hypotheses;
        }
    }
    Ok(found)
}
