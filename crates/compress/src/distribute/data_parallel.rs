use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use model_utils::checkpoint::{Checkpoints, HoldsModules as _, Saved};
use model_utils::config;
use model_utils::ops;
use model_utils::train::{
    Batches, Evaluation, Observer, Run, Schedule, StepOutput, Trained, mean_of,
};
use serde_json::json;

use super::crew::{Crew, serve};
use super::session::{
    self, Journal, MODEL, Session, model_of, optimizer_of, residuals, residuals_of,
};
use super::statistics::has_statistics;
use super::synchronous::Together;
use super::worker::{Worker, replica};
use super::{DataParallelConfig, Exchange, Mode, Threads, asynchronous};
use crate::error::{Error, Result};

/// Training divided among workers that each hold the whole model and see other batches.
///
/// Of each `n` batches, worker 0 takes the first, worker 1 the second, and so on; what is left of an
/// epoch when fewer than `n` remain is not seen. Each worker computes in a thread with a share of the
/// processor's cores, or on a device of its own. In synchronous mode the result is that of one worker
/// whose batches are those of all together, to rounding; dropout excepted, which draws for each
/// worker.
pub struct DataParallel<M> {
    config: DataParallelConfig,
    model: M,
    optimizer: ModuleOptimizer,
    schedule: Schedule,
    devices: Vec<Device>,
    run: Run,
    journal: Journal,
    /// What each worker goes on with.
    states: Vec<State<M>>,
}

/// What a worker goes on with, where it is another than the common one.
struct State<M> {
    model: Option<M>,
    optimizer: Option<ModuleOptimizer>,
    residuals: Vec<Vec<f32>>,
    steps: u64,
}

impl<M: fmt::Debug> fmt::Debug for DataParallel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataParallel")
            .field("config", &self.config)
            .field("devices", &self.devices)
            .field("step", &self.run.steps())
            .finish_non_exhaustive()
    }
}

impl<M: Module> DataParallel<M> {
    /// A run that has not started: one worker a device, each device once or several times.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no device, a field that cannot work, and a model with batch normalisation
    /// whose statistics are to be shared where the device cannot.
    pub fn new(
        config: DataParallelConfig,
        model: M,
        optimizer: impl Into<ModuleOptimizer>,
        schedule: impl Into<Schedule>,
        devices: &[Device],
    ) -> Result<Self> {
        config.check()?;
        config::require(
            !devices.is_empty(),
            "devices",
            0,
            "at least one: there is a worker for each",
        )?;
        let shares = config.sync_batch_norm && config.mode == Mode::Synchronous;
        if shares && devices.len() > 1 && has_statistics(&model) {
            for device in devices {
                let expected = "false for batch normalisation on this device, or a device among `flex` and `ndarray`";
                config::require(
                    ops::has_kernels(device),
                    "sync_batch_norm",
                    format_args!("true on {device:?}"),
                    expected,
                )?;
            }
        }
        let devices: Vec<Device> =
            devices.iter().map(|device| device.clone().inner().autodiff()).collect();
        let schedule = schedule.into();
        schedule.check()?;
        // What may change has no place in it, and the number of workers has none.
        let about = json!({
            "mode": config.mode,
            "compression": config.compression,
            "sync_batch_norm": config.sync_batch_norm,
            "bucket": config.bucket,
            "clip_norm": config.clip_norm,
            "schedule": schedule,
        });
        let state = || State { model: None, optimizer: None, residuals: Vec::new(), steps: 0 };
        Ok(Self {
            config,
            model,
            optimizer: optimizer.into(),
            schedule,
            states: devices.iter().map(|_| state()).collect(),
            devices,
            run: Run::new("train", &about)?,
            journal: Journal::default(),
        })
    }

    /// Saves checkpoints there, and goes on from the latest if there is one: exactly as if the run
    /// had not stopped, in synchronous and local mode and without dropout. It may go on with another
    /// number of workers: then those that went by themselves begin at their average, and what
    /// compression left out is shared among them.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with each field in which the checkpoint is of another
    /// configuration (budget, threads and how often is logged and saved may have changed), and if it is
    /// of another model; [`model_utils::Error::Format`] if it is damaged.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        let every = self.config.checkpoint_every;
        match self.run.resume_in(checkpoints, every)? {
            Some(saved) => self.resume(&saved),
            None => Ok(self),
        }
    }

    fn resume(mut self, saved: &Saved) -> Result<Self> {
        self.journal = saved.state()?;
        let (before, workers) = (self.journal.workers.max(1), self.devices.len());
        self.model = saved.module(MODEL, self.model)?;
        let apart = self.config.mode.is_apart();
        if !apart {
            self.optimizer = saved.optimizer(&optimizer_of(0), self.optimizer)?;
        }
        let models = (0..before)
            .filter(|_| apart)
            .map(|worker| saved.module(&model_of(worker), self.model.valid().train()));
        let models = models.collect::<model_utils::Result<Vec<M>>>()?;
        for (worker, of_worker) in self.states.iter_mut().enumerate().filter(|_| apart) {
            of_worker.model = Some(if before == workers {
                models[worker].clone()
            } else {
                mean_of(&models)?.train()
            });
            let of = optimizer_of(worker % before);
            of_worker.optimizer = Some(saved.optimizer(&of, self.optimizer.clone())?);
            of_worker.steps = self.journal.since_average;
        }
        if matches!(self.config.mode, Mode::Asynchronous { .. }) {
            return Ok(self);
        }
        for worker in 0..before {
            let more = residuals(&saved.bytes(&residuals_of(worker))?);
            let own = &mut self.states[worker % workers].residuals;
            if own.is_empty() {
                *own = more;
                continue;
            }
            for (own, more) in own.iter_mut().flatten().zip(more.into_iter().flatten()) {
                *own += more;
            }
        }
        Ok(self)
    }

    /// Trains until the budget is spent or `progress` asks to stop.
    ///
    /// `step` computes the loss of a batch, averaged over its items, on a worker's device (with
    /// autodiff); it is called from all workers' threads. `evaluate` gets the model without autodiff,
    /// on the first device.
    ///
    /// # Errors
    ///
    /// [`Error::Worker`] names the worker whose step gave an error or a loss that is not finite, or
    /// that panicked; the others stop, and the checkpoints before stay. Errors of the batches, of
    /// `evaluate` and of saving come through.
    pub fn train<S, F, E>(
        mut self,
        batches: &S,
        step: F,
        evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
        progress: &mut dyn Observer,
    ) -> Result<Trained<M>, E>
    where
        S: Batches + ?Sized,
        S::Batch: Send,
        F: Fn(&M, S::Batch, &Device) -> Result<StepOutput, E> + Sync,
        E: From<Error> + Display,
    {
        let (found, workers) = (batches.batches_per_epoch(), self.devices.len());
        let of_step = match self.config.mode {
            Mode::Asynchronous { .. } => 1,
            _ => workers,
        };
        if found < of_step {
            let reason = format!("{found} batches for {workers} workers, expected one for each");
            return Err(Error::from(model_utils::Error::data("training set", reason)).into());
        }
        let before = self.journal.per_epoch;
        let is_same = before == 0 || before == found;
        config::require(is_same, "batches", found, format!("{before} an epoch, as before"))
            .map_err(Error::from)?;
        let config = self.config.clone();
        let state = (self.run.clone(), self.journal.clone());
        let session = Session::new(config.clone(), workers, (of_step, found), state, progress);
        if let Mode::Asynchronous { staleness } = config.mode {
            let start = (self.model, self.optimizer, self.schedule);
            return asynchronous::train(
                session,
                staleness,
                start,
                &self.devices,
                batches,
                &step,
                evaluate,
            );
        }
        let (answers, from_workers) = channel();
        thread::scope(|scope| {
            let mut to_workers = Vec::with_capacity(workers);
            let mut exchanges: Vec<Arc<dyn Exchange>> = Vec::with_capacity(workers);
            exchanges.extend(Threads::new(workers).into_iter().map(|end| Arc::new(end) as _));
            for (at, exchange) in exchanges.iter().enumerate() {
                let mut worker = self.worker(&config, Arc::clone(exchange), &step);
                let (commands, own) = sync_channel(2);
                let (answers, exchange) = (answers.clone(), Arc::clone(exchange));
                let threads = config.threads_of(workers);
                scope.spawn(move || {
                    let fail = |reason: &str| exchange.fail(reason);
                    let next = move || own.recv().ok();
                    let execute = |command| worker.execute(command);
                    serve((at, threads), &answers, fail, next, execute);
                });
                to_workers.push(commands);
            }
            drop(answers);
            let crew = Crew { to_workers, from_workers, exchange: exchanges.swap_remove(0) };
            let mut run = Together { session, crew, schedule: self.schedule };
            session::run(&mut run, batches, evaluate)
        })
    }

    /// A worker with its own copy of the model.
    fn worker<'a, F>(
        &mut self,
        config: &'a DataParallelConfig,
        exchange: Arc<dyn Exchange>,
        step: &'a F,
    ) -> Worker<'a, M, F> {
        let at = exchange.worker();
        let device = self.devices[at].clone();
        let state = &mut self.states[at];
        let model = state.model.as_ref().unwrap_or(&self.model);
        let shared = config.sync_batch_norm
            && config.mode == Mode::Synchronous
            && exchange.workers() > 1
            && ops::has_kernels(&device);
        Worker {
            config,
            model: replica(model, &device),
            optimizer: state.optimizer.clone().unwrap_or_else(|| self.optimizer.clone()),
            device,
            exchange,
            step,
            residuals: std::mem::take(&mut state.residuals),
            steps: state.steps,
            shares_statistics: shared,
        }
    }
}
