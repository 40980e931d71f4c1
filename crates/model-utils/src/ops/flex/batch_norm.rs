//! Batch normalisation with the statistics of the batch, on `[batch, channels, space]` numbers.

use super::super::AllReduce;
use super::parallel::{channel_sums, for_each_chunk, sum_pairs, written};

/// The workers that a batch is divided among, if it is.
pub(super) type Over<'a> = Option<&'a dyn AllReduce>;

/// Mean and biased variance of each channel, `[channels]` each, in two passes.
pub(super) fn statistics(x: &[f32], shape: [usize; 3], over: Over) -> (Vec<f32>, Vec<f32>) {
    let sums = channel_sums(shape, |_, plane| sum_pairs(&x[plane.clone()], &x[plane], |x, _| [x]));
    let (sums, count) = of_all(sums, shape, over);
    let means: Vec<f32> = sums.into_iter().map(|[sum]| (sum / count) as f32).collect();
    let variances = channel_sums(shape, |channel, plane| {
        let mean = means[channel];
        sum_pairs(&x[plane.clone()], &x[plane], |x, _| [(x - mean) * (x - mean)])
    });
    let (variances, count) = of_all(variances, shape, over);
    let variances = variances.into_iter().map(|[sum]| (sum / count) as f32).collect();
    (means, variances)
}

/// Sums of a channel and the number of places, over all workers.
fn of_all<const K: usize>(
    mut sums: Vec<[f64; K]>,
    [batch, _, space]: [usize; 3],
    over: Over,
) -> (Vec<[f64; K]>, f64) {
    let count = (batch * space) as f64;
    let Some(over) = over else { return (sums, count) };
    let mut numbers: Vec<f64> = sums.iter().flatten().copied().chain([count]).collect();
    over.all_reduce(&mut numbers);
    let (of_channels, _) = numbers.as_chunks::<K>();
    for (sum, of_channel) in sums.iter_mut().zip(of_channels) {
        *sum = *of_channel;
    }
    (sums, numbers[numbers.len() - 1])
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
    over: Over,
) -> (Vec<f32>, Vec<f32>) {
    let [_, channels, space] = shape;
    let sums = channel_sums(shape, |channel, plane| {
        let mean = means[channel];
        sum_pairs(&gradient[plane.clone()], &x[plane], |g, x| [g, g * (x - mean)])
    });
    // γ and β get what comes from here; the workers' gradients are added up as all others are.
    let (of_batch, count) = of_all(sums.clone(), shape, over);
    let terms: Vec<[f32; 3]> = (0..channels)
        .map(|channel| {
            let inverse = inverse_deviation(variances[channel], epsilon);
            let [sum, sum_with_x] = of_batch[channel];
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
