//! What users do that nobody thought of: each is an error by name, or goes on as it should.

#![cfg(feature = "flex")]

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use model_utils::checkpoint::Checkpoints;
use model_utils::train::{Event, Observer};
use rl::bandits::LinUcb;
use rl::deep::{Agent, Body, Dqn, DqnConfig, Network, PeriodicEvaluation, SacConfig, Td3Config};
use rl::environments::{Advertising, AdvertisingConfig, CartPole, MountainCar, Outcome, Pendulum};
use rl::memory::ReplayBuffer;
use rl::planning::{policy_iteration, value_iteration};
use rl::prelude::*;
use rl::random::Random;
use rl::vector::SyncVectorEnvironment;
use rl::wrappers::{ActionMask, FrameStack, Normalize};
use rl::{Breach, Error, Result, Space, Spaces, Step, check};

fn device() -> Device {
    "flex".parse::<DeviceSpec>().unwrap().open().unwrap()
}

fn text<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn policy_iteration_finds_what_value_iteration_finds() {
    let mut random = Random::new(4);
    let mut compared = 0;
    for _ in 0..2000 {
        let (states, actions) = (1 + random.below(4), 1 + random.below(3));
        let mut happens = |_, _| {
            let count = 1 + random.below(2);
            let each = |_| {
                // Loops whose rewards cancel out have no value at γ = 1: none pays.
                let reward = random.below(3) as f64 - 2.0;
                let (next, terminated) = (random.below(states), random.bernoulli(0.2));
                Outcome { probability: 1.0 / count as f64, next, reward, terminated }
            };
            (0..count).map(each).collect()
        };
        let starts = vec![1.0 / states as f64; states];
        let mdp = rl::environments::Mdp::new(actions, starts, &mut happens).unwrap();
        for discount in [1.0, 0.9, 0.0] {
            let found = policy_iteration(&mdp, discount, 1e-10);
            let right = value_iteration(&mdp, discount, 1e-10);
            assert_eq!(found.is_ok(), right.is_ok(), "{discount}: {found:?}, {right:?}");
            let (Ok(found), Ok(right)) = (found, right) else { continue };
            compared += 1;
            for (a, b) in found.values.iter().zip(&right.values) {
                assert!((a - b).abs() < 1e-6, "{discount}: {found:?}, {right:?}");
            }
        }
    }
    assert!(compared > 3000, "{compared}");
}

/// Asks to stop at the so many-th question.
struct StopAt(std::cell::Cell<i64>);

impl Observer for StopAt {
    fn observe(&mut self, _event: &Event<'_>) {}

    fn wants_stop(&self) -> bool {
        self.0.set(self.0.get() - 1);
        self.0.get() < 0
    }
}

#[test]
fn an_evaluation_that_was_stopped_is_made_up_for() {
    let config = DqnConfig::new().with_hidden(vec![8]).with_learning_starts(20).with_batch_size(8);
    let config = config.with_buffer(200).with_learning_rate(3e-2).with_exploration_steps(100);
    let poles = |seed| CartPole::make_vec(1, seed).unwrap();
    let fresh = |folder: &std::path::Path| {
        let mut environments = poles(5);
        let evaluation = PeriodicEvaluation::new(poles(9), 50, 3, 3).unwrap();
        let agent = config.init(environments.spaces(), &device()).unwrap().evaluated_by(evaluation);
        let checkpoints = Checkpoints::open(folder).unwrap();
        (agent.resume_in(checkpoints, 1000, &mut environments).unwrap(), environments)
    };
    let points =
        |agent: &Dqn| agent.run().history().curve("eval_reward_mean").unwrap().points.clone();
    let folder = tempfile::tempdir().unwrap();
    let (mut whole, mut environments) = fresh(folder.path());
    whole.learn(&mut environments, Budget::steps(300), &mut Silent).unwrap();
    let mut stopped = 0;
    for at in (5..1200).step_by(67) {
        let folder = tempfile::tempdir().unwrap();
        let (mut agent, mut environments) = fresh(folder.path());
        let mut observer = StopAt(std::cell::Cell::new(at));
        let learned = agent.learn(&mut environments, Budget::steps(300), &mut observer).unwrap();
        drop(agent);
        stopped += u32::from(learned.steps < 300);
        let (mut agent, mut environments) = fresh(folder.path());
        agent.learn(&mut environments, Budget::steps(300), &mut Silent).unwrap();
        assert_eq!(agent.best(), whole.best(), "stopped at question {at}");
        assert_eq!(points(&agent), points(&whole), "stopped at question {at}");
    }
    assert!(stopped > 5, "{stopped}");
}

/// Continuous actions, and a mask that has nothing to forbid.
#[derive(Debug, Clone)]
struct EmptyMask(Pendulum);

impl Environment for EmptyMask {
    type Observation = <Pendulum as Environment>::Observation;
    type Action = <Pendulum as Environment>::Action;

    fn spaces(&self) -> Spaces {
        self.0.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<Self::Observation> {
        self.0.reset(seed)
    }

    fn step(&mut self, action: &Self::Action) -> Result<Step<Self::Observation>> {
        self.0.step(action)
    }

    fn mask(&self) -> Option<&[bool]> {
        Some(&[])
    }

    fn state(&self) -> Result<serde_json::Value> {
        self.0.state()
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        self.0.restore(state)
    }
}

#[test]
fn a_mask_of_nothing_is_none() {
    let pool = || {
        let world = EmptyMask(Pendulum::new().limit(Some(20)));
        SyncVectorEnvironment::new(vec![world.clone(), world], 3).unwrap()
    };
    assert_eq!(check(&mut EmptyMask(Pendulum::new())), []);
    let folder = tempfile::tempdir().unwrap();
    let td3 = Td3Config::new().with_hidden(vec![4]).with_learning_starts(10).with_batch_size(8);
    for _ in 0..2 {
        let mut pool = pool();
        let checkpoints = Checkpoints::open(folder.path()).unwrap();
        let agent = td3.init(pool.spaces(), &device()).unwrap();
        let mut agent = agent.resume_in(checkpoints, 30, &mut pool).unwrap();
        agent.learn(&mut pool, Budget::steps(agent.steps() + 60), &mut Silent).unwrap();
    }
    let sac = SacConfig::new().with_hidden(vec![4]).with_gradient_steps(0);
    assert!(text(sac.init(&Pendulum::new().spaces(), &device())).contains("`gradient_steps`"));
}

/// Counts its steps, fails once, and says nothing of its state.
#[derive(Debug, Clone)]
struct Fails {
    at: u64,
    broken_at: u64,
    resets: u64,
}

impl Environment for Fails {
    type Observation = [f64; 1];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1e6), action: Space::Discrete(2) }
    }

    fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
        (self.at, self.resets) = (0, self.resets + 1);
        Ok([0.0])
    }

    fn step(&mut self, _action: &usize) -> Result<Step<[f64; 1]>> {
        self.at += 1;
        if self.at == self.broken_at && self.resets < 2 {
            return Err(Error::Ended);
        }
        Ok(Step::new([self.at as f64], 1.0))
    }
}

#[test]
fn a_pool_in_which_one_has_failed_wants_a_reset() {
    let worlds = [u64::MAX, 4].map(|broken_at| Fails { at: 0, broken_at, resets: 0 });
    let mut pool = SyncVectorEnvironment::new(worlds.to_vec(), 1).unwrap();
    let actions = rl::vector::Actions::Indices(&[0, 1]);
    for _ in 0..3 {
        pool.step(actions).unwrap();
    }
    assert!(matches!(pool.step(actions), Err(Error::Ended)));
    assert!(matches!(pool.step(actions), Err(Error::Broken)));
    pool.reset(1).unwrap();
    pool.step(actions).unwrap();
    assert_eq!(pool.observations(), [1.0, 1.0]);
    // What cannot be saved is known before it is trained on.
    let folder = tempfile::tempdir().unwrap();
    let agent = DqnConfig::new().init(pool.spaces(), &device()).unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let error = text(agent.resume_in(checkpoints, 100_000, &mut pool));
    assert!(error.contains("cannot save"), "{error}");
}

/// Its mask grows in mid-episode.
#[derive(Debug, Clone)]
struct BadMask(CartPole, u32);

impl Environment for BadMask {
    type Observation = [f64; 4];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        self.0.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 4]> {
        self.1 = 0;
        self.0.reset(seed)
    }

    fn step(&mut self, action: &usize) -> Result<Step<[f64; 4]>> {
        self.1 += 1;
        self.0.step(action)
    }

    fn mask(&self) -> Option<&[bool]> {
        if self.1 > 3 { Some(&[true; 3]) } else { None }
    }
}

#[test]
fn a_mask_of_another_length_within_a_wrapper_is_an_error() {
    let allow = |_: &BadMask, _: &[f64; 4], _: &mut [bool]| {};
    let mut masked = ActionMask::new(BadMask(CartPole::new(), 0), allow);
    masked.reset(1).unwrap();
    for _ in 0..3 {
        masked.step(&1).unwrap();
    }
    assert!(matches!(masked.step(&1), Err(Error::Mask { .. })));
    assert!(!check(&mut masked).is_empty());
}

/// Episodes of a few steps whose restored state forgets something.
#[derive(Debug, Clone)]
struct Forgets {
    at: u64,
    length: u64,
    secret: u64,
}

impl Environment for Forgets {
    type Observation = [f64; 1];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1e6), action: Space::Discrete(2) }
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 1]> {
        (self.at, self.secret) = (1, seed % 100);
        Ok([self.secret as f64])
    }

    fn step(&mut self, _action: &usize) -> Result<Step<[f64; 1]>> {
        if self.at == 0 {
            return Err(Error::Ended);
        }
        let observation = [(self.secret + self.at) as f64];
        let ended = self.at >= self.length;
        self.at = if ended { 0 } else { self.at + 1 };
        Ok(Step::new(observation, self.secret as f64).truncated(ended))
    }

    fn state(&self) -> Result<serde_json::Value> {
        rl::environment::to_state(&self.at)
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        (self.at, self.secret) = (rl::environment::from_state(state)?, 7);
        Ok(())
    }
}

#[test]
fn restoring_is_checked_in_short_episodes_too() {
    for length in [1, 2, 3, 5, 8, 40] {
        let found = check(&mut Forgets { at: 0, length, secret: 0 });
        let restores = found.iter().any(|breach| matches!(breach, Breach::Restore(_)));
        assert!(restores, "{length}: {found:?}");
    }
}

#[derive(Module, Debug)]
struct One {
    layer: Linear,
}

impl Body for One {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        self.layer.forward(rows)
    }
}

#[test]
fn networks_that_cannot_learn_or_act_are_refused() {
    let frozen = One { layer: LinearConfig::new(4, 2).init(&device()) }.no_grad();
    let error = text(Network::from_module(frozen, 4, 2));
    assert!(error.contains("gradient"), "{error}");
    let spaces = CartPole::new().spaces();
    let hidden =
        |widths: Vec<usize>| text(DqnConfig::new().with_hidden(widths).init(&spaces, &device()));
    for widths in [vec![usize::MAX], vec![1 << 40], vec![1 << 20, 1 << 20], vec![0]] {
        assert!(hidden(widths).contains("`hidden`"));
    }
    for quantiles in [0, 1 << 62, 1 << 63] {
        let config = DqnConfig::new().with_dueling(true).with_quantiles(Some(quantiles));
        assert!(text(config.init(&spaces, &device())).contains("`quantiles`"));
    }
}

#[test]
fn counts_that_no_machine_has_are_refused() {
    let huge = usize::MAX / 16;
    let errors = [
        text(CartPole::make_vec(huge, 1)),
        text(Advertising::new(AdvertisingConfig { ads: huge, ..AdvertisingConfig::default() })),
        text(FrameStack::new(CartPole::new(), huge)),
        text(LinUcb::new(2, huge, 1.0)),
        text(ReplayBuffer::new(huge, 1, 1)),
        text(rl::environments::Mdp::new(usize::MAX, vec![0.5; 2], |_, _| Vec::new())),
    ];
    for (error, field) in
        errors.iter().zip(["`count`", "`ads`", "`count`", "`features`", "`capacity`", "actions"])
    {
        assert!(error.contains(field), "{error}");
    }
    assert!(text(Normalize::new(MountainCar::new()).rewards(f64::NAN)).contains("`discount`"));
    assert!(text(Normalize::new(MountainCar::new()).rewards(2.0)).contains("`discount`"));
    let part = || Space::Discrete(2);
    let twins = Space::Dict(vec![("a".to_owned(), part()), ("a".to_owned(), part())]);
    let spaces = Spaces { observation: twins, action: part() };
    assert!(text(spaces.check()).contains("a name each"));
}
