//! Training an image classifier and drawing what it learned.

use std::path::Path;
use std::sync::Arc;

use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use mobilenet_densenet::{
    Batch, BatchMix, ClassificationReport, Classifier as _, Error, ImageModel,
};
use model_utils::checkpoint::Goal;
use model_utils::data::{
    Classification, ImageBatch, Loader, Normalize, ShapesConfig, Split, ToTensors as _, Transform,
};
use model_utils::device::step_seed;
use model_utils::ops::learnable_parameters;
use model_utils::picture::{Curves, Grid, HeatMap};
use model_utils::stats::wilson;
use model_utils::train::{
    Batches as _, Budget, Schedule, StepOutput, Supervised, SupervisedConfig, Trained,
};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

use super::{Metrics, Session};

/// Images to train and test on.
pub type Images = Arc<dyn Classification>;

/// Coloured shapes of 32×32 pixels, drawn from a seed.
pub fn drawn_shapes(train: usize, test: usize, seed: u64) -> anyhow::Result<(Images, Images)> {
    let draw = |count, split| -> anyhow::Result<Images> {
        Ok(Arc::new(ShapesConfig::new().with_seed(seed).init(split, count)?.classification()))
    };
    Ok((draw(train, Split::Train)?, draw(test, Split::Test)?))
}

/// Refuses a batch that there are too few images for.
pub fn fits(batch_size: usize, most: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        batch_size <= most,
        "--batch-size is {batch_size}, expected at most the {most} training images"
    );
    Ok(())
}

/// What is trained on what.
pub struct Task<'a> {
    pub session: &'a Session,
    /// For files, within the session's folder.
    pub out: &'a Path,
    /// Names its checkpoints.
    pub name: &'a str,
    pub device: &'a Device,
    pub train: Images,
    pub test: Images,
    pub seed: u64,
    pub epochs: u64,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub augment: bool,
    pub recipe: Recipe,
}

/// How it is trained, beyond the plain.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub mix: Option<BatchMix>,
    pub label_smoothing: f64,
    pub ema_decay: f64,
    pub weight_decay: f32,
    pub normalize: Normalize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            mix: None,
            label_smoothing: 0.0,
            ema_decay: 0.99,
            weight_decay: 0.02,
            normalize: Normalize::unit(),
        }
    }
}

impl Task<'_> {
    /// Channels and classes of the images.
    pub fn channels_and_classes(&self) -> anyhow::Result<(usize, usize)> {
        let classes = self.train.classes();
        anyhow::ensure!(
            classes.len() > 1,
            "all images are of the class {}: there is nothing to tell apart, expected 2 classes or more",
            classes.join(", ")
        );
        Ok((self.train.get(0)?.image.channels(), classes.len()))
    }

    /// The shorter side of the images.
    pub fn side(&self) -> anyhow::Result<usize> {
        let first = self.train.get(0)?.image;
        Ok(first.width().min(first.height()))
    }

    /// One line on the images.
    pub fn describe(&self) -> anyhow::Result<String> {
        let (channels, classes) = self.channels_and_classes()?;
        let first = self.train.get(0)?.image;
        Ok(format!(
            "{} training and {} test images of {}×{}×{channels}, {classes} classes",
            self.train.len(),
            self.test.len(),
            first.width(),
            first.height(),
        ))
    }

    /// Trains, evaluates, saves `model.safetensors`, and draws `curves.svg`, `confusion.svg` and
    /// `predictions.png`.
    pub fn run(&self, model: impl Into<ImageModel>) -> anyhow::Result<Metrics> {
        let model = model.into();
        let name = model.family().name();
        let parameters = learnable_parameters(&model);
        println!("model: {name}, {parameters} parameters");
        let trained = self.train(model)?;
        let Trained { items_per_s, wall_s, step, .. } = trained;
        let history = trained.history.clone();
        let model = trained.into_best_guess();
        self.session.stage("evaluation");
        let report = self.evaluate(&model)?;
        self.session.check()?;
        model.save(self.out.join("model.safetensors"))?;

        let curve = |name: &str, width| {
            history.curve(name).map(|curve| curve.smoothed(width)).unwrap_or_default()
        };
        let mut curves = Curves::new(format!("{name}: loss while training"))
            .x_label("step")
            .y_label("cross-entropy")
            .log_y()
            .line("training (20 steps)", &curve("train_loss", 20));
        if history.curve("test_loss").is_some() {
            curves = curves.line("test", &curve("test_loss", 1));
        }
        curves.save(self.out.join("curves.svg"))?;
        HeatMap::confusion(&report.confusion_matrix(), self.test.classes())?
            .save(self.out.join("confusion.svg"))?;
        self.predictions(&report)?.save(self.out.join("predictions.png"))?;

        let interval = wilson(report.correct(), report.labels.len(), 0.95)?;
        let mut metrics = Metrics::default();
        metrics.set("test_accuracy", report.accuracy());
        metrics.set("test_accuracy_low", interval.low);
        metrics.set("test_accuracy_high", interval.high);
        metrics.set("test_loss", report.loss);
        metrics.set("train_images_per_s", items_per_s);
        metrics.set("train_wall_s", wall_s);
        metrics.set("steps", step);
        metrics.set("parameters", parameters);
        Ok(metrics)
    }

    /// What a run that goes on must have the same, beside the model.
    fn about(&self) -> anyhow::Result<serde_json::Value> {
        let images = &self.train;
        let mut sum = 0.0;
        for at in [0, images.len() / 2, images.len() - 1] {
            sum += images.get(at)?.image.to_planes().into_iter().map(f64::from).sum::<f64>();
        }
        Ok(serde_json::json!({
            "batch_size": self.batch_size,
            "augment": self.augment,
            "mix": format!("{:?}", self.recipe.mix),
            "label_smoothing": self.recipe.label_smoothing,
            "weight_decay": self.recipe.weight_decay,
            "images": images.len(),
            "classes": images.classes(),
            // Of the first, the middle and the last image.
            "pixels": sum,
        }))
    }

    /// Trains to the end; an earlier run's checkpoints are gone on from with `--resume`.
    pub fn train(&self, model: ImageModel) -> anyhow::Result<Trained<ImageModel>> {
        fits(self.batch_size, self.train.len())?;
        let mut loader =
            Loader::new(self.train.clone(), self.batch_size)?.shuffle(self.seed).drop_last(true);
        loader = loader.normalize(self.recipe.normalize.clone());
        if self.augment {
            loader = loader.augment(Transform::random_affine(6.0, 0.06, 0.06));
        }
        let steps = self.epochs * loader.batches_per_epoch() as u64;
        let config = SupervisedConfig::new(Budget::epochs(self.epochs))
            .with_seed(self.seed)
            .with_ema_decay(Some(self.recipe.ema_decay))
            .with_checkpoint_every(Some(200));
        let optimizer: ModuleOptimizer = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(self.recipe.weight_decay)
            .init();

        self.session.stage(format!("training {}", self.name));
        let checkpoints = self.session.checkpoints(self.name)?.keep_best(Goal::Highest);
        // More epochs than before are a longer schedule.
        let checkpoints = checkpoints.allow_change("schedule");
        let log = self.session.log(self.out.join("log.csv"))?;
        let mut observer = (self.session.progress(), log);
        let trained =
            Supervised::new(config, model, optimizer, schedule(self.learning_rate, steps))?
                .about(&self.about()?)?
                .resume_in(checkpoints)?
                .train(
                    &loader,
                    |model, batch| self.step(model, &batch),
                    |model| Ok::<_, Error>(self.evaluate(model)?.evaluation()),
                    &mut observer,
                )?;
        observer.1.finish()?;
        self.session.check()?;
        Ok(trained)
    }

    fn step(&self, model: &ImageModel, batch: &ImageBatch) -> Result<StepOutput, Error> {
        let Recipe { mix, label_smoothing, .. } = self.recipe;
        let images = on(batch, self.device);
        let Some(mix) = mix else { return model.training_step(images, label_smoothing) };
        // What is drawn follows from which images the batch holds, so that a resumed run draws it
        // again.
        let seed =
            batch.indices.iter().fold(self.seed, |seed, &index| step_seed(seed, index as u64));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        mix.apply(images, &mut rng)?.training_step(model, label_smoothing)
    }

    /// The model's answers on the test images.
    pub fn evaluate(&self, model: &ImageModel) -> Result<ClassificationReport, Error> {
        let device = self.device.clone().inner();
        let loader = Loader::new(self.test.clone(), 250)?.normalize(self.recipe.normalize.clone());
        let batches = loader.epoch(0, 0).map(|batch| Ok(on(&batch?, &device)));
        model.evaluate(self.session.around(batches))
    }

    /// Some right answers, then the first mistakes.
    fn predictions(&self, report: &ClassificationReport) -> anyhow::Result<Grid> {
        let wrong = (0..report.labels.len()).filter(|&i| report.labels[i] != report.predictions[i]);
        let right = (0..report.labels.len()).filter(|&i| report.labels[i] == report.predictions[i]);
        let shown: Vec<usize> = right.take(20).chain(wrong.take(20)).collect();
        let classes = self.test.classes();
        let title = "Test images with the model's answers; its mistakes in red";
        let mut grid = Grid::new().columns(10).title(title);
        for i in shown {
            let answer = report.predictions[i];
            let right = report.labels[i] == answer;
            grid = grid.verdict(&self.test.get(i)?.image, &classes[answer], right);
        }
        Ok(grid)
    }
}

/// A batch of the loader on a device.
fn on(batch: &ImageBatch, device: &Device) -> Batch {
    let (images, labels) = batch.to_tensors(device);
    Batch { images, labels }
}

/// A linear rise over a twentieth of the steps, then a cosine down to nothing.
pub fn schedule(highest: f64, steps: u64) -> Schedule {
    let warm_up = (steps / 20).max(1);
    let steps = steps.max(warm_up + 1);
    Schedule::Cosine { first: highest / 20.0, rate: highest, last: 0.0, warm_up, steps }
}
