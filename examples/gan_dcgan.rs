//! A DCGAN learns to make images, and is judged beside real ones.
//!
//! ```console
//! $ cargo run --release --example gan_dcgan
//! $ cargo run --release --example gan_dcgan -- --data MNIST --conditional
//! ```
//!
//! Without `--data` it learns white shapes on black. Ctrl-C stops; with `--resume` the same command
//! goes on exactly. The figures are of a classifier that is trained first; each stands beside
//! what real images get.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Tensor;
use clap::Parser;
use common::flags::{
    BATCH, ITEMS, RATE, STEPS, UNITS, below_one, folder, positive, signed, within,
};
use common::gan::{Jury, draw_curves, draw_nearest, look, silhouettes};
use common::{Common, Film, Metrics, Resume, Session, program};
use gan::sample::{spherical_path, to_images};
use gan::{DcganConfig, GanConfig, Images, Loss, Penalty, Rules};
use model_utils::data::{Shape, Split, open_classification};
use model_utils::picture::{Grid, grid};
use model_utils::train::Budget;
use model_utils::weights::Stored as _;

/// Train a DCGAN
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Images: MNIST's IDX files, a folder a class, or a CSV of names and labels [default: drawn
    /// shapes]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    data: Option<PathBuf>,
    /// How many shapes are drawn to learn from, where no images are given
    #[arg(long, value_name = "N", default_value_t = 12_000, value_parser = within(60..=ITEMS))]
    shapes: usize,
    /// `minimax`, `non_saturating`, `least_squares`, `wasserstein`, `hinge` or `relativistic`
    #[arg(long, value_name = "NAME", default_value = "non_saturating")]
    loss: Loss,
    /// Height and width of the images: 28, 32, 64, 128, …; others are scaled to it
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = within(4..=1024_usize))]
    size: usize,
    /// The least side of the smallest map, 1 to 4: the smaller, the more layers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=4_usize))]
    smallest: usize,
    /// Ask for classes
    #[arg(long)]
    conditional: bool,
    /// Ask for so many clusters of images that look alike, found without labels
    #[arg(long, value_name = "N", conflicts_with = "conditional", value_parser = within(2..=UNITS))]
    clusters: Option<usize>,
    /// Channels of the largest hidden map
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(1..=4096_usize))]
    width: usize,
    /// Steps of the generator
    #[arg(long, value_name = "N", default_value_t = 1500, value_parser = within(1..=STEPS))]
    steps: u64,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(2..=BATCH))]
    batch_size: usize,
    /// Learning rate of both players; it falls to 0 as half a cosine
    #[arg(long, value_name = "RATE", default_value_t = 2e-4, value_parser = positive(RATE))]
    learning_rate: f64,
    /// Share that stays at each step in the average of the generator, which is what samples
    #[arg(long, value_name = "SHARE", default_value_t = 0.999, value_parser = below_one())]
    ema: f64,
    /// Weight γ of the R1 and R2 penalties of the relativistic loss; with 0 there are none, and the
    /// discriminator is batch-normalised
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = within(0.0..=1000.0))]
    gamma: f64,
    /// Spectral normalisation of the discriminator in place of batch norm
    #[arg(long)]
    spectral_norm: bool,
    /// A rule of DCGAN to break, for the ablation
    #[arg(long, value_enum)]
    without: Option<Rule>,
    /// Samples that are judged, at most as many as there are test images
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = within(10..=ITEMS))]
    samples: usize,
    #[command(flatten)]
    resume: Resume,
}

/// The rules of DCGAN that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Rule {
    /// Batch norm in the generator
    GeneratorNorm,
    /// Batch norm in the discriminator
    DiscriminatorNorm,
    /// Batch norm in both
    Norm,
    /// Strides in place of pooling and repeated pixels
    Strides,
    /// Only the ends fully connected: a hidden layer of 256 is added
    Convolutions,
    /// Leaky rectifiers in the discriminator: plain ones
    LeakyRelu,
    /// The hyperbolic tangent at the generator's end
    Tanh,
}

fn main() -> ExitCode {
    program("gan_dcgan", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let config = configure(&args);
    let device = args.common.open()?;
    // What cannot work is refused before anything is read.
    let _ = config.init(&device)?;
    session.stage("making the images");
    let (train, test) = if let Some(folder) = &args.data {
        let read = |split| -> anyhow::Result<Images> {
            let images = session.around(open_classification(folder, split)?);
            Ok(Images::from_dataset(&images)?.resized(args.size, &session.stop())?)
        };
        (read(Split::Train)?, read(Split::Test)?)
    } else {
        let draw = |count, split| {
            let shapes = session.around(&Shape::ALL);
            silhouettes(count, split, args.size, shapes, args.common.seed)
        };
        (draw(args.shapes, Split::Train)?, draw(args.shapes / 6, Split::Test)?)
    };
    let learned = match args.clusters {
        Some(count) => train.clustered(count, args.common.seed, &session.stop())?,
        None => train.clone(),
    };
    let [channels, ..] = train.shape();
    let conditional = args.conditional || args.clusters.is_some();
    let classes = if conditional { learned.class_names().len() } else { 0 };
    let config = GanConfig {
        networks: config.networks.clone().with_channels(channels).with_classes(classes),
        ..config
    };
    println!(
        "data: {} training and {} test images of {size}×{size}×{channels}",
        train.count(),
        test.count(),
        size = args.size
    );

    session.check()?;

    let epochs = if train.count() > 30_000 { 3 } else { 6 };
    let jury = Jury::new(session, (&train, &test), args.samples, epochs, &device)?;
    println!("classifier: {:.2} % of the test images right", 100.0 * jury.accuracy);

    let mut metrics = Metrics::default();
    if args.clusters.is_some() {
        measure_clusters(&train, &learned, &mut metrics);
    }
    metrics.set("classifier_accuracy", jury.accuracy);
    metrics.set("fid_noise", jury.noise_fid(train.shape(), &device)?);
    let untrained = config.init(&device)?.with_stop(&session.stop());
    metrics.set("fid_untrained", jury.fid(&untrained.sample_tensor(jury.count(), 2)?)?);

    session.stage("training");
    let checkpoint_every = (args.steps / 10).clamp(1, 200);
    let mut gan =
        config.init(&device)?.resume_in(session.checkpoints("game")?, checkpoint_every)?;
    let mut film = Film::open(session.kept()?.join("film"), gan.steps())?;
    let mut observer = (session.progress(), session.log(out.join("train.csv"))?);
    let every = (args.steps / 40).max(1);
    let trained = gan.train_with_callback(
        &learned,
        Budget::steps(args.steps),
        &mut observer,
        every,
        |gan| look(&mut film, gan, 36),
    )?;
    observer.1.finish()?;
    session.check()?;
    let gan = gan.with_stop(&session.stop());
    session.stage("evaluation");
    metrics.set("steps", trained.steps);
    metrics.set("images_per_s", trained.samples_per_s);
    metrics.set("train_wall_s", trained.wall_s);

    film.save(&out.join("training.gif"))?;
    draw_curves(gan.history(), out)?;
    grid(&gan.sample(100, 3)?)?.columns(10).scale(2).save(out.join("samples.png"))?;
    draw_nearest(&gan.sample_tensor(10, 3)?, session.around(&train), &out.join("nearest.png"))?;
    draw_paths(&gan, &out.join("paths.png"))?;
    gan.average().save(out.join("generator.safetensors"))?;
    jury.judge(&gan, args.conditional, &mut metrics)?;
    session.finish(&metrics)
}

/// How even clusters are, and how many images have their cluster's commonest label.
fn measure_clusters(labelled: &Images, clustered: &Images, metrics: &mut Metrics) {
    let labels = labelled.class_names().len();
    let mut counts = vec![vec![0; labels]; clustered.class_names().len()];
    for (&label, &cluster) in labelled.labels().iter().zip(clustered.labels()) {
        counts[cluster][label] += 1;
    }
    let sizes = || counts.iter().map(|counts| counts.iter().sum::<usize>());
    let alike: usize = counts.iter().filter_map(|counts| counts.iter().max()).sum();
    metrics.set("cluster_size_least", sizes().min());
    metrics.set("cluster_size_most", sizes().max());
    metrics.set("cluster_purity", alike as f64 / labelled.count() as f64);
}

fn configure(args: &Args) -> GanConfig<DcganConfig> {
    let mut networks = DcganConfig::for_size(args.size)
        .with_smallest(args.smallest)
        .with_width(args.width)
        .with_spectral_norm(args.spectral_norm);
    let penalty = match args.loss {
        Loss::Relativistic => match args.gamma {
            0.0 => Penalty::None,
            gamma => Penalty::R1R2 { gamma },
        },
        loss => Rules::new(loss).penalty,
    };
    if args.spectral_norm || penalty.needs_jvp() {
        networks = networks.with_normalise_discriminator(false);
    }
    let networks = match args.without {
        None => networks,
        Some(Rule::GeneratorNorm) => networks.with_normalise_generator(false),
        Some(Rule::DiscriminatorNorm) => networks.with_normalise_discriminator(false),
        Some(Rule::Norm) => {
            networks.with_normalise_generator(false).with_normalise_discriminator(false)
        }
        Some(Rule::Strides) => networks.with_pooling(true),
        Some(Rule::Convolutions) => networks.with_fully_connected(256),
        Some(Rule::LeakyRelu) => networks.with_slope(0.0),
        Some(Rule::Tanh) => networks.with_tanh(false),
    };
    GanConfig::new(networks, args.loss)
        .with_penalty(penalty)
        .with_batch_size(args.batch_size)
        .with_learning_rate(args.learning_rate)
        .with_ema_decay(args.ema)
        .with_anneal_steps(args.steps)
        .with_seed(args.common.seed)
}

/// Walks from one sample to another along the arc between their random numbers.
fn draw_paths<G, N>(gan: &gan::Gan<4, G, N>, path: &std::path::Path) -> anyhow::Result<()>
where
    G: gan::Generator<4>,
    N: gan::Discriminator<4>,
{
    const STEPS: usize = 10;
    let ends: Tensor<2> = gan.latents(12, 5);
    let device = ends.device();
    let ends: Vec<Vec<f32>> =
        ends.split(1, 0).into_iter().map(|end| end.into_data().iter::<f32>().collect()).collect();
    let mut picture = Grid::new().title("Along the arc between two random numbers");
    for (row, pair) in ends.chunks_exact(2).enumerate() {
        let latents = spherical_path(&pair[0], &pair[1], STEPS, &device)?;
        let known = gan.generator().classes();
        let classes = (known > 0).then(|| vec![row % known; STEPS]);
        for image in to_images(gan.generate(latents, classes.as_deref())?)? {
            picture = picture.image(&image);
        }
    }
    Ok(picture.columns(STEPS).save(path)?)
}
