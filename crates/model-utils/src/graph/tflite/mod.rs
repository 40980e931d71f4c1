//! TensorFlow Lite files as graphs.
//!
//! Images are `[batch, height, width, channels]` there and `[batch, channels, height, width]`
//! here: weights and axes are turned, and permutations stand only where the order of elements
//! matters (a flattening of more than one place). The first axis of the inputs becomes the batch.
//! Integers keep their [`Quantization`](super::Quantization); [`Graph::dequantize`] turns them into
//! the real numbers that they stand for, after which the graph computes as the file says, but for
//! the rounding and the saturation of integers.
//!
//! ```no_run
//! use burn::tensor::Tensor;
//! use model_utils::graph::tflite;
//! # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
//!
//! let graph = tflite::import("mobilenet_v2_1.0_224_quant.tflite")?;
//! println!("{}", graph.summary(1)?);
//! let model = graph.dequantize()?.init(&device)?;
//! let images = Tensor::<4>::zeros([2, 3, 224, 224], &device); // −1 to 1, as the model was trained
//! let probabilities: Tensor<2> = model.forward(images)?;
//! # Ok::<(), model_utils::Error>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | what the file says of its tensors and operators |
//! | [`reader`] | flatbuffers, each access checked against the bytes that are there |

pub mod model;
pub mod reader;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{TensorData, bf16, f16};

use self::model::{
    Activation, Conv2d, Element, Model, Operator, Padding, Pool2d, Resize, SubGraph,
};
use super::dim::lengths;
use super::structure::{Weight, fixed};
use super::{
    Binary, Dim, Graph, Interpolation, Kind, Node, NodeId, Op, Pool, Range, Reduction, Role,
};
use crate::error::{Error, Result};
use crate::layers;

/// For each axis of an image there the axis here.
const TO_HERE: [usize; 4] = [0, 2, 3, 1];
/// For each axis of an image here the axis there.
static FROM_THERE: [usize; 4] = [0, 3, 1, 2];

/// The longest side of an image for which a pooling's windows are counted.
const MOST_SIDE: usize = 1 << 16;

/// Reads the first graph of a `.tflite` file.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Format`] for a truncated, foreign or inconsistent file, with the place;
/// [`Error::Unsupported`] for an operator that is not known, by name and number.
pub fn import(path: impl AsRef<Path>) -> Result<Graph> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    from_bytes(&bytes, path)
}

/// Reads the content of a `.tflite` file; `origin` is what errors call it.
///
/// # Errors
///
/// As [`import`].
pub fn from_bytes(bytes: &[u8], origin: impl AsRef<Path>) -> Result<Graph> {
    let origin = origin.as_ref();
    let bad = |reason: String| Error::format(origin, "TensorFlow Lite", reason);
    let model = Model::parse(bytes).map_err(|error| bad(error.to_string()))?;
    let subgraph = &model.subgraphs[0];
    let mut importer = Importer {
        bytes,
        file: subgraph,
        graph: Graph::default(),
        nodes: BTreeMap::new(),
        constants: BTreeMap::new(),
        same: BTreeMap::new(),
        names: HashMap::new(),
        batch: 1,
    };
    importer.inputs().map_err(bad)?;
    for (place, operator) in subgraph.operators.iter().enumerate() {
        importer.operator(operator).map_err(|reason| {
            let what = format!("operator {place} ({}) of {}", operator.name(), origin.display());
            match reason {
                Refused::Unsupported(reason) => Error::Unsupported { what, reason },
                Refused::Wrong(reason) => bad(format!("{what}: {reason}")),
            }
        })?;
    }
    for &output in &subgraph.outputs {
        let id = importer.tensor(output).map_err(|refused| bad(refused.text()))?;
        importer.graph.outputs.push(id);
    }
    let mut graph = importer.graph;
    graph.settle().map_err(|error| bad(error.to_string()))?;
    graph.remove_dead()?;
    Ok(graph)
}

/// Why an operator is not imported.
enum Refused {
    /// It is not known here.
    Unsupported(String),
    /// The file contradicts itself.
    Wrong(String),
}

impl Refused {
    fn text(self) -> String {
        match self {
            Self::Unsupported(reason) | Self::Wrong(reason) => reason,
        }
    }
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

type Imported<T = ()> = std::result::Result<T, Refused>;

fn unsupported<T>(reason: impl Into<String>) -> Imported<T> {
    Err(Refused::Unsupported(reason.into()))
}

/// A constant, the order of its axes, and the shape it is used in.
type Use = (usize, Option<Vec<usize>>, Option<Vec<usize>>);

struct Importer<'a> {
    bytes: &'a [u8],
    file: &'a SubGraph,
    graph: Graph,
    /// The nodes of the file's tensors.
    nodes: BTreeMap<usize, NodeId>,
    /// The nodes of constants as they are used: turned, reshaped.
    constants: BTreeMap<Use, NodeId>,
    /// The constants that tensors are, which a step of the file only gives another type.
    same: BTreeMap<usize, usize>,
    /// For each name that is taken the number of the next node that wants it.
    names: HashMap<String, usize>,
    /// The batch size that the file was made with.
    batch: usize,
}

impl Importer<'_> {
    fn inputs(&mut self) -> std::result::Result<(), String> {
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

    fn push(&mut self, name: &str, op: Op, inputs: Vec<NodeId>) -> NodeId {
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
        let node =
            Node { name, op, inputs, shape: Vec::new(), kind: Kind::Float, quantization: None };
        self.graph.nodes.insert(id, node);
        self.graph.order.push(id);
        id
    }

    /// The shape in the file. Its lengths were checked when it was read.
    fn shape(&self, tensor: usize) -> Vec<usize> {
        self.file.tensors[tensor].shape.iter().map(|&length| length as usize).collect()
    }

    /// For each axis of a tensor here the axis there, where they differ.
    fn axes(&self, tensor: usize) -> Option<&'static [usize]> {
        (self.rank(tensor) == 4).then_some(FROM_THERE.as_slice())
    }

    fn rank(&self, tensor: usize) -> usize {
        self.file.tensors[tensor].shape.len()
    }

    /// What a tensor's integers mean, its axis in the order that `axes` gives: for each axis here
    /// the axis there.
    fn quantization(
        &self,
        tensor: usize,
        axes: Option<&[usize]>,
    ) -> std::result::Result<Option<super::Quantization>, String> {
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
                Ok(Some(super::Quantization { scale, zero_point, axis, least, largest }))
            }
            _ => Err(format!("`{}`: its scales and zero points do not fit", tensor.name)),
        }
    }

    /// The node of a tensor; a constant becomes one when it is first used, images turned.
    fn tensor(&mut self, tensor: usize) -> Imported<NodeId> {
        if let Some(&id) = self.nodes.get(&tensor) {
            return Ok(id);
        }
        let tensor = self.same.get(&tensor).copied().unwrap_or(tensor);
        let id = self.constant(tensor, self.axes(tensor), None)?;
        self.nodes.insert(tensor, id);
        Ok(id)
    }

    /// A constant with its axes permuted and then perhaps in another shape.
    fn constant(
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
        node.kind = if is_weight { Kind::Float } else { Kind::Int };
        node.quantization = quantization;
        let containers = node.name.split('.').map(|_| "Struct:Graph".to_owned()).collect();
        self.graph.weights.insert(id, Arc::new(Weight { data, role, id: 0, containers }));
        self.constants.insert(key, id);
        Ok(id)
    }

    /// The integers of a constant input.
    fn integers(&self, operator: &Operator, position: usize) -> Imported<Vec<i64>> {
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

    fn input(operator: &Operator, position: usize) -> Imported<usize> {
        match operator.input(position) {
            Some(tensor) => Ok(tensor),
            None => Err(format!("input {position} is missing").into()),
        }
    }

    fn output(operator: &Operator) -> Imported<usize> {
        match operator.outputs[..] {
            [output] => Ok(output),
            _ => Err(format!("{} outputs, expected 1", operator.outputs.len()).into()),
        }
    }

    /// The shape of an output here: its first axis follows the batch where it is as long as the
    /// file's batch.
    fn dims(&self, tensor: usize) -> Vec<Dim> {
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
    fn finish(&mut self, operator: &Operator, id: NodeId, activation: Activation) -> Imported {
        let output = Self::output(operator)?;
        let name = self.file.tensors[output].name.clone();
        let function = match activation {
            Activation::None => None,
            Activation::Relu => Some(Op::Activation(layers::Activation::Relu)),
            Activation::Relu6 => Some(Op::Activation(layers::Activation::Relu6)),
            Activation::ReluN1To1 => Some(Op::Clamp { min: Some(-1.0), max: Some(1.0) }),
            Activation::Tanh => Some(Op::Activation(layers::Activation::Tanh)),
            Activation::SignBit => return unsupported("a fused sign bit"),
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
    fn infer_last(&mut self) -> Imported {
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

    /// An operator of one input whose axes do not matter.
    fn unary(&mut self, operator: &Operator, op: Op) -> Imported {
        let x = Self::input(operator, 0)?;
        let x = self.tensor(x)?;
        let id = self.push(&self.output_name(operator), op, vec![x]);
        self.finish(operator, id, Activation::None)
    }

    fn output_name(&self, operator: &Operator) -> String {
        operator.outputs.first().map(|&out| self.file.tensors[out].name.clone()).unwrap_or_default()
    }

    #[allow(clippy::too_many_lines)] // A case an operator.
    fn operator(&mut self, operator: &Operator) -> Imported {
        use model::Op as Of;
        let output = Self::output(operator)?;
        let function = |activation| Op::Activation(activation);
        match &operator.op {
            Of::Conv2d(conv) => self.convolution(operator, conv, false),
            Of::DepthwiseConv2d { conv, .. } => self.convolution(operator, conv, true),
            Of::TransposeConv { padding, stride, activation } => {
                self.transposed(operator, *padding, *stride, *activation)
            }
            Of::FullyConnected { activation, shuffled_weights, keep_num_dims } => {
                if *shuffled_weights {
                    return unsupported("weights stored in blocks");
                }
                self.fully_connected(operator, *activation, *keep_num_dims)
            }
            Of::AveragePool2d(pool) => self.pool(operator, pool, true),
            Of::MaxPool2d(pool) => self.pool(operator, pool, false),
            Of::Add { activation } => self.binary(operator, Binary::Add, *activation),
            Of::Sub { activation } => self.binary(operator, Binary::Sub, *activation),
            Of::Mul { activation } => self.binary(operator, Binary::Mul, *activation),
            Of::Div { activation } => self.binary(operator, Binary::Div, *activation),
            Of::Relu => self.unary(operator, function(layers::Activation::Relu)),
            Of::Relu6 => self.unary(operator, function(layers::Activation::Relu6)),
            Of::ReluN1To1 => self.unary(operator, Op::Clamp { min: Some(-1.0), max: Some(1.0) }),
            Of::LeakyRelu { alpha } => {
                let leaky = layers::Activation::LeakyRelu(f64::from(*alpha));
                self.unary(operator, function(leaky))
            }
            Of::Logistic => self.unary(operator, function(layers::Activation::Sigmoid)),
            Of::Tanh => self.unary(operator, function(layers::Activation::Tanh)),
            Of::HardSwish => self.unary(operator, function(layers::Activation::HardSwish)),
            // Between integers and real numbers the meaning stays.
            Of::Quantize | Of::Dequantize => {
                let x = Self::input(operator, 0)?;
                let constant = self.same.get(&x).copied().unwrap_or(x);
                if self.file.tensors[constant].data.is_some() {
                    self.same.insert(output, constant);
                    return Ok(());
                }
                self.unary(operator, function(layers::Activation::Identity))
            }
            Of::Softmax { beta } => {
                let x = Self::input(operator, 0)?;
                let axis = axis_here(-1, self.rank(x))?;
                let mut id = self.tensor(x)?;
                if (*beta - 1.0).abs() > f32::EPSILON {
                    id = self.push("", Op::Scalar(Binary::Mul, f64::from(*beta)), vec![id]);
                }
                let name = self.output_name(operator);
                let id = self.push(&name, Op::Softmax { axis }, vec![id]);
                self.finish(operator, id, Activation::None)
            }
            Of::Reshape { .. } | Of::Squeeze { .. } => {
                let x = Self::input(operator, 0)?;
                let id = self.reshape(x, output)?;
                self.finish(operator, id, Activation::None)
            }
            Of::Concatenation { axis, activation } => {
                let axis = axis_here(i64::from(*axis), self.rank(output))?;
                let mut inputs = Vec::new();
                for position in 0..operator.inputs.len() {
                    let tensor = Self::input(operator, position)?;
                    inputs.push(self.tensor(tensor)?);
                }
                let id = self.push(&self.output_name(operator), Op::Cat { axis }, inputs);
                self.finish(operator, id, *activation)
            }
            Of::Mean { .. } => {
                let x = Self::input(operator, 0)?;
                let rank = self.rank(x);
                let mut axes = Vec::new();
                for axis in self.integers(operator, 1)? {
                    axes.push(axis_here(axis, rank)?);
                }
                axes.sort_unstable();
                axes.dedup();
                let id = self.tensor(x)?;
                let mean = Op::Reduce { reduction: Reduction::Mean, axes: axes.clone() };
                let mut id = self.push(&self.output_name(operator), mean, vec![id]);
                if self.rank(output) != rank {
                    if let [_, height, width, channels] = self.shape(x)[..] {
                        // Axes of length 1 go; channels and places that are left change order.
                        let left = |axis: usize, length: usize| length > 1 && !axes.contains(&axis);
                        if left(1, channels) && (left(2, height) || left(3, width)) {
                            let axes = TO_HERE.to_vec();
                            id = self.push("", Op::Permute { axes }, vec![id]);
                        }
                    }
                    id = self.push("", Op::Reshape { shape: self.dims(output) }, vec![id]);
                }
                self.finish(operator, id, Activation::None)
            }
            Of::Pad => {
                let x = Self::input(operator, 0)?;
                let rank = self.rank(x);
                let amounts = self.integers(operator, 1)?;
                if amounts.len() != 2 * rank {
                    return Err(format!("{} amounts for {rank} axes", amounts.len()).into());
                }
                let mut padding = vec![(0, 0); rank];
                for (axis, pair) in amounts.chunks(2).enumerate() {
                    let amount = |amount: i64| {
                        usize::try_from(amount)
                            .ok()
                            .filter(|&amount| amount < 1 << 20)
                            .ok_or_else(|| format!("{amount} zeros"))
                    };
                    padding[axis_here(axis as i64, rank)?] = (amount(pair[0])?, amount(pair[1])?);
                }
                let id = self.tensor(x)?;
                let pad = Op::Pad { padding, value: 0.0 };
                let id = self.push(&self.output_name(operator), pad, vec![id]);
                self.finish(operator, id, Activation::None)
            }
            Of::Transpose => {
                let x = Self::input(operator, 0)?;
                let axes = self.integers(operator, 1)?;
                let rank = self.rank(x);
                let axes: Vec<usize> =
                    axes.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
                if axes.len() != rank || axes.iter().any(|&axis| axis >= rank) {
                    return Err(format!("axes {axes:?} of {rank}").into());
                }
                let axes = if rank == 4 {
                    // Of an axis here: where it lies there, what comes to lie there, where that
                    // lies here.
                    FROM_THERE.iter().map(|&there| TO_HERE[axes[there]]).collect()
                } else {
                    axes
                };
                let id = self.tensor(x)?;
                let id = self.push(&self.output_name(operator), Op::Permute { axes }, vec![id]);
                self.finish(operator, id, Activation::None)
            }
            Of::ResizeBilinear(resize) => self.resize(operator, *resize, Interpolation::Bilinear),
            Of::ResizeNearestNeighbor(resize) => {
                let mode = if resize.half_pixel_centers {
                    Interpolation::NearestExact
                } else {
                    Interpolation::Nearest
                };
                self.resize(operator, *resize, mode)
            }
            Of::Custom(name) => unsupported(format!("the custom operator `{name}` is not known")),
            _ => unsupported(format!("the operator (builtin {}) is not known", operator.code)),
        }
    }

    /// Zeros before and after, for a window along each axis of space.
    fn same(
        padding: Padding,
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> [(usize, usize); 2] {
        std::array::from_fn(|axis| match padding {
            Padding::Valid => (0, 0),
            Padding::Same => {
                let places = input[axis].div_ceil(stride[axis]).max(1);
                let reach = (kernel[axis].max(1) - 1).saturating_mul(dilation[axis]) + 1;
                let read = (places - 1).saturating_mul(stride[axis]).saturating_add(reach);
                let total = read.saturating_sub(input[axis]);
                (total / 2, total - total / 2)
            }
        })
    }

    /// Height and width of an image in the file.
    fn space(&self, tensor: usize) -> Imported<[usize; 2]> {
        match self.shape(tensor)[..] {
            [_, height, width, _] => Ok([height, width]),
            ref other => Err(format!("an image is {other:?}, expected four axes").into()),
        }
    }

    fn bias(&mut self, operator: &Operator, position: usize) -> Imported<Option<NodeId>> {
        match operator.input(position) {
            Some(bias) => Ok(Some(self.tensor(bias)?)),
            None => Ok(None),
        }
    }

    fn convolution(&mut self, operator: &Operator, conv: &Conv2d, depthwise: bool) -> Imported {
        let (x, weight) = (Self::input(operator, 0)?, Self::input(operator, 1)?);
        let [rows, height, width, columns] = self.shape(weight)[..] else {
            return Err(format!("the weights are {:?}", self.shape(weight)).into());
        };
        let input = self.space(x)?;
        let channels = self.shape(x)[3];
        let (axes, groups) = if depthwise {
            // [1, height, width, channels_out] → [channels_out, 1, height, width]
            if rows != 1 {
                return Err(format!("depthwise weights of {rows} rows, expected 1").into());
            }
            ([3, 0, 1, 2], channels)
        } else {
            if columns == 0 || !channels.is_multiple_of(columns) {
                return Err(format!("{channels} channels for weights of {columns}").into());
            }
            ([0, 3, 1, 2], channels / columns)
        };
        let padding = Self::same(conv.padding, input, [height, width], conv.stride, conv.dilation);
        let op = Op::Conv2d { stride: conv.stride, padding, dilation: conv.dilation, groups };
        let mut inputs = vec![self.tensor(x)?, self.constant(weight, Some(&axes), None)?];
        inputs.extend(self.bias(operator, 2)?);
        let id = self.push(&self.output_name(operator), op, inputs);
        self.finish(operator, id, conv.activation)
    }

    fn transposed(
        &mut self,
        operator: &Operator,
        padding: Padding,
        stride: [usize; 2],
        activation: Activation,
    ) -> Imported {
        let (weight, x) = (Self::input(operator, 1)?, Self::input(operator, 2)?);
        let (input, output) = (self.space(x)?, self.space(Self::output(operator)?)?);
        let [_, height, width, _] = self.shape(weight)[..] else {
            return Err(format!("the weights are {:?}", self.shape(weight)).into());
        };
        let mut padding_out = [0; 2];
        let mut ranges = vec![Range { start: 0, end: None, step: 1 }; 4];
        for (axis, kernel) in [height, width].into_iter().enumerate() {
            let whole =
                (input[axis].max(1) - 1).saturating_mul(stride[axis]).saturating_add(kernel);
            padding_out[axis] = output[axis].saturating_sub(whole);
            let cut = whole.saturating_sub(output[axis]);
            let before = if padding == Padding::Same { cut / 2 } else { 0 };
            if cut > 0 {
                let end = Some(before.saturating_add(output[axis]));
                ranges[axis + 2] = Range { start: before, end, step: 1 };
            }
        }
        let op = Op::ConvTranspose2d {
            stride,
            padding: [0, 0],
            padding_out,
            dilation: [1, 1],
            groups: 1,
        };
        // [channels_out, height, width, channels_in] → [channels_in, channels_out, height, width]
        let mut inputs = vec![self.tensor(x)?, self.constant(weight, Some(&[3, 0, 1, 2]), None)?];
        inputs.extend(self.bias(operator, 3)?);
        let mut id = self.push(&self.output_name(operator), op, inputs);
        if ranges.iter().any(|range| range.end.is_some()) {
            id = self.push("", Op::Slice { ranges }, vec![id]);
        }
        self.finish(operator, id, activation)
    }

    fn fully_connected(
        &mut self,
        operator: &Operator,
        activation: Activation,
        keep_num_dims: bool,
    ) -> Imported {
        let (x, weight) = (Self::input(operator, 0)?, Self::input(operator, 1)?);
        let features = match self.shape(weight)[..] {
            [_, features] if features > 0 => features,
            ref other => return Err(format!("the weights are {other:?}").into()),
        };
        let output = Self::output(operator)?;
        let mut id = self.tensor(x)?;
        let mut rank = self.rank(x);
        if rank == 4 {
            id = self.push("", Op::Permute { axes: TO_HERE.to_vec() }, vec![id]);
        }
        if !keep_num_dims && rank != 2 {
            let elements: usize = self.shape(x).iter().product();
            let rows = elements / features;
            let first = if rows.is_multiple_of(self.batch) {
                Dim::Batch(rows / self.batch)
            } else {
                Dim::Fixed(rows)
            };
            let shape = vec![first, Dim::Fixed(features)];
            id = self.push("", Op::Reshape { shape }, vec![id]);
            rank = 2;
        }
        let mut inputs = vec![id, self.constant(weight, Some(&[1, 0]), None)?];
        inputs.extend(self.bias(operator, 2)?);
        let mut id = self.push(&self.output_name(operator), Op::Linear, inputs);
        if rank == 4 && self.rank(output) == 4 {
            id = self.push("", Op::Permute { axes: FROM_THERE.to_vec() }, vec![id]);
        } else if rank != self.rank(output) {
            return unsupported("another number of axes in the output");
        }
        self.finish(operator, id, activation)
    }

    fn pool(&mut self, operator: &Operator, pool: &Pool2d, average: bool) -> Imported {
        let x = Self::input(operator, 0)?;
        let input = self.space(x)?;
        let sides = Self::same(pool.padding, input, pool.filter, pool.stride, [1, 1]);
        let even = sides.iter().all(|(before, after)| before == after);
        let mut id = self.tensor(x)?;
        if !even {
            // Zeros do not count in a mean, and nothing is less than the least number.
            let value = if average { 0.0 } else { f64::from(f32::MIN) };
            let padding = vec![(0, 0), (0, 0), sides[0], sides[1]];
            id = self.push("", Op::Pad { padding, value }, vec![id]);
        }
        let window = Pool {
            kernel: pool.filter,
            stride: pool.stride,
            padding: if even { [sides[0].0, sides[1].0] } else { [0, 0] },
            dilation: [1, 1],
            ceil_mode: false,
        };
        let op = if average {
            Op::AvgPool2d { pool: window, count_include_pad: !even }
        } else {
            Op::MaxPool2d(window)
        };
        let mut id = self.push(&self.output_name(operator), op, vec![id]);
        if average && !even {
            // What is read of each window is a product of rows and columns.
            for (axis, length) in self.space(Self::output(operator)?)?.into_iter().enumerate() {
                if length > MOST_SIDE {
                    return unsupported(format!("an image of {length} rows or columns"));
                }
                let share = |place: usize| {
                    let start = (place * pool.stride[axis]) as i64 - sides[axis].0 as i64;
                    let end = (start + pool.filter[axis] as i64).min(input[axis] as i64);
                    pool.filter[axis] as f32 / (end - start.max(0)).max(1) as f32
                };
                let mut shape = [1; 4];
                shape[axis + 2] = length;
                let data = TensorData::new((0..length).map(share).collect::<Vec<f32>>(), shape);
                let shares = self.push("", Op::Constant, Vec::new());
                let node = self.graph.nodes.get_mut(&shares).expect("just added");
                node.shape = fixed(data.shape());
                let weight = Weight { data, role: Role::Constant, id: 0, containers: Vec::new() };
                self.graph.weights.insert(shares, Arc::new(weight));
                id = self.push("", Op::Binary(Binary::Mul), vec![id, shares]);
            }
        }
        self.finish(operator, id, pool.activation)
    }

    fn binary(&mut self, operator: &Operator, op: Binary, activation: Activation) -> Imported {
        let output = Self::output(operator)?;
        let rank = self.rank(output);
        let mut inputs = Vec::new();
        for position in 0..2 {
            let tensor = Self::input(operator, position)?;
            let of_input = self.rank(tensor);
            inputs.push(if of_input == rank || rank < 4 && of_input < 4 {
                self.tensor(tensor)?
            } else if self.file.tensors[tensor].data.is_some() && of_input < 4 && rank == 4 {
                // Along the channels, which are last there.
                let mut shape = vec![1; 4 - of_input];
                shape.extend(self.shape(tensor));
                let turned = FROM_THERE.map(|there| shape[there]);
                if shape[1..3].iter().any(|&length| length != 1) {
                    return unsupported("a constant along the space of an image");
                }
                self.constant(tensor, None, Some(turned.to_vec()))?
            } else {
                return unsupported(format!("{of_input} axes with {rank}"));
            });
        }
        let id = self.push(&self.output_name(operator), Op::Binary(op), inputs);
        self.finish(operator, id, activation)
    }

    /// The same elements, in the file's order.
    fn reshape(&mut self, x: usize, output: usize) -> Imported<NodeId> {
        let (from, to) = (self.shape(x), self.shape(output));
        let mut id = self.tensor(x)?;
        let is_column = |shape: &[usize]| match shape {
            [_, height, width, channels] => *channels == 1 || height * width == 1,
            _ => true,
        };
        // Of one channel, or one place, both orders are the same.
        let (from_same, to_same) = (is_column(&from), is_column(&to));
        if from.len() == 4 && !from_same {
            id = self.push("", Op::Permute { axes: TO_HERE.to_vec() }, vec![id]);
        }
        let name = self.file.tensors[output].name.clone();
        if to.len() == 4 && !to_same {
            let mut shape = fixed(&to);
            shape[0] = self.dims(output)[0];
            let id = self.push("", Op::Reshape { shape }, vec![id]);
            return Ok(self.push(&name, Op::Permute { axes: FROM_THERE.to_vec() }, vec![id]));
        }
        Ok(self.push(&name, Op::Reshape { shape: self.dims(output) }, vec![id]))
    }

    fn resize(&mut self, operator: &Operator, resize: Resize, mode: Interpolation) -> Imported {
        let x = Self::input(operator, 0)?;
        let is_known = match mode {
            Interpolation::Bilinear => resize.align_corners != resize.half_pixel_centers,
            _ => !resize.align_corners,
        };
        if !is_known {
            return unsupported("pixels neither at their corners nor at their centres");
        }
        let output = self.space(Self::output(operator)?)?;
        let id = self.tensor(x)?;
        let op = Op::Interpolate { output, mode, align_corners: resize.align_corners };
        let id = self.push(&self.output_name(operator), op, vec![id]);
        self.finish(operator, id, Activation::None)
    }
}

/// A shape there as it is here.
fn here(shape: &[usize]) -> Vec<usize> {
    match shape {
        [batch, height, width, channels] => vec![*batch, *channels, *height, *width],
        other => other.to_vec(),
    }
}

/// An axis there, negative from the last, as the axis here.
fn axis_here(axis: i64, rank: usize) -> Imported<usize> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(from_start) {
        Ok(there) if there < rank => Ok(if rank == 4 { TO_HERE[there] } else { there }),
        _ => Err(format!("axis {axis} of {rank}").into()),
    }
}

/// What a tensor holds here, if that is known.
fn kind(element: Element, quantized: bool) -> Option<Kind> {
    match element {
        Element::F32 | Element::F16 | Element::Bf16 | Element::F64 => Some(Kind::Float),
        Element::Bool => Some(Kind::Bool),
        element if element.integers().is_some() => {
            Some(if quantized { Kind::Float } else { Kind::Int })
        }
        _ => None,
    }
}

/// The values of a constant: floating-point numbers as f32, integers as they are.
fn data(element: Element, content: &[u8], shape: &[usize]) -> Option<TensorData> {
    fn each<const N: usize, T>(content: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
        content.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
    }
    let shape = shape.to_vec();
    Some(match element {
        Element::F32 => TensorData::new(each(content, f32::from_le_bytes), shape),
        Element::F16 => {
            TensorData::new(each(content, |bytes| f16::from_le_bytes(bytes).to_f32()), shape)
        }
        Element::Bf16 => {
            TensorData::new(each(content, |bytes| bf16::from_le_bytes(bytes).to_f32()), shape)
        }
        Element::I8 => TensorData::new(each(content, i8::from_le_bytes), shape),
        Element::U8 => TensorData::new(content.to_vec(), shape),
        Element::I16 => TensorData::new(each(content, i16::from_le_bytes), shape),
        Element::I32 => TensorData::new(each(content, i32::from_le_bytes), shape),
        Element::I64 => TensorData::new(each(content, i64::from_le_bytes), shape),
        _ => return None,
    })
}

/// A tensor whose axis `k` is the axis `axes[k]` of `data`.
fn permuted(data: &TensorData, axes: &[usize]) -> TensorData {
    let from = data.shape().to_vec();
    let to: Vec<usize> = axes.iter().map(|&axis| from[axis]).collect();
    let strides = |shape: &[usize]| {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        strides
    };
    let (from_strides, to_strides) = (strides(&from), strides(&to));
    let source = |index: usize| -> usize {
        axes.iter()
            .enumerate()
            .map(|(at, &axis)| index / to_strides[at] % to[at].max(1) * from_strides[axis])
            .sum()
    };
    let size = data.dtype().size();
    let bytes = data.as_bytes();
    let count: usize = to.iter().product();
    let mut turned = Vec::with_capacity(bytes.len());
    for index in 0..count {
        let start = source(index) * size;
        turned.extend_from_slice(&bytes[start..start + size]);
    }
    TensorData::from_bytes_vec(turned, to, data.dtype())
}

fn reshaped(data: TensorData, shape: Vec<usize>) -> TensorData {
    let dtype = data.dtype();
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), shape, dtype)
}
