//! A chess engine for Cute Chess, Arena or python-chess: UCI on standard input and output.
//!
//! ```console
//! $ cargo run --release --features chess --example mcts_uci
//! $ printf 'position startpos moves e2e4\ngo movetime 1000\n' | cargo run --release --features chess --example mcts_uci
//! ```
//!
//! It searches with a classical evaluation, or with a two-headed net; the tree is kept from move to move.
//! Threads, memory and the rest are set by `setoption`.

use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use ::mcts::chess::{Chess, Classical};
use ::mcts::deep::NetEvaluator;
use ::mcts::rule::Puct;
use ::mcts::uci::Engine;
use clap::Parser;
use common::conversation;
use common::flags::{file, signed};
use model_utils::device::DeviceSpec;

/// Play chess by the Universal Chess Interface
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    /// A two-headed net to search with, as the pipeline of AlphaZero saves it
    #[arg(long, value_name = "FILE", value_parser = file())]
    net: Option<PathBuf>,
    /// Where the net computes: flex, ndarray, cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, value_name = "SPEC", default_value_t, requires = "net")]
    device: DeviceSpec,
}

fn main() -> ExitCode {
    conversation("mcts_uci", |args, _| run(args))
}

/// Answers lines until `quit`.
fn run(args: Args) -> anyhow::Result<()> {
    let (input, output) = (BufReader::new(stdin()), stdout().lock());
    if let Some(path) = &args.net {
        let net = NetEvaluator::load(path, &args.device.open()?)?;
        net.config().check_game(&Chess::new())?;
        Engine::new("usagi", Puct::default(), net).run(input, output)?;
    } else {
        Engine::new("usagi", Classical::rule(), Classical::new()).run(input, output)?;
    }
    Ok(())
}
