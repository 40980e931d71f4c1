//! One operation on tensors of any rank, on whatever device they are, gradients included.

use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::ops::{
    AttentionModuleOptions, ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions,
    PadMode,
};
use burn::tensor::{Bool, BoolDType, Device, DeviceSettings, Int, Scalar, Shape, Slice, Tensor};

use super::dim::lengths;
use super::{Binary, Dim, ElementKind, Interpolation, Op, Pool, Range, Reduction, Relation, Unary};
use crate::ops;

/// Calls the function of a kind: that of floating-point numbers, of integers, of true or false.
macro_rules! by_kind {
    ($kind:expr, [$float:ident, $int:ident, $bool:ident]($($argument:expr),*)) => {
        match $kind {
            ElementKind::Float => Dispatch::$float($($argument),*),
            ElementKind::Int => Dispatch::$int($($argument),*),
            ElementKind::Bool => Dispatch::$bool($($argument),*),
        }
    };
}

/// Everything but leaves and batch normalisations. `inputs` are of the number and kinds that the
/// graph was checked for.
#[allow(clippy::too_many_lines)] // A case an operation.
pub(super) fn run(
    op: &Op,
    mut inputs: Vec<DispatchTensor>,
    kind: ElementKind,
    batch: usize,
    device: &Device,
) -> DispatchTensor {
    let settings = device.settings();
    if let Op::Full { value, shape, kind } = op {
        return full(*value, shape, *kind, batch, device, &settings);
    }
    let rest = inputs.split_off(1);
    let x = inputs.pop().expect("operations have an input");
    let is_a_pair = rest.len() == 1;
    let mut rest = rest.into_iter();
    let mut next = || rest.next().expect("checked with the graph");
    match op {
        Op::Input | Op::Parameter | Op::Constant | Op::Full { .. } | Op::BatchNorm { .. } => {
            unreachable!("computed by the caller")
        }
        Op::Conv1d { stride, padding, dilation, groups } => {
            let options =
                ConvOptions::new_with_padding([*stride], [*padding], [*dilation], *groups);
            let weight = Tensor::from_dispatch(next());
            let bias = rest.next().map(Tensor::from_dispatch);
            ops::convolve1d(Tensor::from_dispatch(x), weight, bias, options).into_dispatch()
        }
        Op::Conv2d { stride, padding, dilation, groups } => {
            let options = ConvOptions::new_with_padding(*stride, *padding, *dilation, *groups);
            let weight = Tensor::from_dispatch(next());
            let bias = rest.next().map(Tensor::from_dispatch);
            ops::convolve2d(Tensor::from_dispatch(x), weight, bias, options).into_dispatch()
        }
        Op::ConvTranspose2d { stride, padding, padding_out, dilation, groups } => {
            let options =
                ConvTransposeOptions::new(*stride, *padding, *padding_out, *dilation, *groups);
            let weight = Tensor::from_dispatch(next());
            let bias = rest.next().map(Tensor::from_dispatch);
            let x = Tensor::from_dispatch(x);
            ops::convolve_transposed2d(x, weight, bias, options).into_dispatch()
        }
        Op::Linear => {
            let weight = Tensor::from_dispatch(next());
            let bias = rest.next().map(Tensor::from_dispatch);
            by_rows(x, |x| ops::affine(x, weight, bias))
        }
        Op::MatMul => Dispatch::float_matmul(x, next()),
        Op::FakeQuantize(how) => {
            let [scale, zero_point] = [next(), next()].map(Tensor::from_dispatch);
            let x = Tensor::<1>::from_dispatch(x);
            ops::fake_quantize(x, scale, zero_point, *how).into_dispatch()
        }
        Op::LayerNorm { epsilon } => {
            let gamma = Tensor::from_dispatch(next());
            let beta = rest.next().map(Tensor::from_dispatch);
            by_rows(x, |x| ops::normalize_rows(x, gamma, beta, *epsilon))
        }
        Op::Embedding => {
            let (table, indices) = (Tensor::from_dispatch(x), Tensor::from_dispatch(next()));
            ops::embed(table, indices).into_dispatch()
        }
        Op::Attention { scale, softcap, causal, mask, bias } => {
            let [key, value] = [next(), next()].map(Tensor::from_dispatch);
            let options =
                AttentionModuleOptions { scale: *scale, softcap: *softcap, is_causal: *causal };
            let mask = mask.then(&mut next).map(Tensor::from_dispatch);
            let bias = bias.then(&mut next).map(Tensor::from_dispatch);
            let query = Tensor::from_dispatch(x);
            ops::scaled_dot_product_attention(query, key, value, mask, bias, options)
                .into_dispatch()
        }
        Op::MaxPool2d(Pool { kernel, stride, padding, dilation, ceil_mode }) => {
            let padding = padding.map(|padding| (padding, padding));
            let x = Tensor::from_dispatch(x);
            ops::largest_of_windows(x, *kernel, *stride, padding, *dilation, *ceil_mode)
                .into_dispatch()
        }
        Op::AvgPool2d { pool, count_include_pad } => {
            let Pool { kernel, stride, padding, ceil_mode, .. } = *pool;
            let padding = padding.map(|padding| (padding, padding));
            let x = Tensor::from_dispatch(x);
            ops::mean_of_windows(x, kernel, stride, padding, *count_include_pad, ceil_mode)
                .into_dispatch()
        }
        Op::AdaptiveAvgPool2d { output } => {
            ops::adaptive_avg_pool2d(Tensor::from_dispatch(x), *output).into_dispatch()
        }
        Op::GlobalAvgPool => ops::global_avg_pool(Tensor::from_dispatch(x)).into_dispatch(),
        Op::Interpolate { output, mode, align_corners } => {
            let mode = match mode {
                Interpolation::Nearest => InterpolateMode::Nearest,
                Interpolation::NearestExact => InterpolateMode::NearestExact,
                Interpolation::Bilinear => InterpolateMode::Bilinear,
                Interpolation::Bicubic => InterpolateMode::Bicubic,
                Interpolation::Lanczos3 => InterpolateMode::Lanczos3,
            };
            let options = InterpolateOptions::new(mode).with_align_corners(*align_corners);
            Dispatch::interpolate(x, *output, options)
        }
        // Element by element, the rank does not matter.
        Op::Activation(activation) => {
            activation.forward(Tensor::<1>::from_dispatch(x)).into_dispatch()
        }
        Op::PRelu => Dispatch::prelu(x, next()),
        Op::HardSigmoid { alpha, beta } => {
            Dispatch::hard_sigmoid(x, (*alpha).into(), (*beta).into())
        }
        Op::Softmax { axis } => Dispatch::softmax(x, *axis),
        Op::LogSoftmax { axis } => Dispatch::log_softmax(x, *axis),
        Op::Unary(op) => unary(*op, x, kind),
        Op::Binary(op) => binary(*op, x, next(), kind),
        Op::Scalar(op, number) => scalar(*op, x, scalar_of(*number, kind), kind),
        Op::Compare(relation) => compare(*relation, x, next(), settings.bool_dtype),
        Op::CompareScalar(relation, number) => {
            compare_scalar(*relation, x, *number, settings.bool_dtype)
        }
        Op::Clamp { min, max } => clamp(x, min.as_ref(), max.as_ref(), kind),
        Op::Reduce { reduction, axes } => {
            axes.iter().fold(x, |x, &axis| reduce(*reduction, x, axis, kind))
        }
        Op::ArgMax { axis } => match kind_of(&x) {
            ElementKind::Int => Dispatch::int_argmax(x, *axis),
            _ => Dispatch::float_argmax(x, *axis, settings.int_dtype),
        },
        Op::CumSum { axis } => match kind {
            ElementKind::Int => Dispatch::int_cumsum(x, *axis),
            _ => Dispatch::float_cumsum(x, *axis),
        },
        Op::Reshape { shape } => reshape(x, lengths(shape, batch), kind),
        Op::Flatten { first, last } => {
            let mut shape = x.shape().to_vec();
            let joined = shape[*first..=*last].iter().product();
            shape.splice(*first..=*last, [joined]);
            reshape(x, shape, kind)
        }
        Op::Permute { axes } => by_kind!(kind, [float_permute, int_permute, bool_permute](x, axes)),
        Op::Expand { shape } => {
            let shape = Shape::from(lengths(shape, batch));
            by_kind!(kind, [float_expand, int_expand, bool_expand](x, shape))
        }
        Op::Flip { axes } => by_kind!(kind, [float_flip, int_flip, bool_flip](x, axes)),
        Op::Slice { ranges } => {
            let slices = slices(ranges, &x.shape().to_vec());
            by_kind!(kind, [float_slice, int_slice, bool_slice](x, &slices))
        }
        Op::Cat { axis }
            if is_a_pair && kind == ElementKind::Float && x.shape().num_dims() == 4 =>
        {
            let (first, second) = (Tensor::<4>::from_dispatch(x), Tensor::from_dispatch(next()));
            ops::concatenate(first, second, *axis).into_dispatch()
        }
        Op::Cat { axis } => {
            let all = std::iter::once(x).chain(rest).collect();
            by_kind!(kind, [float_cat, int_cat, bool_cat](all, *axis))
        }
        Op::Pad { padding, value } => match kind {
            ElementKind::Int => Dispatch::int_pad(x, padding, PadMode::Constant(*value as f32)),
            _ => Dispatch::float_pad(x, padding, PadMode::Constant(*value as f32)),
        },
        Op::Repeat { axis, times } => {
            by_kind!(kind, [float_repeat_dim, int_repeat_dim, bool_repeat_dim](x, *axis, *times))
        }
        Op::Select { axis } => {
            by_kind!(kind, [float_select, int_select, bool_select](x, *axis, next()))
        }
        Op::Gather { axis } => {
            by_kind!(kind, [float_gather, int_gather, bool_gather](*axis, x, next()))
        }
        Op::Cast { to } => cast(x, *to),
        Op::MaskFill { value } => {
            let mask = next();
            let value = scalar_of(*value, kind);
            by_kind!(kind, [float_mask_fill, int_mask_fill, bool_mask_fill](x, mask, value))
        }
        Op::MaskWhere => {
            let (mask, value) = (next(), next());
            by_kind!(kind, [float_mask_where, int_mask_where, bool_mask_where](x, mask, value))
        }
    }
}

fn kind_of(x: &DispatchTensor) -> ElementKind {
    ElementKind::from(x.dtype())
}

fn scalar_of(number: f64, kind: ElementKind) -> Scalar {
    match kind {
        ElementKind::Float => Scalar::Float(number),
        ElementKind::Int => Scalar::Int(number as i64),
        ElementKind::Bool => Scalar::Bool(number != 0.0),
    }
}

fn full(
    value: f64,
    shape: &[Dim],
    kind: ElementKind,
    batch: usize,
    device: &Device,
    settings: &DeviceSettings,
) -> DispatchTensor {
    let shape = Shape::from(lengths(shape, batch));
    let place = device.as_dispatch();
    match kind {
        ElementKind::Float => {
            Dispatch::float_full(shape, Scalar::Float(value), place, settings.float_dtype)
        }
        ElementKind::Int => {
            Dispatch::int_full(shape, Scalar::Int(value as i64), place, settings.int_dtype)
        }
        ElementKind::Bool if value == 0.0 => {
            Dispatch::bool_zeros(shape, place, settings.bool_dtype)
        }
        ElementKind::Bool => Dispatch::bool_ones(shape, place, settings.bool_dtype),
    }
}

/// What `of_rows` makes of all axes but the last as one.
fn by_rows(x: DispatchTensor, of_rows: impl FnOnce(Tensor<2>) -> Tensor<2>) -> DispatchTensor {
    let mut shape = x.shape().to_vec();
    let features = shape.pop().expect("such an operation's input has an axis");
    let rows: usize = shape.iter().product();
    let x = Dispatch::float_reshape(x, Shape::from(vec![rows, features]));
    let y = of_rows(Tensor::from_dispatch(x)).into_dispatch();
    shape.push(y.shape()[1]);
    Dispatch::float_reshape(y, Shape::from(shape))
}

fn reshape(x: DispatchTensor, shape: Vec<usize>, kind: ElementKind) -> DispatchTensor {
    let shape = Shape::from(shape);
    by_kind!(kind, [float_reshape, int_reshape, bool_reshape](x, shape))
}

fn unary(op: Unary, x: DispatchTensor, kind: ElementKind) -> DispatchTensor {
    if kind == ElementKind::Int {
        return match op {
            Unary::Neg => Dispatch::int_neg(x),
            Unary::Abs => Dispatch::int_abs(x),
            Unary::Sign => Dispatch::int_sign(x),
            _ => unreachable!("checked with the graph"),
        };
    }
    match op {
        Unary::Neg => Dispatch::float_neg(x),
        Unary::Abs => Dispatch::float_abs(x),
        Unary::Sign => Dispatch::float_sign(x),
        Unary::Exp => Dispatch::float_exp(x),
        Unary::Log => Dispatch::float_log(x),
        Unary::Log1p => Dispatch::float_log1p(x),
        Unary::Sqrt => Dispatch::float_sqrt(x),
        Unary::Recip => Dispatch::float_recip(x),
        Unary::Sin => Dispatch::float_sin(x),
        Unary::Cos => Dispatch::float_cos(x),
        Unary::Erf => Dispatch::float_erf(x),
        Unary::Round => Dispatch::float_round(x),
        Unary::Floor => Dispatch::float_floor(x),
        Unary::Ceil => Dispatch::float_ceil(x),
        Unary::LogSigmoid => Dispatch::log_sigmoid(x),
        Unary::Not => Dispatch::bool_not(x),
    }
}

fn binary(op: Binary, a: DispatchTensor, b: DispatchTensor, kind: ElementKind) -> DispatchTensor {
    match (op, kind) {
        (Binary::And, _) => Dispatch::bool_and(a, b),
        (Binary::Or, _) => Dispatch::bool_or(a, b),
        (Binary::Add, ElementKind::Int) => Dispatch::int_add(a, b),
        (Binary::Sub, ElementKind::Int) => Dispatch::int_sub(a, b),
        (Binary::Mul, ElementKind::Int) => Dispatch::int_mul(a, b),
        (Binary::Div, ElementKind::Int) => Dispatch::int_div(a, b),
        (Binary::Rem, ElementKind::Int) => Dispatch::int_remainder(a, b),
        (Binary::Pow, ElementKind::Int) => Dispatch::int_powi(a, b),
        (Binary::Add, _) => Dispatch::float_add(a, b),
        (Binary::Sub, _) => Dispatch::float_sub(a, b),
        (Binary::Mul, _) => Dispatch::float_mul(a, b),
        (Binary::Div, _) => Dispatch::float_div(a, b),
        (Binary::Rem, _) => Dispatch::float_remainder(a, b),
        (Binary::Pow, _) => Dispatch::float_powf(a, b),
    }
}

fn scalar(op: Binary, x: DispatchTensor, number: Scalar, kind: ElementKind) -> DispatchTensor {
    match (op, kind) {
        (Binary::Add, ElementKind::Int) => Dispatch::int_add_scalar(x, number),
        (Binary::Sub, ElementKind::Int) => Dispatch::int_sub_scalar(x, number),
        (Binary::Mul, ElementKind::Int) => Dispatch::int_mul_scalar(x, number),
        (Binary::Div, ElementKind::Int) => Dispatch::int_div_scalar(x, number),
        (Binary::Rem, ElementKind::Int) => Dispatch::int_remainder_scalar(x, number),
        (Binary::Pow, ElementKind::Int) => Dispatch::int_powi_scalar(x, number),
        (Binary::Add, _) => Dispatch::float_add_scalar(x, number),
        (Binary::Sub, _) => Dispatch::float_sub_scalar(x, number),
        (Binary::Mul, _) => Dispatch::float_mul_scalar(x, number),
        (Binary::Div, _) => Dispatch::float_div_scalar(x, number),
        (Binary::Rem, _) => Dispatch::float_remainder_scalar(x, number),
        (Binary::Pow, _) => Dispatch::float_powf_scalar(x, number),
        (Binary::And | Binary::Or, _) => unreachable!("checked with the graph"),
    }
}

fn compare(
    relation: Relation,
    a: DispatchTensor,
    b: DispatchTensor,
    dtype: BoolDType,
) -> DispatchTensor {
    use Relation as C;
    match (relation, kind_of(&a)) {
        (C::Equal, ElementKind::Bool) => Dispatch::bool_equal(a, b),
        (C::NotEqual, ElementKind::Bool) => Dispatch::bool_not_equal(a, b),
        (C::Equal, ElementKind::Int) => Dispatch::int_equal(a, b, dtype),
        (C::NotEqual, ElementKind::Int) => Dispatch::int_not_equal(a, b, dtype),
        (C::Greater, ElementKind::Int) => Dispatch::int_greater(a, b, dtype),
        (C::GreaterEqual, ElementKind::Int) => Dispatch::int_greater_equal(a, b, dtype),
        (C::Less, ElementKind::Int) => Dispatch::int_lower(a, b, dtype),
        (C::LessEqual, ElementKind::Int) => Dispatch::int_lower_equal(a, b, dtype),
        (C::Equal, _) => Dispatch::float_equal(a, b, dtype),
        (C::NotEqual, _) => Dispatch::float_not_equal(a, b, dtype),
        (C::Greater, _) => Dispatch::float_greater(a, b, dtype),
        (C::GreaterEqual, _) => Dispatch::float_greater_equal(a, b, dtype),
        (C::Less, _) => Dispatch::float_lower(a, b, dtype),
        (C::LessEqual, _) => Dispatch::float_lower_equal(a, b, dtype),
    }
}

fn compare_scalar(
    relation: Relation,
    x: DispatchTensor,
    number: f64,
    dtype: BoolDType,
) -> DispatchTensor {
    use Relation as C;
    let kind = kind_of(&x);
    let number = scalar_of(number, kind);
    match (relation, kind) {
        (C::Equal, ElementKind::Bool) => Dispatch::bool_equal_elem(x, number),
        (C::NotEqual, ElementKind::Bool) => Dispatch::bool_not_equal_elem(x, number),
        (C::Equal, ElementKind::Int) => Dispatch::int_equal_elem(x, number, dtype),
        (C::NotEqual, ElementKind::Int) => Dispatch::int_not_equal_elem(x, number, dtype),
        (C::Greater, ElementKind::Int) => Dispatch::int_greater_elem(x, number, dtype),
        (C::GreaterEqual, ElementKind::Int) => Dispatch::int_greater_equal_elem(x, number, dtype),
        (C::Less, ElementKind::Int) => Dispatch::int_lower_elem(x, number, dtype),
        (C::LessEqual, ElementKind::Int) => Dispatch::int_lower_equal_elem(x, number, dtype),
        (C::Equal, _) => Dispatch::float_equal_elem(x, number, dtype),
        (C::NotEqual, _) => Dispatch::float_not_equal_elem(x, number, dtype),
        (C::Greater, _) => Dispatch::float_greater_elem(x, number, dtype),
        (C::GreaterEqual, _) => Dispatch::float_greater_equal_elem(x, number, dtype),
        (C::Less, _) => Dispatch::float_lower_elem(x, number, dtype),
        (C::LessEqual, _) => Dispatch::float_lower_equal_elem(x, number, dtype),
    }
}

fn clamp(
    x: DispatchTensor,
    min: Option<&f64>,
    max: Option<&f64>,
    kind: ElementKind,
) -> DispatchTensor {
    let [min, max] = [min, max].map(|bound| bound.map(|&bound| scalar_of(bound, kind)));
    match (min, max, kind) {
        (Some(min), Some(max), ElementKind::Int) => Dispatch::int_clamp(x, min, max),
        (Some(min), None, ElementKind::Int) => Dispatch::int_clamp_min(x, min),
        (None, Some(max), ElementKind::Int) => Dispatch::int_clamp_max(x, max),
        (Some(min), Some(max), _) => Dispatch::float_clamp(x, min, max),
        (Some(min), None, _) => Dispatch::float_clamp_min(x, min),
        (None, Some(max), _) => Dispatch::float_clamp_max(x, max),
        (None, None, _) => x,
    }
}

fn reduce(
    reduction: Reduction,
    x: DispatchTensor,
    axis: usize,
    kind: ElementKind,
) -> DispatchTensor {
    match (reduction, kind) {
        (Reduction::Sum, ElementKind::Int) => Dispatch::int_sum_dim(x, axis),
        (Reduction::Mean, ElementKind::Int) => Dispatch::int_mean_dim(x, axis),
        (Reduction::Prod, ElementKind::Int) => Dispatch::int_prod_dim(x, axis),
        (Reduction::Max, ElementKind::Int) => Dispatch::int_max_dim(x, axis),
        (Reduction::Min, ElementKind::Int) => Dispatch::int_min_dim(x, axis),
        (Reduction::Sum, _) => Dispatch::float_sum_dim(x, axis),
        (Reduction::Mean, _) => Dispatch::float_mean_dim(x, axis),
        (Reduction::Prod, _) => Dispatch::float_prod_dim(x, axis),
        (Reduction::Max, _) => Dispatch::float_max_dim(x, axis),
        (Reduction::Min, _) => Dispatch::float_min_dim(x, axis),
    }
}

fn cast(x: DispatchTensor, to: ElementKind) -> DispatchTensor {
    match (kind_of(&x), to) {
        (ElementKind::Float, ElementKind::Int) => {
            Tensor::<1>::from_dispatch(x).int().into_dispatch()
        }
        (ElementKind::Int, ElementKind::Float) => {
            Tensor::<1, Int>::from_dispatch(x).float().into_dispatch()
        }
        (ElementKind::Bool, ElementKind::Float) => {
            Tensor::<1, Bool>::from_dispatch(x).float().into_dispatch()
        }
        (ElementKind::Bool, ElementKind::Int) => {
            Tensor::<1, Bool>::from_dispatch(x).int().into_dispatch()
        }
        (ElementKind::Float | ElementKind::Int, ElementKind::Bool) => {
            let dtype = super::AnyTensor(x.clone()).device().settings().bool_dtype;
            compare_scalar(Relation::NotEqual, x, 0.0, dtype)
        }
        _ => x,
    }
}

fn slices(ranges: &[Range], shape: &[usize]) -> Vec<Slice> {
    ranges
        .iter()
        .zip(shape)
        .map(|(range, &length)| {
            let end = range.end.unwrap_or(length) as isize;
            Slice::new(range.start as isize, Some(end), range.step as isize)
        })
        .collect()
}
