//! Common patterns as one node each.

use super::dim::elements;
use super::{Binary, Dim, Edit, Graph, NodeId, Op, Reduction};
use crate::error::Result;
use crate::layers::Activation;

/// Rewrites what Burn records in several operations, until nothing changes.
pub(super) fn canonicalize(graph: &mut Graph) -> Result<()> {
    const PATTERNS: [fn(&Graph, NodeId) -> Option<Change>; 9] = [
        identity,
        clamp,
        mean_of_mean,
        global_pool,
        linear,
        linear_on_rows,
        hard_sigmoid,
        gated,
        reshape,
    ];
    loop {
        let mut changed = false;
        for pattern in PATTERNS {
            // One after the other: a change may take away what the next would have matched.
            let ids: Vec<NodeId> = graph.order.clone();
            for id in ids {
                if graph.get(id).is_none() {
                    continue;
                }
                let Some(change) = pattern(graph, id) else { continue };
                changed = true;
                graph.rewrite(|edit| {
                    change.apply(edit, id);
                    edit.remove_dead();
                    Ok(())
                })?;
            }
        }
        if !changed {
            return Ok(());
        }
    }
}

/// What becomes of a node.
pub(super) enum Change {
    /// Another operation on other inputs.
    To(Op, Vec<NodeId>),
    /// Another node in its place.
    Drop(NodeId),
}

impl Change {
    fn apply(self, edit: &mut Edit, id: NodeId) {
        match self {
            Self::To(op, inputs) => {
                edit.set_op(id, op);
                edit.set_inputs(id, &inputs);
            }
            Self::Drop(other) => edit.replace_uses(id, other),
        }
    }
}

/// The input that a node has alone, if that input has no other user.
fn only(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let &[input] = graph.node(id).inputs.as_slice() else { return None };
    used_once(graph, input).then_some(input)
}

fn used_once(graph: &Graph, id: NodeId) -> bool {
    let uses: usize = graph
        .nodes
        .values()
        .map(|node| node.inputs.iter().filter(|&&input| input == id).count())
        .sum();
    uses == 1 && !graph.outputs.contains(&id)
}

/// What changes nothing.
#[allow(clippy::float_cmp)] // 0 and 1 are exact.
pub(super) fn identity(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    let &input = node.inputs.first()?;
    let same = match &node.op {
        Op::Reshape { shape } | Op::Expand { shape } => *shape == graph.node(input).shape,
        Op::Permute { axes } => axes.is_sorted(),
        Op::Slice { .. } => node.shape == graph.node(input).shape,
        Op::Flatten { first, last } => first == last,
        Op::Cat { .. } => node.inputs.len() == 1,
        Op::Pad { padding, .. } => padding.iter().all(|&both| both == (0, 0)),
        Op::Activation(Activation::Identity) | Op::Repeat { times: 1, .. } => true,
        Op::Scalar(Binary::Add | Binary::Sub, number) => *number == 0.0,
        Op::Scalar(Binary::Mul | Binary::Div | Binary::Pow, number) => *number == 1.0,
        Op::Cast { to } => *to == graph.node(input).kind,
        _ => false,
    };
    // The caller sees an input as it came: an output that is an input stays a node of its own.
    let is_boundary = graph.outputs.contains(&id) && graph.inputs.contains(&input);
    (same && !is_boundary).then_some(Change::Drop(input))
}

fn clamp(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    let activation = match node.op {
        Op::Clamp { min: Some(0.0), max: Some(6.0) } => Activation::Relu6,
        Op::Clamp { min: Some(0.0), max: None } => Activation::Relu,
        _ => return None,
    };
    (node.kind == super::ElementKind::Float)
        .then(|| Change::To(Op::Activation(activation), node.inputs.clone()))
}

/// A mean along one axis after the other.
fn mean_of_mean(graph: &Graph, id: NodeId) -> Option<Change> {
    let Op::Reduce { reduction: Reduction::Mean, axes } = &graph.node(id).op else { return None };
    let inner = only(graph, id)?;
    let Op::Reduce { reduction: Reduction::Mean, axes: before } = &graph.node(inner).op else {
        return None;
    };
    let mut axes: Vec<usize> = axes.iter().chain(before).copied().collect();
    axes.sort_unstable();
    axes.dedup();
    let inputs = graph.node(inner).inputs.clone();
    Some(Change::To(Op::Reduce { reduction: Reduction::Mean, axes }, inputs))
}

/// The mean over space, its axes of length 1 taken away.
fn global_pool(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    let (Op::Reshape { .. } | Op::Flatten { .. }) = node.op else { return None };
    let pool = only(graph, id)?;
    let pool = graph.node(pool);
    let is_mean = match &pool.op {
        Op::Reduce { reduction: Reduction::Mean, axes } => *axes == [2, 3],
        Op::AdaptiveAvgPool2d { output } => *output == [1, 1],
        _ => false,
    };
    let fits = is_mean && pool.shape.len() == 4 && node.shape == pool.shape[..2];
    fits.then(|| Change::To(Op::GlobalAvgPool, pool.inputs.clone()))
}

/// A product with a parameter, and perhaps a sum with one.
fn linear(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    match node.op {
        Op::MatMul => {
            let [x, weight] = node.inputs[..] else { return None };
            let weight = matrix_parameter(graph, weight)?;
            Some(Change::To(Op::Linear, vec![x, weight]))
        }
        Op::Binary(Binary::Add) => {
            let [a, b] = node.inputs[..] else { return None };
            [(a, b), (b, a)].into_iter().find_map(|(product, bias)| {
                let linear = graph.node(product);
                if linear.op != Op::Linear
                    || linear.inputs.len() != 2
                    || linear.shape != node.shape
                    || !used_once(graph, product)
                {
                    return None;
                }
                let bias = parameter_along_last(graph, bias)?;
                if graph.node(bias).shape.last() != node.shape.last() {
                    return None;
                }
                Some(Change::To(Op::Linear, vec![linear.inputs[0], linear.inputs[1], bias]))
            })
        }
        _ => None,
    }
}

/// A parameter of two axes, perhaps transposed, perhaps with axes of length 1 before it.
fn matrix_parameter(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    let matrix = match node.op {
        Op::Reshape { .. } | Op::Expand { .. } => {
            let source = &graph.node(node.inputs[0]).shape;
            let leading = node.shape.len().checked_sub(source.len())?;
            let only_leading = node.shape[..leading].iter().all(|dim| *dim == Dim::Fixed(1))
                && node.shape[leading..] == *source;
            only_leading.then_some(node.inputs[0])?
        }
        _ => id,
    };
    let source = match graph.node(matrix).op {
        Op::Permute { .. } => graph.node(matrix).inputs[0],
        _ => matrix,
    };
    let fits = graph.node(source).op == Op::Parameter && graph.node(matrix).shape.len() == 2;
    fits.then_some(matrix)
}

/// A parameter of one axis, itself or with axes of length 1 before it.
fn parameter_along_last(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    let source = match node.op {
        Op::Parameter => id,
        Op::Reshape { .. } | Op::Expand { .. }
            if node.shape.iter().rev().skip(1).all(|dim| *dim == Dim::Fixed(1)) =>
        {
            node.inputs[0]
        }
        _ => return None,
    };
    let source_node = graph.node(source);
    (source_node.op == Op::Parameter && source_node.shape.len() == 1).then_some(source)
}

/// Leading axes joined, a linear layer, and the axes taken apart again.
fn linear_on_rows(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    let Op::Reshape { shape } = &node.op else { return None };
    let linear = only(graph, id)?;
    let linear = graph.node(linear);
    if linear.op != Op::Linear || linear.shape.len() != 2 {
        return None;
    }
    let rows = graph.node(linear.inputs[0]);
    let (Op::Reshape { .. } | Op::Flatten { .. }) = rows.op else { return None };
    let x = rows.inputs[0];
    let from = &graph.node(x).shape;
    let fits = from.len() == shape.len()
        && from.split_last().map(|(_, leading)| leading)
            == shape.split_last().map(|(_, leading)| leading)
        && from.last() == rows.shape.last()
        && shape.last() == linear.shape.last();
    fits.then(|| {
        let inputs = std::iter::once(x).chain(linear.inputs[1..].iter().copied()).collect();
        Change::To(Op::Linear, inputs)
    })
}

/// relu6(x + 3) / 6
fn hard_sigmoid(graph: &Graph, id: NodeId) -> Option<Change> {
    if graph.node(id).op != Op::Scalar(Binary::Div, 6.0) {
        return None;
    }
    let clamp = only(graph, id)?;
    if graph.node(clamp).op != Op::Activation(Activation::Relu6) {
        return None;
    }
    let sum = only(graph, clamp)?;
    (graph.node(sum).op == Op::Scalar(Binary::Add, 3.0)).then(|| {
        Change::To(Op::Activation(Activation::HardSigmoid), graph.node(sum).inputs.clone())
    })
}

/// x · σ(x)
fn gated(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    if node.op != Op::Binary(Binary::Mul) {
        return None;
    }
    let [a, b] = node.inputs[..] else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
        let activation = match graph.node(gate).op {
            Op::Activation(Activation::Sigmoid) => Activation::Silu,
            Op::Activation(Activation::HardSigmoid) => Activation::HardSwish,
            _ => return None,
        };
        (graph.node(gate).inputs == [x] && used_once(graph, gate))
            .then(|| Change::To(Op::Activation(activation), vec![x]))
    })
}

/// Two reshapes as one, and one that joins neighbouring axes as a flattening.
fn reshape(graph: &Graph, id: NodeId) -> Option<Change> {
    let node = graph.node(id);
    let Op::Reshape { shape } = &node.op else { return None };
    if let Some(inner) = only(graph, id)
        && let Op::Reshape { .. } | Op::Flatten { .. } = graph.node(inner).op
    {
        let inputs = graph.node(inner).inputs.clone();
        return Some(Change::To(Op::Reshape { shape: shape.clone() }, inputs));
    }
    let from = &graph.node(node.inputs[0]).shape;
    let joined = (from.len() + 1).checked_sub(shape.len()).filter(|joined| *joined > 1)?;
    (0..shape.len()).find_map(|first| {
        let last = first + joined - 1;
        let fits = from[..first] == shape[..first]
            && from[last + 1..] == shape[first + 1..]
            && elements(&from[first..=last]) == elements(&shape[first..=first]);
        fits.then(|| Change::To(Op::Flatten { first, last }, node.inputs.clone()))
    })
}
