//! Nets, self-play and the pipeline: shapes, files, exact resume, learning, bad input.
#![cfg(feature = "flex")]

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module as _;
use burn::tensor::{Device, Distribution, Tensor};
use mcts::arena::{Player as _, RandomPlayer, SearchPlayer, play_pairs};
use mcts::deep::{
    AlphaZero, AlphaZeroConfig, Exploration, Gate, Generation, NetEvaluator, PolicyValueConfig,
    PolicyValueNet, Replay, SelfPlay, SymmetryTables,
};
use mcts::games::{ConnectFour, Othello, TicTacToe};
use mcts::random::Random;
use mcts::rule::{Gumbel, Puct};
use mcts::{Encode, Error, Evaluator, Leaves, Limits, Rollout, Search, Symmetry};
use model_utils::checkpoint::Checkpoints;
use model_utils::device::seed;
use model_utils::ops::learnable_parameters;
use model_utils::train::{Budget, Event, Observer, Silent, Stop, StopReason};
use model_utils::weights::Stored as _;

/// Burn's generator on the processor is one for the process: tests that draw weights take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device() -> Device {
    "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap()
}

/// A small net with weights away from their start, statistics of the normalisations too.
fn net<G: Encode>(game: &G, residual: bool) -> PolicyValueNet {
    let device = device();
    seed(&device, 5);
    let config = PolicyValueConfig::for_game(game)
        .with_channels(8)
        .with_blocks(2)
        .with_value_hidden(16)
        .with_residual(residual);
    let net = config.init(&device.clone().autodiff()).unwrap();
    let [planes, height, width] = game.shape();
    for _ in 0..20 {
        // Passes in training move the running statistics.
        let shape = [16, planes, height, width];
        let x = Tensor::<4>::random(shape, Distribution::Normal(0.3, 2.0), &device);
        net.forward(Tensor::from_data(x.into_data(), &device.clone().autodiff()));
    }
    net.valid()
}

fn tiny(game: &impl Encode) -> AlphaZeroConfig {
    let net =
        PolicyValueConfig::for_game(game).with_channels(8).with_blocks(1).with_value_hidden(16);
    AlphaZeroConfig::new(net).with_games(12).with_batch(32).with_window(500).with_self_play(
        SelfPlay {
            parallel: 8,
            simulations: 8,
            exploration: Exploration::Gumbel { considered: 4 },
            opening_moves: 2,
            value_mix: 0.25,
            ..SelfPlay::default()
        },
    )
}

#[test]
fn the_papers_nets_have_their_sizes() {
    let _turn = turn();
    let game = Othello::new();
    let config = PolicyValueConfig::alphago_zero(&game);
    assert_eq!((config.channels, config.blocks), (256, 19));
    assert_eq!(PolicyValueConfig::alphago_zero_40(&game).blocks, 39);
    assert_eq!((config.policy_channels, config.value_channels, config.value_hidden), (2, 1, 256));

    // Counted by hand for 8 channels and 1 block: 3×3 stem, two 3×3, heads; norms have 2 a channel.
    let config = config.with_channels(8).with_blocks(1);
    let net = config.init(&device()).unwrap();
    let tower = (2 * 8 * 9 + 16) + 2 * (8 * 8 * 9 + 16);
    let policy = (8 * 2 + 4) + (2 * 64 * 65 + 65);
    let value = (8 + 2) + (64 * 256 + 256) + (256 + 1);
    assert_eq!(learnable_parameters(&net), tower + policy + value);
    let plain = config.with_residual(false).init(&device()).unwrap();
    assert_eq!(learnable_parameters(&plain), tower + policy + value, "the same convolutions");
}

#[test]
fn a_folded_net_says_what_the_net_says() {
    let _turn = turn();
    for residual in [true, false] {
        let game = ConnectFour::from_columns("4455").unwrap();
        let net = net(&game, residual);
        let mut planes = vec![0.0; 84];
        game.encode(&mut planes);
        let x = burn::tensor::TensorData::new(planes.clone(), [1, 2, 6, 7]);
        let output = net.forward(Tensor::from_data(x, &device()));
        let logits: Vec<f32> = output.logits.into_data().iter::<f32>().collect();
        let value: Vec<f32> = output.values.into_data().iter::<f32>().collect();
        let folded = NetEvaluator::new(&net).unwrap().forward(&planes).unwrap();
        for (a, b) in logits.iter().chain(&value).zip(folded.0.iter().chain(&folded.1)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        assert!(value[0].abs() > 1e-4 && value[0].abs() < 1.0);
    }
}

#[test]
fn a_batch_is_judged_as_its_parts_and_for_the_player_to_move() {
    let _turn = turn();
    let games: Vec<_> =
        ["", "4", "44", "4455123"].map(|text| ConnectFour::from_columns(text).unwrap()).into();
    let mut evaluator = NetEvaluator::new(&net(&games[0], true)).unwrap();
    let judge = |evaluator: &mut NetEvaluator, games: &[ConnectFour]| {
        let mut leaves = Leaves::new();
        for game in games {
            leaves.push(game, &[1, 3, 5]);
        }
        evaluator.evaluate(&mut leaves).unwrap();
        leaves
    };
    let all = judge(&mut evaluator, &games);
    for (leaf, game) in games.iter().enumerate() {
        let alone = judge(&mut evaluator, std::slice::from_ref(game));
        for (a, b) in all.priors(leaf).iter().zip(alone.priors(0)) {
            assert!((a - b).abs() < 1e-5);
        }
        assert!((all.priors(leaf).iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((all.values(leaf).of(0) - alone.values(0).of(0)).abs() < 1e-5);
        assert!((all.values(leaf).of(0) + all.values(leaf).of(1)).abs() < 1e-6);
    }
    // The same planes with the other player to move: the value changes sides.
    let mut planes = vec![0.0; 84];
    games[1].encode(&mut planes);
    let said = evaluator.forward(&planes).unwrap().1[0];
    assert!((all.values(1).of(1) - said).abs() < 1e-5);
    assert_eq!(evaluator.evaluated(), 4 + 4 + 1);
}

#[test]
fn nets_for_other_games_are_refused() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    net(&TicTacToe::new(), true).save(&path).unwrap();
    let evaluator = NetEvaluator::load(&path, &device()).unwrap();
    let mut search = Search::new(Puct::default(), evaluator.clone());
    let message = search.run(&ConnectFour::new(), Limits::simulations(5)).unwrap_err().to_string();
    assert!(message.contains("tic_tac_toe") && message.contains("connect_four"), "{message}");
    let mut search = Search::new(Puct::default(), evaluator);
    assert!(search.run(&TicTacToe::new(), Limits::simulations(5)).is_ok());

    // A file from before nets had players (0.1.0, 8 channels, 1 block) says what it said then.
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/policy_value_0.1.0.safetensors");
    let mut evaluator = NetEvaluator::load(old, &device()).unwrap();
    let planes: Vec<f32> = (0..18).map(|i| f32::from(u8::from(i % 5 == 0))).collect();
    let (logits, values) = evaluator.forward(&planes).unwrap();
    assert!((logits[0] - 0.006_831_8).abs() < 1e-4 && (logits[8] - 0.403_869_7).abs() < 1e-4);
    assert!(values.len() == 1 && (values[0] - 0.183_060_66).abs() < 1e-4, "{values:?}");

    let config = tiny(&TicTacToe::new());
    let error = config.init(&Othello::new(), &device()).err().unwrap();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    std::fs::write(&path, b"no net").unwrap();
    assert!(NetEvaluator::load(&path, &device()).is_err());
}

#[test]
fn configurations_that_cannot_work_name_the_field() {
    let _turn = turn();
    let game = TicTacToe::new();
    let config = || tiny(&game);
    let play = config().self_play;
    for (config, field) in [
        (config().with_games(0), "games"),
        (config().with_batch(1), "batch"),
        (config().with_passes(0.0), "passes"),
        (config().with_learning_rate(f64::NAN), "learning_rate"),
        (config().with_value_weight(-1.0), "value_weight"),
        (config().with_window(0), "window"),
        (config().with_gate(Some(Gate { games: 0, rate: 0.5 })), "gate.games"),
        (config().with_gate(Some(Gate { games: 2, rate: 1.5 })), "gate.rate"),
        (config().with_self_play(SelfPlay { parallel: 0, ..play }), "parallel"),
        (config().with_self_play(SelfPlay { simulations: 1, ..play }), "simulations"),
        (config().with_self_play(SelfPlay { value_mix: 2.0, ..play }), "value_mix"),
        (AlphaZeroConfig { net: config().net.with_channels(0), ..config() }, "channels"),
    ] {
        let message = config.init(&game, &device()).err().unwrap().to_string();
        assert!(message.contains(&format!("`{field}`")), "{field}: {message}");
    }
    let mut replay = Replay::new(18, 9, 4).unwrap();
    assert!(replay.push(&[0.0; 18], &[0.1; 9], &[f32::NAN]).is_err());
    assert!(replay.push(&[2.0; 18], &[0.1; 9], &[0.0]).is_err());
    assert!(replay.push(&[0.0; 17], &[0.1; 9], &[0.0]).is_err());
    assert!(replay.is_empty());
}

#[test]
fn a_replay_window_keeps_the_latest_and_survives_as_bytes() {
    let game = TicTacToe::new();
    let mut replay = Replay::new(18, 9, 10).unwrap();
    for number in 0..25 {
        let mut planes = [0.0; 18];
        planes[number % 18] = 1.0;
        let mut policy = [0.0; 9];
        policy[number % 9] = 1.0;
        replay.push(&planes, &policy, &[number as f32 / 25.0]).unwrap();
    }
    assert_eq!(replay.len(), 10);
    let tables = SymmetryTables::new(&game);
    assert_eq!(tables.len(), 8);
    let samples = replay.draw(64, &tables, &mut Random::new(1));
    assert_eq!((samples.planes.len(), samples.policies.len()), (64 * 18, 64 * 9));
    assert!(samples.values.iter().all(|value| (15.0 / 25.0..1.0).contains(value)));
    for row in 0..64 {
        // Planes and policy go through the same symmetry: stone and action stay on one point.
        let number = (samples.values[row] * 25.0).round() as usize;
        let stone = samples.planes[row * 18..(row + 1) * 18].iter().position(|x| *x > 0.5);
        let action = samples.policies[row * 9..(row + 1) * 9].iter().position(|x| *x > 0.5);
        assert_eq!(stone.unwrap() % 9 == action.unwrap(), number % 18 % 9 == number % 9);
    }
    let mut again = Replay::new(18, 9, 10).unwrap();
    again.restore(&replay.to_bytes()).unwrap();
    assert_eq!(again, replay);
    let bytes = replay.to_bytes();
    assert!(again.restore(&bytes[..bytes.len() - 1]).is_err());
    assert!(again.restore(&bytes[..20]).is_err());
    assert!(Replay::new(18, 9, 11).unwrap().restore(&bytes).is_err());
}

#[test]
fn self_play_is_the_same_for_the_same_seed_and_ends_with_results() {
    let _turn = turn();
    let game = ConnectFour::new();
    for exploration in [
        Exploration::Gumbel { considered: 4 },
        Exploration::Dirichlet { alpha: 1.0, drawn_moves: 4 },
    ] {
        let play = SelfPlay { exploration, ..tiny(&game).self_play };
        let run = |seed| {
            let mut evaluator = NetEvaluator::new(&net(&game, true)).unwrap();
            let mut replay = Replay::new(84, 7, 2000).unwrap();
            let mut played = play.play(&game, &mut evaluator, 20, seed, &mut replay).unwrap();
            played.wall_s = 0.0;
            (played, replay)
        };
        let (played, replay) = run(3);
        assert_eq!((played, replay.clone()), run(3));
        assert_ne!(replay, run(4).1);
        assert_eq!(played.games, 20);
        assert_eq!(played.results.iter().sum::<u64>(), 20);
        assert_eq!(played.positions, replay.len() as u64);
        assert!(played.moves == played.positions && played.evaluated > played.moves);
        let samples = replay.draw(200, &SymmetryTables::new(&game), &mut Random::new(1));
        for row in samples.policies.chunks_exact(7) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{row:?}");
        }
        assert!(samples.values.iter().any(|value| *value > 0.5));
        assert!(samples.values.iter().any(|value| *value < -0.5));
    }
    // An evaluator need not be a net.
    let mut replay = Replay::new(84, 7, 2000).unwrap();
    let played = tiny(&game).self_play.play(&game, &mut Rollout::new(1), 5, 1, &mut replay);
    assert_eq!(played.unwrap().games, 5);
}

/// Numbers that follow from a run, times apart.
fn fingerprint<G: Symmetry>(run: &AlphaZero<G>) -> (Vec<Generation>, Vec<u32>) {
    let mut history = run.history().to_vec();
    for generation in &mut history {
        generation.played.wall_s = 0.0;
        generation.learn_s = 0.0;
    }
    let mut evaluator = NetEvaluator::new(&run.net()).unwrap();
    let planes: Vec<f32> = (0..18).map(|i| f32::from(i % 5 == 0)).collect();
    let (logits, values) = evaluator.forward(&planes).unwrap();
    (history, logits.iter().chain(&values).map(|x| x.to_bits()).collect())
}

/// Asks to stop after some generations.
struct StopAfter(u64, u64);

impl Observer for StopAfter {
    fn observe(&mut self, event: &Event<'_>) {
        self.1 += u64::from(matches!(event, Event::Step { .. }));
    }

    fn wants_stop(&self) -> bool {
        self.1 >= self.0
    }
}

#[test]
fn a_budget_that_ends_no_run_is_refused() {
    let game = TicTacToe::new();
    let mut run = tiny(&game).init(&game, &device()).unwrap();
    for budget in [Budget::default(), Budget::epochs(1)] {
        let error = run.learn(budget, &mut Silent).unwrap_err();
        assert!(error.to_string().contains("a limit of steps or time"), "{error}");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_bit_for_bit() {
    let _turn = turn();
    let game = TicTacToe::new();
    for config in [tiny(&game), tiny(&game).with_gate(Some(Gate { games: 8, rate: 0.55 }))] {
        let mut whole = config.init(&game, &device()).unwrap();
        let learned = whole.learn(Budget::steps(4), &mut Silent).unwrap();
        assert_eq!((learned.generations, learned.games), (4, 48));
        assert_eq!(learned.reason, StopReason::BudgetSpent);

        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path()).unwrap();
        let begin = || config.init(&game, &device()).unwrap().resume_in(checkpoints.clone());
        let mut first = begin().unwrap();
        let budget = Budget::steps(4);
        let stopped = first.learn(budget, &mut StopAfter(2, 0)).unwrap();
        assert_eq!((stopped.generations, stopped.reason), (2, StopReason::Asked));
        drop(first);
        let mut second = begin().unwrap();
        assert_eq!(second.generations(), 2);
        second.learn(budget, &mut Silent).unwrap();
        assert_eq!(fingerprint(&second), fingerprint(&whole));

        drop(second);
        let mut longer = begin().unwrap();
        longer.learn(Budget::steps(5), &mut Silent).unwrap();
        whole.learn(Budget::steps(5), &mut Silent).unwrap();
        assert_eq!(fingerprint(&longer), fingerprint(&whole));

        let other = config.clone().with_games(13).init(&game, &device()).unwrap();
        let message = other.resume_in(checkpoints).err().unwrap().to_string();
        assert!(message.ends_with("does not fit: `games` is 12, expected 13"), "{message}");
    }
}

/// Asks to stop from the so many-th time on that it is asked itself.
struct StopAtLook(u64, Cell<u64>);

impl Observer for StopAtLook {
    fn observe(&mut self, _event: &Event<'_>) {}

    fn wants_stop(&self) -> bool {
        self.1.set(self.1.get() + 1);
        self.1.get() >= self.0
    }
}

#[test]
fn a_generation_that_was_stopped_leaves_no_trace() {
    let _turn = turn();
    let game = TicTacToe::new();
    let config = tiny(&game).with_window(100).with_gate(Some(Gate { games: 8, rate: 0.3 }));
    let budget = Budget::steps(3);
    let mut whole = config.init(&game, &device()).unwrap();
    let mut never = StopAtLook(u64::MAX, Cell::new(0));
    whole.learn(budget, &mut never).unwrap();
    let looks = never.1.get();
    assert!(looks > 300, "moves, optimiser steps and games of the gate look: {looks}");
    // In self-play, in learning, in the gate, wherever it comes.
    for part in 1..10 {
        let folder = tempfile::tempdir().unwrap();
        let begin = || {
            let checkpoints = Checkpoints::open(folder.path()).unwrap();
            config.init(&game, &device()).unwrap().resume_in(checkpoints).unwrap()
        };
        let mut first = begin();
        let learned = first.learn(budget, &mut StopAtLook(looks * part / 10, Cell::new(0)));
        let learned = learned.unwrap();
        assert_eq!(learned.reason, StopReason::Asked);
        assert!(learned.generations < 3 && learned.generations == first.generations());
        drop(first);
        let mut second = begin();
        assert_eq!(second.generations(), learned.generations);
        // And once more, without a checkpoint between.
        let again = looks * (10 - part) / 20;
        second.learn(budget, &mut StopAtLook(again.max(1), Cell::new(0))).unwrap();
        second.learn(budget, &mut Silent).unwrap();
        assert_eq!(fingerprint(&second), fingerprint(&whole), "{part}");
    }
}

#[test]
fn a_gate_keeps_the_net_that_plays() {
    let _turn = turn();
    let game = TicTacToe::new();
    // Nobody wins more than all points.
    let config = tiny(&game).with_gate(Some(Gate { games: 4, rate: 1.0 }));
    let mut run = config.init(&game, &device()).unwrap();
    let before = fingerprint(&run).1;
    let generation = run.generation(&Silent).unwrap();
    assert!(!generation.accepted && generation.gate.unwrap().games() == 4);
    assert_eq!(fingerprint(&run).1, before, "the old net plays on");
    let config = tiny(&game).with_gate(Some(Gate { games: 4, rate: 0.0 }));
    let mut run = config.init(&game, &device()).unwrap();
    let before = fingerprint(&run).1;
    let accepted = (0..3).any(|_| run.generation(&Silent).unwrap().accepted);
    assert!(accepted);
    assert_ne!(fingerprint(&run).1, before);
}

#[test]
fn tic_tac_toe_is_learned() {
    let _turn = turn();
    let game = TicTacToe::new();
    let config = tiny(&game).with_games(60).with_window(5000).with_passes(6.0);
    let play = SelfPlay { opening_moves: 4, ..config.self_play };
    let config = config.with_self_play(play);
    // The net alone, without search, against a random player.
    let rate = |net: &mcts::deep::PolicyValueNet| {
        let evaluator = NetEvaluator::new(net).unwrap();
        let rule = Gumbel::default().with_noise(0.0);
        let search = Search::new(rule, evaluator).with_seed(1);
        let mut player = SearchPlayer::new(search, Limits::simulations(2)).unwrap();
        let score = play_pairs(&game, &mut player, &mut RandomPlayer::new(3), 100, 1, 7).unwrap();
        score.rate().value
    };
    let seeds = 5;
    let (mut before, mut after) = (0.0, 0.0);
    for seed in 0..seeds {
        let mut run = config.clone().with_seed(seed).init(&game, &device()).unwrap();
        before += rate(&run.net()) / seeds as f64;
        run.learn(Budget::steps(8), &mut Silent).unwrap();
        let (first, last) = (run.history()[0], run.history()[7]);
        assert!(last.policy_loss < first.policy_loss, "{seed}: {first:?} {last:?}");
        after += rate(&run.net()) / seeds as f64;
    }
    assert!(after > 0.7 && after > before + 0.2, "{before} before, {after} after");
}

#[test]
fn matches_and_searches_can_be_stopped() {
    let (stop, game) = (Stop::new(), ConnectFour::new());
    let is_stopped =
        |error: Error| matches!(error, Error::Utils(model_utils::Error::Stopped { .. }));
    let rollout = stop.around(Rollout::new(1));
    let limits = Limits::simulations(200);
    let mut search = Search::new(mcts::rule::Uct::default(), rollout.clone());
    let found = search.run(&game, limits).unwrap();
    let plain = Search::new(mcts::rule::Uct::default(), Rollout::new(1)).run(&game, limits);
    assert_eq!(found.choices, plain.unwrap().choices);
    let mut player = stop.around(RandomPlayer::new(3));
    let uct = Search::new(mcts::rule::Uct::default(), rollout).with_seed(2);
    let mut uct = SearchPlayer::new(uct, Limits::simulations(50)).unwrap();
    assert!(play_pairs(&game, &mut uct, &mut player, 2, 2, 7).is_ok());

    stop.stop();
    let endless = Limits::simulations(u64::MAX);
    assert!(is_stopped(search.run(&game, endless).unwrap_err()));
    assert!(is_stopped(search.run_tree_parallel(&game, endless, 2).unwrap_err()));
    assert!(is_stopped(search.run_root_parallel(&game, endless, 2).unwrap_err()));
    let mut random = RandomPlayer::new(3);
    assert!(is_stopped(play_pairs(&game, &mut uct, &mut random, 2, 2, 7).unwrap_err()));
    assert!(is_stopped(play_pairs(&game, &mut player, &mut random, 2, 2, 7).unwrap_err()));
    let mut replay = Replay::new(84, 7, 2000).unwrap();
    let mut rollout = stop.around(Rollout::new(1));
    let played = tiny(&game).self_play.play(&game, &mut rollout, 5, 1, &mut replay);
    assert!(is_stopped(played.unwrap_err()) && replay.is_empty());
}

#[test]
fn players_get_their_turns_and_scores_their_intervals() {
    let game = ConnectFour::new();
    let uct = Search::new(mcts::rule::Uct::default(), Rollout::new(1)).with_seed(2);
    let mut uct = SearchPlayer::new(uct, Limits::simulations(50)).unwrap();
    let score = play_pairs(&game, &mut uct, &mut RandomPlayer::new(3), 20, 2, 7).unwrap();
    assert_eq!(score.games(), 40);
    assert!(score.wins > 35, "{score}");
    let rate = score.rate();
    assert!(rate.low < rate.value && rate.value <= 1.0 && rate.low > 0.8);
    assert!(score.elo().low > 200.0);
    // Two of the same: the interval holds one half.
    let (mut a, mut b) = (RandomPlayer::new(1), RandomPlayer::new(2));
    let score = play_pairs(&game, &mut a, &mut b, 200, 2, 7).unwrap();
    let rate = score.rate();
    assert!(rate.low < 0.5 && rate.high > 0.5, "{score}");
    assert!((score.elo().value).abs() < 60.0);
    assert!(play_pairs(&game, &mut a, &mut b, 0, 2, 7).is_err());
    let actions = uct.act(&[game, ConnectFour::from_columns("444").unwrap()]).unwrap();
    assert_eq!(actions.len(), 2);
}
