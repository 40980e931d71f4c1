//! What every image classifier of this crate can do, and how it is trained and evaluated.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use model_utils::config;
use model_utils::ops;
use model_utils::train::{Evaluation, StepOutput};

use crate::error::{Error, Result};

/// Images and their classes on a device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[batch, channels, height, width]`
    pub images: Tensor<4>,
    /// `[batch]`, from 0 to the number of classes − 1.
    pub labels: Tensor<1, Int>,
}

/// A part of a model that ends at one resolution; see [`Classifier::stages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stage {
    /// Channels of its feature map.
    pub channels: usize,
    /// Pixels of the image between two neighbours of its feature map.
    pub stride: usize,
}

/// A class and how sure the model is of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The class, from 0.
    pub class: usize,
    /// Its probability.
    pub probability: f32,
}

/// A model from images to classes: stages that each end in a feature map, and a head that makes
/// classes of the last one.
pub trait Classifier: Module {
    /// The feature map at the end of each stage, in the order of [`stages`](Self::stages):
    /// `[batch, channels, height, width]` → `[batch, stage.channels, ~height / stage.stride,
    /// ~width / stage.stride]` (rounded up or down as the family does).
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>>;

    /// Logits of the last feature map: `[batch, channels, height, width]` → `[batch, classes]`.
    fn forward_head(&self, features: Tensor<4>) -> Tensor<2>;

    /// Channels and stride of each map of [`forward_stages`](Self::forward_stages). The last is
    /// what [`forward_head`](Self::forward_head) takes.
    fn stages(&self) -> &[Stage];

    /// The last feature map: that of [`forward_stages`](Self::forward_stages) alone.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    fn forward_features(&self, images: Tensor<4>) -> Tensor<4> {
        let mut maps = self.forward_stages(images);
        maps.pop().expect("a model has stages")
    }

    /// Logits: `[batch, channels, height, width]` → `[batch, classes]`.
    ///
    /// # Panics
    ///
    /// Where the images have other channels than [`channels`](Self::channels) or sides below
    /// [`min_side`](Self::min_side); [`predict`](Self::predict) checks instead.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_head(self.forward_features(images))
    }

    /// The same model with a fresh last layer, for another number of classes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for no classes.
    fn reset_classifier(self, classes: usize) -> Result<Self>;

    /// The same model with all that [`forward_stages`](Self::forward_stages) runs through frozen:
    /// no gradients, and batch normalisations stand still, which take their running statistics in
    /// training too. What [`forward_head`](Self::forward_head) runs through trains on.
    /// [`Module::unfreeze`] undoes it.
    #[must_use]
    fn freeze_backbone(self) -> Self;

    /// Classes it tells apart.
    fn classes(&self) -> usize;

    /// Channels of the images it takes.
    fn channels(&self) -> usize;

    /// The least height and width it takes.
    fn min_side(&self) -> usize {
        1
    }

    /// Refuses images that [`forward`](Self::forward) cannot take.
    ///
    /// # Errors
    ///
    /// [`Error::Images`].
    fn check(&self, images: &Tensor<4>) -> Result<()> {
        let found @ [batch, channels, height, width] = images.dims();
        let fits =
            batch > 0 && channels == self.channels() && height.min(width) >= self.min_side().max(1);
        if fits {
            Ok(())
        } else {
            Err(Error::Images {
                found,
                channels: self.channels(),
                min_side: self.min_side().max(1),
            })
        }
    }

    /// Refuses labelled images that cannot be learned from; what stands in labels that lie on a
    /// graphics card is not looked at, since that would have to wait for it.
    ///
    /// # Errors
    ///
    /// [`Error::Images`], and labels that are not one a picture or no classes.
    fn check_batch(&self, batch: &Batch) -> Result<()> {
        self.check(&batch.images)?;
        let ([images, ..], [labels]) = (batch.images.dims(), batch.labels.dims());
        config::require(labels == images, "labels", labels, format!("{images}, one an image"))?;
        if ops::has_kernels(&batch.labels.device()) {
            let classes = self.classes() as i64;
            for label in batch.labels.clone().into_data().iter::<i64>() {
                let is_class = (0..classes).contains(&label);
                config::require(is_class, "labels", label, format!("0 to {}", classes - 1))?;
            }
        }
        Ok(())
    }

    /// The `top` most probable classes of each image, the surest first.
    ///
    /// Turns training behaviour off only by the device: call it on `model.valid()`.
    ///
    /// # Errors
    ///
    /// [`Error::Images`] for images that the model cannot take.
    fn predict(&self, images: Tensor<4>, top: usize) -> Result<Vec<Vec<Prediction>>> {
        self.check(&images)?;
        let probabilities = softmax(self.forward(images), 1);
        let values = ops::to_vec(probabilities);
        Ok(values
            .chunks(self.classes())
            .map(|row| {
                let mut row: Vec<_> = row
                    .iter()
                    .enumerate()
                    .map(|(class, &probability)| Prediction { class, probability })
                    .collect();
                row.sort_by(|a, b| b.probability.total_cmp(&a.probability));
                row.truncate(top);
                row
            })
            .collect())
    }

    /// The loss of a training step, for [`Supervised::train`](model_utils::train::Supervised::train).
    ///
    /// # Errors
    ///
    /// What [`check_batch`](Self::check_batch) refuses, and a smoothing that is no share below 1.
    fn training_step(&self, batch: Batch, label_smoothing: f64) -> Result<StepOutput> {
        config::share_below_one("label_smoothing", label_smoothing)?;
        self.check_batch(&batch)?;
        let [items, ..] = batch.images.dims();
        let logits = self.forward(batch.images);
        let correct = ops::count_correct(logits.clone(), batch.labels.clone());
        let loss = ops::cross_entropy(logits, batch.labels, label_smoothing);
        Ok(StepOutput { loss, items, correct: Some(correct) })
    }

    /// Evaluates the model on batches of labelled images.
    ///
    /// # Errors
    ///
    /// What [`check_batch`](Self::check_batch) refuses, errors of the batches, and no image at all.
    fn evaluate(
        &self,
        batches: impl IntoIterator<Item = Result<Batch, model_utils::Error>>,
    ) -> Result<ClassificationReport> {
        let mut report = ClassificationReport::default();
        let mut loss_sum = 0.0;
        for batch in batches {
            let batch = batch?;
            self.check_batch(&batch)?;
            let logits = self.forward(batch.images);
            let loss = ops::cross_entropy(logits.clone(), batch.labels.clone(), 0.0);
            let labels = batch.labels.into_data().convert::<i64>();
            let before = report.labels.len();
            report.labels.extend(labels.iter::<i64>().map(|label| label as usize));
            let count = report.labels.len() - before;
            loss_sum += f64::from(ops::to_vec(loss)[0]) * count as f64;
            let logits = ops::to_vec(logits);
            report.predictions.extend(logits.chunks(self.classes()).map(arg_max));
        }
        if report.labels.is_empty() {
            return Err(model_utils::Error::data("test set", "it holds no image").into());
        }
        report.classes = self.classes();
        report.loss = loss_sum / report.labels.len() as f64;
        Ok(report)
    }
}

/// What a classifier answered on a labelled set.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ClassificationReport {
    /// The true class of each image.
    pub labels: Vec<usize>,
    /// The answer for each image.
    pub predictions: Vec<usize>,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Number of classes.
    pub classes: usize,
}

impl ClassificationReport {
    /// Right answers.
    pub fn correct(&self) -> usize {
        self.labels.iter().zip(&self.predictions).filter(|(a, b)| a == b).count()
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.labels.len().max(1) as f64
    }

    /// How often each true class (row) got each answer (column).
    pub fn confusion_matrix(&self) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (&label, &prediction) in self.labels.iter().zip(&self.predictions) {
            if let Some(count) = counts.get_mut(label).and_then(|row| row.get_mut(prediction)) {
                *count += 1;
            }
        }
        counts
    }

    /// Accuracy as the score, with the loss beside it.
    pub fn evaluation(&self) -> Evaluation {
        Evaluation::new("test_accuracy", self.accuracy()).with_metric("test_loss", self.loss)
    }
}

fn arg_max(row: &[f32]) -> usize {
    row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}
