//! Learning from positions: moves for the policy net, results for the value net.

use std::time::Instant;

use burn::config::Config;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::checkpoint::{Checkpoint, Checkpoints, Saved};
use model_utils::ops;
use model_utils::train::{Event, Observer, StopReason};

use super::evaluator::PolicyPlayer;
use super::features::{Features, PLANES, VALUE_PLANES};
use super::net::{PolicyNet, ValueNet};
use crate::arena::Player as _;
use crate::deep::{Replay, Samples, SymmetryTables, kept};
use crate::error::{Result, require};
use crate::game::{Action, Game as _};
use crate::go::{Color, Go, Move, Rules, is_sensible};
use crate::random::{Random, mix};
use crate::sgf::Record;

/// The plane that says where a policy may play.
const SENSIBLE: usize = 46;

/// The moves of records, to learn a policy from: 48 planes, the move, and who won. Passes and
/// moves that fill an own eye are left out.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) without records or for boards of another side, and where
/// a record has an illegal move.
pub fn move_examples(records: &[Record], side: usize) -> Result<Replay> {
    let area = side * side;
    let moves: usize = records.iter().map(|record| record.steps.len()).sum();
    require(moves > 0, "records", moves, "at least one move")?;
    let mut examples = Replay::new(PLANES * area, area + 1, moves)?;
    let mut features = Features::new();
    let mut planes = vec![0.0; PLANES * area];
    for record in records {
        let size = (record.width, record.height);
        require(size == (side, side), "record", size, "a board of the net's size")?;
        let winner = record.winner();
        let mut failed = Ok(());
        record.replay_with(Rules::tromp_taylor(), |game, played| {
            let Move::Play(point) = played else { return };
            let v = game.board().vertex(point);
            if failed.is_err() || !is_sensible(game.board(), v, game.to_play()) {
                return;
            }
            let mut policy = vec![0.0; area + 1];
            policy[game.board().index_of(v)] = 1.0;
            let value = match winner {
                Some(winner) if winner == game.to_play() => 1.0,
                Some(_) => -1.0,
                None => 0.0,
            };
            failed = features
                .encode(game, &mut planes)
                .and_then(|()| examples.push(&planes, &policy, value));
        })?;
        failed?;
    }
    Ok(examples)
}

/// One position from each of many games, as the paper makes them: the supervised policy plays to a
/// random move U − 1, move U is drawn from all legal points, the reinforced policy plays to the
/// end; kept is the position after move U, with the result for its player to move.
///
/// # Errors
///
/// [`Error::Mismatch`](crate::Error::Mismatch) for nets of another board, and from the device.
pub fn value_examples(
    supervised: &PolicyNet,
    reinforced: &PolicyNet,
    start: &Go,
    games: usize,
    seed: u64,
) -> Result<Replay> {
    self_play_examples([supervised, reinforced], start, games, seed, true)
}

/// All positions of games of the same kind, for as many positions as `positions`: what the paper
/// shows to overfit, as neighbouring positions share their result.
///
/// # Errors
///
/// As [`value_examples`].
pub fn whole_game_examples(
    supervised: &PolicyNet,
    reinforced: &PolicyNet,
    start: &Go,
    positions: usize,
    seed: u64,
) -> Result<Replay> {
    self_play_examples([supervised, reinforced], start, positions, seed, false)
}

/// Games that are played side by side.
const TOGETHER: usize = 128;

fn self_play_examples(
    [supervised, reinforced]: [&PolicyNet; 2],
    start: &Go,
    count: usize,
    seed: u64,
    one_a_game: bool,
) -> Result<Replay> {
    require(count > 0, "games", count, "at least 1")?;
    let area = start.board().area();
    let mut examples = Replay::new(VALUE_PLANES * area, area + 1, count)?;
    let mut first = PolicyPlayer::new(supervised, mix(seed, 0));
    let mut second = PolicyPlayer::new(reinforced, mix(seed, 1));
    let mut random = Random::new(mix(seed, 2));
    let mut features = Features::new();
    let policy = vec![0.0; area + 1];
    while examples.len() < count {
        let missing = count - examples.len();
        let together =
            if one_a_game { missing.min(TOGETHER) } else { TOGETHER.min(missing / 20 + 1) };
        let mut tables: Vec<Table> = (0..together)
            .map(|_| Table {
                game: start.clone(),
                turn: random.below(area as u32 * 5 / 4) as usize,
                kept: Vec::new(),
            })
            .collect();
        loop {
            for table in tables.iter_mut().filter(|table| !table.game.ended()) {
                if table.game.moves().len() == table.turn {
                    play_any(&mut table.game, &mut random);
                }
                let after = table.game.moves().len() == table.turn + 1;
                if (after || !one_a_game) && !table.game.ended() {
                    let mut planes = vec![0.0; VALUE_PLANES * area];
                    features.encode(&table.game, &mut planes)?;
                    table.kept.push((planes, table.game.to_play()));
                }
            }
            let open: Vec<usize> =
                (0..tables.len()).filter(|&table| !tables[table].game.ended()).collect();
            if open.is_empty() {
                break;
            }
            let early = |table: &usize| tables[*table].game.moves().len() < tables[*table].turn;
            let (before, after): (Vec<usize>, Vec<usize>) = open.into_iter().partition(early);
            for (player, mine) in [(&mut first, before), (&mut second, after)] {
                let games: Vec<Go> = mine.iter().map(|&table| tables[table].game.clone()).collect();
                let actions = if games.is_empty() { Vec::new() } else { player.act(&games)? };
                for (table, action) in mine.into_iter().zip(actions) {
                    tables[table].game.play(action);
                }
            }
        }
        for table in tables {
            let score = table.game.score();
            for (planes, color) in table.kept {
                let won = if color == Color::Black { score.signum() } else { -score.signum() };
                let value = if score == 0.0 { 0.0 } else { won };
                if examples.len() < count {
                    examples.push(&planes, &policy, value)?;
                }
            }
        }
    }
    Ok(examples)
}

/// A game that is being played, and the positions kept from it.
struct Table {
    game: Go,
    turn: usize,
    kept: Vec<(Vec<f32>, Color)>,
}

/// A move drawn evenly from all legal points; a pass where none is.
fn play_any(game: &mut Go, random: &mut Random) {
    let mut actions: Vec<Action> = Vec::new();
    game.legal_actions(&mut actions);
    if actions.len() > 1 {
        actions.pop();
    }
    if let Some(&action) = actions.get(random.below(actions.len() as u32) as usize) {
        game.play(action);
    }
}

/// How nets learn from positions.
#[derive(Config, Debug, PartialEq)]
pub struct LearnerConfig {
    /// Optimiser steps.
    #[config(default = 2000)]
    pub steps: u64,
    /// Positions of a step.
    #[config(default = 64)]
    pub batch: usize,
    /// The learning rate at the start (Adam); it falls to a tenth by a cosine.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[config(default = 1e-4)]
    pub weight_decay: f64,
    /// What order and symmetries follow from.
    #[config(default = 42)]
    pub seed: u64,
}

/// Learns from examples, each under one of the board's symmetries, drawn anew.
#[derive(Debug)]
pub struct Learner {
    config: LearnerConfig,
    keep: Option<(Checkpoints, u64)>,
}

/// Names in a checkpoint.
const NET: &str = "net";
const OPTIMIZER: &str = "optimizer";

impl LearnerConfig {
    /// A learner.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work.
    pub fn init(&self) -> Result<Learner> {
        require(self.steps > 0, "steps", self.steps, "at least 1")?;
        require(self.batch > 0, "batch", self.batch, "at least 1")?;
        let rate = self.learning_rate;
        require(rate.is_finite() && rate > 0.0, "learning_rate", rate, "a positive number")?;
        let decay = self.weight_decay;
        require(decay.is_finite() && decay >= 0.0, "weight_decay", decay, "0 or more")?;
        Ok(Learner { config: self.clone(), keep: None })
    }
}

impl Learner {
    /// Keeps checkpoints, one every so many steps and one where it is asked to stop, and goes on
    /// from the latest that is there, exactly.
    #[must_use]
    pub fn keep_in(mut self, checkpoints: Checkpoints, every: u64) -> Self {
        self.keep = Some((checkpoints, every.max(1)));
        self
    }

    /// Learns moves: the cross-entropy of the policy. Where the observer asks to stop it ends early,
    /// with the net as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) without examples,
    /// [`model_utils::Error::NotFinite`] for a loss that is no number,
    /// [`Error::Resume`](crate::Error::Resume) for a checkpoint of another configuration.
    pub fn policy(
        &self,
        net: PolicyNet,
        examples: &Replay,
        observer: &mut dyn Observer,
    ) -> Result<PolicyNet> {
        let side = net.side();
        self.learn("policy", net, side, examples, observer, |net, samples, device| {
            let (x, policy) = policy_tensors(samples, side, device);
            (policy * log_softmax(net.forward(x), 1)).sum_dim(1).mean().neg()
        })
    }

    /// Learns results: the squared error of the value.
    ///
    /// # Errors
    ///
    /// As [`Learner::policy`].
    pub fn value(
        &self,
        net: ValueNet,
        examples: &Replay,
        observer: &mut dyn Observer,
    ) -> Result<ValueNet> {
        let side = net.side();
        self.learn("value", net, side, examples, observer, |net, samples, device| {
            let batch = samples.values.len();
            let x = planes(samples.planes, [batch, VALUE_PLANES, side, side], device);
            let wanted = Tensor::<1>::from_data(TensorData::new(samples.values, [batch]), device);
            let error = net.forward(x) - wanted;
            (error.clone() * error).mean()
        })
    }

    fn learn<M: Module>(
        &self,
        task: &str,
        net: M,
        side: usize,
        examples: &Replay,
        observer: &mut dyn Observer,
        loss: impl Fn(&M, Samples, &Device) -> Tensor<1>,
    ) -> Result<M> {
        let LearnerConfig { steps, batch, learning_rate, weight_decay, seed } = self.config;
        require(!examples.is_empty(), "examples", 0, "at least one position")?;
        let devices = net.devices();
        let device = devices.first().cloned().unwrap_or_else(Device::flex).autodiff();
        let mut net = net.train();
        let config = AdamWConfig::new().with_weight_decay(weight_decay as f32);
        let mut optimizer: ModuleOptimizer = config.with_epsilon(1e-8).init();
        let symmetries = SymmetryTables::new(&Go::new(side, Rules::chinese())?);
        let mut first = 0;
        if let Some(saved) = self.latest()? {
            net = saved.module(NET, net)?;
            optimizer = saved.optimizer(OPTIMIZER, optimizer)?;
            first = saved.step();
        }
        observer.observe(&Event::Started { task, step: first, of: Some(steps) });
        let started = Instant::now();
        let (mut sum, mut count) = (0.0, 0);
        let (mut done, mut reason) = (first, StopReason::BudgetSpent);
        for step in first..steps {
            if observer.wants_stop() {
                reason = StopReason::Asked;
                break;
            }
            let samples = examples.draw(batch, &symmetries, &mut Random::new(mix(seed, step)));
            let value = loss(&net, samples, &device);
            let grads = GradientsParams::from_grads(value.backward(), &net);
            let (grads, _) = ops::clip_grad_norm(&net, grads, 5.0);
            let share = step as f64 / steps as f64;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
            net = optimizer.step(learning_rate * (0.1 + 0.9 * cosine), net, grads);
            done = step + 1;
            if step % 16 == 0 || done == steps {
                let loss = f64::from(crate::deep::read(value.without_autodiff())?[0]);
                if !loss.is_finite() {
                    let what = format!("{task} loss");
                    return Err(model_utils::Error::NotFinite { what, value: loss, step }.into());
                }
                sum += loss;
                count += 1;
                let metrics = [("loss", sum / f64::from(count))];
                observer.observe(&Event::Step {
                    step: done,
                    of: Some(steps),
                    epoch: 0,
                    items: batch,
                    metrics: &metrics,
                });
                if count == 8 {
                    (sum, count) = (0.0, 0);
                }
            }
            if self.keep.as_ref().is_some_and(|(_, every)| done.is_multiple_of(*every)) {
                self.save(&net, &optimizer, done, observer)?;
            }
        }
        if reason == StopReason::Asked {
            self.save(&net, &optimizer, done, observer)?;
        }
        let wall_s = started.elapsed().as_secs_f64();
        observer.observe(&Event::Finished { step: done, reason, wall_s });
        Ok(net.valid())
    }

    /// The checkpoint to go on from.
    fn latest(&self) -> Result<Option<Saved>> {
        let Some((checkpoints, _)) = &self.keep else { return Ok(None) };
        let found = kept::latest::<_, ()>(checkpoints, &self.config)?;
        Ok(found.map(|(saved, ())| saved))
    }

    fn save<M: Module>(
        &self,
        net: &M,
        optimizer: &ModuleOptimizer,
        step: u64,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some((checkpoints, _)) = &self.keep else { return Ok(()) };
        let checkpoint = Checkpoint::new(step).module(NET, net)?.optimizer(OPTIMIZER, optimizer)?;
        kept::save(checkpoints, checkpoint, step, &(&self.config, &()), observer)
    }

    /// The share of the examples whose move the net holds for the likeliest.
    ///
    /// # Errors
    ///
    /// From the device.
    pub fn accuracy(net: &PolicyNet, examples: &Replay) -> Result<f64> {
        let side = net.side();
        let device = device_of(net);
        let mut right = 0.0;
        for samples in examples.chunks(256) {
            let (x, policy) = policy_tensors(samples, side, &device);
            let best = net.forward(x).argmax(1);
            right += crate::deep::read(policy.gather(1, best))?.iter().sum::<f32>();
        }
        Ok(f64::from(right) / examples.len().max(1) as f64)
    }

    /// The mean squared error of a value net on examples.
    ///
    /// # Errors
    ///
    /// From the device.
    pub fn mean_squared_error(net: &ValueNet, examples: &Replay) -> Result<f64> {
        let side = net.side();
        let device = device_of(net);
        let mut sum = 0.0;
        for samples in examples.chunks(256) {
            let wanted = samples.values.clone();
            let batch = wanted.len();
            let x = planes(samples.planes, [batch, VALUE_PLANES, side, side], &device);
            let found = crate::deep::read(net.forward(x))?;
            sum += found.iter().zip(&wanted).map(|(a, b)| f64::from((a - b).powi(2))).sum::<f64>();
        }
        Ok(sum / examples.len().max(1) as f64)
    }
}

pub(super) fn device_of<M: Module>(net: &M) -> Device {
    net.devices().first().cloned().unwrap_or_else(Device::flex).without_autodiff()
}

pub(super) fn planes(planes: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(planes, shape), device)
}

/// Planes and policies over the points; the pass is left out.
fn policy_tensors(samples: Samples, side: usize, device: &Device) -> (Tensor<4>, Tensor<2>) {
    let (batch, area) = (samples.values.len(), side * side);
    let x = planes(samples.planes, [batch, PLANES, side, side], device);
    let policy = TensorData::new(samples.policies, [batch, area + 1]);
    (x, Tensor::<2>::from_data(policy, device).narrow(1, 0, area))
}

/// Whether planes allow a move anywhere.
pub(super) fn has_sensible(planes: &[f32], area: usize) -> bool {
    planes[SENSIBLE * area..(SENSIBLE + 1) * area].iter().any(|&plane| plane > 0.0)
}
