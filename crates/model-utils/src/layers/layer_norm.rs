use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

/// What layer normalisation learns (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>); applied by
/// [`ops::layer_norm`](crate::ops::layer_norm).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// What each feature is multiplied by; 1 at first.
    pub gamma: Param<Tensor<1>>,
    /// What is added to it; 0 at first.
    pub beta: Param<Tensor<1>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Of so many features.
    pub fn new(features: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([features], device),
            beta: Initializer::Zeros.init([features], device),
            epsilon,
        }
    }
}
