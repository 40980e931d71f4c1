//! A match of Go against any other GTP engine, GNU Go unless told otherwise.
//!
//! ```console
//! $ cargo run --release --example mcts_match -- --games 50 --seconds 1 --threads 2
//! ```
//!
//! Colours change after every game. Every game is played to two passes (or until the opponent
//! resigns) and counted by area, all stones alive; GNU Go is told to take dead stones first. Each
//! record is written to DIR/games. After Ctrl-C the same command with `--resume` counts the games that
//! are there, and plays the others.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use common::flags::{TIME_S, positive, signed, text, within};
use common::go::{RuleSet, Thought};
use common::{Basic, Metrics, Resume, Session, program};
use mcts::arena::Score;
use mcts::go::Color;
use mcts::gtp::{Client, Engine, Searcher};
use mcts::sgf::{Record, Sgf};
use model_utils::config;

/// Play Go against another engine
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Basic,
    #[command(flatten)]
    resume: Resume,
    /// The opponent's command; `{seed}` becomes the number of the game
    #[arg(long,
        value_name = "COMMAND",
        default_value = "/usr/games/gnugo --mode gtp --chinese-rules --capture-all-dead \
                         --positional-superko --level 10 --seed {seed}", value_parser = text)]
    opponent: String,
    /// Games
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = within(1..=1000_usize))]
    games: usize,
    /// Columns and rows of the board
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = within(2..=19_usize))]
    size: usize,
    /// The rules
    #[arg(long, value_enum, default_value = "computer")]
    rules: RuleSet,
    /// Komi, where it is not that of the rules
    #[arg(long, value_name = "POINTS", value_parser = within(-361.0..=361.0_f32))]
    komi: Option<f32>,
    #[command(flatten)]
    thought: Thought,
    /// Seconds that the opponent may take for an answer
    #[arg(long, value_name = "S", default_value_t = 300.0, value_parser = positive(TIME_S))]
    patience: f64,
}

/// How a game ended.
struct Game {
    record: Record,
    /// `None` for an equal score.
    won: Option<bool>,
    moves: usize,
}

fn main() -> ExitCode {
    program("mcts_match", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    // An opponent that is not there, or no engine, is known before anything is cleared.
    opponent(&args, 0)?.ask("name").context("--opponent")?;
    let out = session.out();
    let folder = out.join("games");
    let settings = folder.join("settings.json");
    if args.resume.resume && folder.exists() {
        same_settings(&args, &settings)?;
    }
    if !args.resume.resume && folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    if args.resume.resume && !folder.exists() {
        println!("nothing to resume in {}: it begins anew", out.display());
    }
    std::fs::create_dir_all(&folder)?;
    model_utils::atomic::write(&settings, &serde_json::to_vec_pretty(&args.settings())?)?;
    println!("{}", args.thought.each_move());
    let started = Instant::now();
    let (mut score, mut moves) = (Score::default(), 0);
    for number in 0..args.games {
        session.check()?;
        session.stage(format!("game {number} of {}", args.games));
        let black = number.is_multiple_of(2);
        let path = folder.join(format!("{number:03}.sgf"));
        let game = if path.exists() {
            read(&path, black)?
        } else {
            let game = play(&args, session, number, black)
                .with_context(|| format!("game {number} against {}", args.opponent));
            session.check()?;
            let game = game?;
            model_utils::atomic::write(&path, game.record.to_sgf().to_string().as_bytes())?;
            game
        };
        match game.won {
            Some(true) => score.wins += 1,
            Some(false) => score.losses += 1,
            None => score.draws += 1,
        }
        moves += game.moves;
        println!(
            "game {number:3}  {}  {:>8}  {:3} moves  {score}",
            if black { "black" } else { "white" },
            game.record.result,
            game.moves,
        );
    }
    let mut metrics = Metrics::default();
    let rate = score.rate();
    metrics.set("games", score.games());
    metrics.set("win_rate", rate.value);
    metrics.set("win_rate_low", rate.low);
    metrics.set("win_rate_high", rate.high);
    metrics.set("moves", moves);
    metrics.set("wall_s", started.elapsed().as_secs_f64());
    session.finish(&metrics)
}

impl Args {
    /// All that a result depends on, but for the number of games.
    fn settings(&self) -> serde_json::Value {
        let Self { opponent, size, thought, common, .. } = self;
        let rules = self.rules.rules();
        let komi = self.komi.unwrap_or(rules.komi);
        serde_json::json!({
            "opponent": opponent, "size": size, "rules": format!("{:?}", rules.with_komi(komi)),
            "thought": thought.settings(), "seed": common.seed,
        })
    }
}

/// Refuses to go on with games of other settings.
fn same_settings(args: &Args, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(path)
        .with_context(|| format!("what the games were played with: {}", path.display()))?;
    let found = serde_json::from_slice(&text)
        .with_context(|| format!("damaged settings: {}", path.display()))?;
    let differences = config::differences(&args.settings(), &found);
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        lines.is_empty(),
        "--resume: the games in {} were played with other settings: {}",
        path.with_file_name("").display(),
        lines.join("; ")
    );
    Ok(())
}

/// Starts the opponent for a game.
fn opponent(args: &Args, number: usize) -> anyhow::Result<Client> {
    let command = args.opponent.replace("{seed}", &(number + 1).to_string());
    let mut words = command.split_whitespace();
    let program = words.next().context("the opponent's command is empty")?;
    let client = Client::start(program, &words.collect::<Vec<_>>()).context(
        "--opponent: it is GNU Go (Debian: gnugo) unless the command of another engine is given",
    )?;
    Ok(client.with_limit(Duration::try_from_secs_f64(args.patience)?))
}

/// Plays one game. A move that either side takes for illegal is an error.
fn play(args: &Args, session: &Session, number: usize, black: bool) -> anyhow::Result<Game> {
    let seed = args.common.seed + number as u64;
    let player = Searcher::knowing(seed)
        .with_limits(args.thought.limits())
        .with_threads(args.thought.threads);
    let rules = args.rules.rules();
    let rules = rules.with_komi(args.komi.unwrap_or(rules.komi));
    let mut engine = Engine::with_rules(player, rules);
    let mut opponent = opponent(args, number)?;
    for line in
        [format!("boardsize {}", args.size), "clear_board".into(), format!("komi {}", rules.komi)]
    {
        opponent.ask(&line)?;
        ask(&mut engine, &line)?;
    }
    let (mut passes, mut turn, mut resigned) = (0, true, false);
    while passes < 2 {
        session.check()?;
        let color = if turn { "black" } else { "white" };
        let chosen = if turn == black {
            let chosen = ask(&mut engine, &format!("genmove {color}"))?;
            opponent.ask(&format!("play {color} {chosen}"))?;
            chosen
        } else {
            let chosen = opponent.ask(&format!("genmove {color}"))?;
            if chosen.eq_ignore_ascii_case("resign") {
                resigned = true;
                break;
            }
            ask(&mut engine, &format!("play {color} {chosen}"))?;
            chosen
        };
        passes = if chosen.eq_ignore_ascii_case("pass") { passes + 1 } else { 0 };
        turn = !turn;
    }
    let game = engine.game();
    let score = game.score();
    let mut record = Record::from_game(game)?;
    "usagi".clone_into(&mut record.black);
    record.white = opponent.ask("name").unwrap_or_default();
    if !black {
        std::mem::swap(&mut record.black, &mut record.white);
    }
    record.result = match (resigned, score) {
        (true, _) => format!("{}+R", if black { 'B' } else { 'W' }),
        (false, score) if score > 0.0 => format!("B+{score}"),
        (false, score) if score < 0.0 => format!("W+{}", -score),
        _ => "0".to_owned(),
    };
    Ok(result(record, black))
}

fn ask(engine: &mut Engine<impl mcts::gtp::MoveGenerator>, line: &str) -> anyhow::Result<String> {
    let reply = engine.answer(line).context("an empty line")?;
    reply.result.map_err(|reason| anyhow::anyhow!("{line}: {reason}"))
}

/// A game of an earlier run.
fn read(path: &Path, black: bool) -> anyhow::Result<Game> {
    Ok(result(Record::from_sgf(&Sgf::open(path)?)?, black))
}

fn result(record: Record, black: bool) -> Game {
    let won = record.winner().map(|winner| (winner == Color::Black) == black);
    let moves = record.steps.len();
    Game { record, won, moves }
}
