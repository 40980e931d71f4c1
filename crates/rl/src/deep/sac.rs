use burn::config::Config;
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::layers::Activation;
use model_utils::ops;
use model_utils::train::{Budget, Observer, Run};
use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::Random;
use serde_json::json;

use super::adam::{Adam, step_all};
use super::agent::{Agent, Snapshot, acts};
use super::journal::{Counted, Journal, Learned};
use super::network::{Network, Start, widths};
use super::off_policy::remember;
use super::squashed::{CLIP_MEAN, LOG_STD, Players};
use crate::environment::{Choice, from_state, to_state};
use crate::error::{Error, Result};
use crate::memory::{NStep, ReplayBuffer};
use crate::space::{Space, Spaces};
use crate::vector::{Actions, VectorEnvironment};

/// How often observers are told, in environment steps.
const REPORT_EVERY: u64 = 500;

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
    /// Environment steps of even random actions before the first update.
    #[config(default = 100)]
    pub learning_starts: u64,
    /// Environment steps between rounds of updates.
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
    /// [`Error::Config`] for a field that cannot work, [`Error::Spaces`] for actions that are not
    /// numbers with ends.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<Sac> {
        Sac::from_config(self, spaces, device)
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::positive("learning_rate", self.learning_rate)?;
        config::share("discount", self.discount)?;
        config::share("tau", self.tau)?;
        config::positive("temperature", self.temperature)?;
        config::not_negative("noise", self.noise)?;
        config::finite("state_dependent", self.state_dependent.unwrap_or(0.0))?;
        config::at_least("batch_size", self.batch_size, 1)?;
        config::at_least("train_every", self.train_every, 1)?;
        let (batch, buffer) = (self.batch_size, self.buffer);
        config::require(
            batch <= buffer,
            "batch_size",
            batch,
            format!("at most the buffer, {buffer}"),
        )
    }
}

/// Soft actor-critic (Haarnoja et al. 2018) with twin critics and a learned temperature.
#[derive(Debug)]
pub struct Sac {
    config: SacConfig,
    spaces: Spaces,
    /// With autodiff.
    device: Device,
    /// The middle and the half range of each action number.
    ranges: Vec<(f32, f32)>,
    actor: Network,
    /// log σ of the state-dependent exploration. `[last hidden width · actions]`
    exploration: Option<Network>,
    critics: [Network; 2],
    targets: [Network; 2],
    log_temperature: Vec<f32>,
    actor_adam: Adam,
    critic_adam: Adam,
    temperature_adam: Adam,
    replay: ReplayBuffer,
    steps: Vec<NStep>,
    /// The wandering noise of each environment. `[environments, actions]`
    noise: Vec<f64>,
    /// The exploration matrix of each environment. `[environments, last hidden width, actions]`
    matrices: Vec<f32>,
    random: Random,
    journal: Journal,
    trained_at: u64,
    /// When the matrices were drawn.
    drawn_at: u64,
}

impl Sac {
    fn width(&self) -> usize {
        self.ranges.len()
    }

    /// The width of what the actor's last layer reads.
    fn latent(&self) -> usize {
        let sizes = self.actor.sizes();
        sizes[sizes.len() - 2]
    }

    /// The temperature now.
    pub fn temperature(&self) -> f64 {
        f64::from(self.log_temperature[0]).exp()
    }

    /// The smaller of the critics' values of an observation and an action in −1 to 1.
    pub fn value(&self, observation: &[f32], action: &[f32]) -> f32 {
        let row = [observation, action].concat();
        self.critics[0].forward(&row)[0].min(self.critics[1].forward(&row)[0])
    }

    /// The actor and its exploration on a device.
    fn players(&self, device: &Device, trained: bool) -> Players {
        Players {
            actor: self.actor.on(device, trained),
            exploration: self.exploration.as_ref().map(|network| network.on(device, trained)),
        }
    }

    /// Draws the exploration matrix of each environment anew.
    fn draw_matrices(&mut self, environments: usize) {
        if let Some(exploration) = &self.exploration {
            let deviations = exploration.forward(&[0.0]);
            let random = &mut self.random;
            self.matrices = (0..environments)
                .flat_map(|_| &deviations)
                .map(|log_std| log_std.exp() * random.normal() as f32)
                .collect();
        }
    }

    /// A squashed action on the host for an environment, in −1 to 1.
    fn sample(&mut self, row: &[f32], environment: usize) -> Vec<f32> {
        let width = self.width();
        let (latent, output) = self.actor.forward_from_latent(row);
        let (means, log_stds) = output.split_at(width);
        if self.exploration.is_some() {
            let matrix = &self.matrices[environment * latent.len() * width..];
            let noise = |action: usize| -> f32 {
                latent.iter().enumerate().map(|(i, x)| x * matrix[i * width + action]).sum()
            };
            let explored = |(action, mean): (usize, &f32)| {
                (mean.clamp(-CLIP_MEAN, CLIP_MEAN) + noise(action)).tanh()
            };
            return means.iter().enumerate().map(explored).collect();
        }
        let random = &mut self.random;
        let one = |(mean, log_std): (&f32, &f32)| {
            let deviation = log_std.clamp(LOG_STD.0, LOG_STD.1).exp();
            (mean + deviation * random.normal() as f32).tanh()
        };
        means.iter().zip(log_stds).map(one).collect()
    }

    fn scaled(&self, action: &[f32]) -> Vec<f32> {
        action.iter().zip(&self.ranges).map(|(a, (middle, half))| middle + half * a).collect()
    }

    fn collect(&mut self, environments: &mut dyn VectorEnvironment) -> Result<()> {
        let (features, width) = (self.spaces.observation.features(), self.width());
        let before = environments.observations().to_vec();
        if self.matrices.is_empty()
            || self.journal.steps() - self.drawn_at >= self.config.train_every
        {
            self.drawn_at = self.journal.steps();
            self.draw_matrices(environments.count());
        }
        let mut actions = Vec::new();
        for (i, row) in before.chunks(features).enumerate() {
            let mut action: Vec<f32> = if self.journal.steps() < self.config.learning_starts {
                (0..width).map(|_| self.random.uniform_in(-1.0..1.0) as f32).collect()
            } else {
                self.sample(row, i)
            };
            if self.config.noise > 0.0 {
                // θ = 0.15, dt = 0.01, as in stable-baselines3.
                for (a, noise) in action.iter_mut().zip(&mut self.noise[i * width..]) {
                    *noise +=
                        -0.15 * *noise * 0.01 + self.config.noise * 0.1 * self.random.normal();
                    *a = (*a + *noise as f32).clamp(-1.0, 1.0);
                }
            }
            actions.extend(action);
        }
        let scaled: Vec<f32> = actions.chunks(width).flat_map(|a| self.scaled(a)).collect();
        let transitions = environments.step(Actions::Numbers(&scaled))?.clone();
        let after = environments.observations();
        remember(&mut self.replay, &mut self.steps, (&before, &actions), &transitions, after);
        for episode in &transitions.episodes {
            self.noise[episode.environment * width..][..width].fill(0.0);
        }
        self.journal.note(environments.count(), &transitions.episodes);
        Ok(())
    }

    /// One update of critics, actor, temperature and targets on a batch of the replay; the losses
    /// of critics and actor.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] before there are enough transitions, and for a loss that is not finite.
    pub fn update(&mut self) -> Result<(f64, f64)> {
        let (count, width) = (self.config.batch_size, self.width());
        let features = self.spaces.observation.features();
        let batch = self.replay.sample(count, 0.0, &mut self.random)?;
        let device = self.device.clone();
        let plain = device.clone().inner();
        let tensor = |values: Vec<f32>, width: usize, device: &Device| {
            Tensor::<2>::from_data(TensorData::new(values, [count, width]), device)
        };
        // A number each, or one matrix for all and for both.
        let rows = if self.exploration.is_some() { self.latent() } else { count };
        let random = &mut self.random;
        let mut noise = || {
            let numbers = (0..rows * width).map(|_| random.normal() as f32).collect();
            TensorData::new(numbers, [rows, width])
        };
        let noise_now: TensorData = noise();
        let noise_next = if self.exploration.is_some() { noise_now.clone() } else { noise() };
        let temperature = self.temperature();

        // What the critics are to say: r + γ (min Q′(s′, a′) − α log π(a′|s′)), without gradients.
        let nexts = tensor(batch.nexts, features, &plain);
        let noise_next = Tensor::<2>::from_data(noise_next, &plain);
        let drawn = self.players(&plain, false).draw(nexts.clone(), noise_next);
        let pair = Tensor::cat(vec![nexts, drawn.action], 1);
        let [first, second] =
            [0, 1].map(|i| self.targets[i].on(&plain, false).forward(pair.clone()));
        let soft = first.min_pair(second) - drawn.log_p * temperature;
        let soft = ops::to_vec(soft);
        let goals = batch.rewards.iter().zip(&batch.discounts).zip(&soft);
        let goals: Vec<f32> = goals.map(|((r, discount), soft)| r + discount * soft).collect();

        // The critics.
        let observations = tensor(batch.observations, features, &device);
        let actions = tensor(batch.actions, width, &device);
        let goals = tensor(goals, 1, &device);
        let pair = Tensor::cat(vec![observations.clone(), actions], 1);
        let layers = [0, 1].map(|i| self.critics[i].on(&device, true));
        let [first, second] = [0, 1].map(|i| layers[i].forward(pair.clone()));
        let error = |said: Tensor<2>| (said - goals.clone()).powi_scalar(2).mean() * 0.5;
        let loss = error(first) + error(second);
        let gradients = loss.backward();
        let critic_loss = f64::from(loss.into_scalar::<f32>());
        let mut all = layers[0].gradients(&gradients)?;
        all.extend(layers[1].gradients(&gradients)?);
        let [first, second] = &mut self.critics;
        let rate = self.config.learning_rate;
        step_all(&mut self.critic_adam, &mut [first, second], &all, rate);

        // The actor: α log π(a|s) − min Q(s, a).
        let players = self.players(&device, true);
        let noise_now = Tensor::<2>::from_data(noise_now, &device);
        let drawn = players.draw(observations.clone(), noise_now);
        let pair = Tensor::cat(vec![observations, drawn.action], 1);
        let [first, second] =
            [0, 1].map(|i| self.critics[i].on(&device, false).forward(pair.clone()));
        let log_p = drawn.log_p.clone().mean();
        let loss = (drawn.log_p * temperature - first.min_pair(second)).mean();
        let gradients = players.gradients(&loss.backward())?;
        let actor_loss = f64::from(loss.into_scalar::<f32>());
        let mut moved = vec![&mut self.actor];
        moved.extend(&mut self.exploration);
        step_all(&mut self.actor_adam, &mut moved, &gradients, rate);

        // The temperature: −log α (log π + target entropy), by its derivative.
        if self.config.learn_temperature {
            let target = self.config.target_entropy.unwrap_or(-(width as f64));
            let slope = -(f64::from(log_p.into_scalar::<f32>()) + target);
            self.temperature_adam.step(&mut [&mut self.log_temperature], &[slope as f32], rate);
        }

        for (target, critic) in self.targets.iter_mut().zip(&self.critics) {
            target.move_towards(critic, self.config.tau as f32);
        }
        self.journal.updates += 1;
        for (what, value) in [("critic loss", critic_loss), ("actor loss", actor_loss)] {
            if !value.is_finite() {
                let (what, step) = (what.to_owned(), self.journal.updates);
                return Err(model_utils_core::Error::NotFinite { what, value, step }.into());
            }
        }
        Ok((critic_loss, actor_loss))
    }
}

impl Agent for Sac {
    type Config = SacConfig;
    const MODEL: &'static str = "sac";

    fn from_config(config: &SacConfig, spaces: &Spaces, device: &Device) -> Result<Self> {
        config.check()?;
        let bad = || Error::spaces("action", &spaces.action, "numbers with finite ends");
        let Space::Continuous { low, high } = &spaces.action else { return Err(bad()) };
        if low.iter().chain(high).any(|end| !end.is_finite()) {
            return Err(bad());
        }
        let middle = |(l, h): (&f64, &f64)| (f64::midpoint(*l, *h) as f32, ((h - l) / 2.0) as f32);
        let ranges: Vec<(f32, f32)> = low.iter().zip(high).map(middle).collect();
        let (features, width) = (spaces.observation.features(), ranges.len());
        let mut random = Random::new(config.seed);
        // Under state-dependent exploration the deviations are no outputs.
        let outputs = if config.state_dependent.is_some() { width } else { 2 * width };
        let actor = widths(features, &config.hidden, outputs)?;
        let latent = actor[actor.len() - 2];
        let exploration = config
            .state_dependent
            .map(|log_std| Network::constant(&vec![log_std as f32; latent * width]));
        let critic = widths(features + width, &config.hidden, 1)?;
        let mut network = |sizes| Network::new(sizes, Activation::Relu, Start::Even, &mut random);
        let actor = network(actor);
        let critics = [network(critic.clone()), network(critic)];
        Ok(Self {
            config: config.clone(),
            spaces: spaces.clone(),
            device: device.clone().autodiff(),
            ranges,
            actor_adam: Adam::new(
                actor.values().len() + exploration.as_ref().map_or(0, |e| e.values().len()),
                1e-8,
            ),
            critic_adam: Adam::new(2 * critics[0].values().len(), 1e-8),
            temperature_adam: Adam::new(1, 1e-8),
            actor,
            exploration,
            targets: critics.clone(),
            critics,
            log_temperature: vec![config.temperature.ln() as f32],
            replay: ReplayBuffer::new(config.buffer, features, width)?,
            steps: Vec::new(),
            noise: Vec::new(),
            matrices: Vec::new(),
            random,
            journal: Journal::new(Self::MODEL, config, spaces)?,
            trained_at: 0,
            drawn_at: 0,
        })
    }

    fn config(&self) -> &SacConfig {
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

    fn decide(&self, observation: &[f32], _mask: Option<&[bool]>) -> Choice<'static> {
        let output = self.actor.forward(observation);
        let most = if self.exploration.is_some() { CLIP_MEAN } else { f32::INFINITY };
        let means = output[..self.width()].iter();
        let mean: Vec<f32> = means.map(|x| x.clamp(-most, most).tanh()).collect();
        Choice::Numbers(self.scaled(&mean).into())
    }

    fn learn(
        &mut self,
        environments: &mut dyn VectorEnvironment,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Learned> {
        self.spaces.expect(environments.spaces())?;
        if self.steps.len() != environments.count() {
            self.steps = vec![NStep::new(1, self.config.discount); environments.count()];
            self.noise = vec![0.0; environments.count() * self.width()];
            self.matrices.clear();
        }
        self.journal.start(budget, progress)?;
        let (mut critic, mut actor) = (f64::NAN, f64::NAN);
        while self.journal.run.next(progress) {
            self.collect(environments)?;
            let steps = self.journal.steps();
            let ready =
                steps > self.config.learning_starts && self.replay.len() >= self.config.batch_size;
            if ready && steps - self.trained_at >= self.config.train_every {
                self.trained_at = steps;
                for _ in 0..self.config.gradient_steps {
                    (critic, actor) = self.update()?;
                }
            }
            if self.journal.run.is_report_due(REPORT_EVERY) {
                let temperature = ("temperature", self.temperature());
                let losses = [("critic_loss", critic), ("actor_loss", actor), temperature];
                self.journal.report(&losses, progress);
            }
            self.save_when_due(environments, progress)?;
        }
        self.save_at_end(environments, progress)?;
        Ok(self.journal.finish(progress))
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let mut columns = self.actor_adam.columns("actor_adam");
        columns.extend(self.critic_adam.columns("critic_adam"));
        columns.extend(self.temperature_adam.columns("temperature_adam"));
        columns.push(("log_temperature".to_owned(), self.log_temperature.clone()));
        for (name, target) in ["target_1", "target_2"].into_iter().zip(&self.targets) {
            columns.push((name.to_owned(), target.values().to_vec()));
        }
        columns.extend(self.replay.columns().into_iter().map(|(n, c)| (n.to_owned(), c)));
        columns.push(("matrices".to_owned(), self.matrices.clone()));
        let [first, second] = self.critics.clone();
        let mut networks =
            vec![("actor", self.actor.clone()), ("critic_1", first), ("critic_2", second)];
        networks.extend(self.exploration.clone().map(|network| ("exploration", network)));
        Ok(Snapshot {
            networks,
            acting: json!(null),
            columns,
            learning: to_state(&(
                &self.random,
                &self.journal,
                &self.steps,
                &self.noise,
                (self.trained_at, self.drawn_at, self.replay.position()),
            ))?,
        })
    }

    fn restore(&mut self, mut snapshot: Snapshot) -> Result<()> {
        for (name, network) in std::mem::take(&mut snapshot.networks) {
            match name {
                "actor" => self.actor = network,
                "exploration" => self.exploration = Some(network),
                "critic_1" => self.critics[0] = network,
                _ => self.critics[1] = network,
            }
        }
        self.targets.clone_from(&self.critics);
        if snapshot.learning.is_null() {
            return Ok(());
        }
        let (counted, position): (Counted, _);
        (
            self.random,
            counted,
            self.steps,
            self.noise,
            (self.trained_at, self.drawn_at, position),
        ) = from_state(&snapshot.learning)?;
        self.journal.restore(counted);
        let bad = || Error::Resume("moments or targets of another shape".to_owned());
        for (name, target) in ["target_1", "target_2"].into_iter().zip(&mut self.targets) {
            let values = snapshot.column(name).ok_or_else(bad)?;
            if values.len() != target.values().len() {
                return Err(bad());
            }
            target.values_mut().copy_from_slice(&values);
        }
        self.log_temperature = snapshot.column("log_temperature").ok_or_else(bad)?;
        self.matrices = snapshot.column("matrices").ok_or_else(bad)?;
        let adams = [
            ("actor_adam", &mut self.actor_adam),
            ("critic_adam", &mut self.critic_adam),
            ("temperature_adam", &mut self.temperature_adam),
        ];
        for (name, adam) in adams {
            if !adam.restore(name, |name| snapshot.column(name)) {
                return Err(bad());
            }
        }
        self.replay.restore(position, |name| snapshot.column(name))
    }
}

acts!(Sac);
