//! The graph that grows while a file is read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::dim::lengths;
use super::super::structure::{Weight, fixed};
use super::super::{Dim, ElementKind, Graph, Node, NodeId, Op, Quantization, Role};
use super::model::{Element, FusedActivation, Operator, SubGraph};
use super::values::{FROM_THERE, data, here, kind, reshaped};
use super::{Imported, Refused, unsupported};
use crate::layers::Activation;
use crate::weights::permuted;

/// A constant, the order of its axes, and the shape it is used in.
type Use = (usize, Option<Vec<usize>>, Option<Vec<usize>>);

/// What has been read so far.
pub(super) struct Importer<'a> {
    bytes: &'a [u8],
    pub(super) file: &'a SubGraph,
    pub(super) graph: Graph,
    /// The nodes of the file's tensors.
    pub(super) nodes: BTreeMap<usize, NodeId>,
    /// The nodes of constants as they are used: turned, reshaped.
    constants: BTreeMap<Use, NodeId>,
    /// The constants that tensors are, which a step of the file only gives another type.
    pub(super) same: BTreeMap<usize, usize>,
    /// For each name that is taken the number of the next node that wants it.
    names: HashMap<String, usize>,
    /// The batch size that the file was made with.
    pub(super) batch: usize,
}

impl<'a> Importer<'a> {
    /// Before the first operator of a graph of the file.
    pub(super) fn new(bytes: &'a [u8], file: &'a SubGraph) -> Self {
        Self {
            bytes,
            file,
            graph: Graph::default(),
            nodes: BTreeMap::new(),
            constants: BTreeMap::new(),
            same: BTreeMap::new(),
            names: HashMap::new(),
            batch: 1,
        }
    }
}

impl Importer<'_> {
    pub(super) fn inputs(&mut self) -> std::result::Result<(), String> {
        for &input in &self.file.inputs {
            let tensor = &self.file.tensors[input];
            let shape = self.shape(input);
            let mut dims = fixed(&here(&shape));
            if let Some(&length) = shape.first()
                && shape.len() > 1
                && length > 0
            {
                self.batch = length;
                dims[0] = Dim::Batch(1);
            }
            let quantization = self.quantization(input, self.axes(input))?;
            let kind = kind(tensor.element, quantization.is_some())
                .ok_or_else(|| format!("the input `{}` holds {}", tensor.name, tensor.element))?;
            let id = self.push(&tensor.name, Op::Input, Vec::new());
            let node = self.graph.nodes.get_mut(&id).expect("just added");
            (node.shape, node.kind, node.quantization) = (dims, kind, quantization);
            self.graph.inputs.push(id);
            self.nodes.insert(input, id);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, name: &str, op: Op, inputs: Vec<NodeId>) -> NodeId {
        let id = NodeId(self.graph.next);
        self.graph.next += 1;
        let base = if name.is_empty() { op.name() } else { name };
        let mut name = base.to_owned();
        while self.names.contains_key(&name) {
            let next = self.names.entry(base.to_owned()).or_insert(2);
            name = format!("{base}_{next}");
            *next += 1;
        }
        self.names.insert(name.clone(), 2);
        let node = Node {
            name,
            op,
            inputs,
            shape: Vec::new(),
            kind: ElementKind::Float,
            quantization: None,
        };
        self.graph.nodes.insert(id, node);
        self.graph.order.push(id);
        id
    }

    /// The shape in the file. Its lengths were checked when it was read.
    pub(super) fn shape(&self, tensor: usize) -> Vec<usize> {
        self.file.tensors[tensor].shape.iter().map(|&length| length as usize).collect()
    }

    /// For each axis of a tensor here the axis there, where they differ.
    pub(super) fn axes(&self, tensor: usize) -> Option<&'static [usize]> {
        (self.rank(tensor) == 4).then_some(FROM_THERE.as_slice())
    }

    pub(super) fn rank(&self, tensor: usize) -> usize {
        self.file.tensors[tensor].shape.len()
    }

    /// What a tensor's integers mean, its axis in the order that `axes` gives: for each axis here
    /// the axis there.
    pub(super) fn quantization(
        &self,
        tensor: usize,
        axes: Option<&[usize]>,
    ) -> std::result::Result<Option<Quantization>, String> {
        let tensor = &self.file.tensors[tensor];
        let Some(found) = &tensor.quantization else { return Ok(None) };
        let Some((least, largest)) = tensor.element.integers() else { return Ok(None) };
        // One scale may go with many zero points, and the other way round.
        let places = found.scale.len().max(found.zero_point.len());
        let axis = match (places, axes) {
            (0 | 1, _) => None,
            (_, None) => Some(found.quantized_dimension),
            (_, Some(axes)) => axes.iter().position(|&there| there == found.quantized_dimension),
        };
        let each: Option<Vec<(f32, i64)>> = (0..places).map(|at| found.of_channel(at)).collect();
        match each {
            Some(each) if places == 1 || axis.is_some() => {
                let (scale, zero_point) = each.into_iter().unzip();
                Ok(Some(Quantization { scale, zero_point, axis, least, largest }))
            }
            _ => Err(format!("`{}`: its scales and zero points do not fit", tensor.name)),
        }
    }

    /// The node of a tensor; a constant becomes one when it is first used, images turned.
    pub(super) fn tensor(&mut self, tensor: usize) -> Imported<NodeId> {
        if let Some(&id) = self.nodes.get(&tensor) {
            return Ok(id);
        }
        let tensor = self.same.get(&tensor).copied().unwrap_or(tensor);
        let id = self.constant(tensor, self.axes(tensor), None)?;
        self.nodes.insert(tensor, id);
        Ok(id)
    }

    /// A constant with its axes permuted and then perhaps in another shape.
    pub(super) fn constant(
        &mut self,
        tensor: usize,
        axes: Option<&[usize]>,
        shape: Option<Vec<usize>>,
    ) -> Imported<NodeId> {
        let tensor = self.same.get(&tensor).copied().unwrap_or(tensor);
        let key = (tensor, axes.map(<[usize]>::to_vec), shape.clone());
        if let Some(&id) = self.constants.get(&key) {
            return Ok(id);
        }
        let named = &self.file.tensors[tensor];
        let Some(content) = named.content(self.bytes) else {
            return unsupported(format!("`{}` is computed, expected a constant", named.name));
        };
        let mut quantization = self.quantization(tensor, axes)?;
        let of_file = self.shape(tensor);
        let data = data(named.element, content, &of_file)
            .ok_or_else(|| Refused::Unsupported(format!("constants of {}", named.element)))?;
        let data = match axes {
            Some(axes) => permuted(&data, axes),
            None => data,
        };
        let data = match shape {
            Some(shape) => {
                if let Some(quantization) = &mut quantization
                    && let Some(axis) = quantization.axis
                {
                    // The new shape only adds or takes away axes of length 1.
                    let length = data.shape()[axis];
                    quantization.axis = shape.iter().position(|&other| other == length);
                }
                reshaped(data, shape)
            }
            None => data,
        };
        // Real numbers are weights; plain integers are part of the computation.
        let is_weight = data.dtype().is_float() || quantization.is_some();
        let name = named.name.clone();
        let op = if is_weight { Op::Parameter } else { Op::Constant };
        let role = if is_weight { Role::Learnable } else { Role::Constant };
        let id = self.push(&name, op, Vec::new());
        let node = self.graph.nodes.get_mut(&id).expect("just added");
        node.shape = fixed(data.shape());
        node.kind = if is_weight { ElementKind::Float } else { ElementKind::Int };
        node.quantization = quantization;
        let containers = node.name.split('.').map(|_| "Struct:Graph".to_owned()).collect();
        self.graph.weights.insert(id, Arc::new(Weight { data, role, id: 0, containers }));
        self.constants.insert(key, id);
        Ok(id)
    }

    /// The integers of a constant input.
    pub(super) fn integers(&self, operator: &Operator, position: usize) -> Imported<Vec<i64>> {
        let tensor = Self::input(operator, position)?;
        let named = &self.file.tensors[tensor];
        let shape = self.shape(tensor);
        let found = named
            .content(self.bytes)
            .filter(|_| matches!(named.element, Element::I32 | Element::I64))
            .and_then(|content| data(named.element, content, &shape));
        match found {
            Some(data) => Ok(data.iter::<i64>().collect()),
            None => unsupported(format!("its input {position} is computed")),
        }
    }

    pub(super) fn input(operator: &Operator, position: usize) -> Imported<usize> {
        match operator.input(position) {
            Some(tensor) => Ok(tensor),
            None => Err(format!("input {position} is missing").into()),
        }
    }

    pub(super) fn output(operator: &Operator) -> Imported<usize> {
        match operator.outputs[..] {
            [output] => Ok(output),
            _ => Err(format!("{} outputs, expected 1", operator.outputs.len()).into()),
        }
    }

    /// The shape of an output here: its first axis follows the batch where it is as long as the
    /// file's batch.
    pub(super) fn dims(&self, tensor: usize) -> Vec<Dim> {
        let shape = self.shape(tensor);
        let mut dims = fixed(&here(&shape));
        if let Some(&first) = shape.first()
            && shape.len() > 1
            && first > 0
            && first.is_multiple_of(self.batch)
        {
            dims[0] = Dim::Batch(first / self.batch);
        }
        dims
    }

    /// Ends an operator: the fused activation, then what its output means.
    pub(super) fn finish(
        &mut self,
        operator: &Operator,
        id: NodeId,
        activation: FusedActivation,
    ) -> Imported {
        let output = Self::output(operator)?;
        let name = self.file.tensors[output].name.clone();
        let function = match activation {
            FusedActivation::None => None,
            FusedActivation::Relu => Some(Op::Activation(Activation::Relu)),
            FusedActivation::Relu6 => Some(Op::Activation(Activation::Relu6)),
            FusedActivation::ReluN1To1 => Some(Op::Clamp { min: Some(-1.0), max: Some(1.0) }),
            FusedActivation::Tanh => Some(Op::Activation(Activation::Tanh)),
            FusedActivation::SignBit => return unsupported("a fused sign bit"),
        };
        let id = match function {
            Some(op) => self.push(&name, op, vec![id]),
            None => id,
        };
        let quantization = self.quantization(output, self.axes(output))?;
        let shape = here(&self.shape(output));
        self.infer_last()?;
        let node = self.graph.nodes.get_mut(&id).expect("just added");
        node.quantization = quantization;
        if lengths(&node.shape, self.batch) != shape {
            let found = lengths(&node.shape, self.batch);
            return Err(format!("gives {found:?}, but `{name}` is {shape:?}").into());
        }
        self.nodes.insert(output, id);
        Ok(())
    }

    /// Infers the shapes of nodes that have none yet.
    pub(super) fn infer_last(&mut self) -> Imported {
        let start = self
            .graph
            .order
            .iter()
            .rposition(|id| {
                let node = &self.graph.nodes[id];
                !node.shape.is_empty() && !node.op.is_leaf()
            })
            .map_or(0, |at| at + 1);
        for at in start..self.graph.order.len() {
            let id = self.graph.order[at];
            let node = &self.graph.nodes[&id];
            if node.op.is_leaf() {
                continue;
            }
            let (shape, kind) = self.graph.inferred(node)?;
            let node = self.graph.nodes.get_mut(&id).expect("it is there");
            (node.shape, node.kind) = (shape, kind);
        }
        Ok(())
    }
}
