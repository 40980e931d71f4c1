//! Batch normalisation with the statistics of the batch, on `[batch, channels, space]` numbers.

use super::parallel::{channel_sums, for_each_chunk, sum_pairs, written};

/// Mean and biased variance of each channel, `[channels]` each, in two passes.
pub(super) fn statistics(x: &[f32], shape: [usize; 3]) -> (Vec<f32>, Vec<f32>) {
    let count = (shape[0] * shape[2]) as f64;
    let means: Vec<f32> =
        channel_sums(shape, |_, plane| sum_pairs(&x[plane.clone()], &x[plane], |x, _| [x]))
            .into_iter()
            .map(|[sum]| (sum / count) as f32)
            .collect();
    let variances = channel_sums(shape, |channel, plane| {
        let mean = means[channel];
        sum_pairs(&x[plane.clone()], &x[plane], |x, _| [(x - mean) * (x - mean)])
    });
    let variances = variances.into_iter().map(|[sum]| (sum / count) as f32).collect();
    (means, variances)
}

/// `(x − mean) · γ / √(variance + ε) + β`.
pub(super) fn normalise(
    x: &[f32],
    shape: [usize; 3],
    gamma: &[f32],
    beta: &[f32],
    (means, variances): (&[f32], &[f32]),
    epsilon: f64,
) -> Vec<f32> {
    let [_, channels, space] = shape;
    let scales: Vec<f32> = gamma
        .iter()
        .zip(variances)
        .map(|(gamma, &variance)| gamma * inverse_deviation(variance, epsilon))
        .collect();
    written(x.len(), space, |plane, output| {
        let channel = plane % channels;
        let (mean, scale, shift) = (means[channel], scales[channel], beta[channel]);
        for (y, x) in output.iter_mut().zip(&x[plane * space..]) {
            *y = (x - mean) * scale + shift;
        }
    })
}

/// Turns the gradient of the output into that of the input, in place, and returns the gradients
/// of γ and β, `[channels]` each.
pub(super) fn backward(
    gradient: &mut [f32],
    x: &[f32],
    shape: [usize; 3],
    gamma: &[f32],
    (means, variances): (&[f32], &[f32]),
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    let [batch, channels, space] = shape;
    let count = (batch * space) as f64;
    let sums = channel_sums(shape, |channel, plane| {
        let mean = means[channel];
        sum_pairs(&gradient[plane.clone()], &x[plane], |g, x| [g, g * (x - mean)])
    });
    let terms: Vec<[f32; 3]> = (0..channels)
        .map(|channel| {
            let inverse = inverse_deviation(variances[channel], epsilon);
            let [sum, sum_with_x] = sums[channel];
            let along_x = sum_with_x / count * f64::from(inverse) * f64::from(inverse);
            [gamma[channel] * inverse, (sum / count) as f32, along_x as f32]
        })
        .collect();
    for_each_chunk(gradient, space, |plane, gradient| {
        let channel = plane % channels;
        let (mean, [scale, mean_gradient, along_x]) = (means[channel], terms[channel]);
        for (g, x) in gradient.iter_mut().zip(&x[plane * space..]) {
            *g = scale * (*g - mean_gradient - along_x * (x - mean));
        }
    });
    let of_gamma = sums.iter().zip(variances).map(|([_, sum_with_x], &variance)| {
        (sum_with_x * f64::from(inverse_deviation(variance, epsilon))) as f32
    });
    (of_gamma.collect(), sums.iter().map(|[sum, _]| *sum as f32).collect())
}

fn inverse_deviation(variance: f32, epsilon: f64) -> f32 {
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
}
