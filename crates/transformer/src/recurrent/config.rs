//! What a recurrent model is made from.

use burn::config::Config;
use model_utils::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use super::cell::Cell;

/// How the decoder looks at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// Not at all: it has the state alone in which the encoder ended.
    None,
    /// Before each step, by a small network over the state and each source token (additive).
    #[default]
    Bahdanau,
    /// After each step, by a product of the state and each source token (general).
    Luong,
}

/// Configuration of a [`Recurrent`](super::Recurrent) model.
///
/// ```
/// use transformer::recurrent::{AttentionKind, Cell};
/// use transformer::{EncoderDecoder, RecurrentConfig};
/// # let device = model_utils::device::DeviceSpec::default().open()?;
///
/// let config = RecurrentConfig::new(1_000, 1_200).with_cell(Cell::Lstm);
/// let model = config.with_attention(AttentionKind::Luong).init(&device)?;
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
    #[config(default = "AttentionKind::Bahdanau")]
    pub attention: AttentionKind,
    /// On embeddings, between layers and before the output.
    #[config(default = 0.2)]
    pub dropout: f64,
    /// Whether source and target embeddings are one table, for one vocabulary on both sides.
    #[config(default = false)]
    pub shared: bool,
}

impl RecurrentConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("source_vocabulary", self.source_vocabulary),
            ("target_vocabulary", self.target_vocabulary),
            ("d_embedding", self.d_embedding),
            ("d_hidden", self.d_hidden),
            ("layers", self.layers),
        ];
        for (field, size) in sizes {
            config::at_least(field, size, 1)?;
        }
        config::share_below_one("dropout", self.dropout)?;
        let fits = !self.shared || self.source_vocabulary == self.target_vocabulary;
        let what = format!("{}, as the tables are shared", self.target_vocabulary);
        config::require(fits, "source_vocabulary", self.source_vocabulary, what)
    }
}
