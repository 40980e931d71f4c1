use std::fmt;
use std::path::PathBuf;

use model_utils::train::Observer;
use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::agent::{Agent, Parts};
use crate::error::Error;
use crate::error::Result;
use crate::evaluate::{Evaluation, MOST_STEPS};
use crate::space::Space;
use crate::vector::{Actions, VectorEnvironment};

/// Judges an agent every so many environment steps while it learns and where a `learn` ends, by greedy
/// episodes in environments of their own, and keeps the best state that it was in.
///
/// Give it to [`Agent::evaluated_by`]. What chose is not what judges: the figure that is published
/// comes from other episodes, of another seed.
pub struct PeriodicEvaluation {
    environments: Box<dyn VectorEnvironment>,
    pub(super) every: u64,
    episodes: usize,
    seed: u64,
    path: Option<PathBuf>,
    /// Multiples of `every` up to this step are done.
    pub(super) passed: u64,
    /// The step at which it was last done.
    pub(super) judged_at: Option<u64>,
    pub(super) best: Option<(Best, Parts)>,
}

/// The best state of an agent so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Environment steps that it had learned from.
    pub steps: u64,
    /// Its mean reward of an episode.
    pub mean: f64,
}

impl fmt::Debug for PeriodicEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let best = self.best.as_ref().map(|(best, _)| best);
        let Self { every, episodes, seed, path, judged_at, .. } = self;
        f.debug_struct("PeriodicEvaluation")
            .field("every", every)
            .field("episodes", episodes)
            .field("seed", seed)
            .field("path", path)
            .field("judged_at", judged_at)
            .field("best", &best)
            .finish_non_exhaustive()
    }
}

impl PeriodicEvaluation {
    /// Every so many environment steps so many episodes in these environments, which are reset to
    /// `seed` each time: the same episodes for each state.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no steps or episodes.
    pub fn new(
        environments: impl VectorEnvironment + 'static,
        every: u64,
        episodes: usize,
        seed: u64,
    ) -> Result<Self> {
        config::at_least("every", every, 1)?;
        config::at_least("episodes", episodes, 1)?;
        let environments = Box::new(environments);
        Ok(Self {
            environments,
            every,
            episodes,
            seed,
            path: None,
            passed: 0,
            judged_at: None,
            best: None,
        })
    }

    /// The best state is saved here too, as [`Agent::save`] does, whenever there is a better one.
    #[must_use]
    pub fn keep_best(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The best state so far.
    pub fn best(&self) -> Option<Best> {
        self.best.as_ref().map(|(best, _)| *best)
    }

    /// Whether a multiple of `every` steps was passed since the last time.
    pub(super) fn is_due(&self, steps: u64) -> bool {
        steps / self.every > self.passed / self.every
    }

    /// Whether it was done at this step.
    pub(super) fn is_done(&self, steps: u64) -> bool {
        self.judged_at == Some(steps)
    }

    /// Judges an agent; none where it was asked to stop.
    pub(super) fn judge<A: Agent>(
        &mut self,
        agent: &A,
        progress: &mut dyn Observer,
    ) -> Result<Option<f64>> {
        agent.spaces().expect(self.environments.spaces())?;
        let found = play(agent, self.environments.as_mut(), self.episodes, self.seed, progress)?;
        let Some(found) = found else { return Ok(None) };
        let (mean, steps) = (found.mean(), agent.steps());
        (self.passed, self.judged_at) = (steps, Some(steps));
        // Of equals the later one, which has seen more.
        if self.best().is_none_or(|best| mean >= best.mean) {
            self.best = Some((Best { steps, mean }, agent.acting()?));
            if let Some(path) = &self.path {
                agent.save(path)?;
            }
        }
        Ok(Some(mean))
    }
}

/// Greedy episodes side by side: from each environment its first ones, so that short episodes do not
/// count more.
fn play<A: Agent>(
    agent: &A,
    environments: &mut dyn VectorEnvironment,
    episodes: usize,
    seed: u64,
    progress: &mut dyn Observer,
) -> Result<Option<Evaluation>> {
    environments.reset(seed)?;
    let (count, features) = (environments.count(), agent.spaces().observation.features());
    let choices = agent.spaces().action.choices();
    let quota = |i: usize| episodes / count + usize::from(i < episodes % count);
    let (mut done, mut running) = (vec![0; count], vec![0; count]);
    let mut found = Evaluation { rewards: Vec::new(), lengths: Vec::new() };
    while found.rewards.len() < episodes {
        if progress.wants_stop() {
            return Ok(None);
        }
        let mut numbers = Vec::new();
        for (i, row) in environments.observations().chunks(features).enumerate() {
            let mask = environments.masks().map(|masks| &masks[i * choices..][..choices]);
            numbers.extend(agent.decide(row, mask));
        }
        let transitions = if let Space::Discrete(_) = agent.spaces().action {
            let indices: Vec<usize> = numbers.iter().map(|x| *x as usize).collect();
            environments.step(Actions::Indices(&indices))?
        } else {
            environments.step(Actions::Numbers(&numbers))?
        };
        for steps in &mut running {
            *steps += 1;
        }
        for episode in &transitions.episodes {
            running[episode.environment] = 0;
            if done[episode.environment] < quota(episode.environment) {
                done[episode.environment] += 1;
                found.rewards.push(episode.reward);
                found.lengths.push(episode.length);
            }
        }
        let steps = running.iter().copied().max().unwrap_or(0);
        if steps >= MOST_STEPS {
            return Err(Error::Endless { steps });
        }
    }
    Ok(Some(found))
}
