//! The Jacobian-vector product, forward-mode differentiation: a value and its derivative along a
//! direction, carried through a network together.
//!
//! A gradient penalty needs the gradient of a gradient, which autodiff of first order refuses. With
//! ``g = ∇ₓD`` and ``u`` held still, ``s = u·∇ₓD`` is such a product, computed in plain
//! operations that autodiff differentiates once more: every penalty on ``‖g‖`` follows exactly (see
//! [`penalty`](crate::penalty)). Finite differences along ``u`` are no substitute, since rectifiers
//! bend between the two points.
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::Tensor;
//! use gan::jvp::Dual;
//! # let device = model_utils::device::DeviceSpec::default().open()?;
//!
//! let layer = LinearConfig::new(3, 2).init(&device);
//! let x = Dual { value: Tensor::ones([1, 3], &device), tangent: Tensor::ones([1, 3], &device) };
//! let y = x.linear(&layer).leaky_relu(0.2).linear(&LinearConfig::new(2, 1).init(&device));
//! assert_eq!(y.tangent.dims(), [1, 1]);
//! # Ok::<(), gan::Error>(())
//! ```

use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::{Tensor, activation};
use model_utils::ops;

/// A value and its derivative along a direction, of the same shape.
#[derive(Debug, Clone)]
pub struct Dual<const D: usize> {
    /// The value.
    pub value: Tensor<D>,
    /// Its derivative.
    pub tangent: Tensor<D>,
}

impl<const D: usize> Dual<D> {
    /// Applies what is linear and without constant: reshaping, cutting, pooling by means.
    #[must_use]
    pub fn map_linear<const E: usize>(self, linear: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual { value: linear(self.value), tangent: linear(self.tangent) }
    }

    /// Appends what does not depend on the direction along an axis.
    #[must_use]
    pub fn with_constant(self, constant: Tensor<D>, axis: usize) -> Self {
        Self {
            tangent: Tensor::cat(vec![self.tangent, constant.zeros_like()], axis),
            value: Tensor::cat(vec![self.value, constant], axis),
        }
    }

    /// Applies a function whose slope is the same on either side of 0.
    fn piecewise(self, function: impl Fn(Tensor<D>) -> Tensor<D>, below: f64) -> Self {
        // The slope is a constant of each piece: nothing flows back through it.
        let negative = self.value.clone().detach().lower_equal_elem(0.0);
        let slope = self.value.ones_like().detach().mask_fill(negative, below);
        Self { value: function(self.value), tangent: self.tangent * slope }
    }

    /// max(x, 0)
    #[must_use]
    pub fn relu(self) -> Self {
        self.piecewise(ops::relu, 0.0)
    }

    /// max(x, slope·x)
    #[must_use]
    pub fn leaky_relu(self, slope: f64) -> Self {
        self.piecewise(|x| ops::leaky_relu(x, slope), slope)
    }

    /// The hyperbolic tangent, with the slope 1 − tanh².
    #[must_use]
    pub fn tanh(self) -> Self {
        let value = ops::tanh(self.value);
        let slope = value.clone().powi_scalar(2).neg() + 1.0;
        Self { value, tangent: self.tangent * slope }
    }

    /// The logistic function, with the slope σ(1 − σ).
    #[must_use]
    pub fn sigmoid(self) -> Self {
        let value = activation::sigmoid(self.value);
        let slope = value.clone() * (value.clone().neg() + 1.0);
        Self { value, tangent: self.tangent * slope }
    }
}

impl Dual<2> {
    /// A fully connected layer; the bias does not depend on the direction.
    #[must_use]
    pub fn linear(self, layer: &Linear) -> Self {
        let weight = layer.weight.val();
        let value = self.value.matmul(weight.clone());
        let value = match &layer.bias {
            Some(bias) => value + bias.val().unsqueeze(),
            None => value,
        };
        Self { value, tangent: self.tangent.matmul(weight) }
    }
}

impl Dual<4> {
    /// A convolution; the bias does not depend on the direction.
    #[must_use]
    pub fn conv2d(self, layer: &Conv2d) -> Self {
        let options = ops::conv_options(layer, self.value.dims());
        let weight = layer.weight.val();
        let bias = layer.bias.as_ref().map(burn::module::Param::val);
        Self {
            value: ops::convolve2d(self.value, weight.clone(), bias, options.clone()),
            tangent: ops::convolve2d(self.tangent, weight, None, options),
        }
    }
}
