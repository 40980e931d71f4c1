//! Searches, rollouts and nets: `cargo bench --bench mcts`.
//!
//! Searches and rollouts run on one thread of the processor; nets on every device of the build that
//! answers, which is named in the benchmark's id.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mcts::deep::{NetEvaluator, PolicyValueConfig};
use mcts::games::{ConnectFour, ConnectFourSolver, Othello, TicTacToe};
use mcts::random::Random;
use mcts::rule::{Puct, Rule, Uct};
use mcts::{Game, Limits, Rollout, Search};
use model_utils::device::DeviceSpec;

const SIMULATIONS: u64 = 10_000;

/// A search from an empty tree at each call.
fn search<G: Game, R: Rule>(rule: R, game: G) -> impl FnMut() {
    let mut search = Search::new(rule, Rollout::new(1));
    move || {
        search.restart();
        black_box(search.run(&game, Limits::simulations(SIMULATIONS)).expect("it has moves"));
    }
}

fn searches(criterion: &mut Criterion) {
    model_utils::memory::keep_freed_memory();
    let mut group = criterion.benchmark_group("10000 simulations, one rollout each, one thread");
    group.throughput(Throughput::Elements(SIMULATIONS)).sample_size(20);
    let uct = Uct::default();
    group.bench_function("tic_tac_toe", |b| b.iter(search(uct, TicTacToe::new())));
    group.bench_function("connect_four", |b| b.iter(search(uct, ConnectFour::new())));
    group.bench_function("othello", |b| b.iter(search(uct, Othello::new())));
    group.bench_function("connect_four, PUCT", |b| {
        b.iter(search(Puct::default(), ConnectFour::new()));
    });
    group.finish();
}

fn rollouts(criterion: &mut Criterion) {
    fn rollout<G: Game>(game: G) -> impl FnMut() {
        let (mut random, mut actions, mut scratch) = (Random::new(1), Vec::new(), game.clone());
        move || {
            scratch.clone_from(&game);
            black_box(scratch.rollout(&mut random, &mut actions));
        }
    }
    let mut group = criterion.benchmark_group("a rollout, one thread");
    group.throughput(Throughput::Elements(1));
    group.bench_function("tic_tac_toe", |b| b.iter(rollout(TicTacToe::new())));
    group.bench_function("connect_four", |b| b.iter(rollout(ConnectFour::new())));
    group.bench_function("othello", |b| b.iter(rollout(Othello::new())));
    group.finish();
}

fn solver(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exact score of a position of Connect Four");
    group.sample_size(10);
    let game = ConnectFour::from_columns("444435322657").expect("it can be played");
    group.bench_function("12 stones", |b| {
        b.iter(|| {
            let mut solver = ConnectFourSolver::with_entries(1 << 20).expect("it has entries");
            black_box(solver.score(&game).expect("it goes on"))
        });
    });
    group.finish();
}

fn nets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy and value, 5 blocks of 64, connect_four");
    let game = ConnectFour::new();
    let config = PolicyValueConfig::for_game(&game);
    for spec in DeviceSpec::built() {
        let Ok(device) = spec.open() else { continue };
        let Ok(net) = config.init(&device) else { continue };
        let mut evaluator = NetEvaluator::new(&net).expect("it has tensors");
        for batch in [1, 64] {
            let planes = vec![0.5; 84 * batch];
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new(spec.to_string(), batch), |b| {
                b.iter(|| black_box(evaluator.forward(&planes).expect("the device answers")));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, searches, rollouts, solver, nets);
criterion_main!(benches);
