//! Operations of the `flex` device without autodiff: each one pass over memory, on all cores.

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use rayon::prelude::*;

use super::conv2d::forward_by_columns;
use super::geometry::Geometry;
use super::{FlexTensor, batch_norm, changed, convolve, is_float_on_flex, planes, tensor};
use crate::ops::FakeQuantize;

/// Numbers that are copied at once.
const COPY: usize = 1 << 15;

/// Whether the operations here apply: 32-bit floats on `flex` without autodiff.
pub(in crate::ops) fn applies<const D: usize>(x: &Tensor<D>) -> bool {
    !x.device().is_autodiff() && is_float_on_flex(x)
}

/// A convolution.
pub(in crate::ops) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::conv2d_biased(x, weight, bias.into_dispatch(), options),
        None => Dispatch::conv2d_plain(x, weight, options),
    })
}

/// `(x − mean) · γ / √(variance + ε) + β` of `[batch, channels, …]`.
pub(in crate::ops) fn normalise<const D: usize>(
    x: Tensor<D>,
    [gamma, beta, mean, variance]: [Tensor<1>; 4],
    epsilon: f64,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::normalise(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        epsilon,
    ))
}

/// max(x, 0).
pub(in crate::ops) fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::rectify(x.into_dispatch()))
}

/// min(max(x, 0), 6).
pub(in crate::ops) fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::rectify_to_6(x.into_dispatch()))
}

/// Two tensors one after the other along an axis.
pub(in crate::ops) fn concatenate<const D: usize>(
    first: Tensor<D>,
    second: Tensor<D>,
    axis: usize,
) -> Tensor<D> {
    let (first, second) = (first.into_dispatch(), second.into_dispatch());
    Tensor::from_dispatch(Dispatch::concatenate(first, second, axis))
}

/// Rounding to the real numbers that integers stand for.
pub(in crate::ops) fn fake_quantize<const D: usize>(
    x: Tensor<D>,
    scale: Tensor<1>,
    zero_point: Tensor<1>,
    how: FakeQuantize,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fake_quantize_inference(
        x.into_dispatch(),
        scale.into_dispatch(),
        zero_point.into_dispatch(),
        how,
    ))
}

/// What the `flex` device adds to Burn's backends where nothing is to be derived.
#[backend_extension(Flex)]
trait Inference: Backend {
    fn conv2d_plain(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    fn conv2d_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    fn normalise(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn rectify_to_6(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn concatenate(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        axis: usize,
    ) -> FloatTensor<Self>;

    fn fake_quantize_inference(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        zero_point: FloatTensor<Self>,
        how: FakeQuantize,
    ) -> FloatTensor<Self>;
}

impl Inference for Flex {
    fn conv2d_plain(x: FlexTensor, weight: FlexTensor, options: ConvOptions<2>) -> FlexTensor {
        convolve(x, weight, None, options)
    }

    fn conv2d_biased(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        convolve(x, weight, Some(bias), options)
    }

    fn normalise(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        let shape = planes(&x);
        let [x, gamma, beta, mean, variance] =
            [x, gamma, beta, mean, variance].map(|numbers| numbers.to_contiguous());
        let statistics = (mean.storage(), variance.storage());
        let (gamma, beta) = (gamma.storage(), beta.storage());
        let output = batch_norm::normalise(x.storage(), shape, gamma, beta, statistics, epsilon);
        tensor(output, x.shape())
    }

    fn rectify(x: FlexTensor) -> FlexTensor {
        changed(x, |_, x| {
            for x in x {
                *x = if *x < 0.0 { 0.0 } else { *x };
            }
        })
    }

    fn rectify_to_6(x: FlexTensor) -> FlexTensor {
        changed(x, |_, x| super::relu6::clamp(x))
    }

    fn concatenate(first: FlexTensor, second: FlexTensor, axis: usize) -> FlexTensor {
        let (first, second) = (first.to_contiguous(), second.to_contiguous());
        let mut shape = first.shape();
        let inner = |x: &FlexTensor| x.shape()[axis..].iter().product::<usize>();
        let lengths = [inner(&first), inner(&second)];
        shape[axis] += second.shape()[axis];
        tensor(interleaved([first.storage(), second.storage()], lengths), shape)
    }

    fn fake_quantize_inference(
        x: FlexTensor,
        scale: FlexTensor,
        zero_point: FlexTensor,
        how: FakeQuantize,
    ) -> FlexTensor {
        super::fake_quantize::forward(x, scale, zero_point, how)
    }
}

/// Chunks of these lengths of both in turn.
fn interleaved(numbers: [&[f32]; 2], lengths: [usize; 2]) -> Vec<f32> {
    let total = numbers[0].len() + numbers[1].len();
    let mut all = Vec::with_capacity(total);
    let copies: Vec<_> = {
        let mut rest = &mut all.spare_capacity_mut()[..total];
        let mut chunks = numbers.map(|numbers| numbers);
        let mut copies = Vec::new();
        while !rest.is_empty() {
            for (chunks, length) in chunks.iter_mut().zip(lengths) {
                let from = chunks.split_off(..length).expect("as many chunks of both");
                let to = rest.split_off_mut(..length).expect("as long as both together");
                copies.extend(from.chunks(COPY).zip(to.chunks_mut(COPY)));
            }
        }
        copies
    };
    copies.into_par_iter().for_each(|(from, to)| {
        to.write_copy_of_slice(from);
    });
    // SAFETY: the copies wrote each of the `total` numbers.
    unsafe { all.set_len(total) };
    all
}

/// By the way of this crate where it is the faster one.
pub(super) fn convolve(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    options: ConvOptions<2>,
) -> FlexTensor {
    let (input, kernel): ([usize; 4], [usize; 4]) = (x.shape().dims(), weight.shape().dims());
    let geometry = Geometry::of_forward(input, kernel, &options);
    let Some(geometry) = geometry.filter(|of| of.has_many_small_planes() || convolve::applies(of))
    else {
        return Flex::conv2d(x, weight, bias, options);
    };
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let bias = bias.map(|bias| bias.to_contiguous());
    let bias = bias.as_ref().map(FlexTensor::storage);
    let forward =
        if geometry.has_many_small_planes() { forward_by_columns } else { convolve::forward };
    let output = forward(x.storage(), weight.storage(), bias, &geometry);
    tensor(output, geometry.output_shape())
}
