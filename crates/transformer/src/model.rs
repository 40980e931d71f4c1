//! The model of a translator, of any kind.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use model_utils::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::attention::{Transformer, TransformerConfig, TransformerState};
use crate::encoder_decoder::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
use crate::error::Result;
use crate::recurrent::{Recurrent, RecurrentConfig, RecurrentState};

/// Configuration of a [`Model`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelConfig {
    /// Attention alone.
    Transformer(TransformerConfig),
    /// A recurrent network, with attention or without.
    Recurrent(RecurrentConfig),
}

impl ModelConfig {
    /// Sets how many ids there are on either side.
    #[must_use]
    pub fn with_vocabularies(mut self, source: usize, target: usize) -> Self {
        let (sources, targets) = match &mut self {
            Self::Transformer(model) => {
                (&mut model.source_vocabulary, &mut model.target_vocabulary)
            }
            Self::Recurrent(model) => (&mut model.source_vocabulary, &mut model.target_vocabulary),
        };
        (*sources, *targets) = (source, target);
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Transformer(config) => config.check(),
            Self::Recurrent(config) => config.check(),
        }
    }

    /// Builds the model with fresh weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Model> {
        match self {
            Self::Transformer(config) => Ok(Model::Transformer(config.init(device)?)),
            Self::Recurrent(config) => Ok(Model::Recurrent(config.init(device)?)),
        }
    }
}

/// A model of any kind.
#[derive(Module, Debug)]
pub enum Model {
    /// Attention alone.
    Transformer(Transformer),
    /// A recurrent network, with attention or without.
    Recurrent(Recurrent),
}

impl Model {
    /// What it was made from.
    pub fn config(&self) -> ModelConfig {
        match self {
            Self::Transformer(model) => ModelConfig::Transformer(model.config().clone()),
            Self::Recurrent(model) => ModelConfig::Recurrent(model.config().clone()),
        }
    }
}

/// What a [`Model`] carries from one step of decoding to the next.
pub enum ModelState {
    /// The Transformer's.
    Transformer(TransformerState),
    /// The recurrent network's.
    Recurrent(Box<RecurrentState>),
}

impl DecoderState for ModelState {
    fn select(&mut self, rows: &[usize]) {
        match self {
            Self::Transformer(state) => state.select(rows),
            Self::Recurrent(state) => state.select(rows),
        }
    }
}

impl EncoderDecoder for Model {
    type State = ModelState;

    fn logits(&self, source: &Padded, target: &Padded) -> Tensor<3> {
        match self {
            Self::Transformer(model) => model.logits(source, target),
            Self::Recurrent(model) => model.logits(source, target),
        }
    }

    fn start(&self, source: &Padded, decoding: Decoding) -> ModelState {
        match self {
            Self::Transformer(model) => ModelState::Transformer(model.start(source, decoding)),
            Self::Recurrent(model) => {
                ModelState::Recurrent(Box::new(model.start(source, decoding)))
            }
        }
    }

    fn step(&self, tokens: &[u32], state: &mut ModelState) -> Step {
        match (self, state) {
            (Self::Transformer(model), ModelState::Transformer(state)) => model.step(tokens, state),
            (Self::Recurrent(model), ModelState::Recurrent(state)) => model.step(tokens, state),
            _ => unreachable!("a state is the model's that started it"),
        }
    }

    fn vocabularies(&self) -> [usize; 2] {
        match self {
            Self::Transformer(model) => model.vocabularies(),
            Self::Recurrent(model) => model.vocabularies(),
        }
    }

    fn max_length(&self) -> Option<usize> {
        match self {
            Self::Transformer(model) => model.max_length(),
            Self::Recurrent(model) => model.max_length(),
        }
    }
}
