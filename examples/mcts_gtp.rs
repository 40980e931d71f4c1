//! A Go engine for Sabaki, GoGui or twogtp: GTP 2 on standard input and output.
//!
//! ```console
//! $ cargo run --release --example mcts_gtp
//! $ printf 'boardsize 9\nclear_board\ngenmove b\nshowboard\nquit\n' | cargo run --release --example mcts_gtp
//! ```
//!
//! It searches with priors and playouts that know a little of the game; the tree is kept from move
//! to move. Where the controller sets a clock, that counts; else `--seconds` a move.

#![allow(clippy::print_stderr)]

mod common;

use std::io::{stdin, stdout};
use std::time::Duration;

use clap::Parser;
use common::go::RuleSet;
use mcts::Budget;
use mcts::gtp::{Engine, Searcher};

/// Play Go by the Go Text Protocol
#[derive(Debug, Parser)]
struct Args {
    /// The rules
    #[arg(long, value_enum, default_value = "chinese")]
    rules: RuleSet,
    /// Seconds a move, where no clock runs
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Simulations a move instead, where no clock runs
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    simulations: Option<u64>,
    /// Threads that search the tree
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Resign below this value, from −1 to 1
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    resign: Option<f32>,
    /// What all random draws follow from
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let budget = match args.simulations {
        Some(simulations) => Budget::simulations(simulations),
        None => Budget::time(Duration::try_from_secs_f64(args.seconds)?),
    };
    let mut player = Searcher::knowing(args.seed).with_budget(budget).with_threads(args.threads);
    if let Some(value) = args.resign {
        player = player.with_resignation(value);
    }
    Engine::with_rules(player, args.rules.rules()).run(stdin().lock(), stdout().lock())?;
    Ok(())
}
