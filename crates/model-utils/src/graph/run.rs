//! One operation on tensors of any rank, on whatever device they are, gradients included.

use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::ops::{
    AttentionModuleOptions, ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions,
    PadMode,
};
use burn::tensor::{Bool, BoolDType, Device, DeviceSettings, Int, Scalar, Shape, Slice, Tensor};

use super::dim::lengths;
use super::{Binary, Comparison, Dim, Interpolation, Kind, Op, Pool, Range, Reduction, Unary};
use crate::ops;

/// Everything but leaves and batch normalisations. `inputs` are of the number and kinds that the
/// graph was checked for.
#[allow(clippy::too_many_lines)] // A case an operation.
pub(super) fn run(
    op: &Op,
    mut inputs: Vec<DispatchTensor>,
    kind: Kind,
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
            let weight = next();
            Dispatch::conv1d(x, weight, rest.next(), options)
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
            let weight = next();
            Dispatch::conv_transpose2d(x, weight, rest.next(), options)
        }
        Op::Linear => linear(x, next(), rest.next()),
        Op::MatMul => Dispatch::float_matmul(x, next()),
        Op::FakeQuantize(how) => {
            let [scale, zero_point] = [next(), next()].map(Tensor::from_dispatch);
            let x = Tensor::<1>::from_dispatch(x);
            ops::fake_quantize(x, scale, zero_point, *how).into_dispatch()
        }
        Op::LayerNorm { epsilon } => {
            let scale = next();
            Dispatch::layer_norm(x, scale, rest.next(), *epsilon)
        }
        Op::Embedding => Dispatch::embedding(x, next()),
        Op::Attention { scale, softcap, causal, mask, bias } => {
            let (key, value) = (next(), next());
            let options =
                AttentionModuleOptions { scale: *scale, softcap: *softcap, is_causal: *causal };
            let mask = mask.then(&mut next);
            let bias = bias.then(&mut next);
            Dispatch::attention(x, key, value, mask, bias, options)
        }
        Op::MaxPool2d(Pool { kernel, stride, padding, dilation, ceil_mode }) => {
            Dispatch::max_pool2d(x, *kernel, *stride, *padding, *dilation, *ceil_mode)
        }
        Op::AvgPool2d { pool, count_include_pad } => {
            let Pool { kernel, stride, padding, ceil_mode, .. } = *pool;
            Dispatch::avg_pool2d(x, kernel, stride, padding, *count_include_pad, ceil_mode)
        }
        Op::AdaptiveAvgPool2d { output } => Dispatch::adaptive_avg_pool2d(x, *output),
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
        Op::Compare(comparison) => compare(*comparison, x, next(), settings.bool_dtype),
        Op::CompareScalar(comparison, number) => {
            compare_scalar(*comparison, x, *number, settings.bool_dtype)
        }
        Op::Clamp { min, max } => clamp(x, min.as_ref(), max.as_ref(), kind),
        Op::Reduce { reduction, axes } => {
            axes.iter().fold(x, |x, &axis| reduce(*reduction, x, axis, kind))
        }
        Op::ArgMax { axis } => match kind_of(&x) {
            Kind::Int => Dispatch::int_argmax(x, *axis),
            _ => Dispatch::float_argmax(x, *axis, settings.int_dtype),
        },
        Op::CumSum { axis } => match kind {
            Kind::Int => Dispatch::int_cumsum(x, *axis),
            _ => Dispatch::float_cumsum(x, *axis),
        },
        Op::Reshape { shape } => reshape(x, lengths(shape, batch), kind),
        Op::Flatten { first, last } => {
            let mut shape = x.shape().to_vec();
            let joined = shape[*first..=*last].iter().product();
            shape.splice(*first..=*last, [joined]);
            reshape(x, shape, kind)
        }
        Op::Permute { axes } => match kind {
            Kind::Float => Dispatch::float_permute(x, axes),
            Kind::Int => Dispatch::int_permute(x, axes),
            Kind::Bool => Dispatch::bool_permute(x, axes),
        },
        Op::Expand { shape } => {
            let shape = Shape::from(lengths(shape, batch));
            match kind {
                Kind::Float => Dispatch::float_expand(x, shape),
                Kind::Int => Dispatch::int_expand(x, shape),
                Kind::Bool => Dispatch::bool_expand(x, shape),
            }
        }
        Op::Flip { axes } => match kind {
            Kind::Float => Dispatch::float_flip(x, axes),
            Kind::Int => Dispatch::int_flip(x, axes),
            Kind::Bool => Dispatch::bool_flip(x, axes),
        },
        Op::Slice { ranges } => {
            let slices = slices(ranges, &x.shape().to_vec());
            match kind {
                Kind::Float => Dispatch::float_slice(x, &slices),
                Kind::Int => Dispatch::int_slice(x, &slices),
                Kind::Bool => Dispatch::bool_slice(x, &slices),
            }
        }
        Op::Cat { axis } if is_a_pair && kind == Kind::Float && x.shape().num_dims() == 4 => {
            let (first, second) = (Tensor::<4>::from_dispatch(x), Tensor::from_dispatch(next()));
            ops::concatenate(first, second, *axis).into_dispatch()
        }
        Op::Cat { axis } => {
            let all = std::iter::once(x).chain(rest).collect();
            match kind {
                Kind::Float => Dispatch::float_cat(all, *axis),
                Kind::Int => Dispatch::int_cat(all, *axis),
                Kind::Bool => Dispatch::bool_cat(all, *axis),
            }
        }
        Op::Pad { padding, value } => match kind {
            Kind::Int => Dispatch::int_pad(x, padding, PadMode::Constant(*value as f32)),
            _ => Dispatch::float_pad(x, padding, PadMode::Constant(*value as f32)),
        },
        Op::Repeat { axis, times } => match kind {
            Kind::Float => Dispatch::float_repeat_dim(x, *axis, *times),
            Kind::Int => Dispatch::int_repeat_dim(x, *axis, *times),
            Kind::Bool => Dispatch::bool_repeat_dim(x, *axis, *times),
        },
        Op::Select { axis } => match kind {
            Kind::Float => Dispatch::float_select(x, *axis, next()),
            Kind::Int => Dispatch::int_select(x, *axis, next()),
            Kind::Bool => Dispatch::bool_select(x, *axis, next()),
        },
        Op::Gather { axis } => match kind {
            Kind::Float => Dispatch::float_gather(*axis, x, next()),
            Kind::Int => Dispatch::int_gather(*axis, x, next()),
            Kind::Bool => Dispatch::bool_gather(*axis, x, next()),
        },
        Op::Cast { to } => cast(x, *to),
        Op::MaskFill { value } => {
            let mask = next();
            let value = scalar_of(*value, kind);
            match kind {
                Kind::Float => Dispatch::float_mask_fill(x, mask, value),
                Kind::Int => Dispatch::int_mask_fill(x, mask, value),
                Kind::Bool => Dispatch::bool_mask_fill(x, mask, value),
            }
        }
        Op::MaskWhere => {
            let (mask, value) = (next(), next());
            match kind {
                Kind::Float => Dispatch::float_mask_where(x, mask, value),
                Kind::Int => Dispatch::int_mask_where(x, mask, value),
                Kind::Bool => Dispatch::bool_mask_where(x, mask, value),
            }
        }
    }
}

fn kind_of(x: &DispatchTensor) -> Kind {
    Kind::of(x.dtype())
}

fn scalar_of(number: f64, kind: Kind) -> Scalar {
    match kind {
        Kind::Float => Scalar::Float(number),
        Kind::Int => Scalar::Int(number as i64),
        Kind::Bool => Scalar::Bool(number != 0.0),
    }
}

fn full(
    value: f64,
    shape: &[Dim],
    kind: Kind,
    batch: usize,
    device: &Device,
    settings: &DeviceSettings,
) -> DispatchTensor {
    let shape = Shape::from(lengths(shape, batch));
    let place = device.as_dispatch();
    match kind {
        Kind::Float => {
            Dispatch::float_full(shape, Scalar::Float(value), place, settings.float_dtype)
        }
        Kind::Int => {
            Dispatch::int_full(shape, Scalar::Int(value as i64), place, settings.int_dtype)
        }
        Kind::Bool if value == 0.0 => Dispatch::bool_zeros(shape, place, settings.bool_dtype),
        Kind::Bool => Dispatch::bool_ones(shape, place, settings.bool_dtype),
    }
}

/// Rows of any number of axes.
fn linear(
    x: DispatchTensor,
    weight: DispatchTensor,
    bias: Option<DispatchTensor>,
) -> DispatchTensor {
    let mut shape = x.shape().to_vec();
    let features = shape.pop().expect("a linear layer's input has an axis");
    let rows: usize = shape.iter().product();
    let x = Dispatch::float_reshape(x, Shape::from(vec![rows, features]));
    let y = Dispatch::linear(x, weight, bias);
    shape.push(y.shape()[1]);
    Dispatch::float_reshape(y, Shape::from(shape))
}

fn reshape(x: DispatchTensor, shape: Vec<usize>, kind: Kind) -> DispatchTensor {
    let shape = Shape::from(shape);
    match kind {
        Kind::Float => Dispatch::float_reshape(x, shape),
        Kind::Int => Dispatch::int_reshape(x, shape),
        Kind::Bool => Dispatch::bool_reshape(x, shape),
    }
}

fn unary(op: Unary, x: DispatchTensor, kind: Kind) -> DispatchTensor {
    if kind == Kind::Int {
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

fn binary(op: Binary, a: DispatchTensor, b: DispatchTensor, kind: Kind) -> DispatchTensor {
    match (op, kind) {
        (Binary::And, _) => Dispatch::bool_and(a, b),
        (Binary::Or, _) => Dispatch::bool_or(a, b),
        (Binary::Add, Kind::Int) => Dispatch::int_add(a, b),
        (Binary::Sub, Kind::Int) => Dispatch::int_sub(a, b),
        (Binary::Mul, Kind::Int) => Dispatch::int_mul(a, b),
        (Binary::Div, Kind::Int) => Dispatch::int_div(a, b),
        (Binary::Rem, Kind::Int) => Dispatch::int_remainder(a, b),
        (Binary::Pow, Kind::Int) => Dispatch::int_powi(a, b),
        (Binary::Add, _) => Dispatch::float_add(a, b),
        (Binary::Sub, _) => Dispatch::float_sub(a, b),
        (Binary::Mul, _) => Dispatch::float_mul(a, b),
        (Binary::Div, _) => Dispatch::float_div(a, b),
        (Binary::Rem, _) => Dispatch::float_remainder(a, b),
        (Binary::Pow, _) => Dispatch::float_powf(a, b),
    }
}

fn scalar(op: Binary, x: DispatchTensor, number: Scalar, kind: Kind) -> DispatchTensor {
    match (op, kind) {
        (Binary::Add, Kind::Int) => Dispatch::int_add_scalar(x, number),
        (Binary::Sub, Kind::Int) => Dispatch::int_sub_scalar(x, number),
        (Binary::Mul, Kind::Int) => Dispatch::int_mul_scalar(x, number),
        (Binary::Div, Kind::Int) => Dispatch::int_div_scalar(x, number),
        (Binary::Rem, Kind::Int) => Dispatch::int_remainder_scalar(x, number),
        (Binary::Pow, Kind::Int) => Dispatch::int_powi_scalar(x, number),
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
    comparison: Comparison,
    a: DispatchTensor,
    b: DispatchTensor,
    dtype: BoolDType,
) -> DispatchTensor {
    use Comparison as C;
    match (comparison, kind_of(&a)) {
        (C::Equal, Kind::Bool) => Dispatch::bool_equal(a, b),
        (C::NotEqual, Kind::Bool) => Dispatch::bool_not_equal(a, b),
        (C::Equal, Kind::Int) => Dispatch::int_equal(a, b, dtype),
        (C::NotEqual, Kind::Int) => Dispatch::int_not_equal(a, b, dtype),
        (C::Greater, Kind::Int) => Dispatch::int_greater(a, b, dtype),
        (C::GreaterEqual, Kind::Int) => Dispatch::int_greater_equal(a, b, dtype),
        (C::Less, Kind::Int) => Dispatch::int_lower(a, b, dtype),
        (C::LessEqual, Kind::Int) => Dispatch::int_lower_equal(a, b, dtype),
        (C::Equal, _) => Dispatch::float_equal(a, b, dtype),
        (C::NotEqual, _) => Dispatch::float_not_equal(a, b, dtype),
        (C::Greater, _) => Dispatch::float_greater(a, b, dtype),
        (C::GreaterEqual, _) => Dispatch::float_greater_equal(a, b, dtype),
        (C::Less, _) => Dispatch::float_lower(a, b, dtype),
        (C::LessEqual, _) => Dispatch::float_lower_equal(a, b, dtype),
    }
}

fn compare_scalar(
    comparison: Comparison,
    x: DispatchTensor,
    number: f64,
    dtype: BoolDType,
) -> DispatchTensor {
    use Comparison as C;
    let kind = kind_of(&x);
    let number = scalar_of(number, kind);
    match (comparison, kind) {
        (C::Equal, Kind::Bool) => Dispatch::bool_equal_elem(x, number),
        (C::NotEqual, Kind::Bool) => Dispatch::bool_not_equal_elem(x, number),
        (C::Equal, Kind::Int) => Dispatch::int_equal_elem(x, number, dtype),
        (C::NotEqual, Kind::Int) => Dispatch::int_not_equal_elem(x, number, dtype),
        (C::Greater, Kind::Int) => Dispatch::int_greater_elem(x, number, dtype),
        (C::GreaterEqual, Kind::Int) => Dispatch::int_greater_equal_elem(x, number, dtype),
        (C::Less, Kind::Int) => Dispatch::int_lower_elem(x, number, dtype),
        (C::LessEqual, Kind::Int) => Dispatch::int_lower_equal_elem(x, number, dtype),
        (C::Equal, _) => Dispatch::float_equal_elem(x, number, dtype),
        (C::NotEqual, _) => Dispatch::float_not_equal_elem(x, number, dtype),
        (C::Greater, _) => Dispatch::float_greater_elem(x, number, dtype),
        (C::GreaterEqual, _) => Dispatch::float_greater_equal_elem(x, number, dtype),
        (C::Less, _) => Dispatch::float_lower_elem(x, number, dtype),
        (C::LessEqual, _) => Dispatch::float_lower_equal_elem(x, number, dtype),
    }
}

fn clamp(x: DispatchTensor, min: Option<&f64>, max: Option<&f64>, kind: Kind) -> DispatchTensor {
    let [min, max] = [min, max].map(|bound| bound.map(|&bound| scalar_of(bound, kind)));
    match (min, max, kind) {
        (Some(min), Some(max), Kind::Int) => Dispatch::int_clamp(x, min, max),
        (Some(min), None, Kind::Int) => Dispatch::int_clamp_min(x, min),
        (None, Some(max), Kind::Int) => Dispatch::int_clamp_max(x, max),
        (Some(min), Some(max), _) => Dispatch::float_clamp(x, min, max),
        (Some(min), None, _) => Dispatch::float_clamp_min(x, min),
        (None, Some(max), _) => Dispatch::float_clamp_max(x, max),
        (None, None, _) => x,
    }
}

fn reduce(reduction: Reduction, x: DispatchTensor, axis: usize, kind: Kind) -> DispatchTensor {
    match (reduction, kind) {
        (Reduction::Sum, Kind::Int) => Dispatch::int_sum_dim(x, axis),
        (Reduction::Mean, Kind::Int) => Dispatch::int_mean_dim(x, axis),
        (Reduction::Prod, Kind::Int) => Dispatch::int_prod_dim(x, axis),
        (Reduction::Max, Kind::Int) => Dispatch::int_max_dim(x, axis),
        (Reduction::Min, Kind::Int) => Dispatch::int_min_dim(x, axis),
        (Reduction::Sum, _) => Dispatch::float_sum_dim(x, axis),
        (Reduction::Mean, _) => Dispatch::float_mean_dim(x, axis),
        (Reduction::Prod, _) => Dispatch::float_prod_dim(x, axis),
        (Reduction::Max, _) => Dispatch::float_max_dim(x, axis),
        (Reduction::Min, _) => Dispatch::float_min_dim(x, axis),
    }
}

fn cast(x: DispatchTensor, to: Kind) -> DispatchTensor {
    match (kind_of(&x), to) {
        (Kind::Float, Kind::Int) => Tensor::<1>::from_dispatch(x).int().into_dispatch(),
        (Kind::Int, Kind::Float) => Tensor::<1, Int>::from_dispatch(x).float().into_dispatch(),
        (Kind::Bool, Kind::Float) => Tensor::<1, Bool>::from_dispatch(x).float().into_dispatch(),
        (Kind::Bool, Kind::Int) => Tensor::<1, Bool>::from_dispatch(x).int().into_dispatch(),
        (Kind::Float | Kind::Int, Kind::Bool) => {
            let dtype = super::AnyTensor(x.clone()).device().settings().bool_dtype;
            compare_scalar(Comparison::NotEqual, x, 0.0, dtype)
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
