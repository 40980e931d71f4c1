//! A model as a graph: what it consists of, what it costs, what folding saves; and a published
//! TensorFlow Lite file as a model.
//!
//! ```console
//! $ cargo run --release --example graph_summary
//! $ cargo run --release --example graph_summary -- --tflite FILE --image FILE --labels FILE
//! ```
//!
//! With the defaults: `MobileNetV2` has 3,504,872 learnable parameters and takes 0.30 G
//! multiply–adds an image of 224×224; its 52 batch normalisations fold into the convolutions before
//! them. Two pictures show a residual block before and after folding.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use common::flags::{file, signed};
use common::{Common, Metrics, Session, program};
use mobilenet_densenet::{
    Classifier as _, DenseNet, DenseNetConfig, MobileNetV2, MobileNetV2Config,
};
use model_utils::graph::{AnyTensor, Dim, Graph, GraphModule, tflite};
use model_utils::image::Image;
use model_utils::layers::{ResidualBlock, ResidualBlockConfig};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Model {
    #[value(name = "mobilenet_v2")]
    MobilenetV2,
    Densenet121,
}

/// Show a model as a graph: its nodes, its cost, its folded form
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The model to trace
    #[arg(long, value_enum, default_value = "mobilenet_v2")]
    model: Model,
    /// A TensorFlow Lite file to import instead
    #[arg(long, value_name = "FILE", value_parser = file())]
    tflite: Option<PathBuf>,
    /// An image for the imported model to classify: resized, its values to −1…1
    #[arg(long, value_name = "FILE", requires = "tflite", value_parser = file())]
    image: Option<PathBuf>,
    /// The names of the imported model's classes, a line each
    #[arg(long, value_name = "FILE", requires = "image", value_parser = file())]
    labels: Option<PathBuf>,
}

fn main() -> ExitCode {
    program("graph_summary", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    let image = args.image.as_ref().map(Image::open).transpose()?;
    let labels = args.labels.as_deref().map(read_labels).transpose()?;
    let mut metrics = Metrics::default();

    let graph = match (&args.tflite, args.model) {
        (Some(path), _) => tflite::import(path)?.dequantize()?,
        (None, Model::MobilenetV2) => {
            let model = MobileNetV2Config::new().init(&device)?;
            Graph::trace(&model, [1, 3, 224, 224], MobileNetV2::forward)?
        }
        (None, Model::Densenet121) => {
            let model = DenseNetConfig::densenet121().init(&device)?;
            Graph::trace(&model, [1, 3, 224, 224], DenseNet::forward)?
        }
    };
    let summary = graph.summary(1)?;
    println!("{summary}");
    metrics.set("nodes", summary.rows.len());
    metrics.set("learnable_parameters", summary.learnable_parameters);
    metrics.set("multiply_adds", summary.multiply_adds);
    metrics.set("peak_activation_bytes", summary.peak_activation_bytes);
    model_utils::atomic::write(out.join("graph.dot"), graph.to_dot().as_bytes())?;

    let mut folded = graph.clone();
    metrics.set("folded_batch_norms", folded.fold_batch_norm()?);
    metrics.set("nodes_folded", folded.summary(1)?.rows.len());
    let (module, folded) = (graph.init(&device)?, folded.init(&device)?);
    let input = example_input(&graph, image.as_ref(), &device)?;
    session.stage("timing");
    let (output, time_ms) = timed(&module, &input)?;
    let (_, folded_ms) = timed(&folded, &input)?;
    metrics.set("forward_ms", time_ms);
    metrics.set("forward_folded_ms", folded_ms);
    if image.is_some() {
        classify(output, labels, &mut metrics)?;
    }

    session.check()?;
    let block = ResidualBlockConfig::new([16, 16]).init(&device);
    let mut block = Graph::trace(&block, [1, 16, 32, 32], ResidualBlock::forward)?;
    block.chart("A residual block")?.save(out.join("block.svg"))?;
    block.fold_batch_norm()?;
    block.chart("The same, folded")?.save(out.join("block-folded.svg"))?;
    session.finish(&metrics)
}

/// An image of one size and colour, or the one that is asked for: `[1, 3, height, width]`.
fn example_input(
    graph: &Graph,
    image: Option<&Image>,
    device: &Device,
) -> anyhow::Result<AnyTensor> {
    let &[input] = graph.inputs() else {
        anyhow::bail!("the model takes {} inputs, expected one image", graph.inputs().len());
    };
    let shape = &graph.node(input).shape;
    let &[Dim::Batch(1), Dim::Fixed(3), Dim::Fixed(height), Dim::Fixed(width)] = &shape[..] else {
        anyhow::bail!("the model does not take colour images, but {shape:?}");
    };
    let image = match image {
        Some(image) => image.to_rgb(),
        None => Image::filled(width, height, &[200, 120, 40]),
    };
    let pixels = image.resize(width, height).to_planes();
    let values: Vec<f32> = pixels.iter().map(|value| value * 255.0 / 128.0 - 1.0).collect();
    let data = TensorData::new(values, [1, 3, height, width]);
    Ok(Tensor::<4>::from_data(data, device).into())
}

/// The output, and the median time of five runs in ms after one to warm up.
fn timed(module: &GraphModule, input: &AnyTensor) -> anyhow::Result<(AnyTensor, f64)> {
    let run = || module.run(vec![input.clone()], &mut |_, _| {});
    let mut output = run()?;
    let mut times_ms = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        output = run()?;
        input.device().sync()?;
        times_ms.push(1e3 * start.elapsed().as_secs_f64());
    }
    times_ms.sort_by(f64::total_cmp);
    Ok((output.swap_remove(0), times_ms[2]))
}

/// The names of classes, a line each.
fn read_labels(path: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(!text.trim().is_empty(), "--labels {}: it names no class", path.display());
    Ok(text.lines().map(str::to_owned).collect())
}

/// Prints the five most probable classes.
fn classify(
    output: AnyTensor,
    labels: Option<Vec<String>>,
    metrics: &mut Metrics,
) -> anyhow::Result<()> {
    let probabilities: Tensor<2> = output.typed()?;
    let probabilities: Vec<f32> = probabilities.into_data().iter().collect();
    let labels = match labels {
        Some(labels) => {
            let (found, classes) = (labels.len(), probabilities.len());
            ensure!(found == classes, "--labels: {found} names for {classes} classes");
            labels
        }
        None => (0..probabilities.len()).map(|class| format!("class {class}")).collect(),
    };
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    for &class in order.iter().take(5) {
        println!("{:.4}  {}", probabilities[class], labels[class]);
    }
    if let Some(&best) = order.first() {
        metrics.set("top1_label", labels[best].as_str());
        metrics.set("top1_probability", f64::from(probabilities[best]));
    }
    Ok(())
}
