//! The way out of a maze: values and path drawn, and how they are learned.
//!
//! ```console
//! $ cargo run --release --example rl_maze
//! $ cargo run --release --example rl_maze -- --size 10 --algorithm sarsa
//! ```
//!
//! All three algorithms find the shortest way, on the 3×3 maze 4 steps from the upper left to the
//! lower right; value iteration in a few sweeps, the others by trying.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use common::flags::{STEPS, signed, within};
use common::rl::plan;
use common::{Basic, Film, Metrics, Resume, Series, Session, program};
use model_utils::picture::{Animation, Curves};
use model_utils::train::{Budget, History};
use rl::environments::Maze;
use rl::planning::value_iteration;
use rl::tabular::{Method, Schedule, Tabular, TabularConfig};
use rl::wrappers::TimeLimit;

const DISCOUNT: f64 = 0.9;
/// Pictures of the learning.
const FRAMES: u64 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    #[value(name = "q_learning")]
    QLearning,
    Sarsa,
    #[value(name = "value_iteration")]
    ValueIteration,
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
    let maze = if args.size == 3 {
        Maze::three_by_three()
    } else {
        Maze::random(args.size, args.common.seed)?
    };
    let out = session.out();
    session.stage("solving the maze");
    let mdp = maze.mdp();
    let best = value_iteration(session.around(&mdp), DISCOUNT, 1e-9)?;
    let shortest = maze.path(&best.policy);
    let mut metrics = Metrics::default();
    let mut animation = Animation::new(120);
    let started = Instant::now();
    let mut curve = None;
    let found = match args.algorithm {
        Algorithm::ValueIteration => {
            // A coarser tolerance each time shows the values spreading from the goal.
            for sweeps in 0..30 {
                let tolerance = 100.0 * 0.7_f64.powi(sweeps);
                let solution = value_iteration(session.around(&mdp), DISCOUNT, tolerance)?;
                animation.push(&plan(&maze, &solution.values, &[]))?;
            }
            metrics.set("sweeps", best.iterations);
            Found { values: best.values.clone(), policy: best.policy.clone() }
        }
        Algorithm::QLearning | Algorithm::Sarsa => {
            let method = match args.algorithm {
                Algorithm::Sarsa => Method::Sarsa,
                _ => Method::QLearning,
            };
            let episodes = args.episodes.unwrap_or(60 * maze.rooms() as u64);
            let (found, steps) =
                learn(&maze, method, episodes, &args, session, &mut animation, &mut metrics)?;
            curve = Some(steps);
            found
        }
    };
    metrics.set("wall_s", started.elapsed().as_secs_f64());
    let path = maze.path(&found.policy);
    animation.push_for(&plan(&maze, &found.values, &path), 1500)?;
    animation.save(out.join("learning.gif"))?;
    plan(&maze, &found.values, &path).save(out.join("maze.png"))?;
    if let Some(curve) = curve {
        curve.save(out.join("curve.svg"))?;
    }
    let (_, goal) = maze.start_and_goal();
    metrics.set("path_steps", path.len() - 1);
    metrics.set("shortest_steps", shortest.len() - 1);
    metrics.set("reaches_goal", path.last() == Some(&goal));
    session.finish(&metrics)
}

fn learn(
    maze: &Maze,
    method: Method,
    episodes: u64,
    args: &Args,
    session: &Session,
    animation: &mut Animation,
    metrics: &mut Metrics,
) -> anyhow::Result<(Found, Curves)> {
    let mut world = TimeLimit::new(maze.environment(), 50 * maze.rooms() as u64)?;
    // SARSA judges what it does, so the share of random steps has to fall.
    let config = TabularConfig::new(method)
        .with_discount(DISCOUNT)
        .with_learning_rate(Schedule::Constant(0.3))
        .with_epsilon(Schedule::Linear {
            from: 1.0,
            to: 0.02,
            over: episodes * maze.rooms() as u64 / 2,
        })
        .with_seed(args.common.seed);
    let kept = session.kept()?;
    let path = kept.join("agent.json");
    let mut agent = if session.goes_on("learning")? && path.exists() {
        Tabular::load(&path, &mut world)?
    } else {
        Tabular::new(config, &world)?
    };
    session.stage("learning");
    let until = |frame: u64| episodes * frame / FRAMES;
    let done = (1..=FRAMES).take_while(|frame| until(*frame) <= agent.episodes()).last();
    let done = done.unwrap_or(0);
    let mut film = Film::open(kept.join("film"), done)?;
    let mut lengths = Series::open(kept.join("lengths.json"), agent.episodes())?;
    for frame in done + 1..=FRAMES {
        let (mut history, first) = (History::default(), agent.episodes());
        let budget = Budget::episodes(until(frame));
        agent.learn(&mut world, budget, &mut (&mut history, session))?;
        session.check()?;
        if let Some(curve) = history.curve("episode_length") {
            lengths.extend((first + 1..).zip(curve.points.iter().map(|point| point.1)))?;
        }
        let found = read(maze, &agent);
        film.push(frame, plan(maze, &found.values, &maze.path(&found.policy)))?;
        agent.save(&path, &world)?;
    }
    *animation = film.animation(120)?;
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
    Ok((read(maze, &agent), curve))
}

/// The values of the rooms and the best doors.
fn read(maze: &Maze, agent: &Tabular) -> Found {
    let table = agent.table();
    let doors = |room: usize| (0..maze.rooms()).filter(move |to| maze.has_door(room, *to));
    let best = |room: usize| {
        doors(room).fold((room, 0.0), |best: (usize, f64), to| {
            if table.get(room, to) > best.1 { (to, table.get(room, to)) } else { best }
        })
    };
    let all: Vec<(usize, f64)> = (0..maze.rooms()).map(best).collect();
    Found {
        values: all.iter().map(|(_, value)| *value).collect(),
        policy: all.iter().map(|(to, _)| *to).collect(),
    }
}
