//! Trains the families of image models on the same images with the same budget, and draws what each
//! gets right against what it costs.
//!
//! ```console
//! $ cargo run --release --example vision_compare                        # drawn shapes
//! $ cargo run --release --example vision_compare -- --data DIR          # MNIST, a folder a class
//! ```
//!
//! The run ends with accuracy (Wilson's interval), parameters, multiply–adds and milliseconds of each
//! model, `McNemar`'s test between neighbours, three pictures of accuracy against cost, and two of what
//! a residual and a dense network pass on.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use burn::tensor::{Device, Tensor};
use clap::Parser;
use common::flags::{BATCH, EPOCHS, ITEMS, RATE, folder, positive, signed, within};
use common::vision::{Recipe, Task, drawn_shapes};
use common::{Common, Metrics, Resume, Session, program};
use mobilenet_densenet::{
    Architecture, BuildOptions, ClassificationReport, Classifier as _, DenseNet, DenseNetConfig,
    ImageModel,
};
use model_utils::data::{Split, open_classification};
use model_utils::graph::{Graph, GraphModule};
use model_utils::layers::{NormOrder, ResidualBlockConfig};
use model_utils::picture::Curves;
use model_utils::stats::{mcnemar, median, wilson};

/// The models, each with a width multiplier at which it trains in minutes on a processor.
const MODELS: [(Architecture, f64); 6] = [
    (Architecture::Vgg16Bn, 0.25),
    (Architecture::ResNet18, 0.25),
    (Architecture::MobileNetV1, 0.25),
    (Architecture::MobileNetV2, 0.35),
    (Architecture::MobileNetV3Small, 0.5),
    (Architecture::DenseNet121, 0.25),
];
/// Runs that a time is the median of.
const RUNS: usize = 31;

/// Compare the families of image models
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
    /// Only these models
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    only: Vec<Architecture>,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = within(1..=EPOCHS))]
    epochs: u64,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(1..=BATCH))]
    batch_size: usize,
    /// The highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 6e-3, value_parser = positive(RATE))]
    learning_rate: f64,
    /// Images that are drawn to train on, where there is no --data
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = within(1..=ITEMS))]
    drawn: usize,
}

/// What is known of a model after its run.
struct Found {
    name: &'static str,
    report: ClassificationReport,
    parameters: usize,
    multiply_adds: u64,
    latency_ms: f64,
    train_s: f64,
}

/// Trains a model, then measures it.
fn train_and_measure(
    name: &'static str,
    model: ImageModel,
    task: &Task<'_>,
    device: &Device,
) -> anyhow::Result<Found> {
    let trained = task.train(model)?;
    task.session.stage(format!("measuring {name}"));
    let train_s = trained.wall_s;
    let model = trained.into_best_guess();
    let report = task.evaluate(&model)?;
    let (side, channels) = (task.side()?, model.channels());
    let graph = Graph::trace(&model, [1, channels, side, side], ImageModel::forward)?;
    let summary = graph.summary(1)?;
    let mut folded = graph;
    folded.fold_batch_norm()?;
    let module: GraphModule = folded.init(device)?;
    let images = Tensor::<4>::ones([1, channels, side, side], device);
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        task.session.check()?;
        let start = Instant::now();
        let logits: Tensor<2> = module.forward(images.clone())?;
        let _ = logits.into_data();
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    Ok(Found {
        name,
        report,
        parameters: summary.learnable_parameters,
        multiply_adds: summary.multiply_adds,
        latency_ms: median(&times[1..])?,
        train_s,
    })
}

fn main() -> ExitCode {
    program("vision_compare", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let names = MODELS.map(|(architecture, _)| architecture);
    if let Some(other) = args.only.iter().find(|only| !names.contains(only)) {
        bail!("--only {other}: expected of {}", names.map(Architecture::name).join(", "));
    }
    let plain = args.common.open()?;
    let device = plain.clone().autodiff();
    let (train, test) = match &args.data {
        Some(folder) => {
            (open_classification(folder, Split::Train)?, open_classification(folder, Split::Test)?)
        }
        None => drawn_shapes(args.drawn, (args.drawn / 4).max(1), args.common.seed)?,
    };
    println!("with the defaults this takes about 9 minutes on two processor cores");
    let mut found = Vec::new();
    for (architecture, width) in MODELS {
        if !args.only.is_empty() && !args.only.contains(&architecture) {
            continue;
        }
        let folder = out.join(architecture.name());
        std::fs::create_dir_all(&folder)?;
        let task = Task {
            session,
            out: &folder,
            name: architecture.name(),
            device: &device,
            train: train.clone(),
            test: test.clone(),
            seed: args.common.seed,
            epochs: args.epochs,
            batch_size: args.batch_size,
            learning_rate: args.learning_rate,
            augment: false,
            recipe: Recipe::default(),
        };
        if found.is_empty() {
            println!("data: {}", task.describe()?);
        }
        println!("model: {architecture}, width {width}");
        let (channels, classes) = task.channels_and_classes()?;
        let options = BuildOptions::new()
            .with_width(width)
            .with_side(task.side()?)
            .with_channels(channels)
            .with_classes(classes);
        model_utils::device::seed(&device, args.common.seed);
        let name = architecture.name();
        let model = architecture.build(&options, &device)?;
        found.push(train_and_measure(name, model, &task, &plain)?);
        session.check()?;
    }
    found.sort_by(|a, b| b.report.accuracy().total_cmp(&a.report.accuracy()));

    let mut metrics = Metrics::default();
    for model in &found {
        let interval = wilson(model.report.correct(), model.report.labels.len(), 0.95)?;
        let mut set = |key: &str, value: serde_json::Value| {
            metrics.set(&format!("{}_{key}", model.name), value);
        };
        set("accuracy", model.report.accuracy().into());
        set("accuracy_low", interval.low.into());
        set("accuracy_high", interval.high.into());
        set("parameters", model.parameters.into());
        set("multiply_adds", model.multiply_adds.into());
        set("latency_ms", model.latency_ms.into());
        set("train_s", model.train_s.into());
    }
    // Whether each is better than the next by more than chance.
    for pair in found.windows(2) {
        let right = |report: &ClassificationReport| {
            let pairs = report.labels.iter().zip(&report.predictions);
            pairs.map(|(label, answer)| label == answer).collect::<Vec<_>>()
        };
        let test = mcnemar(&right(&pair[0].report), &right(&pair[1].report))?;
        metrics.set(&format!("{}_over_{}_p_value", pair[0].name, pair[1].name), test.p_value);
    }
    for (file, label, cost) in [
        ("parameters.svg", "parameters", (|f| f.parameters as f64) as fn(&Found) -> f64),
        ("multiply_adds.svg", "multiply–adds", |f| f.multiply_adds as f64),
        ("latency.svg", "milliseconds for one image", |f| f.latency_ms),
    ] {
        let mut curves = Curves::new("Accuracy against cost, with 95 % intervals")
            .x_label(label)
            .y_label("test accuracy")
            .log_x();
        for model in &found {
            let interval = wilson(model.report.correct(), model.report.labels.len(), 0.95)?;
            let at = cost(model);
            let ends = [(at, interval.low), (at, interval.high)];
            curves = curves.measurements(model.name, &[ends[0], (at, interval.estimate), ends[1]]);
        }
        curves.save(out.join(file))?;
    }
    connectivity(out, &plain)?;
    session.finish(&metrics)
}

/// Draws two residual blocks beside two dense layers, as traced from the models themselves.
fn connectivity(out: &Path, device: &Device) -> anyhow::Result<()> {
    let block = ResidualBlockConfig::new([24, 24]).with_order(NormOrder::Pre);
    let blocks = vec![block.init(device), block.init(device)];
    let residual = Graph::trace(&blocks, [1, 24, 8, 8], |blocks, x| {
        blocks.iter().fold(x, |x, block| block.forward(x))
    })?;
    residual
        .chart("Residual: each block adds to what it was given")?
        .save(out.join("residual.svg"))?;
    let layers = DenseNetConfig::new(12, vec![2], 24).with_channels(24).init(device)?;
    let dense = Graph::trace(&layers, [1, 24, 8, 8], |layers: &DenseNet, x| {
        layers.forward_stages(x).pop().expect("a model has a stage")
    })?;
    dense
        .chart("Dense: each layer puts its maps beside all earlier ones")?
        .save(out.join("dense.svg"))?;
    Ok(())
}
