//! Layers with the weights that the models of this crate begin with.

use burn::nn::{Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::Device;
use model_utils::layers::normal;

/// A fully connected layer with Glorot and Bengio's spread (2010) and biases of 0.
pub(crate) fn xavier(from: usize, to: usize, device: &Device) -> Linear {
    let spread = Initializer::XavierUniform { gain: 1.0 };
    let mut linear = LinearConfig::new(from, to).with_initializer(spread).init(device);
    linear.bias = Some(Initializer::Zeros.init([to], device));
    linear
}

/// A table of `rows` vectors with the spread `width`^−½.
pub(crate) fn embedding(rows: usize, width: usize, device: &Device) -> Embedding {
    let spread = normal((width as f64).powf(-0.5));
    EmbeddingConfig::new(rows, width).with_initializer(spread).init(device)
}
