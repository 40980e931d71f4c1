//! Fully connected layers.

use rayon::prelude::*;

use super::few_rows;
use super::matrix::{Matrix, Weight, product, shared_product};
use super::parallel::{self, vectorised};

/// Products of fewer multiplications than this stay on one thread: waking others takes as long.
const WORTH_SHARING: usize = 1 << 23;
/// Rows whose sums one task takes.
const ROWS: usize = 128;

fn multiply(a: Matrix, b: Matrix, to: &mut [f32], work: usize, add: bool) {
    if work < WORTH_SHARING {
        product(a, b, to, add);
    } else {
        shared_product(a, b, to, add);
    }
}

/// `x · weight + bias` of each row.
pub(super) fn forward(x: &[f32], weight: Weight, bias: Option<&[f32]>) -> Vec<f32> {
    let rows = x.len() / weight.inputs;
    if few_rows::applies(rows, weight) {
        return few_rows::forward(x, weight, bias);
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
pub(super) fn of_x(gradient: &[f32], weight: Weight) -> Vec<f32> {
    let rows = gradient.len() / weight.outputs;
    let mut of_x = vec![0.0; rows * weight.inputs];
    let work = gradient.len() * weight.inputs;
    let gradient = Matrix::new(gradient, rows, weight.outputs);
    multiply(gradient, weight.matrix().transposed(), &mut of_x, work, false);
    of_x
}

/// The gradient of the weight, in its own order.
pub(super) fn of_weight(gradient: &[f32], x: &[f32], weight: Weight) -> Vec<f32> {
    let rows = gradient.len() / weight.outputs;
    let mut of_weight = vec![0.0; weight.numbers.len()];
    let work = gradient.len() * weight.inputs;
    let gradient = Matrix::new(gradient, rows, weight.outputs);
    let x = Matrix::new(x, rows, weight.inputs);
    if weight.is_table {
        multiply(gradient.transposed(), x, &mut of_weight, work, false);
    } else {
        multiply(x.transposed(), gradient, &mut of_weight, work, false);
    }
    of_weight
}

/// The gradient of the bias: the sum of the rows, in the same order whatever the threads.
pub(super) fn of_bias(gradient: &[f32], outputs: usize) -> Vec<f32> {
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
