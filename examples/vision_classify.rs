//! Says what is on pictures, with published weights, and shows where the model looked.
//!
//! ```console
//! $ cargo run --release --example vision_classify -- --weights mobilenet_v2_1.0_224_quant.tflite \
//!       --labels imagenet_labels.txt grace_hopper.bmp
//! ```
//!
//! `MobileNetV2`'s answer to that portrait is a military uniform, with 0.93. The weights are a file of
//! torchvision (`.pth` or SafeTensors), of timm, of Keras, of TensorFlow Lite, or what `vision_train` saved.
//! In a build with `--features download`, `--download resnet50` fetches torchvision's.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use burn::module::Module as _;
use clap::{Parser, ValueEnum};
use common::flags::{file, signed, within};
use common::{Common, Metrics, Session, program};
#[cfg(feature = "download")]
use mobilenet_densenet::Published;
use mobilenet_densenet::visualization::{feature_maps, grad_cam, overlay};
use mobilenet_densenet::{
    Answer, Architecture, Classifier as _, ImageModel, Preprocessing, Pretrained, Weights,
};
use model_utils::graph::{Graph, GraphModule};
use model_utils::image::Image;
use model_utils::picture::Grid;
use model_utils::stats::median;
use model_utils::weights::Manifest;

/// Columns of a bar of probability 1.
const BAR: f32 = 40.0;
/// Runs that the time is the median of.
const RUNS: usize = 9;
/// Feature maps shown of each stage.
const SHOWN_MAPS: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    Torchvision,
    Timm,
    TimmTf,
    Tflite,
    Keras,
    Usagi,
}

/// Say what is on pictures
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The pictures
    #[arg(required = true, value_name = "IMAGE", value_parser = file())]
    images: Vec<PathBuf>,
    /// The weights
    #[arg(long, value_name = "FILE", value_parser = file())]
    #[cfg_attr(feature = "download", arg(required_unless_present = "download"))]
    #[cfg_attr(not(feature = "download"), arg(required = true))]
    weights: Option<PathBuf>,
    /// Fetch torchvision's weights into the output folder: `resnet50`, `resnet50.v1`, …
    #[cfg(feature = "download")]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["weights", "source", "model"])]
    download: Option<String>,
    /// Whose names and preprocessing the weights have [default: by the file]
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// The model, for example `mobilenet_v2` [default: by the file's name]
    #[arg(long, value_name = "NAME")]
    model: Option<Architecture>,
    /// The names of the classes, one a line, or Keras's `imagenet_class_index.json`
    #[arg(long, value_name = "FILE", value_parser = file())]
    labels: Option<PathBuf>,
    /// Side of the images for what `vision_train` saved
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = within(1..=4096_usize))]
    side: usize,
    /// Answers to a picture
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(1..=1000_usize))]
    top: usize,
}

fn main() -> ExitCode {
    program("vision_classify", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let device = args.common.open()?;
    let path = weights_file(&args, session)?;
    let path = path.as_path();
    let source = match args.source {
        Some(source) => source,
        None => source_of(path)?,
    };
    let weights = match source {
        Source::Torchvision => Weights::Torchvision(path),
        Source::Timm => Weights::Timm(path),
        Source::TimmTf => Weights::TimmTf(path),
        Source::Tflite => Weights::TfLite(path),
        Source::Keras => Weights::Keras(path),
        Source::Usagi => {
            // What `vision_train` saved.
            let model = ImageModel::load(path, &device)?;
            let model = Pretrained::new(model, Preprocessing::unit(args.side));
            return classify(&args, model, session);
        }
    };
    let architecture = match args.model {
        Some(architecture) => architecture,
        None => by_name(path).with_context(|| {
            format!("--model: which model are the weights in {} of", path.display())
        })?,
    };
    println!("weights: {architecture}, {}", weights.source());
    classify(&args, Pretrained::load(architecture, weights, &device)?, session)
}

/// The file of the weights, fetched where that is asked for and it is not there yet.
#[cfg_attr(not(feature = "download"), allow(unused_variables))]
fn weights_file(args: &Args, session: &Session) -> anyhow::Result<PathBuf> {
    #[cfg(feature = "download")]
    if let Some(name) = &args.download {
        let published = Published::find(name)?;
        println!("fetching {}", published.file);
        return Ok(published.fetch(session.out(), &mut session.progress())?);
    }
    args.weights.clone().context("--weights: which file")
}

/// Whose weights a file holds, by what it is.
fn source_of(path: &Path) -> anyhow::Result<Source> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("tflite") => return Ok(Source::Tflite),
        Some("h5") => return Ok(Source::Keras),
        _ => {}
    }
    std::fs::metadata(path).with_context(|| format!("--weights: {}", path.display()))?;
    Ok(if Manifest::read(path).is_ok() { Source::Usagi } else { Source::Torchvision })
}

/// The model that a file is called after: the longest name that it begins with.
fn by_name(path: &Path) -> Option<Architecture> {
    let name = path.file_name()?.to_str()?;
    // Keras's ways.
    let name = name.strip_prefix("weights_").unwrap_or(name);
    if name.starts_with("mobilenet_") && !name.starts_with("mobilenet_v") {
        return Some(Architecture::MobileNetV1);
    }
    let called = |architecture: &Architecture| name.starts_with(architecture.name());
    Architecture::all().filter(called).max_by_key(|architecture| architecture.name().len())
}

/// Answers for every picture, with a table, a heat map and the feature maps of the first.
fn classify(args: &Args, model: Pretrained, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let model = match &args.labels {
        Some(path) => model.with_labels_from(path)?,
        None => model,
    };
    let channels = model.model.channels();
    let device = model.model.devices().swap_remove(0);
    let mut grid = Grid::new().columns(2).title("Each picture, and where the first answer is seen");
    let mut metrics = Metrics::default();
    for (index, path) in args.images.iter().enumerate() {
        session.check()?;
        session.stage(format!("classifying {}", path.display()));
        let image = Image::open(path)?;
        let answers = model.classify(&image, args.top.max(1))?;
        println!("\n{}", path.display());
        for answer in &answers {
            println!("  {}", bar(answer));
        }
        let first = &answers[0];
        let seen = model.preprocessing.resized(&image, channels)?;
        let images = model.preprocessing.tensor(&image, channels, &device)?;
        let heat = grad_cam(&model.model, images.clone(), &[first.class])?;
        let drawn = overlay(&seen, heat.squeeze_dim::<2>(0))?;
        grid = grid.image(&seen).captioned(&drawn, &first.label, [34, 34, 34]);
        if index == 0 {
            let mut maps = Grid::new().columns(SHOWN_MAPS).title("Feature maps, a row a stage");
            for map in model.model.forward_stages(images.clone()) {
                for (_, picture) in feature_maps(map, 0, SHOWN_MAPS)? {
                    maps = maps.image(&picture.resize_nearest(56, 56));
                }
            }
            maps.save(out.join("feature_maps.png"))?;
            metrics.set("top1_label", first.label.clone());
            metrics.set("top1_probability", f64::from(first.probability));
            let graph = Graph::trace(&model.model, images.dims(), ImageModel::forward)?;
            let mut folded = graph.clone();
            folded.fold_batch_norm()?;
            let module: GraphModule = folded.init(&device)?;
            let mut times = Vec::with_capacity(RUNS);
            for _ in 0..RUNS {
                let start = Instant::now();
                let logits: burn::tensor::Tensor<2> = module.forward(images.clone())?;
                let _ = logits.into_data();
                times.push(1e3 * start.elapsed().as_secs_f64());
            }
            metrics.set("latency_ms", median(&times[1..])?);
            let summary = graph.summary(1)?;
            metrics.set("parameters", summary.learnable_parameters);
            metrics.set("multiply_adds", summary.multiply_adds);
        }
    }
    grid.save(out.join("grad_cam.png"))?;
    session.finish(&metrics)
}

/// A line with the probability as a bar.
fn bar(answer: &Answer) -> String {
    let filled = (answer.probability * BAR).round() as usize;
    format!("{:.3} {:<40} {}", answer.probability, "█".repeat(filled), answer.label)
}
