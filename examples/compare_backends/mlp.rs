//! A training step of a multilayer perceptron.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use model_utils::compare::{Size, Workload};
use model_utils::ops;

use super::shared::{labels, tensor, training_step, with_weights};

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

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("mlp", move |device, size| {
        let device = device.clone().autodiff();
        let model = with_weights(Mlp::new(&device), seed)?;
        let batch = size.value as usize;
        let x = tensor::<2>(seed + 1, [batch, PIXELS], &device);
        let y = labels(batch, CLASSES, &device);
        training_step(model, move |model| {
            ops::cross_entropy(model.forward(x.clone()), y.clone(), 0.0)
        })
    })
    .title("MLP 784-256-256-10, training step")
    .size_unit("batch size")
    .items_unit("images")
    .tolerance(1e-2)
    .size(Size::new("small", 16.0, 16.0))
    .size(Size::new("medium", 128.0, 128.0))
    .size(Size::new("large", 1024.0, 1024.0))
}
