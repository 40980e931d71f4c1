//! Burn's own training steps on the models (feature `burn-train`).
#![cfg(feature = "burn-train")]
#![allow(missing_docs)]

use burn::optim::AdamConfig;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Distribution, Int, Tensor};
use burn_train::{InferenceStep, TrainStep};
use mobilenet_densenet::{Batch, DenseNetConfig};
use model_utils::device::DeviceSpec;

#[test]
fn burns_learner_steps_train_and_infer() {
    let device = DeviceSpec::Flex.open().unwrap().autodiff();
    let mut model = DenseNetConfig::small(10, 4).unwrap().with_classes(2).init(&device).unwrap();
    let mut optimizer: ModuleOptimizer = AdamConfig::new().init();
    let images = Tensor::random([4, 3, 8, 8], Distribution::Default, &device);
    let labels = Tensor::<1, Int>::from_ints([0, 1, 0, 1], &device);
    let mut losses = Vec::new();
    for _ in 0..12 {
        let batch = Batch { images: images.clone(), labels: labels.clone() };
        let output = TrainStep::step(&model, batch);
        losses.push(output.item.loss.into_scalar::<f32>());
        model = TrainStep::optimize(model, &mut optimizer, 0.02.into(), output.grads);
    }
    assert!(losses[11] < 0.5 * losses[0], "{losses:?}");
    let batch = Batch { images: images.inner(), labels: labels.inner() };
    let output = InferenceStep::step(&burn::module::Module::valid(&model), batch);
    assert_eq!(output.output.dims(), [4, 2]);
}
