//! Training on positions: moves for the policy net, results for the value net.

use burn::config::Config;
use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::checkpoint::Checkpoints;
use model_utils::ops;
use model_utils::train::{
    Asks as _, Budget, Evaluation, Observer, Schedule, StepOutput, Stoppable, Supervised,
    SupervisedConfig,
};
use model_utils_core::config;

use super::features::{PLANES, VALUE_PLANES};
use super::net::{PolicyNet, ValueNet, planes};
use crate::deep::{Replay, Samples, SymmetryTables};
use crate::error::Result;
use crate::go::{Go, Rules};
use crate::random::{Random, mix};

/// How nets are trained on positions.
#[derive(Config, Debug, PartialEq)]
pub struct TrainerConfig {
    /// Optimiser steps.
    #[config(default = 2000)]
    pub steps: u64,
    /// Positions of a step.
    #[config(default = 64)]
    pub batch: usize,
    /// The learning rate at the start (Adam); it falls to a tenth by a cosine.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[config(default = 1e-4)]
    pub weight_decay: f64,
    /// What order and symmetries follow from.
    #[config(default = 42)]
    pub seed: u64,
}

/// Trains on examples, each under one of the board's symmetries, drawn anew.
#[derive(Debug)]
pub struct Trainer {
    config: TrainerConfig,
    keep: Option<(Checkpoints, u64)>,
}

impl TrainerConfig {
    /// A trainer.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work.
    pub fn init(&self) -> Result<Trainer> {
        config::at_least("steps", self.steps, 1)?;
        config::at_least("batch", self.batch, 1)?;
        config::positive("learning_rate", self.learning_rate)?;
        config::not_negative("weight_decay", self.weight_decay)?;
        Ok(Trainer { config: self.clone(), keep: None })
    }
}

impl Trainer {
    /// Keeps checkpoints, one every so many steps and one at the end, and goes on from the latest that
    /// is there, exactly.
    #[must_use]
    pub fn resume_in(mut self, checkpoints: Checkpoints, every: u64) -> Self {
        self.keep = Some((checkpoints, every.max(1)));
        self
    }

    /// Trains a policy on moves: its cross-entropy.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) without examples,
    /// [`model_utils::Error::NotFinite`] for a loss that is no number,
    /// [`model_utils::Error::Stopped`] where `progress` asked to stop: what was learned is in the
    /// checkpoint, [`model_utils::Error::Mismatch`] for a checkpoint of another configuration.
    pub fn train_policy(
        &self,
        net: PolicyNet,
        examples: &Replay,
        progress: &mut dyn Observer,
    ) -> Result<PolicyNet> {
        let (side, device) = (net.side(), net.device());
        self.train("policy", net, (side, device), examples, progress, |net, samples, device| {
            let (x, policy) = policy_tensors(samples, side, device);
            (policy * log_softmax(net.forward(x), 1)).sum_dim(1).mean().neg()
        })
    }

    /// Trains a value net on results: its squared error.
    ///
    /// # Errors
    ///
    /// As [`Trainer::train_policy`].
    pub fn train_value(
        &self,
        net: ValueNet,
        examples: &Replay,
        progress: &mut dyn Observer,
    ) -> Result<ValueNet> {
        let (side, device) = (net.side(), net.device());
        self.train("value", net, (side, device), examples, progress, |net, samples, device| {
            let batch = samples.values.len();
            let x = planes(samples.planes, [batch, VALUE_PLANES, side, side], device);
            let wanted = Tensor::<1>::from_data(TensorData::new(samples.values, [batch]), device);
            let error = net.forward(x) - wanted;
            (error.clone() * error).mean()
        })
    }

    fn train<M: Module>(
        &self,
        task: &str,
        net: M,
        (side, device): (usize, Device),
        examples: &Replay,
        progress: &mut dyn Observer,
        loss: impl Fn(&M, Samples, &Device) -> Tensor<1>,
    ) -> Result<M> {
        let TrainerConfig { steps, batch, learning_rate: rate, weight_decay, seed } = self.config;
        config::require(!examples.is_empty(), "examples", 0, "at least one position")?;
        let device = device.autodiff();
        let symmetries = SymmetryTables::new(&Go::new(side, Rules::chinese())?);
        let optimizer: ModuleOptimizer =
            AdamWConfig::new().with_weight_decay(weight_decay as f32).with_epsilon(1e-8).init();
        let every = self.keep.as_ref().map(|(_, every)| *every);
        let rules = SupervisedConfig::new(Budget::steps(steps))
            .with_seed(seed)
            .with_clip_norm(Some(5.0))
            .with_log_every(16)
            .with_checkpoint_every(every);
        let last = 0.1 * rate;
        let schedule = Schedule::Cosine { first: 0.0, rate, last, warm_up: 0, steps };
        let mut run = Supervised::new(rules, net.train(), optimizer, schedule)?
            .named(task)
            .about(&self.config)?;
        if let Some((checkpoints, _)) = &self.keep {
            run = run.resume_in(checkpoints.clone())?;
        }
        // Batches by the steps' numbers, from which each follows.
        let trained = run.train(
            &(0..steps).collect::<Vec<u64>>(),
            |net: &M, step| {
                let samples = examples.draw(batch, &symmetries, &mut Random::new(mix(seed, step)));
                Ok(StepOutput { loss: loss(net, samples, &device), items: batch, correct: None })
            },
            |_| Ok::<_, crate::Error>(Evaluation::none()),
            progress,
        )?;
        trained.reason.or_stopped(&format!("training of the {task} net"), trained.step)?;
        Ok(trained.model)
    }

    /// The share of the examples whose move the net holds for the likeliest;
    /// `stop.around(&examples)` ends it between two batches, and so with all that takes examples or
    /// records.
    ///
    /// # Errors
    ///
    /// From the device.
    pub fn accuracy<'a>(
        net: &PolicyNet,
        examples: impl Into<Stoppable<&'a Replay>>,
    ) -> Result<f64> {
        let (side, device) = (net.side(), net.device());
        let (examples, stop) = examples.into().into_parts();
        let mut right = 0.0;
        for (batch, samples) in examples.chunks(256).enumerate() {
            stop.check("judging the policy net", format_args!("batch {batch}"))?;
            let (x, policy) = policy_tensors(samples, side, &device);
            let best = net.forward(x).argmax(1);
            right += ops::to_vec(policy.gather(1, best)).iter().sum::<f32>();
        }
        Ok(f64::from(right) / examples.len().max(1) as f64)
    }

    /// The mean squared error of a value net on examples.
    ///
    /// # Errors
    ///
    /// From the device.
    pub fn mean_squared_error<'a>(
        net: &ValueNet,
        examples: impl Into<Stoppable<&'a Replay>>,
    ) -> Result<f64> {
        let (side, device) = (net.side(), net.device());
        let (examples, stop) = examples.into().into_parts();
        let mut sum = 0.0;
        for (batch, samples) in examples.chunks(256).enumerate() {
            stop.check("judging the value net", format_args!("batch {batch}"))?;
            let wanted = samples.values.clone();
            let batch = wanted.len();
            let x = planes(samples.planes, [batch, VALUE_PLANES, side, side], &device);
            let found = ops::to_vec(net.forward(x));
            sum += found.iter().zip(&wanted).map(|(a, b)| f64::from((a - b).powi(2))).sum::<f64>();
        }
        Ok(sum / examples.len().max(1) as f64)
    }
}

/// Planes and policies over the points; the pass is left out.
fn policy_tensors(samples: Samples, side: usize, device: &Device) -> (Tensor<4>, Tensor<2>) {
    let (batch, area) = (samples.values.len(), side * side);
    let x = planes(samples.planes, [batch, PLANES, side, side], device);
    let policy = TensorData::new(samples.policies, [batch, area + 1]);
    (x, Tensor::<2>::from_data(policy, device).narrow(1, 0, area))
}
