//! Trains an agent on a classic control task and shows what it learned.
//!
//! ```console
//! $ cargo run --release --example rl_classic_control                        # PPO, CartPole
//! $ cargo run --release --example rl_classic_control -- --env pendulum --seeds 3
//! ```
//!
//! With the defaults PPO balances the pole for all 500 steps after 100,000 steps, a few seconds on
//! two processor cores. The settings are the tuned ones of rl-baselines3-zoo where it has them. The
//! last state of a training is a matter of luck with some of them: the best of twenty is kept, and
//! both are judged by a hundred other episodes.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, ValueEnum};
use common::flags::{STEPS, signed, within};
use common::rl::Task;
use common::{Common, Resume, Session, program};
use rl::deep::{
    A2c, A2cConfig, Dqn, DqnConfig, Ppo, PpoConfig, Reinforce, ReinforceConfig, Sac, SacConfig,
    Td3, Td3Config,
};
use rl::environments::{
    AcrobotDynamics, CartPoleDynamics, MountainCarContinuousDynamics, MountainCarDynamics,
    PendulumDynamics,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum World {
    #[value(name = "cart_pole")]
    CartPole,
    #[value(name = "mountain_car")]
    MountainCar,
    #[value(name = "mountain_car_continuous")]
    MountainCarContinuous,
    Acrobot,
    Pendulum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    Dqn,
    /// DQN of quantiles
    #[value(name = "qrdqn")]
    QrDqn,
    Ppo,
    A2c,
    Reinforce,
    Sac,
    Td3,
    Ddpg,
}

type Cart = CartPoleDynamics;
type Hill = MountainCarDynamics;
type Push = MountainCarContinuousDynamics;

/// Train an agent on a classic control task
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// The task
    #[arg(long, value_enum, default_value = "cart_pole")]
    env: World,
    /// How to learn [default: ppo for `cart_pole`, dqn for other indices, sac for numbers]
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// Environment steps of each training [default: those of rl-baselines3-zoo]
    #[arg(long, value_name = "N", value_parser = within(1..=STEPS))]
    steps: Option<u64>,
    /// Agents to train, from seeds one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=1000_u64))]
    seeds: u64,
    /// Judge the last state alone, without keeping the best of twenty by twenty greedy episodes each
    #[arg(long)]
    last: bool,
}

fn main() -> ExitCode {
    program("rl_classic_control", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    use Algorithm as A;
    use World as W;

    let device = args.common.open()?;
    let algorithm = args.algorithm.unwrap_or(match args.env {
        W::CartPole => A::Ppo,
        W::MountainCar | W::Acrobot => A::Dqn,
        W::MountainCarContinuous | W::Pendulum => A::Sac,
    });
    let (environments, steps) = match (args.env, algorithm) {
        (W::CartPole, A::Ppo) => (8, 100_000),
        (W::MountainCar, A::Dqn | A::QrDqn) => (1, 120_000),
        (W::Pendulum, A::Sac | A::Td3 | A::Ddpg) => (1, 20_000),
        (W::CartPole, A::Dqn | A::QrDqn) | (W::MountainCarContinuous, A::Sac) => (1, 50_000),
        (W::Pendulum, A::Ppo) => (4, 200_000),
        (_, A::Td3 | A::Ddpg) => (1, 300_000),
        (_, A::Dqn | A::QrDqn | A::Sac) => (1, 100_000),
        _ => (8, 500_000),
    };
    let task = Task {
        session,
        out: session.out(),
        device: &device,
        title: format!("{algorithm:?} on {:?}", args.env),
        environments,
        steps: args.steps.unwrap_or(steps),
        seeds: args.seeds,
        seed: args.common.seed,
        keep_best: !args.last,
    };
    // What is annealed is annealed over the steps that there are.
    let over = |preset: Option<u64>| preset.map(|preset| args.steps.unwrap_or(preset));
    let dqn = |config: DqnConfig| {
        let over = over(config.anneal_steps);
        move |seed| config.clone().with_anneal_steps(over).with_seed(seed)
    };
    let ppo = |config: PpoConfig| {
        let over = over(config.algorithm.anneal_steps);
        move |seed| config.clone().with_anneal_steps(over).with_seed(seed)
    };
    let sac = |config: SacConfig| move |seed| config.clone().with_seed(seed);
    let td3 = |config: Td3Config| move |seed| config.clone().with_seed(seed);
    let a2c = |seed| A2cConfig::new().with_seed(seed);
    let reinforce = |seed| ReinforceConfig::new().with_seed(seed);
    let turning = PpoConfig::new().with_steps(1024).with_discount(0.9).with_learning_rate(1e-3);
    let metrics = match (args.env, algorithm) {
        (W::CartPole, A::Dqn) => task.run::<Cart, Dqn>(dqn(DqnConfig::cart_pole())),
        (W::CartPole, A::QrDqn) => task.run::<Cart, Dqn>(dqn(DqnConfig::cart_pole_quantiles())),
        (W::CartPole, A::Ppo) => task.run::<Cart, Ppo>(ppo(PpoConfig::cart_pole())),
        (W::CartPole, A::A2c) => task.run::<Cart, A2c>(a2c),
        (W::CartPole, A::Reinforce) => task.run::<Cart, Reinforce>(reinforce),
        (W::Acrobot, A::Dqn) => task.run::<AcrobotDynamics, Dqn>(dqn(DqnConfig::acrobot())),
        (W::Acrobot, A::QrDqn) => {
            task.run::<AcrobotDynamics, Dqn>(dqn(DqnConfig::acrobot_quantiles()))
        }
        (W::Acrobot, A::Ppo) => task.run::<AcrobotDynamics, Ppo>(ppo(swinging())),
        (W::Acrobot, A::A2c) => task.run::<AcrobotDynamics, A2c>(a2c),
        (W::Acrobot, A::Reinforce) => task.run::<AcrobotDynamics, Reinforce>(reinforce),
        (W::MountainCar, A::Dqn) => task.run::<Hill, Dqn>(dqn(DqnConfig::mountain_car())),
        (W::MountainCar, A::QrDqn) => {
            task.run::<Hill, Dqn>(dqn(DqnConfig::mountain_car().with_quantiles(Some(25))))
        }
        (W::MountainCar, A::Ppo) => task.run::<Hill, Ppo>(ppo(swinging())),
        (W::MountainCar, A::A2c) => task.run::<Hill, A2c>(a2c),
        (W::MountainCar, A::Reinforce) => task.run::<Hill, Reinforce>(reinforce),
        (W::Pendulum, A::Sac) => task.run::<PendulumDynamics, Sac>(sac(SacConfig::pendulum())),
        (W::Pendulum, A::Td3) => {
            task.run::<PendulumDynamics, Td3>(td3(Td3Config::new().pendulum()))
        }
        (W::Pendulum, A::Ddpg) => {
            task.run::<PendulumDynamics, Td3>(td3(Td3Config::ddpg().pendulum()))
        }
        (W::Pendulum, A::Ppo) => task.run::<PendulumDynamics, Ppo>(ppo(turning)),
        (W::Pendulum, A::A2c) => task.run::<PendulumDynamics, A2c>(a2c),
        (W::Pendulum, A::Reinforce) => task.run::<PendulumDynamics, Reinforce>(reinforce),
        (W::MountainCarContinuous, A::Sac) => {
            task.run::<Push, Sac>(sac(SacConfig::mountain_car_continuous()))
        }
        (W::MountainCarContinuous, A::Td3) => {
            task.run::<Push, Td3>(td3(Td3Config::new().with_noise(0.5)))
        }
        (W::MountainCarContinuous, A::Ddpg) => {
            task.run::<Push, Td3>(td3(Td3Config::ddpg().with_noise(0.5)))
        }
        (W::MountainCarContinuous, A::Ppo) => task.run::<Push, Ppo>(ppo(swinging())),
        (W::MountainCarContinuous, A::A2c) => task.run::<Push, A2c>(a2c),
        (W::MountainCarContinuous, A::Reinforce) => task.run::<Push, Reinforce>(reinforce),
        (W::Pendulum | W::MountainCarContinuous, A::Dqn | A::QrDqn) => {
            bail!(
                "--algorithm: this one chooses among indices, the actions of the task are numbers"
            )
        }
        (W::CartPole | W::Acrobot | W::MountainCar, A::Sac | A::Td3 | A::Ddpg) => {
            bail!("--algorithm: this one chooses numbers, the actions of the task are indices")
        }
    };
    session.finish(&metrics?)
}

/// Settings of PPO for tasks in which a reward comes late.
fn swinging() -> PpoConfig {
    PpoConfig::new()
        .with_steps(256)
        .with_lambda(0.94)
        .with_epochs(4)
        .with_normalize_observations(true)
        .with_normalize_rewards(true)
}
