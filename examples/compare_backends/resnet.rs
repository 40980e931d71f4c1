//! ResNet-18 on one image and batches of them.

use mobilenet_densenet::{Classifier as _, ResNetConfig};
use model_utils::compare::{Output, Step, Workload};

use super::setup::{Setup, five};

const SIDE: usize = 128;

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("resnet18", move |device, size| {
        let here = setup.on(device);
        let model = here.weights(ResNetConfig::resnet18().init(device)?)?;
        let images = here.tensor::<4>(1, [size.value as usize, 3, SIDE, SIDE], device);
        Ok(Step::new(move || Ok(Output::from(model.forward(images.clone())))))
    })
    .title("ResNet-18, inference on 128×128 images")
    .size_unit("batch size")
    .items_unit("images");
    five(work, [1, 2, 8, 16, 32], |batch| batch)
}
