//! A graph in a file: its weights as SafeTensors, its nodes in the manifest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::structure::Weight;
use super::{Graph, Node, NodeId, Op, Role};
use crate::error::{Error, Result};
use crate::weights::{Manifest, State, TensorEntry};

const CRATE: &str = env!("CARGO_PKG_NAME");
const MODEL: &str = "graph";

/// What the manifest holds.
#[derive(Serialize, Deserialize)]
struct File {
    nodes: Vec<(NodeId, Node)>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    weights: BTreeMap<NodeId, Kept>,
}

/// What a weight is besides its values, which are kept under the node's name.
#[derive(Serialize, Deserialize)]
struct Kept {
    role: Role,
    id: u64,
    containers: Vec<String>,
}

impl Graph {
    /// Saves the graph to one SafeTensors file, whole or not at all: the weights under their
    /// names, in Burn's layouts, and the nodes as JSON in the header.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be written; what was there before is untouched.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut state = State::default();
        let mut weights = BTreeMap::new();
        for (&id, weight) in &self.weights {
            let entry = TensorEntry { data: stored(&weight.data), param_id: None };
            state.tensors.insert(self.node(id).name.clone(), entry);
            let containers = weight.containers.clone();
            weights.insert(id, Kept { role: weight.role, id: weight.id, containers });
        }
        let file = File {
            nodes: self.nodes().map(|(id, node)| (id, node.clone())).collect(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            weights,
        };
        state.save(path, &Manifest::new(CRATE, MODEL, &file)?)
    }

    /// Reads what [`save`](Self::save) wrote. All shapes are inferred and checked again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Format`] for a truncated or foreign file; [`Error::Mismatch`] for
    /// the weights of something else, or of a later version; [`Error::Graph`] for nodes that do
    /// not fit together.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let manifest = Manifest::read(path)?;
        let differences = manifest.differences_of_kind(CRATE, MODEL);
        if !differences.is_empty() {
            return Err(Error::Mismatch { path: path.to_path_buf(), differences });
        }
        let file = manifest.config::<File>(path)?;
        let bad = |reason: String| Error::format(path, "graph", reason);
        let (mut state, _) = State::open(path)?;
        let mut graph = Self { inputs: file.inputs, outputs: file.outputs, ..Self::default() };
        for (id, node) in file.nodes {
            let Some(next) = id.0.checked_add(1) else {
                return Err(bad(format!("a node is {id}")));
            };
            graph.next = graph.next.max(next);
            graph.order.push(id);
            if graph.nodes.insert(id, node).is_some() {
                return Err(bad(format!("two nodes are {id}")));
            }
        }
        for (id, kept) in file.weights {
            let Some(node) = graph.nodes.get(&id) else {
                return Err(bad(format!("values for {id}, which is no node")));
            };
            let Some(entry) = state.tensors.remove(&node.name) else {
                return Err(bad(format!("no values for `{}`", node.name)));
            };
            let data = match node.kind {
                super::Kind::Bool => boolean(&entry.data),
                _ => entry.data,
            };
            let Kept { role, id: of_parameter, containers } = kept;
            let weight = Weight { data, role, id: of_parameter, containers };
            graph.weights.insert(id, Arc::new(weight));
        }
        for &id in graph.inputs.iter().chain(&graph.outputs) {
            if graph.get(id).is_none() {
                return Err(bad(format!("the input or output {id} is no node")));
            }
        }
        if let Some(&id) = graph.inputs.iter().find(|id| graph.node(**id).op != Op::Input) {
            return Err(bad(format!("the input {id} is computed")));
        }
        graph.settle()?;
        Ok(graph)
    }
}

/// SafeTensors has no type for what is true or false on every device: bytes of 0 and 1.
fn stored(data: &burn::tensor::TensorData) -> burn::tensor::TensorData {
    if data.dtype().is_bool() { data.clone().convert::<u8>() } else { data.clone() }
}

fn boolean(data: &burn::tensor::TensorData) -> burn::tensor::TensorData {
    let values: Vec<bool> = data.iter::<u8>().map(|value| value != 0).collect();
    burn::tensor::TensorData::new(values, data.shape().to_vec())
}
