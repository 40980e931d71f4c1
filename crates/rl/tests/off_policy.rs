//! Agents that learn from a replay: what a user can see.
#![cfg(feature = "burn")]
#![allow(missing_docs, clippy::float_cmp)] // Exact values are meant.

use burn::tensor::Device;
use model_utils::device::DeviceSpec;
use model_utils::train::{Budget, Silent};
use rl::deep::{Agent, Dqn, DqnConfig, Sac, SacConfig, Td3Config};
use rl::environments::{CartPole, Pendulum};
use rl::vector::{SyncVectorEnvironment, VectorEnvironment};
use rl::{Environment, Policy, Result, Space, Spaces, Step};
use serde::{Deserialize, Serialize};

fn device() -> Device {
    "flex".parse::<DeviceSpec>().unwrap().open().unwrap()
}

/// Pays the same at each step, and shows how many have been made, or nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counter {
    pays: f64,
    shows: bool,
    steps: u32,
}

impl Counter {
    fn many(pays: f64, shows: bool, count: usize) -> SyncVectorEnvironment<Self> {
        let one = Self { pays, shows, steps: 0 };
        SyncVectorEnvironment::new(vec![one; count], 1).unwrap()
    }

    fn observation(&self) -> [f64; 1] {
        [if self.shows { f64::from(self.steps) } else { 1.0 }]
    }
}

impl Environment for Counter {
    type Observation = [f64; 1];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1e9), action: Space::Discrete(2) }
    }

    fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
        self.steps = 0;
        Ok(self.observation())
    }

    fn step(&mut self, _action: &usize) -> Result<Step<[f64; 1]>> {
        self.steps += 1;
        let (observation, reward) = (self.observation(), self.pays);
        Ok(Step::new(observation, reward))
    }

    fn state(&self) -> Result<serde_json::Value> {
        rl::environment::to_state(self)
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        *self = rl::environment::from_state(state)?;
        Ok(())
    }
}

/// The rewards, discounts and what was seen after, of all that an agent remembers.
fn remembered(agent: &Dqn) -> Vec<(f32, f32, f32)> {
    let columns = agent.replay().columns();
    let column = |name| &columns.iter().find(|(known, _)| *known == name).unwrap().1;
    let rows = column("replay_rewards").iter().zip(column("replay_discounts"));
    rows.zip(column("replay_nexts")).map(|((r, d), n)| (*r, *d, *n)).collect()
}

/// Three steps at once, of which two are pending where learning ends.
fn three_steps(environments: &mut SyncVectorEnvironment<Counter>, until: u64) -> Dqn {
    let config = DqnConfig::new().with_n_step(3).with_discount(0.5).with_hidden(vec![4]);
    let mut agent = config.init(environments.spaces(), &device()).unwrap();
    agent.learn(environments, Budget::steps(until), &mut Silent).unwrap();
    agent
}

#[test]
fn no_transition_leads_from_one_world_into_another() {
    for shows in [true, false] {
        for count in [1, 2] {
            let mut first = Counter::many(1.0, shows, 1);
            let mut agent = three_steps(&mut first, 10);
            assert_eq!(agent.replay().len(), 8);
            let mut second = Counter::many(100.0, shows, count);
            agent.learn(&mut second, Budget::steps(20), &mut Silent).unwrap();
            let seen = remembered(&agent);
            let last = if shows { 10.0 } else { 1.0 };
            assert_eq!(seen[8..10], [(1.5, 0.25, last), (1.0, 0.5, last)]);
            assert_eq!(seen.len(), 20 - 2 * count);
            for (number, (reward, _, _)) in seen.iter().enumerate() {
                assert_eq!(*reward > 2.0, number >= 10, "{seen:?}");
            }
        }
    }
}

#[test]
fn pending_steps_are_closed_where_somebody_else_moved_the_world() {
    for shows in [true, false] {
        let mut world = Counter::many(1.0, shows, 1);
        let mut agent = three_steps(&mut world, 10);
        agent.learn(&mut world, Budget::steps(12), &mut Silent).unwrap();
        // Nobody else was there: all are of three steps.
        assert!(remembered(&agent).iter().all(|(reward, _, _)| *reward == 1.75));
        assert_eq!(agent.replay().len(), 10);
        world.reset(7).unwrap();
        agent.learn(&mut world, Budget::steps(16), &mut Silent).unwrap();
        let rewards: Vec<f32> = remembered(&agent).iter().map(|seen| seen.0).collect();
        assert_eq!(rewards[10..], [1.5, 1.0, 1.75, 1.75]);
    }
}

#[test]
fn updates_follow_steps_however_many_environments_there_are() {
    let dqn = DqnConfig::new().with_hidden(vec![4]).with_batch_size(16).with_learning_starts(100);
    let dqn = dqn.with_train_every(7).with_gradient_steps(2).with_target_every(9).with_n_step(3);
    let sac = SacConfig::new().with_hidden(vec![4]).with_batch_size(8).with_learning_starts(6);
    let td3 = Td3Config::new().with_hidden(vec![4]).with_batch_size(8).with_learning_starts(20);
    let td3 = td3.with_train_every(5).with_gradient_steps(3);
    for count in [1, 8, 32] {
        let mut poles = CartPole::make_vec(count, 3).unwrap();
        let mut agent = dqn.init(poles.spaces(), &device()).unwrap();
        let learned = agent.learn(&mut poles, Budget::steps(3200), &mut Silent).unwrap();
        // At each seventh step, the first of them the hundred and fifth.
        assert_eq!((learned.steps, learned.updates), (3200, 2 * (457 - 14)), "{count}");
        let mut pendulums = Pendulum::make_vec(count, 3).unwrap();
        let mut agent = sac.init(pendulums.spaces(), &device()).unwrap();
        let learned = agent.learn(&mut pendulums, Budget::steps(3200), &mut Silent).unwrap();
        assert_eq!((learned.steps, learned.updates), (3200, 3192), "{count}");
        let mut agent = td3.init(pendulums.spaces(), &device()).unwrap();
        let learned = agent.learn(&mut pendulums, Budget::steps(3200), &mut Silent).unwrap();
        assert_eq!((learned.steps, learned.updates), (3200, 3 * (640 - 4)), "{count}");
    }
}

#[test]
fn a_saved_agent_keeps_its_temperature() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.safetensors");
    let mut pendulums = Pendulum::make_vec(2, 5).unwrap();
    for explores in [None, Some(-2.0)] {
        let config = SacConfig::new().with_hidden(vec![8]).with_batch_size(16);
        let config = config.with_learning_rate(1e-2).with_state_dependent(explores);
        let mut agent = config.init(pendulums.spaces(), &device()).unwrap();
        agent.learn(&mut pendulums, Budget::steps(300), &mut Silent).unwrap();
        assert!((agent.temperature() - 1.0).abs() > 0.1);
        agent.save(&path).unwrap();
        let again = Sac::load(&path, &device()).unwrap();
        assert_eq!(again.temperature(), agent.temperature());
        assert_eq!(again.value(&[1.0, 0.0, 0.5], &[0.1]), agent.value(&[1.0, 0.0, 0.5], &[0.1]));
    }
}

/// Two states in turn. In the first the second action pays 5; in the second it is forbidden.
#[derive(Debug, Clone)]
struct Forbidding {
    second: bool,
    steps: u32,
}

impl Environment for Forbidding {
    type Observation = [f64; 1];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1.0), action: Space::Discrete(2) }
    }

    fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
        (self.second, self.steps) = (false, 0);
        Ok([1.0])
    }

    fn step(&mut self, action: &usize) -> Result<Step<[f64; 1]>> {
        assert!(!self.second || *action == 0, "a forbidden action");
        let reward = if *action == 1 { 5.0 } else { 0.0 };
        self.second = !self.second;
        self.steps += 1;
        // Half of the episodes' ends are in the second state.
        let (observation, truncated) = ([if self.second { 0.5 } else { 1.0 }], self.steps == 7);
        Ok(Step::new(observation, reward).truncated(truncated))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.second.then_some(&[true, false])
    }
}

/// Half the reward of the first state comes back two steps later: 5 / (1 − ¼). What the forbidden
/// action would bring is nowhere seen, and looks like what it brings in the first state.
#[test]
fn targets_count_no_forbidden_action() {
    let world = Forbidding { second: false, steps: 0 };
    for n_step in [1, 2] {
        let mut many = SyncVectorEnvironment::new(vec![world.clone(); 2], 1).unwrap();
        let config = DqnConfig::new().with_hidden(vec![16]).with_learning_rate(5e-3);
        let config = config.with_discount(0.5).with_target_every(20).with_learning_starts(64);
        let config = config.with_exploration_steps(2000).with_n_step(n_step);
        for config in [config.clone(), config.with_double(true)] {
            let mut agent = config.init(many.spaces(), &device()).unwrap();
            agent.learn(&mut many, Budget::steps(6000), &mut Silent).unwrap();
            let (first, second) = (agent.values(&[1.0]), agent.values(&[0.5]));
            assert!((first[1] - 20.0 / 3.0).abs() < 0.2, "{first:?}");
            assert!(second[1] > second[0], "{second:?}");
            let action: usize = agent.act(&[0.5], Some(&[true, false])).unwrap();
            assert_eq!(action, 0);
        }
    }
}
