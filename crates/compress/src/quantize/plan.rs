//! What of a graph is quantized.

use std::collections::{BTreeMap, BTreeSet};

use model_utils::graph::{Binary, ElementKind, Graph, NodeId, Op, Reduction, Role};

/// The weight of one or more layers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WeightPoint {
    /// The parameter or constant.
    pub(crate) weight: NodeId,
    /// The axis of it that runs over the channels of the output; `None` where its layers disagree.
    pub(crate) axis: Option<usize>,
    /// The layers that take it.
    pub(crate) layers: Vec<NodeId>,
}

/// What an operation does with integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Takes integers and computes with them.
    Computes,
    /// Hands numbers on as they are.
    Carries,
    /// A function of each number, computed where the tensor before it is.
    Pointwise,
    /// Not known: stays in floating point.
    Float,
}

pub(crate) fn part(op: &Op) -> Part {
    match op {
        Op::Conv1d { .. }
        | Op::Conv2d { .. }
        | Op::ConvTranspose2d { .. }
        | Op::Linear
        | Op::MatMul
        | Op::BatchNorm { .. }
        | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul)
        | Op::AvgPool2d { .. }
        | Op::AdaptiveAvgPool2d { .. }
        | Op::GlobalAvgPool
        | Op::Reduce { reduction: Reduction::Mean | Reduction::Sum, .. }
        | Op::Cat { .. } => Part::Computes,
        Op::MaxPool2d(_)
        | Op::Reshape { .. }
        | Op::Flatten { .. }
        | Op::Permute { .. }
        | Op::Expand { .. }
        | Op::Flip { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Repeat { .. }
        | Op::Select { .. }
        | Op::Gather { .. }
        | Op::Embedding
        | Op::FakeQuantize(_)
        | Op::Reduce { reduction: Reduction::Max | Reduction::Min, .. } => Part::Carries,
        Op::Activation(_)
        | Op::HardSigmoid { .. }
        | Op::PRelu
        | Op::Clamp { .. }
        | Op::Scalar(..) => Part::Pointwise,
        _ => Part::Float,
    }
}

/// The operand of an operation that is a weight, and its axis of the output's channels.
fn operand(op: &Op) -> Option<(usize, Option<usize>)> {
    match op {
        Op::Conv1d { .. } | Op::Conv2d { .. } => Some((1, Some(0))),
        Op::ConvTranspose2d { .. } | Op::Linear => Some((1, Some(1))),
        Op::Embedding => Some((0, Some(0))),
        Op::MatMul => Some((1, None)),
        _ => None,
    }
}

/// The weights of all layers but those `left` out by the layer's name.
pub(crate) fn weights(graph: &Graph, left: &[String]) -> Vec<WeightPoint> {
    let mut found: BTreeMap<NodeId, WeightPoint> = BTreeMap::new();
    for (layer, node) in graph.nodes() {
        let Some((at, axis)) = operand(&node.op) else { continue };
        let Some((weight, axis)) = source(graph, node.inputs[at], axis) else { continue };
        let point =
            found.entry(weight).or_insert_with(|| WeightPoint { weight, axis, layers: Vec::new() });
        if point.axis != axis {
            point.axis = None;
        }
        point.layers.push(layer);
    }
    let is_left = |point: &WeightPoint| {
        point.layers.iter().any(|&layer| left.contains(&graph.node(layer).name))
    };
    let all = found.into_values().filter(|point| !is_left(point));
    let mut points: Vec<WeightPoint> = all.collect();
    points.sort_by_key(|point| position(graph, point.layers[0]));
    points
}

fn position(graph: &Graph, id: NodeId) -> usize {
    graph.nodes().position(|(node, _)| node == id).unwrap_or(usize::MAX)
}

/// The weight behind an operand that may be a transposed view of it.
fn source(
    graph: &Graph,
    mut id: NodeId,
    mut axis: Option<usize>,
) -> Option<(NodeId, Option<usize>)> {
    while let Op::Permute { axes } = &graph.node(id).op {
        axis = axis.map(|axis| axes[axis]);
        id = graph.node(id).inputs[0];
    }
    let weight = graph.weight(id)?;
    let is_float = graph.node(id).kind == ElementKind::Float && weight.role != Role::Running;
    is_float.then_some((id, axis))
}

/// The tensors that integers must stand for, so that all that can compute with integers does: the
/// inputs of these operations, taken after the functions that follow them.
pub(crate) fn tensors(graph: &Graph, left: &[String]) -> Vec<NodeId> {
    let mut wanted: BTreeSet<NodeId> = BTreeSet::new();
    let order: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for &id in order.iter().rev() {
        let node = graph.node(id);
        let wants = match part(&node.op) {
            Part::Computes => !left.contains(&node.name),
            Part::Carries => wanted.contains(&id) && !matches!(node.op, Op::Embedding),
            Part::Pointwise | Part::Float => false,
        };
        if wants {
            // Indices and masks are no numbers to round.
            wanted.extend(
                node.inputs.iter().filter(|&&input| graph.node(input).kind == ElementKind::Float),
            );
        }
    }
    let depends_on_input = depends_on_input(graph);
    let is_point = |id: &NodeId| {
        let node = graph.node(*id);
        let carries = part(&node.op) == Part::Carries && node.op != Op::Embedding;
        wanted.contains(id) && depends_on_input.contains(id) && !carries
    };
    order.into_iter().filter(is_point).collect()
}

/// The nodes whose tensors are not the same for every input.
pub(crate) fn depends_on_input(graph: &Graph) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    for (id, node) in graph.nodes() {
        if node.op == Op::Input || node.inputs.iter().any(|input| found.contains(input)) {
            found.insert(id);
        }
    }
    found
}
