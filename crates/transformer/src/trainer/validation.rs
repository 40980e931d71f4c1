//! What a model is worth on sentences that it does not learn from.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::keep_by::KeepBy;
use super::teacher_forced::TeacherForced;
use crate::decoding::{Greedy, LengthLimits, decode_batched};
use crate::encoder_decoder::EncoderDecoder;
use crate::error::Result;
use crate::text::{EncodedPair, Tokenizers, by_length};

/// What a validation measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Validation {
    /// The step after which it was.
    pub step: u64,
    /// BLEU (13a) of greedy translations, 0 to 100.
    pub bleu: f64,
    /// What weights are kept by: the score of greedy translations, or the perplexity.
    pub score: f64,
    /// e to the mean cross-entropy of a token, without label smoothing.
    pub perplexity: f64,
    /// The share of tokens that are the most probable ones, given those before, 0 to 1.
    pub token_accuracy: f64,
}

/// What validations left behind.
#[derive(Clone)]
pub(super) struct Validated<M> {
    /// The weights at the last ones, the oldest first, where they are averaged.
    pub(super) recent: VecDeque<M>,
    pub(super) best: Option<Best<M>>,
    pub(super) last: Option<Validation>,
    /// Validations since the best.
    pub(super) since_best: usize,
}

/// The weights that did best.
#[derive(Clone)]
pub(super) struct Best<M> {
    pub(super) model: M,
    pub(super) validation: Validation,
}

impl<M> Default for Validated<M> {
    fn default() -> Self {
        Self { recent: VecDeque::new(), best: None, last: None, since_best: 0 }
    }
}

impl<M> Validated<M> {
    pub(super) fn note(&mut self, model: M, validation: Validation, keep_by: KeepBy) {
        self.last = Some(validation);
        self.since_best += 1;
        let is_better = |best: &Best<M>| keep_by.is_better(&validation, &best.validation);
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(Best { model, validation });
            self.since_best = 0;
        }
    }

    /// Whether the best was so many validations ago.
    pub(super) fn is_over(&self, patience: Option<usize>) -> bool {
        patience.is_some_and(|patience| self.since_best >= patience.max(1))
    }
}

/// Perplexity and token accuracy of pairs under teacher forcing; the model is without autodiff. `listen` is
/// called before each batch with the number of pairs that are done, and may end it.
pub(crate) fn teacher_forced<M: EncoderDecoder>(
    model: &M,
    pairs: &[EncodedPair],
    pad: u32,
    device: &Device,
    listen: &impl Fn(usize) -> model_utils::Result<()>,
) -> Result<(f64, f64)> {
    let lengths: Vec<usize> = pairs.iter().map(EncodedPair::longest).collect();
    let (mut loss, mut right, mut tokens, mut done) = (0.0, 0.0, 0, 0);
    for batch in by_length(&lengths, 2000, usize::MAX) {
        listen(done)?;
        done += batch.len();
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
    Ok(((loss / tokens).exp(), right / tokens))
}

/// Greedy translations of the sources.
pub(super) fn translations<M: EncoderDecoder>(
    model: &M,
    pairs: &[EncodedPair],
    tokenizers: &Tokenizers,
    device: &Device,
    listen: &impl Fn(usize) -> model_utils::Result<()>,
) -> Result<Vec<String>> {
    let sources: Vec<Vec<u32>> = pairs.iter().map(|pair| pair.source.clone()).collect();
    let mut limits = LengthLimits::new(tokenizers.target().special());
    if let Some(most) = model.max_length() {
        limits.max_length = limits.max_length.min(most.saturating_sub(1));
    }
    let found = decode_batched(model, &sources, &Greedy, &limits, device, listen)?;
    found
        .iter()
        .map(|hypotheses| match hypotheses.first() {
            Some(best) => tokenizers.target().decode(&best.ids),
            None => Ok(String::new()),
        })
        .collect()
}

/// The number in a tensor of one.
pub(super) fn scalar(x: Tensor<1>) -> f64 {
    x.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
