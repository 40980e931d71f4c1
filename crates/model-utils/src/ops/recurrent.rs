//! The steps of recurrent cells, as PyTorch defines them.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

/// A step of a gated recurrent unit (Cho et al. 2014) of the input's and the state's parts of reset,
/// update and new, `[rows, 3 · width]` each, and the state, `[rows, width]`:
///
/// ```math
/// r = \sigma(x_r + s_r),\quad z = \sigma(x_z + s_z),\quad n = \tanh(x_n + r\,s_n),\quad
/// h' = (1 - z)\,n + z\,h
/// ```
pub fn gru_cell(input: Tensor<2>, state: Tensor<2>, hidden: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::rows::applies(&input) {
        return super::recurrence::gru_cell(input, state, hidden);
    }
    let width = hidden.dims()[1];
    let part = |x: &Tensor<2>, at: usize| x.clone().narrow(1, at * width, width);
    let reset = sigmoid(part(&input, 0) + part(&state, 0));
    let update = sigmoid(part(&input, 1) + part(&state, 1));
    let new = tanh(part(&input, 2) + reset * part(&state, 2));
    new.clone() + update * (hidden - new)
}

/// A step of a long short-term memory (Hochreiter and Schmidhuber 1997) of its gates input, forget,
/// new and output before their activations, `[rows, 4 · width]`, and the cell, `[rows, width]`:
///
/// ```math
/// c' = \sigma(f)\,c + \sigma(i)\tanh(n),\quad h' = \sigma(o)\tanh(c')
/// ```
///
/// Returns `h'` and `c'`.
pub fn lstm_cell(gates: Tensor<2>, cell: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "flex")]
    if super::rows::applies(&gates) {
        let cell = super::recurrence::lstm_memory(gates.clone(), cell);
        return (super::recurrence::lstm_output(gates, cell.clone()), cell);
    }
    let width = cell.dims()[1];
    let part = |at: usize| gates.clone().narrow(1, at * width, width);
    let cell = sigmoid(part(1)) * cell + sigmoid(part(0)) * tanh(part(2));
    (sigmoid(part(3)) * tanh(cell.clone()), cell)
}
