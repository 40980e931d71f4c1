//! Batches whose images are mixtures of two: mixup and `CutMix`.

use burn::tensor::{Bool, Int, Tensor, TensorData};
use model_utils::train::StepOutput;
use model_utils::{config, ops};
use rand::{Rng, RngExt as _};

use crate::classifier::{Batch, Classifier};
use crate::error::Result;

/// How images are mixed. Each image meets the one at the mirrored place of its batch; the loss is
/// the mixture of both labels' losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BatchMix {
    /// Zhang et al. 2018 (<https://arxiv.org/abs/1710.09412>): λ·x + (1 − λ)·x' with λ from
    /// Beta(α, α).
    Mixup {
        /// α, above 0 and at most 1.
        alpha: f64,
    },
    /// Yun et al. 2019 (<https://arxiv.org/abs/1905.04899>): a box that covers a share of 1 − λ
    /// comes from x', with λ from Beta(α, α).
    CutMix {
        /// α, above 0 and at most 1.
        alpha: f64,
    },
}

/// A mixed batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MixedBatch {
    /// `[batch, channels, height, width]`
    pub images: Tensor<4>,
    /// The labels of the images, `[batch]`, and of those mixed in.
    pub labels: [Tensor<1, Int>; 2],
    /// The share λ that the first labels have.
    pub share: f64,
}

impl BatchMix {
    /// Mixes a batch.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for an α that cannot be drawn with.
    pub fn apply(self, batch: Batch, rng: &mut impl Rng) -> Result<MixedBatch> {
        let (Self::Mixup { alpha } | Self::CutMix { alpha }) = self;
        config::share_above_zero("alpha", alpha)?;
        let share = beta(alpha, rng);
        let others = batch.images.clone().flip([0]);
        let other_labels = batch.labels.clone().flip([0]);
        let (images, share) = match self {
            Self::Mixup { .. } => (batch.images * share + others * (1.0 - share), share),
            Self::CutMix { .. } => {
                let [_, _, height, width] = batch.images.dims();
                let side = (1.0 - share).sqrt();
                let [rows, columns] = [height, width].map(|length| {
                    let half = (side * length as f64 / 2.0) as usize;
                    let middle = rng.random_range(0..length);
                    middle.saturating_sub(half)..(middle + half).min(length)
                });
                // Cut off at the border, the box is smaller than drawn.
                let covered = rows.len() * columns.len();
                let inside: Vec<bool> = (0..height * width)
                    .map(|at| rows.contains(&(at / width)) && columns.contains(&(at % width)))
                    .collect();
                let mask = TensorData::new(inside, [1, 1, height, width]);
                let mask = Tensor::<4, Bool>::from_data(mask, &batch.images.device());
                let mask = mask.expand(batch.images.shape());
                let images = batch.images.mask_where(mask, others);
                (images, 1.0 - covered as f64 / (height * width) as f64)
            }
        };
        Ok(MixedBatch { images, labels: [batch.labels, other_labels], share })
    }
}

impl MixedBatch {
    /// The loss of a training step, as [`Classifier::training_step`]; how many are right is not
    /// told, since each image has two labels.
    ///
    /// # Errors
    ///
    /// [`Error::Images`](crate::Error::Images) for images that the model cannot take, and
    /// [`Error::Config`](crate::Error::Config) for a smoothing that is no share below 1.
    pub fn training_step<M: Classifier>(self, model: &M, smoothing: f64) -> Result<StepOutput> {
        config::share_below_one("label_smoothing", smoothing)?;
        model.check(&self.images)?;
        let [items, ..] = self.images.dims();
        let logits = model.forward(self.images);
        let [first, second] = self.labels;
        let first = ops::cross_entropy(logits.clone(), first, smoothing);
        let second = ops::cross_entropy(logits, second, smoothing);
        let loss = first * self.share + second * (1.0 - self.share);
        Ok(StepOutput { loss, items, correct: None })
    }
}

/// A draw from Beta(α, α) for α ≤ 1 (Jöhnk 1964). Not `Random::beta`: figures of trained models rest
/// on these draws, from the generator that also draws the boxes.
fn beta(alpha: f64, rng: &mut impl Rng) -> f64 {
    loop {
        let [x, y] = [(); 2].map(|()| rng.random::<f64>().powf(1.0 / alpha));
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
        // Both powers may be too small for a number: then λ is 0 or 1, as likely.
        if x + y == 0.0 {
            return f64::from(u8::from(rng.random::<bool>()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_utils::device::DeviceSpec;
    use rand::SeedableRng as _;
    use rand::rngs::ChaCha8Rng;

    fn batch() -> Batch {
        let device = DeviceSpec::default().open().unwrap();
        let ones = Tensor::<4>::ones([1, 2, 8, 12], &device);
        Batch {
            images: Tensor::cat(vec![ones.clone(), ones.zeros_like()], 0),
            labels: Tensor::from_ints([4, 7], &device),
        }
    }

    #[test]
    fn the_share_of_the_pixels_is_the_share_of_the_labels() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for alpha in [0.2, 1.0] {
            for mix in [BatchMix::Mixup { alpha }, BatchMix::CutMix { alpha }] {
                for _ in 0..50 {
                    let mixed = mix.apply(batch(), &mut rng).unwrap();
                    let mean = mixed.images.narrow(0, 0, 1).mean().into_scalar::<f32>();
                    assert!((f64::from(mean) - mixed.share).abs() < 1e-5, "{mix:?}");
                    let labels =
                        mixed.labels.map(|l| l.into_data().iter::<i64>().collect::<Vec<_>>());
                    assert_eq!(labels, [vec![4, 7], vec![7, 4]]);
                }
            }
        }
        assert!(BatchMix::Mixup { alpha: 0.0 }.apply(batch(), &mut rng).is_err());
        assert!(BatchMix::CutMix { alpha: f64::NAN }.apply(batch(), &mut rng).is_err());
    }

    #[test]
    fn draws_have_the_moments_of_the_distribution() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for alpha in [0.2, 0.5, 1.0] {
            let draws: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            assert!((mean - 0.5).abs() < 0.01, "{mean}");
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((variance / expected - 1.0).abs() < 0.03, "{alpha}: {variance} {expected}");
        }
    }
}
