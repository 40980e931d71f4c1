//! Makes a trained classifier smaller by removing what contributes little.
//!
//! Structured (the default): whole channels go until a share of the multiply–adds is left, and the
//! rest is trained on; the model is smaller and faster. `--deep-compression`: single weights of
//! LeNet-300-100 go step by step, those that are left share few values, and one file codes what
//! there is; the file is smaller. Expected on MNIST (`--data DIR` with its four IDX files): see the
//! book. Without `--data` the models learn shapes that are drawn.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use clap::{Parser, ValueEnum};
use common::compress::{
    CHECKPOINT_EVERY, Family, Given, Subject, before_and_after, finish, open_images, share, step,
    test_set,
};
use common::flags::{BATCH, EPOCHS, below_one, positive, signed, within};
use common::vision::{fits, schedule};
use common::{Common, Metrics, Resume, Session, program};
use compress::prune::{
    Importance, Masks, SparsitySchedule, Structured, TaylorProducts, Unstructured,
};
use compress::report::Variant;
use compress::share::{DeepCompression, Sharing};
use model_utils::checkpoint::{HoldsModules as _, TakesModules as _};
use model_utils::data::{ImageBatch, ToTensors as _};
use model_utils::device::{seed, step_seed};
use model_utils::graph::{Graph, GraphModule};
use model_utils::ops;
use model_utils::train::{
    Batches as _, Budget, Evaluation, Observer, Run, StepOutput, Supervised, SupervisedConfig,
};

/// Remove what contributes little
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    resume: Resume,
    #[command(flatten)]
    given: Given,
    /// The share of the multiply–adds that is left
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = positive(1.0))]
    keep: f64,
    /// What ranks the channels
    #[arg(long, value_enum, default_value = "batch-norm")]
    importance: Ranked,
    /// Rank the channels of all layers together
    #[arg(long)]
    global: bool,
    /// Leave a multiple of this many channels
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=64_usize))]
    round_to: usize,
    /// Passes over the training images after pruning
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = within(1..=EPOCHS))]
    fine_tune: u64,
    /// The highest learning rate of these, as a share of that from nothing
    #[arg(long, value_name = "X", default_value_t = 0.25, value_parser = positive(100.0))]
    fine_tune_rate: f64,
    /// Images in the batch that is timed
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = within(1..=BATCH))]
    latency_batch: usize,
    /// Prune LeNet-300-100's weights, share their values, and code them in one file
    #[arg(long)]
    deep_compression: bool,
    /// The share of weights that goes
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = within(0.5..1.0))]
    sparsity: f64,
    /// Bits of the codebooks
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = within(1..=12_u32))]
    bits: u32,
    /// The share of units that is dropped in the first training
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = below_one())]
    dropout: f64,
    /// The share of pixels that is dropped while the sparse model is trained on
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = below_one())]
    input_dropout: f64,
}

/// What ranks the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ranked {
    /// Sum of magnitudes
    L1,
    /// Euclidean norm
    L2,
    /// Scale of the batch normalisation
    BatchNorm,
    /// Distance to the other filters
    Median,
    /// First-order change of the loss
    Taylor,
    /// Chance, for control
    Random,
}

fn main() -> ExitCode {
    program("compress_prune", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let metrics = if args.deep_compression {
        deep_compression(&args, session)?
    } else {
        structured(&args, session)?
    };
    session.finish(&metrics)
}

fn structured(args: &Args, session: &Session) -> anyhow::Result<Metrics> {
    let out = session.out();
    let subject = Subject::prepare(&args.given, &args.common, session)?;
    session.stage("pruning");
    let mut rule = Structured::multiply_adds(args.keep)
        .with_importance(args.importance.of(&subject, session)?)
        .with_round_to(args.round_to);
    if args.global {
        rule = rule.with_global_ranking(true).with_most(0.9);
    }
    let pruned = rule.prune(session.around(&subject.graph))?;
    println!("\n{}", pruned.report);
    let rate = args.given.family.learning_rate() * args.fine_tune_rate;
    let tuned = subject.train(session, "pruned", &pruned.graph, args.fine_tune, rate)?;
    tuned.save(out.join("pruned.safetensors"))?;
    let tuned = Graph::load(out.join("pruned.safetensors"))?;

    session.stage("timing");
    // As they are run: normalisations in the convolutions.
    let [original, pruned_only, tuned] = [&subject.graph, &pruned.graph, &tuned].map(|graph| {
        let mut folded = graph.clone();
        folded.fold_batch_norm().map(|_| folded)
    });
    let report = subject
        .report()
        .latency_batch(args.latency_batch.min(subject.test.len()))
        .row("original", &original?)?
        .row("pruned", &pruned_only?)?
        .row("trained on", &tuned?)?
        .time_in_turns()?;
    finish(&report, session)?;
    let mut metrics = before_and_after(&report, "original", "trained on")?;
    let figure = |key: &str| metrics.get(key).and_then(serde_json::Value::as_f64);
    let (before, after) = (figure("latency_ms_before"), figure("latency_ms_after"));
    let faster = before.zip(after).map(|(before, after)| before / after);
    metrics.set("times_faster", faster.context("no latency")?);
    metrics.set("parameters_before", pruned.report.parameters_before);
    metrics.set("parameters_after", pruned.report.parameters_after);
    Ok(metrics)
}

impl Ranked {
    fn of(self, subject: &Subject, session: &Session) -> anyhow::Result<Importance> {
        Ok(match self {
            Self::L1 => Importance::L1,
            Self::L2 => Importance::L2,
            Self::BatchNorm => Importance::BatchNormScale,
            Self::Median => Importance::GeometricMedian,
            Self::Random => Importance::Random { seed: subject.seed },
            Self::Taylor => {
                let device = subject.device.clone().autodiff();
                let loader = subject.loader()?;
                let batches = session.around(loader.epoch(0, 0)).take(20);
                let loss = |module: &GraphModule, batch: model_utils::Result<ImageBatch>| {
                    let (images, labels) = batch?.to_tensors(&device);
                    let logits: Tensor<2> = module.forward::<Tensor<4>, _>(images)?;
                    Ok(ops::cross_entropy(logits, labels, 0.0))
                };
                Importance::Taylor(TaylorProducts::new(
                    &subject.graph,
                    &subject.device,
                    batches,
                    loss,
                )?)
            }
        })
    }
}

/// `LeNet-300-100` (`LeCun` et al. 1998) with dropout behind its hidden layers.
#[derive(Module, Debug)]
struct Lenet300 {
    layers: Vec<Linear>,
    dropout: Dropout,
}

impl Lenet300 {
    fn new(inputs: usize, classes: usize, dropout: f64, device: &Device) -> Self {
        let features = [inputs, 300, 100, classes];
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        let layers = features.windows(2).map(layer).collect();
        Self { layers, dropout: DropoutConfig::new(dropout).init() }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = images.flatten::<2>(1, 3);
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 {
                x = self.dropout.forward(ops::relu(x));
            }
            x = ops::linear(layer, x);
        }
        x
    }
}

fn deep_compression(args: &Args, session: &Session) -> anyhow::Result<Metrics> {
    let out = session.out();
    let device = args.common.open()?;
    let given = args.given.graph()?;
    session.stage("making the images");
    let (train, test_images) = open_images(args.given.data.as_deref(), args.common.seed)?;
    fits(args.given.batch_size, train.len())?;
    let test = test_set(session.around(&test_images), &device)?;
    let first = train.get(0)?.image;
    let shape = [1, first.channels(), first.height(), first.width()];
    let classes = train.classes().len();
    let graph = Family::Lenet300.graph([shape[1], shape[2], shape[3]], classes, &device)?;
    let (seed, batch_size) = (args.common.seed, args.given.batch_size);
    let mut subject = Subject { graph, train, test, device, seed, batch_size };
    subject.graph = if let Some(graph) = given {
        graph
    } else {
        // A module is trained, as graphs have no dropout.
        let inputs = shape[1..].iter().product();
        let device = subject.device.clone().autodiff();
        let model = Lenet300::new(inputs, classes, args.dropout, &device);
        let model = first_training(session, &subject, model, args.given.epochs)?;
        Graph::trace(&model, shape, Lenet300::forward)?
    };
    subject.graph.save(out.join("model.safetensors"))?;

    let steps_per_epoch = subject.loader()?.batches_per_epoch() as u64;
    let prune_steps = args.fine_tune * steps_per_epoch;
    let schedule = SparsitySchedule::cubic(
        0.5,
        args.sparsity,
        0..prune_steps * 6 / 10,
        steps_per_epoch / 4 + 1,
    )?;
    let dropout = DropoutConfig::new(args.input_dropout).init();
    let epochs = args.fine_tune;
    let course = Sparse { session, subject: &subject, dropout, schedule: Some(schedule), epochs };
    let sparse = course.train("sparse", &subject.graph, 1e-3)?;
    let pruned = Masks::detach(&sparse)?;
    let shared = Sharing::bits(args.bits).share(session.around(&sparse))?;
    let course = Sparse { schedule: None, epochs: epochs / 8 + 1, ..course };
    let shared = course.train("shared", &shared, 2e-4)?;
    session.stage("timing");

    let path = out.join("model.dc");
    let packed = DeepCompression::new(&shared)?;
    packed.save(&path)?;
    let loaded = DeepCompression::load(&path)?;
    for weight in packed.weights() {
        println!(
            "{:<18} {:>7} weights  {:>6} left  {:>4} values  {:>6} bytes",
            weight.name, weight.elements, weight.left, weight.different, weight.bytes
        );
    }
    println!("{:<18} {:>50} bytes", "structure", packed.structure_bytes());

    let report = subject
        .report()
        .row("original", &subject.graph)?
        .row("pruned", &pruned)?
        .row("coded", Variant::new(&loaded).bytes(packed.bytes()))?
        .time_in_turns()?;
    finish(&report, session)?;
    let mut metrics = before_and_after(&report, "original", "coded")?;
    let row = |name: &str| report.find(name).context("no such row");
    let ratio = row("original")?.bytes as f64 / packed.bytes() as f64;
    metrics.set("times_smaller", ratio);
    metrics.set("error_percent_before", 100.0 * (1.0 - row("original")?.share_right()));
    metrics.set("error_percent_after", 100.0 * (1.0 - row("coded")?.share_right()));
    Ok(metrics)
}

/// Trains LeNet-300-100 from nothing; the weights are those of the exponential average.
fn first_training(
    session: &Session,
    subject: &Subject,
    model: Lenet300,
    epochs: u64,
) -> anyhow::Result<Lenet300> {
    session.stage("training model");
    let device = subject.device.clone().autodiff();
    let loader = subject.loader()?;
    let rates =
        schedule(Family::Lenet300.learning_rate(), epochs * loader.batches_per_epoch() as u64);
    let config = SupervisedConfig::new(Budget::epochs(epochs))
        .with_seed(subject.seed)
        .with_ema_decay(Some(0.99))
        .with_checkpoint_every(Some(CHECKPOINT_EVERY))
        .with_log_every(20);
    let optimizer: ModuleOptimizer = AdamWConfig::new().with_epsilon(1e-8).init();
    let run = Supervised::new(config, model, optimizer, rates)?;
    let trained = run.resume_in(session.checkpoints("model")?)?.train::<_, anyhow::Error>(
        &loader,
        |model, batch| {
            let (images, labels) = batch.to_tensors(&device);
            let (items, logits) = (images.dims()[0], model.forward(images));
            let correct = Some(ops::count_correct(logits.clone(), labels.clone()));
            Ok(StepOutput { loss: ops::cross_entropy(logits, labels, 0.0), items, correct })
        },
        |model| {
            let example = subject.graph.node(subject.graph.inputs()[0]);
            let lengths: Vec<usize> = example.shape.iter().map(|dim| dim.at(1)).collect();
            let shape = [1, lengths[1], lengths[2], lengths[3]];
            let correct = subject.test.correct(&Graph::trace(model, shape, Lenet300::forward)?)?;
            Ok(Evaluation::new("test_accuracy", share(&correct)))
        },
        &mut session.progress(),
    )?;
    session.check()?;
    Ok(trained.into_best_guess())
}

/// How a graph is trained on: zeros stay, and more come by the schedule.
struct Sparse<'a> {
    session: &'a Session,
    subject: &'a Subject,
    dropout: Dropout,
    schedule: Option<SparsitySchedule>,
    epochs: u64,
}

impl Sparse<'_> {
    fn train(&self, name: &str, graph: &Graph, highest_rate: f64) -> anyhow::Result<Graph> {
        let Self { session, subject, schedule, .. } = *self;
        let device = subject.device.clone().autodiff();
        let loader = subject.loader()?;
        let per_epoch = loader.batches_per_epoch() as u64;
        let steps = self.epochs * per_epoch;
        let prune = |graph: &Graph, sparsity| -> anyhow::Result<GraphModule> {
            let masks = Unstructured::magnitude(sparsity).with_global_ranking(true).masks(graph)?;
            Ok(masks.attach(graph)?.init(&device)?)
        };
        let due = |step| schedule.and_then(|schedule| schedule.at(step));
        let mut module = graph.init(&device)?;
        let mut optimizer: ModuleOptimizer =
            AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(1e-3).init();
        session.stage(format!("training {name}"));
        let about = (subject.seed, subject.batch_size, steps, highest_rate);
        let mut run = Run::new(name, &about)?.without_history();
        let path = session.kept()?.join(format!("{name}.safetensors"));
        if let Some(saved) = run.resume_in(session.checkpoints(name)?, Some(CHECKPOINT_EVERY))? {
            // With its masks, which are no weights.
            model_utils::atomic::write(&path, &saved.bytes("graph")?)?;
            module = saved.module("model", Graph::load(&path)?.init(&device)?)?;
            optimizer = saved.optimizer("optimizer", optimizer)?;
        }
        let progress = &mut session.progress();
        run.start(Budget::steps(steps), None, progress)?;
        let mut batches = loader.epoch(run.steps() / per_epoch, (run.steps() % per_epoch) as usize);
        while run.next(progress) {
            let at = run.steps();
            if let Some(sparsity) = due(at) {
                module = prune(&module.graph(), sparsity)?;
            }
            if at > 0 && at.is_multiple_of(per_epoch) {
                batches = loader.epoch(at / per_epoch, 0);
            }
            let (images, labels) = batches.next().context("a batch")??.to_tensors(&device);
            seed(&device, step_seed(subject.seed, at));
            let output = step(&module, self.dropout.forward(images), labels)?;
            let gradients = GradientsParams::from_grads(output.loss.backward(), &module);
            let turn = std::f64::consts::PI * at as f64 / steps as f64;
            let rate = highest_rate * f64::midpoint(1.0, turn.cos());
            module = optimizer.step(rate, module, gradients);
            run.step(output.items);
            if run.is_report_due(20) {
                run.report(&[], progress);
            }
            if run.is_save_due() {
                save(&mut run, &module, &optimizer, &path, progress)?;
            }
        }
        if !run.is_saved() {
            save(&mut run, &module, &optimizer, &path, progress)?;
        }
        run.finish(progress).or_stopped()?;
        Ok(module.graph())
    }
}

/// Saves what a sparse graph's training goes on from.
fn save(
    run: &mut Run,
    module: &GraphModule,
    optimizer: &ModuleOptimizer,
    path: &Path,
    progress: &mut dyn Observer,
) -> anyhow::Result<()> {
    module.graph().save(path)?;
    let graph = std::fs::read(path)?;
    run.save(progress, |checkpoint| {
        checkpoint.module("model", module)?.optimizer("optimizer", optimizer)?.bytes("graph", graph)
    })?;
    Ok(())
}
