//! The policy net alone as a player.

use burn::tensor::Device;
use model_utils::ops;

use super::features::{Features, PLANES, has_sensible};
use super::net::{PolicyNet, planes};
use crate::arena::Player;
use crate::error::Result;
use crate::game::Action;
use crate::go::Go;
use crate::random::Random;

/// Draws moves from a policy net, or plays the likeliest. Passes where no sensible point is left.
#[derive(Debug, Clone)]
pub struct PolicyPlayer {
    net: PolicyNet,
    device: Device,
    features: Features,
    random: Random,
    greedy: bool,
}

impl PolicyPlayer {
    /// A player that draws from the net as it is.
    pub fn new(net: &PolicyNet, seed: u64) -> Self {
        Self {
            net: net.clone(),
            device: net.device(),
            features: Features::new(),
            random: Random::new(seed),
            greedy: false,
        }
    }

    /// Plays the likeliest move.
    #[must_use]
    pub fn greedy(mut self) -> Self {
        self.greedy = true;
        self
    }

    /// Chooses for each position; the planes that were seen come back with the actions, empty for
    /// a pass.
    pub(super) fn choose(&mut self, games: &[Go]) -> Result<Vec<(Action, Vec<f32>)>> {
        let Some(first) = games.first() else { return Ok(Vec::new()) };
        let (side, area) = (self.net.side(), first.board().area());
        let mut seen = Vec::with_capacity(games.len());
        let mut all = Vec::new();
        for game in games {
            self.net.check_game(game)?;
            let mut planes = vec![0.0; PLANES * area];
            self.features.encode(game, &mut planes)?;
            all.extend_from_slice(&planes);
            seen.push(planes);
        }
        let x = planes(all, [games.len(), PLANES, side, side], &self.device);
        let logits = ops::to_vec(self.net.forward(x));
        let choices = games.iter().zip(seen).zip(logits.chunks_exact(area));
        let choose = |((game, planes), logits): ((&Go, Vec<f32>), &[f32])| {
            if !has_sensible(&planes, area) {
                return (game.pass(), Vec::new());
            }
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
            let index = if self.greedy {
                weights.iter().position(|&weight| weight >= 1.0)
            } else {
                self.random.weighted_f32(&weights)
            };
            (index.unwrap_or(0) as Action, planes)
        };
        Ok(choices.map(choose).collect())
    }
}

impl Player<Go> for PolicyPlayer {
    fn act(&mut self, games: &[Go]) -> Result<Vec<Action>> {
        Ok(self.choose(games)?.into_iter().map(|(action, _)| action).collect())
    }
}
