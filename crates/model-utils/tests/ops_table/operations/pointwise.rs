//! One number to one number.

use burn::tensor::{Tensor, activation};
use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::run::Run;
use crate::tape::Var;

pub fn operations() -> [Operation; 4] {
    [
        Operation { name: "relu", generate: |draw| pointwise(draw, Function::Relu), misfit: None },
        Operation {
            name: "relu6",
            generate: |draw| pointwise(draw, Function::Relu6),
            misfit: None,
        },
        Operation {
            name: "leaky_relu",
            generate: |draw| {
                let slope = draw.pick(&[0.01, 0.2, 0.5, 1.0, 1.5, 0.0, -0.3, -2.0]);
                pointwise(draw, Function::LeakyRelu(slope))
            },
            misfit: None,
        },
        Operation { name: "tanh", generate: |draw| pointwise(draw, Function::Tanh), misfit: None },
    ]
}

#[derive(Debug, Clone, Copy)]
enum Function {
    Relu,
    Relu6,
    LeakyRelu(f64),
    Tanh,
}

#[derive(Debug)]
struct Pointwise {
    rank: usize,
    function: Function,
}

fn pointwise(draw: &mut Draw, function: Function) -> Case {
    let rank = draw.between(1, 4);
    let shape = draw.shape(rank);
    let mut x = draw.batch_input("x", &shape);
    let wide = draw.pick(&[1.0, 4.0, 30.0]);
    x.array.values.iter_mut().for_each(|x| *x *= wide);
    // The corners themselves.
    if let Some(x) = x.array.values.first_mut() {
        *x = draw.pick(&[0.0, -0.0, 6.0, *x, *x]);
    }
    Case::new(vec![x], Pointwise { rank, function })
}

impl Function {
    fn oracle(self, x: Var) -> Var {
        let (value, nan) = (x.value, x.value.is_nan());
        match self {
            _ if nan => x,
            Self::Relu | Self::LeakyRelu(_) if value > 0.0 => x,
            Self::Relu => x.function(0.0, 0.0),
            Self::Relu6 if value > 0.0 && value < 6.0 => x,
            Self::Relu6 => x.function(value.clamp(0.0, 6.0), 0.0),
            // Where the slope is 0, −∞ becomes NaN, as 0 · ∞ does.
            Self::LeakyRelu(slope) => x * slope,
            Self::Tanh => x.tanh(),
        }
    }

    fn ours<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => ops::relu(x),
            Self::Relu6 => ops::relu6(x),
            Self::LeakyRelu(slope) => ops::leaky_relu(x, slope),
            Self::Tanh => ops::tanh(x),
        }
    }

    fn burns<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu(slope) => activation::leaky_relu(x, slope),
            Self::Tanh => activation::tanh(x),
        }
    }
}

impl Pointwise {
    fn run<const D: usize>(&self, run: &mut Run, ours: bool) {
        let x = run.tensor::<D>(0);
        let y = if ours { self.function.ours(x) } else { self.function.burns(x) };
        run.output("output", y);
    }

    fn run_any(&self, run: &mut Run, ours: bool) {
        match self.rank {
            1 => self.run::<1>(run, ours),
            2 => self.run::<2>(run, ours),
            3 => self.run::<3>(run, ours),
            _ => self.run::<4>(run, ours),
        }
    }
}

impl Call for Pointwise {
    fn oracle<'t>(&self, _: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        vec![Answer::output("output", inputs[0].map(|x| self.function.oracle(x)))]
    }

    fn ours(&self, run: &mut Run) {
        self.run_any(run, true);
    }

    fn burns(&self, run: &mut Run) -> bool {
        self.run_any(run, false);
        true
    }

    fn is_element_wise(&self) -> bool {
        true
    }
}
