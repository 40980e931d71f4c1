//! Gumbel: sequential halving at the root, improved policies everywhere.

use model_utils_core::{ConfigError, config};
use serde::{Deserialize, Serialize};

use super::{Rule, Scale};
use crate::error::Result;
use crate::nodes::Children;
use crate::random::Random;

/// Gumbel `AlphaZero` (Danihelka et al. 2022): at the root, the actions with the highest
/// `gumbel + logit` are searched by sequential halving; below, visits follow the improved policy
/// `softmax(logit + σ(completed Q))`.
///
/// `σ(q) = (c_visit + max n) · c_scale · q`, q on a scale of 0..1: by [`Scale::Plain`] (q + 1) / 2.
/// It improves a policy with as few as two simulations, and needs a limit of simulations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gumbel {
    /// How many actions are considered at the root: 16 in mctx.
    pub considered: usize,
    /// `c_visit` of σ: 50.
    pub c_visit: f32,
    /// `c_scale` of σ: 1 in the paper for Go; 0.1 in mctx, which rescales values.
    pub c_scale: f32,
    /// The scale of the values: plain in the paper for Go, rescaled in mctx.
    pub scale: Scale,
    /// The scale of the noise: 1; 0 to play without noise.
    pub noise: f32,
}

impl Default for Gumbel {
    fn default() -> Self {
        Self { considered: 16, c_visit: 50.0, c_scale: 1.0, scale: Scale::Plain, noise: 1.0 }
    }
}

/// The noise of the root's children and the schedule of the simulations.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GumbelRoot {
    noise: Vec<f32>,
    /// Visits that every child had when the search began.
    before: Vec<u32>,
    schedule: Schedule,
}

/// Sequential halving: how many new visits the considered child must have at each simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Schedule {
    simulations: u64,
    phases: Vec<Phase>,
}

/// Some actions are visited in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Phase {
    /// The simulation with which it begins.
    start: u64,
    /// How many actions are left.
    left: u64,
    /// The visits that each of them has before.
    visits: u64,
}

impl Schedule {
    /// Of so many actions by so many simulations.
    fn new(considered: usize, simulations: u64) -> Self {
        let mut phases = Vec::new();
        let rounds = u64::from(considered.max(1).next_power_of_two().ilog2().max(1));
        let (mut start, mut left, mut visits) = (0, considered.max(1) as u64, 0);
        while start < simulations {
            phases.push(Phase { start, left, visits });
            if left == 1 {
                break;
            }
            let extra = (simulations / (rounds * left)).max(1);
            visits = visits.saturating_add(extra);
            start = start.saturating_add(extra.saturating_mul(left));
            left = (left / 2).max(2);
        }
        Self { simulations, phases }
    }

    /// The visits of the action that is chosen at a simulation; none beyond the last.
    fn wanted(&self, simulation: u64) -> Option<u64> {
        let next = self.phases.partition_point(|phase| phase.start <= simulation);
        let phase = self.phases[..next].last().filter(|_| simulation < self.simulations)?;
        Some(phase.visits + (simulation - phase.start) / phase.left)
    }
}

impl Gumbel {
    /// The same rule with so many actions considered at the root.
    #[must_use]
    pub const fn with_considered(mut self, considered: usize) -> Self {
        self.considered = considered;
        self
    }

    /// The same rule with another scale of the noise.
    #[must_use]
    pub const fn with_noise(mut self, noise: f32) -> Self {
        self.noise = noise;
        self
    }

    /// Logits plus σ(completed Q), handed out child by child.
    fn improved(&self, children: &Children<'_>, mut each: impl FnMut(usize, f32)) {
        let len = children.len();
        let (mut visits, mut most, mut prior, mut weighted) = (0_u32, 0_u32, 0.0_f32, 0.0_f32);
        let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
        for child in 0..len {
            let n = children.visits(child);
            if n > 0 {
                let (p, q) = (children.prior(child).max(1e-12), children.mean(child));
                visits += n;
                most = most.max(n);
                prior += p;
                weighted += p * q;
                least = least.min(q);
                greatest = greatest.max(q);
            }
        }
        // The mixed value of the children without visits, appendix D of the paper.
        let raw = children.node_raw_value();
        let mixed = if visits == 0 {
            raw
        } else {
            (raw + visits as f32 * weighted / prior) / (1.0 + visits as f32)
        };
        (least, greatest) = match self.scale {
            Scale::Plain => (-1.0, 1.0),
            Scale::ParentAndSiblings => (least.min(mixed), greatest.max(mixed)),
        };
        let span = (greatest - least).max(1e-8);
        let sigma = (self.c_visit + most as f32) * self.c_scale;
        for child in 0..len {
            let q = if children.visits(child) > 0 { children.mean(child) } else { mixed };
            let logit = children.prior(child).max(1e-12).ln();
            each(child, logit + sigma * (q - least) / span);
        }
    }

    fn improved_policy(&self, children: &Children<'_>, policy: &mut Vec<f32>) {
        let start = policy.len();
        self.improved(children, |_, logit| policy.push(logit));
        softmax(&mut policy[start..]);
    }
}

impl Rule for Gumbel {
    type Root = GumbelRoot;

    fn check(&self) -> Result<(), ConfigError> {
        config::at_least("considered", self.considered, 1)?;
        for (field, value) in
            [("c_visit", self.c_visit), ("c_scale", self.c_scale), ("noise", self.noise)]
        {
            config::not_negative(field, value)?;
        }
        Ok(())
    }

    /// The child whose share of the visits lags most behind the improved policy:
    /// `argmax π′ − n / (1 + Σ n)`.
    fn choose(&self, children: &Children<'_>) -> usize {
        let (mut highest, mut total, mut visits) = (f32::NEG_INFINITY, 0.0, 0);
        self.improved(children, |child, logit| {
            if logit > highest {
                total *= (highest - logit).exp();
                highest = logit;
            }
            total += (logit - highest).exp();
            visits += children.visits(child);
        });
        let (mut best, mut gap) = (0, f32::NEG_INFINITY);
        self.improved(children, |child, logit| {
            let share = children.visits(child) as f32 / (1.0 + visits as f32);
            let lag = (logit - highest).exp() / total - share;
            if lag > gap && !children.is_lost(child) {
                (best, gap) = (child, lag);
            }
        });
        best
    }

    fn choose_at_root(&self, root: &Self::Root, children: &Children<'_>) -> usize {
        let new = |child| children.visits(child).saturating_sub(root.before[child]);
        let simulation: u32 = (0..children.len()).map(new).sum();
        let wanted = root.schedule.wanted(simulation.into());
        let (mut best, mut highest) = (None, f32::NEG_INFINITY);
        self.improved(children, |child, logit| {
            let score = root.noise[child] + logit;
            if wanted.is_none_or(|n| u64::from(new(child)) == n)
                && !children.is_lost(child)
                && score > highest
            {
                (best, highest) = (Some(child), score);
            }
        });
        // Proofs can take a child out of the schedule.
        best.unwrap_or_else(|| self.choose(children))
    }

    fn prepare(
        &self,
        children: &Children<'_>,
        simulations: Option<u64>,
        random: &mut Random,
    ) -> Self::Root {
        let simulations = simulations.unwrap_or(0);
        GumbelRoot {
            noise: (0..children.len()).map(|_| self.noise * random.gumbel()).collect(),
            before: (0..children.len()).map(|child| children.visits(child)).collect(),
            schedule: Schedule::new(self.considered.min(children.len()), simulations),
        }
    }

    fn needs_simulations(&self) -> bool {
        true
    }

    /// Among the most visited, the highest `gumbel + logit + σ(q)`.
    fn best(&self, root: &Self::Root, children: &Children<'_>) -> usize {
        let new = |child| match root.before.get(child) {
            Some(before) => children.visits(child).saturating_sub(*before),
            None => children.visits(child),
        };
        let most = (0..children.len()).map(new).max().unwrap_or(0);
        let (mut best, mut highest) = (None, f32::NEG_INFINITY);
        self.improved(children, |child, logit| {
            let score = root.noise.get(child).copied().unwrap_or(0.0) + logit;
            if new(child) == most && !children.is_lost(child) && score > highest {
                (best, highest) = (Some(child), score);
            }
        });
        best.unwrap_or_else(|| children.argmax(|child| children.visits(child) as f32))
    }

    fn policy(&self, _root: &Self::Root, children: &Children<'_>, policy: &mut Vec<f32>) {
        self.improved_policy(children, policy);
    }
}

/// Logits to probabilities, in place.
pub(crate) fn softmax(logits: &mut [f32]) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - highest).exp();
        total += *logit;
    }
    for probability in logits {
        *probability /= total;
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn sequential_halving_gives_the_papers_schedule() {
        let schedule = |considered, simulations| -> Vec<u64> {
            let schedule = Schedule::new(considered, simulations);
            (0..simulations).map(|simulation| schedule.wanted(simulation).unwrap()).collect()
        };
        assert_eq!(schedule(4, 8), [0, 0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(schedule(1, 3), [0, 1, 2]);
        // 2 rounds, 16 simulations: 2 visits for each of 4, then 4 for each of 2.
        assert_eq!(schedule(4, 16), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(schedule(3, 7), [0, 0, 0, 1, 1, 2, 2]);
        let most = Schedule::new(16, u64::MAX);
        assert!(most.phases.len() < 20 && most.wanted(u64::MAX - 1).is_some());
        assert_eq!(most.wanted(u64::MAX), None);
    }
}
