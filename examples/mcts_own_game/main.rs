//! A game of one's own: Kalah is checked, searched, and played against a random player.
//!
//! ```console
//! $ cargo run --release --example mcts_own_game
//! ```

#![allow(clippy::print_stdout)]

mod kalah;

use std::process::ExitCode;

use clap::Parser;
use common::flags::{STEPS, signed, within};
use common::{Basic, Metrics, Session, program};
use kalah::Kalah;
use mcts::arena::{RandomPlayer, SearchPlayer, play_pairs};
use mcts::check::check_game;
use mcts::rule::Uct;
use mcts::{Game as _, Limits, Rollout, Search};

/// Check, search and play a game of one's own
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Basic,
    /// Simulations of a search
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = within(2..=STEPS))]
    simulations: u64,
    /// Pairs of games against a random player
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = within(1..=100_000_usize))]
    pairs: usize,
}

fn main() -> ExitCode {
    program("mcts_own_game", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let (seed, simulations) = (args.common.seed, args.simulations);
    let mut game = Kalah::new();

    // What searches rely on: all of it is played and looked at.
    let breaches = check_game(&game);
    for breach in &breaches {
        println!("{breach}");
    }

    session.stage("one game against itself");
    let mut search = Search::new(Uct::default(), session.around(Rollout::new(seed)));
    let (mut moves, mut simulated) = (0, 0);
    while game.outcome().is_none() {
        let found = search.run(&game, Limits::simulations(simulations))?;
        if moves == 0 {
            println!("{game}\n\n{found}\n");
        }
        game.play(found.best());
        search.advance(found.best())?;
        moves += 1;
        simulated += found.simulations;
    }
    println!("after {moves} moves\n{game}\n");

    session.stage("a match against a random player");
    let rollout = session.around(Rollout::new(seed));
    let searching = Search::new(Uct::default(), rollout).with_seed(seed);
    let mut searching = SearchPlayer::new(searching, Limits::simulations(simulations))?;
    let mut random = RandomPlayer::new(seed);
    let start = Kalah::new();
    let score = play_pairs(&start, &mut searching, &mut random, args.pairs, 2, seed)?;
    println!("{score}");

    let mut metrics = Metrics::default();
    metrics.set("breaches", breaches.len());
    metrics.set("moves", moves);
    metrics.set("simulations", simulated);
    metrics.set("score_against_random", score.rate().value);
    session.finish(&metrics)
}
