use std::collections::BTreeSet;
use std::fmt;

use model_utils::graph::{Graph, Op};

use super::plan::{self, Part};
use super::weights::bits;

/// What of a graph is quantized, and what is not. Prints itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// The weights that are quantized, with the bits that their integers need.
    pub weights: Vec<(String, u32)>,
    /// How many other tensors are.
    pub tensors: usize,
    /// Layers whose weight is not.
    pub float_layers: Vec<String>,
    /// Nodes whose operation is not known to compute with integers, with the operation.
    pub float_operations: Vec<(String, &'static str)>,
}

impl Coverage {
    /// Of a graph that was quantized.
    pub fn new(graph: &Graph) -> Self {
        let mut found = Self {
            weights: Vec::new(),
            tensors: 0,
            float_layers: Vec::new(),
            float_operations: Vec::new(),
        };
        for point in plan::weights(graph, &[]) {
            let node = graph.node(point.weight);
            if let Some(quantization) = &node.quantization {
                found.weights.push((node.name.clone(), bits(quantization)));
            } else {
                let names = point.layers.iter().map(|&layer| graph.node(layer).name.clone());
                found.float_layers.extend(names);
            }
        }
        let depends_on_input = plan::depends_on_input(graph);
        for (_, node) in graph.nodes().filter(|(id, _)| depends_on_input.contains(id)) {
            if matches!(node.op, Op::FakeQuantize(_)) {
                found.tensors += 1;
            } else if !node.op.is_leaf() && plan::part(&node.op) == Part::Float {
                found.float_operations.push((node.name.clone(), node.op.name()));
            }
        }
        found
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits: BTreeSet<u32> = self.weights.iter().map(|(_, bits)| *bits).collect();
        let bits: Vec<String> = bits.iter().map(ToString::to_string).collect();
        let weights = match bits.as_slice() {
            [] => String::new(),
            bits => format!(" of {} bits", bits.join(" or ")),
        };
        let (count, tensors) = (self.weights.len(), self.tensors);
        write!(f, "{count} weights{weights} and {tensors} other tensors in integers")?;
        for layer in &self.float_layers {
            write!(f, "\n`{layer}`: its weight is in floating point")?;
        }
        for (name, op) in &self.float_operations {
            write!(f, "\n`{name}`: {op} computes in floating point")?;
        }
        Ok(())
    }
}
