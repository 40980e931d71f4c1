//! What the workloads share: values and weights that are the same on every device, and a training
//! step that can be repeated.

use std::rc::Rc;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::compare::{BoxError, Output, Step};
use model_utils::device::step_seed;
use model_utils::weights::{State, same_names};

/// Even values between −1 and 1, made on the host.
pub(super) fn uniform(seed: u64, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |i| (step_seed(seed, i) >> 40) as f32 / 8_388_608.0 - 1.0)
}

/// A tensor of even values between −1 and 1.
pub(super) fn tensor<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = uniform(seed, shape.iter().product()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The classes 0, 1, 2, … again and again. `[batch]`
pub(super) fn labels(batch: usize, classes: usize, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = (0..batch).map(|i| (i % classes) as i64).collect();
    Tensor::from_data(TensorData::new(labels, [batch]), device)
}

/// Sets all weights and running statistics to values made on the host, of a size that keeps
/// activations in bounds: layers with rectifiers ±√(6 / fan-in), linear ones ±√(3 / fan-in).
pub(super) fn with_weights<M: Module>(model: M, seed: u64) -> Result<M, BoxError> {
    let mut state = State::from_module(&model, same_names)?;
    for (index, (name, entry)) in state.tensors.iter_mut().enumerate() {
        let shape = entry.data.shape().to_vec();
        let fan_in = shape.iter().skip(1).product::<usize>() as f32;
        let (middle, range) = match (name.rsplit('.').next(), shape.len()) {
            (Some("weight"), 4) => (0.0, (6.0 / fan_in).sqrt()),
            (Some("weight"), 2) => (0.0, (3.0 / fan_in).sqrt()),
            // The scale of a normalisation, and its running variance.
            (Some("weight" | "running_var"), _) => (1.0, 0.2),
            _ => (0.0, 0.1),
        };
        let values: Vec<f32> = uniform(step_seed(seed, index as u64), shape.iter().product())
            .map(|value| middle + range * value)
            .collect();
        entry.data = TensorData::new(values, shape);
    }
    let (model, report) = state.apply(model, same_names)?;
    if report.is_complete() { Ok(model) } else { Err(report.to_string().into()) }
}

/// A step of stochastic gradient descent that always starts from the same weights. Its output is
/// the loss, and what it adds to each weight at a learning rate of 1: the gradients.
///
/// Plain descent, since the first step of Adam only keeps the gradients' signs, which rounding
/// turns where they are near 0.
pub(super) fn training_step<M: Module + 'static>(
    model: M,
    loss: impl Fn(&M) -> Tensor<1> + 'static,
) -> Result<Step, BoxError> {
    let before = Rc::new(State::from_module(&model, same_names)?);
    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    Ok(Step::new(move || {
        let loss = loss(&model);
        let value = loss.clone().inner();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        let trained = optimizer.step(1.0, model.clone(), grads);
        let before = Rc::clone(&before);
        Ok(Output::new(move || {
            let mut outputs = vec![value.into_data()];
            for (name, after) in State::from_module(&trained, same_names)?.tensors {
                if !name.contains("running_") {
                    outputs.push(minus(&after.data, &before.tensors[&name].data));
                }
            }
            Ok(outputs)
        }))
    }))
}

fn minus(a: &TensorData, b: &TensorData) -> TensorData {
    let values: Vec<f32> = a.iter::<f32>().zip(b.iter::<f32>()).map(|(a, b)| a - b).collect();
    TensorData::new(values, a.shape().to_vec())
}
