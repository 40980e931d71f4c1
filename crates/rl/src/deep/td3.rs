use burn::config::Config;
use burn::tensor::{Device, Tensor};
use model_utils::ops;
use model_utils_core::config;
use model_utils_core::random::Random;

use super::agent::Agent as _;
use super::critics::Critics;
use super::network::{Network, NetworkShape};
use super::off_policy::{
    Make, Moment, OffPolicy, OffPolicyAlgorithm, Part, Settings, Update, tensor,
};
use super::squashed::Ranges;
use crate::error::Result;
use crate::memory::Batch;
use crate::space::Spaces;
use crate::vector::{Transitions, VectorEnvironment};

/// How a [`Td3`] learns. The defaults are those of stable-baselines3 but for a smaller buffer and
/// the paper's exploration noise.
#[derive(Config, Debug, PartialEq)]
pub struct Td3Config {
    /// Widths of the hidden layers, the same for all networks.
    #[config(default = "vec![400, 300]")]
    pub hidden: Vec<usize>,
    /// Adam's learning rate.
    #[config(default = 1e-3)]
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
    /// How far the target networks move at each update of the policy.
    #[config(default = 0.005)]
    pub tau: f64,
    /// The deviation of the normal noise of actions while learning, as a share of their half range.
    #[config(default = 0.1)]
    pub noise: f64,
    /// The deviation of the noise of the actions that the targets judge, as such a share.
    #[config(default = 0.2)]
    pub target_noise: f64,
    /// The most that this noise may be.
    #[config(default = 0.5)]
    pub target_noise_clip: f64,
    /// Updates of the critics for each of the policy.
    #[config(default = 2)]
    pub policy_delay: u64,
    /// Two critics, of which the smaller value counts, or one.
    #[config(default = true)]
    pub twin: bool,
    /// What all random draws follow from.
    #[config(default = 0)]
    pub seed: u64,
}

impl Td3Config {
    /// Deep deterministic policy gradients (Lillicrap et al. 2016): one critic, and no delay and
    /// no noise of targets.
    ///
    /// Differences from the paper: normal noise, no weight decay, one learning rate, the action
    /// enters with the observation.
    pub fn ddpg() -> Self {
        Self::new().with_policy_delay(1).with_target_noise(0.0).with_twin(false)
    }

    /// The tuned settings of rl-baselines3-zoo for `Pendulum`, 20,000 steps, also of DDPG.
    #[must_use]
    pub fn pendulum(self) -> Self {
        self.with_discount(0.98).with_buffer(200_000).with_learning_starts(10_000)
    }

    /// A fresh agent for these spaces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work,
    /// [`Error::Spaces`](crate::Error::Spaces) for actions that are not numbers with ends.
    pub fn init(&self, spaces: &Spaces, device: &Device) -> Result<Td3> {
        Td3::from_config(self, spaces, device)
    }

    /// A fresh agent whose networks, `actor`, `critic_1` and `critic_2`, are the user's own.
    ///
    /// # Errors
    ///
    /// As [`init`](Self::init), and of [`Agent::from_networks`](super::Agent::from_networks).
    pub fn init_with(
        &self,
        spaces: &Spaces,
        device: &Device,
        build: &mut dyn FnMut(&NetworkShape) -> Result<Network>,
    ) -> Result<Td3> {
        Td3::from_networks(self, spaces, device, build)
    }
}

/// Twin delayed deep deterministic policy gradients (Fujimoto et al. 2018); DDPG is
/// [a setting](Td3Config::ddpg).
pub type Td3 = OffPolicy<TwinDelayed>;

/// What [`Td3`] learns.
#[derive(Debug)]
pub struct TwinDelayed {
    config: Td3Config,
    /// With autodiff.
    device: Device,
    features: usize,
    ranges: Ranges,
    actor: Part,
    critics: Critics,
}

impl Td3 {
    /// The smaller of the critics' values of an observation's features and an action in −1 to 1.
    ///
    /// # Panics
    ///
    /// Where they have not as many numbers as the spaces.
    pub fn value(&self, observation: &[f32], action: &[f32]) -> f32 {
        self.algorithm.critics.value(observation, action)
    }
}

impl TwinDelayed {
    /// The action of the policy on the host, in −1 to 1.
    fn act(&self, row: &[f32]) -> Vec<f32> {
        self.actor.network.forward(row).iter().map(|x| x.tanh()).collect()
    }

    /// The same with noise.
    fn noisy(&self, row: &[f32], random: &mut Random) -> Vec<f32> {
        let noisy = |a: f32| (a + (self.config.noise * random.normal()) as f32).clamp(-1.0, 1.0);
        self.act(row).into_iter().map(noisy).collect()
    }

    /// One update, with the noise of the targets' actions. `[batch, width]`
    pub(super) fn learn(&mut self, batch: Batch, now: &Moment, noise: Vec<f32>) -> Result<Update> {
        let (device, width, rate) = (self.device.clone(), self.width(), self.config.learning_rate);
        let plain = device.clone().inner();

        // What the critics are to say: r + γ min Q′(s′, μ′(s′) + noise), without gradients.
        let nexts = tensor(batch.nexts.clone(), self.features, &plain);
        let then = ops::tanh(self.actor.target().on(&plain, false).forward(nexts.clone()));
        let then = (then + tensor(noise, width, &plain)).clamp(-1.0, 1.0);
        let later = self.critics.later(&Tensor::cat(vec![nexts, then], 1), &plain);
        let goals = batch.returns(&ops::to_vec(later));
        let pairs = Critics::pairs(&batch);
        let [critic_loss, q_mean, td_error] =
            self.critics.step(&pairs, &goals, (1.0, rate), &device)?;
        let mut metrics =
            vec![("critic_loss", critic_loss), ("q_mean", q_mean), ("td_error", td_error)];

        // The actor: −Q₁(s, μ(s)); then all targets.
        if (now.updates + 1).is_multiple_of(self.config.policy_delay) {
            let observations = tensor(batch.observations, self.features, &device);
            let layers = self.actor.network.on(&device, true);
            let actions = ops::tanh(layers.forward(observations.clone()));
            let pairs = Tensor::cat(vec![observations, actions], 1);
            let loss = -self.critics.first(&pairs, &device).mean();
            self.actor.step(&layers.gradients(&loss.backward())?, rate);
            metrics.push(("actor_loss", f64::from(loss.into_scalar::<f32>())));
            self.critics.follow(self.config.tau);
            self.actor.follow(self.config.tau);
        }
        Ok(Update { metrics, errors: Vec::new() })
    }
}

impl OffPolicyAlgorithm for TwinDelayed {
    type Config = Td3Config;
    const MODEL: &'static str = "td3";
    const REPORT_EVERY: u64 = 500;

    fn settings(config: &Td3Config) -> Settings {
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
        config: &Td3Config,
        spaces: &Spaces,
        device: &Device,
        make: &mut Make<'_>,
    ) -> Result<Self> {
        config::share("tau", config.tau)?;
        config::not_negative("noise", config.noise)?;
        config::not_negative("target_noise", config.target_noise)?;
        config::not_negative("target_noise_clip", config.target_noise_clip)?;
        config::at_least("policy_delay", config.policy_delay, 1)?;
        let ranges = Ranges::new(&spaces.action)?;
        let (features, width) = (spaces.observation.features(), ranges.width());
        let actor = Part::new("actor", make("actor", features, width)?, 1e-8).with_target();
        let names = &["critic_1", "critic_2"][..=usize::from(config.twin)];
        Ok(Self {
            config: config.clone(),
            device: device.clone(),
            features,
            ranges,
            actor,
            critics: Critics::new(names, features + width, make)?,
        })
    }

    fn config(&self) -> &Td3Config {
        &self.config
    }

    fn width(&self) -> usize {
        self.ranges.width()
    }

    fn decide(&self, observation: &[f32], _mask: Option<&[bool]>) -> Vec<f64> {
        self.ranges.scaled(&self.act(observation))
    }

    fn draw(&self, observation: &[f32], _mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        self.ranges.scaled(&self.noisy(observation, random))
    }

    fn explore(
        &mut self,
        rows: &[f32],
        _masks: Option<&[bool]>,
        steps: u64,
        random: &mut Random,
    ) -> Vec<f32> {
        if steps < self.config.learning_starts {
            let count = rows.len() / self.features * self.width();
            return (0..count).map(|_| random.uniform_in(-1.0..1.0) as f32).collect();
        }
        rows.chunks(self.features).flat_map(|row| self.noisy(row, random)).collect()
    }

    fn step<'e>(
        &self,
        environments: &'e mut dyn VectorEnvironment,
        actions: &[f32],
    ) -> Result<&'e Transitions> {
        self.ranges.step(environments, actions)
    }

    fn update(&mut self, batch: Batch, now: &Moment, random: &mut Random) -> Result<Update> {
        let Td3Config { target_noise, target_noise_clip: most, .. } = self.config;
        let draw = |_: &f32| (target_noise * random.normal()).clamp(-most, most) as f32;
        let noise = batch.actions.iter().map(draw).collect();
        self.learn(batch, now, noise)
    }

    fn holds(&self, actions: &[f32]) -> bool {
        Ranges::hold(actions)
    }

    fn parts(&self) -> Vec<&Part> {
        std::iter::once(&self.actor).chain(&self.critics.0).collect()
    }

    fn parts_mut(&mut self) -> Vec<&mut Part> {
        std::iter::once(&mut self.actor).chain(&mut self.critics.0).collect()
    }
}
