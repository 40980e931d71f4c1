//! min(max(x, 0), 6), in place.

use super::parallel::for_each_chunk;

const CHUNK: usize = 1 << 12;

/// Clamps to 0…6; NaN stays NaN.
pub(super) fn clamp(x: &mut [f32]) {
    for_each_chunk(x, CHUNK, |_, x| {
        for x in x {
            let raised = if *x < 0.0 { 0.0 } else { *x };
            *x = if raised > 6.0 { 6.0 } else { raised };
        }
    });
}

/// Clears the gradient wherever the output is not strictly between its ends, as PyTorch does.
pub(super) fn backward(gradient: &mut [f32], output: &[f32]) {
    for_each_chunk(gradient, CHUNK, |chunk, gradient| {
        for (g, &y) in gradient.iter_mut().zip(&output[chunk * CHUNK..]) {
            *g = if y > 0.0 && y < 6.0 { *g } else { 0.0 };
        }
    });
}
