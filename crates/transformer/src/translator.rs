//! From sentence pairs to a translator, from a folder to an answer.

mod sentences;

use std::path::Path;
use std::time::Instant;

use burn::config::Config;
use burn::tensor::Device;
use model_utils::atomic;
use model_utils::config::{self, ConfigError};
use model_utils::data::{SentencePair, SentencePairs};
use model_utils::device::seed;
use model_utils::train::{Asks, Budget, Observer, Stop, Stoppable};
use model_utils::weights::{self, Manifest};
use serde::{Deserialize, Serialize};

pub use sentences::Translation;

use crate::attention::{TransformerConfig, Tying};
use crate::decoding::{Beam, DecodingStrategy, LengthLimits, LengthPenalty, Strategy};
use crate::encoder_decoder::EncoderDecoder as _;
use crate::error::{Error, Result};
use crate::metrics::{Bleu, BleuScore, Chrf, Metric, Ter};
use crate::model::{Model, ModelConfig};
use crate::text::{
    MarianFiles, Overlong, SpecialNames, SpecialTokens, Splits, TokenLimit, Tokenizer,
    TokenizerConfig, Tokenizers,
};
use crate::trainer::{COUNTED, Schedule, Trainer, TrainingConfig, teacher_forced};

/// Configuration of a [`Translator`] and of its training.
#[derive(Config, Debug)]
pub struct TranslatorConfig {
    /// The model; its numbers of ids are set to those of the tokenizers.
    pub model: ModelConfig,
    /// How long to train.
    #[config(default = "Budget::steps(4000)")]
    pub budget: Budget,
    /// How tokenizers are trained.
    #[config(default = "TokenizerConfig::new()")]
    pub tokenizer: TokenizerConfig,
    /// Whether both sides have one tokenizer.
    #[config(default = true)]
    pub shared: bool,
    /// The most tokens of a sentence, its end included.
    #[config(default = 128)]
    pub max_tokens: usize,
    /// What becomes of longer sentences.
    #[config(default = "Overlong::Refuse")]
    pub overlong: Overlong,
    /// The training.
    #[config(default = "TrainingConfig::new()")]
    pub training: TrainingConfig,
}

impl TranslatorConfig {
    /// For the [grammar](crate::grammar) and the like: a model of 64 numbers a token, trained in
    /// seconds.
    pub fn tiny(steps: u64) -> Self {
        let training = TrainingConfig::new()
            .with_batch_tokens(500)
            .with_schedule(Schedule::Linear { rate: 5e-3, warm_up: steps / 10, steps })
            .with_valid_every(steps.max(1));
        let model = TransformerConfig::tiny(0, 0).with_tying(Tying::All);
        Self::new(ModelConfig::Transformer(model))
            .with_budget(Budget::steps(steps))
            .with_tokenizer(TokenizerConfig::new().with_vocabulary(1000))
            .with_training(training)
    }

    /// For some ten thousand real pairs: a model of 256 numbers a token, 3 + 3 layers, one vocabulary
    /// for both sides whose three tables are one.
    pub fn small(steps: u64) -> Self {
        let training = TrainingConfig::new().with_schedule(Schedule::Linear {
            rate: 2e-3,
            warm_up: (steps / 10).min(400),
            steps,
        });
        let model =
            TransformerConfig::small(0, 0).with_d_ff(512).with_dropout(0.2).with_tying(Tying::All);
        Self::new(ModelConfig::Transformer(model))
            .with_budget(Budget::steps(steps))
            .with_tokenizer(TokenizerConfig::new().with_vocabulary(6000))
            .with_training(training)
    }

    /// Refuses what cannot work with any pairs: worth asking before they are read.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the field.
    pub fn check(&self) -> Result<()> {
        self.tokenizer.check()?;
        let vocabulary = self.tokenizer.vocabulary;
        config::at_least("max_tokens", self.max_tokens, 2)?;
        self.model.clone().with_vocabularies(vocabulary, vocabulary).check()?;
        Ok(self.training.check()?)
    }

    /// The tokenizers, trained on the training part. `stop.around(&splits)` ends it as
    /// [`Tokenizer::train`] says.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check) and [`Tokenizer::train`].
    pub fn tokenizers<'a, S: Asks + Clone>(
        &self,
        splits: impl Into<Stoppable<&'a Splits, S>>,
    ) -> Result<Tokenizers> {
        self.check()?;
        let (splits, stop) = splits.into().into_parts();
        let train = Stoppable::new(&splits.train, stop);
        if self.shared {
            Tokenizers::train_shared(&self.tokenizer, train)
        } else {
            Tokenizers::train_each(&self.tokenizer, &self.tokenizer, train)
        }
    }

    /// A model with fresh weights in training: tokenizers are trained, the device is seeded.
    /// `stop.around(&splits)` ends it before the model is made.
    ///
    /// # Errors
    ///
    /// As [`trainer_with`](Self::trainer_with).
    pub fn trainer<'a, S: Asks + Clone>(
        &self,
        splits: impl Into<Stoppable<&'a Splits, S>>,
        device: &Device,
    ) -> Result<Trainer<Model>> {
        let splits = splits.into();
        self.trainer_with(self.tokenizers(splits.clone())?, splits, device)
    }

    /// A model with fresh weights in training, with tokenizers that are there already.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the field that cannot work, and those of [`Trainer::new`].
    pub fn trainer_with<'a, S: Asks + Clone>(
        &self,
        tokenizers: Tokenizers,
        splits: impl Into<Stoppable<&'a Splits, S>>,
        device: &Device,
    ) -> Result<Trainer<Model>> {
        self.check()?;
        let device = device.clone().without_autodiff().autodiff();
        seed(&device, self.training.seed);
        let config = self.model.clone().with_vocabularies(
            tokenizers.source().vocabulary_size(),
            tokenizers.target().vocabulary_size(),
        );
        let model = config.init(&device)?;
        let limit = TokenLimit::new(self.max_tokens, self.overlong);
        let about = serde_json::to_value(&config).unwrap_or_default();
        let trainer = Trainer::new(model, tokenizers, splits, limit, self.training.clone())?;
        Ok(trainer.with_about(about))
    }
}

/// A trained model with its tokenizers.
#[derive(Debug, Clone)]
pub struct Translator {
    model: Model,
    tokenizers: Tokenizers,
    limit: TokenLimit,
    /// Without: those of [`Translator::limits`].
    limits: Option<LengthLimits>,
    strategy: Strategy,
    device: Device,
    stop: Stop,
}

/// What a folder says of the translator in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct About {
    model: ModelConfig,
    max_tokens: usize,
    shared: bool,
    /// Hashes of the vocabularies, by which earlier versions knew their tokenizers.
    vocabularies: [String; 2],
    /// The tokenizers, source first. Earlier versions say none.
    #[serde(default)]
    tokenizers: Option<[AboutTokenizer; 2]>,
    #[serde(default)]
    limits: Option<LengthLimits>,
    #[serde(default = "default_strategy")]
    strategy: Strategy,
}

/// A beam of 4.
fn default_strategy() -> Strategy {
    Beam::new(4).into()
}

/// What a folder says of a tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AboutTokenizer {
    /// A hash of its file.
    file: String,
    /// The names of its special tokens.
    special: SpecialNames,
    /// And their ids, where the file does not tell them.
    #[serde(default)]
    ids: Option<SpecialTokens>,
}

/// What a translator is worth on pairs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// BLEU of WMT's words. That of others: `Bleu::new().with_tokenizer(…)` and
    /// [`corpus`](Bleu::corpus) with the translations and references below.
    pub bleu: BleuScore,
    /// chrF, 0 to 100.
    pub chrf: f64,
    /// TER, 0 and up; lower is better.
    pub ter: f64,
    /// The share of translations that are the reference to the letter, 0 to 1.
    pub exact_match: f64,
    /// e to the mean cross-entropy of a token.
    pub perplexity: f64,
    /// The translations, in the order of the pairs.
    pub translations: Vec<String>,
    /// What they were measured against: the targets of the pairs in the form of the model's own text
    /// ([`Tokenizer::normalize`]).
    pub references: Vec<String>,
    /// Tokens that were decoded, ends included.
    pub target_tokens: usize,
    /// The time that translating took, in seconds.
    pub decode_s: f64,
}

const MODEL_FILE: &str = "model.safetensors";
/// Files of tokenizers, with the ending of their kind.
const SHARED_FILE: &str = "tokenizer";
const SOURCE_FILE: &str = "source_tokenizer";
const TARGET_FILE: &str = "target_tokenizer";
/// The name in the manifest.
const NAME: &str = "translator";

impl Translator {
    /// Trains tokenizers and a model on pairs, and keeps the weights that did best on the validation
    /// part. For checkpoints and resuming see [`TranslatorConfig::trainer`].
    ///
    /// # Errors
    ///
    /// As [`TranslatorConfig::trainer`] and [`Trainer::train`], and [`model_utils::Error::Stopped`]
    /// where the observer asked to stop.
    pub fn train(
        splits: &Splits,
        config: &TranslatorConfig,
        device: &Device,
        progress: &mut dyn Observer,
    ) -> Result<Self> {
        // Before tokenizers are trained.
        config.budget.require_any_of(&COUNTED)?;
        let listening = Stoppable::new(splits, &*progress);
        let mut trainer = config.trainer(listening, device)?;
        trainer.train(config.budget, progress)?.or_stopped()?;
        Self::from_trainer(trainer)
    }

    /// The weights that did best so far, with what they were trained with.
    ///
    /// # Errors
    ///
    /// Where weights cannot be averaged.
    pub fn from_trainer(trainer: Trainer<Model>) -> Result<Self> {
        let (model, tokenizers, limit) = trainer.into_best()?;
        Self::new(model, tokenizers, limit)
    }

    /// A model and tokenizers of one's own, and how long sentences may be.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for a model with other vocabularies, [`Error::Tokenizer`] for tokenizers that
    /// disagree on special tokens.
    pub fn new(model: Model, tokenizers: Tokenizers, limit: TokenLimit) -> Result<Self> {
        tokenizers.check_model(&model)?;
        let model = burn::module::Module::valid(&model);
        let device = burn::module::Module::devices(&model).into_iter().next().unwrap_or_default();
        let (limits, strategy, stop) = (None, default_strategy(), Stop::new());
        Ok(Self { model, tokenizers, limit, limits, strategy, device, stop })
    }

    /// Saves a folder with `model.safetensors` and `tokenizer.json` (or one a side; `.model` where
    /// SentencePiece made it), whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] where it cannot be written; what was there before is untouched.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let manifest = Manifest::new(env!("CARGO_PKG_NAME"), NAME, &self.about())?;
        atomic::write_folder(folder, |folder| {
            let save = |tokenizer: &Tokenizer, name: &str| {
                tokenizer.save(folder.join(name).with_extension(tokenizer.extension()))
            };
            if let Some(files) = self.tokenizers.files() {
                files.write(folder)?;
            } else if self.tokenizers.is_shared() {
                save(self.tokenizers.source(), SHARED_FILE)?;
            } else {
                save(self.tokenizers.source(), SOURCE_FILE)?;
                save(self.tokenizers.target(), TARGET_FILE)?;
            }
            let path = folder.join(MODEL_FILE);
            Ok(weights::save(&self.model, &manifest, weights::same_names, path)?)
        })
    }

    /// Loads a folder that [`save`](Self::save) wrote. Over-long sentences are refused until
    /// [`with_overlong`](Self::with_overlong) says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] for files that are missing, damaged or of another kind, [`Error::Tokenizer`]
    /// for a tokenizer that cannot be read or is not the model's.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let folder = folder.as_ref();
        atomic::restore_folder(folder)?;
        let path = folder.join(MODEL_FILE);
        let manifest = Manifest::read(&path)?;
        let differences = manifest.differences_of_kind(env!("CARGO_PKG_NAME"), NAME);
        if !differences.is_empty() {
            return Err(model_utils::Error::Mismatch { path, differences }.into());
        }
        let about: About = manifest.config(&path)?;
        let told = |side: usize| about.tokenizers.as_ref().map(|sides| &sides[side]);
        let check = |tokenizer: &Tokenizer, side: usize, place: String| {
            let (found, expected) = match told(side) {
                Some(told) => (tokenizer.fingerprint(), &told.file),
                None => (tokenizer.vocabulary_fingerprint(), &about.vocabularies[side]),
            };
            if found != *expected {
                let reason = format!(
                    "it does not fit the model: its vocabulary of {} ids and its rules have the hash \
                     {found}, and the model was trained with {expected}",
                    tokenizer.vocabulary_size()
                );
                return Err(Error::tokenizer(place, reason));
            }
            Ok(())
        };
        let load = |name: &str, side: usize| {
            let model = folder.join(name).with_extension("model");
            let path = if model.is_file() { model } else { model.with_extension("json") };
            let content = std::fs::read(&path).map_err(model_utils::Error::io("read", &path))?;
            let place = path.display().to_string();
            let names = told(side).map(|told| told.special.clone());
            let tokenizer = Tokenizer::from_bytes(content, names, &place)?;
            check(&tokenizer, side, place)?;
            Ok::<_, Error>(tokenizer)
        };
        let tokenizers = if let Some(ids) = told(0).and_then(|told| told.ids) {
            let files = MarianFiles::open(folder)?;
            let tokenizers = files.tokenizers([ids.pad, ids.bos, ids.eos], folder)?;
            for (tokenizer, side) in [tokenizers.source(), tokenizers.target()].into_iter().zip(0..)
            {
                check(tokenizer, side, folder.display().to_string())?;
            }
            tokenizers
        } else if about.shared {
            Tokenizers::shared(load(SHARED_FILE, 0)?)
        } else {
            Tokenizers::each(load(SOURCE_FILE, 0)?, load(TARGET_FILE, 1)?)
        };
        let device = device.clone().without_autodiff();
        let model = about.model.init(&device)?;
        let model = weights::load(model, &manifest, weights::same_names, &path)?;
        let limit = TokenLimit::new(about.max_tokens, Overlong::Refuse);
        let loaded = Self::new(model, tokenizers, limit)?;
        Ok(Self { limits: about.limits, strategy: about.strategy, ..loaded })
    }

    /// Sets what becomes of sentences that are too long.
    #[must_use]
    pub fn with_overlong(mut self, overlong: Overlong) -> Self {
        self.limit.overlong = overlong;
        self
    }

    /// Sets the limits that [`limits`](Self::limits) gives and `translate` keeps to; they are saved with
    /// the translator.
    #[must_use]
    pub fn with_limits(self, limits: LengthLimits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// Sets the strategy that is this model's own; it is saved with the translator.
    #[must_use]
    pub fn with_strategy(self, strategy: impl Into<Strategy>) -> Self {
        Self { strategy: strategy.into(), ..self }
    }

    /// Sets a switch that ends work on many sentences between two batches, with
    /// [`model_utils::Error::Stopped`].
    #[must_use]
    pub fn with_stop(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// The model, without autodiff.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The tokenizers.
    pub fn tokenizers(&self) -> &Tokenizers {
        &self.tokenizers
    }

    /// The strategy that is this model's own: what its folder says, or a beam of 4.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// How long a sentence may be.
    pub fn token_limit(&self) -> TokenLimit {
        self.limit
    }

    /// A trainer that goes on with these weights on other pairs, with this tokenizer and limit of
    /// tokens. What comes out of it, [`Translator::from_trainer`] makes a translator again.
    ///
    /// ```no_run
    /// # use transformer::prelude::*;
    /// # use transformer::{Schedule, TrainingConfig};
    /// # fn fine_tune(device: &burn::tensor::Device, pairs: &Splits) -> transformer::Result<Translator> {
    /// let translator = Translator::from_hugging_face("opus-mt-en-de", device)?;
    /// let config = TrainingConfig::new()
    ///     .with_schedule(Schedule::InverseSquareRoot { rate: 2e-4, warm_up: 50 });
    /// let mut trainer = translator.trainer(pairs, config)?;
    /// trainer.train(Budget::steps(500), &mut Silent)?;
    /// Translator::from_trainer(trainer)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Trainer::new`].
    pub fn trainer<'a, S: Asks + Clone>(
        &self,
        splits: impl Into<Stoppable<&'a Splits, S>>,
        config: TrainingConfig,
    ) -> Result<Trainer<Model>> {
        seed(&self.device, config.seed);
        let about = serde_json::to_value(self.model.config()).unwrap_or_default();
        let model = burn::module::Module::train(self.model.clone());
        let trainer = Trainer::new(model, self.tokenizers.clone(), splits, self.limit, config)?;
        Ok(trainer.with_about(about))
    }

    /// The limits of [`translate`](Self::translate): what its folder or
    /// [`with_limits`](Self::with_limits) says, or the model's special tokens and longest sentence.
    pub fn limits(&self) -> LengthLimits {
        if let Some(limits) = &self.limits {
            return limits.clone();
        }
        let mut limits = LengthLimits::new(self.tokenizers.target().special());
        let positions = self.model.max_length().unwrap_or(usize::MAX);
        let most =
            limits.max_length.min(2 * self.limit.max_tokens).min(positions.saturating_sub(1));
        limits.max_length = most;
        limits
    }

    /// Translates and measures pairs.
    ///
    /// # Errors
    ///
    /// As [`translate`](Self::translate), and [`Error::Pairs`] for none.
    pub fn evaluate(
        &self,
        pairs: &SentencePairs,
        strategy: &impl DecodingStrategy,
    ) -> Result<Evaluation> {
        let limit = self.limit.keeping_all();
        let encoded =
            self.tokenizers.encode(self.stop.around(pairs), "the evaluation", limit)?.pairs;
        let pad = self.tokenizers.target().special().pad;
        let listen = |done| self.stop.check("evaluation", format!("sentence {done}"));
        let (perplexity, _) = teacher_forced(&self.model, &encoded, pad, &self.device, &listen)?;
        let (sources, references) = self.sides(pairs)?;
        let started = Instant::now();
        let found = self.clone().with_overlong(limit.overlong).translate(&sources, strategy)?;
        let decode_s = started.elapsed().as_secs_f64();
        let target_tokens = found.iter().map(|found| found.hypothesis.ids.len() + 1).sum();
        let translations: Vec<String> = found.into_iter().map(|found| found.text).collect();
        let right = translations.iter().zip(&references).filter(|(a, b)| a == b).count();
        Ok(Evaluation {
            bleu: Bleu::new().corpus(&translations, &references)?,
            chrf: Chrf::new().score(&translations, &references)?,
            ter: Ter::new().score(&translations, &references)?,
            exact_match: right as f64 / references.len() as f64,
            perplexity,
            translations,
            references,
            target_tokens,
            decode_s,
        })
    }

    /// The beam with that of the length penalties with which it does best on pairs by a metric; of
    /// equals the first. The pairs are those to choose by, never those to measure on.
    ///
    /// # Errors
    ///
    /// As [`translate`](Self::translate) and [`Metric::score`]; [`Error::Config`] for no penalties.
    pub fn tune(
        &self,
        pairs: &SentencePairs,
        beam: &Beam,
        penalties: &[LengthPenalty],
        metric: &impl Metric,
    ) -> Result<Beam> {
        let (sources, references) = self.sides(pairs)?;
        let translator = self.clone().with_overlong(self.limit.keeping_all().overlong);
        let mut best: Option<(f64, Beam)> = None;
        for &penalty in penalties {
            let beam = beam.clone().with_length_penalty(penalty);
            let found = translator.translate(&sources, &beam)?;
            let texts: Vec<String> = found.into_iter().map(|found| found.text).collect();
            let score = metric.score(&texts, &references)?;
            if best.as_ref().is_none_or(|(most, _)| metric.is_better(score, *most)) {
                best = Some((score, beam));
            }
        }
        let none = || ConfigError::new("penalties", "none", "at least one").into();
        best.map(|(_, beam)| beam).ok_or_else(none)
    }

    /// The sources of pairs, and the targets as they are measured against.
    fn sides<'a>(&self, pairs: &'a SentencePairs) -> Result<(Vec<&'a str>, Vec<String>)> {
        let target = self.tokenizers.target();
        let side =
            |pair: &'a SentencePair| Ok((pair.source.as_str(), target.normalize(&pair.target)?));
        Ok(pairs.pairs().iter().map(side).collect::<Result<Vec<_>>>()?.into_iter().unzip())
    }

    fn about(&self) -> About {
        let sides = [self.tokenizers.source(), self.tokenizers.target()];
        let tokenizers = sides.map(|tokenizer| AboutTokenizer {
            file: tokenizer.fingerprint(),
            special: tokenizer.special_names().clone(),
            ids: self.tokenizers.files().map(|_| tokenizer.special()),
        });
        About {
            model: self.model.config(),
            max_tokens: self.limit.max_tokens,
            shared: self.tokenizers.is_shared(),
            vocabularies: sides.map(Tokenizer::vocabulary_fingerprint),
            tokenizers: Some(tokenizers),
            limits: self.limits.clone(),
            strategy: self.strategy.clone(),
        }
    }
}
