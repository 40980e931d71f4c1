//! Policy net, value net and rollouts as an evaluator.

use burn::tensor::Device;
use model_utils::ops;
use model_utils_core::config;

use super::features::{Features, PLANES, VALUE_PLANES};
use super::net::{PolicyNet, ValueNet, planes};
use super::rollout::RolloutPolicy;
use crate::error::Result;
use crate::evaluator::{Deferred, Evaluator, Fork};
use crate::game::{Symmetry as _, Values};
use crate::go::{Board, Go, Vertex};
use crate::leaves::Leaves;
use crate::random::{Random, mix};

/// The prior of the pass beside other moves.
const PASS_PRIOR: f32 = 1e-3;

/// Judges leaves as AlphaGo's search does ([`Apv`](crate::rule::Apv)): priors by the policy net,
/// values by the value net, results by the rollout policy; each net sees a position under one
/// symmetry, drawn anew.
#[derive(Debug, Clone)]
pub struct AlphaGoEvaluator {
    policy: PolicyNet,
    value: Option<ValueNet>,
    rollouts: Option<RolloutPolicy>,
    temperature: f32,
    device: Device,
    seed: u64,
    random: Random,
    features: Features,
    board: Option<Board>,
    weights: Vec<(Vertex, f32)>,
}

impl AlphaGoEvaluator {
    /// An evaluator; without a value net [`Apv`](crate::rule::Apv) wants λ = 1, without rollouts
    /// λ = 0.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with neither a value net nor rollouts.
    pub fn new(
        policy: &PolicyNet,
        value: Option<&ValueNet>,
        rollouts: Option<&RolloutPolicy>,
        seed: u64,
    ) -> Result<Self> {
        let judges = value.is_some() || rollouts.is_some();
        let expected = "a value net, rollouts, or both";
        config::require(judges, "value, rollouts", format_args!("none"), expected)?;
        Ok(Self {
            policy: policy.clone(),
            value: value.cloned(),
            rollouts: rollouts.cloned(),
            temperature: 0.67,
            device: policy.device(),
            seed,
            random: Random::new(seed),
            features: Features::new(),
            board: None,
            weights: Vec::new(),
        })
    }

    /// Sets the temperature of the priors' softmax: 0.67 in the paper.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) where it is not positive.
    pub fn with_temperature(mut self, temperature: f32) -> Result<Self> {
        config::positive("temperature", temperature)?;
        self.temperature = temperature;
        Ok(self)
    }

    /// Planes of leaves, each under a symmetry drawn for it.
    fn encode(
        &mut self,
        leaves: &Leaves<Go>,
        wanted: &[usize],
        count: usize,
    ) -> Result<(Vec<f32>, Vec<usize>)> {
        let mut all = Vec::new();
        let mut symmetries = Vec::with_capacity(wanted.len());
        for &leaf in wanted {
            let game = leaves.game(leaf);
            let area = game.board().area();
            let mut planes = vec![0.0; count * area];
            self.features.encode(game, &mut planes)?;
            let symmetry = self.random.below_u32(game.symmetries() as u32) as usize;
            let start = all.len();
            all.resize(start + count * area, 0.0);
            for point in 0..area {
                let to = game.transform_point(symmetry, point);
                for plane in 0..count {
                    all[start + plane * area + to] = planes[plane * area + point];
                }
            }
            symmetries.push(symmetry);
        }
        Ok((all, symmetries))
    }

    fn set_priors(&mut self, leaves: &mut Leaves<Go>) -> Result<()> {
        let wanted = expanding(leaves);
        if wanted.is_empty() {
            return Ok(());
        }
        let side = self.policy.side();
        let area = side * side;
        let (all, symmetries) = self.encode(leaves, &wanted, PLANES)?;
        let x = planes(all, [wanted.len(), PLANES, side, side], &self.device);
        let logits = ops::to_vec(self.policy.forward(x));
        let rows = wanted.iter().zip(symmetries).zip(logits.chunks_exact(area));
        for ((&leaf, symmetry), logits) in rows {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (game, actions, priors) = leaves.game_and_priors(leaf);
            let mut total = 0.0;
            for (&action, prior) in actions.iter().zip(priors.iter_mut()) {
                *prior = if action >= game.pass() {
                    PASS_PRIOR
                } else {
                    let at = game.transform_point(symmetry, usize::from(action));
                    ((logits[at] - most) / self.temperature).exp()
                };
                total += *prior;
            }
            for prior in priors {
                *prior /= total;
            }
        }
        Ok(())
    }

    fn set_net_values(&mut self, leaves: &mut Leaves<Go>) -> Result<()> {
        let Some(net) = self.value.clone() else { return Ok(()) };
        let wanted: Vec<usize> = (0..leaves.len()).filter(|&leaf| leaves.wants_net(leaf)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let side = net.side();
        let (all, _) = self.encode(leaves, &wanted, VALUE_PLANES)?;
        let x = planes(all, [wanted.len(), VALUE_PLANES, side, side], &self.device);
        for (&leaf, value) in wanted.iter().zip(ops::to_vec(net.forward(x))) {
            let player = leaves.game(leaf).to_play().index();
            leaves.set_net_values(leaf, Values::two(player, value));
        }
        Ok(())
    }

    fn set_results(&mut self, leaves: &mut Leaves<Go>) {
        for leaf in 0..leaves.len() {
            let values = match &self.rollouts {
                Some(rollouts) => {
                    let game = leaves.game(leaf);
                    let board = self.board.get_or_insert_with(|| game.board().clone());
                    rollouts.play_out(game, board, &mut self.weights, &mut self.random)
                }
                None => leaves.net_values(leaf).unwrap_or(Values::DRAW),
            };
            leaves.set_values(leaf, values);
        }
    }

    /// Refuses leaves of another board.
    fn check(&self, leaves: &Leaves<Go>) -> Result<()> {
        let Some(first) = leaves.games().first() else { return Ok(()) };
        self.policy.check_game(first)?;
        self.value.as_ref().map_or(Ok(()), |value| value.check_game(first))
    }
}

/// The leaves that want priors.
fn expanding(leaves: &Leaves<Go>) -> Vec<usize> {
    (0..leaves.len()).filter(|&leaf| !leaves.actions(leaf).is_empty()).collect()
}

impl Evaluator<Go> for AlphaGoEvaluator {
    fn evaluate(&mut self, leaves: &mut Leaves<Go>) -> Result<()> {
        self.evaluate_later(leaves)?;
        self.set_results(leaves);
        Ok(())
    }
}

/// Rollouts come at once, with the rollout policy's priors; nets come later.
impl Deferred<Go> for AlphaGoEvaluator {
    fn evaluate_now(&mut self, leaves: &mut Leaves<Go>) -> Result<()> {
        self.check(leaves)?;
        if let Some(rollouts) = &self.rollouts {
            for leaf in expanding(leaves) {
                let (game, actions, priors) = leaves.game_and_priors(leaf);
                rollouts.set_priors(game, actions, PASS_PRIOR, priors);
            }
        }
        self.set_results(leaves);
        Ok(())
    }

    fn evaluate_later(&mut self, leaves: &mut Leaves<Go>) -> Result<()> {
        self.check(leaves)?;
        self.set_priors(leaves)?;
        self.set_net_values(leaves)
    }
}

impl Fork for AlphaGoEvaluator {
    fn fork(&self, worker: u64) -> Self {
        let seed = mix(self.seed, worker);
        Self { seed, random: Random::new(seed), ..self.clone() }
    }
}
