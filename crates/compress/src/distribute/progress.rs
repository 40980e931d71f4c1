//! Where a run is, and what is kept of it.

use std::time::{Duration, Instant};

use model_utils::checkpoint::{Checkpoint, Checkpoints};
use model_utils::train::{Evaluation, Event, History, Observer, Spent, StopReason, Trained};
use model_utils::weights::State;
use serde::{Deserialize, Serialize};

use super::DataParallelConfig;
use super::worker::Done;
use crate::error::Result;

pub(super) const MODEL: &str = "model";
pub(super) const SCHEDULE: &str = "schedule";

/// The position of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Progress {
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

impl Progress {
    /// What a run gives back that ended here.
    pub(super) fn fitted<M>(self, model: M, reason: StopReason, wall_s: f64) -> Trained<M> {
        let Self { step, epoch, items, train_s, evaluation, history, .. } = self;
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

/// What a checkpoint holds beside modules and optimisers.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) config: DataParallelConfig,
    pub(super) workers: usize,
    pub(super) progress: Progress,
    /// Steps since the last average, the same for all.
    pub(super) steps: u64,
}

/// What was measured since the last event.
#[derive(Default)]
pub(super) struct Unreported {
    pub(super) steps: u64,
    pub(super) done: Vec<Done>,
    pub(super) since: Option<Instant>,
    /// Mean versions that a gradient was late, in asynchronous mode.
    pub(super) late: Option<f64>,
}

impl Unreported {
    /// The metrics and the items, and starts anew.
    pub(super) fn take(&mut self, workers: usize) -> (Vec<(&'static str, f64)>, usize) {
        let Self { done, since, late, .. } = std::mem::take(self);
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
        metrics.extend(late.map(|late| ("gradient_age_steps", late)));
        (metrics, items)
    }
}

pub(super) fn total_steps(config: &DataParallelConfig, per_epoch: usize) -> Option<u64> {
    let of_epochs = config.budget.epochs.map(|epochs| epochs * per_epoch as u64);
    match (config.budget.steps, of_epochs) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

pub(super) fn is_over(
    config: &DataParallelConfig,
    progress: &Progress,
    time_s: f64,
    observer: &dyn Observer,
) -> Option<StopReason> {
    let time = Duration::from_secs_f64(time_s);
    if config.budget.is_spent(Spent {
        steps: progress.step,
        epochs: progress.epoch,
        time,
        ..Spent::default()
    }) {
        return Some(StopReason::BudgetSpent);
    }
    observer.wants_stop().then_some(StopReason::Asked)
}

/// Notes an evaluation and returns its score.
pub(super) fn observed(
    progress: &mut Progress,
    evaluation: Evaluation,
    observer: &mut dyn Observer,
) -> f64 {
    let metrics: Vec<(&str, f64)> =
        evaluation.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let event = Event::Epoch { epoch: progress.epoch, step: progress.step, metrics: &metrics };
    progress.history.observe(&event);
    observer.observe(&event);
    let score = evaluation.score;
    progress.evaluation = Some(evaluation);
    score
}

/// Saves a checkpoint whose weights are finite.
pub(super) fn write(
    checkpoints: &Checkpoints,
    mut checkpoint: Checkpoint,
    (score, step): (Option<f64>, u64),
    observer: &mut dyn Observer,
) -> Result<()> {
    if let Some((name, value)) = checkpoint.modules().find_map(State::first_not_finite) {
        let what = format!("weight `{name}`");
        return Err(model_utils::Error::NotFinite { what, value, step }.into());
    }
    if let Some(score) = score {
        checkpoint = checkpoint.score(score);
    }
    let saved = checkpoints.save(&checkpoint)?;
    observer.observe(&Event::Saved { path: saved.folder(), step: saved.step() });
    Ok(())
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
