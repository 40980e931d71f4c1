//! Does a generator find every mode? On the ring of 8 and the grid of 25 Gaussians of `PacGAN`.
//!
//! ```console
//! $ cargo run --release --example gan_mixture
//! $ cargo run --release --example gan_mixture -- --compare --seeds 3
//! ```
//!
//! The relativistic loss with R1 and R2 finds all of them in a minute or two a mixture, with more
//! than 95 % of its samples within three deviations of a mode (of the mixtures themselves 98.9 %
//! are). `--compare` trains with every other loss too. `ring.gif` and `grid.gif` show samples on
//! the discriminator's field, orange where it holds points for real.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use common::flags::{STEPS, signed, within};
use common::{Common, Film, Metrics, Resume, Series, Session, program};
use gan::mixture::Coverage;
use gan::mlp::{MlpDiscriminator, MlpGenerator};
use gan::{Discriminator as _, Gan, GanConfig, Loss, Mixture, MlpConfig, Penalty};
use model_utils::image::Image;
use model_utils::picture::{Curves, Grid};
use model_utils::train::Budget;

/// Find every mode of a mixture of Gaussians
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// One mixture only
    #[arg(long, value_enum)]
    mixture: Option<Place>,
    /// How many seeds, from the given one on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=1000_u64))]
    seeds: u64,
    /// Train with all other losses too
    #[arg(long)]
    compare: bool,
    /// Steps of the generator [default: 8000 on the ring, 15000 on the grid]
    #[arg(long, value_name = "N", value_parser = within(1..=STEPS))]
    steps: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Ring,
    Grid,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Grid => "grid",
        }
    }

    fn mixture(self) -> Mixture {
        match self {
            Self::Ring => Mixture::ring(),
            Self::Grid => Mixture::grid(),
        }
    }

    fn steps(self) -> u64 {
        match self {
            Self::Ring => 8000,
            Self::Grid => 15_000,
        }
    }

    /// How strongly the slope is penalised: the farther apart the modes, the more.
    fn gamma(self) -> f64 {
        match self {
            Self::Ring => 0.02,
            Self::Grid => 0.1,
        }
    }

    /// Half the side of the square that is drawn.
    fn reach(self) -> f64 {
        match self {
            Self::Ring => 1.5,
            Self::Grid => 5.0,
        }
    }
}

/// A loss with all that goes with it.
struct Recipe {
    name: &'static str,
    loss: Loss,
    penalty: Penalty,
    packing: usize,
    discriminator_steps: usize,
    rate: f64,
    betas: [f32; 2],
}

/// The first is the one to take.
fn recipes(place: Place) -> Vec<Recipe> {
    let plain = |name, loss| Recipe {
        name,
        loss,
        penalty: Penalty::None,
        packing: 1,
        discriminator_steps: 1,
        rate: 2e-4,
        betas: [0.5, 0.999],
    };
    let gamma = place.gamma();
    let smooth = |name, loss, penalty| Recipe {
        penalty,
        rate: 1e-3,
        betas: [0.0, 0.99],
        ..plain(name, loss)
    };
    vec![
        smooth("relativistic", Loss::Relativistic, Penalty::R1R2 { gamma }),
        plain("minimax", Loss::Minimax),
        plain("non_saturating", Loss::NonSaturating),
        Recipe { packing: 4, ..plain("non_saturating_packed", Loss::NonSaturating) },
        smooth("non_saturating_r1", Loss::NonSaturating, Penalty::R1 { gamma }),
        plain("least_squares", Loss::LeastSquares),
        plain("hinge", Loss::Hinge),
        Recipe {
            penalty: Penalty::Clip { limit: 0.05 },
            discriminator_steps: 5,
            ..plain("wasserstein_clipped", Loss::Wasserstein)
        },
        Recipe {
            penalty: Penalty::Interpolated { weight: 1.0 },
            discriminator_steps: 5,
            ..smooth("wasserstein_gp", Loss::Wasserstein, Penalty::None)
        },
    ]
}

type Player = Gan<2, MlpGenerator, MlpDiscriminator>;

/// Samples that coverage is taken of, as in `PacGAN`.
const SAMPLES: usize = 2500;

fn main() -> ExitCode {
    program("gan_mixture", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    println!("with the defaults this takes 2 to 4 minutes on two processor cores");
    let mut metrics = Metrics::default();
    for place in [Place::Ring, Place::Grid] {
        if args.mixture.is_some_and(|only| only != place) {
            continue;
        }
        println!("\n{}: {} modes", place.name(), place.mixture().means.len());
        println!("{:22} seed  modes   good", "loss");
        let mut curves = Curves::new(format!("{}: samples near a mode", place.name()))
            .x_label("step of the generator")
            .y_label("share of good samples")
            .y_range(0.0, 1.0);
        let many = if args.compare { usize::MAX } else { 1 };
        for (at, recipe) in recipes(place).into_iter().take(many).enumerate() {
            let mut all = Vec::new();
            for seed in args.common.seed..args.common.seed + args.seeds {
                let gif = at == 0 && seed == args.common.seed;
                let steps = args.steps.unwrap_or(place.steps());
                let run = Run { session, place, recipe: &recipe, seed, steps, device: &device };
                let Found { coverage: found, points, wall_s } = run.train(gif)?;
                println!(
                    "{:22} {seed:4}  {:5}  {:4.1} %  {wall_s:5.0} s",
                    recipe.name,
                    found.modes,
                    100.0 * found.good
                );
                if all.is_empty() {
                    curves = curves.line(recipe.name, &points);
                    metrics.set(&format!("{}_{}_wall_s", recipe.name, place.name()), wall_s);
                }
                all.push(found);
            }
            let prefix = if at == 0 { String::new() } else { format!("{}_", recipe.name) };
            set(&mut metrics, &prefix, place, &all);
            session.keep(&metrics);
        }
        curves.save(out.join(format!("{}.svg", place.name())))?;
    }
    session.finish(&metrics)
}

/// Means over seeds, and the least.
fn set(metrics: &mut Metrics, prefix: &str, place: Place, all: &[Coverage]) {
    let count = all.len() as f64;
    let name = place.name();
    let modes = all.iter().map(|found| found.modes as f64);
    let good = all.iter().map(|found| found.good);
    metrics.set(&format!("{prefix}modes_{name}"), modes.clone().sum::<f64>() / count);
    metrics.set(&format!("{prefix}good_{name}"), good.clone().sum::<f64>() / count);
    if all.len() > 1 {
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
        metrics.set(&format!("{prefix}modes_{name}_least"), least(&mut modes.clone()));
        metrics.set(&format!("{prefix}good_{name}_least"), least(&mut good.clone()));
    }
}

/// What a run found.
struct Found {
    coverage: Coverage,
    /// The share of good samples by step.
    points: Vec<(f64, f64)>,
    wall_s: f64,
}

struct Run<'a> {
    session: &'a Session,
    place: Place,
    recipe: &'a Recipe,
    seed: u64,
    steps: u64,
    device: &'a Device,
}

impl Run<'_> {
    fn train(&self, gif: bool) -> anyhow::Result<Found> {
        let Self { session, place, recipe, steps, .. } = *self;
        let name = format!("{}-{}-{}", place.name(), recipe.name, self.seed);
        session.stage(format!("training {name}"));
        let mixture = place.mixture();
        let mut gan = GanConfig::new(MlpConfig::new(2), recipe.loss)
            .with_penalty(recipe.penalty)
            .with_packing(recipe.packing)
            .with_discriminator_steps(recipe.discriminator_steps)
            .with_learning_rate(recipe.rate)
            .with_betas(recipe.betas)
            .with_batch_size(256)
            .with_ema_decay(0.999)
            .with_anneal_steps(steps)
            .with_seed(self.seed)
            .init(self.device)?
            .resume_in(session.checkpoints(&name)?, (steps / 10).clamp(1, 1000))?;
        let folder = session.kept()?;
        let mut film = Film::open(folder.join(format!("{name}-film")), gan.steps())?;
        let mut points = Series::open(folder.join(format!("{name}.json")), gan.steps())?;
        let every = (steps / 60).max(1);
        let budget = Budget::steps(steps);
        let progress = &mut session.progress();
        let trained = gan.train_with_callback(&mixture, budget, progress, every, |gan| {
            let samples = gan.sample(SAMPLES, 7)?;
            let found = mixture.coverage(&samples)?;
            points.push(gan.steps(), found.good)?;
            if gif && recipe.packing == 1 {
                film.push(gan.steps(), frame(gan, place, &samples[..500], &found)?)?;
            }
            Ok(())
        })?;
        session.check()?;
        let found = mixture.coverage(&gan.sample(SAMPLES, 7)?)?;
        if gif {
            let out = session.out();
            film.animation(120)?.save(out.join(format!("{}.gif", place.name())))?;
            let last = frame(&gan, place, &gan.sample(1000, 7)?, &found)?;
            last.save(out.join(format!("{}.png", place.name())))?;
        }
        Ok(Found { coverage: found, points: points.points(), wall_s: trained.wall_s })
    }
}

/// Pixels along a side, and pixels a square of the field has.
const SIDE: usize = 320;
const SQUARE: usize = 4;

/// Samples on the discriminator's field.
fn frame(gan: &Player, place: Place, samples: &[[f32; 2]], found: &Coverage) -> gan::Result<Image> {
    let reach = place.reach();
    let squares = SIDE / SQUARE;
    let at = |square: usize| (((square as f64 + 0.5) / squares as f64 * 2.0 - 1.0) * reach) as f32;
    let points: Vec<f32> =
        (0..squares * squares).flat_map(|i| [at(i % squares), -at(i / squares)]).collect();
    let still = gan.discriminator().valid();
    let device = still.devices().into_iter().next().unwrap_or_default();
    let points = Tensor::from_data(TensorData::new(points, [squares * squares, 2]), &device);
    let field: Vec<f32> = still.forward(points, None).into_data().iter::<f32>().collect();
    // Losses have other scales: what is drawn is the place between the field's ends.
    let mut sorted = field.clone();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (sorted[sorted.len() / 20], sorted[sorted.len() - 1 - sorted.len() / 100]);
    let mut pixels = vec![255; SIDE * SIDE * 3];
    for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let square = i / SIDE / SQUARE * squares + i % SIDE / SQUARE;
        let share = ((field[square] - low) / (high - low).max(1e-6)).clamp(0.0, 1.0);
        let [blue, orange] = [[120.0, 160.0, 215.0], [255.0, 190.0, 110.0]];
        for (c, value) in pixel.iter_mut().enumerate() {
            *value = (blue[c] + (orange[c] - blue[c]) * share) as u8;
        }
    }
    let mut dot = |x: f64, y: f64, radius: i64, color: [u8; 3]| {
        let place = |value: f64| (f64::midpoint(value / reach, 1.0) * SIDE as f64) as i64;
        let (column, row) = (place(x), place(-y));
        for (dx, dy) in (-radius..=radius).flat_map(|dx| (-radius..=radius).map(move |dy| (dx, dy)))
        {
            let (column, row) = (column + dx, row + dy);
            let side = SIDE as i64;
            if (0..side).contains(&column) && (0..side).contains(&row) {
                let start = ((row * side + column) * 3) as usize;
                pixels[start..start + 3].copy_from_slice(&color);
            }
        }
    };
    for [x, y] in place.mixture().means {
        dot(x, y, 3, [255, 255, 255]);
    }
    for [x, y] in samples {
        dot(f64::from(*x), f64::from(*y), 0, [20, 20, 20]);
    }
    let caption =
        format!("step {}: {} modes, {:.1} % good", gan.steps(), found.modes, 100.0 * found.good);
    let image = Image::new(SIDE, SIDE, 3, pixels)?;
    Ok(Grid::new().scale(1).captioned(&image, caption, [40, 40, 40]).to_image()?)
}
