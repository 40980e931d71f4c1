use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, TensorData};
use model_utils::checkpoint::Checkpoints;
use model_utils::train::{Budget, Observer, Run};
use model_utils::weights::{Manifest, State, TensorEntry};
use model_utils_core::random::{Random, mix};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns;
use super::evaluation::{Best, PeriodicEvaluation};
use super::journal::{Journal, Learned};
use super::network::{Build, Network, NetworkShape};
use crate::environment::{Element, Policy, action, misfit};
use crate::error::{Error, Result};
use crate::space::Spaces;
use crate::vector::VectorEnvironment;

/// What acting needs, apart from the configuration.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Networks by name.
    pub(super) networks: Vec<(&'static str, Network)>,
    /// What else: statistics of observations.
    pub(super) other: Value,
}

/// Columns of numbers by name: moments, targets, replay.
#[derive(Debug, Clone, Default)]
pub struct Columns(pub(super) Vec<(String, Vec<f32>)>);

impl Columns {
    /// Takes a column out.
    pub(super) fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// All that an agent is, apart from its configuration.
#[derive(Debug, Clone)]
pub struct Snapshot {
    acting: Parts,
    columns: Columns,
    learning: Value,
}

/// What is beside the weights in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<C> {
    config: C,
    spaces: Spaces,
    acting: Value,
}

/// An agent with networks: acts, learns, is saved, and goes on exactly where it stopped.
pub trait Agent: Sized {
    /// How it learns.
    type Config: Clone + Serialize + DeserializeOwned;
    /// Its name in files.
    const MODEL: &'static str;

    /// A fresh agent.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a configuration that cannot work, [`Error::Spaces`] for spaces that
    /// the algorithm cannot handle.
    fn from_config(config: &Self::Config, spaces: &Spaces, device: &Device) -> Result<Self> {
        Self::build(config, spaces, device, None)
    }

    /// A fresh agent with networks of the user's own in place of the configuration's perceptrons.
    ///
    /// # Errors
    ///
    /// As [`from_config`](Self::from_config), from `build`, and for networks of another shape.
    fn from_networks(
        config: &Self::Config,
        spaces: &Spaces,
        device: &Device,
        build: &mut dyn FnMut(&NetworkShape) -> Result<Network>,
    ) -> Result<Self> {
        Self::build(config, spaces, device, Some(build))
    }

    /// A fresh agent, with the user's own networks where they are built.
    #[doc(hidden)]
    fn build(
        config: &Self::Config,
        spaces: &Spaces,
        device: &Device,
        own: Option<&mut Build<'_>>,
    ) -> Result<Self>;

    /// How it learns.
    fn config(&self) -> &Self::Config;

    /// The spaces it was made for.
    fn spaces(&self) -> &Spaces;

    /// What it counts.
    fn journal(&self) -> &Journal;

    /// What it counts.
    fn journal_mut(&mut self) -> &mut Journal;

    /// Its run: how far it is, what was told of it, what of it is saved.
    fn run(&self) -> &Run {
        &self.journal().run
    }

    /// Environment steps it has learned from.
    fn steps(&self) -> u64 {
        self.run().steps()
    }

    /// The best action in its flat form, for an observation's features.
    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Vec<f64>;

    /// An action as the agent draws them while it learns, in its flat form: from the policy's
    /// distribution, or the best one where there is none.
    fn draw(&self, observation: &[f32], mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        let _ = random;
        self.decide(observation, mask)
    }

    /// The policy that draws its actions, from a seed.
    fn stochastic(&self, seed: u64) -> Stochastic<'_, Self> {
        Stochastic { agent: self, random: Mutex::new(Random::new(seed)) }
    }

    /// Learns in environments until the budget is spent: steps count in all, over all
    /// environments, the parts before a resume included. The on-policy agents finish the rollout
    /// that they are in.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a budget without steps, episodes and time, [`Error::Spaces`] for
    /// environments of other spaces, [`Error::NotFinite`], and from the environments.
    fn learn(
        &mut self,
        environments: &mut dyn VectorEnvironment,
        budget: Budget,
        progress: &mut dyn Observer,
    ) -> Result<Learned>;

    /// What acting needs.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for what JSON cannot hold.
    fn acting(&self) -> Result<Parts>;

    /// Acts as these parts do.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for parts of another shape.
    fn restore_acting(&mut self, acting: Parts) -> Result<()>;

    /// What learning needs beside it: columns of numbers, and generators, counters and schedules.
    ///
    /// # Errors
    ///
    /// As [`acting`](Self::acting).
    fn learning(&self) -> Result<(Columns, Value)>;

    /// Learns on from there.
    ///
    /// # Errors
    ///
    /// As [`restore_acting`](Self::restore_acting).
    fn restore_learning(&mut self, columns: Columns, learning: &Value) -> Result<()>;

    /// All that it is, to come back to.
    ///
    /// # Errors
    ///
    /// As [`acting`](Self::acting).
    fn snapshot(&self) -> Result<Snapshot> {
        let (columns, learning) = self.learning()?;
        Ok(Snapshot { acting: self.acting()?, columns, learning })
    }

    /// Becomes what a snapshot was.
    ///
    /// # Errors
    ///
    /// As [`restore_acting`](Self::restore_acting).
    fn restore(&mut self, snapshot: Snapshot) -> Result<()> {
        self.restore_acting(snapshot.acting)?;
        self.restore_learning(snapshot.columns, &snapshot.learning)
    }

    /// A number that follows from every bit of the agent, times apart: what two runs are compared by.
    ///
    /// # Errors
    ///
    /// As [`acting`](Self::acting).
    fn fingerprint(&self) -> Result<u64> {
        let (Parts { networks, other }, (columns, mut learning)) =
            (self.acting()?, self.learning()?);
        forget_times(&mut learning);
        let mut sum = 0;
        let networks = networks.iter().map(|(name, network)| (*name, network.values()));
        let columns = columns.0.iter().map(|(name, column)| (name.as_str(), &column[..]));
        for (name, values) in networks.chain(columns) {
            sum = name.bytes().fold(sum, |sum, byte| mix(sum, u64::from(byte)));
            sum = values.iter().fold(sum, |sum, value| mix(sum, u64::from(value.to_bits())));
        }
        let text = format!("{other}{learning}");
        Ok(text.bytes().fold(sum, |sum, byte| mix(sum, u64::from(byte))))
    }

    /// Judges the agent now and then while it learns, keeps its best state, and tells of
    /// `eval_reward_mean`. To be said before [`resume_in`](Self::resume_in), which brings the best
    /// state back.
    #[must_use]
    fn evaluated_by(mut self, mut evaluation: PeriodicEvaluation) -> Self {
        evaluation.passed = self.steps();
        self.journal_mut().evaluation = Some(evaluation);
        self
    }

    /// The best state so far, of an agent that is [evaluated](Self::evaluated_by).
    fn best(&self) -> Option<Best> {
        self.journal().evaluation.as_ref().and_then(PeriodicEvaluation::best)
    }

    /// Acts as in its best state from now on; that state, or none where it was never evaluated. To
    /// act, not to learn on: what learning needs stays that of the last state.
    ///
    /// # Errors
    ///
    /// As [`restore_acting`](Self::restore_acting).
    fn become_best(&mut self) -> Result<Option<Best>> {
        let kept = self.journal().evaluation.as_ref().and_then(|all| all.best.clone());
        let Some((best, parts)) = kept else { return Ok(None) };
        self.restore_acting(parts)?;
        Ok(Some(best))
    }

    /// Saves what acting needs to one SafeTensors file under PyTorch's names, whole or not at
    /// all.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let Parts { networks, other } = self.acting()?;
        let (config, spaces) = (self.config().clone(), self.spaces().clone());
        let manifest = manifest(Self::MODEL, &Kept { config, spaces, acting: other })?;
        Ok(state(&networks).save(path, &manifest)?)
    }

    /// The agent of a file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, is of another algorithm, or holds networks of another shape
    /// than its configuration says.
    fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        load(path.as_ref(), device, None)
    }

    /// The agent of a file with networks of the user's own, built as they were when it was saved.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), with each parameter that is missing or of another shape, and from
    /// `build`.
    fn load_with(
        path: impl AsRef<Path>,
        device: &Device,
        build: &mut dyn FnMut(&NetworkShape) -> Result<Network>,
    ) -> Result<Self> {
        load(path.as_ref(), device, Some(build))
    }

    /// Keeps checkpoints of agent and environments, one `every` so many steps and one where
    /// [`learn`](Self::learn) ends, and goes on from the latest that is there: both are as they were,
    /// bit for bit. `self` is a fresh agent of the same configuration; where there is no checkpoint,
    /// both stay as they are.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with each field in which the checkpoint is of another
    /// algorithm, configuration or spaces, and where it is damaged; and where the environments
    /// cannot save their state.
    fn resume_in(
        mut self,
        checkpoints: Checkpoints,
        every: u64,
        environments: &mut dyn VectorEnvironment,
    ) -> Result<Self> {
        // Known now, rather than when the first checkpoint is due.
        environments.state()?;
        let run = &mut self.journal_mut().run;
        let Some(saved) = run.resume_in(checkpoints, Some(every))? else {
            return Ok(self);
        };
        let state: Resumed = saved.state()?;
        let mut columns = Columns(columns::read(&saved.bytes(COLUMNS)?)?);
        let mut take = |prefix: &str, mut networks: Vec<(&'static str, Network)>| {
            for (name, network) in &mut networks {
                network.set(&columns.take(&format!("{prefix}{name}")).unwrap_or_default())?;
            }
            Ok::<_, Error>(networks)
        };
        let fresh = self.acting()?.networks;
        let best = match state.best {
            Some(best) => Some((best, take("best_", fresh.clone())?)),
            None => None,
        };
        let networks = take("", fresh)?;
        let acting = Parts { networks, other: state.acting };
        self.restore(Snapshot { acting, columns, learning: state.learning })?;
        let steps = self.steps();
        if let Some(evaluation) = &mut self.journal_mut().evaluation {
            // One that was stopped is made up for.
            (evaluation.passed, evaluation.judged_at) = state.judged.unwrap_or((steps, None));
            evaluation.best = best.map(|(best, networks)| {
                (best, Parts { networks, other: state.best_acting.unwrap_or_default() })
            });
        }
        environments.restore(&state.environments)?;
        Ok(self)
    }

    /// Judges the agent where that is due: for a loop that learns.
    ///
    /// # Errors
    ///
    /// From the environments, and where the best state cannot be saved.
    fn evaluate_when_due(&mut self, progress: &mut dyn Observer) -> Result<()> {
        let steps = self.steps();
        if self.journal().evaluation.as_ref().is_some_and(|all| all.is_due(steps)) {
            evaluate_now(self, progress)?;
        }
        Ok(())
    }

    /// Ends a part of the run: the last state is judged and saved too.
    ///
    /// # Errors
    ///
    /// As [`evaluate_when_due`](Self::evaluate_when_due) and [`save_when_due`](Self::save_when_due).
    fn end(
        &mut self,
        environments: &dyn VectorEnvironment,
        progress: &mut dyn Observer,
    ) -> Result<Learned> {
        let steps = self.steps();
        let unjudged = |all: &PeriodicEvaluation| !all.is_done(steps);
        if self.journal().evaluation.as_ref().is_some_and(unjudged) && !progress.wants_stop() {
            evaluate_now(self, progress)?;
        }
        if !self.run().is_saved() {
            save(self, environments, progress)?;
        }
        Ok(self.journal_mut().finish(progress))
    }

    /// Saves a checkpoint where one is due: for a loop that learns.
    ///
    /// # Errors
    ///
    /// Where it cannot be written, or an environment cannot save itself.
    fn save_when_due(
        &mut self,
        environments: &dyn VectorEnvironment,
        progress: &mut dyn Observer,
    ) -> Result<()> {
        if self.run().is_save_due() { save(self, environments, progress) } else { Ok(()) }
    }
}

/// What a checkpoint holds beside the columns of numbers.
#[derive(Debug, Serialize, Deserialize)]
struct Resumed {
    acting: Value,
    learning: Value,
    environments: Value,
    #[serde(default)]
    best: Option<Best>,
    #[serde(default)]
    best_acting: Option<Value>,
    /// How far evaluations are done, and the step of the last one.
    #[serde(default)]
    judged: Option<(u64, Option<u64>)>,
}

const COLUMNS: &str = "columns";

/// Saves all that learning goes on from.
fn save<G: Agent>(
    agent: &mut G,
    environments: &dyn VectorEnvironment,
    progress: &mut dyn Observer,
) -> Result<()> {
    let (acting, (mut columns, learning)) = (agent.acting()?, agent.learning()?);
    let named = |prefix: &str, networks: &[(&str, Network)]| {
        let column = |(name, network): &(&str, Network)| {
            (format!("{prefix}{name}"), network.values().to_vec())
        };
        networks.iter().map(column).collect::<Vec<_>>()
    };
    columns.0.extend(named("", &acting.networks));
    let kept = agent.journal().evaluation.as_ref().and_then(|all| all.best.as_ref());
    if let Some((_, parts)) = kept {
        columns.0.extend(named("best_", &parts.networks));
    }
    let state = Resumed {
        acting: acting.other,
        learning,
        environments: environments.state()?,
        best: kept.map(|(best, _)| *best),
        best_acting: kept.map(|(_, parts)| parts.other.clone()),
        judged: agent.journal().evaluation.as_ref().map(|all| (all.passed, all.judged_at)),
    };
    Ok(agent.journal_mut().run.save(progress, |checkpoint| {
        checkpoint.bytes(COLUMNS, columns::write(&columns.0))?.state(&state)
    })?)
}

/// Judges the agent and tells of it.
fn evaluate_now<G: Agent>(agent: &mut G, progress: &mut dyn Observer) -> Result<()> {
    let Some(mut evaluation) = agent.journal_mut().evaluation.take() else { return Ok(()) };
    agent.journal_mut().run.pause();
    let judged = evaluation.judge(agent, progress);
    agent.journal_mut().evaluation = Some(evaluation);
    if let Some(mean) = judged? {
        agent.journal_mut().run.report(&[("eval_reward_mean", mean)], progress);
    }
    Ok(())
}

/// Takes the time spent out: it differs from run to run.
fn forget_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("wall_s");
            map.values_mut().for_each(forget_times);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_times),
        _ => {}
    }
}

fn mismatch(path: &Path, differences: Vec<String>) -> Error {
    model_utils_core::Error::Mismatch { path: path.to_path_buf(), differences }.into()
}

fn manifest(model: &str, config: &impl Serialize) -> Result<Manifest> {
    Ok(Manifest::new(env!("CARGO_PKG_NAME"), model, config)?)
}

fn state(networks: &[(&'static str, Network)]) -> State {
    let mut state = State::default();
    for (name, network) in networks {
        for (key, values, shape) in network.tensors(name) {
            let data = TensorData::new(values, shape);
            state.tensors.insert(key, TensorEntry { data, param_id: None });
        }
    }
    state
}

/// The agent of a file.
fn load<G: Agent>(path: &Path, device: &Device, own: Option<&mut Build<'_>>) -> Result<G> {
    let manifest = Manifest::read(path)?;
    let differences = manifest.differences_of_kind(env!("CARGO_PKG_NAME"), G::MODEL);
    if !differences.is_empty() {
        return Err(mismatch(path, differences));
    }
    let kept: Kept<G::Config> = manifest.config(path)?;
    let mut agent = G::build(&kept.config, &kept.spaces, device, own)?;
    let (state, _) = State::open(path)?;
    let networks = networks(agent.acting()?.networks, &state, path)?;
    agent.restore_acting(Parts { networks, other: kept.acting })?;
    Ok(agent)
}

/// The networks with the values of a file.
fn networks(
    mut networks: Vec<(&'static str, Network)>,
    state: &State,
    path: &Path,
) -> Result<Vec<(&'static str, Network)>> {
    let mut wrong = Vec::new();
    for (name, network) in &mut networks {
        wrong.extend(network.take(name, |key| {
            let data = &state.tensors.get(key)?.data;
            Some((data.iter::<f32>().collect(), data.shape().to_vec()))
        }));
    }
    for (name, network) in &networks {
        if !network.values().iter().all(|value| value.is_finite()) {
            wrong.push(format!("`{name}` has weights that are not finite"));
        }
    }
    if wrong.is_empty() { Ok(networks) } else { Err(mismatch(path, wrong)) }
}

/// An observation's features, with a mask beside it.
pub(super) fn features<O: Element>(
    spaces: &Spaces,
    observation: &O,
    mask: Option<&[bool]>,
) -> Result<Vec<f32>> {
    let space = &spaces.observation;
    let mut row = vec![0.0; space.features()];
    observation.encode(space, &mut row).map_err(|fault| misfit(fault, space, 0, 0))?;
    if let Some(mask) = mask {
        spaces.check_mask(mask)?;
    }
    Ok(row)
}

/// Acts in one environment.
pub(super) fn act<G: Agent, O: Element, A: Element>(
    agent: &G,
    observation: &O,
    mask: Option<&[bool]>,
) -> Result<A> {
    let spaces = agent.spaces();
    let row = features(spaces, observation, mask)?;
    action(&agent.decide(&row, mask), &spaces.action)
}

/// An agent that draws its actions: [`Agent::stochastic`].
#[derive(Debug)]
pub struct Stochastic<'a, G> {
    agent: &'a G,
    random: Mutex<Random>,
}

impl<G: Agent, O: Element, A: Element> Policy<O, A> for Stochastic<'_, G> {
    fn act(&self, observation: &O, mask: Option<&[bool]>) -> Result<A> {
        let spaces = self.agent.spaces();
        let row = features(spaces, observation, mask)?;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        action(&self.agent.draw(&row, mask, &mut random), &spaces.action)
    }

    fn spaces(&self) -> Option<&Spaces> {
        Some(self.agent.spaces())
    }
}

/// [`Policy`](crate::Policy) for an agent.
macro_rules! acts {
    ($agent:ty $(, $generic:ident : $bound:path)?) => {
        impl<
            $($generic: $bound,)?
            O: $crate::environment::Element,
            A: $crate::environment::Element,
        > $crate::environment::Policy<O, A> for $agent
        {
            fn act(&self, observation: &O, mask: Option<&[bool]>) -> $crate::Result<A> {
                $crate::deep::agent::act(self, observation, mask)
            }

            fn spaces(&self) -> Option<&$crate::Spaces> {
                Some($crate::deep::Agent::spaces(self))
            }
        }
    };
}
pub(super) use acts;

#[cfg(test)]
mod tests {
    use model_utils::train::Silent;
    use serde_json::json;

    use super::*;
    use crate::deep::{A2cConfig, DqnConfig, PpoConfig, ReinforceConfig, SacConfig, Td3Config};
    use crate::environments::{CartPole, Pendulum};

    /// The places of a value's leaves and lists.
    fn places(value: &Value, at: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), out));
            }
            Value::Array(list) => {
                let some = list.iter().enumerate().take(8);
                some.for_each(|(i, value)| places(value, &format!("{at}/{i}"), out));
            }
            _ => {}
        }
        out.push(at.to_owned());
    }

    fn mutate(value: &mut Value, random: &mut Random) {
        let mut all = Vec::new();
        places(value, "", &mut all);
        let Some(place) = value.pointer_mut(&all[random.below(all.len())]) else { return };
        if let (Value::Array(list), true) = (&mut *place, random.bernoulli(0.5)) {
            list.pop();
            return;
        }
        let others = [
            json!(null),
            json!(-1),
            json!(0),
            json!(7),
            json!(1e308),
            json!(-0.5),
            json!(u64::MAX),
            json!("x"),
            json!([]),
            json!({}),
            json!(true),
            json!([1, 2, 3]),
        ];
        *place = others[random.below(others.len())].clone();
    }

    /// Mutates what an agent saves, restores it, and where that is accepted acts and learns on.
    fn survives<A: Agent>(
        config: &A::Config,
        make: impl Fn() -> Box<dyn VectorEnvironment>,
        times: u64,
    ) {
        let device = "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap();
        let spaces = make().spaces().clone();
        let fresh = || A::from_config(config, &spaces, &device).unwrap();
        let (mut agent, mut environments) = (fresh(), make());
        agent.learn(environments.as_mut(), Budget::steps(60), &mut Silent).unwrap();
        let state = environments.state().unwrap();
        let row = vec![0.1; spaces.observation.features()];
        let (mut refused, mut random) = (0, Random::new(A::MODEL.len() as u64));
        for _ in 0..times {
            let mut snapshot = agent.snapshot().unwrap();
            let mut state = state.clone();
            match random.below(4) {
                0 => mutate(&mut snapshot.learning, &mut random),
                1 => mutate(&mut snapshot.acting.other, &mut random),
                2 => mutate(&mut state, &mut random),
                _ => {
                    let columns = &mut snapshot.columns.0;
                    let at = random.below(columns.len());
                    let column = &mut columns[at].1;
                    match random.below(3) {
                        0 => drop(column.pop()),
                        1 => column.push(1.0),
                        _ if column.is_empty() => {}
                        _ => {
                            let place = random.below(column.len());
                            column[place] = [f32::NAN, -1.0, 1e30, 3.7][random.below(4)];
                        }
                    }
                }
            }
            let (mut again, mut environments) = (fresh(), make());
            let taken = again.restore(snapshot).and_then(|()| environments.restore(&state));
            refused += u64::from(taken.is_err());
            if taken.is_ok() {
                let numbers = again.decide(&row, None);
                assert_eq!(numbers.len(), spaces.action.numbers());
                // It may find out then.
                let more = Budget::steps(again.steps().saturating_add(20));
                let _ = again.learn(environments.as_mut(), more, &mut Silent);
            }
        }
        assert!(refused > times / 8, "{}: {refused} of {times} refused", A::MODEL);
    }

    fn all_survive(times: u64) {
        let poles = || Box::new(CartPole::make_vec(2, 5).unwrap()) as Box<dyn VectorEnvironment>;
        let waves = || Box::new(Pendulum::make_vec(2, 5).unwrap()) as Box<dyn VectorEnvironment>;
        let dqn = DqnConfig::new().with_hidden(vec![8]).with_learning_starts(20);
        let dqn = dqn.with_batch_size(8).with_buffer(40).with_n_step(3);
        survives::<crate::deep::Dqn>(&dqn.with_prioritized(Some(0.6)), poles, times);
        let ppo = PpoConfig::new().with_hidden(vec![8]).with_steps(8).with_batch_size(8);
        let ppo = ppo.with_epochs(1).with_normalize_observations(true).with_normalize_rewards(true);
        survives::<crate::deep::Ppo>(&ppo, waves, times);
        survives::<crate::deep::A2c>(&A2cConfig::new().with_hidden(vec![8]), poles, times);
        let reinforce = ReinforceConfig::new().with_hidden(vec![8]).with_steps(8);
        survives::<crate::deep::Reinforce>(&reinforce, poles, times);
        let sac = SacConfig::new().with_hidden(vec![8]).with_batch_size(8).with_noise(0.1);
        let sac = sac.with_learning_starts(20).with_buffer(40);
        survives::<crate::deep::Sac>(&sac.with_state_dependent(Some(-2.0)), waves, times);
        let td3 = Td3Config::new().with_hidden(vec![8]).with_batch_size(8);
        survives::<crate::deep::Td3>(&td3.with_learning_starts(20), waves, times);
    }

    #[test]
    fn mutated_states_are_errors_or_harmless() {
        all_survive(150);
    }

    /// `cargo test --workspace --release --lib -- --ignored mutated`
    #[test]
    #[ignore = "minutes"]
    fn mutated_states_are_errors_or_harmless_a_hundred_thousand_times() {
        all_survive(20_000);
    }
}
