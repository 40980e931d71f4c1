use burn::config::Config;
use burn::tensor::{Device, Tensor};
use model_utils::ops;
use model_utils_core::config;
use model_utils_core::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agent::Agent as _;
use super::critics::Critics;
use super::network::{Network, NetworkShape};
use super::off_policy::{
    Make, Moment, OffPolicy, OffPolicyAlgorithm, Part, Settings, Update, tensor, unfit,
};
use super::squashed::{CLIP_MEAN, LOG_STD, Players, Ranges};
use crate::environment::{from_state, to_state};
use crate::error::Result;
use crate::memory::Batch;
use crate::space::Spaces;
use crate::vector::{Transitions, VectorEnvironment};

/// How a [`Sac`] learns. The defaults are those of stable-baselines3 but for a smaller buffer.
#[derive(Config, Debug, PartialEq)]
pub struct SacConfig {
    /// Widths of the hidden layers, the same for all networks.
    #[config(default = "vec![256, 256]")]
    pub hidden: Vec<usize>,
    /// Adam's learning rate.
    #[config(default = 3e-4)]
    pub learning_rate: f64,
    /// γ.
    #[config(default = 0.99)]
    pub discount: f64,
    /// Transitions a batch.
    #[config(default = 256)]
    pub batch_size: usize,
    /// Transitions that are remembered.
    #[config(default = 100_000)]
    pub buffer: usize,
    /// Environment steps of even random actions before the first update, which also waits for a
    /// batch.
    #[config(default = 100)]
    pub learning_starts: u64,
    /// Environment steps between rounds of updates, however many are made at once.
    #[config(default = 1)]
    pub train_every: u64,
    /// Updates a round.
    #[config(default = 1)]
    pub gradient_steps: usize,
    /// How far the target networks move at each update.
    #[config(default = 0.005)]
    pub tau: f64,
    /// The entropy that the temperature keeps; none: minus the number of actions' numbers.
    #[config(default = "None")]
    pub target_entropy: Option<f64>,
    /// The temperature at first.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Whether the temperature is learned, so that it keeps the entropy, or stays.
    #[config(default = true)]
    pub learn_temperature: bool,
    /// State-dependent exploration (gSDE, Raffin et al. 2022) in place of a noise of its own at
    /// each step, with this logarithm of the deviation at first: a matrix is drawn every
    /// `train_every` steps, and the noise is what it makes of the actor's last hidden layer.
    #[config(default = "None")]
    pub state_dependent: Option<f64>,
    /// The deviation of noise that wanders back to 0 (Ornstein and Uhlenbeck 1930), added to the
    /// actions while collecting, as a share of their half range; 0 for none.
    #[config(default = 0.0)]
    pub noise: f64,
    /// What all random draws follow from.
    #[config(default = 0)]
    pub seed: u64,
}

impl SacConfig {
    /// The tuned settings of rl-baselines3-zoo for `Pendulum`, 20,000 steps.
    pub fn pendulum() -> Self {
        Self::new().with_learning_rate(1e-3)
    }

    /// The tuned settings of rl-baselines3-zoo for `MountainCarContinuous`, 50,000 steps.
    pub fn mountain_car_continuous() -> Self {
        Self::new()
            .with_hidden(vec![64, 64])
            .with_batch_size(512)
            .with_buffer(50_000)
            .with_discount(0.9999)
            .with_tau(0.01)
            .with_train_every(32)
            .with_gradient_steps(32)
            .with_learning_starts(0)
            .with_temperature(0.1)
            .with_learn_temperature(false)
            .with_state_dependent(Some(-3.67))
    }

    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work,
    /// [`Error::Spaces`](crate::Error::Spaces) for actions that are not numbers with ends.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<Sac> {
        Sac::from_config(self, spaces, device)
    }

    /// A fresh agent whose networks, `actor`, `critic_1` and `critic_2`, are the user's own.
    ///
    /// # Errors
    ///
    /// As [`init`](Self::init), and of [`Agent::from_networks`](super::Agent::from_networks); state-dependent
    /// exploration needs a perceptron.
    pub fn init_with(
        &self,
        spaces: &Spaces,
        device: &Device,
        build: &mut dyn FnMut(&NetworkShape) -> Result<Network>,
    ) -> Result<Sac> {
        Sac::from_networks(self, spaces, device, build)
    }
}

/// Soft actor-critic (Haarnoja et al. 2018) with twin critics and a learned temperature.
pub type Sac = OffPolicy<SoftActorCritic>;

/// What [`Sac`] learns.
#[derive(Debug)]
pub struct SoftActorCritic {
    config: SacConfig,
    /// With autodiff.
    device: Device,
    features: usize,
    ranges: Ranges,
    actor: Part,
    /// log σ of the state-dependent exploration. `[last hidden width · actions]`
    exploration: Option<Part>,
    critics: Critics,
    /// The logarithm of the temperature.
    temperature: Part,
    exploring: Exploring,
}

/// How it explores, from step to step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Exploring {
    /// The wandering noise of each environment. `[environments, actions]`
    noise: Vec<f64>,
    /// The exploration matrix of each environment. `[environments, last hidden width, actions]`
    matrices: Vec<f32>,
    /// When the matrices were drawn.
    drawn_at: u64,
}

impl Sac {
    /// The temperature now.
    pub fn temperature(&self) -> f64 {
        self.algorithm.temperature()
    }

    /// The smaller of the critics' values of an observation's features and an action in −1 to 1.
    ///
    /// # Panics
    ///
    /// Where they have not as many numbers as the spaces.
    pub fn value(&self, observation: &[f32], action: &[f32]) -> f32 {
        self.algorithm.critics.value(observation, action)
    }
}

impl SoftActorCritic {
    /// The width of what the actor's last layer reads.
    fn latent(&self) -> usize {
        self.actor.network.latent().unwrap_or_default()
    }

    fn temperature(&self) -> f64 {
        self.temperature.network.values().last().map_or(0.0, |log| f64::from(*log)).exp()
    }

    /// The actor and its exploration on a device.
    fn players(&self, device: &Device, trained: bool) -> Players {
        Players {
            actor: self.actor.network.on(device, trained),
            exploration: self.exploration.as_ref().map(|part| part.network.on(device, trained)),
        }
    }

    /// Exploration matrices for so many environments.
    fn matrices(&self, environments: usize, random: &mut Random) -> Vec<f32> {
        let Some(exploration) = &self.exploration else { return Vec::new() };
        let deviations = exploration.network.forward(&[0.0]);
        let all = (0..environments).flat_map(|_| &deviations);
        all.map(|log_std| log_std.exp() * random.normal() as f32).collect()
    }

    /// A squashed action on the host, in −1 to 1, with the exploration matrix where there is one.
    fn sample(&self, row: &[f32], matrix: &[f32], random: &mut Random) -> Vec<f32> {
        let width = self.width();
        if self.exploration.is_some() {
            let (latent, means) = self.actor.network.forward_from_latent(row);
            let noise = |action: usize| -> f32 {
                latent.iter().enumerate().map(|(i, x)| x * matrix[i * width + action]).sum()
            };
            let explored = |(action, mean): (usize, &f32)| {
                (mean.clamp(-CLIP_MEAN, CLIP_MEAN) + noise(action)).tanh()
            };
            return means.iter().enumerate().map(explored).collect();
        }
        let output = self.actor.network.forward(row);
        let (means, log_stds) = output.split_at(width);
        let one = |(mean, log_std): (&f32, &f32)| {
            let deviation = log_std.clamp(LOG_STD.0, LOG_STD.1).exp();
            (mean + deviation * random.normal() as f32).tanh()
        };
        means.iter().zip(log_stds).map(one).collect()
    }
}

impl OffPolicyAlgorithm for SoftActorCritic {
    type Config = SacConfig;
    const MODEL: &'static str = "sac";
    const REPORT_EVERY: u64 = 500;

    fn settings(config: &SacConfig) -> Settings {
        Settings {
            hidden: config.hidden.clone(),
            learning_rate: config.learning_rate,
            discount: config.discount,
            batch_size: config.batch_size,
            buffer: config.buffer,
            learning_starts: config.learning_starts,
            train_every: config.train_every,
            gradient_steps: config.gradient_steps,
            n_step: 1,
            prioritized: None,
            seed: config.seed,
        }
    }

    fn new(
        config: &SacConfig,
        spaces: &Spaces,
        device: &Device,
        make: &mut Make<'_>,
    ) -> Result<Self> {
        config::share("tau", config.tau)?;
        config::positive("temperature", config.temperature)?;
        config::not_negative("noise", config.noise)?;
        config::finite("state_dependent", config.state_dependent.unwrap_or(0.0))?;
        config::finite("target_entropy", config.target_entropy.unwrap_or(0.0))?;
        let ranges = Ranges::new(&spaces.action)?;
        let (features, width) = (spaces.observation.features(), ranges.width());
        // Under state-dependent exploration the deviations are no outputs.
        let outputs = if config.state_dependent.is_some() { width } else { 2 * width };
        let actor = Part::new("actor", make("actor", features, outputs)?, 1e-8);
        config::require(
            config.state_dependent.is_none() || actor.network.latent().is_some(),
            "state_dependent",
            config.state_dependent.unwrap_or_default(),
            "none where the actor is no perceptron",
        )?;
        let critics = Critics::new(&["critic_1", "critic_2"], features + width, make)?;
        let constant = |name, numbers: &[f32]| Part::new(name, Network::constant(numbers), 1e-8);
        let mut new = Self {
            config: config.clone(),
            device: device.clone(),
            features,
            ranges,
            actor,
            exploration: None,
            critics,
            temperature: constant("temperature", &[config.temperature.ln() as f32]),
            exploring: Exploring::default(),
        };
        new.exploration = config
            .state_dependent
            .map(|log_std| constant("exploration", &vec![log_std as f32; new.latent() * width]));
        Ok(new)
    }

    fn config(&self) -> &SacConfig {
        &self.config
    }

    fn width(&self) -> usize {
        self.ranges.width()
    }

    fn draw(&self, observation: &[f32], _mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        let matrix = self.matrices(1, random);
        self.ranges.scaled(&self.sample(observation, &matrix, random))
    }

    fn decide(&self, observation: &[f32], _mask: Option<&[bool]>) -> Vec<f64> {
        let output = self.actor.network.forward(observation);
        let most = if self.exploration.is_some() { CLIP_MEAN } else { f32::INFINITY };
        let means = output[..self.width()].iter();
        let mean: Vec<f32> = means.map(|x| x.clamp(-most, most).tanh()).collect();
        self.ranges.scaled(&mean)
    }

    fn explore(
        &mut self,
        rows: &[f32],
        _masks: Option<&[bool]>,
        steps: u64,
        random: &mut Random,
    ) -> Vec<f32> {
        let width = self.width();
        if self.exploring.matrices.is_empty()
            || steps.saturating_sub(self.exploring.drawn_at) >= self.config.train_every
        {
            self.exploring.drawn_at = steps;
            self.exploring.matrices = self.matrices(rows.len() / self.features, random);
        }
        let matrix = self.exploration.as_ref().map_or(0, |_| self.latent() * width);
        let mut actions = Vec::new();
        for (i, row) in rows.chunks(self.features).enumerate() {
            let mut action: Vec<f32> = if steps < self.config.learning_starts {
                (0..width).map(|_| random.uniform_in(-1.0..1.0) as f32).collect()
            } else {
                self.sample(row, &self.exploring.matrices[i * matrix..], random)
            };
            if self.config.noise > 0.0 {
                // θ = 0.15, dt = 0.01, as in stable-baselines3.
                for (a, noise) in action.iter_mut().zip(&mut self.exploring.noise[i * width..]) {
                    *noise += -0.15 * *noise * 0.01 + self.config.noise * 0.1 * random.normal();
                    *a = (*a + *noise as f32).clamp(-1.0, 1.0);
                }
            }
            actions.extend(action);
        }
        actions
    }

    fn step<'e>(
        &self,
        environments: &'e mut dyn VectorEnvironment,
        actions: &[f32],
    ) -> Result<&'e Transitions> {
        self.ranges.step(environments, actions)
    }

    /// Critics, actor, temperature and targets.
    fn update(&mut self, batch: Batch, _now: &Moment, random: &mut Random) -> Result<Update> {
        let (count, width) = (batch.rewards.len(), self.width());
        let device = self.device.clone();
        let plain = device.clone().inner();
        // A number each, or one matrix for all and for both.
        let rows = if self.exploration.is_some() { self.latent() } else { count };
        let mut noise =
            || -> Vec<f32> { (0..rows * width).map(|_| random.normal() as f32).collect() };
        let noise_now = noise();
        let noise_next = if self.exploration.is_some() { noise_now.clone() } else { noise() };
        let (temperature, rate) = (self.temperature(), self.config.learning_rate);

        // What the critics are to say: r + γ (min Q′(s′, a′) − α log π(a′|s′)), without gradients.
        let nexts = tensor(batch.nexts.clone(), self.features, &plain);
        let drawn =
            self.players(&plain, false).draw(nexts.clone(), tensor(noise_next, width, &plain));
        let later = self.critics.later(&Tensor::cat(vec![nexts, drawn.action], 1), &plain);
        let soft = ops::to_vec(later - drawn.log_p * temperature);
        let goals = batch.returns(&soft);
        let pairs = Critics::pairs(&batch);
        let [critic_loss, q_mean, td_error] =
            self.critics.step(&pairs, &goals, (0.5, rate), &device)?;

        // The actor: α log π(a|s) − min Q(s, a).
        let observations = tensor(batch.observations, self.features, &device);
        let players = self.players(&device, true);
        let drawn = players.draw(observations.clone(), tensor(noise_now, width, &device));
        let judged = self.critics.judge(&Tensor::cat(vec![observations, drawn.action], 1), &device);
        let log_p = drawn.log_p.clone().mean();
        let loss = (drawn.log_p * temperature - judged).mean();
        let (actor, exploration) = players.gradients(&loss.backward())?;
        let actor_loss = f64::from(loss.into_scalar::<f32>());
        self.actor.step(&actor, rate);
        if let (Some(part), Some(gradients)) = (&mut self.exploration, exploration) {
            part.step(&gradients, rate);
        }

        // The temperature: −log α (log π + target entropy), by its derivative.
        let log_p = f64::from(log_p.into_scalar::<f32>());
        if self.config.learn_temperature {
            let target = self.config.target_entropy.unwrap_or(-(width as f64));
            self.temperature.step(&[0.0, -(log_p + target) as f32], rate);
        }
        self.critics.follow(self.config.tau);
        let metrics = vec![
            ("critic_loss", critic_loss),
            ("actor_loss", actor_loss),
            ("temperature", self.temperature()),
            ("entropy", -log_p),
            ("q_mean", q_mean),
            ("td_error", td_error),
        ];
        Ok(Update { metrics, errors: Vec::new() })
    }

    fn holds(&self, actions: &[f32]) -> bool {
        Ranges::hold(actions)
    }

    fn parts(&self) -> Vec<&Part> {
        let mut parts = vec![&self.actor, &self.temperature];
        parts.extend(&self.critics.0);
        parts.extend(&self.exploration);
        parts
    }

    fn parts_mut(&mut self) -> Vec<&mut Part> {
        let mut parts = vec![&mut self.actor, &mut self.temperature];
        parts.extend(&mut self.critics.0);
        parts.extend(&mut self.exploration);
        parts
    }

    fn meet(&mut self, environments: usize) {
        let noise = vec![0.0; environments * self.width()];
        self.exploring = Exploring { noise, ..Exploring::default() };
    }

    fn end(&mut self, environment: usize) {
        let width = self.width();
        self.exploring.noise[environment * width..][..width].fill(0.0);
    }

    fn state(&self) -> Result<Value> {
        to_state(&self.exploring)
    }

    fn restore(&mut self, state: &Value, environments: usize) -> Result<()> {
        let exploring: Exploring = from_state(state)?;
        let matrix = self.exploration.as_ref().map_or(0, |_| self.latent() * self.width());
        let Exploring { noise, matrices, .. } = &exploring;
        if noise.len() != environments * self.width() {
            return Err(unfit("noise"));
        }
        let drawn = matrices.len() == environments * matrix || matrices.is_empty();
        if !drawn || !matrices.iter().all(|x| x.is_finite()) {
            return Err(unfit("matrices"));
        }
        self.exploring = exploring;
        Ok(())
    }
}
