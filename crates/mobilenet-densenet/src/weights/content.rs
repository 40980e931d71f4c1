//! What a file of weights holds, and how a model gets it.

use std::path::Path;

use model_utils::data::Normalize;
use model_utils::graph::{self, Dim, Graph};
use model_utils::weights::keras::{Layer, LayerKind};
use model_utils::weights::{Import, State};

use super::preprocessing::SIDE;
use super::source::Weights;
use super::{keras, tflite, timm};
use crate::architecture::Architecture;
use crate::densenet::with_new_names;
use crate::error::Result;
use crate::image_model::{Family, ImageModel};
use crate::layers::scaled;

/// The width multipliers that weights are published for.
const WIDTHS: [f64; 9] = [1.0, 0.75, 0.5, 0.35, 0.25, 0.1, 1.1, 1.3, 1.4];

/// Where a file shows its width multiplier: in the input channels of a layer, of which any two of
/// [`WIDTHS`] have different ones. The weight's name in a `state_dict`, the layer's place among
/// convolutions and linear layers counted from the last one, its input channels at width 1.
const WIDTH_LAYERS: [(Architecture, &str, usize, f64); 4] = [
    (Architecture::MobileNetV1, "classifier.weight", 0, 1024.0),
    (Architecture::MobileNetV2, "features.18.0.weight", 1, 320.0),
    (Architecture::MobileNetV3Large, "features.16.0.weight", 2, 160.0),
    (Architecture::MobileNetV3Small, "features.12.0.weight", 2, 96.0),
];

/// The names that the last layer's weight has in the families.
const HEADS: [&str; 5] = [
    "fc.weight",
    "classifier.6.weight",
    "classifier.3.weight",
    "classifier.1.weight",
    "classifier.weight",
];

/// What a file holds.
pub(super) enum Content {
    State(State),
    Graph(Box<Graph>),
    Keras(Vec<Layer>),
}

impl Content {
    /// Reads a file.
    pub(super) fn read(weights: Weights<'_>, family: Family) -> Result<Self> {
        Ok(match weights {
            Weights::Torchvision(path) => Self::State(with_new_names(Import::new(path))?.state()?),
            Weights::Timm(path) | Weights::TimmTf(path) => {
                Self::State(timm::renamed(Import::new(path).state()?, family))
            }
            Weights::TfLite(path) => {
                Self::Graph(Box::new(graph::tflite::import(path)?.dequantize()?))
            }
            Weights::Keras(path) => Self::Keras(model_utils::weights::keras::read(path)?),
        })
    }

    /// The shape of a weight, `[out, in, …]`: by its name in a `state_dict`, by the place of its
    /// layer elsewhere.
    fn shape(&self, name: &str, from_last: usize) -> Option<Vec<usize>> {
        match self {
            Self::State(state) => Some(state.tensors.get(name)?.data.shape().to_vec()),
            Self::Keras(layers) => {
                // Only layers of the same kind are sure to stand in the model's order.
                let of = |kind| layers.iter().rev().filter(move |layer| layer.kind == kind);
                let layer = of(LayerKind::Linear).chain(of(LayerKind::Conv)).nth(from_last)?;
                Some(layer.tensor("weight")?.shape().to_vec())
            }
            Self::Graph(graph) => tflite::weight_shape(graph, from_last),
        }
    }

    /// The width multiplier of an architecture's file; 1 where it shows none.
    pub(super) fn width(&self, architecture: Architecture) -> f64 {
        let layer = WIDTH_LAYERS.into_iter().find(|layer| layer.0 == architecture);
        let found = layer.and_then(|(_, name, from_last, channels)| {
            let found = *self.shape(name, from_last)?.get(1)?;
            WIDTHS.into_iter().find(|&width| scaled(channels, width) == found)
        });
        found.unwrap_or(1.0)
    }

    /// The classes that the last layer tells apart; 1000 where there is none.
    pub(super) fn classes(&self) -> usize {
        let shape = HEADS.iter().find_map(|name| self.shape(name, 0));
        shape.and_then(|shape| shape.first().copied()).unwrap_or(1000)
    }

    /// Height and width of the images.
    pub(super) fn size(&self) -> [usize; 2] {
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
    pub(super) fn normalize(&self) -> Option<Normalize> {
        let Self::Graph(graph) = self else { return None };
        let input = graph.node(*graph.inputs().first()?);
        let quantization = input.quantization.as_ref()?;
        let (scale, zero) = (quantization.scale.first()?, quantization.zero_point.first()?);
        // real = scale · (byte − zero), and planes hold byte / 255.
        let zero = (*zero - quantization.least) as f32;
        Normalize::new(&[zero / 255.0], &[1.0 / (255.0 * scale)]).ok()
    }

    /// The model with the weights; `path` is the file's, for errors.
    pub(super) fn apply(&self, model: ImageModel, path: &Path) -> Result<ImageModel> {
        let state = match self {
            Self::State(state) => state.clone(),
            Self::Graph(graph) => tflite::state(&model, graph, self.size(), path)?,
            Self::Keras(layers) => keras::state(&model, layers, path)?,
        };
        with_state(model, state, path)
    }
}

impl ImageModel {
    /// The model with the weights of a graph of the same layers whose batch normalisations are
    /// folded, traced or imported for images of height and width `size`.
    ///
    /// # Errors
    ///
    /// [`model_utils::Error::Mismatch`] names every layer that differs: in its shape, its stride,
    /// its groups or the zeros around.
    pub fn with_folded(self, graph: &Graph, size: [usize; 2]) -> Result<Self> {
        let path = Path::new("the graph");
        let state = tflite::state(&self, graph, size, path)?;
        with_state(self, state, path)
    }

    /// The model with the weights of a file; its configuration must be that of the file, of whatever
    /// width. [`Pretrained::load`](super::Pretrained::load) finds it for the published ones.
    ///
    /// # Errors
    ///
    /// Errors of reading the file; [`model_utils::Error::Mismatch`] names every tensor or layer that
    /// is missing, left over or of another shape.
    pub fn with_weights(self, weights: Weights<'_>) -> Result<Self> {
        Content::read(weights, self.family())?.apply(self, weights.path())
    }
}

/// The model with the tensors of a state, all of them; `path` is the file's, for errors.
fn with_state(model: ImageModel, state: State, path: &Path) -> Result<ImageModel> {
    let names = model.torch_names();
    let (model, report) = state.apply(model, names)?;
    if report.is_complete() {
        return Ok(model);
    }
    let differences = report.differences();
    Err(model_utils::Error::Mismatch { path: path.to_path_buf(), differences }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::BuildOptions;
    use model_utils::device::DeviceSpec;

    #[test]
    fn a_state_shows_the_width_that_a_model_was_built_with() {
        let device = DeviceSpec::default().open().unwrap();
        for (architecture, ..) in WIDTH_LAYERS {
            for width in [0.25, 0.35] {
                let options = BuildOptions::new().with_width(width);
                let model = architecture.build(&options, &device).unwrap();
                let state = State::from_module(&model, model.torch_names()).unwrap();
                let found = Content::State(state).width(architecture);
                assert!((found - width).abs() < 1e-9, "{architecture}: {found}");
            }
        }
    }

    #[test]
    fn no_two_widths_look_alike() {
        for (_, _, _, channels) in WIDTH_LAYERS {
            let mut channels = WIDTHS.map(|width| scaled(channels, width));
            channels.sort_unstable();
            assert!(channels.windows(2).all(|pair| pair[0] < pair[1]), "{channels:?}");
        }
    }
}
