//! Activations, number by number. All keep NaN.

use burn::tensor::Tensor;

use super::host::{Array, Host, Kernel, one};
use super::kernels::parallel::vectorised;
use super::kernels::tangent;
use crate::layers;

/// max(x, 0).
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    one(Activation::Relu, x).unwrap_or_else(burn::tensor::activation::relu)
}

/// min(max(x, 0), 6).
pub fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    one(Activation::Relu6, x).unwrap_or_else(|x| {
        if !x.device().is_autodiff() {
            return x.clamp(0.0, 6.0);
        }
        // A clamp would pass the gradient at its limits.
        let inside = x.clone().greater_elem(0.0).bool_and(x.clone().lower_elem(6.0));
        x.clone().clamp(0.0, 6.0).detach().mask_where(inside, x)
    })
}

/// x where it is positive, elsewhere slope·x.
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    one(Activation::LeakyRelu(slope as f32), x).unwrap_or_else(|x| {
        // Of other slopes Burn takes another function, and its gradient at 0 is 1.
        if !x.device().is_autodiff() && (0.0..=1.0).contains(&slope) {
            return burn::tensor::activation::leaky_relu(x, slope);
        }
        let positive = x.clone().greater_elem(0.0);
        (x.clone() * slope).mask_where(positive, x)
    })
}

/// The hyperbolic tangent.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    one(Activation::Tanh, x).unwrap_or_else(burn::tensor::activation::tanh)
}

#[derive(Debug, Clone, Copy)]
enum Activation {
    Relu,
    Relu6,
    LeakyRelu(f32),
    Tanh,
}

impl Kernel<1> for Activation {
    /// The output, which tells all of the slope there; of a slope below 0 the input.
    type Saved<B: Host> = Array<B>;

    fn forward<B: Host>(&self, [x]: [Array<B>; 1], saves: bool) -> (Array<B>, Option<Array<B>>) {
        // An arm a loop: each is compiled for the widest vectors.
        let output = match *self {
            Self::Relu => x.changed(|_, x| relu_in_place(x)),
            Self::Relu6 => x.changed(|_, x| relu6_in_place(x)),
            Self::LeakyRelu(slope) if slope < 0.0 && saves => {
                let input = x.clone();
                return (x.changed(|_, x| leaky_relu_in_place(x, slope)), Some(input));
            }
            Self::LeakyRelu(slope) => x.changed(|_, x| leaky_relu_in_place(x, slope)),
            Self::Tanh => x.changed(|_, x| tangent::tanh(x)),
        };
        let saved = saves.then(|| output.clone());
        (output, saved)
    }

    fn backward<B: Host>(
        &self,
        saved: Array<B>,
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let saved = saved.numbers();
        [Some(match *self {
            Self::Relu => gradient.changed(|at, g| relu_backward(g, &saved[at..])),
            Self::Relu6 => gradient.changed(|at, g| relu6_backward(g, &saved[at..])),
            Self::LeakyRelu(slope) => {
                gradient.changed(|at, g| leaky_relu_backward(g, &saved[at..], slope))
            }
            Self::Tanh => gradient.changed(|at, g| tangent::backward(g, &saved[at..])),
        })]
    }
}

/// The function of a `Relu` or `Tanh`, on slices.
pub(super) fn activate(activation: layers::Activation, x: &mut [f32]) {
    vectorised(|| match activation {
        layers::Activation::Tanh => tangent::tanh(x),
        _ => relu_in_place(x),
    });
}

/// Multiplies by the slope of a `Relu` or `Tanh` at this output.
pub(super) fn slope(activation: layers::Activation, gradient: &mut [f32], output: &[f32]) {
    vectorised(|| match activation {
        layers::Activation::Tanh => tangent::backward(gradient, output),
        _ => relu_backward(gradient, output),
    });
}

#[inline(always)]
fn relu_in_place(x: &mut [f32]) {
    for x in x {
        *x = if *x < 0.0 { 0.0 } else { *x };
    }
}

/// Clears the gradient wherever the output is not positive, as PyTorch does.
#[inline(always)]
fn relu_backward(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g = if y > 0.0 { *g } else { 0.0 };
    }
}

#[inline(always)]
fn relu6_in_place(x: &mut [f32]) {
    for x in x {
        let raised = if *x < 0.0 { 0.0 } else { *x };
        *x = if raised > 6.0 { 6.0 } else { raised };
    }
}

/// Clears the gradient wherever the output is not strictly between its ends, as PyTorch does.
#[inline(always)]
fn relu6_backward(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g = if y > 0.0 && y < 6.0 { *g } else { 0.0 };
    }
}

#[inline(always)]
fn leaky_relu_in_place(x: &mut [f32], slope: f32) {
    for x in x {
        *x = if *x < 0.0 { *x * slope } else { *x };
    }
}

/// Multiplies the gradient by the slope wherever the input is not positive, as PyTorch does.
#[inline(always)]
fn leaky_relu_backward(gradient: &mut [f32], input: &[f32], slope: f32) {
    for (g, &x) in gradient.iter_mut().zip(input) {
        *g = if x > 0.0 { *g } else { *g * slope };
    }
}
