//! AlphaGo's pipeline on a small board: rollout policy, policy net by supervision and by
//! reinforcement, value net, and the search that puts them together.
//!
//! ```console
//! $ cargo run --release --example mcts_alphago -- --make-games 900
//! $ cargo run --release --example mcts_alphago
//! ```
//!
//! The first command lets GNU Go (Debian: gnugo) play against itself and writes the records to
//! DIR/games; any other folder of records goes with `--data`. The second learns (half an hour on two
//! cores), lets the search play against each of its parts and draws DIR/parts.svg. After Ctrl-C the
//! same command with `--resume` goes on; games that were made stay in any case.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use ::mcts::alphago::{
    AlphaGoEvaluator, PolicyNet, PolicyNetConfig, PolicyPlayer, ReinforceConfig, RolloutPolicy,
    RolloutTraining, Trainer, TrainerConfig, VALUE_PLANES, ValueNet, ValueNetConfig, move_examples,
    value_examples, whole_game_examples,
};
use ::mcts::arena::{Player, Score, SearchPlayer, play_pairs};
use ::mcts::deep::Replay;
use ::mcts::go::{Go, Move, Point, Rules};
use ::mcts::gtp::Client;
use ::mcts::random::{Random, mix};
use ::mcts::rule::Apv;
use ::mcts::sgf::{Record, Sgf};
use ::mcts::{Game as _, Limits, Search};
use anyhow::Context as _;
use burn::tensor::Device;
use clap::Parser;
use common::flags::{ITEMS, STEPS, UNITS, folder, signed, within};
use common::{Common, Metrics, Resume, Session, program};
use model_utils::device::seed;
use model_utils::picture::Bars;
use model_utils::train::Budget;
use model_utils::weights::Stored as _;

/// Random moves that begin a game of a match, each opening played with either colour.
const OPENING: usize = 4;
/// Steps between two checkpoints.
const CHECKPOINT_EVERY: u64 = 250;

/// Learn Go the way AlphaGo did
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// Folder of records to learn from [default: DIR/games]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    data: Option<PathBuf>,
    /// Let GNU Go play so many games against itself, and end
    #[arg(long, value_name = "N", value_parser = within(1..=ITEMS as u64))]
    make_games: Option<u64>,
    /// Columns and rows of the board
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = within(2..=19_usize))]
    size: usize,
    /// Komi of the games that are played here [default: 8.5 on 7×7, else 7]
    #[arg(long, value_name = "POINTS", value_parser = within(-361.0..=361.0_f32))]
    komi: Option<f32>,
    /// Filters of both nets
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = within(1..=1024_usize))]
    filters: usize,
    /// Layers of both nets
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(2..=64_usize))]
    layers: usize,
    /// Optimiser steps of the supervised policy
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = within(1..=STEPS))]
    sl_steps: u64,
    /// Iterations of the reinforced policy
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = within(1..=STEPS))]
    rl_iterations: u64,
    /// Games an iteration
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(2..=UNITS))]
    rl_games: usize,
    /// Positions for the value net, one a game
    #[arg(long, value_name = "N", default_value_t = 48_000, value_parser = within(1..=ITEMS))]
    value_games: usize,
    /// Optimiser steps of the value net
    #[arg(long, value_name = "N", default_value_t = 12_000, value_parser = within(1..=STEPS))]
    value_steps: u64,
    /// Games between the reinforced and the supervised policy, and in each match of the table
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = within(1..=ITEMS))]
    match_games: usize,
    /// Simulations of the searches in the table
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = within(2..=STEPS))]
    simulations: u64,
    /// After how many visits a leaf gets children: 40 in the paper, with thousands of simulations
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = within(1..=1_000_000_u32))]
    threshold: u32,
    /// How much the searches follow the priors: 5 in the paper, with thousands of simulations
    #[arg(long, value_name = "X", default_value_t = 1.5, value_parser = within(0.0..=100.0_f32))]
    exploration: f32,
}

fn main() -> ExitCode {
    program("mcts_alphago", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    if let Some(games) = args.make_games {
        return make_games(&args, session, games);
    }
    let start = Go::new(args.size, args.rules())?;
    let mut metrics = Metrics::default();
    session.stage("reading games");
    let records = records(&args, out)?;
    session.check()?;
    // Every eighth game is kept back for the tests.
    let (test, train): (Vec<_>, Vec<_>) =
        records.into_iter().enumerate().partition(|(index, _)| index % 8 == 0);
    let [test, train] =
        [test, train].map(|set| set.into_iter().map(|(_, r)| r).collect::<Vec<_>>());
    println!("{} games to learn from, {} to test", train.len(), test.len());

    println!("with the defaults this takes about 35 minutes on two processor cores");
    let place = Place { session, device: &device };
    let rollouts = rollout_policy(&args, &place, &train, &test, &start, &mut metrics)?;
    let supervised = supervised(&args, &place, &train, &test, &mut metrics)?;
    let reinforced = reinforced(&args, &place, &supervised, &start, &mut metrics)?;
    let value = value(&args, &place, &supervised, &reinforced, &start, &mut metrics)?;
    let parts = Parts { policy: &supervised, value: &value, rollouts: &rollouts };
    session.stage("timing");
    speed(&args, session, &start, parts, &mut metrics)?;
    matches(&args, session, &start, parts, &mut metrics)?;
    session.finish(&metrics)
}

/// Where a stage computes and keeps what it has learned.
struct Place<'a> {
    session: &'a Session,
    device: &'a Device,
}

impl Place<'_> {
    /// A part of the run with files of its own.
    fn part(
        &self,
        name: &str,
        metrics: &mut Metrics,
        make: impl FnOnce(&mut Metrics) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.session.stage(name.replace('_', " "));
        metrics.add(self.session.part(name, || {
            let mut metrics = Metrics::default();
            make(&mut metrics)?;
            Ok(metrics)
        })?);
        self.session.keep(metrics);
        Ok(())
    }

    /// Examples of games that take long to play.
    fn examples(
        &self,
        name: &str,
        play: impl FnOnce() -> ::mcts::Result<Replay>,
        mut empty: Replay,
    ) -> anyhow::Result<Replay> {
        self.session.stage(name.replace('_', " "));
        let path = self.session.kept()?.join(format!("{name}.bin"));
        self.session.part(name, || Ok(model_utils::atomic::write(&path, &play()?.to_bytes())?))?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        empty.restore(&bytes)?;
        Ok(empty)
    }
}

impl Args {
    /// On 7×7 Black is held to win by 9 points.
    fn komi(&self) -> f32 {
        self.komi.unwrap_or(if self.size == 7 { 8.5 } else { 7.0 })
    }

    /// Games are cut off at three moves a point.
    fn rules(&self) -> Rules {
        Rules::chinese().with_komi(self.komi()).with_max_moves(3 * self.size * self.size)
    }

    fn rule(&self, lambda: f32) -> Apv {
        Apv { c: self.exploration, lambda, expand_after: self.threshold, ..Apv::default() }
    }
}

/// Writes games of GNU Go against itself: up to four moves at the start, and one in twenty later,
/// are drawn at random, so that no two games are alike. Games that are there stay.
fn make_games(args: &Args, session: &Session, games: u64) -> anyhow::Result<()> {
    session.stage("games of GNU Go");
    let folder = session.out().join("games");
    std::fs::create_dir_all(&folder)?;
    let next = AtomicU64::new(0);
    let work = || -> anyhow::Result<()> {
        loop {
            session.check()?;
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= games {
                return Ok(());
            }
            let path = folder.join(format!("{number:05}.sgf"));
            if path.exists() {
                continue;
            }
            let record = make_game(args, mix(args.common.seed, number))?;
            model_utils::atomic::write(&path, record.to_sgf().to_string().as_bytes())?;
            if (number + 1).is_multiple_of(50) {
                println!("{} games", number + 1);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(joined)
    })
}

/// What a thread came to.
fn joined<T>(handle: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    handle.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
}

fn make_game(args: &Args, seed: u64) -> anyhow::Result<Record> {
    let size = args.size;
    let seed_of_game = (seed % 1_000_000 + 1).to_string();
    let flags =
        "--mode gtp --chinese-rules --capture-all-dead --positional-superko --level 1 --seed";
    let flags: Vec<&str> = flags.split(' ').chain([seed_of_game.as_str()]).collect();
    let mut engine = Client::start("/usr/games/gnugo", &flags)
        .context("GNU Go (Debian: gnugo) makes the games")?;
    for line in [format!("boardsize {size}"), "clear_board".into(), format!("komi {}", args.komi())]
    {
        engine.ask(&line)?;
    }
    let mut random = Random::new(seed);
    let mut game = Go::new(size, Rules::chinese().with_komi(args.komi()))?;
    let opening = random.below_u32(5) as usize;
    while !game.ended() && game.moves().len() < 4 * size * size {
        let color = game.to_play();
        let any = game.moves().len() < opening || random.uniform_f32() < 0.05;
        let mut actions = Vec::new();
        game.legal_actions(&mut actions);
        let chosen = if any && actions.len() > 1 {
            let action = actions[random.below_u32(actions.len() as u32 - 1) as usize];
            let name = game.action_name(action);
            if engine.ask(&format!("play {color} {name}")).is_err() {
                continue;
            }
            name
        } else {
            engine.ask(&format!("genmove {color}"))?
        };
        if chosen.eq_ignore_ascii_case("resign") {
            break;
        }
        let point = Point::parse(&chosen, size, size);
        game.make(point.map_or(Move::Pass, Move::Play))?;
    }
    let score = game.score();
    let mut record = Record::from_game(&game)?;
    record.result = if score > 0.0 { format!("B+{score}") } else { format!("W+{}", -score) };
    (record.black, record.white) = ("GNU Go".to_owned(), "GNU Go".to_owned());
    Ok(record)
}

/// The records of a folder, by name.
fn records(args: &Args, out: &Path) -> anyhow::Result<Vec<Record>> {
    let folder = args.data.clone().unwrap_or_else(|| out.join("games"));
    let entries = std::fs::read_dir(&folder).with_context(|| {
        format!(
            "no records in {}: make them with --make-games, or name a folder with --data",
            folder.display()
        )
    })?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sgf"));
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        let record = Sgf::open(&path)
            .and_then(|sgf| Record::from_sgf(&sgf))
            .with_context(|| path.display().to_string())?;
        if (record.width, record.height) == (args.size, args.size) {
            records.push(record);
        }
    }
    anyhow::ensure!(
        records.len() > 8,
        "{}: {} records of {}×{}, expected at least 9",
        folder.display(),
        records.len(),
        args.size,
        args.size
    );
    Ok(records)
}

/// Step 1a: the rollout policy.
fn rollout_policy(
    args: &Args,
    place: &Place<'_>,
    train: &[Record],
    test: &[Record],
    start: &Go,
    metrics: &mut Metrics,
) -> anyhow::Result<RolloutPolicy> {
    let path = place.session.out().join("rollout_policy.json");
    place.part("rollout_policy", metrics, |metrics| {
        let started = Instant::now();
        let mut policy = RolloutPolicy::new(args.size, args.size);
        let seed = args.common.seed;
        policy.train(
            place.session.around(train),
            RolloutTraining { seed, ..RolloutTraining::default() },
        )?;
        place.session.check()?;
        policy.save(&path)?;
        metrics.set("rollout_train_s", started.elapsed().as_secs_f64());
        Ok(())
    })?;
    let policy = RolloutPolicy::load(&path)?;
    let (accuracy, moves) = policy.accuracy(place.session.around(test))?;
    metrics.set("rollout_accuracy", accuracy);
    metrics.set("test_moves", moves);
    let mut random = Random::new(args.common.seed);
    let (timed, mut made) = (Instant::now(), 0);
    while timed.elapsed().as_secs_f64() < 1.0 {
        let mut game = start.clone();
        while !game.ended() {
            let action = policy.choose(&game, &mut random);
            game.play(action);
            made += 1;
        }
    }
    metrics.set("rollout_us_per_move", timed.elapsed().as_secs_f64() * 1e6 / f64::from(made));
    println!("rollout policy: {accuracy:.3} of {moves} moves");
    Ok(policy)
}

/// Step 1b: the policy net, supervised.
fn supervised(
    args: &Args,
    place: &Place<'_>,
    train: &[Record],
    test: &[Record],
    metrics: &mut Metrics,
) -> anyhow::Result<PolicyNet> {
    let path = place.session.out().join("sl_policy.safetensors");
    let test = move_examples(place.session.around(test), args.size)?;
    place.part("sl_policy", metrics, |metrics| {
        let started = Instant::now();
        let train = move_examples(place.session.around(train), args.size)?;
        let config =
            PolicyNetConfig::new(args.size).with_filters(args.filters).with_layers(args.layers);
        seed(place.device, args.common.seed);
        let trainer = TrainerConfig::new().with_steps(args.sl_steps).with_seed(args.common.seed);
        let checkpoints = place.session.checkpoints("sl_policy_net")?;
        let trainer = trainer.init()?.resume_in(checkpoints, CHECKPOINT_EVERY);
        let net = config.init(place.device)?;
        let net = trainer.train_policy(net, &train, &mut place.session.progress())?;
        place.session.check()?;
        net.save(&path)?;
        metrics.set("sl_positions", train.len());
        metrics.set("sl_train_s", started.elapsed().as_secs_f64());
        Ok(())
    })?;
    let net = PolicyNet::load(&path, place.device)?;
    let accuracy = Trainer::accuracy(&net, place.session.around(&test))?;
    metrics.set("sl_accuracy", accuracy);
    println!("supervised policy: {accuracy:.3} of {} moves", test.len());
    Ok(net)
}

/// Step 2: the policy net, reinforced.
fn reinforced(
    args: &Args,
    place: &Place<'_>,
    supervised: &PolicyNet,
    start: &Go,
    metrics: &mut Metrics,
) -> anyhow::Result<PolicyNet> {
    let path = place.session.out().join("rl_policy.safetensors");
    place.part("rl_policy", metrics, |metrics| {
        let started = Instant::now();
        let config = ReinforceConfig::new()
            .with_games(args.rl_games)
            .with_pool_every(10)
            .with_seed(args.common.seed);
        let reinforce = config.init(supervised, start)?;
        let mut reinforce = reinforce.resume_in(place.session.checkpoints("rl_policy_net")?)?;
        let log = place.session.log(place.session.out().join("rl_policy.csv"))?;
        let mut observer = (place.session.progress(), log);
        reinforce.learn(Budget::steps(args.rl_iterations), &mut observer)?;
        observer.1.finish()?;
        place.session.check()?;
        reinforce.net().save(&path)?;
        metrics.set("rl_train_s", started.elapsed().as_secs_f64());
        Ok(())
    })?;
    let net = PolicyNet::load(&path, place.device)?;
    let seed = args.common.seed;
    place.session.stage("reinforced against supervised");
    let score: Score = place.session.part("rl_match", || {
        let mut first = place.session.around(PolicyPlayer::new(&net, mix(seed, 1)));
        let mut second = PolicyPlayer::new(supervised, mix(seed, 2));
        let pairs = args.match_games.div_ceil(2);
        Ok(play_pairs(start, &mut first, &mut second, pairs, OPENING, seed)?)
    })?;
    rate(metrics, "rl_win_rate_vs_sl", score);
    println!("reinforced against supervised: {score}");
    Ok(net)
}

/// Step 3: the value net, and what whole games do to it.
fn value(
    args: &Args,
    place: &Place<'_>,
    supervised: &PolicyNet,
    reinforced: &PolicyNet,
    start: &Go,
    metrics: &mut Metrics,
) -> anyhow::Result<ValueNet> {
    let path = place.session.out().join("value.safetensors");
    place.part("value", metrics, |metrics| {
        learn_value(args, place, [supervised, reinforced], start, &path, metrics)
    })?;
    for [key, value] in metrics.rows().iter().filter(|[key, _]| key.starts_with("value_mse")) {
        println!("{key}: {value}");
    }
    Ok(ValueNet::load(&path, place.device)?)
}

/// Plays, learns and saves the value net; what was measured.
fn learn_value(
    args: &Args,
    place: &Place<'_>,
    [supervised, reinforced]: [&PolicyNet; 2],
    start: &Go,
    path: &Path,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    let (seed, games) = (args.common.seed, args.value_games);
    let session = place.session;
    let area = start.board().area();
    let empty = |count| Replay::new(VALUE_PLANES * area, area + 1, count);
    let started = Instant::now();
    let nets = || (session.around(supervised), session.around(reinforced));
    let play = |name: &str, count, of| {
        let play = || {
            let (supervised, reinforced) = nets();
            value_examples(supervised, reinforced, start, count, mix(seed, of))
        };
        place.examples(name, play, empty(count)?)
    };
    let test = play("value_test_games", games.div_ceil(8), 11)?;
    let one = play("value_games", games, 12)?;
    let whole = place.examples(
        "value_whole_games",
        || {
            let (supervised, reinforced) = nets();
            whole_game_examples(supervised, reinforced, start, games, mix(seed, 13))
        },
        empty(games)?,
    )?;
    metrics.set("value_games_s", started.elapsed().as_secs_f64());
    let train = |name: &str, examples| -> anyhow::Result<ValueNet> {
        session.stage(format!("training {}", name.replace('_', " ")));
        let config =
            ValueNetConfig::new(args.size).with_filters(args.filters).with_layers(args.layers);
        model_utils::device::seed(place.device, seed);
        let net = config.with_hidden(64).init(place.device)?;
        let config = TrainerConfig::new().with_steps(args.value_steps).with_seed(seed);
        let trainer = config.init()?.resume_in(session.checkpoints(name)?, CHECKPOINT_EVERY);
        let net = trainer.train_value(net, examples, &mut session.progress())?;
        session.check()?;
        Ok(net)
    };
    let started = Instant::now();
    let net = train("value_net", &one)?;
    net.save(path)?;
    metrics.set("value_train_s", started.elapsed().as_secs_f64());
    let of_games = train("value_net_of_whole_games", &whole)?;
    session.stage("judging the value nets");
    let error = |net: &ValueNet, examples: &Replay| {
        Trainer::mean_squared_error(net, session.around(examples))
    };
    metrics.set("value_mse_train", error(&net, &one)?);
    metrics.set("value_mse_test", error(&net, &test)?);
    metrics.set("value_mse_train_whole_games", error(&of_games, &whole)?);
    metrics.set("value_mse_test_whole_games", error(&of_games, &test)?);
    Ok(())
}

/// What a search is put together from.
#[derive(Clone, Copy)]
struct Parts<'a> {
    policy: &'a PolicyNet,
    value: &'a ValueNet,
    rollouts: &'a RolloutPolicy,
}

impl Parts<'_> {
    /// Value net and rollouts mixed by λ; with 0 or 1, one of them alone.
    fn evaluator(self, lambda: f32, seed: u64) -> ::mcts::Result<AlphaGoEvaluator> {
        let value = (lambda < 1.0).then_some(self.value);
        let rollouts = (lambda > 0.0).then_some(self.rollouts);
        AlphaGoEvaluator::new(self.policy, value, rollouts, seed)
    }
}

/// How many simulations a second go into one position: one after another, in batches of leaves,
/// and with rollouts that do not wait for the nets.
fn speed(
    args: &Args,
    session: &Session,
    start: &Go,
    parts: Parts<'_>,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    let evaluator = session.around(parts.evaluator(0.5, args.common.seed)?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for (key, batch) in
        [("sims_per_s", 1), ("sims_per_s_batched", 16), ("sims_per_s_asynchronous", 16)]
    {
        let mut search = Search::new(args.rule(0.5), evaluator.clone()).with_batch(batch);
        let limits = Limits::time(Duration::from_secs(2));
        let found = if key.ends_with("asynchronous") {
            search.run_asynchronous(start, limits, threads)?
        } else {
            search.run(start, limits)?
        };
        let speed = found.simulations as f64 / found.elapsed.as_secs_f64();
        metrics.set(key, speed);
        println!("{key}: {speed:.0}");
    }
    Ok(())
}

/// The paper's table: the search with everything against each of its parts.
fn matches(
    args: &Args,
    session: &Session,
    start: &Go,
    parts: Parts<'_>,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    session.stage("the matches of all parts");
    let started = Instant::now();
    let seed = args.common.seed;
    let search = |lambda, seed| {
        let evaluator = parts.evaluator(lambda, seed)?;
        let search = Search::new(args.rule(lambda), evaluator).with_seed(seed);
        SearchPlayer::new(search, Limits::simulations(args.simulations))
    };
    let full = || search(0.5, mix(seed, 20));
    let mut alone = PolicyPlayer::new(parts.policy, mix(seed, 21)).greedy();
    let mut by_value = search(0.0, mix(seed, 22))?;
    let mut by_rollouts = search(1.0, mix(seed, 23))?;
    let others: [(&str, &mut (dyn Player<Go> + Send)); 3] =
        [("policy", &mut alone), ("value", &mut by_value), ("rollouts", &mut by_rollouts)];
    let pairs = args.match_games.div_ceil(2);
    let scores = std::thread::scope(|scope| {
        let play = |(name, player): (_, &mut (dyn Player<Go> + Send))| {
            let score: Score = session.part(&format!("match_{name}"), || {
                Ok(play_pairs(
                    start,
                    &mut session.around(full()?),
                    player,
                    pairs,
                    OPENING,
                    mix(seed, 24),
                )?)
            })?;
            Ok((name, score))
        };
        let matches = others.map(|other| scope.spawn(move || play(other)));
        matches.into_iter().map(joined).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let rates = scores.iter().map(|(_, score)| score.rate());
    let rates: Vec<_> = rates.map(|rate| (rate.value, rate.low, rate.high)).collect();
    let title = format!("Points of all parts together, {} games", 2 * pairs);
    Bars::new(title)
        .categories(&scores.iter().map(|(name, _)| format!("{name} alone")).collect::<Vec<_>>())
        .bars_with_range("all parts against", &rates)
        .save(session.out().join("parts.svg"))?;
    for (name, score) in scores {
        let elo = score.elo();
        rate(metrics, &format!("full_vs_{name}"), score);
        metrics.set(&format!("full_vs_{name}_elo"), elo.value);
        metrics.set(&format!("full_vs_{name}_elo_low"), elo.low);
        metrics.set(&format!("full_vs_{name}_elo_high"), elo.high);
        println!("all parts against {name} alone: {score}");
    }
    metrics.set("parts_s", started.elapsed().as_secs_f64());
    Ok(())
}

fn rate(metrics: &mut Metrics, key: &str, score: Score) {
    let rate = score.rate();
    metrics.set(key, rate.value);
    metrics.set(&format!("{key}_low"), rate.low);
    metrics.set(&format!("{key}_high"), rate.high);
}
