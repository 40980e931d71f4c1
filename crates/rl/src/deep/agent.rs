use std::path::Path;

use burn::tensor::{Device, TensorData};
use model_utils::checkpoint::Checkpoints;
use model_utils::train::{Budget, Observer, Run};
use model_utils::weights::{Manifest, State, TensorEntry};
use model_utils_core::random::mix;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns;
use super::journal::Learned;
use super::network::Network;
use crate::environment::{Act, Choice, Features, action};
use crate::error::{Error, Result};
use crate::space::Spaces;
use crate::vector::VectorEnvironment;

/// All that an agent is, apart from its configuration.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Networks by name.
    pub(super) networks: Vec<(&'static str, Network)>,
    /// What acting needs beside them: statistics of observations.
    pub(super) acting: Value,
    /// Moments, targets, replay.
    pub(super) columns: Vec<(String, Vec<f32>)>,
    /// Generators, counters, schedules.
    pub(super) learning: Value,
}

impl Snapshot {
    /// A number that follows from every bit of it, times apart: what two runs are compared by.
    pub fn fingerprint(&self) -> u64 {
        let mut learning = self.learning.clone();
        forget_times(&mut learning);
        let mut sum = 0;
        let networks = self.networks.iter().map(|(name, network)| (*name, network.values()));
        let columns = self.columns.iter().map(|(name, column)| (name.as_str(), &column[..]));
        for (name, values) in networks.chain(columns) {
            sum = name.bytes().fold(sum, |sum, byte| mix(sum, u64::from(byte)));
            sum = values.iter().fold(sum, |sum, value| mix(sum, u64::from(value.to_bits())));
        }
        let text = format!("{}{learning}", self.acting);
        text.bytes().fold(sum, |sum, byte| mix(sum, u64::from(byte)))
    }

    /// Takes a column out.
    pub(super) fn column(&mut self, name: &str) -> Option<Vec<f32>> {
        let at = self.columns.iter().position(|(key, _)| key == name)?;
        Some(self.columns.swap_remove(at).1)
    }
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
    fn from_config(config: &Self::Config, spaces: &Spaces, device: &Device) -> Result<Self>;

    /// How it learns.
    fn config(&self) -> &Self::Config;

    /// The spaces it was made for.
    fn spaces(&self) -> &Spaces;

    /// Its run: how far it is, what was told of it, what of it is saved.
    fn run(&self) -> &Run;

    /// Its run.
    fn run_mut(&mut self) -> &mut Run;

    /// Environment steps it has learned from.
    fn steps(&self) -> u64 {
        self.run().steps()
    }

    /// The best action, for an observation as numbers `[features]`.
    fn decide(&self, observation: &[f32], mask: Option<&[bool]>) -> Choice<'static>;

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

    /// All that it is.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for what JSON cannot hold.
    fn snapshot(&self) -> Result<Snapshot>;

    /// Becomes what a snapshot was. Without `learning` only what acting needs is there.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for parts of another shape.
    fn restore(&mut self, snapshot: Snapshot) -> Result<()>;

    /// Saves what acting needs to one SafeTensors file under PyTorch's names, whole or not at
    /// all.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let snapshot = self.snapshot()?;
        let kept = Kept {
            config: self.config().clone(),
            spaces: self.spaces().clone(),
            acting: snapshot.acting,
        };
        let manifest = manifest(Self::MODEL, &kept)?;
        Ok(state(&snapshot.networks).save(path, &manifest)?)
    }

    /// The agent of a file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, is of another algorithm, or holds networks of another shape
    /// than its configuration says.
    fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let manifest = Manifest::read(path)?;
        let differences = manifest.differences_of_kind(env!("CARGO_PKG_NAME"), Self::MODEL);
        if !differences.is_empty() {
            return Err(mismatch(path, differences));
        }
        let kept: Kept<Self::Config> = manifest.config(path)?;
        let mut agent = Self::from_config(&kept.config, &kept.spaces, device)?;
        let (state, _) = State::open(path)?;
        let networks = networks(agent.snapshot()?.networks, &state, path)?;
        agent.restore(Snapshot { networks, acting: kept.acting, ..Snapshot::default() })?;
        Ok(agent)
    }

    /// Keeps checkpoints of agent and environments, one `every` so many steps and one where
    /// [`learn`](Self::learn) ends, and goes on from the latest that is there: both are as they were,
    /// bit for bit. `self` is a fresh agent of the same configuration; where there is no checkpoint,
    /// both stay as they are.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with each field in which the checkpoint is of another
    /// algorithm, configuration or spaces, and where it is damaged.
    fn resume_in(
        mut self,
        checkpoints: Checkpoints,
        every: u64,
        environments: &mut dyn VectorEnvironment,
    ) -> Result<Self> {
        let Some(saved) = self.run_mut().resume_in(checkpoints, Some(every))? else {
            return Ok(self);
        };
        let state: Resumed = saved.state()?;
        let mut snapshot = Snapshot {
            networks: self.snapshot()?.networks,
            acting: state.acting,
            columns: columns::read(&saved.bytes(COLUMNS)?)?,
            learning: state.learning,
        };
        for at in 0..snapshot.networks.len() {
            let name = snapshot.networks[at].0;
            let values = snapshot.column(name).unwrap_or_default();
            let network = &mut snapshot.networks[at].1;
            if values.len() != network.values().len() {
                return Err(Error::Resume(format!("the network {name} has another shape")));
            }
            network.values_mut().copy_from_slice(&values);
        }
        self.restore(snapshot)?;
        environments.restore(&state.environments)?;
        Ok(self)
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

    /// Saves a checkpoint where there is none of this step.
    ///
    /// # Errors
    ///
    /// As [`save_when_due`](Self::save_when_due).
    fn save_at_end(
        &mut self,
        environments: &dyn VectorEnvironment,
        progress: &mut dyn Observer,
    ) -> Result<()> {
        if self.run().is_saved() { Ok(()) } else { save(self, environments, progress) }
    }
}

/// What a checkpoint holds beside the columns of numbers.
#[derive(Debug, Serialize, Deserialize)]
struct Resumed {
    acting: Value,
    learning: Value,
    environments: Value,
}

const COLUMNS: &str = "columns";

/// Saves all that learning goes on from.
fn save<G: Agent>(
    agent: &mut G,
    environments: &dyn VectorEnvironment,
    progress: &mut dyn Observer,
) -> Result<()> {
    let Snapshot { networks, acting, mut columns, learning } = agent.snapshot()?;
    let of_networks =
        networks.iter().map(|(name, network)| ((*name).to_owned(), network.values().to_vec()));
    columns.extend(of_networks);
    let state = Resumed { acting, learning, environments: environments.state()? };
    Ok(agent.run_mut().save(progress, |checkpoint| {
        checkpoint.bytes(COLUMNS, columns::write(&columns))?.state(&state)
    })?)
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
    if wrong.is_empty() { Ok(networks) } else { Err(mismatch(path, wrong)) }
}

/// Acts in one environment.
pub(super) fn act<G: Agent, O: Features, A: Act>(
    agent: &G,
    observation: &O,
    mask: Option<&[bool]>,
) -> Result<A> {
    let spaces = agent.spaces();
    let mut row = vec![0.0; spaces.observation.features()];
    if let Some(value) = observation.not_finite() {
        return Err(Error::NotFinite { what: "observation", value, environment: 0, step: 0 });
    }
    observation.write(&spaces.observation, &mut row);
    action(&agent.decide(&row, mask), &spaces.action)
}

/// [`Policy`](crate::Policy) for an agent.
macro_rules! acts {
    ($agent:ty $(, $generic:ident : $bound:path)?) => {
        impl<$($generic: $bound,)? O: $crate::environment::Features, A: $crate::environment::Act>
            $crate::environment::Policy<O, A> for $agent
        {
            fn act(&self, observation: &O, mask: Option<&[bool]>) -> $crate::Result<A> {
                $crate::deep::agent::act(self, observation, mask)
            }
        }
    };
}
pub(super) use acts;
