//! The gates of recurrent cells.

use rayon::prelude::*;

use super::parallel::vectorised;
use super::tangent::of as tanh;

/// Numbers of a state that one task takes.
const WORTH_SHARING: usize = 1 << 13;

/// σ(x) = (1 + tanh(x / 2)) / 2.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

/// Calls `row(number, chunk)` for each chunk of `width` numbers, on all threads if there are many.
fn each_row(numbers: &mut [f32], width: usize, row: impl Fn(usize, &mut [f32]) + Sync) {
    let width = width.max(1);
    let rows = WORTH_SHARING.div_ceil(width);
    numbers.par_chunks_mut(rows * width).enumerate().for_each(|(task, numbers)| {
        vectorised(|| {
            for (at, numbers) in numbers.chunks_mut(width).enumerate() {
                row(task * rows + at, numbers);
            }
        });
    });
}

/// The new state of a gated recurrent unit; see [`gru_cell`](crate::ops::gru_cell).
pub(in crate::ops) fn gru(input: &[f32], state: &[f32], hidden: &[f32], width: usize) -> Vec<f32> {
    let mut output = vec![0.0; hidden.len()];
    each_row(&mut output, width, |row, output| {
        let (x, s) =
            (&input[row * 3 * width..][..3 * width], &state[row * 3 * width..][..3 * width]);
        let h = &hidden[row * width..][..width];
        for at in 0..width {
            let reset = sigmoid(x[at] + s[at]);
            let update = sigmoid(x[width + at] + s[width + at]);
            let new = tanh(x[2 * width + at] + reset * s[2 * width + at]);
            output[at] = new + update * (h[at] - new);
        }
    });
    output
}

/// The gradients of the input's part, the state's part and the state.
pub(in crate::ops) fn gru_backward(
    gradient: &[f32],
    input: &[f32],
    state: &[f32],
    hidden: &[f32],
    width: usize,
) -> [Vec<f32>; 3] {
    // One row holds all three, so that one task writes them.
    let mut all = vec![0.0; hidden.len() * 7];
    each_row(&mut all, 7 * width, |row, all| {
        let (x, s) =
            (&input[row * 3 * width..][..3 * width], &state[row * 3 * width..][..3 * width]);
        let (h, g) = (&hidden[row * width..][..width], &gradient[row * width..][..width]);
        let (of_x, rest) = all.split_at_mut(3 * width);
        let (of_s, of_h) = rest.split_at_mut(3 * width);
        for at in 0..width {
            let reset = sigmoid(x[at] + s[at]);
            let update = sigmoid(x[width + at] + s[width + at]);
            let of_state = s[2 * width + at];
            let new = tanh(x[2 * width + at] + reset * of_state);
            let of_new = g[at] * (1.0 - update) * (1.0 - new * new);
            let of_update = g[at] * (h[at] - new) * update * (1.0 - update);
            let of_reset = of_new * of_state * reset * (1.0 - reset);
            of_x[at] = of_reset;
            of_x[width + at] = of_update;
            of_x[2 * width + at] = of_new;
            of_s[at] = of_reset;
            of_s[width + at] = of_update;
            of_s[2 * width + at] = of_new * reset;
            of_h[at] = g[at] * update;
        }
    });
    split(&all, width, [3, 3, 1])
}

/// Rows of three parts as three matrices.
fn split(all: &[f32], width: usize, parts: [usize; 3]) -> [Vec<f32>; 3] {
    let row = parts.iter().sum::<usize>() * width;
    let mut from = 0;
    parts.map(|part| {
        let range = from..from + part * width;
        from = range.end;
        all.chunks(row.max(1)).flat_map(|row| &row[range.clone()]).copied().collect()
    })
}

/// The new cell of a long short-term memory; see [`lstm_cell`](crate::ops::lstm_cell).
pub(in crate::ops) fn lstm_memory(gates: &[f32], cell: &[f32], width: usize) -> Vec<f32> {
    let mut output = vec![0.0; cell.len()];
    each_row(&mut output, width, |row, output| {
        let (g, c) = (&gates[row * 4 * width..][..4 * width], &cell[row * width..][..width]);
        for at in 0..width {
            let new = sigmoid(g[at]) * tanh(g[2 * width + at]);
            output[at] = sigmoid(g[width + at]) * c[at] + new;
        }
    });
    output
}

/// The gradients of gates and cell.
pub(in crate::ops) fn lstm_memory_backward(
    gradient: &[f32],
    gates: &[f32],
    cell: &[f32],
    width: usize,
) -> [Vec<f32>; 2] {
    let mut all = vec![0.0; cell.len() * 5];
    each_row(&mut all, 5 * width, |row, all| {
        let (g, c) = (&gates[row * 4 * width..][..4 * width], &cell[row * width..][..width]);
        let gradient = &gradient[row * width..][..width];
        let (of_gates, of_cell) = all.split_at_mut(4 * width);
        for at in 0..width {
            let (input, forget) = (sigmoid(g[at]), sigmoid(g[width + at]));
            let new = tanh(g[2 * width + at]);
            of_gates[at] = gradient[at] * new * input * (1.0 - input);
            of_gates[width + at] = gradient[at] * c[at] * forget * (1.0 - forget);
            of_gates[2 * width + at] = gradient[at] * input * (1.0 - new * new);
            of_gates[3 * width + at] = 0.0;
            of_cell[at] = gradient[at] * forget;
        }
    });
    let [of_gates, of_cell, _] = split(&all, width, [4, 1, 0]);
    [of_gates, of_cell]
}

/// The new output of a long short-term memory.
pub(in crate::ops) fn lstm_output(gates: &[f32], cell: &[f32], width: usize) -> Vec<f32> {
    let mut output = vec![0.0; cell.len()];
    each_row(&mut output, width, |row, output| {
        let (g, c) = (&gates[row * 4 * width..][..4 * width], &cell[row * width..][..width]);
        for at in 0..width {
            output[at] = sigmoid(g[3 * width + at]) * tanh(c[at]);
        }
    });
    output
}

/// The gradients of gates and new cell.
pub(in crate::ops) fn lstm_output_backward(
    gradient: &[f32],
    gates: &[f32],
    cell: &[f32],
    width: usize,
) -> [Vec<f32>; 2] {
    let mut all = vec![0.0; cell.len() * 5];
    each_row(&mut all, 5 * width, |row, all| {
        let (g, c) = (&gates[row * 4 * width..][..4 * width], &cell[row * width..][..width]);
        let gradient = &gradient[row * width..][..width];
        let (of_gates, of_cell) = all.split_at_mut(4 * width);
        of_gates[..3 * width].fill(0.0);
        for at in 0..width {
            let (output, seen) = (sigmoid(g[3 * width + at]), tanh(c[at]));
            of_gates[3 * width + at] = gradient[at] * seen * output * (1.0 - output);
            of_cell[at] = gradient[at] * output * (1.0 - seen * seen);
        }
    });
    let [of_gates, of_cell, _] = split(&all, width, [4, 1, 0]);
    [of_gates, of_cell]
}
