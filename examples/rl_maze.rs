//! The way out of a maze: values and path drawn, and how they are learned.
//!
//! ```console
//! $ cargo run --release --example rl_maze
//! $ cargo run --release --example rl_maze -- --size 10 --algorithm sarsa
//! $ cargo run --release --example rl_maze -- --matrix rewards.csv --goal 8
//! ```
//!
//! All three algorithms find the shortest way, on the 3×3 maze 4 steps from the upper left to the
//! lower right; value iteration in a few sweeps, the others by trying. With a reward matrix of one's
//! own the plainest loop there is learns: a random room, a random door, one update. It ends with the
//! table of action values, within 0.01 of the best ones.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};
use common::flags::{STEPS, file, signed, within};
use common::rl::plan;
use common::{Basic, Film, Metrics, Resume, Series, Session, program};
use model_utils::picture::{Curves, HeatMap};
use model_utils::table::{Column, aligned};
use model_utils::train::{Budget, Event, History, Observer as _, ProgressBar, StopReason};
use rl::environments::{Maze, Mdp, Walls};
use rl::planning::value_iteration;
use rl::random::Random;
use rl::tabular::{Method, Schedule, Tabular, TabularConfig};
use rl::wrappers::TimeLimit;

const DISCOUNT: f64 = 0.9;
/// Of the loop on a reward matrix, whose world leaves nothing to chance.
const LEARNING_RATE: f64 = 0.9;
/// Updates a room of that loop.
const UPDATES: usize = 1000;
/// What the goal of a reward matrix is worth that rewards no room more than the others.
const PRIZE: f64 = 100.0;
/// Rooms whose table can be read.
const READABLE: usize = 16;
const MOST_ROOMS: usize = 4096;
/// Steps of learning between two looks, at most.
const PART: u64 = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    #[value(name = "q_learning")]
    QLearning,
    Sarsa,
    #[value(name = "value_iteration")]
    ValueIteration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Custom {
    #[value(name = "below_zero")]
    BelowZero,
    #[value(name = "below_one")]
    BelowOne,
}

/// Find the way out of a maze
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Basic,
    #[command(flatten)]
    resume: Resume,
    /// Rooms on a side; 3 is the worked example, others are drawn from the seed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = within(2..=64_usize))]
    size: usize,
    /// How to find it
    #[arg(long, value_enum, default_value = "q_learning")]
    algorithm: Algorithm,
    /// Episodes to learn from [default: 60 a room]
    #[arg(long, value_name = "N", value_parser = within(1..=STEPS))]
    episodes: Option<u64>,
    /// A reward matrix to learn from by random rooms and doors: a line a room, numbers apart by commas
    /// or blanks
    #[arg(long, value_name = "FILE", value_parser = file(), conflicts_with_all = ["size", "algorithm", "episodes"])]
    matrix: Option<PathBuf>,
    /// Which entries of the matrix are walls [default: those below 0 where there are any, otherwise those below 1]
    #[arg(long, value_enum, requires = "matrix")]
    walls: Option<Custom>,
    /// The room of the matrix where the path starts [default: 0]
    #[arg(long, value_name = "N", requires = "matrix", value_parser = within(0..=MOST_ROOMS - 1))]
    start: Option<usize>,
    /// The room of the matrix to arrive at [default: the one with the largest entry]
    #[arg(long, value_name = "N", requires = "matrix", value_parser = within(0..=MOST_ROOMS - 1))]
    goal: Option<usize>,
}

/// What an algorithm found.
struct Found {
    values: Vec<f64>,
    policy: Vec<usize>,
}

fn main() -> ExitCode {
    program("rl_maze", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    if let Some(path) = &args.matrix {
        return course(&args, path, session);
    }
    // Drawn mazes are seen by four moves: a table of rooms and rooms would be large.
    let (maze, mdp) = if args.size == 3 {
        let maze = Maze::three_by_three();
        let mdp = maze.mdp();
        (maze, mdp)
    } else {
        let maze = Maze::random(args.size, args.common.seed)?;
        let mdp = maze.grid_mdp()?;
        (maze, mdp)
    };
    session.stage("solving the maze");
    let solve = |tolerance| -> anyhow::Result<(Found, usize)> {
        let best = value_iteration(session.around(&mdp), DISCOUNT, tolerance)?;
        Ok((Found::of(&maze, &mdp, best.values, best.policy), best.iterations))
    };
    let (best, sweeps) = solve(1e-9)?;
    let shortest = maze.path(&best.policy);
    let mut metrics = Metrics::default();
    let mut film = Film::open(session.kept()?.join("film"), 0)?;
    let started = Instant::now();
    let mut curve = None;
    let found = match args.algorithm {
        Algorithm::ValueIteration => {
            // A smaller tolerance each time shows the values spreading from the goal.
            let mut last = 0;
            for step in 0..200 {
                let (found, sweeps) = solve(100.0 * 0.95_f64.powi(step))?;
                if sweeps > last {
                    film.push(sweeps as u64, plan(&maze, &found.values, &[]))?;
                    last = sweeps;
                }
            }
            metrics.set("sweeps", sweeps);
            best
        }
        Algorithm::QLearning | Algorithm::Sarsa => {
            let (agent, frames, steps) = learn(&maze, &mdp, &args, session, &mut metrics)?;
            (film, curve) = (frames, Some(steps));
            if maze.rooms() <= READABLE {
                let table = agent.table();
                let rows: Vec<Vec<f64>> =
                    (0..maze.rooms()).map(|room| table.row(room).to_vec()).collect();
                print_table(&maze, &rows);
            }
            Found::of(&maze, &mdp, agent.values(), agent.policy())
        }
    };
    metrics.set("wall_s", started.elapsed().as_secs_f64());
    let path = maze.path(&found.policy);
    let picture = plan(&maze, &found.values, &found.policy);
    let mut animation = film.animation(150)?;
    animation.push_for(&picture, 2000)?;
    animation.save(session.out().join("learning.gif"))?;
    picture.save(session.out().join("maze.png"))?;
    if let Some(curve) = curve {
        curve.save(session.out().join("curve.svg"))?;
    }
    say_path(&maze, &path, &mut metrics);
    metrics.set("shortest_steps", shortest.len() - 1);
    session.finish(&metrics)
}

impl Found {
    /// The policy as one of rooms.
    fn of(maze: &Maze, mdp: &Mdp, values: Vec<f64>, policy: Vec<usize>) -> Self {
        let by_rooms = mdp.actions() == maze.rooms();
        let policy = if by_rooms { policy } else { maze.by_doors(&policy) };
        Self { values, policy }
    }
}

fn say_path(maze: &Maze, path: &[usize], metrics: &mut Metrics) {
    if path.len() <= READABLE {
        let rooms: Vec<String> = path.iter().map(ToString::to_string).collect();
        println!("path: {}", rooms.join(" → "));
    }
    metrics.set("path_steps", path.len() - 1);
    metrics.set("reaches_goal", path.last() == Some(&maze.start_and_goal().1));
}

/// The table of action values, a row a room and a column a door; walls are dots.
fn print_table(maze: &Maze, rows: &[Vec<f64>]) {
    let rooms = maze.rooms();
    let header: Vec<String> =
        ["Q".to_owned()].into_iter().chain((0..rooms).map(|to| to.to_string())).collect();
    let rows: Vec<Vec<String>> = (0..rooms)
        .map(|room| {
            let cell = |to: usize| {
                let is_door = maze.has_door(room, to);
                if is_door { format!("{:.1}", rows[room][to]) } else { "·".to_owned() }
            };
            [room.to_string()].into_iter().chain((0..rooms).map(cell)).collect()
        })
        .collect();
    println!("{}", aligned(&header, &vec![Column::Right; rooms + 1], &rows));
}

fn learn(
    maze: &Maze,
    mdp: &Mdp,
    args: &Args,
    session: &Session,
    metrics: &mut Metrics,
) -> anyhow::Result<(Tabular, Film, Curves)> {
    let method = if args.algorithm == Algorithm::Sarsa { Method::Sarsa } else { Method::QLearning };
    let episodes = args.episodes.unwrap_or(60 * maze.rooms() as u64);
    let mut world = TimeLimit::new(mdp.clone().environment(), 50 * maze.rooms() as u64)?;
    // SARSA judges what it does, so the share of random steps has to fall.
    let over = episodes * maze.rooms() as u64 / 2;
    let config = TabularConfig::new(method)
        .with_discount(DISCOUNT)
        .with_learning_rate(Schedule::Constant(0.3))
        .with_epsilon(Schedule::Linear { from: 1.0, to: 0.02, over })
        .with_seed(args.common.seed);
    let kept = session.kept()?;
    let path = kept.join("agent.json");
    let mut agent = if session.goes_on("learning")? && path.exists() {
        Tabular::load(&path, &mut world)?
    } else {
        Tabular::new(config, &world)?
    };
    session.stage("learning");
    let started = Instant::now();
    let mut film = Film::open(kept.join("film"), agent.steps())?;
    let mut lengths = Series::open(kept.join("lengths.json"), agent.episodes())?;
    let (mut bar, of) = (ProgressBar::new(), Some(episodes));
    bar.observe(&Event::Started { task: "episodes", step: agent.episodes(), of });
    // The first looks are close to each other: values spread fast.
    let mut look = 1;
    while agent.episodes() < episodes {
        while look <= agent.steps() {
            look += 1 + look / 5;
        }
        let (mut history, first) = (History::default(), agent.episodes());
        let part = look.min(agent.steps() + PART);
        let budget = Budget::episodes(episodes).or_steps(part);
        agent.learn(&mut world, budget, &mut (&mut history, session))?;
        session.check()?;
        let points = history.curve("episode_length").map_or(&[][..], |curve| &curve.points);
        lengths.extend((first + 1..).zip(points.iter().map(|point| point.1)))?;
        let found = Found::of(maze, mdp, agent.values(), agent.policy());
        film.push_new(agent.steps(), plan(maze, &found.values, &found.policy))?;
        agent.save(&path, &world)?;
        let metrics = points.last().map(|(_, length)| [("steps to the goal", *length)]);
        let metrics = metrics.iter().flatten().copied().collect::<Vec<_>>();
        let (step, metrics) = (agent.episodes(), metrics.as_slice());
        bar.observe(&Event::Step { step, of, epoch: 0, items: 0, metrics });
    }
    let (step, wall_s) = (agent.episodes(), started.elapsed().as_secs_f64());
    bar.observe(&Event::Finished { step, wall_s, reason: StopReason::BudgetSpent });
    let lengths: Vec<f64> = lengths.values().collect();
    let width = (lengths.len() / 50).max(1);
    let points: Vec<(f64, f64)> = lengths
        .chunks(width)
        .enumerate()
        .map(|(at, chunk)| ((at * width) as f64, chunk.iter().sum::<f64>() / chunk.len() as f64))
        .collect();
    let curve = Curves::new("Steps to the goal while learning")
        .x_label("episode")
        .y_label("steps")
        .log_y()
        .line("", &points);
    metrics.set("episodes", agent.episodes());
    metrics.set("updates", agent.steps());
    Ok((agent, film, curve))
}

/// Learns the action values of a reward matrix: a random room, a random door of it, one update.
fn course(args: &Args, path: &Path, session: &Session) -> anyhow::Result<()> {
    let maze = read_maze(args, path).with_context(|| format!("--matrix {}", path.display()))?;
    session.stage("solving the maze");
    let mdp = maze.endless_mdp();
    let best = value_iteration(session.around(&mdp), DISCOUNT, 1e-9)?;
    let shortest = maze.path(&best.policy);
    let (start, goal) = maze.start_and_goal();
    ensure!(
        shortest.last() == Some(&goal),
        "--matrix {}: going round in {:?} pays more than arriving: give room {goal} a larger entry",
        path.display(),
        shortest
    );
    session.stage("learning");
    let rooms = maze.rooms();
    let doors: Vec<Vec<usize>> = (0..rooms).map(|room| maze.doors(room).collect()).collect();
    let mut random = Random::new(args.common.seed);
    let mut q = vec![vec![0.0; rooms]; rooms];
    let value = |q: &[Vec<f64>], room: usize| -> f64 {
        doors[room].iter().map(|next| q[room][*next]).fold(0.0, f64::max)
    };
    let read = |q: &[Vec<f64>]| {
        let values: Vec<f64> = (0..rooms).map(|room| value(q, room)).collect();
        let best = |room: usize| {
            let doors = doors[room].iter().rev();
            doors.max_by(|a, b| q[room][**a].total_cmp(&q[room][**b])).copied().unwrap_or(room)
        };
        Found { values, policy: (0..rooms).map(best).collect() }
    };
    let mut film = Film::open(session.kept()?.join("film"), 0)?;
    let started = Instant::now();
    let mut look = 1;
    for update in 1..=UPDATES * rooms {
        let state = random.below(rooms);
        if doors[state].is_empty() {
            continue; // a goal that is the end
        }
        let next = doors[state][random.below(doors[state].len())];
        let target = maze.rewards()[state][next] + DISCOUNT * value(&q, next);
        q[state][next] += LEARNING_RATE * (target - q[state][next]);
        if update == look {
            session.check()?;
            let found = read(&q);
            film.push_new(update as u64, plan(&maze, &found.values, &found.policy))?;
            look += 1 + look / 5;
        }
    }
    let mut metrics = Metrics::default();
    metrics.set("wall_s", started.elapsed().as_secs_f64());
    let found = read(&q);
    let picture = plan(&maze, &found.values, &found.policy);
    let mut animation = film.animation(150)?;
    animation.push_for(&picture, 2000)?;
    animation.save(session.out().join("learning.gif"))?;
    picture.save(session.out().join("maze.png"))?;
    write_table(&maze, &q, session)?;
    let distance = |room: usize| (found.values[room] - best.values[room]).abs();
    metrics.set("rooms", rooms);
    metrics.set("updates", UPDATES * rooms);
    metrics.set("largest_error", (0..rooms).map(distance).fold(0.0, f64::max));
    println!("from room {start} to room {goal}");
    say_path(&maze, &maze.path(&found.policy), &mut metrics);
    metrics.set("shortest_steps", shortest.len() - 1);
    session.finish(&metrics)
}

/// Prints the table where it can be read; writes it as numbers, and as a picture of moderate size.
fn write_table(maze: &Maze, q: &[Vec<f64>], session: &Session) -> anyhow::Result<()> {
    if maze.rooms() <= READABLE {
        print_table(maze, q);
    }
    let lines: Vec<String> = q
        .iter()
        .map(|row| row.iter().map(|x| format!("{x:.3}")).collect::<Vec<_>>().join(","))
        .collect();
    model_utils::atomic::write(session.out().join("q_table.csv"), lines.join("\n").as_bytes())?;
    if maze.rooms() <= 64 {
        let shown = |room: usize, to: usize| {
            if maze.has_door(room, to) { q[room][to] } else { f64::NAN }
        };
        let rows: Vec<Vec<f64>> = (0..maze.rooms())
            .map(|room| (0..maze.rooms()).map(|to| shown(room, to)).collect())
            .collect();
        HeatMap::new("Action values, walls grey", &rows)?
            .x_label("to room")
            .y_label("in room")
            .decimals(1)
            .save(session.out().join("q_table.svg"))?;
    }
    Ok(())
}

/// The maze of the matrix and of the flags.
fn read_maze(args: &Args, path: &Path) -> anyhow::Result<Maze> {
    let mut rewards = parse(&std::fs::read_to_string(path)?)?;
    let walls = match args.walls {
        Some(Custom::BelowZero) => Walls::BelowZero,
        Some(Custom::BelowOne) => Walls::BelowOne,
        None => Walls::of(&rewards).context("--walls")?,
    };
    let entry = |row: &Vec<f64>, room: usize| row.get(room).copied().unwrap_or(f64::NEG_INFINITY);
    let most =
        |room: usize| rewards.iter().map(|row| entry(row, room)).fold(f64::NEG_INFINITY, f64::max);
    let prizes: Vec<f64> = (0..rewards.len()).map(most).collect();
    let prize = prizes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut richest = (0..prizes.len()).filter(|room| prizes[*room] >= prize);
    let first = richest.next().unwrap_or(0);
    let is_told = richest.next().is_none();
    let goal = match args.goal {
        Some(goal) => goal,
        None if is_told => first,
        None => {
            // What is no matrix is told first.
            Maze::from_rewards(rewards.clone(), walls, 0, first)?;
            bail!("--goal: several rooms have the largest entry, {prize}: expected one of them")
        }
    };
    let start = args.start.unwrap_or(if goal == 0 { prizes.len() - 1 } else { 0 });
    // What is no matrix is refused here, before anything is changed.
    let maze = Maze::from_rewards(rewards.clone(), walls, start, goal)?;
    let custom = if walls == Walls::BelowZero { "below 0" } else { "below 1" };
    println!("{} rooms; walls are the entries {custom}", maze.rooms());
    if first == goal && is_told {
        return Ok(maze);
    }
    let worth = PRIZE * prize.max(1.0);
    println!("no entry says that room {goal} is the goal: staying there is made worth {worth}");
    rewards[goal][goal] = worth;
    Ok(Maze::from_rewards(rewards, walls, start, goal)?)
}

/// Rows of numbers, apart by commas, semicolons or blanks; brackets as Python prints them.
fn parse(text: &str) -> anyhow::Result<Vec<Vec<f64>>> {
    let text = text.replace(']', "\n").replace('[', " ");
    let mut rows = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let words = text.split(|c: char| ",;".contains(c) || c.is_whitespace());
        let words = words.filter(|word| !word.is_empty());
        let number = |word: &str| {
            let number = word.parse::<f64>().ok().filter(|x| x.is_finite());
            number.with_context(|| format!("line {} has `{word}`, expected a number", line + 1))
        };
        let row = words.map(number).collect::<anyhow::Result<Vec<f64>>>()?;
        if !row.is_empty() {
            rows.push(row);
        }
        ensure!(rows.len() <= MOST_ROOMS, "expected at most {MOST_ROOMS} rooms");
    }
    ensure!(!rows.is_empty(), "it is empty, expected a line of numbers for each room");
    Ok(rows)
}
