//! max(x, slope·x), in place.

/// Multiplies what is negative by the slope; NaN stays NaN.
#[inline(always)]
pub(super) fn leaky_relu(x: &mut [f32], slope: f32) {
    for x in x {
        *x = if *x < 0.0 { *x * slope } else { *x };
    }
}

/// Multiplies the gradient by the slope wherever the output is not positive, as PyTorch does.
#[inline(always)]
pub(super) fn backward(gradient: &mut [f32], output: &[f32], slope: f32) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g = if y > 0.0 { *g } else { *g * slope };
    }
}
