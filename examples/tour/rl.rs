//! The stage of rl.

use ::rl::bandits::{ThompsonBernoulli, Ucb, play};
use ::rl::deep::{Ppo, PpoConfig};
use ::rl::environments::{CartPoleDynamics, Maze};
use ::rl::random::Random;
use ::rl::tabular::{Method, Tabular, TabularConfig};
use model_utils::picture::{Curves, Section};
use model_utils::train::Budget;

use super::story::rounded;
use super::{Context, Shown};
use common::rl::{Task, plan};

pub(super) fn run(context: &Context<'_>, section: Section) -> anyhow::Result<Shown> {
    // A maze by Q-learning.
    let maze = Maze::random(8, context.seed)?;
    let mut world = maze.environment();
    let config = TabularConfig::new(Method::QLearning).with_discount(0.9).with_seed(context.seed);
    let mut agent = Tabular::new(config, &world)?;
    agent.learn(&mut world, Budget::steps(300_000), &mut context.session.progress())?;
    let path = maze.path(&agent.policy());
    plan(&maze, &agent.values(), &agent.policy()).save(context.out.join("maze.png"))?;
    println!("maze: {} rooms, out in {} steps", maze.rooms(), path.len() - 1);

    context.session.check()?;
    // Clicks lost by two bandits.
    let rates = [0.02, 0.03, 0.04, 0.05, 0.06];
    let mut random = Random::new(context.seed);
    let points = |regret: Vec<f64>| -> Vec<(f64, f64)> {
        regret.iter().enumerate().step_by(100).map(|(at, lost)| (at as f64, *lost)).collect()
    };
    let thompson = play(&mut ThompsonBernoulli::new(5)?, &rates, 20_000, &mut random)?;
    let ucb = play(&mut Ucb::new(5)?, &rates, 20_000, &mut random)?;
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
    let steps = context.say("steps from the start to the exit", "スタートから出口までの歩数");
    let balance = context.say(
        "steps it balanced in each of 100 games, of 500 at most",
        "100 回のゲームで棒を立てていた平均ステップ数（最大 500）",
    );
    let section = section
        .picture(
            context.picture("maze.png"),
            context.say(
                "The way out, found by Q-learning: the brighter a room, the nearer the exit",
                "Q 学習が見つけた出口への道。明るい部屋ほど出口に近い",
            ),
        )
        .picture(
            context.picture("episode.gif"),
            context.say("A pole balanced by PPO", "PPO が棒を立てつづける"),
        )
        .picture(
            context.picture("regret.svg"),
            context.say(
                "Bandits: what it costs to find out which advertisement is best",
                "バンディット問題：どの広告がいちばん良いかを知るための代償",
            ),
        )
        .figure(steps, (path.len() - 1).to_string())
        .figure(balance, rounded(metrics.number("eval_reward_mean")?));
    Ok(Shown { metrics, section })
}
