use std::collections::VecDeque;
use std::time::Duration;

use model_utils::train::{Budget, Observer, Run, Spent, StopReason};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::error::Result;
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

/// What an agent counts, beside its run.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    pub(super) run: Run,
    pub(super) updates: u64,
    rewards: VecDeque<f64>,
    lengths: VecDeque<u64>,
}

/// The same as it is saved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    steps: u64,
    updates: u64,
    episodes: u64,
    rewards: VecDeque<f64>,
    lengths: VecDeque<u64>,
    wall_s: f64,
}

impl Serialize for Journal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Counted {
            steps: self.run.steps(),
            updates: self.updates,
            episodes: self.run.episodes(),
            rewards: self.rewards.clone(),
            lengths: self.lengths.clone(),
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
        Ok(Self { run, updates: 0, rewards: VecDeque::new(), lengths: VecDeque::new() })
    }

    pub(super) fn restore(&mut self, counted: Counted) {
        let Counted { steps, updates, episodes, rewards, lengths, wall_s } = counted;
        let time = Duration::from_secs_f64(wall_s.max(0.0));
        self.run.set_spent(Spent { steps, episodes, time, ..Spent::default() });
        (self.updates, self.rewards, self.lengths) = (updates, rewards, lengths);
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
            if self.rewards.len() == RECENT {
                self.rewards.pop_front();
                self.lengths.pop_front();
            }
            self.rewards.push_back(episode.reward);
            self.lengths.push_back(episode.length);
        }
    }

    fn recent_reward(&self) -> f64 {
        self.rewards.iter().sum::<f64>() / self.rewards.len() as f64
    }

    fn recent_length(&self) -> f64 {
        self.lengths.iter().sum::<u64>() as f64 / self.lengths.len() as f64
    }

    /// Starts a part of the run.
    pub(super) fn start(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<()> {
        Ok(self.run.start(budget, None, progress)?)
    }

    /// Tells of an update.
    pub(super) fn report(&mut self, metrics: &[(&str, f64)], progress: &mut dyn Observer) {
        let mut all = Vec::new();
        if self.run.episodes() > 0 {
            all.push(("episode_reward_mean", self.recent_reward()));
            all.push(("episode_length_mean", self.recent_length()));
        }
        all.extend_from_slice(metrics);
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
