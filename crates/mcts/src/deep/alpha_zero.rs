//! AlphaZero: a net plays against itself and learns from what a search made better.

use std::path::Path;
use std::time::Instant;

use burn::config::Config;
use burn::module::Module as _;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::checkpoint::{Checkpoints, HoldsModules as _, TakesModules as _};
use model_utils::device;
use model_utils::ops;
use model_utils::train::{
    Asks as _, Budget, Ended, Observer, Run, Schedule, StopReason, Stoppable,
};
use model_utils::weights::snapshot;
use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::evaluator::NetEvaluator;
use super::net::{PolicyValueConfig, PolicyValueNet};
use super::replay::{Replay, SymmetryTables};
use super::self_play::{Played, SelfPlay};
use crate::arena::{Score, SearchPlayer, play_pairs};
use crate::error::Result;
use crate::game::Symmetry;
use crate::limits::Limits;
use crate::random::{Random, mix};
use crate::rule::Gumbel;
use crate::search::Search;
use crate::stopping::unless_stopped;

/// A gate that a learned net has to pass before it plays (AlphaGo Zero: 400 games, 55 %).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Games against the net that plays.
    pub games: usize,
    /// The least share of the points.
    pub rate: f64,
}

/// How [`AlphaZero`] plays and learns.
#[derive(Config, Debug, PartialEq)]
pub struct AlphaZeroConfig {
    /// The net.
    pub net: PolicyValueConfig,
    /// What all randomness follows from.
    #[config(default = 42)]
    pub seed: u64,
    /// Games of a generation.
    #[config(default = 500)]
    pub games: u64,
    /// How they are played.
    #[config(default = "SelfPlay::default()")]
    pub self_play: SelfPlay,
    /// Positions that are kept to learn from.
    #[config(default = 200_000)]
    pub window: usize,
    /// Positions of an optimiser step.
    #[config(default = 256)]
    pub batch: usize,
    /// How often each new position is learned from, on average.
    #[config(default = 4.0)]
    pub passes: f64,
    /// The learning rate at the start (`AdamW`).
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// The learning rate from generation [`AlphaZeroConfig::decay`] on; a cosine between.
    #[config(default = 2e-4)]
    pub last_learning_rate: f64,
    /// Generations over which the learning rate falls.
    #[config(default = 100)]
    pub decay: u64,
    /// Decoupled weight decay.
    #[config(default = 1e-4)]
    pub weight_decay: f64,
    /// The weight of the value's squared error beside the policy's cross-entropy.
    #[config(default = 1.0)]
    pub value_weight: f64,
    /// The largest global norm of a gradient.
    #[config(default = 5.0)]
    pub clip_norm: f64,
    /// What a learned net must reach to play; `None` (`AlphaZero`): the newest plays.
    #[config(default = "None")]
    pub gate: Option<Gate>,
}

/// What one generation brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Generation {
    /// Its number, from 1.
    pub generation: u64,
    /// Its games.
    pub played: Played,
    /// Optimiser steps.
    pub steps: u64,
    /// The mean cross-entropy of the policy.
    pub policy_loss: f64,
    /// The mean squared error of the value.
    pub value_loss: f64,
    /// Games against the net that played, where there is a gate.
    pub gate: Option<Score>,
    /// Whether the learned net plays from now on.
    pub accepted: bool,
    /// How long learning took, in seconds.
    pub learn_s: f64,
}

/// What [`AlphaZero::learn`] did in all.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Learned {
    /// Generations.
    pub generations: u64,
    /// Games against itself.
    pub games: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Time spent, in seconds, the parts before a resume included.
    pub wall_s: f64,
    /// Why it ended.
    pub reason: StopReason,
}

impl Learned {
    /// The same where learning came to its end.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Stopped`] where it was asked to stop.
    pub fn or_stopped(self) -> Result<Self> {
        Ok(self.reason.or_stopped("learning", self.generations).map(|()| self)?)
    }
}

/// What is counted beside generations, and saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Journal {
    games: u64,
    steps: u64,
    play_s: f64,
    history: Vec<Generation>,
}

/// The pipeline (Silver et al. 2018; with Gumbel search, Danihelka et al. 2022): in each
/// generation the net plays games against itself, and learns from the replay window, each
/// position under a drawn symmetry.
///
/// Differences from the papers: generations instead of processes side by side; a game ends where
/// a search has proven its result; `AdamW` instead of momentum with steps of the learning rate.
///
/// Stopped and resumed, it goes on bit for bit on the processor.
pub struct AlphaZero<G> {
    config: AlphaZeroConfig,
    start: G,
    device: Device,
    net: PolicyValueNet,
    /// The net that plays, where a gate keeps the newest from it.
    playing: Option<PolicyValueNet>,
    optimizer: ModuleOptimizer,
    replay: Replay,
    symmetries: SymmetryTables,
    journal: Journal,
    run: Run,
}

const NET: &str = "net";
const PLAYING: &str = "playing";
const OPTIMIZER: &str = "optimizer";
const REPLAY: &str = "replay";

impl AlphaZeroConfig {
    /// A fresh run from a position at the start of each game. The device need not have autodiff.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work,
    /// [`Error::Mismatch`](crate::Error::Mismatch) for a net of another game.
    pub fn init<G: Symmetry>(&self, start: &G, device: &Device) -> Result<AlphaZero<G>> {
        self.net.check_game(start)?;
        self.self_play.check()?;
        config::at_least("games", self.games, 1)?;
        config::at_least("batch", self.batch, 2)?;
        for (field, value) in [
            ("passes", self.passes),
            ("learning_rate", self.learning_rate),
            ("last_learning_rate", self.last_learning_rate),
            ("clip_norm", self.clip_norm),
        ] {
            config::positive(field, value)?;
        }
        for (field, value) in
            [("weight_decay", self.weight_decay), ("value_weight", self.value_weight)]
        {
            config::not_negative(field, value)?;
        }
        if let Some(gate) = self.gate {
            let expected = "2, who are compared, or no gate";
            config::require(start.players() == 2, "players", start.players(), expected)?;
            config::at_least("gate.games", gate.games, 2)?;
            config::share("gate.rate", gate.rate)?;
        }
        device::seed(device, self.seed);
        let net = self.net.init(&device.clone().autodiff())?;
        // Weights are drawn when they are first read: now, right after the seed.
        let drawn = net.valid();
        let size = self.net.shape.iter().product();
        Ok(AlphaZero {
            replay: Replay::new(size, self.net.actions, self.window)?
                .with_values(self.net.values())?,
            playing: self.gate.map(|_| drawn),
            optimizer: AdamWConfig::new()
                .with_weight_decay(self.weight_decay as f32)
                .with_epsilon(1e-8)
                .init(),
            symmetries: SymmetryTables::new(start),
            run: Run::new(&format!("alpha_zero {}", self.net.game), self)?
                .counting(&["steps", "time"]),
            config: self.clone(),
            start: start.clone(),
            device: device.clone(),
            net,
            journal: Journal::default(),
        })
    }
}

impl<G: Symmetry> AlphaZero<G> {
    /// How it plays and learns.
    pub const fn config(&self) -> &AlphaZeroConfig {
        &self.config
    }

    /// The net that plays, ready for inference.
    pub fn net(&self) -> PolicyValueNet {
        match &self.playing {
            Some(net) => net.clone(),
            None => self.net.valid(),
        }
    }

    /// Generations done.
    pub fn generations(&self) -> u64 {
        self.run.steps()
    }

    /// What each generation brought.
    pub fn history(&self) -> &[Generation] {
        &self.journal.history
    }

    /// Games an hour of self-play alone; 0 before the first.
    pub fn games_per_hour(&self) -> f64 {
        if self.journal.play_s > 0.0 {
            3600.0 * self.journal.games as f64 / self.journal.play_s
        } else {
            0.0
        }
    }

    /// Time spent in [`AlphaZero::learn`] in all, in seconds.
    pub fn wall_s(&self) -> f64 {
        self.run.wall_s()
    }

    /// Plays and learns one generation, or none: what fails or is stopped leaves no trace.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::NotFinite`] for a loss that is no number,
    /// [`model_utils::Error::Stopped`] where `progress` asked to stop, and from the device.
    pub fn generation(&mut self, progress: &dyn Observer) -> Result<Generation> {
        let before = (snapshot(&self.net), self.optimizer.clone(), self.replay.clone());
        let generation = self.play_and_learn(progress);
        if generation.is_err() {
            (self.net, self.optimizer, self.replay) = before;
        }
        generation
    }

    fn play_and_learn(&mut self, progress: &dyn Observer) -> Result<Generation> {
        let number = self.run.steps() + 1;
        let seed = mix(self.config.seed, number);
        let net = NetEvaluator::new(&self.net())?;
        let mut evaluator = Stoppable::new(net, progress);
        let played = self.config.self_play.play(
            &self.start,
            &mut evaluator,
            self.config.games,
            seed,
            &mut self.replay,
        )?;
        let learning = Instant::now();
        let steps = self.config.passes * played.positions as f64 / self.config.batch as f64;
        let steps = (steps.ceil() as u64).max(1);
        let (policy_loss, value_loss) = self.learn_steps(steps, mix(seed, 1), progress)?;
        let learn_s = learning.elapsed().as_secs_f64();
        let gate = self.pass_gate(mix(seed, 2), progress)?;
        let accepted = match (gate, self.config.gate) {
            (Some(score), Some(gate)) => score.rate().value > gate.rate,
            _ => true,
        };
        if accepted && self.playing.is_some() {
            self.playing = Some(self.net.valid());
        }
        let generation = Generation {
            generation: number,
            played,
            steps,
            policy_loss,
            value_loss,
            gate,
            accepted,
            learn_s,
        };
        self.journal.games += played.games;
        self.journal.steps += steps;
        self.journal.play_s += played.wall_s;
        self.journal.history.push(generation);
        self.run.step(played.games as usize);
        Ok(generation)
    }

    /// Optimiser steps on the replay window; the mean losses of policy and value.
    fn learn_steps(
        &mut self,
        steps: u64,
        seed: u64,
        progress: &dyn Observer,
    ) -> Result<(f64, f64)> {
        let device = self.device.clone().autodiff();
        let rate = self.learning_rate();
        let AlphaZeroConfig { batch, net, .. } = &self.config;
        let (batch, actions, values) = (*batch, net.actions, net.values());
        let [planes, height, width] = net.shape;
        let mut random = Random::new(seed);
        let (mut policy_losses, mut value_losses) = (Vec::new(), Vec::new());
        for step in 0..steps {
            progress.check("learning", format_args!("step {step}"))?;
            let samples = self.replay.draw(batch, &self.symmetries, &mut random);
            let x = TensorData::new(samples.planes, [batch, planes, height, width]);
            let x = Tensor::<4>::from_data(x, &device);
            let policy = TensorData::new(samples.policies, [batch, actions]);
            let policy = Tensor::<2>::from_data(policy, &device);
            let value = TensorData::new(samples.values, [batch, values]);
            let value = Tensor::<2>::from_data(value, &device);
            let output = self.net.forward(x);
            let log_p = log_softmax(output.logits, 1);
            let policy_loss = (policy * log_p).sum_dim(1).mean().neg();
            let error = output.values - value;
            let value_loss = (error.clone() * error).mean();
            policy_losses.push(policy_loss.clone().without_autodiff());
            value_losses.push(value_loss.clone().without_autodiff());
            let loss = policy_loss + value_loss * self.config.value_weight;
            let grads = GradientsParams::from_grads(loss.backward(), &self.net);
            let (grads, _) = ops::clip_grad_norm(&self.net, grads, self.config.clip_norm);
            let net = self.net.clone();
            self.net = self.optimizer.step(rate, net, grads);
            if step + 1 == steps || policy_losses.len() == 64 {
                // Reading back now and then keeps the device busy and the numbers watched.
                for (name, losses) in [("policy", &policy_losses), ("value", &value_losses)] {
                    let newest = ops::to_vec(losses[losses.len() - 1].clone());
                    if let Some(value) = newest.into_iter().find(|loss| !loss.is_finite()) {
                        let step = self.journal.steps + step + 1;
                        let what = format!("{name} loss");
                        let value = f64::from(value);
                        return Err(model_utils::Error::NotFinite { what, value, step }.into());
                    }
                }
                policy_losses = vec![Tensor::cat(policy_losses, 0).mean()];
                value_losses = vec![Tensor::cat(value_losses, 0).mean()];
            }
        }
        let mean = |losses: &Vec<Tensor<1>>| -> Result<f64> {
            Ok(f64::from(ops::to_vec(losses[0].clone())[0]))
        };
        Ok((mean(&policy_losses)?, mean(&value_losses)?))
    }

    /// The learning rate of the generation that is being learned.
    fn learning_rate(&self) -> f64 {
        let AlphaZeroConfig { learning_rate: rate, last_learning_rate: last, decay, .. } =
            self.config;
        let schedule = Schedule::Cosine { first: 0.0, rate, last, warm_up: 0, steps: decay.max(1) };
        schedule.rate(self.run.steps() + 1)
    }

    /// Games of the learned net against the one that plays.
    fn pass_gate(&self, seed: u64, progress: &dyn Observer) -> Result<Option<Score>> {
        let (Some(gate), Some(playing)) = (self.config.gate, &self.playing) else {
            return Ok(None);
        };
        let simulations = u64::from(self.config.self_play.simulations);
        let player = |net: &PolicyValueNet, seed| {
            let rule = Gumbel::default().with_noise(0.0);
            let evaluator = Stoppable::new(NetEvaluator::new(net)?, progress);
            let search = Search::<G, _, _>::new(rule, evaluator).with_seed(seed);
            let search = search.with_settings(self.config.self_play.search);
            SearchPlayer::new(search, Limits::simulations(simulations))
        };
        let mut learned = player(&self.net.valid(), mix(seed, 0))?;
        let mut playing = player(playing, mix(seed, 1))?;
        let pairs = gate.games.div_ceil(2);
        let openings = self.config.self_play.opening_moves.max(4);
        let seed = mix(seed, 2);
        play_pairs(&self.start, &mut learned, &mut playing, pairs, openings, seed).map(Some)
    }

    /// Generations until the budget is spent (steps are generations, in all) or `progress` asks to
    /// stop: a generation that is not whole then is played anew when the run goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a budget without steps and time; as
    /// [`AlphaZero::generation`], and where a checkpoint cannot be written.
    pub fn learn(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<Learned> {
        self.run.start(budget, None, progress)?;
        while self.run.next(progress) {
            let generation = self.generation(progress);
            let Some(generation) = unless_stopped(generation)? else {
                self.run.stop(StopReason::Asked);
                continue;
            };
            let Played { games, positions, evaluated, wall_s, .. } = generation.played;
            let mut metrics = vec![
                ("policy_loss", generation.policy_loss),
                ("value_loss", generation.value_loss),
                ("positions_per_game", positions as f64 / games.max(1) as f64),
                ("evaluations_per_s", evaluated as f64 / wall_s.max(1e-9)),
                ("games_per_hour", 3600.0 * games as f64 / wall_s.max(1e-9)),
                ("learn_s", generation.learn_s),
            ];
            if let Some(score) = generation.gate {
                metrics.push(("gate_rate", score.rate().value));
            }
            self.run.report(&metrics, progress);
            if self.run.is_save_due() {
                self.save(progress)?;
            }
        }
        if !self.run.is_saved() {
            self.save(progress)?;
        }
        let Ended { steps: generations, wall_s, reason, .. } = self.run.finish(progress);
        let Journal { games, steps, .. } = self.journal;
        Ok(Learned { generations, games, steps, wall_s, reason })
    }

    /// Saves all that the run goes on from.
    fn save(&mut self, progress: &mut dyn Observer) -> Result<()> {
        let Self { net, playing, optimizer, replay, journal, run, .. } = self;
        Ok(run.save(progress, |checkpoint| {
            let checkpoint = checkpoint
                .module(NET, net)?
                .optimizer(OPTIMIZER, optimizer)?
                .bytes(REPLAY, replay.to_bytes())?
                .state(journal)?;
            match playing {
                Some(playing) => checkpoint.module(PLAYING, playing),
                None => Ok(checkpoint),
            }
        })?)
    }

    /// Keeps checkpoints, one after each generation of [`AlphaZero::learn`], and goes on from the
    /// latest that is there, exactly.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with every difference for a run of another configuration, and
    /// what reading a checkpoint brings.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        if let Some(saved) = self.run.resume_in(checkpoints, Some(1))? {
            self.net = saved.module(NET, self.net)?;
            self.optimizer = saved.optimizer(OPTIMIZER, self.optimizer)?;
            if let Some(playing) = self.playing.take() {
                self.playing = Some(saved.module(PLAYING, playing)?);
            }
            self.replay.restore(&saved.bytes(REPLAY)?)?;
            self.journal = saved.state()?;
        }
        Ok(self)
    }

    /// Saves the net that plays to one SafeTensors file, which [`NetEvaluator::load`] reads.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written; what was there before is untouched.
    pub fn save_net(&self, path: impl AsRef<Path>) -> Result<()> {
        use model_utils::weights::Stored as _;
        self.net().save(path)
    }
}
