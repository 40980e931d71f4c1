//! The policy net by reinforcement: games against a pool of its own past.

use std::time::{Duration, Instant};

use burn::config::Config;
use burn::module::Module as _;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use model_utils::checkpoint::{Checkpoint, Checkpoints};
use model_utils::ops;
use model_utils::train::{Budget, Event, Observer, Spent, StopReason};
use model_utils_core::config;
use serde::{Deserialize, Serialize};

use super::features::PLANES;
use super::net::{PolicyNet, planes};
use super::player::PolicyPlayer;
use crate::deep::checkpoint;
use crate::error::Result;
use crate::game::{Action, Game as _};
use crate::go::{Color, Go};
use crate::random::{Random, mix};

/// How [`Reinforce`] plays and learns.
#[derive(Config, Debug, PartialEq)]
pub struct ReinforceConfig {
    /// Games an iteration: 128 in the paper.
    #[config(default = 128)]
    pub games: usize,
    /// After how many iterations the net joins the pool of opponents: 500 in the paper.
    #[config(default = 500)]
    pub pool_every: u64,
    /// The learning rate (Adam).
    #[config(default = 3e-4)]
    pub learning_rate: f64,
    /// Positions of an optimiser step.
    #[config(default = 512)]
    pub batch: usize,
    /// What games follow from.
    #[config(default = 42)]
    pub seed: u64,
}

/// What an iteration brought.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Iteration {
    /// Its number, from 1.
    pub iteration: u64,
    /// The share of the games that were won against the pool.
    pub win_rate: f64,
    /// Own moves.
    pub moves: usize,
    /// Opponents in the pool.
    pub pool: usize,
}

/// REINFORCE (Williams 1992) as the paper has it: all games of an iteration are played against one
/// opponent of the pool; each own move is made more likely by the result of its game, 1 or −1.
/// The baseline is 0 (the paper: 0, then the value net in a second pass).
pub struct Reinforce {
    config: ReinforceConfig,
    net: PolicyNet,
    optimizer: ModuleOptimizer,
    pool: Vec<PolicyNet>,
    journal: Journal,
    start: Go,
    checkpoints: Option<Checkpoints>,
}

/// Where a run stands, beside nets and optimiser.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Journal {
    iteration: u64,
    wall_s: f64,
    /// Nets in the pool.
    pool: usize,
}

/// Names in a checkpoint.
const NET: &str = "net";
const OPTIMIZER: &str = "optimizer";

fn pool_name(place: usize) -> String {
    format!("pool_{place}")
}

impl ReinforceConfig {
    /// Begins with a supervised net, which is the first opponent too.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a field that cannot work,
    /// [`Error::Mismatch`](crate::Error::Mismatch) for a net of another board.
    pub fn init(&self, net: &PolicyNet, start: &Go) -> Result<Reinforce> {
        net.check_game(start)?;
        config::at_least("games", self.games, 2)?;
        config::at_least("pool_every", self.pool_every, 1)?;
        config::at_least("batch", self.batch, 1)?;
        config::positive("learning_rate", self.learning_rate)?;
        Ok(Reinforce {
            config: self.clone(),
            net: net.clone().train(),
            optimizer: AdamWConfig::new().with_weight_decay(0.0).with_epsilon(1e-8).init(),
            pool: vec![net.clone()],
            journal: Journal::default(),
            start: start.clone(),
            checkpoints: None,
        })
    }
}

/// A move to learn from.
struct Experience {
    planes: Vec<f32>,
    action: Action,
    result: f32,
}

impl Reinforce {
    /// The net, ready for inference.
    pub fn net(&self) -> PolicyNet {
        self.net.valid()
    }

    /// Plays and learns once.
    ///
    /// # Errors
    ///
    /// From the device.
    pub fn iterate(&mut self) -> Result<Iteration> {
        self.journal.iteration += 1;
        let iteration = self.journal.iteration;
        let seed = mix(self.config.seed, iteration);
        let mut random = Random::new(seed);
        let opponent = self.pool[random.below_u32(self.pool.len() as u32) as usize].clone();
        let mut experiences = Vec::new();
        let wins = self.play(&opponent, seed, &mut experiences)?;
        random.shuffle(&mut experiences);
        for batch in experiences.chunks(self.config.batch) {
            self.step(batch);
        }
        if iteration.is_multiple_of(self.config.pool_every) {
            self.pool.push(self.net.valid());
        }
        Ok(Iteration {
            iteration,
            win_rate: wins / self.config.games as f64,
            moves: experiences.len(),
            pool: self.pool.len(),
        })
    }

    /// Iterates until the budget is spent (steps are iterations, in all) or `progress` asks to stop.
    ///
    /// Metrics: `win_rate` against the pool.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a budget without steps and time; as
    /// [`Reinforce::iterate`], and where a checkpoint cannot be written.
    pub fn learn(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<StopReason> {
        budget.require_any_of(&["steps", "time"])?;
        let (before_s, started) = (self.journal.wall_s, Instant::now());
        let step = self.journal.iteration;
        progress.observe(&Event::Started { task: "reinforce", step, of: budget.steps });
        let reason = loop {
            let Journal { iteration, wall_s, .. } = self.journal;
            let time = Duration::from_secs_f64(wall_s);
            if budget.is_spent(Spent { steps: iteration, time, ..Spent::default() }) {
                break StopReason::BudgetSpent;
            }
            if progress.wants_stop() {
                break StopReason::Asked;
            }
            let Iteration { iteration, win_rate, .. } = self.iterate()?;
            self.journal.wall_s = before_s + started.elapsed().as_secs_f64();
            progress.observe(&Event::Step {
                step: iteration,
                of: budget.steps,
                epoch: 0,
                items: self.config.games,
                metrics: &[("win_rate", win_rate)],
            });
            if iteration.is_multiple_of(self.config.pool_every) {
                self.save(progress)?;
            }
        };
        let Journal { iteration: step, wall_s, .. } = self.journal;
        if !step.is_multiple_of(self.config.pool_every) {
            self.save(progress)?;
        }
        progress.observe(&Event::Finished { step, reason, wall_s });
        Ok(reason)
    }

    fn save(&self, progress: &mut dyn Observer) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let step = self.journal.iteration;
        let journal = Journal { pool: self.pool.len(), ..self.journal };
        let mut checkpoint =
            Checkpoint::new(step).module(NET, &self.net)?.optimizer(OPTIMIZER, &self.optimizer)?;
        for (place, net) in self.pool.iter().enumerate() {
            checkpoint = checkpoint.module(&pool_name(place), net)?;
        }
        checkpoint::save(checkpoints, checkpoint, step, &(&self.config, &journal), progress)
    }

    /// Keeps checkpoints, one each time the net joins the pool and one where [`Reinforce::learn`]
    /// ends, and goes on from the latest that is there, exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`](crate::Error::Resume) for a run of another configuration, and for a damaged
    /// checkpoint.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        if let Some((saved, journal)) =
            checkpoint::latest::<_, Journal>(&checkpoints, &self.config)?
        {
            self.net = saved.module(NET, self.net)?;
            self.optimizer = saved.optimizer(OPTIMIZER, self.optimizer)?;
            self.pool = (0..journal.pool)
                .map(|place| saved.module(&pool_name(place), self.net.valid()))
                .collect::<model_utils::Result<_>>()?;
            self.journal = journal;
        }
        self.checkpoints = Some(checkpoints);
        Ok(self)
    }

    /// Plays the games of an iteration, Black in every second one; the sum of the wins.
    fn play(
        &self,
        opponent: &PolicyNet,
        seed: u64,
        experiences: &mut Vec<Experience>,
    ) -> Result<f64> {
        let mut own = PolicyPlayer::new(&self.net.valid(), mix(seed, 1));
        let mut other = PolicyPlayer::new(opponent, mix(seed, 2));
        let mut games = vec![self.start.clone(); self.config.games];
        let mut kept: Vec<Vec<(Vec<f32>, Action)>> = vec![Vec::new(); games.len()];
        let color = |game: usize| Color::from_index(game);
        while games.iter().any(|game| !game.ended()) {
            for turn in [true, false] {
                let open: Vec<usize> = (0..games.len())
                    .filter(|&at| !games[at].ended() && (games[at].to_play() == color(at)) == turn)
                    .collect();
                let positions: Vec<Go> = open.iter().map(|&at| games[at].clone()).collect();
                let player = if turn { &mut own } else { &mut other };
                for (at, (action, planes)) in open.into_iter().zip(player.choose(&positions)?) {
                    games[at].play(action);
                    if turn && !planes.is_empty() {
                        kept[at].push((planes, action));
                    }
                }
            }
        }
        let mut wins = 0.0;
        for (at, (game, moves)) in games.iter().zip(kept).enumerate() {
            let score = if color(at) == Color::Black { game.score() } else { -game.score() };
            let result = if score == 0.0 { 0.0 } else { score.signum() };
            wins += f64::from(result + 1.0) / 2.0;
            experiences.extend(moves.into_iter().map(|(planes, action)| Experience {
                planes,
                action,
                result,
            }));
        }
        Ok(wins)
    }

    /// One step along `result · ∇ log p(action)`.
    fn step(&mut self, batch: &[Experience]) {
        let side = self.net.side();
        let device = self.net.device().autodiff();
        let count = batch.len();
        let all = batch.iter().flat_map(|experience| experience.planes.iter().copied()).collect();
        let x = planes(all, [count, PLANES, side, side], &device);
        let actions: Vec<i64> = batch.iter().map(|e| i64::from(e.action)).collect();
        let actions = Tensor::<2, Int>::from_data(TensorData::new(actions, [count, 1]), &device);
        let results: Vec<f32> = batch.iter().map(|experience| experience.result).collect();
        let results = Tensor::<2>::from_data(TensorData::new(results, [count, 1]), &device);
        let log_p = log_softmax(self.net.forward(x), 1).gather(1, actions);
        let loss = (log_p * results).mean().neg();
        let grads = GradientsParams::from_grads(loss.backward(), &self.net);
        let (grads, _) = ops::clip_grad_norm(&self.net, grads, 1.0);
        let net = self.net.clone();
        self.net = self.optimizer.step(self.config.learning_rate, net, grads);
    }
}
