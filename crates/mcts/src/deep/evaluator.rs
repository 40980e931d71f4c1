//! A net as the evaluator of a search.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use model_utils::ops;
use model_utils::weights::Stored as _;
use model_utils_core::config;

use super::folded::Folded;
use super::net::{PolicyValueConfig, PolicyValueNet};
use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::game::{Encode, Values};
use crate::leaves::Leaves;
use crate::rule::softmax;

/// Judges leaves by a net, all leaves of a batch in one forward pass. Two players.
#[derive(Debug, Clone)]
pub struct NetEvaluator {
    net: Folded,
    config: PolicyValueConfig,
    device: Device,
    planes: Vec<f32>,
    evaluated: u64,
}

impl NetEvaluator {
    /// The evaluator of a net as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a net without tensors.
    pub fn new(net: &PolicyValueNet) -> Result<Self> {
        let folded = Folded::new(net);
        let device = net.stem.conv.weight.val().device().without_autodiff();
        let config = net.config().clone();
        Ok(Self { net: folded, config, device, planes: Vec::new(), evaluated: 0 })
    }

    /// The evaluator of a file written by [`PolicyValueNet`]'s `save`.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is of another model.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::new(&PolicyValueNet::load(path, device)?)
    }

    /// What the net was made for.
    pub const fn config(&self) -> &PolicyValueConfig {
        &self.config
    }

    /// How many positions were judged in all.
    pub const fn evaluated(&self) -> u64 {
        self.evaluated
    }

    /// A forward pass on planes `[batch, planes, height, width]`, row-major: logits
    /// `[batch, actions]` and values `[batch]` for the players to move.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`](crate::Error::Utils) where the device cannot give the results back.
    pub fn forward(&mut self, planes: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let [channels, height, width] = self.config.shape;
        let batch = planes.len() / (channels * height * width);
        let shape = [batch, channels, height, width];
        let x = Tensor::<4>::from_data(TensorData::new(planes.to_vec(), shape), &self.device);
        let output = self.net.forward(x);
        self.evaluated += batch as u64;
        Ok((ops::to_vec(output.logits), ops::to_vec(output.values)))
    }
}

impl<G: Encode> Evaluator<G> for NetEvaluator {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        let Some(first) = leaves.games().first() else { return Ok(()) };
        self.config.check_game(first)?;
        let players = first.players();
        config::require(players == 2, "players", players, "2, for a net with one value")?;
        let size = self.config.shape.iter().product::<usize>();
        let mut planes = std::mem::take(&mut self.planes);
        planes.clear();
        planes.resize(size * leaves.len(), 0.0);
        for (game, planes) in leaves.games().iter().zip(planes.chunks_exact_mut(size)) {
            game.encode(planes);
        }
        let result = self.forward(&planes);
        self.planes = planes;
        let (logits, values) = result?;
        for (leaf, logits) in logits.chunks_exact(self.config.actions).enumerate() {
            let player = leaves.game(leaf).turn().player().unwrap_or(0);
            leaves.set_values(leaf, Values::two(player, values[leaf]));
            let (actions, priors) = leaves.actions_and_priors(leaf);
            for (&action, prior) in actions.iter().zip(priors.iter_mut()) {
                *prior = logits[usize::from(action)];
            }
            softmax(priors);
        }
        Ok(())
    }
}

impl Fork for NetEvaluator {
    fn fork(&self, _worker: u64) -> Self {
        Self { evaluated: 0, planes: Vec::new(), ..self.clone() }
    }
}
