//! A training step of a small `VGG`: dense convolutions. Without batch norm, before which the bias of a
//! convolution has a gradient of rounding alone, in which no two devices agree.

use mobilenet_densenet::{Classifier as _, VggConfig};
use model_utils::compare::{Size, Workload};
use model_utils::ops;

use super::shared::{labels, tensor, training_step, with_weights};

const SIDE: usize = 32;
const CLASSES: usize = 10;

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("vgg", move |device, size| {
        let device = device.clone().autodiff();
        let config =
            VggConfig::vgg11().with_width(0.25).with_hidden(0).with_pooled(1).with_classes(CLASSES);
        let model = with_weights(config.init(&device)?, seed)?;
        let batch = size.value as usize;
        let images = tensor::<4>(seed + 1, [batch, 3, SIDE, SIDE], &device);
        let labels = labels(batch, CLASSES, &device);
        training_step(model, move |model| {
            ops::cross_entropy(model.forward(images.clone()), labels.clone(), 0.0)
        })
    })
    .title("VGG-11 (width 0.25), training step on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .tolerance(1e-2)
    .size(Size::new("small", 8.0, 8.0))
    .size(Size::new("medium", 32.0, 32.0))
    .size(Size::new("large", 128.0, 128.0))
}
