use burn::tensor::{Device, Tensor};

use super::off_policy::{Make, Part};
use crate::error::Result;

/// Judges of an observation and an action, with targets that follow them; the least value counts
/// (Fujimoto et al. 2018).
#[derive(Debug)]
pub(super) struct Critics(pub(super) Vec<Part>);

impl Critics {
    /// One of each name.
    pub(super) fn new(names: &[&'static str], inputs: usize, make: &mut Make<'_>) -> Result<Self> {
        let part =
            |name: &&'static str| Ok(Part::new(name, make(name, inputs, 1)?, 1e-8).with_target());
        names.iter().map(part).collect::<Result<_>>().map(Self)
    }

    /// The least value on the host.
    pub(super) fn value(&self, observation: &[f32], action: &[f32]) -> f32 {
        let row = [observation, action].concat();
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

    /// A step towards `goals`, `[rows, 1]`, by the mean of the squared error times `scale`; the
    /// loss, the mean value and the mean absolute error.
    pub(super) fn step(
        &mut self,
        pairs: &Tensor<2>,
        goals: &Tensor<2>,
        (scale, rate): (f64, f64),
        device: &Device,
    ) -> Result<[f64; 3]> {
        let count = self.0.len() as f64;
        let mut all = [0.0; 3];
        for part in &mut self.0 {
            let layers = part.network.on(device, true);
            let said = layers.forward(pairs.clone());
            let error = said.clone() - goals.clone();
            let loss = error.clone().powi_scalar(2).mean() * scale;
            part.step(&layers.gradients(&loss.backward())?, rate);
            let number = |tensor: Tensor<1>| f64::from(tensor.into_scalar::<f32>());
            all[0] += number(loss);
            all[1] += number(said.mean()) / count;
            all[2] += number(error.abs().mean()) / count;
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
