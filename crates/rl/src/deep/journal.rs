use std::collections::VecDeque;
use std::time::Duration;

use model_utils::train::{Budget, Observer, Run, Spent, StopReason};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::evaluation::PeriodicEvaluation;
use crate::environment::Info;
use crate::error::{Error, Result};
use crate::space::Spaces;
use crate::vector::Episode;

/// Episodes over which rewards are averaged.
const RECENT: usize = 100;

/// What was learned from, in all.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Learned {
    /// Environment steps.
    pub steps: u64,
    /// Updates of the weights.
    pub updates: u64,
    /// Episodes that have ended.
    pub episodes: u64,
    /// The mean reward of the last hundred of them, NaN before the first.
    pub recent_reward: f64,
    /// Time spent, in seconds, the parts before a resume included.
    pub wall_s: f64,
    /// Why it ended.
    pub reason: StopReason,
}

impl Learned {
    /// The same where learning came to its end.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Stopped`] where it was asked to stop.
    pub fn or_stopped(self) -> Result<Self> {
        Ok(self.reason.or_stopped("learning", self.steps).map(|()| self)?)
    }
}

/// What an agent counts, beside its run, and how it is judged meanwhile.
#[derive(Debug)]
pub struct Journal {
    pub(super) run: Run,
    pub(super) updates: u64,
    rewards: VecDeque<f64>,
    lengths: VecDeque<u64>,
    /// What environments said beside the last steps of episodes.
    infos: VecDeque<Info>,
    pub(super) evaluation: Option<PeriodicEvaluation>,
}

/// The same as it is saved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    steps: u64,
    updates: u64,
    episodes: u64,
    rewards: VecDeque<f64>,
    lengths: VecDeque<u64>,
    #[serde(default)]
    infos: VecDeque<Info>,
    wall_s: f64,
}

/// Takes in one of the last so many.
fn push<T>(recent: &mut VecDeque<T>, new: T) {
    if recent.len() >= RECENT {
        recent.pop_front();
    }
    recent.push_back(new);
}

impl Serialize for Journal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Counted {
            steps: self.run.steps(),
            updates: self.updates,
            episodes: self.run.episodes(),
            rewards: self.rewards.clone(),
            lengths: self.lengths.clone(),
            infos: self.infos.clone(),
            wall_s: self.run.wall_s(),
        }
        .serialize(serializer)
    }
}

impl Journal {
    /// Of an agent that has learned nothing yet.
    pub(super) fn new(model: &str, config: &impl Serialize, spaces: &Spaces) -> Result<Self> {
        let mut about = crate::environment::to_state(config)?;
        if let Value::Object(about) = &mut about {
            about.insert("spaces".to_owned(), crate::environment::to_state(spaces)?);
        }
        let run = Run::new(model, &about)?.counting(&["steps", "episodes", "time"]);
        let (rewards, lengths, infos) = Default::default();
        Ok(Self { run, updates: 0, rewards, lengths, infos, evaluation: None })
    }

    /// Goes on from what was counted.
    pub(super) fn restore(&mut self, counted: Counted) -> Result<()> {
        let Counted { steps, updates, episodes, rewards, lengths, infos, wall_s } = counted;
        let time = Duration::try_from_secs_f64(wall_s)
            .map_err(|error| Error::Resume(format!("{wall_s} s: {error}")))?;
        self.run.set_spent(Spent { steps, episodes, time, ..Spent::default() });
        (self.updates, self.rewards, self.lengths, self.infos) = (updates, rewards, lengths, infos);
        Ok(())
    }

    /// Environment steps.
    pub(super) fn steps(&self) -> u64 {
        self.run.steps()
    }

    /// Notes a step in each of so many environments, and the episodes that it ended.
    pub(super) fn note(&mut self, environments: usize, episodes: &[Episode]) {
        self.run.steps_done(environments as u64, 1, environments);
        self.run.episodes_done(episodes.len() as u64);
        for episode in episodes {
            push(&mut self.rewards, episode.reward);
            push(&mut self.lengths, episode.length);
            // JSON holds no others.
            let finite = episode.info.iter().filter(|(_, value)| value.is_finite());
            push(&mut self.infos, finite.cloned().collect());
        }
    }

    fn recent_reward(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len() as f64
    }

    fn recent_length(&self) -> f64 {
        self.lengths.iter().sum::<u64>() as f64 / self.lengths.len() as f64
    }

    /// The mean of each number that environments said at the ends of episodes.
    fn recent_infos(&self) -> Vec<(String, f64)> {
        let mut means: Vec<(String, f64, f64)> = Vec::new();
        for (name, value) in self.infos.iter().flatten() {
            let name = format!("info_{name}");
            match means.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1.0),
                None => means.push((name, *value, 1.0)),
            }
        }
        means.into_iter().map(|(name, sum, count)| (name, sum / count)).collect()
    }

    /// Starts a part of the run.
    pub(super) fn start(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<()> {
        Ok(self.run.start(budget, None, progress)?)
    }

    /// Tells of an update.
    pub(super) fn report(&mut self, metrics: &[(&str, f64)], progress: &mut dyn Observer) {
        let (infos, mut all) = (self.recent_infos(), Vec::new());
        if self.run.episodes() > 0 {
            all.push(("episode_reward_mean", self.recent_reward()));
            all.push(("episode_length_mean", self.recent_length()));
        }
        all.extend_from_slice(metrics);
        all.extend(infos.iter().map(|(name, mean)| (name.as_str(), *mean)));
        all.push(("steps_per_s", self.run.items_per_s()));
        self.run.report(&all, progress);
    }

    /// Ends a part of the run.
    pub(super) fn finish(&mut self, progress: &mut dyn Observer) -> Learned {
        let ended = self.run.finish(progress);
        Learned {
            steps: ended.steps,
            updates: self.updates,
            episodes: ended.episodes,
            recent_reward: self.recent_reward(),
            wall_s: ended.wall_s,
            reason: ended.reason,
        }
    }
}
