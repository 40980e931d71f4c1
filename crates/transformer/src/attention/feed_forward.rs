//! What each token goes through alone.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::layers::Activation;
use model_utils::ops;

use super::config::TransformerConfig;
use crate::layers::xavier;

/// Two layers with an activation between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// To the wider hidden vector.
    pub inner: Linear,
    /// And back.
    pub outer: Linear,
    /// Behind the activation, in training.
    pub dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    pub(super) fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            inner: xavier(config.d_model, config.d_ff, device),
            outer: xavier(config.d_ff, config.d_model, device),
            dropout: DropoutConfig::new(config.activation_dropout).init(),
            activation: config.activation,
        }
    }

    /// `[batch, time, width]` → `[batch, time, width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = self.activation.forward(ops::linear(&self.inner, x));
        ops::linear(&self.outer, ops::dropout(&self.dropout, hidden))
    }
}
