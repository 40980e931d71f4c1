//! What does the generator do while the discriminator learns? One training cycle, turn by turn, on
//! a real run.
//!
//! ```console
//! $ cargo run --release --example gan_turns
//! ```
//!
//! It runs forward to make samples, and nothing of it changes: no weight, no running statistic, no
//! gradient. In its own turn gradients reach it through the discriminator, which then stands still.
//! The table shows both, measured to the bit; half a minute on two processor cores.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use burn::tensor::Tensor;
use clap::Parser;
use common::flags::{STEPS, UNITS, signed, within};
use common::gan::silhouettes;
use common::{Common, Metrics, Session, program};
use gan::dcgan::{DcganDiscriminator, DcganGenerator};
use gan::penalty::frozen;
use gan::{DcganConfig, Discriminator as _, Gan, GanConfig, Generator as _, Images, Loss};
use model_utils::data::{Shape, Split};
use model_utils::picture::{Bars, Curves, FlowChart, Grid};
use model_utils::train::Budget;
use model_utils::weights::{State, Stored as _};

/// One training cycle, turn by turn
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Steps of the generator before the cycle that is looked at
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = within(0..=STEPS))]
    warm_up: u64,
    /// Steps of the discriminator in a cycle
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = within(1..=100_usize))]
    discriminator_steps: usize,
    /// Cycles in the picture of the losses
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = within(1..=UNITS))]
    cycles: usize,
}

type Player = Gan<4, DcganGenerator, DcganDiscriminator>;

/// What a turn did.
struct Turn {
    name: String,
    loss: f64,
    grad_norm: f64,
    real: Option<f64>,
    fake: f64,
    /// Of the generator and of the discriminator.
    moved: [Moved; 2],
}

/// What changed in a network.
struct Moved {
    /// Tensors whose bits changed, and all of them: weights, then running statistics.
    weights: [usize; 2],
    statistics: [usize; 2],
    /// By layer: the length of the change as a share of the weights' length.
    shares: BTreeMap<String, f64>,
}

fn main() -> ExitCode {
    program("gan_turns", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    session.stage("making the images");
    let images =
        silhouettes(4000, Split::Train, 28, session.around(&Shape::ALL), args.common.seed)?;
    let networks = DcganConfig::for_size(28).with_channels(1).with_width(24);
    let mut gan: Player = GanConfig::new(networks, Loss::NonSaturating)
        .with_batch_size(32)
        .with_discriminator_steps(args.discriminator_steps)
        .with_generator_learning_rate(4e-4)
        .with_discriminator_learning_rate(1e-4)
        .with_seed(args.common.seed)
        .init(&device)?;
    session.stage("training");
    gan.train(&images, Budget::steps(args.warm_up), &mut session.progress())?;
    session.check()?;
    session.stage("the cycles");

    let before = gan.sample(8, 1)?;
    let mut turns = Vec::new();
    for round in 0..args.discriminator_steps {
        session.check()?;
        turns.push(discriminator_turn(&mut gan, &images, round)?);
    }
    let between = gan.sample(8, 1)?;
    turns.push(generator_turn(&mut gan, &images)?);
    let after = gan.sample(8, 1)?;

    print_table(&turns);
    draw_flows(&turns, out)?;
    draw_movement(&turns, out)?;
    let mut picture = Grid::new().title("The same random numbers before, between and after");
    for image in before.iter().chain(&between).chain(&after) {
        picture = picture.image(image);
    }
    picture.columns(8).save(out.join("samples.png"))?;
    println!(
        "samples after the discriminator's turns are the same to the last pixel: {}",
        before == between
    );
    draw_cycles(&mut gan, &images, args.cycles, session)?;

    let mut metrics = Metrics::default();
    let [critic, generator] = [&turns[0], &turns[turns.len() - 1]];
    for (name, turn) in [("discriminator_turn", critic), ("generator_turn", generator)] {
        metrics.set(&format!("{name}_loss"), turn.loss);
        metrics.set(&format!("{name}_grad_norm"), turn.grad_norm);
        for (player, moved) in ["generator", "discriminator"].iter().zip(&turn.moved) {
            metrics.set(&format!("{name}_{player}_weights_moved"), moved.weights[0]);
            metrics.set(&format!("{name}_{player}_statistics_moved"), moved.statistics[0]);
        }
    }
    metrics.set("same_samples_after_discriminator", before == between);
    session.finish(&metrics)
}

fn discriminator_turn(gan: &mut Player, images: &Images, round: usize) -> anyhow::Result<Turn> {
    let states = states(gan)?;
    let step = gan.discriminator_step(images, round)?;
    Ok(Turn {
        name: format!("discriminator {}", round + 1),
        loss: step.loss,
        grad_norm: step.grad_norm,
        real: Some(step.real),
        fake: step.fake,
        moved: moved(gan, &states)?,
    })
}

fn generator_turn(gan: &mut Player, images: &Images) -> anyhow::Result<Turn> {
    let states = states(gan)?;
    let step = gan.generator_step(images)?;
    Ok(Turn {
        name: "generator".to_owned(),
        loss: step.loss,
        grad_norm: step.grad_norm,
        real: None,
        fake: step.fake,
        moved: moved(gan, &states)?,
    })
}

fn states(gan: &Player) -> anyhow::Result<[State; 2]> {
    Ok([
        State::from_module(gan.generator(), DcganGenerator::torch_name)?,
        State::from_module(gan.discriminator(), DcganDiscriminator::torch_name)?,
    ])
}

/// What is no longer what it was.
fn moved(gan: &Player, before: &[State; 2]) -> anyhow::Result<[Moved; 2]> {
    let after = states(gan)?;
    Ok([0, 1].map(|player| {
        let mut moved = Moved { weights: [0, 0], statistics: [0, 0], shares: BTreeMap::new() };
        for (name, after) in &after[player].tensors {
            let before = &before[player].tensors[name].data;
            let counts =
                if name.contains("running_") { &mut moved.statistics } else { &mut moved.weights };
            counts[0] += usize::from(before.as_bytes() != after.data.as_bytes());
            counts[1] += 1;
            if after.data.shape().len() == 4 {
                let length = |values: &mut dyn Iterator<Item = f64>| {
                    values.map(|value| value * value).sum::<f64>().sqrt()
                };
                let change = length(
                    &mut before.iter::<f64>().zip(after.data.iter::<f64>()).map(|(a, b)| b - a),
                );
                let share = change / length(&mut before.iter::<f64>());
                moved.shares.insert(name.replace(".weight", ""), share);
            }
        }
        moved
    }))
}

fn print_table(turns: &[Turn]) {
    println!(
        "\n{:16} {:>8} {:>10} {:>8} {:>8}   {:22} {:22}",
        "turn", "loss", "grad norm", "σ(real)", "σ(fake)", "generator moved", "discriminator moved"
    );
    for turn in turns {
        let real = turn.real.map_or("–".to_owned(), |real| format!("{real:.3}"));
        let of = |moved: &Moved| {
            let ([weights, all], [statistics, others]) = (moved.weights, moved.statistics);
            format!("{weights}/{all} w, {statistics}/{others} stat.")
        };
        println!(
            "{:16} {:8.4} {:10.4} {real:>8} {:8.3}   {:22} {:22}",
            turn.name,
            turn.loss,
            turn.grad_norm,
            turn.fake,
            of(&turn.moved[0]),
            of(&turn.moved[1])
        );
    }
    println!();
}

/// Colours of what stands still, of what learns, and of what is data.
const STILL: usize = 1;
const LEARNS: usize = 2;
const DATA: usize = 0;

/// Both turns as charts, with what was measured.
fn draw_flows(turns: &[Turn], out: &Path) -> anyhow::Result<()> {
    let [critic, generator] = [&turns[0], &turns[turns.len() - 1]];
    let stands = |moved: &Moved| {
        let [weights, all] = moved.weights;
        format!("{weights} of {all} weights move")
    };
    FlowChart::new("The discriminator's turn")
        .block(["random numbers z"], DATA, &[])
        .block(
            [
                "generator: only forward".to_owned(),
                stands(&critic.moved[0]),
                "graph cut off".into(),
            ],
            STILL,
            &[0],
        )
        .block(["real images"], DATA, &[])
        .block(
            [
                "discriminator: learns".to_owned(),
                stands(&critic.moved[1]),
                format!("gradient norm {:.3}", critic.grad_norm),
            ],
            LEARNS,
            &[1, 2],
        )
        .block([format!("loss {:.3}", critic.loss), "real → 1, made → 0".into()], DATA, &[3])
        .save(out.join("discriminator_turn.svg"))?;
    FlowChart::new("The generator's turn")
        .block(["random numbers z"], DATA, &[])
        .block(
            [
                "generator: learns".to_owned(),
                stands(&generator.moved[0]),
                format!("gradient norm {:.3}", generator.grad_norm),
            ],
            LEARNS,
            &[0],
        )
        .block(
            [
                "discriminator: gradients pass".to_owned(),
                stands(&generator.moved[1]),
                "a throwaway copy".into(),
            ],
            STILL,
            &[1],
        )
        .block([format!("loss {:.3}", generator.loss), "made → 1".into()], DATA, &[2])
        .save(out.join("generator_turn.svg"))?;
    Ok(())
}

/// How far each layer moved in each turn.
fn draw_movement(turns: &[Turn], out: &Path) -> anyhow::Result<()> {
    let names = turns[0].moved.iter().zip(["G", "D"]).flat_map(|(moved, player)| {
        moved.shares.keys().map(move |layer| format!("{player} {layer}"))
    });
    let mut bars = Bars::new("How far each layer moved, as a share of its weights")
        .categories(&names.collect::<Vec<_>>())
        .y_label("length of the change / length of the weights, %")
        .values(false)
        .size(900, 420);
    for turn in turns {
        let shares = turn.moved.iter().flat_map(|moved| moved.shares.values());
        bars = bars.bars(&turn.name, &shares.map(|share| 100.0 * share).collect::<Vec<_>>());
    }
    Ok(bars.save(out.join("movement.svg"))?)
}

/// Both losses on the same images and random numbers after each turn.
fn draw_cycles(
    gan: &mut Player,
    images: &Images,
    cycles: usize,
    session: &Session,
) -> anyhow::Result<()> {
    let still = gan.latents(256, 9);
    let real = images.select(&(0..256).collect::<Vec<_>>(), &still.device())?.0;
    let (z, real): (Tensor<2>, Tensor<4>) = (Tensor::from_inner(still), Tensor::from_inner(real));
    let judge = |gan: &Player| -> anyhow::Result<[f64; 2]> {
        // Both as they are in training, with the statistics of the batch.
        let (generator, discriminator) = (frozen(gan.generator()), frozen(gan.discriminator()));
        let fake = discriminator.forward(generator.forward(z.clone(), None), None);
        let real = discriminator.forward(real.clone(), None);
        let loss = Loss::NonSaturating;
        let of = |loss: Tensor<1>| loss.into_scalar::<f64>();
        Ok([of(loss.discriminator(real, fake.clone())), of(loss.generator(None, fake))])
    };
    let (mut critic, mut generator, mut turn) = (Vec::new(), Vec::new(), 0);
    let mut note = |turn: usize, gan: &Player| -> anyhow::Result<()> {
        let [of_critic, of_generator] = judge(gan)?;
        critic.push((turn as f64, of_critic));
        generator.push((turn as f64, of_generator));
        Ok(())
    };
    note(turn, gan)?;
    let mut marks = Vec::new();
    for _ in 0..cycles {
        for round in 0..gan.rules().discriminator_steps {
            session.check()?;
            gan.discriminator_step(images, round)?;
            turn += 1;
            note(turn, gan)?;
        }
        gan.generator_step(images)?;
        turn += 1;
        marks.push(turn);
        note(turn, gan)?;
    }
    let mut curves = Curves::new("Both losses on the same images and random numbers, turn by turn")
        .x_label("turn (dotted: the generator's)")
        .y_label("loss")
        .measurements("discriminator", &critic)
        .measurements("generator", &generator);
    for mark in marks {
        curves = curves.marker(mark as f64, "");
    }
    Ok(curves.save(session.out().join("cycles.svg"))?)
}
