//! Normalisations.

use burn::module::{Param, RunningState};
use burn::nn::BatchNorm;
use model_utils::layers::LayerNorm;
use model_utils::ops;

use crate::array::{Array, Block, for_each_index, place};
use crate::case::{Answer, Call, Case, Given, Input, Operation};
use crate::draw::Draw;
use crate::operations::bias;
use crate::run::{Mode, Run};
use crate::tape::Var;

pub fn operations() -> [Operation; 3] {
    [
        Operation {
            name: "batch_norm",
            generate: |draw| batch_norm(draw, false),
            misfit: Some(|draw| batch_norm(draw, true)),
        },
        Operation {
            name: "layer_norm",
            generate: |draw| layer_norm(draw, true, false),
            misfit: Some(|draw| layer_norm(draw, true, true)),
        },
        Operation {
            name: "normalize_rows",
            generate: |draw| layer_norm(draw, false, false),
            misfit: Some(|draw| layer_norm(draw, false, true)),
        },
    ]
}

#[derive(Debug)]
struct Batch {
    rank: usize,
    epsilon: f64,
    momentum: f64,
    training: bool,
    running_mean: Vec<f32>,
    running_var: Vec<f32>,
}

/// The mean and the biased variance, of at least one number.
fn moments<'t>(numbers: &[Var<'t>]) -> (Var<'t>, Var<'t>) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().copied().sum::<Var>() / count;
    let square = |&x: &Var<'t>| (x - mean) * (x - mean);
    (mean, numbers.iter().map(square).sum::<Var>() / count)
}

/// Draws a batch whose groups' numbers spread, each anew until they do: a variance near 0 multiplies
/// the rounding of what it divides.
fn spread(
    draw: &mut Draw,
    shape: &[usize],
    groups: usize,
    group: impl Fn(&[usize]) -> usize,
) -> Input {
    let mut input = draw.batch_input("x", shape);
    let mut members = vec![Vec::new(); groups];
    let mut at = 0;
    for_each_index(shape, |index| {
        members[group(index)].push(at);
        at += 1;
    });
    for members in members.iter().filter(|members| members.len() > 1) {
        let count = members.len() as f64;
        loop {
            let numbers = members.iter().map(|&at| f64::from(input.array.values[at]));
            let mean = numbers.clone().sum::<f64>() / count;
            let variance = numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            // What is not finite stays.
            if variance >= 0.1 || variance.is_nan() {
                break;
            }
            for (&at, x) in members.iter().zip(draw.array(&[members.len()]).values) {
                input.array.values[at] = x;
            }
        }
    }
    input
}

fn batch_norm(draw: &mut Draw, misfit: bool) -> Case {
    let rank = draw.between(2, 4);
    let mut shape = vec![draw.batch(5), draw.between(1, 7)];
    shape.extend((2..rank).map(|_| draw.between(1, 6)));
    if draw.large {
        shape[0] = 66_000_usize.div_ceil(shape[1..].iter().product());
    } else if shape[1..].iter().product::<usize>() > 60 && draw.chance(0.2) {
        shape[0] = 1;
    }
    let channels = shape[1];
    let mut features = channels;
    if misfit {
        shape[0] = shape[0].max(1);
        features += draw.between(1, 2);
    }
    let x = spread(draw, &shape, channels, |index| index[1]);
    let inputs = vec![x, draw.weight("gamma", &[features]), draw.weight("beta", &[features])];
    let momentum = draw.pick(&[0.1, 0.01, 0.5, 1.0]);
    let Array { values: running_mean, .. } = draw.array(&[features]);
    let running_var = draw.array(&[features]).values.iter().map(|x| x.abs() + 0.1).collect();
    let epsilon = draw.pick(&[1e-5, 1e-3]);
    let training = draw.chance(0.85);
    Case::new(inputs, Batch { rank, epsilon, momentum, training, running_mean, running_var })
}

impl Batch {
    fn layer(&self, run: &mut Run) -> BatchNorm {
        // The running statistics lie where the model does.
        let (gamma, beta) = (run.param::<1>(1), run.param::<1>(2));
        let device = gamma.val().device();
        let state = |values: &[f32]| {
            let values = burn::tensor::Tensor::<1>::from_floats(values, &device);
            RunningState::new(values)
        };
        BatchNorm {
            gamma,
            beta,
            training: Param::from_bool(self.training),
            running_mean: state(&self.running_mean),
            running_var: state(&self.running_var),
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }

    fn run<const D: usize>(&self, run: &mut Run, ours: bool) {
        let x = run.tensor::<D>(0);
        let norm = self.layer(run);
        let y = if ours { ops::batch_norm(&norm, x) } else { norm.forward(x) };
        run.output("output", y);
        run.observe("running mean", norm.running_mean.value_sync());
        run.observe("running variance", norm.running_var.value_sync());
    }

    fn run_any(&self, run: &mut Run, ours: bool) {
        match self.rank {
            2 => self.run::<2>(run, ours),
            3 => self.run::<3>(run, ours),
            _ => self.run::<4>(run, ours),
        }
    }
}

impl Call for Batch {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (x, gamma, beta) = (&inputs[0], &inputs[1], &inputs[2]);
        let of_running = |values: &[f32]| {
            let vars = values.iter().map(|&x| given.tape.constant(f64::from(x))).collect();
            Block { shape: vec![values.len()], vars }
        };
        let mut running = [&self.running_mean, &self.running_var].map(|x| of_running(x));
        let mut used: Vec<_> =
            running[0].vars.iter().copied().zip(running[1].vars.iter().copied()).collect();
        let count = x.vars.len() / x.shape[1];
        // Batch statistics are taken where batch or layer is tracked.
        if given.mode != Mode::Inference && self.training && count > 0 {
            let mut channels = vec![Vec::new(); x.shape[1]];
            let mut vars = x.vars.iter();
            for_each_index(&x.shape, |index| {
                channels[index[1]].extend(vars.next());
            });
            used = channels.iter().map(|numbers| moments(numbers)).collect();
            let moved = |from: Var<'t>, to: Var<'t>| {
                from * (1.0 - self.momentum) + to.detached() * self.momentum
            };
            for (channel, (mean, variance)) in used.iter().enumerate() {
                running[0].vars[channel] = moved(running[0].vars[channel], *mean);
                if count > 1 {
                    let unbiased = *variance * (count as f64 / (count as f64 - 1.0));
                    running[1].vars[channel] = moved(running[1].vars[channel], unbiased);
                }
            }
        }
        let deviations: Vec<_> =
            used.iter().map(|(_, variance)| (*variance + self.epsilon).sqrt()).collect();
        let y = Block::of(&x.shape, |index| {
            let channel = index[1];
            let normal = (x.at(index) - used[channel].0) / deviations[channel];
            normal * gamma.at(&[channel]) + beta.at(&[channel])
        });
        let [mean, variance] = running;
        vec![
            Answer::output("output", y),
            Answer::observed("running mean", mean),
            Answer::observed("running variance", variance),
        ]
    }

    fn ours(&self, run: &mut Run) {
        self.run_any(run, true);
    }

    fn burns(&self, run: &mut Run) -> bool {
        self.run_any(run, false);
        true
    }

    fn depends_on_run(&self) -> bool {
        true
    }

    /// The variance is at least 0.1, and dividing by it twice multiplies rounding.
    fn slack(&self) -> f64 {
        4.0
    }
}

#[derive(Debug)]
struct Layer {
    /// Whether as a layer.
    whole: bool,
    beta: bool,
    rank: usize,
    epsilon: f64,
}

fn layer_norm(draw: &mut Draw, layer: bool, misfit: bool) -> Case {
    let rank = draw.between(1, 4);
    let mut shape = draw.shape(rank);
    let width = draw.length(9, 70);
    shape[rank - 1] = width;
    if draw.large && rank > 1 {
        shape[0] = 66_000_usize.div_ceil(shape[1..].iter().product());
    }
    let mut features = width;
    if misfit {
        for length in &mut shape {
            *length = (*length).max(1);
        }
        features += draw.between(1, 2);
    }
    let rows = shape[..rank - 1].iter().product();
    let x = spread(draw, &shape, rows, |index| place(&shape[..rank - 1], &index[..rank - 1]));
    let beta = layer || draw.chance(0.7);
    let mut inputs = vec![x, draw.weight("gamma", &[features])];
    inputs.extend(beta.then(|| draw.weight("beta", &[features])));
    let epsilon = draw.pick(&[1e-5, 1e-3]);
    Case::new(inputs, Layer { whole: layer, beta, rank, epsilon })
}

impl Layer {
    fn run<const D: usize>(&self, run: &mut Run, ours: bool) {
        let x = run.tensor::<D>(0);
        let y = if ours && self.whole {
            let (gamma, beta) = (run.param(1), run.param(2));
            ops::layer_norm(&LayerNorm { gamma, beta, epsilon: self.epsilon }, x)
        } else {
            let (gamma, beta) = (run.tensor(1), self.beta.then(|| run.tensor(2)));
            if ours {
                ops::normalize_rows(x, gamma, beta, self.epsilon)
            } else {
                burn::tensor::module::layer_norm(x, gamma, beta, self.epsilon)
            }
        };
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

impl Call for Layer {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (x, gamma) = (&inputs[0], &inputs[1]);
        let mut y = Vec::new();
        for row in x.rows() {
            let (mean, variance) = moments(row);
            let deviation = (variance + self.epsilon).sqrt();
            let normal = row.iter().map(|&x| (x - mean) / deviation);
            y.extend(
                normal.enumerate().map(|(at, x)| x * gamma.at(&[at]) + bias(given, inputs, at)),
            );
        }
        vec![Answer::output("output", Block { shape: x.shape.clone(), vars: y })]
    }

    fn ours(&self, run: &mut Run) {
        self.run_any(run, true);
    }

    fn burns(&self, run: &mut Run) -> bool {
        self.run_any(run, false);
        true
    }

    fn slack(&self) -> f64 {
        4.0
    }
}
