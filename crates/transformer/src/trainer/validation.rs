//! What a model is worth on sentences that it does not learn from.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::decode::{AtOnce, decode};
use crate::error::Result;
use crate::loss::cross_entropy;
use crate::metrics::{Bleu, Metric as _};
use crate::model::{EncoderDecoder, Padded};
use crate::search::{Limits, Search};
use crate::text::batches::by_length;
use crate::text::{EncodedPair, Tokenizers};

/// What a validation measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
        let Teaching { source, given, wanted, tokens: count } = Teaching::of(&batch, pad, device);
        let logits = model.logits(&source, &given);
        let found = logits.clone().argmax(2).squeeze_dim::<2>(2);
        let counted = wanted.ids.clone().not_equal_elem(pad as i32);
        let hits = found.equal(wanted.ids.clone()).bool_and(counted);
        right += hits.int().sum().into_scalar::<i64>() as f64;
        loss += scalar(cross_entropy(logits, wanted.ids, pad, 0.0)) * count as f64;
        tokens += count;
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
    search: &impl Search,
    device: &Device,
) -> Result<f64> {
    let sources: Vec<Vec<u32>> = pairs.iter().map(|pair| pair.source.clone()).collect();
    let mut limits = Limits::new(tokenizers.target().special());
    if let Some(most) = model.max_length() {
        limits.max_length = limits.max_length.min(most.saturating_sub(1));
    }
    let found = decode(model, &sources, search, &limits, AtOnce::default(), device)?;
    let texts = found
        .iter()
        .map(|hypotheses| match hypotheses.first() {
            Some(best) => tokenizers.target().decode(&best.ids),
            None => Ok(String::new()),
        })
        .collect::<Result<Vec<String>>>()?;
    Bleu::new().score(&texts, references)
}

/// A batch for teacher forcing.
pub(super) struct Teaching {
    pub(super) source: Padded,
    /// The target without its end.
    pub(super) given: Padded,
    /// The target without its begin: what is predicted.
    pub(super) wanted: Padded,
    /// Tokens that are predicted.
    pub(super) tokens: usize,
}

impl Teaching {
    pub(super) fn of(pairs: &[&EncodedPair], pad: u32, device: &Device) -> Self {
        let rows = |of: &dyn Fn(&EncodedPair) -> &[u32]| {
            let rows: Vec<Vec<u32>> = pairs.iter().map(|pair| of(pair).to_vec()).collect();
            Padded::new(&rows, pad, device)
        };
        Self {
            source: rows(&|pair| &pair.source),
            given: rows(&|pair| &pair.target[..pair.target.len() - 1]),
            wanted: rows(&|pair| &pair.target[1..]),
            tokens: pairs.iter().map(|pair| pair.target_tokens()).sum(),
        }
    }
}

pub(super) fn scalar(x: burn::tensor::Tensor<1>) -> f64 {
    x.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
