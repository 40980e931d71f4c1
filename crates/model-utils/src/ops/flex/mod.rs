//! Operations of the `flex` device that this crate computes itself: in training with a backward pass
//! of their own, without autodiff in [`inference`].
//!
//! Burn composes the backward passes of batch normalisation, clamping and convolution of general
//! operations; on `flex` that costs many passes over memory and, for a convolution, up to 25
//! forwards. Here each is written directly. Results differ from Burn's by rounding alone.
// Only what is inlined into `parallel::vectorised` is compiled for the widest vectors.
#![allow(clippy::inline_always)]

mod attention;
mod backward;
mod batch_norm;
mod conv2d;
mod convolve;
mod cross_entropy;
mod dropout;
mod exponential;
mod fake_quantize;
mod few_rows;
mod gates;
mod geometry;
pub(super) mod inference;
mod layer_norm;
mod leaky_relu;
mod linear;
mod matrix;
mod parallel;
pub(super) mod recurrence;
mod relu6;
mod rotary;
pub(super) mod rows;
mod tanh;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward as _, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata,
    backend_extension,
};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, Tensor, TensorData};

use backward::{
    BatchNormBackward, Conv2dBackward, ConvTranspose2dBackward, LeakyReluBackward, Relu6Backward,
    TanhBackward,
};
use geometry::Geometry;
use parallel::{for_each_chunk, written};

use super::FakeQuantize;

/// Whether it is a training on `flex` in 32-bit floats, whose backward passes are here.
pub(super) fn trains<const D: usize>(x: &Tensor<D>) -> bool {
    x.device().is_autodiff() && is_float_on_flex(x)
}

fn is_float_on_flex<const D: usize>(x: &Tensor<D>) -> bool {
    let device = x.device().inner();
    x.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// Batch normalisation of `[batch, channels, …]`, with the batch's mean and biased variance.
pub(super) fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    let (output, mean, variance) = Dispatch::batch_norm_training(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    (Tensor::from_dispatch(output), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

/// min(max(x, 0), 6).
pub(super) fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::relu6_training(x.into_dispatch()))
}

/// The hyperbolic tangent.
pub(super) fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::tanh_training(x.into_dispatch()))
}

/// A convolution without bias.
pub(super) fn conv2d(x: Tensor<4>, weight: Tensor<4>, options: ConvOptions<2>) -> Tensor<4> {
    let convolved = Dispatch::conv2d_training(x.into_dispatch(), weight.into_dispatch(), options);
    Tensor::from_dispatch(convolved)
}

/// A transposed convolution without bias.
pub(super) fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    options: ConvTransposeOptions<2>,
) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::conv_transpose2d_training(
        x.into_dispatch(),
        weight.into_dispatch(),
        options,
    ))
}

/// max(x, slope·x), with 0 < slope < 1.
pub(super) fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::leaky_relu_training(x.into_dispatch(), slope))
}

/// Rounding to the real numbers that integers stand for.
pub(super) fn fake_quantize<const D: usize>(
    x: Tensor<D>,
    scale: Tensor<1>,
    zero_point: Tensor<1>,
    how: FakeQuantize,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fake_quantize_training(
        x.into_dispatch(),
        scale.into_dispatch(),
        zero_point.into_dispatch(),
        how,
    ))
}

/// What the `flex` device adds to Burn's backends.
#[backend_extension(Flex, Autodiff)]
trait Training: Backend {
    fn batch_norm_training(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn relu6_training(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn tanh_training(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn conv2d_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    fn conv_transpose2d_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvTransposeOptions<2>,
    ) -> FloatTensor<Self>;

    fn leaky_relu_training(x: FloatTensor<Self>, slope: f64) -> FloatTensor<Self>;

    fn fake_quantize_training(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        zero_point: FloatTensor<Self>,
        how: FakeQuantize,
    ) -> FloatTensor<Self>;
}

type FlexTensor = FloatTensor<Flex>;

impl Training for Flex {
    fn batch_norm_training(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let shape = planes(&x);
        let (x, gamma, beta) = (x.to_contiguous(), gamma.to_contiguous(), beta.to_contiguous());
        let over = super::sync_batch_norm::over();
        let (means, variances) = batch_norm::statistics(x.storage(), shape, over.as_deref());
        let statistics = (means.as_slice(), variances.as_slice());
        let output = batch_norm::normalise(
            x.storage(),
            shape,
            gamma.storage(),
            beta.storage(),
            statistics,
            epsilon,
        );
        let channels = [shape[1]];
        (tensor(output, x.shape()), tensor(means, channels), tensor(variances, channels))
    }

    fn relu6_training(x: FlexTensor) -> FlexTensor {
        changed(x, |_, x| relu6::clamp(x))
    }

    fn tanh_training(x: FlexTensor) -> FlexTensor {
        changed(x, |_, x| tanh::tanh(x))
    }

    fn conv2d_training(x: FlexTensor, weight: FlexTensor, options: ConvOptions<2>) -> FlexTensor {
        inference::convolve(x, weight, None, options)
    }

    fn conv_transpose2d_training(
        x: FlexTensor,
        weight: FlexTensor,
        options: ConvTransposeOptions<2>,
    ) -> FlexTensor {
        let [x, weight] = [x.to_contiguous(), weight.to_contiguous()];
        match Transposed::new(x.shape().dims(), weight.shape().dims(), &options) {
            // The convolution that it is the transpose of would send this gradient back.
            Some(Transposed { geometry, output, .. }) => {
                let gradients =
                    conv2d::backward(&[], weight.storage(), x.storage(), &geometry, [true, false]);
                tensor(gradients.x.expect("it is wanted"), output)
            }
            None => Self::conv_transpose2d(x, weight, None, options),
        }
    }

    fn leaky_relu_training(x: FlexTensor, slope: f64) -> FlexTensor {
        changed(x, |_, x| leaky_relu::leaky_relu(x, slope as f32))
    }

    fn fake_quantize_training(
        x: FlexTensor,
        scale: FlexTensor,
        zero_point: FlexTensor,
        how: FakeQuantize,
    ) -> FlexTensor {
        fake_quantize::forward(x, scale, zero_point, how)
    }
}

/// A transposed convolution as the backward pass of a convolution.
struct Transposed {
    geometry: Geometry,
    options: ConvOptions<2>,
    /// The shape of what comes out.
    output: [usize; 4],
}

impl Transposed {
    /// Of an input `[batch, channels_in, height, width]` and a weight
    /// `[channels_in, channels_out, height, width]`; `None` where [`conv2d`] does not know it.
    fn new(
        [batch, _, height, width]: [usize; 4],
        weight: [usize; 4],
        options: &ConvTransposeOptions<2>,
    ) -> Option<Self> {
        let side = |axis: usize, input: usize| {
            let reach = options.dilation[axis] * (weight[2 + axis] - 1) + 1;
            let full = (input.checked_sub(1)?) * options.stride[axis] + reach;
            (full + options.padding_out[axis]).checked_sub(2 * options.padding[axis])
        };
        let output = [batch, weight[1], side(0, height)?, side(1, width)?];
        let padding = options.padding.map(|padding| (padding, padding));
        let options = ConvOptions::new_with_padding(
            options.stride,
            padding,
            options.dilation,
            options.groups,
        );
        let geometry = Geometry::new(output, weight, [height, width], &options);
        let is_known = options.groups == 1 && geometry.is_known();
        is_known.then_some(Self { geometry, options, output })
    }
}

impl<C: CheckpointStrategy> Training for Autodiff<Flex, C> {
    fn batch_norm_training(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node()];
        match BatchNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                let (output, mean, variance) = Flex::batch_norm_training(
                    x.into_primitive(),
                    gamma.into_primitive(),
                    beta.into_primitive(),
                    epsilon,
                );
                let over = super::sync_batch_norm::over();
                let state = (inputs.0, inputs.1, mean.clone(), variance.clone(), epsilon, over);
                let output = prep.finish(state, output);
                (output, Self::from_inner(mean), Self::from_inner(variance))
            }
            OpsKind::UnTracked(prep) => {
                let (output, mean, variance) = Flex::batch_norm_training(
                    x.into_primitive(),
                    gamma.into_primitive(),
                    beta.into_primitive(),
                    epsilon,
                );
                (prep.finish(output), Self::from_inner(mean), Self::from_inner(variance))
            }
        }
    }

    fn relu6_training(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match Relu6Backward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = Flex::relu6_training(x.into_primitive());
                prep.finish(output.clone(), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::relu6_training(x.into_primitive())),
        }
    }

    fn tanh_training(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match TanhBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = Flex::tanh_training(x.into_primitive());
                prep.finish(output.clone(), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::tanh_training(x.into_primitive())),
        }
    }

    fn conv2d_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        match Conv2dBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                let output =
                    Flex::conv2d_training(x.into_primitive(), weight.into_primitive(), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::conv2d_training(
                x.into_primitive(),
                weight.into_primitive(),
                options,
            )),
        }
    }

    fn conv_transpose2d_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvTransposeOptions<2>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let forward = Flex::conv_transpose2d_training;
        match ConvTranspose2dBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), options.clone());
                let output = forward(x.into_primitive(), weight.into_primitive(), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(forward(x.into_primitive(), weight.into_primitive(), options))
            }
        }
    }

    fn leaky_relu_training(x: FloatTensor<Self>, slope: f64) -> FloatTensor<Self> {
        match LeakyReluBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = Flex::leaky_relu_training(x.into_primitive(), slope);
                prep.finish((output.clone(), slope), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(Flex::leaky_relu_training(x.into_primitive(), slope))
            }
        }
    }

    fn fake_quantize_training(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        zero_point: FloatTensor<Self>,
        how: FakeQuantize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), scale.node(), zero_point.node()];
        let prepared =
            fake_quantize::FakeQuantizeBackward.prepare::<C>(nodes).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let node = prep.checkpoint(&x);
                let [scale, zero_point] = [scale.into_primitive(), zero_point.into_primitive()];
                let state = (node, scale.clone(), zero_point.clone(), how);
                let output = fake_quantize::forward(x.into_primitive(), scale, zero_point, how);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(fake_quantize::forward(
                x.into_primitive(),
                scale.into_primitive(),
                zero_point.into_primitive(),
                how,
            )),
        }
    }
}

/// Numbers that are changed one after the other.
const CHUNK: usize = 1 << 12;

/// Calls `change(index of the first, numbers)` for some numbers at a time, in place where nobody
/// else holds them.
fn changed(x: FlexTensor, change: impl Fn(usize, &mut [f32]) + Sync) -> FlexTensor {
    // A second handle would stand in the way of changing in place.
    let contiguous = |x: FlexTensor| x.to_contiguous();
    let mut x = contiguous(x);
    if let Some(numbers) = x.try_storage_mut() {
        for_each_chunk(numbers, CHUNK, |chunk, numbers| change(chunk * CHUNK, numbers));
        return x;
    }
    let from = x.storage::<f32>();
    let copied = written(from.len(), CHUNK, |chunk, numbers| {
        numbers.copy_from_slice(&from[chunk * CHUNK..][..numbers.len()]);
        change(chunk * CHUNK, numbers);
    });
    tensor(copied, x.shape())
}

/// `[batch, channels, …]` as `[batch, channels, space]`.
fn planes(x: &FlexTensor) -> [usize; 3] {
    let shape = x.shape();
    [shape[0], shape[1], shape[2..].iter().product()]
}

fn tensor(numbers: Vec<f32>, shape: impl Into<burn::tensor::Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape))
}
