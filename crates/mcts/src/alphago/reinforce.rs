//! The policy net by reinforcement: games against a pool of its own past.

use burn::config::Config;
use burn::module::Module as _;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use model_utils::checkpoint::{Checkpoints, HoldsModules as _, TakesModules as _};
use model_utils::ops;
use model_utils::train::{Asks as _, Budget, Observer, Run, StopReason};
use model_utils::weights::snapshot;
use model_utils_core::config;

use super::features::PLANES;
use super::net::{PolicyNet, planes};
use super::player::PolicyPlayer;
use crate::error::Result;
use crate::game::{Action, Game as _};
use crate::go::{Color, Go};
use crate::random::{Random, mix};
use crate::stopping::unless_stopped;

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
    start: Go,
    run: Run,
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
            start: start.clone(),
            run: Run::new("reinforce", self)?.counting(&["steps", "time"]),
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

    /// Plays and learns once, or not at all: what fails or is stopped leaves no trace.
    ///
    /// # Errors
    ///
    /// From the device, and [`model_utils::Error::Stopped`] where `progress` asked to stop.
    pub fn iterate(&mut self, progress: &dyn Observer) -> Result<Iteration> {
        let before = (snapshot(&self.net), self.optimizer.clone());
        let iteration = self.play_and_learn(progress);
        if iteration.is_err() {
            (self.net, self.optimizer) = before;
        }
        iteration
    }

    fn play_and_learn(&mut self, progress: &dyn Observer) -> Result<Iteration> {
        let iteration = self.run.steps() + 1;
        let seed = mix(self.config.seed, iteration);
        let mut random = Random::new(seed);
        let opponent = self.pool[random.below_u32(self.pool.len() as u32) as usize].clone();
        let mut experiences = Vec::new();
        let wins = self.play(&opponent, seed, &mut experiences, progress)?;
        random.shuffle(&mut experiences);
        for batch in experiences.chunks(self.config.batch) {
            progress.check("learning", format_args!("iteration {iteration}"))?;
            self.step(batch);
        }
        if iteration.is_multiple_of(self.config.pool_every) {
            self.pool.push(self.net.valid());
        }
        self.run.step(self.config.games);
        Ok(Iteration {
            iteration,
            win_rate: wins / self.config.games as f64,
            moves: experiences.len(),
            pool: self.pool.len(),
        })
    }

    /// Iterates until the budget is spent (steps are iterations, in all) or `progress` asks to stop:
    /// an iteration that is not whole then is played anew when the run goes on.
    ///
    /// Metrics: `win_rate` against the pool.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a budget without steps and time; as
    /// [`Reinforce::iterate`], and where a checkpoint cannot be written.
    pub fn learn(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<StopReason> {
        self.run.start(budget, None, progress)?;
        while self.run.next(progress) {
            let iteration = self.iterate(progress);
            let Some(Iteration { win_rate, .. }) = unless_stopped(iteration)? else {
                self.run.stop(StopReason::Asked);
                continue;
            };
            self.run.report(&[("win_rate", win_rate)], progress);
            if self.run.is_save_due() {
                self.save(progress)?;
            }
        }
        if !self.run.is_saved() {
            self.save(progress)?;
        }
        Ok(self.run.finish(progress).reason)
    }

    fn save(&mut self, progress: &mut dyn Observer) -> Result<()> {
        let Self { net, optimizer, pool, run, .. } = self;
        Ok(run.save(progress, |checkpoint| {
            let mut checkpoint =
                checkpoint.module(NET, net)?.optimizer(OPTIMIZER, optimizer)?.state(&pool.len())?;
            for (place, net) in pool.iter().enumerate() {
                checkpoint = checkpoint.module(&pool_name(place), net)?;
            }
            Ok(checkpoint)
        })?)
    }

    /// Keeps checkpoints, one each time the net joins the pool and one where [`Reinforce::learn`]
    /// ends, and goes on from the latest that is there, exactly.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] with every difference for a run of another configuration, and
    /// what reading a checkpoint brings.
    pub fn resume_in(mut self, checkpoints: Checkpoints) -> Result<Self> {
        if let Some(saved) = self.run.resume_in(checkpoints, Some(self.config.pool_every))? {
            self.net = saved.module(NET, self.net)?;
            self.optimizer = saved.optimizer(OPTIMIZER, self.optimizer)?;
            self.pool = (0..saved.state()?)
                .map(|place| saved.module(&pool_name(place), self.net.valid()))
                .collect::<model_utils::Result<_>>()?;
        }
        Ok(self)
    }

    /// Plays the games of an iteration, Black in every second one; the sum of the wins.
    fn play(
        &self,
        opponent: &PolicyNet,
        seed: u64,
        experiences: &mut Vec<Experience>,
        progress: &dyn Observer,
    ) -> Result<f64> {
        let mut own = PolicyPlayer::new(&self.net.valid(), mix(seed, 1));
        let mut other = PolicyPlayer::new(opponent, mix(seed, 2));
        let mut games = vec![self.start.clone(); self.config.games];
        let mut kept: Vec<Vec<(Vec<f32>, Action)>> = vec![Vec::new(); games.len()];
        let color = |game: usize| Color::from_index(game);
        while games.iter().any(|game| !game.ended()) {
            let moves = games.iter().map(|game| game.moves().len()).max().unwrap_or(0);
            progress.check("games of the pool", format_args!("move {moves}"))?;
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
