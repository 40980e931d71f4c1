//! What the programs of compression share: a trained classifier as a graph, and what is measured of
//! it before and after.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use clap::ValueEnum;
use compress::report::{Report, TestSet};
use mobilenet_densenet::{Classifier as _, DenseNet, DenseNetConfig};
use mobilenet_densenet::{MobileNetV2, MobileNetV2Config, Vgg, VggConfig};
use model_utils::data::{
    Dataset as _, ImageBatch, Loader, Split, ToTensors as _, open_classification,
};
use model_utils::graph::{Graph, GraphModule};
use model_utils::ops;
use model_utils::train::{
    Batches as _, Budget, Evaluation, StepOutput, Stoppable, Supervised, SupervisedConfig,
};

use super::flags::{BATCH, EPOCHS, file, folder, within};
use super::vision::{Images, drawn_shapes, fits, schedule};
use super::{Common, Metrics, Session};

/// Images in a batch of the test set.
const TEST_BATCH: usize = 250;
/// Steps between two checkpoints.
pub const CHECKPOINT_EVERY: u64 = 200;

/// The models that are made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Two hidden layers of 300 and 100 units: LeNet-300-100
    Lenet300,
    /// `MobileNetV2` at a quarter of its width
    Mobilenet,
    /// DenseNet-BC with growth rate 12 and blocks of 4, 4 and 4 layers
    Densenet,
    /// VGG with batch norm, convolutions 2-2-2-1-1 at a quarter of its width
    Vgg,
}

impl Family {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lenet300 => "lenet300",
            Self::Mobilenet => "mobilenet",
            Self::Densenet => "densenet",
            Self::Vgg => "vgg",
        }
    }

    /// The highest learning rate that it is trained with from nothing.
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Lenet300 => 2e-3,
            Self::Vgg => 4e-3,
            Self::Mobilenet | Self::Densenet => 1e-2,
        }
    }

    /// The untrained model as a graph, for images of `[channels, height, width]`.
    pub fn graph(
        self,
        [channels, height, width]: [usize; 3],
        classes: usize,
        device: &Device,
    ) -> anyhow::Result<Graph> {
        let shape = [1, channels, height, width];
        Ok(match self {
            Self::Lenet300 => {
                let model = Mlp::new(&[channels * height * width, 300, 100, classes], device);
                Graph::trace(&model, shape, Mlp::forward)?
            }
            Self::Mobilenet => {
                let config = MobileNetV2Config::new()
                    .with_width(0.25)
                    .with_strides([2, 2, 1, 2, 2])
                    .with_channels(channels)
                    .with_classes(classes);
                Graph::trace(&config.init(device)?, shape, MobileNetV2::forward)?
            }
            Self::Densenet => {
                let config = DenseNetConfig::new(12, vec![4, 4, 4], 24)
                    .with_channels(channels)
                    .with_classes(classes);
                Graph::trace(&config.init(device)?, shape, DenseNet::forward)?
            }
            Self::Vgg => {
                let config = VggConfig::new([2, 2, 2, 1, 1])
                    .with_batch_norm(true)
                    .with_width(0.25)
                    .with_strides([2, 2, 2, 1, 1])
                    .with_pooled(1)
                    .with_hidden(0)
                    .with_channels(channels)
                    .with_classes(classes);
                Graph::trace(&config.init(device)?, shape, Vgg::forward)?
            }
        })
    }
}

/// Linear layers with ReLU between them, on flattened images.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// The features of the input, of each hidden layer and of the output.
    pub fn new(features: &[usize], device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self { layers: features.windows(2).map(layer).collect() }
    }

    /// `[batch, channels, height, width]` → `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = images.flatten::<2>(1, 3);
        for (at, layer) in self.layers.iter().enumerate() {
            x = if at == 0 { ops::linear(layer, x) } else { ops::linear(layer, ops::relu(x)) };
        }
        x
    }
}

/// Which model is made smaller, and what it was or will be trained on.
#[derive(Debug, Clone, clap::Args)]
pub struct Given {
    /// Images: MNIST's IDX files, a folder a class, or a CSV of names and labels [default: drawn shapes]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub data: Option<PathBuf>,
    /// The model
    #[arg(long, value_enum, default_value = "vgg")]
    pub family: Family,
    /// A trained graph (`model.safetensors` of an earlier run) instead of training one
    #[arg(long, value_name = "FILE", value_parser = file())]
    pub model: Option<PathBuf>,
    /// Passes over the training images, where the model is trained here
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = within(1..=EPOCHS))]
    pub epochs: u64,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = within(1..=BATCH))]
    pub batch_size: usize,
}

impl Given {
    /// The trained graph, where one is given.
    pub fn graph(&self) -> anyhow::Result<Option<Graph>> {
        let load = |path: &PathBuf| {
            Graph::load(path).with_context(|| format!("--model {}", path.display()))
        };
        self.model.as_ref().map(load).transpose()
    }
}

/// A trained classifier as a graph, and its images.
pub struct Subject {
    pub graph: Graph,
    pub train: Images,
    pub test: TestSet,
    /// Without autodiff.
    pub device: Device,
    pub seed: u64,
    pub batch_size: usize,
}

impl Subject {
    /// Loads the model, or trains it and saves it as `model.safetensors` in the folder.
    pub fn prepare(given: &Given, common: &Common, session: &Session) -> anyhow::Result<Self> {
        let device = common.open()?;
        let given_graph = given.graph()?;
        session.stage("making the images");
        let (train, test_images) = open_images(given.data.as_deref(), common.seed)?;
        fits(given.batch_size, train.len())?;
        let first = train.get(0)?.image;
        let shape = [first.channels(), first.height(), first.width()];
        let classes = train.classes().len();
        let test = test_set(session.around(&test_images), &device)?;
        session.check()?;
        let graph = match given_graph {
            Some(graph) => graph,
            None => given.family.graph(shape, classes, &device)?,
        };
        let batch_size = given.batch_size;
        let mut subject = Self { graph, train, test, device, seed: common.seed, batch_size };
        if given.model.is_none() {
            let (graph, rate) = (&subject.graph, given.family.learning_rate());
            subject.graph = subject.train(session, "model", graph, given.epochs, rate)?;
            subject.graph.save(session.out().join("model.safetensors"))?;
        }
        Ok(subject)
    }

    /// The training images in shuffled batches.
    pub fn loader(&self) -> anyhow::Result<Loader<Images, ImageBatch>> {
        let loader = Loader::new(self.train.clone(), self.batch_size)?;
        Ok(loader.shuffle(self.seed).drop_last(true))
    }

    /// Training images without their labels, in batches: to calibrate by.
    pub fn calibration(&self, batches: usize) -> anyhow::Result<Vec<Tensor<4>>> {
        let loader = self.loader()?;
        loader
            .epoch(0, 0)
            .take(batches)
            .map(|batch| Ok(batch?.to_tensors(&self.device).0))
            .collect()
    }

    /// A graph trained on the training images, from the weights it has: from nothing, or further
    /// after it was changed. The weights are those of the exponential average; checkpoints are under
    /// the name.
    pub fn train(
        &self,
        session: &Session,
        name: &str,
        graph: &Graph,
        epochs: u64,
        learning_rate: f64,
    ) -> anyhow::Result<Graph> {
        session.stage(format!("training {name}"));
        let device = self.device.clone().autodiff();
        let loader = self.loader()?;
        let steps = epochs * loader.batches_per_epoch() as u64;
        let config = SupervisedConfig::new(Budget::epochs(epochs))
            .with_seed(self.seed)
            .with_ema_decay(Some(0.99))
            .with_checkpoint_every(Some(CHECKPOINT_EVERY))
            .with_log_every(20);
        let optimizer: ModuleOptimizer =
            AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.02).init();
        let rates = schedule(learning_rate, steps);
        let trained = Supervised::new(config, graph.init(&device)?, optimizer, rates)?
            .resume_in(session.checkpoints(name)?)?
            .train::<_, anyhow::Error>(
                &loader,
                |module, batch| {
                    let (images, labels) = batch.to_tensors(&device);
                    step(module, images, labels)
                },
                |module| {
                    let correct = self.test.correct(&module.graph())?;
                    Ok(Evaluation::new("test_accuracy", share(&correct)))
                },
                &mut session.progress(),
            )?;
        session.check()?;
        Ok(trained.into_best_guess().graph())
    }

    /// A table of variants, judged on the test images.
    pub fn report(&self) -> Report {
        Report::new(&self.test)
    }
}

/// The cross-entropy of a batch.
pub fn step(
    module: &GraphModule,
    images: Tensor<4>,
    labels: Tensor<1, burn::tensor::Int>,
) -> anyhow::Result<StepOutput> {
    let items = images.dims()[0];
    let logits: Tensor<2> = module.forward(images)?;
    let correct = ops::count_correct(logits.clone(), labels.clone());
    Ok(StepOutput { loss: ops::cross_entropy(logits, labels, 0.0), items, correct: Some(correct) })
}

/// Images to train and test on: a folder's, or drawn shapes.
pub fn open_images(data: Option<&Path>, seed: u64) -> anyhow::Result<(Images, Images)> {
    let (train, test) = match data {
        Some(folder) => {
            (open_classification(folder, Split::Train)?, open_classification(folder, Split::Test)?)
        }
        None => drawn_shapes(8000, 2000, seed)?,
    };
    let classes = train.classes().len();
    if classes < 2 {
        bail!("the images have {classes} class, expected 2 or more");
    }
    println!("data: {} training and {} test images, {classes} classes", train.len(), test.len());
    Ok((train, test))
}

/// All test images on a device, in their order. `session.around(&images)` ends the reading of them and
/// whatever is judged by them.
pub fn test_set<'a>(
    images: impl Into<Stoppable<&'a Images>>,
    device: &Device,
) -> anyhow::Result<TestSet> {
    let (images, stop) = images.into().into_parts();
    let loader = Loader::new(images.clone(), TEST_BATCH)?;
    let batches = stop.around(loader.epoch(0, 0)).map(|batch: model_utils::Result<ImageBatch>| {
        let batch = batch?;
        let (images, _) = batch.to_tensors(device);
        Ok((images, batch.labels))
    });
    let batches = batches.collect::<model_utils::Result<Vec<_>>>()?;
    Ok(TestSet::new(batches)?.with_stop(&stop))
}

/// The share of right answers.
pub fn share(correct: &[bool]) -> f64 {
    correct.iter().filter(|right| **right).count() as f64 / correct.len().max(1) as f64
}

/// The figures that every program of compression writes, of two rows of its table.
pub fn before_and_after(report: &Report, before: &str, after: &str) -> anyhow::Result<Metrics> {
    let row = |name| report.find(name).with_context(|| format!("no row `{name}`"));
    let (before, after) = (row(before)?, row(after)?);
    let test = model_utils::stats::mcnemar(&before.correct, &after.correct)?;
    let mut metrics = Metrics::default();
    metrics.set("accuracy_before", before.share_right());
    metrics.set("accuracy_after", after.share_right());
    metrics.set("accuracy_lost", before.share_right() - after.share_right());
    metrics.set("mcnemar_p", test.p_value);
    metrics.set("bytes_before", before.bytes);
    metrics.set("bytes_after", after.bytes);
    metrics.set("multiply_adds_before", before.multiply_adds);
    metrics.set("multiply_adds_after", after.multiply_adds);
    metrics.set("latency_ms_before", before.latency_ms);
    metrics.set("latency_ms_after", after.latency_ms);
    Ok(metrics)
}

/// Prints the table, and writes it with its pictures: `report.md`, `size.svg`, `time.svg`.
pub fn finish(report: &Report, session: &Session) -> anyhow::Result<()> {
    session.check()?;
    finish_in(report, session.out())
}

/// The same in another folder.
pub fn finish_in(report: &Report, out: &Path) -> anyhow::Result<()> {
    println!("\n{report}");
    model_utils::atomic::write(out.join("report.md"), report.to_markdown().as_bytes())?;
    report.by_size().save(out.join("size.svg"))?;
    report.by_time().save(out.join("time.svg"))?;
    Ok(())
}
