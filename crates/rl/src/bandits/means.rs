//! Pulls and mean rewards, and how they are forgotten.

use std::collections::VecDeque;

use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::Choice;
use super::arms::Arms;
use crate::error::Result;

/// Pulls and mean reward of an arm, as far as they are remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Mean {
    pub(super) pulls: f64,
    pub(super) mean: f64,
}

impl Mean {
    fn push(&mut self, reward: f64) {
        self.pulls += 1.0;
        self.turn(1.0 / self.pulls, reward);
    }

    /// Both products, for a difference of two large rewards may be no number.
    fn turn(&mut self, rate: f64, reward: f64) {
        self.mean = self.mean * (1.0 - rate) + reward * rate;
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Memory {
    /// Each pull leaves this share of what is known of every arm; 1 for all.
    Discount(f64),
    /// The last pulls, and how many until all is counted anew.
    Window { length: usize, last: VecDeque<(usize, f64)>, left: usize },
    /// No weights: each reward draws its arm's mean by this share.
    Step(f64),
}

/// The means of arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Means {
    pub(super) arms: Arms<Mean>,
    /// The mean of an arm without pulls.
    first: f64,
    memory: Memory,
}

impl Means {
    pub(super) fn new(arms: usize) -> Result<Self> {
        let arms = Arms::new(arms, Mean { pulls: 0.0, mean: 0.0 })?;
        Ok(Self { arms, first: 0.0, memory: Memory::Discount(1.0) })
    }

    /// From these first means, by a constant step.
    pub(super) fn stepping(arms: usize, first: f64, step: f64) -> Result<Self> {
        config::finite("value", first)?;
        config::share_above_zero("step", step)?;
        let arms = Arms::new(arms, Mean { pulls: 0.0, mean: first })?;
        Ok(Self { arms, first, memory: Memory::Step(step) })
    }

    pub(super) fn set_memory(&mut self, share: f64) -> Result<()> {
        config::share_above_zero("memory", share)?;
        self.remember("memory", Memory::Discount(share))
    }

    pub(super) fn set_window(&mut self, length: usize) -> Result<()> {
        config::at_least("window", length, 1)?;
        self.remember("window", Memory::Window { length, last: VecDeque::new(), left: length })
    }

    fn remember(&mut self, field: &'static str, memory: Memory) -> Result<()> {
        let is_free = matches!(self.memory, Memory::Discount(_) | Memory::Window { .. });
        config::require(is_free, field, &memory, "none beside a constant step")?;
        let is_new = self.total() == 0.0;
        config::require(is_new, field, &memory, "to be chosen before the first pull")?;
        self.memory = memory;
        Ok(())
    }

    pub(super) fn add(&mut self) -> usize {
        self.arms.add(Mean { pulls: 0.0, mean: self.first })
    }

    /// Pulls of all arms, as far as they are remembered.
    pub(super) fn total(&self) -> f64 {
        self.arms.open().map(|arm| arm.pulls).sum()
    }

    /// The logarithm of [`total`](Self::total), and not below 0.
    pub(super) fn log(&self) -> f64 {
        self.total().max(1.0).ln()
    }

    /// Scores of which arms without pulls, one after the other, have the largest.
    pub(super) fn optimistic(&self, of: impl Fn(&Mean) -> f64) -> Vec<f64> {
        let mut untried = self.arms.open().filter(|arm| arm.pulls == 0.0);
        let Some(first) = untried.next() else { return self.arms.scores(of) };
        self.arms.scores(|arm| f64::from(u8::from(std::ptr::eq(arm, first))))
    }

    pub(super) fn push(&mut self, choice: Choice, reward: f64) -> Result<()> {
        self.arms.check(choice)?;
        match &mut self.memory {
            Memory::Discount(share) if *share < 1.0 => {
                self.arms.open_mut().for_each(|arm| arm.pulls *= *share);
            }
            Memory::Discount(_) => {}
            Memory::Step(step) => {
                let arm = self.arms.get_mut(choice.arm)?;
                arm.pulls += 1.0;
                arm.turn(*step, reward);
                return Ok(());
            }
            Memory::Window { length, last, left } => {
                last.push_back((choice.arm, reward));
                let gone = if last.len() > *length { last.pop_front() } else { None };
                *left -= 1;
                if *left == 0 {
                    // Here rounding begins anew.
                    *left = *length;
                    for arm in self.arms.open_mut() {
                        *arm = Mean { pulls: 0.0, mean: self.first };
                    }
                    for (arm, reward) in last {
                        if let Ok(arm) = self.arms.get_mut(*arm) {
                            arm.push(*reward);
                        }
                    }
                    return Ok(());
                }
                if let Some((arm, gone)) = gone
                    && let Ok(arm) = self.arms.get_mut(arm)
                {
                    arm.pulls -= 1.0;
                    arm.mean = if arm.pulls > 0.0 {
                        arm.mean * (1.0 + 1.0 / arm.pulls) - gone / arm.pulls
                    } else {
                        self.first
                    };
                }
            }
        }
        self.arms.get_mut(choice.arm)?.push(reward);
        Ok(())
    }
}

/// What bandits on means have in common, but for [`Bandit`](super::Bandit).
macro_rules! remembers {
    () => {
        /// For arms that drift: each pull leaves this share of what is known of every arm.
        ///
        /// # Errors
        ///
        /// [`Error::Config`](crate::Error::Config) for a share outside (0, 1], after the first pull,
        /// and for a bandit with a constant step.
        pub fn with_memory(mut self, share: f64) -> Result<Self> {
            self.means.set_memory(share)?;
            Ok(self)
        }

        /// For arms that change at once: only the last pulls, of all arms together, are known.
        ///
        /// # Errors
        ///
        /// [`Error::Config`](crate::Error::Config) for no pulls, after the first pull, and for a
        /// bandit with a constant step.
        pub fn with_window(mut self, pulls: usize) -> Result<Self> {
            self.means.set_window(pulls)?;
            Ok(self)
        }

        /// How often each arm was pulled, as far as it is remembered; 0 for those that were removed.
        pub fn pulls(&self) -> Vec<f64> {
            self.means.arms.map(0.0, |arm| arm.pulls)
        }

        /// The mean reward of each arm, as far as it is remembered; NaN for those that were removed.
        pub fn means(&self) -> Vec<f64> {
            self.means.arms.map(f64::NAN, |arm| arm.mean)
        }
    };
}

/// The part of [`Bandit`](super::Bandit) that bandits on means have in common; what refuses rewards.
macro_rules! learns_means {
    ($refuse:path) => {
        super::arms::has_arms!(means.arms);

        fn update(&mut self, _context: &[f64], choice: Choice, reward: f64) -> Result<()> {
            $refuse("reward", reward)?;
            self.means.push(choice, reward)
        }

        fn add_arm(&mut self) -> usize {
            self.means.add()
        }
    };
}
pub(super) use {learns_means, remembers};
