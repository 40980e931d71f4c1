//! The weights of a TensorFlow Lite file in a model of this crate.

use std::path::Path;

use burn::tensor::TensorData;
use model_utils::graph::{Graph, NodeId, Op};
use model_utils::weights::State;

use super::traced::{Found, Traced};
use crate::error::Result;
use crate::image_model::ImageModel;

/// How a convolution goes over its input.
#[derive(Debug, PartialEq)]
struct Walk {
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    /// Zeros before and after, down and across.
    padding: [(usize, usize); 2],
}

/// A convolution or linear layer of a graph.
struct Layer<'a> {
    graph: &'a Graph,
    id: NodeId,
}

impl<'a> Layer<'a> {
    /// All of a graph, in the order in which they are computed.
    fn all(graph: &'a Graph) -> Vec<Self> {
        graph
            .nodes()
            .filter(|(_, node)| matches!(node.op, Op::Conv2d { .. } | Op::Linear))
            .map(|(id, _)| Layer { graph, id })
            .collect()
    }

    fn op(&self) -> &'a Op {
        &self.graph.node(self.id).op
    }

    fn name(&self) -> &'a str {
        &self.graph.node(self.id).name
    }

    fn operand(&self, place: usize) -> Option<NodeId> {
        self.graph.node(self.id).inputs.get(place).copied()
    }

    /// The values of an operand in PyTorch's layout: of a linear layer `[out, in]`.
    fn data(&self, place: usize) -> Option<TensorData> {
        let data = self.graph.weight(self.operand(place)?)?.data.clone().convert::<f32>();
        if *self.op() != Op::Linear || place != 1 {
            return Some(data);
        }
        let [rows, columns] = data.shape()[..] else { return None };
        let values: Vec<f32> = data.iter::<f32>().collect();
        let turned = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect();
        Some(TensorData::new::<f32, _>(turned, [columns, rows]))
    }

    /// Stride, dilation, groups and the zeros around, those of a padding before it included.
    fn walk(&self) -> Option<Walk> {
        let Op::Conv2d { stride, padding, dilation, groups } = self.op() else { return None };
        let mut padding = *padding;
        let input = self.graph.node(self.operand(0)?);
        if let Op::Pad { padding: around, value } = &input.op
            && *value == 0.0
            && around.len() == 4
        {
            for axis in 0..2 {
                padding[axis].0 += around[axis + 2].0;
                padding[axis].1 += around[axis + 2].1;
            }
        }
        Some(Walk { stride: *stride, dilation: *dilation, groups: *groups, padding })
    }

    /// The batch normalisation behind it, and its ε.
    fn norm(&self) -> Option<(NodeId, f64)> {
        let [user] = self.graph.users(self.id)[..] else { return None };
        match self.graph.node(user).op {
            Op::BatchNorm { epsilon, .. } => Some((user, epsilon)),
            _ => None,
        }
    }
}

/// The tensors of `model` with the weights of a file whose batch normalisations are folded: what is
/// left of them becomes the shift, the rest the identity.
///
/// Both graphs must have the same convolutions and linear layers in the same order: shapes, strides,
/// groups and the zeros around are compared, and what differs is named.
pub(super) fn state(
    model: &ImageModel,
    file: &Graph,
    size: [usize; 2],
    path: &Path,
) -> Result<State> {
    let own = Traced::new(model, size)?;
    let (theirs, ours) = (Layer::all(file), Layer::all(&own.graph));
    let mut state = Found::default();
    if theirs.len() != ours.len() {
        state.differences.push(format!(
            "{} convolutions and linear layers, expected {}",
            theirs.len(),
            ours.len()
        ));
    }
    for (their, our) in theirs.iter().zip(&ours) {
        let place = format!("`{}` for `{}`", their.name(), our.name());
        let (Some(weight), Some(expected)) = (their.data(1), our.data(1)) else {
            state.differences.push(format!("{place}: its weights are computed"));
            continue;
        };
        let elements = |data: &TensorData| data.num_elements();
        let (found, wanted) = (weight.shape().to_vec(), expected.shape().to_vec());
        // A 1×1 convolution on a single place is a linear layer.
        let is_linear = found.len() == 4 && wanted.len() == 2 && found[..2] == wanted[..];
        if found != wanted && !(is_linear && elements(&weight) == elements(&expected)) {
            state.differences.push(format!("{place}: weights {found:?}, expected {wanted:?}"));
            continue;
        }
        if let (found, Some(expected)) = (their.walk(), our.walk())
            && found.as_ref() != Some(&expected)
        {
            state.differences.push(format!("{place}: {found:?}, expected {expected:?}"));
        }
        let channels = wanted[0];
        let bias: Vec<f32> = match their.data(2) {
            Some(bias) => bias.iter::<f32>().collect(),
            None => vec![0.0; channels],
        };
        if let Some(id) = our.operand(1) {
            state.set(&own, id, weight.iter::<f32>().collect(), wanted);
        }
        if let Some(id) = our.operand(2) {
            state.set(&own, id, bias, vec![channels]);
        } else if let Some((norm, epsilon)) = our.norm() {
            let variance = (1.0 - epsilon) as f32;
            let ones = |value: f32| vec![value; channels];
            let values = [ones(1.0), bias, ones(0.0), ones(variance)];
            for (&id, values) in own.graph.node(norm).inputs[1..].iter().zip(values) {
                state.set(&own, id, values, vec![channels]);
            }
        } else if bias.iter().any(|&value| value != 0.0) {
            state.differences.push(format!("{place}: a bias, expected none"));
        }
    }
    state.finish(path)
}

/// The shape of the weight of a convolution or linear layer, counted from the last one: `[out, in, …]`.
pub(super) fn weight_shape(graph: &Graph, from_last: usize) -> Option<Vec<usize>> {
    let layer = Layer::all(graph).into_iter().rev().nth(from_last)?;
    Some(layer.data(1)?.shape().to_vec())
}
