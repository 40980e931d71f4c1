//! The side that reads.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use model_utils::layers::LayerNorm;
use model_utils::ops::Mask;

use super::config::TransformerConfig;
use super::feed_forward::FeedForward;
use super::multi_head::{MultiHeadAttention, Weights};
use super::position::Rotation;
use super::residual::{Residual, at_the_end, norm};

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
            self_attention: MultiHeadAttention::new(config, device),
            around_attention: Residual::new(config, device),
            feed_forward: FeedForward::new(config, device),
            around_feed_forward: Residual::new(config, device),
        }
    }

    fn forward(
        &self,
        x: Tensor<3>,
        mask: &Mask,
        rotation: Option<&Rotation>,
        weights: &mut Weights,
    ) -> Tensor<3> {
        let x = self
            .around_attention
            .around(x, |x| self.self_attention.attend_itself(x, mask, rotation, weights));
        self.around_feed_forward.around(x, |x| self.feed_forward.forward(x))
    }
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
    pub(super) fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            layers: (0..config.encoder_layers).map(|_| EncoderLayer::new(config, device)).collect(),
            norm: config.final_norm.then(|| norm(config, device)),
        }
    }

    /// `[batch, time, width]` → `[batch, time, width]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        mask: &Mask,
        rotation: Option<&Rotation>,
        weights: &mut Weights,
    ) -> Tensor<3> {
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x, mask, rotation, weights));
        at_the_end(self.norm.as_ref(), x)
    }
}
