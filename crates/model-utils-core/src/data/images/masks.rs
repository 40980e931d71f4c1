//! Pictures with a class for every pixel.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::data::dataset::{Dataset, out_of_range};
use crate::data::images::listing::images_in;
use crate::error::{Error, Result};
use crate::image::Image;

/// A picture and the class of each of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedImage {
    /// The picture.
    pub image: Image,
    /// As large as the picture, one channel: its values are the classes.
    pub mask: Image,
}

/// Two folders with pictures and masks of the same names (`images/7.jpg` and `masks/7.png`).
///
/// A mask is a gray picture whose values are the classes, or, with a
/// [threshold](ImageMasks::with_threshold), any picture that is dark where there is nothing. Masks
/// should be of a format that keeps values exactly, such as PNG.
#[derive(Debug, Clone)]
pub struct ImageMasks {
    folder: PathBuf,
    files: Vec<[PathBuf; 2]>,
    threshold: Option<u8>,
    classes: usize,
}

impl ImageMasks {
    /// Pairs the pictures of two folders by their names without extension, sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a folder cannot be listed; [`Error::Data`] if a picture has no mask, a mask
    /// no picture, a name occurs twice in a folder, or there is none.
    pub fn open(images: impl AsRef<Path>, masks: impl AsRef<Path>) -> Result<Self> {
        let (images, masks) = (images.as_ref(), masks.as_ref());
        let mut masks_left = by_stem(masks)?;
        let mut files = Vec::new();
        for (stem, image) in by_stem(images)? {
            let mask = masks_left.remove(&stem).ok_or_else(|| {
                let reason = format!("there is no mask for {}", image.display());
                Error::data(masks.display().to_string(), reason)
            })?;
            files.push([image, mask]);
        }
        if let Some(mask) = masks_left.values().next() {
            let reason = format!("there is no picture for {}", mask.display());
            return Err(Error::data(images.display().to_string(), reason));
        }
        if files.is_empty() {
            return Err(Error::data(images.display().to_string(), "there is no picture in it"));
        }
        Ok(Self { folder: images.to_path_buf(), files, threshold: None, classes: 256 })
    }

    /// Makes masks binary: 1 where the gray value is `threshold` or more, 0 elsewhere. For masks
    /// drawn in black and white, 128.
    #[must_use]
    pub fn with_threshold(mut self, threshold: u8) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// Refuses masks with a value that is not below `classes`; default: 256, everything goes.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        self.classes = classes;
        self
    }

    /// The files, picture and mask, in the order of the items.
    pub fn files(&self) -> &[[PathBuf; 2]] {
        &self.files
    }

    fn mask(&self, path: &Path) -> Result<Image> {
        let fail = |reason: String| Err(Error::format(path, "mask", reason));
        let mask = Image::open(path)?;
        if self.threshold.is_none()
            && mask.channels() == 3
            && let Some(i) =
                mask.pixels().chunks_exact(3).position(|p| p[0] != p[1] || p[1] != p[2])
        {
            let (x, y) = (i % mask.width(), i / mask.width());
            return fail(format!(
                "pixel ({x}, {y}) has colour {:?}, expected a gray picture whose values are classes",
                mask.pixel(x, y)
            ));
        }
        let mask = mask.to_gray();
        let (width, height) = (mask.width(), mask.height());
        let mut values = mask.into_pixels();
        if let Some(threshold) = self.threshold {
            for value in &mut values {
                *value = u8::from(*value >= threshold);
            }
        }
        if let Some(i) = values.iter().position(|&value| usize::from(value) >= self.classes) {
            let (x, y) = (i % width, i / width);
            return fail(format!(
                "pixel ({x}, {y}) has class {}, expected one below {}",
                values[i], self.classes
            ));
        }
        Image::new(width, height, 1, values)
    }
}

/// The pictures of a folder by their names without extension.
fn by_stem(folder: &Path) -> Result<BTreeMap<OsString, PathBuf>> {
    let mut found = BTreeMap::new();
    for path in images_in(folder)? {
        let stem = path.file_stem().unwrap_or_default().to_os_string();
        let reason = format!("there is another picture named like {}", path.display());
        if found.insert(stem, path).is_some() {
            return Err(Error::data(folder.display().to_string(), reason));
        }
    }
    Ok(found)
}

impl Dataset for ImageMasks {
    type Item = MaskedImage;

    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, index: usize) -> Result<MaskedImage> {
        let Some([image_path, mask_path]) = self.files.get(index) else {
            return Err(out_of_range(self.folder.display().to_string(), index, self.len()));
        };
        let (image, mask) = (Image::open(image_path)?, self.mask(mask_path)?);
        let [size, mask_size] = [&image, &mask].map(|i| (i.width(), i.height()));
        if size != mask_size {
            let (size, mask_size) =
                (format!("{}×{}", size.0, size.1), format!("{}×{}", mask_size.0, mask_size.1));
            return Err(Error::format(
                mask_path,
                "mask",
                format!("it has {mask_size} pixels, but {} has {size}", image_path.display()),
            ));
        }
        Ok(MaskedImage { image, mask })
    }
}
