//! Which advertisement to show: the regret of bandits on click rates, and what a context is
//! worth while tastes drift.
//!
//! ```console
//! $ cargo run --release --example rl_bandit_ads
//! ```
//!
//! On click rates of 2 to 6 % Thompson sampling loses about 46 clicks in 10,000 impressions, an
//! even choice 200; UCB1 hardly does better than that. Where another advertisement becomes the best
//! halfway, bandits that forget lose a fraction of what those lose that do not. On the contextual click
//! model `LinUCB` and linear Thompson sampling earn more clicks than any bandit that does not look who
//! is there.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use common::flags::{signed, within};
use common::{Basic, Metrics, Resume, Session, program};
use model_utils::picture::Curves;
use rl::bandits::{
    Bandit, EpsilonGreedy, Exp3, KlUcb, LinUcb, ThompsonBernoulli, ThompsonLinear, Ucb, play,
};
use rl::environments::{Advertising, AdvertisingConfig};
use rl::random::{Random, mix};
use rl::{Environment as _, Result};

const CLICK_RATES: [f64; 5] = [0.02, 0.03, 0.04, 0.05, 0.06];
/// Two advertisements before and after the second becomes the better one.
const CHANGE: [[f64; 2]; 2] = [[0.5, 0.2], [0.5, 0.8]];
const POINTS: usize = 100;

/// The regret of bandits on advertisements
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Basic,
    #[command(flatten)]
    resume: Resume,
    /// Impressions
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = within(POINTS..=10_000_000))]
    steps: usize,
    /// Runs to average over
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = within(2..=1_000_000_u64))]
    runs: u64,
}

type Make = fn(arms: usize, steps: usize) -> Result<Box<dyn Bandit>>;

const BANDITS: [(&str, &str, Make); 7] = [
    ("thompson", "Thompson", |arms, _| Ok(Box::new(ThompsonBernoulli::new(arms)?))),
    ("kl_ucb", "KL-UCB", |arms, _| Ok(Box::new(KlUcb::new(arms)?))),
    ("epsilon_greedy", "ε-greedy, 0.1", |arms, _| Ok(Box::new(EpsilonGreedy::new(arms, 0.1)?))),
    ("optimistic", "optimistic", |arms, _| {
        Ok(Box::new(EpsilonGreedy::optimistic(arms, 1.0, 0.02)?))
    }),
    ("ucb1", "UCB1", |arms, _| Ok(Box::new(Ucb::new(arms)?))),
    ("exp3", "EXP3", |arms, steps| Ok(Box::new(Exp3::new(arms, steps)?))),
    ("uniform", "even choice", |arms, _| Ok(Box::new(EpsilonGreedy::new(arms, 1.0)?))),
];

const FORGETFUL: [(&str, &str, Make); 4] = [
    ("change_thompson", "Thompson", |arms, _| Ok(Box::new(ThompsonBernoulli::new(arms)?))),
    ("change_thompson_memory", "Thompson, memory 0.999", |arms, _| {
        Ok(Box::new(ThompsonBernoulli::new(arms)?.with_memory(0.999)?))
    }),
    ("change_ucb1", "UCB1", |arms, _| Ok(Box::new(Ucb::new(arms)?))),
    ("change_sw_ucb", "SW-UCB, window 1,000", |arms, _| {
        Ok(Box::new(Ucb::with_width(arms, 0.6_f64.sqrt())?.with_window(1000)?))
    }),
];

fn main() -> ExitCode {
    program("rl_bandit_ads", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let mut metrics = Metrics::default();
    let title = "Clicks lost to the best advertisement, click rates 2 to 6 %";
    compare(&args, session, &mut metrics, title, &BANDITS, &[&CLICK_RATES], "regret.svg")?;
    let title = "Clicks lost where another advertisement becomes the best";
    let [before, after] = &CHANGE;
    compare(&args, session, &mut metrics, title, &FORGETFUL, &[before, after], "change.svg")?;

    let contextual: [(&str, &str, Make); 4] = [
        ("lin_ucb", "LinUCB, forgets slowly", |arms, _| {
            Ok(Box::new(LinUcb::new(arms, 5, 0.3)?.with_memory(0.999)?))
        }),
        ("thompson_linear", "linear Thompson, forgets slowly", |arms, _| {
            Ok(Box::new(ThompsonLinear::new(arms, 5, 0.2)?.with_memory(0.999)?))
        }),
        ("thompson_drift", "Thompson, forgets slowly", |arms, _| {
            Ok(Box::new(ThompsonBernoulli::new(arms)?.with_memory(0.999)?))
        }),
        ("even", "even choice", |arms, _| Ok(Box::new(EpsilonGreedy::new(arms, 1.0)?))),
    ];
    let mut curves = Curves::new("Click rate while tastes drift")
        .x_label("impressions")
        .y_label("expected clicks of 100, mean of the last twentieth");
    for (key, name, make) in contextual {
        session.stage(name);
        let line = session.part(key, || drifting(&args, session, make))?;
        let mean = line.iter().map(|point| point.1).sum::<f64>() / line.len() as f64;
        println!("{name}: {mean:.2} clicks of 100");
        metrics.set(&format!("clicks_percent_{key}"), mean);
        curves = curves.line(name, &line);
    }
    curves.save(session.out().join("drift.svg"))?;
    session.finish(&metrics)
}

type Points = (Vec<(f64, f64)>, Vec<(f64, f64, f64)>);

/// The regret of bandits, whose click rates are those of one part of the run after the other.
fn compare(
    args: &Args,
    session: &Session,
    metrics: &mut Metrics,
    title: &str,
    bandits: &[(&str, &str, Make)],
    rates: &[&[f64]],
    file: &str,
) -> anyhow::Result<()> {
    let mut curves =
        Curves::new(title).x_label("impressions").y_label("regret: mean, and two standard errors");
    for &(key, name, make) in bandits {
        session.stage(name);
        let (line, band) = session.part(key, || regret(args, session, make, rates))?;
        let last = line.last().map_or(f64::NAN, |point| point.1);
        println!("{name}: {last:.0} clicks lost");
        metrics.set(&format!("regret_{key}"), last);
        curves = curves.line(name, &line).band("", &band);
    }
    curves.save(session.out().join(file))?;
    Ok(())
}

/// The mean regret over the runs, a quarter of them where they are twice as long and change, and two
/// standard errors around it.
fn regret(args: &Args, session: &Session, make: Make, rates: &[&[f64]]) -> anyhow::Result<Points> {
    let steps = args.steps * rates.len();
    let count = (args.runs / (rates.len() as u64).pow(2)).max(2);
    let every = steps / POINTS;
    let (mut sums, mut squares) = (vec![0.0; POINTS], vec![0.0; POINTS]);
    for run in 0..count {
        session.check()?;
        let mut bandit = make(rates[0].len(), steps)?;
        let mut random = Random::new(mix(args.common.seed, run));
        let mut regret = Vec::with_capacity(steps);
        for rates in rates {
            let before = regret.last().copied().unwrap_or(0.0);
            let part = play(bandit.as_mut(), rates, args.steps, &mut random)?;
            regret.extend(part.into_iter().map(|lost| before + lost));
        }
        for point in 0..POINTS {
            let value = regret[(point + 1) * every - 1];
            sums[point] += value;
            squares[point] += value * value;
        }
    }
    let runs = count as f64;
    let (mut line, mut band) = (Vec::new(), Vec::new());
    for point in 0..POINTS {
        let mean = sums[point] / runs;
        let error = ((squares[point] / runs - mean * mean).max(0.0) / (runs - 1.0)).sqrt();
        let x = ((point + 1) * every) as f64;
        line.push((x, mean));
        band.push((x, mean - 2.0 * error, mean + 2.0 * error));
    }
    Ok((line, band))
}

/// The expected click rate on the contextual model, in parts of the run.
fn drifting(args: &Args, session: &Session, make: Make) -> anyhow::Result<Vec<(f64, f64)>> {
    const PARTS: usize = 20;
    let steps = 2 * args.steps;
    let worlds = (args.runs / 10).max(2);
    let mut sums = [0.0; PARTS];
    for run in 0..worlds {
        session.check()?;
        let config = AdvertisingConfig { drift: 0.005, ..AdvertisingConfig::default() };
        let mut bandit = make(config.ads, steps)?;
        let mut ads = Advertising::new(config)?;
        let mut random = Random::new(mix(args.common.seed + 1, run));
        let mut person = ads.reset(mix(args.common.seed + 2, run))?;
        for step in 0..steps {
            let choice = bandit.select(&person, &mut random)?;
            sums[step * PARTS / steps] += ads.click_rates()[choice.arm];
            let shown = ads.step(&choice.arm)?;
            bandit.update(&person, choice, shown.reward)?;
            person = shown.observation;
        }
    }
    let each = (steps / PARTS) as f64 * worlds as f64;
    let point = |(part, sum): (usize, &f64)| {
        ((part + 1) as f64 * (steps / PARTS) as f64, 100.0 * sum / each)
    };
    Ok(sums.iter().enumerate().map(point).collect())
}
