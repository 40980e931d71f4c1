use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Instant;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use model_utils::checkpoint::Checkpoints;
use model_utils::ops;
use model_utils::train::{Batches, Evaluation, Observer, StepOutput, Trained};

use super::crew::{Crew, serve};
use super::progress::{
    MODEL, Progress, SCHEDULE, Saved, Unreported, model_of, optimizer_of, residuals, residuals_of,
    total_steps,
};
use super::run::Run;
use super::statistics::has_statistics;
use super::worker::Worker;
use super::{DataParallelConfig, Exchange, Mode, Threads, asynchronous};
use crate::error::{Error, Result, require};

/// Training divided among workers that each hold the whole model and see other batches.
///
/// Of each `n` batches, worker 0 takes the first, worker 1 the second, and so on; what is left of an
/// epoch when fewer than `n` remain is not seen. Each worker computes in a thread with a share of the
/// processor's cores, or on a device of its own. In synchronous mode the result is that of one worker
/// whose batches are those of all together, to rounding; dropout excepted, which draws for each
/// worker.
pub struct DataParallel<M> {
    pub(super) config: DataParallelConfig,
    pub(super) model: M,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) schedule: ModuleLrScheduler,
    pub(super) devices: Vec<Device>,
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) progress: Progress,
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
            .field("step", &self.progress.step)
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
        schedule: impl Into<ModuleLrScheduler>,
        devices: &[Device],
    ) -> Result<Self> {
        config.check()?;
        require(!devices.is_empty(), "devices", 0, "at least one: there is a worker for each")?;
        let shares = config.shared_statistics && config.mode == Mode::Synchronous;
        if shares && devices.len() > 1 && has_statistics(&model) {
            for device in devices {
                let expected = "false for batch normalisation on this device, or `flex`";
                require(
                    ops::supports_sync_batch_norm(device),
                    "shared_statistics",
                    format_args!("true on {device:?}"),
                    expected,
                )?;
            }
        }
        let devices: Vec<Device> =
            devices.iter().map(|device| device.clone().inner().autodiff()).collect();
        let state = || State { model: None, optimizer: None, residuals: Vec::new(), steps: 0 };
        Ok(Self {
            config,
            model,
            optimizer: optimizer.into(),
            schedule: schedule.into(),
            states: devices.iter().map(|_| state()).collect(),
            devices,
            checkpoints: None,
            progress: Progress::default(),
        })
    }

    /// Saves checkpoints there, and goes on from the latest if there is one: exactly as if the run
    /// had not stopped, in synchronous and local mode and without dropout.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] if the checkpoint is of another configuration (the budget may
    /// have changed), another number of workers or another model; [`model_utils::Error::Format`] if it
    /// is damaged.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        if let Some(saved) = checkpoints.latest()? {
            let state: Saved = saved.state()?;
            let expected =
                DataParallelConfig { budget: state.config.budget, ..self.config.clone() };
            let workers = self.devices.len();
            if state.config != expected || state.workers != workers {
                let found = format!(
                    "it was trained by {} workers with {}, expected {workers} with {expected}",
                    state.workers, state.config
                );
                return Err(model_utils::Error::Mismatch {
                    path: saved.folder().to_path_buf(),
                    differences: vec![found],
                }
                .into());
            }
            self.model = saved.module(MODEL, self.model)?;
            self.schedule = saved.schedule(SCHEDULE, self.schedule)?;
            if self.is_apart() {
                for (worker, of_worker) in self.states.iter_mut().enumerate() {
                    let model = saved.module(&model_of(worker), self.model.valid().train())?;
                    of_worker.model = Some(model);
                    let optimizer =
                        saved.optimizer(&optimizer_of(worker), self.optimizer.clone())?;
                    of_worker.optimizer = Some(optimizer);
                }
            } else {
                self.optimizer = saved.optimizer(&optimizer_of(0), self.optimizer)?;
            }
            for (worker, of_worker) in self.states.iter_mut().enumerate() {
                of_worker.residuals = residuals(&saved.bytes(&residuals_of(worker))?);
                of_worker.steps = state.steps;
            }
            self.progress = state.progress;
        }
        self.checkpoints = Some(checkpoints);
        Ok(self)
    }

    /// Whether workers differ between two steps.
    pub(super) fn is_apart(&self) -> bool {
        matches!(self.config.mode, Mode::Local { .. })
    }

    /// Trains until the budget is spent or the observer asks to stop.
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
    pub fn fit<S, F, E>(
        mut self,
        batches: &S,
        step: F,
        mut evaluate: impl FnMut(&M) -> Result<Evaluation, E>,
        observer: &mut dyn Observer,
    ) -> Result<Trained<M>, E>
    where
        S: Batches + ?Sized,
        S::Batch: Send,
        F: Fn(&M, S::Batch, &Device) -> Result<StepOutput, E> + Sync,
        E: From<Error> + Display,
    {
        let groups = match self.config.mode {
            Mode::Asynchronous { .. } => batches.batches_per_epoch(),
            _ => batches.batches_per_epoch() / self.devices.len(),
        };
        if groups == 0 {
            let (found, workers) = (batches.batches_per_epoch(), self.devices.len());
            let reason = format!("{found} batches for {workers} workers, expected one for each");
            return Err(Error::from(model_utils::Error::data("training set", reason)).into());
        }
        if let Mode::Asynchronous { staleness } = self.config.mode {
            return asynchronous::fit(self, staleness, batches, &step, evaluate, observer);
        }
        let config = self.config.clone();
        let workers = self.devices.len();
        let (answers, from_workers) = channel();
        thread::scope(|scope| {
            let mut to_workers = Vec::with_capacity(workers);
            let mut exchanges: Vec<Arc<dyn Exchange>> = Vec::with_capacity(workers);
            exchanges.extend(Threads::new(workers).into_iter().map(|end| Arc::new(end) as _));
            for exchange in &exchanges {
                let worker = self.worker(&config, Arc::clone(exchange), &step);
                let (commands, own) = sync_channel(2);
                let answers = answers.clone();
                scope.spawn(move || serve(worker, own, answers));
                to_workers.push(commands);
            }
            drop(answers);
            let mut run = Run {
                of: total_steps(&self.config, groups),
                groups,
                parallel: &mut self,
                crew: Crew { to_workers, from_workers, exchange: exchanges.swap_remove(0) },
                observer,
                started: Instant::now(),
                unreported: Unreported::default(),
            };
            run.run(batches, &mut evaluate)
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
        let shared = config.shared_statistics
            && config.mode == Mode::Synchronous
            && exchange.workers() > 1
            && ops::supports_sync_batch_norm(&device);
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

/// A copy of a model on a device, in training, that shares nothing with it.
pub(super) fn replica<M: Module>(model: &M, device: &Device) -> M {
    model.valid().to_device(&device.clone().inner()).train()
}
