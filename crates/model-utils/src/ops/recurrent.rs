//! The steps of recurrent cells, as PyTorch defines them.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::host::{Array, Host, Kernel, three, two};
use super::kernels::gates;

/// A step of a gated recurrent unit (Cho et al. 2014) of the input's and the state's parts of reset,
/// update and new, `[rows, 3 · width]` each, and the state, `[rows, width]`:
///
/// ```math
/// r = \sigma(x_r + s_r),\quad z = \sigma(x_z + s_z),\quad n = \tanh(x_n + r\,s_n),\quad
/// h' = (1 - z)\,n + z\,h
/// ```
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn gru_cell(input: Tensor<2>, state: Tensor<2>, hidden: Tensor<2>) -> Tensor<2> {
    let [rows, width] = hidden.dims();
    assert!(
        input.dims() == [rows, 3 * width] && state.dims() == input.dims(),
        "gru_cell: input {:?}, state {:?} and hidden {:?} do not fit",
        input.dims(),
        state.dims(),
        hidden.dims()
    );
    three(Gru, input, state, hidden).unwrap_or_else(|(input, state, hidden)| {
        let part = |x: &Tensor<2>, at: usize| x.clone().narrow(1, at * width, width);
        let reset = sigmoid(part(&input, 0) + part(&state, 0));
        let update = sigmoid(part(&input, 1) + part(&state, 1));
        let new = tanh(part(&input, 2) + reset * part(&state, 2));
        new.clone() + update * (hidden - new)
    })
}

/// A step of a long short-term memory (Hochreiter and Schmidhuber 1997) of its gates input, forget,
/// new and output before their activations, `[rows, 4 · width]`, and the cell, `[rows, width]`:
///
/// ```math
/// c' = \sigma(f)\,c + \sigma(i)\tanh(n),\quad h' = \sigma(o)\tanh(c')
/// ```
///
/// Returns `h'` and `c'`.
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn lstm_cell(gates: Tensor<2>, cell: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let [rows, width] = cell.dims();
    assert!(
        gates.dims() == [rows, 4 * width],
        "lstm_cell: gates {:?} and cell {:?} do not fit",
        gates.dims(),
        cell.dims()
    );
    let part = |gates: &Tensor<2>, at: usize| gates.clone().narrow(1, at * width, width);
    let cell = two(LstmMemory, gates.clone(), cell).unwrap_or_else(|(gates, cell)| {
        sigmoid(part(&gates, 1)) * cell + sigmoid(part(&gates, 0)) * tanh(part(&gates, 2))
    });
    let output = two(LstmOutput, gates, cell.clone())
        .unwrap_or_else(|(gates, cell)| sigmoid(part(&gates, 3)) * tanh(cell));
    (output, cell)
}

/// A kernel whose backward pass reads its inputs, of which the last is as wide as the state.
macro_rules! of_inputs {
    ($(#[$doc:meta])* $name:ident, $count:literal, $forward:expr, $backward:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        struct $name;

        impl Kernel<$count> for $name {
            type Saved<B: Host> = [Array<B>; $count];

            fn forward<B: Host>(
                &self,
                inputs: [Array<B>; $count],
                saves: bool,
            ) -> (Array<B>, Option<Self::Saved<B>>) {
                let [rows, width] = inputs[$count - 1].dims();
                let output = $forward(inputs.each_ref().map(Array::numbers), width);
                (Array::new(output, [rows, width]), saves.then_some(inputs))
            }

            fn backward<B: Host>(
                &self,
                inputs: Self::Saved<B>,
                gradient: Array<B>,
                _: [bool; $count],
            ) -> [Option<Array<B>>; $count] {
                let [_, width] = inputs[$count - 1].dims();
                let numbers = inputs.each_ref().map(Array::numbers);
                let mut shapes = inputs.iter().map(Array::shape);
                $backward(gradient.numbers(), numbers, width).map(|gradient| {
                    Some(Array::new(gradient, shapes.next().expect("of each input")))
                })
            }
        }
    };
}

of_inputs!(
    /// A step of a gated recurrent unit.
    Gru,
    3,
    |[x, s, h]: [&[f32]; 3], width| gates::gru(x, s, h, width),
    |g: &[f32], [x, s, h]: [&[f32]; 3], width| gates::gru_backward(g, x, s, h, width)
);
of_inputs!(
    /// The new cell of a long short-term memory.
    LstmMemory,
    2,
    |[gates, c]: [&[f32]; 2], width| gates::lstm_memory(gates, c, width),
    |g: &[f32], [gates, c]: [&[f32]; 2], width| gates::lstm_memory_backward(g, gates, c, width)
);
of_inputs!(
    /// The new output of a long short-term memory, of its new cell.
    LstmOutput,
    2,
    |[gates, c]: [&[f32]; 2], width| gates::lstm_output(gates, c, width),
    |g: &[f32], [gates, c]: [&[f32]; 2], width| gates::lstm_output_backward(g, gates, c, width)
);
