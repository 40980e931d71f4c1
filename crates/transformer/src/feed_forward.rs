//! What each token goes through alone.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::layers::Activation;
use model_utils::ops;

use crate::attention::xavier;

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
    pub(crate) fn new(
        [width, hidden]: [usize; 2],
        activation: Activation,
        dropout: f64,
        device: &Device,
    ) -> Self {
        Self {
            inner: xavier(width, hidden, device),
            outer: xavier(hidden, width, device),
            dropout: DropoutConfig::new(dropout).init(),
            activation,
        }
    }

    /// `[batch, time, width]` → `[batch, time, width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = self.activation.forward(ops::linear(&self.inner, x));
        ops::linear(&self.outer, ops::dropout(&self.dropout, hidden))
    }
}
