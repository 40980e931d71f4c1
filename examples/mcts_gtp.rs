//! A Go engine for Sabaki, `GoGui` or twogtp: GTP 2 on standard input and output.
//!
//! ```console
//! $ cargo run --release --example mcts_gtp
//! $ printf 'boardsize 9\nclear_board\ngenmove b\nshowboard\nquit\n' | cargo run --release --example mcts_gtp
//! ```
//!
//! It searches with priors and playouts that know a little of the game, or with nets; the tree is
//! kept from move to move. Where the controller sets a clock, that counts; else `--seconds` a move.

use std::io::{BufReader, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::mcts::alphago::{AlphaGoEvaluator, PolicyNet, RolloutPolicy, ValueNet};
use ::mcts::deep::NetEvaluator;
use ::mcts::go::Go;
use ::mcts::gtp::{Engine, Searcher};
use ::mcts::rule::{Apv, Puct, Rule};
use ::mcts::{Evaluator, Fork, Search};
use clap::Parser;
use common::conversation;
use common::flags::{file, folder, signed, within};
use common::go::{RuleSet, Thought};
use model_utils::device::DeviceSpec;
use model_utils::weights::Stored as _;

/// Play Go by the Go Text Protocol
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    /// The rules
    #[arg(long, value_enum, default_value = "chinese")]
    rules: RuleSet,
    #[command(flatten)]
    thought: Thought,
    /// The most nodes of the tree: 33 bytes each; beyond, what was visited least is forgotten
    #[arg(long, value_name = "N", default_value_t = 30_000_000, value_parser = within(10_000..=1_000_000_000_usize))]
    nodes: usize,
    /// Think on while the other side is to move
    #[arg(long)]
    ponder: bool,
    /// Resign below this value, from −1 to 1
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = within(-1.0..=1.0_f32))]
    resign: Option<f32>,
    /// A two-headed net to search with, as the pipeline of AlphaZero saves it
    #[arg(long, value_name = "FILE", group = "nets", value_parser = file())]
    net: Option<PathBuf>,
    /// A folder of `mcts_alphago` to search with: its nets and its rollout policy
    #[arg(long, value_name = "DIR", group = "nets", value_parser = folder())]
    alphago: Option<PathBuf>,
    /// Where nets compute: flex, ndarray, cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, value_name = "SPEC", default_value_t, requires = "nets")]
    device: DeviceSpec,
    /// What all random draws follow from
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = within(0..=u64::from(u32::MAX)))]
    seed: u64,
}

fn main() -> ExitCode {
    conversation("mcts_gtp", |args, _| run(args))
}

fn run(args: Args) -> anyhow::Result<()> {
    if let Some(path) = &args.net {
        let evaluator = NetEvaluator::load(path, &args.device.open()?)?;
        return serve(&args, Searcher::new("usagi", Search::new(Puct::default(), evaluator)));
    }
    if let Some(folder) = &args.alphago {
        let search = Search::new(Apv::default(), alphago(folder, &args)?);
        return serve(&args, Searcher::new("usagi", search.with_batch(8)));
    }
    serve(&args, Searcher::knowing(args.seed))
}

/// Nets and rollout policy of a folder.
fn alphago(folder: &Path, args: &Args) -> anyhow::Result<AlphaGoEvaluator> {
    let device = args.device.open()?;
    let policy = PolicyNet::load(folder.join("sl_policy.safetensors"), &device)?;
    let value = ValueNet::load(folder.join("value.safetensors"), &device)?;
    let rollouts = RolloutPolicy::load(folder.join("rollout_policy.json"))?;
    Ok(AlphaGoEvaluator::new(&policy, Some(&value), Some(&rollouts), args.seed)?)
}

/// Answers commands until `quit`.
fn serve<R, E>(args: &Args, player: Searcher<R, E>) -> anyhow::Result<()>
where
    R: Rule,
    E: Evaluator<Go> + Fork,
{
    let mut player = player
        .with_limits(args.thought.limits())
        .with_threads(args.thought.threads)
        .with_most_nodes(args.nodes);
    if let Some(value) = args.resign {
        player = player.with_resignation(value);
    }
    let mut engine = Engine::with_rules(player, args.rules.rules()).with_pondering(args.ponder);
    engine.run(BufReader::new(stdin()), stdout().lock())?;
    Ok(())
}
