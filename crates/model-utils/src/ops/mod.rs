//! The seam through which the topics convolve, normalise and take their losses.
//!
//! Every function is plain Burn on every device; where a device has a faster way, this is the
//! place that takes it, and no model changes: on `flex` convolutions, plain and transposed, batch
//! normalisation, `ReLU6`, leaky `ReLU` and the hyperbolic tangent are this crate's own. Inside this
//! workspace nothing else calls the forwards of Burn's convolutions, normalisations and losses.

mod attention;
mod fake_quantize;
#[cfg(feature = "flex")]
mod flex;
mod recurrent;
mod rotary;
mod sync_batch_norm;

pub use attention::{
    Mask, attention, attention_weights, cached_attention, join_heads, multi_head_attention,
    multi_head_weights, split_heads,
};

pub use fake_quantize::{FakeQuantize, fake_quantize};
#[cfg(feature = "flex")]
use flex::{inference, recurrence, rows};
pub use recurrent::{gru_cell, lstm_cell};
pub use rotary::rotary_embedding;
pub use sync_batch_norm::{AllReduce, supports_sync_batch_norm, sync_batch_norm};

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::{AvgPool2d, MaxPool2d};
use burn::nn::{BatchNorm, Dropout, Embedding, Linear};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::ops::ConvOptions;
#[cfg(feature = "flex")]
use burn::tensor::ops::ConvTransposeOptions;
#[cfg(feature = "flex")]
use burn::tensor::{Device, Distribution};
use burn::tensor::{Int, Tensor};

use crate::layers::LayerNorm;

/// A convolution. `[batch, channels_in, height, width]` → `[batch, channels_out, height, width]`.
pub fn conv2d(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) || inference::applies(&x) {
        let options = conv_options(conv, x.dims());
        let bias = conv.bias.as_ref().map(Param::val);
        return convolve2d(x, conv.weight.val(), bias, options);
    }
    conv.forward(x)
}

/// The function behind [`conv2d`], on a weight `[channels_out, channels_in / groups, height,
/// width]` and a bias `[channels_out]`.
pub fn convolve2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        let convolved = flex::conv2d(x, weight, options);
        return match bias {
            Some(bias) => convolved + bias.reshape([1, -1, 1, 1]),
            None => convolved,
        };
    }
    #[cfg(feature = "flex")]
    if inference::applies(&x) {
        return inference::conv2d(x, weight, bias, options);
    }
    burn::tensor::module::conv2d(x, weight, bias, options)
}

/// What a layer's forward passes to [`convolve2d`] for an input of these sizes.
pub fn conv_options(conv: &Conv2d, [_, _, height, width]: [usize; 4]) -> ConvOptions<2> {
    let padding = match conv.padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => std::array::from_fn(|axis| {
            let (size, stride) = ([height, width][axis], conv.stride[axis]);
            let read = (size.div_ceil(stride).max(1) - 1) * stride + conv.kernel_size[axis];
            let total = read.saturating_sub(size);
            (total / 2, total - total / 2)
        }),
    };
    ConvOptions::new_with_padding(conv.stride, padding, conv.dilation, conv.groups)
}

/// A transposed convolution, the gradient of [`conv2d`] taken as an operation of its own.
/// `[batch, channels_in, height, width]` → `[batch, channels_out, height_out, width_out]`.
pub fn conv_transpose2d(conv: &ConvTranspose2d, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        let options = ConvTransposeOptions::new(
            conv.stride,
            conv.padding,
            conv.padding_out,
            conv.dilation,
            conv.groups,
        );
        let convolved = flex::conv_transpose2d(x, conv.weight.val(), options);
        return match &conv.bias {
            Some(bias) => convolved + bias.val().reshape([1, -1, 1, 1]),
            None => convolved,
        };
    }
    conv.forward(x)
}

/// A fully connected layer on the last axis. `[…, features_in]` → `[…, features_out]`.
pub fn linear<const D: usize>(linear: &Linear, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if rows::applies(&x) {
        let bias = linear.bias.as_ref().map(Param::val);
        return rows::linear(x, linear.weight.val(), bias, false);
    }
    linear.forward(x)
}

/// A fully connected layer whose weight is a table of one row an output, such as an embedding:
/// `[…, features_in]`, `[features_out, features_in]` → `[…, features_out]`.
pub fn linear_transposed<const D: usize>(
    x: Tensor<D>,
    table: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if rows::applies(&x) {
        return rows::linear(x, table, bias, true);
    }
    let mut shape = x.dims();
    let rows = x.reshape([-1, shape[D - 1] as i64]);
    shape[D - 1] = table.dims()[0];
    let projected = rows.matmul(table.transpose()).reshape(shape);
    match bias {
        Some(bias) => projected + bias.unsqueeze(),
        None => projected,
    }
}

/// Sets numbers to 0 at random in training, and scales the others up.
pub fn dropout<const D: usize>(dropout: &Dropout, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if rows::applies(&x) {
        return match dropped(dropout, &x.device()) {
            Some((share, seed)) => rows::dropout(x, share, seed),
            None => x,
        };
    }
    dropout.forward(x)
}

/// The share that a dropout drops now, and a seed from the device's generator; `None` where it drops
/// nothing.
#[cfg(feature = "flex")]
fn dropped(dropout: &Dropout, device: &Device) -> Option<(f64, u32)> {
    let drops = dropout.prob > 0.0 && dropout.training.is_enabled() && device.is_autodiff();
    drops.then(|| {
        let halves = Distribution::Uniform(0.0, 65_536.0);
        let device = device.clone().without_autodiff();
        let halves = Tensor::<1>::random([2], halves, &device).into_data();
        let seed = halves.iter::<f32>().fold(0, |seed, half| seed << 16 | (half as u32 & 0xFFFF));
        (dropout.prob, seed)
    })
}

/// Rows of a table. `[batch, length]` of indices → `[batch, length, features]`.
pub fn embedding(embedding: &Embedding, x: Tensor<2, Int>) -> Tensor<3> {
    embedding.forward(x)
}

/// Batch normalisation over `[batch, channels, …]` (Ioffe and Szegedy 2015).
///
/// Batch statistics are taken, and the running ones moved, only where the device has autodiff
/// and the module is in training; elsewhere the running statistics are used. Workers that each hold
/// a part of a batch may [share](sync_batch_norm()) its statistics.
pub fn batch_norm<const D: usize>(norm: &BatchNorm, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) && norm.training.is_enabled() {
        let (output, mean, variance) =
            flex::batch_norm(x, norm.gamma.val(), norm.beta.val(), norm.epsilon);
        for (running, of_batch) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
            let running_now = running.value_sync().to_device(&of_batch.device());
            let moved =
                running_now.mul_scalar(1.0 - norm.momentum) + of_batch.mul_scalar(norm.momentum);
            running.update(moved.detach());
        }
        return output;
    }
    #[cfg(feature = "flex")]
    if inference::applies(&x) {
        let (mean, variance) = (norm.running_mean.value(), norm.running_var.value());
        let terms = [norm.gamma.val(), norm.beta.val(), mean, variance];
        return inference::normalise(x, terms, norm.epsilon);
    }
    norm.forward(x)
}

/// Layer normalisation over the last axis (Ba et al. 2016).
pub fn layer_norm<const D: usize>(norm: &LayerNorm, x: Tensor<D>) -> Tensor<D> {
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    #[cfg(feature = "flex")]
    if rows::applies(&x) {
        return rows::layer_norm(x, gamma, beta, norm.epsilon);
    }
    burn::tensor::module::layer_norm(x, gamma, Some(beta), norm.epsilon)
}

/// The largest value of each window.
pub fn max_pool2d(pool: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    pool.forward(x)
}

/// The mean of each window.
pub fn avg_pool2d(pool: &AvgPool2d, x: Tensor<4>) -> Tensor<4> {
    pool.forward(x)
}

/// The mean of `output` windows that cover the map: `[batch, channels, height, width]` →
/// `[batch, channels, output[0], output[1]]`.
pub fn adaptive_avg_pool2d(x: Tensor<4>, output: [usize; 2]) -> Tensor<4> {
    burn::tensor::module::adaptive_avg_pool2d(x, output)
}

/// max(x, 0).
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        return flex::leaky_relu(x, 0.0);
    }
    #[cfg(feature = "flex")]
    if inference::applies(&x) {
        return inference::relu(x);
    }
    burn::tensor::activation::relu(x)
}

/// min(max(x, 0), 6).
pub fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        return flex::relu6(x);
    }
    #[cfg(feature = "flex")]
    if inference::applies(&x) {
        return inference::relu6(x);
    }
    x.clamp(0.0, 6.0)
}

/// max(x, slope·x), for a slope between 0 and 1.
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        return flex::leaky_relu(x, slope);
    }
    burn::tensor::activation::leaky_relu(x, slope)
}

/// The hyperbolic tangent.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        return flex::tanh(x);
    }
    burn::tensor::activation::tanh(x)
}

/// Two tensors one after the other along an axis; their other lengths are the same.
pub fn concatenate<const D: usize>(first: Tensor<D>, second: Tensor<D>, axis: usize) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if inference::applies(&first) && inference::applies(&second) {
        let (mut one, mut other) = (first.shape(), second.shape());
        (one[axis], other[axis]) = (0, 0);
        if one == other {
            return inference::concatenate(first, second, axis);
        }
    }
    Tensor::cat(vec![first, second], axis)
}

/// The mean over space. `[batch, channels, height, width]` → `[batch, channels]`.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

/// The cross-entropy of `[batch, classes]` logits with `[batch]` class indices, averaged over
/// the batch:
///
/// ```math
/// L = -\frac1N \sum_n \Big[(1-\varepsilon)\,\log p_{n,y_n} + \frac{\varepsilon}{K}\sum_k \log p_{n,k}\Big]
/// ```
///
/// with ε = `smoothing`, PyTorch's `label_smoothing`; 0 is the plain cross-entropy. No dense
/// target is built. Indices outside `0..classes` are the caller's error and are not checked.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let log_p = log_softmax(logits, 1);
    let picked = log_p.clone().gather(1, targets.unsqueeze_dim(1)).mean().neg();
    if smoothing == 0.0 {
        picked
    } else {
        picked * (1.0 - smoothing) + log_p.mean().neg() * smoothing
    }
}

/// [`cross_entropy`] of `[batch, classes]` logits over the rows alone whose target is not
/// `ignore_index`, averaged over these; 0 where all are ignored.
pub fn cross_entropy_ignoring(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    ignore_index: u32,
    smoothing: f64,
) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if rows::applies(&logits) {
        return rows::cross_entropy(Some(ignore_index), logits, targets, smoothing);
    }
    let counted = targets.clone().not_equal_elem(ignore_index as i32).float();
    let log_p = log_softmax(logits, 1);
    let picked = log_p.clone().gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1);
    let gained = if smoothing == 0.0 {
        picked
    } else {
        picked * (1.0 - smoothing) + log_p.mean_dim(1).squeeze_dim::<1>(1) * smoothing
    };
    let count = counted.clone().sum().clamp_min(1.0);
    (gained * counted).sum().neg() / count
}

/// log Σ exp of each row, `[rows, columns]` → `[rows]`: what turns logits into log-probabilities.
pub fn log_sum_exp(x: Tensor<2>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if inference::applies(&x) {
        return rows::log_sum_exp(x);
    }
    let largest = x.clone().max_dim(1);
    ((x - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim(1)
}

/// How many rows of `[batch, classes]` logits have their largest value at the target.
pub fn count_correct(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1, Int> {
    logits.argmax(1).squeeze_dim::<1>(1).equal(targets).int().sum()
}

/// Scales all gradients of a module together so that their global L2 norm is at most
/// `max_norm` (PyTorch's `clip_grad_norm_`; Burn's own clipping is per tensor).
///
/// Returns the gradients and the norm before clipping, `[1]`, on the device: nothing is read
/// back. Parameters without a gradient count as zero.
pub fn clip_grad_norm<M: Module>(
    module: &M,
    grads: GradientsParams,
    max_norm: f64,
) -> (GradientsParams, Tensor<1>) {
    let norm = grad_norm(module, &grads);
    // PyTorch divides by norm + 1e-6; the factor never enlarges.
    let factor = (norm.clone() + 1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    let mut scaled = ScaleGrads { grads, factor };
    module.visit(&mut scaled);
    (scaled.grads, norm)
}

/// The L2 norm of all gradients of a module together, `[1]`, on the device. Parameters without a
/// gradient count as zero.
pub fn grad_norm<M: Module>(module: &M, grads: &GradientsParams) -> Tensor<1> {
    let mut squares = SumOfSquares { grads, sum: None };
    module.visit(&mut squares);
    if let Some(sum) = squares.sum {
        return sum.sqrt();
    }
    let device = module.devices().first().cloned().unwrap_or_default();
    Tensor::zeros([1], &device.without_autodiff())
}

struct SumOfSquares<'a> {
    grads: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = grad.powi_scalar(2).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct ScaleGrads {
    grads: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for ScaleGrads {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            let factor = self.factor.clone().reshape([1; D]);
            self.grads.register(param.id, grad * factor);
        }
    }
}

/// The number of parameters that training moves: all floating-point tensors but the running
/// statistics of normalisation layers, which Burn's `num_params` counts too.
pub fn learnable_parameters<M: Module>(module: &M) -> usize {
    let mut count = Learnable { containers: Vec::new(), total: 0 };
    module.visit(&mut count);
    count.total
}

struct Learnable {
    containers: Vec<String>,
    total: usize,
}

impl ModuleVisitor for Learnable {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.containers.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let running = matches!(
            self.containers.last().map(String::as_str),
            Some("running_mean" | "running_var")
        );
        if !running {
            self.total += param.lazy_shape().num_elements();
        }
    }
}
