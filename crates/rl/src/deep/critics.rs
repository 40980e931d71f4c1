use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::off_policy::{Make, Part};
use crate::error::Result;
use crate::memory::Batch;

/// Judges of an observation and an action, with targets that follow them; the least value counts
/// (Fujimoto et al. 2018).
#[derive(Debug)]
pub(super) struct Critics(pub(super) Vec<Part>);

impl Critics {
    /// What they read: each observation with its action behind it.
    pub(super) fn pairs(batch: &Batch) -> Vec<f32> {
        let rows = batch.rewards.len().max(1);
        let features = batch.observations.chunks(batch.observations.len() / rows);
        let actions = batch.actions.chunks(batch.actions.len() / rows);
        features.zip(actions).flat_map(|(row, action)| [row, action].concat()).collect()
    }

    /// One of each name.
    pub(super) fn new(names: &[&'static str], inputs: usize, make: &mut Make<'_>) -> Result<Self> {
        let part =
            |name: &&'static str| Ok(Part::new(name, make(name, inputs, 1)?, 1e-8).with_target());
        names.iter().map(part).collect::<Result<_>>().map(Self)
    }

    /// The least value on the host.
    pub(super) fn value(&self, observation: &[f32], action: &[f32]) -> f32 {
        let row = [observation, action].concat();
        let (found, expected) = (row.len(), self.0[0].network.inputs());
        assert_eq!(found, expected, "the numbers of an observation and an action");
        self.0.iter().map(|part| part.network.forward(&row)[0]).fold(f32::INFINITY, f32::min)
    }

    /// The least value of the targets. `[rows, features + width]` → `[rows, 1]`
    pub(super) fn later(&self, pairs: &Tensor<2>, plain: &Device) -> Tensor<2> {
        least(self.0.iter().map(|part| part.target().on(plain, false).forward(pairs.clone())))
    }

    /// The least value, with gradients for the pairs alone.
    pub(super) fn judge(&self, pairs: &Tensor<2>, device: &Device) -> Tensor<2> {
        least(self.0.iter().map(|part| part.network.on(device, false).forward(pairs.clone())))
    }

    /// The first one's value, with gradients for the pairs alone.
    pub(super) fn first(&self, pairs: &Tensor<2>, device: &Device) -> Tensor<2> {
        self.0[0].network.on(device, false).forward(pairs.clone())
    }

    /// A step towards `goals`, `[rows]`, by the mean of the squared error times `scale`; the loss,
    /// the mean value and the mean absolute error.
    pub(super) fn step(
        &mut self,
        pairs: &[f32],
        goals: &[f32],
        (scale, rate): (f32, f64),
        device: &Device,
    ) -> Result<[f64; 3]> {
        let share = 1.0 / goals.len() as f64;
        let judge = |rows: Range<usize>, said: &[f32]| {
            let errors = || said.iter().zip(&goals[rows.clone()]).map(|(said, goal)| said - goal);
            let slopes = errors().map(|error| 2.0 * scale * error / goals.len() as f32).collect();
            let mean =
                |each: &mut dyn Iterator<Item = f32>| each.map(f64::from).sum::<f64>() * share;
            let loss = mean(&mut errors().map(|error| scale * error * error));
            let size = mean(&mut errors().map(f32::abs));
            (slopes, [loss, mean(&mut said.iter().copied()), size])
        };
        let count = self.0.len() as f64;
        let mut all = [0.0; 3];
        for part in &mut self.0 {
            let (gradients, told) = part.network.gradients(pairs, device, judge)?;
            part.step(&gradients, rate);
            for [loss, value, size] in told {
                all[0] += loss;
                all[1] += value / count;
                all[2] += size / count;
            }
        }
        Ok(all)
    }

    /// Moves the targets.
    pub(super) fn follow(&mut self, share: f64) {
        self.0.iter_mut().for_each(|part| part.follow(share));
    }
}

fn least(values: impl Iterator<Item = Tensor<2>>) -> Tensor<2> {
    values.reduce(Tensor::min_pair).expect("there is a critic")
}
