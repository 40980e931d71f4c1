use burn::config::Config;
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::layers::Activation;
use model_utils::ops;
use model_utils::train::{Budget, Observer, Run};
use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::Random;
use serde_json::json;

use super::adam::{Adam, clip, step_all};
use super::agent::{Agent, Snapshot, acts};
use super::journal::{Counted, Journal, Learned};
use super::network::{Network, Start, widths};
use super::off_policy::remember;
use crate::environment::{Choice, from_state, to_state};
use crate::error::{Error, Result};
use crate::memory::{Batch, NStep, ReplayBuffer};
use crate::space::{Space, Spaces};
use crate::vector::{Actions, VectorEnvironment};

/// How often observers are told, in environment steps.
const REPORT_EVERY: u64 = 1000;

/// How a [`Dqn`] learns. The defaults are those of stable-baselines3 but for a smaller buffer, an
/// earlier target and ReLU layers of 64.
#[derive(Config, Debug, PartialEq)]
pub struct DqnConfig {
    /// Widths of the hidden layers.
    #[config(default = "vec![64, 64]")]
    pub hidden: Vec<usize>,
    /// Adam's learning rate.
    #[config(default = 1e-4)]
    pub learning_rate: f64,
    /// Environment steps over which the learning rate falls to 0, on a straight line; none: it
    /// stays.
    #[config(default = "None")]
    pub anneal_steps: Option<u64>,
    /// γ, what a reward is worth one step later.
    #[config(default = 0.99)]
    pub discount: f64,
    /// Transitions a batch.
    #[config(default = 64)]
    pub batch_size: usize,
    /// Transitions that are remembered.
    #[config(default = 100_000)]
    pub buffer: usize,
    /// Environment steps before the first update.
    #[config(default = 1000)]
    pub learning_starts: u64,
    /// Environment steps between rounds of updates.
    #[config(default = 4)]
    pub train_every: u64,
    /// Updates a round.
    #[config(default = 1)]
    pub gradient_steps: usize,
    /// Environment steps between copies to the target network.
    #[config(default = 500)]
    pub target_every: u64,
    /// The share of random actions at the end.
    #[config(default = 0.05)]
    pub epsilon: f64,
    /// Environment steps over which that share falls from 1, on a straight line.
    #[config(default = 10_000)]
    pub exploration_steps: u64,
    /// The most that the norm of all gradients may be.
    #[config(default = 10.0)]
    pub max_grad_norm: f64,
    /// The online network chooses the next action, the target network judges it (van Hasselt et
    /// al. 2016).
    #[config(default = false)]
    pub double: bool,
    /// The value of a state and the advantages of its actions apart (Wang et al. 2016).
    #[config(default = false)]
    pub dueling: bool,
    /// Rewards before the value of what comes after counts.
    #[config(default = 1)]
    pub n_step: usize,
    /// How much the error matters for what is replayed (Schaul et al. 2016); none: not at all.
    #[config(default = "None")]
    pub prioritized: Option<f64>,
    /// How far weights make up for that at first; it rises to 1.
    #[config(default = 0.4)]
    pub beta: f64,
    /// Environment steps over which it rises.
    #[config(default = 100_000)]
    pub beta_steps: u64,
    /// What all random draws follow from.
    #[config(default = 0)]
    pub seed: u64,
}

impl DqnConfig {
    /// The tuned settings of rl-baselines3-zoo for `CartPole`, 50,000 steps.
    pub fn cart_pole() -> Self {
        Self::new()
            .with_hidden(vec![256, 256])
            .with_learning_rate(2.3e-3)
            .with_target_every(10)
            .with_train_every(256)
            .with_gradient_steps(128)
            .with_exploration_steps(8_000)
            .with_epsilon(0.04)
    }

    /// The tuned settings of rl-baselines3-zoo for `MountainCar`, 120,000 steps, with a learning rate
    /// that falls to 0 over them: at its height the policy never settles.
    pub fn mountain_car() -> Self {
        Self::new()
            .with_hidden(vec![256, 256])
            .with_learning_rate(4e-3)
            .with_anneal_steps(Some(120_000))
            .with_batch_size(128)
            .with_buffer(10_000)
            .with_discount(0.98)
            .with_target_every(600)
            .with_train_every(16)
            .with_gradient_steps(8)
            .with_exploration_steps(24_000)
            .with_epsilon(0.07)
    }

    /// The tuned settings of rl-baselines3-zoo for `Acrobot`, 100,000 steps.
    pub fn acrobot() -> Self {
        Self::new()
            .with_hidden(vec![256, 256])
            .with_learning_rate(6.3e-4)
            .with_batch_size(128)
            .with_buffer(50_000)
            .with_learning_starts(128)
            .with_target_every(250)
            .with_train_every(4)
            .with_gradient_steps(4)
            .with_exploration_steps(12_000)
            .with_epsilon(0.1)
    }

    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a field that cannot work, [`Error::Spaces`] for actions that are not
    /// indices.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<Dqn> {
        Dqn::from_config(self, spaces, device)
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::positive("learning_rate", self.learning_rate)?;
        config::at_least("anneal_steps", self.anneal_steps.unwrap_or(1), 1)?;
        config::share("discount", self.discount)?;
        config::share("epsilon", self.epsilon)?;
        config::share("prioritized", self.prioritized.unwrap_or(0.0))?;
        config::share("beta", self.beta)?;
        config::at_least("batch_size", self.batch_size, 1)?;
        config::at_least("train_every", self.train_every, 1)?;
        config::at_least("target_every", self.target_every, 1)?;
        config::at_least("n_step", self.n_step, 1)?;
        config::require(self.max_grad_norm > 0.0, "max_grad_norm", self.max_grad_norm, "above 0")?;
        let (batch, buffer) = (self.batch_size, self.buffer);
        config::require(
            batch <= buffer,
            "batch_size",
            batch,
            format!("at most the buffer, {buffer}"),
        )
    }
}

/// Deep Q-learning (Mnih et al. 2015), with its refinements as switches.
///
/// Differences from the paper: Adam, the Huber loss, one global norm for clipping.
#[derive(Debug)]
pub struct Dqn {
    config: DqnConfig,
    spaces: Spaces,
    /// With autodiff.
    device: Device,
    actions: usize,
    online: Network,
    target: Network,
    adam: Adam,
    replay: ReplayBuffer,
    n_steps: Vec<NStep>,
    random: Random,
    journal: Journal,
    trained_at: u64,
    copied_at: u64,
}

impl Dqn {
    /// The value of each action. `[rows, features]` → `[rows, actions]`
    pub fn values(&self, rows: &[f32]) -> Vec<f32> {
        let values = self.online.forward(rows);
        if !self.config.dueling {
            return values;
        }
        let mut out = Vec::with_capacity(values.len());
        for row in values.chunks(self.actions + 1) {
            let (value, advantages) = (row[0], &row[1..]);
            let mean = advantages.iter().sum::<f32>() / self.actions as f32;
            out.extend(advantages.iter().map(|a| value + a - mean));
        }
        out
    }

    /// The same on a device.
    fn values_on(&self, output: Tensor<2>) -> Tensor<2> {
        if !self.config.dueling {
            return output;
        }
        let value = output.clone().narrow(1, 0, 1);
        let advantages = output.narrow(1, 1, self.actions);
        value + advantages.clone() - advantages.mean_dim(1)
    }

    /// The network, for inspection.
    pub fn network(&self) -> &Network {
        &self.online
    }

    fn explore(&mut self, observations: &[f32]) -> Vec<usize> {
        let share = self.journal.steps() as f64 / self.config.exploration_steps.max(1) as f64;
        let epsilon = 1.0 + (self.config.epsilon - 1.0) * share.min(1.0);
        let features = self.spaces.observation.features();
        let mut choices = Vec::new();
        for row in observations.chunks(features) {
            let starting = self.journal.steps() < self.config.learning_starts;
            if starting || self.random.bernoulli(epsilon) {
                choices.push(self.random.below(self.actions));
            } else {
                choices.push(arg_max(&self.values(row), None));
            }
        }
        choices
    }

    /// What the network is to say of each transition, computed without gradients:
    /// `r + discount · Q(next)`. `discount` is 0 only where the task terminated.
    fn targets(&self, batch: &Batch) -> Vec<f32> {
        let plain = self.device.clone().inner();
        let count = batch.rewards.len();
        let shape = [count, self.spaces.observation.features()];
        let nexts = Tensor::<2>::from_data(TensorData::new(batch.nexts.clone(), shape), &plain);
        let judged = self.values_on(self.target.on(&plain, false).forward(nexts.clone()));
        let later = if self.config.double {
            let chosen = self.values_on(self.online.on(&plain, false).forward(nexts)).argmax(1);
            judged.gather(1, chosen)
        } else {
            judged.max_dim(1)
        };
        let later = ops::to_vec(later);
        let rewards = batch.rewards.iter().zip(&batch.discounts).zip(&later);
        rewards.map(|((reward, discount), later)| reward + discount * later).collect()
    }

    /// One update on a batch of the replay; the loss.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] before there are enough transitions, and for a loss that is not finite.
    pub fn update(&mut self) -> Result<f64> {
        let config = &self.config;
        let share = self.journal.steps() as f64 / config.beta_steps.max(1) as f64;
        let beta = config.beta + (1.0 - config.beta) * share.min(1.0);
        let batch = self.replay.sample(config.batch_size, beta, &mut self.random)?;
        let targets = self.targets(&batch);

        let (count, features) = (config.batch_size, self.spaces.observation.features());
        let layers = self.online.on(&self.device, true);
        let shape = [count, features];
        let x = Tensor::<2>::from_data(TensorData::new(batch.observations, shape), &self.device);
        let chosen: Vec<i32> = batch.actions.iter().map(|a| *a as i32).collect();
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [count, 1]), &self.device);
        let said = self.values_on(layers.forward(x)).gather(1, chosen);

        // Huber's loss has the gradient clamp(said − target, −1, 1): what is weighed and averaged
        // is that, as a number, times what the network said.
        let errors: Vec<f32> =
            ops::to_vec(said.clone().inner()).iter().zip(&targets).map(|(a, b)| a - b).collect();
        let slopes: Vec<f32> = errors
            .iter()
            .zip(&batch.weights)
            .map(|(error, weight)| weight * error.clamp(-1.0, 1.0) / count as f32)
            .collect();
        let huber = |error: &f32| {
            let error = f64::from(error.abs());
            if error < 1.0 { 0.5 * error * error } else { error - 0.5 }
        };
        let loss = errors.iter().zip(&batch.weights).map(|(e, w)| huber(e) * f64::from(*w));
        let loss = loss.sum::<f64>() / count as f64;
        if !loss.is_finite() {
            let (what, step) = ("loss".to_owned(), self.journal.updates + 1);
            return Err(model_utils_core::Error::NotFinite { what, value: loss, step }.into());
        }
        let slopes = Tensor::<2>::from_data(TensorData::new(slopes, [count, 1]), &self.device);
        let mut gradients = layers.gradients(&(said * slopes).sum().backward())?;
        clip(&mut gradients, config.max_grad_norm);
        let left = config
            .anneal_steps
            .map_or(1.0, |over| (1.0 - self.journal.steps() as f64 / over as f64).max(0.0));
        let rate = config.learning_rate * left;
        step_all(&mut self.adam, &mut [&mut self.online], &gradients, rate);
        self.replay.set_priorities(&batch.indices, &errors);
        self.journal.updates += 1;
        Ok(loss)
    }

    /// One step in all environments, remembered.
    fn collect(&mut self, environments: &mut dyn VectorEnvironment) -> Result<()> {
        let before = environments.observations().to_vec();
        let choices = self.explore(&before);
        let transitions = environments.step(Actions::Indices(&choices))?.clone();
        let after = environments.observations();
        let actions: Vec<f32> = choices.iter().map(|choice| *choice as f32).collect();
        remember(&mut self.replay, &mut self.n_steps, (&before, &actions), &transitions, after);
        self.journal.note(choices.len(), &transitions.episodes);
        Ok(())
    }
}

/// The largest that the mask allows.
pub(super) fn arg_max(row: &[f32], mask: Option<&[bool]>) -> usize {
    let mut best = None;
    for (at, value) in row.iter().enumerate() {
        let allowed = mask.is_none_or(|mask| mask.get(at) != Some(&false));
        if allowed && best.is_none_or(|best: usize| *value > row[best]) {
            best = Some(at);
        }
    }
    best.unwrap_or(0)
}

impl Agent for Dqn {
    type Config = DqnConfig;
    const MODEL: &'static str = "dqn";

    fn from_config(config: &DqnConfig, spaces: &Spaces, device: &Device) -> Result<Self> {
        config.check()?;
        let Space::Discrete(actions) = spaces.action else {
            return Err(Error::spaces("action", &spaces.action, "an index"));
        };
        let features = spaces.observation.features();
        let outputs = actions + usize::from(config.dueling);
        let sizes = widths(features, &config.hidden, outputs)?;
        let mut random = Random::new(config.seed);
        let online = Network::new(sizes, Activation::Relu, Start::Even, &mut random);
        let mut replay = ReplayBuffer::new(config.buffer, features, 1)?;
        if let Some(alpha) = config.prioritized {
            replay = replay.prioritized(alpha)?;
        }
        Ok(Self {
            config: config.clone(),
            spaces: spaces.clone(),
            device: device.clone().autodiff(),
            actions,
            target: online.clone(),
            adam: Adam::new(online.values().len(), 1e-8),
            online,
            replay,
            n_steps: Vec::new(),
            random,
            journal: Journal::new(Self::MODEL, config, spaces)?,
            trained_at: 0,
            copied_at: 0,
        })
    }

    fn config(&self) -> &DqnConfig {
        &self.config
    }

    fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    fn run(&self) -> &Run {
        &self.journal.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.journal.run
    }

    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Choice<'static> {
        Choice::Index(arg_max(&self.values(observation), mask))
    }

    fn learn(
        &mut self,
        environments: &mut dyn VectorEnvironment,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Learned> {
        self.spaces.expect(environments.spaces())?;
        if environments.masks().is_some() {
            return Err(Error::spaces("action", "masked", "every action possible"));
        }
        if self.n_steps.len() != environments.count() {
            let steps = NStep::new(self.config.n_step, self.config.discount);
            self.n_steps = vec![steps; environments.count()];
        }
        self.journal.start(budget, progress)?;
        let mut loss = f64::NAN;
        while self.journal.run.next(progress) {
            self.collect(environments)?;
            let steps = self.journal.steps();
            if steps - self.copied_at >= self.config.target_every {
                self.target.clone_from(&self.online);
                self.copied_at = steps;
            }
            let ready =
                steps > self.config.learning_starts && self.replay.len() >= self.config.batch_size;
            if ready && steps - self.trained_at >= self.config.train_every {
                self.trained_at = steps;
                for _ in 0..self.config.gradient_steps {
                    loss = self.update()?;
                }
            }
            if self.journal.run.is_report_due(REPORT_EVERY) {
                self.journal.report(&[("loss", loss)], progress);
            }
            self.save_when_due(environments, progress)?;
        }
        self.save_at_end(environments, progress)?;
        Ok(self.journal.finish(progress))
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let mut columns = self.adam.columns("adam");
        columns.push(("target".to_owned(), self.target.values().to_vec()));
        columns.extend(self.replay.columns().into_iter().map(|(n, c)| (n.to_owned(), c)));
        Ok(Snapshot {
            networks: vec![("q", self.online.clone())],
            acting: json!(null),
            columns,
            learning: to_state(&(
                &self.random,
                &self.journal,
                &self.n_steps,
                (self.trained_at, self.copied_at, self.replay.position()),
            ))?,
        })
    }

    fn restore(&mut self, mut snapshot: Snapshot) -> Result<()> {
        if let Some((_, network)) = snapshot.networks.pop() {
            self.target.clone_from(&network);
            self.online = network;
        }
        if snapshot.learning.is_null() {
            return Ok(());
        }
        let (counted, position): (Counted, _);
        (self.random, counted, self.n_steps, (self.trained_at, self.copied_at, position)) =
            from_state(&snapshot.learning)?;
        self.journal.restore(counted);
        let bad = || Error::Resume("moments or target of another shape".to_owned());
        let target = snapshot.column("target").ok_or_else(bad)?;
        if target.len() != self.target.values().len()
            || !self.adam.restore("adam", |name| snapshot.column(name))
        {
            return Err(bad());
        }
        self.target.values_mut().copy_from_slice(&target);
        self.replay.restore(position, |name| snapshot.column(name))
    }
}

acts!(Dqn);
