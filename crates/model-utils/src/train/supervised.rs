use std::collections::BTreeMap;

use burn::config::Config;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Batches, Budget, EarlyStopping, Ema, Ended, History, Observer, Run, Schedule, StopReason,
};
use crate::checkpoint::{Checkpoint, Checkpoints, Goal, HoldsModules as _, TakesModules as _};
use crate::config::{self, ConfigError};
use crate::device;
use crate::error::{Error, Result};
use crate::ops;
use crate::weights::is_autodiff;

/// The names under which the parts of a run stand in its checkpoints.
const MODEL: &str = "model";
const EMA: &str = "ema";
const OPTIMIZER: &str = "optimizer";

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

    /// Where nothing is measured: no metric, and NaN for a score.
    pub fn none() -> Self {
        Self { score: f64::NAN, metrics: BTreeMap::new() }
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
    /// The same where the run came to its end.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] where the observer asked to stop.
    pub fn or_stopped(self) -> Result<Self> {
        self.reason.or_stopped("training", self.step).map(|()| self)
    }

    /// The average if there is one, the last model otherwise: what was evaluated.
    pub fn into_best_guess(self) -> M {
        self.ema.unwrap_or(self.model)
    }
}

/// What a checkpoint holds beside the modules, and beside what the run itself writes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Journal {
    /// Batches of an epoch; 0 before the first.
    per_epoch: usize,
    ema_updates: u64,
    early_stopping: Option<EarlyStopping>,
    evaluation: Option<Evaluation>,
    /// What was measured since the last report, where it was saved between two.
    unreported: Unreported,
}

/// What was measured since the last report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Unreported {
    losses: Vec<f64>,
    correct: Option<i64>,
    items: usize,
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
    schedule: Schedule,
    ema: Option<Ema<M>>,
    run: Run,
    journal: Journal,
}

/// Burn's optimiser does not implement `Debug`.
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
        schedule: impl Into<Schedule>,
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
        let schedule = schedule.into();
        schedule.check()?;
        // What may change has no place in it.
        let about = json!({
            "seed": config.seed,
            "accumulate": config.accumulate,
            "clip_norm": config.clip_norm,
            "ema_decay": config.ema_decay,
            "goal": config.goal,
            "schedule": schedule,
        });
        Ok(Self {
            config,
            model,
            optimizer: Masked(optimizer.into()),
            schedule,
            ema,
            run: Run::new("train", &about)?,
            journal: Journal { early_stopping, ..Journal::default() },
        })
    }

    /// Gives the run a name, which is told and saved: `train` without.
    #[must_use]
    pub fn named(mut self, task: &str) -> Self {
        self.run.set_task(task);
        self
    }

    /// Says what else the run is, field by field: the batch size, the optimiser's settings, the data.
    /// A run that goes on must be about the same.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what JSON cannot hold.
    pub fn about(mut self, about: &impl Serialize) -> Result<Self> {
        self.run.add_about("about", about)?;
        Ok(self)
    }

    /// Saves checkpoints there, and goes on from the latest if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with each field in which the checkpoint's configuration is another one, but
    /// budget, patience and how often is logged and saved, which may change, and the learning rate
    /// where [that is asked for](Checkpoints::allow_change) as `schedule`; and if it is of another model
    /// or another kind of optimiser; [`Error::Format`] if it is damaged.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        let every = self.config.checkpoint_every;
        if let Some(saved) = self.run.resume_in(checkpoints, every)? {
            let journal: Journal = saved.state()?;
            self.model = saved.module(MODEL, self.model)?;
            self.optimizer = Masked(saved.optimizer(OPTIMIZER, self.optimizer.0)?);
            if let (Some(ema), Some(decay)) = (&mut self.ema, self.config.ema_decay) {
                let average = saved.module(EMA, ema.model())?;
                *ema = Ema::resume(&average, decay, journal.ema_updates)?;
            }
            let waits = self.journal.early_stopping.take();
            self.journal = journal;
            self.journal.early_stopping = match (waits, self.journal.early_stopping.take()) {
                (Some(waits), Some(before)) => Some(before.with_patience_of(&waits)),
                (waits, _) => waits,
            };
        }
        Ok(self)
    }

    /// The step the run is at.
    pub fn step(&self) -> u64 {
        self.run.steps()
    }

    /// Trains until the budget is spent, the score no longer improves or the observer asks to
    /// stop.
    ///
    /// `step` computes the loss of a batch; `evaluate` gets the model (its average, if one is
    /// kept) without autodiff. Where `evaluate` gives an error, as where it was
    /// [stopped](Error::Stopped), the run is saved as it was before it, and goes on with it.
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
        let before = self.journal.per_epoch;
        let is_same = before == 0 || before == per_epoch;
        config::require(is_same, "batches", per_epoch, format!("{before} an epoch, as before"))
            .map_err(Error::from)?;
        self.journal.per_epoch = per_epoch;
        let steps_per_epoch = per_epoch.div_ceil(self.config.accumulate) as u64;
        self.run.start(self.config.budget, Some(steps_per_epoch), observer)?;
        if self.journal.early_stopping.as_ref().is_some_and(EarlyStopping::was_over) {
            self.run.stop(StopReason::NoImprovement);
        }
        if self.run.batches() == per_epoch {
            // Its evaluation was stopped.
            self.end_epoch(&mut evaluate, observer)?;
        }
        let mut unread =
            Unread { known: std::mem::take(&mut self.journal.unreported), ..Unread::default() };
        let mut source = None;
        while self.run.next(observer) {
            let source_of_epoch =
                source.get_or_insert_with(|| batches.epoch(self.run.epochs(), self.run.batches()));
            let group = self.config.accumulate.min(per_epoch - self.run.batches());
            self.train_step(source_of_epoch, group, &mut step, &mut unread)?;
            let is_epoch_done = self.run.batches() == per_epoch;
            if is_epoch_done || self.run.is_report_due(self.config.log_every) {
                self.report(&mut unread, observer)?;
            }
            if is_epoch_done {
                source = None;
                self.end_epoch(&mut evaluate, observer)?;
            } else if self.run.is_save_due() {
                self.save_between(&mut unread, observer)?;
            }
        }
        if self.run.reason() != Some(StopReason::Asked) {
            self.report(&mut unread, observer)?;
        }
        if !self.run.is_saved() {
            self.save_between(&mut unread, observer)?;
        }
        if self.run.batches() > 0 && self.run.reason() == Some(StopReason::BudgetSpent) {
            // The last epoch is in parts: what is reported is evaluated now, after the save.
            let evaluation = self.evaluate(&mut evaluate)?;
            self.note(evaluation, observer);
        }
        let Ended { steps, epochs, wall_s, items_per_s, reason, .. } = self.run.finish(observer);
        Ok(Trained {
            model: self.model.valid(),
            ema: self.ema.map(|ema| ema.model()),
            step: steps,
            epoch: epochs,
            reason,
            evaluation: self.journal.evaluation,
            history: self.run.history().clone(),
            wall_s,
            items_per_s,
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
        let mut items = 0;
        for part in 0..group {
            let batch = source.next().ok_or_else(|| {
                Error::data(
                    "training set",
                    format!(
                        "an epoch ended after {} batches, before its end",
                        self.run.batches() + part
                    ),
                )
            })??;
            let number = self.run.steps() * self.config.accumulate as u64 + part as u64;
            device::seed(&device, device::step_seed(self.config.seed, number));
            let output = step(&self.model, batch)?;
            items += output.items;
            unread.push(&output);
            let loss = if group == 1 { output.loss } else { output.loss / group as f64 };
            let grads = GradientsParams::from_grads(loss.backward(), &self.model);
            gathered.accumulate(&self.model, grads);
        }
        let mut grads = gathered.grads();
        if let Some(max_norm) = self.config.clip_norm {
            grads = ops::clip_grad_norm(&self.model, grads, max_norm).0;
        }
        let rate = self.schedule.rate(self.run.steps() + 1);
        unread.learning_rate = rate;
        self.model = self.optimizer.0.step(rate, self.model.clone(), grads);
        if let Some(ema) = &mut self.ema {
            ema.update(&self.model)?;
            self.journal.ema_updates = ema.updates();
        }
        self.run.steps_done(1, group, items);
        unread.step_done(group);
        Ok(())
    }

    /// Reads the losses since the last report, checks them and tells the observer.
    fn report(&mut self, unread: &mut Unread, observer: &mut dyn Observer) -> Result<()> {
        unread.read(self.run.steps())?;
        if !unread.known.losses.is_empty() {
            let metrics = unread.take();
            self.run.report(&metrics, observer);
            self.journal.unreported = Unreported::default();
        }
        Ok(())
    }

    /// Evaluates after an epoch, and saves.
    fn end_epoch<E: From<Error>>(
        &mut self,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
        observer: &mut dyn Observer,
    ) -> Result<(), E> {
        self.run.pause();
        let evaluation = match self.evaluate(evaluate) {
            Ok(evaluation) => evaluation,
            Err(error) => {
                self.save(None, observer)?;
                return Err(error);
            }
        };
        self.run.epoch_done();
        let score = self.note(evaluation, observer);
        if self.journal.early_stopping.as_mut().is_some_and(|early| early.is_over(score)) {
            self.run.stop(StopReason::NoImprovement);
        }
        Ok(self.save(Some(score), observer)?)
    }

    fn evaluate<E>(
        &self,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
    ) -> Result<Evaluation, E> {
        match &self.ema {
            Some(ema) => evaluate(&ema.model()),
            None => evaluate(&self.model.valid()),
        }
    }

    /// Notes an evaluation and returns its score.
    fn note(&mut self, evaluation: Evaluation, observer: &mut dyn Observer) -> f64 {
        let metrics: Vec<(&str, f64)> =
            evaluation.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.run.evaluated(&metrics, observer);
        let score = evaluation.score;
        self.journal.evaluation = Some(evaluation);
        score
    }

    /// Saves where the next report is still to come: it will be that of a run that was not stopped.
    fn save_between(&mut self, unread: &mut Unread, observer: &mut dyn Observer) -> Result<()> {
        unread.read(self.run.steps())?;
        self.journal.unreported = unread.known.clone();
        self.save(None, observer)
    }

    fn save(&mut self, score: Option<f64>, observer: &mut dyn Observer) -> Result<()> {
        let Self { model, optimizer, ema, journal, run, .. } = self;
        run.save(observer, |checkpoint| {
            let mut checkpoint = checkpoint
                .module(MODEL, model)?
                .optimizer(OPTIMIZER, &optimizer.0)?
                .state(journal)?;
            if let Some(ema) = ema {
                checkpoint = checkpoint.module(EMA, &ema.model())?;
            }
            Ok(score.into_iter().fold(checkpoint, Checkpoint::score))
        })
    }
}

/// Losses that are still on the device.
#[derive(Default)]
struct Unread {
    losses: Vec<Tensor<1>>,
    correct: Vec<Tensor<1, Int>>,
    learning_rate: f64,
    /// Losses of each step that is done.
    groups: Vec<usize>,
    /// Those that were read.
    known: Unreported,
}

impl Unread {
    fn push(&mut self, output: &StepOutput) {
        self.losses.push(output.loss.clone().without_autodiff());
        self.correct.extend(output.correct.clone().map(Tensor::without_autodiff));
        self.known.items += output.items;
    }

    fn step_done(&mut self, group: usize) {
        self.groups.push(group);
    }

    /// Reads losses up to `step`, the last one done, and checks them.
    fn read(&mut self, step: u64) -> Result<()> {
        if self.losses.is_empty() {
            return Ok(());
        }
        let groups = std::mem::take(&mut self.groups);
        let losses = Tensor::cat(std::mem::take(&mut self.losses), 0).into_data();
        let losses = losses.convert::<f64>().try_to_vec::<f64>().map_err(unreadable)?;
        let mut steps = groups.iter().zip(step + 1 - groups.len() as u64..);
        let mut of_step =
            steps.by_ref().flat_map(|(group, step)| std::iter::repeat_n(step, *group));
        for loss in &losses {
            let step = of_step.next().unwrap_or(step);
            if !loss.is_finite() {
                return Err(Error::NotFinite { what: "loss".to_owned(), value: *loss, step });
            }
        }
        self.known.losses.extend(losses);
        if !self.correct.is_empty() {
            let correct = Tensor::cat(std::mem::take(&mut self.correct), 0).sum().into_data();
            let correct = correct.convert::<i64>().try_to_vec::<i64>().map_err(unreadable)?;
            *self.known.correct.get_or_insert(0) += correct[0];
        }
        Ok(())
    }

    /// The mean loss and accuracy of what was read.
    fn take(&mut self) -> Vec<(&'static str, f64)> {
        let Unreported { losses, correct, items } = std::mem::take(&mut self.known);
        let mut metrics = vec![("train_loss", losses.iter().sum::<f64>() / losses.len() as f64)];
        let correct = correct.map(|correct| correct as f64 / items as f64);
        metrics.extend(correct.map(|share| ("train_accuracy", share)));
        metrics.push(("learning_rate", self.learning_rate));
        metrics
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::data("loss", error.to_string())
}
