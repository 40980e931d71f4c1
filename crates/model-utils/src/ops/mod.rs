//! The seam through which the topics convolve, normalise and take their losses: every operation
//! answers alike on every device, a file an operation.
//!
//! On `flex` and `ndarray` an operation is computed by a kernel of this crate, forward and backward;
//! elsewhere by plain Burn. Which way it goes depends on all inputs together and is decided in one
//! place, so no model changes; gradients reach whatever has autodiff, input or weights. Shapes that do
//! not fit panic before anything is computed, with the operation's name and the shapes. Inside this
//! workspace nothing else calls the forwards of Burn's convolutions, normalisations and losses.
// Only what is inlined into `parallel::vectorised` is compiled for the widest vectors.
#![allow(clippy::inline_always)]

mod activation;
mod attention;
mod batch_norm;
mod concatenate;
mod conv2d;
mod conv_transpose2d;
mod cross_entropy;
mod dropout;
mod embedding;
mod fake_quantize;
mod gradients;
mod host;
mod kernels;
mod layer_norm;
mod linear;
mod perceptron;
mod pool;
mod recurrent;
mod rotary;
mod sync_batch_norm;

pub use activation::{leaky_relu, relu, relu6, tanh};
pub use attention::{
    Mask, attention, attention_weights, cached_attention, join_heads, multi_head_attention,
    multi_head_weights, scaled_dot_product_attention, split_heads,
};
pub use batch_norm::batch_norm;
pub use concatenate::concatenate;
pub use conv_transpose2d::{conv_transpose2d, convolve_transposed2d};
pub use conv2d::{conv_options, conv2d, convolve1d, convolve2d};
pub use cross_entropy::{count_correct, cross_entropy, cross_entropy_ignoring, log_sum_exp};
pub use dropout::dropout;
pub use embedding::{embed, embedding};
pub use fake_quantize::{FakeQuantize, fake_quantize};
pub use gradients::{clip_grad_norm, grad_norm, learnable_parameters};
pub use kernels::parallel::vectorised;
pub use layer_norm::{layer_norm, normalize_rows};
pub use linear::{affine, linear, linear_transposed};
pub use perceptron::{perceptron, perceptron_gradients, perceptron_layers, perceptron_with_latent};
pub use pool::{
    adaptive_avg_pool2d, avg_pool2d, global_avg_pool, largest_of_windows, max_pool2d,
    mean_of_windows,
};
pub use recurrent::{gru_cell, lstm_cell};
pub use rotary::rotary_embedding;
pub use sync_batch_norm::{AllReduce, sync_batch_norm};

use burn::tensor::{Device, Int, Tensor};

/// Whether operations on a device are computed by this crate's kernels, in this process's memory: on
/// `flex` and `ndarray`. There numbers are read without waiting.
pub fn has_kernels(device: &Device) -> bool {
    host::is_host(device)
}

/// Indices of so many rows, read from their device.
fn indices<const D: usize>(name: &str, x: Tensor<D, Int>, rows: usize) -> Vec<u32> {
    let shape = x.shape();
    let read = |index: i64| {
        let found = u32::try_from(index).ok().filter(|&index| (index as usize) < rows);
        found.unwrap_or_else(|| panic!("{name}: index {index} in {shape:?} of {rows} rows"))
    };
    x.into_data().convert::<i64>().iter::<i64>().map(read).collect()
}

/// The numbers of a tensor in row-major order, read from its device.
pub fn to_vec<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    match host::read(&x, |numbers, _| numbers.to_vec()) {
        Some(numbers) => numbers,
        None => x.into_data().iter::<f32>().collect(),
    }
}
