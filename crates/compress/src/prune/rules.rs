//! What each operation does to channels.

use std::collections::BTreeSet;

use model_utils::graph::{Dim, ElementKind, Graph, Node, NodeId, Op, Range, Reduction};

use super::labels::{Axis, FIXED, Label, Labels, fixed, length};
use super::reshape::reshaped;

/// Why channels that meet an operation are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftAlone {
    /// The node.
    pub node: String,
    /// Its operation.
    pub op: &'static str,
    /// Why no channel can be removed there.
    pub reason: String,
}

/// The labels of a whole graph, and what was seen on the way.
#[derive(Debug)]
pub(super) struct Analysis<'a> {
    graph: &'a Graph,
    pub(super) labels: Labels,
    pub(super) left_alone: Vec<LeftAlone>,
    /// Axes of weights along which products are summed: the channels that go in.
    contracted: Vec<Contracted>,
    /// Channels over which statistics are taken, so that the rest changes when one goes.
    pub(super) normalised: Vec<Label>,
}

/// An axis along which products are summed.
#[derive(Debug)]
struct Contracted {
    /// The parameter.
    id: NodeId,
    /// Its axis, where it is one.
    axis: Option<usize>,
    labels: Axis,
}

impl<'a> Analysis<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        let mut analysis = Self {
            graph,
            labels: Labels::new(),
            left_alone: Vec::new(),
            contracted: Vec::new(),
            normalised: Vec::new(),
        };
        for (id, node) in graph.nodes() {
            let axes = analysis.axes(node);
            analysis.labels.set(id, axes);
        }
        for &id in graph.outputs() {
            for axis in analysis.labels.of(id).to_vec() {
                analysis.labels.freeze(&axis);
            }
        }
        analysis
    }

    fn input(&self, node: &Node, at: usize) -> Vec<Axis> {
        self.labels.of(node.inputs[at]).to_vec()
    }

    fn shape(&self, node: &Node, at: usize) -> &'a [Dim] {
        &self.graph.node(node.inputs[at]).shape
    }

    /// Fixes an axis, and says so where it had channels.
    fn leave(&mut self, node: &Node, axis: &[Label], reason: &str) {
        if self.labels.is_fixed(axis) {
            return;
        }
        self.labels.freeze(axis);
        let (name, op) = (node.name.clone(), node.op.name());
        if self.left_alone.iter().all(|left| left.node != name || left.reason != reason) {
            self.left_alone.push(LeftAlone { node: name, op, reason: reason.to_owned() });
        }
    }

    /// Fixes everything that meets an operation.
    fn leave_all(&mut self, node: &Node, reason: &str) -> Vec<Axis> {
        for at in 0..node.inputs.len() {
            for axis in self.input(node, at) {
                self.leave(node, &axis, reason);
            }
        }
        node.shape.iter().map(|&dim| fixed(dim)).collect()
    }

    /// An axis of a weight along which products are summed: the parameter's axis behind it.
    fn contract(&mut self, weight: NodeId, axis: usize) {
        let labels = self.labels.of(weight)[axis].clone();
        let (mut id, mut axis) = (weight, Some(axis));
        loop {
            let node = self.graph.node(id);
            match &node.op {
                Op::Permute { axes } => axis = axis.map(|axis| axes[axis]),
                Op::Reshape { .. } | Op::Flatten { .. } => axis = None,
                Op::Binary(_) | Op::Scalar(..) | Op::Cast { .. } => {}
                _ => break,
            }
            id = node.inputs[0];
        }
        self.contracted.push(Contracted { id, axis, labels });
    }

    /// Whether products are summed along an axis of a parameter.
    pub(super) fn takes(&self, id: NodeId, axis: usize) -> bool {
        let roots = |labels: &[Label]| -> BTreeSet<Label> {
            let roots = labels.iter().map(|&label| self.labels.root(label));
            roots.filter(|&root| root != FIXED).collect()
        };
        self.contracted.iter().filter(|contracted| contracted.id == id).any(|contracted| {
            contracted.axis.map_or_else(
                // Reshaped on the way: the axis with the same channels.
                || !roots(&contracted.labels).is_disjoint(&roots(&self.labels.of(id)[axis])),
                |contracted| contracted == axis,
            )
        })
    }

    /// The labels along the axes of what a node gives.
    #[allow(clippy::too_many_lines)] // A case an operation.
    fn axes(&mut self, node: &Node) -> Vec<Axis> {
        let fixed_axes = |shape: &[Dim]| shape.iter().map(|&dim| fixed(dim)).collect::<Vec<_>>();
        match &node.op {
            Op::Input => fixed_axes(&node.shape),
            Op::Parameter | Op::Constant | Op::Full { .. } => {
                node.shape.iter().map(|&dim| self.labels.fresh_axis(dim)).collect()
            }
            Op::Conv1d { groups, .. } | Op::Conv2d { groups, .. } => {
                self.convolution(node, *groups, false)
            }
            Op::ConvTranspose2d { groups, .. } => self.convolution(node, *groups, true),
            Op::Linear => {
                let (mut x, weight) = (self.input(node, 0), self.input(node, 1));
                if let Some(last) = x.last_mut() {
                    self.labels.join_axes(last, &weight[0]);
                    last.clone_from(&weight[1]);
                }
                self.contract(node.inputs[1], 0);
                self.bias(node, &weight[1]);
                x
            }
            Op::MatMul => {
                let (a, b) = (self.input(node, 0), self.input(node, 1));
                let last = a.len() - 1;
                self.labels.join_axes(&a[last], &b[last - 1]);
                self.contract(node.inputs[1], last - 1);
                let shapes = (self.shape(node, 0), self.shape(node, 1));
                let mut out = self.broadcast(
                    (&a[..last - 1], &shapes.0[..last - 1]),
                    (&b[..last - 1], &shapes.1[..last - 1]),
                );
                out.extend([a[last - 1].clone(), b[last].clone()]);
                out
            }
            Op::BatchNorm { .. } => {
                let x = self.input(node, 0);
                for at in 1..node.inputs.len() {
                    let of_channels = self.input(node, at);
                    self.labels.join_axes(&x[1], &of_channels[0]);
                }
                x
            }
            Op::LayerNorm { .. } => {
                let x = self.input(node, 0);
                let last = x.last().cloned().unwrap_or_default();
                for at in 1..node.inputs.len() {
                    let of_features = self.input(node, at);
                    self.labels.join_axes(&last, &of_features[0]);
                }
                self.normalised.extend(last);
                x
            }
            Op::Embedding => {
                let (table, indices) = (self.input(node, 0), self.input(node, 1));
                self.labels.freeze(&table[0]);
                for axis in &indices {
                    self.labels.freeze(axis);
                }
                vec![indices[0].clone(), indices[1].clone(), table[1].clone()]
            }
            Op::Attention { .. } => self.attention(node),
            Op::MaxPool2d(_)
            | Op::AvgPool2d { .. }
            | Op::AdaptiveAvgPool2d { .. }
            | Op::Interpolate { .. }
            | Op::GlobalAvgPool => {
                let x = self.input(node, 0);
                for axis in &x[2..] {
                    self.labels.freeze(axis);
                }
                let space = node.shape.iter().skip(2).map(|&dim| fixed(dim));
                x[..2].iter().cloned().chain(space).collect()
            }
            Op::Activation(_)
            | Op::HardSigmoid { .. }
            | Op::Unary(_)
            | Op::Scalar(..)
            | Op::CompareScalar(..)
            | Op::Clamp { .. }
            | Op::Cast { .. } => self.input(node, 0),
            Op::PRelu => {
                let (x, slopes) = (self.input(node, 0), self.input(node, 1));
                if x.len() == slopes.len() {
                    return self.together(node, 2);
                }
                match (x.get(1), slopes.as_slice()) {
                    (Some(channels), [slopes]) if channels.len() == slopes.len() => {
                        self.labels.join_axes(channels, slopes);
                    }
                    (_, [slope]) if slope.len() == 1 => self.labels.freeze(slope),
                    _ => return self.leave_all(node, "its slopes are of another shape"),
                }
                x
            }
            Op::Softmax { axis } | Op::LogSoftmax { axis } | Op::CumSum { axis } => {
                let x = self.input(node, 0);
                self.leave(node, &x[*axis], "it runs along the channels");
                x
            }
            Op::ArgMax { axis } => {
                let mut x = self.input(node, 0);
                self.leave(node, &x[*axis], "it runs along the channels");
                x[*axis] = vec![FIXED];
                x
            }
            Op::Binary(_) | Op::Compare(_) | Op::MaskFill { .. } => self.together(node, 2),
            Op::MaskWhere => self.together(node, 3),
            Op::Reduce { reduction, axes } => {
                let mut x = self.input(node, 0);
                for &axis in axes {
                    // A sum over fewer channels is the sum without theirs; nothing else is.
                    if *reduction != Reduction::Sum {
                        self.leave(node, &x[axis], "it runs along the channels");
                    }
                    x[axis] = vec![FIXED];
                }
                x
            }
            Op::Reshape { .. } | Op::Flatten { .. } => {
                let x = self.input(node, 0);
                let from = self.shape(node, 0);
                let (axes, reason) = reshaped(&mut self.labels, &x, from, &node.shape);
                if let Some(reason) = reason {
                    let (node, op) = (node.name.clone(), node.op.name());
                    self.left_alone.push(LeftAlone { node, op, reason: reason.to_owned() });
                }
                axes
            }
            Op::Permute { axes } => {
                let x = self.input(node, 0);
                axes.iter().map(|&axis| x[axis].clone()).collect()
            }
            Op::Expand { shape } => self.expanded(node, shape),
            Op::Flip { axes } => {
                let mut x = self.input(node, 0);
                for &axis in axes {
                    x[axis].reverse();
                }
                x
            }
            Op::Slice { ranges } => self.sliced(node, ranges),
            Op::Cat { axis } => {
                let mut out = self.input(node, 0);
                for at in 1..node.inputs.len() {
                    for (place, other) in self.input(node, at).into_iter().enumerate() {
                        if place == *axis {
                            out[place].extend(other);
                        } else {
                            self.labels.join_axes(&out[place], &other);
                        }
                    }
                }
                out
            }
            Op::Pad { padding, .. } => {
                let mut x = self.input(node, 0);
                for (axis, &(before, after)) in x.iter_mut().zip(padding) {
                    axis.splice(0..0, std::iter::repeat_n(FIXED, before));
                    axis.extend(std::iter::repeat_n(FIXED, after));
                }
                x
            }
            Op::Repeat { axis, times } => {
                let mut x = self.input(node, 0);
                x[*axis] = x[*axis].repeat(*times);
                x
            }
            Op::Select { axis } => {
                let (mut x, indices) = (self.input(node, 0), self.input(node, 1));
                self.leave(node, &x[*axis], "its indices are places of this axis");
                self.labels.freeze(&indices[0]);
                x[*axis] = fixed(node.shape[*axis]);
                x
            }
            Op::Gather { .. } => self.leave_all(node, "its indices are places of this axis"),
            // Operations that the analysis does not know.
            _ => self.leave_all(node, "the operation is not known to the analysis"),
        }
    }

    /// A convolution's output has the channels of its weight, and takes those of its input.
    fn convolution(&mut self, node: &Node, groups: usize, is_transposed: bool) -> Vec<Axis> {
        let (x, weight) = (self.input(node, 0), self.input(node, 1));
        for axis in x[2..].iter().chain(&weight[2..]) {
            self.labels.freeze(axis);
        }
        let (of_input, of_output) = if is_transposed { (0, 1) } else { (1, 0) };
        let channels = if groups == 1 {
            self.labels.join_axes(&x[1], &weight[of_input]);
            self.contract(node.inputs[1], of_input);
            weight[of_output].clone()
        } else {
            self.grouped(&x[1], &weight[..2], groups, is_transposed)
        };
        self.bias(node, &channels);
        let space = node.shape[2..].iter().map(|&dim| fixed(dim));
        [x[0].clone(), channels].into_iter().chain(space).collect()
    }

    /// A group of channels that others do not see goes as a whole; a depthwise convolution's
    /// groups are single channels.
    fn grouped(
        &mut self,
        x: &[Label],
        weight: &[Axis],
        groups: usize,
        is_transposed: bool,
    ) -> Axis {
        let inputs = x.len() / groups;
        // The axis of the weight that runs over all groups, and the one within a group.
        let (whole, within) = (&weight[0], &weight[1]);
        self.labels.freeze(within);
        let of_group = whole.len() / groups;
        let outputs = if is_transposed { within.len() } else { of_group };
        let mut channels = Vec::with_capacity(groups * outputs);
        for group in 0..groups {
            let members: Axis = x[group * inputs..(group + 1) * inputs]
                .iter()
                .chain(&whole[group * of_group..(group + 1) * of_group])
                .copied()
                .collect();
            self.labels.join_all(&members);
            if is_transposed {
                channels.extend(std::iter::repeat_n(members[0], outputs));
            } else {
                channels.extend_from_slice(&whole[group * of_group..(group + 1) * of_group]);
            }
        }
        channels
    }

    fn bias(&mut self, node: &Node, channels: &[Label]) {
        if node.inputs.len() > 2 {
            let bias = self.input(node, 2);
            self.labels.join_axes(channels, &bias[0]);
        }
    }

    /// Heads are channels. What the scores run over stays.
    fn attention(&mut self, node: &Node) -> Vec<Axis> {
        let [q, k, v] = [0, 1, 2].map(|at| self.input(node, at));
        for axis in [&q[2], &k[2], &v[2]] {
            self.labels.freeze(axis);
        }
        // The scale of the scores follows the number of these.
        self.leave(node, &q[3], "the scores are scaled by the number of features");
        self.leave(node, &k[3], "the scores are scaled by the number of features");
        let shapes: [&[Dim]; 3] = [0, 1, 2].map(|at| &self.shape(node, at)[..2]);
        let mut out = self.broadcast((&q[..2], shapes[0]), (&k[..2], shapes[1]));
        out = self.broadcast((&out, &node.shape[..2]), (&v[..2], shapes[2]));
        for at in 3..node.inputs.len() {
            let scores = self.input(node, at);
            let shape = self.shape(node, at);
            let last = scores.len().saturating_sub(2);
            for axis in &scores[last..] {
                self.labels.freeze(axis);
            }
            out = self.broadcast((&out, &node.shape[..2]), (&scores[..last], &shape[..last]));
        }
        out.extend([q[2].clone(), v[3].clone()]);
        out
    }

    /// Several tensors element by element.
    fn together(&mut self, node: &Node, count: usize) -> Vec<Axis> {
        let mut out = self.input(node, 0);
        let mut shape = self.shape(node, 0).to_vec();
        for at in 1..count {
            let other = self.input(node, at);
            let of_other = self.shape(node, at);
            out = self.broadcast((&out, &shape), (&other, of_other));
            shape = broadcast_shape(&shape, of_other);
        }
        out
    }

    /// Axes are matched from the last; one of length 1 takes the channels of the other.
    fn broadcast(&mut self, a: (&[Axis], &[Dim]), b: (&[Axis], &[Dim])) -> Vec<Axis> {
        let rank = a.0.len().max(b.0.len());
        (0..rank)
            .map(|at| {
                let of = |(axes, shape): (&[Axis], &[Dim])| {
                    let at = (at + axes.len()).checked_sub(rank)?;
                    Some((axes[at].clone(), shape[at]))
                };
                match (of(a), of(b)) {
                    (Some((a, of_a)), Some((b, of_b))) if of_a == of_b => {
                        self.labels.join_axes(&a, &b);
                        a
                    }
                    (Some((one, Dim::Fixed(1))), Some((other, _)))
                    | (Some((other, _)), Some((one, _))) => {
                        self.labels.freeze(&one);
                        other
                    }
                    (Some((only, _)), None) | (None, Some((only, _))) => only,
                    (None, None) => Axis::new(),
                }
            })
            .collect()
    }

    fn expanded(&mut self, node: &Node, shape: &[Dim]) -> Vec<Axis> {
        let (x, from) = (self.input(node, 0), self.shape(node, 0));
        let leading = shape.len() - x.len();
        (0..shape.len())
            .map(|at| match at.checked_sub(leading) {
                Some(source) if from[source] == shape[at] => x[source].clone(),
                source => {
                    if let Some(source) = source {
                        self.labels.freeze(&x[source]);
                    }
                    self.labels.fresh_axis(shape[at])
                }
            })
            .collect()
    }

    fn sliced(&mut self, node: &Node, ranges: &[Range]) -> Vec<Axis> {
        let x = self.input(node, 0);
        x.into_iter()
            .zip(ranges)
            .map(|(axis, range)| {
                if range.step != 1 {
                    self.leave(node, &axis, "it takes some places of the axis only");
                }
                let end = range.end.unwrap_or(axis.len());
                axis[range.start..end].iter().step_by(range.step).copied().collect()
            })
            .collect()
    }
}

fn broadcast_shape(a: &[Dim], b: &[Dim]) -> Vec<Dim> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(Dim::Fixed(1), |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (Dim::Fixed(1), other) => other,
            (this, _) => this,
        })
        .collect()
}

/// An operation with its attributes for what is kept of its inputs' and its own axes.
pub(super) fn op_for(
    op: &Op,
    input: Option<(&[Dim], &[Vec<usize>])>,
    kept: &[Vec<usize>],
) -> Option<Op> {
    let shorter = |shape: &[Dim]| -> Vec<Dim> {
        shape
            .iter()
            .zip(kept)
            .map(|(dim, kept)| match dim {
                Dim::Fixed(_) => Dim::Fixed(kept.len()),
                Dim::Batch(_) => Dim::Batch(kept.len()),
            })
            .collect()
    };
    let changed = match (op, input) {
        (Op::Full { value, shape, kind }, _) => {
            Op::Full { value: *value, shape: shorter(shape), kind: *kind }
        }
        (Op::Reshape { shape }, _) => Op::Reshape { shape: shorter(shape) },
        (Op::Expand { shape }, _) => Op::Expand { shape: shorter(shape) },
        (Op::Slice { ranges }, Some((_, x))) => {
            let ranges = ranges.iter().zip(x).zip(kept).map(|((range, x), kept)| {
                if range.step != 1 {
                    return *range;
                }
                let start = x.iter().filter(|&&place| place < range.start).count();
                Range { start, end: range.end.map(|_| start + kept.len()), step: 1 }
            });
            Op::Slice { ranges: ranges.collect() }
        }
        (Op::Conv1d { .. } | Op::Conv2d { .. } | Op::ConvTranspose2d { .. }, Some((shape, x))) => {
            let (before, after) = (length(shape[1]), x[1].len());
            let mut op = op.clone();
            if let Op::Conv1d { groups, .. }
            | Op::Conv2d { groups, .. }
            | Op::ConvTranspose2d { groups, .. } = &mut op
                && *groups > 1
            {
                *groups = *groups * after / before;
            }
            op
        }
        _ => return None,
    };
    (changed != *op).then_some(changed)
}

/// Whether a node's tensor is trained or given with the graph, in real numbers.
pub(super) fn is_parameter(node: &Node) -> bool {
    node.op == Op::Parameter && node.kind == ElementKind::Float
}
