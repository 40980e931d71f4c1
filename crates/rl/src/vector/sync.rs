use model_utils_core::config::{self, ConfigError};
use model_utils_core::random::Random;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Actions, Episode, Transitions, VectorEnvironment, chosen, episode_seed};
use crate::environment::{
    Element, Environment, action, check_reward, from_state, misfit, to_state,
};
use crate::error::{Error, Result};
use crate::space::Spaces;

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
    /// Whether all have come as far as each other: not once one has failed.
    running: bool,
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
    ended: Option<Ended<O>>,
}

#[derive(Debug)]
struct Ended<O> {
    last: O,
    mask: Option<Vec<bool>>,
    episode: Episode,
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
    E::Observation: Element,
    E::Action: Element,
{
    /// These environments, started from a seed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none and for spaces without elements, [`Error::Spaces`] where they differ,
    /// [`Error::Action`] where the action space does not hold the actions' type,
    /// [`Error::Observation`], and what a reset refuses.
    pub fn new(environments: Vec<E>, seed: u64) -> Result<Self> {
        let count = environments.len();
        let Some(first) = environments.first() else {
            return Err(ConfigError::new("environments", 0, "at least 1").into());
        };
        let spaces = first.spaces();
        spaces.check()?;
        for other in &environments {
            spaces.expect(&other.spaces())?;
        }
        let any = spaces.action.sample(None, &mut Random::new(seed));
        action::<E::Action>(&any, &spaces.action)?;
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
            running: true,
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
        let (features, choices) = (space.features(), self.spaces.action.choices());
        let mut masked = self.masks.is_some();
        for (cell, row) in self.cells.iter().zip(self.observations.chunks_mut(features)) {
            let written = cell.observation.encode(space, row);
            written.map_err(|fault| misfit(fault, space, cell.index, cell.progress.steps))?;
            if let Some(mask) = cell.environment.mask() {
                self.spaces.check_mask(mask)?;
                masked |= choices > 0;
            }
        }
        if masked {
            let count = self.cells.len();
            let masks = self.masks.get_or_insert_with(|| vec![true; count * choices]);
            for (cell, row) in self.cells.iter().zip(masks.chunks_mut(choices)) {
                // One at one step says nothing of the next.
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
    E::Observation: Element,
    E::Action: Element,
{
    fn step(&mut self, chosen: Result<E::Action>, spaces: &Spaces, seed: u64) {
        self.outcome = chosen.and_then(|action| self.try_step(&action, spaces, seed));
    }

    fn try_step(
        &mut self,
        action: &E::Action,
        spaces: &Spaces,
        seed: u64,
    ) -> Result<Outcome<E::Observation>> {
        let step = self.environment.step(action)?;
        let progress = &mut self.progress;
        progress.steps += 1;
        check_reward(step.reward, self.index, progress.steps)?;
        progress.length += 1;
        progress.reward += step.reward;
        let mut outcome = Outcome {
            reward: step.reward,
            terminated: step.terminated,
            truncated: step.truncated && !step.terminated,
            ended: None,
        };
        if step.ended() {
            let space = &spaces.observation;
            let fits = step.observation.form(space);
            fits.map_err(|fault| misfit(fault, space, self.index, progress.steps))?;
            let Progress { length, reward, .. } = *progress;
            let episode = Episode { environment: self.index, reward, length, info: step.info };
            // What is possible after the end of the task does not matter.
            let mask = self.environment.mask().filter(|mask| outcome.truncated && !mask.is_empty());
            if let Some(mask) = mask {
                spaces.check_mask(mask)?;
            }
            let mask = mask.map(<[bool]>::to_vec);
            outcome.ended = Some(Ended { last: step.observation, mask, episode });
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
    E::Observation: Element,
    E::Action: Element,
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
        (self.seed, self.running) = (seed, false);
        for cell in &mut self.cells {
            cell.progress = Progress::default();
            cell.observation = cell.environment.reset(episode_seed(seed, cell.index, 0))?;
        }
        self.observe()?;
        self.running = true;
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>) -> Result<&Transitions> {
        let (spaces, seed, count) = (&self.spaces, self.seed, self.cells.len());
        let space = &spaces.action;
        actions.expect(count, space)?;
        if !std::mem::replace(&mut self.running, false) {
            return Err(Error::Broken);
        }
        let step = |cell: &mut Cell<E>| {
            let chosen = chosen(actions, cell.index, space, cell.progress.steps + 1);
            cell.step(chosen, spaces, seed);
        };
        match &self.threads {
            Some(threads) => threads.install(|| self.cells.par_iter_mut().for_each(step)),
            None => self.cells.iter_mut().for_each(step),
        }
        let (features, choices) = (spaces.observation.features(), space.choices());
        let transitions = &mut self.transitions;
        transitions.episodes.clear();
        for cell in &mut self.cells {
            let outcome = std::mem::replace(&mut cell.outcome, Err(Error::Ended))?;
            let i = cell.index;
            transitions.rewards[i] = outcome.reward as f32;
            transitions.terminated[i] = outcome.terminated;
            transitions.truncated[i] = outcome.truncated;
            if let Some(Ended { last, mask, episode }) = outcome.ended {
                let row = &mut transitions.final_observations[i * features..][..features];
                // Its form was looked at.
                let _ = last.encode(&spaces.observation, row);
                transitions.write_final_mask(i, choices, mask.as_deref());
                transitions.episodes.push(episode);
            }
        }
        self.observe()?;
        self.running = true;
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
        let space = &self.spaces.observation;
        let observation = |numbers: &[f64]| {
            space.form(numbers).ok().and_then(|()| E::Observation::read(space, numbers))
        };
        let all: Option<Vec<_>> = saved.cells.iter().map(|cell| observation(&cell.2)).collect();
        let Some(all) = all else {
            return Err(Error::Resume(format!("an observation is not {space}")));
        };
        let before: Vec<Value> =
            self.cells.iter().map(|cell| cell.environment.state()).collect::<Result<_>>()?;
        for (at, (_, state, _)) in saved.cells.iter().enumerate() {
            if let Err(error) = self.cells[at].environment.restore(state) {
                for (cell, state) in self.cells.iter_mut().zip(&before).take(at) {
                    cell.environment.restore(state)?;
                }
                return Err(error);
            }
        }
        self.seed = saved.seed;
        for ((cell, saved), observation) in self.cells.iter_mut().zip(saved.cells).zip(all) {
            (cell.progress, cell.observation) = (saved.0, observation);
        }
        self.observe()?;
        self.running = true;
        Ok(())
    }
}
