//! Machine translation with attention on [Burn](https://burn.dev): from raw sentence pairs through
//! tokenizers, token batches and a trainer that resumes exactly to a translator that is saved, loaded
//! and asked; the Transformer, and the recurrent models that it is measured against.
//!
//! # A first program
//!
//! ```
//! use model_utils::device::DeviceSpec;
//! use model_utils::train::Silent;
//! use transformer::{Beam, Grammar, Translator, TranslatorConfig};
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! // A small grammar of Portuguese and English; yours: Splits::open("folder", None, 42)?
//! let pairs = Grammar::Simple.splits([400, 20, 20], 42)?;
//!
//! // pairs → tokenizers, model, training → a translator; from a folder to an answer
//! let config = TranslatorConfig::tiny(4); // yours: TranslatorConfig::small(4000), a ProgressBar
//! let translator = Translator::train(&pairs, &config, &device, &mut Silent)?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("por-eng");
//! translator.save(&path)?;
//! let out = Translator::load(&path, &device)?.translate(&["Onde fica a estação?"], &Beam::new(4))?;
//! println!("{}", out[0]);
//! # assert_eq!(out.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`text`] | tokenizers (BPE, `WordPiece`, Unigram), pairs in three parts, batches by token count |
//! | [`grammar`] | Portuguese and English pairs without a file |
//! | [`attention`], [`encoder`], [`decoder`], [`position`], [`feed_forward`] | the parts of the paper, each alone |
//! | [`transformer`] | Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>: configuration, presets, attention maps |
//! | [`recurrent`] | GRU and LSTM, plain and with Bahdanau's and Luong's attention |
//! | [`model`], [`models`] | what trainer and searches ask of a model, and the models that a translator may hold |
//! | [`loss`] | label-smoothed cross-entropy without a dense target |
//! | [`trainer`] | schedules, accumulation, averages, validation by BLEU, exact resume |
//! | [`search`] | greedy, sampling, beam, streaming |
//! | [`metrics`] | BLEU and chrF equal to sacreBLEU's, paired bootstrap |
//! | [`translator`] | all of it together: train, save, load, translate, evaluate |
//!
//! # Design decisions
//!
//! - Trainer and searches work on any [`EncoderDecoder`]: two ways to run a model, teacher-forced
//!   and a token a row, and a state that is reordered by rows.
//! - Sentences are decoded in batches of like length and given back in the caller's order, each the
//!   same as if it had been alone.
//! - A tokenizer's file holds all that is done to text; the mark of a space is part of a token, so
//!   that decoding needs no rules and BLEU is of real text.
//! - What a run does follows from its configuration, its pairs and its seed: every step seeds the
//!   device anew, every epoch's batches follow from its number, and a stopped run ends like one that
//!   was not stopped.
//! - The best weights by BLEU on the validation part are kept; the test part is for the caller.
//!
//! # Features
//!
//! `flex` (default), `ndarray`, `wgpu`, `cuda`: the devices.

pub mod attention;
mod cache;
mod decode;
pub mod decoder;
pub mod encoder;
pub mod error;
pub mod feed_forward;
pub mod grammar;
mod hash;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod models;
pub mod position;
pub mod recurrent;
pub mod search;
pub mod text;
pub mod trainer;
pub mod transformer;
pub mod translator;

pub use encoder::NormOrder;
pub use error::{Error, Result};
pub use grammar::Grammar;
pub use loss::cross_entropy;
pub use model::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
pub use models::{Model, ModelConfig};
pub use position::Positions;
pub use recurrent::{Recurrent, RecurrentConfig};
pub use search::{Beam, Greedy, Hypothesis, LengthPenalty, Limits, Sampling, Search};
pub use text::{SpecialTokens, Splits, Tokenizer, TokenizerConfig, Tokenizers};
pub use trainer::{Schedule, Trained, Trainer, TrainingConfig};
pub use transformer::{Transformer, TransformerConfig, Tying};
pub use translator::{Evaluation, Translation, Translator, TranslatorConfig};
