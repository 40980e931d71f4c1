//! `MobileNetV2` as it is used: one image, and batches of them.

use mobilenet_densenet::{Classifier as _, MobileNetV2Config};
use model_utils::compare::{Output, Size, Step, Workload};

use super::shared::{tensor, with_weights};

const SIDE: usize = 224;

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("mobilenet_v2", move |device, size| {
        let model = with_weights(MobileNetV2Config::new().init(device)?, seed)?;
        let images = tensor::<4>(seed + 1, [size.value as usize, 3, SIDE, SIDE], device);
        Ok(Step::new(move || Ok(Output::from(model.forward(images.clone())))))
    })
    .title("MobileNetV2, inference on 224×224 images")
    .size_unit("batch size")
    .items_unit("images")
    .tolerance(1e-2)
    .size(Size::new("small", 1.0, 1.0))
    .size(Size::new("medium", 8.0, 8.0))
    .size(Size::new("large", 32.0, 32.0))
}
