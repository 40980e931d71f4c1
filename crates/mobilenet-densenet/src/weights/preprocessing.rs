//! What happens to a picture before a model sees it.

use burn::tensor::{Device, Tensor, TensorData};
use model_utils::data::Normalize;
use model_utils::image::Image;

use crate::error::Result;

/// Side of the images where the file does not say.
pub(super) const SIDE: usize = 224;

/// What happens to a picture before a model sees it. Published accuracies hold only with the
/// preprocessing that goes with the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// How it gets its size.
    pub resize: Resize,
    /// What its values become.
    pub normalize: Normalize,
}

/// How a picture gets its size. Bilinear with antialiasing, as Pillow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resize {
    /// The shorter side becomes `side`, then the middle `crop` × `crop` is taken: torchvision,
    /// timm.
    ShorterSide {
        /// In pixels.
        side: usize,
        /// In pixels.
        crop: usize,
    },
    /// `side` × `side`, whatever the proportions: TensorFlow's and Keras's examples.
    Exact {
        /// In pixels.
        side: usize,
    },
}

impl Preprocessing {
    /// torchvision's: the shorter side to `side` (256, or 232 for most newer weights), the middle
    /// 224×224, `ImageNet`'s mean and standard deviation.
    #[must_use]
    pub fn torchvision(side: usize) -> Self {
        Self { resize: Resize::ShorterSide { side, crop: SIDE }, normalize: Normalize::imagenet() }
    }

    /// TensorFlow's for the `MobileNet`s, `mode="tf"` in Keras: `side` × `side`, −1 to 1.
    #[must_use]
    pub fn tensorflow(side: usize) -> Self {
        Self { resize: Resize::Exact { side }, normalize: Normalize::symmetric() }
    }

    /// `mode="torch"` in Keras, for its `DenseNet`s: `side` × `side`, `ImageNet`'s mean and standard
    /// deviation.
    pub(super) fn keras_torch(side: usize) -> Self {
        Self { resize: Resize::Exact { side }, normalize: Normalize::imagenet() }
    }

    /// `mode="caffe"` in Keras, for its `VGG`s: `side` × `side`, bytes less the mean of `ImageNet`,
    /// not scaled. Colours stay in the order red, green, blue: the first kernel is turned instead.
    #[must_use]
    pub fn caffe(side: usize) -> Self {
        Self { resize: Resize::Exact { side }, normalize: Normalize::imagenet_mean() }
    }

    /// Values 0 to 1 at `side` × `side`: what `vision_train` trains on.
    #[must_use]
    pub fn unit(side: usize) -> Self {
        Self { resize: Resize::Exact { side }, normalize: Normalize::unit() }
    }

    /// The picture as the model sees it, with `channels` of 1 or 3: at its final size, before
    /// normalisation.
    ///
    /// # Errors
    ///
    /// An error of [`Image`] for a part that does not fit, which a picture of any size does.
    pub fn resized(&self, image: &Image, channels: usize) -> Result<Image> {
        let image = if channels == 1 { image.to_gray() } else { image.to_rgb() };
        match self.resize {
            Resize::Exact { side } => Ok(image.resize(side, side)),
            Resize::ShorterSide { side, crop } => {
                let (width, height) = (image.width(), image.height());
                // The longer side is cut to a whole number, as torchvision does.
                let (width, height) = if width <= height {
                    (side, (side * height / width).max(side))
                } else {
                    ((side * width / height).max(side), side)
                };
                let crop = crop.min(side);
                let image = image.resize(width, height);
                let start = |length: usize| half_to_even(length - crop);
                Ok(image.crop(start(width), start(height), crop, crop)?)
            }
        }
    }

    /// A batch of one: `[1, channels, height, width]`.
    ///
    /// # Errors
    ///
    /// As [`resized`](Self::resized).
    pub fn tensor(&self, image: &Image, channels: usize, device: &Device) -> Result<Tensor<4>> {
        let image = self.resized(image, channels)?;
        let (height, width) = (image.height(), image.width());
        let plane = height * width;
        let mut values = image.to_planes();
        for (index, value) in values.iter_mut().enumerate() {
            let channel = index / plane;
            let of = |numbers: &[f32]| numbers[channel.min(numbers.len() - 1)];
            *value = (*value - of(self.normalize.mean())) / of(self.normalize.std());
        }
        Ok(Tensor::from_data(TensorData::new(values, [1, channels, height, width]), device))
    }
}

/// Half of a length, a half rounded to the even neighbour, as Python rounds.
fn half_to_even(length: usize) -> usize {
    let half = length / 2;
    if length.is_multiple_of(2) || half.is_multiple_of(2) { half } else { half + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_utils::device::DeviceSpec;

    #[test]
    fn pictures_of_any_shape_get_the_size_of_the_model() {
        let torchvision = Preprocessing::torchvision(256);
        for (width, height) in [(1, 1), (300, 10), (10, 300), (640, 480), (224, 225)] {
            let image = Image::filled(width, height, &[10, 200, 90]);
            let resized = torchvision.resized(&image, 3).unwrap();
            assert_eq!((resized.width(), resized.height()), (224, 224), "{width}×{height}");
            let gray = Preprocessing::unit(28).resized(&image, 1).unwrap();
            assert_eq!((gray.width(), gray.height(), gray.channels()), (28, 28, 1));
        }
    }

    #[test]
    fn the_crop_starts_where_torchvision_starts_it() {
        // round(117 / 2) = 58, round(119 / 2) = 60, round(118 / 2) = 59
        assert_eq!([117, 119, 118, 0, 1].map(half_to_even), [58, 60, 59, 0, 0]);
    }

    #[test]
    fn values_are_those_of_the_framework() {
        let device = DeviceSpec::default().open().unwrap();
        let first = |preprocessing: Preprocessing, byte: u8| {
            let image = Image::filled(8, 8, &[byte; 3]);
            preprocessing.tensor(&image, 3, &device).unwrap().into_data().iter::<f32>().next()
        };
        let near = |found: Option<f32>, expected: f32| (found.unwrap() - expected).abs() < 1e-6;
        assert!(near(first(Preprocessing::tensorflow(8), 0), -1.0));
        assert!(near(first(Preprocessing::tensorflow(8), 255), 1.0));
        assert!(near(first(Preprocessing::torchvision(256), 0), -0.485 / 0.229));
        assert!((first(Preprocessing::caffe(8), 255).unwrap() - 131.32).abs() < 1e-4);
        assert!(near(first(Preprocessing::unit(8), 51), 0.2));
    }
}
