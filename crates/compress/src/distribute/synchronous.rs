//! A run of workers that step together.

use std::time::Instant;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use model_utils::checkpoint::Checkpoint;
use model_utils::train::StopReason;

use super::crew::Crew;
use super::session::{
    Lead, MODEL, SCHEDULE, Session, Source, model_of, next, optimizer_of, residual_bytes,
    residuals_of,
};
use super::worker::{Answer, Command, Snapshot};
use crate::error::{Error, Result};

/// A run in progress.
pub(super) struct Run<'a, M, B> {
    pub(super) session: Session<'a>,
    pub(super) crew: Crew<M, B>,
    pub(super) schedule: ModuleLrScheduler,
}

impl<M: Module, B: Send> Run<'_, M, B> {
    /// A step of all workers.
    fn step(&mut self, source: &mut Source<'_, B>) -> Result<()> {
        self.session.unreported.since.get_or_insert_with(Instant::now);
        let rate = self.schedule.step();
        for worker in 0..self.session.workers {
            let batch = next(source)?;
            self.crew.tell(worker, Command::Step { batch, rate: rate.clone() });
        }
        let answers = self.crew.answers()?.into_iter();
        let done = answers.filter_map(|answer| match answer {
            Answer::Done(done) => Some(done),
            _ => None,
        });
        self.session.step_done(done.collect());
        Ok(())
    }

    fn snapshots(&self) -> Result<Vec<Snapshot<M>>> {
        for worker in 0..self.session.workers {
            self.crew.tell(worker, Command::Snapshot);
        }
        let snapshots = self.crew.answers()?.into_iter().filter_map(|answer| match answer {
            Answer::Snapshot(snapshot) => Some(*snapshot),
            _ => None,
        });
        Ok(snapshots.collect())
    }
}

impl<'a, M: Module, B: Send> Lead<'a, M, B> for Run<'a, M, B> {
    fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    fn epoch(&mut self, source: &mut Source<'_, B>) -> Result<Option<StopReason>> {
        while !self.session.is_epoch_done() {
            let started = Instant::now();
            self.step(source)?;
            self.session.position.train_s += started.elapsed().as_secs_f64();
            self.session.report_when_due();
            if self.session.is_epoch_done() {
                break;
            }
            if self.session.is_save_due() {
                self.save(None)?;
            }
            if let Some(reason) = self.session.over() {
                self.session.report();
                self.save(None)?;
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    /// The model as all workers have it, averaged first where they go by themselves.
    fn model(&mut self) -> Result<M> {
        if self.session.config.mode.is_apart() {
            for worker in 0..self.session.workers {
                self.crew.tell(worker, Command::Average);
            }
            self.crew.answers()?;
        }
        match self.snapshots()?.into_iter().next() {
            Some(first) => Ok(first.model),
            None => Err(Error::Worker { worker: 0, reason: "it gave no model".to_owned() }),
        }
    }

    fn save(&mut self, score: Option<f64>) -> Result<()> {
        if !self.session.saves() {
            return Ok(());
        }
        let snapshots = self.snapshots()?;
        let mut checkpoint =
            Checkpoint::new(self.session.position.step).schedule(SCHEDULE, &self.schedule)?;
        let apart = self.session.config.mode.is_apart();
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
            checkpoint = checkpoint.bytes(&residuals_of(worker), bytes)?;
        }
        self.session.save(checkpoint, snapshots.first().map_or(0, |first| first.steps), score)
    }
}
