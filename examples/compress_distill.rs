//! A small network learns from a large one (Hinton et al. 2015): a teacher of two layers of 1200 units,
//! trained with dropout on images that are moved about, and a student of two layers of 800 without
//! either, once by the classes alone and once by the teacher's soft targets.
//!
//! ```console
//! $ cargo run --release --example compress_distill                                  # drawn shapes
//! $ cargo run --release --example compress_distill -- --data DIR                    # MNIST
//! $ cargo run --release --example compress_distill -- --data DIR --seeds 2 --teacher-epochs 40 --epochs 30
//! ```
//!
//! The paper's errors on MNIST are 67 (teacher), 146 (student alone), 74 (distilled). The run ends with
//! those of each model, the share of the gap between student and teacher that distillation closes, with
//! its interval, and a table of size and time.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use clap::Parser;
use common::compress::{CHECKPOINT_EVERY, Mlp, before_and_after, finish, open_images, test_set};
use common::flags::{BATCH, EPOCHS, RATE, UNITS, folder, positive, signed, within};
use common::vision::{Images, fits, schedule};
use common::{Common, Resume, Session, program};
use compress::distill::{Distillation, SoftTargets};
use compress::report::{Report, TestSet};
use model_utils::checkpoint::Checkpoints;
use model_utils::data::{Dataset as _, ImageBatch, ToTensors as _};
use model_utils::device::{seed, step_seed};
use model_utils::graph::Graph;
use model_utils::ops;
use model_utils::stats::{bootstrap, mcnemar, percentile_interval, wilson};
use model_utils::train::{
    Batches, Budget, Evaluation, StepOutput, Stoppable, Supervised, SupervisedConfig,
};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Resamples of the test images behind the interval of the gap.
const RESAMPLES: usize = 2000;

/// Distil a large network into a small one
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
    /// Runs with other seeds, each with its own teacher
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=1000_u64))]
    seeds: u64,
    /// Units of the teacher's two layers
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = within(1..=UNITS))]
    teacher_units: usize,
    /// Units of the student's two layers
    #[arg(long, value_name = "N", default_value_t = 800, value_parser = within(1..=UNITS))]
    student_units: usize,
    /// Passes of the teacher
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = within(1..=EPOCHS))]
    teacher_epochs: u64,
    /// Passes of each student
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(1..=EPOCHS))]
    epochs: u64,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = within(1..=BATCH))]
    batch_size: usize,
    /// The highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = positive(RATE))]
    learning_rate: f64,
    /// Temperature of the soft targets
    #[arg(long, value_name = "X", default_value_t = 20.0, value_parser = positive(1000.0))]
    temperature: f64,
    /// Share of the true classes in the student's loss
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = within(0.0..=1.0))]
    alpha: f64,
    /// Pixels by which the teacher's images are moved, at most, in each direction
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = within(0..=64_usize))]
    jitter: usize,
}

/// The teacher: the student's form with dropout before each layer.
#[derive(Module, Debug)]
struct Teacher {
    layers: Vec<Linear>,
    of_pixels: Dropout,
    of_units: Dropout,
}

impl Teacher {
    fn new(features: &[usize], device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self {
            layers: features.windows(2).map(layer).collect(),
            of_pixels: DropoutConfig::new(0.2).init(),
            of_units: DropoutConfig::new(0.5).init(),
        }
    }

    /// `[batch, channels, height, width]` → `[batch, classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = ops::dropout(&self.of_pixels, images.flatten::<2>(1, 3));
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 {
                x = ops::dropout(&self.of_units, ops::relu(x));
            }
            x = ops::linear(layer, x);
        }
        x
    }
}

/// All training images in memory, in another order in each epoch, each moved by some pixels.
#[derive(Clone)]
struct Shifted {
    /// `[images, channels, height, width]`, from 0 to 1.
    pixels: Arc<Vec<f32>>,
    labels: Arc<Vec<usize>>,
    shape: [usize; 3],
    batch_size: usize,
    jitter: usize,
    seed: u64,
}

impl Shifted {
    fn new(images: &Stoppable<Images>, args: &Args) -> anyhow::Result<Self> {
        let first = images.get(0)?.image;
        let shape = [first.channels(), first.height(), first.width()];
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for at in 0..images.len() {
            let item = images.get(at)?;
            let found = [item.image.channels(), item.image.height(), item.image.width()];
            ensure!(found == shape, "image {at} is {found:?}, expected {shape:?} as the first");
            pixels.extend(item.image.to_planes());
            labels.push(item.label);
        }
        fits(args.batch_size, images.len())?;
        let side = shape[1].min(shape[2]);
        ensure!(
            args.jitter < side,
            "--jitter is {}, expected below {side}, the images' side",
            args.jitter
        );
        let (pixels, labels) = (Arc::new(pixels), Arc::new(labels));
        Ok(Self { pixels, labels, shape, batch_size: args.batch_size, jitter: 0, seed: 0 })
    }

    fn batch(&self, indices: &[usize], rng: &mut ChaCha8Rng) -> ImageBatch {
        let [channels, height, width] = self.shape;
        let size = channels * height * width;
        let mut images = vec![0.0; indices.len() * size];
        for (target, &index) in images.chunks_mut(size).zip(indices) {
            let source = &self.pixels[index * size..][..size];
            let reach = self.jitter as i32;
            let mut draw = || if reach > 0 { rng.random_range(-reach..=reach) as isize } else { 0 };
            let (down, right) = (draw(), draw());
            for (plane, row) in
                (0..channels).flat_map(|plane| (0..height).map(move |row| (plane, row)))
            {
                let Some(from) = row.checked_add_signed(-down).filter(|from| *from < height) else {
                    continue;
                };
                let first = right.max(0) as usize;
                let last = (width as isize + right.min(0)) as usize;
                let source = &source[(plane * height + from) * width..][..width];
                let target = &mut target[(plane * height + row) * width..][..width];
                let start = (first as isize - right) as usize;
                target[first..last].copy_from_slice(&source[start..][..last - first]);
            }
        }
        ImageBatch {
            images,
            shape: [indices.len(), channels, height, width],
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            indices: indices.to_vec(),
        }
    }
}

impl Batches for Shifted {
    type Batch = ImageBatch;

    fn batches_per_epoch(&self) -> usize {
        self.labels.len() / self.batch_size
    }

    fn epoch(
        &self,
        epoch: u64,
        first: usize,
    ) -> Box<dyn Iterator<Item = model_utils::Result<ImageBatch>> + '_> {
        let of_epoch = step_seed(self.seed, epoch);
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(of_epoch));
        Box::new((first..self.batches_per_epoch()).map(move |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(step_seed(of_epoch, number as u64));
            Ok(self.batch(&order[number * self.batch_size..][..self.batch_size], &mut rng))
        }))
    }
}

/// What all trainings share.
struct Course<'a> {
    args: &'a Args,
    data: Shifted,
    test: &'a TestSet,
    device: Device,
    /// Of the input, and classes.
    features: [usize; 2],
    seed: u64,
    session: &'a Session,
}

/// Three models that were trained from one seed.
struct Models {
    teacher: Graph,
    alone: Graph,
    distilled: Graph,
}

impl Course<'_> {
    fn config(&self, epochs: u64) -> SupervisedConfig {
        SupervisedConfig::new(Budget::epochs(epochs))
            .with_seed(self.seed)
            .with_checkpoint_every(Some(CHECKPOINT_EVERY))
            .with_log_every(50)
    }

    /// Where one of the trainings keeps its checkpoints.
    fn checkpoints(&self, name: &str) -> anyhow::Result<Checkpoints> {
        let name = format!("{name}-{}", self.seed);
        self.session.stage(format!("training {name}"));
        self.session.checkpoints(&name)
    }

    fn optimizer() -> ModuleOptimizer {
        AdamConfig::new().with_epsilon(1e-8).init()
    }

    fn trace<M: Module>(
        &self,
        model: &M,
        forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    ) -> anyhow::Result<Graph> {
        let [channels, height, width] = self.data.shape;
        Ok(Graph::trace(model, [1, channels, height, width], forward)?)
    }

    fn judged<M: Module>(
        &self,
        model: &M,
        forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    ) -> anyhow::Result<Evaluation> {
        let correct = self.test.correct(&self.trace(model, forward)?)?;
        Ok(Evaluation::new("test_accuracy", common::compress::share(&correct)))
    }

    /// A model by the classes alone, on images that are moved by some pixels.
    fn by_classes<M: Module>(
        &self,
        name: &str,
        model: M,
        epochs: u64,
        jitter: usize,
        forward: impl Fn(&M, Tensor<4>) -> Tensor<2> + Copy,
    ) -> anyhow::Result<M> {
        let data = Shifted { jitter, seed: self.seed, ..self.data.clone() };
        let steps = epochs * data.batches_per_epoch() as u64;
        let training = self.device.clone().autodiff();
        let rates = schedule(self.args.learning_rate, steps);
        let run = Supervised::new(self.config(epochs), model, Self::optimizer(), rates)?
            .resume_in(self.checkpoints(name)?)?;
        let this = self;
        let step = |model: &M, batch: ImageBatch| {
            let (images, labels) = batch.to_tensors(&training);
            let logits = forward(model, images);
            let correct = Some(ops::count_correct(logits.clone(), labels.clone()));
            let loss = ops::cross_entropy(logits, labels, 0.0);
            Ok::<_, anyhow::Error>(StepOutput { loss, items: batch.len(), correct })
        };
        let judge = |model: &M| this.judged(model, forward);
        let trained = run.train(&data, step, judge, &mut self.session.progress())?;
        self.session.check()?;
        Ok(trained.model)
    }

    fn run(&self) -> anyhow::Result<Models> {
        let (args, training) = (self.args, self.device.clone().autodiff());
        let [inputs, classes] = self.features;
        let units = |units: usize| [inputs, units, units, classes];
        seed(&self.device, self.seed);
        let teacher = Teacher::new(&units(args.teacher_units), &training);
        let teacher = self.by_classes(
            "teacher",
            teacher,
            args.teacher_epochs,
            args.jitter,
            Teacher::forward,
        )?;

        // Both students start from the same weights.
        seed(&self.device, step_seed(self.seed, 1));
        let student = Mlp::new(&units(args.student_units), &training);
        let start = student.valid().train();
        let alone = self.by_classes("alone", student, args.epochs, 0, Mlp::forward)?;

        let data = Shifted { jitter: 0, seed: self.seed, ..self.data.clone() };
        let steps = args.epochs * data.batches_per_epoch() as u64;
        let rates = schedule(args.learning_rate, steps);
        let soft = SoftTargets::new(args.temperature).with_alpha(args.alpha);
        let run = Distillation::new(self.config(args.epochs), start, Self::optimizer(), rates)?
            .resume_in(self.checkpoints("distilled")?)?;
        let this = self;
        let trained = run.train(
            &teacher,
            &data,
            |teacher, batch| Ok(teacher.forward(batch.to_tensors(&this.device).0)),
            |student: &Mlp, batch, taught| {
                let (images, labels) = batch.to_tensors(&training);
                let logits = student.forward(images);
                let correct = Some(ops::count_correct(logits.clone(), labels.clone()));
                let loss = soft.loss(logits, taught, Some(labels))?;
                Ok::<_, anyhow::Error>(StepOutput { loss, items: batch.len(), correct })
            },
            |model| this.judged(model, Mlp::forward),
            &mut self.session.progress(),
        )?;
        self.session.check()?;
        Ok(Models {
            teacher: self.trace(&teacher, Teacher::forward)?,
            alone: self.trace(&alone, Mlp::forward)?,
            distilled: self.trace(&trained.model, Mlp::forward)?,
        })
    }
}

fn main() -> ExitCode {
    program("compress_distill", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let out = session.out();
    let device = args.common.open()?;
    session.stage("making the images");
    let (train, test_images) = open_images(args.data.as_deref(), args.common.seed)?;
    let test = test_set(session.around(&test_images), &device)?;
    let data = Shifted::new(&session.around(train.clone()), &args)?;
    let features = [data.shape.iter().product(), train.classes().len()];

    // Which test images each model of each seed has wrong.
    let mut wrong: [Vec<Vec<bool>>; 3] = Default::default();
    let mut report = Report::new(&test);
    for run in 0..args.seeds {
        let course = Course {
            args: &args,
            data: data.clone(),
            test: &test,
            device: device.clone(),
            features,
            seed: args.common.seed + run,
            session,
        };
        let Models { teacher, alone, distilled } = course.run()?;
        for (wrong, graph) in wrong.iter_mut().zip([&teacher, &alone, &distilled]) {
            wrong.push(test.correct(graph)?.into_iter().map(|right| !right).collect());
        }
        let [teacher_errors, alone_errors, distilled_errors] =
            wrong.each_ref().map(|wrong| errors(&wrong[run as usize]));
        println!(
            "seed {}: {teacher_errors} errors of the teacher, {alone_errors} of the student alone, \
             {distilled_errors} distilled",
            args.common.seed + run
        );
        if run == 0 {
            teacher.save(out.join("teacher.safetensors"))?;
            distilled.save(out.join("model.safetensors"))?;
            report = report
                .row("teacher", &teacher)?
                .row("student alone", &alone)?
                .row("distilled", &distilled)?;
        }
    }
    session.stage("timing");
    let report = report.time_in_turns()?;
    finish(&report, session)?;

    let mut metrics = before_and_after(&report, "teacher", "distilled")?;
    let n = test.len();
    for (name, wrong) in ["teacher", "alone", "distilled"].iter().zip(&wrong) {
        let all: usize = wrong.iter().map(|wrong| errors(wrong)).sum();
        metrics.set(&format!("errors_{name}"), all as f64 / args.seeds as f64);
        let share = wilson(all, n * args.seeds as usize, 0.95)?;
        metrics.set(&format!("error_rate_{name}_low"), share.low);
        metrics.set(&format!("error_rate_{name}_high"), share.high);
    }
    // Over images of all seeds, drawn again and again.
    let closed = |indices: &[u32]| {
        let [teacher, alone, distilled] = wrong.each_ref().map(|wrong| {
            let of_image = |at: &u32| wrong.iter().filter(|wrong| wrong[*at as usize]).count();
            indices.iter().map(of_image).sum::<usize>() as f64
        });
        (alone - distilled) / (alone - teacher)
    };
    let whole: Vec<u32> = (0..n as u32).collect();
    let estimate = closed(&whole);
    metrics.set("gap_closed", estimate);
    // Without a gap there is nothing to close, and no interval.
    let draws = bootstrap(n, RESAMPLES, args.common.seed, |indices| {
        let drawn: Vec<u32> = indices.iter().map(|&at| at as u32).collect();
        closed(&drawn)
    });
    if let Ok(draws) = draws {
        let interval = percentile_interval(estimate, &draws, 0.95, n)?;
        println!("share of the gap closed: {interval:.2}");
        metrics.set("gap_closed_low", interval.low);
        metrics.set("gap_closed_high", interval.high);
    }
    let right = |name: &str| report.find(name).map(|row| row.correct.clone()).context("a row");
    let test = mcnemar(&right("student alone")?, &right("distilled")?)?;
    metrics.set("mcnemar_p_alone_distilled", test.p_value);
    metrics.set("seeds", args.seeds);
    session.finish(&metrics)
}

fn errors(wrong: &[bool]) -> usize {
    wrong.iter().filter(|wrong| **wrong).count()
}
