//! Published weights: where they come from, what goes with them, and how a model gets them.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use mobilenet_densenet::{MobileNetV2, Weights};
//! use model_utils::image::Image;
//! # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
//!
//! let file = Path::new("mobilenet_v2_1.0_224_quant.tflite");
//! let model = MobileNetV2::pretrained(Weights::TfLite(file), &device)?
//!     .with_labels_from("imagenet_labels.txt")?;
//! for answer in model.classify(&Image::open("grace_hopper.bmp")?, 5)? {
//!     println!("{:.2} {}", answer.probability, answer.label);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | source | padding | ε | preprocessing | classes |
//! | --- | --- | --- | --- | --- |
//! | torchvision | symmetric | 1e-5, `MobileNetV3` 1e-3 | shorter side 256 or 232, middle 224, `ImageNet`'s mean and deviation | 1000 |
//! | timm | symmetric | 1e-5 | as torchvision; a `MobileNetV1` −1 to 1 | 1000 |
//! | timm's `tf_` models | `SAME` | 1e-3 | shorter side 256, middle 224, −1 to 1 | 1000 |
//! | TensorFlow Lite | `SAME` | folded | `side` × `side`, as the file's input says, else −1 to 1 | 1001, 0 is the background |
//! | Keras, a `MobileNet` | `SAME` | 1e-3 | `side` × `side`, −1 to 1 | 1000 |
//! | Keras, a `DenseNet` | symmetric | 1.001e-5 | 224 × 224, `ImageNet`'s mean and deviation | 1000 |
//! | Keras, a `VGG` | symmetric | | 224 × 224, bytes less their mean | 1000 |
//!
//! Of Keras Applications this reads `MobileNet`, `MobileNetV2`, both `MobileNetV3` (of width 1, not
//! the minimalistic ones), `DenseNet` 121, 169 and 201, `VGG` 16 and 19, with their classifiers.
//! Its `ResNet`s are others than those here. Where an inner map has an odd side, Keras's first
//! `MobileNet` drops a row that is kept here; images with sides that are multiples of 32 have none.

mod keras;
mod preprocessing;
mod published;
mod tflite;
mod timm;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use model_utils::data::Normalize;
use model_utils::graph::{self, Dim, Graph, NodeId};
use model_utils::image::Image;
use model_utils::weights::keras::{Kind, Layer};
use model_utils::weights::{Import, State};

pub use preprocessing::{Preprocessing, Resize};
pub use published::Published;

use crate::architecture::{Architecture, BuildOptions, Family};
use crate::error::Result;
use crate::layout::Padding;
use crate::{MobileNetV1, MobileNetV2};

/// A file of published weights. A path is enough: nothing is fetched
/// ([`Published`] can, with the feature `download`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weights<'a> {
    /// A `state_dict` under torchvision's names: `.pth` or SafeTensors.
    Torchvision(&'a Path),
    /// SafeTensors (or `.pth`) under timm's names.
    Timm(&'a Path),
    /// One of timm's `tf_` models, whose weights come from TensorFlow.
    TimmTf(&'a Path),
    /// A `.tflite` file, of floats or quantized, with batch normalisation folded.
    TfLite(&'a Path),
    /// A file of Keras Applications: `.h5`, or `.weights.h5` of Keras 3.
    Keras(&'a Path),
}

/// The width multipliers that weights are published for, the usual one first.
const WIDTHS: [f64; 9] = [1.0, 0.75, 0.5, 0.35, 0.25, 0.1, 1.1, 1.3, 1.4];
/// Side of the images where the file does not say.
const SIDE: usize = 224;

/// What a file holds.
enum Content {
    State(State),
    Graph(Box<Graph>),
    Keras(Vec<Layer>),
}

impl<'a> Weights<'a> {
    /// Who publishes such files.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Torchvision(_) => "torchvision",
            Self::Timm(_) => "timm",
            Self::TimmTf(_) => "TensorFlow, through timm",
            Self::TfLite(_) => "TensorFlow Lite",
            Self::Keras(_) => "Keras Applications",
        }
    }

    /// The file.
    pub fn path(&self) -> &'a Path {
        match *self {
            Self::Torchvision(path)
            | Self::Timm(path)
            | Self::TimmTf(path)
            | Self::TfLite(path)
            | Self::Keras(path) => path,
        }
    }

    /// Which of torchvision's files it is, by its name.
    pub fn published(&self) -> Option<Published> {
        match self {
            Self::Torchvision(path) => Published::of_file(path),
            _ => None,
        }
    }

    /// What a picture goes through before a model with these weights. Of a TensorFlow Lite file
    /// this is what such files usually want; [`Pretrained`] reads the file's own.
    pub fn preprocessing(&self, architecture: Architecture) -> Preprocessing {
        match self {
            Self::Torchvision(_) => match self.published() {
                Some(published) => published.preprocessing(),
                None => Preprocessing::torchvision(256),
            },
            Self::Timm(_) if architecture != Architecture::MobileNetV1 => {
                Preprocessing::torchvision(256)
            }
            Self::Timm(_) | Self::TimmTf(_) => Preprocessing {
                normalize: Normalize::symmetric(),
                ..Preprocessing::torchvision(256)
            },
            Self::TfLite(_) => Preprocessing::tensorflow(SIDE),
            Self::Keras(path) => {
                let side = keras::side(path).unwrap_or(SIDE);
                let name = architecture.name();
                if name.starts_with("mobilenet") {
                    Preprocessing::tensorflow(side)
                } else if name.starts_with("vgg") {
                    Preprocessing::caffe(side)
                } else {
                    Preprocessing {
                        normalize: Normalize::imagenet(),
                        ..Preprocessing::tensorflow(side)
                    }
                }
            }
        }
    }

    fn content<M: Family>(&self, architecture: Architecture) -> Result<Content> {
        Ok(match self {
            Self::Torchvision(path) => {
                // The names of before 2018, and those that DenseNet has now.
                let old = r"(denselayer\d+\.(?:norm|conv))\.([12])\.";
                Content::State(Import::new(*path).rename(old, "$1$2.")?.state()?)
            }
            Self::Timm(path) | Self::TimmTf(path) => {
                Content::State(timm::renamed::<M>(Import::new(*path).state()?))
            }
            Self::TfLite(path) => {
                Content::Graph(Box::new(graph::tflite::import(path)?.dequantize()?))
            }
            Self::Keras(path) => {
                keras::check(architecture)?;
                Content::Keras(model_utils::weights::keras::read(path)?)
            }
        })
    }
}

impl Content {
    /// The classes that the last layer tells apart; 1000 where there is none.
    fn classes(&self) -> usize {
        let found = match self {
            Self::State(state) => {
                ["fc", "classifier.6", "classifier.3", "classifier.1", "classifier"]
                    .iter()
                    .find_map(|head| state.tensors.get(&format!("{head}.weight")))
                    .and_then(|entry| entry.data.shape().first().copied())
            }
            Self::Keras(layers) => {
                let linear = layers.iter().rfind(|layer| layer.kind == Kind::Linear);
                let last = linear.or_else(|| layers.iter().rfind(|layer| layer.kind == Kind::Conv));
                let weight = last.and_then(|layer| layer.tensor("weight"));
                weight.and_then(|weight| weight.shape().first().copied())
            }
            Self::Graph(graph) => {
                let output = graph.outputs().first().map(|&id| &graph.node(id).shape);
                output.and_then(|shape| match shape.last() {
                    Some(Dim::Fixed(classes)) => Some(*classes),
                    _ => None,
                })
            }
        };
        found.unwrap_or(1000)
    }

    /// Height and width of the images.
    fn size(&self) -> [usize; 2] {
        let shape = match self {
            Self::Graph(graph) => graph.inputs().first().map(|&id| &graph.node(id).shape),
            Self::State(_) | Self::Keras(_) => None,
        };
        match shape.map(Vec::as_slice) {
            Some([_, _, Dim::Fixed(height), Dim::Fixed(width)]) => [*height, *width],
            _ => [SIDE; 2],
        }
    }

    /// What the file itself says of its input.
    fn normalize(&self) -> Option<Normalize> {
        let Self::Graph(graph) = self else { return None };
        let input = graph.node(*graph.inputs().first()?);
        let quantization = input.quantization.as_ref()?;
        let (scale, zero) = (quantization.scale.first()?, quantization.zero_point.first()?);
        // real = scale · (byte − zero), and planes hold byte / 255.
        let zero = (*zero - quantization.least) as f32;
        Normalize::new(&[zero / 255.0], &[1.0 / (255.0 * scale)]).ok()
    }
}

/// A model with published weights and what goes with them.
#[derive(Debug, Clone)]
pub struct Pretrained<M> {
    /// The model, in inference.
    pub model: M,
    /// What a picture goes through before it.
    pub preprocessing: Preprocessing,
    /// The name of each class; empty where no list was given.
    pub labels: Vec<String>,
}

/// A class by its name, and how sure the model is of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The class, from 0.
    pub class: usize,
    /// Its name, or `class 17` where there is no list of names.
    pub label: String,
    /// Its probability.
    pub probability: f32,
}

impl<M: Family> Pretrained<M> {
    /// The model of an architecture with weights from a file. Class count and width multiplier are
    /// the file's.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] names every tensor or layer that does not fit; errors of
    /// reading the file; [`Error::Config`](crate::Error::Config) for an architecture of another
    /// family.
    pub fn load(architecture: Architecture, weights: Weights<'_>, device: &Device) -> Result<Self> {
        let content = weights.content::<M>(architecture)?;
        let (epsilon, padding) = match weights {
            Weights::TimmTf(_) | Weights::TfLite(_) | Weights::Keras(_) => {
                (Some(1e-3), Padding::Same)
            }
            Weights::Timm(_) => (Some(1e-5), Padding::Symmetric),
            Weights::Torchvision(_) => (None, Padding::Symmetric),
        };
        let options = BuildOptions::new()
            .with_classes(content.classes())
            .with_epsilon(epsilon)
            .with_padding(padding);
        let has_widths = matches!(
            architecture,
            Architecture::MobileNetV1
                | Architecture::MobileNetV2
                | Architecture::MobileNetV3Large
                | Architecture::MobileNetV3Small
        );
        let widths = if has_widths { &WIDTHS[..] } else { &WIDTHS[..1] };
        let mut result = None;
        for &width in widths {
            let options = options.clone().with_width(width);
            let model = M::from_config(&M::configure(architecture, &options)?, device)?;
            let applied = apply(model, &content, weights.path());
            let is_right = applied.is_ok();
            // Of several that do not fit, the usual width is the one to speak of.
            if is_right || result.is_none() {
                result = Some(applied);
            }
            if is_right {
                break;
            }
        }
        let Some(model) = result.transpose()? else {
            return architecture.foreign(M::MODEL);
        };
        let mut preprocessing = weights.preprocessing(architecture);
        if let (Resize::Exact { side }, Content::Graph(_)) = (&mut preprocessing.resize, &content) {
            *side = content.size()[0];
        }
        if let Some(normalize) = content.normalize() {
            preprocessing.normalize = normalize;
        }
        Ok(Self { model, preprocessing, labels: Vec::new() })
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
        let answer = |prediction: crate::Prediction| Answer {
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

/// The model with the weights of a file.
fn apply<M: Family>(model: M, content: &Content, path: &Path) -> Result<M> {
    let state = match content {
        Content::State(state) => state.clone(),
        Content::Graph(graph) => tflite::state(&model, graph, content.size(), path)?,
        Content::Keras(layers) => keras::state(&model, layers, path)?,
    };
    set(model, state, path)
}

/// The name in a `state_dict` of a parameter of a traced model.
fn torch_name<M: Family>(graph: &Graph, id: NodeId) -> String {
    let name = &graph.node(id).name;
    // Variants of enums are no part of a name.
    let parts = name.split('.').filter(|part| !part.starts_with(|c: char| c.is_uppercase()));
    let path: Vec<&str> = parts
        .map(|part| match part {
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        })
        .collect();
    M::torch_name(&path.join("."))
}

fn set<M: Family>(model: M, state: State, path: &Path) -> Result<M> {
    let (model, report) = state.apply(model, M::torch_name)?;
    if report.is_complete() {
        return Ok(model);
    }
    let differences = report.differences();
    Err(model_utils::Error::Mismatch { path: path.to_path_buf(), differences }.into())
}

/// What a model of any configuration can take over.
pub trait FromElsewhere: Family {
    /// The model with the weights of a graph of the same layers whose batch normalisations are
    /// folded, traced or imported for images of height and width `size`.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] names every layer that differs: in its shape, its stride,
    /// its groups or the zeros around.
    fn with_folded(self, graph: &Graph, size: [usize; 2]) -> Result<Self> {
        let state = tflite::state(&self, graph, size, Path::new("the graph"))?;
        set(self, state, Path::new("the graph"))
    }

    /// The model with the weights of a SafeTensors or `.pth` file under timm's names.
    ///
    /// # Errors
    ///
    /// Errors of reading the file; [`model_utils::Error::Mismatch`] names every tensor that is
    /// missing, left over or of another shape.
    fn with_timm(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        set(self, timm::renamed::<Self>(Import::new(path).state()?), path)
    }

    /// The model with the weights of the same layers as Keras wrote them
    /// ([`model_utils::weights::keras::read`]), in the order in which they stand in the model.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] names every layer that is missing, left over or of another
    /// shape.
    fn with_keras(self, layers: &[Layer]) -> Result<Self> {
        let state = keras::state(&self, layers, Path::new("the file"))?;
        set(self, state, Path::new("the file"))
    }
}

impl<M: Family> FromElsewhere for M {}

impl MobileNetV1 {
    /// The model with published weights; see [`Pretrained::load`].
    ///
    /// # Errors
    ///
    /// As [`Pretrained::load`].
    pub fn pretrained(weights: Weights<'_>, device: &Device) -> Result<Pretrained<Self>> {
        Pretrained::load(Architecture::MobileNetV1, weights, device)
    }
}

impl MobileNetV2 {
    /// The model with published weights; see [`Pretrained::load`].
    ///
    /// # Errors
    ///
    /// As [`Pretrained::load`].
    pub fn pretrained(weights: Weights<'_>, device: &Device) -> Result<Pretrained<Self>> {
        Pretrained::load(Architecture::MobileNetV2, weights, device)
    }
}
