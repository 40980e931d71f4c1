//! A step of quantization-aware training: every weight and activation of a small `VGG` is rounded to
//! what eight bits hold.
//!
//! A number that lies between two of those falls to either side on different devices, by rounding
//! alone; the loss feels little of it, a single gradient more.

use burn::tensor::Tensor;
use compress::quantize::{QuantizationAware, Scheme};
use mobilenet_densenet::{Classifier as _, Vgg, VggConfig};
use model_utils::compare::{Size, Workload};
use model_utils::graph::Graph;
use model_utils::ops;

use super::shared::{labels, tensor, training_step, with_weights};

const SIDE: usize = 32;
const CLASSES: usize = 10;

pub(super) fn workload(seed: u64) -> Workload {
    Workload::new("quantized", move |device, size| {
        let config =
            VggConfig::vgg11().with_width(0.25).with_hidden(0).with_pooled(1).with_classes(CLASSES);
        let model = with_weights(config.init(device)?, seed)?;
        let graph = Graph::trace(&model, [1, 3, SIDE, SIDE], Vgg::forward)?;
        let batch = size.value as usize;
        let aware = QuantizationAware::new(Scheme::symmetric(8).per_channel());
        let shape = [batch, 3, SIDE, SIDE];
        let prepared = aware.prepare(&graph, [tensor::<4>(seed + 1, shape, device)])?;
        let device = device.clone().autodiff();
        let images = tensor::<4>(seed + 1, shape, &device);
        let labels = labels(batch, CLASSES, &device);
        training_step(prepared.init(&device)?, move |module| {
            let logits: Tensor<2> =
                module.forward(images.clone()).expect("the graph was traced on such images");
            ops::cross_entropy(logits, labels.clone(), 0.0)
        })
    })
    .title("VGG-11 (width 0.25), quantization-aware training step on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .tolerance(5e-2)
    .size(Size::new("small", 8.0, 8.0))
    .size(Size::new("medium", 32.0, 32.0))
    .size(Size::new("large", 128.0, 128.0))
}
