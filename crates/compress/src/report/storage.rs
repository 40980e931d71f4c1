use std::collections::BTreeSet;

use model_utils::graph::{Graph, NodeId, Op, Quantization, Role};

/// Bytes that the parameters of a graph take, as they are meant to be stored: one with a
/// [`Quantization`] in the bits that its integers need, with 4 bytes a scale and, where one is not 0,
/// the bits of an integer for each zero point; all others in their own type.
///
/// A quantization is that of the parameter, or of what is computed from this parameter alone in its
/// shape, as fake quantization is. Constants are part of the program and are not counted.
pub fn storage_bytes(graph: &Graph) -> u64 {
    let fixed = fixed_values(graph);
    let bits: u64 = graph
        .parameters()
        .filter(|(id, _)| graph.node(*id).op == Op::Parameter)
        .map(|(id, weight)| {
            let elements = weight.data.num_elements() as u64;
            match quantization(graph, id, &fixed) {
                Some(quantization) => elements * bits(quantization) + overhead_bits(quantization),
                None => 8 * weight.data.as_bytes().len() as u64,
            }
        })
        .sum();
    bits.div_ceil(8)
}

/// The nodes that depend on parameters and constants alone.
fn fixed_values(graph: &Graph) -> BTreeSet<NodeId> {
    let mut fixed = BTreeSet::new();
    for (id, node) in graph.nodes() {
        let is_fixed = match node.op {
            Op::Input => false,
            Op::Parameter | Op::Constant | Op::Full { .. } => true,
            _ => !node.inputs.is_empty() && node.inputs.iter().all(|input| fixed.contains(input)),
        };
        if is_fixed {
            fixed.insert(id);
        }
    }
    fixed
}

/// The quantization of a parameter, or of what is computed from it.
fn quantization<'a>(
    graph: &'a Graph,
    id: NodeId,
    fixed: &BTreeSet<NodeId>,
) -> Option<&'a Quantization> {
    let mut open = vec![id];
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        let node = graph.node(at);
        if node.quantization.is_some() {
            return node.quantization.as_ref();
        }
        let same =
            |user: &NodeId| fixed.contains(user) && graph.node(*user).shape == graph.node(id).shape;
        open.extend(graph.users(at).into_iter().filter(same).filter(|user| seen.insert(*user)));
    }
    None
}

/// Bits that tell the integers from the least to the largest apart.
fn bits(quantization: &Quantization) -> u64 {
    let levels = quantization.largest.abs_diff(quantization.least).saturating_add(1);
    u64::from(levels.max(2).next_power_of_two().trailing_zeros())
}

fn overhead_bits(quantization: &Quantization) -> u64 {
    let scales = 32 * quantization.scale.len() as u64;
    let zero_points = quantization.zero_point.iter().any(|zero| *zero != 0);
    let points = if zero_points { quantization.zero_point.len() as u64 } else { 0 };
    scales + points * bits(quantization)
}

/// Elements of parameters, and how many are 0.
pub(super) struct Elements {
    pub(super) parameters: usize,
    pub(super) zeros: usize,
}

impl Elements {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut elements = Self { parameters: 0, zeros: 0 };
        for (id, weight) in graph.parameters() {
            if weight.role == Role::Running || graph.node(id).op != Op::Parameter {
                continue;
            }
            elements.parameters += weight.data.num_elements();
            elements.zeros += weight.data.iter::<f32>().filter(|value| *value == 0.0).count();
        }
        elements
    }
}
