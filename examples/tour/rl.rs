//! The stage of rl.

use ::rl::bandits::{ThompsonBernoulli, Ucb, play};
use ::rl::deep::{Ppo, PpoConfig};
use ::rl::environments::{CartPoleDynamics, Maze};
use ::rl::random::Random;
use ::rl::tabular::{Method, Tabular, TabularConfig};
use model_utils::picture::Curves;
use model_utils::train::Budget;

use super::{Context, Shown};
use common::rl::{Task, plan};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Shown> {
    // A maze by Q-learning.
    let maze = Maze::random(8, context.seed)?;
    let mut world = maze.environment();
    let config = TabularConfig::new(Method::QLearning).with_discount(0.9).with_seed(context.seed);
    let mut agent = Tabular::new(config, &world)?;
    agent.learn(&mut world, Budget::steps(300_000), &mut context.session.progress())?;
    let table = agent.table();
    let values: Vec<f64> =
        (0..maze.rooms()).map(|room| table.row(room).iter().copied().fold(0.0, f64::max)).collect();
    let path = maze.path(&agent.policy());
    plan(&maze, &values, &path).save(context.out.join("maze.png"))?;
    println!("maze: {} rooms, out in {} steps", maze.rooms(), path.len() - 1);

    context.session.check()?;
    // Clicks lost by two bandits.
    let rates = [0.02, 0.03, 0.04, 0.05, 0.06];
    let mut random = Random::new(context.seed);
    let points = |regret: Vec<f64>| -> Vec<(f64, f64)> {
        regret.iter().enumerate().step_by(100).map(|(at, lost)| (at as f64, *lost)).collect()
    };
    let thompson = play(&mut ThompsonBernoulli::new(5)?, &rates, 20_000, &mut random);
    let ucb = play(&mut Ucb::new(5)?, &rates, 20_000, &mut random);
    Curves::new("Clicks lost to the best advertisement")
        .x_label("impressions")
        .y_label("clicks")
        .line("Thompson", &points(thompson))
        .line("UCB1", &points(ucb))
        .save(context.out.join("regret.svg"))?;

    // A pole on a cart by PPO.
    let task = Task {
        session: context.session,
        out: context.out,
        device: context.device,
        title: "PPO on CartPole".to_owned(),
        environments: 8,
        steps: 100_000,
        seeds: 1,
        seed: context.seed,
        keep_best: false,
    };
    let config = |seed| PpoConfig::cart_pole().with_seed(seed);
    let mut metrics = task.run::<CartPoleDynamics, Ppo>(config)?;
    metrics.set("maze_path_steps", path.len() - 1);
    metrics.set("maze_updates", agent.steps());
    Ok(Shown {
        metrics,
        pictures: vec![
            ("episode.gif", "The trained agent balances a pole: 500 steps are the most there are"),
            ("curve.svg", "How long it balanced while it learned"),
            ("maze.png", "A maze by Q-learning: the brighter a room, the nearer the goal"),
            ("regret.svg", "Bandits: what it costs to find out which advertisement is best"),
        ],
    })
}
