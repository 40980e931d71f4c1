//! A run of workers that step together.

use std::time::Instant;

use burn::module::Module;
use model_utils::checkpoint::Checkpoint;
use model_utils::train::{Batches, Evaluation, Event, Observer, StopReason, Trained};

use super::DataParallel;
use super::crew::Crew;
use super::progress::{
    MODEL, Progress, SCHEDULE, Saved, Unreported, is_over, model_of, observed, optimizer_of,
    residual_bytes, residuals_of, write,
};
use super::worker::{Answer, Command, Snapshot};
use crate::error::{Error, Result};

/// A run in progress.
pub(super) struct Run<'a, M, B> {
    pub(super) parallel: &'a mut DataParallel<M>,
    pub(super) crew: Crew<M, B>,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) of: Option<u64>,
    /// Steps of an epoch.
    pub(super) groups: usize,
    pub(super) started: Instant,
    pub(super) unreported: Unreported,
}

impl<M: Module, B: Send> Run<'_, M, B> {
    pub(super) fn run<S, E>(
        &mut self,
        batches: &S,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
    ) -> Result<Trained<M>, E>
    where
        S: Batches<Batch = B> + ?Sized,
        E: From<Error>,
    {
        let before_s = self.parallel.progress.wall_s;
        let step = self.parallel.progress.step;
        self.observer.observe(&Event::Started { task: "train", step, of: self.of });
        let reason = self.train(batches, evaluate, before_s)?;
        if self.parallel.progress.batch > 0 && reason == StopReason::BudgetSpent {
            let model = self.model()?;
            self.evaluate(&model, evaluate)?;
        }
        let model = self.model()?;
        let wall_s = before_s + self.started.elapsed().as_secs_f64();
        let step = self.parallel.progress.step;
        self.observer.observe(&Event::Finished { step, reason, wall_s });
        Ok(self.parallel.progress.clone().fitted(model, reason, wall_s))
    }

    fn train<S, E>(
        &mut self,
        batches: &S,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
        before_s: f64,
    ) -> Result<StopReason, E>
    where
        S: Batches<Batch = B> + ?Sized,
        E: From<Error>,
    {
        let workers = self.crew.to_workers.len();
        loop {
            if let Some(reason) = self.over(before_s) {
                return Ok(reason);
            }
            let Progress { epoch, batch, .. } = self.parallel.progress;
            let mut source = batches.epoch(epoch, batch);
            while self.parallel.progress.batch < self.groups * workers {
                let started = Instant::now();
                self.step(&mut source)?;
                self.parallel.progress.train_s += started.elapsed().as_secs_f64();
                let Progress { step, batch, .. } = self.parallel.progress;
                let ends = batch == self.groups * workers;
                if ends || step.is_multiple_of(self.parallel.config.log_every) {
                    self.report();
                }
                let every = self.parallel.config.checkpoint_every;
                if !ends && every.is_some_and(|every| step.is_multiple_of(every)) {
                    self.save(None, before_s)?;
                }
                if !ends && let Some(reason) = self.over(before_s) {
                    self.report();
                    self.save(None, before_s)?;
                    return Ok(reason);
                }
            }
            drop(source);
            self.parallel.progress.epoch += 1;
            self.parallel.progress.batch = 0;
            let model = self.model()?;
            let score = self.evaluate(&model, evaluate)?;
            self.save(Some(score), before_s)?;
        }
    }

    /// A step of all workers.
    fn step(&mut self, source: &mut dyn Iterator<Item = model_utils::Result<B>>) -> Result<()> {
        self.unreported.since.get_or_insert_with(Instant::now);
        let rate = self.parallel.schedule.step();
        let workers = self.crew.to_workers.len();
        for worker in 0..workers {
            let ended =
                || model_utils::Error::data("training set", "an epoch ended before its end");
            let batch = source.next().ok_or_else(ended)??;
            self.crew.tell(worker, Command::Step { batch, rate: rate.clone() });
        }
        for answer in self.crew.answers()? {
            if let Answer::Done(done) = answer {
                self.parallel.progress.items += done.items as u64;
                self.unreported.done.push(done);
            }
        }
        self.unreported.steps += 1;
        self.parallel.progress.step += 1;
        self.parallel.progress.batch += workers;
        Ok(())
    }

    fn report(&mut self) {
        if self.unreported.done.is_empty() {
            return;
        }
        let (metrics, items) = self.unreported.take(self.crew.to_workers.len());
        let Progress { step, epoch, .. } = self.parallel.progress;
        let event = Event::Step { step, of: self.of, epoch, items, metrics: &metrics };
        self.parallel.progress.history.observe(&event);
        self.observer.observe(&event);
    }

    /// The model as all workers have it, averaged first where they go by themselves.
    fn model(&mut self) -> Result<M> {
        if self.parallel.is_apart() {
            for worker in 0..self.crew.to_workers.len() {
                self.crew.tell(worker, Command::Average);
            }
            self.crew.answers()?;
        }
        match self.snapshots()?.into_iter().next() {
            Some(first) => Ok(first.model),
            None => Err(Error::Worker { worker: 0, reason: "it gave no model".to_owned() }),
        }
    }

    fn snapshots(&self) -> Result<Vec<Snapshot<M>>> {
        for worker in 0..self.crew.to_workers.len() {
            self.crew.tell(worker, Command::Snapshot);
        }
        let snapshots = self.crew.answers()?.into_iter().filter_map(|answer| match answer {
            Answer::Snapshot(snapshot) => Some(*snapshot),
            _ => None,
        });
        Ok(snapshots.collect())
    }

    fn evaluate<E>(
        &mut self,
        model: &M,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
    ) -> Result<f64, E> {
        let evaluation = evaluate(model)?;
        Ok(observed(&mut self.parallel.progress, evaluation, self.observer))
    }

    fn save(&mut self, score: Option<f64>, before_s: f64) -> Result<()> {
        let Some(checkpoints) = self.parallel.checkpoints.clone() else { return Ok(()) };
        self.parallel.progress.wall_s = before_s + self.started.elapsed().as_secs_f64();
        let snapshots = self.snapshots()?;
        let step = self.parallel.progress.step;
        let mut checkpoint =
            Checkpoint::new(step).schedule(SCHEDULE, &self.parallel.schedule)?.state(&Saved {
                config: self.parallel.config.clone(),
                workers: snapshots.len(),
                progress: self.parallel.progress.clone(),
                steps: snapshots.first().map_or(0, |first| first.steps),
            })?;
        let apart = self.parallel.is_apart();
        for (worker, snapshot) in snapshots.iter().enumerate() {
            if worker == 0 {
                checkpoint = checkpoint.module(MODEL, &snapshot.model)?;
            }
            if apart {
                checkpoint = checkpoint.module(&model_of(worker), &snapshot.model)?;
            }
            if apart || worker == 0 {
                checkpoint = checkpoint.optimizer(&optimizer_of(worker), &snapshot.optimizer)?;
            }
            let bytes = residual_bytes(&snapshot.residuals);
            checkpoint = checkpoint.bytes(&residuals_of(worker), bytes);
        }
        write(&checkpoints, checkpoint, (score, step), self.observer)
    }

    fn over(&self, before_s: f64) -> Option<StopReason> {
        let time_s = before_s + self.started.elapsed().as_secs_f64();
        is_over(&self.parallel.config, &self.parallel.progress, time_s, self.observer)
    }
}
