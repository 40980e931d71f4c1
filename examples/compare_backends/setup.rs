//! What the workloads share: the seed, five sizes, and faults that are planted to see them found.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use clap::ValueEnum;
use model_utils::compare::{
    BoxError, Part, Size, Step, Workload, host_tensor, host_weights, training_step,
};
use model_utils::device::{DeviceSpec, step_seed};
use model_utils::weights::{State, TensorEntry, same_names};

/// The labels of five sizes.
pub(super) const LABELS: [&str; 5] = ["tiny", "small", "medium", "large", "huge"];

/// The number of the first input of a workload.
const INPUTS: u64 = 1 << 32;

/// A mistake as a backend may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// One element of a bias is off by 1 % of its layer's largest weight
    BiasElement,
    /// Normalisation with ε = 1e-3 for 1e-5
    Epsilon,
    /// One stride is 1 for 2
    Stride,
    /// A square weight is transposed
    TransposedWeight,
    /// A bias is left out
    DroppedBias,
    /// The gradient of one weight has the wrong sign
    GradientSign,
    /// A mask begins one token early or late
    Mask,
    /// Running statistics are not updated
    RunningStatistics,
    /// Half precision somewhere in the middle
    Half,
    /// One parameter is not updated
    StaleParameter,
}

/// Whether the fault found its place: a workload may have none for it.
static PLANTED: AtomicBool = AtomicBool::new(false);

/// What a workload is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    /// What weights and inputs follow from.
    pub(super) seed: u64,
    /// Planted on every device but `flex`.
    pub(super) fault: Option<Fault>,
}

impl Setup {
    /// The setup of one device.
    pub(super) fn on(self, device: &Device) -> Self {
        let is_reference = DeviceSpec::Flex.open().is_ok_and(|flex| flex == *device);
        Self { fault: self.fault.filter(|_| !is_reference), ..self }
    }

    /// Whether this fault is planted, where the workload does it itself.
    pub(super) fn has(self, fault: Fault) -> bool {
        let is_planted = self.fault == Some(fault);
        if is_planted {
            PLANTED.store(true, Ordering::Relaxed);
        }
        is_planted
    }

    /// Whether the fault was planted anywhere since the last call.
    pub(super) fn was_planted() -> bool {
        PLANTED.swap(false, Ordering::Relaxed)
    }

    /// [`host_weights`], with the fault where it is one of weights.
    pub(super) fn weights<M: Module>(self, model: M) -> Result<M, BoxError> {
        let model = host_weights(model, self.seed)?;
        let Some(fault) = self.fault else { return Ok(model) };
        let mut state = State::from_module(&model, same_names)?;
        if plant(fault, &mut state).is_some() {
            PLANTED.store(true, Ordering::Relaxed);
        }
        Ok(state.apply(model, same_names)?.0)
    }

    /// [`host_tensor`], a number of the seed's own each.
    pub(super) fn tensor<const D: usize>(
        self,
        number: u64,
        shape: [usize; D],
        device: &Device,
    ) -> Tensor<D> {
        // Apart from the weights', which are numbered from 0.
        host_tensor(step_seed(self.seed, INPUTS + number), shape, device)
    }

    /// [`training_step`], with the fault where it is one of gradients or of the step.
    pub(super) fn training_step<M: Module + 'static>(
        self,
        model: M,
        loss: impl Fn(&M) -> Tensor<1> + 'static,
    ) -> Result<Step, BoxError> {
        let Some(fault) = self.fault else { return training_step(model, loss) };
        let running = Rc::new(State::from_module(&model, same_names)?.tensors);
        let step = training_step(model, loss)?;
        Ok(step.map(move |mut parts| {
            let is_planted = match fault {
                Fault::GradientSign => {
                    change(middle_gradient(&mut parts), |value| -value);
                    true
                }
                Fault::StaleParameter => {
                    change(middle_gradient(&mut parts), |_| 0.0);
                    true
                }
                Fault::RunningStatistics => {
                    let of_running = |part: &&mut Part| running.contains_key(&part.name);
                    let mut found = parts.iter_mut().filter(of_running).peekable();
                    let is_any = found.peek().is_some();
                    for part in found {
                        part.data = running[&part.name].data.clone();
                    }
                    is_any
                }
                _ => false,
            };
            if is_planted {
                PLANTED.store(true, Ordering::Relaxed);
            }
            parts
        }))
    }
}

/// Changes what the model holds, where it holds such a thing.
fn plant(fault: Fault, state: &mut State) -> Option<()> {
    let names: Vec<String> = state.tensors.keys().cloned().collect();
    let shape = |name: &String| state.tensors[name].data.shape().to_vec();
    // Biases of matrices: behind a convolution a normalisation may take them away, and the softmax of an attention
    // does not feel those of its keys.
    let biases = names.iter().filter(|name| {
        let weight = name.strip_suffix(".bias").map(|layer| format!("{layer}.weight"));
        weight.is_some_and(|weight| names.contains(&weight) && shape(&weight).len() == 2)
            && !name.contains("key")
    });
    let squares = names.iter().filter(|name| {
        let shape = shape(name);
        matches!(shape.len(), 2 | 4) && shape[0] == shape[1] && shape[0] > 1
    });
    let weights = names.iter().filter(|name| matches!(shape(name).len(), 2 | 4));
    let variances = names.iter().filter(|name| name.ends_with("running_var"));
    match fault {
        Fault::BiasElement => {
            let bias = middle(biases)?;
            let weight = &state.tensors[&bias.replace(".bias", ".weight")].data;
            let largest = weight.iter::<f32>().fold(0.0, |most: f32, value| most.max(value.abs()));
            let mut at = shape(bias)[0] / 2;
            change_entry(state, &bias.clone(), |value| {
                let is_it = at == 0;
                at = at.wrapping_sub(1);
                if is_it { value + 0.01 * largest } else { value }
            });
        }
        Fault::DroppedBias => {
            let bias = middle(biases)?.clone();
            change_entry(state, &bias, |_| 0.0);
        }
        // (x − μ) / √(σ² + ε): as good as another ε.
        Fault::Epsilon => {
            let names: Vec<String> = variances.cloned().collect();
            names.first()?;
            for name in names {
                change_entry(state, &name, |value| value + (1e-3 - 1e-5));
            }
        }
        Fault::TransposedWeight => {
            let name = middle(squares)?.clone();
            transpose(state.tensors.get_mut(&name).expect("it is one of the names"));
        }
        Fault::Half => {
            let name = middle(weights)?.clone();
            let entry = state.tensors.get_mut(&name).expect("it is one of the names");
            entry.data = entry.data.clone().convert::<burn::tensor::f16>().convert::<f32>();
        }
        _ => return None,
    }
    Some(())
}

fn middle<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let names: Vec<_> = names.collect();
    names.get(names.len() / 2).copied()
}

fn change_entry(state: &mut State, name: &str, change: impl FnMut(f32) -> f32) {
    let entry = state.tensors.get_mut(name).expect("it is one of the names");
    let values: Vec<f32> = entry.data.iter::<f32>().map(change).collect();
    entry.data = TensorData::new(values, entry.data.shape().to_vec());
}

/// Exchanges the first two axes, of one length.
fn transpose(entry: &mut TensorEntry) {
    let shape = entry.data.shape().to_vec();
    let values: Vec<f32> = entry.data.iter::<f32>().collect();
    let (side, inner) = (shape[0], shape[2..].iter().product::<usize>());
    let mut turned = Vec::with_capacity(values.len());
    for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
        turned.extend_from_slice(&values[(column * side + row) * inner..][..inner]);
    }
    entry.data = TensorData::new(turned, shape);
}

/// The gradient of the weight in the middle.
fn middle_gradient(parts: &mut [Part]) -> &mut Part {
    let weights: Vec<usize> = (0..parts.len())
        .filter(|&at| parts[at].is_gradient && parts[at].data.shape().len() > 1)
        .collect();
    &mut parts[weights[weights.len() / 2]]
}

fn change(part: &mut Part, change: impl FnMut(f32) -> f32) {
    let values: Vec<f32> = part.data.iter::<f32>().map(change).collect();
    part.data = TensorData::new(values, part.data.shape().to_vec());
}

/// Five sizes, and how many items each works off. Single precision agrees within 1e-5.
pub(super) fn five(work: Workload, values: [u32; 5], items: impl Fn(f64) -> f64) -> Workload {
    LABELS.into_iter().zip(values).fold(work.tolerance(1e-5), |work, (label, value)| {
        let value = f64::from(value);
        work.size(Size::new(label, value, items(value)))
    })
}

/// A step whose gradients count this much: a number next to a kink (of a rectifier, a pooling, a rounding)
/// falls to either side by rounding alone, and moves single gradients by a step.
pub(super) fn kinked(step: Step, weight: f64) -> Step {
    step.map(move |mut parts| {
        for part in parts.iter_mut().filter(|part| part.is_gradient) {
            part.weight = weight;
        }
        parts
    })
}

/// Through half precision and back.
pub(super) fn rounded<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let data = tensor.to_data().convert::<burn::tensor::f16>().convert::<f32>();
    Tensor::from_data(data, &tensor.device())
}
