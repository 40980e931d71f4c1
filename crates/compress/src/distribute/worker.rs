//! What a worker does with its batches.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use model_utils::ops;
use model_utils::train::StepOutput;
use serde::{Deserialize, Serialize};

use super::statistics::Statistics;
use super::{Compression, DataParallelConfig, Exchange, Mode, flat};
use crate::error::{Error, Result};

/// What the workers are told.
pub(super) enum Command<B> {
    Step {
        batch: B,
        rate: f64,
    },
    /// Averages the weights of workers that go by themselves.
    Average,
    /// Asks for what a checkpoint and an evaluation need.
    Snapshot,
}

/// What they answer.
pub(super) enum Answer<M> {
    Done(Done),
    Averaged,
    Snapshot(Box<Snapshot<M>>),
}

/// A step that is done.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// The mean loss of its batch.
    pub(super) loss: f64,
    pub(super) items: usize,
    pub(super) correct: Option<f64>,
    /// Bytes that it gave to the others.
    pub(super) sent: u64,
    /// Time of its step without waiting for others at the end, in s.
    pub(super) busy_s: f64,
}

/// A worker's state.
pub(super) struct Snapshot<M> {
    /// Without autodiff, and nobody else's.
    pub(super) model: M,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) residuals: Vec<Vec<f32>>,
    pub(super) steps: u64,
}

/// A worker.
pub(super) struct Worker<'a, M, F> {
    pub(super) config: &'a DataParallelConfig,
    pub(super) model: M,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) device: Device,
    pub(super) exchange: Arc<dyn Exchange>,
    pub(super) step: &'a F,
    /// What compression left out, for each bucket.
    pub(super) residuals: Vec<Vec<f32>>,
    /// Steps since the last average.
    pub(super) steps: u64,
    pub(super) shares_statistics: bool,
}

/// The gradients of a batch's summed loss.
pub(super) struct Backward {
    pub(super) grads: GradientsParams,
    pub(super) done: Done,
}

impl<M: Module, F> Worker<'_, M, F> {
    pub(super) fn execute<B, E>(&mut self, command: Command<B>) -> Result<Answer<M>>
    where
        F: Fn(&M, B, &Device) -> Result<StepOutput, E>,
        E: std::fmt::Display,
    {
        match command {
            Command::Step { batch, rate } => {
                let done = match self.config.mode {
                    Mode::Local { steps } => self.local(batch, rate, steps)?,
                    _ => self.synchronous(batch, rate)?,
                };
                Ok(Answer::Done(done))
            }
            Command::Average => {
                self.average()?;
                Ok(Answer::Averaged)
            }
            Command::Snapshot => Ok(Answer::Snapshot(Box::new(Snapshot {
                model: self.model.valid(),
                optimizer: self.optimizer.clone(),
                residuals: self.residuals.clone(),
                steps: self.steps,
            }))),
        }
    }

    /// A step on the gradients of all workers, weighted by their items.
    fn synchronous<B, E>(&mut self, batch: B, rate: f64) -> Result<Done>
    where
        F: Fn(&M, B, &Device) -> Result<StepOutput, E>,
        E: std::fmt::Display,
    {
        let started = Instant::now();
        let exchange = Arc::clone(&self.exchange);
        let Backward { mut grads, mut done } = if self.shares_statistics {
            let over = Arc::new(Statistics(Arc::clone(&exchange)));
            ops::sync_batch_norm(over, || {
                backward(&self.model, self.step, batch, &self.device, exchange.worker())
            })?
        } else {
            backward(&self.model, self.step, batch, &self.device, exchange.worker())?
        };
        let bucket = self.config.bucket;
        let (buckets, found) = flat::gradients(&self.model, &mut grads, bucket);
        done.busy_s = started.elapsed().as_secs_f64();
        // Which parameters have a gradient, and how many items there are, go in double precision.
        let mut counts: Vec<f64> = found.iter().copied().map(f64::from).collect();
        counts.push(done.items as f64);
        exchange.all_reduce_f64(&mut counts)?;
        let items = counts.pop().unwrap_or(1.0);
        let found: Vec<f32> = counts.iter().map(|count| *count as f32).collect();
        let (sums, sent) = self.exchanged(buckets)?;
        done.sent = sent;
        let grads = flat::to_gradients(&self.model, sums, &found, (1.0 / items) as f32);
        self.apply(grads, rate);
        Ok(done)
    }

    /// The sums of buckets over all workers, and the bytes that went out.
    fn exchanged(&mut self, buckets: Vec<Vec<f32>>) -> Result<(Vec<Vec<f32>>, u64)> {
        let compression = self.config.compression;
        if compression == Compression::None {
            let numbers: usize = buckets.iter().map(Vec::len).sum();
            return Ok((self.exchange.all_reduce(buckets)?, 4 * numbers as u64));
        }
        self.residuals.resize(buckets.len(), Vec::new());
        let mut sent = 0;
        let mut sums = Vec::with_capacity(buckets.len());
        for (mut bucket, residual) in buckets.into_iter().zip(&mut self.residuals) {
            let bytes = compression.encode(&bucket, residual);
            sent += bytes.len() as u64;
            bucket.fill(0.0);
            for (worker, bytes) in self.exchange.all_gather(bytes)?.iter().enumerate() {
                compression.add(bytes, &mut bucket, worker)?;
            }
            sums.push(bucket);
        }
        Ok((sums, sent))
    }

    /// A step by itself, and an average where one is due.
    fn local<B, E>(&mut self, batch: B, rate: f64, every: u64) -> Result<Done>
    where
        F: Fn(&M, B, &Device) -> Result<StepOutput, E>,
        E: std::fmt::Display,
    {
        let started = Instant::now();
        let worker = self.exchange.worker();
        let Backward { mut grads, mut done } =
            backward(&self.model, self.step, batch, &self.device, worker)?;
        let (sums, found) = flat::gradients(&self.model, &mut grads, usize::MAX);
        let factor = 1.0 / done.items.max(1) as f32;
        let grads = flat::to_gradients(&self.model, sums, &found, factor);
        self.apply(grads, rate);
        done.busy_s = started.elapsed().as_secs_f64();
        self.steps += 1;
        if self.steps >= every {
            done.sent = self.average()?;
        }
        Ok(done)
    }

    /// Weights and running statistics become their mean over all workers; returns the bytes sent.
    fn average(&mut self) -> Result<u64> {
        self.steps = 0;
        let snapshot = self.model.valid();
        let numbers = flat::numbers(&snapshot);
        let sent = 4 * numbers.len() as u64;
        let buckets = numbers.chunks(self.config.bucket).map(<[f32]>::to_vec).collect();
        let workers = self.exchange.workers() as f32;
        let sums = self.exchange.all_reduce(buckets)?;
        let mean: Vec<f32> = sums.into_iter().flatten().map(|sum| sum / workers).collect();
        self.model = flat::with_numbers(snapshot, &mean)?.train();
        Ok(sent)
    }

    fn apply(&mut self, mut grads: GradientsParams, rate: f64) {
        if let Some(norm) = self.config.clip_norm {
            grads = ops::clip_grad_norm(&self.model, grads, norm).0;
        }
        self.model = self.optimizer.step(rate, self.model.clone(), grads);
    }
}

/// Forward and backward on a batch. The loss is that of all items together: its gradients add up over
/// workers.
pub(super) fn backward<M: Module, B, E: std::fmt::Display>(
    model: &M,
    step: impl Fn(&M, B, &Device) -> Result<StepOutput, E>,
    batch: B,
    device: &Device,
    worker: usize,
) -> Result<Backward> {
    let failed = |reason: String| Error::Worker { worker, reason };
    let output = step(model, batch, device).map_err(|error| failed(error.to_string()))?;
    let loss = output.loss.clone().without_autodiff().into_data().iter::<f64>().next();
    let loss = loss.filter(|loss| loss.is_finite()).ok_or_else(|| {
        failed(format!("its loss is {}, expected a finite one", loss.unwrap_or(f64::NAN)))
    })?;
    if !output.loss.is_tracked() {
        return Err(failed("its loss does not depend on the model".to_owned()));
    }
    let correct = output.correct.and_then(|correct| correct.into_data().iter::<f64>().next());
    let summed = output.loss * output.items as f64;
    let grads = GradientsParams::from_grads(summed.backward(), model);
    let done = Done { loss, items: output.items, correct, ..Done::default() };
    Ok(Backward { grads, done })
}

/// A copy of a model on a device, in training, that shares nothing with it.
pub(super) fn replica<M: Module>(model: &M, device: &Device) -> M {
    model.valid().to_device(&device.clone().inner()).train()
}
