use std::fmt::Debug;

use burn::tensor::{Device, Tensor, TensorData};
use model_utils::layers::Activation;
use model_utils::train::{Budget, Observer};
use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::{Random, mix};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::adam::{Adam, step_all};
use super::agent::{Agent, Columns, Parts, acts};
use super::journal::{Counted, Journal, Learned};
use super::network::{Build, Network, NetworkShape, Start, widths};
use crate::environment::{from_state, to_state};
use crate::error::{Error, Result};
use crate::memory::{Batch, MOST, NStep, ReplayBuffer};
use crate::space::Spaces;
use crate::vector::{Transitions, VectorEnvironment};

/// Makes the network of this name, for so many inputs and outputs.
pub(super) type Make<'a> = dyn FnMut(&'static str, usize, usize) -> Result<Network> + 'a;

/// What an algorithm that learns from a replay adds to [`OffPolicy`].
pub trait OffPolicyAlgorithm: Debug + Sized {
    /// How it learns.
    type Config: Clone + Debug + Serialize + DeserializeOwned;
    /// Its name in files.
    const MODEL: &'static str;
    /// How often observers are told, in environment steps.
    const REPORT_EVERY: u64;

    /// What of a configuration is common to all.
    #[doc(hidden)]
    fn settings(config: &Self::Config) -> Settings;

    /// A fresh one for these spaces, on a device with autodiff.
    #[doc(hidden)]
    fn new(
        config: &Self::Config,
        spaces: &Spaces,
        device: &Device,
        make: &mut Make<'_>,
    ) -> Result<Self>;

    /// How it learns.
    #[doc(hidden)]
    fn config(&self) -> &Self::Config;

    /// How many numbers an action is in the replay.
    #[doc(hidden)]
    fn width(&self) -> usize;

    /// The best action.
    #[doc(hidden)]
    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Vec<f64>;

    /// An action as it is drawn while learning.
    #[doc(hidden)]
    fn draw(&self, observation: &[f32], mask: Option<&[bool]>, _random: &mut Random) -> Vec<f64> {
        self.decide(observation, mask)
    }

    /// What to do while learning, as the replay keeps it. `[environments, features]` and masks
    /// `[environments, actions]` → `[environments, width]`
    #[doc(hidden)]
    fn explore(
        &mut self,
        rows: &[f32],
        masks: Option<&[bool]>,
        steps: u64,
        random: &mut Random,
    ) -> Vec<f32>;

    /// Does that in the environments.
    #[doc(hidden)]
    fn step<'e>(
        &self,
        environments: &'e mut dyn VectorEnvironment,
        actions: &[f32],
    ) -> Result<&'e Transitions>;

    /// Learns from a batch.
    #[doc(hidden)]
    fn update(&mut self, batch: Batch, now: &Moment, random: &mut Random) -> Result<Update>;

    /// Whether the replay may hold these actions.
    #[doc(hidden)]
    fn holds(&self, actions: &[f32]) -> bool;

    /// All that it learns.
    #[doc(hidden)]
    fn parts(&self) -> Vec<&Part>;

    /// The same.
    #[doc(hidden)]
    fn parts_mut(&mut self) -> Vec<&mut Part>;

    /// Passes an environment step.
    #[doc(hidden)]
    fn pass(&mut self, _step: u64) {}

    /// Meets so many environments.
    #[doc(hidden)]
    fn meet(&mut self, _environments: usize) {}

    /// Notes that an episode has ended.
    #[doc(hidden)]
    fn end(&mut self, _environment: usize) {}

    /// What exploring goes on from.
    #[doc(hidden)]
    fn state(&self) -> Result<Value> {
        Ok(json!(null))
    }

    /// Goes on from it.
    #[doc(hidden)]
    fn restore(&mut self, _state: &Value, _environments: usize) -> Result<()> {
        Ok(())
    }
}

/// What the configurations have in common.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) hidden: Vec<usize>,
    pub(super) learning_rate: f64,
    pub(super) discount: f64,
    pub(super) batch_size: usize,
    pub(super) buffer: usize,
    pub(super) learning_starts: u64,
    pub(super) train_every: u64,
    pub(super) gradient_steps: usize,
    pub(super) n_step: usize,
    pub(super) prioritized: Option<Prioritized>,
    pub(super) seed: u64,
}

/// How replay is prioritised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prioritized {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) beta_steps: u64,
}

impl Settings {
    fn check(&self) -> Result<(), ConfigError> {
        config::positive("learning_rate", self.learning_rate)?;
        config::share("discount", self.discount)?;
        config::at_least("batch_size", self.batch_size, 1)?;
        config::at_least("train_every", self.train_every, 1)?;
        config::at_least("gradient_steps", self.gradient_steps, 1)?;
        config::at_least("n_step", self.n_step, 1)?;
        let (batch, buffer) = (self.batch_size, self.buffer);
        config::require(buffer <= MOST, "buffer", buffer, format!("at most {MOST}"))?;
        config::require(
            batch <= buffer,
            "batch_size",
            batch,
            format!("at most the buffer, {buffer}"),
        )
    }

    /// Rounds of updates that are due at a step: one at each multiple of `train_every` after the
    /// start.
    fn rounds(&self, step: u64) -> u64 {
        let start = self.learning_starts.max(self.batch_size as u64);
        (step / self.train_every).saturating_sub(start / self.train_every)
    }
}

/// When an update is made.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Environment steps.
    pub(super) steps: u64,
    /// Updates before this one.
    pub(super) updates: u64,
}

/// What an update brought.
#[derive(Debug)]
pub struct Update {
    pub(super) metrics: Vec<(&'static str, f64)>,
    /// The error of each transition, for prioritised replay; none where that is not offered.
    pub(super) errors: Vec<f32>,
}

/// A network with its optimiser and, for some, a target that follows it.
#[derive(Debug, Clone)]
pub struct Part {
    name: &'static str,
    pub(super) network: Network,
    pub(super) target: Option<Network>,
    adam: Adam,
}

impl Part {
    pub(super) fn new(name: &'static str, network: Network, epsilon: f32) -> Self {
        Self { name, adam: Adam::new(network.values().len(), epsilon), network, target: None }
    }

    pub(super) fn with_target(mut self) -> Self {
        self.target = Some(self.network.clone());
        self
    }

    /// The network that follows, the network itself where there is none.
    pub(super) fn target(&self) -> &Network {
        self.target.as_ref().unwrap_or(&self.network)
    }

    /// Moves the weights against their gradients.
    pub(super) fn step(&mut self, gradients: &[f32], learning_rate: f64) {
        step_all(&mut self.adam, &mut [&mut self.network], gradients, learning_rate);
    }

    /// Moves the target towards the network; a share of 1 copies it.
    pub(super) fn follow(&mut self, share: f64) {
        if let Some(target) = &mut self.target {
            target.move_towards(&self.network, share as f32);
        }
    }

    fn columns(&self) -> Vec<(String, Vec<f32>)> {
        let mut columns = self.adam.columns(&format!("{}_adam", self.name));
        let target = self.target.iter();
        columns.extend(target.map(|t| (format!("{}_target", self.name), t.values().to_vec())));
        columns
    }

    /// Takes over the weights of a network of the same shape.
    fn take(&mut self, network: &Network) -> Result<()> {
        let shapes = |network: &Network| -> Vec<(String, Vec<usize>)> {
            let tensors = network.tensors(self.name).into_iter();
            tensors.map(|(name, _, shape)| (name, shape)).collect()
        };
        if shapes(network) != shapes(&self.network) {
            return Err(unfit(self.name));
        }
        self.network.set(network.values())?;
        if let Some(target) = &mut self.target {
            target.clone_from(&self.network);
        }
        Ok(())
    }

    fn restore(&mut self, mut column: impl FnMut(&str) -> Option<Vec<f32>>) -> Result<()> {
        if let Some(target) = &mut self.target {
            let name = format!("{}_target", self.name);
            let values = column(&name).filter(|values| values.len() == target.values().len());
            target.values_mut().copy_from_slice(&values.ok_or_else(|| unfit(&name))?);
        }
        let name = format!("{}_adam", self.name);
        if self.adam.restore(&name, column) { Ok(()) } else { Err(unfit(&name)) }
    }
}

/// An [`Error::Resume`].
pub(super) fn unfit(what: &str) -> Error {
    Error::Resume(format!("`{what}` does not fit"))
}

/// Rows on a device.
pub(super) fn tensor(values: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / width.max(1);
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// An agent that learns from a replay of what was done.
#[derive(Debug)]
pub struct OffPolicy<A> {
    pub(super) algorithm: A,
    settings: Settings,
    spaces: Spaces,
    replay: ReplayBuffer,
    n_steps: Vec<NStep>,
    random: Random,
    journal: Journal,
    /// Rounds of updates so far.
    rounds: u64,
    /// The latest of each.
    metrics: Vec<(&'static str, f64)>,
    /// How the environments were left, where steps are pending.
    left: Option<u64>,
}

impl<A: OffPolicyAlgorithm> OffPolicy<A> {
    /// What is remembered.
    pub fn replay(&self) -> &ReplayBuffer {
        &self.replay
    }

    /// One update on a batch of the replay; what was measured, the loss first.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] before there are enough transitions, and for a loss that is not finite.
    pub fn update(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let now = Moment { steps: self.journal.steps(), updates: self.journal.updates };
        let beta =
            self.settings.prioritized.map_or(0.0, |Prioritized { beta, beta_steps, .. }| {
                let share = now.steps as f64 / beta_steps.max(1) as f64;
                beta + (1.0 - beta) * share.min(1.0)
            });
        let batch = self.replay.sample(self.settings.batch_size, beta, &mut self.random)?;
        let indices = batch.indices.clone();
        let Update { metrics, errors } = self.algorithm.update(batch, &now, &mut self.random)?;
        self.journal.updates += 1;
        if let Some((what, value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            let (what, value, step) = ((*what).to_owned(), *value, self.journal.updates);
            return Err(model_utils_core::Error::NotFinite { what, value, step }.into());
        }
        self.replay.set_priorities(&indices, &errors);
        for (name, value) in &metrics {
            match self.metrics.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = *value,
                None => self.metrics.push((name, *value)),
            }
        }
        Ok(metrics)
    }

    /// Closes pending steps of environments that are not where they were left: others, or moved
    /// by somebody else.
    fn meet(&mut self, environments: &dyn VectorEnvironment) {
        let moved = self.left.take().is_some_and(|left| Some(left) != mark(environments));
        let others = self.n_steps.len() != environments.count();
        let mut rows = environments.observations().chunks(self.spaces.observation.features());
        for steps in &mut self.n_steps {
            if moved || others || rows.next() != steps.next() {
                steps.close(|transition| self.replay.push(&transition));
            }
        }
        if others {
            let steps = NStep::new(self.settings.n_step, self.settings.discount);
            self.n_steps = vec![steps; environments.count()];
            self.algorithm.meet(environments.count());
        }
    }

    /// One step in all environments, remembered.
    fn collect(&mut self, environments: &mut dyn VectorEnvironment) -> Result<()> {
        let (features, width) = (self.spaces.observation.features(), self.algorithm.width());
        let before = environments.observations().to_vec();
        let (masks, steps) = (environments.masks(), self.journal.steps());
        let actions = self.algorithm.explore(&before, masks, steps, &mut self.random);
        let transitions = self.algorithm.step(environments, &actions)?.clone();
        let (after, masks) = (environments.observations(), environments.masks());
        let choices = self.spaces.action.choices();
        for (i, steps) in self.n_steps.iter_mut().enumerate() {
            let row = i * features..(i + 1) * features;
            let ended = transitions.ended(i);
            let (nexts, masks) = if ended {
                (&transitions.final_observations[..], transitions.final_masks.as_deref())
            } else {
                (after, masks)
            };
            let next = (&nexts[row.clone()], masks.map(|m| &m[i * choices..(i + 1) * choices]));
            let action = &actions[i * width..(i + 1) * width];
            let step = (&before[row], action, f64::from(transitions.rewards[i]));
            let (terminated, truncated) = (transitions.terminated[i], transitions.truncated[i]);
            let replay = &mut self.replay;
            steps.push(step, next, terminated, truncated, |t| replay.push(&t));
            if ended {
                self.algorithm.end(i);
            }
        }
        self.journal.note(environments.count(), &transitions.episodes);
        Ok(())
    }

    /// What is due at an environment step.
    fn train(&mut self, step: u64) -> Result<()> {
        self.algorithm.pass(step);
        let due = self.settings.rounds(step);
        while self.rounds < due && self.replay.len() >= self.settings.batch_size {
            self.rounds += 1;
            for _ in 0..self.settings.gradient_steps {
                self.update()?;
            }
        }
        Ok(())
    }
}

/// What learning goes on from, as it is saved.
type Saved = ((Random, Counted, Vec<NStep>), (u64, usize, Option<usize>), Value);

/// A number that follows from all of the environments; none where they cannot say it.
fn mark(environments: &dyn VectorEnvironment) -> Option<u64> {
    let text = environments.state().ok()?.to_string();
    Some(text.bytes().fold(0, |sum, byte| mix(sum, u64::from(byte))))
}

impl<A: OffPolicyAlgorithm> Agent for OffPolicy<A> {
    type Config = A::Config;
    const MODEL: &'static str = A::MODEL;

    fn build(
        config: &A::Config,
        spaces: &Spaces,
        device: &Device,
        mut own: Option<&mut Build<'_>>,
    ) -> Result<Self> {
        let settings = A::settings(config);
        settings.check()?;
        spaces.check()?;
        let mut random = Random::new(settings.seed);
        let mut make = |name: &'static str, inputs, outputs| {
            let sizes = widths(inputs, &settings.hidden, outputs)?;
            NetworkShape::build(name, &sizes, &mut own, |sizes| {
                Network::new(sizes, Activation::Relu, Start::Even, &mut random)
            })
        };
        let algorithm = A::new(config, spaces, &device.clone().autodiff(), &mut make)?;
        let features = spaces.observation.features();
        let mut replay = ReplayBuffer::new(settings.buffer, features, algorithm.width())?;
        if let Some(Prioritized { alpha, .. }) = settings.prioritized {
            replay = replay.prioritized(alpha)?;
        }
        Ok(Self {
            algorithm,
            settings,
            spaces: spaces.clone(),
            replay,
            n_steps: Vec::new(),
            random,
            journal: Journal::new(A::MODEL, config, spaces)?,
            rounds: 0,
            metrics: Vec::new(),
            left: None,
        })
    }

    fn config(&self) -> &A::Config {
        self.algorithm.config()
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
        self.algorithm.decide(observation, mask)
    }

    fn draw(&self, observation: &[f32], mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        self.algorithm.draw(observation, mask, random)
    }

    fn learn(
        &mut self,
        environments: &mut dyn VectorEnvironment,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Learned> {
        self.spaces.expect(environments.spaces())?;
        self.journal.start(budget, progress)?;
        self.meet(environments);
        // One that was stopped.
        self.evaluate_when_due(progress)?;
        while self.journal.run.next(progress) {
            let before = self.journal.steps();
            self.collect(environments)?;
            // The same updates after the same steps, however many are made at once.
            for step in before..self.journal.steps() {
                self.train(step + 1)?;
            }
            if self.journal.run.is_report_due(A::REPORT_EVERY) {
                self.journal.report(&self.metrics, progress);
            }
            self.evaluate_when_due(progress)?;
            self.save_when_due(environments, progress)?;
        }
        let learned = self.end(environments, progress)?;
        let pending = self.n_steps.iter().any(|steps| steps.next().is_some());
        self.left = if pending { mark(environments) } else { None };
        Ok(learned)
    }

    fn acting(&self) -> Result<Parts> {
        let parts = self.algorithm.parts();
        let networks = parts.iter().map(|part| (part.name, part.network.clone())).collect();
        Ok(Parts { networks, other: json!(null) })
    }

    fn restore_acting(&mut self, acting: Parts) -> Result<()> {
        for part in self.algorithm.parts_mut() {
            let network = acting.networks.iter().find(|(name, _)| *name == part.name);
            part.take(&network.ok_or_else(|| unfit(part.name))?.1)?;
        }
        Ok(())
    }

    fn learning(&self) -> Result<(Columns, Value)> {
        let parts = self.algorithm.parts();
        let mut columns: Vec<_> = parts.iter().flat_map(|part| part.columns()).collect();
        columns.extend(self.replay.columns().into_iter().map(|(n, c)| (n.to_owned(), c)));
        let learning = to_state(&(
            (&self.random, &self.journal, &self.n_steps),
            (self.rounds, self.replay.position(), self.replay.masked_actions()),
            self.algorithm.state()?,
        ))?;
        Ok((Columns(columns), learning))
    }

    fn restore_learning(&mut self, mut columns: Columns, learning: &Value) -> Result<()> {
        let ((random, counted, n_steps), (rounds, position, masked), exploring): Saved =
            from_state(learning)?;
        let (features, width) = (self.spaces.observation.features(), self.algorithm.width());
        let Settings { n_step, discount, .. } = self.settings;
        let holds = |actions: &[f32]| self.algorithm.holds(actions);
        if !n_steps.iter().all(|steps| steps.fits(n_step, discount, (features, width), holds)) {
            return Err(unfit("pending steps"));
        }
        for part in self.algorithm.parts_mut() {
            part.restore(|name| finite(columns.take(name)))?;
        }
        self.replay.restore(position, |name| columns.take(name))?;
        let choices = self.spaces.action.choices();
        if self.replay.masked_actions() != masked || masked.is_some_and(|count| count != choices) {
            return Err(unfit("replay_masks"));
        }
        if !self.algorithm.holds(self.replay.actions()) {
            return Err(unfit("replay_actions"));
        }
        self.algorithm.restore(&exploring, n_steps.len())?;
        self.journal.restore(counted)?;
        (self.random, self.n_steps, self.rounds, self.left) = (random, n_steps, rounds, None);
        self.metrics.clear();
        Ok(())
    }
}

acts!(OffPolicy<B>, B: OffPolicyAlgorithm);

/// A column without NaN and infinity.
fn finite(column: Option<Vec<f32>>) -> Option<Vec<f32>> {
    column.filter(|values| values.iter().all(|value| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use model_utils::train::Silent;

    use super::super::dqn::{DeepQ, Dqn, DqnConfig};
    use super::super::sac::{Sac, SacConfig, SoftActorCritic};
    use super::super::td3::{Td3Config, TwinDelayed};
    use super::*;
    use crate::environments::{CartPole, Maze, Pendulum};
    use crate::space::Space;
    use crate::vector::SyncVectorEnvironment;
    use crate::wrappers::TimeLimit;

    fn device() -> Device {
        "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap()
    }

    /// A run with any column or network cut short, filled with NaN or left out is refused.
    fn is_whole<A: OffPolicyAlgorithm>(
        config: &A::Config,
        environments: &mut dyn VectorEnvironment,
    ) {
        let mut agent =
            OffPolicy::<A>::from_config(config, environments.spaces(), &device()).unwrap();
        agent.learn(environments, Budget::steps(60), &mut Silent).unwrap();
        let (acting, (Columns(columns), learning)) =
            (agent.acting().unwrap(), agent.learning().unwrap());
        let mut taken = |acting: &Parts, columns: &[(String, Vec<f32>)]| {
            let restored = agent
                .restore_acting(acting.clone())
                .and_then(|()| agent.restore_learning(Columns(columns.to_vec()), &learning));
            assert!(matches!(restored, Ok(()) | Err(Error::Resume(_))), "{restored:?}");
            restored.is_ok()
        };
        assert!(taken(&acting, &columns));
        for at in 0..columns.len() {
            let changes: [fn(&mut Vec<f32>); 4] = [
                |column| column.truncate(column.len() - 1),
                |column| column.push(0.5),
                |column| column.fill(f32::NAN),
                Vec::clear,
            ];
            for change in changes {
                let mut other = columns.clone();
                change(&mut other[at].1);
                assert!(!taken(&acting, &other), "{}", columns[at].0);
            }
            let mut other = columns.clone();
            other.remove(at);
            assert!(!taken(&acting, &other), "{}", columns[at].0);
        }
        for at in 0..acting.networks.len() {
            let mut other = acting.clone();
            other.networks[at].1 = Network::constant(&[0.5; 3]);
            assert!(!taken(&other, &columns));
            other.networks.remove(at);
            assert!(!taken(&other, &columns));
        }
    }

    #[test]
    fn damaged_runs_are_refused() {
        let dqn = DqnConfig::new().with_hidden(vec![4]).with_batch_size(8).with_buffer(40);
        let dqn = dqn.with_learning_starts(10).with_n_step(3).with_prioritized(Some(0.6));
        is_whole::<DeepQ>(&dqn.clone().with_dueling(true), &mut CartPole::make_vec(2, 5).unwrap());
        let maze = TimeLimit::new(Maze::three_by_three().environment(), 50).unwrap();
        is_whole::<DeepQ>(&dqn, &mut SyncVectorEnvironment::new(vec![maze], 1).unwrap());
        let sac = SacConfig::new().with_hidden(vec![4]).with_batch_size(8).with_noise(0.1);
        for explores in [None, Some(-2.0)] {
            let sac = sac.clone().with_learning_starts(10).with_state_dependent(explores);
            is_whole::<SoftActorCritic>(&sac, &mut Pendulum::make_vec(2, 5).unwrap());
        }
        let td3 = Td3Config::new().with_hidden(vec![4]).with_batch_size(8).with_learning_starts(10);
        is_whole::<TwinDelayed>(&td3, &mut Pendulum::make_vec(2, 5).unwrap());
    }

    #[test]
    fn priorities_that_no_run_has_are_refused() {
        let mut poles = CartPole::make_vec(1, 5).unwrap();
        let config = DqnConfig::new().with_hidden(vec![4]).with_prioritized(Some(0.6));
        let mut agent = config.init(poles.spaces(), &device()).unwrap();
        agent.learn(&mut poles, Budget::steps(20), &mut Silent).unwrap();
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 0.0] {
            let (Columns(mut columns), learning) = agent.learning().unwrap();
            let column = columns.iter_mut().find(|(name, _)| name == "replay_priorities");
            let bits = wrong.to_bits();
            column.unwrap().1[..2].copy_from_slice(&[
                f32::from_bits((bits >> 32) as u32),
                f32::from_bits(bits as u32),
            ]);
            let error = agent.restore_learning(Columns(columns), &learning).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("replay_priorities"), "{error}");
        }
        let explores = SacConfig::new().with_state_dependent(Some(-2.0));
        let pendulums = Pendulum::make_vec(1, 5).unwrap();
        let mut with = explores.init(pendulums.spaces(), &device()).unwrap();
        let without: Sac = SacConfig::new().init(pendulums.spaces(), &device()).unwrap();
        let error = with.restore(without.snapshot().unwrap()).unwrap_err().to_string();
        assert!(error.contains("does not fit"), "{error}");
        let other: Dqn = DqnConfig::new().init(poles.spaces(), &device()).unwrap();
        assert!(agent.restore(other.snapshot().unwrap()).is_err());
    }

    /// The formula of the fixture.
    fn numbers(count: usize, phase: f64) -> Vec<f32> {
        (0..count).map(|i| (0.6 * (1.3 * i as f64 + phase).sin()) as f32).collect()
    }

    fn batch(number: usize, width: usize) -> Batch {
        let phase = |phase: f64| phase + number as f64;
        let times = |times: f32, mut numbers: Vec<f32>| {
            for x in &mut numbers {
                *x *= times;
            }
            numbers
        };
        Batch {
            observations: times(2.0, numbers(12, phase(1.0))),
            nexts: times(2.0, numbers(12, phase(2.0))),
            actions: match width {
                0 => (0..4).map(|i| ((i + number) % 2) as f32).collect(),
                _ => numbers(4 * width, phase(3.0)),
            },
            rewards: times(3.0, numbers(4, phase(4.0))),
            discounts: vec![0.9, 0.0, 0.81, 0.9],
            weights: vec![1.0, 0.5, 0.8, 0.2],
            masks: None,
            indices: vec![0, 1, 2, 3],
        }
    }

    /// Four updates are those of torch.
    fn agrees<A: OffPolicyAlgorithm>(
        name: &str,
        config: &A::Config,
        action: Space,
        mut learn: impl FnMut(&mut A, usize, &Moment) -> Update,
    ) {
        let text = include_str!("../../tests/fixtures/off_policy.json");
        let all: Value = serde_json::from_str(text).unwrap();
        let expected: std::collections::BTreeMap<String, Vec<f32>> =
            from_state(&all[name]).unwrap();
        let spaces = Spaces { observation: Space::symmetric(3, 9.0), action };
        let phases =
            [("q", 0.5), ("actor", 0.1), ("critic_1", 0.2), ("critic_2", 1.2), ("target", 0.9)];
        let filled = |name: &str, mut network: Network| {
            let phase = phases.iter().find(|(known, _)| *known == name).unwrap().1;
            let count = network.values().len();
            network.values_mut().copy_from_slice(&numbers(count, phase));
            network
        };
        let hidden = A::settings(config).hidden;
        let mut make = |name: &'static str, inputs, outputs| {
            let hidden = if name == "actor" { 5 } else { hidden[0] };
            let (relu, start) = (Activation::Relu, Start::Even);
            let sizes = vec![inputs, hidden, outputs];
            Ok(filled(name, Network::new(sizes, relu, start, &mut Random::new(1))))
        };
        let device = device().autodiff();
        let mut algorithm = A::new(config, &spaces, &device, &mut make).unwrap();
        for part in algorithm.parts_mut().into_iter().filter(|part| part.name == "q") {
            part.target = Some(filled("target", part.network.clone()));
        }
        let mut losses = Vec::new();
        for number in 0..4 {
            let now = Moment { steps: 0, updates: number as u64 };
            let metrics = learn(&mut algorithm, number, &now).metrics;
            let loss = metrics.iter().filter(|(name, _)| name.contains("loss"));
            losses.extend(loss.map(|(_, loss)| *loss as f32));
        }
        let near = |what: &str, found: &[f32], expected: &[f32]| {
            assert_eq!(found.len(), expected.len(), "{name} {what}");
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-5, "{name} {what}: {a}, expected {b}");
            }
        };
        near("losses", &losses, &expected["losses"]);
        for part in algorithm.parts() {
            near(part.name, part.network.values(), &expected[part.name]);
            if let Some(expected) = expected.get(&format!("{}_target", part.name)) {
                near("target", part.target().values(), expected);
            }
        }
    }

    #[test]
    fn updates_are_those_of_torch() {
        let plain = DqnConfig::new().with_hidden(vec![6]).with_learning_rate(0.01);
        let plain = plain.with_batch_size(4).with_max_grad_norm(0.7);
        let both = plain.clone().with_double(true).with_dueling(true);
        for (name, config) in [
            ("dqn", plain.clone()),
            ("dqn_double_dueling", both.clone()),
            ("quantiles", plain.with_quantiles(Some(3))),
            ("quantiles_double_dueling", both.with_quantiles(Some(3))),
        ] {
            agrees::<DeepQ>(name, &config, Space::Discrete(2), |algorithm, number, now| {
                algorithm.update(batch(number, 0), now, &mut Random::new(1)).unwrap()
            });
        }
        for (name, config, smooth) in
            [("td3", Td3Config::new(), 0.5), ("ddpg", Td3Config::ddpg(), 0.0)]
        {
            let config = config.with_hidden(vec![6]).with_learning_rate(0.01).with_tau(0.1);
            agrees::<TwinDelayed>(name, &config, Space::symmetric(2, 3.0), |td3, number, now| {
                let mut noise = numbers(8, 7.0 + number as f64);
                for x in &mut noise {
                    *x *= smooth;
                }
                td3.learn(batch(number, 2), now, noise).unwrap()
            });
        }
    }
}
