use burn::tensor::TensorData;
use model_utils::graph::{Graph, NodeId, Op};
use model_utils::layers::Activation;

use super::weights::Places;
use crate::error::Result;
use crate::graph::{check_finite, set_values};

/// Rounds over all pairs, at most.
const ROUNDS: usize = 40;
/// A round that changes no factor by more than this is the last.
const SETTLED: f64 = 1e-3;

/// Scales the channels between neighbouring layers so that both layers' weights have the same
/// range in each channel, where the graph computes the same after it: cross-layer equalisation
/// (Nagel et al. 2019, <https://arxiv.org/abs/1906.04721>).
///
/// For a channel i with the largest magnitudes r₁ of the first layer's weights and r₂ of the
/// second's, with ReLU, leaky ReLU or nothing, and pooling, between them:
///
/// ```math
/// s_i = \sqrt{r^{(1)}_i / r^{(2)}_i}, \qquad
/// W^{(1)}_i \to W^{(1)}_i / s_i, \quad b^{(1)}_i \to b^{(1)}_i / s_i, \quad W^{(2)}_i \to s_i W^{(2)}_i
/// ```
///
/// All pairs are gone over until nothing changes. `ReLU6` is not crossed: the paper replaces it by
/// ReLU, which changes what is computed. Batch normalisations should be folded first. Weights that
/// several layers share stay.
///
/// # Errors
///
/// [`Error::Node`](crate::Error::Node) for a weight that is not finite.
pub fn equalise(graph: &Graph) -> Result<Graph> {
    let pairs: Vec<Pair> = graph.nodes().filter_map(|(id, _)| pair(graph, id)).collect();
    let mut graph = graph.clone();
    for _ in 0..ROUNDS {
        let mut change = 0.0f64;
        for pair in &pairs {
            let (first, second) = (ranges(&graph, pair.first)?, ranges(&graph, pair.second)?);
            // A channel without weights on one side is left alone.
            let factors: Vec<f64> = first
                .iter()
                .zip(&second)
                .map(|(a, b)| if *a > 0.0 && *b > 0.0 { (a / b).sqrt() } else { 1.0 })
                .collect();
            change = factors.iter().fold(change, |most, factor| most.max(factor.ln().abs()));
            let inverse: Vec<f64> = factors.iter().map(|factor| factor.recip()).collect();
            let mut scaled = vec![
                (pair.first.weight, times(&graph, pair.first, &inverse)),
                (pair.second.weight, times(&graph, pair.second, &factors)),
            ];
            if let Some(bias) = pair.bias {
                let side = Side { weight: bias, axis: 0, groups: 1, blocks: 1 };
                scaled.push((bias, times(&graph, side, &inverse)));
            }
            set_values(&mut graph, scaled)?;
        }
        if change < SETTLED {
            break;
        }
    }
    Ok(graph)
}

/// Two layers with channels between them that may be scaled.
struct Pair {
    first: Side,
    bias: Option<NodeId>,
    second: Side,
}

/// A weight and its axis over the channels.
#[derive(Clone, Copy)]
struct Side {
    weight: NodeId,
    /// The axis that runs over the channels of a group.
    axis: usize,
    /// Groups, of which each holds other channels.
    groups: usize,
    /// The axis along which groups follow each other; 1 where they are along `axis` itself.
    blocks: usize,
}

impl Side {
    /// The channel of each element of the weight.
    fn channels(self, shape: &[usize]) -> impl Fn(usize) -> usize {
        let within = Places::new(shape, Some(self.axis));
        let rows = Places::new(shape, Some(0));
        let a_group = rows.count.div_ceil(self.groups).max(1);
        let is_grouped = self.blocks > 1;
        move |index| {
            let group = if is_grouped { rows.of(index) / a_group } else { 0 };
            group * within.count + within.of(index)
        }
    }

    fn count(self, shape: &[usize]) -> usize {
        shape[self.axis] * if self.blocks > 1 { self.groups } else { 1 }
    }
}

/// The pair whose first layer a node is.
fn pair(graph: &Graph, first: NodeId) -> Option<Pair> {
    let node = graph.node(first);
    let (weight, bias) = own(graph, first)?;
    let first_side = match node.op {
        Op::Conv1d { .. } | Op::Conv2d { .. } => Side { weight, axis: 0, groups: 1, blocks: 1 },
        Op::ConvTranspose2d { groups, .. } => Side { weight, axis: 1, groups, blocks: groups },
        Op::Linear if node.shape.len() == 2 => Side { weight, axis: 1, groups: 1, blocks: 1 },
        _ => return None,
    };
    // Through what scales with its input.
    let mut at = first;
    let second = loop {
        let users = graph.users(at);
        let &[user] = users.as_slice() else { return None };
        if graph.outputs().contains(&at) {
            return None;
        }
        match graph.node(user).op {
            Op::Activation(Activation::Identity | Activation::Relu | Activation::LeakyRelu(_))
            | Op::MaxPool2d(_)
            | Op::AvgPool2d { .. }
            | Op::AdaptiveAvgPool2d { .. }
            | Op::GlobalAvgPool => at = user,
            _ => break user,
        }
    };
    let (weight, _) = own(graph, second)?;
    let of_second = graph.node(second);
    if of_second.inputs[0] != at {
        return None;
    }
    let second = match of_second.op {
        Op::Conv1d { groups, .. } | Op::Conv2d { groups, .. } => {
            Side { weight, axis: 1, groups, blocks: groups }
        }
        Op::ConvTranspose2d { .. } => Side { weight, axis: 0, groups: 1, blocks: 1 },
        Op::Linear if graph.node(at).shape.len() == 2 => {
            Side { weight, axis: 0, groups: 1, blocks: 1 }
        }
        _ => return None,
    };
    let channels = |side: Side| Some(side.count(graph.weight(side.weight)?.data.shape()));
    (channels(first_side)? == channels(second)?).then_some(Pair { first: first_side, bias, second })
}

/// Weight and bias of a layer that has them alone.
fn own(graph: &Graph, layer: NodeId) -> Option<(NodeId, Option<NodeId>)> {
    let inputs = &graph.node(layer).inputs;
    let is_own = |id: &NodeId| graph.weight(*id).is_some() && graph.users(*id) == [layer];
    let (weight, bias) = (*inputs.get(1)?, inputs.get(2).copied());
    (is_own(&weight) && bias.iter().all(is_own)).then_some((weight, bias))
}

/// The largest magnitude of each channel.
fn ranges(graph: &Graph, side: Side) -> Result<Vec<f64>> {
    let data = &graph.weight(side.weight).expect("a weight of the pair").data;
    check_finite(&graph.node(side.weight).name, data.iter::<f64>())?;
    let channel = side.channels(data.shape());
    let mut ranges = vec![0.0f64; side.count(data.shape())];
    for (index, value) in data.iter::<f64>().enumerate() {
        let range = &mut ranges[channel(index)];
        *range = range.max(value.abs());
    }
    Ok(ranges)
}

fn times(graph: &Graph, side: Side, factors: &[f64]) -> TensorData {
    let data = &graph.weight(side.weight).expect("a weight of the pair").data;
    let channel = side.channels(data.shape());
    let scaled: Vec<f32> = data
        .iter::<f64>()
        .enumerate()
        .map(|(index, value)| (value * factors[channel(index)]) as f32)
        .collect();
    TensorData::new(scaled, data.shape().to_vec())
}
