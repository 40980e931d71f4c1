//! The training loop: token batches, label smoothing, averages, validation by BLEU, exact resume.

mod config;
mod teacher_forced;
mod validation;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use model_utils::checkpoint::{Checkpoint, Checkpoints, Goal, Saved};
use model_utils::data::Position;
use model_utils::device::{seed, step_seed};
use model_utils::ops;
use model_utils::train::{Budget, EarlyStopping, Ema, Event, Observer, Spent, StopReason, mean_of};
use model_utils::weights::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use config::{Schedule, TrainingConfig};
pub use validation::Validation;
pub(crate) use validation::teacher_forced;

use crate::decoding::Greedy;
use crate::encoder_decoder::EncoderDecoder;
use crate::error::{Error, Result};
use crate::fingerprint::fingerprint;
use crate::text::{EncodedPair, Splits, TokenBatches, TokenLimit, Tokenizers};
use teacher_forced::TeacherForced;
use validation::{bleu, scalar};

/// A model in training on sentence pairs.
///
/// A run is the same every time for the same configuration, data and device; stopped and resumed, it
/// ends with the same weights.
pub struct Trainer<M: EncoderDecoder> {
    model: M,
    optimizer: ModuleOptimizer,
    ema: Option<Ema<M>>,
    /// The weights at the last validations, the oldest first, where they are averaged.
    recent: VecDeque<M>,
    best: Option<Best<M>>,
    config: TrainingConfig,
    tokenizers: Tokenizers,
    train: Vec<EncodedPair>,
    valid: Vec<EncodedPair>,
    valid_texts: Vec<String>,
    batches: TokenBatches,
    limit: TokenLimit,
    about: Value,
    device: Device,
    progress: Progress,
    keep: Option<(Checkpoints, u64)>,
}

/// The weights that did best.
struct Best<M> {
    model: M,
    validation: Validation,
}

/// How far a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    step: u64,
    /// The next batch.
    position: Position,
    wall_s: f64,
    /// Without validations and saving.
    steps_s: f64,
    target_tokens: u64,
    stopping: Option<EarlyStopping>,
    last: Option<Validation>,
}

/// What a checkpoint holds beside modules.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    manifest: Manifest,
    progress: Progress,
    best: Option<Validation>,
    recent: usize,
    ema_updates: Option<u64>,
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Trained {
    /// Steps, in all.
    pub steps: u64,
    /// Passes over the training part that are done.
    pub epochs: u64,
    /// Time spent in seconds, validations and the parts before a resume included.
    pub wall_s: f64,
    /// Time of the steps alone in seconds, without validations and saving.
    pub steps_s: f64,
    /// Target tokens a second while training, padding, validations and saving left out.
    pub target_tokens_per_s: f64,
    /// The validation of the weights that are kept.
    pub best: Option<Validation>,
    /// Why it ended.
    pub reason: StopReason,
}

/// What one step measured.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The label-smoothed loss of a token.
    pub loss: f64,
    /// The L2 norm of all gradients before clipping.
    pub grad_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Target tokens that were predicted.
    pub target_tokens: usize,
}

/// Names in a checkpoint.
const MODEL: &str = "model";
const EMA: &str = "ema";
const BEST: &str = "best";
const OPTIMIZER: &str = "optimizer";

/// Limits of a budget that a run counts.
pub(crate) const COUNTED: [&str; 3] = ["steps", "epochs", "time"];

fn recent_name(at: usize) -> String {
    format!("recent_{at}")
}

impl<M: EncoderDecoder> Trainer<M> {
    /// A model on a device with autodiff, tokenizers for it, the pairs, and how long their sentences
    /// may be.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a configuration that cannot work, [`Error::Model`] for a model with
    /// other vocabularies, too few positions, or without autodiff, [`Error::Pairs`] for empty parts,
    /// [`Error::TooLong`] for a sentence that is.
    pub fn new(
        model: M,
        tokenizers: Tokenizers,
        splits: &Splits,
        limit: TokenLimit,
        config: TrainingConfig,
    ) -> Result<Self> {
        config.check()?;
        splits.check()?;
        tokenizers.check_model(&model)?;
        let max_tokens = limit.max_tokens;
        if let Some(most) = model.max_length().filter(|&most| most < max_tokens) {
            let reason =
                format!("it has {most} positions, and sentences up to {max_tokens} tokens");
            return Err(Error::Model(reason));
        }
        let device = model.devices().into_iter().next().unwrap_or_default();
        if !device.is_autodiff() {
            return Err(Error::Model("its device is without autodiff".to_owned()));
        }
        let train = tokenizers.encode(&splits.train, "the training part", limit)?;
        // Only training pairs may be left out: the figures are of all others.
        let kept = limit.keeping_all();
        let valid = tokenizers.encode(&splits.valid, "the validation part", kept)?;
        let valid_texts = splits
            .valid
            .pairs()
            .iter()
            .take(config.valid_sentences)
            .map(|pair| pair.target.clone())
            .collect();
        let [beta_1, beta_2] = config.betas;
        Ok(Self {
            optimizer: AdamConfig::new()
                .with_beta_1(beta_1)
                .with_beta_2(beta_2)
                .with_epsilon(1e-9)
                .init(),
            ema: config.ema_decay.map(|decay| Ema::new(&model, decay)).transpose()?,
            recent: VecDeque::new(),
            best: None,
            batches: TokenBatches::new(&train, config.batch_tokens, config.seed)?,
            progress: Progress {
                step: 0,
                position: Position::default(),
                wall_s: 0.0,
                steps_s: 0.0,
                target_tokens: 0,
                stopping: config.patience.map(|n| EarlyStopping::new(Goal::Highest, n)),
                last: None,
            },
            model,
            tokenizers,
            train,
            valid,
            valid_texts,
            config,
            limit,
            about: Value::Null,
            device,
            keep: None,
        })
    }

    /// Sets what tells this model's configuration from another when a run is resumed.
    #[must_use]
    pub fn with_about(mut self, about: Value) -> Self {
        self.about = about;
        self
    }

    /// Keeps checkpoints, one `every` so many steps and one at the end, and goes on from the latest
    /// that is there, exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] with every difference for a checkpoint of another configuration or of other
    /// pairs, and what reading one brings.
    pub fn resume_in(mut self, checkpoints: Checkpoints, every: u64) -> Result<Self> {
        if let Some(saved) = checkpoints.latest()? {
            self = self.resume(&saved)?;
        }
        self.keep = Some((checkpoints, every.max(1)));
        Ok(self)
    }

    /// The model in training.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The tokenizers.
    pub fn tokenizers(&self) -> &Tokenizers {
        &self.tokenizers
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.progress.step
    }

    /// Training pairs.
    pub fn pairs(&self) -> usize {
        self.train.len()
    }

    /// Target tokens of a pass over the training part.
    pub fn epoch_tokens(&self) -> usize {
        self.train.iter().map(EncodedPair::target_tokens).sum()
    }

    /// The weights that did best in validation, without autodiff; before the first validation those
    /// that would be evaluated now.
    ///
    /// # Errors
    ///
    /// Where weights cannot be averaged.
    pub fn best(&self) -> Result<M> {
        match &self.best {
            Some(best) => Ok(best.model.clone()),
            None => self.evaluated(),
        }
    }

    /// The weights that did best, the tokenizers, and how long sentences may be.
    pub(crate) fn into_best(self) -> Result<(M, Tokenizers, TokenLimit)> {
        Ok((self.best()?, self.tokenizers, self.limit))
    }

    /// Trains until the budget is spent, the observer asks to stop or BLEU has not grown for as long
    /// as is allowed. Ends with a validation.
    ///
    /// Metrics of steps: `train_loss`, `learning_rate`, `grad_norm`, `target_tokens_per_s`; of
    /// validations, told as [`Event::Epoch`]: `valid_bleu`, `valid_perplexity`,
    /// `valid_token_accuracy`, `wall_s`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a budget without steps, epochs and time, [`Error::NotFinite`] for a loss
    /// or gradient that is NaN or infinite: the model stays as it was before that step, and is saved
    /// where checkpoints are kept.
    pub fn train(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<Trained> {
        budget.require_any_of(&COUNTED)?;
        let (first, before_s) = (self.progress.step, self.progress.wall_s);
        progress.observe(&Event::Started { task: "training", step: first, of: budget.steps });
        let started = Instant::now();
        let elapsed_s = || before_s + started.elapsed().as_secs_f64();
        let (mut losses, mut tokens, mut told_s) = (Vec::new(), 0, self.progress.steps_s);
        let batches = self.batches.clone();
        let mut plan = batches.from(self.progress.position).peekable();
        let reason = loop {
            let (steps, epochs) = (self.progress.step, self.progress.position.epoch);
            let time = Duration::from_secs_f64(self.progress.wall_s);
            if budget.is_spent(Spent { steps, epochs, time, ..Spent::default() }) {
                break StopReason::BudgetSpent;
            }
            if progress.wants_stop() {
                break StopReason::Asked;
            }
            let step_started = Instant::now();
            let taken: Vec<Vec<usize>> =
                plan.by_ref().take(self.config.accumulate).map(|(_, batch)| batch).collect();
            let report = match self.step(&taken) {
                Ok(report) => report,
                Err(error) => {
                    self.save(progress)?;
                    return Err(error);
                }
            };
            if let Some((position, _)) = plan.peek() {
                self.progress.position = *position;
            }
            self.progress.steps_s += step_started.elapsed().as_secs_f64();
            self.progress.wall_s = elapsed_s();
            losses.push(report.loss);
            tokens += report.target_tokens;
            let step = self.progress.step;
            let is_last = Some(step) == budget.steps;
            if step.is_multiple_of(self.config.log_every) || is_last {
                let seconds = self.progress.steps_s - told_s;
                let mean = losses.iter().sum::<f64>() / losses.len() as f64;
                progress.observe(&Event::Step {
                    step,
                    of: budget.steps,
                    epoch: self.progress.position.epoch,
                    items: tokens,
                    metrics: &[
                        ("train_loss", mean),
                        ("learning_rate", report.learning_rate),
                        ("grad_norm", report.grad_norm),
                        ("target_tokens_per_s", tokens as f64 / seconds.max(1e-9)),
                    ],
                });
                (losses, tokens, told_s) = (Vec::new(), 0, self.progress.steps_s);
            }
            if step.is_multiple_of(self.config.valid_every) {
                let over = self.validate(progress)?;
                self.progress.wall_s = elapsed_s();
                if over {
                    break StopReason::NoImprovement;
                }
            }
            if self.keep.as_ref().is_some_and(|(_, every)| step.is_multiple_of(*every)) {
                self.save(progress)?;
                self.progress.wall_s = elapsed_s();
            }
        };
        let step = self.progress.step;
        if reason != StopReason::Asked
            && self.progress.last.is_none_or(|last| last.step < step)
            && step > 0
        {
            self.validate(progress)?;
            self.progress.wall_s = elapsed_s();
        }
        if step > first {
            self.save(progress)?;
        }
        let wall_s = self.progress.wall_s;
        progress.observe(&Event::Finished { step, reason, wall_s });
        Ok(Trained {
            steps: step,
            epochs: self.progress.position.epoch,
            wall_s,
            steps_s: self.progress.steps_s,
            target_tokens_per_s: self.progress.target_tokens as f64
                / self.progress.steps_s.max(1e-9),
            best: self.best.as_ref().map(|best| best.validation),
            reason,
        })
    }

    /// One step on these batches of training pairs.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    pub fn step(&mut self, batches: &[Vec<usize>]) -> Result<StepReport> {
        let number = self.progress.step + 1;
        let pad = self.tokenizers.target().special().pad;
        seed(&self.device, step_seed(self.config.seed, number));
        let batches: Vec<Vec<&EncodedPair>> =
            batches.iter().map(|batch| batch.iter().map(|&at| &self.train[at]).collect()).collect();
        let target_tokens: usize = batches.iter().flatten().map(|pair| pair.target_tokens()).sum();
        let mut accumulator = GradientsAccumulator::new();
        let mut loss = 0.0;
        for batch in &batches {
            let batch = TeacherForced::new(batch, pad, &self.device);
            let logits = self.model.logits(&batch.source, &batch.given);
            let share = batch.tokens as f64 / target_tokens as f64;
            let part = batch.loss(logits, self.config.label_smoothing) * share;
            loss += scalar(part.clone());
            let gradients = GradientsParams::from_grads(part.backward(), &self.model);
            accumulator.accumulate(&self.model, gradients);
        }
        let gradients = accumulator.grads();
        let most = self.config.clip_norm.unwrap_or(f64::INFINITY);
        let (gradients, norm) = ops::clip_grad_norm(&self.model, gradients, most);
        let grad_norm = scalar(norm);
        for (what, value) in [("loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { what, value, step: number });
            }
        }
        let learning_rate = self.config.schedule.rate(number);
        self.model = self.optimizer.step(learning_rate, self.model.clone(), gradients);
        if let Some(ema) = &mut self.ema {
            ema.update(&self.model);
        }
        self.progress.step = number;
        self.progress.target_tokens += target_tokens as u64;
        Ok(StepReport { loss, grad_norm, learning_rate, target_tokens })
    }

    /// The weights that are evaluated and kept: an average where there is one.
    fn evaluated(&self) -> Result<M> {
        if let Some(ema) = &self.ema {
            return Ok(ema.model());
        }
        if self.config.average_last > 1 && !self.recent.is_empty() {
            let recent: Vec<M> = self.recent.iter().cloned().collect();
            return Ok(mean_of(&recent)?);
        }
        Ok(self.model.valid())
    }

    /// Measures, keeps what is best, and tells whether it is time to stop.
    fn validate(&mut self, progress: &mut dyn Observer) -> Result<bool> {
        if self.config.average_last > 1 {
            self.recent.push_back(self.model.valid());
            while self.recent.len() > self.config.average_last {
                self.recent.pop_front();
            }
        }
        let model = self.evaluated()?;
        let device = self.device.clone().without_autodiff();
        let pad = self.tokenizers.target().special().pad;
        let (perplexity, token_accuracy) = teacher_forced(&model, &self.valid, pad, &device);
        let texts = &self.valid_texts;
        let pairs = &self.valid[..texts.len()];
        let bleu = bleu(&model, pairs, texts, &self.tokenizers, &Greedy, &device)?;
        let step = self.progress.step;
        let validation = Validation { step, bleu, perplexity, token_accuracy };
        self.progress.last = Some(validation);
        progress.observe(&Event::Epoch {
            epoch: self.progress.position.epoch,
            step,
            metrics: &[
                ("valid_bleu", bleu),
                ("valid_perplexity", perplexity),
                ("valid_token_accuracy", token_accuracy),
                ("wall_s", self.progress.wall_s),
            ],
        });
        if self.best.as_ref().is_none_or(|best| bleu > best.validation.bleu) {
            self.best = Some(Best { model, validation });
        }
        Ok(self.progress.stopping.as_mut().is_some_and(|stopping| stopping.is_over(bleu)))
    }

    fn manifest(&self) -> Result<Manifest> {
        let mut config = serde_json::to_value(&self.config).unwrap_or_default();
        if let Some(fields) = config.as_object_mut() {
            // How often events come changes nothing.
            fields.remove("log_every");
        }
        let about = serde_json::json!({
            "model": self.about,
            "training": config,
            "pairs": [self.train.len(), self.valid.len()],
            "pairs_hash": hash(self.train.iter().chain(&self.valid)),
        });
        Ok(Manifest::new(env!("CARGO_PKG_NAME"), "training", &about)?)
    }

    fn save(&self, progress: &mut dyn Observer) -> Result<()> {
        let Some((checkpoints, _)) = &self.keep else { return Ok(()) };
        let journal = Journal {
            manifest: self.manifest()?,
            progress: self.progress.clone(),
            best: self.best.as_ref().map(|best| best.validation),
            recent: self.recent.len(),
            ema_updates: self.ema.as_ref().map(Ema::updates),
        };
        let mut checkpoint = Checkpoint::new(self.progress.step)
            .module(MODEL, &self.model)?
            .optimizer(OPTIMIZER, &self.optimizer)?
            .state(&journal)?;
        if let Some(ema) = &self.ema {
            checkpoint = checkpoint.module(EMA, &ema.model())?;
        }
        if let Some(best) = &self.best {
            checkpoint = checkpoint.module(BEST, &best.model)?;
        }
        for (at, model) in self.recent.iter().enumerate() {
            checkpoint = checkpoint.module(&recent_name(at), model)?;
        }
        let saved = checkpoints.save(&checkpoint)?;
        progress.observe(&Event::Saved { path: saved.folder(), step: self.progress.step });
        Ok(())
    }

    fn resume(mut self, saved: &Saved) -> Result<Self> {
        let journal: Journal = saved.state()?;
        let differences = self.manifest()?.differences(Some(&journal.manifest));
        if !differences.is_empty() {
            return Err(Error::Resume(differences));
        }
        self.model = saved.module(MODEL, self.model)?;
        self.optimizer = saved.optimizer(OPTIMIZER, self.optimizer)?;
        let still = self.model.valid();
        if let (Some(decay), Some(updates)) = (self.config.ema_decay, journal.ema_updates) {
            let average = saved.module(EMA, still.clone())?;
            self.ema = Some(Ema::resume(&average, decay, updates)?);
        }
        if let Some(validation) = journal.best {
            let model = saved.module(BEST, still.clone())?;
            self.best = Some(Best { model, validation });
        }
        self.recent = (0..journal.recent)
            .map(|at| saved.module(&recent_name(at), still.clone()))
            .collect::<Result<_, _>>()?;
        self.progress = journal.progress;
        Ok(self)
    }
}

fn hash<'a>(pairs: impl Iterator<Item = &'a EncodedPair>) -> String {
    let ids = pairs.flat_map(|pair| pair.source.iter().chain(&pair.target));
    fingerprint(ids.flat_map(|id| id.to_le_bytes()))
}
