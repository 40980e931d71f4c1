//! min(max(x, 0), 6), in place.

/// Clamps to 0…6; NaN stays NaN.
#[inline(always)]
pub(super) fn clamp(x: &mut [f32]) {
    for x in x {
        let raised = if *x < 0.0 { 0.0 } else { *x };
        *x = if raised > 6.0 { 6.0 } else { raised };
    }
}

/// Clears the gradient wherever the output is not strictly between its ends, as PyTorch does.
#[inline(always)]
pub(super) fn backward(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g = if y > 0.0 && y < 6.0 { *g } else { 0.0 };
    }
}
