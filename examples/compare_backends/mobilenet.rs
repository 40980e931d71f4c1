//! `MobileNetV2` as it is used: one image, and batches of them.

use mobilenet_densenet::{Classifier as _, MobileNetV2Config};
use model_utils::compare::{Output, Step, Workload};

use super::setup::{Fault, Setup, five};

const SIDE: usize = 224;

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("mobilenet_v2", move |device, size| {
        let here = setup.on(device);
        let last = if here.has(Fault::Stride) { 1 } else { 2 };
        let config = MobileNetV2Config::new().with_strides([2, 2, 2, 2, last]);
        let model = here.weights(config.init(device)?)?;
        let images = here.tensor::<4>(1, [size.value as usize, 3, SIDE, SIDE], device);
        Ok(Step::new(move || Ok(Output::from(model.forward(images.clone())))))
    })
    .title("MobileNetV2, inference on 224×224 images")
    .size_unit("batch size")
    .items_unit("images");
    five(work, [1, 2, 8, 16, 32], |batch| batch)
}
