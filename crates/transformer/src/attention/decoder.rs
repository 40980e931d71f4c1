//! The side that writes.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use model_utils::layers::LayerNorm;
use model_utils::ops::Mask;

use super::cache::{Cache, KeysValues, Slots};
use super::config::TransformerConfig;
use super::feed_forward::FeedForward;
use super::multi_head::{MultiHeadAttention, Weights};
use super::position::Rotation;
use super::residual::{Residual, at_the_end, norm};
use crate::encoder_decoder::{DecoderState, kept_sentences, row_indices};

/// Self-attention to what came before, attention to the source, then the feed-forward layers.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Among the tokens written so far.
    pub self_attention: MultiHeadAttention,
    /// Around it.
    pub around_self: Residual,
    /// To the encoder's output.
    pub cross_attention: MultiHeadAttention,
    /// Around it.
    pub around_cross: Residual,
    /// Each token alone.
    pub feed_forward: FeedForward,
    /// Around it.
    pub around_feed_forward: Residual,
}

/// The weights of both attentions of the decoder.
#[derive(Debug, Default)]
pub(super) struct DecoderWeights {
    pub(super) own: Weights,
    pub(super) cross: Weights,
}

impl DecoderLayer {
    fn new(config: &TransformerConfig, device: &Device) -> Self {
        let around = || Residual::new(config, device);
        Self {
            self_attention: MultiHeadAttention::new(config, device),
            around_self: around(),
            cross_attention: MultiHeadAttention::new(config, device),
            around_cross: around(),
            feed_forward: FeedForward::new(config, device),
            around_feed_forward: around(),
        }
    }

    fn forward(
        &self,
        x: Tensor<3>,
        own: &Mask,
        (memory, source): (&Tensor<3>, &Mask),
        rotation: Option<&Rotation>,
        weights: &mut DecoderWeights,
    ) -> Tensor<3> {
        let x = self
            .around_self
            .around(x, |x| self.self_attention.attend_itself(x, own, rotation, &mut weights.own));
        let x = self.around_cross.around(x, |x| {
            let keys_values = self.cross_attention.keys_values(memory.clone(), None);
            let queries = self.cross_attention.queries(x, None);
            self.cross_attention.look_up(queries, &keys_values, source, &mut weights.cross)
        });
        self.around_feed_forward.around(x, |x| self.feed_forward.forward(x))
    }

    /// One token a row, `[rows, 1, width]`.
    fn step(
        &self,
        x: Tensor<3>,
        state: &mut LayerState,
        slots: &[u32],
        source: &Mask,
        rotation: Option<&Rotation>,
        weights: &mut Weights,
    ) -> Tensor<3> {
        let [rows, _, width] = x.dims();
        let x = self.around_self.around(x, |x| {
            let attention = &self.self_attention;
            let queries = attention.queries(x.clone(), rotation);
            state.own.push(attention.keys_values(x, rotation));
            attention.look_up_cache(queries, &state.own.kept, slots)
        });
        let x = self.around_cross.around(x, |x| {
            // The beams of a sentence are so many queries to one memory.
            let sentences = source.lengths.len();
            let queries = self.cross_attention.queries(x, None);
            let queries = queries.reshape([sentences, rows / sentences, width]);
            let found = self.cross_attention.look_up(queries, &state.memory, source, weights);
            found.reshape([rows, 1, width])
        });
        self.around_feed_forward.around(x, |x| self.feed_forward.forward(x))
    }
}

/// The stack that turns embedded target tokens into what is projected onto the vocabulary.
#[derive(Module, Debug)]
pub struct Decoder {
    /// From the first to the last.
    pub layers: Vec<DecoderLayer>,
    /// At the end, where the configuration has one.
    pub norm: Option<LayerNorm>,
}

impl Decoder {
    pub(super) fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            layers: (0..config.decoder_layers).map(|_| DecoderLayer::new(config, device)).collect(),
            norm: config.final_norm.then(|| norm(config, device)),
        }
    }

    /// `[batch, time, width]` → `[batch, time, width]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        own: &Mask,
        memory: (&Tensor<3>, &Mask),
        rotation: Option<&Rotation>,
        weights: &mut DecoderWeights,
    ) -> Tensor<3> {
        let layers = self.layers.iter();
        let x = layers.fold(x, |x, layer| layer.forward(x, own, memory, rotation, weights));
        at_the_end(self.norm.as_ref(), x)
    }

    /// Projects the memory once for all steps.
    pub(super) fn start(
        &self,
        memory: &Tensor<3>,
        source: Mask,
        steps: usize,
        beams: usize,
    ) -> TransformerState {
        let [sentences, _, width] = memory.dims();
        let layer = |layer: &DecoderLayer| LayerState {
            own: Cache::new(sentences * beams, steps, width, &memory.device()),
            memory: layer.cross_attention.keys_values(memory.clone(), None),
        };
        let layers = self.layers.iter().map(layer).collect();
        let slots = Slots::new(sentences * beams);
        TransformerState { layers, slots, source, beams, position: 0, attention: false }
    }

    /// One token a row, `[rows, 1, width]`, and the weights of the attentions to the source,
    /// `[sentences, heads, beams, source_time]` a layer, where they are asked for.
    pub(super) fn step(
        &self,
        mut x: Tensor<3>,
        state: &mut TransformerState,
        rotation: Option<&Rotation>,
    ) -> (Tensor<3>, Weights) {
        let mut weights = state.attention.then(Vec::new);
        state.slots.push();
        let slots = state.slots.all();
        for (layer, own) in self.layers.iter().zip(&mut state.layers) {
            x = layer.step(x, own, &slots, &state.source, rotation, &mut weights);
        }
        state.position += 1;
        (at_the_end(self.norm.as_ref(), x), weights)
    }
}

/// Cached keys and values of one layer.
#[derive(Debug, Clone)]
struct LayerState {
    own: Cache,
    memory: KeysValues,
}

/// What a Transformer carries from step to step: the keys and values of what it has written, and
/// those of the source, projected once.
#[derive(Debug, Clone)]
pub struct TransformerState {
    layers: Vec<LayerState>,
    slots: Slots,
    /// Of the sentences still decoded.
    source: Mask,
    beams: usize,
    pub(super) position: usize,
    pub(super) attention: bool,
}

impl DecoderState for TransformerState {
    fn select(&mut self, rows: &[usize]) {
        let Some(first) = self.layers.first() else { return };
        let device = first.memory.keys.device();
        self.slots.select(rows);
        let sentences = kept_sentences(rows, self.beams, self.source.lengths.len());
        let Some(sentences) = sentences else { return };
        let indices = row_indices(&sentences, &device);
        for layer in &mut self.layers {
            layer.memory.select(&indices);
        }
        let lengths = &self.source.lengths;
        self.source.lengths = sentences.iter().map(|&sentence| lengths[sentence]).collect();
    }
}
