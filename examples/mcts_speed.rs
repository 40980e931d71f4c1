//! How fast searches and rollouts run.
//!
//! ```console
//! $ cargo run --release --example mcts_speed -- --game connect_four
//! $ cargo run --release --example mcts_speed -- --game go --evaluator playout
//! $ cargo run --release --example mcts_speed -- --game othello --threads 2
//! ```
//!
//! With one random rollout a simulation, a core of a server runs millions of simulations a second of
//! Connect Four, a hundred thousand and more of Othello and of Go on 9×9.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use common::flags::{STEPS, TIME_S, positive, signed, within};
use common::mcts::Choose;
use common::{Basic, Metrics, Session, program};
use mcts::random::{Random, mix};
use mcts::rule::Uct;
use mcts::{Game, Limits, Rollout, Search};
use model_utils::train::Stop;

/// What a simulation or a turn of the timed loop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Evaluator {
    /// UCT with one random rollout a simulation
    Rollout,
    /// Rollouts from the start, without a tree
    Playout,
}

/// Time searches and rollouts
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Basic,
    /// Which game
    #[arg(long, value_enum, default_value = "connect_four")]
    game: Choose,
    /// What is timed
    #[arg(long, value_enum, default_value = "rollout")]
    evaluator: Evaluator,
    /// How long
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = positive(TIME_S))]
    seconds: f64,
    /// Threads in one tree
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=256_usize))]
    threads: usize,
    /// Simulations of a search, which starts from an empty tree
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = within(1..=STEPS))]
    simulations: u64,
}

fn main() -> ExitCode {
    program("mcts_speed", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    common::with_game!(args.game, game => time(&args, session, &game))
}

fn time<G: Game>(args: &Args, session: &Session, game: &G) -> anyhow::Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    session.stage("timing");
    let mut metrics = Metrics::default();
    metrics.set("game", game.name());
    metrics.set("threads", args.threads);
    match args.evaluator {
        Evaluator::Rollout => {
            let rollout = session.around(Rollout::new(args.common.seed));
            let mut search = Search::new(Uct::default(), rollout).with_seed(args.common.seed);
            let started = Instant::now();
            let (mut simulations, mut searches, mut nodes) = (0, 0, 0);
            while started.elapsed() < time {
                session.check()?;
                let limits = Limits::simulations(args.simulations);
                let found = search.run_tree_parallel(game, limits, args.threads)?;
                simulations += found.simulations;
                nodes += found.nodes;
                searches += 1;
                search.restart();
            }
            let seconds = started.elapsed().as_secs_f64();
            metrics.set("simulations", simulations);
            metrics.set("nodes_per_search", nodes / searches);
            metrics.set("sims_per_s", simulations as f64 / seconds);
            metrics.set("us_per_sim", 1e6 * seconds / simulations as f64);
        }
        Evaluator::Playout => {
            let counts: Vec<mcts::Result<u64>> = std::thread::scope(|scope| {
                let run = |thread: u64| {
                    playouts(game, mix(args.common.seed, thread), time, &session.stop())
                };
                let handles: Vec<_> = (0..args.threads as u64)
                    .map(|thread| scope.spawn(move || run(thread)))
                    .collect();
                handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
            });
            let playouts: u64 = counts.into_iter().sum::<mcts::Result<u64>>()?;
            metrics.set("playouts", playouts);
            metrics.set("playouts_per_s", playouts as f64 / args.seconds);
            metrics.set("us_per_playout", 1e6 * args.seconds / playouts as f64);
        }
    }
    session.finish(&metrics)
}

/// How many rollouts from the start one thread plays.
fn playouts<G: Game>(game: &G, seed: u64, time: Duration, stop: &Stop) -> mcts::Result<u64> {
    let mut random = Random::new(seed);
    let (mut scratch, mut actions) = (game.clone(), Vec::new());
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < time && !stop.is_stopped() {
        for _ in 0..16 {
            scratch.clone_from(game);
            if scratch.rollout(&mut random, &mut actions).is_none() {
                return Err(mcts::Error::NoActions { game: game.name() });
            }
            count += 1;
        }
    }
    Ok(count)
}
