//! A trained image classifier in fewer bits: eight bits after training, four bits after training and
//! trained with, weights that are powers of two; one table with the significance of each difference.
//!
//! ```console
//! $ cargo run --release --example compress_quantize -- --data mnist --family mobilenet
//! ```
//!
//! On MNIST eight bits are not distinguishable from floating point in any family; four bits cost
//! accuracy after training, and little or none where training knew of them.

#![allow(clippy::print_stdout)]

use anyhow::Context as _;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{FloatDType, Tensor};
use clap::{Parser, ValueEnum};
use common::compress::{Given, Subject, before_and_after, finish, share, step};
use common::vision::schedule;
use common::{Common, Metrics, stop_on_ctrl_c};
use compress::quantize::{
    CalibrationMethod, Coverage, PostTraining, PowerOfTwo, QuantizationAware, Scheme, StepSize,
    WeightRange, cast, load, save, stored_bytes, widen,
};
use compress::report::Variant as Named;
use model_utils::data::ToTensors as _;
use model_utils::graph::Graph;
use model_utils::train::{
    Batches as _, Budget, Evaluation, Observer, ProgressBar, Supervised, SupervisedConfig,
};

/// What is made of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Variant {
    /// Weights in half precision
    Float16,
    /// Weights and activations of 8 bits after training, one scale a tensor
    Int8PerTensor,
    /// The same with a scale for each channel of the weights
    Int8PerChannel,
    /// Weights of 4 bits, activations of 8, after training
    Int4PostTraining,
    /// The same with bounds of the least squared error, equalised, and with corrected biases
    Int4Corrected,
    /// The same trained with
    Int4Aware,
    /// Weights that are powers of two in 6 bits, after training
    #[value(name = "power6-post-training")]
    Power6PostTraining,
    /// The same trained with
    #[value(name = "power6-aware")]
    Power6Aware,
    /// Weights that are 0 or plus or minus one power of two, trained with
    TernaryAware,
}

impl Variant {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Quantize a trained image classifier in several ways
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    given: Given,
    /// What to make of the model
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Variant::value_variants().to_vec())]
    variants: Vec<Variant>,
    /// The variant whose figures metrics.json holds under the common names
    #[arg(long, value_enum, default_value = "int8-per-channel")]
    chosen: Variant,
    /// Batches to calibrate by
    #[arg(long, default_value_t = 16)]
    calibration: usize,
    /// Passes over the training images with quantization in place
    #[arg(long, default_value_t = 1)]
    aware_epochs: u64,
    /// The highest learning rate of these
    #[arg(long, default_value_t = 1e-3)]
    aware_rate: f64,
    /// Quantize each layer alone to 4 bits and print what it costs
    #[arg(long)]
    sensitivity: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let out = args.common.out("compress_quantize")?;
    let mut progress = (ProgressBar::new(), stop_on_ctrl_c()?);
    let subject = Subject::prepare(&args.given, &args.common, &out, &mut progress)?;
    let mut report = subject.report().row("float", &subject.graph)?;
    let mut variants = args.variants.clone();
    if !variants.contains(&args.chosen) {
        variants.push(args.chosen);
    }
    for &variant in &variants {
        let graph = make(variant, &args, &subject, &mut progress)
            .with_context(|| format!("variant {}", variant.name()))?;
        let bytes = stored_bytes(&graph)?;
        let graph = if variant == Variant::Float16 {
            widen(&graph)?
        } else {
            println!("{}: {}", variant.name(), Coverage::new(&graph));
            let path = out.join(format!("{}.safetensors", variant.name()));
            save(&graph, &path)?;
            load(&path)?
        };
        report = report.row(variant.name(), Named::new(&graph).bytes(bytes))?;
    }
    let report = report.time_in_turns()?;

    let mut metrics = before_and_after(&report, "float", &args.chosen.name())?;
    for &variant in &variants {
        let name = variant.name();
        let of_variant = before_and_after(&report, "float", &name)?;
        let mut own = Metrics::default();
        for key in
            ["accuracy_after", "accuracy_lost", "mcnemar_p", "bytes_after", "latency_ms_after"]
        {
            let value = of_variant.get(key).context("a figure of the report")?;
            own.set(key, value.clone());
        }
        metrics.extend(&name.replace('-', "_"), own);
    }
    if args.sensitivity {
        let batches = subject.calibration(args.calibration)?;
        let found = four_bits().sensitivity(&subject.graph, batches, |graph| {
            Ok(share(&subject.test.correct(graph)?))
        })?;
        println!("\n4 bits in one layer at a time:\n{found}");
        if let Some((_, change)) = found.worst_first().first() {
            metrics.set("sensitivity_worst_change", *change);
        }
    }
    metrics.write(&out)?;
    finish(&report, &out)?;
    println!("wrote {}", out.display());
    Ok(())
}

/// Weights of 4 bits with a scale a channel, activations of 8 bits.
fn four_bits() -> PostTraining {
    PostTraining::per_channel().with_weights(Scheme::symmetric(4).per_channel())
}

fn make(
    variant: Variant,
    args: &Args,
    subject: &Subject,
    progress: &mut dyn Observer,
) -> anyhow::Result<Graph> {
    let graph = &subject.graph;
    let batches = || subject.calibration(args.calibration);
    Ok(match variant {
        Variant::Float16 => cast(graph, FloatDType::F16)?,
        Variant::Int8PerTensor => PostTraining::per_tensor().calibrate(graph, batches()?)?,
        Variant::Int8PerChannel => PostTraining::per_channel().calibrate(graph, batches()?)?,
        Variant::Int4PostTraining => four_bits().calibrate(graph, batches()?)?,
        Variant::Int4Corrected => four_bits()
            .with_weight_range(WeightRange::MeanSquaredError)
            .with_calibration_method(CalibrationMethod::MeanSquaredError)
            .with_equalisation(true)
            .with_bias_correction(true)
            .calibrate(graph, batches()?)?,
        Variant::Int4Aware => {
            let aware = QuantizationAware::new(Scheme::symmetric(4).per_channel())
                .with_step_size(StepSize::LearnedLogarithms);
            let prepared = aware.prepare(graph, batches()?)?;
            let trained = subject.train(&prepared, args.aware_epochs, args.aware_rate, progress)?;
            aware.convert(&trained)?
        }
        Variant::Power6PostTraining => PowerOfTwo::new(6)?.quantize(graph)?,
        Variant::Power6Aware => projected(&PowerOfTwo::new(6)?, args, subject, progress)?,
        Variant::TernaryAware => projected(&PowerOfTwo::new(2)?, args, subject, progress)?,
    })
}

/// Trained on with projected weights: the loss is that of the projection, the gradient moves the
/// weights behind it.
fn projected(
    powers: &PowerOfTwo,
    args: &Args,
    subject: &Subject,
    progress: &mut dyn Observer,
) -> anyhow::Result<Graph> {
    let device = subject.device.clone().autodiff();
    let loader = subject.loader()?;
    let steps = args.aware_epochs * loader.batches_per_epoch() as u64;
    let config = SupervisedConfig::new(Budget::epochs(args.aware_epochs))
        .with_seed(subject.seed)
        .with_log_every(20);
    let optimizer: ModuleOptimizer =
        AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
    let graph = &subject.graph;
    let trained = Supervised::new(
        config,
        graph.init(&device)?,
        optimizer,
        schedule(args.aware_rate, steps)?,
    )?
    .train::<_, anyhow::Error>(
        &loader,
        |module, batch| {
            let (images, labels): (Tensor<4>, _) = batch.to_tensors(&device);
            step(&powers.project(graph, module)?, images, labels)
        },
        |module| {
            let correct = subject.test.correct(&powers.quantize(&module.graph())?)?;
            Ok(Evaluation::new("test_accuracy", share(&correct)))
        },
        progress,
    )?;
    Ok(powers.quantize(&trained.into_best_guess().graph())?)
}
