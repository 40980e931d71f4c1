//! Fully connected layers.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Shape, Tensor};
use rayon::prelude::*;

use super::host::{Array, Host, Kernel, two_or_three};
use super::kernels::few_rows;
use super::kernels::matrix::{Matrix, Weight, product, shared_product};
use super::kernels::parallel::{self, vectorised};

/// A fully connected layer on the last axis. `[…, features_in]` → `[…, features_out]`.
///
/// # Panics
///
/// As [`affine`].
pub fn linear<const D: usize>(linear: &Linear, x: Tensor<D>) -> Tensor<D> {
    project("linear", x, linear.weight.val(), linear.bias.as_ref().map(Param::val), false)
}

/// The function behind [`linear()`], x · W + b, on a weight `[features_in, features_out]` and a bias
/// `[features_out]`.
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn affine<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    project("affine", x, weight, bias, false)
}

/// A fully connected layer whose weight is a table of one row an output, such as an embedding:
/// `[…, features_in]`, `[features_out, features_in]` → `[…, features_out]`.
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn linear_transposed<const D: usize>(
    x: Tensor<D>,
    table: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    project("linear_transposed", x, table, bias, true)
}

fn project<const D: usize>(
    name: &str,
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    is_table: bool,
) -> Tensor<D> {
    let (input, shape) = (x.shape(), weight.dims());
    let [inputs, outputs] = if is_table { [shape[1], shape[0]] } else { shape };
    let bias_shape = bias.as_ref().map(Tensor::dims);
    assert!(
        input[D - 1] == inputs && bias_shape.is_none_or(|bias| bias == [outputs]),
        "{name}: input {input:?}, weight {shape:?} and bias {bias_shape:?} do not fit"
    );
    two_or_three(Affine { is_table }, x, weight, bias).unwrap_or_else(|(x, weight, bias)| {
        let output = composed(x, weight, is_table);
        match bias {
            Some(bias) => output + bias.unsqueeze(),
            None => output,
        }
    })
}

/// Of general operations, on any device.
fn composed<const D: usize>(x: Tensor<D>, weight: Tensor<2>, is_table: bool) -> Tensor<D> {
    let mut shape = x.dims();
    let rows: usize = shape[..D - 1].iter().product();
    let weight = if is_table { weight.transpose() } else { weight };
    let rows = x.reshape([rows, shape[D - 1]]);
    shape[D - 1] = weight.dims()[1];
    rows.matmul(weight).reshape(shape)
}

#[derive(Debug, Clone, Copy)]
struct Affine {
    is_table: bool,
}

impl Affine {
    fn weight<B: Host>(self, weight: &Array<B>) -> Weight<'_> {
        let [rows, columns] = weight.dims();
        let [inputs, outputs] = if self.is_table { [columns, rows] } else { [rows, columns] };
        Weight { numbers: weight.numbers(), inputs, outputs, is_table: self.is_table }
    }
}

/// The number of rows.
fn rows_of(shape: &Shape) -> usize {
    shape[..shape.num_dims() - 1].iter().product()
}

/// Of input and weight, and a bias where it is the third.
impl<const N: usize> Kernel<N> for Affine {
    /// Input and weight.
    type Saved<B: Host> = [Array<B>; 2];

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; N],
        saves: bool,
    ) -> (Array<B>, Option<[Array<B>; 2]>) {
        let [x, weights] = [&inputs[0], &inputs[1]];
        let weight = self.weight(weights);
        let mut shape = x.shape();
        let rows = rows_of(&shape);
        let last = shape.num_dims() - 1;
        shape[last] = weight.outputs;
        let bias = inputs.get(2).map(Array::numbers);
        let threads = rayon::current_num_threads();
        let output = Array::new(forward(x.numbers(), rows, weight, bias, threads), shape);
        (output, saves.then(|| [x.clone(), weights.clone()]))
    }

    fn backward<B: Host>(
        &self,
        [x, weights]: [Array<B>; 2],
        gradient: Array<B>,
        wanted: [bool; N],
    ) -> [Option<Array<B>>; N] {
        let weight = self.weight(&weights);
        let rows = rows_of(&x.shape());
        let gradient = gradient.numbers();
        std::array::from_fn(|at| {
            wanted[at].then(|| match at {
                0 => {
                    let threads = rayon::current_num_threads();
                    Array::new(of_x(gradient, rows, weight, threads), x.shape())
                }
                1 => {
                    let mut to = vec![0.0; weight.numbers.len()];
                    of_weight(gradient, x.numbers(), rows, weight, &mut to);
                    Array::new(to, weights.shape())
                }
                _ => Array::new(of_bias(gradient, weight.outputs), [weight.outputs]),
            })
        })
    }
}

/// Products of fewer multiplications than this stay on one thread: waking others takes as long.
const WORTH_SHARING: usize = 1 << 23;
/// Rows up to which a large weight is not packed for the gradient of the input.
const MOST_ROWS_BACK: usize = 32;
/// Weights of fewer numbers than this are no work for other threads then.
const WORTH_THREADS: usize = 1 << 19;
/// Rows whose sums one task takes.
const ROWS: usize = 128;

fn multiply(a: Matrix, b: Matrix, to: &mut [f32], work: usize, add: bool) {
    if work < WORTH_SHARING {
        product(a, b, to, add);
    } else {
        shared_product(a, b, to, add);
    }
}

/// `x · weight + bias` of each row; of few rows on at most so many threads.
pub(super) fn forward(
    x: &[f32],
    rows: usize,
    weight: Weight,
    bias: Option<&[f32]>,
    threads: usize,
) -> Vec<f32> {
    if few_rows::applies(rows, weight) {
        return few_rows::forward(x, weight, bias, threads);
    }
    let mut output = match bias {
        Some(bias) => bias.repeat(rows),
        None => vec![0.0; rows * weight.outputs],
    };
    let work = x.len() * weight.outputs;
    let x = Matrix::new(x, rows, weight.inputs);
    multiply(x, weight.matrix(), &mut output, work, bias.is_some());
    output
}

/// The gradient of the input.
pub(super) fn of_x(gradient: &[f32], rows: usize, weight: Weight, threads: usize) -> Vec<f32> {
    let back = Weight {
        inputs: weight.outputs,
        outputs: weight.inputs,
        is_table: !weight.is_table,
        ..weight
    };
    // Packing a large weight costs more than a few rows; a narrow one costs little.
    let is_large = weight.inputs.min(weight.outputs) >= 256;
    if rows <= MOST_ROWS_BACK && is_large && few_rows::applies(rows, back) {
        let threads = if weight.numbers.len() < WORTH_THREADS { 1 } else { threads };
        return few_rows::forward(gradient, back, None, threads);
    }
    let mut of_x = vec![0.0; rows * weight.inputs];
    let work = gradient.len() * weight.inputs;
    let gradient = Matrix::new(gradient, rows, weight.outputs);
    multiply(gradient, weight.matrix().transposed(), &mut of_x, work, false);
    of_x
}

/// The gradient of the weight, in its own order.
pub(super) fn of_weight(gradient: &[f32], x: &[f32], rows: usize, weight: Weight, to: &mut [f32]) {
    let work = gradient.len() * weight.inputs;
    let gradient = Matrix::new(gradient, rows, weight.outputs);
    let x = Matrix::new(x, rows, weight.inputs);
    if weight.is_table {
        multiply(gradient.transposed(), x, to, work, false);
    } else {
        multiply(x.transposed(), gradient, to, work, false);
    }
}

/// The gradient of the bias: the sum of the rows, in the same order whatever the threads.
pub(super) fn of_bias(gradient: &[f32], outputs: usize) -> Vec<f32> {
    if gradient.is_empty() {
        return vec![0.0; outputs];
    }
    let sum = |rows: &[f32]| {
        let mut sum = vec![0.0; outputs];
        vectorised(|| {
            for row in rows.chunks(outputs) {
                for (sum, &number) in sum.iter_mut().zip(row) {
                    *sum += number;
                }
            }
        });
        sum
    };
    let sums: Vec<Vec<f32>> = if gradient.len() < parallel::WORTH_SHARING {
        gradient.chunks(ROWS * outputs).map(sum).collect()
    } else {
        gradient.par_chunks(ROWS * outputs).map(sum).collect()
    };
    sum(&sums.concat())
}
