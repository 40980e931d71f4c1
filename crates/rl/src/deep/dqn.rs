use std::ops::Range;

use burn::config::Config;
use burn::tensor::Device;
use model_utils_core::config;
use model_utils_core::random::Random;

use super::adam::clip;
use super::agent::Agent as _;
use super::network::{Network, NetworkShape};
use super::off_policy::{
    Make, Moment, OffPolicy, OffPolicyAlgorithm, Part, Prioritized, Settings, Update,
};
use crate::error::{Error, Result};
use crate::memory::Batch;
use crate::space::{Space, Spaces};
use crate::vector::{Actions, Transitions, VectorEnvironment};

/// How a [`Dqn`] learns. The defaults are those of stable-baselines3 but for a buffer of 100,000 (there
/// 1,000,000), batches of 64 (32), 1,000 steps before the first update (100), copies to the target every
/// 500 steps (10,000) and exploration over 10,000 steps (a tenth of the training).
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
    /// Environment steps before the first update, which also waits for a batch.
    #[config(default = 1000)]
    pub learning_starts: u64,
    /// Environment steps between rounds of updates, however many are made at once.
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
    /// How many quantiles of an action's return the network gives in place of its mean, and learns
    /// by quantile Huber loss with κ = 1 (QR-DQN, Dabney et al. 2018); none: the mean.
    #[config(default = "None")]
    pub quantiles: Option<usize>,
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

    /// The tuned settings of rl-baselines3-zoo for QR-DQN on `CartPole`, 50,000 steps.
    pub fn cart_pole_quantiles() -> Self {
        Self::cart_pole().with_quantiles(Some(10))
    }

    /// The tuned settings of rl-baselines3-zoo for QR-DQN on `Acrobot`, 100,000 steps.
    pub fn acrobot_quantiles() -> Self {
        Self::acrobot().with_quantiles(Some(25))
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

    /// A fresh agent whose network, `q`, is the user's own.
    ///
    /// # Errors
    ///
    /// As [`init`](Self::init), and of [`Agent::from_networks`](super::Agent::from_networks).
    pub fn init_with(
        &self,
        spaces: &Spaces,
        device: &Device,
        build: &mut dyn FnMut(&NetworkShape) -> Result<Network>,
    ) -> Result<Dqn> {
        Dqn::from_networks(self, spaces, device, build)
    }
}

/// Deep Q-learning (Mnih et al. 2015), with its refinements as switches.
///
/// Differences from the paper: Adam, the Huber loss, one global norm for clipping.
pub type Dqn = OffPolicy<DeepQ>;

/// What [`Dqn`] learns.
#[derive(Debug)]
pub struct DeepQ {
    config: DqnConfig,
    /// With autodiff.
    device: Device,
    features: usize,
    actions: usize,
    q: Part,
}

impl Dqn {
    /// The value of each action. `[rows, features]` → `[rows, actions]`
    pub fn values(&self, rows: &[f32]) -> Vec<f32> {
        self.algorithm.values(rows)
    }

    /// The quantiles of the return of each action, one where the mean is learned.
    /// `[rows, features]` → `[rows, actions, quantiles]`
    pub fn quantiles(&self, rows: &[f32]) -> Vec<f32> {
        self.algorithm.returns(self.algorithm.q.network.forward(rows))
    }

    /// The network, for inspection.
    pub fn network(&self) -> &Network {
        &self.algorithm.q.network
    }
}

impl DeepQ {
    /// Numbers that stand for the return of an action.
    fn atoms(&self) -> usize {
        self.config.quantiles.unwrap_or(1)
    }

    fn values(&self, rows: &[f32]) -> Vec<f32> {
        self.means(&self.returns(self.q.network.forward(rows)))
    }

    /// The mean of the atoms of each action.
    fn means(&self, returns: &[f32]) -> Vec<f32> {
        returns.chunks_exact(self.atoms()).map(mean).collect()
    }

    /// What the network gives as returns of the actions: under `dueling` V + A − mean A, atom by
    /// atom. `[rows, streams, atoms]` → `[rows, actions, atoms]`
    fn returns(&self, output: Vec<f32>) -> Vec<f32> {
        if !self.config.dueling {
            return output;
        }
        let atoms = self.atoms();
        let mut returns = Vec::with_capacity(output.len());
        for row in output.chunks_exact((self.actions + 1) * atoms) {
            let (value, advantages) = row.split_at(atoms);
            for action in advantages.chunks_exact(atoms) {
                returns.extend(action.iter().zip(value).enumerate().map(|(atom, (a, v))| {
                    let all = advantages[atom..].iter().step_by(atoms);
                    v + a - all.sum::<f32>() / self.actions as f32
                }));
            }
        }
        returns
    }

    /// What the network gives has these slopes where the returns of an action have those.
    fn slopes(&self, action: usize, slopes: &[f32], out: &mut [f32]) {
        let atoms = self.atoms();
        for (atom, slope) in slopes.iter().enumerate() {
            if self.config.dueling {
                out[atom] += slope;
                let advantages = out[atoms + atom..].iter_mut().step_by(atoms);
                advantages.for_each(|out| *out -= slope / self.actions as f32);
            }
            let stream = action + usize::from(self.config.dueling);
            out[stream * atoms + atom] += slope;
        }
    }

    /// The row of masks.
    fn mask<'m>(&self, masks: Option<&'m [bool]>, row: usize) -> Option<&'m [bool]> {
        masks.and_then(|masks| masks.chunks_exact(self.actions).nth(row))
    }

    fn epsilon(&self, steps: u64) -> f64 {
        let share = steps as f64 / self.config.exploration_steps.max(1) as f64;
        1.0 + (self.config.epsilon - 1.0) * share.min(1.0)
    }

    /// What the network is to say of some transitions: `r + discount · Z(next)`, `[rows, atoms]`.
    /// `discount` is 0 only where the task terminated.
    fn targets(&self, batch: &Batch, rows: Range<usize>) -> Vec<f32> {
        let nexts = &batch.nexts[rows.start * self.features..rows.end * self.features];
        let returns = |network: &Network| self.returns(network.forward_on(nexts, &self.device));
        let (atoms, judged) = (self.atoms(), returns(self.q.target()));
        let means =
            self.means(&if self.config.double { returns(&self.q.network) } else { judged.clone() });
        let judged = judged.chunks_exact(self.actions * atoms);
        let means = means.chunks_exact(self.actions);
        let mut targets = Vec::with_capacity(rows.len() * atoms);
        for (row, (judged, means)) in rows.zip(judged.zip(means)) {
            let best = arg_max(means, self.mask(batch.masks.as_deref(), row));
            let later = &judged[best * atoms..][..atoms];
            targets.extend(later.iter().map(|z| batch.rewards[row] + batch.discounts[row] * z));
        }
        targets
    }
}

fn mean(numbers: &[f32]) -> f32 {
    numbers.iter().sum::<f32>() / numbers.len() as f32
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

impl OffPolicyAlgorithm for DeepQ {
    type Config = DqnConfig;
    const MODEL: &'static str = "dqn";
    const REPORT_EVERY: u64 = 1000;

    fn settings(config: &DqnConfig) -> Settings {
        let DqnConfig { beta, beta_steps, .. } = *config;
        Settings {
            hidden: config.hidden.clone(),
            learning_rate: config.learning_rate,
            discount: config.discount,
            batch_size: config.batch_size,
            buffer: config.buffer,
            learning_starts: config.learning_starts,
            train_every: config.train_every,
            gradient_steps: config.gradient_steps,
            n_step: config.n_step,
            prioritized: config.prioritized.map(|alpha| Prioritized { alpha, beta, beta_steps }),
            seed: config.seed,
        }
    }

    fn new(
        config: &DqnConfig,
        spaces: &Spaces,
        device: &Device,
        make: &mut Make<'_>,
    ) -> Result<Self> {
        config::at_least("anneal_steps", config.anneal_steps.unwrap_or(1), 1)?;
        config::share("epsilon", config.epsilon)?;
        config::share("prioritized", config.prioritized.unwrap_or(0.0))?;
        config::share("beta", config.beta)?;
        config::at_least("target_every", config.target_every, 1)?;
        let quantiles = config.quantiles.unwrap_or(1);
        config::require((1..=1 << 16).contains(&quantiles), "quantiles", quantiles, "1 to 65536")?;
        let most = config.max_grad_norm;
        config::require(most > 0.0, "max_grad_norm", most, "above 0")?;
        let Space::Discrete(actions) = spaces.action else {
            return Err(Error::spaces("action", &spaces.action, "an index"));
        };
        let features = spaces.observation.features();
        let outputs = (actions + usize::from(config.dueling)) * config.quantiles.unwrap_or(1);
        // Adam's ε for quantiles is the paper's.
        let epsilon = config.quantiles.map_or(1e-8, |_| 0.01 / config.batch_size as f32);
        let q = Part::new("q", make("q", features, outputs)?, epsilon).with_target();
        Ok(Self { config: config.clone(), device: device.clone(), features, actions, q })
    }

    fn config(&self) -> &DqnConfig {
        &self.config
    }

    fn width(&self) -> usize {
        1
    }

    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Vec<f64> {
        vec![arg_max(&self.values(observation), mask) as f64]
    }

    fn explore(
        &mut self,
        rows: &[f32],
        masks: Option<&[bool]>,
        steps: u64,
        random: &mut Random,
    ) -> Vec<f32> {
        let epsilon = self.epsilon(steps);
        let starting = steps < self.config.learning_starts;
        let rows = rows.chunks(self.features).enumerate();
        let choose = |(at, row)| {
            let mask = self.mask(masks, at);
            if starting || random.bernoulli(epsilon) {
                let allowed = |action: &usize| mask.is_none_or(|mask| mask[*action]);
                let count = (0..self.actions).filter(allowed).count();
                (0..self.actions).filter(allowed).nth(random.below(count)).unwrap_or(0) as f32
            } else {
                arg_max(&self.values(row), mask) as f32
            }
        };
        rows.map(choose).collect()
    }

    fn step<'e>(
        &self,
        environments: &'e mut dyn VectorEnvironment,
        actions: &[f32],
    ) -> Result<&'e Transitions> {
        let indices: Vec<usize> = actions.iter().map(|action| *action as usize).collect();
        environments.step(Actions::Indices(&indices))
    }

    fn update(&mut self, batch: Batch, now: &Moment, _random: &mut Random) -> Result<Update> {
        let count = batch.rewards.len();
        let (atoms, outputs) = (self.atoms(), self.q.network.outputs());
        // The loss has known slopes at what the network gives.
        let judge = |rows: Range<usize>, output: &[f32]| {
            let targets = self.targets(&batch, rows.clone());
            let returns = self.returns(output.to_vec());
            let mut slopes = vec![0.0; output.len()];
            let (mut loss, mut q_mean, mut errors) = (0.0, 0.0, Vec::with_capacity(rows.len()));
            for (at, row) in rows.enumerate() {
                let action = batch.actions[row] as usize;
                let said = &returns[(at * self.actions + action) * atoms..][..atoms];
                let wanted = &targets[at * atoms..][..atoms];
                let weight = batch.weights[row] / count as f32;
                let (huber, mut slope) = huber(said, wanted, self.config.quantiles.is_some());
                for slope in &mut slope {
                    *slope *= weight;
                }
                self.slopes(action, &slope, &mut slopes[at * outputs..][..outputs]);
                loss += f64::from(weight) * huber;
                q_mean += f64::from(mean(said)) / count as f64;
                errors.push(mean(said) - mean(wanted));
            }
            (slopes, (loss, q_mean, errors))
        };
        let (mut gradients, told) =
            self.q.network.gradients(&batch.observations, &self.device, judge)?;
        let (mut loss, mut q_mean, mut errors) = (0.0, 0.0, Vec::with_capacity(count));
        for (of_part, mean, those) in told {
            loss += of_part;
            q_mean += mean;
            errors.extend(those);
        }
        let td_error = errors.iter().map(|e| f64::from(e.abs())).sum::<f64>() / count as f64;
        clip(&mut gradients, self.config.max_grad_norm);
        let left = self
            .config
            .anneal_steps
            .map_or(1.0, |over| (1.0 - now.steps as f64 / over as f64).max(0.0));
        self.q.step(&gradients, self.config.learning_rate * left);
        let epsilon = ("epsilon", self.epsilon(now.steps));
        let metrics = vec![("loss", loss), ("q_mean", q_mean), ("td_error", td_error), epsilon];
        Ok(Update { metrics, errors })
    }

    fn holds(&self, actions: &[f32]) -> bool {
        actions.iter().all(|a| *a >= 0.0 && *a < self.actions as f32 && a.fract() == 0.0)
    }

    fn parts(&self) -> Vec<&Part> {
        vec![&self.q]
    }

    fn parts_mut(&mut self) -> Vec<&mut Part> {
        vec![&mut self.q]
    }

    fn pass(&mut self, step: u64) {
        if step.is_multiple_of(self.config.target_every) {
            self.q.follow(1.0);
        }
    }
}

/// Huber's loss with κ = 1 between each number that was said and each that is wanted, averaged
/// over these and summed over those, and its slope at each of those. Quantiles weigh what is said
/// too much by 1 − τ and what is said too little by τ, with τ = (i + ½) / n.
fn huber(said: &[f32], wanted: &[f32], quantiles: bool) -> (f64, Vec<f32>) {
    let share = 1.0 / wanted.len() as f32;
    let (mut loss, mut slopes) = (0.0, vec![0.0; said.len()]);
    for (i, (said, slope)) in said.iter().zip(&mut slopes).enumerate() {
        let level = (i as f32 + 0.5) * share;
        for wanted in wanted {
            let error = said - wanted;
            let weight = match (quantiles, error > 0.0) {
                (false, _) => share,
                (true, true) => share * (1.0 - level),
                (true, false) => share * level,
            };
            let size = f64::from(error.abs());
            let huber = if size < 1.0 { 0.5 * size * size } else { size - 0.5 };
            loss += f64::from(weight) * huber;
            *slope += weight * error.clamp(-1.0, 1.0);
        }
    }
    (loss, slopes)
}
