//! A small net with batch norm and dropout, and synthetic data for it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::print_stderr,
    clippy::large_enum_variant
)]
// Steps and evaluations return what the loop asks for.
#![allow(clippy::unnecessary_wraps)]

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d,
};
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::train::{Evaluation, Schedule, StepOutput, Supervised, SupervisedConfig};
use model_utils::{Result, ops};

/// conv → batch norm → relu → mean over space → dropout → linear: the net of
/// `fixtures/torch_import.py` with dropout.
#[derive(Module, Debug)]
pub struct Net {
    pub conv: Conv2d,
    pub norm: BatchNorm,
    pub dropout: Dropout,
    pub linear: Linear,
}

impl Net {
    pub fn new(device: &Device) -> Self {
        Self::with_classes(2, device)
    }

    pub fn with_classes(classes: usize, device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new([3, 4], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device),
            norm: BatchNormConfig::new(4).init(device),
            dropout: DropoutConfig::new(0.3).init(),
            linear: LinearConfig::new(4, classes).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = ops::batch_norm(&self.norm, ops::conv2d(&self.conv, x)).clamp_min(0.0);
        let x = self.dropout.forward(ops::global_avg_pool(x));
        ops::linear(&self.linear, x)
    }
}

pub fn flex() -> Device {
    Device::flex()
}

/// Images whose class is whether their first channel is bright.
pub fn batches(count: usize, device: &Device) -> Vec<(Tensor<4>, Tensor<1, Int>)> {
    let items = 4;
    let batch = |number: usize| {
        let values: Vec<f32> = (0..items * 3 * 16)
            .map(|i| {
                let noise = ((i * 7919 + number * 104_729) % 1000) as f32 / 1000.0;
                let bright = (i / 48 + number).is_multiple_of(2) && (i % 48) < 16;
                noise + f32::from(u8::from(bright))
            })
            .collect();
        let labels: Vec<i32> =
            (0..items).map(|i| i32::from((i + number).is_multiple_of(2))).collect();
        (
            Tensor::from_data(TensorData::new(values, [items, 3, 4, 4]), device),
            Tensor::from_ints(labels.as_slice(), device),
        )
    };
    (0..count).map(batch).collect()
}

pub fn step(net: &Net, (images, labels): (Tensor<4>, Tensor<1, Int>)) -> Result<StepOutput> {
    let items = images.dims()[0];
    let logits = net.forward(images);
    let correct = ops::count_correct(logits.clone(), labels.clone());
    Ok(StepOutput { loss: ops::cross_entropy(logits, labels, 0.0), items, correct: Some(correct) })
}

pub fn evaluate(net: &Net) -> Result<Evaluation> {
    let batch = batches(1, &flex()).remove(0);
    let logits = net.forward(batch.0);
    let right = read(ops::count_correct(logits, batch.1).float())[0];
    Ok(Evaluation::new("test_accuracy", right / 4.0))
}

pub fn run(config: SupervisedConfig) -> Supervised<Net> {
    let device = flex().autodiff();
    model_utils::device::seed(&device, 7);
    let net = Net::new(&device);
    // Initialisation is lazy: draw it now, from the seed above.
    let _ = weights_of(&net);
    let optimizer: ModuleOptimizer = AdamConfig::new().init();
    Supervised::new(config, net, optimizer, Schedule::cosine(0.05, 40)).unwrap()
}

pub fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_to_vec::<f64>().unwrap()
}

/// Every tensor of a module as bits, by name.
pub fn weights_of<M: Module>(module: &M) -> Vec<(String, Vec<u8>)> {
    let state =
        model_utils::weights::State::from_module(module, model_utils::weights::same_names).unwrap();
    state.tensors.into_iter().map(|(name, entry)| (name, entry.data.as_bytes().to_vec())).collect()
}
