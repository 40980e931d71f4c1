//! The workers' threads, and how they are led.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use burn::module::Module;
use burn::tensor::Device;
use model_utils::train::StepOutput;

use super::Exchange;
use super::statistics::Stopped;
use super::worker::{Answer, Command, Worker};
use crate::error::{Error, Result};

/// What a panic said, `None` where it is that another worker failed.
pub(super) fn panic_reason(panic: &(dyn Any + Send)) -> Option<String> {
    if panic.is::<Stopped>() {
        return None;
    }
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(format!("it panicked: {}", text.as_deref().unwrap_or("without a message")))
}

/// A thread pool of a worker's own, so that workers do not share cores.
pub(super) fn within_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Error::Config {
        field: "threads",
        value: threads.to_string(),
        expected: format!("threads that can be started ({error})"),
    })?;
    Ok(pool.install(work))
}

/// A worker's thread: commands in, answers out, until there are no more.
pub(super) fn serve<M, F, B, E>(
    mut worker: Worker<'_, M, F>,
    commands: Receiver<Command<B>>,
    answers: Sender<(usize, Answer<M>)>,
) where
    M: Module,
    B: Send,
    F: Fn(&M, B, &Device) -> Result<StepOutput, E> + Sync,
    E: Display,
{
    let (exchange, at) = (Arc::clone(&worker.exchange), worker.exchange.worker());
    let threads = worker.config.threads_of(exchange.workers());
    let own = answers.clone();
    let work = move || {
        while let Ok(command) = commands.recv() {
            let answer = catch_unwind(AssertUnwindSafe(|| worker.execute(command)));
            let answer = match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(Error::Worker { worker, reason })) if worker == at => {
                    Answer::Failed(Some(reason))
                }
                // Another one is named.
                Ok(Err(Error::Worker { .. })) => Answer::Failed(None),
                Ok(Err(error)) => Answer::Failed(Some(error.to_string())),
                Err(panic) => Answer::Failed(panic_reason(panic.as_ref())),
            };
            let failed = matches!(answer, Answer::Failed(_));
            if let Answer::Failed(Some(reason)) = &answer {
                worker.exchange.fail(reason);
            }
            if own.send((at, answer)).is_err() || failed {
                return;
            }
        }
    };
    if let Err(error) = within_pool(threads, work) {
        exchange.fail(&error.to_string());
        let _ = answers.send((at, Answer::Failed(Some(error.to_string()))));
    }
}

/// The workers, from where they are led.
pub(super) struct Crew<M, B> {
    pub(super) to_workers: Vec<SyncSender<Command<B>>>,
    pub(super) from_workers: Receiver<(usize, Answer<M>)>,
    pub(super) exchange: Arc<dyn Exchange>,
}

/// Whoever waits for others that will not come is let go.
impl<M, B> Drop for Crew<M, B> {
    fn drop(&mut self) {
        self.exchange.fail("the run has ended");
    }
}

impl<M, B> Crew<M, B> {
    /// Tells a worker something. One that is gone has answered why.
    pub(super) fn tell(&self, worker: usize, command: Command<B>) {
        let _ = self.to_workers[worker].send(command);
    }

    /// The answers of all, in the order of the workers.
    pub(super) fn answers(&self) -> Result<Vec<Answer<M>>> {
        let count = self.to_workers.len();
        let mut answers: Vec<Option<Answer<M>>> = (0..count).map(|_| None).collect();
        let mut stopped = 0;
        while answers.iter().any(Option::is_none) {
            match self.from_workers.recv() {
                Ok((worker, Answer::Failed(Some(reason)))) => {
                    return Err(Error::Worker { worker, reason });
                }
                // Who failed answers too.
                Ok((_, Answer::Failed(None))) if stopped + 1 < count => stopped += 1,
                Ok((worker, answer)) if !matches!(answer, Answer::Failed(_)) => {
                    answers[worker] = Some(answer);
                }
                Ok((worker, _)) => {
                    let reason = "it stopped for another that gave no reason".to_owned();
                    return Err(Error::Worker { worker, reason });
                }
                Err(_) => {
                    let worker = answers.iter().position(Option::is_none).unwrap_or(0);
                    return Err(Error::Worker { worker, reason: "it is gone".to_owned() });
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}
