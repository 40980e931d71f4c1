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
mod decoder;
mod encoder;

pub use attention::RecurrentAttention;
pub use cell::{Cell, Memory, RecurrentLayer};
pub use decoder::{RecurrentDecoder, RecurrentState};
pub use encoder::RecurrentEncoder;

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::layers::normal;
use model_utils::ops;
use serde::{Deserialize, Serialize};

use crate::error::{Result, require};
use crate::model::{Decoding, EncoderDecoder, Padded, Step};

/// How the decoder looks at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Looking {
    /// Not at all: it has the state alone in which the encoder ended.
    None,
    /// Before each step, by a small network over the state and each source token (additive).
    #[default]
    Bahdanau,
    /// After each step, by a product of the state and each source token (general).
    Luong,
}

/// Configuration of a [`Recurrent`] model.
///
/// ```
/// use transformer::recurrent::{Cell, Looking};
/// use transformer::{EncoderDecoder, RecurrentConfig};
/// # let device = model_utils::device::DeviceSpec::default().open()?;
///
/// let config = RecurrentConfig::new(1_000, 1_200).with_cell(Cell::Lstm);
/// let model = config.with_looking(Looking::Luong).init(&device)?;
/// assert_eq!(model.vocabularies(), [1_000, 1_200]);
/// # Ok::<(), transformer::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct RecurrentConfig {
    /// Ids of the source side.
    pub source_vocabulary: usize,
    /// Ids of the target side.
    pub target_vocabulary: usize,
    /// Width of the embeddings.
    #[config(default = 256)]
    pub d_embedding: usize,
    /// Width of the states; the encoder has one in each direction.
    #[config(default = 256)]
    pub d_hidden: usize,
    /// Layers of encoder and decoder.
    #[config(default = 1)]
    pub layers: usize,
    /// What carries the state.
    #[config(default = "Cell::Gru")]
    pub cell: Cell,
    /// How the decoder looks at the source.
    #[config(default = "Looking::Bahdanau")]
    pub looking: Looking,
    /// On embeddings, between layers and before the output.
    #[config(default = 0.2)]
    pub dropout: f64,
    /// Whether source and target embeddings are one table, for one vocabulary on both sides.
    #[config(default = false)]
    pub shared: bool,
}

impl RecurrentConfig {
    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Recurrent> {
        let sizes = [
            ("source_vocabulary", self.source_vocabulary),
            ("target_vocabulary", self.target_vocabulary),
            ("d_embedding", self.d_embedding),
            ("d_hidden", self.d_hidden),
            ("layers", self.layers),
        ];
        for (field, size) in sizes {
            require(size > 0, field, size, "at least 1")?;
        }
        let share = self.dropout;
        require((0.0..1.0).contains(&share), "dropout", share, "at least 0 and below 1")?;
        let fits = !self.shared || self.source_vocabulary == self.target_vocabulary;
        let what = format!("{}, as the tables are shared", self.target_vocabulary);
        require(fits, "source_vocabulary", self.source_vocabulary, &what)?;
        let embedding = |vocabulary| {
            let spread = normal((self.d_embedding as f64).powf(-0.5));
            EmbeddingConfig::new(vocabulary, self.d_embedding).with_initializer(spread).init(device)
        };
        Ok(Recurrent {
            source_embedding: (!self.shared).then(|| embedding(self.source_vocabulary)),
            target_embedding: embedding(self.target_vocabulary),
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
        let ids: Vec<i32> = tokens.iter().map(|&id| id as i32).collect();
        let ids = Tensor::from_data(TensorData::new(ids, [tokens.len(), 1]), &device);
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
