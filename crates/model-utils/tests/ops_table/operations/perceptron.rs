//! Multi-layer perceptrons.

use model_utils::layers::Activation;
use model_utils::ops;

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Operation};
use crate::draw::Draw;
use crate::run::Run;

pub fn operations() -> [Operation; 2] {
    [
        Operation {
            name: "perceptron",
            generate: |draw| perceptron(draw, false, false),
            misfit: Some(|draw| perceptron(draw, false, true)),
        },
        Operation {
            name: "perceptron_with_latent",
            generate: |draw| perceptron(draw, true, false),
            misfit: Some(|draw| perceptron(draw, true, true)),
        },
    ]
}

#[derive(Debug)]
struct Perceptron {
    widths: Vec<usize>,
    activation: Activation,
    /// Whether what the last layer reads is an output too.
    latent: bool,
}

fn perceptron(draw: &mut Draw, latent: bool, misfit: bool) -> Case {
    let most = if draw.chance(0.2) { 24 } else { 7 };
    let widths: Vec<usize> = (0..draw.between(2, 4))
        .map(|_| draw.between(1, if draw.large { 3 } else { most }))
        .collect();
    let rows = if draw.large { 66_000 } else { draw.batch(20) };
    let mut count: usize = widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    if misfit {
        count += draw.between(1, 3);
    }
    let activation = draw.pick(&[Activation::Relu, Activation::Tanh, Activation::Sigmoid]);
    let x = draw.tamed().batch_input("x", &[rows, widths[0]]);
    let inputs = vec![x, draw.weight("weights", &[count])];
    Case::new(inputs, Perceptron { widths, activation, latent })
}

impl Call for Perceptron {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let mut x = inputs[0].clone();
        let mut latent = x.clone();
        let mut at = 0;
        for (number, pair) in self.widths.windows(2).enumerate() {
            if number > 0 {
                x = x.map(|x| match self.activation {
                    Activation::Relu if x.value > 0.0 => x,
                    Activation::Relu => given.tape.constant(0.0),
                    Activation::Tanh => x.tanh(),
                    _ => x.sigmoid(),
                });
            }
            latent = x.clone();
            let (from, to) = (pair[0], pair[1]);
            let numbers = &inputs[1].vars[at..];
            x = Block::of(&[x.shape[0], to], |place| {
                let terms = (0..from).map(|i| x.at(&[place[0], i]) * numbers[i * to + place[1]]);
                terms.sum::<crate::tape::Var<'t>>() + numbers[from * to + place[1]]
            });
            at += (from + 1) * to;
        }
        let mut answers = vec![Answer::output("output", x)];
        if self.latent {
            answers.insert(0, Answer::output("latent", latent));
        }
        answers
    }

    fn ours(&self, run: &mut Run) {
        let (x, weights) = (run.tensor(0), run.tensor(1));
        if self.latent {
            let (latent, output) =
                ops::perceptron_with_latent(x, weights, &self.widths, self.activation);
            run.output("latent", latent);
            run.output("output", output);
        } else {
            run.output("output", ops::perceptron(x, weights, &self.widths, self.activation));
        }
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![self.widths.clone()]
    }
}
