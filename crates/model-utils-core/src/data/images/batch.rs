//! Labelled pictures as one block of numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config;
use crate::data::dataset::Dataset;
use crate::data::images::labelled::Labelled;
use crate::data::loader::Loader;
use crate::error::{Error, Result};

/// How pixel values from 0 to 1 become the values that a model sees: `(value - mean) / std`, for
/// each channel or the same for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Moments")]
pub struct Normalize {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// What is read back, before it is checked.
#[derive(Deserialize)]
struct Moments {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl TryFrom<Moments> for Normalize {
    type Error = Error;

    fn try_from(Moments { mean, std }: Moments) -> Result<Self> {
        Self::new(&mean, &std)
    }
}

impl Normalize {
    /// One mean and one standard deviation a channel (1 or 3), or one of each for all channels.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are not 1 or 3 of each, a value is not finite, or a standard
    /// deviation is not above 0.
    pub fn new(mean: &[f32], std: &[f32]) -> Result<Self> {
        let fits = matches!(mean.len(), 1 | 3) && mean.iter().all(|m| m.is_finite());
        config::require(fits, "mean", mean, "1 or 3 finite values")?;
        let fits = std.len() == mean.len() && std.iter().all(|s| s.is_finite() && *s > 0.0);
        config::require(fits, "std", std, format!("{} values above 0", mean.len()))?;
        Ok(Self { mean: mean.to_vec(), std: std.to_vec() })
    }

    /// 0 to 1, as the pixels are.
    #[must_use]
    pub fn unit() -> Self {
        Self { mean: vec![0.0], std: vec![1.0] }
    }

    /// -1 to 1: what a generator that ends in `tanh` is compared with.
    #[must_use]
    pub fn symmetric() -> Self {
        Self { mean: vec![0.5], std: vec![0.5] }
    }

    /// The means and standard deviations of `ImageNet`, as published models expect them: `[0.485,
    /// 0.456, 0.406]` and `[0.229, 0.224, 0.225]`.
    #[must_use]
    pub fn imagenet() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// Bytes less the mean of `ImageNet`, not scaled: Caffe's.
    pub fn imagenet_mean() -> Self {
        let mean = [123.68, 116.779, 103.939].map(|byte: f32| byte / 255.0);
        Self { mean: mean.to_vec(), std: vec![1.0 / 255.0; 3] }
    }

    /// The mean of every channel, or of all.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation of every channel, or of all.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// What each of the 256 pixel values of a channel becomes.
    fn table(&self, channel: usize) -> [f32; 256] {
        let at = channel.min(self.mean.len() - 1);
        let (mean, std) = (self.mean[at], self.std[at]);
        std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
    }
}

impl Default for Normalize {
    fn default() -> Self {
        Self::unit()
    }
}

/// Labelled pictures of one size, ready to become a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBatch {
    /// The pixel values, normalised, in the order of `shape`.
    pub images: Vec<f32>,
    /// `[batch, channels, height, width]`.
    pub shape: [usize; 4],
    /// The label of every picture.
    pub labels: Vec<usize>,
    /// Where every picture stands in its data set.
    pub indices: Vec<usize>,
}

impl ImageBatch {
    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Puts pictures together; each comes with its place in the data set.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] naming the item whose size or channels differ from those of the first,
    /// [`Error::Data`] if there is no item, [`Error::Config`] if `normalize` is for another number
    /// of channels.
    pub fn collate(items: &[(usize, Labelled)], normalize: &Normalize) -> Result<Self> {
        let Some((_, first)) = items.first() else {
            return Err(Error::data("batch", "it has no item"));
        };
        let dimensions =
            |item: &Labelled| [item.image.channels(), item.image.height(), item.image.width()];
        let expected = dimensions(first);
        if let Some((index, item)) = items.iter().find(|(_, item)| dimensions(item) != expected) {
            return Err(Error::Shape {
                what: format!("image of item {index}"),
                expected: format!("{expected:?} as item {} has", items[0].0),
                found: format!("{:?}", dimensions(item)),
            });
        }
        let [channels, height, width] = expected;
        let fits = normalize.mean.len() <= channels;
        let expected = format!("1 value: images have {channels}");
        config::require(fits, "mean", &normalize.mean, expected)?;
        let tables: Vec<_> = (0..channels).map(|channel| normalize.table(channel)).collect();
        let mut images = Vec::with_capacity(items.len() * channels * height * width);
        for (_, item) in items {
            for (channel, table) in tables.iter().enumerate() {
                let values = item.image.pixels()[channel..].iter().step_by(channels);
                images.extend(values.map(|&value| table[usize::from(value)]));
            }
        }
        Ok(Self {
            images,
            shape: [items.len(), channels, height, width],
            labels: items.iter().map(|(_, item)| item.label).collect(),
            indices: items.iter().map(|(index, _)| *index).collect(),
        })
    }
}

impl<D: Dataset<Item = Labelled> + 'static> Loader<D, ImageBatch> {
    /// Batches of labelled pictures with values from 0 to 1. Unless told otherwise: in the order of
    /// the set, one worker, the last batch may be smaller.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `batch_size` is 0, [`Error::Data`] if the set is empty.
    pub fn new(dataset: D, batch_size: usize) -> Result<Self> {
        Self::with_collate(dataset, batch_size, |items| {
            ImageBatch::collate(&items, &Normalize::unit())
        })
    }

    /// Normalises the pixel values.
    #[must_use]
    pub fn normalize(mut self, normalize: Normalize) -> Self {
        self.collate = Arc::new(move |items| ImageBatch::collate(&items, &normalize));
        self
    }
}
