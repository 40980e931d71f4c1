//! What carries a state from token to token.

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};
use model_utils::ops;
use serde::{Deserialize, Serialize};

/// A recurrent cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// The gated recurrent unit (Cho et al. 2014), as PyTorch's: the reset gate acts on the
    /// projected state.
    #[default]
    Gru,
    /// The long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers
    /// et al. 2000), as PyTorch's.
    Lstm,
}

impl Cell {
    /// Vectors of the state's width that a step is made of: reset, update and new (GRU), or input,
    /// forget, new and output (LSTM).
    pub fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}

/// The state behind a token.
#[derive(Debug, Clone)]
pub struct Memory {
    /// What is seen from outside, `[rows, width]`.
    pub hidden: Tensor<2>,
    /// What an LSTM keeps to itself, `[rows, width]`.
    pub cell: Option<Tensor<2>>,
}

impl Memory {
    pub(crate) fn zeros(rows: usize, width: usize, cell: Cell, device: &Device) -> Self {
        let zeros = || Tensor::zeros([rows, width], device);
        Self { hidden: zeros(), cell: (cell == Cell::Lstm).then(zeros) }
    }

    pub(crate) fn map(self, change: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self { hidden: change(self.hidden), cell: self.cell.map(change) }
    }

    pub(crate) fn select(&mut self, rows: &Tensor<1, Int>) {
        *self = self.clone().map(|x| x.select(0, rows.clone()));
    }

    /// This where `keep`, `[rows, 1]`, is 1, and `other` where it is 0.
    fn blend(self, other: &Self, keep: &Tensor<2>) -> Self {
        let blend =
            |new: Tensor<2>, old: &Tensor<2>| old.clone() + (new - old.clone()) * keep.clone();
        Self {
            hidden: blend(self.hidden, &other.hidden),
            cell: self.cell.zip(other.cell.as_ref()).map(|(new, old)| blend(new, old)),
        }
    }
}

/// One layer of recurrent cells.
#[derive(Module, Debug)]
pub struct RecurrentLayer {
    /// `[inputs, gates · width]`.
    pub input: Linear,
    /// `[width, gates · width]`.
    pub hidden: Linear,
    #[module(skip)]
    cell: Cell,
    width: usize,
}

impl RecurrentLayer {
    /// Weights uniform within 1/√width, as PyTorch's.
    pub(crate) fn new(from: usize, width: usize, cell: Cell, device: &Device) -> Self {
        let bound = (width as f64).powf(-0.5);
        let linear = |from| {
            let spread = Initializer::Uniform { min: -bound, max: bound };
            LinearConfig::new(from, cell.gates() * width).with_initializer(spread).init(device)
        };
        Self { input: linear(from), hidden: linear(width), cell, width }
    }

    /// The input's part of the gates, `[…, inputs]` → `[…, gates · width]`: of all tokens at once.
    pub(crate) fn project<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::linear(&self.input, x)
    }

    /// One token, whose input is projected already, `[rows, gates · width]`.
    pub(crate) fn step(&self, projected: Tensor<2>, memory: &Memory) -> Memory {
        let recurrent = ops::linear(&self.hidden, memory.hidden.clone());
        if let Some(cell) = &memory.cell {
            let (hidden, cell) = ops::lstm_cell(projected + recurrent, cell.clone());
            return Memory { hidden, cell: Some(cell) };
        }
        let hidden = ops::gru_cell(projected, recurrent, memory.hidden.clone());
        Memory { hidden, cell: None }
    }

    /// The states behind all tokens of `[batch, time, inputs]`, `[batch, time, width]`, and the last
    /// of each row, read from `memory` on, or from zeros, backwards if `is_reversed`. Padding leaves
    /// a state as it is; without `lengths` there is none.
    pub(crate) fn run(
        &self,
        x: Tensor<3>,
        memory: Option<Memory>,
        lengths: &[usize],
        is_reversed: bool,
    ) -> (Tensor<3>, Memory) {
        let [batch, time, _] = x.dims();
        let device = x.device();
        let shortest = lengths.iter().copied().min().unwrap_or(time);
        let projected = self.project(x);
        let zeros = || Memory::zeros(batch, self.width, self.cell, &device);
        let mut memory = memory.unwrap_or_else(zeros);
        let mut outputs = Vec::with_capacity(time);
        for step in 0..time {
            let at = if is_reversed { time - 1 - step } else { step };
            let input = projected.clone().narrow(1, at, 1).squeeze_dim::<2>(1);
            let next = self.step(input, &memory);
            memory = if at < shortest {
                next
            } else {
                let keep: Vec<f32> =
                    lengths.iter().map(|&length| f32::from(u8::from(at < length))).collect();
                let keep = Tensor::<1>::from_floats(keep.as_slice(), &device).unsqueeze_dim(1);
                next.blend(&memory, &keep)
            };
            outputs.push(memory.hidden.clone());
        }
        if is_reversed {
            outputs.reverse();
        }
        (Tensor::stack(outputs, 1), memory)
    }
}
