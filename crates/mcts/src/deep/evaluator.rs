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
use crate::game::{Encode, Turn, Values};
use crate::leaves::Leaves;
use crate::rule::softmax;

/// Judges leaves by a net, all leaves of a batch in one forward pass.
///
/// A net knows positions in which a player is to move. Where chance acts, a leaf is worth the mean
/// of what chance can play, weighted by its probabilities, and what that pays; all of it is judged
/// in the same pass, so that a throw of two dice costs 21 positions or 36.
#[derive(Debug, Clone)]
pub struct NetEvaluator {
    net: Folded,
    config: PolicyValueConfig,
    device: Device,
    planes: Vec<f32>,
    rows: Vec<Row>,
    /// What each leaf is worth, as far as it is known.
    known: Vec<Values>,
    evaluated: u64,
}

/// A position that the net judges for a leaf.
#[derive(Debug, Clone, Copy)]
struct Row {
    leaf: usize,
    /// How likely it is, from the leaf on.
    probability: f32,
    player: usize,
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
        let (planes, rows, known) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { net: folded, config, device, planes, rows, known, evaluated: 0 })
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
    /// `[batch, actions]` and values `[batch, values]` as [`PolicyValue`](super::PolicyValue) has
    /// them.
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

impl NetEvaluator {
    /// Puts a position of a leaf before the net, or all that follow from it by chance.
    fn ask<G: Encode>(&mut self, game: &G, leaf: usize, probability: f32) -> Result<()> {
        if let Some(values) = game.outcome() {
            self.known[leaf] = values.discounted(probability, &self.known[leaf]);
            return Ok(());
        }
        let Some(player) = game.turn().player() else {
            let (mut actions, mut chances) = (Vec::new(), Vec::new());
            game.legal_actions(&mut actions);
            game.chances(&mut chances);
            return actions.into_iter().zip(chances).try_for_each(|(action, chance)| {
                let (mut next, probability) = (game.clone(), probability * chance);
                next.play(action);
                if G::REWARDS {
                    self.known[leaf] = next.rewards().discounted(probability, &self.known[leaf]);
                }
                self.ask(&next, leaf, probability)
            });
        };
        let expected = format_args!("a player below {}", game.players()).to_string();
        config::require(player < game.players(), "turn", player, expected)?;
        let start = self.planes.len();
        self.planes.resize(start + self.config.shape.iter().product::<usize>(), 0.0);
        game.encode(&mut self.planes[start..]);
        self.rows.push(Row { leaf, probability, player });
        Ok(())
    }
}

impl<G: Encode> Evaluator<G> for NetEvaluator {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        let Some(first) = leaves.games().first() else { return Ok(()) };
        self.config.check_game(first)?;
        let most = first.most_value();
        self.planes.clear();
        self.rows.clear();
        self.known.clear();
        self.known.resize(leaves.len(), Values::DRAW);
        for (leaf, game) in leaves.games().iter().enumerate() {
            self.ask(game, leaf, 1.0)?;
        }
        let planes = std::mem::take(&mut self.planes);
        let result = self.forward(&planes);
        self.planes = planes;
        let (logits, values) = result?;
        let (width, all) = (self.config.values(), self.config.actions);
        let judged = values.chunks_exact(width).zip(logits.chunks_exact(all));
        for (&Row { leaf, probability, player }, (said, logits)) in self.rows.iter().zip(judged) {
            let values = match self.config.players {
                None => Values::two(player, said[0]),
                Some(_) => Values::from_turn(player, said),
            };
            self.known[leaf] = values.discounted(most * probability, &self.known[leaf]);
            if leaves.game(leaf).turn() == Turn::Chance {
                continue;
            }
            let (actions, priors) = leaves.actions_and_priors(leaf);
            for (&action, prior) in actions.iter().zip(priors.iter_mut()) {
                *prior = logits[usize::from(action)];
            }
            softmax(priors);
        }
        for (leaf, &values) in self.known.iter().enumerate() {
            leaves.set_values(leaf, values);
        }
        Ok(())
    }
}

impl Fork for NetEvaluator {
    fn fork(&self, _worker: u64) -> Self {
        Self { evaluated: 0, planes: Vec::new(), ..self.clone() }
    }
}
