//! Training divided among workers that each have a core: what it gains in time, and what it costs in
//! accuracy.
//!
//! ```console
//! $ cargo run --release --example compress_distribute -- --workers 2
//! $ cargo run --release --example compress_distribute -- --data DIR --mode async --staleness 2
//! $ cargo run --release --example compress_distribute -- --data DIR --mode local --local-steps 8
//! ```
//!
//! One worker after the other is added, each with batches of the same size, and all see as many images.
//! The run ends with a table of images a second and a comparison of the models.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use burn::optim::AdamWConfig;
use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use common::compress::{
    CHECKPOINT_EVERY, Family, before_and_after, finish, open_images, share, step, test_set,
};
use common::flags::{BATCH, ITEMS, RATE, STEPS, folder, positive, signed, within};
use common::vision::fits;
use common::{Common, Resume, Session, program};
use compress::distribute::{Compression, DataParallel, DataParallelConfig, Mode};
use compress::report::Report;
use model_utils::checkpoint::Checkpoints;
use model_utils::data::{Dataset as _, ImageBatch, Loader, ToTensors as _};
use model_utils::graph::{Graph, GraphModule};
use model_utils::picture::Curves;
use model_utils::stats::{mean, median};
use model_utils::train::{Budget, Evaluation, Trained};

/// Divide training among workers
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    /// Images: MNIST's IDX files, a folder a class, or a CSV of names and labels [default: drawn shapes]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    data: Option<PathBuf>,
    /// The model
    #[arg(long, value_enum, default_value = "vgg")]
    family: Family,
    /// Workers, at most
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = within(1..=256_usize))]
    workers: usize,
    /// When workers share what they learned
    #[arg(long, value_enum, default_value = "sync")]
    mode: When,
    /// Steps of others between a worker's look at the weights and its own step, in mode async
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(0..=1000_u64))]
    staleness: u64,
    /// Steps between two averages, in mode local
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = within(1..=STEPS))]
    local_steps: u64,
    /// What is left out of gradients, in mode sync
    #[arg(long, value_enum, default_value = "none")]
    compression: Leave,
    /// Share of the gradients that is exchanged, with --compression top-k
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = positive(1.0))]
    top_k: f64,
    /// Each batch normalisation takes its own worker's statistics
    #[arg(long)]
    own_statistics: bool,
    /// Threads of a worker
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=256_usize))]
    threads: usize,
    /// Images of a worker's batch
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(1..=BATCH))]
    batch_size: usize,
    /// Images that are seen, in all
    #[arg(long, value_name = "N", default_value_t = 3072, value_parser = within(1..=ITEMS))]
    images: usize,
    /// How often each is timed; the median counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=1000_usize))]
    repeats: usize,
    /// The learning rate
    #[arg(long, value_name = "RATE", default_value_t = 2e-3, value_parser = positive(RATE))]
    learning_rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// At every step: as one worker with the batches of all
    Sync,
    /// Whenever they have a gradient
    Async,
    /// Every few steps
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Leave {
    None,
    TopK,
    #[value(name = "8bit")]
    EightBit,
}

/// A number of workers, measured.
struct Measured {
    workers: usize,
    images_per_s: Vec<f64>,
    trained: Trained<GraphModule>,
}

fn main() -> ExitCode {
    program("compress_distribute", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    session.stage("making the images");
    let (train, test_images) = open_images(args.data.as_deref(), args.common.seed)?;
    fits(args.batch_size, train.len())?;
    let test = test_set(session.around(&test_images), &device)?;
    let first = train.get(0)?.image;
    let shape = [first.channels(), first.height(), first.width()];
    let graph = args.family.graph(shape, train.classes().len(), &device)?;
    println!(
        "model: {}, {} parameters; {} cores",
        args.family.name(),
        graph.learnable_parameters(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );

    // All batches are made before the clock runs.
    let loader = Loader::new(train, args.batch_size)?.shuffle(args.common.seed).drop_last(true);
    let mut batches = Vec::new();
    let wanted = args.images.div_ceil(args.batch_size);
    for epoch in 0.. {
        for batch in loader.epoch(epoch, 0).take(wanted - batches.len()) {
            batches.push(batch?);
        }
        if batches.len() == wanted {
            break;
        }
    }

    let mut measured: Vec<Measured> = Vec::new();
    for repeat in 0..args.repeats {
        for (at, workers) in (1..=args.workers).enumerate() {
            let evaluate = |module: &GraphModule| {
                let correct = test.correct(&module.graph())?;
                Ok(Evaluation::new("test_accuracy", share(&correct)))
            };
            let name = format!("{}-{repeat}", row(workers).replace(' ', "-"));
            session.stage(format!("training {name}"));
            let trained = divided(&args, &graph, &device, workers, session.checkpoints(&name)?)?
                .train(
                    &batches,
                    |module: &GraphModule, batch: ImageBatch, device: &Device| {
                        let (images, labels) = batch.to_tensors(device);
                        step(module, images, labels)
                    },
                    evaluate,
                    &mut session.progress(),
                )?;
            session.check()?;
            let images_per_s = trained.items_per_s;
            if repeat == 0 {
                measured.push(Measured { workers, images_per_s: vec![images_per_s], trained });
            } else {
                measured[at].images_per_s.push(images_per_s);
            }
        }
    }

    let mut report = Report::new(&test);
    let mut speed_ups = Vec::new();
    let alone = median(&measured[0].images_per_s)?;
    println!("\nworkers  images/s  speed-up  busy  bytes/step  train loss");
    for Measured { workers, images_per_s, trained } in &measured {
        report = report.row(row(*workers), &trained.model.graph())?;
        let rate = median(images_per_s)?;
        let of = |name: &str| -> anyhow::Result<f64> {
            let curve = trained.history.curve(name).context("a curve")?;
            Ok(mean(&curve.points.iter().map(|(_, value)| *value).collect::<Vec<_>>())?)
        };
        let (busy, sent) = (of("busy_share")?, of("sent_bytes")?);
        let loss = trained.history.last("train_loss").unwrap_or(f64::NAN);
        let speed_up = rate / alone;
        println!(
            "{workers:>7}  {rate:>8.0}  {speed_up:>7.2}×  {:>3.0}%  {sent:>10.0}  {loss:>10.3}",
            100.0 * busy
        );
        speed_ups.push((*workers as f64, speed_up));
    }
    finish(&report, session)?;
    if speed_ups.len() > 1 {
        Curves::new("Images a second, of one worker's")
            .x_label("workers, a core each")
            .y_label("speed-up")
            .measurements("measured", &speed_ups)
            .line("ideal", &[(1.0, 1.0), (args.workers as f64, args.workers as f64)])
            .save(out.join("scaling.svg"))?;
    }
    let mut metrics = before_and_after(&report, &row(1), &row(args.workers))?;
    for (Measured { workers, images_per_s, .. }, (_, speed_up)) in measured.iter().zip(&speed_ups) {
        metrics.set(&format!("images_per_s_{workers}"), median(images_per_s)?);
        metrics.set(&format!("speed_up_{workers}"), *speed_up);
    }
    session.finish(&metrics)
}

fn row(workers: usize) -> String {
    if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") }
}

/// A training from the same weights on the same batches.
fn divided(
    args: &Args,
    graph: &Graph,
    device: &Device,
    workers: usize,
    checkpoints: Checkpoints,
) -> anyhow::Result<DataParallel<GraphModule>> {
    let mode = match args.mode {
        When::Sync => Mode::Synchronous,
        When::Async => Mode::Asynchronous { staleness: args.staleness },
        When::Local => Mode::Local { steps: args.local_steps },
    };
    let compression = match args.compression {
        Leave::None => Compression::None,
        Leave::TopK => Compression::TopK { share: args.top_k },
        Leave::EightBit => Compression::EightBit,
    };
    let config = DataParallelConfig::new(Budget::epochs(1))
        .with_mode(mode)
        .with_compression(compression)
        .with_sync_batch_norm(!args.own_statistics)
        .with_threads(Some(args.threads))
        .with_checkpoint_every(Some(CHECKPOINT_EVERY));
    let optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.02).init();
    let model = graph.init(&device.clone().autodiff())?;
    let devices = vec![device.clone(); workers];
    let run = DataParallel::new(config, model, optimizer, args.learning_rate, &devices)?;
    Ok(run.resume_in(checkpoints)?)
}
