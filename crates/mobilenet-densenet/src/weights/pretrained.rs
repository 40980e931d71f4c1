//! A model with published weights and all that goes with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module as _;
use burn::tensor::Device;
use model_utils::image::Image;

use super::content::Content;
use super::keras;
use super::preprocessing::{Preprocessing, Resize};
use super::source::Weights;
use crate::architecture::{Architecture, BuildOptions};
use crate::classifier::{Classifier as _, Prediction};
use crate::error::Result;
use crate::image_model::ImageModel;

/// A model with published weights and what goes with them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pretrained {
    /// The model, in inference.
    pub model: ImageModel,
    /// What a picture goes through before it.
    pub preprocessing: Preprocessing,
    /// The name of each class; empty where no list was given.
    pub labels: Vec<String>,
}

/// A class by its name, and how sure the model is of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The class, from 0.
    pub class: usize,
    /// Its name, or `class 17` where there is no list of names.
    pub label: String,
    /// Its probability.
    pub probability: f32,
}

impl Pretrained {
    /// A model that was trained on pictures that went through `preprocessing`, without names of
    /// classes.
    pub fn new(model: impl Into<ImageModel>, preprocessing: Preprocessing) -> Self {
        Self { model: model.into(), preprocessing, labels: Vec::new() }
    }

    /// The model of an architecture with weights from a file. Class count and width multiplier are
    /// the file's.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] names every tensor or layer that does not fit; errors of
    /// reading the file.
    pub fn load(architecture: Architecture, weights: Weights<'_>, device: &Device) -> Result<Self> {
        if let Weights::Keras(_) = weights {
            keras::check(architecture)?;
        }
        let content = Content::read(weights, architecture.family())?;
        let (epsilon, padding) = weights.epsilon_and_padding();
        let options = BuildOptions::new()
            .with_classes(content.classes())
            .with_width(content.width(architecture))
            .with_epsilon(epsilon)
            .with_padding(padding);
        let model = content.apply(architecture.build(&options, device)?, weights.path())?;
        let mut preprocessing = weights.preprocessing(architecture);
        if let (Resize::Exact { side }, Content::Graph(_)) = (&mut preprocessing.resize, &content) {
            *side = content.size()[0];
        }
        if let Some(normalize) = content.normalize() {
            preprocessing.normalize = normalize;
        }
        Ok(Self::new(model, preprocessing))
    }

    /// The names of the classes, as many as there are classes: one a line, or as Keras's
    /// `imagenet_class_index.json` has them.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Io`], [`model_utils::Error::Format`] for another number of names.
    pub fn with_labels_from(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.labels = labels(path.as_ref(), self.model.classes())?;
        Ok(self)
    }

    /// The `top` most probable classes of a picture of any size, the surest first.
    ///
    /// # Errors
    ///
    /// As [`Classifier::predict`](crate::Classifier::predict).
    pub fn classify(&self, image: &Image, top: usize) -> Result<Vec<Answer>> {
        let device = self.model.devices().swap_remove(0);
        let images = self.preprocessing.tensor(image, self.model.channels(), &device)?;
        let mut found = self.model.predict(images, top)?;
        let answer = |prediction: Prediction| Answer {
            class: prediction.class,
            label: self.label(prediction.class),
            probability: prediction.probability,
        };
        Ok(found.swap_remove(0).into_iter().map(answer).collect())
    }

    /// The name of a class.
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }
}

/// Reads names of classes, as many as there are classes.
fn labels(path: &Path, classes: usize) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(model_utils::Error::io("read", path))?;
    let bad = |reason| model_utils::Error::format(path, "list of labels", reason);
    let labels = if text.starts_with('{') {
        indexed(&text).map_err(bad)?
    } else {
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    if labels.len() == classes {
        return Ok(labels);
    }
    Err(bad(format!("{} lines, expected one for each of {classes} classes", labels.len())).into())
}

/// Names as Keras lists them: `{"0": ["n01440764", "tench"], …}`.
fn indexed(text: &str) -> Result<Vec<String>, String> {
    let classes: BTreeMap<usize, (String, String)> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    if let Some(missing) = (0..classes.len()).find(|class| !classes.contains_key(class)) {
        return Err(format!("class {missing} is missing"));
    }
    Ok(classes.into_values().map(|(_, name)| name).collect())
}
