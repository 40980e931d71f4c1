//! A game in the terminal, against a search, a net or a second person.
//!
//! ```console
//! $ cargo run --release --example mcts_play
//! $ cargo run --release --example mcts_play -- --game othello --simulations 50000 --second
//! $ cargo run --release --example mcts_play -- --net out/mcts_alphazero/net.safetensors
//! $ cargo run --release --example mcts_play -- --opponent person
//! $ cargo run --release --example mcts_play -- --auto
//! $ cargo run --release --features chess --example mcts_play -- --game chess
//! ```
//!
//! Type a move as the board names it; `hint` shows what the search thinks of the position, `tree` what it
//! has looked at, three moves deep or as many as are said (`tree 5`), `undo` takes two moves back, `moves`
//! lists what is legal, `quit` ends. `--auto` lets the search play both sides. `tree.dot` holds the
//! largest tree of the game as a graph for Graphviz (`dot -Tsvg`).

#![allow(clippy::print_stdout)]

use std::fmt::Display;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use common::flags::{STEPS, TIME_S, file, positive, signed, within};
use common::mcts::Choose;
use common::with_game;
use common::{Basic, Metrics, Session, conversation};
#[cfg(feature = "chess")]
use mcts::chess::{Chess, Classical};
use mcts::deep::NetEvaluator;
use mcts::rule::{Puct, Uct};
use mcts::{Action, Encode, Found, Game, Limits, Rollout, Search};
use model_utils::device::DeviceSpec;

/// Who sits on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Opponent {
    /// A search, with the net of --net or with random rollouts (chess: a classical evaluation)
    Search,
    /// A second person at the same keyboard
    Person,
}

/// Play a game against a search
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Basic,
    /// Which game
    #[arg(long, value_enum, default_value = "connect_four")]
    game: Choose,
    /// Who sits on the other side
    #[arg(long, value_enum, default_value = "search")]
    opponent: Opponent,
    /// A net for the search, as `mcts_alphazero` saves it
    #[arg(long, value_name = "FILE", value_parser = file())]
    net: Option<PathBuf>,
    /// Where the net computes: flex, ndarray, cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, value_name = "SPEC", default_value_t, requires = "net")]
    device: DeviceSpec,
    /// Simulations a move
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = within(1..=STEPS))]
    simulations: u64,
    /// Think for this long at most; where this is the limit, moves depend on the processor
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = positive(TIME_S))]
    seconds: f64,
    /// Let the other side begin
    #[arg(long)]
    second: bool,
    /// The search plays both sides
    #[arg(long)]
    auto: bool,
}

fn main() -> ExitCode {
    conversation("mcts_play", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    #[cfg(feature = "chess")]
    if args.game == Choose::Chess && args.net.is_none() {
        let search = Search::new(Classical::rule(), Classical::new()).with_seed(args.common.seed);
        return play(&args, session, Chess::new(), Some(Box::new(search)));
    }
    with_game!(args.game, game => play(&args, session, game, None))
}

/// A search of either kind.
trait Thinks<G> {
    fn think(&mut self, game: &G, limits: Limits) -> mcts::Result<Found>;
    fn advance(&mut self, action: Action) -> mcts::Result<()>;
    fn dot(&self, least_visits: u32) -> Option<String>;
    fn text(&self, game: &G, depth: usize) -> Option<String>;
}

impl<G: Game, R: mcts::rule::Rule, E: mcts::Evaluator<G>> Thinks<G> for Search<G, R, E> {
    fn think(&mut self, game: &G, limits: Limits) -> mcts::Result<Found> {
        self.run(game, limits)
    }

    fn advance(&mut self, action: Action) -> mcts::Result<()> {
        Self::advance(self, action)
    }

    fn dot(&self, least_visits: u32) -> Option<String> {
        self.tree().map(|tree| tree.dot(least_visits))
    }

    fn text(&self, game: &G, depth: usize) -> Option<String> {
        let tree = self.tree().filter(|tree| tree.game() == game)?;
        Some(tree.text(depth)).filter(|text| !text.is_empty())
    }
}

/// Shows what the last search knows of the position, as deep as is said.
fn print_tree<G>(search: &dyn Thinks<G>, game: &G, depth: &str) {
    let depths = if depth.is_empty() { Some(3) } else { depth.parse().ok() };
    let Some(depth) = depths.filter(|&depth| depth > 0) else {
        println!("tree takes a number of moves, not {depth}");
        return;
    };
    match search.text(game, depth) {
        Some(text) => {
            println!("{:<20} {:>9} {:>7} {:>6}", "move", "visits", "value", "prior");
            print!("{text}");
        }
        None => println!("nothing is known of this position: hint searches it"),
    }
}

/// Who has won.
fn result<G: Game>(game: &G) -> &'static str {
    match game.outcome().map(|values| values.of(0)) {
        None => "not finished",
        Some(value) if value > 0.0 => "player 1 wins",
        Some(value) if value < 0.0 => "player 2 wins",
        Some(_) => "a draw",
    }
}

fn play<G: Encode + Display + 'static>(
    args: &Args,
    session: &Session,
    start: G,
    search: Option<Box<dyn Thinks<G>>>,
) -> anyhow::Result<()> {
    let out = session.out();
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut search: Box<dyn Thinks<G>> = if let Some(search) = search {
        search
    } else if let Some(path) = &args.net {
        let device = args.common.open(args.device)?;
        let net = NetEvaluator::load(path, &device)
            .with_context(|| format!("cannot play with {}", path.display()))?;
        net.config().check_game(&start)?;
        Box::new(Search::new(Puct::default(), net).with_seed(args.common.seed))
    } else {
        let rollout = Rollout::new(args.common.seed);
        Box::new(Search::new(Uct::default(), rollout).with_seed(args.common.seed))
    };
    let limits =
        Limits::simulations(args.simulations).or_time(Duration::from_secs_f64(args.seconds));
    let mut metrics = Metrics::default();
    let (mut game, mut line) = (start.clone(), Vec::new());
    let (mut simulations, mut searches, mut largest) = (0, 0, 0);
    let mut input = std::io::stdin().lock().lines();
    while game.outcome().is_none() {
        println!("\n{game}");
        let player = game.turn().player().unwrap_or(0);
        let person =
            !args.auto && (args.opponent == Opponent::Person || (player == 1) == args.second);
        let action = if person {
            print!("player {}, your move: ", player + 1);
            std::io::stdout().flush()?;
            let Some(text) = input.next().transpose()? else { break };
            match text.trim() {
                "" => continue,
                "quit" => break,
                "undo" => {
                    let back = if args.opponent == Opponent::Person { 1 } else { 2 };
                    line.truncate(line.len().saturating_sub(back));
                    game = start.clone();
                    for action in &line {
                        game.play(*action);
                    }
                    continue;
                }
                "moves" => {
                    let mut actions = Vec::new();
                    game.legal_actions(&mut actions);
                    let names: Vec<_> = actions.iter().map(|a| game.action_name(*a)).collect();
                    println!("{}", names.join(" "));
                    continue;
                }
                "hint" => {
                    println!("{}", search.think(&game, limits)?);
                    continue;
                }
                text if text == "tree" || text.starts_with("tree ") => {
                    print_tree(search.as_ref(), &game, text[4..].trim());
                    continue;
                }
                text => match game.parse_action(text) {
                    Ok(action) => action,
                    Err(error) => {
                        println!("{error}; also: hint, tree, moves, undo, quit");
                        continue;
                    }
                },
            }
        } else {
            let found = search.think(&game, limits)?;
            println!("{found}");
            simulations += found.simulations;
            searches += 1;
            let least = (found.visits / 100).max(1);
            if found.nodes > largest
                && let Some(dot) = search.dot(least)
            {
                largest = found.nodes;
                model_utils::atomic::write(out.join("tree.dot"), dot.as_bytes())?;
            }
            println!("player {} plays {}", player + 1, game.action_name(found.best()));
            found.best()
        };
        game.play(action);
        line.push(action);
        // A search that has not seen the game starts at the next position by itself.
        let _ = search.advance(action);
    }
    let names: Vec<_> = line
        .iter()
        .scan(start, |game, action| {
            let name = game.action_name(*action);
            game.play(*action);
            Some(name)
        })
        .collect();
    println!("\n{game}");
    metrics.set("game", game.name());
    metrics.set("moves", names.join(" "));
    metrics.set("result", result(&game));
    metrics.set("plies", line.len());
    metrics.set("searches", searches);
    metrics.set("simulations", simulations);
    session.finish(&metrics)
}
