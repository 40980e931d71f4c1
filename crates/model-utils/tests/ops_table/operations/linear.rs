//! Fully connected layers.

use burn::nn::Linear;
use burn::tensor::Tensor;
use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::operations::bias;
use crate::run::Run;

pub fn operations() -> [Operation; 3] {
    [
        Operation {
            name: "linear",
            generate: |draw| linear(draw, Form::Layer, false),
            misfit: Some(|draw| linear(draw, Form::Layer, true)),
        },
        Operation {
            name: "affine",
            generate: |draw| linear(draw, Form::Function, false),
            misfit: Some(|draw| linear(draw, Form::Function, true)),
        },
        Operation {
            name: "linear_transposed",
            generate: |draw| linear(draw, Form::Table, false),
            misfit: Some(|draw| linear(draw, Form::Table, true)),
        },
    ]
}

/// How the weight is given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Layer,
    Function,
    /// A row an output.
    Table,
}

#[derive(Debug)]
struct FullyConnected {
    form: Form,
    rank: usize,
    bias: bool,
    /// Whether there are no rows.
    empty: bool,
}

fn linear(draw: &mut Draw, form: Form, misfit: bool) -> Case {
    let table = form == Form::Table;
    let rank = draw.between(1, 4);
    let most = if draw.chance(0.1) { 40 } else { 9 };
    let [from, to] = draw.pair(1, most);
    let mut shape: Vec<usize> = (1..rank).map(|_| draw.between(1, 4)).collect();
    if rank > 1 {
        shape[0] = if draw.large { 66_000 / from } else { draw.batch(12) };
        shape[1..].iter_mut().for_each(|length| *length = if draw.large { 1 } else { *length });
    }
    let to = if draw.large { to.min(3) } else { to };
    shape.push(from);
    let mut weight = if table { [to, from] } else { [from, to] };
    let (bias, mut of_bias) = (draw.chance(0.6), to);
    if misfit {
        for length in &mut shape {
            *length = (*length).max(1);
        }
        if bias && draw.chance(0.5) {
            of_bias += draw.between(1, 2);
        } else {
            weight[usize::from(table)] += draw.between(1, 2);
        }
    }
    let empty = shape.contains(&0);
    let mut inputs = vec![draw.batch_input("x", &shape), draw.weight("weight", &weight)];
    inputs.extend(bias.then(|| draw.weight("bias", &[of_bias])));
    Case::new(inputs, FullyConnected { form, rank, bias, empty })
}

impl FullyConnected {
    fn ours_of<const D: usize>(&self, run: &mut Run) {
        let x = run.tensor::<D>(0);
        let y = if self.form == Form::Layer {
            ops::linear(&self.layer(run), x)
        } else {
            let (weight, bias) = (run.tensor(1), self.bias.then(|| run.tensor(2)));
            match self.form {
                Form::Table => ops::linear_transposed(x, weight, bias),
                _ => ops::affine(x, weight, bias),
            }
        };
        run.output("output", y);
    }

    fn burns_of<const D: usize>(&self, run: &mut Run) {
        let x = run.tensor::<D>(0);
        let y: Tensor<D> = if self.form == Form::Table {
            let (table, bias) = (run.tensor::<2>(1), self.bias.then(|| run.tensor(2)));
            burn::tensor::module::linear(x, table.transpose(), bias)
        } else {
            self.layer(run).forward(x)
        };
        run.output("output", y);
    }

    fn layer(&self, run: &mut Run) -> Linear {
        Linear { weight: run.param(1), bias: self.bias.then(|| run.param(2)) }
    }
}

impl Call for FullyConnected {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let table = self.form == Form::Table;
        let to = weight.shape[usize::from(!table)];
        let mut y = Vec::new();
        for row in x.rows() {
            for output in 0..to {
                let mut sum = bias(given, inputs, output);
                for (at, &x) in row.iter().enumerate() {
                    let place = if table { [output, at] } else { [at, output] };
                    sum = sum + x * weight.at(&place);
                }
                y.push(sum);
            }
        }
        let mut shape = x.shape.clone();
        *shape.last_mut().expect("features") = to;
        vec![Answer::output("output", Block { shape, vars: y })]
    }

    fn ours(&self, run: &mut Run) {
        match self.rank {
            1 => self.ours_of::<1>(run),
            2 => self.ours_of::<2>(run),
            3 => self.ours_of::<3>(run),
            _ => self.ours_of::<4>(run),
        }
    }

    fn burns(&self, run: &mut Run) -> bool {
        // The process would end: flex's matrix product reads beyond what is empty.
        if self.empty {
            return false;
        }
        match self.rank {
            1 => self.burns_of::<1>(run),
            2 => self.burns_of::<2>(run),
            3 => self.burns_of::<3>(run),
            _ => self.burns_of::<4>(run),
        }
        true
    }
}
