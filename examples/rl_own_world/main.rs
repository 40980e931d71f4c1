//! Environments of one's own: a masked game, a shop, a tank, and agents that learn in them.
//!
//! ```console
//! $ cargo run --release --example rl_own_world                     # the tank
//! $ cargo run --release --example rl_own_world -- --world game
//! $ cargo run --release --example rl_own_world -- --world shop
//! ```
//!
//! Each world is a file beside this one; the book's chapter goes through them. A masked DQN beats a
//! player who moves at random in nine games of ten; PPO earns more with the shop than the best
//! levels to order up to, and holds the tank's level.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::flags::{STEPS, signed, within};
use common::rl::{CHECKPOINT_EVERY, learn};
use common::{Common, Metrics, Resume, Session, program};
use model_utils::picture::Curves;
use model_utils::train::Budget;
use rl::deep::{Agent, DqnConfig, PeriodicEvaluation, PpoConfig};
use rl::environment::Element;
use rl::random::{Random, mix};
use rl::vector::{SyncVectorEnvironment, VectorEnvironment as _};
use rl::wrappers::TimeLimit;
use rl::{Environment, Evaluation, Policy, Spaces, evaluate};

use game::Game;
use shop::{BaseStock, GOODS, Seen, Shop};
use tank::{PUMP, Tank};

mod game;
mod shop;
mod tank;

/// Steps after which the tank's episode is cut off.
const TANK_STEPS: u64 = 100;
/// The highest level that the shop's search looks at.
const HIGHEST: usize = 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum World {
    Game,
    Shop,
    Tank,
}

/// Learn in an environment of one's own
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// Four in a row with a mask, a shop with five amounts to order, or a tank with a pump
    #[arg(long, value_enum, default_value = "tank")]
    world: World,
    /// Environment steps of each training [default: game 100,000, shop 400,000, tank 60,000]
    #[arg(long, value_name = "N", value_parser = within(1..=STEPS))]
    steps: Option<u64>,
    /// Agents to train, from seeds one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=1000_u64))]
    seeds: u64,
}

fn main() -> ExitCode {
    program("rl_own_world", run)
}

/// A world and how its agents are trained and judged.
struct Task<'a, E> {
    args: &'a Args,
    session: &'a Session,
    world: fn() -> rl::Result<E>,
    environments: usize,
    steps: u64,
    /// Episodes by which an agent is judged.
    episodes: usize,
}

impl<E> Task<'_, E>
where
    E: Environment + Send + 'static,
    E::Observation: Element,
    E::Action: Element,
{
    /// Trains an agent from each seed; the mean of what they earn.
    fn run<A>(
        &self,
        init: impl Fn(u64, &Spaces) -> rl::Result<A>,
        metrics: &mut Metrics,
    ) -> anyhow::Result<f64>
    where
        A: Agent + Policy<E::Observation, E::Action>,
    {
        let steps = self.args.steps.unwrap_or(self.steps);
        let (mut means, mut curves) = (Vec::new(), Vec::new());
        for seed in (0..self.args.seeds).map(|number| self.args.common.seed + number) {
            let many = |seed| {
                let worlds =
                    (0..self.environments).map(|_| (self.world)()).collect::<Result<_, _>>()?;
                SyncVectorEnvironment::new(worlds, seed)
            };
            let mut worlds = many(mix(seed, 0))?;
            // What chooses the best state is not what judges it: other episodes.
            let every = (steps / 20).max(1);
            let judges =
                PeriodicEvaluation::new(many(0)?, every, 4 * self.environments, mix(seed, 3))?;
            let name = format!("agent-{seed}");
            let agent = init(seed, worlds.spaces())?.evaluated_by(judges);
            let checkpoints = self.session.checkpoints(&name)?;
            let mut agent = agent.resume_in(checkpoints, CHECKPOINT_EVERY, &mut worlds)?;
            learn(self.session, &name, &mut agent, &mut worlds, Budget::steps(steps))?;
            let curve = agent.run().history().curve("eval_reward_mean").cloned();
            let points = curve.into_iter().flat_map(|curve| curve.points);
            curves.push(points.map(|(step, mean)| (step as f64, mean)).collect::<Vec<_>>());
            self.session.stage(format!("judging {name}"));
            agent.become_best()?;
            let found = self.judge(&agent, mix(seed, 1))?;
            println!("seed {seed}: {found:.2} over {} episodes", self.episodes);
            metrics.set(&format!("reward_learned_seed_{seed}"), found.mean());
            means.push(found.mean());
            self.session.keep(metrics);
            if means.len() == 1 {
                agent.save(self.session.out().join("agent.safetensors"))?;
            }
        }
        let mut picture =
            Curves::new(format!("{:?}: greedy episodes while learning", self.args.world))
                .x_label("environment steps")
                .y_label("mean reward of an episode");
        for (number, curve) in curves.iter().enumerate() {
            picture =
                picture.line(format!("seed {}", self.args.common.seed + number as u64), curve);
        }
        picture.save(self.session.out().join("curve.svg"))?;
        Ok(means.iter().sum::<f64>() / means.len() as f64)
    }

    /// Episodes of a policy.
    fn judge<P>(&self, policy: &P, seed: u64) -> anyhow::Result<Evaluation>
    where
        P: Policy<E::Observation, E::Action>,
    {
        let mut world = (self.world)()?;
        Ok(evaluate(&self.session.around(policy), &mut world, self.episodes, seed)?)
    }

    /// What a player who acts at random earns.
    fn random(&self) -> anyhow::Result<f64> {
        let space = (self.world)()?.spaces().action;
        Ok(self.judge(&AtRandom(space, 7.into()), 5)?.mean())
    }
}

/// Acts at random among what is possible.
struct AtRandom(rl::Space, std::sync::Mutex<u64>);

impl<O, A: Element> Policy<O, A> for AtRandom {
    fn act(&self, _observation: &O, mask: Option<&[bool]>) -> rl::Result<A> {
        let mut number = self.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *number += 1;
        let numbers = self.0.sample(mask, &mut Random::new(*number));
        let unread =
            || rl::Error::Action { action: format!("{numbers:?}"), expected: self.0.to_string() };
        A::read(&self.0, &numbers).ok_or_else(unread)
    }
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let mut metrics = Metrics::default();
    let steps = |default: u64| args.steps.unwrap_or(default);
    match args.world {
        World::Game => {
            println!("check: {}", verdict(&rl::check(&mut Game::new())));
            let world = || Ok(Game::new());
            let task = Task {
                args: &args,
                session,
                world,
                environments: 8,
                steps: 100_000,
                episodes: 1000,
            };
            let config = DqnConfig::new()
                .with_hidden(vec![128, 128])
                .with_learning_rate(5e-4)
                .with_anneal_steps(Some(steps(100_000) * 11 / 10))
                .with_batch_size(128)
                .with_train_every(8)
                .with_gradient_steps(2)
                .with_target_every(1000)
                .with_exploration_steps(40_000)
                .with_n_step(2)
                .with_double(true);
            let init = |seed, spaces: &Spaces| config.clone().with_seed(seed).init(spaces, &device);
            metrics.set("reward_random", task.random()?);
            let learned = task.run(init, &mut metrics)?;
            metrics.set("reward_learned", learned);
        }
        World::Shop => {
            println!("check: {}", verdict(&rl::check(&mut Shop::new())));
            let world = || Ok(Shop::new());
            let task = Task {
                args: &args,
                session,
                world,
                environments: 16,
                steps: 400_000,
                episodes: 200,
            };
            let config = PpoConfig::new()
                .with_hidden(vec![128, 128])
                .with_steps(32)
                .with_batch_size(256)
                .with_learning_rate(1e-3)
                .with_anneal_steps(Some(steps(400_000) * 41 / 40))
                .with_discount(0.9)
                .with_lambda(0.9)
                .with_entropy(0.003)
                .with_normalize_observations(true)
                .with_normalize_rewards(true);
            let init = |seed, spaces: &Spaces| config.clone().with_seed(seed).init(spaces, &device);
            session.stage("searching for the best levels");
            let stock = search(&task)?;
            println!("levels to order up to: {:?}", stock.levels);
            let order = move |seen: &Seen| stock.order(seen);
            let base = task.judge(&order, 5)?.mean();
            metrics.set("reward_random", task.random()?);
            metrics.set("reward_base_stock", base);
            let learned = task.run(init, &mut metrics)?;
            metrics.set("reward_learned", learned);
            metrics.set("above_base_stock_percent", 100.0 * (learned / base - 1.0));
        }
        World::Tank => {
            println!("check: {}", verdict(&rl::check(&mut Tank::new())));
            let world = || TimeLimit::new(Tank::new(), TANK_STEPS);
            let task =
                Task { args: &args, session, world, environments: 8, steps: 60_000, episodes: 100 };
            let config = PpoConfig::new()
                .with_steps(128)
                .with_batch_size(256)
                .with_learning_rate(1e-3)
                .with_anneal_steps(Some(steps(60_000) * 7 / 6))
                .with_discount(0.95)
                .with_log_std(-0.5)
                .with_normalize_observations(true)
                .with_normalize_rewards(true);
            let init = |seed, spaces: &Spaces| config.clone().with_seed(seed).init(spaces, &device);
            // Pumps what flows out at half a tap, and more the lower the level is.
            let proportional =
                |[level, wanted, _]: &[f64; 3]| [(0.25 + 2.0 * (wanted - level)).clamp(0.0, PUMP)];
            metrics.set("reward_random", task.random()?);
            metrics.set("reward_proportional", task.judge(&proportional, 5)?.mean());
            let learned = task.run(init, &mut metrics)?;
            metrics.set("reward_learned", learned);
        }
    }
    session.finish(&metrics)
}

fn verdict(breaches: &[rl::Breach]) -> String {
    if breaches.is_empty() {
        return "the world keeps the contract".to_owned();
    }
    breaches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The best level of each good, the others held, twice round.
fn search(task: &Task<'_, Shop>) -> anyhow::Result<BaseStock> {
    let mut best = BaseStock { levels: [6; GOODS] };
    let worth = |stock: BaseStock| -> anyhow::Result<f64> {
        Ok(task.judge(&move |seen: &Seen| stock.order(seen), 11)?.mean())
    };
    for good in (0..GOODS).chain(0..GOODS) {
        let mut most = worth(best)?;
        for level in 0..=HIGHEST {
            let mut levels = best.levels;
            levels[good] = level;
            let found = worth(BaseStock { levels })?;
            if found > most {
                (most, best) = (found, BaseStock { levels });
            }
        }
    }
    Ok(best)
}
