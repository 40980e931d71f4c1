//! What a model is worth on sentences that it does not learn from.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::teacher_forced::TeacherForced;
use crate::decoding::{DecodingStrategy, LengthLimits, decode_batched};
use crate::encoder_decoder::EncoderDecoder;
use crate::error::Result;
use crate::metrics::{Bleu, Metric as _};
use crate::text::{EncodedPair, Tokenizers, by_length};

/// What a validation measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Validation {
    /// The step after which it was.
    pub step: u64,
    /// BLEU (13a) of greedy translations, 0 to 100.
    pub bleu: f64,
    /// e to the mean cross-entropy of a token, without label smoothing.
    pub perplexity: f64,
    /// The share of tokens that are the most probable ones, given those before, 0 to 1.
    pub token_accuracy: f64,
}

/// Perplexity and token accuracy of pairs under teacher forcing; the model is without autodiff.
pub(crate) fn teacher_forced<M: EncoderDecoder>(
    model: &M,
    pairs: &[EncodedPair],
    pad: u32,
    device: &Device,
) -> (f64, f64) {
    let lengths: Vec<usize> = pairs.iter().map(EncodedPair::longest).collect();
    let (mut loss, mut right, mut tokens) = (0.0, 0.0, 0);
    for batch in by_length(&lengths, 2000, usize::MAX) {
        let batch: Vec<&EncodedPair> = batch.into_iter().map(|at| &pairs[at]).collect();
        let batch = TeacherForced::new(&batch, pad, device);
        let logits = model.logits(&batch.source, &batch.given);
        let found = logits.clone().argmax(2).squeeze_dim::<2>(2);
        let wanted = &batch.wanted.ids;
        let counted = wanted.clone().not_equal_elem(pad as i32);
        let hits = found.equal(wanted.clone()).bool_and(counted);
        right += hits.int().sum().into_scalar::<i64>() as f64;
        loss += scalar(batch.loss(logits, 0.0)) * batch.tokens as f64;
        tokens += batch.tokens;
    }
    let tokens = (tokens as f64).max(1.0);
    ((loss / tokens).exp(), right / tokens)
}

/// BLEU of translations of the first sentences.
pub(super) fn bleu<M: EncoderDecoder>(
    model: &M,
    pairs: &[EncodedPair],
    references: &[String],
    tokenizers: &Tokenizers,
    strategy: &impl DecodingStrategy,
    device: &Device,
) -> Result<f64> {
    let sources: Vec<Vec<u32>> = pairs.iter().map(|pair| pair.source.clone()).collect();
    let mut limits = LengthLimits::new(tokenizers.target().special());
    if let Some(most) = model.max_length() {
        limits.max_length = limits.max_length.min(most.saturating_sub(1));
    }
    let found = decode_batched(model, &sources, strategy, &limits, device)?;
    let texts = found
        .iter()
        .map(|hypotheses| match hypotheses.first() {
            Some(best) => tokenizers.target().decode(&best.ids),
            None => Ok(String::new()),
        })
        .collect::<Result<Vec<String>>>()?;
    Bleu::new().score(&texts, references)
}

/// The number in a tensor of one.
pub(super) fn scalar(x: Tensor<1>) -> f64 {
    x.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
