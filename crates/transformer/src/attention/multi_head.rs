//! Multi-head attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::ops::{self, Mask};

use super::cache::KeysValues;
use super::config::TransformerConfig;
use super::position::Rotation;
use crate::layers::xavier;

/// The weights of attentions, `[batch, heads, queries, keys]` a layer, where they are asked for.
pub(super) type Weights = Option<Vec<Tensor<4>>>;

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
    pub(super) fn new(config: &TransformerConfig, device: &Device) -> Self {
        let linear = || xavier(config.d_model, config.d_model, device);
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            dropout: DropoutConfig::new(config.attention_dropout).init(),
            heads: config.heads,
        }
    }

    /// Looks `[batch, queries, width]` up in `[batch, keys, width]`; both are the same in
    /// self-attention.
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>, mask: &Mask) -> Tensor<3> {
        let keys_values = self.keys_values(memory, None);
        self.look_up(self.queries(queries, None), &keys_values, mask, &mut None)
    }

    /// The weights of [`forward`](Self::forward), `[batch, heads, queries, keys]`.
    pub fn weights(&self, queries: Tensor<3>, memory: Tensor<3>, mask: &Mask) -> Tensor<4> {
        let keys = ops::linear(&self.key, memory);
        ops::multi_head_weights(self.queries(queries, None), keys, self.heads, mask)
    }

    /// Among its own tokens.
    pub(super) fn attend_itself(
        &self,
        x: Tensor<3>,
        mask: &Mask,
        rotation: Option<&Rotation>,
        weights: &mut Weights,
    ) -> Tensor<3> {
        let queries = self.queries(x.clone(), rotation);
        self.look_up(queries, &self.keys_values(x, rotation), mask, weights)
    }

    pub(super) fn queries(&self, x: Tensor<3>, rotation: Option<&Rotation>) -> Tensor<3> {
        self.turned(ops::linear(&self.query, x), rotation)
    }

    pub(super) fn keys_values(&self, memory: Tensor<3>, rotation: Option<&Rotation>) -> KeysValues {
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
    pub(super) fn look_up(
        &self,
        queries: Tensor<3>,
        memory: &KeysValues,
        mask: &Mask,
        weights: &mut Weights,
    ) -> Tensor<3> {
        let (keys, values) = (memory.keys.clone(), memory.values.clone());
        if let Some(weights) = weights {
            let (queries, keys) = (queries.clone(), keys.clone());
            weights.push(ops::multi_head_weights(queries, keys, self.heads, mask));
        }
        let found =
            ops::multi_head_attention(queries, keys, values, self.heads, mask, &self.dropout);
        ops::linear(&self.output, found)
    }

    /// Of projected queries, one a row, among what a cache holds.
    pub(super) fn look_up_cache(
        &self,
        queries: Tensor<3>,
        cache: &KeysValues,
        slots: &[u32],
    ) -> Tensor<3> {
        let (keys, values) = (cache.keys.clone(), cache.values.clone());
        ops::linear(&self.output, ops::cached_attention(queries, keys, values, self.heads, slots))
    }
}
