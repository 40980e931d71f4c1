//! Burn's own `Learner`, dashboard and metrics on the models of this crate.

use burn_train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};
use model_utils::ops;

use crate::{Batch, Classifier, DenseNet, MobileNetV1, MobileNetV2, MobileNetV3, ResNet, Vgg};

fn classify<C: Classifier>(model: &C, batch: Batch) -> ClassificationOutput {
    let logits = model.forward(batch.images);
    let loss = ops::cross_entropy(logits.clone(), batch.labels.clone(), 0.0);
    ClassificationOutput::new(loss, logits, batch.labels)
}

macro_rules! learner {
    ($($model:ty),+) => {$(
        impl TrainStep for $model {
            type Input = Batch;
            type Output = ClassificationOutput;

            fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
                let output = classify(self, batch);
                TrainOutput::new(self, output.loss.backward(), output)
            }
        }

        impl InferenceStep for $model {
            type Input = Batch;
            type Output = ClassificationOutput;

            fn step(&self, batch: Batch) -> ClassificationOutput {
                classify(self, batch)
            }
        }
    )+};
}

learner!(MobileNetV1, MobileNetV2, MobileNetV3, DenseNet, ResNet, Vgg);
