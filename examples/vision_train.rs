//! Trains any of the image models, from nothing or from published weights, and shows what it
//! learned.
//!
//! ```console
//! $ cargo run --release --example vision_train                                 # drawn shapes
//! $ cargo run --release --example vision_train -- --data DIR                   # your images
//! ```
//!
//! Without `--data` a small DenseNet learns shapes that are drawn, in a minute on two processor cores:
//! of 1,000 others it has more than 90 % right.
//!
//! On MNIST (`--data DIR` with its four IDX files) a small VGG with batch norm gets 99.6 % of the
//! test images right after four passes: `--model vgg --convs 2,2,2,1,1 --width 0.25
//! --strides 2,2,2,1,1 --augment --learning-rate 4e-3 --ema 0.998 --label-smoothing 0.05
//! --epochs 4`; the book has the table. Ctrl-C stops; with `--resume` the same command
//! goes on exactly.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use burn::tensor::Device;
use clap::Parser;
use common::flags::{BATCH, EPOCHS, RATE, below_one, file, folder, positive, signed, within};
use common::vision::{Recipe, Task, drawn_shapes};
use common::{Common, Resume, Session, program};
use mobilenet_densenet::{
    Architecture, BatchMix, BuildOptions, Classifier as _, DenseNetConfig, ImageModel,
    MobileNetV2Config, Pretrained, VggConfig, Weights,
};
use model_utils::data::{Normalize, Split, open_classification};
use model_utils::weights::Import;

/// Train an image model
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Images: MNIST's IDX files, a folder a class, or a CSV of names and labels [default: drawn shapes]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    data: Option<PathBuf>,
    /// The model: `densenet` and `vgg`, made by the flags below, or a published one:
    /// `mobilenet_v2`, `resnet18`, …
    #[arg(long, value_name = "NAME", default_value = "densenet", value_parser = parse_model)]
    model: Model,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=EPOCHS))]
    epochs: u64,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(1..=BATCH))]
    batch_size: usize,
    /// The highest learning rate; it rises for a twentieth of the steps, then falls as a cosine
    #[arg(long, value_name = "RATE", default_value_t = 1e-2, value_parser = positive(RATE))]
    learning_rate: f64,
    /// The width multiplier
    #[arg(long, value_name = "X", default_value_t = 0.25, value_parser = positive(16.0))]
    width: f64,
    /// Strides of `mobilenet_v2` (the stem and the rows of 24, 32, 64 and 160 channels) or of
    /// `vgg` (its five poolings)
    #[arg(long, value_name = "N,N,N,N,N", value_delimiter = ',', default_values_t = [2, 2, 2, 2, 1], value_parser = within(1..=2_usize))]
    strides: Vec<usize>,
    /// Dropped share of `mobilenet_v2`'s features
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = below_one())]
    dropout: f64,
    /// The growth rate of `densenet`
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = within(1..=1024_usize))]
    growth_rate: usize,
    /// Layers of the dense blocks of `densenet`
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_values_t = [4, 4, 4], value_parser = within(1..=256_usize))]
    blocks: Vec<usize>,
    /// Convolutions of the five groups of `vgg`
    #[arg(long, value_name = "N,N,N,N,N", value_delimiter = ',', default_values_t = [2, 2, 2, 1, 1], value_parser = within(1..=64_usize))]
    convs: Vec<usize>,
    /// Start from these weights (torchvision's names, or a .tflite file); the head is made anew
    #[arg(long, value_name = "FILE", value_parser = file())]
    pretrained: Option<PathBuf>,
    /// Train the head alone
    #[arg(long)]
    freeze: bool,
    /// Turn, shift and scale the training images a little
    #[arg(long)]
    augment: bool,
    /// Mix images and labels in pairs, with this α
    #[arg(long, value_name = "SHARE", conflicts_with = "cutmix", value_parser = positive(1.0))]
    mixup: Option<f64>,
    /// Put boxes of other images in, with this α
    #[arg(long, value_name = "SHARE", value_parser = positive(1.0))]
    cutmix: Option<f64>,
    /// Share of each label that goes to all classes alike
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = below_one())]
    label_smoothing: f64,
    /// Share that stays at each step in the average of the weights, which is what is judged
    #[arg(long, value_name = "SHARE", default_value_t = 0.99, value_parser = below_one())]
    ema: f64,
    /// Decay of the weights, as a part of the learning rate
    #[arg(long, value_name = "X", default_value_t = 0.02, value_parser = within(0.0..=100.0_f32))]
    weight_decay: f32,
    #[command(flatten)]
    resume: Resume,
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    DenseNet,
    Vgg,
    Published(Architecture),
}

fn parse_model(text: &str) -> Result<Model, String> {
    match text {
        "densenet" => Ok(Model::DenseNet),
        "vgg" => Ok(Model::Vgg),
        other => other.parse().map(Model::Published).map_err(|_| {
            let names: Vec<_> = Architecture::all().map(Architecture::name).collect();
            format!("expected one of densenet, vgg, {}", names.join(", "))
        }),
    }
}

fn main() -> ExitCode {
    program("vision_train", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let (strides, convs) = (five("strides", &args.strides)?, five("convs", &args.convs)?);
    let device = args.common.open()?.autodiff();
    let (train, test) = match &args.data {
        Some(folder) => {
            (open_classification(folder, Split::Train)?, open_classification(folder, Split::Test)?)
        }
        None => drawn_shapes(8000, 1000, args.common.seed)?,
    };
    let mixup = args.mixup.map(|alpha| BatchMix::Mixup { alpha });
    let cutmix = args.cutmix.map(|alpha| BatchMix::CutMix { alpha });
    let task = Task {
        session,
        out: session.out(),
        name: "model",
        device: &device,
        train,
        test,
        seed: args.common.seed,
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        augment: args.augment,
        recipe: Recipe {
            mix: mixup.or(cutmix),
            label_smoothing: args.label_smoothing,
            ema_decay: args.ema,
            weight_decay: args.weight_decay,
            normalize: normalize(args.pretrained.as_deref()),
        },
    };
    println!("data: {}", task.describe()?);
    let (channels, classes) = task.channels_and_classes()?;
    let mut model: ImageModel = match args.model {
        Model::Published(Architecture::MobileNetV2) if args.pretrained.is_none() => {
            let config = MobileNetV2Config::new()
                .with_width(args.width)
                .with_channels(channels)
                .with_classes(classes)
                .with_strides(strides)
                .with_dropout(args.dropout);
            config.init(&device)?.into()
        }
        Model::DenseNet => {
            let blocks = args.blocks.clone();
            let config = DenseNetConfig::new(args.growth_rate, blocks, 2 * args.growth_rate)
                .with_channels(channels)
                .with_classes(classes);
            config.init(&device)?.into()
        }
        Model::Vgg => {
            let config = VggConfig::new(convs)
                .with_batch_norm(true)
                .with_width(args.width)
                .with_strides(strides)
                .with_pooled(1)
                .with_hidden(0)
                .with_channels(channels)
                .with_classes(classes);
            config.init(&device)?.into()
        }
        Model::Published(architecture) => {
            // Published weights have their own width and strides.
            let (width, side) = match args.pretrained {
                Some(_) => (1.0, 224),
                None => (args.width, task.side()?),
            };
            let options = BuildOptions::new()
                .with_width(width)
                .with_side(side)
                .with_channels(channels)
                .with_classes(classes);
            architecture.build(&options, &device)?
        }
    };
    if let Some(path) = &args.pretrained {
        model = start_from(path, model, args.model, &device)?;
    }
    if args.freeze {
        model = model.freeze_backbone();
    }
    session.finish(&task.run(model)?)
}

/// The model with published weights but for its head.
fn start_from(
    path: &Path,
    model: ImageModel,
    name: Model,
    device: &Device,
) -> anyhow::Result<ImageModel> {
    if path.extension().is_some_and(|extension| extension == "tflite") {
        let Model::Published(architecture) = name else {
            bail!("--pretrained: a .tflite file is for a published model");
        };
        let found = Pretrained::load(architecture, Weights::TfLite(path), device)?;
        println!("weights: {}, {} classes", path.display(), found.model.classes());
        return Ok(found.model.reset_classifier(model.classes())?);
    }
    let (model, report) = model.import(&Import::new(path).allow_mismatched())?;
    println!(
        "weights: {}, {} tensors taken, {} of the head made anew",
        path.display(),
        report.applied.len(),
        report.mismatched.len()
    );
    Ok(model)
}

/// What published weights were trained with; else values from 0 to 1.
fn normalize(pretrained: Option<&Path>) -> Normalize {
    match pretrained {
        Some(path) if path.extension().is_some_and(|e| e == "tflite") => Normalize::symmetric(),
        Some(_) => Normalize::imagenet(),
        None => Normalize::unit(),
    }
}

fn five(flag: &str, numbers: &[usize]) -> anyhow::Result<[usize; 5]> {
    let five = numbers.try_into().ok();
    five.with_context(|| format!("--{flag} are {numbers:?}: {} numbers, expected 5", numbers.len()))
}
