use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use model_utils::ops;
use model_utils_core::random::Random;

use super::adam::Adam;
use super::distribution::{Distribution, Heads, LOG_ROOT_TAU, Part};
use super::network::{Layers, Network};
use super::on_policy::Rollout;
use crate::error::Result;

/// What a masked choice's logit becomes.
const MASKED: f32 = -1e8;

/// A policy and a value: networks of their own, or one that gives the outputs of the policy and,
/// last, the value.
///
/// The policy is categorical over indices and bits, each part by itself, and normal over numbers,
/// with a deviation that does not depend on the observation.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorCritic {
    pub(super) actor: Network,
    /// None where the actor gives the value.
    pub(super) critic: Option<Network>,
    /// The logarithm of the deviations of the numbers, in halves of their ranges.
    pub(super) log_std: Vec<f32>,
    pub(super) heads: Heads,
}

/// Rows of a rollout on a device, for [`Live::judge`].
#[derive(Debug)]
pub struct Rows {
    observations: Tensor<2>,
    /// One for each part of the policy.
    actions: Vec<Acted>,
    masks: Option<Tensor<2, Bool>>,
    /// log π(a|s) when the action was drawn. `[rows]`
    pub log_probs: Tensor<1>,
    /// The values then. `[rows]`
    pub values: Tensor<1>,
    /// `[rows]`
    pub advantages: Tensor<1>,
    /// What the value is to become. `[rows]`
    pub returns: Tensor<1>,
}

#[derive(Debug)]
enum Acted {
    /// `[rows, 1]`
    Indices(Tensor<2, Int>),
    /// `[rows, numbers]`
    Numbers(Tensor<2>),
}

/// The networks on a device, with gradients.
#[derive(Debug)]
pub struct Live {
    actor: Layers,
    critic: Option<Layers>,
    log_std: Option<Tensor<2>>,
    heads: Heads,
}

/// What the live networks say of some rows.
#[derive(Debug)]
pub struct Judged {
    /// log π(a|s). `[rows]`
    pub log_probs: Tensor<1>,
    /// `[rows]`
    pub values: Tensor<1>,
    /// log π of all choices of each categorical part.
    choices: Vec<Tensor<2>>,
    log_std: Option<Tensor<2>>,
}

impl Judged {
    /// The entropy of the policy, the mean over the rows. `[1]`
    pub fn entropy(&self) -> Tensor<1> {
        let categorical = self
            .choices
            .iter()
            .map(|all| (all.clone().exp() * all.clone()).sum_dim(1).mean().neg());
        let normal =
            self.log_std.iter().map(|log_std| (log_std.clone() + (0.5 + LOG_ROOT_TAU)).sum());
        let none = Tensor::zeros([1], &self.values.device());
        categorical.chain(normal).reduce(|a, b| a + b).unwrap_or(none)
    }
}

impl ActorCritic {
    /// How many weights there are in all.
    pub(super) fn weights(&self) -> usize {
        let critic = self.critic.as_ref().map_or(0, |critic| critic.values().len());
        self.actor.values().len() + critic + self.log_std.len()
    }

    /// The values of rows. `[rows, features]` → `[rows]`
    pub fn values(&self, rows: &[f32]) -> Vec<f32> {
        match &self.critic {
            Some(critic) => critic.forward(rows),
            None => self.outputs_and_values(rows).1,
        }
    }

    /// The outputs of the policy and the values of rows. `[rows, features]` → `[rows, outputs]`,
    /// `[rows]`
    pub(super) fn outputs_and_values(&self, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let outputs = self.actor.forward(rows);
        if let Some(critic) = &self.critic {
            return (outputs, critic.forward(rows));
        }
        let (mut policy, mut values) = (Vec::new(), Vec::new());
        for row in outputs.chunks(self.heads.outputs() + 1) {
            let (value, outputs) = row.split_last().unwrap_or((&0.0, &[]));
            policy.extend_from_slice(outputs);
            values.push(*value);
        }
        (policy, values)
    }

    /// The policy for an observation's features.
    pub(super) fn distribution(&self, row: &[f32], mask: Option<&[bool]>) -> Distribution<'_> {
        let mut outputs = self.actor.forward(row);
        outputs.truncate(self.heads.outputs());
        Distribution::new(&self.heads, outputs, &self.log_std, mask)
    }

    /// Draws an action for each row of outputs, and its log-probability.
    pub(super) fn sample(
        &self,
        outputs: &[f32],
        masks: Option<&[bool]>,
        random: &mut Random,
    ) -> (Vec<f32>, Vec<f32>) {
        let (mut actions, mut log_probs) = (Vec::new(), Vec::new());
        for (at, row) in outputs.chunks(self.heads.outputs()).enumerate() {
            let choices = self.heads.choices();
            let mask = masks.map(|masks| &masks[at * choices..(at + 1) * choices]);
            log_probs.push(self.heads.draw(row, &self.log_std, mask, random, &mut actions));
        }
        (actions, log_probs)
    }

    /// The networks on a device.
    pub(super) fn on(&self, device: &Device) -> Live {
        let log_std = (!self.log_std.is_empty()).then(|| {
            let data = TensorData::new(self.log_std.clone(), [1, self.log_std.len()]);
            Tensor::<2>::from_data(data, device).require_grad()
        });
        Live {
            actor: self.actor.on(device, true),
            critic: self.critic.as_ref().map(|critic| critic.on(device, true)),
            log_std,
            heads: self.heads.clone(),
        }
    }

    /// Moves the weights against gradients in the order of [`Live::gradients`].
    pub(super) fn step(&mut self, adam: &mut Adam, gradients: &[f32], learning_rate: f64) {
        let mut parts = vec![self.actor.values_mut()];
        parts.extend(self.critic.as_mut().map(Network::values_mut));
        parts.push(&mut self.log_std);
        adam.step(&mut parts, gradients, learning_rate);
    }

    /// Rows of a rollout on a device, one upload a column.
    pub(super) fn rows(&self, rollout: &Rollout, rows: &[usize], device: &Device) -> Rows {
        let count = rows.len();
        let gather = |column: &[f32], width: usize| {
            let mut all = Vec::with_capacity(count * width);
            for at in rows {
                all.extend_from_slice(&column[at * width..][..width]);
            }
            all
        };
        let column = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(gather(values, 1), [count]), device)
        };
        let width = self.heads.width();
        let features = rollout.observations.len() / rollout.returns.len().max(1);
        let observations = gather(&rollout.observations, features);
        let actions = gather(&rollout.actions, width);
        let acted = |part: &Part| match part {
            Part::Category { column, .. } => {
                let indices: Vec<i32> =
                    actions.chunks(width).map(|row| row[*column] as i32).collect();
                Acted::Indices(Tensor::from_data(TensorData::new(indices, [count, 1]), device))
            }
            Part::Numbers { column, count: numbers, .. } => {
                let these: Vec<f32> = actions
                    .chunks(width)
                    .flat_map(|row| &row[*column..column + numbers])
                    .copied()
                    .collect();
                Acted::Numbers(Tensor::from_data(TensorData::new(these, [count, *numbers]), device))
            }
        };
        let masks = rollout.masks.as_ref().map(|masks| {
            let choices = self.heads.choices();
            let forbidden: Vec<bool> = rows
                .iter()
                .flat_map(|at| &masks[at * choices..][..choices])
                .map(|allowed| !allowed)
                .collect();
            Tensor::from_data(TensorData::new(forbidden, [count, choices]), device)
        });
        Rows {
            observations: Tensor::from_data(
                TensorData::new(observations, [count, features]),
                device,
            ),
            actions: self.heads.parts().iter().map(acted).collect(),
            masks,
            log_probs: column(&rollout.log_probs),
            values: column(&rollout.values),
            advantages: column(&rollout.advantages),
            returns: column(&rollout.returns),
        }
    }
}

impl Live {
    /// Log-probabilities, values and entropy of rows, with gradients.
    pub fn judge(&self, rows: &Rows) -> Judged {
        let outputs = self.actor.forward(rows.observations.clone());
        let (outputs, values) = if let Some(critic) = &self.critic {
            (outputs, critic.forward(rows.observations.clone()))
        } else {
            let policy = self.heads.outputs();
            (outputs.clone().narrow(1, 0, policy), outputs.narrow(1, policy, 1))
        };
        let mut judged = Judged {
            log_probs: Tensor::zeros([1], &values.device()),
            values: values.squeeze_dim::<1>(1),
            choices: Vec::new(),
            log_std: self.log_std.clone(),
        };
        let whole = self.heads.outputs();
        let narrow = |from: usize, count: usize| {
            if count == whole { outputs.clone() } else { outputs.clone().narrow(1, from, count) }
        };
        let mut sum: Option<Tensor<1>> = None;
        for (part, acted) in self.heads.parts().iter().zip(&rows.actions) {
            let log_probs = match (part, acted, &self.log_std) {
                (Part::Category { output, choice, count, .. }, Acted::Indices(chosen), _) => {
                    let mut logits = narrow(*output, *count);
                    if let Some(masks) = &rows.masks {
                        let masks = masks.clone().narrow(1, *choice, *count);
                        logits = logits.mask_fill(masks, MASKED);
                    }
                    let all = log_softmax(logits, 1);
                    let log_probs = all.clone().gather(1, chosen.clone()).squeeze_dim::<1>(1);
                    judged.choices.push(all);
                    log_probs
                }
                (Part::Numbers { output, number, count, .. }, Acted::Numbers(acted), Some(all)) => {
                    let log_std = all.clone().narrow(1, *number, *count);
                    let noise =
                        (acted.clone() - narrow(*output, *count)) * log_std.clone().neg().exp();
                    let each = noise.powi_scalar(2) * -0.5 - log_std - LOG_ROOT_TAU;
                    each.sum_dim(1).squeeze_dim::<1>(1)
                }
                // The actions were made for these parts.
                _ => continue,
            };
            sum = Some(match sum {
                Some(sum) => sum + log_probs,
                None => log_probs,
            });
        }
        if let Some(sum) = sum {
            judged.log_probs = sum;
        }
        judged
    }

    /// All gradients of a loss: actor, critic, deviations.
    pub(super) fn gradients(&self, loss: &Tensor<1>) -> Result<Vec<f32>> {
        let gradients = loss.backward();
        let mut out = self.actor.gradients(&gradients)?;
        if let Some(critic) = &self.critic {
            out.extend(critic.gradients(&gradients)?);
        }
        if let Some(log_std) = &self.log_std {
            match log_std.grad(&gradients) {
                Some(gradient) => out.extend(ops::to_vec(gradient)),
                // A loss without the policy.
                None => out.resize(out.len() + log_std.dims()[1], 0.0),
            }
        }
        Ok(out)
    }
}
