//! A training step of a small `VGG`.

use mobilenet_densenet::{Classifier as _, VggConfig};
use model_utils::compare::{Workload, host_labels};
use model_utils::ops;

use super::setup::{Fault, Setup, five, kinked};

pub(super) const SIDE: usize = 32;
pub(super) const CLASSES: usize = 10;

/// Width 0.25, without hidden layers.
pub(super) fn config(here: Setup) -> VggConfig {
    let last = if here.has(Fault::Stride) { 1 } else { 2 };
    VggConfig::vgg11()
        .with_width(0.25)
        .with_hidden(0)
        .with_pooled(1)
        .with_classes(CLASSES)
        .with_strides([2, 2, 2, 2, last])
}

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("vgg", move |device, size| {
        let here = setup.on(device);
        let device = device.clone().autodiff();
        let model = here.weights(config(here).with_batch_norm(true).init(&device)?)?;
        let batch = size.value as usize;
        let images = here.tensor::<4>(1, [batch, 3, SIDE, SIDE], &device);
        let labels = host_labels(batch, CLASSES, &device);
        let step = here.training_step(model, move |model| {
            ops::cross_entropy(model.forward(images.clone()), labels.clone(), 0.0)
        })?;
        // 0.013 of the largest was seen in one of 20 seeds.
        Ok(kinked(step, 2e-4))
    })
    .title("VGG-11 with batch norm (width 0.25), training step on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .training();
    five(work, [4, 8, 32, 64, 128], |batch| batch)
}
