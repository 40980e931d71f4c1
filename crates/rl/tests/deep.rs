//! Agents with networks: what a user can see.
#![cfg(feature = "burn")]
#![allow(missing_docs, clippy::print_stdout)]

use burn::tensor::Device;
use model_utils::checkpoint::Checkpoints;
use model_utils::device::DeviceSpec;
use model_utils::train::{Budget, Event, Observer, Silent, Stop, StopReason};
use rl::deep::{
    A2cConfig, Agent, DqnConfig, PpoConfig, Reinforce, ReinforceConfig, SacConfig, Td3Config,
};
use rl::environments::{CartPole, FrozenLake, Maze, Pendulum};
use rl::vector::{Actions, SyncVectorEnvironment, VectorEnvironment};
use rl::wrappers::TimeLimit;
use rl::{Environment, Error, Policy, Result, Space, Spaces, Step, evaluate};

fn device() -> Device {
    "flex".parse::<DeviceSpec>().unwrap().open().unwrap()
}

/// Says which action pays 1; a hundred steps an episode.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Identity {
    random: rl::random::Random,
    wanted: usize,
    left: u32,
}

impl Identity {
    fn new() -> Self {
        Self { random: rl::random::Random::new(0), wanted: 0, left: 0 }
    }
}

impl Environment for Identity {
    type Observation = usize;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::Discrete(2), action: Space::Discrete(2) }
    }

    fn reset(&mut self, seed: u64) -> Result<usize> {
        self.random = rl::random::Random::new(seed);
        (self.wanted, self.left) = (self.random.below(2), 100);
        Ok(self.wanted)
    }

    fn step(&mut self, action: &usize) -> Result<Step<usize>> {
        let reward = f64::from(u8::from(*action == self.wanted));
        self.wanted = self.random.below(2);
        self.left -= 1;
        Ok(Step::new(self.wanted, reward).truncated(self.left == 0))
    }

    fn state(&self) -> Result<serde_json::Value> {
        rl::environment::to_state(self)
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        *self = rl::environment::from_state(state)?;
        Ok(())
    }
}

/// As [`Identity`], for a number: the reward is 1 less the distance.
#[derive(Debug, Clone)]
struct Track(Identity);

impl Environment for Track {
    type Observation = [f64; 1];
    type Action = [f64; 1];

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1.0), action: Space::symmetric(1, 1.0) }
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 1]> {
        Ok([self.0.reset(seed)? as f64 - 0.5])
    }

    fn step(&mut self, action: &[f64; 1]) -> Result<Step<[f64; 1]>> {
        let distance = (action[0] - (self.0.wanted as f64 - 0.5)).abs();
        let mut step = self.0.step(&0)?.map(|wanted| [wanted as f64 - 0.5]);
        step.reward = 1.0 - distance;
        Ok(step)
    }
}

fn identities(count: usize) -> SyncVectorEnvironment<Identity> {
    SyncVectorEnvironment::new((0..count).map(|_| Identity::new()).collect(), 1).unwrap()
}

fn learns<A: Agent + Policy<usize, usize>>(config: &A::Config, steps: u64) {
    let mut many = identities(4);
    let mut agent = A::from_config(config, many.spaces(), &device()).unwrap();
    agent.learn(&mut many, Budget::steps(steps), &mut Silent).unwrap();
    let evaluation = evaluate(&agent, &mut Identity::new(), 5, 3).unwrap();
    println!("{}: {evaluation}", A::MODEL);
    assert!(evaluation.mean() >= 90.0, "{}: {evaluation}", A::MODEL);
}

#[test]
fn every_agent_learns_to_do_as_it_is_told() {
    let quick = DqnConfig::new()
        .with_hidden(vec![32])
        .with_learning_rate(3e-3)
        .with_learning_starts(100)
        .with_exploration_steps(500)
        .with_discount(0.0);
    learns::<rl::deep::Dqn>(&quick, 2000);
    learns::<rl::deep::Dqn>(
        &quick
            .clone()
            .with_double(true)
            .with_dueling(true)
            .with_n_step(2)
            .with_prioritized(Some(0.6)),
        2000,
    );
    learns::<rl::deep::Dqn>(&quick.with_quantiles(Some(5)), 2000);
    let ppo = PpoConfig::new().with_steps(64).with_learning_rate(3e-3).with_discount(0.5);
    learns::<rl::deep::Ppo>(&ppo, 2000);
    learns::<rl::deep::A2c>(&A2cConfig::new().with_learning_rate(3e-3).with_discount(0.5), 2000);
    let reinforce =
        ReinforceConfig::new().with_steps(25).with_learning_rate(1e-2).with_discount(0.5);
    learns::<Reinforce>(&reinforce, 2000);
}

#[test]
fn agents_of_numbers_follow_numbers() {
    let track = || Track(Identity::new());
    let mut many = SyncVectorEnvironment::new((0..4).map(|_| track()).collect(), 1).unwrap();
    let ppo = PpoConfig::new().with_steps(64).with_learning_rate(3e-3).with_discount(0.0);
    let mut ppo = ppo.with_log_std(-0.7).init(many.spaces(), &device()).unwrap();
    ppo.learn(&mut many, Budget::steps(8000), &mut Silent).unwrap();
    let score = evaluate(&ppo, &mut track(), 5, 3).unwrap();
    println!("ppo: {score}");
    assert!(score.mean() >= 85.0, "{score}");
    let sac = SacConfig::new().with_hidden(vec![32, 32]).with_learning_rate(3e-3);
    let mut sac = sac.with_discount(0.0).init(many.spaces(), &device()).unwrap();
    sac.learn(&mut many, Budget::steps(2000), &mut Silent).unwrap();
    let score = evaluate(&sac, &mut track(), 5, 3).unwrap();
    println!("sac: {score}");
    assert!(score.mean() >= 85.0, "{score}");
    assert!(sac.temperature() < 1.0);
    for td3 in [Td3Config::new(), Td3Config::ddpg()] {
        let td3 = td3.with_hidden(vec![32, 32]).with_learning_rate(3e-3).with_discount(0.0);
        let mut td3 = td3.init(many.spaces(), &device()).unwrap();
        td3.learn(&mut many, Budget::steps(2000), &mut Silent).unwrap();
        let score = evaluate(&td3, &mut track(), 5, 3).unwrap();
        println!("td3: {score}");
        assert!(score.mean() >= 85.0, "{score}");
    }
}

/// An episode of one step without reward, which is cut off or ends.
#[derive(Debug, Clone)]
struct OneStep<A> {
    terminates: bool,
    action: std::marker::PhantomData<A>,
    space: Space,
}

impl<A> OneStep<A> {
    fn new(terminates: bool, space: Space) -> Self {
        Self { terminates, action: std::marker::PhantomData, space }
    }
}

impl<A: Clone + std::fmt::Debug + Send> Environment for OneStep<A> {
    type Observation = [f64; 1];
    type Action = A;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1.0), action: self.space.clone() }
    }

    fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
        Ok([1.0])
    }

    fn step(&mut self, _action: &A) -> Result<Step<[f64; 1]>> {
        let terminated = self.terminates;
        // The final observation is the first one again, so that its value feeds itself.
        Ok(Step::new([1.0], 1.0).terminated(terminated).truncated(!terminated))
    }
}

/// The reward is 1 a step. A terminated episode is worth 1; a truncated one, whose final
/// observation is worth as much as the first, 1 / (1 − γ) = 2. An agent that merges the two, or
/// bootstraps through the first observation of the next episode where one has terminated, gives
/// both the same value.
#[test]
fn bootstrapping_is_cut_by_termination_alone() {
    let discrete = |terminates| OneStep::<usize>::new(terminates, Space::Discrete(2));
    for (terminates, worth) in [(true, 1.0), (false, 2.0)] {
        let many = || {
            SyncVectorEnvironment::new((0..4).map(|_| discrete(terminates)).collect(), 1).unwrap()
        };
        let near = |found: f32, what: &str| {
            println!("{what}, terminates {terminates}: {found}");
            assert!((found - worth).abs() < 0.15, "{what}: {found}, expected {worth}");
        };
        for (n_step, quantiles) in [(1, None), (3, None), (1, Some(5))] {
            let config = DqnConfig::new().with_hidden(vec![16]).with_learning_rate(1e-2);
            let config = config.with_quantiles(quantiles);
            let config = config.with_discount(0.5).with_target_every(20).with_n_step(n_step);
            let config = config.with_learning_starts(64).with_exploration_steps(100);
            let mut dqn = config.init(many().spaces(), &device()).unwrap();
            dqn.learn(&mut many(), Budget::steps(3000), &mut Silent).unwrap();
            near(dqn.values(&[1.0])[0], "dqn");
        }
        let rates = |steps| (steps, 5e-3, 0.5);
        let (steps, rate, discount) = rates(16);
        let ppo = PpoConfig::new().with_steps(steps).with_learning_rate(rate);
        let mut ppo = ppo.with_discount(discount).init(many().spaces(), &device()).unwrap();
        ppo.learn(&mut many(), Budget::steps(4000), &mut Silent).unwrap();
        near(ppo.networks().values(&[1.0])[0], "ppo");
        let a2c = A2cConfig::new().with_learning_rate(rate).with_discount(discount);
        let mut a2c = a2c.init(many().spaces(), &device()).unwrap();
        a2c.learn(&mut many(), Budget::steps(8000), &mut Silent).unwrap();
        near(a2c.networks().values(&[1.0])[0], "a2c");
        let reinforce = ReinforceConfig::new().with_steps(8).with_learning_rate(rate);
        let mut reinforce =
            reinforce.with_discount(discount).init(many().spaces(), &device()).unwrap();
        reinforce.learn(&mut many(), Budget::steps(8000), &mut Silent).unwrap();
        near(reinforce.networks().values(&[1.0])[0], "reinforce");

        let space = Space::symmetric(1, 1.0);
        let mut many = SyncVectorEnvironment::new(
            (0..4).map(|_| OneStep::<[f64; 1]>::new(terminates, space.clone())).collect(),
            1,
        )
        .unwrap();
        let sac = SacConfig::new().with_hidden(vec![16]).with_learning_rate(1e-2);
        let sac = sac.with_discount(0.5).with_tau(0.1).with_temperature(1e-4);
        let sac = sac.with_target_entropy(Some(-9.0)).with_batch_size(64);
        let mut sac = sac.init(many.spaces(), &device()).unwrap();
        sac.learn(&mut many, Budget::steps(3000), &mut Silent).unwrap();
        near(sac.value(&[1.0], &[0.0]), "sac");
        let td3 = Td3Config::new().with_hidden(vec![16]).with_learning_rate(1e-2);
        let td3 = td3.with_discount(0.5).with_tau(0.1).with_batch_size(64);
        let mut td3 = td3.init(many.spaces(), &device()).unwrap();
        td3.learn(&mut many, Budget::steps(3000), &mut Silent).unwrap();
        near(td3.value(&[1.0], &[0.0]), "td3");
    }
}

/// Asks to stop at the first news of a step that is not before this one.
struct StopAt(u64, Stop);

impl Observer for StopAt {
    fn observe(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Step { step, .. } | Event::Saved { step, .. } if *step >= self.0)
        {
            self.1.stop();
        }
    }

    fn wants_stop(&self) -> bool {
        self.1.is_stopped()
    }
}

fn resumes<A: Agent>(config: &A::Config, make: impl Fn() -> Box<dyn VectorEnvironment>, half: u64) {
    let fresh = || A::from_config(config, make().spaces(), &device()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut environments, mut through) = (make(), fresh());
    through.learn(environments.as_mut(), Budget::steps(2 * half), &mut Silent).unwrap();

    // Saved now and then, and where it is asked to stop.
    let open = || Checkpoints::open(folder.path()).unwrap();
    let mut first = make();
    let mut agent = fresh().resume_in(open(), half / 3, first.as_mut()).unwrap();
    let mut stop = StopAt(half, Stop::new());
    let learned = agent.learn(first.as_mut(), Budget::steps(2 * half), &mut stop).unwrap();
    assert_eq!(learned.reason, StopReason::Asked);
    assert!(learned.or_stopped().unwrap_err().to_string().contains("stopped at step"));
    drop(agent);
    let mut second = make();
    let mut agent = fresh().resume_in(open(), half / 3, second.as_mut()).unwrap();
    assert!(agent.steps() >= half && agent.steps() < 2 * half);
    agent.learn(second.as_mut(), Budget::steps(2 * half), &mut Silent).unwrap();

    assert_eq!(agent.fingerprint().unwrap(), through.fingerprint().unwrap(), "{}", A::MODEL);
    assert_eq!(second.state().unwrap(), environments.state().unwrap(), "{}", A::MODEL);
}

#[test]
fn n_steps_a_resume_and_n_steps_are_2n_steps_bit_for_bit() {
    let poles = || Box::new(CartPole::make_vec(3, 5).unwrap()) as Box<dyn VectorEnvironment>;
    let small = DqnConfig::new().with_hidden(vec![16]).with_learning_starts(100);
    let small = small.with_batch_size(16).with_buffer(400).with_exploration_steps(500);
    resumes::<rl::deep::Dqn>(&small, poles, 601);
    let all = small.with_double(true).with_dueling(true).with_n_step(3).with_prioritized(Some(0.6));
    resumes::<rl::deep::Dqn>(&all, poles, 601);
    resumes::<rl::deep::Dqn>(&all.with_quantiles(Some(3)), poles, 601);
    let ppo = PpoConfig::new().with_hidden(vec![16]).with_steps(20).with_batch_size(16);
    let ppo = ppo.with_epochs(2).with_anneal_steps(Some(5000)).with_normalize_observations(true);
    resumes::<rl::deep::Ppo>(&ppo.with_normalize_rewards(true), poles, 500);
    resumes::<rl::deep::A2c>(&A2cConfig::new().with_hidden(vec![16]), poles, 300);
    resumes::<Reinforce>(&ReinforceConfig::new().with_steps(20), poles, 300);
    let pendulums = || Box::new(Pendulum::make_vec(2, 5).unwrap()) as Box<dyn VectorEnvironment>;
    let sac = SacConfig::new().with_hidden(vec![16]).with_batch_size(16).with_noise(0.1);
    resumes::<rl::deep::Sac>(&sac, pendulums, 301);
    let td3 = Td3Config::new().with_hidden(vec![16]).with_batch_size(16);
    resumes::<rl::deep::Td3>(&td3, pendulums, 301);
    let explores = sac.with_state_dependent(Some(-2.0)).with_train_every(7);
    resumes::<rl::deep::Sac>(&explores.with_learn_temperature(false), pendulums, 301);
}

#[test]
fn saved_agents_act_as_before_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.safetensors");
    let mut poles = CartPole::make_vec(2, 5).unwrap();
    let config = PpoConfig::new().with_steps(32).with_normalize_observations(true);
    let mut agent = config.init(poles.spaces(), &device()).unwrap();
    agent.learn(&mut poles, Budget::steps(200), &mut Silent).unwrap();
    agent.save(&path).unwrap();
    let again = rl::deep::Ppo::load(&path, &device()).unwrap();
    let both = |agent: &rl::deep::Ppo| evaluate(agent, &mut CartPole::new(), 5, 1).unwrap();
    assert_eq!(both(&agent), both(&again));

    let error = rl::deep::Dqn::load(&path, &device()).unwrap_err();
    assert!(error.to_string().contains("rl::ppo, expected rl::dqn"), "{error}");

    let open = |name| Checkpoints::open(folder.path().join(name)).unwrap();
    let run = open("run");
    let mut kept = config.init(poles.spaces(), &device()).unwrap();
    kept = kept.resume_in(run.clone(), 1000, &mut poles).unwrap();
    kept.learn(&mut poles, Budget::steps(64), &mut Silent).unwrap();
    let other = PpoConfig::new().with_hidden(vec![32]).init(poles.spaces(), &device()).unwrap();
    let error = other.resume_in(run.clone(), 1000, &mut poles).unwrap_err().to_string();
    assert!(error.contains("hidden") || error.contains("[32]"), "{error}");
    let other = DqnConfig::new().init(poles.spaces(), &device()).unwrap();
    let error = other.resume_in(run.clone(), 1000, &mut poles).unwrap_err().to_string();
    assert!(error.contains("a run of `ppo`, expected `dqn`"), "{error}");
    let anew = config_dqn().resume_in(open("none"), 1000, &mut poles).unwrap();
    assert_eq!(anew.steps(), 0);
}

fn config_dqn() -> rl::deep::Dqn {
    DqnConfig::new().init(CartPole::make_vec(1, 0).unwrap().spaces(), &device()).unwrap()
}

#[test]
fn what_cannot_work_is_refused() {
    let poles = CartPole::make_vec(1, 0).unwrap();
    let spaces = poles.spaces();
    let text = |error: Option<Error>| error.unwrap().to_string();
    let dqn = |config: DqnConfig| text(config.init(spaces, &device()).err());
    let batch = dqn(DqnConfig::new().with_batch_size(65).with_buffer(64));
    assert!(batch.contains("`batch_size` is 65, expected at most the buffer, 64"), "{batch}");
    assert!(dqn(DqnConfig::new().with_n_step(0)).contains("n_step"));
    assert!(dqn(DqnConfig::new().with_hidden(vec![0])).contains("hidden"));
    assert!(dqn(DqnConfig::new().with_prioritized(Some(2.0))).contains("prioritized"));
    assert!(dqn(DqnConfig::new().with_learning_rate(f64::NAN)).contains("learning_rate"));
    let error = text(SacConfig::new().init(spaces, &device()).err());
    assert!(error.contains("action space is one of 0..2, expected numbers"), "{error}");
    let pendulum = Pendulum::make_vec(1, 0).unwrap();
    let error = text(DqnConfig::new().init(pendulum.spaces(), &device()).err());
    assert!(error.contains("expected an index"), "{error}");
    assert!(PpoConfig::new().with_steps(0).init(spaces, &device()).is_err());
    assert!(PpoConfig::new().with_batch_size(1).init(spaces, &device()).is_err());
    assert!(PpoConfig::new().with_entropy(f64::INFINITY).init(spaces, &device()).is_err());
    assert!(PpoConfig::new().with_value(f64::INFINITY).init(spaces, &device()).is_err());
    let noisy = SacConfig::new().with_noise(f64::INFINITY);
    assert!(text(noisy.init(pendulum.spaces(), &device()).err()).contains("`noise` is inf"));
    let ranked = DqnConfig::new().with_prioritized(Some(f64::NAN));
    assert!(text(ranked.init(spaces, &device()).err()).contains("`prioritized` is NaN"));

    let mut agent = config_dqn();
    let error = agent.update().unwrap_err();
    assert!(matches!(error, Error::Batch { batch: 64, stored: 0 }), "{error}");
    let mut other = Pendulum::make_vec(1, 0).unwrap();
    let error = agent.learn(&mut other, Budget::steps(1), &mut Silent).unwrap_err();
    assert!(matches!(error, Error::Spaces { .. }), "{error}");
    let act: Result<usize> = agent.act(&[f64::NAN; 4], None);
    assert!(matches!(act, Err(Error::NotFinite { what: "observation", .. })));
    let mut pendulum = Pendulum::make_vec(1, 0).unwrap();
    assert!(pendulum.step(Actions::Numbers(&[f64::NAN])).is_err());
}

/// The policy never takes what the mask forbids, and finds the way among the rest.
#[test]
fn masked_actions_are_never_taken() {
    let maze = Maze::three_by_three();
    let world = || TimeLimit::new(maze.environment(), 50).unwrap();
    let mut many = SyncVectorEnvironment::new((0..8).map(|_| world()).collect(), 1).unwrap();
    assert_eq!(many.masks().unwrap().len(), 8 * 9);
    let config = PpoConfig::new().with_steps(64).with_learning_rate(3e-3).with_discount(0.9);
    let config = config.with_normalize_rewards(true).with_entropy(0.01);
    let mut agent = config.init(many.spaces(), &device()).unwrap();
    // A forbidden action would be an error of the maze.
    agent.learn(&mut many, Budget::steps(10_000), &mut Silent).unwrap();
    let evaluation = evaluate(&agent, &mut world(), 3, 1).unwrap();
    assert_eq!(evaluation.lengths, [4; 3]);
    let config = DqnConfig::new().with_hidden(vec![32]).with_learning_rate(3e-3);
    let config = config.with_discount(0.9).with_learning_starts(100).with_exploration_steps(3000);
    let mut agent = config.init(many.spaces(), &device()).unwrap();
    agent.learn(&mut many, Budget::steps(6000), &mut Silent).unwrap();
    let evaluation = evaluate(&agent, &mut world(), 3, 1).unwrap();
    assert_eq!(evaluation.lengths, [4; 3]);
}

#[test]
fn a_budget_that_ends_no_run_is_refused() {
    let mut poles = CartPole::make_vec(1, 1).unwrap();
    let mut waves = Pendulum::make_vec(1, 1).unwrap();
    let mut dqn = DqnConfig::new().init(poles.spaces(), &device()).unwrap();
    let mut ppo = PpoConfig::new().init(poles.spaces(), &device()).unwrap();
    let mut sac = SacConfig::new().init(waves.spaces(), &device()).unwrap();
    for budget in [Budget::default(), Budget::epochs(1)] {
        for error in [
            dqn.learn(&mut poles, budget, &mut Silent).unwrap_err(),
            ppo.learn(&mut poles, budget, &mut Silent).unwrap_err(),
            sac.learn(&mut waves, budget, &mut Silent).unwrap_err(),
        ] {
            assert!(error.to_string().contains("a limit of steps or episodes or time"), "{error}");
        }
    }
}

#[test]
fn observers_are_told_and_may_stop_a_run() {
    #[derive(Default)]
    struct Watch {
        rewards: usize,
        steps: u64,
        finished: Option<StopReason>,
    }
    impl Observer for Watch {
        fn observe(&mut self, event: &Event<'_>) {
            self.rewards += usize::from(event.metric("episode_reward_mean").is_some());
            match event {
                Event::Step { step, .. } => self.steps = *step,
                Event::Finished { reason, .. } => self.finished = Some(*reason),
                _ => {}
            }
        }

        fn wants_stop(&self) -> bool {
            self.steps >= 512
        }
    }
    let mut poles = CartPole::make_vec(4, 5).unwrap();
    let mut agent = PpoConfig::new().with_steps(32).init(poles.spaces(), &device()).unwrap();
    let mut watch = Watch::default();
    let learned = agent.learn(&mut poles, Budget::steps(100_000), &mut watch).unwrap();
    assert_eq!((learned.reason, learned.steps), (StopReason::Asked, 512));
    assert!(watch.rewards > 0 && watch.finished == Some(StopReason::Asked));
    assert!(learned.episodes > 0 && learned.recent_reward > 5.0);
}

#[test]
fn agents_of_the_lake_read_one_hot_rows() {
    let lake = TimeLimit::new(FrozenLake::four_by_four().environment(), 100).unwrap();
    let many = SyncVectorEnvironment::new(vec![lake.clone(), lake], 1).unwrap();
    let agent = A2cConfig::new().init(many.spaces(), &device()).unwrap();
    let action: usize = agent.act(&3, None).unwrap();
    assert!(action < 4);
    let wrong: Result<[f64; 1]> = agent.act(&3, None);
    assert!(matches!(wrong, Err(Error::Action { .. })));
}
