//! The norm of a module's gradients.

use burn::module::Param;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation, Role};
use crate::draw::Draw;
use crate::run::Run;

pub fn operations() -> [Operation; 2] {
    [
        Operation {
            name: "clip_grad_norm",
            generate: |draw| {
                let max_norm = draw.pick(&[0.0, 0.1, 1.0, 5.0, 1000.0]);
                norm(draw, Some(max_norm))
            },
            misfit: None,
        },
        Operation { name: "grad_norm", generate: |draw| norm(draw, None), misfit: None },
    ]
}

/// Of a fully connected layer, whose gradients are the inputs.
#[derive(Debug)]
struct Norm {
    /// Which of weight and bias have a gradient.
    has: [bool; 2],
    max_norm: Option<f64>,
}

fn norm(draw: &mut Draw, max_norm: Option<f64>) -> Case {
    let [from, to] = if draw.large { [300, 230] } else { draw.pair(1, 7) };
    let has = draw.pick(&[[true, true], [true, true], [true, false], [false, true], [false; 2]]);
    let mut of_weight = draw.batch_input("gradient of weight", &[from, to]);
    let mut of_bias = draw.batch_input("gradient of bias", &[to]);
    (of_weight.role, of_bias.role) = (Role::Constant, Role::Constant);
    Case::new(vec![of_weight, of_bias], Norm { has, max_norm })
}

impl Call for Norm {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let all = inputs.iter().zip(self.has).filter(|(_, has)| *has).map(|(input, _)| input);
        let squares = all.clone().flat_map(|input| input.vars.iter().map(|&x| x * x));
        let norm = squares.fold(given.tape.constant(0.0), |sum, square| sum + square).sqrt();
        let mut answers = Vec::new();
        if let Some(max_norm) = self.max_norm {
            let factor = max_norm / (norm.value + 1e-6);
            let factor = if factor > 1.0 { 1.0 } else { factor };
            answers.extend(all.map(|input| Answer::observed("clipped", input.map(|x| x * factor))));
        }
        let norm = Block { shape: vec![1], vars: vec![norm] };
        answers.push(Answer::observed("norm", norm));
        answers
    }

    fn ours(&self, run: &mut Run) {
        let device = run.device().autodiff();
        let (of_weight, of_bias) = (run.tensor::<2>(0), run.tensor::<1>(1));
        let layer = Linear {
            weight: Param::from_tensor(Tensor::zeros(of_weight.dims(), &device)),
            bias: Some(Param::from_tensor(Tensor::zeros(of_bias.dims(), &device))),
        };
        let [weight, bias] = [layer.weight.id, layer.bias.as_ref().expect("a bias").id];
        let mut gradients = GradientsParams::new();
        if self.has[0] {
            gradients.register(weight, of_weight);
        }
        if self.has[1] {
            gradients.register(bias, of_bias);
        }
        let norm = match self.max_norm {
            Some(max_norm) => {
                let (clipped, norm) = ops::clip_grad_norm(&layer, gradients, max_norm);
                if let Some(clipped) = clipped.get::<2>(weight) {
                    run.observe("clipped", clipped);
                }
                if let Some(clipped) = clipped.get::<1>(bias) {
                    run.observe("clipped", clipped);
                }
                norm
            }
            None => ops::grad_norm(&layer, &gradients),
        };
        run.observe("norm", norm);
    }
}
