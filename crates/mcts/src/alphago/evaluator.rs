//! Nets at play: the policy alone as a player, and policy, value and rollouts as an evaluator.

use burn::tensor::Device;

use super::features::{Features, PLANES, VALUE_PLANES};
use super::learn::{device_of, has_sensible, planes};
use super::net::{PolicyNet, ValueNet};
use super::rollout::RolloutPolicy;
use crate::arena::Player;
use crate::deep::read;
use crate::error::{Result, require};
use crate::evaluator::{Deferred, Evaluator, Fork};
use crate::game::{Action, Symmetry as _, Values};
use crate::go::{Board, Go, Vertex};
use crate::leaves::Leaves;
use crate::random::{Random, mix};

/// The prior of the pass beside other moves.
const PASS_PRIOR: f32 = 1e-3;

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
            device: device_of(net),
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
        let logits = read(self.net.forward(x))?;
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
                self.random.weighted(&weights)
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
        require(judges, "value, rollouts", "none", "a value net, rollouts, or both")?;
        Ok(Self {
            policy: policy.clone(),
            value: value.cloned(),
            rollouts: rollouts.cloned(),
            temperature: 0.67,
            device: device_of(policy),
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
        let fits = temperature.is_finite() && temperature > 0.0;
        require(fits, "temperature", temperature, "a positive number")?;
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
            let symmetry = self.random.below(game.symmetries() as u32) as usize;
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
        let logits = read(self.policy.forward(x))?;
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
        for (&leaf, value) in wanted.iter().zip(read(net.forward(x))?) {
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
