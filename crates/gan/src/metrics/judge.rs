//! The judge of samples, which is the default extractor: a small convolutional classifier, trained from a fixed seed.

use std::path::Path;

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use model_utils::config::{at_least, require};
use model_utils::layers::{ConvNormAct, ConvNormActConfig};
use model_utils::ops;
use model_utils::random::mix;
use model_utils::train::{
    Asks as _, Budget, Evaluation, Observer, Schedule, StepOutput, Stoppable, Supervised,
    SupervisedConfig,
};
use model_utils::weights::{State, Stored, same_names};

use super::extractor::{Extracted, Extractor, hash};
use super::features::Features;
use crate::error::{Error, Result};
use crate::reals::{Images, Reals as _};

/// Configuration of [`Judge`].
#[derive(Config, Debug, PartialEq)]
pub struct JudgeConfig {
    /// Height and width of the images.
    pub size: usize,
    /// Their channels.
    pub channels: usize,
    /// Classes to tell apart.
    pub classes: usize,
    /// Numbers in a row of features.
    #[config(default = 64)]
    pub features: usize,
    /// Channels of the first map.
    #[config(default = 32)]
    pub width: usize,
    /// What weights and the order of images follow from.
    #[config(default = 0)]
    pub seed: u64,
    /// Passes over the images.
    #[config(default = 3)]
    pub epochs: usize,
}

/// 3×3 convolutions with batch norm that halve the map until it is below 8 pixels, a fully
/// connected layer of features with ReLU, and one of classes.
#[derive(Module, Debug)]
pub struct Judge {
    layers: Vec<ConvNormAct>,
    features: Linear,
    classes: Linear,
    #[module(skip)]
    config: JudgeConfig,
}

const BATCH: usize = 128;
const RATE: f64 = 2e-3;

impl JudgeConfig {
    /// Builds it with weights that follow from its seed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Judge> {
        at_least("size", self.size, 8)?;
        at_least("classes", self.classes, 2)?;
        for (field, value) in
            [("channels", self.channels), ("features", self.features), ("width", self.width)]
        {
            at_least(field, value, 1)?;
        }
        model_utils::device::seed(device, mix(self.seed, 0));
        let (mut layers, mut side, mut from, mut to) =
            (Vec::new(), self.size, self.channels, self.width);
        let mut stride = 1;
        loop {
            layers.push(ConvNormActConfig::new([from, to], 3).with_stride(stride).init(device));
            side = side.div_ceil(stride);
            if side < 8 {
                break;
            }
            (from, to, stride) = (to, 2 * self.width, 2);
        }
        let flat = to * side * side;
        let judge = Judge {
            layers,
            features: LinearConfig::new(flat, self.features).init(device),
            classes: LinearConfig::new(self.features, self.classes).init(device),
            config: self.clone(),
        };
        Ok(judge.fork(device))
    }
}

impl Judge {
    /// Trains one on images and their classes: Adam with 2e-3 that falls as a cosine.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for images that the configuration is not for, [`model_utils::Error::Data`] for
    /// too few, [`model_utils::Error::Stopped`] where it was asked to stop.
    pub fn train(
        config: &JudgeConfig,
        images: &Images,
        device: &Device,
        progress: &mut dyn Observer,
    ) -> Result<Self> {
        let [channels, height, width] = images.shape();
        let fits = [channels, height, width] == [config.channels, config.size, config.size];
        require(fits, "size", config.size, format!("images of {:?}", images.shape()))?;
        require(
            config.classes == images.class_names().len(),
            "classes",
            config.classes,
            format!("{}, as the images have", images.class_names().len()),
        )?;
        let device = device.clone().autodiff();
        // Batches by their numbers, from which each follows.
        let batches: Vec<u64> = (0..(images.count() / BATCH * config.epochs) as u64).collect();
        let steps = batches.len() as u64;
        let optimizer: ModuleOptimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let rules = SupervisedConfig::new(Budget::epochs(1)).with_seed(config.seed);
        let schedule = Schedule::cosine(RATE, steps.max(1));
        let trained = Supervised::new(rules, config.init(&device)?, optimizer, schedule)?
            .named("classifier")
            .train(
                &batches,
                |model: &Self, number| {
                    let (x, labels) = images.batch(config.seed, number, BATCH, &device)?;
                    let unlabelled = || Error::Reals("images without classes".to_owned());
                    let (_, logits) = model.forward(x);
                    let loss = ops::cross_entropy(logits, labels.ok_or_else(unlabelled)?, 0.0);
                    Ok(StepOutput { loss, items: BATCH, correct: None })
                },
                |_| Ok::<_, Error>(Evaluation::none()),
                progress,
            )?;
        Ok(trained.or_stopped()?.model)
    }

    /// Loads the judge of a file, or trains one and saves it there.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train), and [`Error::Utils`] for a file of another configuration.
    pub fn load_or_train(
        path: impl AsRef<Path>,
        config: &JudgeConfig,
        images: &Images,
        device: &Device,
        progress: &mut dyn Observer,
    ) -> Result<Self> {
        if path.as_ref().exists() {
            let model = config.init(&device.clone().without_autodiff())?;
            return Ok(model_utils::weights::load(
                model.clone(),
                &model.manifest()?,
                same_names,
                path,
            )?);
        }
        let model = Self::train(config, images, device, progress)?;
        model.save(path)?;
        Ok(model)
    }

    /// `[batch, channels, size, size]` from −1 to 1 → features and logits.
    pub fn forward(&self, images: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let x = self.layers.iter().fold(images, |x, layer| layer.forward(x));
        let features = ops::relu(ops::linear(&self.features, x.flatten(1, 3)));
        let logits = ops::linear(&self.classes, features.clone());
        (features, logits)
    }

    /// The share of images whose class it names; `stop.around(&images)` ends it between two batches.
    ///
    /// # Errors
    ///
    /// As [`Extractor::extract`].
    pub fn accuracy<'a>(&self, images: impl Into<Stoppable<&'a Images>>) -> Result<f64> {
        let (images, stop) = images.into().into_parts();
        let device = self.devices().into_iter().next().unwrap_or_default();
        let indices: Vec<usize> = (0..images.count()).collect();
        let mut right = 0;
        for (indices, labels) in indices.chunks(BATCH).zip(images.labels().chunks(BATCH)) {
            stop.check("judging the classifier", format_args!("image {}", indices[0]))?;
            let classes = self.classify(&images.select(indices, &device)?.0)?;
            right +=
                classes.iter().zip(labels).filter(|((class, _), label)| class == *label).count();
        }
        Ok(right as f64 / images.count() as f64)
    }

    /// The likeliest class of each image, and how likely it is.
    ///
    /// # Errors
    ///
    /// As [`Extractor::extract`].
    pub fn classify(&self, images: &Tensor<4>) -> Result<Vec<(usize, f64)>> {
        Ok(self.extract_in_parts(images)?.classes())
    }
}

impl Extractor for Judge {
    fn identity(&self) -> String {
        let weights = State::from_module(self, same_names).map(|state| {
            hash(state.tensors.into_values().flat_map(|entry| entry.data.as_bytes().to_vec()))
        });
        format!("classifier-{:016x}", weights.unwrap_or_default())
    }

    fn extract(&self, images: Tensor<4>) -> Result<Extracted> {
        let [batch, channels, height, width] = images.dims();
        let JudgeConfig { size, channels: expected, .. } = self.config;
        if [channels, height, width] != [expected, size, size] || batch == 0 {
            let reason = format!(
                "{batch} images of [{channels}, {height}, {width}], expected [{expected}, {size}, \
                 {size}]"
            );
            return Err(Error::metric("features", reason));
        }
        let model = self.valid();
        let device = model.devices().into_iter().next().unwrap_or_default();
        let (features, logits) = model.forward(images.to_device(&device));
        let rows = |x: Tensor<2>| {
            let width = x.dims()[1];
            Features::new(ops::to_vec(x), width)
        };
        Ok(Extracted { features: rows(features)?, logits: Some(rows(logits)?) })
    }
}

impl Stored for Judge {
    type Config = JudgeConfig;
    type Error = Error;
    const CRATE: &'static str = env!("CARGO_PKG_NAME");
    const MODEL: &'static str = "classifier";

    fn config(&self) -> &JudgeConfig {
        &self.config
    }

    fn from_config(config: &JudgeConfig, device: &Device) -> Result<Self> {
        config.init(device)
    }
}
