use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A step, or several taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// What was observed before.
    pub observation: Vec<f32>,
    /// What was done: numbers, or one index.
    pub action: Vec<f32>,
    /// The discounted sum of rewards.
    pub reward: f32,
    /// What was observed after; the final observation where an episode ended.
    pub next: Vec<f32>,
    /// Which actions are possible then; none: all.
    pub mask: Option<Vec<bool>>,
    /// What the value of `next` counts: γⁿ, and 0 only where the task *terminated*.
    pub discount: f32,
}

/// Makes one transition of n rewards out of n steps (Sutton 1988).
///
/// At the end of an episode the shorter ones that are left come out too: where it terminated,
/// with nothing after them; where it was truncated, with the final observation and its value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NStep {
    steps: usize,
    discount: f64,
    recent: VecDeque<(Vec<f32>, Vec<f32>, f64)>,
    /// What was observed after the latest of them, and which actions were possible then.
    next: (Vec<f32>, Option<Vec<bool>>),
}

impl NStep {
    /// For so many steps (at least 1) and a discount.
    pub fn new(steps: usize, discount: f64) -> Self {
        Self { steps: steps.max(1), discount, recent: VecDeque::new(), next: (Vec::new(), None) }
    }

    /// Takes in a step, what was observed after it and which actions were possible then (none: all),
    /// and hands on what is complete.
    pub fn push(
        &mut self,
        (observation, action, reward): (&[f32], &[f32], f64),
        next: (&[f32], Option<&[bool]>),
        terminated: bool,
        truncated: bool,
        mut emit: impl FnMut(Transition),
    ) {
        self.recent.push_back((observation.to_vec(), action.to_vec(), reward));
        let ended = terminated || truncated;
        while self.recent.len() >= self.steps || (ended && !self.recent.is_empty()) {
            self.emit(next, terminated, &mut emit);
        }
        if !self.recent.is_empty() {
            self.next = (next.0.to_vec(), next.1.map(<[bool]>::to_vec));
        }
    }

    /// What the next step is expected to begin with, where steps are pending.
    pub fn next(&self) -> Option<&[f32]> {
        (!self.recent.is_empty()).then_some(&self.next.0[..])
    }

    /// Hands on what is pending as if the episode had been truncated.
    pub fn close(&mut self, mut emit: impl FnMut(Transition)) {
        let next = std::mem::take(&mut self.next);
        while !self.recent.is_empty() {
            self.emit((&next.0, next.1.as_deref()), false, &mut emit);
        }
    }

    /// The rewards of all that is pending, as one transition from the first of them.
    fn emit(
        &mut self,
        next: (&[f32], Option<&[bool]>),
        terminated: bool,
        emit: &mut impl FnMut(Transition),
    ) {
        let (mut sum, mut weight) = (0.0, 1.0);
        for (_, _, reward) in &self.recent {
            sum += weight * reward;
            weight *= self.discount;
        }
        let Some((observation, action, _)) = self.recent.pop_front() else { return };
        emit(Transition {
            observation,
            action,
            reward: sum as f32,
            next: next.0.to_vec(),
            mask: next.1.map(<[bool]>::to_vec),
            discount: if terminated { 0.0 } else { weight as f32 },
        });
    }

    /// Whether it is one for so many steps, this discount, and observations and actions of so
    /// many numbers, all of them finite, the actions such as `holds` says.
    #[cfg(feature = "burn")]
    pub(crate) fn fits(
        &self,
        steps: usize,
        discount: f64,
        (features, width): (usize, usize),
        holds: impl Fn(&[f32]) -> bool,
    ) -> bool {
        let row = |row: &[f32], width| row.len() == width && row.iter().all(|x| x.is_finite());
        (self.steps, self.discount.to_bits()) == (steps, discount.to_bits())
            && self.recent.len() < steps
            && self.next().is_none_or(|next| row(next, features))
            && self.recent.iter().all(|(observation, action, reward)| {
                row(observation, features)
                    && row(action, width)
                    && holds(action)
                    && reward.is_finite()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(terminated: bool) -> Vec<Transition> {
        let mut steps = NStep::new(3, 0.5);
        let mut out = Vec::new();
        for t in 0..4_u8 {
            let last = t == 3;
            let (at, next) = ([f32::from(t)], [f32::from(t) + 1.0]);
            let step = (at.as_slice(), [0.0].as_slice(), 1.0);
            steps.push(step, (&next, None), last && terminated, last && !terminated, |t| {
                out.push(t);
            });
        }
        out
    }

    #[test]
    fn sums_rewards_and_discounts_what_comes_after() {
        let out = run(false);
        let seen: Vec<_> =
            out.iter().map(|t| (t.observation[0], t.reward, t.next[0], t.discount)).collect();
        assert_eq!(
            seen,
            [
                (0.0, 1.75, 3.0, 0.125),
                (1.0, 1.75, 4.0, 0.125),
                (2.0, 1.5, 4.0, 0.25),
                (3.0, 1.0, 4.0, 0.5),
            ]
        );
    }

    #[test]
    fn only_termination_leaves_nothing_after() {
        let (truncated, terminated) = (run(false), run(true));
        assert!(truncated.iter().all(|t| t.discount > 0.0));
        let discounts: Vec<f32> = terminated.iter().map(|t| t.discount).collect();
        assert_eq!(discounts, [0.125, 0.0, 0.0, 0.0]);
        for (a, b) in truncated.iter().zip(&terminated) {
            assert_eq!((a.reward, &a.next), (b.reward, &b.next));
        }
    }
}
