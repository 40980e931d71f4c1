//! Workers that do not wait for each other: each takes the weights as they are, computes a gradient,
//! and applies it to what they are by then.

use std::fmt::Display;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use model_utils::checkpoint::TakesModules as _;
use model_utils::ops;
use model_utils::train::{Batches, Evaluation, Schedule, StepOutput, Trained};

use super::crew::{Answered, serve};
use super::flat;
use super::monitor::Monitor;
use super::session::{self, Lead, MODEL, Session, Source, next, optimizer_of};
use super::statistics::has_statistics;
use super::worker::{Backward, Done, backward, replica};
use crate::error::{Error, Result};

/// The weights that all workers move.
struct Server<M> {
    shared: Monitor<Shared<M>>,
    /// Steps of others that may come between a look at the weights and the step that follows from it.
    staleness: u64,
    clip_norm: Option<f64>,
}

struct Shared<M> {
    model: M,
    optimizer: ModuleOptimizer,
    schedule: Schedule,
    /// Steps taken.
    version: u64,
    /// The numbers of that version, once somebody asked for them.
    numbers: Option<Arc<Vec<f32>>>,
    /// Who computes, on which version.
    computing: Vec<(usize, u64)>,
}

/// What a worker gives.
struct Step {
    buckets: Vec<Vec<f32>>,
    found: Vec<f32>,
    items: usize,
    /// How running statistics moved, for a model that has them: a difference for every number.
    moved: Option<Vec<f32>>,
}

impl<M: Module> Server<M> {
    /// The weights as they are.
    fn pull(&self, worker: usize) -> Result<Arc<Vec<f32>>> {
        // Were all who compute now to step before this one, it would be late by their number.
        let fits = |shared: &Shared<M>| shared.computing.len() as u64 <= self.staleness;
        let mut state = self.shared.wait(self.shared.lock(), fits)?;
        let shared = &mut state.value;
        let version = shared.version;
        shared.computing.push((worker, version));
        if let Some(numbers) = &shared.numbers {
            return Ok(Arc::clone(numbers));
        }
        let numbers = Arc::new(flat::numbers(&shared.model.valid()));
        shared.numbers = Some(Arc::clone(&numbers));
        Ok(numbers)
    }

    /// Takes a step; returns how many others came in between.
    fn push(&self, worker: usize, step: Step) -> Result<u64> {
        // None of the others may become too late by it, if they then come in their order.
        let fits = |shared: &Shared<M>| {
            let others = shared.computing.iter().filter(|(other, _)| *other != worker);
            let mut others = others.enumerate();
            others.all(|(before, (_, version))| {
                shared.version + 1 + before as u64 - version <= self.staleness
            })
        };
        let mut state = self.shared.wait(self.shared.lock(), fits)?;
        let shared = &mut state.value;
        let at = shared.computing.iter().position(|(other, _)| *other == worker);
        let version = at.map_or(shared.version, |at| shared.computing.remove(at).1);
        let late = shared.version - version;
        let factor = 1.0 / step.items.max(1) as f32;
        let mut grads = flat::to_gradients(&shared.model, step.buckets, &step.found, factor);
        if let Some(norm) = self.clip_norm {
            grads = ops::clip_grad_norm(&shared.model, grads, norm).0;
        }
        let rate = shared.schedule.rate(shared.version + 1);
        shared.model = shared.optimizer.step(rate, shared.model.clone(), grads);
        if let Some(moved) = step.moved {
            let snapshot = shared.model.valid();
            let mut numbers = flat::numbers(&snapshot);
            for (number, moved) in numbers.iter_mut().zip(moved) {
                *number += moved;
            }
            shared.model = flat::with_numbers(snapshot, &numbers)?.train();
        }
        shared.version += 1;
        shared.numbers = None;
        drop(state);
        self.shared.notify();
        Ok(late)
    }
}

/// What a worker has when it takes a batch.
struct Worker<'a, M, F> {
    at: usize,
    model: M,
    device: Device,
    server: &'a Server<M>,
    step: &'a F,
    bucket: usize,
    has_statistics: bool,
}

impl<M: Module, F> Worker<'_, M, F> {
    fn take<B, E>(&mut self, batch: B) -> Result<(Done, u64)>
    where
        F: Fn(&M, B, &Device) -> Result<StepOutput, E>,
        E: Display,
    {
        let before = self.server.pull(self.at)?;
        let started = Instant::now();
        self.model = flat::with_numbers(self.model.valid(), &before)?.train();
        let Backward { mut grads, mut done } =
            backward(&self.model, self.step, batch, &self.device, self.at)?;
        let (buckets, found) = flat::gradients(&self.model, &mut grads, self.bucket);
        let moved = self.has_statistics.then(|| {
            let after = flat::numbers(&self.model.valid());
            after.iter().zip(before.iter()).map(|(after, before)| after - before).collect()
        });
        done.sent = 4 * buckets.iter().map(Vec::len).sum::<usize>() as u64;
        done.busy_s = started.elapsed().as_secs_f64();
        let late = self.server.push(self.at, Step { buckets, found, items: done.items, moved })?;
        Ok((done, late))
    }
}

/// Trains asynchronously.
pub(super) fn train<M, S, F, E>(
    session: Session<'_>,
    staleness: u64,
    (model, optimizer, schedule): (M, ModuleOptimizer, Schedule),
    devices: &[Device],
    batches: &S,
    step: &F,
    evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
) -> Result<Trained<M>, E>
where
    M: Module,
    S: Batches + ?Sized,
    S::Batch: Send,
    F: Fn(&M, S::Batch, &Device) -> Result<StepOutput, E> + Sync,
    E: From<Error> + Display,
{
    let (threads, bucket) = (session.config.threads_of(devices.len()), session.config.bucket);
    let server = Server {
        shared: Monitor::new(Shared {
            model: replica(&model, &devices[0]),
            optimizer,
            schedule,
            version: session.run.steps(),
            numbers: None,
            computing: Vec::new(),
        }),
        staleness,
        clip_norm: session.config.clip_norm,
    };
    let (to_workers, queue) = sync_channel(devices.len());
    let queue = Mutex::new(queue);
    let (answers, from_workers) = channel();
    thread::scope(|scope| {
        for (at, device) in devices.iter().enumerate() {
            let model = replica(&model, device);
            let mut worker = Worker {
                at,
                has_statistics: has_statistics(&model),
                model,
                device: device.clone(),
                server: &server,
                step,
                bucket,
            };
            let (server, queue, answers) = (&server, &queue, answers.clone());
            scope.spawn(move || {
                // Batches come from a queue that all share.
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
                let fail = |reason: &str| server.shared.fail(at, reason);
                serve((at, threads), &answers, fail, next, |batch| worker.take(batch));
            });
        }
        drop(answers);
        // Dropped with its end of the queue, at which the workers end.
        let mut run = Apart { session, server: &server, to_workers, from_workers, outstanding: 0 };
        session::run(&mut run, batches, evaluate)
    })
}

/// A run in progress.
struct Apart<'a, 's, M, B> {
    session: Session<'a>,
    server: &'s Server<M>,
    to_workers: SyncSender<B>,
    from_workers: Receiver<Answered<(Done, u64)>>,
    /// Batches that workers have or will have.
    outstanding: usize,
}

impl<M: Module, B: Send> Apart<'_, '_, M, B> {
    /// Waits for a step to be done.
    fn answer(&mut self) -> Result<()> {
        loop {
            match self.from_workers.recv() {
                Ok((_, Ok((done, late)))) => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    self.session.step_done(vec![done]);
                    *self.session.unreported.late.get_or_insert(0) += late;
                    return Ok(());
                }
                Ok((worker, Err(Some(reason)))) => return Err(Error::Worker { worker, reason }),
                // Who failed answers too.
                Ok((_, Err(None))) => {}
                Err(_) => {
                    let reason = "all workers are gone".to_owned();
                    return Err(Error::Worker { worker: 0, reason });
                }
            }
        }
    }
}

impl<'a, M: Module, B: Send> Lead<'a, M, B> for Apart<'a, '_, M, B> {
    fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    fn step(&mut self, source: &mut Source<'_, B>) -> Result<()> {
        // Nothing is begun that the budget or the epoch does not have.
        let left = self.session.run.steps_left().unwrap_or(u64::MAX);
        let of_epoch = self.session.journal.per_epoch - self.session.run.batches();
        let most = of_epoch.min(2 * self.session.workers);
        while self.outstanding < most && (self.outstanding as u64) < left {
            // With no worker left the answers say why.
            if self.to_workers.send(next(source)?).is_err() {
                break;
            }
            self.outstanding += 1;
        }
        self.answer()
    }

    fn settle(&mut self) -> Result<()> {
        while self.outstanding > 0 {
            self.answer()?;
        }
        Ok(())
    }

    fn model(&mut self) -> Result<M> {
        Ok(self.server.shared.lock().value.model.valid())
    }

    fn save(&mut self, score: Option<f64>) -> Result<()> {
        let server = self.server;
        self.session.save(0, score, |checkpoint| {
            let shared = &server.shared.lock().value;
            checkpoint.module(MODEL, &shared.model)?.optimizer(&optimizer_of(0), &shared.optimizer)
        })
    }
}
