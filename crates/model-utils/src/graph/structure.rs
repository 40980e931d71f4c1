use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};

use super::dim::{elements, shape_text};
use super::shape::infer;
use super::{Dim, ElementKind, Op};
use crate::error::{Error, Result};

/// The most axes of a tensor.
const MOST_AXES: usize = 16;
/// The most elements of a tensor, at a batch of one.
const MOST_ELEMENTS: u128 = 1 << 44;

/// The identity of a node within its graph; it stays the same while the graph is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub(super) u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// One operation and the tensor that it gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Node {
    /// A name that no other node has. Of a parameter it is the path in the module
    /// (`blocks.0.conv.weight`), of a layer with parameters the layer's path, of anything else the
    /// operation and a number.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// The nodes whose tensors it takes, in the order that [`Op`] states.
    pub inputs: Vec<NodeId>,
    /// The shape of its tensor.
    pub shape: Vec<Dim>,
    /// What its tensor holds.
    pub kind: ElementKind,
    /// How its tensor is meant to be stored in few bits, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
}

impl Node {
    fn check_arity(&self) -> Result<(), String> {
        let (expected, found) = (self.op.arity(), self.inputs.len());
        if expected.contains(&found) {
            return Ok(());
        }
        let (least, most) = (expected.start(), expected.end());
        Err(format!("{found} inputs, expected {least} to {most}"))
    }

    /// What an error says of it.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Graph { node: format!("{} ({})", self.name, self.op.name()), reason: reason.into() }
    }
}

/// Integers that stand for real numbers: `real = scale · (integer − zero_point)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// Above 0: one, or one for each place of `axis`.
    pub scale: Vec<f32>,
    /// As many as there are scales.
    pub zero_point: Vec<i64>,
    /// The axis with a scale a place; `None` where one scale holds for the whole tensor.
    pub axis: Option<usize>,
    /// The least integer.
    pub least: i64,
    /// The largest integer.
    pub largest: i64,
}

impl Quantization {
    /// Whether it fits a tensor of a shape.
    fn check(&self, shape: &[Dim]) -> Result<(), String> {
        let scales = self.scale.len();
        let places = match self.axis {
            None => Some(1),
            Some(axis) => match shape.get(axis) {
                Some(dim) => dim.fixed(),
                None => {
                    return Err(format!("quantized along axis {axis} of {}", shape_text(shape)));
                }
            },
        };
        if Some(scales) != places || scales != self.zero_point.len() {
            return Err(format!(
                "{scales} scales and {} zero points for {}, quantized along {:?}",
                self.zero_point.len(),
                shape_text(shape),
                self.axis
            ));
        }
        match self.scale.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
            Some(scale) => Err(format!("a scale of {scale}, expected one above 0")),
            None => Ok(()),
        }
    }
}

/// The values of a parameter or constant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Weight {
    /// The values, on the host.
    pub data: TensorData,
    /// What training does to it.
    pub role: Role,
    /// The parameter's identity, which ties optimiser state to it; 0 for a new one.
    pub(super) id: u64,
    /// The types of the modules on its path, for each part of the name what it is a field of.
    pub(super) containers: Vec<String>,
}

/// What training does to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It gets gradients.
    Learnable,
    /// It stays.
    Frozen,
    /// Batch normalisation moves it.
    Running,
    /// It is part of the computation and no parameter.
    Constant,
}

/// A computation as a graph. See the [module](super).
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    /// The identities in an order in which every node comes after its inputs.
    pub(super) order: Vec<NodeId>,
    pub(super) inputs: Vec<NodeId>,
    pub(super) outputs: Vec<NodeId>,
    pub(super) weights: BTreeMap<NodeId, Arc<Weight>>,
    pub(super) next: u32,
}

impl Graph {
    /// The nodes, each after its inputs.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.order.iter().map(|&id| (id, &self.nodes[&id]))
    }

    /// The node with an identity.
    ///
    /// # Panics
    ///
    /// Where the identity is of another graph, or its node was removed; see
    /// [`get`](Self::get).
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    /// The node with an identity, if there is one.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The node with a name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find(|(_, node)| node.name == name).map(|(&id, _)| id)
    }

    /// The nodes that take tensors from the caller, in the order of the arguments.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The nodes whose tensors are given back, in order.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// The values of a parameter or constant.
    pub fn weight(&self, id: NodeId) -> Option<&Weight> {
        self.weights.get(&id).map(Arc::as_ref)
    }

    /// The parameters of the module, with their values.
    pub fn parameters(&self) -> impl Iterator<Item = (NodeId, &Weight)> {
        self.order.iter().filter_map(|&id| {
            let weight = self.weight(id)?;
            (weight.role != Role::Constant).then_some((id, weight))
        })
    }

    /// The nodes that take a node's tensor, in order, each once.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        self.nodes().filter(|(_, node)| node.inputs.contains(&id)).map(|(user, _)| user).collect()
    }

    /// Elements of all parameters that training moves.
    pub fn learnable_parameters(&self) -> usize {
        self.parameters()
            .filter(|(_, weight)| weight.role == Role::Learnable)
            .map(|(_, weight)| weight.data.num_elements())
            .sum()
    }

    /// Changes the graph. All is changed, or, on an error, nothing.
    ///
    /// When `edit` returns, nodes are ordered, every shape is inferred anew, and operands are
    /// checked: what does not fit is named. Node identities stay.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] names the node that does not fit and says why; errors of `edit`.
    pub fn rewrite<T>(&mut self, edit: impl FnOnce(&mut Edit) -> Result<T>) -> Result<T> {
        let mut draft = Edit { graph: self.clone() };
        let result = edit(&mut draft)?;
        draft.graph.settle()?;
        *self = draft.graph;
        Ok(result)
    }

    /// Orders the nodes, infers all shapes and checks what must hold.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.sort()?;
        let mut names = HashMap::new();
        for &id in &self.order {
            if let Some(other) = names.insert(self.nodes[&id].name.clone(), id) {
                return Err(self.nodes[&id].error(format!("node {other} has the same name")));
            }
            let node = &self.nodes[&id];
            node.check_arity().map_err(|reason| node.error(reason))?;
            let (shape, kind) = match &node.op {
                Op::Input => (node.shape.clone(), node.kind),
                Op::Parameter | Op::Constant => {
                    let Some(weight) = self.weights.get(&id) else {
                        return Err(node.error("it has no values"));
                    };
                    // Integers with a quantization stand for real numbers.
                    let kind = match node.quantization {
                        Some(_) => ElementKind::Float,
                        None => ElementKind::from(weight.data.dtype()),
                    };
                    (fixed(weight.data.shape()), kind)
                }
                _ => self.inferred(node).map_err(|reason| node.error(reason))?,
            };
            if shape.len() > MOST_AXES || elements(&shape).0 > MOST_ELEMENTS {
                return Err(node.error(format!("a tensor of {} is too large", shape_text(&shape))));
            }
            if let Some(quantization) = &node.quantization {
                quantization.check(&shape).map_err(|reason| node.error(reason))?;
            }
            if node.op == Op::Input && !self.inputs.contains(&id) {
                return Err(node.error("it is no input of the graph"));
            }
            let node = self.nodes.get_mut(&id).expect("ordered nodes exist");
            (node.shape, node.kind) = (shape, kind);
        }
        for id in self.inputs.iter().chain(&self.outputs) {
            if !self.nodes.contains_key(id) {
                let node = id.to_string();
                return Err(Error::Graph { node, reason: "an input or output is missing".into() });
            }
        }
        self.weights.retain(|id, _| self.nodes.contains_key(id));
        Ok(())
    }

    /// The shape and kind of what a node computes, from those of its inputs.
    pub(super) fn inferred(&self, node: &Node) -> Result<(Vec<Dim>, ElementKind), String> {
        node.check_arity()?;
        let of = |input: &NodeId| (self.nodes[input].shape.as_slice(), self.nodes[input].kind);
        infer(&node.op, &node.inputs.iter().map(of).collect::<Vec<_>>())
    }

    /// Every node after its inputs, otherwise in the order of the identities that came first.
    fn sort(&mut self) -> Result<()> {
        let known: BTreeSet<NodeId> = self.order.iter().copied().collect();
        let wanted: Vec<NodeId> = self
            .order
            .iter()
            .copied()
            .filter(|id| self.nodes.contains_key(id))
            .chain(self.nodes.keys().copied().filter(|id| !known.contains(id)))
            .collect();
        let mut order = Vec::with_capacity(wanted.len());
        let mut placed = BTreeSet::new();
        for start in wanted {
            // Depth first, with a stack of (node, inputs seen): graphs are deeper than the call
            // stack is safe for.
            let mut stack = vec![(start, 0)];
            let mut open = BTreeSet::from([start]);
            while let Some((id, seen)) = stack.pop() {
                if placed.contains(&id) {
                    continue;
                }
                let node = &self.nodes[&id];
                if let Some(&input) = node.inputs.get(seen) {
                    stack.push((id, seen + 1));
                    if !self.nodes.contains_key(&input) {
                        return Err(node.error(format!("its input {input} is not in the graph")));
                    }
                    if !placed.contains(&input) {
                        if !open.insert(input) {
                            return Err(node.error("it depends on itself"));
                        }
                        stack.push((input, 0));
                    }
                } else {
                    open.remove(&id);
                    placed.insert(id);
                    order.push(id);
                }
            }
        }
        self.order = order;
        Ok(())
    }

    /// A name that no node has yet: `base`, or `base_2`, `base_3`, …
    pub(super) fn free_name(&self, base: &str) -> String {
        let taken = |name: &str| self.nodes.values().any(|node| node.name == name);
        let numbered = (2..=self.nodes.len() + 1).map(|n| format!("{base}_{n}"));
        let mut names = std::iter::once(base.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).expect("more names than nodes")
    }
}

/// A graph that is being changed by [`Graph::rewrite`]. Reads go to the graph itself.
#[derive(Debug)]
pub struct Edit {
    graph: Graph,
}

impl std::ops::Deref for Edit {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        &self.graph
    }
}

impl Edit {
    /// Adds a node that nothing uses yet; its name gets a number where it is taken.
    pub fn add(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> NodeId {
        let id = NodeId(self.graph.next);
        self.graph.next += 1;
        let node = Node {
            name: self.graph.free_name(name),
            op,
            inputs: inputs.to_vec(),
            shape: Vec::new(),
            kind: ElementKind::Float,
            quantization: None,
        };
        self.graph.nodes.insert(id, node);
        id
    }

    /// Adds a parameter under a path, or a constant.
    pub fn add_weight(&mut self, name: &str, data: TensorData, role: Role) -> NodeId {
        let op = if role == Role::Constant { Op::Constant } else { Op::Parameter };
        let id = self.add(name, op, &[]);
        let containers = self.containers_beside(&self.graph.nodes[&id].name);
        self.graph.weights.insert(id, Arc::new(Weight { data, role, id: 0, containers }));
        id
    }

    /// The types of the modules on the path of a new parameter: those of another parameter of
    /// the same layer, where there is one.
    fn containers_beside(&self, name: &str) -> Vec<String> {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let beside = self.graph.weights.iter().find(|(id, weight)| {
            let other = &self.graph.nodes[id].name;
            weight.role != Role::Constant
                && other.rsplit_once('.').map_or("", |(layer, _)| layer) == layer
        });
        match beside {
            Some((_, weight)) => weight.containers.clone(),
            None => name.split('.').map(|_| "Struct:Graph".to_owned()).collect(),
        }
    }

    /// Sets a node's operation.
    ///
    /// # Panics
    ///
    /// Where there is no such node.
    pub fn set_op(&mut self, id: NodeId, op: Op) {
        self.node_mut(id).op = op;
    }

    /// Sets what a node takes.
    ///
    /// # Panics
    ///
    /// Where there is no such node.
    pub fn set_inputs(&mut self, id: NodeId, inputs: &[NodeId]) {
        self.node_mut(id).inputs = inputs.to_vec();
    }

    /// Sets the values of a parameter or constant, of any shape.
    ///
    /// # Panics
    ///
    /// Where there is no such parameter or constant.
    pub fn set_data(&mut self, id: NodeId, data: TensorData) {
        let weight = self.graph.weights.get_mut(&id).expect("a parameter or constant");
        Arc::make_mut(weight).data = data;
    }

    /// Sets what training does to a parameter.
    ///
    /// # Panics
    ///
    /// Where there is no such parameter or constant.
    pub fn set_role(&mut self, id: NodeId, role: Role) {
        let weight = self.graph.weights.get_mut(&id).expect("a parameter or constant");
        Arc::make_mut(weight).role = role;
    }

    /// Sets how a node's tensor is meant to be stored.
    ///
    /// # Panics
    ///
    /// Where there is no such node.
    pub fn set_quantization(&mut self, id: NodeId, quantization: Option<Quantization>) {
        self.node_mut(id).quantization = quantization;
    }

    /// Lets whatever takes `old` take `new` instead, the graph's outputs too.
    pub fn replace_uses(&mut self, old: NodeId, new: NodeId) {
        for node in self.graph.nodes.values_mut() {
            for input in &mut node.inputs {
                if *input == old {
                    *input = new;
                }
            }
        }
        for output in &mut self.graph.outputs {
            if *output == old {
                *output = new;
            }
        }
    }

    /// Puts a new node with one input behind `id`: whatever took `id` takes the new node.
    pub fn insert_after(&mut self, id: NodeId, name: &str, op: Op) -> NodeId {
        let new = self.add(name, op, &[]);
        self.replace_uses(id, new);
        self.set_inputs(new, &[id]);
        new
    }

    /// Removes a node that nothing uses.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] where something does.
    pub fn remove(&mut self, id: NodeId) -> Result<()> {
        let used = self.graph.nodes.values().find(|node| node.inputs.contains(&id));
        if let Some(user) = used {
            return Err(self.graph.nodes[&id].error(format!("`{}` takes it", user.name)));
        }
        if self.graph.outputs.contains(&id) || self.graph.inputs.contains(&id) {
            return Err(self.graph.nodes[&id].error("it is an input or output of the graph"));
        }
        self.graph.nodes.remove(&id);
        self.graph.weights.remove(&id);
        Ok(())
    }

    /// Removes every node that no output depends on, but the graph's inputs.
    pub fn remove_dead(&mut self) {
        let mut alive: BTreeSet<NodeId> = self.graph.inputs.iter().copied().collect();
        let mut open: Vec<NodeId> = self.graph.outputs.clone();
        while let Some(id) = open.pop() {
            if alive.insert(id)
                && let Some(node) = self.graph.nodes.get(&id)
            {
                open.extend(&node.inputs);
            }
        }
        self.graph.nodes.retain(|id, _| alive.contains(id));
        self.graph.weights.retain(|id, _| alive.contains(id));
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.graph.nodes.get_mut(&id).expect("a node of this graph")
    }
}

/// A shape that does not depend on the batch.
pub(super) fn fixed(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|&length| Dim::Fixed(length)).collect()
}

/// One line a node.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes() {
            let inputs: Vec<String> = node.inputs.iter().map(ToString::to_string).collect();
            let shape = shape_text(&node.shape);
            writeln!(f, "{id} {} = {}({}) {shape}", node.name, node.op.name(), inputs.join(", "))?;
        }
        let outputs: Vec<String> = self.outputs.iter().map(ToString::to_string).collect();
        writeln!(f, "outputs: {}", outputs.join(", "))
    }
}
