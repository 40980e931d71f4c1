//! A run of workers that step together.

use burn::module::Module;
use model_utils::checkpoint::TakesModules as _;
use model_utils::train::Schedule;

use super::crew::Crew;
use super::session::{
    Lead, MODEL, Session, Source, model_of, next, optimizer_of, residual_bytes, residuals_of,
};
use super::worker::{Answer, Command, Snapshot};
use crate::error::{Error, Result};

/// A run in progress.
pub(super) struct Together<'a, M, B> {
    pub(super) session: Session<'a>,
    pub(super) crew: Crew<M, B>,
    pub(super) schedule: Schedule,
}

impl<M: Module, B: Send> Together<'_, M, B> {
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

impl<'a, M: Module, B: Send> Lead<'a, M, B> for Together<'a, M, B> {
    fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    /// A step of all workers.
    fn step(&mut self, source: &mut Source<'_, B>) -> Result<()> {
        let rate = self.schedule.rate(self.session.run.steps() + 1);
        for worker in 0..self.session.workers {
            let batch = next(source)?;
            self.crew.tell(worker, Command::Step { batch, rate });
        }
        let answers = self.crew.answers()?.into_iter();
        let done = answers.filter_map(|answer| match answer {
            Answer::Done(done) => Some(done),
            _ => None,
        });
        self.session.step_done(done.collect());
        Ok(())
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
        if !self.session.run.saves() {
            return Ok(());
        }
        let snapshots = self.snapshots()?;
        let apart = self.session.config.mode.is_apart();
        let since_average = snapshots.first().map_or(0, |first| first.steps);
        self.session.save(since_average, score, |mut checkpoint| {
            for (worker, snapshot) in snapshots.iter().enumerate() {
                if worker == 0 {
                    checkpoint = checkpoint.module(MODEL, &snapshot.model)?;
                }
                if apart {
                    checkpoint = checkpoint.module(&model_of(worker), &snapshot.model)?;
                }
                if apart || worker == 0 {
                    checkpoint =
                        checkpoint.optimizer(&optimizer_of(worker), &snapshot.optimizer)?;
                }
                let bytes = residual_bytes(&snapshot.residuals);
                checkpoint = checkpoint.bytes(&residuals_of(worker), bytes)?;
            }
            Ok(checkpoint)
        })
    }
}
