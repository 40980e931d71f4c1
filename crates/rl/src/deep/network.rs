use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use model_utils::layers::Activation;
use model_utils::ops;
use model_utils_core::config;
use model_utils_core::random::Random;

use super::module::{self, AnyBody, Body, Parameter, Read};
use super::off_policy::tensor;
use crate::error::{Error, Result};

/// How the weights begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// Weights and biases even within ±1/√fan-in: PyTorch's default.
    Even,
    /// Orthogonal with this gain at the last layer and √2 before it, biases 0 (Saxe et al. 2014).
    Orthogonal(f64),
}

/// A network whose weights lie on the host: a multi-layer perceptron, or any module of Burn.
///
/// A module's parameters of any rank become one vector, [`values`](Self::values): what the
/// optimiser, copies, files and checkpoints work on. They are saved under the module's own paths.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
/// use burn::tensor::Tensor;
/// use burn::tensor::activation::relu;
/// use rl::deep::{Agent, Body, Dqn, DqnConfig, Network};
/// use rl::prelude::*;
///
/// #[derive(Module, Debug)]
/// struct Normed {
///     first: Linear,
///     norm: LayerNorm,
///     last: Linear,
/// }
///
/// impl Body for Normed {
///     fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
///         self.last.forward(relu(self.norm.forward(self.first.forward(rows))))
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let mut environments = CartPole::make_vec(4, 42)?;
/// let mut build = |shape: &rl::deep::NetworkShape| {
///     let module = Normed {
///         first: LinearConfig::new(shape.inputs, 32).init(&device),
///         norm: LayerNormConfig::new(32).init(&device),
///         last: LinearConfig::new(32, shape.outputs).init(&device),
///     };
///     Network::from_module(module, shape.inputs, shape.outputs)
/// };
/// let config = DqnConfig::new().with_learning_starts(100);
/// let mut agent = config.init_with(environments.spaces(), &device, &mut build)?;
/// agent.learn(&mut environments, Budget::steps(200), &mut Silent)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Network {
    kind: Kind,
    /// The widths, from input to output; of a module the first and the last.
    sizes: Arc<[usize]>,
    /// Of a perceptron for each layer the weights `[inputs, outputs]`, then the biases
    /// `[outputs]`.
    values: Vec<f32>,
}

#[derive(Debug, Clone)]
enum Kind {
    Perceptron(Activation),
    Module(Arc<Prototype>, Acting),
}

/// A module, and what it is known by.
#[derive(Debug)]
struct Prototype {
    body: Box<dyn AnyBody>,
    parameters: Vec<Parameter>,
    /// Where it acts: its own, without autodiff.
    device: Device,
}

/// The module with the present values, as soon as it has acted with them.
type Acting = OnceLock<Arc<dyn AnyBody>>;

/// Which network is built for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkShape {
    /// `q`, `actor`, `critic`, `actor_critic`, `critic_1`, …
    pub name: &'static str,
    /// Numbers that it reads of a row.
    pub inputs: usize,
    /// Numbers that it gives.
    pub outputs: usize,
}

/// The user's own way to build networks.
pub(super) type Build<'a> = dyn FnMut(&NetworkShape) -> Result<Network> + 'a;

impl NetworkShape {
    /// The user's own network of this shape, or without a builder a perceptron of the
    /// configuration.
    pub(super) fn build(
        name: &'static str,
        sizes: &[usize],
        own: &mut Option<&mut Build<'_>>,
        perceptron: impl FnOnce(Vec<usize>) -> Network,
    ) -> Result<Network> {
        let [inputs, .., outputs] = *sizes else { unreachable!("a network has a layer") };
        let Some(own) = own else { return Ok(perceptron(sizes.to_vec())) };
        let network = own(&Self { name, inputs, outputs })?;
        let found = [network.inputs(), network.outputs()];
        if found == [inputs, outputs] {
            return Ok(network);
        }
        let [reads, gives] = found;
        let reason = format!(
            "`{name}` takes {reads} and gives {gives} numbers, expected {inputs} and {outputs}"
        );
        Err(Error::Network(reason))
    }
}

/// A [`Network`] on a device.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There are few of them.
pub(super) enum Layers {
    Perceptron { sizes: Arc<[usize]>, activation: Activation, values: Tensor<1> },
    Module(Box<dyn AnyBody>),
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        let kinds = match (&self.kind, &other.kind) {
            (Kind::Perceptron(a), Kind::Perceptron(b)) => a == b,
            (Kind::Module(a, _), Kind::Module(b, _)) => a.parameters == b.parameters,
            _ => false,
        };
        kinds && self.sizes == other.sizes && self.values == other.values
    }
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
        Self { kind: Kind::Perceptron(activation), sizes: sizes.into(), values }
    }

    /// A network that computes what a module does, with its parameters. What it draws while it
    /// trains (dropout) it does not draw while it acts.
    ///
    /// # Errors
    ///
    /// Where it does not make `[rows, outputs]` of `[rows, inputs]`, and with the parameter's path
    /// where one is a running statistic (batch norm) or does not reach the output.
    pub fn from_module(module: impl Body, inputs: usize, outputs: usize) -> Result<Self> {
        let Read { parameters, values, device } = module::read(&module, inputs, outputs)?;
        let prototype = Prototype { body: Box::new(module), parameters, device };
        let kind = Kind::Module(Arc::new(prototype), OnceLock::new());
        Ok(Self { kind, sizes: [inputs, outputs].into(), values })
    }

    /// A layer that reads nothing of its single input and gives these numbers: how numbers that
    /// are no network are kept beside networks.
    pub(super) fn constant(numbers: &[f32]) -> Self {
        let mut values = vec![0.0; numbers.len()];
        values.extend_from_slice(numbers);
        let sizes = [1, numbers.len()].into();
        Self { kind: Kind::Perceptron(Activation::Tanh), sizes, values }
    }

    /// Numbers that it reads of a row.
    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    /// Numbers that it gives.
    pub fn outputs(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// The width of what a perceptron's last layer reads.
    pub(super) fn latent(&self) -> Option<usize> {
        matches!(self.kind, Kind::Perceptron(_)).then(|| self.sizes[self.sizes.len() - 2])
    }

    /// The widths, from input to output; of a module the first and the last.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// All weights and biases, layer by layer; of a module all parameters, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Takes over the values of a network of this shape.
    pub(super) fn set(&mut self, values: &[f32]) -> Result<()> {
        if values.len() != self.values.len() {
            let (found, expected) = (values.len(), self.values.len());
            return Err(Error::Resume(format!(
                "a network of {found} weights, expected {expected}"
            )));
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::Resume("a network with weights that are not finite".to_owned()));
        }
        self.values_mut().copy_from_slice(values);
        Ok(())
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        if let Kind::Module(_, acting) = &mut self.kind {
            acting.take();
        }
        &mut self.values
    }

    /// `[rows, inputs]` → `[rows, outputs]` without gradients: of a perceptron on the host, of a
    /// module on its own device.
    ///
    /// # Panics
    ///
    /// Where the numbers are not whole rows.
    pub fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let (count, inputs) = (rows.len(), self.inputs());
        assert!(count.is_multiple_of(inputs), "{count} numbers, expected rows of {inputs}");
        let Kind::Module(prototype, acting) = &self.kind else {
            return self.forward_from_latent(rows).1;
        };
        let Prototype { body, device, .. } = &**prototype;
        let acting = acting.get_or_init(|| body.on(device, false, &self.values).into());
        let shape = [rows.len() / self.inputs(), self.inputs()];
        let rows = Tensor::from_data(TensorData::new(rows.to_vec(), shape), device);
        ops::to_vec(acting.forward(rows))
    }

    /// Of a perceptron what the last layer reads, `[rows, last hidden width]`, and what it gives.
    pub(super) fn forward_from_latent(&self, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut layers = self.layers(rows);
        let output = layers.pop().unwrap_or_default();
        (layers.pop().unwrap_or_else(|| rows.to_vec()), output)
    }

    /// What each layer of a perceptron gives.
    fn layers(&self, rows: &[f32]) -> Vec<Vec<f32>> {
        let activation = match &self.kind {
            Kind::Perceptron(activation) => *activation,
            Kind::Module(..) => unreachable!("a module has no layers"),
        };
        ops::perceptron_layers(rows, &self.values, &self.sizes, activation)
    }

    /// `[rows, inputs]` → `[rows, outputs]` without gradients, on a device; of a perceptron on the
    /// host where that is the device.
    pub(super) fn forward_on(&self, rows: &[f32], device: &Device) -> Vec<f32> {
        if matches!(self.kind, Kind::Perceptron(_)) && ops::has_kernels(device) {
            return self.forward(rows);
        }
        let plain = device.clone().inner();
        ops::to_vec(self.on(&plain, false).forward(tensor(rows.to_vec(), self.inputs(), &plain)))
    }

    /// The gradients of a loss whose slopes at the outputs `judge` tells, in the order of
    /// [`values`](Self::values), and what else it tells. It gets a range of rows and their outputs;
    /// where there is much to do on the host, two threads take half of the rows each, whatever the
    /// number of processors.
    pub(super) fn gradients<T: Send>(
        &self,
        rows: &[f32],
        device: &Device,
        judge: impl Fn(Range<usize>, &[f32]) -> (Vec<f32>, T) + Sync,
    ) -> Result<(Vec<f32>, Vec<T>)> {
        let width = self.inputs();
        let count = rows.len() / width;
        let activation = match &self.kind {
            Kind::Perceptron(activation) if ops::has_kernels(device) => *activation,
            _ => {
                let layers = self.on(device, true);
                let output = layers.forward(tensor(rows.to_vec(), width, device));
                let (slopes, told) = judge(0..count, &ops::to_vec(output.clone().inner()));
                let loss = (output * tensor(slopes, self.outputs(), device)).sum();
                return Ok((layers.gradients(&loss.backward())?, vec![told]));
            }
        };
        let part = |range: Range<usize>| {
            let rows = &rows[range.start * width..range.end * width];
            let mut layers = self.layers(rows);
            let (slopes, told) = judge(range, &layers.pop().unwrap_or_default());
            let network = (&*self.sizes, activation);
            let wanted = [false, true];
            let [_, gradients] =
                ops::perceptron_gradients([rows, &self.values], &layers, &slopes, network, wanted);
            (gradients.unwrap_or_default(), told)
        };
        if count * self.values.len() < WORTH_SHARING {
            let (gradients, told) = part(0..count);
            return Ok((gradients, vec![told]));
        }
        let (a, b) = (|| part(0..count / 2), || part(count / 2..count));
        let alone = rayon::current_num_threads() == 1;
        let ((mut gradients, first), (others, second)) =
            if alone { (a(), b()) } else { rayon::join(a, b) };
        ops::vectorised(|| gradients.iter_mut().zip(&others).for_each(|(a, b)| *a += b));
        Ok((gradients, vec![first, second]))
    }

    /// The same on a device; with gradients where it has autodiff and `trained` is set.
    pub(super) fn on(&self, device: &Device, trained: bool) -> Layers {
        match &self.kind {
            Kind::Perceptron(activation) => {
                let values = TensorData::new(self.values.clone(), [self.values.len()]);
                let values = Tensor::from_data(values, device);
                let values = if trained { values.require_grad() } else { values };
                Layers::Perceptron { sizes: self.sizes.clone(), activation: *activation, values }
            }
            Kind::Module(prototype, _) => {
                Layers::Module(prototype.body.on(device, trained, &self.values))
            }
        }
    }

    /// Where each tensor of a file lies in [`values`](Self::values): a perceptron's in PyTorch's
    /// names and layouts, as of an `nn.Sequential` of that name, a module's by its own paths.
    fn stored(&self, name: &str) -> Vec<Stored> {
        let mut stored = Vec::new();
        let mut at = 0;
        let mut push = |key: String, shape: Vec<usize>, transposed| {
            stored.push(Stored { name: format!("{name}.{key}"), at, shape, transposed });
            at += stored[stored.len() - 1].count();
        };
        match &self.kind {
            Kind::Perceptron(_) => {
                for (number, pair) in self.sizes.windows(2).enumerate() {
                    push(format!("{}.weight", 2 * number), vec![pair[1], pair[0]], true);
                    push(format!("{}.bias", 2 * number), vec![pair[1]], false);
                }
            }
            Kind::Module(prototype, _) => {
                for Parameter { name, shape } in &prototype.parameters {
                    push(name.clone(), shape.clone(), false);
                }
            }
        }
        stored
    }

    /// Its tensors as files have them.
    pub(super) fn tensors(&self, name: &str) -> Vec<(String, Vec<f32>, Vec<usize>)> {
        let read = |stored: Stored| {
            let values = (0..stored.count()).map(|place| self.values[stored.place(place)]);
            (stored.name.clone(), values.collect(), stored.shape)
        };
        self.stored(name).into_iter().map(read).collect()
    }

    /// Takes over tensors of [`tensors`](Self::tensors); the names of those that do not fit.
    pub(super) fn take(
        &mut self,
        name: &str,
        mut tensor: impl FnMut(&str) -> Option<(Vec<f32>, Vec<usize>)>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for stored in self.stored(name) {
            let Stored { name: key, shape: expected, .. } = &stored;
            match tensor(key) {
                Some((values, shape)) if shape == *expected => {
                    let to = self.values_mut();
                    for (place, value) in values.into_iter().enumerate() {
                        to[stored.place(place)] = value;
                    }
                }
                Some((_, shape)) => {
                    wrong.push(format!("`{key}` is {shape:?}, expected {expected:?}"));
                }
                None => wrong.push(format!("`{key}` is missing")),
            }
        }
        wrong
    }

    /// Moves towards another network: `self += share · (other − self)`.
    pub(super) fn move_towards(&mut self, other: &Self, share: f32) {
        let values = self.values_mut().iter_mut().zip(&other.values);
        ops::vectorised(|| values.for_each(|(a, b)| *a += share * (b - *a)));
    }
}

/// Multiplications of a layer's pass over rows that are worth waking a thread for.
const WORTH_SHARING: usize = 1 << 20;

/// A tensor of a file.
struct Stored {
    name: String,
    /// Where the values of it begin.
    at: usize,
    shape: Vec<usize>,
    /// Whether a matrix is stored as its transpose.
    transposed: bool,
}

impl Stored {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where a number of the tensor is among the values.
    fn place(&self, number: usize) -> usize {
        if !self.transposed {
            return self.at + number;
        }
        let [rows, columns] = self.shape[..] else { unreachable!("a matrix") };
        self.at + number % columns * rows + number / columns
    }
}

impl Layers {
    /// `[rows, inputs]` → `[rows, outputs]`
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Perceptron { sizes, activation, values } => {
                ops::perceptron(x, values.clone(), sizes, *activation)
            }
            Self::Module(body) => body.forward(x),
        }
    }

    /// Of a perceptron what the last layer reads, `[rows, last hidden width]`, and what it gives.
    pub(super) fn forward_from_latent(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        match self {
            Self::Perceptron { sizes, activation, values } => {
                ops::perceptron_with_latent(x, values.clone(), sizes, *activation)
            }
            Self::Module(body) => (x.clone(), body.forward(x)),
        }
    }

    /// The gradients in the order of [`Network::values`].
    pub(super) fn gradients(&self, gradients: &Gradients) -> Result<Vec<f32>> {
        match self {
            Self::Perceptron { values, .. } => match values.grad(gradients) {
                Some(gradient) => Ok(ops::to_vec(gradient)),
                None => Err(Error::Network("it does not take part in the loss".to_owned())),
            },
            Self::Module(body) => body.gradients(gradients),
        }
    }
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

/// The most numbers between two layers, and the most weights in all.
const MOST_WIDTH: usize = 1 << 20;
const MOST_WEIGHTS: usize = 1 << 30;

/// The widths of a network.
pub(super) fn widths(inputs: usize, hidden: &[usize], outputs: usize) -> Result<Vec<usize>> {
    config::require(
        hidden.iter().all(|width| (1..=MOST_WIDTH).contains(width)),
        "hidden",
        hidden,
        format!("widths of 1 to {MOST_WIDTH}"),
    )?;
    let all = [&[inputs], hidden, &[outputs]].concat();
    let weights = all.windows(2).map(|pair| pair[0].saturating_mul(pair[1]));
    let weights = weights.fold(0, usize::saturating_add);
    let expected = format!("at most {MOST_WEIGHTS} weights");
    config::require(weights <= MOST_WEIGHTS, "hidden", format!("{all:?}"), expected)?;
    Ok(all)
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
