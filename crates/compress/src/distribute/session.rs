//! A run of workers, whichever way they share what they learn: where it is, who is told of it, and
//! what is kept of it.

use std::time::{Duration, Instant};

use model_utils::checkpoint::{Checkpoint, Checkpoints};
use model_utils::train::{
    Batches, Evaluation, Event, History, Observer, Spent, StopReason, Trained,
};
use model_utils::weights::State;
use serde::{Deserialize, Serialize};

use super::DataParallelConfig;
use super::worker::Done;
use crate::error::{Error, Result};

pub(super) const MODEL: &str = "model";
pub(super) const SCHEDULE: &str = "schedule";

/// The position of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) step: u64,
    pub(super) epoch: u64,
    /// Batches of the epoch that are done.
    pub(super) batch: usize,
    pub(super) items: u64,
    pub(super) wall_s: f64,
    pub(super) train_s: f64,
    pub(super) evaluation: Option<Evaluation>,
    pub(super) history: History,
}

/// What a checkpoint holds beside modules and optimisers.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) config: DataParallelConfig,
    pub(super) workers: usize,
    #[serde(rename = "progress")]
    pub(super) position: Position,
    /// Steps since the last average, the same for all.
    pub(super) steps: u64,
}

/// What was measured since the last event.
#[derive(Default)]
pub(super) struct Unreported {
    steps: u64,
    done: Vec<Done>,
    pub(super) since: Option<Instant>,
    /// Sum of the versions that gradients were late, in asynchronous mode.
    pub(super) late: Option<u64>,
}

impl Unreported {
    /// The metrics and the items, and starts anew.
    fn take(&mut self, workers: usize) -> (Vec<(&'static str, f64)>, usize) {
        let Self { steps, done, since, late } = std::mem::take(self);
        let items: usize = done.iter().map(|done| done.items).sum();
        let weighted: f64 = done.iter().map(|done| done.loss * done.items as f64).sum();
        let mut metrics = vec![("train_loss", weighted / items.max(1) as f64)];
        let correct: Option<f64> = done.iter().map(|done| done.correct).sum();
        metrics.extend(correct.map(|correct| ("train_accuracy", correct / items.max(1) as f64)));
        let sent: u64 = done.iter().map(|done| done.sent).sum();
        metrics.push(("sent_bytes", sent as f64 / done.len().max(1) as f64));
        if let Some(since) = since {
            let busy: f64 = done.iter().map(|done| done.busy_s).sum();
            let wall = since.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
            metrics.push(("busy_share", busy / (wall * workers as f64)));
        }
        metrics.extend(late.map(|late| ("gradient_age_steps", late as f64 / steps as f64)));
        (metrics, items)
    }
}

/// A run in progress.
pub(super) struct Session<'a> {
    pub(super) config: DataParallelConfig,
    pub(super) workers: usize,
    pub(super) position: Position,
    pub(super) unreported: Unreported,
    /// Steps in all, where the budget says.
    pub(super) of: Option<u64>,
    /// Batches of an epoch that are seen.
    pub(super) per_epoch: usize,
    checkpoints: Option<Checkpoints>,
    progress: &'a mut dyn Observer,
    /// Time before this run went on, in s.
    before_s: f64,
    started: Instant,
}

impl<'a> Session<'a> {
    /// A run that goes on from a position, with so many steps an epoch of so many batches each.
    pub(super) fn new(
        config: DataParallelConfig,
        workers: usize,
        (steps, batches): (usize, usize),
        position: Position,
        checkpoints: Option<Checkpoints>,
        progress: &'a mut dyn Observer,
    ) -> Self {
        let of_epochs = config.budget.epochs.map(|epochs| epochs * steps as u64);
        let of = match (config.budget.steps, of_epochs) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            config,
            workers,
            before_s: position.wall_s,
            position,
            unreported: Unreported::default(),
            of,
            per_epoch: steps * batches,
            checkpoints,
            progress,
            started: Instant::now(),
        }
    }

    /// Notes a step for which so many workers did a batch.
    pub(super) fn step_done(&mut self, done: Vec<Done>) {
        self.position.items += done.iter().map(|done| done.items as u64).sum::<u64>();
        self.position.step += 1;
        self.position.batch += done.len();
        self.unreported.steps += 1;
        self.unreported.done.extend(done);
    }

    /// Whether all batches of the epoch are done.
    pub(super) fn is_epoch_done(&self) -> bool {
        self.position.batch >= self.per_epoch
    }

    /// Whether a checkpoint is due at this step.
    pub(super) fn is_save_due(&self) -> bool {
        self.config.checkpoint_every.is_some_and(|every| self.position.step.is_multiple_of(every))
    }

    /// Whether there are checkpoints to save.
    pub(super) fn saves(&self) -> bool {
        self.checkpoints.is_some()
    }

    /// Tells of the steps since the last event, where it is time to.
    pub(super) fn report_when_due(&mut self) {
        if self.is_epoch_done() || self.position.step.is_multiple_of(self.config.log_every) {
            self.report();
        }
    }

    /// Tells of the steps since the last event.
    pub(super) fn report(&mut self) {
        if self.unreported.steps == 0 {
            return;
        }
        let (metrics, items) = self.unreported.take(self.workers);
        let Position { step, epoch, .. } = self.position;
        self.observe(&Event::Step { step, of: self.of, epoch, items, metrics: &metrics });
    }

    fn observe(&mut self, event: &Event) {
        self.position.history.observe(event);
        self.progress.observe(event);
    }

    /// Why the run is over, if it is.
    pub(super) fn over(&self) -> Option<StopReason> {
        let spent = Spent {
            steps: self.position.step,
            epochs: self.position.epoch,
            time: Duration::from_secs_f64(self.wall_s()),
            ..Spent::default()
        };
        if self.config.budget.is_spent(spent) {
            return Some(StopReason::BudgetSpent);
        }
        self.progress.wants_stop().then_some(StopReason::Asked)
    }

    fn wall_s(&self) -> f64 {
        self.before_s + self.started.elapsed().as_secs_f64()
    }

    /// Notes an evaluation and returns its score.
    fn evaluated(&mut self, evaluation: Evaluation) -> f64 {
        let metrics: Vec<(&str, f64)> =
            evaluation.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let Position { step, epoch, .. } = self.position;
        self.observe(&Event::Epoch { epoch, step, metrics: &metrics });
        let score = evaluation.score;
        self.position.evaluation = Some(evaluation);
        score
    }

    /// Saves a checkpoint of modules, optimisers and a schedule whose weights are finite, with where
    /// the run is. `steps` are those since the last average.
    pub(super) fn save(
        &mut self,
        checkpoint: Checkpoint,
        steps: u64,
        score: Option<f64>,
    ) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let mut checkpoint = checkpoint.state(&Saved {
            config: self.config.clone(),
            workers: self.workers,
            position: Position { wall_s: self.wall_s(), ..self.position.clone() },
            steps,
        })?;
        if let Some((name, value)) = checkpoint.modules().find_map(State::first_not_finite) {
            let (what, step) = (format!("weight `{name}`"), self.position.step);
            return Err(model_utils::Error::NotFinite { what, value, step }.into());
        }
        if let Some(score) = score {
            checkpoint = checkpoint.score(score);
        }
        let saved = checkpoints.save(&checkpoint)?;
        self.progress.observe(&Event::Saved { path: saved.folder(), step: saved.step() });
        Ok(())
    }

    /// What the run gives back that ended here.
    fn finish<M>(&mut self, model: M, reason: StopReason) -> Trained<M> {
        let wall_s = self.wall_s();
        let Position { step, epoch, items, train_s, evaluation, history, .. } =
            std::mem::take(&mut self.position);
        self.progress.observe(&Event::Finished { step, reason, wall_s });
        Trained {
            model,
            ema: None,
            step,
            epoch,
            reason,
            evaluation,
            history,
            wall_s,
            items_per_s: items as f64 / train_s.max(f64::MIN_POSITIVE),
        }
    }
}

/// Batches of an epoch, one after the other.
pub(super) type Source<'a, B> = dyn Iterator<Item = model_utils::Result<B>> + 'a;

/// The next batch of an epoch that is not over.
pub(super) fn next<B>(source: &mut Source<'_, B>) -> Result<B> {
    let ended = || model_utils::Error::data("training set", "an epoch ended before its end");
    Ok(source.next().ok_or_else(ended)??)
}

/// The workers of a run, as they are led.
pub(super) trait Lead<'a, M, B> {
    fn session(&mut self) -> &mut Session<'a>;

    /// Takes the steps that are left of an epoch; says why the run is over, where it is before.
    fn epoch(&mut self, source: &mut Source<'_, B>) -> Result<Option<StopReason>>;

    /// The model as it is, without autodiff.
    fn model(&mut self) -> Result<M>;

    /// Saves a checkpoint, where there are some, with the score of an evaluation.
    fn save(&mut self, score: Option<f64>) -> Result<()>;
}

/// Trains, epoch after epoch, until the run is over.
pub(super) fn run<'a, M, B, S, E>(
    lead: &mut impl Lead<'a, M, B>,
    batches: &S,
    mut evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
) -> Result<Trained<M>, E>
where
    S: Batches<Batch = B> + ?Sized,
    E: From<Error>,
{
    let session = lead.session();
    session.started = Instant::now();
    let started = Event::Started { task: "train", step: session.position.step, of: session.of };
    session.progress.observe(&started);
    let reason = loop {
        if let Some(reason) = lead.session().over() {
            break reason;
        }
        let Position { epoch, batch, .. } = lead.session().position;
        let mut source = batches.epoch(epoch, batch);
        if let Some(reason) = lead.epoch(&mut source)? {
            break reason;
        }
        drop(source);
        lead.session().position.epoch += 1;
        lead.session().position.batch = 0;
        let model = lead.model()?;
        let score = lead.session().evaluated(evaluate(&model)?);
        lead.save(Some(score))?;
    };
    if lead.session().position.batch > 0 && reason == StopReason::BudgetSpent {
        let model = lead.model()?;
        lead.session().evaluated(evaluate(&model)?);
    }
    let model = lead.model()?;
    Ok(lead.session().finish(model, reason))
}

pub(super) fn model_of(worker: usize) -> String {
    format!("model-{worker}")
}

pub(super) fn optimizer_of(worker: usize) -> String {
    format!("optimizer-{worker}")
}

pub(super) fn residuals_of(worker: usize) -> String {
    format!("residuals-{worker}")
}

/// Residuals as bytes: for each bucket its length and its numbers.
pub(super) fn residual_bytes(residuals: &[Vec<f32>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for bucket in residuals {
        bytes.extend((bucket.len() as u64).to_le_bytes());
        bytes.extend(bucket.iter().flat_map(|number| number.to_le_bytes()));
    }
    bytes
}

/// What [`residual_bytes`] wrote, which a checkpoint holds with a checksum.
pub(super) fn residuals(mut bytes: &[u8]) -> Vec<Vec<f32>> {
    let mut residuals = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        let (numbers, rest) = rest.split_at(rest.len().min(length.saturating_mul(4)));
        residuals.push(
            numbers.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect(),
        );
        bytes = rest;
    }
    residuals
}
