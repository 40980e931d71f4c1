//! Agents whose networks are modules of the user's own.
#![cfg(feature = "burn")]
#![allow(clippy::float_cmp, missing_docs, clippy::print_stdout)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use model_utils::checkpoint::Checkpoints;
use model_utils::device::{DeviceSpec, seed};
use model_utils::layers::LayerNorm;
use model_utils::ops;
use model_utils::train::{Budget, Silent};
use model_utils::weights::State;
use rl::deep::{
    Agent, Body, Dqn, DqnConfig, Network, NetworkShape, Ppo, PpoConfig, Sac, SacConfig,
};
use rl::environments::Pendulum;
use rl::random::Random;
use rl::vector::{SyncVectorEnvironment, VectorEnvironment};
use rl::{Environment, Policy, Result, Space, Spaces, Step, evaluate};

fn device() -> Device {
    "flex".parse::<DeviceSpec>().unwrap().open().unwrap()
}

/// What the device draws, for weights and dropout, comes from one generator of the process: one test
/// at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ten by ten places of four planes. One of the planes has a bright square: which, is the action to
/// take.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Planes {
    random: Random,
    wanted: usize,
    left: u32,
}

const SIDE: usize = 10;
const PLANES: usize = 4;

impl Planes {
    fn many(count: usize) -> SyncVectorEnvironment<Self> {
        let new = || Self { random: Random::new(0), wanted: 0, left: 0 };
        SyncVectorEnvironment::new((0..count).map(|_| new()).collect(), 1).unwrap()
    }

    /// `[height, width, planes]` as 400 numbers.
    fn draw(&mut self) -> Vec<f64> {
        self.wanted = self.random.below(PLANES);
        let [top, left] = [0; 2].map(|_| self.random.below(SIDE - 3));
        let mut picture = vec![0.0; SIDE * SIDE * PLANES];
        for row in top..top + 3 {
            for column in left..left + 3 {
                picture[(row * SIDE + column) * PLANES + self.wanted] = 1.0;
            }
        }
        picture
    }
}

impl Environment for Planes {
    type Observation = Vec<f64>;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        let observation = Space::symmetric(SIDE * SIDE * PLANES, 1.0);
        Spaces { observation, action: Space::Discrete(PLANES) }
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        self.random = Random::new(seed);
        self.left = 20;
        Ok(self.draw())
    }

    fn step(&mut self, action: &usize) -> Result<Step<Vec<f64>>> {
        let reward = f64::from(u8::from(*action == self.wanted));
        self.left -= 1;
        let observation = self.draw();
        Ok(Step::new(observation, reward).truncated(self.left == 0))
    }

    fn state(&self) -> Result<serde_json::Value> {
        rl::environment::to_state(self)
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        *self = rl::environment::from_state(state)?;
        Ok(())
    }
}

/// Convolution, layer norm, dropout: what a perceptron has not.
#[derive(Module, Debug)]
struct Seeing {
    convolution: Conv2d,
    norm: LayerNorm,
    dropout: Dropout,
    head: Linear,
}

impl Seeing {
    fn new(outputs: usize, device: &Device) -> Self {
        let features = 8 * 4 * 4;
        Self {
            convolution: Conv2dConfig::new([PLANES, 8], [3, 3]).with_stride([2, 2]).init(device),
            norm: LayerNorm::new(features, 1e-5, device),
            dropout: DropoutConfig::new(0.1).init(),
            head: LinearConfig::new(features, outputs).init(device),
        }
    }
}

impl Body for Seeing {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let pictures = rows.reshape([-1, SIDE as i32, SIDE as i32, PLANES as i32]);
        let planes = ops::conv2d(&self.convolution, pictures.permute([0, 3, 1, 2]));
        let features = ops::layer_norm(&self.norm, ops::relu(planes).flatten::<2>(1, 3));
        ops::linear(&self.head, self.dropout.forward(features))
    }
}

fn seeing(shape: &NetworkShape) -> Result<Network> {
    let device = device();
    seed(&device, 3);
    Network::from_module(Seeing::new(shape.outputs, &device), shape.inputs, shape.outputs)
}

fn dqn() -> DqnConfig {
    DqnConfig::new()
        .with_learning_rate(2e-3)
        .with_learning_starts(64)
        .with_batch_size(32)
        .with_exploration_steps(500)
        .with_target_every(100)
        .with_discount(0.0)
}

fn ppo() -> PpoConfig {
    PpoConfig::new().with_steps(32).with_epochs(4).with_learning_rate(3e-3).with_discount(0.0)
}

fn score<A: Agent + Policy<Vec<f64>, usize>>(agent: &A) -> f64 {
    let world = Planes::many(1);
    let mut world = world.environments().next().unwrap().clone();
    let score = evaluate(agent, &mut world, 10, 3).unwrap();
    println!("{}: {score}", A::MODEL);
    score.mean()
}

/// Learns a task of pictures, and comes back from a file bit for bit.
fn learns<A: Agent + Policy<Vec<f64>, usize>>(config: &A::Config, steps: u64) {
    let mut worlds = Planes::many(4);
    let mut agent = A::from_networks(config, worlds.spaces(), &device(), &mut seeing).unwrap();
    agent.learn(&mut worlds, Budget::steps(steps), &mut Silent).unwrap();
    assert!(score(&agent) >= 18.0);

    let folder = tempfile::tempdir().unwrap();
    let paths = ["first", "second"].map(|name| folder.path().join(name));
    agent.save(&paths[0]).unwrap();
    let loaded = A::load_with(&paths[0], &device(), &mut seeing).unwrap();
    loaded.save(&paths[1]).unwrap();
    let [first, second] = paths.each_ref().map(|path| State::open(path).unwrap().0.tensors);
    assert_eq!(first.len(), second.len());
    for (name, entry) in first {
        entry.data.assert_eq(&second[&name].data, true);
    }
    assert_eq!(score(&agent), score(&loaded));
    let error = A::load(&paths[0], &device()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(".0.weight` is missing"), "{error}");
}

#[test]
fn convolutional_networks_learn_and_are_saved() {
    let _alone = alone();
    learns::<Dqn>(&dqn(), 3000);
    learns::<Ppo>(&ppo(), 6000);
    learns::<Ppo>(&ppo().with_shared(true), 6000);
}

fn resumes<A: Agent>(config: &A::Config, half: u64) {
    let fresh = |worlds: &SyncVectorEnvironment<Planes>| {
        A::from_networks(config, worlds.spaces(), &device(), &mut seeing).unwrap()
    };
    // What dropout draws is the process's: reseeded at the same step.
    let (mut worlds, device) = (Planes::many(2), device());
    let mut through = fresh(&worlds);
    through.learn(&mut worlds, Budget::steps(half), &mut Silent).unwrap();
    seed(&device, 4);
    through.learn(&mut worlds, Budget::steps(2 * half), &mut Silent).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let open = || Checkpoints::open(folder.path()).unwrap();
    let mut first = Planes::many(2);
    let mut agent = fresh(&first).resume_in(open(), 2 * half, &mut first).unwrap();
    agent.learn(&mut first, Budget::steps(half), &mut Silent).unwrap();
    drop(agent);
    let mut second = Planes::many(2);
    let mut agent = fresh(&second).resume_in(open(), 2 * half, &mut second).unwrap();
    assert_eq!(agent.steps(), half);
    seed(&device, 4);
    agent.learn(&mut second, Budget::steps(2 * half), &mut Silent).unwrap();
    let bits = |agent: &A| agent.fingerprint().unwrap();
    assert_eq!(bits(&agent), bits(&through), "{}", A::MODEL);
}

#[test]
fn modules_resume_bit_for_bit() {
    let _alone = alone();
    resumes::<Dqn>(&dqn(), 200);
    resumes::<Ppo>(&ppo(), 128);
}

#[test]
fn every_network_of_an_agent_is_built_by_name() {
    let _alone = alone();
    let worlds = Pendulum::make_vec(1, 0).unwrap();
    let device = device();
    let mut shapes = Vec::new();
    let mut build = |shape: &NetworkShape| {
        shapes.push((shape.name, shape.inputs, shape.outputs));
        let linear = Headed { used: linear(shape.inputs, shape.outputs), unused: None };
        Network::from_module(linear, shape.inputs, shape.outputs)
    };
    let config = SacConfig::new().with_batch_size(16).with_learning_starts(16);
    let mut agent: Sac = config.init_with(worlds.spaces(), &device, &mut build).unwrap();
    let mut worlds = worlds;
    agent.learn(&mut worlds, Budget::steps(40), &mut Silent).unwrap();
    let error = config.with_state_dependent(Some(-2.0));
    let error = error.init_with(worlds.spaces(), &device, &mut build).unwrap_err().to_string();
    assert!(error.contains("state_dependent"), "{error}");
    assert_eq!(shapes[..3], [("actor", 3, 2), ("critic_1", 4, 1), ("critic_2", 4, 1)]);

    let mut wide = |_: &NetworkShape| {
        Network::from_module(Headed { used: linear(400, 5), unused: None }, 400, 5)
    };
    let error = dqn().init_with(Planes::many(1).spaces(), &device, &mut wide).unwrap_err();
    let text = "`q` takes 400 and gives 5 numbers, expected 400 and 4";
    assert!(error.to_string().contains(text), "{error}");
}

fn linear(inputs: usize, outputs: usize) -> Linear {
    LinearConfig::new(inputs, outputs).init(&device())
}

/// A layer, and perhaps one that nothing reads.
#[derive(Module, Debug)]
struct Headed {
    used: Linear,
    unused: Option<Linear>,
}

impl Body for Headed {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        ops::linear(&self.used, rows)
    }
}

#[derive(Module, Debug)]
struct Normed {
    linear: Linear,
    norm: BatchNorm,
}

impl Body for Normed {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        ops::batch_norm(&self.norm, ops::linear(&self.linear, rows))
    }
}

#[derive(Module, Debug)]
struct Bare {
    dropout: Dropout,
}

impl Body for Bare {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(rows)
    }
}

#[test]
fn modules_that_cannot_work_are_refused_by_name() {
    let _alone = alone();
    let refused = |network: Result<Network>, texts: &[&str]| {
        let error = network.unwrap_err().to_string();
        assert!(texts.iter().all(|text| error.contains(text)), "{error}");
    };
    let plain = || Headed { used: linear(3, 2), unused: None };
    assert!(Network::from_module(plain(), 3, 2).is_ok());
    refused(Network::from_module(plain(), 3, 4), &["[2, 2]", "[2, 4]"]);
    refused(Network::from_module(plain(), 5, 2), &["[2, 5]", "linear"]);
    let unused = Headed { used: linear(3, 2), unused: Some(linear(3, 7)) };
    refused(Network::from_module(unused, 3, 2), &["`unused.weight`"]);
    let norm = BatchNormConfig::new(2).init(&device());
    let before = norm.running_mean.value();
    let normed = Normed { linear: linear(3, 2), norm: norm.clone() };
    refused(Network::from_module(normed, 3, 2), &["`norm.running_mean`", "batch norm"]);
    before.into_data().assert_eq(&norm.running_mean.value().into_data(), true);
    let bare = Bare { dropout: DropoutConfig::new(0.5).init() };
    refused(Network::from_module(bare, 2, 2), &["no parameters"]);
}

/// As the device and its layers have it, on the same weights and in both modes.
#[test]
fn networks_of_modules_compute_what_the_module_does() {
    let _alone = alone();
    let module = Seeing::new(PLANES, &device());
    let mut random = Random::new(9);
    let rows: Vec<f32> = (0..3 * 400).map(|_| random.normal() as f32).collect();
    let x = Tensor::<1>::from_floats(&rows[..], &device()).reshape([3, 400]);
    let expected = ops::to_vec(module.valid().forward(x));
    let network = Network::from_module(module, 400, PLANES).unwrap();
    assert_eq!(network.forward(&rows), expected);
}
