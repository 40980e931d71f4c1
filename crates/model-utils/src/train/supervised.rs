use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use burn::config::Config;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Batches, Budget, EarlyStopping, Ema, Event, History, Observer, Spent, StopReason};
use crate::checkpoint::{Checkpoint, Checkpoints, Goal};
use crate::config::{self, ConfigError};
use crate::device;
use crate::error::{Error, Result};
use crate::ops;
use crate::weights::{Manifest, State, is_autodiff};

/// The names under which the parts of a run stand in its checkpoints.
const MODEL: &str = "model";
const EMA: &str = "ema";
const OPTIMIZER: &str = "optimizer";
const SCHEDULE: &str = "schedule";

/// Configuration of [`Supervised`].
#[derive(Config, Debug, PartialEq)]
pub struct SupervisedConfig {
    /// How long to train.
    pub budget: Budget,
    /// What every random draw of a step follows from, together with the step's number.
    #[config(default = 42)]
    pub seed: u64,
    /// Batches whose gradients are averaged into one optimiser step.
    #[config(default = 1)]
    pub accumulate: usize,
    /// The largest global L2 norm of the gradients.
    pub clip_norm: Option<f64>,
    /// Share that stays in an exponential average of the weights, which is then what is
    /// evaluated.
    pub ema_decay: Option<f64>,
    /// Evaluations without a better score before the run ends.
    pub patience: Option<usize>,
    /// Which scores are better.
    #[config(default = "Goal::Highest")]
    pub goal: Goal,
    /// Steps between two events. Losses are read from the device, and checked, this often.
    #[config(default = 1)]
    pub log_every: u64,
    /// Steps between two checkpoints; one is saved after every epoch in any case.
    pub checkpoint_every: Option<u64>,
}

/// What the caller's step returns.
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// The loss to descend, `[1]`, averaged over the batch.
    pub loss: Tensor<1>,
    /// Items in the batch.
    pub items: usize,
    /// How many of them were right, where that makes sense.
    pub correct: Option<Tensor<1, Int>>,
}

/// What the caller's evaluation returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What early stopping and the best checkpoint go by.
    #[serde(with = "crate::number")]
    pub score: f64,
    /// All that was measured: `test_accuracy`, `test_loss`, …
    #[serde(with = "crate::number::map")]
    pub metrics: BTreeMap<String, f64>,
}

impl Evaluation {
    /// An evaluation with one metric, which is the score.
    pub fn new(name: &str, score: f64) -> Self {
        Self { score, metrics: BTreeMap::from([(name.to_owned(), score)]) }
    }

    /// Adds a metric.
    #[must_use]
    pub fn with_metric(mut self, name: &str, value: f64) -> Self {
        self.metrics.insert(name.to_owned(), value);
        self
    }
}

/// A trained model and how it came about.
#[derive(Debug, Clone)]
pub struct Trained<M> {
    /// The model after the last step, without autodiff.
    pub model: M,
    /// The average of its weights, if one was kept.
    pub ema: Option<M>,
    /// Optimiser steps, in all.
    pub step: u64,
    /// Passes over the data that are done.
    pub epoch: u64,
    /// Why the run ended.
    pub reason: StopReason,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
    /// Every metric over the steps, the parts before a resume included.
    pub history: History,
    /// Time spent in seconds, the parts before a resume and the evaluations included.
    pub wall_s: f64,
    /// Items a second while training, evaluations and checkpoints left out.
    pub items_per_s: f64,
}

impl<M> Trained<M> {
    /// The average if there is one, the last model otherwise: what was evaluated.
    pub fn into_best_guess(self) -> M {
        self.ema.unwrap_or(self.model)
    }
}

/// The position of a run: all that is not weights.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    step: u64,
    epoch: u64,
    /// Batches of the epoch that are done.
    batch: usize,
    /// Of an epoch; 0 before the first, and in older checkpoints.
    #[serde(default)]
    per_epoch: usize,
    items: u64,
    wall_s: f64,
    train_s: f64,
    ema_updates: u64,
    early_stopping: Option<EarlyStopping>,
    evaluation: Option<Evaluation>,
    /// A file of its own beside the checkpoints; older checkpoints hold it themselves.
    #[serde(default, skip_serializing)]
    history: History,
    /// Of it not saved yet.
    #[serde(skip)]
    unsaved: History,
    /// How long that file is.
    #[serde(default)]
    history_bytes: u64,
}

impl Progress {
    fn note(&mut self, event: &Event<'_>) {
        self.history.observe(event);
        self.unsaved.observe(event);
    }
}

/// What a checkpoint holds beside the modules.
#[derive(Serialize, Deserialize)]
struct SavedState {
    config: SupervisedConfig,
    progress: Progress,
}

/// The supervised loop: batches → loss → gradients → step, an evaluation after each epoch, and
/// checkpoints from which it goes on exactly as if it had not stopped.
///
/// Before each batch the device is seeded from (seed, number of the batch), so dropout repeats
/// and a resumed run draws what the unbroken one would have drawn.
#[derive(Debug)]
pub struct Supervised<M> {
    config: SupervisedConfig,
    model: M,
    optimizer: Masked<ModuleOptimizer>,
    schedule: Masked<ModuleLrScheduler>,
    ema: Option<Ema<M>>,
    checkpoints: Option<Checkpoints>,
    progress: Progress,
}

/// Burn's optimiser and scheduler do not implement `Debug`.
struct Masked<T>(T);

impl<T> std::fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl<M: Module> Supervised<M> {
    /// A run that has not started.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a field that cannot work, and for a model on a device without
    /// autodiff.
    pub fn new(
        config: SupervisedConfig,
        model: M,
        optimizer: impl Into<ModuleOptimizer>,
        schedule: impl Into<ModuleLrScheduler>,
    ) -> Result<Self> {
        config.budget.require_any_of(&["steps", "epochs", "time"])?;
        let positive = [
            ("accumulate", config.accumulate as u64),
            ("log_every", config.log_every),
            ("checkpoint_every", config.checkpoint_every.unwrap_or(1)),
            ("patience", config.patience.unwrap_or(1) as u64),
        ];
        for (field, value) in positive {
            config::at_least(field, value, 1)?;
        }
        let clips = config.clip_norm.is_none_or(|norm| norm > 0.0);
        config::require(clips, "clip_norm", config.clip_norm, "above 0")?;
        if !is_autodiff(&model) {
            let expected = "a model on `device.autodiff()`";
            return Err(ConfigError::new("device", "without autodiff", expected).into());
        }
        let ema = config.ema_decay.map(|decay| Ema::new(&model, decay)).transpose()?;
        let early_stopping =
            config.patience.map(|patience| EarlyStopping::new(config.goal, patience));
        Ok(Self {
            config,
            model,
            optimizer: Masked(optimizer.into()),
            schedule: Masked(schedule.into()),
            ema,
            checkpoints: None,
            progress: Progress { early_stopping, ..Progress::default() },
        })
    }

    /// Saves checkpoints there, and goes on from the latest if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with each field in which the checkpoint's configuration is another one, but
    /// budget, patience and how often is logged and saved, which may change, and if it is of another
    /// model; [`Error::Format`] if it is damaged.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        if let Some(saved) = checkpoints.latest()? {
            let state: SavedState = saved.state()?;
            let SupervisedConfig { budget, patience, log_every, checkpoint_every, .. } =
                self.config;
            let may_change =
                SupervisedConfig { budget, patience, log_every, checkpoint_every, ..state.config };
            let manifest = |config: &SupervisedConfig| Manifest::new("train", "run", config);
            let differences = manifest(&self.config)?.differences(Some(&manifest(&may_change)?));
            if !differences.is_empty() {
                return Err(Error::Mismatch { path: saved.folder().to_path_buf(), differences });
            }
            self.model = saved.module(MODEL, self.model)?;
            self.optimizer = Masked(saved.optimizer(OPTIMIZER, self.optimizer.0)?);
            self.schedule = Masked(saved.schedule(SCHEDULE, self.schedule.0)?);
            if let (Some(ema), Some(decay)) = (&mut self.ema, self.config.ema_decay) {
                let average = saved.module(EMA, ema.model())?;
                *ema = Ema::resume(&average, decay, state.progress.ema_updates)?;
            }
            let waits = self.progress.early_stopping.take();
            self.progress = state.progress;
            self.progress.early_stopping = match (waits, self.progress.early_stopping.take()) {
                (Some(waits), Some(before)) => Some(before.with_patience_of(&waits)),
                (waits, _) => waits,
            };
            if self.progress.history_bytes > 0 {
                self.progress.history = checkpoints.history(self.progress.history_bytes)?;
            } else {
                self.progress.unsaved = self.progress.history.clone();
            }
        }
        self.checkpoints = Some(checkpoints);
        Ok(self)
    }

    /// The step the run is at.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Trains until the budget is spent, the score no longer improves or the observer asks to
    /// stop.
    ///
    /// `step` computes the loss of a batch; `evaluate` gets the model (its average, if one is
    /// kept) without autodiff.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] with the step at which the loss or a weight is not finite: nothing
    /// after it is saved, the checkpoints before it stay. Errors of the batches, of `step`, of
    /// `evaluate` and of saving come through.
    pub fn train<S, E>(
        mut self,
        batches: &S,
        mut step: impl FnMut(&M, S::Batch) -> Result<StepOutput, E>,
        mut evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
        observer: &mut dyn Observer,
    ) -> Result<Trained<M>, E>
    where
        S: Batches + ?Sized,
        E: From<Error>,
    {
        let per_epoch = batches.batches_per_epoch();
        if per_epoch == 0 {
            return Err(
                Error::data("training set", "it has no batch, expected at least one").into()
            );
        }
        let before = self.progress.per_epoch;
        let is_same = before == 0 || before == per_epoch;
        config::require(is_same, "batches", per_epoch, format!("{before} an epoch, as before"))
            .map_err(Error::from)?;
        self.progress.per_epoch = per_epoch;
        let steps_per_epoch = per_epoch.div_ceil(self.config.accumulate) as u64;
        let budget = self.config.budget;
        let of = match (budget.steps, budget.epochs.map(|epochs| epochs * steps_per_epoch)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        observer.observe(&Event::Started { task: "train", step: self.progress.step, of });
        let clock = Clock::start(self.progress.wall_s);
        let mut unread = Unread::default();

        let reason = 'run: loop {
            if let Some(reason) = self.over(&clock, observer) {
                break reason;
            }
            let mut source = batches.epoch(self.progress.epoch, self.progress.batch);
            while self.progress.batch < per_epoch {
                let started = Instant::now();
                let group = self.config.accumulate.min(per_epoch - self.progress.batch);
                self.train_step(&mut source, group, &mut step, &mut unread)?;
                let logs = self.progress.step.is_multiple_of(self.config.log_every);
                if logs || self.progress.batch == per_epoch {
                    self.report(&mut unread, of, observer)?;
                }
                self.progress.train_s += started.elapsed().as_secs_f64();
                let every = self.config.checkpoint_every;
                if every.is_some_and(|every| self.progress.step.is_multiple_of(every)) {
                    self.report(&mut unread, of, observer)?;
                    self.save(None, &clock, observer)?;
                }
                if self.progress.batch < per_epoch
                    && let Some(reason) = self.over(&clock, observer)
                {
                    self.report(&mut unread, of, observer)?;
                    self.save(None, &clock, observer)?;
                    break 'run reason;
                }
            }
            drop(source);
            self.progress.epoch += 1;
            self.progress.batch = 0;
            let score = self.evaluate(&mut evaluate, observer)?;
            let early = &mut self.progress.early_stopping;
            let tired = early.as_mut().is_some_and(|early| early.is_over(score));
            self.save(Some(score), &clock, observer)?;
            if tired {
                break StopReason::NoImprovement;
            }
        };
        if self.progress.batch > 0 && reason == StopReason::BudgetSpent {
            // The last epoch is in parts: what is reported is evaluated now, after the save.
            self.evaluate(&mut evaluate, observer)?;
        }
        let wall_s = clock.total_s();
        observer.observe(&Event::Finished { step: self.progress.step, reason, wall_s });
        let Progress { step, epoch, items, train_s, evaluation, history, .. } = self.progress;
        Ok(Trained {
            model: self.model.valid(),
            ema: self.ema.map(|ema| ema.model()),
            step,
            epoch,
            reason,
            evaluation,
            history,
            wall_s,
            items_per_s: items as f64 / train_s.max(f64::MIN_POSITIVE),
        })
    }

    /// One optimiser step over `group` batches.
    fn train_step<B, E: From<Error>>(
        &mut self,
        source: &mut dyn Iterator<Item = Result<B>>,
        group: usize,
        step: &mut dyn FnMut(&M, B) -> Result<StepOutput, E>,
        unread: &mut Unread,
    ) -> Result<(), E> {
        let mut gathered = GradientsAccumulator::new();
        let device = self.model.devices().swap_remove(0);
        for part in 0..group {
            let batch = source.next().ok_or_else(|| {
                Error::data(
                    "training set",
                    format!(
                        "an epoch ended after {} batches, before its end",
                        self.progress.batch + part
                    ),
                )
            })??;
            let number = self.progress.step * self.config.accumulate as u64 + part as u64;
            device::seed(&device, device::step_seed(self.config.seed, number));
            let output = step(&self.model, batch)?;
            self.progress.items += output.items as u64;
            unread.push(&output);
            let loss = if group == 1 { output.loss } else { output.loss / group as f64 };
            let grads = GradientsParams::from_grads(loss.backward(), &self.model);
            gathered.accumulate(&self.model, grads);
        }
        let mut grads = gathered.grads();
        if let Some(max_norm) = self.config.clip_norm {
            grads = ops::clip_grad_norm(&self.model, grads, max_norm).0;
        }
        let rate = self.schedule.0.step();
        unread.learning_rate = rate.base();
        self.model = self.optimizer.0.step(rate, self.model.clone(), grads);
        if let Some(ema) = &mut self.ema {
            ema.update(&self.model);
            self.progress.ema_updates = ema.updates();
        }
        self.progress.step += 1;
        self.progress.batch += group;
        unread.step_done(group);
        Ok(())
    }

    /// Reads the losses since the last report, checks them and tells the observer.
    fn report(
        &mut self,
        unread: &mut Unread,
        of: Option<u64>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if unread.losses.is_empty() {
            return Ok(());
        }
        let step = self.progress.step;
        let (metrics, items) = unread.read(step)?;
        let epoch = self.progress.epoch;
        let event = Event::Step { step, of, epoch, items, metrics: &metrics };
        self.progress.note(&event);
        observer.observe(&event);
        Ok(())
    }

    fn evaluate<E>(
        &mut self,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
        observer: &mut dyn Observer,
    ) -> Result<f64, E> {
        let model = match &self.ema {
            Some(ema) => ema.model(),
            None => self.model.valid(),
        };
        let evaluation = evaluate(&model)?;
        let metrics: Vec<(&str, f64)> =
            evaluation.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let Progress { epoch, step, .. } = self.progress;
        let event = Event::Epoch { epoch, step, metrics: &metrics };
        self.progress.note(&event);
        observer.observe(&event);
        let score = evaluation.score;
        self.progress.evaluation = Some(evaluation);
        Ok(score)
    }

    fn save(
        &mut self,
        score: Option<f64>,
        clock: &Clock,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(());
        };
        self.progress.wall_s = clock.total_s();
        let unsaved = std::mem::take(&mut self.progress.unsaved);
        let before = self.progress.history_bytes;
        self.progress.history_bytes = checkpoints.append_history(before, &unsaved)?;
        let step = self.progress.step;
        let state = SavedState { config: self.config.clone(), progress: self.progress.clone() };
        let mut checkpoint = Checkpoint::new(step)
            .module(MODEL, &self.model)?
            .optimizer(OPTIMIZER, &self.optimizer.0)?
            .schedule(SCHEDULE, &self.schedule.0)?
            .state(&state)?;
        if let Some(ema) = &self.ema {
            checkpoint = checkpoint.module(EMA, &ema.model())?;
        }
        if let Some((name, value)) = checkpoint.modules().find_map(State::first_not_finite) {
            return Err(Error::NotFinite { what: format!("weight `{name}`"), value, step });
        }
        if let Some(score) = score {
            checkpoint = checkpoint.score(score);
        }
        let saved = checkpoints.save(&checkpoint)?;
        observer.observe(&Event::Saved { path: saved.folder(), step });
        Ok(())
    }

    fn over(&self, clock: &Clock, observer: &dyn Observer) -> Option<StopReason> {
        let Progress { step, epoch, .. } = self.progress;
        let time = Duration::from_secs_f64(clock.total_s());
        if self.config.budget.is_spent(Spent {
            steps: step,
            epochs: epoch,
            time,
            ..Spent::default()
        }) {
            Some(StopReason::BudgetSpent)
        } else {
            observer.wants_stop().then_some(StopReason::Asked)
        }
    }
}

/// Time spent, the parts before a resume included.
struct Clock {
    before_s: f64,
    started: Instant,
}

impl Clock {
    fn start(before_s: f64) -> Self {
        Self { before_s, started: Instant::now() }
    }

    fn total_s(&self) -> f64 {
        self.before_s + self.started.elapsed().as_secs_f64()
    }
}

/// Losses that are still on the device.
#[derive(Default)]
struct Unread {
    losses: Vec<Tensor<1>>,
    correct: Vec<Tensor<1, Int>>,
    items: usize,
    learning_rate: f64,
    /// Losses of each step that is done.
    groups: Vec<usize>,
}

impl Unread {
    fn push(&mut self, output: &StepOutput) {
        self.losses.push(output.loss.clone().without_autodiff());
        self.correct.extend(output.correct.clone().map(Tensor::without_autodiff));
        self.items += output.items;
    }

    fn step_done(&mut self, group: usize) {
        self.groups.push(group);
    }

    /// The mean loss and accuracy up to `step`, the last one done.
    fn read(&mut self, step: u64) -> Result<(Vec<(&'static str, f64)>, usize)> {
        let Self { losses, correct, items, learning_rate, groups } = std::mem::take(self);
        let count = losses.len() as f64;
        let losses = Tensor::cat(losses, 0).into_data().convert::<f64>();
        let losses = losses.try_to_vec::<f64>().map_err(unreadable)?;
        let mut steps = groups.iter().zip(step + 1 - groups.len() as u64..);
        let mut of_step =
            steps.by_ref().flat_map(|(group, step)| std::iter::repeat_n(step, *group));
        for loss in &losses {
            let step = of_step.next().unwrap_or(step);
            if !loss.is_finite() {
                return Err(Error::NotFinite { what: "loss".to_owned(), value: *loss, step });
            }
        }
        let mut metrics = vec![("train_loss", losses.iter().sum::<f64>() / count)];
        if !correct.is_empty() {
            let correct = Tensor::cat(correct, 0).sum().into_data().convert::<i64>();
            let correct = correct.try_to_vec::<i64>().map_err(unreadable)?;
            metrics.push(("train_accuracy", correct[0] as f64 / items as f64));
        }
        metrics.push(("learning_rate", learning_rate));
        Ok((metrics, items))
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::data("loss", error.to_string())
}
