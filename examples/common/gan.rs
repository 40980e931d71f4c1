//! Training a generator of images and judging what it makes.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use gan::metrics::{
    Extracted, Extractor as _, FeatureCache, Features, Judge, JudgeConfig, Report, frechet_distance,
};
use gan::noise::{Noise, Prior};
use gan::sample::{nearest, to_images};
use gan::{Discriminator, Gan, Generator, Images};
use model_utils::data::{Dataset as _, Labelled, Scene, Shape, ShapesConfig, Split};
use model_utils::image::Image;
use model_utils::picture::{Curves, Grid, grid};
use model_utils::train::{History, Stop, Stoppable};

use super::{Film, Metrics, Session};

/// White shapes on black, of one size and in the middle, turned at random: what a generator can
/// learn in half a minute. `session.around(&shapes)` ends the drawing.
pub fn silhouettes<'a, const N: usize>(
    count: usize,
    split: Split,
    size: usize,
    shapes: impl Into<Stoppable<&'a [Shape; N]>>,
    seed: u64,
) -> anyhow::Result<Images> {
    // Drawn twice as large, so that edges come out smooth; scenes of other shapes are passed over.
    let side = 2 * size;
    let config =
        ShapesConfig::new().with_size(side).with_channels(1).with_noise(0.0).with_seed(seed);
    let (shapes, stop) = shapes.into().into_parts();
    let scenes = stop.around(config.init(split, 40 * count)?);
    let mut items = Vec::with_capacity(count);
    for at in 0..scenes.len() {
        let Scene { mask, label, boxes, .. } = scenes.get(at)?;
        let place = shapes.iter().position(|shape| shape.label() == label);
        let (Some(label), Some(found)) = (place, boxes.first()) else { continue };
        let reach = 0.65 * found.width().max(found.height());
        let centre =
            [f32::midpoint(found.x_min, found.x_max), f32::midpoint(found.y_min, found.y_max)];
        let pixel = |row: usize, column: usize| {
            let along = |i: usize, middle: f32| {
                middle + ((i as f32 + 0.5) / side as f32 * 2.0 - 1.0) * reach
            };
            let (x, y) = (along(column, centre[0]), along(row, centre[1]));
            let is_in = (0.0..side as f32).contains(&x) && (0.0..side as f32).contains(&y);
            if is_in && mask.pixel(x as usize, y as usize)[0] > 0 { 255 } else { 0 }
        };
        let pixels = (0..side * side).map(|i| pixel(i / side, i % side)).collect();
        let image = Image::new(side, side, 1, pixels)?.resize(size, size);
        items.push(Labelled { image, label });
        if items.len() == count {
            break;
        }
    }
    let names = shapes.iter().map(|shape| shape.name().to_owned()).collect();
    Ok(Images::new(items, names)?)
}

/// A frame of so many samples, of the same random numbers as always.
pub fn look<G: Generator<4>, N: Discriminator<4>>(
    film: &mut Film,
    gan: &Gan<4, G, N>,
    count: usize,
) -> gan::Result<()> {
    Ok(film.push(gan.steps(), grid(&gan.sample(count, 1)?)?.scale(1).to_image()?)?)
}

/// Losses and probabilities of both players.
pub fn draw_curves(history: &History, out: &Path) -> anyhow::Result<()> {
    let curve = |name: &str| {
        history
            .curve(name)
            .map(|curve| curve.smoothed(curve.points.len().div_ceil(200)))
            .unwrap_or_default()
    };
    Curves::new("Losses of both players")
        .x_label("step of the generator")
        .y_label("loss")
        .line("discriminator", &curve("discriminator_loss"))
        .line("generator", &curve("generator_loss"))
        .save(out.join("curves.svg"))?;
    Curves::new("What the discriminator believes")
        .x_label("step of the generator")
        .y_label("mean σ(D)")
        .y_range(0.0, 1.0)
        .line("real images", &curve("real"))
        .line("made images", &curve("fake"))
        .save(out.join("beliefs.svg"))?;
    Ok(())
}

/// What judges samples: a judge and what it sees in real images.
pub struct Jury {
    judge: Judge,
    real: Extracted,
    others: Extracted,
    count: usize,
    stop: Stop,
    pub accuracy: f64,
}

impl Jury {
    /// Trains the judge, or goes on with that of the run that is resumed, and shows it real images.
    pub fn new(
        session: &Session,
        (train, test): (&Images, &Images),
        most: usize,
        epochs: usize,
        device: &Device,
    ) -> anyhow::Result<Self> {
        session.stage("training the classifier");
        let [channels, size, _] = train.shape();
        let classes = train.class_names().len();
        let config = JudgeConfig::new(size, channels, classes).with_epochs(epochs);
        let kept = session.kept()?;
        let path = kept.join("classifier.safetensors");
        let plain = device.clone().without_autodiff();
        let judge = Judge::load_or_train(path, &config, train, &plain, &mut session.progress())?;
        session.check()?;
        session.stage("a look at real images");
        let count = most.min(train.count()).min(test.count());
        let cache = FeatureCache::open(kept.join("features"))?;
        let real = cache.extract(&session.around(&judge), train, count, &plain)?;
        let others = cache.extract(&session.around(&judge), test, count, &plain)?;
        let accuracy = judge.accuracy(session.around(test))?;
        Ok(Self { judge, real, others, count, stop: session.stop(), accuracy })
    }

    /// How many samples it judges.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The Fréchet distance of images from the real ones.
    pub fn fid(&self, images: &Tensor<4>) -> anyhow::Result<f64> {
        let features = self.stop.around(&self.judge).extract_in_parts(images)?.features;
        Ok(frechet_distance(self.stop.around(&features), &self.real.features)?)
    }

    /// Uniform noise, the farthest control.
    pub fn noise_fid(&self, shape: [usize; 3], device: &Device) -> anyhow::Result<f64> {
        let [channels, height, width] = shape;
        let (mut noise, size) = (Noise::new(0x40_15E, 0), channels * height * width);
        let device = device.clone().without_autodiff();
        let values = Prior::Uniform.draw(&mut noise, self.count, size, &device);
        self.fid(&values.reshape([self.count, channels, height, width]))
    }

    /// All figures of a generator's samples; with `asked`, the classes that it is asked for are those
    /// of the judge.
    pub fn judge<G: Generator<4>, N: Discriminator<4>>(
        &self,
        gan: &Gan<4, G, N>,
        asked: bool,
        metrics: &mut Metrics,
    ) -> anyhow::Result<()> {
        let samples = gan.sample_tensor(self.count, 2)?;
        let (judge, real) = (self.stop.around(&self.judge), self.stop.around(&self.real));
        let report = Report::new(&judge, &samples, real, &self.others)?;
        println!("{report}");
        metrics.set("n", report.count);
        metrics.set("fid", report.samples.fid);
        metrics.set("fid_floor", report.floor.fid);
        metrics.set("kid", report.samples.kid);
        metrics.set("kid_floor", report.floor.kid);
        metrics.set("precision", report.samples.prdc.precision);
        metrics.set("precision_floor", report.floor.prdc.precision);
        metrics.set("recall", report.samples.prdc.recall);
        metrics.set("recall_floor", report.floor.prdc.recall);
        metrics.set("density", report.samples.prdc.density);
        metrics.set("coverage", report.samples.prdc.coverage);

        let found = judge.extract_in_parts(&samples)?.classes();
        let classes = self.real.logits.as_ref().map_or(0, Features::width);
        let share = |count: usize| count as f64 / found.len() as f64;
        metrics.set("sure_share", share(found.iter().filter(|(_, p)| *p >= 0.95).count()));
        let of_class: Vec<f64> = (0..classes)
            .map(|class| share(found.iter().filter(|(found, _)| *found == class).count()))
            .collect();
        metrics.set("class_share_least", of_class.iter().copied().fold(1.0, f64::min));
        metrics.set("class_share_most", of_class.iter().copied().fold(0.0, f64::max));
        if asked {
            let right = found.iter().enumerate().filter(|(at, (class, _))| at % classes == *class);
            metrics.set("asked_class_accuracy", share(right.count()));
        }
        Ok(())
    }
}

/// Each sample above the training image that is nearest to it.
pub fn draw_nearest<'a>(
    samples: &Tensor<4>,
    train: impl Into<Stoppable<&'a Images>>,
    path: &Path,
) -> anyhow::Result<()> {
    let (train, stop) = train.into().into_parts();
    let found = nearest(samples.clone(), stop.around(train))?;
    let mut picture = Grid::new().title("Samples, and the nearest training image below each");
    for image in to_images(samples.clone())? {
        picture = picture.image(&image);
    }
    for (at, _) in &found {
        picture = picture.image(&train.image(*at)?);
    }
    Ok(picture.columns(found.len()).save(path)?)
}
