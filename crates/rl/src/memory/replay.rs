use model_utils_core::config;
use model_utils_core::random::Random;

use super::n_step::Transition;
use super::sum_tree::SumTree;
use crate::error::{Error, Result};

/// Transitions in host memory, the oldest overwritten first; each batch is one copy to upload.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayBuffer {
    capacity: usize,
    features: usize,
    width: usize,
    stored: usize,
    next: usize,
    observations: Vec<f32>,
    nexts: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    /// From the first transition on that has a mask.
    masks: Option<Masks>,
    priorities: Option<Priorities>,
}

/// Which of so many actions are possible after each transition.
#[derive(Debug, Clone, PartialEq)]
struct Masks {
    actions: usize,
    possible: Vec<bool>,
}

/// Prioritised replay in proportion to the error (Schaul et al. 2016).
#[derive(Debug, Clone, PartialEq)]
struct Priorities {
    tree: SumTree,
    /// How much the error matters: 0 not at all.
    alpha: f64,
    /// The largest priority so far, which new transitions get.
    most: f64,
}

/// Transitions drawn from a [`ReplayBuffer`], as columns.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Batch {
    /// `[batch, features]`
    pub observations: Vec<f32>,
    /// `[batch, features]`
    pub nexts: Vec<f32>,
    /// `[batch, width]`
    pub actions: Vec<f32>,
    /// `[batch]`
    pub rewards: Vec<f32>,
    /// What the value of `nexts` counts. `[batch]`
    pub discounts: Vec<f32>,
    /// Which actions are possible after each; none: all. `[batch, actions]`
    pub masks: Option<Vec<bool>>,
    /// What the error of each counts: 1, or less for what is drawn more often. `[batch]`
    pub weights: Vec<f32>,
    /// Where they lie, for [`ReplayBuffer::set_priorities`].
    pub indices: Vec<usize>,
}

impl ReplayBuffer {
    /// Room for so many transitions of so many observed numbers and action numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for none.
    pub fn new(capacity: usize, features: usize, width: usize) -> Result<Self> {
        config::require((1..=MOST).contains(&capacity), "capacity", capacity, "1 to 2²⁸")?;
        Ok(Self {
            capacity,
            features,
            width,
            stored: 0,
            next: 0,
            observations: Vec::new(),
            nexts: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            discounts: Vec::new(),
            masks: None,
            priorities: None,
        })
    }

    /// Draws by priority; `alpha` says how much the error matters.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] outside 0..=1.
    pub fn prioritized(mut self, alpha: f64) -> Result<Self> {
        config::share("alpha", alpha)?;
        let tree = SumTree::new(self.capacity);
        self.priorities = Some(Priorities { tree, alpha, most: 1.0 });
        Ok(self)
    }

    /// How many transitions there are.
    pub fn len(&self) -> usize {
        self.stored
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.stored == 0
    }

    /// Takes in a transition.
    ///
    /// # Panics
    ///
    /// For one of another shape.
    pub fn push(&mut self, transition: &Transition) {
        let Transition { observation, next, action, .. } = transition;
        let shape = (observation.len(), next.len(), action.len());
        assert_eq!(shape, (self.features, self.features, self.width), "a transition's shape");
        let at = self.next;
        if let (None, Some(mask)) = (&self.masks, &transition.mask) {
            let (actions, possible) = (mask.len(), vec![true; self.stored * mask.len()]);
            self.masks = Some(Masks { actions, possible });
        }
        if let Some(Masks { actions, possible }) = &mut self.masks {
            let mask = transition.mask.as_deref().unwrap_or_default();
            let new = (0..*actions).map(|action| mask.get(action) != Some(&false));
            let end = possible.len().min((at + 1) * *actions);
            possible.splice(at * *actions..end, new);
        }
        if self.stored < self.capacity {
            self.stored += 1;
            self.observations.extend(&transition.observation);
            self.nexts.extend(&transition.next);
            self.actions.extend(&transition.action);
            self.rewards.push(transition.reward);
            self.discounts.push(transition.discount);
        } else {
            let row = at * self.features..(at + 1) * self.features;
            self.observations[row.clone()].copy_from_slice(&transition.observation);
            self.nexts[row].copy_from_slice(&transition.next);
            let row = at * self.width..(at + 1) * self.width;
            self.actions[row].copy_from_slice(&transition.action);
            self.rewards[at] = transition.reward;
            self.discounts[at] = transition.discount;
        }
        if let Some(Priorities { tree, most, .. }) = &mut self.priorities {
            tree.set(at, *most);
        }
        self.next = (at + 1) % self.capacity;
    }

    /// Draws a batch. `beta` says how far the weights make up for drawing by priority.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] for more than there is, [`Error::Config`] for none.
    pub fn sample(&self, batch: usize, beta: f64, random: &mut Random) -> Result<Batch> {
        config::at_least("batch", batch, 1)?;
        if batch > self.stored {
            return Err(Error::Batch { batch, stored: self.stored });
        }
        let mut out = Batch::default();
        for number in 0..batch {
            let at = match &self.priorities {
                None => random.below(self.stored),
                // One from each of as many equal parts of the sum.
                Some(Priorities { tree, .. }) => {
                    let part = (number as f64 + random.uniform()) / batch as f64;
                    tree.find(part * tree.total()).min(self.stored - 1)
                }
            };
            let row = at * self.features..(at + 1) * self.features;
            out.observations.extend_from_slice(&self.observations[row.clone()]);
            out.nexts.extend_from_slice(&self.nexts[row]);
            out.actions.extend_from_slice(&self.actions[at * self.width..(at + 1) * self.width]);
            out.rewards.push(self.rewards[at]);
            out.discounts.push(self.discounts[at]);
            if let Some(Masks { actions, possible }) = &self.masks {
                let row = &possible[at * actions..(at + 1) * actions];
                out.masks.get_or_insert_default().extend_from_slice(row);
            }
            out.indices.push(at);
        }
        out.weights = match &self.priorities {
            None => vec![1.0; batch],
            Some(Priorities { tree, .. }) => {
                let share = |at: &usize| tree.get(*at) / tree.total() * self.stored as f64;
                let weights: Vec<f64> =
                    out.indices.iter().map(|at| share(at).powf(-beta)).collect();
                let most = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
                weights.iter().map(|weight| (weight / most) as f32).collect()
            }
        };
        Ok(out)
    }

    /// Takes note of the errors of a batch; nothing where replay is not prioritised, of a place that
    /// is empty, and of an error that is not finite.
    pub fn set_priorities(&mut self, indices: &[usize], errors: &[f32]) {
        let Some(Priorities { tree, alpha, most }) = &mut self.priorities else { return };
        for (at, error) in indices.iter().zip(errors) {
            if *at >= self.stored || !error.is_finite() {
                continue;
            }
            let priority = (f64::from(error.abs()) + 1e-6).powf(*alpha);
            *most = most.max(priority);
            tree.set(*at, priority);
        }
    }

    /// The columns and priorities by name, for saving.
    pub fn columns(&self) -> Vec<(&'static str, Vec<f32>)> {
        let mut columns = vec![
            ("replay_observations", self.observations.clone()),
            ("replay_nexts", self.nexts.clone()),
            ("replay_actions", self.actions.clone()),
            ("replay_rewards", self.rewards.clone()),
            ("replay_discounts", self.discounts.clone()),
        ];
        if let Some(Masks { actions, possible }) = &self.masks {
            // The number of actions first.
            let possible = possible.iter().map(|possible| f32::from(u8::from(*possible)));
            columns.push((MASKS, std::iter::once(*actions as f32).chain(possible).collect()));
        }
        if let Some(Priorities { tree, most, .. }) = &self.priorities {
            // f64 as two halves, so that nothing is rounded.
            let halves = |x: f64| {
                let bits = x.to_bits();
                [f32::from_bits((bits >> 32) as u32), f32::from_bits(bits as u32)]
            };
            let all = (0..self.stored).map(|at| tree.get(at)).chain([*most]);
            columns.push(("replay_priorities", all.flat_map(halves).collect()));
        }
        columns
    }

    /// Where the next transition goes, for saving.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Takes up saved columns.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for columns of another shape.
    pub fn restore(
        &mut self,
        position: usize,
        mut column: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Result<()> {
        let unfit = |name: &str| Error::Resume(format!("the column {name} does not fit"));
        let mut take = |name: &str| column(name).ok_or_else(|| unfit(name));
        let rewards = take("replay_rewards")?;
        let stored = rewards.len();
        let mut sized = |name: &str, width: usize| {
            let values = take(name)?;
            let fits = values.len() == stored * width && values.iter().all(|x| x.is_finite());
            if fits { Ok(values) } else { Err(unfit(name)) }
        };
        let observations = sized("replay_observations", self.features)?;
        let nexts = sized("replay_nexts", self.features)?;
        let actions = sized("replay_actions", self.width)?;
        let discounts = sized("replay_discounts", 1)?;
        if stored > self.capacity || !rewards.iter().all(|x| x.is_finite()) {
            return Err(unfit("replay_rewards"));
        }
        if !discounts.iter().all(|x| (0.0..=1.0).contains(x)) {
            return Err(unfit("replay_discounts"));
        }
        let masks = column(MASKS).map(|column| masks(&column, stored).ok_or_else(|| unfit(MASKS)));
        let masks = masks.transpose()?;
        let full = stored == self.capacity;
        if if full { position >= self.capacity } else { position != stored } {
            let place = format!("the replay goes on at {position} of {stored} transitions");
            return Err(Error::Resume(place));
        }
        if let Some(priorities) = &mut self.priorities {
            let halves = column("replay_priorities").unwrap_or_default();
            let (halves, rest) = halves.as_chunks::<2>();
            let bits = |[high, low]: &[f32; 2]| {
                f64::from_bits(u64::from(high.to_bits()) << 32 | u64::from(low.to_bits()))
            };
            let values: Vec<f64> = halves.iter().map(bits).collect();
            // Sums of them stay finite.
            let possible = |x: &f64| (0.0..=1e100).contains(x) && *x > 0.0;
            if values.len() != stored + 1 || !rest.is_empty() || !values.iter().all(possible) {
                return Err(unfit("replay_priorities"));
            }
            priorities.tree = SumTree::new(self.capacity);
            priorities.most = values[stored];
            values[..stored].iter().enumerate().for_each(|(at, x)| priorities.tree.set(at, *x));
        }
        (self.observations, self.nexts, self.actions) = (observations, nexts, actions);
        (self.rewards, self.discounts, self.masks) = (rewards, discounts, masks);
        (self.stored, self.next) = (stored, position);
        Ok(())
    }

    /// How many actions the masks are for; none where no transition has one.
    #[cfg(feature = "burn")]
    pub(crate) fn masked_actions(&self) -> Option<usize> {
        self.masks.as_ref().map(|masks| masks.actions)
    }

    /// What was done. `[stored, width]`
    pub fn actions(&self) -> &[f32] {
        &self.actions
    }
}

/// The most transitions of a replay.
pub(crate) const MOST: usize = 1 << 28;
const MASKS: &str = "replay_masks";

/// Masks from their column.
fn masks(column: &[f32], stored: usize) -> Option<Masks> {
    let (actions, possible) = column.split_first()?;
    let actions = *actions as usize;
    let shaped = actions > 0 && possible.len() == stored.checked_mul(actions)?;
    let read = |x: &f32| [0.0, 1.0].contains(x).then_some(*x > 0.5);
    let possible: Vec<bool> = possible.iter().map(read).collect::<Option<_>>()?;
    shaped.then_some(Masks { actions, possible })
}

impl Batch {
    /// What each transition is worth where what comes after is worth `later`, `[batch]`:
    /// `r + discount · later`.
    #[cfg(feature = "burn")]
    pub(crate) fn returns(&self, later: &[f32]) -> Vec<f32> {
        let rows = self.rewards.iter().zip(&self.discounts).zip(later);
        rows.map(|((reward, discount), later)| reward + discount * later).collect()
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // Exact values are meant.
mod tests {
    use super::*;

    fn filled(count: usize, capacity: usize) -> ReplayBuffer {
        let mut replay = ReplayBuffer::new(capacity, 2, 1).unwrap();
        for i in 0..count {
            let x = i as f32;
            replay.push(&Transition {
                observation: vec![x, -x],
                action: vec![x],
                reward: x,
                next: vec![x + 1.0, 0.0],
                mask: (i == 5).then(|| vec![false, true]),
                discount: 0.9,
            });
        }
        replay
    }

    #[test]
    fn the_oldest_is_overwritten_and_rows_belong_together() {
        let replay = filled(7, 4);
        let batch = replay.sample(4, 0.0, &mut Random::new(1)).unwrap();
        for (i, reward) in batch.rewards.iter().enumerate() {
            assert!((3.0..7.0).contains(reward));
            assert_eq!(batch.observations[2 * i..2 * i + 2], [*reward, -reward]);
            assert_eq!((batch.nexts[2 * i], batch.actions[i]), (reward + 1.0, *reward));
            let masks = batch.masks.as_ref().unwrap();
            assert_eq!(masks[2 * i..2 * i + 2], [*reward != 5.0, true]);
        }
        let error = replay.sample(5, 0.0, &mut Random::new(1)).unwrap_err();
        assert!(matches!(error, Error::Batch { batch: 5, stored: 4 }), "{error}");
        assert!(replay.sample(0, 0.0, &mut Random::new(1)).is_err());
        assert!(ReplayBuffer::new(0, 1, 1).is_err());
    }

    #[test]
    fn what_erred_more_is_drawn_more_often_and_counts_less() {
        let mut replay = ReplayBuffer::new(4, 2, 1).unwrap().prioritized(1.0).unwrap();
        for i in 0..4 {
            let row = filled(i + 1, 9);
            replay.push(&Transition {
                observation: vec![0.0; 2],
                action: vec![0.0],
                reward: row.rewards[i],
                next: vec![0.0; 2],
                mask: None,
                discount: 1.0,
            });
        }
        replay.set_priorities(&[0, 1, 2, 3], &[1.0, 1.0, 1.0, -5.0]);
        let mut random = Random::new(2);
        let mut often = 0;
        for _ in 0..1000 {
            let batch = replay.sample(4, 1.0, &mut random).unwrap();
            often += batch.rewards.iter().filter(|r| **r == 3.0).count();
            for (reward, weight) in batch.rewards.iter().zip(&batch.weights) {
                let expected = if *reward == 3.0 { 0.2 } else { 1.0 };
                assert!((weight - expected).abs() < 1e-4 || batch.rewards == [3.0; 4]);
            }
        }
        assert!((2300..2700).contains(&often), "{often} of 4000, expected 5 in 8");
        let columns = replay.columns();
        let mut again = ReplayBuffer::new(4, 2, 1).unwrap().prioritized(1.0).unwrap();
        let take = |name: &str| columns.iter().find(|(n, _)| *n == name).map(|(_, c)| c.clone());
        again.restore(replay.position(), take).unwrap();
        assert_eq!(again, replay);
        assert!(ReplayBuffer::new(2, 2, 1).unwrap().restore(0, take).is_err());
        let replay = filled(7, 4);
        let columns = replay.columns();
        let take = |name: &str| columns.iter().find(|(n, _)| *n == name).map(|(_, c)| c.clone());
        let mut again = ReplayBuffer::new(4, 2, 1).unwrap();
        again.restore(replay.position(), take).unwrap();
        assert_eq!(again, replay);
    }
}
