//! AlphaGo's steps on tiny nets: what is learned, what is refused.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use std::cell::Cell;

use burn::tensor::TensorData;
use mcts::alphago::{
    AlphaGoEvaluator, PolicyNet, PolicyNetConfig, PolicyPlayer, ReinforceConfig, RolloutPolicy,
    RolloutTraining, Trainer, TrainerConfig, VALUE_PLANES, ValueNetConfig, move_examples,
    value_examples, whole_game_examples,
};
use mcts::arena::Player as _;
use mcts::go::{Color, Go, Move, Point, Rules};
use mcts::random::Random;
use mcts::rule::Apv;
use mcts::sgf::Record;
use mcts::{Game as _, Limits, Search};
use model_utils::checkpoint::Checkpoints;
use model_utils::device::DeviceSpec;
use model_utils::train::{Budget, Event, History, Observer, Silent, Stop, StopReason};
use model_utils::weights::{State, Stored as _, same_names};

fn device() -> burn::tensor::Device {
    "flex".parse::<DeviceSpec>().unwrap().open().unwrap()
}

fn start() -> Go {
    Go::new(5, Rules::chinese().with_komi(4.5).with_max_moves(60)).unwrap()
}

fn tiny() -> PolicyNetConfig {
    PolicyNetConfig::new(5).with_filters(8).with_layers(3)
}

/// Games in which both sides answer in the point mirrored at the centre: easy to learn.
fn records(count: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for seed in 0..count {
        let mut random = Random::new(seed);
        let mut game = Go::new(5, Rules::tromp_taylor()).unwrap();
        for _ in 0..5 {
            let free: Vec<Point> = game
                .points()
                .filter(|&p| game.why_illegal(Move::Play(p)).is_none() && (p.x, p.y) != (2, 2))
                .collect();
            let point = free[random.below_u32(free.len() as u32) as usize];
            let mirrored = Point { x: 4 - point.x, y: 4 - point.y };
            if game.make(Move::Play(point)).is_err() || game.make(Move::Play(mirrored)).is_err() {
                break;
            }
        }
        let mut record = Record::from_game(&game).unwrap();
        (if seed % 2 == 0 { "B+1" } else { "W+1" }).clone_into(&mut record.result);
        records.push(record);
    }
    records
}

#[test]
fn the_rollout_policy_learns_and_is_saved() {
    let (train, test) = (records(200), &records(230)[200..]);
    let mut policy = RolloutPolicy::new(5, 5);
    let (before, moves) = policy.accuracy(test).unwrap();
    policy.train(&train, RolloutTraining::default()).unwrap();
    let (after, same) = policy.accuracy(test).unwrap();
    assert!(moves == same && moves > 100);
    assert!(after > before + 0.05, "{before} → {after}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    policy.save(&path).unwrap();
    assert_eq!(RolloutPolicy::load(&path).unwrap(), policy);
    std::fs::write(&path, "{}").unwrap();
    assert!(RolloutPolicy::load(&path).unwrap_err().to_string().contains("policy.json"));
    assert!(policy.train(&[][..], RolloutTraining::default()).is_err());
    let wrong = RolloutTraining { learning_rate: f32::NAN, ..RolloutTraining::default() };
    assert!(policy.train(&train, wrong).unwrap_err().to_string().contains("learning_rate"));
}

/// Where a call was stopped.
fn stopped_at<T>(result: mcts::Result<T>) -> String {
    match result.err() {
        Some(mcts::Error::Utils(model_utils::Error::Stopped { at, .. })) => at,
        other => panic!("expected a stop, found {other:?}"),
    }
}

#[test]
fn learning_from_records_and_judging_are_stopped() {
    let records = records(12);
    let after = |asked| Stop::after(asked);
    let mut policy = RolloutPolicy::new(5, 5);
    let fresh = policy.clone();
    let learned = policy.train(after(15).around(&records[..]), RolloutTraining::default());
    assert_eq!(stopped_at(learned), "record 3 of epoch 1");
    assert!(policy == fresh, "it learned nothing");
    assert_eq!(stopped_at(policy.accuracy(after(5).around(&records[..]))), "record 5");
    assert!(policy.accuracy(after(12).around(&records[..])).is_ok());

    assert_eq!(stopped_at(move_examples(after(5).around(&records[..]), 5)), "record 5");
    let examples = move_examples(&records, 5).unwrap();
    let mut many = mcts::deep::Replay::new(mcts::alphago::PLANES * 25, 26, 600).unwrap();
    let (planes, policy) = (vec![0.0; mcts::alphago::PLANES * 25], vec![1.0; 26]);
    (0..600).for_each(|_| many.push(&planes, &policy, &[0.0]).unwrap());
    let net = tiny().init(&device()).unwrap();
    assert_eq!(stopped_at(Trainer::accuracy(&net, after(2).around(&many))), "batch 2");
    assert!(Trainer::accuracy(&net, after(1).around(&examples)).is_ok());
    let value = ValueNetConfig::new(5).with_filters(8).with_layers(3).init(&device()).unwrap();
    let mut many = mcts::deep::Replay::new(VALUE_PLANES * 25, 26, 600).unwrap();
    let planes = vec![0.0; VALUE_PLANES * 25];
    (0..600).for_each(|_| many.push(&planes, &policy, &[0.0]).unwrap());
    let judged = Trainer::mean_squared_error(&value, after(1).around(&many));
    assert_eq!(stopped_at(judged), "batch 1");

    // The switch is asked before every turn of a net; whole games have more than three.
    let games = value_examples(&net, after(3).around(&net), &start(), 20, 7);
    assert_eq!(stopped_at(games), "a turn");
    let games = whole_game_examples(after(0).around(&net), &net, &start(), 50, 7);
    assert_eq!(stopped_at(games), "a turn");

    // An iteration that is stopped leaves no trace.
    let config = ReinforceConfig::new().with_games(4).with_batch(16);
    let mut reinforce = config.init(&net, &start()).unwrap();
    // Both sides have a turn between two looks.
    assert_eq!(stopped_at(reinforce.iterate(&after(4))), "move 8");
    let again = reinforce.iterate(&Silent).unwrap();
    assert_eq!(again, config.init(&net, &start()).unwrap().iterate(&Silent).unwrap());
}

#[test]
fn the_policy_net_learns_moves_and_plays_only_sensible_ones() {
    let examples = move_examples(&records(60), 5).unwrap();
    let net = tiny().init(&device()).unwrap();
    let before = Trainer::accuracy(&net, &examples).unwrap();
    let trainer = TrainerConfig::new()
        .with_steps(400)
        .with_batch(32)
        .with_learning_rate(5e-3)
        .init()
        .unwrap();
    let net = trainer.train_policy(net, &examples, &mut Silent).unwrap();
    let after = Trainer::accuracy(&net, &examples).unwrap();
    assert!(after > before + 0.05, "{before} → {after}");
    // Games of the policy end, and no own eye is filled.
    let mut player = PolicyPlayer::new(&net, 3);
    let mut games = vec![start(); 3];
    while games.iter().any(|game| !game.ended()) {
        let actions = player.act(&games).unwrap();
        for (game, action) in games.iter_mut().zip(actions) {
            if !game.ended() {
                game.try_play(action).unwrap();
            }
        }
    }
}

#[test]
fn reinforcement_follows_from_its_seed() {
    // One net for both runs: the generator of initial weights is shared by all tests.
    let net = tiny().init(&device()).unwrap();
    let run = || {
        let config = ReinforceConfig::new().with_games(6).with_pool_every(1).with_batch(64);
        let mut reinforce = config.init(&net, &start()).unwrap();
        let first = reinforce.iterate(&Silent).unwrap();
        let second = reinforce.iterate(&Silent).unwrap();
        assert_eq!((first.pool, second.pool, second.iteration), (2, 3, 2));
        assert!(first.moves > 20 && (0.0..=1.0).contains(&first.win_rate));
        (first, second)
    };
    let other = Go::new(7, Rules::chinese()).unwrap();
    assert!(ReinforceConfig::new().init(&net, &other).is_err());
    assert!(ReinforceConfig::new().with_games(0).init(&net, &start()).is_err());
    let (one, again) = (run(), run());
    assert_eq!(one.0.moves, again.0.moves);
}

/// Asks to stop from a step on.
struct Until {
    step: u64,
    reached: bool,
}

impl Until {
    fn step(step: u64) -> Self {
        Self { step, reached: false }
    }
}

impl Observer for Until {
    fn observe(&mut self, event: &Event<'_>) {
        if let Event::Step { step, .. } = event {
            self.reached |= *step >= self.step;
        }
    }

    fn wants_stop(&self) -> bool {
        self.reached
    }
}

fn bits(net: &PolicyNet) -> Vec<(String, Vec<u8>)> {
    let state = State::from_module(net, same_names).unwrap();
    state.tensors.into_iter().map(|(name, x)| (name, x.data.as_bytes().to_vec())).collect()
}

#[test]
fn a_stopped_reinforcement_goes_on_exactly() {
    let net = tiny().init(&device()).unwrap();
    let config = ReinforceConfig::new().with_games(6).with_pool_every(2).with_batch(64);
    let begin = || config.init(&net, &start()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let budget = Budget::steps(5);

    for endless in [Budget::default(), Budget::episodes(1)] {
        let error = begin().learn(endless, &mut Silent).unwrap_err();
        assert!(error.to_string().contains("a limit of steps or time"), "{error}");
    }
    let mut whole = begin();
    assert_eq!(whole.learn(budget, &mut Silent).unwrap(), StopReason::BudgetSpent);
    let mut stopped = begin().resume_in(checkpoints.clone()).unwrap();
    let reason = stopped.learn(budget, &mut Until::step(3)).unwrap();
    assert_eq!(reason, StopReason::Asked);
    let mut resumed = begin().resume_in(checkpoints.clone()).unwrap();
    resumed.learn(budget, &mut Silent).unwrap();
    assert_ne!(bits(&stopped.net()), bits(&resumed.net()));
    assert_eq!(bits(&whole.net()), bits(&resumed.net()));

    let longer = Budget::steps(6);
    whole.learn(longer, &mut Silent).unwrap();
    drop(resumed);
    let mut resumed = begin().resume_in(checkpoints.clone()).unwrap();
    resumed.learn(longer, &mut Silent).unwrap();
    assert_eq!(bits(&whole.net()), bits(&resumed.net()));

    let other = ReinforceConfig { games: 8, ..config.clone() };
    let error = other.init(&net, &start()).unwrap().resume_in(checkpoints).err().unwrap();
    assert!(error.to_string().ends_with("`games` is 6, expected 8"), "{error}");
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
fn an_iteration_that_was_stopped_leaves_no_trace() {
    let net = tiny().init(&device()).unwrap();
    let config = ReinforceConfig::new().with_games(6).with_pool_every(2).with_batch(16);
    let begin = || config.init(&net, &start()).unwrap();
    let budget = Budget::steps(3);
    let mut whole = begin();
    let mut never = StopAtLook(u64::MAX, Cell::new(0));
    whole.learn(budget, &mut never).unwrap();
    let looks = never.1.get();
    assert!(looks > 60, "moves and optimiser steps look: {looks}");
    for part in 1..8 {
        let folder = tempfile::tempdir().unwrap();
        let kept = || begin().resume_in(Checkpoints::open(folder.path()).unwrap()).unwrap();
        let mut first = kept();
        let look = || StopAtLook(looks * part / 8, Cell::new(0));
        assert_eq!(first.learn(budget, &mut look()).unwrap(), StopReason::Asked);
        // Goes on as it is, and from its checkpoint.
        let mut second = {
            drop(first);
            kept()
        };
        second.learn(budget, &mut StopAtLook(looks / 6, Cell::new(0))).unwrap();
        second.learn(budget, &mut Silent).unwrap();
        assert_eq!(bits(&whole.net()), bits(&second.net()), "{part}");
    }
}

#[test]
fn a_stopped_training_goes_on_exactly() {
    let examples = move_examples(&records(20), 5).unwrap();
    let net = tiny().init(&device()).unwrap();
    let config = TrainerConfig::new().with_steps(60).with_batch(16);
    let train = |trainer: Trainer, progress: &mut dyn Observer| {
        trainer.train_policy(net.clone(), &examples, progress)
    };
    let folder = tempfile::tempdir().unwrap();
    let kept = |config: &TrainerConfig| {
        let checkpoints = Checkpoints::open(folder.path()).unwrap();
        config.init().unwrap().resume_in(checkpoints, 25)
    };
    let (mut history, mut told) = (History::default(), History::default());
    let whole = train(config.init().unwrap(), &mut history).unwrap();
    for look in [1, 11, 33] {
        let mut stop = (&mut told, StopAtLook(look, Cell::new(0)));
        let stopped = train(kept(&config), &mut stop).unwrap_err().to_string();
        assert!(stopped.starts_with("training of the policy net was stopped at step"), "{stopped}");
    }
    // Stopped at steps 0, 10 and 42, it ends as if it had not been; what has ended is there at once.
    for _ in 0..2 {
        let resumed = train(kept(&config), &mut told).unwrap();
        assert_eq!(bits(&resumed), bits(&whole));
    }
    assert_eq!(told.curve("train_loss"), history.curve("train_loss"));

    let other = config.clone().with_batch(8);
    let error = kept(&other).train_policy(net.clone(), &examples, &mut Silent).unwrap_err();
    assert!(error.to_string().ends_with("`about.batch` is 16, expected 8"), "{error}");
}

#[test]
fn value_examples_are_one_a_game() {
    let net = tiny().init(&device()).unwrap();
    let examples = value_examples(&net, &net, &start(), 20, 7).unwrap();
    assert_eq!(examples.len(), 20);
    assert_eq!(whole_game_examples(&net, &net, &start(), 50, 7).unwrap().len(), 50);
    let value = ValueNetConfig::new(5).with_filters(16).with_layers(3).with_hidden(64);
    let value = value.init(&device()).unwrap();
    let before = Trainer::mean_squared_error(&value, &examples).unwrap();
    let trainer = TrainerConfig::new().with_steps(150).with_batch(20).init().unwrap();
    let value = trainer.train_value(value, &examples, &mut Silent).unwrap();
    let after = Trainer::mean_squared_error(&value, &examples).unwrap();
    // How far depends on the net that played: games may part from the same few positions.
    assert!(after < before, "{before} → {after}");
    assert!(value_examples(&net, &net, &start(), 0, 7).is_err());
}

/// A net that knows nothing: all its weights are 0.
fn blank<M: burn::module::Module>(net: M) -> M {
    let mut state = State::from_module(&net, same_names).unwrap();
    for entry in state.tensors.values_mut() {
        entry.data = TensorData::zeros::<f32, _>(entry.data.shape().clone());
    }
    state.apply(net, same_names).unwrap().0
}

#[test]
fn the_search_puts_the_parts_together() {
    let policy = blank(tiny().init(&device()).unwrap());
    let value = ValueNetConfig::new(5).with_filters(8).with_layers(3).init(&device()).unwrap();
    let value = blank(value);
    let rollouts = RolloutPolicy::new(5, 5);
    assert!(AlphaGoEvaluator::new(&policy, None, None, 1).is_err());
    let evaluator = AlphaGoEvaluator::new(&policy, Some(&value), Some(&rollouts), 1).unwrap();
    assert!(evaluator.clone().with_temperature(0.0).is_err());
    // The nets know nothing: rollouts have to tell.
    let rule = Apv { c: 2.0, lambda: 0.95, expand_after: 2, ..Apv::default() };
    let mut search = Search::new(rule, evaluator).with_batch(4);
    // Black's chain is in atari and White's too: with this komi, who takes wins.
    let mut game = Go::new(5, Rules::chinese().with_komi(-9.5).with_max_moves(60)).unwrap();
    let stones: Vec<_> = (0..5)
        .flat_map(|x| {
            let white = (x < 4).then_some((Point::new(x, 4), Some(Color::White)));
            [
                Some((Point::new(x, 3), Some(Color::Black))),
                Some((Point::new(x, 2), Some(Color::White))),
                white,
            ]
        })
        .flatten()
        .collect();
    game.set_up(&stones, Color::Black).unwrap();
    let found = search.run(&game, Limits::simulations(1500)).unwrap();
    assert_eq!(game.action_name(found.best()), "E1");
    assert!(found.choices[0].net.is_some(), "the net's values are kept apart");
    search.clear();
    let found = search.run_asynchronous(&game, Limits::simulations(1500), 2).unwrap();
    assert_eq!(game.action_name(found.best()), "E1", "nets that answer later change nothing");
    assert!(found.choices[0].net.is_some());
    let other = Go::new(6, Rules::chinese()).unwrap();
    let refused = search.run_asynchronous(&other, Limits::simulations(10), 2).unwrap_err();
    assert!(refused.to_string().contains("go 6x6"), "{refused}");
    let refused = search.run(&other, Limits::simulations(10)).unwrap_err().to_string();
    assert!(refused.contains("go 5x5") && refused.contains("go 6x6"), "{refused}");
}

#[test]
fn nets_are_saved_and_bad_sizes_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.safetensors");
    tiny().init(&device()).unwrap().save(&path).unwrap();
    assert_eq!(PolicyNet::load(&path, &device()).unwrap().side(), 5);
    assert!(mcts::alphago::ValueNet::load(&path, &device()).is_err());
    assert!(PolicyNetConfig::new(0).init(&device()).is_err());
    assert!(PolicyNetConfig::new(20).init(&device()).is_err());
    assert!(tiny().with_layers(1).init(&device()).is_err());
    assert!(ValueNetConfig::new(5).with_hidden(0).init(&device()).is_err());
    let big = PolicyNetConfig::alphago();
    assert_eq!((big.side, big.filters, big.layers), (19, 192, 13));
    assert!(move_examples(&records(1), 6).is_err());
    assert!(TrainerConfig::new().with_steps(0).init().is_err());
}
