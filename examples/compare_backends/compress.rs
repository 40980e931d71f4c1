//! A step of quantization-aware training: every weight and activation of a small `VGG` is rounded to
//! what eight bits hold.
//!
//! A number that lies between two of those falls to either side on different devices, by rounding
//! alone, and with it the winner of a pooling behind it. The loss feels little of that (0.003 in 20 seeds),
//! a single gradient much (0.28 of the largest): gradients count a twenty-fifth here.

use burn::tensor::Tensor;
use compress::quantize::{QuantizationAware, Scheme};
use mobilenet_densenet::{Classifier as _, Vgg};
use model_utils::compare::{Workload, host_labels};
use model_utils::graph::Graph;
use model_utils::ops;

use super::setup::{Setup, five, kinked};
use super::vgg::{CLASSES, SIDE, config};

pub(super) fn workload(setup: Setup) -> Workload {
    let work = Workload::new("quantized", move |device, size| {
        let here = setup.on(device);
        let model = here.weights(config(here).init(device)?)?;
        let graph = Graph::trace(&model, [1, 3, SIDE, SIDE], Vgg::forward)?;
        let batch = size.value as usize;
        let aware = QuantizationAware::new(Scheme::symmetric(8).per_channel());
        let shape = [batch, 3, SIDE, SIDE];
        let prepared = aware.prepare(&graph, [here.tensor::<4>(1, shape, device)])?;
        let device = device.clone().autodiff();
        let images = here.tensor::<4>(1, shape, &device);
        let labels = host_labels(batch, CLASSES, &device);
        let step = here.training_step(prepared.init(&device)?, move |module| {
            let logits: Tensor<2> =
                module.forward(images.clone()).expect("the graph was traced on such images");
            ops::cross_entropy(logits, labels.clone(), 0.0)
        })?;
        Ok(kinked(step, 0.04))
    })
    .title("VGG-11 (width 0.25), quantization-aware training step on 32×32 images")
    .size_unit("batch size")
    .items_unit("images")
    .training();
    five(work, [4, 8, 32, 64, 128], |batch| batch).tolerance(2e-2).coarse_tolerance(5e-2)
}
