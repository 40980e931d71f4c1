//! A training step of a multilayer perceptron.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use model_utils::compare::{Workload, host_labels};
use model_utils::ops;

use super::setup::{Setup, five};

const PIXELS: usize = 784;
const CLASSES: usize = 10;

#[derive(Module, Debug)]
struct Mlp {
    layers: [Linear; 3],
}

impl Mlp {
    fn new(device: &Device) -> Self {
        let sizes = [[PIXELS, 256], [256, 256], [256, CLASSES]];
        Self { layers: sizes.map(|[from, to]| LinearConfig::new(from, to).init(device)) }
    }

    /// `[batch, 784]` → `[batch, 10]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [first, second, last] = &self.layers;
        let x = relu(ops::linear(first, x));
        ops::linear(last, relu(ops::linear(second, x)))
    }
}

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("mlp", move |device, size| {
        let here = setup.on(device);
        let device = device.clone().autodiff();
        let model = here.weights(Mlp::new(&device))?;
        let batch = size.value as usize;
        let x = here.tensor::<2>(1, [batch, PIXELS], &device);
        let y = host_labels(batch, CLASSES, &device);
        here.training_step(model, move |model| {
            ops::cross_entropy(model.forward(x.clone()), y.clone(), 0.0)
        })
    })
    .title("MLP 784-256-256-10, training step")
    .size_unit("batch size")
    .items_unit("images")
    .training();
    five(work, [4, 16, 128, 1024, 4096], |batch| batch)
}
