use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model_utils::config::ConfigError;
use model_utils::train::{Budget, Event, Observer, Spent, StopReason};
use serde::{Deserialize, Serialize};

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

/// What an agent counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) steps: u64,
    pub(super) updates: u64,
    pub(super) episodes: u64,
    rewards: VecDeque<f64>,
    lengths: VecDeque<u64>,
    pub(super) wall_s: f64,
}

impl Journal {
    pub(super) fn note(&mut self, episodes: &[Episode]) {
        for episode in episodes {
            self.episodes += 1;
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
}

/// One call of `learn`.
pub(super) struct Session<'a> {
    progress: &'a mut dyn Observer,
    budget: Budget,
    before_s: f64,
    started: Instant,
    from: u64,
    told: u64,
}

impl<'a> Session<'a> {
    pub(super) fn start(
        task: &str,
        budget: Budget,
        progress: &'a mut dyn Observer,
        journal: &Journal,
    ) -> Result<Self, ConfigError> {
        budget.require_any_of(&["steps", "episodes", "time"])?;
        let step = journal.steps;
        progress.observe(&Event::Started { task, step, of: budget.steps });
        let started = Instant::now();
        Ok(Self { progress, budget, before_s: journal.wall_s, started, from: step, told: step })
    }

    fn wall_s(&self) -> f64 {
        self.before_s + self.started.elapsed().as_secs_f64()
    }

    /// Why it has to end here.
    pub(super) fn over(&self, journal: &Journal) -> Option<StopReason> {
        let time = Duration::from_secs_f64(self.wall_s());
        if self.budget.is_spent(Spent {
            steps: journal.steps,
            episodes: journal.episodes,
            time,
            ..Spent::default()
        }) {
            return Some(StopReason::BudgetSpent);
        }
        self.progress.wants_stop().then_some(StopReason::Asked)
    }

    /// Tells of an update.
    pub(super) fn tell(&mut self, journal: &Journal, metrics: &[(&str, f64)]) {
        let done = (journal.steps - self.from) as f64;
        let mut all = vec![
            ("episode_reward_mean", journal.recent_reward()),
            ("episode_length_mean", journal.recent_length()),
        ];
        if journal.episodes == 0 {
            all.clear();
        }
        all.extend_from_slice(metrics);
        all.push(("steps_per_s", done / self.started.elapsed().as_secs_f64().max(1e-9)));
        let items = (journal.steps - self.told) as usize;
        self.told = journal.steps;
        self.progress.observe(&Event::Step {
            step: journal.steps,
            of: self.budget.steps,
            epoch: 0,
            items,
            metrics: &all,
        });
    }

    /// Whether something is to be told: after every so many steps.
    pub(super) fn is_due(&self, journal: &Journal, every: u64) -> bool {
        journal.steps - self.told >= every
    }

    pub(super) fn finish(self, journal: &mut Journal, reason: StopReason) -> Learned {
        journal.wall_s = self.wall_s();
        let (step, wall_s) = (journal.steps, journal.wall_s);
        self.progress.observe(&Event::Finished { step, reason, wall_s });
        Learned {
            steps: step,
            updates: journal.updates,
            episodes: journal.episodes,
            recent_reward: journal.recent_reward(),
            wall_s,
            reason,
        }
    }
}
