//! The weights of a Keras file in a model of this crate.

use std::collections::VecDeque;
use std::path::Path;

use model_utils::config::ConfigError;
use model_utils::graph::{Graph, Node, NodeId, Op};
use model_utils::weights::State;
use model_utils::weights::keras::{Layer, LayerKind};

use super::preprocessing::{Preprocessing, SIDE};
use super::traced::{Found, Traced};
use crate::architecture::Architecture;
use crate::error::Result;
use crate::image_model::{Family, ImageModel};

/// Those that Keras Applications has in the form in which they are built here.
const PUBLISHED: [Architecture; 9] = [
    Architecture::MobileNetV1,
    Architecture::MobileNetV2,
    Architecture::MobileNetV3Large,
    Architecture::MobileNetV3Small,
    Architecture::DenseNet121,
    Architecture::DenseNet169,
    Architecture::DenseNet201,
    Architecture::Vgg16,
    Architecture::Vgg19,
];

/// Refuses a model that Keras Applications has not, or builds in another way.
pub(super) fn check(architecture: Architecture) -> Result<(), ConfigError> {
    if PUBLISHED.contains(&architecture) {
        return Ok(());
    }
    let names: Vec<_> = PUBLISHED.iter().map(|architecture| architecture.name()).collect();
    let mut expected = format!("one that Keras Applications builds alike: {}", names.join(", "));
    if architecture.family() == Family::ResNet {
        expected += " (its ResNets have the stride in the first 1×1 convolution of a block, the \
                     ones here in the 3×3)";
    }
    Err(ConfigError::new("architecture", architecture.name(), expected))
}

/// What Keras Applications has for a family: the `mode` of its `preprocess_input`, at a side, and what
/// it adds to variances.
pub(super) fn conventions(family: Family) -> (fn(usize) -> Preprocessing, f64) {
    match family {
        Family::MobileNetV1 | Family::MobileNetV2 | Family::MobileNetV3 => {
            (Preprocessing::tensorflow, 1e-3)
        }
        Family::DenseNet | Family::ResNet => (Preprocessing::keras_torch, 1.001e-5),
        Family::Vgg => (Preprocessing::caffe, 1e-3),
    }
}

/// The layers of a file that are not used yet, each kind in its order.
struct Unused<'a> {
    layers: VecDeque<&'a Layer>,
}

impl<'a> Unused<'a> {
    /// The next layer for a node of the model.
    fn take(&mut self, kind: LayerKind) -> Option<&'a Layer> {
        let mut place = self.layers.iter().position(|layer| layer.kind == kind);
        if kind == LayerKind::Linear && place.is_none() {
            // After the pooling a 1×1 convolution is a linear layer.
            place = self.layers.iter().position(|layer| layer.kind == LayerKind::Conv);
        }
        self.layers.remove(place?)
    }
}

/// What a node is in Keras; `None` for one without weights.
fn kind(graph: &Graph, node: &Node) -> Option<LayerKind> {
    match node.op {
        Op::Linear => Some(LayerKind::Linear),
        Op::BatchNorm { .. } => Some(LayerKind::Norm),
        Op::Conv2d { groups, .. } => {
            let out = graph.node(*node.inputs.get(1)?).shape.first()?.fixed()?;
            Some(if groups > 1 && groups == out { LayerKind::Depthwise } else { LayerKind::Conv })
        }
        _ => None,
    }
}

/// Channels, height and width of the map that a linear layer takes flattened.
fn flattened(graph: &Graph, linear: &Node) -> Option<[usize; 3]> {
    let input = graph.node(*linear.inputs.first()?);
    if !matches!(input.op, Op::Flatten { .. } | Op::Reshape { .. }) {
        return None;
    }
    let map = graph.node(*input.inputs.first()?);
    let [_, channels, height, width] = map.shape[..] else { return None };
    Some([channels.fixed()?, height.fixed()?, width.fixed()?])
}

/// A weight `[out, height · width · channels]` as `[out, channels · height · width]`.
fn channels_first(values: &[f32], [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let places = height * width;
    let turned = |row: &[f32]| -> Vec<f32> {
        let value = |i: usize| row[i % places * channels + i / places];
        (0..row.len()).map(value).collect()
    };
    values.chunks(channels * places).flat_map(turned).collect()
}

/// A kernel of three input channels for images of the opposite order of colours.
fn colors_reversed(values: &mut [f32], shape: &[usize]) {
    let &[_, 3, height, width] = shape else { return };
    let plane = height * width;
    for filter in values.chunks_mut(3 * plane) {
        let (first, rest) = filter.split_at_mut(plane);
        first.swap_with_slice(&mut rest[plane..]);
    }
}

/// The tensors of `model` with the weights of a file's layers.
///
/// Keras's own loader goes by the order of the layers and their shapes, and so does this one: the
/// names of layers changed over the years, and older files name weights after the backend. What
/// differs is named. The `VGG`s' first kernel is turned from blue–green–red to red–green–blue, as
/// all models here take colours.
pub(super) fn state(model: &ImageModel, layers: &[Layer], path: &Path) -> Result<State> {
    let (_, keras_epsilon) = conventions(model.family());
    let own = Traced::new(model, [SIDE; 2])?;
    let mut unused = Unused { layers: layers.iter().collect() };
    let mut state = Found::default();
    let mut turns_colors = model.family() == Family::Vgg;
    for (_, node) in own.graph.nodes() {
        let Some(kind) = kind(&own.graph, node) else { continue };
        let Some(layer) = unused.take(kind) else {
            state.differences.push(format!("no layer for `{}`", node.name));
            continue;
        };
        let place = format!("`{}` for `{}`", layer.name, node.name);
        let mut set = |id: NodeId, name: &str| {
            let mut expected: Vec<usize> =
                own.graph.node(id).shape.iter().filter_map(|side| side.fixed()).collect();
            if kind == LayerKind::Linear && name == "weight" {
                expected.reverse();
            }
            let Some(found) = layer.tensor(name) else {
                state.differences.push(format!("{place}: no {name}"));
                return;
            };
            let shape = found.shape().to_vec();
            let is_flat = kind == LayerKind::Linear && shape.len() == 4 && shape[2..] == [1, 1];
            if shape != expected && !(is_flat && shape[..2] == expected[..]) {
                state.differences.push(format!("{place}: {name} {shape:?}, expected {expected:?}"));
                return;
            }
            let mut values: Vec<f32> = found.iter::<f32>().collect();
            match node.op {
                Op::Linear if name == "weight" => {
                    if let Some(map) = flattened(&own.graph, node) {
                        values = channels_first(&values, map);
                    }
                }
                // The same normalisation, with the ε of the model.
                Op::BatchNorm { epsilon: ours, .. } if name == "running_var" => {
                    let more = (keras_epsilon - ours) as f32;
                    for variance in &mut values {
                        *variance += more;
                    }
                }
                _ => {}
            }
            if turns_colors && name == "weight" {
                colors_reversed(&mut values, &expected);
                turns_colors = false;
            }
            state.set(&own, id, values, expected);
        };
        let names = ["weight", "bias", "running_mean", "running_var"];
        for (&id, name) in node.inputs[1..].iter().zip(names) {
            set(id, name);
        }
        if node.inputs.len() < 3 && layer.tensor("bias").is_some() {
            state.differences.push(format!("{place}: a bias, expected none"));
        }
    }
    let left = unused.layers.iter();
    state.differences.extend(left.map(|layer| format!("`{}` is not in the model", layer.name)));
    state.finish(path)
}

/// The side of the images that a published file was trained on, which its name ends in.
pub(super) fn side(path: &Path) -> Option<usize> {
    let name = path.file_stem()?.to_str()?;
    let mut numbers = name.split('_').filter_map(|part| part.parse().ok());
    numbers.rfind(|side| [96, 128, 160, 192, 224].contains(side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_is_in_the_name_of_a_published_file() {
        for (name, expected) in [
            ("mobilenet_1_0_128_tf.h5", Some(128)),
            ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5", Some(96)),
            ("weights_mobilenet_v3_small_1.0_224_float.h5", Some(224)),
            ("densenet121_weights_tf_dim_ordering_tf_kernels.h5", None),
            ("mine.weights.h5", None),
        ] {
            assert_eq!(side(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn layouts_change_without_losing_values() {
        // Two places of three channels: h0 (0, 1, 2), h1 (3, 4, 5).
        let row = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let whole = |values: &[f32]| values.iter().map(|&v| v as i32).collect::<Vec<_>>();
        assert_eq!(whole(&channels_first(&row, [3, 2, 1])), [0, 3, 1, 4, 2, 5]);
        let mut kernel = row;
        colors_reversed(&mut kernel, &[1, 3, 1, 2]);
        assert_eq!(whole(&kernel), [4, 5, 2, 3, 0, 1]);
    }
}
