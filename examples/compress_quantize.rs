//! A trained image classifier in fewer bits: eight bits after training, four bits after training and
//! trained with, weights that are powers of two; one table with the significance of each difference.
//!
//! ```console
//! $ cargo run --release --example compress_quantize -- --data mnist --family mobilenet
//! ```
//!
//! On MNIST eight bits are not distinguishable from floating point in any family of convolutions; four
//! bits after training cost the DenseNet and the MobileNet some accuracy, which bounds of the least
//! squared error and corrected biases bring back.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use anyhow::Context as _;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{FloatDType, Tensor};
use clap::{Parser, ValueEnum};
use common::compress::{CHECKPOINT_EVERY, Given, Subject, before_and_after, finish, share, step};
use common::flags::{EPOCHS, RATE, positive, signed, within};
use common::vision::schedule;
use common::{Common, Metrics, Resume, Session, program};
use compress::quantize::{
    CalibrationMethod, Coverage, PostTraining, PowerOfTwo, QuantizationAware, Scheme, StepSize,
    WeightRange, cast, load, save, stored_bytes, widen,
};
use compress::report::Variant as Named;
use model_utils::data::ToTensors as _;
use model_utils::graph::Graph;
use model_utils::train::{Batches as _, Budget, Evaluation, Supervised, SupervisedConfig};

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
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    #[command(flatten)]
    given: Given,
    /// What to make of the model
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Variant::value_variants().to_vec())]
    variants: Vec<Variant>,
    /// The variant whose figures metrics.json holds under the common names
    #[arg(long, value_enum, default_value = "int8-per-channel")]
    chosen: Variant,
    /// Batches to calibrate by
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = within(1..=10_000_usize))]
    calibration: usize,
    /// Passes over the training images with quantization in place
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=EPOCHS))]
    aware_epochs: u64,
    /// The highest learning rate of these
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = positive(RATE))]
    aware_rate: f64,
    /// Quantize each layer alone to 4 bits and print what it costs
    #[arg(long)]
    sensitivity: bool,
}

fn main() -> ExitCode {
    program("compress_quantize", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let subject = Subject::prepare(&args.given, &args.common, session)?;
    let mut report = subject.report().row("float", &subject.graph)?;
    let mut variants = args.variants.clone();
    if !variants.contains(&args.chosen) {
        variants.push(args.chosen);
    }
    for &variant in &variants {
        session.check()?;
        let graph = make(variant, &args, &subject, session)
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
    session.stage("timing");
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
        session.stage("sensitivity");
        let found = four_bits().with_stop(Some(session.stop())).sensitivity(
            &subject.graph,
            batches,
            |graph| Ok(share(&subject.test.correct(graph)?)),
        )?;
        println!("\n4 bits in one layer at a time:\n{found}");
        if let Some((_, change)) = found.worst_first().first() {
            metrics.set("sensitivity_worst_change", *change);
        }
    }
    finish(&report, session)?;
    session.finish(&metrics)
}

/// Weights of 4 bits with a scale a channel, activations of 8 bits.
fn four_bits() -> PostTraining {
    PostTraining::per_channel().with_weights(Scheme::symmetric(4).per_channel())
}

fn make(
    variant: Variant,
    args: &Args,
    subject: &Subject,
    session: &Session,
) -> anyhow::Result<Graph> {
    let graph = &subject.graph;
    let batches = || subject.calibration(args.calibration);
    let stopping = |how: PostTraining| how.with_stop(Some(session.stop()));
    Ok(match variant {
        Variant::Float16 => cast(graph, FloatDType::F16)?,
        Variant::Int8PerTensor => {
            stopping(PostTraining::per_tensor()).calibrate(graph, batches()?)?
        }
        Variant::Int8PerChannel => {
            stopping(PostTraining::per_channel()).calibrate(graph, batches()?)?
        }
        Variant::Int4PostTraining => stopping(four_bits()).calibrate(graph, batches()?)?,
        Variant::Int4Corrected => stopping(four_bits())
            .with_weight_range(WeightRange::MeanSquaredError)
            .with_calibration_method(CalibrationMethod::MeanSquaredError)
            .with_equalisation(true)
            .with_bias_correction(true)
            .calibrate(graph, batches()?)?,
        Variant::Int4Aware => {
            let aware = QuantizationAware::new(Scheme::symmetric(4).per_channel())
                .with_step_size(StepSize::LearnedLogarithms);
            let prepared = aware.prepare(session.around(graph), batches()?)?;
            let trained = subject.train(
                session,
                &variant.name(),
                &prepared,
                args.aware_epochs,
                args.aware_rate,
            )?;
            aware.convert(&trained)?
        }
        Variant::Power6PostTraining => PowerOfTwo::new(6)?.quantize(graph)?,
        Variant::Power6Aware => projected(variant, &PowerOfTwo::new(6)?, args, subject, session)?,
        Variant::TernaryAware => projected(variant, &PowerOfTwo::new(2)?, args, subject, session)?,
    })
}

/// Trained on with projected weights: the loss is that of the projection, the gradient moves the
/// weights behind it.
fn projected(
    variant: Variant,
    powers: &PowerOfTwo,
    args: &Args,
    subject: &Subject,
    session: &Session,
) -> anyhow::Result<Graph> {
    let name = variant.name();
    session.stage(format!("training {name}"));
    let device = subject.device.clone().autodiff();
    let loader = subject.loader()?;
    let steps = args.aware_epochs * loader.batches_per_epoch() as u64;
    let config = SupervisedConfig::new(Budget::epochs(args.aware_epochs))
        .with_seed(subject.seed)
        .with_checkpoint_every(Some(CHECKPOINT_EVERY))
        .with_log_every(20);
    let optimizer: ModuleOptimizer =
        AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
    let graph = &subject.graph;
    let trained =
        Supervised::new(config, graph.init(&device)?, optimizer, schedule(args.aware_rate, steps))?
            .resume_in(session.checkpoints(&name)?)?
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
                &mut session.progress(),
            )?;
    session.check()?;
    Ok(powers.quantize(&trained.into_best_guess().graph())?)
}
