//! The workers' threads, and how they are led.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use super::Exchange;
use super::statistics::Stopped;
use super::worker::{Answer, Command};
use crate::error::{ConfigError, Error, Result};

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
    let expected = |error| format!("threads that can be started ({error})");
    let pool = pool.map_err(|error| ConfigError::new("threads", threads, expected(error)))?;
    Ok(pool.install(work))
}

/// What a worker answers, or why it cannot go on; `None` where another is the reason.
pub(super) type Answered<A> = (usize, Result<A, Option<String>>);

/// A worker's thread: work in, answers out, until there is no more work or it fails, of which the
/// others are told.
pub(super) fn serve<W, A: Send>(
    (at, threads): (usize, usize),
    answers: &Sender<Answered<A>>,
    fail: impl Fn(&str) + Sync,
    mut next: impl FnMut() -> Option<W> + Send,
    mut execute: impl FnMut(W) -> Result<A> + Send,
) {
    let serving = || {
        while let Some(work) = next() {
            let answer = match catch_unwind(AssertUnwindSafe(|| execute(work))) {
                Ok(Ok(answer)) => Ok(answer),
                // Another one is named.
                Ok(Err(Error::Worker { worker, reason })) => Err((worker == at).then_some(reason)),
                Ok(Err(error)) => Err(Some(error.to_string())),
                Err(panic) => Err(panic_reason(panic.as_ref())),
            };
            if let Err(Some(reason)) = &answer {
                fail(reason);
            }
            let failed = answer.is_err();
            if answers.send((at, answer)).is_err() || failed {
                return;
            }
        }
    };
    if let Err(error) = within_pool(threads, serving) {
        fail(&error.to_string());
        let _ = answers.send((at, Err(Some(error.to_string()))));
    }
}

/// The workers, from where they are led.
pub(super) struct Crew<M, B> {
    pub(super) to_workers: Vec<SyncSender<Command<B>>>,
    pub(super) from_workers: Receiver<Answered<Answer<M>>>,
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
                Ok((worker, Ok(answer))) => answers[worker] = Some(answer),
                Ok((worker, Err(Some(reason)))) => return Err(Error::Worker { worker, reason }),
                // Who failed answers too.
                Ok((_, Err(None))) if stopped + 1 < count => stopped += 1,
                Ok((worker, Err(None))) => {
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
