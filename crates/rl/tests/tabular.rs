//! Planning, tabular learning, wrappers, vectors: what a user can see.
#![allow(missing_docs, clippy::float_cmp, clippy::print_stdout)]

use model_utils_core::event::{Silent, Stop, StopReason};
use model_utils_core::history::History;
use rl::environments::{
    Advertising, AdvertisingConfig, CartPole, CliffWalking, Exhaustive, Finite, FixedTime,
    FrozenLake, GridWorld, MaxPressure, Maze, Mdp, MountainCar, Outcome, Pendulum, Traffic,
    TrafficConfig, Walls,
};
use rl::planning::{evaluate_policy, policy_iteration, value_iteration};
use rl::tabular::{Method, QTable, Schedule, Tabular, TabularConfig, Traces};
use rl::vector::{Actions, SyncVectorEnvironment, VectorEnvironment};
use rl::wrappers::{ActionMask, FrameStack, Normalize, TimeLimit, TransformObservation};
use rl::{Budget, Environment, Error, Policy, Result, Space, Spaces, Step, evaluate};

#[test]
fn frozen_lake_has_its_known_values() {
    for (lake, discounted, certain) in [
        (FrozenLake::four_by_four(), 0.542_026, 14.0 / 17.0),
        (FrozenLake::eight_by_eight(), 0.414_640, 1.0),
    ] {
        let mdp = lake.mdp();
        let solution = value_iteration(&mdp, 0.99, 1e-10).unwrap();
        assert!((solution.values[0] - discounted).abs() < 1e-5, "{}", solution.values[0]);
        let improved = policy_iteration(&mdp, 0.99, 1e-10).unwrap();
        assert!((improved.values[0] - discounted).abs() < 1e-5);
        assert_eq!(improved.policy, solution.policy);
        let sure = value_iteration(&mdp, 1.0, 1e-12).unwrap();
        assert!((sure.values[0] - certain).abs() < 1e-5, "{}", sure.values[0]);
        // Of equally good actions, one that ends: the greedy policy keeps its promise.
        let mut shares = vec![0.0; mdp.states() * 4];
        sure.policy.iter().enumerate().for_each(|(s, a)| shares[s * 4 + a] = 1.0);
        let kept = evaluate_policy(&mdp, &shares, 1.0, 1e-12).unwrap();
        assert!((kept[0] - certain).abs() < 1e-4, "{} of {certain}", kept[0]);
    }
}

#[test]
fn planning_is_stopped_between_sweeps() {
    let mdp = FrozenLake::eight_by_eight().mdp();
    let sweeps = value_iteration(&mdp, 0.99, 1e-10).unwrap().iterations;
    let stopped_at = |result: Result<rl::planning::Solution>| match result {
        Err(Error::Utils(model_utils_core::Error::Stopped { at, .. })) => at,
        other => panic!("expected a stop, found {other:?}"),
    };
    assert_eq!(stopped_at(value_iteration(Stop::after(5).around(&mdp), 0.99, 1e-10)), "sweep 6");
    assert!(value_iteration(Stop::after(sweeps).around(&mdp), 0.99, 1e-10).is_ok());
    let few = Stop::after(sweeps - 1);
    assert_eq!(
        stopped_at(value_iteration(few.around(&mdp), 0.99, 1e-10)),
        format!("sweep {sweeps}")
    );
    assert_eq!(stopped_at(policy_iteration(Stop::after(7).around(&mdp), 0.99, 1e-10)), "sweep 8");
    let even = vec![0.25; mdp.states() * 4];
    let error = evaluate_policy(Stop::after(3).around(&mdp), &even, 0.99, 1e-10).unwrap_err();
    assert_eq!(error.to_string(), "planning was stopped at sweep 4");
}

/// Success of a greedy policy within the limit of 100 steps.
fn success(policy: &QTable) -> f64 {
    let mut lake = TimeLimit::new(FrozenLake::four_by_four().environment(), 100).unwrap();
    evaluate(policy, &mut lake, 10_000, 7).unwrap().mean()
}

#[test]
fn q_learning_crosses_the_lake() {
    for seed in 0..3 {
        let config = TabularConfig::new(Method::QLearning)
            .with_learning_rate(Schedule::Linear { from: 0.3, to: 0.002, over: 900_000 })
            .with_epsilon(Schedule::Constant(0.5))
            .with_seed(seed);
        let mut lake = TimeLimit::new(FrozenLake::four_by_four().environment(), 100).unwrap();
        let mut agent = Tabular::new(config, &lake).unwrap();
        agent.learn(&mut lake, Budget::steps(1_000_000), &mut Silent).unwrap();
        let success = success(&agent.table());
        println!("seed {seed}: success {success:.4}");
        assert!(success >= 0.72, "seed {seed}: {success}");
    }
}

const METHODS: [Method; 10] = [
    Method::MonteCarlo,
    Method::QLearning,
    Method::Sarsa,
    Method::ExpectedSarsa,
    Method::DoubleQ,
    Method::NStepSarsa(1),
    Method::NStepSarsa(4),
    Method::SarsaLambda { lambda: 0.8, traces: Traces::Replacing },
    Method::SarsaLambda { lambda: 0.5, traces: Traces::Accumulating },
    Method::DynaQ { planning: 10 },
];

#[test]
fn every_method_finds_the_way_out_of_the_maze() {
    let maze = Maze::three_by_three();
    let best = value_iteration(&maze.mdp(), 0.8, 1e-9).unwrap();
    assert_eq!(maze.path(&best.policy), [0, 3, 4, 5, 8]);
    assert!((best.values[0] - 100.0 * 0.8_f64.powi(3)).abs() < 1e-9);
    for method in METHODS {
        let mut world = TimeLimit::new(maze.environment(), 100).unwrap();
        let config = TabularConfig::new(method)
            .with_discount(0.8)
            .with_learning_rate(Schedule::Constant(0.2))
            .with_epsilon(Schedule::Linear { from: 1.0, to: 0.1, over: 3000 });
        let mut agent = Tabular::new(config, &world).unwrap();
        agent.learn(&mut world, Budget::episodes(2000), &mut Silent).unwrap();
        assert_eq!(maze.path(&agent.policy()), [0, 3, 4, 5, 8], "{method:?}");
        let evaluation = evaluate(&agent, &mut world, 3, 1).unwrap();
        assert_eq!(evaluation.lengths, [4; 3], "{method:?}");
    }
}

#[test]
fn sarsa_walks_away_from_the_cliff_and_q_learning_along_it() {
    let walk = |method| {
        let mut cliff = TimeLimit::new(CliffWalking.environment(), 500).unwrap();
        let config = TabularConfig::new(method).with_learning_rate(Schedule::Constant(0.5));
        let mut agent = Tabular::new(config.with_discount(1.0), &cliff).unwrap();
        let mut history = History::default();
        agent.learn(&mut cliff, Budget::episodes(2000), &mut history).unwrap();
        let rewards = &history.curve("episode_reward").unwrap().points;
        assert_eq!(rewards.len(), 2000);
        let online = rewards[1000..].iter().map(|(_, reward)| reward).sum::<f64>() / 1000.0;
        (online, evaluate(&agent, &mut cliff, 1, 1).unwrap().mean())
    };
    let (q_online, q_greedy) = walk(Method::QLearning);
    let (sarsa_online, _) = walk(Method::ExpectedSarsa);
    assert_eq!(q_greedy, -13.0);
    assert!(sarsa_online > q_online + 10.0, "{sarsa_online} {q_online}");
}

/// One step, reward 0, and the end is a truncation or a termination; nothing else happens.
#[derive(Debug, Clone)]
struct OneStep {
    terminates: bool,
    running: bool,
}

impl Environment for OneStep {
    type Observation = usize;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::Discrete(2), action: Space::Discrete(1) }
    }

    fn reset(&mut self, _seed: u64) -> Result<usize> {
        self.running = true;
        Ok(0)
    }

    fn step(&mut self, _action: &usize) -> Result<Step<usize>> {
        if !std::mem::take(&mut self.running) {
            return Err(Error::Ended);
        }
        let terminated = self.terminates;
        Ok(Step::new(1, 0.0).terminated(terminated).truncated(!terminated))
    }
}

/// The value of the state after is 5 in the table; only a truncated step may see it.
#[test]
fn bootstrapping_is_cut_by_termination_alone() {
    for method in METHODS {
        let value = |terminates| {
            let mut world = OneStep { terminates, running: false };
            let config = TabularConfig::new(method)
                .with_initial_value(5.0)
                .with_discount(1.0)
                .with_learning_rate(Schedule::Constant(0.5));
            let mut agent = Tabular::new(config, &world).unwrap();
            agent.learn(&mut world, Budget::episodes(40), &mut Silent).unwrap();
            agent.table().get(0, 0)
        };
        assert_eq!(value(false), 5.0, "{method:?} truncated: the estimate stays");
        assert!(value(true) < 1.0, "{method:?} terminated: nothing comes after");
    }
}

#[test]
fn a_saved_run_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.json");
    for method in METHODS {
        let world = || TimeLimit::new(FrozenLake::four_by_four().environment(), 100).unwrap();
        let config = TabularConfig::new(method).with_seed(3);
        let (mut through, mut agent) = (world(), Tabular::new(config.clone(), &world()).unwrap());
        agent.learn(&mut through, Budget::steps(2001), &mut Silent).unwrap();
        let (mut first, mut half) = (world(), Tabular::new(config, &world()).unwrap());
        half.learn(&mut first, Budget::steps(1003), &mut Silent).unwrap();
        half.save(&path, &first).unwrap();
        let mut second = world();
        let mut rest = Tabular::load(&path, &mut second).unwrap();
        rest.learn(&mut second, Budget::steps(2001), &mut Silent).unwrap();
        assert_eq!(rest.state().unwrap(), agent.state().unwrap(), "{method:?}");
        assert_eq!(second.state().unwrap(), through.state().unwrap(), "{method:?}");
    }
    let mut other = CliffWalking.environment();
    let error = Tabular::load(&path, &mut other).unwrap_err();
    assert!(error.to_string().contains("a table of 16 states and 4 actions"), "{error}");
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(Tabular::load(&path, &mut other), Err(Error::Resume(_))));
}

#[test]
fn mazes_that_are_none_are_refused_with_the_reason() {
    let text = |rewards, goal| {
        Maze::from_rewards(rewards, Walls::BelowZero, 0, goal).unwrap_err().to_string()
    };
    assert!(text(vec![], 0).contains("empty"));
    let ragged = vec![vec![0.0, 1.0], vec![0.0]];
    assert!(text(ragged, 1).contains("row 1 has 1 entries, expected 2"));
    let dead_end = vec![vec![-1.0, 1.0, 0.0], vec![0.0, -1.0, -1.0], vec![-1.0, -1.0, -1.0]];
    assert!(text(dead_end, 1).contains("room 2 is a dead end"));
    let nan = vec![vec![f64::NAN]];
    assert!(text(nan, 0).contains("entry (0, 0) is NaN"));
    assert!(text(vec![vec![0.0]], 4).contains("`goal` is 4"));
    assert!(matches!(Maze::random(1, 0), Err(Error::Config(_))));
    for (map, reason) in [
        (vec!["SG", "F"], "row 1 has 1 fields"),
        (vec!["SZ"], "`Z`"),
        (vec!["FG"], "0 starts"),
        (vec![], "empty"),
    ] {
        assert!(FrozenLake::new(&map).unwrap_err().to_string().contains(reason), "{map:?}");
    }
    let lost = Mdp::new(1, vec![1.0], |_, _| vec![Outcome::certain(3, 0.0, false)]);
    assert!(lost.is_err());
    let half = Outcome { probability: 0.5, ..Outcome::certain(0, 0.0, true) };
    assert!(Mdp::new(1, vec![1.0], |_, _| vec![half]).is_err());
    assert!(Mdp::new(1, vec![1.0], |_, _| vec![]).is_err());
}

#[test]
fn random_mazes_have_a_way_out() {
    for seed in 0..20 {
        let maze = Maze::random(2 + seed as usize, seed).unwrap();
        let again =
            Maze::from_rewards(maze.rewards().to_vec(), Walls::BelowZero, 0, maze.rooms() - 1);
        assert!(again.is_ok());
        let by_rooms = value_iteration(&maze.mdp(), 0.9, 1e-9).unwrap();
        let by_moves = value_iteration(&maze.grid_mdp().unwrap(), 0.9, 1e-9).unwrap();
        assert!((by_rooms.values[0] - by_moves.values[0]).abs() < 1e-9);
        let by_doors = maze.path(&maze.by_doors(&by_moves.policy));
        assert_eq!(by_doors.len(), maze.path(&by_rooms.policy).len());
        let path = maze.path(&by_rooms.policy);
        assert_eq!(path.last(), Some(&(maze.rooms() - 1)));
        let length = path.len() as i32 - 2;
        assert!((by_rooms.values[0] - 100.0 * 0.9_f64.powi(length)).abs() < 1e-6);
    }
}

#[test]
fn the_grid_of_russell_and_norvig_has_its_published_values() {
    let world = GridWorld::new(&["...G", ".#.X", "S..."]).unwrap();
    let world = world.slip(0.2).unwrap().step_cost(0.04).unwrap();
    let values = value_iteration(&world.mdp(), 1.0, 1e-10).unwrap().values;
    for (field, value) in [(0, 0.812), (1, 0.868), (2, 0.918), (4, 0.762), (6, 0.660), (8, 0.705)] {
        assert!((values[field] - value).abs() < 1e-3, "{field}: {}", values[field]);
    }
    assert!(GridWorld::new(&["SG"]).unwrap().slip(1.5).is_err());
}

fn lakes(count: usize) -> Vec<TimeLimit<Finite>> {
    (0..count)
        .map(|_| TimeLimit::new(FrozenLake::eight_by_eight().environment(), 30).unwrap())
        .collect()
}

#[test]
fn a_vector_does_not_depend_on_its_threads_and_hands_over_the_end() {
    let run = |threads: Option<usize>| {
        let mut pool = SyncVectorEnvironment::new(lakes(7), 3).unwrap();
        if let Some(threads) = threads {
            pool = pool.threads(threads).unwrap();
        }
        let mut seen = Vec::new();
        let mut truncated = 0;
        for step in 0..200_u64 {
            let actions: Vec<usize> =
                (0..7).map(|i| (rl::random::mix(i, step) % 4) as usize).collect();
            let before = pool.observations().to_vec();
            let transitions = pool.step(Actions::Indices(&actions)).unwrap().clone();
            for episode in &transitions.episodes {
                let i = episode.environment;
                let last = &transitions.final_observations[i * 64..(i + 1) * 64];
                assert_eq!(last.iter().sum::<f32>(), 1.0);
                // The next observation is the start again, the final one is not.
                assert_eq!(pool.observations()[i * 64], 1.0);
                truncated += usize::from(transitions.truncated[i]);
                assert!(transitions.terminated[i] != transitions.truncated[i]);
                assert!(episode.length == 30 || transitions.terminated[i]);
            }
            seen.push((before, transitions));
        }
        assert!(truncated > 0);
        seen
    };
    let one = run(None);
    assert_eq!(one, run(Some(1)));
    assert_eq!(one, run(Some(3)));
    assert!(matches!(
        SyncVectorEnvironment::<TimeLimit<Finite>>::new(vec![], 0),
        Err(Error::Config(_))
    ));
    assert!(SyncVectorEnvironment::new(lakes(1), 0).unwrap().threads(0).is_err());
}

#[test]
fn vectors_go_on_from_their_saved_state() {
    let mut pool = SyncVectorEnvironment::new(lakes(3), 3).unwrap();
    let mut poles = CartPole::make_vec(5, 3).unwrap();
    let turn = |vector: &mut dyn VectorEnvironment, from: u64, to: u64| {
        let mut seen = Vec::new();
        for step in from..to {
            let count = vector.count() as u64;
            let actions: Vec<usize> =
                (0..count).map(|i| (rl::random::mix(i, step) % 2) as usize).collect();
            seen.push(vector.step(Actions::Indices(&actions)).unwrap().clone());
        }
        (seen, vector.observations().to_vec())
    };
    turn(&mut pool, 0, 57);
    turn(&mut poles, 0, 57);
    let text = |vector: &dyn VectorEnvironment| vector.state().unwrap().to_string();
    let (pool_state, poles_state) = (text(&pool), text(&poles));
    let (a, b) = (turn(&mut pool, 57, 150), turn(&mut poles, 57, 150));
    let mut pool = SyncVectorEnvironment::new(lakes(3), 0).unwrap();
    let mut poles = CartPole::make_vec(5, 0).unwrap();
    pool.restore(&serde_json::from_str(&pool_state).unwrap()).unwrap();
    poles.restore(&serde_json::from_str(&poles_state).unwrap()).unwrap();
    let tails = (turn(&mut pool, 57, 150), turn(&mut poles, 57, 150));
    // Rows of episodes that go on hold what they held, which is not saved.
    for (old, new) in [(a, tails.0), (b, tails.1)] {
        assert_eq!(old.1, new.1);
        for (old, new) in old.0.iter().zip(&new.0) {
            assert_eq!((&old.rewards, &old.episodes), (&new.rewards, &new.episodes));
        }
    }
    let mut others = CartPole::make_vec(4, 0).unwrap();
    let error = others.restore(&serde_json::from_str(&poles_state).unwrap()).unwrap_err();
    assert!(error.to_string().contains("of 5 environments, expected 4"), "{error}");
}

/// Gives a NaN at its third step.
#[derive(Debug, Clone)]
struct Broken {
    steps: u64,
    reward: bool,
}

impl Environment for Broken {
    type Observation = [f64; 1];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1.0), action: Space::Discrete(1) }
    }

    fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
        Ok([0.0])
    }

    fn step(&mut self, _action: &usize) -> Result<Step<[f64; 1]>> {
        self.steps += 1;
        let bad = if self.steps == 3 { f64::NAN } else { 0.0 };
        let (observation, reward) = if self.reward { ([0.0], bad) } else { ([bad], 0.0) };
        Ok(Step::new(observation, reward))
    }
}

#[test]
fn numbers_that_are_none_name_the_environment_and_the_step() {
    for (reward, what) in [(true, "reward"), (false, "observation")] {
        let broken = |steps| Broken { steps, reward };
        let mut pool =
            SyncVectorEnvironment::new(vec![broken(-9_i64 as u64), broken(0)], 1).unwrap();
        pool.step(Actions::Indices(&[0, 0])).unwrap();
        pool.step(Actions::Indices(&[0, 0])).unwrap();
        let error = pool.step(Actions::Indices(&[0, 0])).unwrap_err();
        assert_eq!(error.to_string(), format!("{what} of environment 1 is NaN at step 3"));
        let error = evaluate(&|_: &[f64; 1]| 0, &mut broken(0), 1, 0).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
    }
    assert!(evaluate(&|_: &[f64; 1]| 0, &mut Broken { steps: 9, reward: true }, 0, 0).is_err());
}

#[test]
fn wrappers_limit_stack_normalise_and_mask() {
    let mut limited = TimeLimit::new(Pendulum::new().limit(None), 3).unwrap();
    assert!(matches!(limited.step(&[0.0]), Err(Error::Ended)));
    limited.reset(1).unwrap();
    let ends: Vec<_> = (0..3).map(|_| limited.step(&[0.0]).unwrap()).collect();
    assert_eq!(ends.iter().map(|s| s.truncated).collect::<Vec<_>>(), [false, false, true]);
    assert!(!ends[2].terminated && matches!(limited.step(&[0.0]), Err(Error::Ended)));
    assert!(TimeLimit::new(Pendulum::new(), 0).is_err());

    let mut stack = FrameStack::new(MountainCar::new(), 3).unwrap();
    let first = stack.reset(5).unwrap();
    assert_eq!((first.len(), &first[0..2]), (6, &first[4..6]));
    let second = stack.step(&2).unwrap().observation;
    assert_eq!(second[2..4], first[4..6]);
    assert_eq!(stack.spaces().observation.features(), 6);
    assert!(FrameStack::new(FrozenLake::four_by_four().environment(), 2).is_err());

    let changed = |space, scale: f64| {
        TransformObservation::new(MountainCar::new(), space, move |seen: &[f64; 2]| {
            seen.map(|x| scale * x)
        })
    };
    let mut doubled = changed(Space::symmetric(2, 4.0), 2.0).unwrap();
    let first = doubled.reset(5).unwrap();
    assert_eq!(first, doubled.inner().clone().reset(5).unwrap().map(|x| 2.0 * x));
    assert_eq!(doubled.spaces().observation, Space::symmetric(2, 4.0));
    let saved = doubled.state().unwrap();
    let next = doubled.step(&2).unwrap();
    doubled.restore(&saved).unwrap();
    assert_eq!(doubled.step(&2).unwrap().observation, next.observation);
    assert!(changed(Space::symmetric(0, 1.0), 1.0).is_err());

    let mut normal = Normalize::new(MountainCar::new()).rewards(0.99).unwrap();
    let mut sums = [0.0; 2];
    let mut count = 0.0;
    for episode in 0..20 {
        normal.reset(episode).unwrap();
        loop {
            let step = normal.step(&((episode % 3) as usize)).unwrap();
            if episode >= 10 {
                sums.iter_mut().zip(&step.observation).for_each(|(sum, x)| *sum += x * x);
                count += 1.0;
                assert!(step.reward < 0.0);
            }
            if step.ended() {
                break;
            }
        }
    }
    assert!(sums.iter().all(|sum| (0.3..3.0).contains(&(sum / count))), "{sums:?} {count}");
    let saved = normal.state().unwrap();
    let mut again = Normalize::new(MountainCar::new()).rewards(0.99).unwrap();
    again.restore(&saved).unwrap();
    assert_eq!(again.moments(), normal.moments());

    let rule = |_: &CartPole, seen: &[f64; 4], mask: &mut [bool]| mask[0] = seen[0] > 10.0;
    let mut masked = ActionMask::new(CartPole::new(), rule);
    masked.reset(1).unwrap();
    assert_eq!(masked.mask(), Some([false, true].as_slice()));
    assert!(masked.step(&1).is_ok());
    let error = masked.step(&0).unwrap_err();
    assert!(error.to_string().contains("one of [1], the others are masked"), "{error}");
    let nothing = |_: &CartPole, _: &[f64; 4], mask: &mut [bool]| mask.fill(false);
    assert!(ActionMask::new(CartPole::new(), nothing).reset(1).is_err());
}

fn traffic_at(load: f64) -> TrafficConfig {
    TrafficConfig { flow_ratio: load, ..TrafficConfig::default() }
}

fn delay<P: Policy<[f64; 7], usize>>(policy: &P, load: f64) -> f64 {
    let mut crossing = Traffic::new(traffic_at(load)).unwrap();
    let mut sum = 0.0;
    for seed in 0..10 {
        evaluate(policy, &mut crossing, 1, seed).unwrap();
        sum += crossing.delay_s() / 10.0;
    }
    sum
}

/// The reference's queue model gives 13.5, 8.1, 7.4 and 5.8 s at this load, and at 0.72 20.7 for
/// Webster and 14.9 for the exhaustive one.
#[test]
fn traffic_delays_are_those_of_the_queue_model() {
    let fixed = FixedTime { green_s: [30.0; 2] };
    for load in [0.24, 0.48, 0.72] {
        let webster = FixedTime::webster(&traffic_at(load));
        println!(
            "{load}: fixed {:.1} Webster {:.1} max-pressure(5) {:.1} (10) {:.1} exhaustive {:.1}",
            delay(&fixed, load),
            delay(&webster, load),
            delay(&MaxPressure { min_green_s: 5.0 }, load),
            delay(&MaxPressure { min_green_s: 10.0 }, load),
            delay(&Exhaustive, load),
        );
    }
    let webster = |load| delay(&FixedTime::webster(&traffic_at(load)), load);
    assert!((12.0..15.0).contains(&delay(&fixed, 0.24)));
    assert!((7.0..9.0).contains(&webster(0.24)));
    assert!((5.0..6.5).contains(&delay(&Exhaustive, 0.24)));
    assert!((18.0..24.0).contains(&webster(0.72)));
    assert!((12.5..17.0).contains(&delay(&Exhaustive, 0.72)));
    assert!(Traffic::new(traffic_at(1.2)).is_err());
    // Long queues.
    let config = TrafficConfig { decide_every_s: 3, ..TrafficConfig::default() };
    let mut crossing = Traffic::new(config).unwrap();
    crossing.reset(1).unwrap();
    let mut state = crossing.state().unwrap();
    state["queues"] = [u32::MAX; 4].into();
    crossing.restore(&state).unwrap();
    let reward = crossing.step(&0).unwrap().reward;
    assert!((reward / (-12.0 * f64::from(u32::MAX)) - 1.0).abs() < 1e-6, "{reward}");
}

#[test]
fn advertisements_drift_and_refuse_what_is_not_there() {
    let mut ads = Advertising::new(AdvertisingConfig::default()).unwrap();
    assert!(matches!(ads.step(&0), Err(Error::Ended)));
    ads.reset(3).unwrap();
    let before = ads.click_rates();
    assert!(before.iter().all(|rate| (0.0..1.0).contains(rate)));
    (0..1000).for_each(|_| drop(ads.step(&0).unwrap()));
    assert_ne!(before, ads.click_rates());
    assert!(matches!(ads.step(&8), Err(Error::Action { .. })));
    let none = AdvertisingConfig { ads: 0, ..AdvertisingConfig::default() };
    assert!(Advertising::new(none).is_err());
}

#[test]
fn tables_are_for_indices() {
    let config = TabularConfig::new(Method::QLearning);
    let error = Tabular::new(config.clone(), &CartPole::new()).unwrap_err();
    assert!(error.to_string().contains("observation space"), "{error}");
    assert!(Tabular::new(config.clone().with_discount(1.5), &CliffWalking.environment()).is_err());
    let mut agent = Tabular::new(config, &CliffWalking.environment()).unwrap();
    let mut lake = FrozenLake::four_by_four().environment();
    let error = agent.learn(&mut lake, Budget::steps(1), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("expected 48 states"), "{error}");
    for budget in [Budget::default(), Budget::epochs(1)] {
        let error = agent.learn(&mut CliffWalking.environment(), budget, &mut Silent).unwrap_err();
        assert!(error.to_string().contains("a limit of steps or episodes or time"), "{error}");
    }
    assert!(agent.act(&99, None).is_err());
}

#[test]
fn stopped_learning_and_stopped_evaluation_say_so() {
    let mut world = Maze::three_by_three().environment();
    let mut agent = Tabular::new(TabularConfig::new(Method::QLearning), &world).unwrap();
    let mut stop = Stop::new();
    agent.learn(&mut world, Budget::episodes(500), &mut stop).unwrap();
    assert!(evaluate(&stop.around(&agent), &mut world, 2, 7).is_ok());
    stop.stop();
    let steps = agent.steps();
    let learned = agent.learn(&mut world, Budget::episodes(1000), &mut stop).unwrap();
    assert_eq!((learned.steps, learned.reason), (steps, StopReason::Asked));
    assert!(learned.or_stopped().is_err());
    let error = evaluate(&stop.around(&agent), &mut world, 2, 7).unwrap_err().to_string();
    assert!(error.contains("acting was stopped"), "{error}");
}

#[test]
fn learning_goes_on_where_the_environment_was_left_and_begins_afresh_where_it_was_moved() {
    let world = || TimeLimit::new(FrozenLake::four_by_four().environment(), 100).unwrap();
    for method in METHODS {
        let agent = || Tabular::new(TabularConfig::new(method).with_seed(5), &world()).unwrap();
        let (mut through, mut whole) = (world(), agent());
        whole.learn(&mut through, Budget::steps(2000), &mut Silent).unwrap();
        // In parts, it is the same.
        let (mut parted, mut parts) = (world(), agent());
        for steps in [1, 2, 997, 2000] {
            parts.learn(&mut parted, Budget::steps(steps), &mut Silent).unwrap();
        }
        assert_eq!(parts.state().unwrap(), whole.state().unwrap(), "{method:?}");
        // Evaluated, reset, stepped or exchanged in between, it learns on.
        let (mut moved, mut learner) = (world(), agent());
        learner.learn(&mut moved, Budget::steps(997), &mut Silent).unwrap();
        evaluate(&learner, &mut moved, 3, 1).unwrap();
        learner.learn(&mut moved, Budget::steps(1500), &mut Silent).unwrap();
        moved.reset(9).unwrap();
        learner.learn(&mut moved, Budget::steps(2001), &mut Silent).unwrap();
        learner.learn(&mut world(), Budget::steps(2503), &mut Silent).unwrap();
        assert_eq!(learner.steps(), 2503, "{method:?}");
        // What is saved beside a moved environment has no episode.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.json");
        evaluate(&learner, &mut moved, 1, 1).unwrap();
        learner.save(&path, &moved).unwrap();
        let mut other = world();
        let mut loaded = Tabular::load(&path, &mut other).unwrap();
        loaded.learn(&mut other, Budget::steps(3000), &mut Silent).unwrap();
    }
}

/// Six rooms in a ring, 0 to 2 steps at a time, not all of them possible everywhere.
#[derive(Debug, Clone)]
struct Ring {
    room: usize,
    mask: Vec<bool>,
    /// What it says of itself in room 3.
    broken: Option<Vec<bool>>,
    outside: bool,
}

impl Ring {
    fn new() -> Self {
        Self { room: 0, mask: vec![true, false, false], broken: None, outside: false }
    }
}

impl Environment for Ring {
    type Observation = usize;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::Discrete(6), action: Space::Discrete(3) }
    }

    fn reset(&mut self, _seed: u64) -> Result<usize> {
        self.room = 0;
        self.mask = vec![false, false, true];
        Ok(0)
    }

    fn step(&mut self, action: &usize) -> Result<Step<usize>> {
        assert!(self.mask[*action], "a masked action was taken in room {}", self.room);
        self.room = (self.room + action) % 6;
        self.mask = vec![self.room == 2, self.room != 0, self.room != 2];
        if self.room == 3
            && let Some(broken) = &self.broken
        {
            self.mask.clone_from(broken);
        }
        let observation = if self.outside { 6 + self.room } else { self.room };
        Ok(Step::new(observation, -1.0).terminated(self.room == 5))
    }

    fn mask(&self) -> Option<&[bool]> {
        Some(&self.mask)
    }
}

#[test]
fn policies_and_values_keep_to_the_masks() {
    for method in METHODS {
        let mut ring = Ring::new();
        // All that is done costs: actions that were never possible have the highest value, 0.
        let config = TabularConfig::new(method).with_epsilon(Schedule::Constant(0.5));
        let mut agent = Tabular::new(config.with_discount(1.0), &ring).unwrap();
        // This world has no state to show: each call begins an episode.
        for steps in 1..400 {
            agent.learn(&mut ring, Budget::steps(steps * 25), &mut Silent).unwrap();
        }
        let policy = agent.policy();
        assert_eq!(policy[0], 2, "{method:?}: the one that is possible");
        assert_ne!(policy[2], 2, "{method:?}");
        assert!([3, 4].iter().all(|room| policy[*room] != 0), "{method:?}: {policy:?}");
        assert!([0, 2, 3, 4].iter().all(|room| agent.values()[*room] < 0.0), "{method:?}");
        let error = agent.act(&0, Some(&[true])).unwrap_err().to_string();
        assert!(error.contains("it has 1 entries, expected 3"), "{error}");
        let error = agent.act(&0, Some(&[false; 3])).unwrap_err().to_string();
        assert!(error.contains("it allows nothing"), "{error}");
        assert_eq!(agent.act(&2, Some(&[false, true, false])).unwrap(), 1);
        for table in [agent.table().act(&9, None), agent.act(&9, None)] {
            assert!(table.unwrap_err().to_string().contains("expected one of 0..6"));
        }
    }
}

#[test]
fn worlds_that_break_their_promises_are_named() {
    for method in METHODS {
        let told = |ring: Ring| {
            let mut ring = ring;
            let mut agent = Tabular::new(TabularConfig::new(method), &ring).unwrap();
            agent.learn(&mut ring, Budget::steps(500), &mut Silent).unwrap_err().to_string()
        };
        let outside = told(Ring { outside: true, ..Ring::new() });
        assert!(outside.contains("`observation` is 8, expected one of 0..6"), "{outside}");
        let nothing = told(Ring { broken: Some(vec![false; 3]), ..Ring::new() });
        assert!(nothing.contains("action mask: it allows nothing"), "{nothing}");
        let short = told(Ring { broken: Some(vec![true]), ..Ring::new() });
        assert!(short.contains("action mask: it has 1 entries, expected 3"), "{short}");
    }
    let huge = OneState { reward: f64::MAX };
    let config = TabularConfig::new(Method::QLearning).with_discount(1.0);
    let config = config.with_learning_rate(Schedule::Constant(1.0));
    let mut agent = Tabular::new(config, &huge).unwrap();
    let error = agent.learn(&mut huge.clone(), Budget::steps(9), &mut Silent).unwrap_err();
    assert_eq!(error.to_string(), "value of an action of environment 0 is inf at step 2");
}

/// One state, for ever.
#[derive(Debug, Clone)]
struct OneState {
    reward: f64,
}

impl Environment for OneState {
    type Observation = usize;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::Discrete(1), action: Space::Discrete(1) }
    }

    fn reset(&mut self, _seed: u64) -> Result<usize> {
        Ok(0)
    }

    fn step(&mut self, _action: &usize) -> Result<Step<usize>> {
        Ok(Step::new(0, self.reward))
    }
}

/// Everything in a value that can be changed: `at` counts through its leaves and lists.
fn changed(value: &mut serde_json::Value, at: &mut usize, random: &mut rl::random::Random) {
    use serde_json::{Value, json};
    let here = *at == 0;
    *at = at.wrapping_sub(1);
    let odd = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(-1e300),
        json!(u64::MAX),
        json!(7_777_777),
        json!(0),
        json!(true),
        json!("x"),
        json!([]),
    ];
    match value {
        Value::Array(list) if here && !list.is_empty() && random.bernoulli(0.7) => {
            let place = random.below(list.len());
            match random.below(3) {
                0 => drop(list.remove(place)),
                1 => list.push(list[place].clone()),
                _ => list.truncate(place),
            }
        }
        _ if here => *value = odd[random.below(odd.len())].clone(),
        Value::Array(list) => list.iter_mut().for_each(|item| changed(item, at, random)),
        Value::Object(map) => map.values_mut().for_each(|item| changed(item, at, random)),
        _ => {}
    }
}

/// Thousands of damaged files: each is refused with the environment as it was, or goes on.
#[test]
fn damaged_files_are_refused_or_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("agent.json"), folder.path().join("damaged.json"));
    let mut random = rl::random::Random::new(1);
    let (mut refused, mut taken) = (0, 0);
    for method in METHODS {
        let world = || TimeLimit::new(Maze::three_by_three().environment(), 100).unwrap();
        let mut first = world();
        let mut agent = Tabular::new(TabularConfig::new(method), &first).unwrap();
        agent.learn(&mut first, Budget::steps(103), &mut Silent).unwrap();
        agent.save(&path, &first).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        for number in 0..400 {
            let mut bytes = whole.clone();
            if number % 4 == 0 {
                let at = random.below(bytes.len());
                bytes[at] = random.below(128) as u8;
            } else {
                let mut value = value.clone();
                // Most of the file is the table: half of the changes hit what comes behind it.
                let part = if random.bernoulli(0.5) { &mut value } else { &mut value["agent"] };
                changed(part, &mut random.below(500), &mut random);
                if number % 4 == 1 {
                    let map =
                        value.get_mut("agent").and_then(|agent| agent.as_object_mut()).into_iter();
                    let mut parts: Vec<_> = map.flat_map(|map| map.values_mut()).collect();
                    let count = parts.len().max(1);
                    if let Some(part) = parts.get_mut(random.below(count)) {
                        changed(part, &mut random.below(12), &mut random);
                    }
                }
                bytes = serde_json::to_vec(&value).unwrap();
            }
            std::fs::write(&damaged, &bytes).unwrap();
            let mut second = world();
            second.reset(3).unwrap();
            let before = second.state().unwrap();
            match Tabular::load(&damaged, &mut second) {
                Err(Error::Resume(_)) => {
                    assert_eq!(second.state().unwrap(), before, "the environment has moved");
                    refused += 1;
                }
                Err(other) => panic!("not `Error::Resume`: {other}"),
                Ok(mut agent) => {
                    taken += 1;
                    let until = Budget::steps(agent.steps().saturating_add(30));
                    // An action that is impossible in a changed environment is an error of its own.
                    let _ = agent.learn(&mut second, until, &mut Silent);
                    assert_eq!(agent.policy().len(), 9);
                }
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 1000 && taken > 100);
}

#[test]
fn values_without_end_are_an_error_by_name() {
    let state = |happens: Vec<Vec<Vec<Outcome>>>| {
        let mut starts = vec![0.0; happens.len()];
        starts[0] = 1.0;
        Mdp::new(happens[0].len(), starts, |s, a| happens[s][a].clone()).unwrap()
    };
    let go = |next, reward| vec![Outcome::certain(next, reward, false)];
    let end = vec![Outcome::certain(0, 0.0, true)];
    let pays = state(vec![vec![go(0, 1.0), end.clone()]]);
    // Three rooms in a circle, of which one door pays, against the order of the sweep.
    let circle = state(vec![vec![go(1, 0.0)], vec![go(2, 0.0)], vec![go(0, 0.5)]]);
    let costs = state(vec![vec![go(1, -1.0)], vec![go(0, 0.0)]]);
    let chance =
        |next, reward| Outcome { probability: 0.5, ..Outcome::certain(next, reward, false) };
    let gamble = state(vec![
        vec![vec![chance(0, 2.0), chance(1, -1.5)]],
        vec![vec![chance(0, 0.0), chance(1, 0.0)]],
    ]);
    for (name, mdp, how) in [
        ("pays", &pays, "grow"),
        ("circle", &circle, "grow"),
        ("costs", &costs, "fall"),
        ("gamble", &gamble, "grow"),
    ] {
        let mut shares = vec![0.0; mdp.states() * mdp.actions()];
        shares.iter_mut().step_by(mdp.actions()).for_each(|share| *share = 1.0);
        for error in [
            value_iteration(mdp, 1.0, 1e-9).unwrap_err(),
            policy_iteration(mdp, 1.0, 1e-9).unwrap_err(),
            evaluate_policy(mdp, &shares, 1.0, 1e-9).unwrap_err(),
        ] {
            let text = error.to_string();
            let says = text.contains(how) && text.contains("expected a discount below 1");
            assert!(matches!(error, Error::World { .. }) && says, "{name}: {text}");
        }
        assert!(value_iteration(mdp, 0.9, 1e-9).is_ok());
    }
    // Loops that neither pay nor cost, and costs with a way out, have values.
    let swings = state(vec![vec![go(1, 1.0), end.clone()], vec![go(0, -1.0), end]]);
    let solution = value_iteration(&swings, 1.0, 1e-9).unwrap();
    assert!((solution.values[0] - 1.0).abs() < 1e-6, "{:?}", solution.values);
    let world = GridWorld::new(&["...G", ".#.X", "S..."]).unwrap().step_cost(0.04).unwrap();
    let by_values = value_iteration(&world.mdp(), 1.0, 1e-10).unwrap();
    let by_policies = policy_iteration(&world.mdp(), 1.0, 1e-10).unwrap();
    for (a, b) in by_values.values.iter().zip(&by_policies.values) {
        assert!((a - b).abs() < 1e-7, "{a} {b}");
    }
    // Where rounding is the limit, no tolerance is too small.
    assert!(value_iteration(&Maze::three_by_three().mdp(), 0.8, 1e-300).is_ok());
    let error = value_iteration(&pays, 1.0 - 1e-12, 1e-9).unwrap_err().to_string();
    assert!(error.contains("after 1000000 sweeps"), "{error}");
    let lake = FrozenLake::four_by_four().mdp();
    for shares in [vec![0.3; 64], vec![f64::NAN; 64], vec![0.25; 63]] {
        let error = evaluate_policy(&lake, &shares, 0.9, 1e-9).unwrap_err().to_string();
        assert!(error.contains("`policy`"), "{error}");
    }
}

/// Nine rooms on a grid, as in the course: 0 is a wall, 1 a door.
const COURSE: [[u8; 9]; 9] = [
    [0, 1, 0, 0, 0, 0, 0, 0, 0],
    [1, 0, 1, 0, 1, 0, 0, 0, 0],
    [0, 1, 0, 0, 0, 1, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 0, 0],
    [0, 1, 0, 0, 0, 0, 0, 1, 0],
    [0, 0, 1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 1, 0, 1, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 1, 0],
];

#[test]
fn zeros_are_walls_where_a_matrix_has_no_negative_entries() {
    let mut rewards: Vec<Vec<f64>> =
        COURSE.iter().map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect();
    rewards[0][0] = 999.0;
    let walls = Walls::of(&rewards).unwrap();
    assert_eq!(walls, Walls::BelowOne);
    let maze = Maze::from_rewards(rewards.clone(), walls, 8, 0).unwrap();
    assert_eq!(maze.doors(7).collect::<Vec<_>>(), [4, 6, 8]);
    assert_eq!(maze.columns(), Some(3));
    let solution = value_iteration(&maze.endless_mdp(), 0.75, 1e-9).unwrap();
    assert_eq!(maze.path(&solution.policy), [8, 7, 4, 1, 0]);
    // 999 at each step in the goal, and 1 for each door before it.
    let goal = 999.0 / 0.25;
    assert!((solution.values[0] - goal).abs() < 1e-6);
    assert!((solution.values[4] - (1.0 + 0.75 * (1.0 + 0.75 * goal))).abs() < 1e-6);
    // As if 0 were a door, it would be a maze without walls.
    let open = Maze::from_rewards(rewards.clone(), Walls::BelowZero, 8, 0).unwrap();
    assert!(open.has_door(8, 0));
    let negative = vec![vec![-1.0, 0.0], vec![0.0, 100.0]];
    assert_eq!(Walls::of(&negative).unwrap(), Walls::BelowZero);
    let both = vec![vec![-1.0, 0.0, 1.0], vec![0.0, -1.0, 1.0], vec![1.0, 1.0, 100.0]];
    assert!(Walls::of(&both).unwrap_err().to_string().contains("say which"));
    // A goal without doors is an end, and rooms in no grid have none.
    let end = vec![vec![0.0, 1.0, 1.0], vec![1.0, 0.0, 1.0], vec![0.0; 3]];
    let maze = Maze::from_rewards(end, Walls::BelowOne, 0, 2).unwrap();
    assert_eq!((maze.columns(), maze.endless_mdp() == maze.mdp()), (None, true));
    assert!(maze.grid_mdp().is_err());
}
