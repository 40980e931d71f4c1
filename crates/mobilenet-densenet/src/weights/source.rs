//! Whose weights a file holds, and what goes with them.

use std::path::Path;

use model_utils::data::Normalize;

use super::keras;
use super::preprocessing::{Preprocessing, SIDE};
use super::published::Published;
use crate::architecture::Architecture;
use crate::image_model::Family;
use crate::layers::Padding;

/// A file of published weights. A path is enough: nothing is fetched
/// ([`Published`](super::Published) can, with the feature `download`).
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

    /// What a picture goes through before a model with these weights. Of a TensorFlow Lite file
    /// this is what such files usually want; [`Pretrained`](super::Pretrained) reads the file's own.
    pub fn preprocessing(&self, architecture: Architecture) -> Preprocessing {
        let family = architecture.family();
        match self {
            Self::Torchvision(path) => {
                Preprocessing::torchvision(Published::of_file(path).map_or(256, |file| file.resize))
            }
            Self::Timm(_) if family != Family::MobileNetV1 => Preprocessing::torchvision(256),
            Self::Timm(_) | Self::TimmTf(_) => Preprocessing {
                normalize: Normalize::symmetric(),
                ..Preprocessing::torchvision(256)
            },
            Self::TfLite(_) => Preprocessing::tensorflow(SIDE),
            Self::Keras(path) => {
                let (preprocessing, _) = keras::conventions(family);
                preprocessing(keras::side(path).unwrap_or(SIDE))
            }
        }
    }

    /// The ε of a `MobileNet`, where it is not the default, and the padding that they were trained
    /// with.
    pub(super) fn epsilon_and_padding(&self) -> (Option<f64>, Padding) {
        match self {
            Self::TimmTf(_) | Self::TfLite(_) | Self::Keras(_) => (Some(1e-3), Padding::Same),
            Self::Timm(_) => (Some(1e-5), Padding::Symmetric),
            Self::Torchvision(_) => (None, Padding::Symmetric),
        }
    }
}
