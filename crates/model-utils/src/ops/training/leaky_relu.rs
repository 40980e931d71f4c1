//! max(x, slope·x), in place.

use super::parallel::for_each_chunk;

const CHUNK: usize = 1 << 12;

/// Multiplies what is negative by the slope; NaN stays NaN.
pub(super) fn leaky_relu(x: &mut [f32], slope: f32) {
    for_each_chunk(x, CHUNK, |_, x| {
        for x in x {
            *x = if *x < 0.0 { *x * slope } else { *x };
        }
    });
}

/// Multiplies the gradient by the slope wherever the output is not positive, as PyTorch does.
pub(super) fn backward(gradient: &mut [f32], output: &[f32], slope: f32) {
    for_each_chunk(gradient, CHUNK, |chunk, gradient| {
        for (g, &y) in gradient.iter_mut().zip(&output[chunk * CHUNK..]) {
            *g = if y > 0.0 { *g } else { *g * slope };
        }
    });
}
