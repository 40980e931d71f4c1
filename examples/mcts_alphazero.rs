//! AlphaZero on a small machine: a net learns a game from games against itself alone, and is graded.
//!
//! ```console
//! $ cargo run --release --example mcts_alphazero -- --minutes 70
//! $ cargo run --release --example mcts_alphazero -- --net out/mcts_alphazero/net.safetensors \
//!       --positions DIR/Test_L3_R1
//! $ cargo run --release --example mcts_alphazero -- --game tic_tac_toe --minutes 1
//! ```
//!
//! Connect Four is graded by its exact solver: on 500 random positions of 12 to 20 stones, how
//! often does the chosen move keep the exact result, with the net and without it, at equal
//! simulations. After Ctrl-C the same command with `--resume` goes on at the generation that was
//! stopped.

#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use common::flags::{STEPS, TIME_S, UNITS, file, positive, signed, within};
use common::mcts::{Keeps, grade, labelled, random_positions};
use common::{Common, Metrics, Resume, Session, program};
use mcts::arena::{Player, Score, SearchPlayer, play_pairs};
use mcts::deep::{
    AlphaZero, AlphaZeroConfig, Exploration, Gate, NetEvaluator, PolicyValueConfig, SelfPlay,
};
use mcts::games::{ConnectFour, Othello, TicTacToe, read_positions};
use mcts::rule::{Gumbel, Puct, Uct};
use mcts::{Evaluator, Game, Limits, Rollout, Search, Symmetry};
use model_utils::picture::Curves;
use model_utils::train::{Budget, Spent, Stop, Stoppable};

/// The games that can be learned here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choose {
    #[value(name = "tic_tac_toe")]
    TicTacToe,
    #[value(name = "connect_four")]
    ConnectFour,
    Othello,
}

/// How a net is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// Sequential halving at the root, without noise
    Gumbel,
    /// `AlphaZero`'s rule
    Puct,
}

/// Learn a game from games against oneself
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// Which game
    #[arg(long, value_enum, default_value = "connect_four")]
    game: Choose,
    /// How long to train, in all; how far it comes in that time depends on the processor
    #[arg(long, value_name = "MIN", default_value_t = 60.0, value_parser = positive(TIME_S))]
    minutes: f64,
    /// At most so many generations
    #[arg(long, value_name = "N", value_parser = within(1..=1_000_000_u64))]
    generations: Option<u64>,
    /// Games of a generation
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = within(1..=1_000_000_u64))]
    games: u64,
    /// Games at once in self-play: the batch of the net
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = within(1..=UNITS))]
    parallel: usize,
    /// Simulations a move in self-play
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = within(2..=1_000_000_u32))]
    self_play_simulations: u32,
    /// How the net is searched when it is graded
    #[arg(long, value_enum, default_value = "puct")]
    rule: Rule,
    /// Simulations a move when it is graded
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = within(2..=STEPS))]
    simulations: u64,
    /// Seconds a move of further games against UCT, in which both have as long instead of as many
    /// simulations
    #[arg(long, value_name = "S", value_parser = positive(TIME_S))]
    move_seconds: Option<f64>,
    /// Channels of the net
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = within(1..=1024_usize))]
    channels: usize,
    /// Residual blocks of the net
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=256_usize))]
    blocks: usize,
    /// The same convolutions without shortcuts
    #[arg(long)]
    plain: bool,
    /// `AlphaZero`'s Dirichlet noise instead of Gumbel search in self-play
    #[arg(long)]
    dirichlet: bool,
    /// A learned net plays only after winning 55 % of 200 games
    #[arg(long)]
    gate: bool,
    /// Generations over which the learning rate falls
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = within(1..=1_000_000_u64))]
    decay: u64,
    /// Grade the net of this file instead of training one
    #[arg(long, value_name = "FILE", value_parser = file())]
    net: Option<PathBuf>,
    /// Pons's Connect Four positions and scores, to grade with
    #[arg(long, value_name = "FILE", value_parser = file())]
    positions: Option<PathBuf>,
    #[arg(skip)]
    stop: Stop,
}

impl Args {
    /// Of a move when a net is graded.
    fn limits(&self) -> Limits {
        Limits::simulations(self.simulations)
    }
}

fn main() -> ExitCode {
    program("mcts_alphazero", begin)
}

fn begin(mut args: Args, session: &Session) -> anyhow::Result<()> {
    args.stop = session.stop();
    let is_graded = args.game == Choose::ConnectFour || args.positions.is_none();
    ensure!(is_graded, "--positions: are of connect_four, and --game is another");
    match args.game {
        Choose::TicTacToe => run(&args, session, &TicTacToe::new(), 4),
        Choose::ConnectFour => run(&args, session, &ConnectFour::new(), 16),
        Choose::Othello => run(&args, session, &Othello::new(), 10),
    }
}

/// Positions with the moves that keep their exact result.
struct Grades {
    random: Vec<Keeps>,
    file: Option<Vec<Keeps>>,
}

impl Grades {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let read = args.positions.as_deref().map(|path| {
            read_positions(path).with_context(|| format!("--positions {}", path.display()))
        });
        let file = read.transpose()?.map(|read| {
            let games: Vec<_> = read.into_iter().map(|(game, _)| game).collect();
            labelled(&games, &args.stop)
        });
        let random = labelled(&random_positions(500, 12..=20, 7), &args.stop)?;
        Ok(Self { file: file.transpose()?, random })
    }
}

/// Anything that can be searched with a net and graded.
trait Graded: Symmetry + 'static {
    /// Positions to grade with, where there is an exact solver.
    fn grades(_args: &Args) -> anyhow::Result<Option<Grades>> {
        Ok(None)
    }

    /// Accuracies of a net's moves, where there is an exact solver.
    fn grade(
        _args: &Args,
        _net: &NetEvaluator,
        _grades: Option<&Grades>,
    ) -> anyhow::Result<Vec<(&'static str, f64)>> {
        Ok(Vec::new())
    }

    /// Accuracy on some of the random positions, for the curve.
    fn glance(
        _args: &Args,
        _net: &NetEvaluator,
        _grades: Option<&Grades>,
    ) -> anyhow::Result<Option<f64>> {
        Ok(None)
    }
}

impl Graded for TicTacToe {}
impl Graded for Othello {}

impl Graded for ConnectFour {
    fn grades(args: &Args) -> anyhow::Result<Option<Grades>> {
        Ok(Some(Grades::new(args)?))
    }

    fn grade(
        args: &Args,
        net: &NetEvaluator,
        grades: Option<&Grades>,
    ) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let Some(grades) = grades else { return Ok(Vec::new()) };
        let mut player = with_net::<Self>(net, args, args.limits())?;
        let (rule, watched) = (Gumbel::default().with_noise(0.0), args.stop.around(net.clone()));
        let mut alone = SearchPlayer::new(Search::new(rule, watched), Limits::simulations(2))?;
        let mut accuracies = vec![
            ("solver_accuracy", grade(&mut *player, &grades.random)?),
            (
                "uct_accuracy",
                grade(&mut without_net::<Self>(args, args.limits())?, &grades.random)?,
            ),
            ("net_alone_accuracy", grade(&mut alone, &grades.random)?),
        ];
        if let Some(file) = &grades.file {
            let uct = grade(&mut without_net::<Self>(args, args.limits())?, file)?;
            accuracies.push(("solver_accuracy_file", grade(&mut *player, file)?));
            accuracies.push(("uct_accuracy_file", uct));
        }
        Ok(accuracies)
    }

    fn glance(
        args: &Args,
        net: &NetEvaluator,
        grades: Option<&Grades>,
    ) -> anyhow::Result<Option<f64>> {
        let Some(grades) = grades else { return Ok(None) };
        let mut player = with_net::<Self>(net, args, args.limits())?;
        Ok(Some(grade(&mut *player, &grades.random[..250])?))
    }
}

fn with_net<G: Symmetry + 'static>(
    net: &NetEvaluator,
    args: &Args,
    limits: Limits,
) -> anyhow::Result<Box<dyn Player<G>>> {
    let net = args.stop.around(net.clone());
    Ok(match args.rule {
        Rule::Gumbel => Box::new(player(Gumbel::default().with_noise(0.0), net, args, limits)?),
        Rule::Puct => Box::new(player(Puct::default(), net, args, limits)?),
    })
}

fn without_net<G: Game>(
    args: &Args,
    limits: Limits,
) -> anyhow::Result<SearchPlayer<G, Uct, Stoppable<Rollout<G>>>> {
    let rollout = args.stop.around(Rollout::new(args.common.seed));
    player(Uct::default(), rollout, args, limits)
}

fn player<G: Game, R: mcts::rule::Rule, E: Evaluator<G>>(
    rule: R,
    evaluator: E,
    args: &Args,
    limits: Limits,
) -> anyhow::Result<SearchPlayer<G, R, E>> {
    let search = Search::new(rule, evaluator).with_seed(args.common.seed);
    Ok(SearchPlayer::new(search, limits)?)
}

/// A net against UCT, games from random openings, and what came of it among the metrics.
fn against_uct<G: Graded>(
    args: &Args,
    session: &Session,
    start: &G,
    net: &NetEvaluator,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    const PAIRS: usize = 100;
    const OPENING: usize = 4;
    let seed = args.common.seed;
    let mut tell = |key: &str, how: &str, score: Score| {
        println!("with the net against UCT, {how} each: {score}");
        let rate = score.rate();
        metrics.set(key, rate.value);
        metrics.set(&format!("{key}_low"), rate.low);
        metrics.set(&format!("{key}_high"), rate.high);
    };
    session.stage("games against UCT");
    let score = session.part("match", || {
        let limits = args.limits();
        let (mut player, mut uct) = (with_net::<G>(net, args, limits)?, without_net(args, limits)?);
        Ok(play_pairs(start, &mut *player, &mut uct, PAIRS, OPENING, seed)?)
    })?;
    tell("win_rate_vs_uct", &format!("{} simulations", args.simulations), score);
    let Some(seconds) = args.move_seconds else { return Ok(()) };
    session.stage("games against UCT in equal time");
    let score = session.part("timed_match", || {
        let limits = Limits::time(Duration::from_secs_f64(seconds));
        let (mut player, mut uct) = (with_net::<G>(net, args, limits)?, without_net(args, limits)?);
        let mut score = Score::default();
        // One after another: of a pair each player has one game, and so the time for itself.
        for pair in 0..PAIRS as u64 {
            session.check()?;
            score += play_pairs(start, &mut *player, &mut uct, 1, OPENING, seed + pair)?;
        }
        Ok(score)
    })?;
    tell("timed_win_rate_vs_uct", &format!("{seconds} s a move"), score);
    Ok(())
}

fn run<G: Graded>(
    args: &Args,
    session: &Session,
    start: &G,
    opening_moves: usize,
) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let mut metrics = Metrics::default();
    metrics.set("game", start.name());
    let given = args.net.as_ref().map(|path| {
        let net = NetEvaluator::load(path, &device)
            .with_context(|| format!("cannot grade {}", path.display()))?;
        net.config().check_game(start)?;
        anyhow::Ok(net)
    });
    let given = given.transpose()?;
    session.stage("solving positions");
    let grades = G::grades(args)?;
    let grades = grades.as_ref();
    session.check()?;
    let net = match given {
        Some(net) => net,
        None => train(args, session, start, opening_moves, grades, &device, &mut metrics)?,
    };
    session.keep(&metrics);
    session.stage("grading");
    metrics.add(session.part("grades", || {
        let (started, mut metrics) = (Instant::now(), Metrics::default());
        for (key, accuracy) in G::grade(args, &net, grades)? {
            metrics.set(key, accuracy);
        }
        metrics.set("grade_s", started.elapsed().as_secs_f64());
        Ok(metrics)
    })?);
    against_uct(args, session, start, &net, &mut metrics)?;
    session.stage("timing");
    throughput(args, start, &net, &mut metrics)?;
    session.finish(&metrics)
}

/// Trains, or goes on; the net that plays at the end.
fn train<G: Graded>(
    args: &Args,
    session: &Session,
    start: &G,
    opening_moves: usize,
    grades: Option<&Grades>,
    device: &Device,
    metrics: &mut Metrics,
) -> anyhow::Result<NetEvaluator> {
    let exploration = if args.dirichlet {
        Exploration::Dirichlet { alpha: 10.0 / start.actions() as f32, drawn_moves: 10 }
    } else {
        Exploration::Gumbel { considered: 16 }
    };
    let net = PolicyValueConfig::for_game(start)
        .with_channels(args.channels)
        .with_blocks(args.blocks)
        .with_residual(!args.plain)
        .with_policy_channels(8)
        .with_value_channels(4)
        .with_value_hidden(64);
    let config = AlphaZeroConfig::new(net)
        .with_seed(args.common.seed)
        .with_games(args.games)
        .with_decay(args.decay)
        .with_gate(args.gate.then_some(Gate { games: 200, rate: 0.55 }))
        .with_self_play(SelfPlay {
            parallel: args.parallel,
            simulations: args.self_play_simulations,
            exploration,
            // Random openings show the net more than its own favourite lines.
            opening_moves,
            value_mix: 0.25,
            ..SelfPlay::default()
        });
    println!("it trains for {} minutes; how far it comes depends on the processor", args.minutes);
    session.stage("training");
    let out = session.out();
    let mut run = config.init(start, device)?.resume_in(session.checkpoints("alpha_zero")?)?;
    let mut observer = (session.progress(), session.log(out.join("log.csv"))?);
    let budget = Budget {
        steps: args.generations,
        time: Some(Duration::from_secs_f64(60.0 * args.minutes)),
        ..Budget::default()
    };
    let mut curve = Curve::open(session, run.generations())?;
    loop {
        let (done, time) = (run.generations(), Duration::from_secs_f64(run.wall_s()));
        let over = budget.is_spent(Spent { steps: done, time, ..Spent::default() });
        if done > 0 {
            run.save_net(out.join("net.safetensors"))?;
        }
        if done > 0 && (done.is_multiple_of(5) || over) && !curve.holds(done) {
            let net = NetEvaluator::new(&run.net())?;
            if let Some(accuracy) = G::glance(args, &net, grades)? {
                session.check()?;
                curve.add(done, run.wall_s(), accuracy, out)?;
            }
        }
        if over {
            break;
        }
        // One generation at a time: the curve is drawn between them.
        run.learn(budget.or_steps(done + 1), &mut observer)?;
        session.check()?;
    }
    observer.1.finish()?;
    report(&run, metrics);
    Ok(NetEvaluator::new(&run.net())?)
}

fn report<G: Symmetry>(run: &AlphaZero<G>, metrics: &mut Metrics) {
    metrics.set("generations", run.generations());
    metrics.set("games", run.history().iter().map(|g| g.played.games).sum::<u64>());
    metrics.set("positions", run.history().iter().map(|g| g.played.positions).sum::<u64>());
    metrics.set("games_per_hour", run.games_per_hour());
    metrics.set("train_wall_s", run.wall_s());
    if let Some(last) = run.history().last() {
        metrics.set("policy_loss", last.policy_loss);
        metrics.set("value_loss", last.value_loss);
    }
}

/// Searches of many games against the net's forward pass alone, at the same batch.
fn throughput<G: Graded>(
    args: &Args,
    start: &G,
    net: &NetEvaluator,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    let size = start.shape().iter().product::<usize>();
    let mut planes = vec![0.0; size * args.parallel];
    for planes in planes.chunks_exact_mut(size) {
        start.encode(planes);
    }
    let mut alone = net.clone();
    let simulations = u64::from(args.self_play_simulations);
    let search = Search::new(Gumbel::default(), args.stop.around(net.clone())).with_seed(1);
    let mut player = SearchPlayer::new(search, Limits::simulations(simulations))?;
    let games = vec![start.clone(); args.parallel];
    // In turns, so that a busy machine slows both.
    let (mut raw, mut raw_s, mut searched_s) = (0, 0.0, 0.0);
    let before = net.evaluated();
    for _ in 0..5 {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(600) {
            alone.forward(&planes)?;
            raw += args.parallel;
        }
        raw_s += started.elapsed().as_secs_f64();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(600) {
            player.act(&games)?;
        }
        searched_s += started.elapsed().as_secs_f64();
    }
    let searched = player.evaluator().get_ref().evaluated() - before;
    let (raw, searched) = (raw as f64 / raw_s, searched as f64 / searched_s);
    metrics.set("net_positions_per_s", raw);
    metrics.set("search_positions_per_s", searched);
    metrics.set("search_share_of_net", searched / raw);
    Ok(())
}

/// Accuracy over generations, in a file that a resumed run goes on with.
#[derive(Default)]
struct Curve(Vec<(u64, f64, f64)>);

impl Curve {
    /// Of the generations up to one.
    fn open(session: &Session, generations: u64) -> anyhow::Result<Self> {
        let path = session.out().join("accuracy.csv");
        if !session.resumes() {
            return Ok(Self::default());
        }
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Self::default()) };
        let points = text.lines().skip(1).map(|line| {
            let mut parts = line.split(',');
            let mut next = || parts.next().context("accuracy.csv is cut off");
            Ok((next()?.parse()?, next()?.parse()?, next()?.parse()?))
        });
        let mut curve = Self(points.collect::<anyhow::Result<_>>()?);
        curve.0.retain(|(generation, _, _)| *generation <= generations);
        Ok(curve)
    }

    fn holds(&self, generation: u64) -> bool {
        self.0.iter().any(|(known, _, _)| *known == generation)
    }

    fn add(
        &mut self,
        generation: u64,
        wall_s: f64,
        accuracy: f64,
        out: &Path,
    ) -> anyhow::Result<()> {
        self.0.push((generation, wall_s, accuracy));
        println!(
            "generation {generation}, {:.0} min: solver accuracy {accuracy:.3}",
            wall_s / 60.0
        );
        let mut text = String::from("generation,wall_s,solver_accuracy\n");
        for (generation, wall_s, accuracy) in &self.0 {
            writeln!(text, "{generation},{wall_s:.1},{accuracy:.4}")?;
        }
        model_utils::atomic::write(out.join("accuracy.csv"), text.as_bytes())?;
        let points: Vec<_> = self.0.iter().map(|(g, _, accuracy)| (*g as f64, *accuracy)).collect();
        Curves::new("Moves that keep the exact result, 250 positions")
            .x_label("generation")
            .y_label("solver accuracy")
            .line("search with the net", &points)
            .save(out.join("curve.svg"))?;
        Ok(())
    }
}
