//! Bandits against the tables of the literature and against numpy (`fixtures/bandits.py`).
#![allow(missing_docs, clippy::print_stdout)]

use std::collections::{BTreeMap, VecDeque};

use rl::bandits::{
    Bandit, Choice, EpsilonGreedy, Estimate, Exp3, KlUcb, LinUcb, Logged, Softmax,
    ThompsonBernoulli, ThompsonGaussian, ThompsonLinear, Ucb, doubly_robust, inverse_propensity,
    play, replay,
};
use rl::environments::{Advertising, AdvertisingConfig};
use rl::random::{Random, mix};
use rl::{ConfigError, Environment as _, Error};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

type Make = fn() -> Result<Box<dyn Bandit>, Error>;

/// Sutton and Barto's ten arms: mean reward and share of the best arm over the last 100 of 1,000
/// steps.
fn testbed(make: Make, runs: u64) -> (f64, f64) {
    let (mut sum, mut optimal) = (0.0, 0.0);
    for run in 0..runs {
        let mut random = Random::new(mix(11, run));
        let means: Vec<f64> = (0..10).map(|_| random.normal()).collect();
        let best = (0..10).fold(0, |a, b| if means[b] > means[a] { b } else { a });
        let mut bandit = make().unwrap();
        for step in 0..1000 {
            let choice = bandit.select(&[], &mut random).unwrap();
            let reward = means[choice.arm] + random.normal();
            bandit.update(&[], choice, reward).unwrap();
            if step >= 900 {
                sum += reward;
                optimal += f64::from(u8::from(choice.arm == best));
            }
        }
    }
    (sum / (runs as f64 * 100.0), 100.0 * optimal / (runs as f64 * 100.0))
}

#[test]
fn the_ten_armed_testbed_has_its_known_figures() {
    let rows: [(&str, Make, f64, f64); 6] = [
        ("greedy", || Ok(Box::new(EpsilonGreedy::new(10, 0.0)?)), 1.06, 38.0),
        ("epsilon 0.1", || Ok(Box::new(EpsilonGreedy::new(10, 0.1)?)), 1.34, 78.0),
        ("epsilon 0.01", || Ok(Box::new(EpsilonGreedy::new(10, 0.01)?)), 1.32, 62.0),
        ("optimistic", || Ok(Box::new(EpsilonGreedy::optimistic(10, 5.0, 0.1)?)), 1.48, 85.0),
        ("UCB", || Ok(Box::new(Ucb::with_width(10, 2.0)?)), 1.47, 86.0),
        ("Thompson", || Ok(Box::new(ThompsonGaussian::new(10, 1.0, 1.0)?)), 1.50, 90.0),
    ];
    for (name, make, reward, optimal) in rows {
        let (found, share) = testbed(make, 2000);
        println!("{name}: reward {found:.3}, {share:.1} % optimal");
        // 2,000 runs leave about 0.02 of the reward and 1 of the share to chance.
        assert!((found - reward).abs() < 0.06, "{name}: reward {found}, expected {reward}");
        assert!((share - optimal).abs() < 4.0, "{name}: {share} %, expected {optimal} %");
    }
}

fn regret(make: Make, rates: &[f64], runs: u64) -> f64 {
    let one = |run| {
        let mut bandit = make().unwrap();
        play(bandit.as_mut(), rates, 10_000, &mut Random::new(mix(5, run))).unwrap()[9_999]
    };
    (0..runs).map(one).sum::<f64>() / runs as f64
}

#[test]
fn regrets_are_those_of_the_reference() {
    let steep = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9];
    let rows: [(&str, Make, f64, f64, u64); 5] = [
        ("Thompson", || Ok(Box::new(ThompsonBernoulli::new(10)?)), 53.0, 7.0, 200),
        ("KL-UCB", || Ok(Box::new(KlUcb::new(10)?)), 90.0, 20.0, 20),
        ("UCB1", || Ok(Box::new(Ucb::new(10)?)), 402.0, 20.0, 50),
        ("epsilon 0.1", || Ok(Box::new(EpsilonGreedy::new(10, 0.1)?)), 402.0, 40.0, 100),
        ("EXP3", || Ok(Box::new(Exp3::new(10, 10_000)?)), 497.0, 0.0, 50),
    ];
    for (name, make, expected, spread, runs) in rows {
        let found = regret(make, &steep, runs);
        println!("{name}: regret {found:.0}");
        // Less regret is better; how much more chance leaves stands beside the figure.
        assert!(found < expected + spread, "{name}: {found}, expected {expected}");
    }
    let clicks = [0.02, 0.03, 0.04, 0.05, 0.06];
    let found = regret(|| Ok(Box::new(ThompsonBernoulli::new(5)?)), &clicks, 50);
    println!("Thompson on click rates: {found:.0}");
    assert!((found - 46.0).abs() < 14.0, "{found}");
}

/// Expected clicks a hundred impressions.
fn clicks(bandit: &mut dyn Bandit, seed: u64) -> f64 {
    let config = AdvertisingConfig { drift: 0.0, base_rate: 0.1, ..AdvertisingConfig::default() };
    let mut ads = Advertising::new(config).unwrap();
    let mut random = Random::new(seed);
    let mut person = ads.reset(seed).unwrap();
    let mut sum = 0.0;
    for step in 0..20_000 {
        let choice = bandit.select(&person, &mut random).unwrap();
        if step >= 10_000 {
            sum += ads.click_rates()[choice.arm];
        }
        let step = ads.step(&choice.arm).unwrap();
        bandit.update(&person, choice, step.reward).unwrap();
        person = step.observation;
    }
    sum / 100.0
}

#[test]
fn a_context_is_worth_clicks() {
    for seed in 0..3 {
        let with = clicks(&mut LinUcb::new(8, 5, 0.5).unwrap(), seed);
        let drawn = clicks(&mut ThompsonLinear::new(8, 5, 0.3).unwrap(), seed);
        let without = clicks(&mut ThompsonBernoulli::new(8).unwrap(), seed);
        println!(
            "seed {seed}: LinUCB {with:.2} %, linear Thompson {drawn:.2} %, Thompson {without:.2} %"
        );
        assert!(with > 1.05 * without, "seed {seed}: {with} and {without}");
        assert!(drawn > 1.05 * without, "seed {seed}: {drawn} and {without}");
    }
}

#[test]
fn bandits_without_arms_are_refused() {
    assert!(matches!(
        EpsilonGreedy::new(0, 0.1),
        Err(Error::Config(ConfigError { field: "arms", .. }))
    ));
    assert!(matches!(
        EpsilonGreedy::new(3, 1.1),
        Err(Error::Config(ConfigError { field: "epsilon", .. }))
    ));
    assert!(Exp3::new(3, 0).is_err() && Ucb::new(0).is_err() && KlUcb::new(0).is_err());
    assert!(ThompsonGaussian::new(3, 0.0, 1.0).is_err() && LinUcb::new(3, 0, 1.0).is_err());
    assert!(Softmax::new(3, 0.0).is_err() && ThompsonLinear::new(3, 2, 0.0).is_err());
    assert!(ThompsonBernoulli::new(3).unwrap().with_memory(0.0).is_err());
    assert!(Ucb::new(3).unwrap().with_window(0).is_err());
    assert!(LinUcb::new(3, 2, 1.0).unwrap().with_l2(0.0).is_err());
    assert!(EpsilonGreedy::optimistic(3, 1.0, 0.1).unwrap().with_memory(0.9).is_err());
    let inf = f64::INFINITY;
    assert!(Ucb::with_width(3, inf).is_err() && LinUcb::new(3, 2, inf).is_err());
    assert!(ThompsonGaussian::new(3, 1.0, inf).is_err());
    for config in [
        AdvertisingConfig { strength: inf, ..AdvertisingConfig::default() },
        AdvertisingConfig { drift: inf, ..AdvertisingConfig::default() },
    ] {
        assert!(Advertising::new(config).is_err());
    }
}

/// All of them, for two arms and a context of one number.
fn all() -> Vec<Box<dyn Bandit>> {
    vec![
        Box::new(EpsilonGreedy::new(2, 0.1).unwrap()),
        Box::new(EpsilonGreedy::optimistic(2, 1.0, 0.1).unwrap()),
        Box::new(Softmax::new(2, 0.1).unwrap()),
        Box::new(Ucb::new(2).unwrap()),
        Box::new(Ucb::with_width(2, 0.5).unwrap().with_memory(0.99).unwrap()),
        Box::new(Ucb::with_width(2, 0.5).unwrap().with_window(100).unwrap()),
        Box::new(KlUcb::new(2).unwrap()),
        Box::new(ThompsonBernoulli::new(2).unwrap()),
        Box::new(ThompsonGaussian::new(2, 1.0, 1.0).unwrap()),
        Box::new(Exp3::new(2, 200).unwrap()),
        Box::new(LinUcb::new(2, 1, 2.0).unwrap()),
        Box::new(ThompsonLinear::new(2, 1, 1.0).unwrap().with_memory(0.99).unwrap()),
    ]
}

fn field(result: Result<(), Error>) -> &'static str {
    match result {
        Err(Error::Config(ConfigError { field, .. })) => field,
        Err(Error::Action { .. }) => "arm",
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_is_refused_by_name_and_changes_nothing() {
    let sure = |arm| Choice { arm, propensity: Some(1.0) };
    for (at, bandit) in all().iter_mut().enumerate() {
        let unchanged = all()[at].select(&[1.0], &mut Random::new(3)).unwrap();
        for reward in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(field(bandit.update(&[1.0], sure(1), reward)), "reward");
        }
        assert_eq!(field(bandit.update(&[1.0], sure(2), 1.0)), "arm");
        for propensity in [f64::NAN, 0.0, -0.5, 1.5] {
            let choice = Choice { arm: 1, propensity: Some(propensity) };
            assert_eq!(field(bandit.update(&[1.0], choice, 1.0)), "propensity");
        }
        if bandit.features() > 0 {
            for context in [&[][..], &[1.0, 1.0], &[f64::NAN], &[f64::INFINITY]] {
                assert_eq!(field(bandit.update(context, sure(1), 1.0)), "context");
                assert_eq!(
                    field(bandit.select(context, &mut Random::new(1)).map(|_| ())),
                    "context"
                );
            }
            // A sum that is no number any more.
            assert_eq!(field(bandit.update(&[1e300], sure(1), 1e300)), "context");
            assert_eq!(
                field(play(bandit.as_mut(), &[0.1, 0.2], 1, &mut Random::new(1)).map(|_| ())),
                "features"
            );
        } else {
            for rates in [&[0.1][..], &[0.1, 0.2, 0.3], &[0.1, 1.5], &[-0.1, 0.5], &[f64::NAN, 0.5]]
            {
                let played = play(bandit.as_mut(), rates, 1, &mut Random::new(1));
                assert_eq!(field(played.map(|_| ())), "rates");
            }
        }
        assert_eq!(bandit.select(&[1.0], &mut Random::new(3)).unwrap(), unchanged, "bandit {at}");

        let mut random = Random::new(1);
        for _ in 0..200 {
            let choice = bandit.select(&[1.0], &mut random).unwrap();
            bandit.update(&[1.0], choice, choice.arm as f64).unwrap();
        }
        let right = (0..100).filter(|_| bandit.select(&[1.0], &mut random).unwrap().arm == 1);
        let right = right.count();
        assert!(right > 80, "bandit {at}: {right}");
    }
    // Bandits on shares know no others; EXP3 divides by the propensity.
    assert_eq!(field(KlUcb::new(2).unwrap().update(&[], sure(0), 1.5)), "reward");
    assert_eq!(field(ThompsonBernoulli::new(2).unwrap().update(&[], sure(0), -0.5)), "reward");
    assert_eq!(field(Exp3::new(2, 10).unwrap().update(&[], 0.into(), 0.5)), "propensity");
}

#[test]
fn the_largest_of_rewards_leave_bandits_alive() {
    for (at, bandit) in all().iter_mut().enumerate().filter(|(at, _)| ![6, 7, 9].contains(at)) {
        let mut random = Random::new(1);
        for reward in [f64::MAX, f64::MIN, f64::MAX, 0.0, 1e-310, 1.0] {
            let choice = bandit.select(&[1e-3], &mut random).unwrap();
            bandit.update(&[1e-3], choice, reward).unwrap();
        }
        for _ in 0..100 {
            let choice = bandit.select(&[1e-3], &mut random).unwrap();
            assert!(choice.propensity.is_none_or(|p| p > 0.0 && p <= 1.0), "bandit {at}");
        }
    }
}

#[test]
fn arms_come_and_go() {
    for (at, bandit) in all().iter_mut().enumerate() {
        let mut random = Random::new(2);
        let mut pulls = |bandit: &mut Box<dyn Bandit>, best: usize, steps: usize| {
            let mut counts = vec![0; bandit.arms()];
            for _ in 0..steps {
                let choice = bandit.select(&[1.0], &mut random).unwrap();
                counts[choice.arm] += 1;
                let reward = if choice.arm == best { 1.0 } else { 0.2 };
                bandit.update(&[1.0], choice, reward).unwrap();
            }
            counts
        };
        pulls(bandit, 1, 100);
        assert_eq!(bandit.add_arm(), 2);
        assert!(bandit.has(2) && !bandit.has(3));
        let counts = pulls(bandit, 2, 500);
        assert!(counts[2] > 150, "bandit {at}: {counts:?}");
        bandit.remove_arm(2).unwrap();
        let counts = pulls(bandit, 1, 300);
        assert_eq!(counts[2], 0, "bandit {at}");
        // Its feedback comes late, and its number is not given away.
        assert_eq!(field(bandit.update(&[1.0], 2.into(), 1.0)), "arm");
        assert_eq!(field(bandit.remove_arm(2)), "arm");
        assert_eq!(bandit.add_arm(), 3);
        bandit.remove_arm(0).unwrap();
        bandit.remove_arm(1).unwrap();
        assert_eq!(field(bandit.remove_arm(3)), "arms");
        assert_eq!(pulls(bandit, 3, 10)[3], 10);
        if let Some(shares) = bandit.probabilities(&[1.0]).unwrap() {
            assert_eq!(shares, [0.0, 0.0, 0.0, 1.0], "bandit {at}");
        }
    }
}

#[test]
fn propensities_are_the_shares_of_pulls() {
    for (at, bandit) in all().iter_mut().enumerate() {
        let mut random = Random::new(7);
        for step in 0..6 {
            let choice = Choice { arm: step % 2, propensity: Some(0.5) };
            bandit.update(&[1.0], choice, (step % 3) as f64 / 2.0).unwrap();
        }
        let Some(shares) = bandit.probabilities(&[1.0]).unwrap() else { continue };
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mut counts = [0.0; 2];
        for _ in 0..10_000 {
            let choice = bandit.select(&[1.0], &mut random).unwrap();
            assert_eq!(choice.propensity, Some(shares[choice.arm]), "bandit {at}");
            counts[choice.arm] += 1e-4;
        }
        assert!((counts[0] - shares[0]).abs() < 0.02, "bandit {at}: {counts:?}, {shares:?}");
    }
}

/// Goes on from a saved state as if nothing had been.
fn goes_on<B: Bandit + Serialize + DeserializeOwned>(mut bandit: B) {
    let mut random = Random::new(4);
    let step = |bandit: &mut B, random: &mut Random| {
        let context = [random.uniform(), random.uniform()];
        let choice = bandit.select(&context, random).unwrap();
        bandit.update(&context, choice, random.uniform()).unwrap();
        choice
    };
    for _ in 0..50 {
        step(&mut bandit, &mut random);
    }
    bandit.remove_arm(0).unwrap();
    let json = serde_json::to_string(&bandit).unwrap();
    let (mut saved, mut again): (B, _) = (serde_json::from_str(&json).unwrap(), random.clone());
    for _ in 0..50 {
        assert_eq!(step(&mut bandit, &mut random), step(&mut saved, &mut again));
    }
}

#[test]
fn saved_bandits_go_on_bit_for_bit() {
    goes_on(EpsilonGreedy::new(3, 0.2).unwrap());
    goes_on(EpsilonGreedy::optimistic(3, 2.0, 0.2).unwrap());
    goes_on(Softmax::new(3, 0.2).unwrap().with_window(20).unwrap());
    goes_on(Ucb::new(3).unwrap().with_window(20).unwrap());
    goes_on(KlUcb::new(3).unwrap().with_memory(0.9).unwrap());
    goes_on(ThompsonBernoulli::new(3).unwrap().with_memory(0.9).unwrap());
    goes_on(ThompsonGaussian::new(3, 0.3, 1.0).unwrap());
    goes_on(Exp3::new(3, 100).unwrap());
    goes_on(LinUcb::new(3, 2, 0.3).unwrap().with_memory(0.9).unwrap());
    goes_on(ThompsonLinear::new(3, 2, 0.3).unwrap().with_l2(2.0).unwrap());
}

#[derive(Deserialize)]
struct RidgeCase {
    memory: f64,
    l2: f64,
    arms: Vec<RidgeArm>,
}

#[derive(Deserialize)]
struct RidgeArm {
    weights: Vec<f64>,
    inverse: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Posteriors {
    memory: f64,
    beta: Vec<(f64, f64)>,
    normal: Vec<(f64, f64)>,
    softmax: Vec<f64>,
}

#[derive(Deserialize)]
struct Fixture {
    sequences: BTreeMap<String, String>,
    regrets: BTreeMap<String, (f64, f64)>,
    ridge: Vec<RidgeCase>,
    posteriors: Vec<Posteriors>,
    exp3: Vec<f64>,
    evaluation: BTreeMap<String, (f64, f64)>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/bandits.json")).unwrap()
}

/// The formula that the fixture's numbers follow.
fn uniform(seed: u64, index: usize) -> f64 {
    (mix(seed, index as u64) >> 11) as f64 / (1_u64 << 53) as f64
}

fn near<'a>(found: impl IntoIterator<Item = &'a f64>, expected: impl IntoIterator<Item = &'a f64>) {
    let (found, expected): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(&expected) {
        assert!((*a - *b).abs() < 1e-9, "{found:?}, expected {expected:?}");
    }
}

#[test]
fn upper_bounds_pull_the_arms_of_the_definitions() {
    let fixture = fixture();
    let root = f64::sqrt;
    let rows: [(&str, Box<dyn Bandit>); 5] = [
        ("ucb", Box::new(Ucb::new(4).unwrap())),
        (
            "d_ucb",
            Box::new(Ucb::with_width(4, 2.0 * root(0.5)).unwrap().with_memory(0.98).unwrap()),
        ),
        ("sw_ucb", Box::new(Ucb::with_width(4, root(0.6)).unwrap().with_window(100).unwrap())),
        ("kl_ucb", Box::new(KlUcb::new(4).unwrap())),
        ("kl_ucb_discounted", Box::new(KlUcb::new(4).unwrap().with_memory(0.98).unwrap())),
    ];
    for (name, mut bandit) in rows {
        let mut pulled = String::new();
        for step in 0..600 {
            let means = if step < 300 { [0.5, 0.2, 0.4, 0.3] } else { [0.2, 0.7, 0.4, 0.3] };
            let choice = bandit.select(&[], &mut Random::new(0)).unwrap();
            let reward = 0.5 * means[choice.arm] + 0.5 * uniform(1, 4 * step + choice.arm);
            bandit.update(&[], choice, reward).unwrap();
            pulled += &choice.arm.to_string();
        }
        assert_eq!(pulled, fixture.sequences[name], "{name}");
    }
}

type Widened = fn(f64) -> Box<dyn Bandit>;

/// Regret and its standard error where the second arm becomes the best at pull 10,001.
fn drift(bandit: impl Fn() -> Box<dyn Bandit>) -> (f64, f64) {
    let one = |run| {
        let (mut bandit, mut random) = (bandit(), Random::new(mix(9, run)));
        let mut last =
            |rates| *play(bandit.as_mut(), rates, 10_000, &mut random).unwrap().last().unwrap();
        last(&[0.5, 0.2]) + last(&[0.5, 0.8])
    };
    let runs: Vec<f64> = (0..40).map(one).collect();
    let mean = runs.iter().sum::<f64>() / 40.0;
    (mean, (runs.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 39.0 / 40.0).sqrt())
}

#[test]
fn bandits_that_forget_find_the_new_best_arm() {
    let (found, _) =
        drift(|| Box::new(ThompsonBernoulli::new(2).unwrap().with_memory(0.999).unwrap()));
    let (all, _) = drift(|| Box::new(ThompsonBernoulli::new(2).unwrap()));
    println!("Thompson with memory 0.999: regret {found:.0}, without {all:.0}");
    assert!(found <= 142.0, "{found}");
    assert!(all > 1000.0, "{all}");

    let width = 0.6_f64.sqrt();
    let rows: [(&str, Widened, f64); 3] = [
        ("ucb", |c| Box::new(Ucb::with_width(2, c).unwrap()), f64::sqrt(2.0)),
        (
            "d_ucb",
            |c| Box::new(Ucb::with_width(2, c).unwrap().with_memory(0.999).unwrap()),
            f64::sqrt(2.0),
        ),
        ("sw_ucb", |c| Box::new(Ucb::with_width(2, c).unwrap().with_window(1000).unwrap()), width),
    ];
    for (name, bandit, width) in rows {
        let (found, error) = drift(|| bandit(width));
        let (expected, spread) = fixture().regrets[name];
        println!("{name}: regret {found:.0} ± {error:.0}, numpy {expected:.0} ± {spread:.0}");
        assert!((found - expected).abs() < 4.0 * error.hypot(spread), "{name}: {found}");
    }
}

#[test]
fn linear_models_are_those_of_ridge_regression() {
    for case in fixture().ridge {
        let mut bandit = ThompsonLinear::new(2, 3, 0.5).unwrap();
        bandit = bandit.with_l2(case.l2).unwrap().with_memory(case.memory).unwrap();
        for step in 0..40 {
            let context: Vec<f64> = (0..3).map(|i| 2.0 * uniform(2, 3 * step + i) - 1.0).collect();
            let arm = usize::from(uniform(3, step) < 0.4);
            bandit.update(&context, arm.into(), 3.0 * uniform(4, step) - 1.0).unwrap();
        }
        for (arm, expected) in case.arms.iter().enumerate() {
            let (weights, inverse) = bandit.posterior(arm).unwrap();
            near(&weights, &expected.weights);
            near(inverse.iter().flatten(), expected.inverse.iter().flatten());
        }
        let x = [0.3, -0.7, 0.9];
        let dot = |a: &[f64]| a.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let means: Vec<f64> = case.arms.iter().map(|arm| dot(&arm.weights)).collect();
        near(&bandit.means(&x).unwrap(), &means);

        // Draws of the two predictions: how often the first is the larger.
        let variance = |arm: &RidgeArm| {
            dot(&arm.inverse.iter().map(|row| dot(row)).collect::<Vec<f64>>()) * 0.25
        };
        let z = (means[0] - means[1]) / (variance(&case.arms[0]) + variance(&case.arms[1])).sqrt();
        let mut random = Random::new(5);
        let share = |random: &mut Random, of: &dyn Fn(&mut Random) -> bool| {
            (0..40_000).filter(|_| of(random)).count() as f64 / 40_000.0
        };
        let found = share(&mut random, &|r| bandit.select(&x, r).unwrap().arm == 0);
        let expected = share(&mut random, &|r| r.normal() < z);
        println!("memory {}: first arm {found:.3}, expected {expected:.3}", case.memory);
        assert!((found - expected).abs() < 0.015, "{found}, expected {expected}");
    }
}

#[test]
fn posteriors_are_those_of_the_weighted_history() {
    for case in fixture().posteriors {
        let mut coins = ThompsonBernoulli::new(3).unwrap().with_memory(case.memory).unwrap();
        let mut normal =
            ThompsonGaussian::new(3, 0.7, 1.5).unwrap().with_memory(case.memory).unwrap();
        let mut softmax = Softmax::new(3, 0.2).unwrap().with_memory(case.memory).unwrap();
        for step in 0..50 {
            let (arm, reward) = (step * step % 3, uniform(5, step));
            for bandit in [&mut coins as &mut dyn Bandit, &mut normal, &mut softmax] {
                bandit.update(&[], arm.into(), reward).unwrap();
            }
        }
        for arm in 0..3 {
            let pair = |(a, b): (f64, f64)| [a, b];
            near(&pair(coins.posterior(arm).unwrap()), &pair(case.beta[arm]));
            near(&pair(normal.posterior(arm).unwrap()), &pair(case.normal[arm]));
            let (a, b) = case.beta[arm];
            near([&coins.pulls()[arm]], [&(a + b - 2.0)]);
        }
        near(&softmax.probabilities(&[]).unwrap().unwrap(), &case.softmax);
    }
}

#[test]
fn late_feedback_reaches_exp3_with_the_propensity_it_was_chosen_with() {
    let mut bandit = Exp3::new(3, 200).unwrap();
    let mut late = VecDeque::new();
    for step in 0..200 {
        let shares = bandit.probabilities(&[]).unwrap().unwrap();
        let draw = uniform(6, step);
        let arm = usize::from(draw > shares[0]) + usize::from(draw > shares[0] + shares[1]);
        let choice = Choice { arm, propensity: Some(shares[arm]) };
        late.push_back((choice, uniform(7, step) * (arm + 1) as f64 / 3.0));
        if step >= 5 {
            let (choice, reward) = late.pop_front().unwrap();
            bandit.update(&[], choice, reward).unwrap();
        }
    }
    near(&bandit.probabilities(&[]).unwrap().unwrap(), &fixture().exp3);
}

const WEIGHTS: [[f64; 3]; 3] = [[1.0, 0.5, 0.2], [-1.0, 0.3, 0.1], [0.2, -0.8, 0.3]];

fn scores(context: &[f64]) -> Vec<f64> {
    WEIGHTS.map(|w| w.iter().zip(context).map(|(a, b)| a * b).sum()).to_vec()
}

/// The policy whose value is asked for.
#[allow(clippy::unnecessary_wraps)] // As a policy that may refuse.
fn target(context: &[f64]) -> Result<Vec<f64>, Error> {
    let weights: Vec<f64> = scores(context).iter().map(|score| (2.0 * score).exp()).collect();
    let total: f64 = weights.iter().sum();
    Ok(weights.iter().map(|weight| weight / total).collect())
}

fn line(step: usize, logging: impl Fn(f64) -> [f64; 3]) -> Logged {
    let (a, b) = (2.0 * uniform(8, 2 * step) - 1.0, 2.0 * uniform(8, 2 * step + 1) - 1.0);
    let context = vec![a, b, 1.0];
    let (shares, draw) = (logging(a), uniform(9, step));
    let arm = usize::from(draw > shares[0]) + usize::from(draw > shares[0] + shares[1]);
    let reward = scores(&context)[arm] + a * b + uniform(10, step) - 0.5;
    Logged { context, arm, propensity: shares[arm], reward }
}

fn skewed(a: f64) -> [f64; 3] {
    if a > 0.0 { [0.5, 0.3, 0.2] } else { [0.2, 0.2, 0.6] }
}

/// Expected rewards, learned from a log.
fn model(log: &[Logged]) -> LinUcb {
    let mut model = LinUcb::new(3, 3, 0.0).unwrap();
    for line in log {
        model.update(&line.context, line.arm.into(), line.reward).unwrap();
    }
    model
}

#[test]
fn values_of_a_policy_are_those_of_numpy() {
    let log: Vec<Logged> = (0..400).map(|step| line(step, skewed)).collect();
    let (first, second) = log.split_at(200);
    let model = model(first);
    let rows = [
        ("inverse_propensity", inverse_propensity(second, target).unwrap()),
        ("doubly_robust", doubly_robust(second, target, |x| model.means(x)).unwrap()),
    ];
    for (name, Estimate { value, standard_error, lines }) in rows {
        let (expected, error) = fixture().evaluation[name];
        near(&[value, standard_error], &[expected, error]);
        assert_eq!(lines, 200);
    }
}

#[test]
fn estimates_from_a_log_meet_the_value_of_the_policy() {
    let steps = 200_000;
    let log: Vec<Logged> = (0..steps).map(|step| line(step, skewed)).collect();
    // a · b has the mean 0 whatever the arm.
    let value = |line: &Logged| {
        let shares = target(&line.context).unwrap();
        shares.iter().zip(scores(&line.context)).map(|(p, r)| p * r).sum::<f64>()
            + line.context[0] * line.context[1]
    };
    let truth = log.iter().map(value).sum::<f64>() / steps as f64;
    let model = model(&log[..1000]);
    let wrong = |_: &[f64]| Ok(vec![3.0, -2.0, 0.5]);
    let mut unsure: Vec<Logged> = log.clone();
    for line in &mut unsure {
        line.propensity = 1.0 / 3.0;
    }
    let rows = [
        ("inverse propensity", inverse_propensity(&log, target).unwrap()),
        ("doubly robust", doubly_robust(&log, target, |x| model.means(x)).unwrap()),
        ("wrong model", doubly_robust(&log, target, wrong).unwrap()),
        // The model is right but for a · b, which is the same for all arms.
        (
            "wrong propensities",
            doubly_robust(&unsure, target, |x| {
                Ok(scores(x).iter().map(|score| score + x[0] * x[1]).collect())
            })
            .unwrap(),
        ),
    ];
    for (name, found) in rows {
        println!("{name}: {:.4} ± {:.4}, truth {truth:.4}", found.value, found.standard_error);
        assert!((found.value - truth).abs() < 4.0 * found.standard_error, "{name}");
    }
    assert!(rows[1].1.standard_error < rows[0].1.standard_error);
    let biased = inverse_propensity(&unsure, target).unwrap();
    assert!((biased.value - truth).abs() > 10.0 * biased.standard_error);
}

#[test]
fn replay_is_what_the_bandit_would_have_lived_through() {
    let even = |_| [1.0 / 3.0; 3];
    let log: Vec<Logged> = (0..30_000).map(|step| line(step, even)).collect();
    let mut bandit = LinUcb::new(3, 3, 0.5).unwrap();
    let found = replay(&log, &mut bandit, &mut Random::new(1)).unwrap();
    // The same world, and the bandit in it.
    let (mut live, mut sum) = (LinUcb::new(3, 3, 0.5).unwrap(), 0.0);
    for step in 40_000..50_000 {
        let choice = live.select(&line(step, even).context, &mut Random::new(1)).unwrap();
        let sure = |arm: usize| move |_| std::array::from_fn(|at| f64::from(u8::from(at == arm)));
        let line = line(step, sure(choice.arm));
        assert_eq!(line.arm, choice.arm);
        live.update(&line.context, choice, line.reward).unwrap();
        sum += line.reward / 10_000.0;
    }
    println!(
        "replay {:.4} ± {:.4} of {} lines, live {sum:.4}",
        found.value, found.standard_error, found.lines
    );
    assert!((found.value - sum).abs() < 4.0 * found.standard_error * 2_f64.sqrt());
    assert!((9_500..10_500).contains(&found.lines));

    let skewed: Vec<Logged> = (0..10).map(|step| line(step, skewed)).collect();
    let refused = replay(&skewed, &mut bandit, &mut Random::new(1));
    assert_eq!(field(refused.map(|_| ())), "propensity");
}

#[test]
fn logs_and_policies_that_cannot_be_are_refused() {
    let log: Vec<Logged> = (0..10).map(|step| line(step, skewed)).collect();
    let value = |log: &[Logged]| field(inverse_propensity(log, target).map(|_| ()));
    assert_eq!(value(&[]), "lines");
    assert_eq!(value(&log[..1]), "lines");
    let with = |change: fn(&mut Logged)| {
        let mut log = log.clone();
        change(&mut log[3]);
        log
    };
    assert_eq!(value(&with(|line| line.propensity = 0.0)), "propensity");
    assert_eq!(value(&with(|line| line.propensity = f64::NAN)), "propensity");
    assert_eq!(value(&with(|line| line.reward = f64::NAN)), "reward");
    assert_eq!(value(&with(|line| line.arm = 3)), "policy");
    for shares in [vec![0.5, 0.5, 0.5], vec![1.5, -0.5, 0.0], vec![f64::NAN, 0.5, 0.5], vec![1.0]] {
        assert_eq!(field(inverse_propensity(&log, |_| Ok(shares.clone())).map(|_| ())), "policy");
    }
    for expected in [vec![1.0, 2.0], vec![1.0, f64::NAN, 2.0]] {
        let found = doubly_robust(&log, target, |_| Ok(expected.clone()));
        assert_eq!(field(found.map(|_| ())), "model");
    }
}
