use burn::config::Config;
use burn::tensor::Device;
use model_utils::train::{Budget, Observer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::actor_critic::{ActorCritic, Minibatch};
use super::adam::{Adam, clip};
use super::agent::{Agent, Decision, Snapshot, acts, check_spaces, part};
use super::network::{Activation, Network};
use super::ppo::PpoConfig;
use super::session::{Journal, Learned, Session};
use crate::environment::to_state;
use crate::error::{Error, Result, require};
use crate::memory::{Outlook, generalized_advantages};
use crate::random::Random;
use crate::space::{Space, Spaces};
use crate::vector::{Actions, VectorEnvironment};
use crate::wrappers::Moments;

/// Proximal policy optimisation (Schulman et al. 2017).
pub type Ppo = OnPolicy<PpoConfig>;
/// Advantage actor-critic (Mnih et al. 2016), synchronous.
pub type A2c = OnPolicy<A2cConfig>;
/// REINFORCE with a learned baseline (Williams 1992).
pub type Reinforce = OnPolicy<ReinforceConfig>;

/// What the on-policy algorithms have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// Widths of the hidden layers, the same for policy and value.
    pub hidden: Vec<usize>,
    /// What stands between them.
    pub activation: Activation,
    /// Steps of a rollout in each environment.
    pub steps: usize,
    /// γ.
    pub discount: f64,
    /// λ of the generalised advantages.
    pub lambda: f64,
    /// The logarithm of the deviation of continuous actions at first.
    pub log_std: f64,
    /// Observations with mean 0 and deviation 1.
    pub normalize_observations: bool,
    /// Rewards over the deviation of the discounted return.
    pub normalize_rewards: bool,
    /// Adam's ε.
    pub epsilon: f32,
    /// What all random draws follow from.
    pub seed: u64,
}

impl Common {
    fn check(&self) -> Result<()> {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        require(self.steps > 0, "steps", 0, "at least 1")?;
        require(share(self.discount), "discount", self.discount, "a share from 0 to 1")?;
        require(share(self.lambda), "lambda", self.lambda, "a share from 0 to 1")?;
        require(self.log_std.is_finite(), "log_std", self.log_std, "a finite number")
    }
}

/// An algorithm that learns from rollouts of the present policy.
pub trait Algorithm: Clone + std::fmt::Debug + Serialize + DeserializeOwned {
    /// Its name in files.
    const MODEL: &'static str;

    /// What it shares with the others.
    fn common(&self) -> Common;

    /// Refuses what cannot work.
    ///
    /// # Errors
    ///
    /// [`Error::Config`].
    fn check(&self) -> Result<()>;

    /// Learns from a rollout; what it measured.
    ///
    /// # Errors
    ///
    /// Where a loss is not finite.
    fn update(
        &self,
        agent: &mut OnPolicy<Self>,
        rollout: &Rollout,
    ) -> Result<Vec<(&'static str, f64)>>;
}

/// An agent that learns from rollouts.
#[derive(Debug)]
pub struct OnPolicy<A> {
    config: A,
    common: Common,
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
        let (count, steps) = (environments.count(), self.common.steps);
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
                after.push(Outlook { value, ended: terminated || truncated });
            }
            self.journal.steps += count as u64;
            self.journal.note(&transitions.episodes);
        }
        let Common { discount, lambda, .. } = self.common;
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
            *sum = *sum * self.common.discount + f64::from(*reward);
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
            return Err(model_utils::Error::NotFinite { what, value: norm, step }.into());
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
    type Config = A;
    const MODEL: &'static str = A::MODEL;

    fn from_config(config: &A, spaces: &Spaces, device: &Device) -> Result<Self> {
        let common = config.common();
        common.check()?;
        config.check()?;
        let mut random = Random::new(common.seed);
        let networks = ActorCritic::new(
            spaces,
            &common.hidden,
            common.activation,
            common.log_std,
            &mut random,
        )?;
        let features = spaces.observation.features();
        let moments = Normalizers {
            observations: common.normalize_observations.then(|| Moments::new(features)),
            rewards: common.normalize_rewards.then(|| Moments::new(1)),
            sums: Vec::new(),
        };
        Ok(Self {
            adam: Adam::new(networks.weights(), common.epsilon),
            config: config.clone(),
            common,
            spaces: spaces.clone(),
            device: device.clone().autodiff(),
            networks,
            random,
            journal: Journal::default(),
            moments,
        })
    }

    fn config(&self) -> &A {
        &self.config
    }

    fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    fn steps(&self) -> u64 {
        self.journal.steps
    }

    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Decision {
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
        observer: &mut dyn Observer,
    ) -> Result<Learned> {
        check_spaces(&self.spaces, environments)?;
        let mut session = Session::start(A::MODEL, budget, observer, &self.journal);
        let reason = loop {
            if let Some(reason) = session.over(&self.journal) {
                break reason;
            }
            let rollout = self.collect(environments)?;
            let config = self.config.clone();
            let metrics = config.update(self, &rollout)?;
            session.tell(&self.journal, &metrics);
        };
        Ok(session.finish(&mut self.journal, reason))
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
        self.moments = part(&snapshot.acting)?;
        if snapshot.learning.is_null() {
            return Ok(());
        }
        (self.random, self.journal) = part(&snapshot.learning)?;
        if self.adam.restore("adam", |name| snapshot.column(name)) {
            return Ok(());
        }
        Err(Error::Resume("moments of another shape".to_owned()))
    }
}

acts!(OnPolicy<B>, B: Algorithm);

/// How an [`A2c`] learns.
#[derive(Config, Debug, PartialEq)]
pub struct A2cConfig {
    /// Widths of the hidden layers, the same for policy and value.
    #[config(default = "vec![64, 64]")]
    pub hidden: Vec<usize>,
    /// Adam's learning rate.
    #[config(default = 7e-4)]
    pub learning_rate: f64,
    /// Steps of a rollout in each environment.
    #[config(default = 5)]
    pub steps: usize,
    /// γ.
    #[config(default = 0.99)]
    pub discount: f64,
    /// λ of the generalised advantages; 1 is the n-step return.
    #[config(default = 1.0)]
    pub lambda: f64,
    /// What entropy counts.
    #[config(default = 0.0)]
    pub entropy: f64,
    /// What the error of the value counts.
    #[config(default = 0.5)]
    pub value: f64,
    /// The most that the norm of all gradients may be.
    #[config(default = 0.5)]
    pub max_grad_norm: f64,
    /// The logarithm of the deviation of continuous actions at first.
    #[config(default = 0.0)]
    pub log_std: f64,
    /// Observations with mean 0 and deviation 1.
    #[config(default = false)]
    pub normalize_observations: bool,
    /// Rewards over the deviation of the discounted return.
    #[config(default = false)]
    pub normalize_rewards: bool,
    /// What all random draws follow from.
    #[config(default = 0)]
    pub seed: u64,
}

/// How a [`Reinforce`] learns.
#[derive(Config, Debug, PartialEq)]
pub struct ReinforceConfig {
    /// Widths of the hidden layers, the same for policy and baseline.
    #[config(default = "vec![64, 64]")]
    pub hidden: Vec<usize>,
    /// Adam's learning rate.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Steps of a rollout in each environment; an episode that it cuts goes on in the next, and
    /// its return is completed by the baseline.
    #[config(default = 256)]
    pub steps: usize,
    /// γ.
    #[config(default = 0.99)]
    pub discount: f64,
    /// What entropy counts.
    #[config(default = 0.0)]
    pub entropy: f64,
    /// What the error of the baseline counts.
    #[config(default = 0.5)]
    pub value: f64,
    /// The most that the norm of all gradients may be.
    #[config(default = 0.5)]
    pub max_grad_norm: f64,
    /// What all random draws follow from.
    #[config(default = 0)]
    pub seed: u64,
}

impl A2cConfig {
    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a field that cannot work.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<A2c> {
        A2c::from_config(self, spaces, device)
    }
}

impl ReinforceConfig {
    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a field that cannot work.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<Reinforce> {
        Reinforce::from_config(self, spaces, device)
    }
}

/// What one plain policy-gradient update needs.
struct Plain {
    learning_rate: f64,
    entropy: f64,
    value: f64,
    max_grad_norm: f64,
    standardize: bool,
}

/// One update on the whole rollout: `−A log π(a|s) + c_v (R − V)² − c_e H`.
fn plain_update<A: Algorithm>(
    plain: &Plain,
    agent: &mut OnPolicy<A>,
    rollout: &Rollout,
) -> Result<Vec<(&'static str, f64)>> {
    let rows: Vec<usize> = (0..rollout.returns.len()).collect();
    let mut batch = agent.minibatch(rollout, &rows);
    if plain.standardize {
        standardize(&mut batch.advantages);
    }
    let batch = agent.networks.upload(&batch, &agent.device);
    let live = agent.networks.on(&agent.device);
    let judged = live.judge(&batch, plain.entropy > 0.0);
    let policy = (judged.log_p * batch.advantages).mean().neg();
    let value = (judged.values - batch.returns).powi_scalar(2).mean();
    let loss = policy.clone() + value.clone() * plain.value - judged.entropy * plain.entropy;
    let gradients = live.gradients(&loss)?;
    agent.apply(gradients, plain.max_grad_norm, plain.learning_rate)?;
    Ok(vec![
        ("policy_loss", f64::from(policy.into_scalar::<f32>())),
        ("value_loss", f64::from(value.into_scalar::<f32>())),
    ])
}

pub(super) fn check_rates(
    learning_rate: f64,
    entropy: f64,
    value: f64,
    max_grad_norm: f64,
) -> Result<()> {
    let finite = learning_rate > 0.0 && learning_rate.is_finite();
    require(finite, "learning_rate", learning_rate, "above 0")?;
    require(entropy >= 0.0, "entropy", entropy, "at least 0")?;
    require(value >= 0.0, "value", value, "at least 0")?;
    require(max_grad_norm > 0.0, "max_grad_norm", max_grad_norm, "above 0")
}

impl Algorithm for A2cConfig {
    const MODEL: &'static str = "a2c";

    fn common(&self) -> Common {
        Common {
            hidden: self.hidden.clone(),
            activation: Activation::Tanh,
            steps: self.steps,
            discount: self.discount,
            lambda: self.lambda,
            log_std: self.log_std,
            normalize_observations: self.normalize_observations,
            normalize_rewards: self.normalize_rewards,
            epsilon: 1e-5,
            seed: self.seed,
        }
    }

    fn check(&self) -> Result<()> {
        check_rates(self.learning_rate, self.entropy, self.value, self.max_grad_norm)
    }

    fn update(&self, agent: &mut A2c, rollout: &Rollout) -> Result<Vec<(&'static str, f64)>> {
        let plain = Plain {
            learning_rate: self.learning_rate,
            entropy: self.entropy,
            value: self.value,
            max_grad_norm: self.max_grad_norm,
            standardize: false,
        };
        plain_update(&plain, agent, rollout)
    }
}

impl Algorithm for ReinforceConfig {
    const MODEL: &'static str = "reinforce";

    fn common(&self) -> Common {
        Common {
            hidden: self.hidden.clone(),
            activation: Activation::Tanh,
            steps: self.steps,
            discount: self.discount,
            lambda: 1.0,
            log_std: 0.0,
            normalize_observations: false,
            normalize_rewards: false,
            epsilon: 1e-8,
            seed: self.seed,
        }
    }

    fn check(&self) -> Result<()> {
        check_rates(self.learning_rate, self.entropy, self.value, self.max_grad_norm)
    }

    fn update(&self, agent: &mut Reinforce, rollout: &Rollout) -> Result<Vec<(&'static str, f64)>> {
        let plain = Plain {
            learning_rate: self.learning_rate,
            entropy: self.entropy,
            value: self.value,
            max_grad_norm: self.max_grad_norm,
            standardize: true,
        };
        plain_update(&plain, agent, rollout)
    }
}
