//! Workers that do not wait for each other: each takes the weights as they are, computes a gradient,
//! and applies it to what they are by then.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use model_utils::checkpoint::Checkpoint;
use model_utils::ops;
use model_utils::train::{Batches, Evaluation, Event, Observer, StepOutput, StopReason, Trained};

use super::crew::{panic_reason, within_pool};
use super::data_parallel::replica;
use super::progress::{
    MODEL, Progress, SCHEDULE, Saved, Unreported, is_over, observed, optimizer_of, residuals_of,
    total_steps, write,
};
use super::statistics::has_statistics;
use super::worker::{Done, Learned, learn};
use super::{DataParallel, flat};
use crate::error::{Error, Result};

/// The weights that all workers move.
struct Server<M> {
    shared: Mutex<Shared<M>>,
    changed: Condvar,
    /// Steps of others that may come between a look at the weights and the step that follows from it.
    staleness: u64,
    clip_norm: Option<f64>,
}

struct Shared<M> {
    model: M,
    optimizer: ModuleOptimizer,
    schedule: ModuleLrScheduler,
    /// Steps taken.
    version: u64,
    /// The numbers of that version, once somebody asked for them.
    numbers: Option<Arc<Vec<f32>>>,
    /// Who computes, on which version.
    computing: Vec<(usize, u64)>,
    failed: Option<(usize, String)>,
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
    fn lock(&self) -> MutexGuard<'_, Shared<M>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        mut shared: MutexGuard<'a, Shared<M>>,
        until: impl Fn(&Shared<M>) -> bool,
    ) -> Result<MutexGuard<'a, Shared<M>>> {
        loop {
            if let Some((worker, reason)) = &shared.failed {
                return Err(Error::Worker { worker: *worker, reason: reason.clone() });
            }
            if until(&shared) {
                return Ok(shared);
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The weights as they are.
    fn pull(&self, worker: usize) -> Result<Arc<Vec<f32>>> {
        // Were all who compute now to step before this one, it would be late by their number.
        let fits = |shared: &Shared<M>| shared.computing.len() as u64 <= self.staleness;
        let mut shared = self.wait(self.lock(), fits)?;
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
        let mut guard = self.wait(self.lock(), fits)?;
        let shared = &mut *guard;
        let at = shared.computing.iter().position(|(other, _)| *other == worker);
        let version = at.map_or(shared.version, |at| shared.computing.remove(at).1);
        let late = shared.version - version;
        let factor = 1.0 / step.items.max(1) as f32;
        let mut grads = flat::to_gradients(&shared.model, step.buckets, &step.found, factor);
        if let Some(norm) = self.clip_norm {
            grads = ops::clip_grad_norm(&shared.model, grads, norm).0;
        }
        let rate = shared.schedule.step();
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
        drop(guard);
        self.changed.notify_all();
        Ok(late)
    }

    fn fail(&self, worker: usize, reason: &str) {
        self.lock().failed.get_or_insert_with(|| (worker, reason.to_owned()));
        self.changed.notify_all();
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
        let Learned { mut grads, mut done } =
            learn(&self.model, self.step, batch, &self.device, self.at)?;
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

type Answer = (usize, Result<(Done, u64), Option<String>>);

/// A worker's thread: batches from a queue that all share.
fn serve<M, F, B, E>(
    mut worker: Worker<'_, M, F>,
    threads: usize,
    queue: &Mutex<Receiver<B>>,
    answers: &Sender<Answer>,
) where
    M: Module,
    B: Send,
    F: Fn(&M, B, &Device) -> Result<StepOutput, E> + Sync,
    E: Display,
{
    let (at, server) = (worker.at, worker.server);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let work = || {
        while let Ok(batch) = next() {
            let taken = catch_unwind(AssertUnwindSafe(|| worker.take(batch)));
            let answer = match taken {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(Error::Worker { worker, reason })) => Err((worker == at).then_some(reason)),
                Ok(Err(error)) => Err(Some(error.to_string())),
                Err(panic) => Err(panic_reason(panic.as_ref())),
            };
            if let Err(Some(reason)) = &answer {
                server.fail(at, reason);
            }
            let failed = answer.is_err();
            if answers.send((at, answer)).is_err() || failed {
                return;
            }
        }
    };
    if let Err(error) = within_pool(threads, work) {
        server.fail(at, &error.to_string());
        let _ = answers.send((at, Err(Some(error.to_string()))));
    }
}

/// Trains asynchronously.
pub(super) fn fit<M, S, F, E>(
    parallel: DataParallel<M>,
    staleness: u64,
    batches: &S,
    step: &F,
    mut evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
    observer: &mut dyn Observer,
) -> Result<Trained<M>, E>
where
    M: Module,
    S: Batches + ?Sized,
    S::Batch: Send,
    F: Fn(&M, S::Batch, &Device) -> Result<StepOutput, E> + Sync,
    E: From<Error> + Display,
{
    let config = parallel.config.clone();
    let threads = config.threads_of(parallel.devices.len());
    let server = Server {
        shared: Mutex::new(Shared {
            model: replica(&parallel.model, &parallel.devices[0]),
            optimizer: parallel.optimizer.clone(),
            schedule: parallel.schedule.clone(),
            version: parallel.progress.step,
            numbers: None,
            computing: Vec::new(),
            failed: None,
        }),
        changed: Condvar::new(),
        staleness,
        clip_norm: config.clip_norm,
    };
    let workers = parallel.devices.len();
    let (to_workers, queue) = sync_channel(workers);
    let queue = Mutex::new(queue);
    let (answers, from_workers) = channel();
    thread::scope(|scope| {
        for (at, device) in parallel.devices.iter().enumerate() {
            let model = replica(&parallel.model, device);
            let worker = Worker {
                at,
                has_statistics: has_statistics(&model),
                model,
                device: device.clone(),
                server: &server,
                step,
                bucket: config.bucket,
            };
            let (queue, answers) = (&queue, answers.clone());
            scope.spawn(move || serve(worker, threads, queue, &answers));
        }
        drop(answers);
        let run = Run {
            of: total_steps(&config, batches.batches_per_epoch()),
            per_epoch: batches.batches_per_epoch(),
            progress: parallel.progress.clone(),
            parallel: &parallel,
            server: &server,
            to_workers,
            from_workers,
            outstanding: 0,
            late: 0,
            observer,
            started: Instant::now(),
            unreported: Unreported::default(),
        };
        // Dropped with its end of the queue, at which the workers end.
        run.run(batches, &mut evaluate)
    })
}

/// A run in progress.
struct Run<'a, M, B> {
    parallel: &'a DataParallel<M>,
    progress: Progress,
    server: &'a Server<M>,
    to_workers: SyncSender<B>,
    from_workers: Receiver<Answer>,
    /// Batches that workers have or will have.
    outstanding: usize,
    /// Sum of the steps by which gradients were late since the last event.
    late: u64,
    observer: &'a mut dyn Observer,
    of: Option<u64>,
    per_epoch: usize,
    started: Instant,
    unreported: Unreported,
}

impl<M: Module, B: Send> Run<'_, M, B> {
    fn run<S, E>(
        mut self,
        batches: &S,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
    ) -> Result<Trained<M>, E>
    where
        S: Batches<Batch = B> + ?Sized,
        E: From<Error>,
    {
        let started = Event::Started { task: "train", step: self.progress.step, of: self.of };
        self.observer.observe(&started);
        let reason = self.train(batches, evaluate)?;
        let model = self.server.lock().model.valid();
        if self.progress.batch > 0 && reason == StopReason::BudgetSpent {
            observed(&mut self.progress, evaluate(&model)?, self.observer);
        }
        let wall_s = self.wall_s();
        let step = self.progress.step;
        self.observer.observe(&Event::Finished { step, reason, wall_s });
        Ok(self.progress.fitted(model, reason, wall_s))
    }

    fn train<S, E>(
        &mut self,
        batches: &S,
        evaluate: &mut dyn FnMut(&M) -> Result<Evaluation, E>,
    ) -> Result<StopReason, E>
    where
        S: Batches<Batch = B> + ?Sized,
        E: From<Error>,
    {
        let workers = self.parallel.devices.len();
        loop {
            if let Some(reason) = self.over() {
                return Ok(reason);
            }
            let mut source = batches.epoch(self.progress.epoch, self.progress.batch);
            let mut given = self.progress.batch;
            let mut started = Instant::now();
            while self.progress.batch < self.per_epoch {
                // Nothing is begun that the budget does not have.
                let left = self.of.map_or(u64::MAX, |of| of.saturating_sub(self.progress.step));
                while given < self.per_epoch
                    && self.outstanding < 2 * workers
                    && (self.outstanding as u64) < left
                {
                    let ended = || {
                        model_utils::Error::data("training set", "an epoch ended before its end")
                    };
                    let batch = source.next().ok_or_else(ended).and_then(|batch| batch);
                    // With no worker left the answers say why.
                    if self.to_workers.send(batch.map_err(Error::from)?).is_err() {
                        break;
                    }
                    (given, self.outstanding) = (given + 1, self.outstanding + 1);
                }
                self.answer()?;
                let step = self.progress.step;
                let ends = self.progress.batch == self.per_epoch;
                if ends || step.is_multiple_of(self.parallel.config.log_every) {
                    self.report();
                }
                let every = self.parallel.config.checkpoint_every;
                let saves = every.is_some_and(|every| step.is_multiple_of(every));
                let over = self.over();
                if !ends && (saves || over.is_some()) {
                    // What is begun is finished, so that the weights are of one step.
                    while self.outstanding > 0 {
                        self.answer()?;
                    }
                    self.progress.train_s += started.elapsed().as_secs_f64();
                    self.report();
                    self.save(None)?;
                    started = Instant::now();
                    if let Some(reason) = over
                        && self.progress.batch < self.per_epoch
                    {
                        return Ok(reason);
                    }
                }
            }
            self.progress.train_s += started.elapsed().as_secs_f64();
            drop(source);
            self.progress.epoch += 1;
            self.progress.batch = 0;
            let model = self.server.lock().model.valid();
            let score = observed(&mut self.progress, evaluate(&model)?, self.observer);
            self.save(Some(score))?;
        }
    }

    /// Waits for a step to be done.
    fn answer(&mut self) -> Result<()> {
        self.unreported.since.get_or_insert_with(Instant::now);
        loop {
            match self.from_workers.recv() {
                Ok((_, Ok((done, late)))) => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    self.progress.items += done.items as u64;
                    self.progress.step += 1;
                    self.progress.batch += 1;
                    self.late += late;
                    self.unreported.steps += 1;
                    self.unreported.done.push(done);
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

    fn report(&mut self) {
        let steps = self.unreported.steps;
        if steps == 0 {
            return;
        }
        self.unreported.late = Some(std::mem::take(&mut self.late) as f64 / steps as f64);
        let (metrics, items) = self.unreported.take(self.parallel.devices.len());
        let Progress { step, epoch, .. } = self.progress;
        let event = Event::Step { step, of: self.of, epoch, items, metrics: &metrics };
        self.progress.history.observe(&event);
        self.observer.observe(&event);
    }

    fn save(&mut self, score: Option<f64>) -> Result<()> {
        let Some(checkpoints) = self.parallel.checkpoints.clone() else { return Ok(()) };
        let saved = Saved {
            config: self.parallel.config.clone(),
            workers: self.parallel.devices.len(),
            progress: Progress { wall_s: self.wall_s(), ..self.progress.clone() },
            steps: 0,
        };
        let checkpoint = {
            let shared = self.server.lock();
            Checkpoint::new(self.progress.step)
                .module(MODEL, &shared.model)?
                .optimizer(&optimizer_of(0), &shared.optimizer)?
                .schedule(SCHEDULE, &shared.schedule)?
                .state(&saved)?
        };
        let none = (0..saved.workers).map(residuals_of);
        let checkpoint =
            none.fold(checkpoint, |checkpoint, name| checkpoint.bytes(&name, Vec::new()));
        write(&checkpoints, checkpoint, (score, self.progress.step), self.observer)
    }

    fn wall_s(&self) -> f64 {
        self.parallel.progress.wall_s + self.started.elapsed().as_secs_f64()
    }

    fn over(&self) -> Option<StopReason> {
        is_over(&self.parallel.config, &self.progress, self.wall_s(), self.observer)
    }
}
