use burn::tensor::Device;
use derive_setters::Setters;
use model_utils::layers::Activation;
use model_utils::train::{Budget, Observer, Run};
use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::Random;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::actor_critic::{ActorCritic, Minibatch};
use super::adam::{Adam, clip};
use super::agent::{Agent, Snapshot, acts};
use super::journal::{Counted, Journal, Learned};
use super::network::Network;
use crate::environment::{Choice, from_state, to_state};
use crate::error::{Error, Result};
use crate::memory::{Bootstrap, generalized_advantages};
use crate::space::{Space, Spaces};
use crate::vector::{Actions, VectorEnvironment};
use crate::wrappers::Moments;

/// How an agent learns from rollouts: what all algorithms have in common, and its own part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
pub struct OnPolicyConfig<A> {
    /// Widths of the hidden layers, the same for policy and value.
    pub hidden: Vec<usize>,
    /// What stands between them: ReLU or the hyperbolic tangent.
    pub activation: Activation,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Steps of a rollout in each environment; an episode that it cuts goes on in the next, and
    /// its return is completed by the value.
    pub steps: usize,
    /// γ.
    pub discount: f64,
    /// λ of the generalised advantages; 1 is the n-step return.
    pub lambda: f64,
    /// What entropy counts.
    pub entropy: f64,
    /// What the error of the value counts.
    pub value: f64,
    /// The most that the norm of all gradients may be.
    pub max_grad_norm: f64,
    /// The logarithm of the deviation of continuous actions at first.
    pub log_std: f64,
    /// Observations with mean 0 and deviation 1; the statistics are saved with the agent.
    pub normalize_observations: bool,
    /// Rewards over the deviation of the discounted return.
    pub normalize_rewards: bool,
    /// What all random draws follow from.
    pub seed: u64,
    /// What the algorithm has for itself.
    #[serde(flatten)]
    #[setters(skip)]
    pub algorithm: A,
}

impl<A: Algorithm> OnPolicyConfig<A> {
    /// The algorithm's defaults.
    pub fn new() -> Self {
        A::defaults()
    }

    /// Two hidden layers of 64 with the hyperbolic tangent, γ = 0.99, λ = 1, no entropy, half of
    /// the value's error, a norm of at most 0.5, log σ = 0, nothing normalised, seed 0.
    pub(super) fn from_algorithm(algorithm: A, learning_rate: f64, steps: usize) -> Self {
        Self {
            hidden: vec![64, 64],
            activation: Activation::Tanh,
            learning_rate,
            steps,
            discount: 0.99,
            lambda: 1.0,
            entropy: 0.0,
            value: 0.5,
            max_grad_norm: 0.5,
            log_std: 0.0,
            normalize_observations: false,
            normalize_rewards: false,
            seed: 0,
            algorithm,
        }
    }

    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a field that cannot work.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<OnPolicy<A>> {
        OnPolicy::from_config(self, spaces, device)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let known = matches!(self.activation, Activation::Relu | Activation::Tanh);
        config::require(known, "activation", self.activation, "Relu or Tanh")?;
        config::at_least("steps", self.steps, 1)?;
        config::share("discount", self.discount)?;
        config::share("lambda", self.lambda)?;
        config::finite("log_std", self.log_std)?;
        self.algorithm.check()?;
        config::positive("learning_rate", self.learning_rate)?;
        config::not_negative("entropy", self.entropy)?;
        config::not_negative("value", self.value)?;
        config::require(self.max_grad_norm > 0.0, "max_grad_norm", self.max_grad_norm, "above 0")
    }
}

impl<A: Algorithm> Default for OnPolicyConfig<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// An algorithm that learns from rollouts of the present policy, and what it alone is configured
/// by.
pub trait Algorithm: Clone + std::fmt::Debug + Serialize + DeserializeOwned {
    /// Its name in files.
    const MODEL: &'static str;
    /// Adam's ε.
    const ADAM_EPSILON: f32;

    /// The configuration that it begins with.
    fn defaults() -> OnPolicyConfig<Self>;

    /// Refuses what cannot work.
    ///
    /// # Errors
    ///
    /// Names the field at fault.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Learns from a rollout; what it measured.
    ///
    /// # Errors
    ///
    /// Where a loss is not finite.
    fn update(
        config: &OnPolicyConfig<Self>,
        agent: &mut OnPolicy<Self>,
        rollout: &Rollout,
    ) -> Result<Vec<(&'static str, f64)>>;
}

/// An agent that learns from rollouts.
#[derive(Debug)]
pub struct OnPolicy<A> {
    config: OnPolicyConfig<A>,
    spaces: Spaces,
    /// With autodiff.
    pub(super) device: Device,
    pub(super) networks: ActorCritic,
    adam: Adam,
    pub(super) random: Random,
    pub(super) journal: Journal,
    moments: Normalizers,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Normalizers {
    observations: Option<Moments>,
    rewards: Option<Moments>,
    /// The discounted return so far in each environment.
    sums: Vec<f64>,
}

/// Steps of all environments under one policy, `[steps, environments]`, step after step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollout {
    pub(super) observations: Vec<f32>,
    pub(super) actions: Vec<f32>,
    pub(super) masks: Option<Vec<bool>>,
    pub(super) log_p: Vec<f32>,
    /// The advantages.
    pub advantages: Vec<f32>,
    /// What the value is to become: advantage + value.
    pub returns: Vec<f32>,
}

impl<A: Algorithm> OnPolicy<A> {
    /// The networks, for inspection.
    pub fn networks(&self) -> &ActorCritic {
        &self.networks
    }

    /// A rollout under the present policy.
    fn collect(&mut self, environments: &mut dyn VectorEnvironment) -> Result<Rollout> {
        let (count, steps) = (environments.count(), self.config.steps);
        let features = self.spaces.observation.features();
        let mut rollout = Rollout::default();
        let (mut rewards, mut values, mut after) = (Vec::new(), Vec::new(), Vec::new());
        self.moments.sums.resize(count, 0.0);
        let mut observations = self.normalized(environments.observations(), true);
        let mut value = self.networks.values(&observations);
        for _ in 0..steps {
            if let Some(masks) = environments.masks() {
                rollout.masks.get_or_insert_with(Vec::new).extend_from_slice(masks);
            }
            let (actions, log_p) =
                self.networks.sample(&observations, environments.masks(), &mut self.random);
            let transitions = if matches!(self.spaces.action, Space::Discrete(_)) {
                let indices: Vec<usize> = actions.iter().map(|a| *a as usize).collect();
                environments.step(Actions::Indices(&indices))?.clone()
            } else {
                environments.step(Actions::Numbers(&self.networks.clipped(&actions)))?.clone()
            };
            rollout.observations.extend_from_slice(&observations);
            rollout.actions.extend_from_slice(&actions);
            rollout.log_p.extend_from_slice(&log_p);
            values.extend_from_slice(&value);
            let scaled = self.scaled(&transitions.rewards, |i| transitions.ended(i));
            rewards.extend_from_slice(&scaled);
            observations = self.normalized(environments.observations(), true);
            value = self.networks.values(&observations);
            for i in 0..count {
                let (terminated, truncated) = (transitions.terminated[i], transitions.truncated[i]);
                // Nothing comes after termination alone; after a truncation what the final
                // observation is worth, for the next one is of another episode.
                let value = if terminated {
                    0.0
                } else if truncated {
                    let row = &transitions.final_observations[i * features..(i + 1) * features];
                    let row = self.normalized(row, false);
                    f64::from(self.networks.values(&row)[0])
                } else {
                    f64::from(value[i])
                };
                after.push(Bootstrap { value, ended: terminated || truncated });
            }
            self.journal.note(count, &transitions.episodes);
        }
        let OnPolicyConfig { discount, lambda, .. } = self.config;
        rollout.advantages =
            generalized_advantages(&rewards, &values, &after, count, discount, lambda);
        rollout.returns = rollout.advantages.iter().zip(&values).map(|(a, v)| a + v).collect();
        Ok(rollout)
    }

    /// Observations as the networks read them.
    fn normalized(&mut self, rows: &[f32], learning: bool) -> Vec<f32> {
        let Some(moments) = &mut self.moments.observations else { return rows.to_vec() };
        let features = self.spaces.observation.features();
        if learning {
            rows.chunks(features).for_each(|row| moments.push(row));
        }
        let each = rows.iter().enumerate();
        each.map(|(at, x)| moments.normal(at % features, f64::from(*x)) as f32).collect()
    }

    /// Rewards as the algorithm sees them.
    fn scaled(&mut self, rewards: &[f32], ended: impl Fn(usize) -> bool) -> Vec<f32> {
        let Some(moments) = &mut self.moments.rewards else { return rewards.to_vec() };
        for (i, (sum, reward)) in self.moments.sums.iter_mut().zip(rewards).enumerate() {
            *sum = *sum * self.config.discount + f64::from(*reward);
            moments.push(&[*sum]);
            if ended(i) {
                *sum = 0.0;
            }
        }
        let deviation = moments.deviation(0);
        rewards.iter().map(|r| (f64::from(*r) / deviation).clamp(-10.0, 10.0) as f32).collect()
    }

    /// Rows of a rollout as a minibatch.
    pub(super) fn minibatch(&self, rollout: &Rollout, rows: &[usize]) -> Minibatch {
        let features = self.spaces.observation.features();
        let (width, actions) = (self.networks.width(), self.spaces.action.features());
        let mut batch = Minibatch::default();
        for &at in rows {
            batch
                .observations
                .extend_from_slice(&rollout.observations[at * features..(at + 1) * features]);
            batch.actions.extend_from_slice(&rollout.actions[at * width..(at + 1) * width]);
            batch.old_log_p.push(rollout.log_p[at]);
            batch.advantages.push(rollout.advantages[at]);
            batch.returns.push(rollout.returns[at]);
        }
        batch.masks = rollout.masks.as_ref().map(|masks| {
            rows.iter().flat_map(|at| &masks[at * actions..(at + 1) * actions]).copied().collect()
        });
        batch
    }

    /// Clips the gradients and moves the weights.
    pub(super) fn apply(
        &mut self,
        mut gradients: Vec<f32>,
        max_norm: f64,
        learning_rate: f64,
    ) -> Result<()> {
        let norm = clip(&mut gradients, max_norm);
        self.journal.updates += 1;
        if !norm.is_finite() {
            let (what, step) = ("norm of the gradients".to_owned(), self.journal.updates);
            return Err(model_utils_core::Error::NotFinite { what, value: norm, step }.into());
        }
        self.adam.step(&mut self.networks.parts(), &gradients, learning_rate);
        Ok(())
    }
}

/// Subtracts the mean and divides by the deviation.
pub(super) fn standardize(values: &mut [f32]) {
    let count = values.len() as f32;
    if values.len() < 2 {
        return;
    }
    let mean = values.iter().sum::<f32>() / count;
    let squares: f32 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt() + 1e-8;
    for x in values {
        *x = (*x - mean) / deviation;
    }
}

impl<A: Algorithm> Agent for OnPolicy<A> {
    type Config = OnPolicyConfig<A>;
    const MODEL: &'static str = A::MODEL;

    fn from_config(config: &Self::Config, spaces: &Spaces, device: &Device) -> Result<Self> {
        config.check()?;
        let mut random = Random::new(config.seed);
        let networks = ActorCritic::new(
            spaces,
            &config.hidden,
            config.activation,
            config.log_std,
            &mut random,
        )?;
        let features = spaces.observation.features();
        let moments = Normalizers {
            observations: config.normalize_observations.then(|| Moments::new(features)),
            rewards: config.normalize_rewards.then(|| Moments::new(1)),
            sums: Vec::new(),
        };
        Ok(Self {
            adam: Adam::new(networks.weights(), A::ADAM_EPSILON),
            config: config.clone(),
            spaces: spaces.clone(),
            device: device.clone().autodiff(),
            networks,
            random,
            journal: Journal::new(A::MODEL, config, spaces)?,
            moments,
        })
    }

    fn config(&self) -> &Self::Config {
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
        match &self.moments.observations {
            None => self.networks.decide(observation, mask),
            Some(moments) => {
                let each = observation.iter().enumerate();
                let row: Vec<f32> =
                    each.map(|(at, x)| moments.normal(at, f64::from(*x)) as f32).collect();
                self.networks.decide(&row, mask)
            }
        }
    }

    fn learn(
        &mut self,
        environments: &mut dyn VectorEnvironment,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Learned> {
        self.spaces.expect(environments.spaces())?;
        self.journal.start(budget, progress)?;
        let config = self.config.clone();
        while self.journal.run.next(progress) {
            let rollout = self.collect(environments)?;
            let metrics = A::update(&config, self, &rollout)?;
            self.journal.report(&metrics, progress);
            self.save_when_due(environments, progress)?;
        }
        self.save_at_end(environments, progress)?;
        Ok(self.journal.finish(progress))
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let mut networks =
            vec![("actor", self.networks.actor.clone()), ("critic", self.networks.critic.clone())];
        if !self.networks.log_std.is_empty() {
            networks.push(("deviation", Network::constant(&self.networks.log_std)));
        }
        Ok(Snapshot {
            networks,
            acting: to_state(&self.moments)?,
            columns: self.adam.columns("adam"),
            learning: to_state(&(&self.random, &self.journal))?,
        })
    }

    fn restore(&mut self, mut snapshot: Snapshot) -> Result<()> {
        for (name, network) in std::mem::take(&mut snapshot.networks) {
            match name {
                "actor" => self.networks.actor = network,
                "critic" => self.networks.critic = network,
                _ => {
                    let count = self.networks.log_std.len();
                    self.networks.log_std.copy_from_slice(&network.values()[count..]);
                }
            }
        }
        self.moments = from_state(&snapshot.acting)?;
        if snapshot.learning.is_null() {
            return Ok(());
        }
        let counted: Counted;
        (self.random, counted) = from_state(&snapshot.learning)?;
        self.journal.restore(counted);
        if self.adam.restore("adam", |name| snapshot.column(name)) {
            return Ok(());
        }
        Err(Error::Resume("moments of another shape".to_owned()))
    }
}

acts!(OnPolicy<B>, B: Algorithm);
