use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use model_utils::layers::Activation;
use model_utils::ops;
use model_utils_core::config;
use model_utils_core::random::Random;

use crate::error::Result;

/// How the weights begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// Weights and biases even within ±1/√fan-in: PyTorch's default.
    Even,
    /// Orthogonal with this gain at the last layer and √2 before it, biases 0 (Saxe et al. 2014).
    Orthogonal(f64),
}

/// A multi-layer perceptron whose weights lie on the host.
///
/// For each layer the weights `[inputs, outputs]`, then the biases `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    sizes: Vec<usize>,
    activation: Activation,
    values: Vec<f32>,
}

/// The layers of a [`Network`] on a device.
#[derive(Debug)]
pub(super) struct Layers {
    layers: Vec<Linear>,
    activation: Activation,
}

impl Network {
    /// A network of layers between these widths, the weights drawn.
    pub(super) fn new(
        sizes: Vec<usize>,
        activation: Activation,
        start: Start,
        random: &mut Random,
    ) -> Self {
        let mut values = Vec::new();
        let count = sizes.len() - 1;
        for (number, pair) in sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            match start {
                Start::Even => {
                    let most = 1.0 / (inputs as f64).sqrt();
                    let draw = |_| random.uniform_in(-most..most) as f32;
                    values.extend((0..(inputs + 1) * outputs).map(draw));
                }
                Start::Orthogonal(last) => {
                    let gain = if number + 1 == count { last } else { 2.0_f64.sqrt() };
                    let matrix = orthogonal(inputs, outputs, random);
                    values.extend(matrix.iter().map(|x| (gain * x) as f32));
                    values.extend(std::iter::repeat_n(0.0, outputs));
                }
            }
        }
        Self { sizes, activation, values }
    }

    /// A layer that reads nothing of its single input and gives these numbers: how numbers that
    /// are no network are kept beside networks.
    pub(super) fn constant(numbers: &[f32]) -> Self {
        let mut values = vec![0.0; numbers.len()];
        values.extend_from_slice(numbers);
        Self { sizes: vec![1, numbers.len()], activation: Activation::Tanh, values }
    }

    /// The widths, from input to output.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// All weights and biases, layer by layer.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The weights' and the biases' part of [`values`](Self::values) for each layer.
    fn parts(&self) -> impl Iterator<Item = (usize, usize, &[f32], &[f32])> {
        let mut at = 0;
        self.sizes.windows(2).map(move |pair| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let weights = &self.values[at..at + inputs * outputs];
            at += inputs * outputs;
            let biases = &self.values[at..at + outputs];
            at += outputs;
            (inputs, outputs, weights, biases)
        })
    }

    /// `[rows, inputs]` → `[rows, outputs]`, on the host without gradients.
    pub fn forward(&self, rows: &[f32]) -> Vec<f32> {
        self.forward_from_latent(rows).1
    }

    /// What the last layer reads, `[rows, last hidden width]`, and what it gives.
    pub(super) fn forward_from_latent(&self, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let count = rows.len() / self.sizes[0];
        let (mut latent, mut x) = (Vec::new(), rows.to_vec());
        let last = self.sizes.len() - 2;
        for (number, (inputs, outputs, weights, biases)) in self.parts().enumerate() {
            let mut y = Vec::with_capacity(count * outputs);
            for row in x.chunks_exact(inputs) {
                let from = y.len();
                y.extend_from_slice(biases);
                accumulate(&mut y[from..], row, weights);
            }
            if number < last {
                match self.activation {
                    Activation::Relu => y.iter_mut().for_each(|x| *x = x.max(0.0)),
                    // The configurations refuse all others.
                    _ => y.iter_mut().for_each(|x| *x = x.tanh()),
                }
            }
            latent = std::mem::replace(&mut x, y);
        }
        (latent, x)
    }

    /// The layers on a device; with gradients where it has autodiff and `trained` is set.
    pub(super) fn on(&self, device: &Device, trained: bool) -> Layers {
        let layer = |(inputs, outputs, weights, biases): (usize, usize, &[f32], &[f32])| {
            let weight = TensorData::new(weights.to_vec(), [inputs, outputs]);
            let weight = Tensor::<2>::from_data(weight, device);
            let bias = TensorData::new(biases.to_vec(), [outputs]);
            let bias = Tensor::<1>::from_data(bias, device);
            if trained {
                Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) }
            } else {
                let id = burn::module::ParamId::from(0);
                Linear {
                    weight: Param::initialized(id, weight),
                    bias: Some(Param::initialized(id, bias)),
                }
            }
        };
        Layers { layers: self.parts().map(layer).collect(), activation: self.activation }
    }

    /// Its tensors in PyTorch's names and layouts, as of an `nn.Sequential` of that name.
    pub(super) fn tensors(&self, name: &str) -> Vec<(String, Vec<f32>, Vec<usize>)> {
        let mut tensors = Vec::new();
        for (number, (inputs, outputs, weights, biases)) in self.parts().enumerate() {
            let transposed = (0..outputs * inputs)
                .map(|at| weights[at % inputs * outputs + at / inputs])
                .collect();
            let layer = 2 * number;
            tensors.push((format!("{name}.{layer}.weight"), transposed, vec![outputs, inputs]));
            tensors.push((format!("{name}.{layer}.bias"), biases.to_vec(), vec![outputs]));
        }
        tensors
    }

    /// Takes over tensors of [`tensors`](Self::tensors); the names of those that do not fit.
    pub(super) fn take(
        &mut self,
        name: &str,
        mut tensor: impl FnMut(&str) -> Option<(Vec<f32>, Vec<usize>)>,
    ) -> Vec<String> {
        let (mut at, mut wrong) = (0, Vec::new());
        for (number, pair) in self.sizes.clone().windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let key = format!("{name}.{}.weight", 2 * number);
            match tensor(&key) {
                Some((values, shape)) if shape == [outputs, inputs] => {
                    for (place, value) in values.into_iter().enumerate() {
                        self.values[at + place % inputs * outputs + place / inputs] = value;
                    }
                }
                Some((_, shape)) => {
                    wrong.push(format!("`{key}` is {shape:?}, expected {:?}", [outputs, inputs]));
                }
                None => wrong.push(format!("`{key}` is missing")),
            }
            at += inputs * outputs;
            let key = format!("{name}.{}.bias", 2 * number);
            match tensor(&key) {
                Some((values, shape)) if shape == [outputs] => {
                    self.values[at..at + outputs].copy_from_slice(&values);
                }
                Some((_, shape)) => {
                    wrong.push(format!("`{key}` is {shape:?}, expected [{outputs}]"));
                }
                None => wrong.push(format!("`{key}` is missing")),
            }
            at += outputs;
        }
        wrong
    }

    /// Moves towards another network: `self += share · (other − self)`.
    pub(super) fn move_towards(&mut self, other: &Self, share: f32) {
        for (a, b) in self.values.iter_mut().zip(&other.values) {
            *a += share * (b - *a);
        }
    }
}

/// `y += xᵀ W` for a row.
fn accumulate(y: &mut [f32], row: &[f32], weights: &[f32]) {
    let outputs = y.len();
    for (x, weights) in row.iter().zip(weights.chunks_exact(outputs)) {
        if *x != 0.0 {
            y.iter_mut().zip(weights).for_each(|(y, w)| *y += x * w);
        }
    }
}

impl Layers {
    /// `[rows, inputs]` → `[rows, outputs]`
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_from_latent(x).1
    }

    /// What the last layer reads, `[rows, last hidden width]`, and what it gives.
    pub(super) fn forward_from_latent(&self, mut x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let (last, hidden) = self.layers.split_last().expect("a network has a layer");
        for layer in hidden {
            x = ops::linear(layer, x);
            x = match self.activation {
                Activation::Relu => ops::relu(x),
                _ => ops::tanh(x),
            };
        }
        (x.clone(), ops::linear(last, x))
    }

    /// The gradients in the order of [`Network::values`].
    pub(super) fn gradients(&self, gradients: &Gradients) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        for layer in &self.layers {
            push(&mut out, layer.weight.val().grad(gradients))?;
            if let Some(bias) = &layer.bias {
                push(&mut out, bias.val().grad(gradients))?;
            }
        }
        Ok(out)
    }
}

fn push<const D: usize>(out: &mut Vec<f32>, gradient: Option<Tensor<D>>) -> Result<()> {
    let gradient =
        gradient.ok_or_else(|| model_utils_core::Error::data("gradients", "a weight has none"))?;
    out.extend(ops::to_vec(gradient));
    Ok(())
}

/// A matrix whose rows or columns, whichever are fewer, are orthonormal: Gram and Schmidt on
/// normal numbers, the sums in double precision.
fn orthogonal(inputs: usize, outputs: usize, random: &mut Random) -> Vec<f64> {
    let (count, length) = (inputs.min(outputs), inputs.max(outputs));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut new: Vec<f64> = (0..length).map(|_| random.normal()).collect();
        // Twice is enough (Kahan).
        for _ in 0..2 {
            for old in &vectors {
                let dot: f64 = old.iter().zip(&new).map(|(a, b)| a * b).sum();
                new.iter_mut().zip(old).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = new.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 1e-6 {
            for x in &mut new {
                *x /= norm;
            }
            vectors.push(new);
        }
    }
    let at = |input: usize, output: usize| {
        if inputs <= outputs { vectors[input][output] } else { vectors[output][input] }
    };
    (0..inputs * outputs).map(|place| at(place / outputs, place % outputs)).collect()
}

/// The widths of a network.
pub(super) fn widths(inputs: usize, hidden: &[usize], outputs: usize) -> Result<Vec<usize>> {
    config::require(
        hidden.iter().all(|width| *width > 0),
        "hidden",
        hidden,
        "widths of at least 1",
    )?;
    Ok([&[inputs], hidden, &[outputs]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_computes_what_the_device_does() {
        let device = "flex".parse::<model_utils::device::DeviceSpec>().unwrap().open().unwrap();
        let mut random = Random::new(1);
        for (activation, start) in
            [(Activation::Tanh, Start::Orthogonal(0.01)), (Activation::Relu, Start::Even)]
        {
            let network = Network::new(vec![5, 64, 33, 3], activation, start, &mut random);
            let rows: Vec<f32> = (0..7 * 5).map(|_| random.normal() as f32).collect();
            let x = Tensor::<2>::from_data(TensorData::new(rows.clone(), [7, 5]), &device);
            let there = ops::to_vec(network.on(&device, false).forward(x));
            for (a, b) in network.forward(&rows).iter().zip(&there) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn orthogonal_matrices_are() {
        let mut random = Random::new(2);
        for (inputs, outputs) in [(4, 64), (64, 64), (64, 2)] {
            let matrix = orthogonal(inputs, outputs, &mut random);
            let few = inputs.min(outputs);
            for a in 0..few {
                for b in 0..few {
                    let dot: f64 = (0..inputs.max(outputs))
                        .map(|k| {
                            let at = |i: usize| {
                                if inputs <= outputs {
                                    matrix[i * outputs + k]
                                } else {
                                    matrix[k * outputs + i]
                                }
                            };
                            at(a) * at(b)
                        })
                        .sum();
                    assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-9);
                }
            }
        }
    }
}
