//! A run of workers, whichever way they share what they learn: the one controller that all of them
//! obey, and what is kept of it.

use model_utils::checkpoint::Checkpoint;
use model_utils::train::{Batches, Ended, Evaluation, Observer, Run, StopReason, Trained};
use serde::{Deserialize, Serialize};

use super::DataParallelConfig;
use super::worker::Done;
use crate::error::{Error, Result};

pub(super) const MODEL: &str = "model";

/// What a checkpoint holds beside modules and optimisers, and beside what the run itself writes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Batches of an epoch; 0 before the first.
    pub(super) per_epoch: usize,
    /// Workers that it was saved by.
    pub(super) workers: usize,
    /// Steps since the last average, the same for all.
    pub(super) since_average: u64,
    pub(super) evaluation: Option<Evaluation>,
    /// What was measured since the last event, where it was saved between two.
    unreported: Unreported,
}

/// What was measured since the last event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Unreported {
    steps: u64,
    done: Vec<Done>,
    /// Sum of the versions that gradients were late, in asynchronous mode.
    pub(super) late: Option<u64>,
}

impl Unreported {
    /// The metrics of so many seconds, and starts anew.
    fn take(&mut self, workers: usize, seconds: f64) -> Vec<(&'static str, f64)> {
        let Self { steps, done, late } = std::mem::take(self);
        let items: usize = done.iter().map(|done| done.items).sum();
        let weighted: f64 = done.iter().map(|done| done.loss * done.items as f64).sum();
        let mut metrics = vec![("train_loss", weighted / items.max(1) as f64)];
        let correct: Option<f64> = done.iter().map(|done| done.correct).sum();
        metrics.extend(correct.map(|correct| ("train_accuracy", correct / items.max(1) as f64)));
        let sent: u64 = done.iter().map(|done| done.sent).sum();
        metrics.push(("sent_bytes", sent as f64 / done.len().max(1) as f64));
        let busy: f64 = done.iter().map(|done| done.busy_s).sum();
        metrics.push(("busy_share", busy / (seconds.max(f64::MIN_POSITIVE) * workers as f64)));
        metrics.extend(late.map(|late| ("gradient_age_steps", late as f64 / steps as f64)));
        metrics
    }
}

/// A run in progress.
pub(super) struct Session<'a> {
    pub(super) config: DataParallelConfig,
    pub(super) workers: usize,
    /// Batches that a step takes.
    pub(super) of_step: usize,
    pub(super) run: Run,
    pub(super) journal: Journal,
    pub(super) unreported: Unreported,
    progress: &'a mut dyn Observer,
}

impl<'a> Session<'a> {
    /// A run of so many workers, whose steps take so many batches of an epoch's.
    pub(super) fn new(
        config: DataParallelConfig,
        workers: usize,
        (of_step, per_epoch): (usize, usize),
        (run, mut journal): (Run, Journal),
        progress: &'a mut dyn Observer,
    ) -> Self {
        (journal.per_epoch, journal.workers) = (per_epoch, workers);
        let unreported = std::mem::take(&mut journal.unreported);
        Self { config, workers, of_step, run, journal, unreported, progress }
    }

    /// Notes a step for which so many workers did a batch.
    pub(super) fn step_done(&mut self, done: Vec<Done>) {
        let items = done.iter().map(|done| done.items).sum();
        self.run.steps_done(1, done.len(), items);
        self.unreported.steps += 1;
        self.unreported.done.extend(done);
    }

    /// Whether another step is to be done.
    fn next(&mut self) -> bool {
        self.run.next(self.progress)
    }

    /// Whether no step's batches are left of the epoch.
    pub(super) fn is_epoch_done(&self) -> bool {
        self.run.batches() + self.of_step > self.journal.per_epoch
    }

    /// Tells of the steps since the last event.
    fn report(&mut self) {
        if self.unreported.steps > 0 {
            let seconds = self.run.seconds_since_report();
            let metrics = self.unreported.take(self.workers, seconds);
            self.run.report(&metrics, self.progress);
        }
    }

    /// Notes an evaluation and returns its score.
    fn evaluated(&mut self, evaluation: Evaluation) -> f64 {
        let metrics: Vec<(&str, f64)> =
            evaluation.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.run.evaluated(&metrics, self.progress);
        let score = evaluation.score;
        self.journal.evaluation = Some(evaluation);
        score
    }

    /// Saves a checkpoint of what `fill` puts into it, with where the run is. `since_average` are the
    /// steps since the last average.
    pub(super) fn save(
        &mut self,
        since_average: u64,
        score: Option<f64>,
        fill: impl FnOnce(Checkpoint) -> model_utils::Result<Checkpoint>,
    ) -> Result<()> {
        // Where an event is still to come, it will be that of a run that was not stopped.
        let unreported = self.unreported.clone();
        let journal = Journal { since_average, unreported, ..self.journal.clone() };
        Ok(self.run.save(self.progress, |checkpoint| {
            let checkpoint = fill(checkpoint)?.state(&journal)?;
            Ok(score.into_iter().fold(checkpoint, Checkpoint::score))
        })?)
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

    /// A step, or the next one that is done.
    fn step(&mut self, source: &mut Source<'_, B>) -> Result<()>;

    /// Finishes what is begun, so that the weights are of one step.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// The model as it is, without autodiff.
    fn model(&mut self) -> Result<M>;

    /// Saves a checkpoint with the score of an evaluation, where checkpoints are kept.
    fn save(&mut self, score: Option<f64>) -> Result<()>;
}

/// Trains, epoch after epoch, until the run is over. All workers end and save at the same step, for
/// the run is one and they are told.
pub(super) fn run<'a, M, B, S, E>(
    lead: &mut impl Lead<'a, M, B>,
    batches: &S,
    mut evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
) -> Result<Trained<M>, E>
where
    S: Batches<Batch = B> + ?Sized,
    E: From<Error>,
{
    let Session { run, config, of_step, journal, progress, .. } = lead.session();
    let steps = (journal.per_epoch / *of_step) as u64;
    run.start(config.budget, Some(steps), *progress).map_err(Error::from)?;
    if lead.session().run.batches() > 0 && lead.session().is_epoch_done() {
        // Its evaluation was stopped.
        end_epoch(lead, &mut evaluate)?;
    }
    let mut source = None;
    while lead.session().next() {
        let run = &lead.session().run;
        let (epoch, batch) = (run.epochs(), run.batches());
        let source_of_epoch = source.get_or_insert_with(|| batches.epoch(epoch, batch));
        lead.step(source_of_epoch)?;
        let is_save_due = lead.session().run.is_save_due();
        if is_save_due {
            lead.settle()?;
        }
        let session = lead.session();
        let is_epoch_done = session.is_epoch_done();
        if is_epoch_done || session.run.is_report_due(session.config.log_every) {
            session.report();
        }
        if is_epoch_done {
            source = None;
            end_epoch(lead, &mut evaluate)?;
        } else if is_save_due {
            lead.save(None)?;
        }
    }
    lead.settle()?;
    let session = lead.session();
    let is_spent = session.run.reason() == Some(StopReason::BudgetSpent);
    if is_spent {
        session.report();
    }
    if lead.session().is_epoch_done() && is_spent {
        end_epoch(lead, &mut evaluate)?;
    } else if !lead.session().run.is_saved() {
        lead.save(None)?;
    }
    if lead.session().run.batches() > 0 && is_spent {
        // The last epoch is in parts: what is reported is evaluated now, after the save.
        let model = lead.model()?;
        lead.session().evaluated(evaluate(&model)?);
    }
    let model = lead.model()?;
    let session = lead.session();
    let Ended { steps, epochs, wall_s, items_per_s, reason, .. } =
        session.run.finish(session.progress);
    Ok(Trained {
        model,
        ema: None,
        step: steps,
        epoch: epochs,
        reason,
        evaluation: session.journal.evaluation.take(),
        history: session.run.history().clone(),
        wall_s,
        items_per_s,
    })
}

/// Evaluates after an epoch, and saves.
fn end_epoch<'a, M, B, E: From<Error>>(
    lead: &mut impl Lead<'a, M, B>,
    evaluate: &mut impl FnMut(&M) -> Result<Evaluation, E>,
) -> Result<(), E> {
    lead.session().run.pause();
    let model = lead.model()?;
    match evaluate(&model) {
        Ok(evaluation) => {
            lead.session().run.epoch_done();
            let score = lead.session().evaluated(evaluation);
            Ok(lead.save(Some(score))?)
        }
        Err(error) => {
            lead.save(None)?;
            Err(error)
        }
    }
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
