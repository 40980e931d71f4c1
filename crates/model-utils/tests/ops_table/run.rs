//! One case on one device in one mode.

use burn::module::Param;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};

use model_utils::random::mix;

use crate::array::Array;
use crate::case::{Case, Input, Role};

/// What is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Inference,
    /// All.
    Training,
    /// The model, given a plain batch.
    PlainBatch,
    /// The batch, given to a plain model.
    PlainModel,
}

impl Mode {
    pub const ALL: [Self; 4] =
        [Self::Inference, Self::Training, Self::PlainBatch, Self::PlainModel];

    pub fn tracks(self, role: Role) -> bool {
        match role {
            Role::Batch => matches!(self, Self::Training | Self::PlainModel),
            Role::Weight => matches!(self, Self::Training | Self::PlainBatch),
            Role::Constant => false,
        }
    }
}

/// What came out of a run.
#[derive(Default)]
pub struct Outcome {
    pub outputs: Vec<(&'static str, Array)>,
    /// Of each input, `None` where there is none.
    pub gradients: Vec<Option<Array>>,
}

/// Hands out the inputs of a case and takes the outputs.
pub struct Run<'c> {
    inputs: &'c [Input],
    mode: Mode,
    device: Device,
    leaves: Vec<Option<Leaf>>,
    outputs: Vec<(&'static str, Array)>,
    loss: Option<Tensor<1>>,
}

/// Looks its gradient up.
type Leaf = Box<dyn Fn(&Gradients) -> Option<Array>>;

/// The weight of a number of an output in the loss, between −1 and 1 and never near 0.
pub fn loss_weight(output: usize, at: usize) -> f32 {
    let bits = mix(output as u64, at as u64);
    let share = (bits >> 40) as f32 / (1 << 24) as f32;
    if share < 0.5 { -0.25 - 1.5 * share } else { 0.25 + 1.5 * (share - 0.5) }
}

/// A tensor's numbers.
pub fn read<const D: usize>(x: Tensor<D>) -> Array {
    let shape = x.dims().to_vec();
    Array { shape, values: x.into_data().try_to_vec().expect("float32") }
}

impl<'c> Run<'c> {
    pub fn new(case: &'c Case, mode: Mode, device: &Device) -> Self {
        Self {
            inputs: &case.inputs,
            mode,
            device: device.clone(),
            leaves: case.inputs.iter().map(|_| None).collect(),
            outputs: Vec::new(),
            loss: None,
        }
    }

    /// The device of the batch.
    pub fn device(&self) -> Device {
        if self.mode.tracks(Role::Batch) {
            self.device.clone().autodiff()
        } else {
            self.device.clone()
        }
    }

    /// An input; asked for once.
    pub fn tensor<const D: usize>(&mut self, at: usize) -> Tensor<D> {
        let Input { array, layout, role, .. } = &self.inputs[at];
        let tensor = array.tensor::<D>(*layout, &self.device);
        if !self.mode.tracks(*role) {
            return tensor;
        }
        let leaf = tensor.autodiff().require_grad();
        let kept = leaf.clone();
        self.leaves[at] = Some(Box::new(move |gradients| kept.grad(gradients).map(read)));
        leaf
    }

    /// An input as a layer's.
    pub fn param<const D: usize>(&mut self, at: usize) -> Param<Tensor<D>> {
        Param::from_tensor(self.tensor(at))
    }

    /// Integers that come with the batch.
    pub fn integers<const D: usize>(&self, values: &[i32], shape: [usize; D]) -> Tensor<D, Int> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device())
    }

    /// Takes an output, which becomes part of the loss.
    pub fn output<const D: usize>(&mut self, name: &'static str, y: Tensor<D>) {
        if y.is_tracked() {
            let which = self.outputs.len();
            let weights = (0..y.shape().num_elements()).map(|at| loss_weight(which, at)).collect();
            let weights = TensorData::new::<f32, _>(weights, y.dims());
            let part = (y.clone() * Tensor::from_data(weights, &y.device())).sum();
            self.loss = Some(match self.loss.take() {
                Some(loss) => loss + part,
                None => part,
            });
        }
        self.outputs.push((name, read(y)));
    }

    /// Takes an output without gradients.
    pub fn observe<const D: usize>(&mut self, name: &'static str, y: Tensor<D>) {
        self.outputs.push((name, read(y)));
    }

    /// Takes an output of integers.
    pub fn observe_integers<const D: usize>(&mut self, name: &'static str, y: Tensor<D, Int>) {
        let shape = y.dims().to_vec();
        let values = y.into_data().iter::<i64>().map(|value| value as f32).collect();
        self.outputs.push((name, Array { shape, values }));
    }

    /// What came out, with the gradients of the loss.
    pub fn finish(self) -> Outcome {
        let gradients = self.loss.map(|loss| loss.backward());
        let gradients = self
            .leaves
            .iter()
            .map(|leaf| gradients.as_ref().and_then(|all| leaf.as_ref().and_then(|leaf| leaf(all))))
            .collect();
        Outcome { outputs: self.outputs, gradients }
    }
}
