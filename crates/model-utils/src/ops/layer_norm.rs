//! Layer normalisation.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::host::{Array, Host, Kernel, first, two_or_three};
use super::kernels::parallel::{WORTH_SHARING, sum_pairs, vectorised};
use crate::layers::LayerNorm;

/// Layer normalisation over the last axis (Ba et al. 2016).
///
/// # Panics
///
/// As [`normalize_rows`].
pub fn layer_norm<const D: usize>(norm: &LayerNorm, x: Tensor<D>) -> Tensor<D> {
    normalize("layer_norm", x, norm.gamma.val(), Some(norm.beta.val()), norm.epsilon)
}

/// The function behind [`layer_norm()`], (x − mean) / √(variance + ε) · γ + β over the last axis, on γ
/// and β of its length.
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn normalize_rows<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<D> {
    normalize("normalize_rows", x, gamma, beta, epsilon)
}

fn normalize<const D: usize>(
    name: &str,
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<D> {
    let (input, shape) = (x.shape(), gamma.dims());
    let beta_shape = beta.as_ref().map(Tensor::dims);
    assert!(
        shape == [input[D - 1]] && beta_shape.is_none_or(|beta| beta == shape),
        "{name}: input {input:?}, gamma {shape:?} and beta {beta_shape:?} do not fit"
    );
    two_or_three(NormalizeRows { epsilon }, x, gamma, beta).unwrap_or_else(|(x, gamma, beta)| {
        burn::tensor::module::layer_norm(x, gamma, beta, epsilon)
    })
}

#[derive(Debug, Clone, Copy)]
struct NormalizeRows {
    epsilon: f64,
}

/// Of input and γ, and β where it is the third.
impl<const N: usize> Kernel<N> for NormalizeRows {
    /// Input, γ, the moments of each row.
    type Saved<B: Host> = (Array<B>, Array<B>, Vec<Moments>);

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; N],
        saves: bool,
    ) -> (Array<B>, Option<Self::Saved<B>>) {
        let [x, gamma] = [&inputs[0], &inputs[1]];
        let beta = inputs.get(2).map(Array::numbers);
        let (output, moments) = forward(x.numbers(), gamma.numbers(), beta, self.epsilon);
        (Array::new(output, x.shape()), saves.then(|| (x.clone(), gamma.clone(), moments)))
    }

    fn backward<B: Host>(
        &self,
        (x, gamma, moments): Self::Saved<B>,
        mut gradient: Array<B>,
        _: [bool; N],
    ) -> [Option<Array<B>>; N] {
        let (numbers, scales) = (x.numbers(), gamma.numbers());
        let of_scales = backward(gradient.numbers_mut(), numbers, scales, &moments);
        let [of_gamma, of_beta] = of_scales.map(|numbers| Array::new(numbers, gamma.shape()));
        first([Some(gradient), Some(of_gamma), Some(of_beta)])
    }
}

/// Rows that one task takes. It fixes the order of the sums whatever the number of threads.
const ROWS: usize = 64;

/// The mean of a row and one over its standard deviation.
type Moments = [f32; 2];

/// `(x − mean) / √(variance + ε) · γ + β` of each row, and the rows' moments.
fn forward(
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f64,
) -> (Vec<f32>, Vec<Moments>) {
    let width = gamma.len();
    if x.is_empty() {
        return (Vec::new(), Vec::new());
    }
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
    if x.len() < WORTH_SHARING {
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
fn backward(gradient: &mut [f32], x: &[f32], gamma: &[f32], moments: &[Moments]) -> [Vec<f32>; 2] {
    let width = gamma.len();
    if x.is_empty() {
        return [vec![0.0; width], vec![0.0; width]];
    }
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
    let sums: Vec<[Vec<f32>; 2]> = if gradient.len() < WORTH_SHARING {
        let rows = gradient.chunks_mut(ROWS * width).zip(x.chunks(ROWS * width));
        rows.zip(moments.chunks(ROWS)).map(task).collect()
    } else {
        let rows = gradient.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width));
        rows.zip(moments.par_chunks(ROWS)).map(task).collect()
    };
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
