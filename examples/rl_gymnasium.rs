//! Learns in a world of Gymnasium, and serves worlds of this crate to Gymnasium.
//!
//! ```console
//! $ cargo run --release --example rl_gymnasium -- --python path/to/python     # PPO, LunarLander
//! $ cargo run --release --example rl_gymnasium -- --serve cart_pole           # for UsagiEnv in Python
//! ```
//!
//! Python needs `gymnasium[box2d]` and `NumPy`. With the defaults PPO lands after 1,000,000 steps, 242
//! points in rl-baselines3-zoo, whose settings these are; that takes some minutes, most of them in
//! Python.

#![allow(clippy::print_stdout)]

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use common::flags::{STEPS, signed, text, within};
use common::rl::{EPISODES, band, learn};
use common::{Common, Metrics, Session, program};
use rl::deep::{Agent as _, PpoConfig};
use rl::environment::Element;
use rl::environments::{
    Acrobot, CartPole, FrozenLake, MountainCar, MountainCarContinuous, Pendulum,
};
use rl::gymnasium::{RemoteConfig, RemoteEnvironment, RemoteVectorEnvironment, serve};
use rl::random::mix;
use rl::vector::VectorEnvironment as _;
use rl::wrappers::TimeLimit;
use rl::{Budget, Environment, evaluate};

/// What Python runs.
const SCRIPT: &str = include_str!("gymnasium/usagi_gymnasium.py");

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
    #[value(name = "frozen_lake")]
    FrozenLake,
}

/// Learn in a world of Gymnasium, or serve one to it
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Serve this world to Python until Ctrl-C
    #[arg(long, value_enum, conflicts_with_all = ["env", "connect"])]
    serve: Option<World>,
    /// Where to serve it, on 127.0.0.1
    #[arg(long, value_name = "N", default_value_t = 5005, value_parser = within(1..=65535_u64))]
    port: u64,
    /// The world to learn in, as `gymnasium.make` calls it
    #[arg(long, value_name = "TEXT", default_value = "LunarLander-v3", value_parser = text)]
    env: String,
    /// The Python to start for it
    #[arg(long, value_name = "COMMAND", default_value = "python3", value_parser = text)]
    python: String,
    /// Where `usagi_gymnasium.py --listen` runs already: HOST:PORT
    #[arg(long, value_name = "TEXT", value_parser = text)]
    connect: Option<String>,
    /// Environments side by side
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = within(1..=4096_usize))]
    environments: usize,
    /// Environment steps of each training
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = within(1..=STEPS))]
    steps: u64,
    /// Agents to train, from seeds one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=1000_u64))]
    seeds: u64,
}

fn main() -> ExitCode {
    program("rl_gymnasium", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    use World as W;

    let serving = Serving { session, port: args.port };
    match args.serve {
        Some(W::CartPole) => serving.run("cart_pole", || Ok(CartPole::new())),
        Some(W::MountainCar) => serving.run("mountain_car", || Ok(MountainCar::new())),
        Some(W::MountainCarContinuous) => {
            serving.run("mountain_car_continuous", || Ok(MountainCarContinuous::new()))
        }
        Some(W::Acrobot) => serving.run("acrobot", || Ok(Acrobot::new())),
        Some(W::Pendulum) => serving.run("pendulum", || Ok(Pendulum::new())),
        Some(W::FrozenLake) => serving
            .run("frozen_lake", || TimeLimit::new(FrozenLake::four_by_four().environment(), 100)),
        None => {
            let device = args.common.open()?;
            let python = Python::new(&args, session)?;
            let metrics = train(&args, session, &python, &device)?;
            session.finish(&metrics)
        }
    }
}

struct Serving<'a> {
    session: &'a Session,
    port: u64,
}

impl Serving<'_> {
    fn run<E: Environment>(
        &self,
        name: &'static str,
        make: impl Fn() -> rl::Result<E> + Sync,
    ) -> anyhow::Result<()>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let port = u16::try_from(self.port)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("--port {port}: cannot listen"))?;
        println!("{name} is served: in Python, UsagiEnv(\"127.0.0.1:{port}\")");
        self.session.stage(format!("serving {name}"));
        let told = |peer, ended: rl::Result<()>| match ended {
            Ok(()) => println!("{peer} has gone"),
            Err(error) => println!("{error}"),
        };
        serve(&listener, name, make, &self.session.stop(), told)?;
        self.session.check()
    }
}

/// Where worlds of Python come from.
struct Python {
    script: PathBuf,
    command: String,
    connect: Option<String>,
    config: RemoteConfig,
}

impl Python {
    fn new(args: &Args, session: &Session) -> anyhow::Result<Self> {
        let script = session.out().join("usagi_gymnasium.py");
        std::fs::write(&script, SCRIPT)
            .with_context(|| format!("cannot write {}", script.display()))?;
        let config = RemoteConfig::new(&args.env).with_count(args.environments);
        Ok(Self { script, command: args.python.clone(), connect: args.connect.clone(), config })
    }

    fn open<T>(
        &self,
        seed: u64,
        connect: impl Fn(&str, &RemoteConfig) -> rl::Result<T>,
        spawn: impl Fn(Command, &RemoteConfig) -> rl::Result<T>,
    ) -> anyhow::Result<T> {
        let config = self.config.clone().with_seed(seed);
        if let Some(address) = &self.connect {
            return connect(address, &config).with_context(|| format!("--connect {address}"));
        }
        let mut command = Command::new(&self.command);
        command.arg(&self.script);
        spawn(command, &config).with_context(|| {
            let (python, script) = (&self.command, self.script.display());
            format!(
                "--python {python}: start the world by yourself, \
                 `PYTHON {script} --listen 127.0.0.1:5005`, where PYTHON has gymnasium[box2d], and \
                 give `--connect 127.0.0.1:5005`"
            )
        })
    }

    fn environments(&self, seed: u64) -> anyhow::Result<RemoteVectorEnvironment> {
        self.open(
            seed,
            |a, c| RemoteVectorEnvironment::connect(a, c),
            RemoteVectorEnvironment::spawn,
        )
    }

    fn environment(&self) -> anyhow::Result<RemoteEnvironment> {
        self.open(0, |a, c| RemoteEnvironment::connect(a, c), RemoteEnvironment::spawn)
    }
}

/// Trains an agent for each seed and judges each by 100 greedy episodes.
fn train(
    args: &Args,
    session: &Session,
    python: &Python,
    device: &Device,
) -> anyhow::Result<Metrics> {
    let mut metrics = Metrics::default();
    let (mut rewards, mut curves) = (Vec::new(), Vec::new());
    let (mut wall_s, mut waited_s, mut steps) = (0.0, 0.0, 0);
    for number in 0..args.seeds {
        let seed = args.common.seed + number;
        let mut environments = python.environments(mix(seed, 0))?;
        // As rl-baselines3-zoo has them for LunarLander.
        let config = PpoConfig::new()
            .with_steps(1024)
            .with_batch_size(64)
            .with_lambda(0.98)
            .with_discount(0.999)
            .with_epochs(4)
            .with_entropy(0.01)
            .with_seed(seed);
        let mut agent = config.init(environments.spaces(), device)?;
        let name = format!("agent-{seed}");
        let before = environments.waited();
        let budget = Budget::steps(args.steps);
        let learned = learn(session, &name, &mut agent, &mut environments, budget)?;
        let waited = environments.waited().saturating_sub(before).as_secs_f64();
        drop(environments);
        session.stage(format!("judging {name}"));
        let judged = session.around(&agent);
        let found = evaluate(&judged, &mut python.environment()?, EPISODES, mix(seed, 1))?;
        session.check()?;
        println!(
            "seed {seed}: {found} over {EPISODES} greedy episodes, {:.0} % of {:.0} s in Python",
            100.0 * waited / learned.wall_s,
            learned.wall_s
        );
        metrics.set(&format!("eval_reward_mean_seed_{seed}"), found.mean());
        session.keep(&metrics);
        rewards.extend(found.rewards);
        let curve = agent.run().history().curve("episode_reward_mean").cloned();
        let points = curve.into_iter().flat_map(|curve| curve.points);
        curves.push(points.map(|(step, reward)| (step as f64, reward)).collect());
        wall_s += learned.wall_s;
        waited_s += waited;
        steps += learned.steps;
        agent.save(session.out().join(format!("{name}.safetensors")))?;
    }
    let title = format!("PPO on {}", args.env);
    band(&title, &curves).save(session.out().join("curve.svg"))?;
    let count = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / count;
    let squares: f64 = rewards.iter().map(|r| (r - mean).powi(2)).sum();
    metrics.set("eval_reward_mean", mean);
    metrics.set("eval_reward_std", (squares / count).sqrt());
    metrics.set("train_wall_s", wall_s / args.seeds as f64);
    metrics.set("steps_per_s", steps as f64 / wall_s);
    metrics.set("python_share", waited_s / wall_s);
    metrics.set("steps", steps / args.seeds);
    metrics.set("seeds", args.seeds);
    Ok(metrics)
}
