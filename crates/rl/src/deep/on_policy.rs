use burn::tensor::{Device, Tensor, TensorData};
use derive_setters::Setters;
use model_utils::layers::Activation;
use model_utils::train::{Budget, Observer};
use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::Random;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actor_critic::{ActorCritic, Live, Rows};
use super::adam::{Adam, clip};
use super::agent::{Agent, Columns, Parts, acts};
use super::distribution::{Distribution, Heads};
use super::journal::{Counted, Journal, Learned};
use super::network::{Build, Network, NetworkShape, Start, widths};
use crate::environment::{Element, from_state, to_state};
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
    /// Whether one network gives policy and value, in place of one each.
    #[serde(default)]
    pub shared: bool,
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
    /// The logarithm of the deviation of continuous actions at first, in halves of their ranges.
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
    pub fn from_algorithm(algorithm: A, learning_rate: f64, steps: usize) -> Self {
        Self {
            hidden: vec![64, 64],
            shared: false,
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

    /// A fresh agent whose networks are the user's own: `actor` and `critic`, or where they are
    /// shared `actor_critic`, whose last output is the value.
    ///
    /// # Errors
    ///
    /// As [`init`](Self::init), and of [`Agent::from_networks`].
    pub fn init_with(
        &self,
        spaces: &Spaces,
        device: &Device,
        build: &mut dyn FnMut(&NetworkShape) -> Result<Network>,
    ) -> Result<OnPolicy<A>> {
        OnPolicy::from_networks(self, spaces, device, build)
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
/// by. One of the user's own:
///
#[cfg_attr(feature = "flex", doc = "```")]
#[cfg_attr(not(feature = "flex"), doc = "```ignore")]
/// use rl::deep::{Agent as _, Algorithm, OnPolicy, OnPolicyConfig, Rollout};
/// use rl::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// /// One update a rollout, by the advantage's sign alone.
/// #[derive(Debug, Clone, Serialize, Deserialize)]
/// struct SignUpdate {
///     bonus: f64,
/// }
///
/// impl Algorithm for SignUpdate {
///     const MODEL: &'static str = "sign";
///
///     fn defaults() -> OnPolicyConfig<Self> {
///         OnPolicyConfig::from_algorithm(Self { bonus: 0.01 }, 3e-3, 32).with_lambda(0.9)
///     }
///
///     fn update(
///         config: &OnPolicyConfig<Self>,
///         agent: &mut OnPolicy<Self>,
///         rollout: &Rollout,
///     ) -> rl::Result<Vec<(&'static str, f64)>> {
///         let all: Vec<usize> = (0..rollout.len()).collect();
///         let (rows, live) = (agent.rows(rollout, &all), agent.live());
///         let judged = live.judge(&rows);
///         let entropy = judged.entropy();
///         let policy = (judged.log_probs * rows.advantages.sign()).mean().neg();
///         let value = (judged.values - rows.returns).powi_scalar(2).mean();
///         let loss = policy + value * config.value - entropy * config.algorithm.bonus;
///         agent.descend(&live, &loss, config.learning_rate)?;
///         Ok(vec![("loss", f64::from(loss.into_scalar::<f32>()))])
///     }
/// }
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let mut poles = CartPole::make_vec(8, 42)?;
/// let mut agent = OnPolicyConfig::<SignUpdate>::new().init(poles.spaces(), &device)?;
/// agent.learn(&mut poles, Budget::steps(20_000), &mut Silent)?;
/// let score = evaluate(&agent, &mut CartPole::new(), 10, 7)?;
/// assert!(score.mean() > 60.0, "{score}"); // a random policy: 22
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Algorithm: Clone + std::fmt::Debug + Serialize + DeserializeOwned {
    /// Its name in files.
    const MODEL: &'static str;
    /// Adam's ε.
    const ADAM_EPSILON: f32 = 1e-8;
    /// The steps that a rollout of all environments has to have.
    const LEAST_STEPS: usize = 1;

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

    /// Learns from a rollout; what it measured, as metrics.
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
    device: Device,
    pub(super) networks: ActorCritic,
    adam: Adam,
    random: Random,
    journal: Journal,
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
#[non_exhaustive]
pub struct Rollout {
    /// What the policy read. `[steps, environments, features]`
    pub observations: Vec<f32>,
    /// What it drew: indices and bits as they are, numbers in halves of their ranges from the middle.
    /// `[steps, environments, numbers]`
    pub actions: Vec<f32>,
    /// Which choices were possible, where not all were. `[steps, environments, choices]`
    pub masks: Option<Vec<bool>>,
    /// log π(a|s) when it was drawn.
    pub log_probs: Vec<f32>,
    /// What the value was.
    pub values: Vec<f32>,
    /// The generalised advantages.
    pub advantages: Vec<f32>,
    /// What the value is to become: advantage + value.
    pub returns: Vec<f32>,
}

impl Rollout {
    /// How many steps it has, of all environments.
    pub fn len(&self) -> usize {
        self.returns.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.returns.is_empty()
    }

    /// The share of the returns' variance that the values explain: 1 for all, 0 for what a constant
    /// explains, NaN where the returns do not vary.
    pub fn explained_variance(&self) -> f64 {
        let variance = |each: &dyn Fn(usize) -> f64| {
            let count = self.len() as f64;
            let mean = (0..self.len()).map(each).sum::<f64>() / count;
            (0..self.len()).map(|i| (each(i) - mean).powi(2)).sum::<f64>() / count
        };
        let of = variance(&|i| f64::from(self.returns[i]));
        if of == 0.0 {
            return f64::NAN;
        }
        1.0 - variance(&|i| f64::from(self.returns[i] - self.values[i])) / of
    }
}

impl<A: Algorithm> OnPolicy<A> {
    /// The networks, for inspection.
    pub fn networks(&self) -> &ActorCritic {
        &self.networks
    }

    /// The policy's distribution for an observation.
    ///
    /// # Errors
    ///
    /// [`Error::Observation`], [`Error::NotFinite`] and [`Error::Mask`] for what is not of its
    /// spaces.
    pub fn distribution<O: Element>(
        &self,
        observation: &O,
        mask: Option<&[bool]>,
    ) -> Result<Distribution<'_>> {
        let row = super::agent::features(&self.spaces, observation, mask)?;
        Ok(self.distribution_of(&row, mask))
    }

    fn distribution_of(&self, row: &[f32], mask: Option<&[bool]>) -> Distribution<'_> {
        match &self.moments.observations {
            None => self.networks.distribution(row, mask),
            Some(moments) => self.networks.distribution(&moments.normalized(row), mask),
        }
    }

    /// The generator of what the agent draws.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Environment steps before the rollout that is learned from.
    pub(super) fn steps_before(&self, rollout: &Rollout) -> u64 {
        self.journal.steps().saturating_sub(rollout.len() as u64)
    }

    /// A rollout under the present policy.
    fn collect(&mut self, environments: &mut dyn VectorEnvironment) -> Result<Rollout> {
        let (count, steps) = (environments.count(), self.config.steps);
        let features = self.spaces.observation.features();
        let choices = self.spaces.action.choices();
        let mut rollout = Rollout::default();
        let (mut rewards, mut after) = (Vec::new(), Vec::new());
        if self.moments.sums.len() != count {
            self.moments.sums = vec![0.0; count];
        }
        // What the rollout before ended with was counted there.
        let first = self.journal.steps() == 0;
        let mut observations = self.normalized(environments.observations(), first);
        let (mut outputs, mut values) = self.networks.outputs_and_values(&observations);
        for step in 0..steps {
            // What came before the first mask was free.
            match (environments.masks(), &mut rollout.masks) {
                (Some(masks), None) => {
                    let mut all = vec![true; step * count * choices];
                    all.extend_from_slice(masks);
                    rollout.masks = Some(all);
                }
                (Some(masks), Some(all)) => all.extend_from_slice(masks),
                (None, Some(all)) => all.resize(all.len() + count * choices, true),
                (None, None) => {}
            }
            let (actions, log_probs) =
                self.networks.sample(&outputs, environments.masks(), &mut self.random);
            let transitions = if matches!(self.spaces.action, Space::Discrete(_)) {
                let indices: Vec<usize> = actions.iter().map(|a| *a as usize).collect();
                environments.step(Actions::Indices(&indices))?.clone()
            } else {
                let mut numbers = Vec::with_capacity(actions.len());
                let heads = &self.networks.heads;
                actions.chunks(heads.width()).for_each(|row| heads.action(row, &mut numbers));
                environments.step(Actions::Numbers(&numbers))?.clone()
            };
            rollout.observations.extend_from_slice(&observations);
            rollout.actions.extend_from_slice(&actions);
            rollout.log_probs.extend_from_slice(&log_probs);
            rollout.values.extend_from_slice(&values);
            let scaled = self.scaled(&transitions.rewards, |i| transitions.ended(i));
            rewards.extend_from_slice(&scaled);
            observations = self.normalized(environments.observations(), true);
            (outputs, values) = self.networks.outputs_and_values(&observations);
            for (i, value) in values.iter().enumerate() {
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
                    f64::from(*value)
                };
                after.push(Bootstrap { value, ended: terminated || truncated });
            }
            self.journal.note(count, &transitions.episodes);
        }
        let OnPolicyConfig { discount, lambda, .. } = self.config;
        rollout.advantages =
            generalized_advantages(&rewards, &rollout.values, &after, count, discount, lambda);
        let sums = rollout.advantages.iter().zip(&rollout.values);
        rollout.returns = sums.map(|(a, v)| a + v).collect();
        Ok(rollout)
    }

    /// Observations as the networks read them.
    fn normalized(&mut self, rows: &[f32], learning: bool) -> Vec<f32> {
        let Some(moments) = &mut self.moments.observations else { return rows.to_vec() };
        let features = self.spaces.observation.features();
        if learning {
            rows.chunks(features).for_each(|row| moments.push(row));
        }
        moments.normalized(rows)
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

    /// Rows of a rollout on the agent's device.
    pub fn rows(&self, rollout: &Rollout, rows: &[usize]) -> Rows {
        self.networks.rows(rollout, rows, &self.device)
    }

    /// The networks on the agent's device, with gradients.
    pub fn live(&self) -> Live {
        self.networks.on(&self.device)
    }

    /// Moves the weights against the gradients of a loss, whose norm is clipped.
    ///
    /// # Errors
    ///
    /// [`NotFinite`](model_utils_core::Error::NotFinite) for gradients that are not.
    pub fn descend(&mut self, live: &Live, loss: &Tensor<1>, learning_rate: f64) -> Result<()> {
        let mut gradients = live.gradients(loss)?;
        let norm = clip(&mut gradients, self.config.max_grad_norm);
        self.journal.updates += 1;
        if !norm.is_finite() {
            let (what, step) = ("norm of the gradients".to_owned(), self.journal.updates);
            return Err(model_utils_core::Error::NotFinite { what, value: norm, step }.into());
        }
        self.networks.step(&mut self.adam, &gradients, learning_rate);
        Ok(())
    }
}

/// Subtracts the mean and divides by the deviation.
pub(super) fn standardized(values: &[f32]) -> Vec<f32> {
    let count = values.len() as f32;
    if values.len() < 2 {
        return values.to_vec();
    }
    let mean = values.iter().sum::<f32>() / count;
    let squares: f32 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt() + 1e-8;
    values.iter().map(|x| (x - mean) / deviation).collect()
}

/// A column beside another.
pub(super) fn on_device(values: &[f32], beside: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &beside.device())
}

impl<A: Algorithm> Agent for OnPolicy<A> {
    type Config = OnPolicyConfig<A>;
    const MODEL: &'static str = A::MODEL;

    fn build(
        config: &Self::Config,
        spaces: &Spaces,
        device: &Device,
        mut own: Option<&mut Build<'_>>,
    ) -> Result<Self> {
        config.check()?;
        spaces.check()?;
        let mut random = Random::new(config.seed);
        let features = spaces.observation.features();
        let heads = Heads::new(&spaces.action);
        let mut network = |name, outputs, gain| {
            let sizes = widths(features, &config.hidden, outputs)?;
            NetworkShape::build(name, &sizes, &mut own, |sizes| {
                Network::new(sizes, config.activation, Start::Orthogonal(gain), &mut random)
            })
        };
        let (actor, critic) = if config.shared {
            (network("actor_critic", heads.outputs() + 1, 0.01)?, None)
        } else {
            (network("actor", heads.outputs(), 0.01)?, Some(network("critic", 1, 1.0)?))
        };
        let log_std = vec![config.log_std as f32; heads.numbers()];
        let networks = ActorCritic { actor, critic, log_std, heads };
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

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Vec<f64> {
        self.distribution_of(observation, mask).mode()
    }

    fn draw(&self, observation: &[f32], mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        self.distribution_of(observation, mask).sample(random)
    }

    fn learn(
        &mut self,
        environments: &mut dyn VectorEnvironment,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Learned> {
        self.spaces.expect(environments.spaces())?;
        let rows = self.config.steps.saturating_mul(environments.count());
        let what = "at least 2 steps of all environments";
        config::require(rows >= A::LEAST_STEPS, "steps", self.config.steps, what)?;
        self.journal.start(budget, progress)?;
        let config = self.config.clone();
        // One that was stopped.
        self.evaluate_when_due(progress)?;
        while self.journal.run.next(progress) {
            let rollout = self.collect(environments)?;
            let mut metrics = A::update(&config, self, &rollout)?;
            metrics.push(("explained_variance", rollout.explained_variance()));
            self.journal.report(&metrics, progress);
            self.evaluate_when_due(progress)?;
            self.save_when_due(environments, progress)?;
        }
        self.end(environments, progress)
    }

    fn acting(&self) -> Result<Parts> {
        let mut networks = vec![("actor", self.networks.actor.clone())];
        networks.extend(self.networks.critic.clone().map(|critic| ("critic", critic)));
        if !self.networks.log_std.is_empty() {
            networks.push(("deviation", Network::constant(&self.networks.log_std)));
        }
        Ok(Parts { networks, other: to_state(&self.moments)? })
    }

    fn restore_acting(&mut self, acting: Parts) -> Result<()> {
        let moments: Normalizers = from_state(&acting.other)?;
        let lengths = |moments: &Option<Moments>| moments.as_ref().map(|m| m.mean().len());
        if lengths(&moments.observations) != lengths(&self.moments.observations)
            || lengths(&moments.rewards) != lengths(&self.moments.rewards)
            || !moments.sums.iter().all(|sum| sum.is_finite())
        {
            return Err(Error::Resume("statistics of another shape".to_owned()));
        }
        for moments in moments.observations.iter().chain(&moments.rewards) {
            moments.expect(moments.mean().len())?;
        }
        for (name, network) in acting.networks {
            match (name, &mut self.networks.critic) {
                ("actor", _) => self.networks.actor.set(network.values())?,
                ("critic", Some(critic)) => critic.set(network.values())?,
                ("deviation", _) => {
                    let count = self.networks.log_std.len();
                    let values = network.values();
                    if values.len() != 2 * count {
                        return Err(Error::Resume("deviations of another shape".to_owned()));
                    }
                    self.networks.log_std.copy_from_slice(&values[count..]);
                }
                (name, _) => return Err(Error::Resume(format!("a network {name}"))),
            }
        }
        self.moments = moments;
        Ok(())
    }

    fn learning(&self) -> Result<(Columns, Value)> {
        Ok((Columns(self.adam.columns("adam")), to_state(&(&self.random, &self.journal))?))
    }

    fn restore_learning(&mut self, mut columns: Columns, learning: &Value) -> Result<()> {
        let counted: Counted;
        (self.random, counted) = from_state(learning)?;
        self.journal.restore(counted)?;
        if self.adam.restore("adam", |name| columns.take(name)) {
            return Ok(());
        }
        Err(Error::Resume("moments of another shape".to_owned()))
    }
}

acts!(OnPolicy<B>, B: Algorithm);
