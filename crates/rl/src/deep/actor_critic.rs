use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use model_utils::layers::Activation;
use model_utils::ops;
use model_utils_core::random::Random;

use super::dqn::arg_max;
use super::network::{Layers, Network, Start, widths};
use crate::environment::Choice;
use crate::error::Result;
use crate::space::{Space, Spaces};

/// What a masked action's logit becomes.
const MASKED: f32 = -1e8;
/// ln √(2π)
const LOG_ROOT_TAU: f32 = 0.918_938_5;

/// A policy and a value, each a network of its own: a categorical policy over indices, or a normal
/// one over numbers with a deviation that does not depend on the observation.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorCritic {
    pub(super) actor: Network,
    pub(super) critic: Network,
    /// The logarithm of the deviations, as a network of one layer that reads a 1: `[actions]`;
    /// empty for indices.
    pub(super) log_std: Vec<f32>,
    action: Space,
}

/// A minibatch of a rollout on the host.
#[derive(Debug, Clone, Default)]
pub(super) struct Minibatch {
    pub(super) observations: Vec<f32>,
    /// Indices, or numbers `[rows, width]`.
    pub(super) actions: Vec<f32>,
    pub(super) masks: Option<Vec<bool>>,
    pub(super) old_log_p: Vec<f32>,
    pub(super) advantages: Vec<f32>,
    pub(super) returns: Vec<f32>,
}

/// The same on a device.
pub(super) struct Uploaded {
    observations: Tensor<2>,
    actions: Acted,
    masks: Option<Tensor<2, Bool>>,
    pub(super) old_log_p: Tensor<1>,
    pub(super) advantages: Tensor<1>,
    pub(super) returns: Tensor<1>,
}

enum Acted {
    Indices(Tensor<2, Int>),
    Numbers(Tensor<2>),
}

/// The layers on a device, with gradients.
pub(super) struct Live {
    actor: Layers,
    critic: Layers,
    log_std: Option<Tensor<2>>,
}

/// What the live networks say of a minibatch.
pub(super) struct Judged {
    /// `[rows]`
    pub(super) log_p: Tensor<1>,
    /// The mean over rows.
    pub(super) entropy: Tensor<1>,
    /// `[rows]`
    pub(super) values: Tensor<1>,
}

impl ActorCritic {
    pub(super) fn new(
        spaces: &Spaces,
        hidden: &[usize],
        activation: Activation,
        log_std: f64,
        random: &mut Random,
    ) -> Result<Self> {
        let features = spaces.observation.features();
        let outputs = spaces.action.features();
        let actor = widths(features, hidden, outputs)?;
        let critic = widths(features, hidden, 1)?;
        Ok(Self {
            actor: Network::new(actor, activation, Start::Orthogonal(0.01), random),
            critic: Network::new(critic, activation, Start::Orthogonal(1.0), random),
            log_std: match &spaces.action {
                Space::Discrete(_) => Vec::new(),
                Space::Continuous { .. } => vec![log_std as f32; outputs],
            },
            action: spaces.action.clone(),
        })
    }

    /// How many weights there are in all.
    pub(super) fn weights(&self) -> usize {
        self.actor.values().len() + self.critic.values().len() + self.log_std.len()
    }

    /// The numbers of an action row.
    pub(super) fn width(&self) -> usize {
        if self.log_std.is_empty() { 1 } else { self.log_std.len() }
    }

    /// The values of rows. `[rows, features]` → `[rows]`
    pub fn values(&self, rows: &[f32]) -> Vec<f32> {
        self.critic.forward(rows)
    }

    /// Draws an action for each row, and its log-probability.
    pub(super) fn sample(
        &self,
        rows: &[f32],
        masks: Option<&[bool]>,
        random: &mut Random,
    ) -> (Vec<f32>, Vec<f32>) {
        let outputs = self.actor.forward(rows);
        let (mut actions, mut log_p) = (Vec::new(), Vec::new());
        if self.log_std.is_empty() {
            let count = self.action.features();
            for (at, row) in outputs.chunks(count).enumerate() {
                let mask = masks.map(|masks| &masks[at * count..(at + 1) * count]);
                let allowed = |a: usize| mask.is_none_or(|mask| mask[a]);
                let most =
                    (0..count).filter(|a| allowed(*a)).map(|a| row[a]).fold(f32::MIN, f32::max);
                let weight = |a: usize| if allowed(a) { (row[a] - most).exp() } else { 0.0 };
                let total: f32 = (0..count).map(weight).sum();
                let weights = (0..count).map(|a| f64::from(weight(a)));
                let action = random.weighted(weights).unwrap_or(0);
                actions.push(action as f32);
                log_p.push(row[action] - most - total.ln());
            }
        } else {
            for row in outputs.chunks(self.log_std.len()) {
                let mut sum = 0.0;
                for (mean, log_std) in row.iter().zip(&self.log_std) {
                    let noise = random.normal() as f32;
                    actions.push(mean + log_std.exp() * noise);
                    sum -= 0.5 * noise * noise + log_std + LOG_ROOT_TAU;
                }
                log_p.push(sum);
            }
        }
        (actions, log_p)
    }

    /// The most probable action.
    pub(super) fn decide(&self, row: &[f32], mask: Option<&[bool]>) -> Choice<'static> {
        let outputs = self.actor.forward(row);
        match &self.action {
            Space::Discrete(_) => Choice::Index(arg_max(&outputs, mask)),
            Space::Continuous { low, high } => Choice::Numbers(within(&outputs, low, high).into()),
        }
    }

    /// Numbers as the environment may take them: clipped to the ends of its space.
    pub(super) fn clipped(&self, actions: &[f32]) -> Vec<f32> {
        match &self.action {
            Space::Discrete(_) => actions.to_vec(),
            Space::Continuous { low, high } => {
                actions.chunks(low.len()).flat_map(|row| within(row, low, high)).collect()
            }
        }
    }

    pub(super) fn on(&self, device: &Device) -> Live {
        let log_std = (!self.log_std.is_empty()).then(|| {
            let data = TensorData::new(self.log_std.clone(), [1, self.log_std.len()]);
            Tensor::<2>::from_data(data, device).require_grad()
        });
        Live { actor: self.actor.on(device, true), critic: self.critic.on(device, true), log_std }
    }

    /// The parts in the order of [`Live::gradients`].
    pub(super) fn parts(&mut self) -> [&mut [f32]; 3] {
        [self.actor.values_mut(), self.critic.values_mut(), &mut self.log_std]
    }

    /// A minibatch on a device, one upload a column.
    pub(super) fn upload(&self, batch: &Minibatch, device: &Device) -> Uploaded {
        let rows = batch.returns.len();
        let features = self.actor.sizes()[0];
        let column = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [rows]), device)
        };
        let observations = TensorData::new(batch.observations.clone(), [rows, features]);
        let actions = if self.log_std.is_empty() {
            let indices: Vec<i32> = batch.actions.iter().map(|a| *a as i32).collect();
            Acted::Indices(Tensor::from_data(TensorData::new(indices, [rows, 1]), device))
        } else {
            let data = TensorData::new(batch.actions.clone(), [rows, self.log_std.len()]);
            Acted::Numbers(Tensor::from_data(data, device))
        };
        let masks = batch.masks.as_ref().map(|masks| {
            let forbidden: Vec<bool> = masks.iter().map(|allowed| !allowed).collect();
            Tensor::from_data(TensorData::new(forbidden, [rows, self.action.features()]), device)
        });
        Uploaded {
            observations: Tensor::from_data(observations, device),
            actions,
            masks,
            old_log_p: column(&batch.old_log_p),
            advantages: column(&batch.advantages),
            returns: column(&batch.returns),
        }
    }
}

fn within(row: &[f32], low: &[f64], high: &[f64]) -> Vec<f32> {
    let ends = low.iter().zip(high);
    row.iter().zip(ends).map(|(x, (l, h))| x.clamp(*l as f32, *h as f32)).collect()
}

impl Live {
    /// Log-probabilities, entropy (where it is wanted) and values of a minibatch.
    pub(super) fn judge(&self, batch: &Uploaded, entropy: bool) -> Judged {
        let outputs = self.actor.forward(batch.observations.clone());
        let values = self.critic.forward(batch.observations.clone()).squeeze_dim::<1>(1);
        let device = values.device();
        let none = || Tensor::<1>::zeros([1], &device);
        match (&batch.actions, &self.log_std) {
            (Acted::Numbers(actions), Some(log_std)) => {
                let noise = (actions.clone() - outputs) * log_std.clone().neg().exp();
                let each = noise.powi_scalar(2) * -0.5 - log_std.clone() - LOG_ROOT_TAU;
                let log_p = each.sum_dim(1).squeeze_dim::<1>(1);
                let entropy =
                    if entropy { (log_std.clone() + (0.5 + LOG_ROOT_TAU)).sum() } else { none() };
                Judged { log_p, entropy, values }
            }
            (Acted::Indices(actions), _) => {
                let logits = match &batch.masks {
                    Some(masks) => outputs.mask_fill(masks.clone(), MASKED),
                    None => outputs,
                };
                let all = log_softmax(logits, 1);
                let log_p = all.clone().gather(1, actions.clone()).squeeze_dim::<1>(1);
                let entropy = if entropy {
                    (all.clone().exp() * all).sum_dim(1).mean().neg()
                } else {
                    none()
                };
                Judged { log_p, entropy, values }
            }
            (Acted::Numbers(actions), None) => {
                // Never: numbers come with deviations. The means alone have no density.
                let log_p = (actions.clone() - outputs).sum_dim(1).squeeze_dim::<1>(1);
                Judged { log_p, entropy: none(), values }
            }
        }
    }

    /// All gradients of a loss, in the order of [`ActorCritic::parts`].
    pub(super) fn gradients(&self, loss: &Tensor<1>) -> Result<Vec<f32>> {
        let gradients = loss.backward();
        let mut out = self.actor.gradients(&gradients)?;
        out.extend(self.critic.gradients(&gradients)?);
        if let Some(gradient) = self.log_std.as_ref().and_then(|l| l.grad(&gradients)) {
            out.extend(ops::to_vec(gradient));
        }
        Ok(out)
    }
}
