use burn::config::Config;
use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use model_utils::checkpoint::Checkpoints;
use model_utils::config;
use model_utils::graph::{AnyTensor, Graph, GraphModule};
use model_utils::ops;
use model_utils::train::{
    Batches, Budget, Evaluation, Observer, Schedule, StepOutput, Supervised, SupervisedConfig,
    Trained,
};

use super::{SoftTargets, TransferBatch};
use crate::error::{Error, Result};

/// Training of a student by a teacher: any two modules, and what the caller's closures make of them.
///
/// For each batch the teacher speaks first, without gradients and without touching its batch-norm
/// statistics; what it says goes with the batch into the student's loss. All else is
/// [`Supervised`]: budget, seeds, averaging, checkpoints, exact resume.
#[derive(Debug)]
pub struct Distillation<S>(Supervised<S>);

impl<S: Module> Distillation<S> {
    /// A run that has not started, of a student on a device with autodiff.
    ///
    /// # Errors
    ///
    /// As [`Supervised::new`].
    pub fn new(
        config: SupervisedConfig,
        student: S,
        optimizer: impl Into<ModuleOptimizer>,
        schedule: impl Into<Schedule>,
    ) -> Result<Self> {
        Ok(Self(Supervised::new(config, student, optimizer, schedule)?))
    }

    /// Saves checkpoints there, and goes on from the latest if there is one.
    ///
    /// # Errors
    ///
    /// As [`Supervised::resume_in`].
    pub fn resume_in(self, checkpoints: Checkpoints) -> Result<Self> {
        Ok(Self(self.0.resume_in(checkpoints)?))
    }

    /// Trains the student.
    ///
    /// `teach` gets the teacher without autodiff and a batch, and returns what the student is to
    /// learn from it: logits, inner layers, anything. `learn` gets the student, the batch and that,
    /// and returns the loss. `evaluate` gets the student without autodiff.
    ///
    /// # Errors
    ///
    /// As [`Supervised::train`]; errors of the closures come through.
    pub fn train<T, B, K, E>(
        self,
        teacher: &T,
        batches: &B,
        mut teach: impl FnMut(&T, &B::Batch) -> Result<K, E>,
        mut learn: impl FnMut(&S, B::Batch, K) -> Result<StepOutput, E>,
        evaluate: impl FnMut(&S) -> Result<Evaluation, E>,
        progress: &mut dyn Observer,
    ) -> Result<Trained<S>, E>
    where
        T: Module,
        B: Batches + ?Sized,
        E: From<model_utils::Error>,
    {
        let teacher = teacher.valid();
        let step = |student: &S, batch: B::Batch| {
            let knowledge = teach(&teacher, &batch)?;
            learn(student, batch, knowledge)
        };
        self.0.train(batches, step, evaluate, progress)
    }
}

/// How [`distill`] trains.
#[derive(Config, Debug, PartialEq)]
pub struct DistillConfig {
    /// The loss.
    pub soft_targets: SoftTargets,
    /// How long to train; five passes unless told otherwise.
    #[config(default = "Budget::epochs(5)")]
    pub budget: Budget,
    /// The learning rate of `AdamW` at the start; it falls as a cosine.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Decay of the weights, as a part of the learning rate.
    #[config(default = 0.0)]
    pub weight_decay: f32,
    /// What random draws follow from.
    #[config(default = 42)]
    pub seed: u64,
}

impl From<SoftTargets> for DistillConfig {
    fn from(soft_targets: SoftTargets) -> Self {
        Self::new(soft_targets)
    }
}

/// Trains a student by a teacher's soft targets, both graphs from the same inputs to logits, and
/// gives the student back with its new weights.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Int, Tensor};
/// use compress::distill::{SoftTargets, distill};
/// # use model_utils::device::DeviceSpec;
/// use model_utils::graph::Graph;
/// use model_utils::train::{Silent};
///
/// # let device = "flex".parse::<DeviceSpec>()?.open()?;
/// # let trace = |hidden| {
/// #     let layers = vec![LinearConfig::new(2, hidden).init(&device), LinearConfig::new(hidden, 2).init(&device)];
/// #     Graph::trace(&layers, [1, 2], |layers: &Vec<Linear>, x: Tensor<2>| {
/// #         layers[1].forward(burn::tensor::activation::relu(layers[0].forward(x)))
/// #     })
/// # };
/// let (teacher, student) = (trace(64)?, trace(4)?); // any two graphs to the same classes
/// let images = Tensor::<2>::from_data([[0.1, 0.9], [0.8, 0.3]], &device);
/// let labels = Tensor::<1, Int>::from_ints([1, 0], &device);
/// let data = vec![(images, labels)]; // or a `Loader`; labels may be missing
/// let student = distill(&teacher, &student, &data, SoftTargets::new(4.0), &device, &mut Silent)?;
/// # Ok::<(), compress::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Config`] for a field that cannot work; [`Error::Node`] where the outputs are no logits;
/// [`Error::Utils`] where their shapes differ, for inputs that a graph does not take, for a loss
/// that is not finite, and where it was asked to stop.
pub fn distill<B>(
    teacher: &Graph,
    student: &Graph,
    data: &B,
    config: impl Into<DistillConfig>,
    device: &Device,
    progress: &mut dyn Observer,
) -> Result<Graph>
where
    B: Batches + ?Sized,
    B::Batch: TransferBatch,
{
    let device = device.clone().inner();
    let config = config.into();
    config.soft_targets.check()?;
    let rate = config.learning_rate;
    config::positive("learning_rate", rate)?;
    let steps_of = |epochs: u64| epochs * data.batches_per_epoch() as u64;
    let steps = match (config.budget.steps, config.budget.epochs.map(steps_of)) {
        (Some(a), Some(b)) => a.min(b),
        (Some(steps), None) | (None, Some(steps)) => steps,
        // A budget of time alone has no end to fall to.
        (None, None) => 1 << 20,
    };
    let optimizer: ModuleOptimizer =
        AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(config.weight_decay).init();
    let schedule = Schedule::cosine(rate, steps.max(1));
    let training = device.clone().autodiff();
    let supervised = SupervisedConfig::new(config.budget).with_seed(config.seed);
    let trained = Distillation::new(supervised, student.init(&training)?, optimizer, schedule)?
        .train::<_, _, _, Error>(
        &teacher.init(&device)?,
        data,
        |teacher: &GraphModule, batch: &B::Batch| logits(teacher, batch.place(&device).0),
        |student: &GraphModule, batch: B::Batch, taught| {
            let (inputs, labels) = batch.place(&training);
            let logits = logits(student, inputs)?;
            let correct = labels.clone().map(|labels| ops::count_correct(logits.clone(), labels));
            let loss = config.soft_targets.loss(logits, taught, labels)?;
            Ok(StepOutput { loss, items: batch.items(), correct })
        },
        |_| Ok(Evaluation::none()),
        progress,
    )?;
    Ok(trained.or_stopped()?.model.graph())
}

/// The first output, as logits.
fn logits(module: &GraphModule, inputs: Vec<AnyTensor>) -> Result<Tensor<2>> {
    let found = module.run(inputs, &mut |_, _| {})?.into_iter().next();
    match found {
        Some(output) => Ok(output.typed()?),
        None => Err(Error::node("outputs", "there is none, expected logits")),
    }
}
