//! Single weights at 0, and what keeps them there.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use model_utils::graph::{Binary, Edit, Graph, NodeId, Op, Role};

use super::rules::is_parameter;
use crate::error::{Error, Result};

/// What the name of a mask ends in.
const MASK: &str = "mask";

/// Which elements of weights stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Masks {
    /// For each weight, element by element, whether it stays.
    pub(super) kept: BTreeMap<NodeId, Vec<bool>>,
}

impl Masks {
    /// The elements of a weight that stay; `None` for one that has no mask.
    pub fn get(&self, weight: NodeId) -> Option<&[bool]> {
        self.kept.get(&weight).map(Vec::as_slice)
    }

    /// The weights with a mask, and which of their elements stay.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &[bool])> {
        self.kept.iter().map(|(&id, kept)| (id, kept.as_slice()))
    }

    /// The share of elements that go, of all weights with a mask.
    pub fn sparsity(&self) -> f64 {
        let all: usize = self.kept.values().map(Vec::len).sum();
        let kept: usize = self.kept.values().flatten().filter(|kept| **kept).count();
        if all == 0 { 0.0 } else { 1.0 - kept as f64 / all as f64 }
    }

    /// The graph with weights at 0 and every masked weight multiplied by its mask, a constant, so
    /// that training leaves 0 at 0. A weight that has a mask already gets the new one.
    ///
    /// The optimiser's state of a weight goes on to fit it.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] for a weight that the graph has not, or of another size.
    pub fn attach(&self, graph: &Graph) -> Result<Graph> {
        let mut masked = graph.clone();
        for (&id, kept) in &self.kept {
            let size = graph.weight(id).map(|weight| weight.data.num_elements());
            if size != Some(kept.len()) {
                let name = graph.get(id).map_or_else(|| id.to_string(), |node| node.name.clone());
                let found = size.map_or("no weight".to_owned(), |size| format!("{size} elements"));
                return Err(Error::node(name, format!("{found}, expected {}", kept.len())));
            }
        }
        masked.rewrite(|edit| {
            for (&id, kept) in &self.kept {
                let Some(weight) = graph.weight(id) else { continue };
                let shape = weight.data.shape().to_vec();
                let zeroed: Vec<f32> = weight
                    .data
                    .iter::<f32>()
                    .zip(kept)
                    .map(|(value, &kept)| if kept { value } else { 0.0 })
                    .collect();
                edit.set_data(id, TensorData::new(zeroed, shape.clone()));
                let mask: Vec<f32> = kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
                let mask = TensorData::new(mask, shape);
                match product(edit, id) {
                    Some((_, old)) => edit.set_data(old, mask),
                    None => multiply(edit, id, MASK, mask, Role::Constant),
                }
            }
            Ok(())
        })?;
        Ok(masked)
    }

    /// The masks that [`attach`](Self::attach) put into a graph.
    pub fn from_graph(graph: &Graph) -> Self {
        let of_weight = |(id, _)| {
            let (_, mask) = product(graph, id)?;
            let kept = graph.weight(mask)?.data.iter::<f32>().map(|value| value != 0.0).collect();
            Some((id, kept))
        };
        Self { kept: graph.parameters().filter_map(of_weight).collect() }
    }

    /// The graph with its masks in its weights: as it was before [`attach`](Self::attach), but
    /// with zeros.
    ///
    /// # Errors
    ///
    /// None for a graph that is sound.
    pub fn detach(graph: &Graph) -> Result<Graph> {
        let masks = Self::from_graph(graph);
        let mut plain = masks.attach(graph)?;
        plain.rewrite(|edit| {
            for &id in masks.kept.keys() {
                if let Some((product, _)) = product(edit, id) {
                    edit.replace_uses(product, id);
                }
            }
            edit.remove_dead();
            Ok(())
        })?;
        Ok(plain)
    }
}

/// Puts a product behind a weight.
fn multiply(edit: &mut Edit, weight: NodeId, name: &str, by: TensorData, role: Role) {
    let of_weight = edit.node(weight).name.clone();
    let product =
        edit.insert_after(weight, &format!("{of_weight}.{name}ed"), Op::Binary(Binary::Mul));
    let by = edit.add_weight(&format!("{of_weight}.{name}"), by, role);
    edit.set_inputs(product, &[weight, by]);
}

/// The product of a weight with its mask, and the mask.
pub(super) fn product(graph: &Graph, weight: NodeId) -> Option<(NodeId, NodeId)> {
    let name = format!("{}.{MASK}", graph.node(weight).name);
    graph.users(weight).into_iter().find_map(|user| {
        let node = graph.node(user);
        let is_product = node.op == Op::Binary(Binary::Mul) && node.inputs[0] == weight;
        let mask = *node.inputs.get(1)?;
        (is_product && graph.node(mask).name == name).then_some((user, mask))
    })
}

/// The weights of convolutions and linear layers, through what stands before them (masks,
/// transpositions), in the order of the graph.
pub(crate) fn layer_weights(graph: &Graph) -> Vec<NodeId> {
    let mut weights = Vec::new();
    for (_, node) in graph.nodes() {
        let is_layer = matches!(
            node.op,
            Op::Conv1d { .. } | Op::Conv2d { .. } | Op::ConvTranspose2d { .. } | Op::Linear
        );
        if !is_layer {
            continue;
        }
        let mut id = node.inputs[1];
        while let (Op::Permute { .. } | Op::Binary(Binary::Mul), Some(&input)) =
            (&graph.node(id).op, graph.node(id).inputs.first())
        {
            id = input;
        }
        if is_parameter(graph.node(id)) && !weights.contains(&id) {
            weights.push(id);
        }
    }
    weights
}
