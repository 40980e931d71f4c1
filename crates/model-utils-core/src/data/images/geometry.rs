//! Where the pixels of a changed picture come from.

use crate::data::images::boxes::BoundingBox;
use crate::image::Image;

/// The part of a box that must stay in the picture, or the box is dropped.
const MIN_VISIBLE: f32 = 0.25;

/// One definite change of a picture, and of what belongs to it. What comes from outside the picture
/// is black, in a mask 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Geometry {
    /// Nothing changes.
    Keep,
    /// Left and right change sides.
    Flip,
    /// To another size.
    Resize {
        /// In pixels, at least 1.
        width: usize,
        /// In pixels, at least 1.
        height: usize,
    },
    /// A part, which may reach outside.
    Crop {
        /// The first column.
        x: isize,
        /// The first row.
        y: isize,
        /// In pixels, at least 1.
        width: usize,
        /// In pixels, at least 1.
        height: usize,
    },
    /// Scaled and turned around the centre, then shifted.
    Affine {
        /// In radians; with rows counted downwards, clockwise.
        angle: f32,
        /// Above 1 things get larger.
        scale: f32,
        /// To the right, in pixels.
        shift_x: f32,
        /// Downwards, in pixels.
        shift_y: f32,
    },
}

impl Geometry {
    /// The picture after the change, bilinear.
    #[must_use]
    pub fn image(&self, image: &Image) -> Image {
        match *self {
            Self::Resize { width, height } => image.resize(width, height),
            Self::Affine { .. } => self.sampled(image, bilinear),
            _ => self.moved(image),
        }
    }

    /// A mask after the change: classes are moved, never mixed.
    #[must_use]
    pub fn mask(&self, mask: &Image) -> Image {
        match *self {
            Self::Resize { width, height } => mask.resize_nearest(width, height),
            Self::Affine { .. } => self.sampled(mask, nearest),
            _ => self.moved(mask),
        }
    }

    /// The boxes of a picture of that size after the change, cut at its border. Of a turned box it
    /// is the box around its corners; a box of which less than a quarter stays is dropped.
    #[must_use]
    pub fn boxes(&self, boxes: &[BoundingBox], [width, height]: [usize; 2]) -> Vec<BoundingBox> {
        let size = match *self {
            Self::Resize { width, height } | Self::Crop { width, height, .. } => [width, height],
            _ => [width, height],
        };
        let change = |found: &BoundingBox| {
            let corners = [
                (found.x_min, found.y_min),
                (found.x_max, found.y_min),
                (found.x_min, found.y_max),
                (found.x_max, found.y_max),
            ]
            .map(|(x, y)| self.point(x, y, [width as f32, height as f32]));
            let least = |axis: usize| corners.iter().map(|c| c[axis]).fold(f32::MAX, f32::min);
            let most = |axis: usize| corners.iter().map(|c| c[axis]).fold(f32::MIN, f32::max);
            let whole = BoundingBox {
                x_min: least(0),
                y_min: least(1),
                x_max: most(0),
                y_max: most(1),
                ..*found
            };
            let cut = whole.clipped(size[0], size[1]);
            (cut.area() > 0.0 && cut.area() >= MIN_VISIBLE * whole.area()).then_some(cut)
        };
        boxes.iter().filter_map(change).collect()
    }

    /// Where a point of the picture goes.
    fn point(&self, x: f32, y: f32, [width, height]: [f32; 2]) -> [f32; 2] {
        match *self {
            Self::Keep => [x, y],
            Self::Flip => [width - x, y],
            Self::Resize { width: w, height: h } => [x * w as f32 / width, y * h as f32 / height],
            Self::Crop { x: left, y: top, .. } => [x - left as f32, y - top as f32],
            Self::Affine { angle, scale, shift_x, shift_y } => {
                let (sin, cos) = angle.sin_cos();
                let (dx, dy) = (x - width / 2.0, y - height / 2.0);
                [
                    scale * (cos * dx - sin * dy) + width / 2.0 + shift_x,
                    scale * (sin * dx + cos * dy) + height / 2.0 + shift_y,
                ]
            }
        }
    }

    /// Changes in which every pixel is one pixel of the input.
    fn moved(&self, image: &Image) -> Image {
        match *self {
            Self::Flip => image.flip_horizontal(),
            Self::Crop { x, y, width, height } => cut(image, x, y, width, height),
            _ => image.clone(),
        }
    }

    /// A turned picture: each pixel sampled at the point that it comes from.
    fn sampled(&self, image: &Image, sample: impl Fn(&Image, f32, f32, &mut Vec<u8>)) -> Image {
        let Self::Affine { angle, scale, shift_x, shift_y } = *self else { return image.clone() };
        let (sin, cos) = angle.sin_cos();
        let (width, height) = (image.width(), image.height());
        let (center_x, center_y) = (width as f32 / 2.0, height as f32 / 2.0);
        let mut pixels = Vec::with_capacity(image.pixels().len());
        for y in 0..height {
            let dy = y as f32 + 0.5 - center_y - shift_y;
            for x in 0..width {
                let dx = x as f32 + 0.5 - center_x - shift_x;
                let from_x = (cos * dx + sin * dy) / scale + center_x;
                let from_y = (cos * dy - sin * dx) / scale + center_y;
                sample(image, from_x, from_y, &mut pixels);
            }
        }
        with_pixels(image, width, height, pixels)
    }
}

/// A part of a picture, black where it reaches outside.
fn cut(image: &Image, x: isize, y: isize, width: usize, height: usize) -> Image {
    let (width, height, c) = (width.max(1), height.max(1), image.channels());
    let mut pixels = vec![0; width * height * c];
    // The columns of the result that have a pixel to come from.
    let first = (-x).clamp(0, width as isize) as usize;
    let end = (image.width() as isize - x).clamp(0, width as isize) as usize;
    if first < end {
        for (row, to) in pixels.chunks_exact_mut(width * c).enumerate() {
            let Ok(from) = usize::try_from(row as isize + y) else { continue };
            if from < image.height() {
                let start = (from * image.width()) as isize + first as isize + x;
                let start = start as usize * c;
                let length = (end - first) * c;
                to[first * c..end * c].copy_from_slice(&image.pixels()[start..start + length]);
            }
        }
    }
    with_pixels(image, width, height, pixels)
}

/// A picture with the channels of `image`. The sizes agree, so that the other case never comes.
fn with_pixels(image: &Image, width: usize, height: usize, pixels: Vec<u8>) -> Image {
    Image::new(width, height, image.channels(), pixels).unwrap_or_else(|_| image.clone())
}

/// The pixel under a point, 0 outside.
fn nearest(image: &Image, x: f32, y: f32, pixels: &mut Vec<u8>) {
    if x >= 0.0 && y >= 0.0 && x < image.width() as f32 && y < image.height() as f32 {
        pixels.extend_from_slice(image.pixel(x as usize, y as usize));
    } else {
        pixels.extend((0..image.channels()).map(|_| 0));
    }
}

/// The mixture of the four pixels around a point; those outside are 0.
fn bilinear(image: &Image, x: f32, y: f32, pixels: &mut Vec<u8>) {
    let (left, top) = ((x - 0.5).floor(), (y - 0.5).floor());
    let (part_x, part_y) = (x - 0.5 - left, y - 0.5 - top);
    let mut sums = [0.5_f32; 3];
    for (dy, weight_y) in [(0.0, 1.0 - part_y), (1.0, part_y)] {
        for (dx, weight_x) in [(0.0, 1.0 - part_x), (1.0, part_x)] {
            let (x, y) = (left + dx, top + dy);
            if x >= 0.0 && y >= 0.0 && x < image.width() as f32 && y < image.height() as f32 {
                for (sum, &value) in sums.iter_mut().zip(image.pixel(x as usize, y as usize)) {
                    *sum += weight_x * weight_y * f32::from(value);
                }
            }
        }
    }
    pixels.extend(sums.iter().take(image.channels()).map(|&sum| sum as u8));
}
