//! Multi-head attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use model_utils::ops;

pub use model_utils::ops::{Mask, attention};

use crate::cache::KeysValues;
use crate::position::Rotation;

/// Attention by several heads side by side, each on its own part of the projected vectors.
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    /// Projects what asks.
    pub query: Linear,
    /// Projects what is looked up.
    pub key: Linear,
    /// Projects what is returned.
    pub value: Linear,
    /// Projects the heads' outputs together.
    pub output: Linear,
    /// On the weights, in training.
    pub dropout: Dropout,
    /// Heads.
    pub heads: usize,
}

impl MultiHeadAttention {
    pub(crate) fn new(width: usize, heads: usize, dropout: f64, device: &Device) -> Self {
        let linear = || xavier(width, width, device);
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            dropout: DropoutConfig::new(dropout).init(),
            heads,
        }
    }

    /// Looks `[batch, queries, width]` up in `[batch, keys, width]`; both are the same in
    /// self-attention.
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>, mask: &Mask) -> Tensor<3> {
        let keys_values = self.keys_values(memory, None);
        self.look_up(self.queries(queries, None), &keys_values, mask)
    }

    /// The weights of [`forward`](Self::forward), `[batch, heads, queries, keys]`.
    pub fn weights(&self, queries: Tensor<3>, memory: Tensor<3>, mask: &Mask) -> Tensor<4> {
        let keys = ops::linear(&self.key, memory);
        self.weights_of(self.queries(queries, None), keys, mask)
    }

    pub(crate) fn queries(&self, x: Tensor<3>, rotation: Option<&Rotation>) -> Tensor<3> {
        self.turned(ops::linear(&self.query, x), rotation)
    }

    pub(crate) fn keys_values(&self, memory: Tensor<3>, rotation: Option<&Rotation>) -> KeysValues {
        let keys = self.turned(ops::linear(&self.key, memory.clone()), rotation);
        KeysValues { keys, values: ops::linear(&self.value, memory) }
    }

    fn turned(&self, x: Tensor<3>, rotation: Option<&Rotation>) -> Tensor<3> {
        match rotation {
            Some(rotation) => rotation.turn(x, self.heads),
            None => x,
        }
    }

    /// Of projected queries among projected keys and values.
    pub(crate) fn look_up(
        &self,
        queries: Tensor<3>,
        memory: &KeysValues,
        mask: &Mask,
    ) -> Tensor<3> {
        let (keys, values) = (memory.keys.clone(), memory.values.clone());
        let found =
            ops::multi_head_attention(queries, keys, values, self.heads, mask, &self.dropout);
        ops::linear(&self.output, found)
    }

    /// Of projected queries, one a row, among what a cache holds.
    pub(crate) fn look_up_cache(
        &self,
        queries: Tensor<3>,
        cache: &KeysValues,
        slots: &[u32],
    ) -> Tensor<3> {
        let (keys, values) = (cache.keys.clone(), cache.values.clone());
        ops::linear(&self.output, ops::cached_attention(queries, keys, values, self.heads, slots))
    }

    /// Of projected queries among projected keys.
    pub(crate) fn weights_of(&self, queries: Tensor<3>, keys: Tensor<3>, mask: &Mask) -> Tensor<4> {
        ops::multi_head_weights(queries, keys, self.heads, mask)
    }
}

/// A fully connected layer with Glorot and Bengio's spread (2010) and biases of 0.
pub(crate) fn xavier(from: usize, to: usize, device: &Device) -> Linear {
    let spread = Initializer::XavierUniform { gain: 1.0 };
    let mut linear = LinearConfig::new(from, to).with_initializer(spread).init(device);
    linear.bias = Some(Initializer::Zeros.init([to], device));
    linear
}
