//! Machine translation with attention on [Burn](https://burn.dev): from raw sentence pairs through
//! tokenizers, token batches and a trainer that resumes exactly to a translator that is saved, loaded
//! and asked; the Transformer, and the recurrent models that it is measured against.
//!
//! # A first program
//!
//! ```
//! use transformer::prelude::*;
//!
//! fn main() -> transformer::Result<()> {
//!     let device = "flex".parse::<DeviceSpec>()?.open()?;
//!     // A small grammar of Portuguese and English; yours: Splits::open("folder", None, 42)?
//!     let pairs = Grammar::Simple.splits([1000, 20, 20], 42)?;
//!
//!     // pairs → tokenizers, model, training → a translator; from a folder to an answer
//!     let config = TranslatorConfig::tiny(500); // yours: TranslatorConfig::small(4000)
//!     let translator = Translator::train(&pairs, &config, &device, &mut ProgressBar::new())?;
//!     let folder = std::env::temp_dir().join("por-eng");
//!     translator.save(&folder)?;
//!     let translator = Translator::load(&folder, &device)?;
//!     let out = translator.translate(&["Onde fica a estação?"], &Beam::new(4))?;
//!     println!("{}", out[0]); // Where is the station?
//!     Ok(())
//! }
//! ```
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`text`] | tokenizers (BPE, `WordPiece`, Unigram, models of SentencePiece), pairs in three parts, batches by token count |
//! | [`grammar`] | Portuguese and English pairs without a file |
//! | [`attention`] | the Transformer, Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>: configuration, presets, its parts, each alone, attention maps |
//! | [`recurrent`] | GRU and LSTM, plain and with Bahdanau's and Luong's attention |
//! | [`encoder_decoder`], [`model`] | what trainer and strategies ask of a model, and the model of a translator |
//! | [`trainer`] | schedules, accumulation, averages, validation by translating, exact resume |
//! | [`decoding`] | greedy, sampling, beam search, streaming; what all of them keep to |
//! | [`metrics`] | BLEU, chrF and TER equal to sacreBLEU's, paired bootstrap |
//! | [`translator`] | all of it together: train, save, load, translate, evaluate; folders of Hugging Face |
//! | [`prelude`] | what a first program needs |
//!
//! # Design decisions
//!
//! - Trainer and strategies work on any [`EncoderDecoder`]: two ways to run a model, teacher-forced
//!   and a token a row, and a state that is reordered by rows.
//! - Sentences are decoded in batches of like length and given back in the caller's order, each the
//!   same as if it had been alone.
//! - A tokenizer's file holds all that is done to text; the mark of a space is part of a token, so
//!   that decoding needs no rules and BLEU is of real text.
//! - What a run does follows from its configuration, its pairs and its seed: every step seeds the
//!   device anew, every epoch's batches follow from its number, and a stopped run ends like one that
//!   was not stopped.
//! - The weights that translate the validation part best are kept, by chrF or what is asked for; the
//!   test part is for the caller.
//!
//! # Features
//!
//! `flex` (default), `ndarray`, `wgpu`, `cuda`: the devices. `pretrained`: PyTorch's own weight files.

pub mod attention;
pub mod decoding;
pub mod encoder_decoder;
pub mod error;
mod fingerprint;
pub mod grammar;
mod hugging_face;
mod layers;
pub mod metrics;
pub mod model;
pub mod prelude;
pub mod recurrent;
pub mod text;
pub mod trainer;
pub mod translator;

pub use attention::{NormOrder, Positions, Transformer, TransformerConfig, Tying};
pub use decoding::{
    Beam, DecodingStrategy, Greedy, Hypothesis, LengthLimits, LengthPenalty, Sampling, Strategy,
};
pub use encoder_decoder::{DecoderState, Decoding, EncoderDecoder, Padded, Step};
pub use error::{Error, Result};
pub use grammar::Grammar;
pub use model::{Model, ModelConfig};
pub use recurrent::{Recurrent, RecurrentConfig};
pub use text::{SpecialTokens, Splits, Tokenizer, TokenizerConfig, Tokenizers};
pub use trainer::{KeepBy, Schedule, Trained, Trainer, TrainingConfig};
pub use translator::{Evaluation, Translation, Translator, TranslatorConfig};
