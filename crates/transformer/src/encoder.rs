//! The side that reads.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};
use model_utils::layers::LayerNorm;
use model_utils::ops;
use serde::{Deserialize, Serialize};

use crate::attention::{Mask, MultiHeadAttention};
use crate::feed_forward::FeedForward;
use crate::position::Rotation;
use crate::transformer::TransformerConfig;

/// Where a sub-layer is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NormOrder {
    /// `x + f(norm(x))`: trains without a warm-up, and needs a norm at the end of the stack.
    #[default]
    Pre,
    /// `norm(x + f(x))`, as in the paper.
    Post,
}

/// A sub-layer's norm and dropout, around whatever it computes.
#[derive(Module, Debug)]
pub struct Residual {
    /// Before or after.
    pub norm: LayerNorm,
    /// On what is added, in training.
    pub dropout: Dropout,
    #[module(skip)]
    order: NormOrder,
}

impl Residual {
    pub(crate) fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            norm: norm(config, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            order: config.norm,
        }
    }

    pub(crate) fn around(
        &self,
        x: Tensor<3>,
        compute: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        match self.order {
            NormOrder::Pre => {
                let added = compute(ops::layer_norm(&self.norm, x.clone()));
                x + ops::dropout(&self.dropout, added)
            }
            NormOrder::Post => {
                let added = compute(x.clone());
                ops::layer_norm(&self.norm, x + ops::dropout(&self.dropout, added))
            }
        }
    }
}

pub(crate) fn norm(config: &TransformerConfig, device: &Device) -> LayerNorm {
    LayerNorm::new(config.d_model, config.norm_epsilon, device)
}

/// Self-attention, then the feed-forward layers.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Among all tokens of the source.
    pub self_attention: MultiHeadAttention,
    /// Around it.
    pub around_attention: Residual,
    /// Each token alone.
    pub feed_forward: FeedForward,
    /// Around it.
    pub around_feed_forward: Residual,
}

impl EncoderLayer {
    fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            self_attention: config.attention(device),
            around_attention: Residual::new(config, device),
            feed_forward: config.feed_forward(device),
            around_feed_forward: Residual::new(config, device),
        }
    }

    fn forward(
        &self,
        x: Tensor<3>,
        mask: &Mask,
        rotation: Option<&Rotation>,
        weights: &mut Option<Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let x = self
            .around_attention
            .around(x, |x| attend_itself(&self.self_attention, x, mask, rotation, weights));
        self.around_feed_forward.around(x, |x| self.feed_forward.forward(x))
    }
}

/// Self-attention, whose weights are kept where they are asked for.
pub(crate) fn attend_itself(
    attention: &MultiHeadAttention,
    x: Tensor<3>,
    mask: &Mask,
    rotation: Option<&Rotation>,
    weights: &mut Option<Vec<Tensor<4>>>,
) -> Tensor<3> {
    let queries = attention.queries(x.clone(), rotation);
    let keys_values = attention.keys_values(x, rotation);
    if let Some(weights) = weights {
        weights.push(attention.weights_of(queries.clone(), keys_values.keys.clone(), mask));
    }
    attention.look_up(queries, &keys_values, mask)
}

/// The stack that turns embedded source tokens into the memory that the decoder looks up.
#[derive(Module, Debug)]
pub struct Encoder {
    /// From the first to the last.
    pub layers: Vec<EncoderLayer>,
    /// At the end, where the configuration has one.
    pub norm: Option<LayerNorm>,
}

impl Encoder {
    pub(crate) fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            layers: (0..config.encoder_layers).map(|_| EncoderLayer::new(config, device)).collect(),
            norm: config.final_norm.then(|| norm(config, device)),
        }
    }

    /// `[batch, time, width]` → `[batch, time, width]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        mask: &Mask,
        rotation: Option<&Rotation>,
        weights: &mut Option<Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x, mask, rotation, weights));
        at_the_end(self.norm.as_ref(), x)
    }
}

pub(crate) fn at_the_end(norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => ops::layer_norm(norm, x),
        None => x,
    }
}
