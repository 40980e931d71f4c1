//! Variants of one trained model in one table: what each takes in bytes, work and time, what it gets
//! right, and whether the difference means anything.
//!
//! ```console
//! $ cargo run --release --example compress_report                                    # drawn shapes
//! $ cargo run --release --example compress_report -- --data DIR --epochs 3           # MNIST
//! $ cargo run --release --example compress_report -- --data DIR --model FILE         # a graph of yours
//! ```
//!
//! The variants: the model itself; with its batch normalisations folded into the convolutions; in eight
//! bits; with weights of four bits; half of its multiply–adds, trained on; that in eight bits; and a
//! small network of two layers, trained by the classes alone and by the model's soft targets.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use burn::tensor::Tensor;
use clap::Parser;
use common::compress::{Given, Mlp, Subject, before_and_after, finish};
use common::flags::{EPOCHS, UNITS, positive, signed, within};
use common::{Common, Resume, Session, program};
use compress::distill::{DistillConfig, SoftTargets, distill};
use compress::prune::{Importance, Structured};
use compress::quantize::{PostTraining, Scheme, stored_bytes};
use compress::report::{Variant, Verdict, smallest_significant};
use model_utils::data::Dataset as _;
use model_utils::graph::Graph;
use model_utils::train::Budget;

/// Compare variants of a model
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    #[command(flatten)]
    given: Given,
    /// Passes of the pruned network after pruning
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=EPOCHS))]
    fine_tune: u64,
    /// Units of the small network's two layers
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = within(1..=UNITS))]
    units: usize,
    /// Passes of the small networks
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = within(1..=EPOCHS))]
    student_epochs: u64,
    /// Temperature of the soft targets
    #[arg(long, value_name = "X", default_value_t = 4.0, value_parser = positive(1000.0))]
    temperature: f64,
}

fn main() -> ExitCode {
    program("compress_report", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let subject = Subject::prepare(&args.given, &args.common, session)?;
    let mut report = subject.report().row("float", &subject.graph)?;

    let mut folded = subject.graph.clone();
    if folded.fold_batch_norm()? > 0 {
        report = report.row("folded", &folded)?;
    }
    let four_bits = PostTraining::per_channel().with_weights(Scheme::symmetric(4).per_channel());
    let pruned = Structured::half()
        .with_importance(Importance::L2)
        .with_round_to(4)
        .prune(session.around(&subject.graph))?
        .graph;
    let rate = args.given.family.learning_rate() / 4.0;
    let half = subject.train(session, "half", &pruned, args.fine_tune, rate)?;
    report = report.row("half", &half)?;
    for (name, graph, how) in [
        ("int8", &subject.graph, PostTraining::per_channel()),
        ("int4 weights", &subject.graph, four_bits),
        ("half int8", &half, PostTraining::per_channel()),
    ] {
        let quantized =
            how.with_stop(Some(session.stop())).calibrate(graph, subject.calibration(16)?)?;
        let bytes = stored_bytes(&quantized)?;
        report = report.row(name, Variant::new(&quantized).bytes(bytes))?;
    }

    let first = subject.train.get(0)?.image;
    let (channels, height, width) = (first.channels(), first.height(), first.width());
    let features =
        [channels * height * width, args.units, args.units, subject.train.classes().len()];
    model_utils::device::seed(&subject.device, args.common.seed);
    let small = Mlp::new(&features, &subject.device);
    let small: Graph =
        Graph::trace(&small, [1, channels, height, width], |model, x: Tensor<4>| model.forward(x))?;
    let train = |name: &str, soft: SoftTargets| {
        session.stage(format!("training {name}"));
        let path = session.kept()?.join(format!("{name}.safetensors"));
        let config = DistillConfig::new(soft)
            .with_budget(Budget::epochs(args.student_epochs))
            .with_seed(args.common.seed);
        let (teacher, device) = (&subject.graph, &subject.device);
        session.part(name, || {
            let (loader, progress) = (subject.loader()?, &mut session.progress());
            Ok(distill(teacher, &small, &loader, config, device, progress)?.save(&path)?)
        })?;
        anyhow::Ok(Graph::load(path)?)
    };
    let soft = SoftTargets::new(args.temperature);
    let alone = train("small-alone", soft.with_alpha(1.0))?;
    report = report.row("small alone", &alone)?;
    let distilled = train("small-distilled", soft)?;
    report = report.row("small distilled", &distilled)?;

    session.stage("timing");
    let report = report.time_in_turns()?;
    finish(&report, session)?;
    for row in report.rows().iter().filter(|row| row.verdict() != Verdict::Original) {
        let Some(test) = row.against_first else { continue };
        let discordant = test.only_a + test.only_b;
        let bound = match smallest_significant(discordant, 0.05)? {
            Some(images) => format!("a difference of {images} counts"),
            None => "no difference of so few counts".to_owned(),
        };
        println!(
            "{}: {discordant} of {} images that one of the two alone has right; {bound}, it is {}",
            row.name,
            test.n,
            test.only_a.abs_diff(test.only_b)
        );
    }
    let mut metrics = before_and_after(&report, "float", "half int8")?;
    for row in report.rows() {
        let key = row.name.replace(' ', "_");
        metrics.set(&format!("{key}_accuracy"), row.share_right());
        metrics.set(&format!("{key}_bytes"), row.bytes);
        metrics.set(&format!("{key}_latency_ms"), row.latency_ms);
    }
    session.finish(&metrics)
}
