//! Values that are the same on every device, and a training step that can be repeated.

use std::rc::Rc;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::judge::Part;
use super::workload::{BoxError, Output, Step};
use crate::device::step_seed;
use crate::weights::{State, same_names, snapshot};

/// A power of two, so that it multiplies without rounding, and so large that the difference of the
/// weights before and after a step is the gradient to its last bits.
const LEARNING_RATE: f64 = 1_048_576.0;

/// Even values between −1 and 1, made on the host.
pub fn host_values(seed: u64, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |i| (step_seed(seed, i) >> 40) as f32 / 8_388_608.0 - 1.0)
}

/// A tensor of [`host_values`].
pub fn host_tensor<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = host_values(seed, shape.iter().product()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The classes 0, 1, 2, … again and again. `[batch]`
pub fn host_labels(batch: usize, classes: usize, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = (0..batch).map(|i| (i % classes) as i64).collect();
    Tensor::from_data(TensorData::new(labels, [batch]), device)
}

/// A model with all weights and running statistics made on the host, of a size that keeps activations
/// in bounds: convolutions ±√(6 / fan-in), matrices ±√(3 / fan-in).
///
/// # Errors
///
/// As [`State::apply`].
pub fn host_weights<M: Module>(model: M, seed: u64) -> Result<M, BoxError> {
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
        let values: Vec<f32> = host_values(step_seed(seed, index as u64), shape.iter().product())
            .map(|value| middle + range * value)
            .collect();
        entry.data = TensorData::new(values, shape);
    }
    let (model, report) = state.apply(model, same_names)?;
    if report.is_complete() { Ok(model) } else { Err(report.to_string().into()) }
}

/// A step of stochastic gradient descent that always starts from the same weights. Its output is the loss,
/// the gradient of every weight as the step applied it, and the running statistics after it.
///
/// Plain descent, since the first step of Adam only keeps the gradients' signs, which rounding
/// turns where they are near 0. The model lies on a device with autodiff.
///
/// # Errors
///
/// As [`State::from_module`].
pub fn training_step<M: Module + 'static>(
    model: M,
    loss: impl Fn(&M) -> Tensor<1> + 'static,
) -> Result<Step, BoxError> {
    let before = Rc::new(State::from_module(&model, same_names)?);
    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    // A clone would share its running statistics with the runs to come.
    let fresh = move || Ok(snapshot(&model));
    Ok(Step::prepared(fresh, move |fresh: M| {
        let loss = loss(&fresh);
        let value = loss.clone().inner();
        let grads = GradientsParams::from_grads(loss.backward(), &fresh);
        let trained = optimizer.step(LEARNING_RATE, fresh, grads);
        let before = Rc::clone(&before);
        Ok(Output::new(move || {
            let mut parts = vec![Part::value("the loss", value.into_data())];
            for (name, after) in State::from_module(&trained, same_names)?.tensors {
                parts.push(if name.contains("running_") {
                    Part::value(name, after.data)
                } else {
                    let gradient = gradient(&before.tensors[&name].data, &after.data);
                    Part::gradient(format!("the gradient of {name}"), gradient)
                });
            }
            Ok(parts)
        }))
    }))
}

fn gradient(before: &TensorData, after: &TensorData) -> TensorData {
    let values: Vec<f32> = before
        .iter::<f32>()
        .zip(after.iter::<f32>())
        .map(|(before, after)| ((f64::from(before) - f64::from(after)) / LEARNING_RATE) as f32)
        .collect();
    TensorData::new(values, before.shape().to_vec())
}
