//! Multi-layer perceptrons as one operation: fully connected layers with an activation between them.

use std::iter::zip;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::host::{Array, Host, Kernel, two};
use super::kernels::matrix::Weight;
use super::{activation, affine, linear};
use crate::layers::Activation;

/// Layers between these widths, the activation after each but the last. `[rows, widths[0]]` →
/// `[rows, widths[last]]`. All weights are one vector: for each layer the weight
/// `[inputs, outputs]`, row after row, then the bias `[outputs]`.
///
/// Small networks spend their time in the overhead of operations; here each pass is one.
///
/// # Panics
///
/// Where the shapes do not fit together, and with fewer than two widths.
pub fn perceptron(
    x: Tensor<2>,
    weights: Tensor<1>,
    widths: &[usize],
    activation: Activation,
) -> Tensor<2> {
    check("perceptron", &x, &weights, widths);
    if !matches!(activation, Activation::Relu | Activation::Tanh) {
        return composed(x, &weights, widths, activation).1;
    }
    let kernel = Perceptron { widths: widths.into(), activation };
    two(kernel, x, weights)
        .unwrap_or_else(|(x, weights)| composed(x, &weights, widths, activation).1)
}

/// [`perceptron`], and before its output what the last layer reads: `[rows, widths[last − 1]]`.
///
/// # Panics
///
/// As [`perceptron`].
pub fn perceptron_with_latent(
    x: Tensor<2>,
    weights: Tensor<1>,
    widths: &[usize],
    activation: Activation,
) -> (Tensor<2>, Tensor<2>) {
    check("perceptron_with_latent", &x, &weights, widths);
    composed(x, &weights, widths, activation)
}

fn check(name: &str, x: &Tensor<2>, weights: &Tensor<1>, widths: &[usize]) {
    let count: usize = widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    let (input, found) = (x.dims(), weights.dims());
    assert!(
        widths.len() > 1 && input[1] == widths[0] && found == [count],
        "{name}: input {input:?}, weights {found:?} and widths {widths:?} do not fit"
    );
}

/// Of an operation a layer, on any device: what the last layer reads, and what it gives.
fn composed(
    mut x: Tensor<2>,
    weights: &Tensor<1>,
    widths: &[usize],
    activation: Activation,
) -> (Tensor<2>, Tensor<2>) {
    let part = |range: Range<usize>| weights.clone().slice([range]);
    let mut latent = x.clone();
    for (number, Layer { inputs, outputs, weight, bias }) in layers(widths).enumerate() {
        if number > 0 {
            x = activation.forward(x);
        }
        latent = x.clone();
        x = affine(x, part(weight).reshape([inputs, outputs]), Some(part(bias)));
    }
    (latent, x)
}

/// Where a layer's numbers lie.
struct Layer {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Layer {
    fn weight<'a>(&self, weights: &'a [f32]) -> Weight<'a> {
        let numbers = &weights[self.weight.clone()];
        Weight { numbers, inputs: self.inputs, outputs: self.outputs, is_table: false }
    }
}

fn layers(widths: &[usize]) -> impl Iterator<Item = Layer> {
    let mut at = 0;
    widths.windows(2).map(move |pair| {
        let (inputs, outputs) = (pair[0], pair[1]);
        let (weight, bias) = (at..at + inputs * outputs, at + inputs * outputs);
        at = bias + outputs;
        Layer { inputs, outputs, weight, bias: bias..at }
    })
}

/// [`perceptron`] over numbers in this process's memory, with ReLU or the hyperbolic tangent: what
/// each layer gives, after its activation. On one thread, so that callers can share out rows, unless
/// a single product is worth more.
///
/// # Panics
///
/// Where the lengths do not fit together.
pub fn perceptron_layers(
    x: &[f32],
    weights: &[f32],
    widths: &[usize],
    activation: Activation,
) -> Vec<Vec<f32>> {
    let rows = x.len() / widths[0].max(1);
    let mut all: Vec<Vec<f32>> = Vec::with_capacity(widths.len() - 1);
    for (number, layer) in layers(widths).enumerate() {
        let bias = Some(&weights[layer.bias.clone()]);
        let x = all.last().map_or(x, Vec::as_slice);
        let mut y = linear::forward(x, rows, layer.weight(weights), bias, 1);
        if number + 2 < widths.len() {
            activation::activate(activation, &mut y);
        }
        all.push(y);
    }
    all
}

/// The gradients of input and weights, those that are wanted, where the last of
/// [`perceptron_layers`] has that gradient and the others are `hidden`.
///
/// # Panics
///
/// Where the lengths do not fit together.
pub fn perceptron_gradients(
    [x, weights]: [&[f32]; 2],
    hidden: &[Vec<f32>],
    gradient: &[f32],
    (widths, activation): (&[usize], Activation),
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    let rows = x.len() / widths[0].max(1);
    let read = std::iter::once(x).chain(hidden.iter().map(Vec::as_slice));
    let layers: Vec<(Layer, &[f32])> = zip(layers(widths), read).collect();
    let mut of_weights = if wanted[1] { vec![0.0; weights.len()] } else { Vec::new() };
    let mut below = Vec::new();
    for (number, (layer, x)) in layers.iter().enumerate().rev() {
        let is_last = number + 1 == layers.len();
        let of_output = if is_last { gradient } else { &below[..] };
        if wanted[1] {
            let to = &mut of_weights[layer.weight.clone()];
            linear::of_weight(of_output, x, rows, layer.weight(weights), to);
            let of_bias = linear::of_bias(of_output, layer.outputs);
            of_weights[layer.bias.clone()].copy_from_slice(&of_bias);
        }
        if number > 0 || wanted[0] {
            let mut of_x = linear::of_x(of_output, rows, layer.weight(weights), 1);
            if number > 0 {
                activation::slope(activation, &mut of_x, x);
            }
            below = of_x;
        }
    }
    [wanted[0].then_some(below), wanted[1].then_some(of_weights)]
}

#[derive(Debug, Clone)]
struct Perceptron {
    widths: Arc<[usize]>,
    /// `Relu` or `Tanh`.
    activation: Activation,
}

/// Of input and weights.
impl Kernel<2> for Perceptron {
    /// Input, weights, and what each hidden layer gives.
    type Saved<B: Host> = ([Array<B>; 2], Vec<Vec<f32>>);

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; 2],
        saves: bool,
    ) -> (Array<B>, Option<Self::Saved<B>>) {
        let [x, weights] = inputs.each_ref().map(Array::numbers);
        let [rows, _] = inputs[0].dims();
        let mut layers = perceptron_layers(x, weights, &self.widths, self.activation);
        let output = layers.pop().expect("a layer");
        let output = Array::new(output, [rows, self.widths[self.widths.len() - 1]]);
        (output, saves.then_some((inputs, layers)))
    }

    fn backward<B: Host>(
        &self,
        (inputs, hidden): Self::Saved<B>,
        gradient: Array<B>,
        wanted: [bool; 2],
    ) -> [Option<Array<B>>; 2] {
        let numbers = inputs.each_ref().map(Array::numbers);
        let network = (&*self.widths, self.activation);
        let [of_x, of_weights] =
            perceptron_gradients(numbers, &hidden, gradient.numbers(), network, wanted);
        let [x, weights] = inputs.each_ref().map(Array::shape);
        [of_x.map(|of_x| Array::new(of_x, x)), of_weights.map(|of| Array::new(of, weights))]
    }
}
