//! Normalisation of each row.

use rayon::prelude::*;

use super::parallel::{sum_pairs, vectorised};

/// Rows that one task takes. It fixes the order of the sums whatever the number of threads.
const ROWS: usize = 64;

/// The mean of a row and one over its standard deviation.
type Moments = [f32; 2];

/// `(x − mean) / √(variance + ε) · γ + β` of each row, and the rows' moments.
pub(super) fn forward(
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f64,
) -> (Vec<f32>, Vec<Moments>) {
    let width = gamma.len();
    let mut output = vec![0.0; x.len()];
    let mut moments = vec![[0.0; 2]; x.len() / width];
    let task = |((x, output), moments): ((&[f32], &mut [f32]), &mut [Moments])| {
        vectorised(|| {
            let rows = x.chunks(width).zip(output.chunks_mut(width));
            for ((x, y), moments) in rows.zip(moments) {
                *moments = moments_of(x, epsilon);
                let [mean, scale] = *moments;
                for ((y, &x), &gamma) in y.iter_mut().zip(x).zip(gamma) {
                    *y = (x - mean) * scale * gamma;
                }
                if let Some(beta) = beta {
                    for (y, &beta) in y.iter_mut().zip(beta) {
                        *y += beta;
                    }
                }
            }
        });
    };
    if moments.len() <= ROWS {
        task(((x, &mut output), &mut moments));
    } else {
        x.par_chunks(ROWS * width)
            .zip(output.par_chunks_mut(ROWS * width))
            .zip(moments.par_chunks_mut(ROWS))
            .for_each(task);
    }
    (output, moments)
}

#[inline(always)]
fn moments_of(x: &[f32], epsilon: f64) -> Moments {
    let count = x.len() as f32;
    let [sum] = sum_pairs(x, x, |x, _| [x]);
    let mean = sum / count;
    let [squares] = sum_pairs(x, x, |x, _| [(x - mean) * (x - mean)]);
    [mean, 1.0 / (squares / count + epsilon as f32).sqrt()]
}

/// Turns the gradient of the output into that of the input, and returns those of γ and β.
pub(super) fn backward(
    gradient: &mut [f32],
    x: &[f32],
    gamma: &[f32],
    moments: &[Moments],
) -> [Vec<f32>; 2] {
    let width = gamma.len();
    let task = |((gradient, x), moments): ((&mut [f32], &[f32]), &[Moments])| {
        let mut sums = [vec![0.0; width], vec![0.0; width]];
        vectorised(|| {
            let rows = gradient.chunks_mut(width).zip(x.chunks(width));
            let [of_gamma, of_beta] = &mut sums;
            let mut scaled = vec![0.0; width];
            for ((g, x), &[mean, scale]) in rows.zip(moments) {
                for at in 0..width {
                    of_beta[at] += g[at];
                    of_gamma[at] += g[at] * (x[at] - mean) * scale;
                    scaled[at] = g[at] * gamma[at];
                }
                let [sum, with_x] = sum_pairs(&scaled, x, |g, x| [g, g * (x - mean) * scale]);
                let (mean_g, mean_gx) = (sum / width as f32, with_x / width as f32);
                for at in 0..width {
                    g[at] = scale * (scaled[at] - mean_g - (x[at] - mean) * scale * mean_gx);
                }
            }
        });
        sums
    };
    let sums: Vec<[Vec<f32>; 2]> = gradient
        .par_chunks_mut(ROWS * width)
        .zip(x.par_chunks(ROWS * width))
        .zip(moments.par_chunks(ROWS))
        .map(task)
        .collect();
    added(sums, width)
}

fn added(sums: Vec<[Vec<f32>; 2]>, width: usize) -> [Vec<f32>; 2] {
    let mut total = [vec![0.0; width], vec![0.0; width]];
    for sums in sums {
        for (total, sums) in total.iter_mut().zip(sums) {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
    }
    total
}
