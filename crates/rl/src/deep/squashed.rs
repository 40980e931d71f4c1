//! Actions drawn on a device and squashed into −1 to 1, with their density.

use burn::tensor::activation::softplus;
use burn::tensor::{Gradients, Tensor};

use super::distribution::{LOG_ROOT_TAU, unit};
use super::network::Layers;
use crate::error::{Error, Result};
use crate::space::{Head, Space};
use crate::vector::{Actions, Transitions, VectorEnvironment};

/// The ends between which actions lie; agents choose in −1 to 1.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    ends: Vec<(f64, f64)>,
}

impl Ranges {
    /// Of a space of numbers with ends.
    pub(super) fn new(space: &Space) -> Result<Self> {
        let ends = |head: Head| match head {
            Head::Number { low, high } if (high - low).is_finite() => Some((low, high)),
            _ => None,
        };
        let ends = space.heads().into_iter().map(ends).collect::<Option<_>>();
        let bad = || Error::spaces("action", space, "numbers with finite ends");
        Ok(Self { ends: ends.ok_or_else(bad)? })
    }

    /// How many numbers an action is.
    pub(super) fn width(&self) -> usize {
        self.ends.len()
    }

    /// From −1 to 1 into the ranges.
    pub(super) fn scaled(&self, actions: &[f32]) -> Vec<f64> {
        let one = |(a, (low, high)): (&f32, &(f64, f64))| {
            let (middle, half) = unit(*low, *high);
            (middle + half * f64::from(*a)).clamp(*low, *high)
        };
        actions.iter().zip(self.ends.iter().cycle()).map(one).collect()
    }

    /// A step with an action for each environment.
    pub(super) fn step<'e>(
        &self,
        environments: &'e mut dyn VectorEnvironment,
        actions: &[f32],
    ) -> Result<&'e Transitions> {
        environments.step(Actions::Numbers(&self.scaled(actions)))
    }

    /// Whether these are actions before they are scaled.
    pub(super) fn hold(actions: &[f32]) -> bool {
        actions.iter().all(|a| (-1.0..=1.0).contains(a))
    }
}

/// The ends of the logarithm of the deviation.
pub(super) const LOG_STD: (f32, f32) = (-20.0, 2.0);
/// The ends of the mean under state-dependent exploration.
pub(super) const CLIP_MEAN: f32 = 2.0;

/// The actor and its state-dependent exploration on a device.
pub(super) struct Players {
    /// Gives the means, and without state-dependent exploration log σ beside them.
    pub(super) actor: Layers,
    /// Gives log σ of the exploration, `[1, last hidden width · actions]`.
    pub(super) exploration: Option<Layers>,
}

/// Squashed actions.
pub(super) struct Drawn {
    /// In −1 to 1. `[rows, actions]`
    pub(super) action: Tensor<2>,
    /// `[rows, 1]`
    pub(super) log_p: Tensor<2>,
}

impl Players {
    /// Actions and their density: `a = tanh(μ + σ ε)`, and by the change of variables
    /// `log p = log N(ε) − log σ − 2 (ln 2 − u − softplus(−2u))` summed over the numbers.
    ///
    /// The noise ε is `[rows, actions]`; under state-dependent exploration it is
    /// `[last hidden width, actions]`, and the action's noise what the scaled matrix makes of the
    /// actor's last hidden layer (Raffin et al. 2022).
    pub(super) fn draw(&self, observations: Tensor<2>, noise: Tensor<2>) -> Drawn {
        let [rows, width] = noise.dims();
        let (raw, each) = if let Some(exploration) = &self.exploration {
            let (latent, mean) = self.actor.forward_from_latent(observations);
            let nothing = Tensor::zeros([1, 1], &mean.device());
            let deviation = exploration.forward(nothing).reshape([rows, width]).exp();
            let variance =
                latent.clone().powi_scalar(2).matmul(deviation.clone().powi_scalar(2)) + 1e-6;
            let noise = latent.matmul(deviation * noise);
            let each = noise.clone().powi_scalar(2) / variance.clone() * -0.5
                - LOG_ROOT_TAU
                - variance.log() * 0.5;
            (mean.clamp(-CLIP_MEAN, CLIP_MEAN) + noise, each)
        } else {
            let output = self.actor.forward(observations);
            let mean = output.clone().narrow(1, 0, width);
            let log_std = output.narrow(1, width, width).clamp(LOG_STD.0, LOG_STD.1);
            let raw = mean + log_std.clone().exp() * noise.clone();
            (raw, noise.powi_scalar(2) * -0.5 - LOG_ROOT_TAU - log_std)
        };
        let squash =
            (raw.clone() + softplus(raw.clone() * -2.0, 1.0)) * 2.0 - 2.0 * std::f32::consts::LN_2;
        Drawn { action: raw.tanh(), log_p: (each + squash).sum_dim(1) }
    }

    /// The gradients of the actor and of the exploration.
    pub(super) fn gradients(&self, gradients: &Gradients) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let exploration = self.exploration.as_ref().map(|layers| layers.gradients(gradients));
        Ok((self.actor.gradients(gradients)?, exploration.transpose()?))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use model_utils::layers::Activation;
    use model_utils_core::random::Random;

    use model_utils::ops;

    use super::super::network::{Network, Start};
    use super::*;

    /// The density of a squashed normal action, by its definition and in double precision.
    fn density(action: f64, mean: f64, deviation: f64) -> f64 {
        let error = (action.atanh() - mean) / deviation;
        let normal = -0.5 * error * error - deviation.ln() - 0.5 * std::f64::consts::TAU.ln();
        normal - (1.0 - action * action).ln()
    }

    #[test]
    fn densities_are_those_of_squashed_normal_actions() {
        let device = "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap();
        let (features, latent, width, rows) = (3, 8, 2, 5);
        let mut random = Random::new(7);
        for explores in [false, true] {
            let outputs = if explores { width } else { 2 * width };
            let sizes = vec![features, latent, outputs];
            let actor = Network::new(sizes, Activation::Relu, Start::Even, &mut random);
            let log_std = [-1.2_f32, -0.4, -2.0, -0.9].repeat(latent * width / 4);
            let exploration = explores.then(|| Network::constant(&log_std));
            let players = Players {
                actor: actor.on(&device, false),
                exploration: exploration.as_ref().map(|network| network.on(&device, false)),
            };
            let mut draw =
                |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal() as f32).collect() };
            let observations = draw(rows * features);
            let noise_rows = if explores { latent } else { rows };
            let noise = draw(noise_rows * width);
            let tensor = |numbers: &[f32], shape| {
                Tensor::<2>::from_data(TensorData::new(numbers.to_vec(), shape), &device)
            };
            let drawn = players
                .draw(tensor(&observations, [rows, features]), tensor(&noise, [noise_rows, width]));
            let (actions, log_p) = (ops::to_vec(drawn.action), ops::to_vec(drawn.log_p));

            let (hidden, output) = actor.forward_from_latent(&observations);
            for row in 0..rows {
                let hidden = &hidden[row * latent..][..latent];
                let output = &output[row * outputs..][..outputs];
                let sum: f64 = (0..width)
                    .map(|number| {
                        let deviation = if explores {
                            let squares = hidden.iter().enumerate().map(|(i, x)| {
                                let scaled = f64::from(x * log_std[i * width + number].exp());
                                scaled * scaled
                            });
                            (squares.sum::<f64>() + 1e-6).sqrt()
                        } else {
                            f64::from(output[width + number]).exp()
                        };
                        let action = f64::from(actions[row * width + number]);
                        density(action, f64::from(output[number]), deviation)
                    })
                    .sum();
                let found = f64::from(log_p[row]);
                assert!((found - sum).abs() < 1e-3 * sum.abs().max(1.0), "{found} for {sum}");
            }
        }
    }
}
