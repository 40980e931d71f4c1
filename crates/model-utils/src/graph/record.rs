//! From what Burn recorded to nodes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use burn::backend::capture::{CapturedGraph, TensorId};
use burn::backend::ir::{
    ActivationOperationIr, BaseOperationIr, BoolOperationIr, FloatOperationIr, IntOperationIr,
    InterpolateModeIr, ModuleOperationIr, NumericOperationIr, OperationIr, PadModeIr,
    ReduceDimOpIr, ScalarIr, ScalarOpIr, TensorIr,
};
use burn::tensor::Slice;

use super::structure::{Weight, fixed};
use super::{
    Binary, ElementKind, Graph, Interpolation, Node, NodeId, Op, Pool, Range, Reduction, Relation,
    Role, Unary,
};
use crate::error::{Error, Result};
use crate::layers::Activation;

/// A parameter of the module.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) containers: Vec<String>,
    pub(super) id: u64,
    pub(super) role: Role,
}

/// What a recording needs besides its operations.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) places: HashMap<TensorId, Place>,
    /// In the order of the arguments and results; one tensor may be given twice.
    pub(super) inputs: Vec<TensorId>,
    pub(super) outputs: Vec<TensorId>,
}

/// The graph of one recording, all its lengths fixed.
pub(super) fn record(captured: CapturedGraph, names: &Names) -> Result<Graph> {
    let mut recorder =
        Recorder { graph: Graph::default(), ids: HashMap::new(), values: captured.values, names };
    for &input in &names.inputs {
        let data = &recorder.values[&input];
        let (shape, kind) = (fixed(data.shape()), ElementKind::from(data.dtype()));
        let id = recorder.push(Op::Input, Vec::new(), shape, kind);
        recorder.ids.insert(input, id);
        recorder.graph.inputs.push(id);
    }
    for (place, operation) in captured.graph.operations.iter().enumerate() {
        recorder.operation(operation).map_err(|reason| {
            let shapes: Vec<String> =
                operation.inputs().map(|tensor| format!("{:?}", tensor.shape.to_vec())).collect();
            Error::Unsupported {
                what: format!(
                    "operation {place} of the recording, on {}",
                    if shapes.is_empty() { "nothing".into() } else { shapes.join(" and ") }
                ),
                reason,
            }
        })?;
    }
    for &output in &names.outputs {
        let output = recorder.leaf(output);
        recorder.graph.outputs.push(output);
    }
    Ok(recorder.graph)
}

struct Recorder<'a> {
    graph: Graph,
    ids: HashMap<TensorId, NodeId>,
    values: BTreeMap<TensorId, burn::tensor::TensorData>,
    names: &'a Names,
}

/// Or the reason why an operation has no place in a graph.
type Recorded = std::result::Result<(), String>;

// Every case returns what the whole does.
#[allow(clippy::unnecessary_wraps)]
impl Recorder<'_> {
    fn push(
        &mut self,
        op: Op,
        inputs: Vec<NodeId>,
        shape: Vec<super::Dim>,
        kind: ElementKind,
    ) -> NodeId {
        let id = NodeId(self.graph.next);
        self.graph.next += 1;
        let name = id.to_string();
        self.graph.nodes.insert(id, Node { name, op, inputs, shape, kind, quantization: None });
        self.graph.order.push(id);
        id
    }

    /// The node of a tensor; a parameter or constant becomes one when it is first used.
    fn leaf(&mut self, tensor: TensorId) -> NodeId {
        if let Some(&id) = self.ids.get(&tensor) {
            return id;
        }
        let data = self.values[&tensor].clone();
        let (shape, kind) = (fixed(data.shape()), ElementKind::from(data.dtype()));
        let place = self.names.places.get(&tensor);
        let weight = Weight {
            data,
            role: place.map_or(Role::Constant, |place| place.role),
            id: place.map_or(0, |place| place.id),
            containers: place.map(|place| place.containers.clone()).unwrap_or_default(),
        };
        let op = if place.is_some() { Op::Parameter } else { Op::Constant };
        let name = place.map(|place| place.path.clone());
        let id = self.push(op, Vec::new(), shape, kind);
        if let Some(name) = name {
            self.graph.nodes.get_mut(&id).expect("just added").name = name;
        }
        self.graph.weights.insert(id, Arc::new(weight));
        self.ids.insert(tensor, id);
        id
    }

    fn node(&mut self, op: Op, inputs: &[&TensorIr], out: &TensorIr) -> Recorded {
        let inputs = inputs.iter().map(|input| self.leaf(input.id)).collect();
        let id = self.push(op, inputs, fixed(&out.shape), ElementKind::from(out.dtype));
        self.ids.insert(out.id, id);
        Ok(())
    }

    fn operation(&mut self, operation: &OperationIr) -> Recorded {
        match operation {
            OperationIr::BaseFloat(base)
            | OperationIr::BaseInt(base)
            | OperationIr::BaseBool(base) => self.base(base),
            OperationIr::NumericFloat(_, numeric) | OperationIr::NumericInt(_, numeric) => {
                self.numeric(numeric)
            }
            OperationIr::Float(_, float) => self.float(float),
            OperationIr::Int(int) => match int {
                IntOperationIr::IntoFloat(cast) => self.cast(&cast.input, &cast.out),
                other => unknown(other),
            },
            OperationIr::Bool(bool) => match bool {
                BoolOperationIr::IntoFloat(cast) | BoolOperationIr::IntoInt(cast) => {
                    self.cast(&cast.input, &cast.out)
                }
                BoolOperationIr::Not(not) => {
                    self.node(Op::Unary(Unary::Not), &[&not.input], &not.out)
                }
                BoolOperationIr::And(and) => {
                    self.node(Op::Binary(Binary::And), &[&and.lhs, &and.rhs], &and.out)
                }
                BoolOperationIr::Or(or) => {
                    self.node(Op::Binary(Binary::Or), &[&or.lhs, &or.rhs], &or.out)
                }
                other @ BoolOperationIr::Xor(_) => unknown(other),
            },
            OperationIr::Module(module) => self.module(module),
            OperationIr::Activation(activation) => self.activation(activation),
            // Values are found where they are used.
            OperationIr::Init(_) | OperationIr::Drop(_) => Ok(()),
            other => unknown(other),
        }
    }

    fn cast(&mut self, input: &TensorIr, out: &TensorIr) -> Recorded {
        let to = ElementKind::from(out.dtype);
        if to == ElementKind::from(input.dtype) {
            return Err(format!("a change of precision from {:?} to {:?}", input.dtype, out.dtype));
        }
        self.node(Op::Cast { to }, &[input], out)
    }

    fn base(&mut self, base: &BaseOperationIr) -> Recorded {
        use BaseOperationIr as B;
        let compare = Op::Compare;
        match base {
            B::Reshape(op) => {
                self.node(Op::Reshape { shape: fixed(&op.out.shape) }, &[&op.input], &op.out)
            }
            B::Expand(op) => {
                self.node(Op::Expand { shape: fixed(&op.out.shape) }, &[&op.input], &op.out)
            }
            B::SwapDims(op) => {
                let mut axes: Vec<usize> = (0..op.input.shape.num_dims()).collect();
                axes.swap(op.dim1, op.dim2);
                self.node(Op::Permute { axes }, &[&op.input], &op.out)
            }
            B::Permute(op) => {
                self.node(Op::Permute { axes: op.axes.clone() }, &[&op.input], &op.out)
            }
            B::Flip(op) => self.node(Op::Flip { axes: op.axes.clone() }, &[&op.input], &op.out),
            B::Slice(op) => {
                let ranges = ranges(&op.ranges, &op.tensor)?;
                self.node(Op::Slice { ranges }, &[&op.tensor], &op.out)
            }
            B::Select(op) => {
                self.node(Op::Select { axis: op.dim }, &[&op.tensor, &op.indices], &op.out)
            }
            B::Gather(op) => {
                self.node(Op::Gather { axis: op.dim }, &[&op.tensor, &op.indices], &op.out)
            }
            B::MaskWhere(op) => {
                self.node(Op::MaskWhere, &[&op.tensor, &op.mask, &op.value], &op.out)
            }
            B::MaskFill(op) => {
                let value = number(op.value);
                self.node(Op::MaskFill { value }, &[&op.tensor, &op.mask], &op.out)
            }
            B::Equal(op) => self.node(compare(Relation::Equal), &[&op.lhs, &op.rhs], &op.out),
            B::NotEqual(op) => self.node(compare(Relation::NotEqual), &[&op.lhs, &op.rhs], &op.out),
            B::EqualElem(op) => self.compared(Relation::Equal, op),
            B::NotEqualElem(op) => self.compared(Relation::NotEqual, op),
            B::RepeatDim(op) => {
                let repeat = Op::Repeat { axis: op.dim, times: op.times };
                self.node(repeat, &[&op.tensor], &op.out)
            }
            B::Cat(op) => {
                let inputs: Vec<&TensorIr> = op.tensors.iter().collect();
                self.node(Op::Cat { axis: op.dim }, &inputs, &op.out)
            }
            B::Cast(op) => self.cast(&op.input, &op.out),
            B::Zeros(op) => self.full(0.0, &op.out),
            B::Ones(op) => self.full(1.0, &op.out),
            other => unknown(other),
        }
    }

    fn full(&mut self, value: f64, out: &TensorIr) -> Recorded {
        let full = Op::Full { value, shape: fixed(&out.shape), kind: ElementKind::from(out.dtype) };
        self.node(full, &[], out)
    }

    fn compared(&mut self, relation: Relation, op: &ScalarOpIr) -> Recorded {
        self.node(Op::CompareScalar(relation, number(op.rhs)), &[&op.lhs], &op.out)
    }

    fn scalar(&mut self, binary: Binary, op: &ScalarOpIr) -> Recorded {
        self.node(Op::Scalar(binary, number(op.rhs)), &[&op.lhs], &op.out)
    }

    fn reduce(&mut self, reduction: Reduction, op: &ReduceDimOpIr) -> Recorded {
        self.node(Op::Reduce { reduction, axes: vec![op.axis] }, &[&op.input], &op.out)
    }

    /// Over all axes, to one number.
    fn reduce_all(&mut self, reduction: Reduction, input: &TensorIr, out: &TensorIr) -> Recorded {
        let axes: Vec<usize> = (0..input.shape.num_dims()).collect();
        let id = self.leaf(input.id);
        let shape = vec![super::Dim::Fixed(1); axes.len()];
        let reduce = Op::Reduce { reduction, axes };
        let reduced = self.push(reduce, vec![id], shape, ElementKind::from(input.dtype));
        let reshape = Op::Reshape { shape: fixed(&out.shape) };
        let id = self.push(reshape, vec![reduced], fixed(&out.shape), ElementKind::from(out.dtype));
        self.ids.insert(out.id, id);
        Ok(())
    }

    fn numeric(&mut self, numeric: &NumericOperationIr) -> Recorded {
        use NumericOperationIr as N;
        let binary = |op: Binary| Op::Binary(op);
        match numeric {
            N::Add(op) => self.node(binary(Binary::Add), &[&op.lhs, &op.rhs], &op.out),
            N::Sub(op) => self.node(binary(Binary::Sub), &[&op.lhs, &op.rhs], &op.out),
            N::Mul(op) => self.node(binary(Binary::Mul), &[&op.lhs, &op.rhs], &op.out),
            N::Div(op) => self.node(binary(Binary::Div), &[&op.lhs, &op.rhs], &op.out),
            N::Rem(op) => self.node(binary(Binary::Rem), &[&op.lhs, &op.rhs], &op.out),
            N::AddScalar(op) => self.scalar(Binary::Add, op),
            N::SubScalar(op) => self.scalar(Binary::Sub, op),
            N::MulScalar(op) => self.scalar(Binary::Mul, op),
            N::DivScalar(op) => self.scalar(Binary::Div, op),
            N::RemScalar(op) => self.scalar(Binary::Rem, op),
            N::PowiScalar(op) => self.scalar(Binary::Pow, op),
            N::Abs(op) => self.node(Op::Unary(Unary::Abs), &[&op.input], &op.out),
            N::Neg(op) => self.node(Op::Unary(Unary::Neg), &[&op.input], &op.out),
            N::Sign(op) => self.node(Op::Unary(Unary::Sign), &[&op.input], &op.out),
            N::Full(op) => self.full(number(op.value), &op.out),
            N::MeanDim(op) => self.reduce(Reduction::Mean, op),
            N::SumDim(op) => self.reduce(Reduction::Sum, op),
            N::ProdDim(op) => self.reduce(Reduction::Prod, op),
            N::MaxDim(op) => self.reduce(Reduction::Max, op),
            N::MinDim(op) => self.reduce(Reduction::Min, op),
            N::SumDims(op) => {
                let sum = Op::Reduce { reduction: Reduction::Sum, axes: op.axes.clone() };
                self.node(sum, &[&op.input], &op.out)
            }
            N::Mean(op) => self.reduce_all(Reduction::Mean, &op.input, &op.out),
            N::Sum(op) => self.reduce_all(Reduction::Sum, &op.input, &op.out),
            N::Prod(op) => self.reduce_all(Reduction::Prod, &op.input, &op.out),
            N::Max(op) => self.reduce_all(Reduction::Max, &op.input, &op.out),
            N::Min(op) => self.reduce_all(Reduction::Min, &op.input, &op.out),
            N::Greater(op) => self.relation(Relation::Greater, &op.lhs, &op.rhs, &op.out),
            N::GreaterEqual(op) => self.relation(Relation::GreaterEqual, &op.lhs, &op.rhs, &op.out),
            N::Lower(op) => self.relation(Relation::Less, &op.lhs, &op.rhs, &op.out),
            N::LowerEqual(op) => self.relation(Relation::LessEqual, &op.lhs, &op.rhs, &op.out),
            N::GreaterElem(op) => self.compared(Relation::Greater, op),
            N::GreaterEqualElem(op) => self.compared(Relation::GreaterEqual, op),
            N::LowerElem(op) => self.compared(Relation::Less, op),
            N::LowerEqualElem(op) => self.compared(Relation::LessEqual, op),
            N::ArgMax(op) => self.node(Op::ArgMax { axis: op.axis }, &[&op.input], &op.out),
            N::CumSum(op) => self.node(Op::CumSum { axis: op.axis }, &[&op.input], &op.out),
            N::Clamp(op) => {
                let clamp = Op::Clamp { min: Some(number(op.min)), max: Some(number(op.max)) };
                self.node(clamp, &[&op.tensor], &op.out)
            }
            N::ClampMin(op) => {
                let clamp = Op::Clamp { min: Some(number(op.rhs)), max: None };
                self.node(clamp, &[&op.lhs], &op.out)
            }
            N::ClampMax(op) => {
                let clamp = Op::Clamp { min: None, max: Some(number(op.rhs)) };
                self.node(clamp, &[&op.lhs], &op.out)
            }
            N::Pad(op) => match op.mode {
                PadModeIr::Constant(value) => {
                    let pad = Op::Pad { padding: op.padding.clone(), value: number(value) };
                    self.node(pad, &[&op.input], &op.out)
                }
                _ => Err("padding by reflected or repeated values".into()),
            },
            other => unknown(other),
        }
    }

    fn relation(
        &mut self,
        relation: Relation,
        lhs: &TensorIr,
        rhs: &TensorIr,
        out: &TensorIr,
    ) -> Recorded {
        self.node(Op::Compare(relation), &[lhs, rhs], out)
    }

    fn float(&mut self, float: &FloatOperationIr) -> Recorded {
        use FloatOperationIr as F;
        let (unary, op) = match float {
            F::Exp(op) => (Unary::Exp, op),
            F::Log(op) => (Unary::Log, op),
            F::Log1p(op) => (Unary::Log1p, op),
            F::Erf(op) => (Unary::Erf, op),
            F::Sqrt(op) => (Unary::Sqrt, op),
            F::Cos(op) => (Unary::Cos, op),
            F::Sin(op) => (Unary::Sin, op),
            F::Round(op) => (Unary::Round, op),
            F::Floor(op) => (Unary::Floor, op),
            F::Ceil(op) => (Unary::Ceil, op),
            F::Recip(op) => (Unary::Recip, op),
            F::Tanh(op) => {
                return self.node(Op::Activation(Activation::Tanh), &[&op.input], &op.out);
            }
            F::Matmul(op) => return self.node(Op::MatMul, &[&op.lhs, &op.rhs], &op.out),
            F::PowfScalar(op) => return self.scalar(Binary::Pow, op),
            F::Powf(op) => {
                return self.node(Op::Binary(Binary::Pow), &[&op.lhs, &op.rhs], &op.out);
            }
            F::IntoInt(op) => return self.cast(&op.input, &op.out),
            F::Random(_) => return Err("random numbers".into()),
            other => return unknown(other),
        };
        self.node(Op::Unary(unary), &[&op.input], &op.out)
    }

    fn activation(&mut self, activation: &ActivationOperationIr) -> Recorded {
        use ActivationOperationIr as A;
        let (activation, op) = match activation {
            A::Relu(op) => (Activation::Relu, op),
            A::Gelu(op) => (Activation::Gelu, op),
            A::Sigmoid(op) => (Activation::Sigmoid, op),
            A::LeakyRelu(op) => {
                let leaky = Op::Activation(Activation::LeakyRelu(number(op.rhs)));
                return self.node(leaky, &[&op.lhs], &op.out);
            }
            A::PRelu(op) => return self.node(Op::PRelu, &[&op.lhs, &op.rhs], &op.out),
            A::HardSigmoid(op) => {
                let hard = Op::HardSigmoid { alpha: number(op.alpha), beta: number(op.beta) };
                return self.node(hard, &[&op.tensor], &op.out);
            }
            A::LogSigmoid(op) => {
                return self.node(Op::Unary(Unary::LogSigmoid), &[&op.input], &op.out);
            }
            A::Softmax(op) => {
                return self.node(Op::Softmax { axis: op.axis }, &[&op.input], &op.out);
            }
            A::LogSoftmax(op) => {
                return self.node(Op::LogSoftmax { axis: op.axis }, &[&op.input], &op.out);
            }
            other => return unknown(other),
        };
        self.node(Op::Activation(activation), &[&op.input], &op.out)
    }

    fn module(&mut self, module: &ModuleOperationIr) -> Recorded {
        use ModuleOperationIr as M;
        match module {
            M::Conv1d(op) => {
                let conv = Op::Conv1d {
                    stride: op.options.stride[0],
                    padding: op.options.padding[0],
                    dilation: op.options.dilation[0],
                    groups: op.options.groups,
                };
                self.layer(conv, &op.x, &op.weight, op.bias.as_ref(), &op.out)
            }
            M::Conv2d(op) => {
                let conv = Op::Conv2d {
                    stride: op.options.stride,
                    padding: op.options.padding,
                    dilation: op.options.dilation,
                    groups: op.options.groups,
                };
                self.layer(conv, &op.x, &op.weight, op.bias.as_ref(), &op.out)
            }
            M::ConvTranspose2d(op) => {
                let conv = Op::ConvTranspose2d {
                    stride: op.options.stride,
                    padding: op.options.padding,
                    padding_out: op.options.padding_out,
                    dilation: op.options.dilation,
                    groups: op.options.groups,
                };
                self.layer(conv, &op.x, &op.weight, op.bias.as_ref(), &op.out)
            }
            M::Linear(op) => self.layer(Op::Linear, &op.x, &op.weight, op.bias.as_ref(), &op.out),
            M::LayerNorm(op) => {
                let norm = Op::LayerNorm { epsilon: number(op.epsilon) };
                self.layer(norm, &op.input, &op.gamma, op.beta.as_ref(), &op.out)
            }
            M::BatchNorm(op) => {
                let norm =
                    Op::BatchNorm { epsilon: number(op.epsilon), momentum: 0.1, training: false };
                let inputs = [&op.x, &op.gamma, &op.beta, &op.mean, &op.variance];
                self.node(norm, &inputs, &op.out)
            }
            M::Embedding(op) => self.node(Op::Embedding, &[&op.weights, &op.indices], &op.out),
            M::MaxPool2d(op) => {
                let pool = Pool {
                    kernel: op.kernel_size,
                    stride: op.stride,
                    padding: op.padding,
                    dilation: op.dilation,
                    ceil_mode: op.ceil_mode,
                };
                self.node(Op::MaxPool2d(pool), &[&op.x], &op.out)
            }
            M::AvgPool2d(op) => {
                let pool = Pool {
                    kernel: op.kernel_size,
                    stride: op.stride,
                    padding: op.padding,
                    dilation: [1, 1],
                    ceil_mode: op.ceil_mode,
                };
                let count_include_pad = op.count_include_pad;
                self.node(Op::AvgPool2d { pool, count_include_pad }, &[&op.x], &op.out)
            }
            M::AdaptiveAvgPool2d(op) => {
                let pool = Op::AdaptiveAvgPool2d { output: op.output_size };
                self.node(pool, &[&op.x], &op.out)
            }
            M::Interpolate(op) => {
                let interpolate = Op::Interpolate {
                    output: op.output_size,
                    mode: match op.options.mode {
                        InterpolateModeIr::Nearest => Interpolation::Nearest,
                        InterpolateModeIr::NearestExact => Interpolation::NearestExact,
                        InterpolateModeIr::Bilinear => Interpolation::Bilinear,
                        InterpolateModeIr::Bicubic => Interpolation::Bicubic,
                        InterpolateModeIr::Lanczos3 => Interpolation::Lanczos3,
                    },
                    align_corners: op.options.align_corners,
                };
                self.node(interpolate, &[&op.x], &op.out)
            }
            M::Attention(op) => {
                let attention = Op::Attention {
                    scale: op.options.scale.map(number),
                    softcap: op.options.softcap.map(number),
                    causal: op.options.is_causal,
                    mask: op.mask.is_some(),
                    bias: op.attn_bias.is_some(),
                };
                let inputs: Vec<&TensorIr> = [&op.query, &op.key, &op.value]
                    .into_iter()
                    .chain(&op.mask)
                    .chain(&op.attn_bias)
                    .collect();
                self.node(attention, &inputs, &op.out)
            }
            other => unknown(other),
        }
    }

    /// A layer with a weight and perhaps a bias.
    fn layer(
        &mut self,
        op: Op,
        x: &TensorIr,
        weight: &TensorIr,
        bias: Option<&TensorIr>,
        out: &TensorIr,
    ) -> Recorded {
        let inputs: Vec<&TensorIr> = [x, weight].into_iter().chain(bias).collect();
        self.node(op, &inputs, out)
    }
}

fn number(scalar: ScalarIr) -> f64 {
    scalar.elem::<f64>()
}

/// Full axes are kept open, so that they may follow the batch.
fn ranges(slices: &[Slice], tensor: &TensorIr) -> std::result::Result<Vec<Range>, String> {
    let whole = Range { start: 0, end: None, step: 1 };
    let mut ranges = Vec::new();
    for (axis, &length) in tensor.shape.to_vec().iter().enumerate() {
        let Some(slice) = slices.get(axis) else {
            ranges.push(whole);
            continue;
        };
        if slice.step < 1 {
            return Err("a slice that runs backwards".into());
        }
        let place = |place: isize| {
            let place = if place < 0 { place + length as isize } else { place };
            place.clamp(0, length as isize) as usize
        };
        let (start, end) = (place(slice.start), slice.end.map_or(length, place));
        let step = slice.step as usize;
        let is_whole = start == 0 && end == length && step == 1;
        ranges.push(if is_whole { whole } else { Range { start, end: Some(end), step } });
    }
    Ok(ranges)
}

/// Names an operation that has no place in a graph.
fn unknown(operation: &impl std::fmt::Debug) -> Recorded {
    let text = format!("{operation:?}");
    let name = text.split(['(', ' ', '{']).next().unwrap_or(&text);
    Err(format!("the operation {name} is not known"))
}
