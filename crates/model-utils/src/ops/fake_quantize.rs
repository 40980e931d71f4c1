//! Rounding to the real numbers that integers stand for.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Scalar, Shape, Tensor};
use serde::{Deserialize, Serialize};

#[cfg(feature = "flex")]
use super::flex::{self, inference};

/// The integers that a [fake quantization](fake_quantize) rounds to, and how it is learned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FakeQuantize {
    /// The axis with a scale a place; `None` where one scale holds for the whole tensor.
    pub axis: Option<usize>,
    /// The least integer, 0 or below.
    pub least: i64,
    /// The largest integer, 0 or above.
    pub largest: i64,
    /// What the gradients of scale and zero point are multiplied by: `1 / √(N · largest)` for N
    /// elements a scale, as LSQ has it (Esser et al. 2020, <https://arxiv.org/abs/1902.08153>).
    pub gradient_scale: f64,
}

/// The least scale that is divided by; what is learned may fall below it.
pub(super) const LEAST_SCALE: f32 = f32::EPSILON;

/// Rounds `x` of any shape to the real numbers that integers stand for:
///
/// ```math
/// \hat x = s\,(q - z), \qquad
/// q = \operatorname{clamp}\big(\lfloor x / s \rceil + z,\; q_{\min},\; q_{\max}\big)
/// ```
///
/// with a scale s and a zero point z, `[1]` each, or `[places of the axis]`; z is rounded and
/// clamped first. Halves are rounded to even. The gradient is that of
/// `torch._fake_quantize_learnable_per_tensor_affine`: straight through to `x` where q is not
/// clamped, and with g = `gradient_scale`
///
/// ```math
/// \frac{\partial \hat x}{\partial s} = g \cdot \begin{cases}
///   q - z - x / s & \text{not clamped} \\ q - z & \text{clamped}
/// \end{cases} \qquad
/// \frac{\partial \hat x}{\partial z} = g \cdot \begin{cases}
///   0 & \text{not clamped} \\ -s & \text{clamped}
/// \end{cases}
/// ```
///
/// NaN stays NaN. A scale below 2⁻²³ counts as 2⁻²³.
pub fn fake_quantize<const D: usize>(
    x: Tensor<D>,
    scale: Tensor<1>,
    zero_point: Tensor<1>,
    how: FakeQuantize,
) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::trains(&x) {
        return flex::fake_quantize(x, scale, zero_point, how);
    }
    #[cfg(feature = "flex")]
    if inference::applies(&x) {
        return inference::fake_quantize(x, scale, zero_point, how);
    }
    Tensor::from_dispatch(composed(
        x.into_dispatch(),
        scale.into_dispatch(),
        zero_point.into_dispatch(),
        how,
    ))
}

/// Of general operations, on any device and for any rank.
fn composed(
    x: DispatchTensor,
    scale: DispatchTensor,
    zero_point: DispatchTensor,
    how: FakeQuantize,
) -> DispatchTensor {
    let FakeQuantize { axis, least, largest, gradient_scale } = how;
    let of = Scalar::Float;
    // Beside the input, so that they repeat along the other axes.
    let mut beside = vec![1; x.shape().num_dims()];
    if let Some(axis) = axis {
        beside[axis] = x.shape()[axis];
    }
    let beside = |steps| Dispatch::float_reshape(steps, Shape::from(beside.clone()));
    // The value of `to` with the gradient of `x`.
    let through = |x: DispatchTensor, to: DispatchTensor| {
        let difference = Dispatch::float_detach(Dispatch::float_sub(to, x.clone()));
        Dispatch::float_add(x, difference)
    };
    let slowed = |x: DispatchTensor| {
        let slow = Dispatch::float_mul_scalar(x.clone(), of(gradient_scale));
        through(slow, x)
    };
    let scale = Dispatch::float_clamp_min(slowed(beside(scale)), of(f64::from(LEAST_SCALE)));
    let zero_point = slowed(beside(zero_point));
    let whole = Dispatch::float_clamp(
        Dispatch::float_round(zero_point.clone()),
        of(least as f64),
        of(largest as f64),
    );
    let zero_point = through(zero_point, whole);
    let steps = Dispatch::float_mul(x, Dispatch::float_recip(scale.clone()));
    let rounded = through(steps.clone(), Dispatch::float_round(steps));
    let integers = Dispatch::float_clamp(
        Dispatch::float_add(rounded, zero_point.clone()),
        of(least as f64),
        of(largest as f64),
    );
    Dispatch::float_mul(Dispatch::float_sub(integers, zero_point), scale)
}
