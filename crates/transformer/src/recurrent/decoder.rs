//! Writing from a state.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use model_utils::ops;

use super::attention::{RecurrentAttention, Source};
use super::cell::{Cell, Memory, RecurrentLayer};
use super::config::{AttentionKind, RecurrentConfig};
use crate::encoder_decoder::{DecoderState, kept_sentences, row_indices};
use crate::layers::xavier;

/// Layers that write the target.
#[derive(Module, Debug)]
pub struct RecurrentDecoder {
    /// From the embeddings, and with Bahdanau's attention from what is looked at, upwards.
    pub layers: Vec<RecurrentLayer>,
    /// From the encoder's last states of each layer to the first state.
    pub bridges: Vec<Linear>,
    /// From its last cells to the first cell of an LSTM.
    pub cell_bridges: Vec<Linear>,
    /// How it looks at the source, where it does.
    pub attention: Option<RecurrentAttention>,
    /// From state and what is looked at to the width of the embeddings.
    pub readout: Linear,
    /// Between layers and before the output, in training.
    pub dropout: Dropout,
    #[module(skip)]
    kind: AttentionKind,
}

/// What a recurrent model carries from step to step.
#[derive(Debug, Clone)]
pub struct RecurrentState {
    memories: Vec<Memory>,
    source: Option<Source>,
    beams: usize,
    pub(super) attention: bool,
}

impl RecurrentDecoder {
    pub(super) fn new(config: &RecurrentConfig, device: &Device) -> Self {
        let width = config.d_hidden;
        let attention = RecurrentAttention::new(config, device);
        let context = if attention.is_some() { 2 * width } else { 0 };
        let fed = if config.attention == AttentionKind::Bahdanau { context } else { 0 };
        let from = |layer| if layer == 0 { config.d_embedding + fed } else { width };
        let layer = |layer| RecurrentLayer::new(from(layer), width, config.cell, device);
        let bridge = |_| xavier(2 * width, width, device);
        let cells = if config.cell == Cell::Lstm { config.layers } else { 0 };
        Self {
            layers: (0..config.layers).map(layer).collect(),
            bridges: (0..config.layers).map(bridge).collect(),
            cell_bridges: (0..cells).map(bridge).collect(),
            attention,
            readout: xavier(width + context, config.d_embedding, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            kind: config.attention,
        }
    }

    /// The states in which decoding begins, and the source to look at.
    pub(super) fn start(
        &self,
        outputs: Tensor<3>,
        last: Vec<Memory>,
        lengths: &[usize],
        beams: usize,
    ) -> RecurrentState {
        let memory = |(layer, last): (usize, Memory)| {
            let [batch, _] = last.hidden.dims();
            let memory = Memory {
                hidden: ops::tanh(ops::linear(&self.bridges[layer], last.hidden)),
                cell: last.cell.map(|cell| ops::linear(&self.cell_bridges[layer], cell)),
            };
            memory.map(|x| {
                let width = x.dims()[1];
                let repeated = x.unsqueeze_dim::<3>(1).repeat_dim(1, beams);
                repeated.reshape([batch * beams, width])
            })
        };
        RecurrentState {
            memories: last.into_iter().enumerate().map(memory).collect(),
            source: self.attention.as_ref().map(|attention| attention.source(outputs, lengths)),
            beams,
            attention: false,
        }
    }

    /// All tokens of `[batch, time, d_embedding]` → what is projected onto the vocabulary.
    pub(super) fn forward(&self, x: Tensor<3>, mut state: RecurrentState) -> Tensor<3> {
        if self.kind == AttentionKind::Bahdanau {
            // Each step looks before it is taken.
            let steps = (0..x.dims()[1]).map(|at| {
                let x = x.clone().narrow(1, at, 1).squeeze_dim::<2>(1);
                let (hidden, context, _) = self.advance(x, &mut state);
                joined(hidden, context)
            });
            return self.read_out(Tensor::stack(steps.collect(), 1));
        }
        let mut x = x;
        for (at, (layer, memory)) in self.layers.iter().zip(state.memories).enumerate() {
            if at > 0 {
                x = ops::dropout(&self.dropout, x);
            }
            x = layer.run(x, Some(memory), &[], false).0;
        }
        let context = self.attention.as_ref().zip(state.source.as_ref());
        let context = context.map(|(attention, source)| attention.look(x.clone(), source).0);
        self.read_out(match context {
            Some(context) => Tensor::cat(vec![x, context], 2),
            None => x,
        })
    }

    /// One token a row, `[rows, d_embedding]` → `[rows, d_embedding]` and the weights over the
    /// source, `[rows, time]`, where there are any.
    pub(super) fn step(
        &self,
        x: Tensor<2>,
        state: &mut RecurrentState,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let (hidden, context, weights) = self.advance(x, state);
        (self.read_out(joined(hidden, context)), weights)
    }

    /// The new state, what it looks at and the weights of that.
    fn advance(
        &self,
        x: Tensor<2>,
        state: &mut RecurrentState,
    ) -> (Tensor<2>, Option<Tensor<2>>, Option<Tensor<2>>) {
        let looked = (self.kind == AttentionKind::Bahdanau)
            .then(|| state.memories.last().map(|memory| memory.hidden.clone()))
            .flatten()
            .and_then(|hidden| self.look(hidden, state));
        let mut x = match &looked {
            Some((context, _)) => Tensor::cat(vec![x, context.clone()], 1),
            None => x,
        };
        for (at, (layer, memory)) in self.layers.iter().zip(&mut state.memories).enumerate() {
            if at > 0 {
                x = ops::dropout(&self.dropout, x);
            }
            *memory = layer.step(layer.project(x), memory);
            x = memory.hidden.clone();
        }
        let looked = looked.or_else(|| self.look(x.clone(), state));
        let (context, weights) = looked.unzip();
        (x, context, weights)
    }

    /// `[rows, d_hidden]` states, the rows of a sentence as so many queries to it.
    fn look(&self, hidden: Tensor<2>, state: &RecurrentState) -> Option<(Tensor<2>, Tensor<2>)> {
        let (attention, source) = (self.attention.as_ref()?, state.source.as_ref()?);
        let [rows, width] = hidden.dims();
        let sentences = rows / state.beams;
        let queries = hidden.reshape([sentences, state.beams, width]);
        let (context, weights) = attention.look(queries, source);
        let of_context = context.dims()[2];
        let time = weights.dims()[2];
        Some((context.reshape([rows, of_context]), weights.reshape([rows, time])))
    }

    fn read_out<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::dropout(&self.dropout, ops::tanh(ops::linear(&self.readout, x)))
    }
}

fn joined(hidden: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
    match context {
        Some(context) => Tensor::cat(vec![hidden, context], 1),
        None => hidden,
    }
}

impl DecoderState for RecurrentState {
    fn select(&mut self, rows: &[usize]) {
        let Some(first) = self.memories.first() else { return };
        let device = first.hidden.device();
        let indices = row_indices(rows, &device);
        for memory in &mut self.memories {
            memory.select(&indices);
        }
        let Some(source) = &mut self.source else { return };
        let count = source.keys.dims()[0];
        if let Some(sentences) = kept_sentences(rows, self.beams, count) {
            let sentences = row_indices(&sentences, &device);
            source.keys = source.keys.clone().select(0, sentences.clone());
            source.values = source.values.clone().select(0, sentences.clone());
            source.hidden = source.hidden.clone().select(0, sentences);
        }
    }
}
