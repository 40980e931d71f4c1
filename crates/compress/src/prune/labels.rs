//! Which places along which axes stand for the same channel.

use std::collections::BTreeMap;

use model_utils::graph::{Dim, Graph, NodeId};

/// A channel, as a number. Channels that were found to be the same have the same
/// [root](Labels::root).
pub(super) type Label = usize;

/// What cannot be removed.
pub(super) const FIXED: Label = 0;

/// A label for each place of an axis.
pub(super) type Axis = Vec<Label>;

/// A forest of disjoint sets of labels, and the labels along every axis of every node.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    /// A root is its own parent; the root of what is fixed is 0.
    parents: Vec<Label>,
    axes: BTreeMap<NodeId, Vec<Axis>>,
}

impl Labels {
    pub(super) fn new() -> Self {
        Self { parents: vec![FIXED], axes: BTreeMap::new() }
    }

    /// Labels that are the same as no other.
    pub(super) fn fresh(&mut self, length: usize) -> Axis {
        let first = self.parents.len();
        self.parents.extend(first..first + length);
        (first..first + length).collect()
    }

    /// Fresh labels, or fixed ones for an axis that follows the batch.
    pub(super) fn fresh_axis(&mut self, dim: Dim) -> Axis {
        match dim {
            Dim::Fixed(length) => self.fresh(length),
            Dim::Batch(_) => fixed(dim),
        }
    }

    pub(super) fn root(&self, mut label: Label) -> Label {
        while self.parents[label] != label {
            label = self.parents[label];
        }
        label
    }

    /// The root, with the way to it made short.
    fn find(&mut self, label: Label) -> Label {
        let root = self.root(label);
        let mut at = label;
        while self.parents[at] != root {
            at = std::mem::replace(&mut self.parents[at], root);
        }
        root
    }

    /// Makes two labels the same. What is fixed fixes the other.
    pub(super) fn join(&mut self, a: Label, b: Label) {
        let (a, b) = (self.find(a), self.find(b));
        // The smaller is the root, so that 0 stays one.
        let (low, high) = (a.min(b), a.max(b));
        self.parents[high] = low;
    }

    /// Joins two axes of the same length, place by place.
    pub(super) fn join_axes(&mut self, a: &[Label], b: &[Label]) {
        for (&a, &b) in a.iter().zip(b) {
            self.join(a, b);
        }
    }

    /// Joins all labels with each other.
    pub(super) fn join_all(&mut self, labels: &[Label]) {
        for pair in labels.windows(2) {
            self.join(pair[0], pair[1]);
        }
    }

    pub(super) fn freeze(&mut self, labels: &[Label]) {
        for &label in labels {
            self.join(label, FIXED);
        }
    }

    pub(super) fn is_fixed(&self, labels: &[Label]) -> bool {
        labels.iter().all(|&label| self.root(label) == FIXED)
    }

    pub(super) fn set(&mut self, id: NodeId, axes: Vec<Axis>) {
        self.axes.insert(id, axes);
    }

    /// The labels along the axes of a node.
    pub(super) fn of(&self, id: NodeId) -> &[Axis] {
        self.axes.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The places that stay along each axis of a node.
    pub(super) fn kept(&self, id: NodeId, is_removed: &[bool]) -> Vec<Vec<usize>> {
        let stays = |label: Label| !is_removed[self.root(label)];
        let axis = |axis: &Axis| (0..axis.len()).filter(|&place| stays(axis[place])).collect();
        self.of(id).iter().map(axis).collect()
    }

    /// The lengths of a node's axes at a batch of one.
    pub(super) fn lengths(&self, id: NodeId, is_removed: &[bool]) -> Vec<usize> {
        let stays = |label: &&Label| !is_removed[self.root(**label)];
        self.of(id).iter().map(|axis| axis.iter().filter(stays).count()).collect()
    }

    /// How many labels there are.
    pub(super) fn count(&self) -> usize {
        self.parents.len()
    }

    /// Multiply–adds at a batch of one when channels are removed, counted as
    /// [`Graph::summary`] does.
    pub(super) fn multiply_adds(&self, graph: &Graph, is_removed: &[bool]) -> u64 {
        use model_utils::graph::Op;
        let product = |lengths: &[usize]| lengths.iter().map(|&n| n as u64).product::<u64>();
        graph
            .nodes()
            .map(|(id, node)| {
                let of = |at: usize| self.lengths(node.inputs[at], is_removed);
                let out = || product(&self.lengths(id, is_removed));
                match node.op {
                    Op::Conv1d { .. } | Op::Conv2d { .. } => out() * product(&of(1)[1..]),
                    Op::ConvTranspose2d { .. } => product(&of(0)) * product(&of(1)[1..]),
                    Op::Linear => out() * of(1)[0] as u64,
                    Op::MatMul => out() * of(0).last().map_or(0, |&inner| inner as u64),
                    Op::Attention { .. } => {
                        let (q, v) = (of(0), of(2));
                        (q[0] * q[1] * q[2] * v[2]) as u64 * (q[3] + v[3]) as u64
                    }
                    _ => 0,
                }
            })
            .sum()
    }
}

/// Places that cannot be removed.
pub(super) fn fixed(dim: Dim) -> Axis {
    vec![FIXED; length(dim)]
}

/// The length at a batch of one.
pub(super) fn length(dim: Dim) -> usize {
    dim.at(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_joins_something_fixed_is_fixed() {
        let mut labels = Labels::new();
        let (a, b) = (labels.fresh(3), labels.fresh(3));
        labels.join_axes(&a, &b);
        assert_eq!(labels.root(a[1]), labels.root(b[1]));
        assert_ne!(labels.root(a[0]), labels.root(b[1]));
        labels.freeze(&b[2..]);
        assert!(labels.is_fixed(&a[2..]) && !labels.is_fixed(&a[..2]));
        labels.join_all(&a);
        assert!(labels.is_fixed(&b));
    }
}
