//! The Transformer (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, Initializer, Linear};
use burn::tensor::{Device, Int, Tensor};
use model_utils::ops::{self, Mask};

use super::config::{TransformerConfig, Tying};
use super::decoder::{Decoder, DecoderWeights, TransformerState};
use super::encoder::Encoder;
use super::multi_head::Weights;
use super::position::{PositionalEncoding, Positions, Rotation};
use crate::encoder_decoder::{Decoding, EncoderDecoder, Padded, Step, token_column};
use crate::error::Result;
use crate::layers::{embedding, xavier};

impl TransformerConfig {
    /// Builds the model with fresh weights: Glorot's spread for layers, d^−½ for embeddings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Transformer> {
        self.check()?;
        let width = self.d_model;
        let is_tied = self.tying != Tying::None;
        let is_shared = self.tying == Tying::All;
        let positions = || PositionalEncoding::new(self.positions, self.max_length, width, device);
        Ok(Transformer {
            source_embedding: (!is_shared)
                .then(|| embedding(self.source_vocabulary, width, device)),
            target_embedding: embedding(self.target_vocabulary, width, device),
            source_positions: positions(),
            target_positions: positions(),
            encoder: Encoder::new(self, device),
            decoder: Decoder::new(self, device),
            projection: (!is_tied).then(|| xavier(width, self.target_vocabulary, device)),
            output_bias: (is_tied && self.output_bias)
                .then(|| Initializer::Zeros.init([self.target_vocabulary], device)),
            dropout: DropoutConfig::new(self.dropout).init(),
            config: self.clone(),
        })
    }
}

/// An encoder and a decoder of attention alone. See [`TransformerConfig`].
#[derive(Module, Debug)]
pub struct Transformer {
    /// Of the source, where it is not the target's.
    pub source_embedding: Option<Embedding>,
    /// Of the target, and the output projection where it is tied.
    pub target_embedding: Embedding,
    /// Of the source.
    pub source_positions: PositionalEncoding,
    /// Of the target.
    pub target_positions: PositionalEncoding,
    /// The side that reads.
    pub encoder: Encoder,
    /// The side that writes.
    pub decoder: Decoder,
    /// Onto the vocabulary, where it is not the target embedding.
    pub projection: Option<Linear>,
    /// Of the tied projection.
    pub output_bias: Option<Param<Tensor<1>>>,
    /// On embeddings, in training.
    pub dropout: Dropout,
    #[module(skip)]
    config: TransformerConfig,
}

/// The weights of all attentions over one batch, a tensor `[batch, heads, queries, keys]` a layer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttentionMaps {
    /// The encoder's, among source tokens.
    pub encoder: Vec<Tensor<4>>,
    /// The decoder's, among target tokens.
    pub decoder: Vec<Tensor<4>>,
    /// The decoder's, from target to source tokens.
    pub cross: Vec<Tensor<4>>,
}

impl Transformer {
    /// What it was made from.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// The memory of the source, `[batch, source_time, d_model]`.
    pub fn encode(&self, source: &Padded) -> Tensor<3> {
        self.encode_with(source, &mut None)
    }

    fn encode_with(&self, source: &Padded, weights: &mut Weights) -> Tensor<3> {
        let table = self.source_embedding.as_ref().unwrap_or(&self.target_embedding);
        let x = self.embed(table, &self.source_positions, source.ids.clone(), 0);
        let rotation = self.rotation(0, source.time(), &x.device());
        self.encoder.forward(x, &Mask::padding(&source.lengths), rotation.as_ref(), weights)
    }

    /// What the projection turns into logits, `[batch, target_time, d_model]`.
    pub fn decode(&self, target: &Padded, memory: &Tensor<3>, source: &[usize]) -> Tensor<3> {
        self.decode_with(target, memory, source, &mut DecoderWeights::default())
    }

    fn decode_with(
        &self,
        target: &Padded,
        memory: &Tensor<3>,
        source: &[usize],
        weights: &mut DecoderWeights,
    ) -> Tensor<3> {
        let x = self.embed(&self.target_embedding, &self.target_positions, target.ids.clone(), 0);
        let rotation = self.rotation(0, target.time(), &x.device());
        let own = if self.config.causal { Mask::causal } else { Mask::padding };
        let (own, source) = (own(&target.lengths), Mask::padding(source));
        self.decoder.forward(x, &own, (memory, &source), rotation.as_ref(), weights)
    }

    /// The weights of all attentions over teacher-forced targets.
    pub fn attention_maps(&self, source: &Padded, target: &Padded) -> AttentionMaps {
        let mut encoder = Some(Vec::new());
        let memory = self.encode_with(source, &mut encoder);
        let mut weights = DecoderWeights { own: Some(Vec::new()), cross: Some(Vec::new()) };
        self.decode_with(target, &memory, &source.lengths, &mut weights);
        let taken = Option::unwrap_or_default;
        AttentionMaps {
            encoder: taken(encoder),
            decoder: taken(weights.own),
            cross: taken(weights.cross),
        }
    }

    fn embed(
        &self,
        table: &Embedding,
        positions: &PositionalEncoding,
        ids: Tensor<2, Int>,
        from: usize,
    ) -> Tensor<3> {
        let x = ops::embedding(table, ids);
        let x =
            if self.config.scale_embeddings { x * (self.config.d_model as f64).sqrt() } else { x };
        ops::dropout(&self.dropout, positions.forward(x, from))
    }

    fn rotation(&self, from: usize, time: usize, device: &Device) -> Option<Rotation> {
        let width = self.config.d_model / self.config.heads;
        let is_rotary = self.config.positions == Positions::Rotary;
        is_rotary.then(|| Rotation::new(from, time, width, device))
    }

    fn project<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(projection) = &self.projection {
            return ops::linear(projection, x);
        }
        let bias = self.output_bias.as_ref().map(Param::val);
        ops::linear_transposed(x, self.target_embedding.weight.val(), bias)
    }
}

impl EncoderDecoder for Transformer {
    type State = TransformerState;

    fn logits(&self, source: &Padded, target: &Padded) -> Tensor<3> {
        let memory = self.encode(source);
        self.project(self.decode(target, &memory, &source.lengths))
    }

    fn start(&self, source: &Padded, decoding: Decoding) -> TransformerState {
        let memory = self.encode(source);
        let mask = Mask::padding(&source.lengths);
        let mut state = self.decoder.start(&memory, mask, decoding.steps, decoding.beams);
        state.attention = decoding.attention;
        state
    }

    fn step(&self, tokens: &[u32], state: &mut TransformerState) -> Step {
        let device = self.target_embedding.weight.val().device().without_autodiff();
        let ids = token_column(tokens, &device);
        let at = state.position;
        let x = self.embed(&self.target_embedding, &self.target_positions, ids, at);
        let rotation = self.rotation(at, 1, &device);
        let (x, weights) = self.decoder.step(x, state, rotation.as_ref());
        // Of the last layer but one, whose attention follows the words best (Garg et al. 2019).
        let attention = weights.and_then(|mut weights| {
            let layer = weights.len().saturating_sub(2);
            (layer < weights.len()).then(|| {
                let weights = weights.swap_remove(layer);
                let [sentences, _, beams, keys] = weights.dims();
                weights.mean_dim(1).reshape([sentences * beams, keys])
            })
        });
        Step { logits: self.project(x.squeeze_dim::<2>(1)), attention }
    }

    fn vocabularies(&self) -> [usize; 2] {
        [self.config.source_vocabulary, self.config.target_vocabulary]
    }

    fn max_length(&self) -> Option<usize> {
        self.source_positions.learned_weight().map(|_| self.config.max_length)
    }
}
