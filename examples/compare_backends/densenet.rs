//! A training step of a small DenseNet.

use mobilenet_densenet::{Classifier as _, DenseNetConfig};
use model_utils::compare::{Size, Workload};
use model_utils::ops;

use super::shared::{labels, tensor, training_step, with_weights};

const SIDE: usize = 32;
const CLASSES: usize = 10;

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("densenet", move |device, size| {
        let device = device.clone().autodiff();
        let config = DenseNetConfig::new(12, vec![4, 4, 4], 24).with_classes(CLASSES);
        let model = with_weights(config.init(&device)?, seed)?;
        let batch = size.value as usize;
        let images = tensor::<4>(seed + 1, [batch, 3, SIDE, SIDE], &device);
        let labels = labels(batch, CLASSES, &device);
        training_step(model, move |model| {
            ops::cross_entropy(model.forward(images.clone()), labels.clone(), 0.0)
        })
    })
    .title("DenseNet-BC (k = 12, 4-4-4), training step on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .tolerance(1e-2)
    .size(Size::new("small", 8.0, 8.0))
    .size(Size::new("medium", 32.0, 32.0))
    .size(Size::new("large", 128.0, 128.0))
}
