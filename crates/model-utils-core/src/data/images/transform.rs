//! Changes of pictures: sizes, cuts and random variations.

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

use crate::config;
use crate::data::augment::Augment;
use crate::data::images::boxes::BoxedImage;
use crate::data::images::geometry::Geometry;
use crate::data::images::labelled::Labelled;
use crate::data::images::masks::MaskedImage;
use crate::data::seeded::uniform;
use crate::error::{Error, Result};
use crate::image::Image;

/// A change of a picture, fixed or drawn at random.
///
/// Applied to a [`MaskedImage`] the mask goes the same way (its classes unmixed), applied to a
/// [`BoxedImage`] the boxes do; several in a row are a `Vec<Transform>`. Normalisation happens
/// when a batch is made: see [`Normalize`](crate::data::Normalize).
///
/// ```
/// use model_utils_core::data::{Augment, Transform};
/// use model_utils_core::image::Image;
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let change = vec![Transform::random_crop(28, 28, 2), Transform::random_affine(10.0, 0.1, 0.1)];
/// let image = Image::filled(28, 28, &[200]);
/// let varied = change.augment(image, &mut ChaCha8Rng::seed_from_u64(7))?;
/// assert_eq!((varied.width(), varied.height()), (28, 28));
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transform {
    /// To a fixed size, whatever the proportions.
    Resize {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
    /// The middle.
    CenterCrop {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
    /// A part anywhere, after a black border has been put around.
    RandomCrop {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
        /// The width of the border, in pixels.
        padding: usize,
    },
    /// Left and right change sides at times.
    RandomFlip {
        /// How often, 0 to 1.
        probability: f64,
    },
    /// Turned, shifted and scaled a little around the centre; what comes from outside is black.
    RandomAffine {
        /// The largest angle to either side, in degrees.
        degrees: f32,
        /// The largest shift in either direction, as a part of the side.
        translate: f32,
        /// The largest change of size: 0.1 draws a factor from 0.9 to 1.1.
        scale: f32,
    },
}

impl Transform {
    /// [`Transform::Resize`].
    #[must_use]
    pub fn resize(width: usize, height: usize) -> Self {
        Self::Resize { width, height }
    }

    /// [`Transform::CenterCrop`].
    #[must_use]
    pub fn center_crop(width: usize, height: usize) -> Self {
        Self::CenterCrop { width, height }
    }

    /// [`Transform::RandomCrop`].
    #[must_use]
    pub fn random_crop(width: usize, height: usize, padding: usize) -> Self {
        Self::RandomCrop { width, height, padding }
    }

    /// [`Transform::RandomFlip`], every other time.
    #[must_use]
    pub fn random_flip() -> Self {
        Self::RandomFlip { probability: 0.5 }
    }

    /// [`Transform::RandomAffine`].
    #[must_use]
    pub fn random_affine(degrees: f32, translate: f32, scale: f32) -> Self {
        Self::RandomAffine { degrees, translate, scale }
    }

    /// What happens to a picture of that size this time: the random part of the change.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if a part to cut out does not fit, [`Error::Config`] if a parameter is out
    /// of its range.
    pub fn draw(
        &self,
        image_width: usize,
        image_height: usize,
        rng: &mut (impl Rng + ?Sized),
    ) -> Result<Geometry> {
        match *self {
            Self::Resize { width, height } => {
                config::at_least("width", width, 1)?;
                config::at_least("height", height, 1)?;
                Ok(Geometry::Resize { width, height })
            }
            Self::CenterCrop { width, height } => {
                room([width, height], [image_width, image_height])?;
                let [x, y] = [(image_width - width) / 2, (image_height - height) / 2];
                Ok(Geometry::Crop { x: x as isize, y: y as isize, width, height })
            }
            Self::RandomCrop { width, height, padding } => {
                let all = [image_width, image_height]
                    .map(|s| s.saturating_add(padding.saturating_mul(2)));
                room([width, height], all)?;
                let x = rng.random_range(0..=all[0] - width) as isize - padding as isize;
                let y = rng.random_range(0..=all[1] - height) as isize - padding as isize;
                Ok(Geometry::Crop { x, y, width, height })
            }
            Self::RandomFlip { probability } => {
                config::share("probability", probability)?;
                Ok(if rng.random_bool(probability) { Geometry::Flip } else { Geometry::Keep })
            }
            Self::RandomAffine { degrees, translate, scale } => {
                config::finite("degrees", degrees)?;
                config::finite("translate", translate)?;
                config::share_below_one("scale", scale)?;
                let mut around_zero = |most: f32| uniform(rng, -most, most);
                let angle = around_zero(degrees).to_radians();
                let shift_x = around_zero(translate) * image_width as f32;
                let shift_y = around_zero(translate) * image_height as f32;
                let scale = 1.0 + around_zero(scale);
                Ok(Geometry::Affine { angle, scale, shift_x, shift_y })
            }
        }
    }

    /// Changes a picture.
    ///
    /// # Errors
    ///
    /// As [`Transform::draw`].
    pub fn apply(&self, image: &Image, rng: &mut (impl Rng + ?Sized)) -> Result<Image> {
        Ok(self.draw(image.width(), image.height(), rng)?.image(image))
    }
}

/// Refuses a part that is empty or larger than the whole.
fn room([width, height]: [usize; 2], [all_width, all_height]: [usize; 2]) -> Result<()> {
    config::at_least("width", width, 1)?;
    config::at_least("height", height, 1)?;
    if width > all_width || height > all_height {
        return Err(Error::Shape {
            what: format!("crop {width}×{height} of an image"),
            expected: format!("at least {width}×{height} with its padding"),
            found: format!("{all_width}×{all_height}"),
        });
    }
    Ok(())
}

impl<T: Spatial> Augment<T> for Transform {
    fn augment(&self, item: T, rng: &mut dyn Rng) -> Result<T> {
        let [width, height] = item.size();
        Ok(item.changed(&self.draw(width, height, rng)?))
    }
}

impl<T: Spatial> Augment<T> for Vec<Transform> {
    fn augment(&self, item: T, rng: &mut dyn Rng) -> Result<T> {
        self.iter().try_fold(item, |item, transform| transform.augment(item, rng))
    }
}

/// An item that a [`Transform`] can change: something with a picture in it.
pub trait Spatial: Sized {
    /// Width and height in pixels.
    fn size(&self) -> [usize; 2];

    /// The item after a change.
    #[must_use]
    fn changed(self, geometry: &Geometry) -> Self;
}

impl Spatial for Image {
    fn size(&self) -> [usize; 2] {
        [self.width(), self.height()]
    }

    fn changed(self, geometry: &Geometry) -> Self {
        geometry.image(&self)
    }
}

impl Spatial for Labelled {
    fn size(&self) -> [usize; 2] {
        self.image.size()
    }

    fn changed(self, geometry: &Geometry) -> Self {
        Self { image: geometry.image(&self.image), ..self }
    }
}

impl Spatial for MaskedImage {
    fn size(&self) -> [usize; 2] {
        self.image.size()
    }

    fn changed(self, geometry: &Geometry) -> Self {
        Self { image: geometry.image(&self.image), mask: geometry.mask(&self.mask) }
    }
}

impl Spatial for BoxedImage {
    fn size(&self) -> [usize; 2] {
        self.image.size()
    }

    fn changed(self, geometry: &Geometry) -> Self {
        let boxes = geometry.boxes(&self.boxes, self.size());
        Self { image: geometry.image(&self.image), boxes }
    }
}
