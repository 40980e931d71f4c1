use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::ops;

/// An activation function without weights, chosen by value.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    #[default]
    Relu,
    /// min(max(x, 0), 6) (MobileNet)
    Relu6,
    /// max(x, slope·x)
    LeakyRelu(f64),
    /// x·relu6(x + 3)/6 (`MobileNetV3`)
    HardSwish,
    /// relu6(x + 3)/6
    HardSigmoid,
    /// x·σ(x), also called swish
    Silu,
    /// x·Φ(x), exact
    Gelu,
    /// σ(x)
    Sigmoid,
    /// tanh(x)
    Tanh,
}

impl Activation {
    /// Applies it to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => x,
            Self::Relu => ops::relu(x),
            Self::Relu6 => ops::relu6(x),
            Self::LeakyRelu(slope) => ops::leaky_relu(x, slope),
            Self::HardSwish => x.clone() * Self::HardSigmoid.forward(x),
            Self::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Silu => activation::silu(x),
            Self::Gelu => activation::gelu(x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Tanh => ops::tanh(x),
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    /// The way that `ReLU6` takes in training has the values and the slopes of a clamp.
    #[test]
    fn relu6_in_training_is_a_clamp() {
        let device = Device::flex().autodiff();
        let values = [-3.0, -1e-6, 1e-6, 0.3, 2.5, 5.999, 6.001, 1e6];
        let x = Tensor::<1>::from_data(values, &device).require_grad();
        let y = Activation::Relu6.forward(x.clone());
        let expected = Tensor::<1>::from_data(values, &Device::flex()).clamp(0.0, 6.0);
        y.clone()
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(5e-7));
        let slopes = x.grad(&y.sum().backward()).unwrap().into_data();
        slopes.assert_eq(
            &burn::tensor::TensorData::from([0.0_f32, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
            true,
        );
    }

    use super::*;
    use burn::tensor::{Device, Tolerance};

    /// Values of `torch.nn.functional` at −4, −1, 0, 1, 7.
    #[test]
    fn values_are_those_of_pytorch() {
        let device = Device::flex();
        let x = Tensor::<1>::from_data([-4.0, -1.0, 0.0, 1.0, 7.0], &device);
        for (function, expected) in [
            (Activation::Identity, [-4.0, -1.0, 0.0, 1.0, 7.0]),
            (Activation::Relu, [0.0, 0.0, 0.0, 1.0, 7.0]),
            (Activation::Relu6, [0.0, 0.0, 0.0, 1.0, 6.0]),
            (Activation::LeakyRelu(0.2), [-0.8, -0.2, 0.0, 1.0, 7.0]),
            (Activation::HardSwish, [0.0, -0.333_333_33, 0.0, 0.666_666_7, 7.0]),
            (Activation::HardSigmoid, [0.0, 0.333_333_33, 0.5, 0.666_666_7, 1.0]),
            (Activation::Silu, [-0.071_944_84, -0.268_941_4, 0.0, 0.731_058_6, 6.993_623]),
            (Activation::Gelu, [-0.000_126_69, -0.158_655_26, 0.0, 0.841_344_8, 7.0]),
            (Activation::Sigmoid, [0.017_986_21, 0.268_941_43, 0.5, 0.731_058_6, 0.999_089]),
            (Activation::Tanh, [-0.999_329_3, -0.761_594_2, 0.0, 0.761_594_2, 0.999_998_3]),
        ] {
            let out = function.forward(x.clone()).into_data();
            out.assert_approx_eq::<f32>(
                &Tensor::<1>::from_data(expected, &device).into_data(),
                Tolerance::absolute(1e-6),
            );
        }
    }
}
