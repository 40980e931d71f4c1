//! Recurrent translation: a sentence read into a state, and written from it.
//!
//! The baseline that attention is measured against: plain (Sutskever et al. 2014,
//! <https://arxiv.org/abs/1409.3215>; Cho et al. 2014), with Bahdanau's attention (2015,
//! <https://arxiv.org/abs/1409.0473>) and with Luong's (2015, <https://arxiv.org/abs/1508.04025>).
//!
//! Differences from the papers: in all three the decoder's output passes through one layer with a
//! hyperbolic tangent onto the width of the embeddings, whose table is the output projection;
//! Luong's attention is global with the general score and without input feeding, so that all steps
//! of training attend at once.

mod attention;
mod cell;
mod config;
mod decoder;
mod encoder;

pub use attention::RecurrentAttention;
pub use cell::{Cell, Memory, RecurrentLayer};
pub use config::{AttentionKind, RecurrentConfig};
pub use decoder::{RecurrentDecoder, RecurrentState};
pub use encoder::RecurrentEncoder;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding};
use burn::tensor::{Device, Int, Tensor};
use model_utils::ops;

use crate::encoder_decoder::{Decoding, EncoderDecoder, Padded, Step, token_column};
use crate::error::Result;
use crate::layers::embedding;

impl RecurrentConfig {
    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Recurrent> {
        self.check()?;
        Ok(Recurrent {
            source_embedding: (!self.shared)
                .then(|| embedding(self.source_vocabulary, self.d_embedding, device)),
            target_embedding: embedding(self.target_vocabulary, self.d_embedding, device),
            encoder: RecurrentEncoder::new(self, device),
            decoder: RecurrentDecoder::new(self, device),
            dropout: DropoutConfig::new(self.dropout).init(),
            config: self.clone(),
        })
    }
}

/// A recurrent encoder and decoder. See [`RecurrentConfig`].
#[derive(Module, Debug)]
pub struct Recurrent {
    /// Of the source, where it is not the target's.
    pub source_embedding: Option<Embedding>,
    /// Of the target, and the output projection.
    pub target_embedding: Embedding,
    /// The side that reads, in both directions.
    pub encoder: RecurrentEncoder,
    /// The side that writes.
    pub decoder: RecurrentDecoder,
    /// On embeddings, in training.
    pub dropout: Dropout,
    #[module(skip)]
    config: RecurrentConfig,
}

impl Recurrent {
    /// What it was made from.
    pub fn config(&self) -> &RecurrentConfig {
        &self.config
    }

    /// Unit spread at first, as the gates expect: √d times the table that is tied to the output.
    fn embed(&self, table: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
        let x = ops::embedding(table, ids) * (self.config.d_embedding as f64).sqrt();
        ops::dropout(&self.dropout, x)
    }

    fn begin(&self, source: &Padded, beams: usize) -> RecurrentState {
        let table = self.source_embedding.as_ref().unwrap_or(&self.target_embedding);
        let x = self.embed(table, source.ids.clone());
        let (outputs, last) = self.encoder.forward(x, &source.lengths);
        self.decoder.start(outputs, last, &source.lengths, beams)
    }

    /// The target's table lifts the readout onto the vocabulary.
    fn project<const D: usize>(&self, readout: Tensor<D>) -> Tensor<D> {
        ops::linear_transposed(readout, self.target_embedding.weight.val(), None)
    }
}

impl EncoderDecoder for Recurrent {
    type State = RecurrentState;

    fn logits(&self, source: &Padded, target: &Padded) -> Tensor<3> {
        let state = self.begin(source, 1);
        let x = self.embed(&self.target_embedding, target.ids.clone());
        self.project(self.decoder.forward(x, state))
    }

    fn start(&self, source: &Padded, decoding: Decoding) -> RecurrentState {
        let mut state = self.begin(source, decoding.beams);
        state.attention = decoding.attention;
        state
    }

    fn step(&self, tokens: &[u32], state: &mut RecurrentState) -> Step {
        let device = self.target_embedding.weight.val().device().without_autodiff();
        let ids = token_column(tokens, &device);
        let x = self.embed(&self.target_embedding, ids).squeeze_dim::<2>(1);
        let (readout, weights) = self.decoder.step(x, state);
        let attention = if state.attention { weights } else { None };
        Step { logits: self.project(readout), attention }
    }

    fn vocabularies(&self) -> [usize; 2] {
        [self.config.source_vocabulary, self.config.target_vocabulary]
    }

    fn max_length(&self) -> Option<usize> {
        None
    }
}
