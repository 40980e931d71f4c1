//! What a graph costs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::dim::{lengths, shape_text};
use super::{ElementKind, Graph, NodeId, Op, Role};
use crate::config;
use crate::error::Result;
use crate::table::{self, Column};

/// A graph's cost, node by node. Printed as a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The batch size that shapes, multiply–adds and bytes are for.
    pub batch: usize,
    /// Every node that computes, in order.
    pub rows: Vec<SummaryRow>,
    /// Elements of all parameters that training moves.
    pub learnable_parameters: usize,
    /// Elements of all other parameters: frozen ones, running statistics.
    pub other_parameters: usize,
    /// Multiply–adds of convolutions, linear layers, matrix products and attention.
    pub multiply_adds: u64,
    /// Bytes of all parameters.
    pub parameter_bytes: u64,
    /// Bytes of the tensors that all nodes give together, as if each were kept.
    pub activation_bytes: u64,
    /// Bytes of the tensors alive at once, where each is dropped after its last use.
    pub peak_activation_bytes: u64,
}

/// A node's cost.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SummaryRow {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its operation with the attributes that matter: `conv2d 3×3, stride 2, 32 groups`.
    pub op: String,
    /// The shape of its tensor.
    pub shape: Vec<usize>,
    /// Elements of the parameters that no node before it took.
    pub parameters: usize,
    /// Multiply–adds; 0 for what has none to speak of.
    pub multiply_adds: u64,
    /// Bytes of its tensor.
    pub activation_bytes: u64,
}

impl Graph {
    /// What the graph costs at a batch size.
    ///
    /// A multiply–add is one product and one sum, counted for convolutions, linear layers, matrix
    /// products and attention, as the figures of torchvision are; sums of a bias, normalisations
    /// and activations are not. Tensors that share their storage with another (reshapes) count no
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a batch of 0.
    pub fn summary(&self, batch: usize) -> Result<Summary> {
        config::at_least("batch", batch, 1)?;
        let mut summary = Summary {
            batch,
            rows: Vec::new(),
            learnable_parameters: 0,
            other_parameters: 0,
            multiply_adds: 0,
            parameter_bytes: 0,
            activation_bytes: 0,
            peak_activation_bytes: self.peak_bytes(batch),
        };
        for (_, weight) in self.parameters() {
            let elements = weight.data.num_elements();
            match weight.role {
                Role::Learnable => summary.learnable_parameters += elements,
                _ => summary.other_parameters += elements,
            }
            summary.parameter_bytes += weight.data.as_bytes().len() as u64;
        }
        let mut counted = std::collections::BTreeSet::new();
        for (id, node) in self.nodes() {
            if matches!(node.op, Op::Parameter | Op::Constant) {
                continue;
            }
            let parameters = node
                .inputs
                .iter()
                .filter(|input| self.node(**input).op == Op::Parameter && counted.insert(**input))
                .filter_map(|input| self.weight(*input))
                .map(|weight| weight.data.num_elements())
                .sum();
            let row = SummaryRow {
                id,
                name: node.name.clone(),
                op: self.described(id),
                shape: lengths(&node.shape, batch),
                parameters,
                multiply_adds: self.multiply_adds(id, batch),
                activation_bytes: self.bytes(id, batch),
            };
            summary.multiply_adds += row.multiply_adds;
            summary.activation_bytes += row.activation_bytes;
            summary.rows.push(row);
        }
        Ok(summary)
    }

    /// Products of a node.
    fn multiply_adds(&self, id: NodeId, batch: usize) -> u64 {
        let node = self.node(id);
        let shape = |at: usize| lengths(&self.node(node.inputs[at]).shape, batch);
        let product = |shape: &[usize]| shape.iter().map(|&length| length as u64).product::<u64>();
        let out = product(&lengths(&node.shape, batch));
        match node.op {
            Op::Conv1d { .. } | Op::Conv2d { .. } => out * product(&shape(1)[1..]),
            // Each input element meets every tap of its rows of the weight.
            Op::ConvTranspose2d { .. } => product(&shape(0)) * product(&shape(1)[1..]),
            Op::Linear => out * shape(1)[0] as u64,
            Op::MatMul => out * shape(0).last().map_or(0, |&inner| inner as u64),
            Op::Attention { .. } => {
                let (q, v) = (shape(0), shape(2));
                let scores = (q[0] * q[1] * q[2] * v[2]) as u64;
                scores * (q[3] + v[3]) as u64
            }
            _ => 0,
        }
    }

    /// Bytes of a node's own tensor.
    fn bytes(&self, id: NodeId, batch: usize) -> u64 {
        let node = self.node(id);
        if shares_storage(&node.op) || matches!(node.op, Op::Parameter | Op::Constant) {
            return 0;
        }
        let size = match node.kind {
            ElementKind::Float => 4,
            ElementKind::Int => 8,
            ElementKind::Bool => 1,
        };
        lengths(&node.shape, batch).iter().map(|&length| length as u64).product::<u64>() * size
    }

    /// The most bytes alive at once; what shares its storage keeps it alive.
    fn peak_bytes(&self, batch: usize) -> u64 {
        let mut base: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        let mut last: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (at, (id, node)) in self.nodes().enumerate() {
            let own = match node.inputs.first() {
                Some(input) if shares_storage(&node.op) => base[input],
                _ => id,
            };
            base.insert(id, own);
            last.insert(own, at);
            for input in &node.inputs {
                last.insert(base[input], at);
            }
        }
        for output in &self.outputs {
            last.insert(base[output], self.order.len());
        }
        let (mut alive, mut peak) = (0, 0);
        for (at, &id) in self.order.iter().enumerate() {
            alive += self.bytes(id, batch);
            peak = peak.max(alive);
            let done = last.iter().filter(|(_, last)| **last == at);
            alive -= done.map(|(&id, _)| self.bytes(id, batch)).sum::<u64>();
        }
        peak
    }

    /// An operation with the attributes that matter.
    pub(super) fn described(&self, id: NodeId) -> String {
        let node = self.node(id);
        let mut parts = vec![node.op.name().to_owned()];
        let kernel = |at: usize| {
            let shape = &self.node(node.inputs[at]).shape;
            shape[2..].iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
        };
        let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}×{b}") };
        let mut note = |name: &str, value: String, usual: &str| {
            if value != usual {
                parts.push(format!("{name} {value}"));
            }
        };
        match &node.op {
            Op::Conv1d { stride, dilation, groups, .. } => {
                note("", kernel(1), "");
                note("stride", stride.to_string(), "1");
                note("dilation", dilation.to_string(), "1");
                note("groups", groups.to_string(), "1");
            }
            Op::Conv2d { stride, dilation, groups, .. }
            | Op::ConvTranspose2d { stride, dilation, groups, .. } => {
                note("", kernel(1), "");
                note("stride", pair(*stride), "1");
                note("dilation", pair(*dilation), "1");
                note("groups", groups.to_string(), "1");
            }
            Op::MaxPool2d(pool) | Op::AvgPool2d { pool, .. } => {
                note("", pair(pool.kernel), "");
                note("stride", pair(pool.stride), "1");
            }
            Op::FakeQuantize(how) => {
                note("to", format!("{}…{}", how.least, how.largest), "");
            }
            Op::Scalar(_, number) | Op::CompareScalar(_, number) => {
                note("", number.to_string(), "");
            }
            Op::Softmax { axis } | Op::LogSoftmax { axis } | Op::Cat { axis } => {
                note("axis", axis.to_string(), "");
            }
            _ => {}
        }
        let (name, rest) = parts.split_first().expect("it has a name");
        let rest: Vec<&str> = rest.iter().map(|part| part.trim()).collect();
        format!("{name} {}", rest.join(", ")).trim_end().to_owned()
    }
}

/// Whether an operation gives another view of its input's storage.
fn shares_storage(op: &Op) -> bool {
    matches!(op, Op::Reshape { .. } | Op::Flatten { .. } | Op::Permute { .. } | Op::Expand { .. })
}

impl Summary {
    /// The names of the columns of [`cells`](Self::cells).
    pub const HEADER: [&str; 6] =
        ["node", "operation", "output", "parameters", "multiply-adds", "bytes"];

    /// The table's rows as text.
    pub fn cells(&self) -> Vec<[String; 6]> {
        let count = |number: u64| if number == 0 { "–".to_owned() } else { number.to_string() };
        let row = |row: &SummaryRow| {
            [
                row.name.clone(),
                row.op.clone(),
                format!("{:?}", row.shape),
                count(row.parameters as u64),
                count(row.multiply_adds),
                count(row.activation_bytes),
            ]
        };
        self.rows.iter().map(row).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Column::{Left, Right};
        let columns = [Left, Left, Left, Right, Right, Right];
        f.write_str(&table::aligned(&Self::HEADER, &columns, &self.cells()))?;
        writeln!(f)?;
        let bytes = |bytes: u64| format!("{}B", table::scaled(bytes as f64));
        let rows = [
            ["learnable parameters".to_owned(), self.learnable_parameters.to_string()],
            ["other parameters".to_owned(), self.other_parameters.to_string()],
            [format!("multiply-adds, batch {}", self.batch), self.multiply_adds.to_string()],
            ["bytes of parameters".to_owned(), bytes(self.parameter_bytes)],
            ["bytes of activations".to_owned(), bytes(self.activation_bytes)],
            ["of them at once".to_owned(), bytes(self.peak_activation_bytes)],
        ];
        f.write_str(&table::aligned(&["", ""], &[Left, Right], &rows))
    }
}

impl Graph {
    /// The graph in the DOT language of Graphviz: `dot -Tsvg`.
    pub fn to_dot(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text = String::from("digraph {\n  node [shape=box, fontname=\"sans-serif\"];\n");
        for (id, node) in self.nodes() {
            if matches!(node.op, Op::Parameter | Op::Constant) {
                continue;
            }
            let style = if self.outputs.contains(&id) || node.op == Op::Input {
                ", style=rounded"
            } else {
                ""
            };
            let label = self.label(id).map(|line| quoted(&line)).join("\\n");
            let _ = writeln!(text, "  n{} [label=\"{label}\"{style}];", id.0);
            for input in &node.inputs {
                if !matches!(self.node(*input).op, Op::Parameter | Op::Constant) {
                    let _ = writeln!(text, "  n{} -> n{};", input.0, id.0);
                }
            }
        }
        text + "}\n"
    }

    /// What a node is called in a picture: operation, name, shape.
    pub(super) fn label(&self, id: NodeId) -> [String; 3] {
        let node = self.node(id);
        [self.described(id), node.name.clone(), shape_text(&node.shape)]
    }
}
