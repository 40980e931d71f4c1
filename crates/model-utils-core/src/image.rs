//! A picture in host memory: 8-bit pixels, gray or RGB.
//!
//! [`Image`] is what data sets hand out, what models classify and what picture grids are built of.
//! Files are read by their content (PNG, JPEG, BMP, GIF, PNM) with limits on size and memory, so
//! that a broken or hostile file ends in an error; they are written by their extension, whole or not
//! at all.
//!
//! ```
//! use model_utils_core::image::Image;
//!
//! let image = Image::new(2, 1, 1, vec![0, 255])?;
//! assert_eq!(image.flip_horizontal().pixels(), [255, 0]);
//! assert_eq!(image.to_rgb().to_planes().len(), 3 * 1 * 2);
//! # Ok::<(), model_utils_core::error::Error>(())
//! ```

use std::fmt;
use std::io::Cursor;
use std::path::Path;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{DynamicImage, ExtendedColorType, ImageFormat, ImageReader, Limits};

use crate::atomic;
use crate::config;
use crate::error::{Error, Result};

/// The widest or highest picture that is decoded, in pixels.
const MAX_SIDE: u32 = 1 << 15;
/// The most memory a decoder may take, in bytes.
const MAX_ALLOC_BYTES: u64 = 1 << 30;
/// The quality at which JPEG files are written, 1 to 100.
const JPEG_QUALITY: u8 = 92;

/// An 8-bit picture with 1 (gray) or 3 (RGB) interleaved channels, rows from top to bottom.
///
/// It is never empty: width and height are at least 1.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Image {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// A picture of `pixels`, laid out `[height, width, channels]`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `channels` is neither 1 nor 3 or a side is 0, [`Error::Shape`] if the
    /// number of pixel values is not `height * width * channels`.
    pub fn new(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Result<Self> {
        let fits = matches!(channels, 1 | 3);
        config::require(fits, "channels", channels, "1 (gray) or 3 (RGB)")?;
        config::at_least("width", width, 1)?;
        config::at_least("height", height, 1)?;
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if expected != Some(pixels.len()) {
            return Err(Error::Shape {
                what: "pixels of an image".into(),
                expected: format!("[{height}, {width}, {channels}]"),
                found: format!("[{}]", pixels.len()),
            });
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// A picture of one colour: three values make it RGB, one makes it gray.
    ///
    /// It is total: a side of 0 counts as 1, of a colour with more than three values the first three
    /// are taken, and one with two or none is gray of its first value or black.
    #[must_use]
    pub fn filled(width: usize, height: usize, color: &[u8]) -> Self {
        let black = [0];
        let color = match color.len() {
            0 => &black[..],
            1 | 2 => &color[..1],
            _ => &color[..3],
        };
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, channels: color.len(), pixels: color.repeat(width * height) }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 for gray, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All values, `[height, width, channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The values, taken out: `[height, width, channels]`.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The channels of the pixel in column `x` of row `y`, counted from the upper left corner.
    ///
    /// # Panics
    ///
    /// Like indexing a slice, if `x` or `y` is outside the picture.
    pub fn pixel(&self, x: usize, y: usize) -> &[u8] {
        assert!(x < self.width, "column {x} of an image {} wide", self.width);
        let start = (y * self.width + x) * self.channels;
        &self.pixels[start..start + self.channels]
    }

    /// The same picture with three channels.
    #[must_use]
    pub fn to_rgb(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        let pixels = self.pixels.iter().flat_map(|&v| [v, v, v]).collect();
        Self { channels: 3, pixels, ..*self }
    }

    /// The same picture with one channel: luma `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601).
    #[must_use]
    pub fn to_gray(&self) -> Self {
        if self.channels == 1 {
            return self.clone();
        }
        let luma = |p: &[u8]| {
            let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
            ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
        };
        let pixels = self.pixels.chunks_exact(3).map(luma).collect();
        Self { channels: 1, pixels, ..*self }
    }

    /// Reads a picture file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, otherwise as [`Image::decode`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::decode(&bytes, path)
    }

    /// Decodes the content of a picture file: PNG, JPEG, BMP, GIF (its first frame) or PNM, told
    /// apart by their first bytes. `origin` only names the source in errors.
    ///
    /// Palettes and CMYK become RGB, 16-bit values are scaled to 8 bits, transparency is dropped
    /// (the colour below it stays), and a stored orientation (EXIF) is not applied.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the bytes are no such picture, are truncated or corrupt, or ask for more
    /// than 32,768 pixels a side or 1 GiB of memory.
    pub fn decode(bytes: &[u8], origin: impl AsRef<Path>) -> Result<Self> {
        let origin = origin.as_ref();
        let fail = |reason: String| Error::format(origin, "image", reason);
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| fail(e.to_string()))?;
        if reader.format().is_none() {
            let reason = "no PNG, JPEG, BMP, GIF or PNM signature at its start";
            return Err(fail(reason.into()));
        }
        // The decoder fills up what is missing.
        if reader.format() == Some(ImageFormat::Jpeg) && !has_end_of_image(bytes) {
            return Err(fail("it is truncated: no marker FF D9 ends its image".into()));
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_ALLOC_BYTES);
        reader.limits(limits);
        let decoded = reader.decode().map_err(|e| fail(e.to_string()))?;
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        if width == 0 || height == 0 {
            return Err(fail(format!("it is {width}×{height} pixels, expected at least 1×1")));
        }
        let (channels, pixels) = if decoded.color().has_color() {
            (3, decoded.into_rgb8().into_raw())
        } else {
            (1, decoded.into_luma8().into_raw())
        };
        Self::new(width, height, channels, pixels)
    }

    /// Writes the picture in the format of the extension: `png`, `jpg`, `jpeg`, `bmp`, `gif`,
    /// `ppm`, `pgm` or `pnm`. Missing folders are made; the file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Picture`] for another extension or a picture that the format cannot hold,
    /// [`Error::Io`] if the folder or file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        atomic::write(path, &self.encode(path)?)
    }

    /// The bytes of a file with the extension of `path`.
    fn encode(&self, path: &Path) -> Result<Vec<u8>> {
        let fail = |reason: String| Error::picture(path.display().to_string(), reason);
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let format = match extension.to_ascii_lowercase().as_str() {
            "png" => ImageFormat::Png,
            "jpg" | "jpeg" => ImageFormat::Jpeg,
            "bmp" => ImageFormat::Bmp,
            "gif" => ImageFormat::Gif,
            "ppm" | "pgm" | "pnm" => ImageFormat::Pnm,
            _ => {
                return Err(fail(format!(
                    "unknown extension `{extension}`, expected png, jpg, jpeg, bmp, gif, ppm, pgm \
                     or pnm"
                )));
            }
        };
        let color =
            if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let (Ok(width), Ok(height)) = (u32::try_from(self.width), u32::try_from(self.height))
        else {
            return Err(fail(format!("{}×{} pixels are too many", self.width, self.height)));
        };
        let mut bytes = Vec::new();
        let written = match format {
            ImageFormat::Jpeg => JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode(
                &self.pixels,
                width,
                height,
                color,
            ),
            ImageFormat::Gif => {
                let rgb = ::image::RgbImage::from_raw(width, height, self.to_rgb().pixels);
                let rgb = rgb.ok_or_else(|| fail("too many pixels".into()))?;
                DynamicImage::from(rgb).write_to(&mut Cursor::new(&mut bytes), format)
            }
            _ => {
                let mut cursor = Cursor::new(&mut bytes);
                let pixels = &self.pixels;
                ::image::write_buffer_with_format(&mut cursor, pixels, width, height, color, format)
            }
        };
        written.map_err(|e| fail(e.to_string()))?;
        Ok(bytes)
    }

    /// The picture at another size, bilinear. When it shrinks, the triangle filter widens with the
    /// factor, so that every input pixel counts (antialiasing, as Pillow's `BILINEAR` does it).
    /// A side of 0 counts as 1.
    #[must_use]
    pub fn resize(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let c = self.channels;
        // Across: [height_in, width_in, c] → [height_in, width, c].
        let columns = taps(self.width, width);
        let mut across: Vec<f32> = Vec::with_capacity(self.height * width * c);
        for row in self.pixels.chunks_exact(self.width * c) {
            for (first, weights) in &columns {
                for channel in 0..c {
                    let values = row[first * c + channel..].iter().step_by(c);
                    across.push(weights.iter().zip(values).map(|(w, &v)| w * f32::from(v)).sum());
                }
            }
        }
        // Down: [height_in, width, c] → [height, width, c].
        let mut pixels = Vec::with_capacity(height * width * c);
        let mut sums = vec![0.0_f32; width * c];
        for (first, weights) in taps(self.height, height) {
            sums.fill(0.0);
            for (weight, row) in weights.iter().zip(across.chunks_exact(width * c).skip(first)) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
            pixels.extend(sums.iter().map(|&sum| to_byte(sum)));
        }
        Self { width, height, channels: c, pixels }
    }

    /// The picture at another size, each pixel taken from the nearest one: for label maps, whose
    /// values must not be mixed. A side of 0 counts as 1.
    #[must_use]
    pub fn resize_nearest(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let nearest = |i: usize, from: usize, to: usize| (2 * i + 1) * from / (2 * to);
        let mut pixels = Vec::with_capacity(width * height * self.channels);
        for y in 0..height {
            let y = nearest(y, self.height, height);
            for x in 0..width {
                pixels.extend_from_slice(self.pixel(nearest(x, self.width, width), y));
            }
        }
        Self { width, height, channels: self.channels, pixels }
    }

    /// The part `width` wide and `height` high whose upper left corner is in column `x`, row `y`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the part is empty or reaches outside the picture.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        let fits = |start: usize, length: usize, all: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= all)
        };
        if !fits(x, width, self.width) || !fits(y, height, self.height) {
            return Err(Error::Shape {
                what: format!("crop {width}×{height} at ({x}, {y})"),
                expected: format!("a part of {}×{}", self.width, self.height),
                found: format!("{width}×{height} at ({x}, {y})"),
            });
        }
        let c = self.channels;
        let rows = self.pixels.chunks_exact(self.width * c).skip(y).take(height);
        let pixels = rows.flat_map(|row| &row[x * c..(x + width) * c]).copied().collect();
        Ok(Self { width, height, channels: c, pixels })
    }

    /// The part in the middle; where the margins cannot be equal, the left and upper are smaller.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the part is empty or larger than the picture.
    pub fn center_crop(&self, width: usize, height: usize) -> Result<Self> {
        let x = self.width.saturating_sub(width) / 2;
        let y = self.height.saturating_sub(height) / 2;
        self.crop(x, y, width, height)
    }

    /// The picture in a mirror: left and right change sides.
    #[must_use]
    pub fn flip_horizontal(&self) -> Self {
        let c = self.channels;
        let rows = self.pixels.chunks_exact(self.width * c);
        let pixels = rows.flat_map(|row| row.chunks_exact(c).rev().flatten()).copied().collect();
        Self { pixels, ..*self }
    }

    /// The values as a tensor expects them: `[channels, height, width]`, 0 to 1.
    pub fn to_planes(&self) -> Vec<f32> {
        let c = self.channels;
        let plane = |channel| self.pixels[channel..].iter().step_by(c);
        (0..c).flat_map(plane).map(|&v| f32::from(v) / 255.0).collect()
    }

    /// A picture of `[channels, height, width]` values, of which `low` is drawn as 0 and `high` as
    /// 255; what lies outside is clamped.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the number of values does not agree with `shape`, [`Error::Config`] if
    /// `shape` is not that of a picture or `low` is not below `high`, [`Error::Picture`] if a value
    /// is NaN.
    pub fn from_planes(values: &[f32], shape: [usize; 3], low: f32, high: f32) -> Result<Self> {
        let [channels, height, width] = shape;
        let range = high - low;
        let fits = range > 0.0 && range.is_finite();
        config::require(fits, "high", high, format!("a finite value above {low}"))?;
        if let Some(at) = values.iter().position(|v| v.is_nan()) {
            return Err(Error::picture("an image", format!("value {at} of {shape:?} is NaN")));
        }
        let size = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if size != Some(values.len()) {
            return Err(Error::Shape {
                what: "planes of an image".into(),
                expected: format!("{shape:?}"),
                found: format!("[{}]", values.len()),
            });
        }
        let plane = width * height;
        let value = |i: usize| to_byte((values[i] - low) / range * 255.0);
        let pixels =
            (0..plane).flat_map(|i| (0..channels).map(move |c| value(c * plane + i))).collect();
        Self::new(width, height, channels, pixels)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.channels == 1 { "gray" } else { "RGB" };
        write!(f, "Image({}×{} {kind})", self.width, self.height)
    }
}

/// Rounded and clamped to 0 to 255.
/// Whether the marker that ends a JPEG's image is there: not that of a thumbnail within a segment.
/// What stands behind it does not matter.
fn has_end_of_image(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut at = 0;
    loop {
        let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xFF))
        else {
            return false;
        };
        at += found + 1;
        match bytes.get(at) {
            None => return false,
            Some(&END) => return true,
            // Padding before a marker.
            Some(0xFF) => {}
            // A byte FF among the coefficients, and markers without a segment.
            Some(0x00 | 0x01 | 0xD0..=0xD8) => at += 1,
            // A segment, its length before its content.
            Some(_) => match bytes.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
}

fn to_byte(value: f32) -> u8 {
    // The cast saturates.
    (value + 0.5) as u8
}

/// For each of `to` output positions: the first of `from` input positions that counts, and the
/// weights from there on, which sum to 1.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let tap = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = ((center - reach).max(0.0) + 0.5) as usize;
        let end = ((center + reach + 0.5) as usize).min(from);
        let weight = |j: usize| (1.0 - ((j as f64 + 0.5 - center) / reach).abs()).max(0.0);
        let sum: f64 = (first..end).map(weight).sum();
        (first, (first..end).map(|j| (weight(j) / sum) as f32).collect())
    };
    (0..to).map(tap).collect()
}
