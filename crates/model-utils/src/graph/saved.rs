//! A graph in a file: its weights as SafeTensors, its nodes in the manifest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};

use super::pack::{Packing, pack};
use super::structure::Weight;
use super::{ElementKind, Graph, Node, NodeId, Op, Role};
use crate::error::{Error, Result};
use crate::weights::{Manifest, State, TensorEntry};

const CRATE: &str = env!("CARGO_PKG_NAME");
const MODEL: &str = "graph";

/// What the manifest holds.
#[derive(Serialize, Deserialize)]
struct SavedGraph {
    nodes: Vec<(NodeId, Node)>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    weights: BTreeMap<NodeId, SavedWeight>,
}

/// What a weight is besides its values, which are kept under the node's name.
#[derive(Serialize, Deserialize)]
struct SavedWeight {
    role: Role,
    id: u64,
    containers: Vec<String>,
    /// How its integers are packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packing: Option<Packing>,
}

impl SavedGraph {
    /// With nodes numbered from 0 in their order, and parameters that are new.
    fn in_order(self) -> Self {
        let places: BTreeMap<NodeId, NodeId> =
            self.nodes.iter().zip(0..).map(|((id, _), place)| (*id, NodeId(place))).collect();
        let placed = |ids: Vec<NodeId>| ids.iter().map(|id| places[id]).collect();
        let nodes = self.nodes.into_iter().map(|(id, node)| {
            let inputs = placed(node.inputs);
            (places[&id], Node { inputs, ..node })
        });
        let weights = self.weights.into_iter();
        Self {
            nodes: nodes.collect(),
            inputs: placed(self.inputs),
            outputs: placed(self.outputs),
            weights: weights
                .map(|(id, kept)| (places[&id], SavedWeight { id: 0, ..kept }))
                .collect(),
        }
    }
}

impl Graph {
    /// Saves the graph to one SafeTensors file, whole or not at all: the weights under their
    /// names, in Burn's layouts, and the nodes as JSON in the header. Quantized integers of fewer
    /// than eight bits, or of few distinct values, are packed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be written; what was there before is untouched.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut state = State::default();
        let mut file = self.saved();
        for (id, weight) in &self.weights {
            let node = self.node(*id);
            let packed = match &node.quantization {
                Some(quantization)
                    if ElementKind::from(weight.data.dtype()) == ElementKind::Int =>
                {
                    pack(&weight.data, quantization)
                }
                _ => None,
            };
            let data = match packed {
                Some((data, packing)) => {
                    file.weights.entry(*id).and_modify(|kept| kept.packing = Some(packing));
                    data
                }
                None => stored(&weight.data),
            };
            state.tensors.insert(node.name.clone(), TensorEntry { data, param_id: None });
        }
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
        let mut file = manifest.config::<SavedGraph>(path)?;
        let (mut state, _) = State::open(path)?;
        for (id, node) in &file.nodes {
            let packing = file.weights.get_mut(id).and_then(|kept| kept.packing.take());
            if let Some(packing) = packing
                && let Some(entry) = state.tensors.get_mut(&node.name)
            {
                let wrong = |reason| format!("`{}`: {reason}", node.name);
                let data = packing.unpack(&entry.data).map_err(wrong);
                entry.data = data.map_err(|reason| Error::format(path, "graph", reason))?;
            }
        }
        Self::assemble(path, file, |_, node| {
            let entry = state.tensors.remove(&node.name)?;
            Some(match node.kind {
                ElementKind::Bool => boolean(&entry.data),
                _ => entry.data,
            })
        })
    }

    /// The nodes without the values of parameters and constants, as JSON: for formats that code
    /// the values in their own way. [`from_structure`](Self::from_structure) reads it. Equal graphs
    /// have equal text: nodes are numbered in their order, and the identities of parameters, which
    /// tie optimiser state to them, are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what has no place in JSON, which no graph holds.
    pub fn structure(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.saved().in_order()).map_err(|error| Error::Unsupported {
            what: "a graph as JSON".into(),
            reason: error.to_string(),
        })
    }

    /// A graph from what [`structure`](Self::structure) gave and the values of its parameters and
    /// constants, in the order of [`nodes`](Self::nodes). All shapes are inferred and checked again.
    /// `path` is the file that errors name.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for other text and another number of values; [`Error::Graph`] for nodes that do
    /// not fit together.
    pub fn from_structure(
        path: impl AsRef<Path>,
        json: &[u8],
        values: Vec<TensorData>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let file: SavedGraph = serde_json::from_slice(json)
            .map_err(|error| Error::format(path, "graph", error.to_string()))?;
        let of_weights: Vec<NodeId> = file
            .nodes
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| file.weights.contains_key(id))
            .collect();
        let (expected, found) = (file.weights.len(), values.len());
        if of_weights.len() != expected || expected != found {
            let reason = format!("values of {found} weights, expected {expected}");
            return Err(Error::format(path, "graph", reason));
        }
        let mut values: BTreeMap<NodeId, TensorData> = of_weights.into_iter().zip(values).collect();
        Self::assemble(path, file, |id, _| values.remove(&id))
    }

    fn saved(&self) -> SavedGraph {
        let kept = |(&id, weight): (&NodeId, &Arc<Weight>)| {
            let containers = weight.containers.clone();
            (id, SavedWeight { role: weight.role, id: weight.id, containers, packing: None })
        };
        SavedGraph {
            nodes: self.nodes().map(|(id, node)| (id, node.clone())).collect(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            weights: self.weights.iter().map(kept).collect(),
        }
    }

    /// A graph of nodes and values, checked.
    fn assemble(
        path: &Path,
        file: SavedGraph,
        mut values: impl FnMut(NodeId, &Node) -> Option<TensorData>,
    ) -> Result<Self> {
        let bad = |reason: String| Error::format(path, "graph", reason);
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
            let Some(data) = values(id, node) else {
                return Err(bad(format!("no values for `{}`", node.name)));
            };
            let SavedWeight { role, id: of_parameter, containers, .. } = kept;
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
fn stored(data: &TensorData) -> TensorData {
    if data.dtype().is_bool() { data.clone().convert::<u8>() } else { data.clone() }
}

fn boolean(data: &TensorData) -> TensorData {
    let values: Vec<bool> = data.iter::<u8>().map(|value| value != 0).collect();
    TensorData::new(values, data.shape().to_vec())
}
