//! Pairs as a model learns from them: every token is predicted from those before it.

use burn::tensor::{Device, Tensor};
use model_utils::ops;

use crate::encoder_decoder::Padded;
use crate::text::EncodedPair;

/// A batch for teacher forcing.
pub(super) struct TeacherForced {
    pub(super) source: Padded,
    /// The target without its end.
    pub(super) given: Padded,
    /// The target without its begin: what is predicted.
    pub(super) wanted: Padded,
    /// Tokens that are predicted.
    pub(super) tokens: usize,
    pad: u32,
}

impl TeacherForced {
    pub(super) fn new(pairs: &[&EncodedPair], pad: u32, device: &Device) -> Self {
        let rows = |of: &dyn Fn(&EncodedPair) -> &[u32]| {
            let rows: Vec<Vec<u32>> = pairs.iter().map(|pair| of(pair).to_vec()).collect();
            Padded::new(&rows, pad, device)
        };
        Self {
            source: rows(&|pair| &pair.source),
            given: rows(&|pair| &pair.target[..pair.target.len() - 1]),
            wanted: rows(&|pair| &pair.target[1..]),
            tokens: pairs.iter().map(|pair| pair.target_tokens()).sum(),
            pad,
        }
    }

    /// The cross-entropy of `[batch, time, vocabulary]` logits, averaged over the tokens.
    pub(super) fn loss(&self, logits: Tensor<3>, smoothing: f64) -> Tensor<1> {
        let (logits, targets) = (logits.flatten(0, 1), self.wanted.ids.clone().flatten(0, 1));
        ops::cross_entropy_ignoring(logits, targets, self.pad.into(), smoothing)
    }
}
