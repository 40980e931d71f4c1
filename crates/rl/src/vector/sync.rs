use model_utils_core::config::{self, ConfigError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Actions, Episode, Transitions, VectorEnvironment, episode_seed};
use crate::environment::{Act, Choice, Environment, Features, action, from_state, to_state};
use crate::error::{Error, Result};
use crate::evaluate::check;
use crate::space::{Space, Spaces};

/// Any environments side by side, on one thread or on several for slow ones.
///
/// ```
/// use rl::environments::FrozenLake;
/// use rl::vector::{SyncVectorEnvironment, VectorEnvironment as _};
/// use rl::wrappers::TimeLimit;
///
/// let lake = || TimeLimit::new(FrozenLake::four_by_four().environment(), 100);
/// let lakes = (0..4).map(|_| lake()).collect::<Result<_, _>>()?;
/// let lakes = SyncVectorEnvironment::new(lakes, 42)?.threads(2)?;
/// assert_eq!(lakes.observations().len(), 4 * 16);
/// # Ok::<(), rl::Error>(())
/// ```
#[derive(Debug)]
pub struct SyncVectorEnvironment<E: Environment> {
    cells: Vec<Cell<E>>,
    spaces: Spaces,
    seed: u64,
    threads: Option<rayon::ThreadPool>,
    observations: Vec<f32>,
    masks: Option<Vec<bool>>,
    transitions: Transitions,
}

/// An environment and the episode that it is in.
#[derive(Debug)]
struct Cell<E: Environment> {
    index: usize,
    environment: E,
    observation: E::Observation,
    progress: Progress,
    outcome: Result<Outcome<E::Observation>>,
}

#[derive(Debug)]
struct Outcome<O> {
    reward: f64,
    terminated: bool,
    truncated: bool,
    ended: Option<(O, Episode)>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Progress {
    steps: u64,
    episode: u64,
    length: u64,
    reward: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    seed: u64,
    cells: Vec<(Progress, Value, Vec<f64>)>,
}

impl<E: Environment + Send> SyncVectorEnvironment<E>
where
    E::Observation: Features,
    E::Action: Act,
{
    /// These environments, started from a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none, [`Error::Spaces`] where they differ, and what a reset refuses.
    pub fn new(environments: Vec<E>, seed: u64) -> Result<Self> {
        let count = environments.len();
        let Some(first) = environments.first() else {
            return Err(ConfigError::new("environments", 0, "at least 1").into());
        };
        let spaces = first.spaces();
        for other in &environments {
            spaces.expect(&other.spaces())?;
        }
        let mut cells = Vec::with_capacity(count);
        for (index, mut environment) in environments.into_iter().enumerate() {
            let observation = environment.reset(episode_seed(seed, index, 0))?;
            let outcome = Err(Error::Ended);
            let progress = Progress::default();
            cells.push(Cell { index, environment, observation, progress, outcome });
        }
        let features = spaces.observation.features();
        let mut all = Self {
            cells,
            spaces,
            seed,
            threads: None,
            observations: vec![0.0; count * features],
            masks: None,
            transitions: Transitions::new(count, features),
        };
        all.observe()?;
        Ok(all)
    }

    /// Steps the environments on so many threads.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none, or where the system gives none.
    pub fn threads(mut self, count: usize) -> Result<Self> {
        config::at_least("threads", count, 1)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        self.threads = Some(pool.map_err(|e| ConfigError::new("threads", count, e.to_string()))?);
        Ok(self)
    }

    /// The environments.
    pub fn environments(&self) -> impl Iterator<Item = &E> {
        self.cells.iter().map(|cell| &cell.environment)
    }

    /// Writes observations and masks of all.
    fn observe(&mut self) -> Result<()> {
        let space = &self.spaces.observation;
        let features = space.features();
        let actions = self.spaces.action.features();
        let count = self.cells.len();
        let mut masked = false;
        for (cell, row) in self.cells.iter().zip(self.observations.chunks_mut(features)) {
            if let Some(value) = cell.observation.not_finite() {
                let (environment, step) = (cell.index, cell.progress.steps);
                return Err(Error::NotFinite { what: "observation", value, environment, step });
            }
            cell.observation.write(space, row);
            masked |= cell.environment.mask().is_some();
        }
        if masked {
            let masks = self.masks.get_or_insert_with(|| vec![true; count * actions]);
            for (cell, row) in self.cells.iter().zip(masks.chunks_mut(actions)) {
                match cell.environment.mask() {
                    Some(mask) => row.copy_from_slice(mask),
                    None => row.fill(true),
                }
            }
        }
        Ok(())
    }
}

impl<E: Environment> Cell<E>
where
    E::Observation: Features,
    E::Action: Act,
{
    fn step(&mut self, choice: Choice<'_>, space: &Space, seed: u64) {
        self.outcome = self.try_step(choice, space, seed);
    }

    fn try_step(
        &mut self,
        choice: Choice<'_>,
        space: &Space,
        seed: u64,
    ) -> Result<Outcome<E::Observation>> {
        if let Choice::Numbers(numbers) = &choice
            && let Some(value) = numbers.iter().find(|x| !x.is_finite())
        {
            let (value, environment) = (f64::from(*value), self.index);
            let step = self.progress.steps + 1;
            return Err(Error::NotFinite { what: "action", value, environment, step });
        }
        let step = self.environment.step(&action(&choice, space)?)?;
        let progress = &mut self.progress;
        progress.steps += 1;
        check(&step, self.index, progress.steps)?;
        progress.length += 1;
        progress.reward += step.reward;
        let mut outcome = Outcome {
            reward: step.reward,
            terminated: step.terminated,
            truncated: step.truncated && !step.terminated,
            ended: None,
        };
        if step.ended() {
            let Progress { length, reward, .. } = *progress;
            let episode = Episode { environment: self.index, reward, length };
            outcome.ended = Some((step.observation, episode));
            progress.episode += 1;
            (progress.length, progress.reward) = (0, 0.0);
            let seed = episode_seed(seed, self.index, progress.episode);
            self.observation = self.environment.reset(seed)?;
        } else {
            self.observation = step.observation;
        }
        Ok(outcome)
    }
}

impl<E: Environment + Send> VectorEnvironment for SyncVectorEnvironment<E>
where
    E::Observation: Features,
    E::Action: Act,
{
    fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    fn count(&self) -> usize {
        self.cells.len()
    }

    fn observations(&self) -> &[f32] {
        &self.observations
    }

    fn masks(&self) -> Option<&[bool]> {
        self.masks.as_deref()
    }

    fn reset(&mut self, seed: u64) -> Result<()> {
        self.seed = seed;
        for cell in &mut self.cells {
            cell.progress = Progress::default();
            cell.observation = cell.environment.reset(episode_seed(seed, cell.index, 0))?;
        }
        self.observe()
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions> {
        let (space, seed, count) = (&self.spaces.action, self.seed, self.cells.len());
        let width = space.features();
        let fits = match actions {
            Actions::Indices(indices) => indices.len() == count,
            Actions::Numbers(numbers) => numbers.len() == count * width,
        };
        if !fits {
            let expected = format!("{count} actions, each {space}");
            return Err(Error::Action { action: format!("{actions:?}"), expected });
        }
        let step = |cell: &mut Cell<E>| {
            let choice = match actions {
                Actions::Indices(indices) => Choice::Index(indices[cell.index]),
                Actions::Numbers(numbers) => {
                    Choice::Numbers(numbers[cell.index * width..][..width].into())
                }
            };
            cell.step(choice, space, seed);
        };
        match &self.threads {
            Some(threads) => threads.install(|| self.cells.par_iter_mut().for_each(step)),
            None => self.cells.iter_mut().for_each(step),
        }
        let features = self.spaces.observation.features();
        self.transitions.episodes.clear();
        for cell in &mut self.cells {
            let outcome = std::mem::replace(&mut cell.outcome, Err(Error::Ended))?;
            let i = cell.index;
            self.transitions.rewards[i] = outcome.reward as f32;
            self.transitions.terminated[i] = outcome.terminated;
            self.transitions.truncated[i] = outcome.truncated;
            if let Some((last, episode)) = outcome.ended {
                let row = &mut self.transitions.final_observations[i * features..][..features];
                last.write(&self.spaces.observation, row);
                self.transitions.episodes.push(episode);
            }
        }
        self.observe()?;
        Ok(&self.transitions)
    }

    fn state(&self) -> Result<Value> {
        let cells = self
            .cells
            .iter()
            .map(|cell| Ok((cell.progress, cell.environment.state()?, cell.observation.numbers())));
        to_state(&Saved { seed: self.seed, cells: cells.collect::<Result<_>>()? })
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let saved: Saved = from_state(state)?;
        if saved.cells.len() != self.cells.len() {
            let (found, expected) = (saved.cells.len(), self.cells.len());
            return Err(Error::Resume(format!(
                "the state is of {found} environments, expected {expected}"
            )));
        }
        self.seed = saved.seed;
        for (cell, (progress, state, numbers)) in self.cells.iter_mut().zip(saved.cells) {
            cell.environment.restore(&state)?;
            cell.progress = progress;
            cell.observation = E::Observation::from_numbers(&numbers)
                .ok_or_else(|| Error::Resume("an observation of another shape".to_owned()))?;
        }
        self.observe()
    }
}
