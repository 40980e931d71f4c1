//! Environments, tables and updates: `cargo bench --bench rl`.
//!
//! Environments and tables run on one thread of the processor; updates of networks on every device
//! of the build that answers, which is named in the benchmark's id.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model_utils::device::DeviceSpec;
use model_utils::train::{Budget, Silent};
use rl::deep::{Agent as _, DqnConfig, PpoConfig};
use rl::environments::{Acrobot, CartPole, ControlVectorEnvironment, Dynamics, Maze, Pendulum};
use rl::random::mix;
use rl::tabular::{Method, Tabular, TabularConfig};
use rl::vector::{Actions, VectorEnvironment as _};

const COUNT: usize = 1024;

/// A closure that steps all environments at each call.
fn step<D: Dynamics>(mut all: ControlVectorEnvironment<D>, indices: &[Vec<usize>]) -> impl FnMut() {
    let mut number = 0;
    move || {
        number += 1;
        let actions = Actions::Indices(&indices[number % indices.len()]);
        black_box(all.step(actions).expect("the actions fit"));
    }
}

fn stepping(criterion: &mut Criterion) {
    model_utils::memory::keep_freed_memory();
    let mut group = criterion.benchmark_group("1024 environments, one thread");
    group.throughput(Throughput::Elements(COUNT as u64));
    let indices: Vec<Vec<usize>> = (0..16)
        .map(|row| (0..COUNT).map(|i| (mix(row, i as u64) % 2) as usize).collect())
        .collect();
    let poles = CartPole::make_vec(COUNT, 1).expect("there are some");
    group.bench_function("cart_pole", |b| b.iter(step(poles.clone(), &indices)));
    let swings = Acrobot::make_vec(COUNT, 1).expect("there are some");
    group.bench_function("acrobot", |b| b.iter(step(swings.clone(), &indices)));
    let torques = vec![0.5; COUNT];
    let mut pendulums = Pendulum::make_vec(COUNT, 1).expect("there are some");
    group.bench_function("pendulum", |b| {
        b.iter(|| {
            black_box(pendulums.step(Actions::Numbers(&torques)).expect("the actions fit"));
        });
    });
    group.finish();
}

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maze 10x10, 10000 updates");
    group.throughput(Throughput::Elements(10_000));
    let maze = Maze::random(10, 1).expect("the side works");
    for (name, method) in [
        ("q_learning", Method::QLearning),
        ("sarsa", Method::Sarsa),
        ("expected_sarsa", Method::ExpectedSarsa),
    ] {
        let mut world = maze.grid_mdp().expect("it lies on a grid").environment();
        let config = TabularConfig::new(method);
        let mut agent = Tabular::new(config, &world).expect("the configuration works");
        group.bench_function(name, |b| {
            b.iter(|| {
                let until = Budget::steps(agent.steps() + 10_000);
                agent.learn(&mut world, until, &mut Silent).expect("the maze fits");
            });
        });
    }
    group.finish();
}

fn updates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("updates");
    group.sample_size(20);
    for spec in DeviceSpec::available().into_iter().map(|info| info.spec) {
        let device = spec.open().expect("an available device opens");
        for batch in [64, 1024] {
            let mut poles = CartPole::make_vec(8, 1).expect("there are some");
            let config = DqnConfig::new().with_hidden(vec![256, 256]).with_batch_size(batch);
            let config = config.with_learning_starts(2048);
            let mut agent = config.init(poles.spaces(), &device).expect("the spaces fit");
            agent.learn(&mut poles, Budget::steps(2048), &mut Silent).expect("it learns");
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new(format!("dqn 256-256/{spec}"), batch), |b| {
                b.iter(|| agent.update().expect("the replay is full"));
            });
        }
        let mut poles = CartPole::make_vec(8, 1).expect("there are some");
        let config = PpoConfig::cart_pole().with_anneal_steps(None);
        let mut agent = config.init(poles.spaces(), &device).expect("the spaces fit");
        group.throughput(Throughput::Elements(256));
        group.bench_function(format!("ppo iteration, 20 epochs of 256/{spec}"), |b| {
            b.iter(|| {
                let until = Budget::steps(agent.steps() + 256);
                agent.learn(&mut poles, until, &mut Silent).expect("it learns");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stepping, tables, updates);
criterion_main!(benches);
