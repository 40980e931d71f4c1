//! A training step of a small DenseNet.

use mobilenet_densenet::{Classifier as _, DenseNetConfig};
use model_utils::compare::{Workload, host_labels};
use model_utils::ops;

use super::setup::{Setup, five, kinked};

const SIDE: usize = 32;
const CLASSES: usize = 10;

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("densenet", move |device, size| {
        let here = setup.on(device);
        let device = device.clone().autodiff();
        let config = DenseNetConfig::new(12, vec![4, 4, 4], 24).with_classes(CLASSES);
        let model = here.weights(config.init(&device)?)?;
        let batch = size.value as usize;
        let images = here.tensor::<4>(1, [batch, 3, SIDE, SIDE], &device);
        let labels = host_labels(batch, CLASSES, &device);
        let step = here.training_step(model, move |model| {
            ops::cross_entropy(model.forward(images.clone()), labels.clone(), 0.0)
        })?;
        // 0.013 of the largest was seen in one of 20 seeds.
        Ok(kinked(step, 2e-4))
    })
    .title("DenseNet-BC (k = 12, 4-4-4), training step on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .training();
    five(work, [4, 8, 32, 64, 128], |batch| batch)
}
