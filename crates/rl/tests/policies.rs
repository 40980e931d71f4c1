//! Policies over any space, what they refuse, and how they are judged while they learn.
#![cfg(feature = "burn")]
#![allow(missing_docs, clippy::float_cmp)] // Exact values are meant.

use burn::tensor::Device;
use model_utils::checkpoint::Checkpoints;
use model_utils::device::DeviceSpec;
use model_utils::ops;
use model_utils::train::{Budget, Event, Observer, Silent};
use rl::deep::{
    A2cConfig, Agent, DqnConfig, PeriodicEvaluation, Ppo, PpoConfig, Rollout, SacConfig,
};
use rl::environments::{Acrobot, CartPole, MountainCar, Pendulum};
use rl::random::Random;
use rl::vector::{Actions, SyncVectorEnvironment, VectorEnvironment};
use rl::wrappers::ActionRange;
use rl::{Environment, Error, Policy, Result, Space, Spaces, Step, evaluate};

fn device() -> Device {
    "flex".parse::<DeviceSpec>().unwrap().open().unwrap()
}

/// An index, a number in 2..=6, two bits, a number without ends.
fn mixed() -> Spaces {
    let infinity = f64::INFINITY;
    let parts = vec![
        ("index".to_owned(), Space::Discrete(3)),
        ("number".to_owned(), Space::Continuous { low: vec![2.0], high: vec![6.0] }),
        ("bits".to_owned(), Space::MultiBinary(2)),
        ("free".to_owned(), Space::Continuous { low: vec![-infinity], high: vec![infinity] }),
    ];
    Spaces { observation: Space::symmetric(2, 1.0), action: Space::Dict(parts) }
}

/// A policy with an opinion: its weights drawn at random.
fn opinionated(config: &PpoConfig) -> Ppo {
    let mut agent = config.init(&mixed(), &device()).unwrap();
    let path = tempfile::NamedTempFile::new().unwrap();
    agent.save(path.path()).unwrap();
    // The last layer begins near 0; one step of learning is no opinion, so the file's is scaled.
    let bytes = std::fs::read(path.path()).unwrap();
    let scaled = scale_last_layers(&bytes);
    std::fs::write(path.path(), scaled).unwrap();
    agent = Ppo::load(path.path(), &device()).unwrap();
    agent
}

/// Makes the smallest weights of a SafeTensors file a hundred times as large.
fn scale_last_layers(bytes: &[u8]) -> Vec<u8> {
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut all = bytes[..header].to_vec();
    for word in bytes[header..].chunks(4) {
        let value = f32::from_le_bytes(word.try_into().unwrap());
        let value = if value.abs() < 0.01 { 100.0 * value } else { value };
        all.extend(value.to_le_bytes());
    }
    all
}

#[test]
fn distributions_are_what_they_draw() {
    let agent = opinionated(&PpoConfig::new().with_log_std(-0.3));
    let seen = [0.7, -0.4];
    let mask = [true, false, true, true, true, true, false];
    let policy = agent.distribution(&seen, Some(&mask)).unwrap();
    let probabilities = policy.probabilities();
    assert_eq!(probabilities.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 2]);
    assert!(probabilities[0][1] == 0.0 && probabilities[2] == [1.0, 0.0]);
    let mode = policy.mode();
    let most = usize::from(probabilities[0][2] > probabilities[0][0]) * 2;
    assert_eq!((mode[0], mode[3]), (most as f64, 0.0));

    let mut random = Random::new(3);
    let count = 20_000;
    let (mut counts, mut surprise, mut sums) = ([0.0; 3], 0.0, [0.0; 2]);
    for _ in 0..count {
        let drawn = policy.sample(&mut random);
        assert!(drawn[0] != 1.0 && drawn[3] == 0.0 && (2.0..=6.0).contains(&drawn[1]));
        counts[drawn[0] as usize] += 1.0 / f64::from(count);
        surprise -= policy.log_prob(&drawn) / f64::from(count);
        sums[0] += drawn[4] / f64::from(count);
        sums[1] += (drawn[4] - mode[4]).powi(2) / f64::from(count);
    }
    for (found, expected) in counts.iter().zip(&probabilities[0]) {
        assert!((found - expected).abs() < 0.015, "{counts:?} {probabilities:?}");
    }
    let deviation = (-0.3_f64).exp();
    assert!((sums[0] - mode[4]).abs() < 0.02 && (sums[1].sqrt() - deviation).abs() < 0.02);
    // Drawn numbers are clipped, which the density is not: a little less surprise.
    let entropy = policy.entropy();
    assert!(surprise < entropy + 0.02 && surprise > entropy - 0.4, "{surprise} {entropy}");

    // By hand: Σ log p + log N(z; μ, σ) − ln(half a range).
    let action = [2.0, 4.5, 1.0, 0.0, 0.25];
    let normal = |z: f64, mean: f64| {
        -0.5 * ((z - mean) / deviation).powi(2) + 0.3 - 0.5 * std::f64::consts::TAU.ln()
    };
    let expected =
        probabilities[0][2].ln() + probabilities[1][1].ln() + normal(0.25, (mode[1] - 4.0) / 2.0)
            - 2.0_f64.ln()
            + normal(0.25, mode[4]);
    assert!((policy.log_prob(&action) - expected).abs() < 1e-5);
    assert_eq!(policy.log_prob(&[1.0, 4.5, 1.0, 0.0, 0.25]), f64::NEG_INFINITY);
    assert!(policy.log_prob(&action[1..]).is_nan() && policy.log_prob(&[0.5; 5]).is_nan());
}

/// What the live networks say is what the policy on the host says, with one network or two.
#[test]
fn rows_are_judged_as_they_were_drawn() {
    for shared in [false, true] {
        let config = PpoConfig { shared, ..PpoConfig::new().with_log_std(-0.3) };
        let agent = opinionated(&config);
        let mut rollout = Rollout::default();
        let mut random = Random::new(5);
        let mut masks = Vec::new();
        let mut entropy = 0.0;
        for row in 0..6 {
            let seen = [random.uniform() as f32, random.uniform() as f32];
            let mask = [true, row % 2 == 0, true, true, true, true, row % 3 > 0];
            let wide = seen.map(f64::from);
            let policy = agent.distribution(&wide, Some(&mask)).unwrap();
            entropy += policy.entropy() / 6.0;
            let drawn = policy.sample(&mut random);
            // As rows hold them: numbers in halves of their range from the middle.
            let held = [drawn[0], (drawn[1] - 4.0) / 2.0, drawn[2], drawn[3], drawn[4]];
            rollout.actions.extend(held.map(|x| x as f32));
            rollout.log_probs.push((policy.log_prob(&drawn) + 2.0_f64.ln()) as f32);
            rollout.observations.extend(seen);
            rollout.values.extend(agent.networks().values(&seen));
            rollout.advantages.push(0.0);
            rollout.returns.push(0.0);
            masks.extend(mask);
        }
        rollout.masks = Some(masks);
        let rows = agent.rows(&rollout, &[0, 1, 2, 3, 4, 5]);
        let judged = agent.live().judge(&rows);
        let found = ops::to_vec(judged.entropy().inner())[0];
        // In halves of the range, not in units of the world.
        assert!((f64::from(found) + 2.0_f64.ln() - entropy).abs() < 1e-4, "{found} {entropy}");
        for (a, b) in ops::to_vec(judged.log_probs.inner()).iter().zip(&rollout.log_probs) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        for (a, b) in ops::to_vec(judged.values.inner()).iter().zip(&rollout.values) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

/// Follow a number; refuses what is outside by the least bit.
#[derive(Debug, Clone)]
struct Follow {
    low: f64,
    high: f64,
    wanted: f64,
    left: u32,
    random: Random,
}

impl Follow {
    fn new(low: f64, high: f64) -> Self {
        Self { low, high, wanted: 0.0, left: 0, random: Random::new(0) }
    }
}

impl Environment for Follow {
    type Observation = [f64; 1];
    type Action = [f64; 1];

    fn spaces(&self) -> Spaces {
        let action = Space::Continuous { low: vec![self.low], high: vec![self.high] };
        Spaces { observation: Space::symmetric(1, 1.0), action }
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 1]> {
        self.random = Random::new(seed);
        (self.wanted, self.left) = (self.random.uniform_in(-0.9..0.9), 20);
        Ok([self.wanted])
    }

    fn step(&mut self, [action]: &[f64; 1]) -> Result<Step<[f64; 1]>> {
        if *action < self.low || *action > self.high {
            let expected = format!("in {}..={}", self.low, self.high);
            return Err(Error::Action { action: action.to_string(), expected });
        }
        let (middle, half) = (f64::midpoint(self.low, self.high), (self.high - self.low) / 2.0);
        let error = (action - middle) / half - self.wanted;
        self.wanted = self.random.uniform_in(-0.9..0.9);
        self.left -= 1;
        Ok(Step::new([self.wanted], -error * error).truncated(self.left == 0))
    }
}

fn follows(
    world: impl Fn() -> Box<dyn Environment<Observation = [f64; 1], Action = [f64; 1]> + Send>,
) -> f64 {
    let mut many = SyncVectorEnvironment::new((0..8).map(|_| world()).collect(), 1).unwrap();
    let config = PpoConfig::new().with_steps(64).with_learning_rate(3e-3).with_discount(0.0);
    let mut agent = config.with_log_std(-0.5).init(many.spaces(), &device()).unwrap();
    agent.learn(&mut many, Budget::steps(12_000), &mut Silent).unwrap();
    evaluate(&agent, &mut world(), 20, 3).unwrap().mean()
}

#[test]
fn actions_are_learned_in_units_of_their_range_and_never_leave_it() {
    let narrow = follows(|| Box::new(Follow::new(0.0, 0.1)));
    let wide = follows(|| Box::new(Follow::new(-20.0, 80.0)));
    let plain = follows(|| Box::new(Follow::new(-1.0, 1.0)));
    // A policy that stays in the middle: −5.4.
    assert!(plain > -0.6, "{plain}");
    for other in [narrow, wide] {
        assert!((other - plain).abs() < 0.05 * plain.abs(), "{narrow} {wide} {plain}");
    }
    let config = SacConfig::new().with_hidden(vec![16]).with_batch_size(16);
    let world = || Follow::new(-0.1, 0.1);
    let mut many = SyncVectorEnvironment::new(vec![world(), world()], 1).unwrap();
    let mut agent = config.with_noise(2.0).init(many.spaces(), &device()).unwrap();
    agent.learn(&mut many, Budget::steps(600), &mut Silent).unwrap();
    evaluate(&agent, &mut world(), 3, 1).unwrap();
    let mut small = ActionRange::rescaled(world()).unwrap();
    small.reset(1).unwrap();
    small.step(&vec![1.0]).unwrap();
}

/// Several amounts to choose at once, seen through a structure.
#[derive(Debug, Clone)]
struct Orders {
    wanted: Wanted,
    left: u32,
    random: Random,
}

#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    amounts: [usize; 2],
    urgent: [bool; 1],
}
rl::element!(Wanted { amounts, urgent });

impl Environment for Orders {
    type Observation = Wanted;
    type Action = ([usize; 2], [bool; 1]);

    fn spaces(&self) -> Spaces {
        let (counts, bit) = (Space::MultiDiscrete(vec![3, 4]), Space::MultiBinary(1));
        let seen = vec![("amounts".to_owned(), counts.clone()), ("urgent".to_owned(), bit.clone())];
        Spaces { observation: Space::Dict(seen), action: Space::Tuple(vec![counts, bit]) }
    }

    fn reset(&mut self, seed: u64) -> Result<Wanted> {
        (self.random, self.left) = (Random::new(seed), 20);
        self.want();
        Ok(self.wanted.clone())
    }

    fn step(&mut self, (amounts, urgent): &Self::Action) -> Result<Step<Wanted>> {
        if self.left == 0 {
            return Err(Error::Ended);
        }
        let hits = amounts.iter().zip(&self.wanted.amounts).filter(|(a, b)| a == b).count();
        let reward = hits as f64 + f64::from(u8::from(*urgent == self.wanted.urgent));
        self.want();
        self.left -= 1;
        let served = reward / 3.0;
        Ok(Step::new(self.wanted.clone(), reward).truncated(self.left == 0).info("served", served))
    }
}

impl Orders {
    fn new() -> Self {
        let wanted = Wanted { amounts: [0; 2], urgent: [false] };
        Self { wanted, left: 0, random: Random::new(0) }
    }

    fn want(&mut self) {
        let amounts = [self.random.below(3), self.random.below(4)];
        self.wanted = Wanted { amounts, urgent: [self.random.bernoulli(0.5)] };
    }
}

/// Metrics by name.
#[derive(Default)]
struct Heard(std::collections::BTreeMap<String, f64>);

impl Observer for Heard {
    fn observe(&mut self, event: &Event<'_>) {
        if let Event::Step { metrics, .. } = event {
            self.0.extend(metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        }
    }
}

#[test]
fn structures_and_several_choices_are_learned_with_the_fields_metrics() {
    let mut many = SyncVectorEnvironment::new((0..8).map(|_| Orders::new()).collect(), 1).unwrap();
    assert_eq!(rl::check(&mut Orders::new()), []);
    let mut heard = Heard::default();
    for shared in [false, true] {
        let config = PpoConfig { shared, ..PpoConfig::new() };
        let config = config.with_steps(64).with_learning_rate(3e-3).with_discount(0.0);
        let mut agent = config.init(many.spaces(), &device()).unwrap();
        agent.learn(&mut many, Budget::steps(50_000), &mut heard).unwrap();
        let score = evaluate(&agent, &mut Orders::new(), 10, 3).unwrap();
        // At random 21.7, at best 60.
        assert!(score.mean() > 50.0, "{score}");
        let drawn = evaluate(&agent.stochastic(1), &mut Orders::new(), 10, 3).unwrap();
        assert!(drawn.mean() > 40.0, "{drawn}");
    }
    for name in [
        "entropy",
        "explained_variance",
        "approx_kl",
        "clip_fraction",
        "policy_loss",
        "value_loss",
        "learning_rate",
        "steps_per_s",
        "info_served",
    ] {
        assert!(heard.0.get(name).is_some_and(|value| value.is_finite()), "{name}: {:?}", heard.0);
    }
    assert!(heard.0["info_served"] > 0.6 && heard.0["explained_variance"] <= 1.0);
    let error = DqnConfig::new().init(many.spaces(), &device()).err().unwrap().to_string();
    assert!(error.contains("action space is (2 indices below [3, 4]; 1 bits)"), "{error}");
}

#[test]
fn agents_refuse_what_is_not_of_their_world() {
    let poles = CartPole::make_vec(2, 1).unwrap();
    let agent = PpoConfig::new().init(poles.spaces(), &device()).unwrap();
    let dqn = DqnConfig::new().init(poles.spaces(), &device()).unwrap();
    let waves = Pendulum::make_vec(2, 1).unwrap();
    let sac = SacConfig::new().init(waves.spaces(), &device()).unwrap();
    let says = |result: Result<usize>, word: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    says(agent.act(&[0.0; 6], None), "is 6 numbers, expected 4 numbers");
    says(dqn.act(&[0.0; 2], None), "is 2 numbers, expected 4 numbers");
    says(agent.act(&3_usize, None), "is 1 numbers, expected 4 numbers");
    says(agent.act(&[0.0; 4], Some(&[true; 3])), "mask is 3 entries, expected 2 entries");
    says(dqn.act(&[0.0; 4], Some(&[false; 2])), "mask is all false");
    let act: Result<[f64; 1]> = sac.act(&[0.0; 2], None);
    assert!(act.unwrap_err().to_string().contains("is 2 numbers"));
    let error = evaluate(&agent, &mut Acrobot::new(), 1, 1).unwrap_err().to_string();
    assert!(error.contains("observation space is 6 numbers"), "{error}");
    let error = evaluate(&dqn, &mut MountainCar::new(), 1, 1).unwrap_err().to_string();
    assert!(error.contains("observation space is 2 numbers"), "{error}");
    let mut one = CartPole::make_vec(1, 1).unwrap();
    let mut agent = PpoConfig::new().with_steps(1).init(poles.spaces(), &device()).unwrap();
    let error = agent.learn(&mut one, Budget::steps(500), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("`steps` is 1, expected at least 2"), "{error}");
    let error = PpoConfig::new()
        .init(&Spaces { observation: Space::unbounded(0), action: Space::Discrete(2) }, &device());
    assert!(error.err().unwrap().to_string().contains("observation space"));
}

/// Pays for going right; at even steps only left is possible.
#[derive(Debug, Clone)]
struct OddlyMasked(u32, [bool; 2]);

impl Environment for OddlyMasked {
    type Observation = [f64; 1];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces { observation: Space::symmetric(1, 1.0), action: Space::Discrete(2) }
    }

    fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
        self.0 = 1;
        Ok([1.0])
    }

    fn step(&mut self, action: &usize) -> Result<Step<[f64; 1]>> {
        if *action == 1 && self.mask().is_some() {
            return Err(Error::Action { action: "1".to_owned(), expected: "0".to_owned() });
        }
        self.0 += 1;
        let seen = f64::from(self.0 % 2);
        Ok(Step::new([seen], *action as f64).truncated(self.0 > 32))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.0.is_multiple_of(2).then_some(&self.1)
    }
}

#[test]
fn masks_that_come_and_go_are_followed() {
    let world = || OddlyMasked(0, [true, false]);
    let mut many = SyncVectorEnvironment::new(vec![world(), world()], 1).unwrap();
    let config = A2cConfig::new().with_steps(9).with_learning_rate(1e-2).with_discount(0.0);
    let mut agent = config.init(many.spaces(), &device()).unwrap();
    agent.learn(&mut many, Budget::steps(4000), &mut Silent).unwrap();
    // Sixteen of 32 steps are free.
    assert_eq!(evaluate(&agent, &mut world(), 1, 1).unwrap().rewards, [16.0]);
}

/// The best state is kept, comes back with a resume, and what learning does is not touched by it.
#[test]
fn the_best_state_is_kept_while_learning() {
    let folder = tempfile::tempdir().unwrap();
    let config = PpoConfig::new().with_hidden(vec![16]).with_steps(32).with_learning_rate(3e-3);
    let config = config.with_normalize_observations(true);
    let poles = || CartPole::make_vec(4, 5).unwrap();
    let judges = || {
        let path = folder.path().join("best.safetensors");
        let judges = PeriodicEvaluation::new(CartPole::make_vec(3, 1).unwrap(), 1000, 7, 9);
        judges.unwrap().keep_best(path)
    };
    let fresh = || config.init(poles().spaces(), &device()).unwrap();
    let (mut worlds, mut through) = (poles(), fresh().evaluated_by(judges()));
    let mut heard = Heard::default();
    through.learn(&mut worlds, Budget::steps(6000), &mut heard).unwrap();
    let best = through.best().unwrap();
    let curve = through.run().history().curve("eval_reward_mean").unwrap().clone();
    assert!(curve.points.len() >= 6 && heard.0.contains_key("eval_reward_mean"));
    let most = curve.points.iter().map(|point| point.1).fold(0.0, f64::max);
    assert_eq!((best.mean, most > 40.0), (most, true));
    let (mut plain_worlds, mut plain) = (poles(), fresh());
    plain.learn(&mut plain_worlds, Budget::steps(6000), &mut Silent).unwrap();
    assert_eq!(plain.fingerprint().unwrap(), through.fingerprint().unwrap());

    let open = || Checkpoints::open(folder.path().join("run")).unwrap();
    let resumed = |worlds: &mut dyn VectorEnvironment| {
        fresh().evaluated_by(judges()).resume_in(open(), 2000, worlds).unwrap()
    };
    let mut worlds = poles();
    resumed(&mut worlds).learn(&mut worlds, Budget::steps(2500), &mut Silent).unwrap();
    let mut worlds = poles();
    let mut agent = resumed(&mut worlds);
    assert!(agent.best().is_some() && agent.steps() >= 2500 && agent.steps() < 3000);
    agent.learn(&mut worlds, Budget::steps(6000), &mut Silent).unwrap();
    assert_eq!(agent.fingerprint().unwrap(), through.fingerprint().unwrap());
    let (a, b) = (agent.become_best().unwrap().unwrap(), through.become_best().unwrap().unwrap());
    // All states that the undisturbed run was judged at, and that where the first part ended.
    assert!(a.mean >= b.mean, "{a:?} {b:?}");

    // What is kept acts as it was judged.
    let saved = Ppo::load(folder.path().join("best.safetensors"), &device()).unwrap();
    let both = |agent: &Ppo| evaluate(agent, &mut CartPole::new(), 5, 1).unwrap();
    assert_eq!(both(&saved), both(&agent));
    assert!(PeriodicEvaluation::new(poles(), 0, 7, 9).is_err());
    let others = PeriodicEvaluation::new(Pendulum::make_vec(1, 1).unwrap(), 10, 1, 1).unwrap();
    let error = fresh().evaluated_by(others).learn(&mut poles(), Budget::steps(200), &mut Silent);
    assert!(matches!(error, Err(Error::Spaces { .. })));
}

#[test]
fn passes_end_where_the_policy_has_moved_enough_and_values_are_clipped() {
    let passes = |target: Option<f64>, clip: Option<f64>| {
        let mut poles = CartPole::make_vec(4, 5).unwrap();
        let config = PpoConfig::new().with_steps(64).with_learning_rate(3e-3);
        let config = config.with_target_kl(target).with_clip_value(clip);
        let mut agent = config.init(poles.spaces(), &device()).unwrap();
        let mut heard = Heard::default();
        agent.learn(&mut poles, Budget::steps(512), &mut heard).unwrap();
        (heard.0["passes"], agent.networks().values(&[0.0; 4])[0])
    };
    let (all, free) = passes(None, None);
    let (few, _) = passes(Some(1e-4), None);
    assert!(all > 9.5 && few < 4.0, "{all} {few}");
    // Beyond the clip nothing pulls any more; what Adam still carries moves it on.
    let (_, clipped) = passes(None, Some(0.05));
    assert!(free > 10.0 && clipped < 3.0, "{free} {clipped}");
    assert!(PpoConfig::new().with_target_kl(Some(0.0)).init(&mixed(), &device()).is_err());
    let mut poles = CartPole::make_vec(1, 5).unwrap();
    assert!(poles.step(Actions::Indices(&[2])).is_err());
}
