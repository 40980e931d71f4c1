//! How a recurrent decoder looks at the source.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor};
use model_utils::ops::{self, Mask};

use super::config::{AttentionKind, RecurrentConfig};
use crate::layers::xavier;

/// Bahdanau's or Luong's attention.
#[derive(Module, Debug)]
pub struct RecurrentAttention {
    /// Projects the encoder's states, once a sentence.
    pub key: Linear,
    /// Projects the decoder's state: Bahdanau's alone.
    pub query: Option<Linear>,
    /// Makes a number of the two: Bahdanau's alone.
    pub score: Option<Linear>,
}

/// The source, as the decoder looks at it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The encoder's states, `[sentences, time, 2 · d_hidden]`.
    pub(super) values: Tensor<3>,
    /// Their projection, `[sentences, time, d_hidden]`.
    pub(super) keys: Tensor<3>,
    /// True where there is padding, `[sentences, 1, time]`.
    pub(super) hidden: Tensor<3, Bool>,
}

impl RecurrentAttention {
    pub(super) fn new(config: &RecurrentConfig, device: &Device) -> Option<Self> {
        let width = config.d_hidden;
        let is_additive = match config.attention {
            AttentionKind::None => return None,
            AttentionKind::Bahdanau => true,
            AttentionKind::Luong => false,
        };
        Some(Self {
            key: xavier(2 * width, width, device),
            query: is_additive.then(|| xavier(width, width, device)),
            score: is_additive.then(|| xavier(width, 1, device)),
        })
    }

    pub(super) fn source(&self, values: Tensor<3>, lengths: &[usize]) -> Source {
        let [_, time, _] = values.dims();
        let device = values.device().without_autodiff();
        let hidden = Mask::padding(lengths).to_tensor(1, time, &device).squeeze_dim::<3>(1);
        Source { keys: ops::linear(&self.key, values.clone()), values, hidden }
    }

    /// `[sentences, queries, d_hidden]` states → what they look at, `[sentences, queries, 2 ·
    /// d_hidden]`, and the weights, `[sentences, queries, time]`.
    pub(super) fn look(&self, queries: Tensor<3>, source: &Source) -> (Tensor<3>, Tensor<3>) {
        let scores = match (&self.query, &self.score) {
            (Some(query), Some(score)) => {
                let queries = ops::linear(query, queries).unsqueeze_dim::<4>(2);
                let both = queries + source.keys.clone().unsqueeze_dim::<4>(1);
                ops::linear(score, ops::tanh(both)).squeeze_dim::<3>(3)
            }
            _ => queries.matmul(source.keys.clone().transpose()),
        };
        let [sentences, queries, time] = scores.dims();
        let hidden = source.hidden.clone().expand([sentences, queries, time]);
        let weights = softmax(scores.mask_fill(hidden, -1e4), 2);
        (weights.clone().matmul(source.values.clone()), weights)
    }
}
