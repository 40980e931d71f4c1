//! The training loop: token batches, label smoothing, averages, validation by translating, exact resume.

mod config;
mod keep_by;
mod teacher_forced;
mod validation;

use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use model_utils::checkpoint::{Checkpoints, HoldsModules as _, Saved, TakesModules as _};
use model_utils::data::Position;
use model_utils::device::{seed, step_seed};
use model_utils::ops;
pub use model_utils::train::Schedule;
use model_utils::train::{
    Asks, Budget, Ema, Ended, History, Observer, Run, StopReason, Stoppable, mean_of,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use config::TrainingConfig;
pub use keep_by::KeepBy;
pub use validation::Validation;
pub(crate) use validation::teacher_forced;

use crate::encoder_decoder::EncoderDecoder;
use crate::error::{Error, Result};
use crate::fingerprint::fingerprint;
use crate::metrics::{Bleu, Metric as _};
use crate::text::{
    EncodedPair, EncodedPairs, OverlongReport, Splits, TokenBatches, TokenLimit, Tokenizers,
};
use teacher_forced::TeacherForced;
use validation::{Best, Validated, scalar, translations};

/// A model in training on sentence pairs.
///
/// A run is the same every time for the same configuration, data and device; stopped and resumed, it
/// ends with the same weights.
pub struct Trainer<M: EncoderDecoder> {
    model: M,
    optimizer: ModuleOptimizer,
    ema: Option<Ema<M>>,
    validated: Validated<M>,
    /// The same after the validation at the end, where that is none of `valid_every`: a run that goes
    /// on knows nothing of it.
    at_end: Option<Validated<M>>,
    config: TrainingConfig,
    tokenizers: Tokenizers,
    train: Vec<EncodedPair>,
    valid: Vec<EncodedPair>,
    /// The references of the pairs that are translated in a validation, normalised.
    references: Vec<String>,
    overlong: [OverlongReport; 2],
    batches: TokenBatches,
    limit: TokenLimit,
    about: Value,
    device: Device,
    /// The next batch.
    position: Position,
    /// Of the steps since the last report.
    losses: Vec<f64>,
    run: Run,
}

/// What a checkpoint holds beside modules.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    position: Position,
    losses: Vec<f64>,
    last: Option<Validation>,
    best: Option<Validation>,
    since_best: usize,
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

impl Trained {
    /// The same where the training came to its end.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Stopped`] where it was asked to stop.
    pub fn or_stopped(self) -> Result<Self> {
        Ok(self.reason.or_stopped("training", self.steps).map(|()| self)?)
    }
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
    /// may be. `stop.around(&splits)` ends the encoding of them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a configuration that cannot work, [`Error::Model`] for a model with
    /// other vocabularies, too few positions, or without autodiff, [`Error::Pairs`] for empty parts,
    /// [`Error::TooLong`] for a sentence that is.
    pub fn new<'a, S: Asks + Clone>(
        model: M,
        tokenizers: Tokenizers,
        splits: impl Into<Stoppable<&'a Splits, S>>,
        limit: TokenLimit,
        config: TrainingConfig,
    ) -> Result<Self> {
        let (splits, stop) = splits.into().into_parts();
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
            return Err(Error::Model(
                "its weights are without autodiff: make it on `device.autodiff()`, or call `.train()` \
                 on one that comes from `valid` or was forked without"
                    .to_owned(),
            ));
        }
        let train = Stoppable::new(&splits.train, stop.clone());
        let EncodedPairs { pairs: train, overlong: train_overlong } =
            tokenizers.encode(train, "the training part", limit)?;
        // Only training pairs may be left out: the figures are of all others.
        let kept = limit.keeping_all();
        let valid = Stoppable::new(&splits.valid, stop);
        let EncodedPairs { pairs: valid, overlong: valid_overlong } =
            tokenizers.encode(valid, "the validation part", kept)?;
        let measured = splits.valid.pairs().iter().take(config.valid_sentences);
        let references = measured
            .map(|pair| tokenizers.target().normalize(&pair.target))
            .collect::<Result<_>>()?;
        let [beta_1, beta_2] = config.betas;
        Ok(Self {
            optimizer: AdamConfig::new()
                .with_beta_1(beta_1)
                .with_beta_2(beta_2)
                .with_epsilon(1e-9)
                .init(),
            ema: config.ema_decay.map(|decay| Ema::new(&model, decay)).transpose()?,
            validated: Validated::default(),
            at_end: None,
            batches: TokenBatches::new(&train, config.batch_tokens, config.seed)?,
            position: Position::default(),
            losses: Vec::new(),
            run: Run::new("training", &Value::Null)?,
            model,
            tokenizers,
            train,
            valid,
            references,
            overlong: [train_overlong, valid_overlong],
            config,
            limit,
            about: Value::Null,
            device,
        })
    }

    /// Sets what tells this model's configuration from another when a run is resumed.
    #[must_use]
    pub fn with_about(mut self, about: Value) -> Self {
        self.about = about;
        self
    }

    /// Keeps checkpoints, one `every` so many steps and one at the end, and goes on from the latest
    /// that is there, exactly. A run that its budget ended goes on where [`train`](Self::train) is
    /// called with a larger one, as if it had had that from the start. A schedule that ends with the
    /// budget ([`Schedule::Linear`], [`Schedule::Cosine`]) is another where it is longer: that needs
    /// `checkpoints.allow_change("training.schedule")`, and the rate is the longer one's from there on.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with every difference for a checkpoint of another
    /// configuration or of other pairs (how long is waited for better weights and how often events
    /// come may change, and so may what [`Checkpoints::allow_change`] names), and what reading one
    /// brings.
    pub fn resume_in(mut self, checkpoints: Checkpoints, every: u64) -> Result<Self> {
        let mut training = serde_json::to_value(&self.config).unwrap_or_default();
        if let Some(fields) = training.as_object_mut() {
            fields.retain(|field, _| !["patience", "log_every"].contains(&field.as_str()));
        }
        self.run.set_about(&json!({
            "model": self.about,
            "training": training,
            "pairs": [self.train.len(), self.valid.len()],
            "pairs_hash": hash(self.train.iter().chain(&self.valid)),
        }))?;
        match self.run.resume_in(checkpoints, Some(every))? {
            Some(saved) => self.resume(&saved),
            None => Ok(self),
        }
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
        self.run.steps()
    }

    /// Every metric over the steps, the parts before a resume included.
    pub fn history(&self) -> &History {
        self.run.history()
    }

    /// Training pairs.
    pub fn pairs(&self) -> usize {
        self.train.len()
    }

    /// What became of the pairs with more tokens than allowed, of the training and of the validation
    /// part, where none is left out.
    pub fn overlong(&self) -> [OverlongReport; 2] {
        self.overlong
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
        let validated = self.at_end.as_ref().unwrap_or(&self.validated);
        match &validated.best {
            Some(best) => Ok(best.model.clone()),
            None => self.evaluated(validated),
        }
    }

    /// The weights that did best, the tokenizers, and how long sentences may be.
    pub(crate) fn into_best(self) -> Result<(M, Tokenizers, TokenLimit)> {
        Ok((self.best()?, self.tokenizers, self.limit))
    }

    /// Trains until the budget is spent, the observer asks to stop or no validation was better for as
    /// long as is allowed. Ends with a validation, but where it was asked to stop; one that goes on while
    /// the observer asks is dropped, and made when the run goes on.
    ///
    /// Metrics of steps: `train_loss`, `learning_rate`, `grad_norm`, `target_tokens_per_s`; of
    /// validations, told as [`Event::Epoch`](model_utils::train::Event::Epoch): `valid_bleu` (of WMT's
    /// words), `valid_perplexity`, `valid_token_accuracy`, `wall_s`, and what weights are kept by
    /// under its own name, for example `valid_chrf` ([`KeepBy::key`]).
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a budget without steps, epochs and time, [`Error::NotFinite`] for a loss
    /// or gradient that is NaN or infinite: the model stays as it was before that step, and is saved
    /// where checkpoints are kept.
    pub fn train(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<Trained> {
        self.run.start(budget, None, progress)?;
        self.at_end = None;
        if self.validated.is_over(self.config.patience) {
            self.run.stop(StopReason::NoImprovement);
        }
        if self.is_validation_due() {
            // It was stopped.
            self.validate(progress)?;
            self.save(progress)?;
        }
        let batches = self.batches.clone();
        let mut plan = batches.from(self.position).peekable();
        while self.run.next(progress) {
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
                self.position = *position;
                self.run.set_epochs(position.epoch);
            }
            self.losses.push(report.loss);
            if self.run.is_report_due(self.config.log_every) {
                let mean = self.losses.iter().sum::<f64>() / self.losses.len() as f64;
                self.losses.clear();
                let metrics = [
                    ("train_loss", mean),
                    ("learning_rate", report.learning_rate),
                    ("grad_norm", report.grad_norm),
                    ("target_tokens_per_s", self.run.items_per_s()),
                ];
                self.run.report(&metrics, progress);
            }
            if self.is_validation_due() {
                self.validate(progress)?;
            }
            if self.run.is_save_due() {
                self.save(progress)?;
            }
        }
        if !self.run.is_saved() {
            self.save(progress)?;
        }
        if self.run.reason() == Some(StopReason::BudgetSpent) && !self.is_validated() {
            self.at_end = self.validation(progress)?;
            if self.at_end.is_none() {
                self.run.stop(StopReason::Asked);
            }
        }
        let Ended { steps, epochs, wall_s, steps_s, items_per_s, reason, .. } =
            self.run.finish(progress);
        let validated = self.at_end.as_ref().unwrap_or(&self.validated);
        Ok(Trained {
            steps,
            epochs,
            wall_s,
            steps_s,
            target_tokens_per_s: items_per_s,
            best: validated.best.as_ref().map(|best| best.validation),
            reason,
        })
    }

    /// One step on these batches of training pairs.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train).
    pub fn step(&mut self, batches: &[Vec<usize>]) -> Result<StepReport> {
        let number = self.run.steps() + 1;
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
            ema.update(&self.model)?;
        }
        self.run.step(target_tokens);
        Ok(StepReport { loss, grad_norm, learning_rate, target_tokens })
    }

    /// The weights that are evaluated and kept: an average where there is one.
    fn evaluated(&self, validated: &Validated<M>) -> Result<M> {
        if let Some(ema) = &self.ema {
            return Ok(ema.model());
        }
        if self.config.average_last > 1 && !validated.recent.is_empty() {
            let recent: Vec<M> = validated.recent.iter().cloned().collect();
            return Ok(mean_of(&recent)?);
        }
        Ok(self.model.valid())
    }

    /// Whether the weights as they are were validated, or are those of the start.
    fn is_validated(&self) -> bool {
        self.validated.last.map_or(0, |last| last.step) == self.run.steps()
    }

    fn is_validation_due(&self) -> bool {
        self.run.steps().is_multiple_of(self.config.valid_every) && !self.is_validated()
    }

    /// Measures, keeps what is best, and ends the run where it is time to.
    fn validate(&mut self, progress: &mut dyn Observer) -> Result<()> {
        match self.validation(progress)? {
            None => self.run.stop(StopReason::Asked),
            Some(validated) => {
                self.validated = validated;
                if self.validated.is_over(self.config.patience) {
                    self.run.stop(StopReason::NoImprovement);
                }
            }
        }
        Ok(())
    }

    /// What is known after a validation; none where the observer asked to stop meanwhile.
    fn validation(&mut self, progress: &mut dyn Observer) -> Result<Option<Validated<M>>> {
        self.run.pause();
        let mut validated = self.validated.clone();
        if self.config.average_last > 1 {
            validated.recent.push_back(self.model.valid());
            while validated.recent.len() > self.config.average_last {
                validated.recent.pop_front();
            }
        }
        let model = self.evaluated(&validated)?;
        let Some(validation) = self.measure(&model, &*progress)? else { return Ok(None) };
        let mut metrics = vec![
            ("valid_bleu", validation.bleu),
            ("valid_perplexity", validation.perplexity),
            ("valid_token_accuracy", validation.token_accuracy),
            ("wall_s", self.run.wall_s()),
        ];
        let kept_by = format!("valid_{}", self.config.keep_by.key());
        if metrics.iter().all(|(name, _)| *name != kept_by) {
            metrics.push((&kept_by, validation.score));
        }
        self.run.evaluated(&metrics, progress);
        validated.note(model, validation, self.config.keep_by);
        Ok(Some(validated))
    }

    fn measure(&self, model: &M, progress: &dyn Observer) -> Result<Option<Validation>> {
        let step = self.run.steps();
        let listen = |_: usize| progress.check("validation", format_args!("step {step}"));
        let device = self.device.clone().without_autodiff();
        let pad = self.tokenizers.target().special().pad;
        let pairs = &self.valid[..self.references.len()];
        let measured =
            teacher_forced(model, &self.valid, pad, &device, &listen).and_then(|forced| {
                Ok((forced, translations(model, pairs, &self.tokenizers, &device, &listen)?))
            });
        match measured {
            Ok(((perplexity, token_accuracy), texts)) => {
                let bleu = Bleu::new().score(&texts, &self.references)?;
                let score = match self.config.keep_by {
                    KeepBy::Metric(metric) => metric.score(&texts, &self.references)?,
                    KeepBy::Perplexity => perplexity,
                };
                Ok(Some(Validation { step, bleu, score, perplexity, token_accuracy }))
            }
            Err(Error::Utils(model_utils::Error::Stopped { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, progress: &mut dyn Observer) -> Result<()> {
        let Self { model, optimizer, ema, validated, position, losses, run, .. } = self;
        Ok(run.save(progress, |checkpoint| {
            let mut checkpoint = checkpoint
                .module(MODEL, model)?
                .optimizer(OPTIMIZER, optimizer)?
                .state(&Journal {
                    position: *position,
                    losses: losses.clone(),
                    last: validated.last,
                    best: validated.best.as_ref().map(|best| best.validation),
                    since_best: validated.since_best,
                    recent: validated.recent.len(),
                    ema_updates: ema.as_ref().map(Ema::updates),
                })?;
            if let Some(ema) = ema {
                checkpoint = checkpoint.module(EMA, &ema.model())?;
            }
            if let Some(best) = &validated.best {
                checkpoint = checkpoint.module(BEST, &best.model)?;
            }
            for (at, model) in validated.recent.iter().enumerate() {
                checkpoint = checkpoint.module(&recent_name(at), model)?;
            }
            Ok(checkpoint)
        })?)
    }

    fn resume(mut self, saved: &Saved) -> Result<Self> {
        let journal: Journal = saved.state()?;
        self.model = saved.module(MODEL, self.model)?;
        self.optimizer = saved.optimizer(OPTIMIZER, self.optimizer)?;
        let still = self.model.valid();
        if let (Some(decay), Some(updates)) = (self.config.ema_decay, journal.ema_updates) {
            let average = saved.module(EMA, still.clone())?;
            self.ema = Some(Ema::resume(&average, decay, updates)?);
        }
        let best = |validation| -> Result<_> {
            Ok(Best { model: saved.module(BEST, still.clone())?, validation })
        };
        self.validated = Validated {
            recent: (0..journal.recent)
                .map(|at| saved.module(&recent_name(at), still.clone()))
                .collect::<Result<_, _>>()?,
            best: journal.best.map(best).transpose()?,
            last: journal.last,
            since_best: journal.since_best,
        };
        (self.position, self.losses) = (journal.position, journal.losses);
        Ok(self)
    }
}

fn hash<'a>(pairs: impl Iterator<Item = &'a EncodedPair>) -> String {
    let ids = pairs.flat_map(|pair| pair.source.iter().chain(&pair.target));
    fingerprint(ids.flat_map(|id| id.to_le_bytes()))
}
