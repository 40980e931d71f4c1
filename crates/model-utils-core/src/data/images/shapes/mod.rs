//! Pictures of shapes, drawn on demand: a data set that needs no file.

mod ground;
mod outline;

use std::f32::consts::TAU;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

use crate::config;
use crate::data::dataset::{Classes, Dataset, out_of_range};
use crate::data::images::boxes::{BoundingBox, BoxedImage};
use crate::data::images::labelled::{Labelled, Split};
use crate::data::images::masks::MaskedImage;
use crate::data::seeded::{Purpose, stream, uniform};
use crate::error::Result;
use crate::image::Image;

use ground::Ground;
pub use outline::Shape;

/// The most objects in a picture.
const MAX_OBJECTS: usize = 16;
/// The largest picture, in pixels a side.
const MAX_SIZE: usize = 4096;
/// How often a place is tried before an object is drawn smaller, and how often that happens.
const TRIES: usize = 12;

/// How [`Shapes`] are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShapesConfig {
    /// Width and height, 16 to 4096 pixels. Default: 32.
    pub size: usize,
    /// 3 for RGB, 1 for gray. Default: 3.
    pub channels: usize,
    /// How many objects a picture has, 1 to 16. Default: 1.
    pub objects: RangeInclusive<usize>,
    /// The standard deviation of the noise over pixels from 0 to 1. Default: 0.02.
    pub noise: f32,
    /// Another seed draws another set. Default: 0.
    pub seed: u64,
}

impl Default for ShapesConfig {
    fn default() -> Self {
        Self { size: 32, channels: 3, objects: 1..=1, noise: 0.02, seed: 0 }
    }
}

impl ShapesConfig {
    /// RGB pictures of 32×32 pixels with one object each.
    pub fn new() -> Self {
        Self::default()
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn with_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// 3 for RGB, 1 for gray.
    #[must_use]
    pub fn with_channels(mut self, channels: usize) -> Self {
        self.channels = channels;
        self
    }

    /// How many objects a picture has; where there is no room for that many, fewer.
    #[must_use]
    pub fn with_objects(mut self, objects: RangeInclusive<usize>) -> Self {
        self.objects = objects;
        self
    }

    /// The standard deviation of the noise over pixels from 0 to 1; 0 for none.
    #[must_use]
    pub fn with_noise(mut self, noise: f32) -> Self {
        self.noise = noise;
        self
    }

    /// Another seed draws another set.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A set of `len` pictures.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if a field is out of its range.
    pub fn init(&self, split: Split, len: usize) -> Result<Shapes> {
        let fits = (16..=MAX_SIZE).contains(&self.size);
        config::require(fits, "size", self.size, format!("16 to {MAX_SIZE} pixels"))?;
        let fits = matches!(self.channels, 1 | 3);
        config::require(fits, "channels", self.channels, "1 (gray) or 3 (RGB)")?;
        let (least, most) = (*self.objects.start(), *self.objects.end());
        let fits = least >= 1 && least <= most && most <= MAX_OBJECTS;
        let expected = format!("a range within 1..={MAX_OBJECTS}");
        config::require(fits, "objects", &self.objects, expected)?;
        config::share("noise", self.noise)?;
        Ok(Shapes { config: self.clone(), split, len, classes: class_names() })
    }
}

fn class_names() -> Vec<String> {
    Shape::ALL.iter().map(|shape| shape.name().to_owned()).collect()
}

/// A drawn picture and all that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The picture.
    pub image: Image,
    /// The class of the largest object.
    pub label: usize,
    /// A box an object: as tight around its pixels in `mask` as can be.
    pub boxes: Vec<BoundingBox>,
    /// One channel: 0 for the ground, the class + 1 where the centre of the pixel is within an
    /// object.
    pub mask: Image,
}

impl From<Scene> for Labelled {
    fn from(scene: Scene) -> Self {
        Self { image: scene.image, label: scene.label }
    }
}

impl From<Scene> for BoxedImage {
    fn from(scene: Scene) -> Self {
        Self { image: scene.image, boxes: scene.boxes }
    }
}

impl From<Scene> for MaskedImage {
    fn from(scene: Scene) -> Self {
        Self { image: scene.image, mask: scene.mask }
    }
}

/// Coloured [`Shape`]s of any size, place, angle and colour on grounds with clouds, stripes, checks,
/// slopes, glows and dots: a data set that needs no file.
///
/// An item is a [`Scene`] with its label, boxes and mask. Item `i` of a seed is always the same, and
/// the parts to learn from and to test are drawn from separate streams of random numbers. Objects
/// do not overlap and lie within the picture; they are lighter or darker than their ground by at
/// least a fifth of the range, so that gray pictures show them as well.
///
/// ```
/// use model_utils_core::data::{Classes, Dataset, Shapes, ShapesConfig, Split};
///
/// let train = Shapes::new(Split::Train, 10_000).classification();
/// let item = train.get(0)?;
/// assert!(item.label < train.classes().len());
///
/// let crowded = ShapesConfig::new().with_size(64).with_objects(2..=5).init(Split::Test, 100)?;
/// assert!(crowded.get(7)?.boxes.len() >= 1);
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Shapes {
    config: ShapesConfig,
    split: Split,
    len: usize,
    classes: Vec<String>,
}

impl Shapes {
    /// `len` pictures as [`ShapesConfig::default`] draws them.
    pub fn new(split: Split, len: usize) -> Self {
        Self { config: ShapesConfig::default(), split, len, classes: class_names() }
    }

    /// How the pictures are drawn.
    pub fn config(&self) -> &ShapesConfig {
        &self.config
    }

    /// The same pictures with their labels only.
    pub fn classification(self) -> ShapesAs<Labelled> {
        ShapesAs { shapes: self, item: PhantomData }
    }

    /// The same pictures with their boxes.
    pub fn detection(self) -> ShapesAs<BoxedImage> {
        ShapesAs { shapes: self, item: PhantomData }
    }

    /// The same pictures with their masks, whose classes are 0 for the ground and those of
    /// [`Classes::classes`] from 1.
    pub fn segmentation(self) -> ShapesAs<MaskedImage> {
        ShapesAs { shapes: self, item: PhantomData }
    }
}

impl Dataset for Shapes {
    type Item = Scene;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Scene> {
        if index >= self.len {
            return Err(out_of_range("shapes", index, self.len));
        }
        let purpose = match self.split {
            Split::Train => Purpose::DrawTrain,
            Split::Test => Purpose::DrawTest,
        };
        scene(&self.config, &mut stream(purpose, [self.config.seed, 0], index))
    }
}

impl Classes for Shapes {
    fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// [`Shapes`] of which each item keeps a part: see [`Shapes::classification`],
/// [`Shapes::detection`] and [`Shapes::segmentation`].
#[derive(Clone)]
pub struct ShapesAs<T> {
    shapes: Shapes,
    item: PhantomData<fn() -> T>,
}

impl<T: From<Scene> + Send> Dataset for ShapesAs<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.shapes.len
    }

    fn get(&self, index: usize) -> Result<T> {
        self.shapes.get(index).map(T::from)
    }
}

impl<T> Classes for ShapesAs<T> {
    fn classes(&self) -> &[String] {
        &self.shapes.classes
    }
}

impl<T> fmt::Debug for ShapesAs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shapes.fmt(f)
    }
}

/// An object to be drawn.
struct Object {
    shape: Shape,
    x: f32,
    y: f32,
    radius: f32,
    turn: [f32; 2],
    color: [f32; 3],
}

/// Draws a picture: ground, objects, noise.
fn scene(config: &ShapesConfig, rng: &mut ChaCha8Rng) -> Result<Scene> {
    let size = config.size;
    let ground = Ground::draw(size, rng);
    let brightness = uniform(rng, 0.15, 0.85);
    let contrast = uniform(rng, 0.04, 0.1);
    let dark = color(rng, 0.15, 0.5, brightness - contrast);
    let light = color(rng, 0.15, 0.5, brightness + contrast);
    let channels = config.channels;
    let mut canvas = Vec::with_capacity(size * size * channels);
    for i in 0..size * size {
        let part = ground.at((i % size) as f32 + 0.5, (i / size) as f32 + 0.5);
        let value = |c: usize| dark[c] + (light[c] - dark[c]) * part;
        if channels == 3 {
            canvas.extend([value(0), value(1), value(2)]);
        } else {
            canvas.push(luma([value(0), value(1), value(2)]));
        }
    }
    let objects = objects(config, brightness, contrast, rng);
    let mut mask = vec![0; size * size];
    let mut boxes = Vec::with_capacity(objects.len());
    for object in &objects {
        boxes.extend(object.draw(size, channels, &mut canvas, &mut mask));
    }
    let largest = objects.iter().max_by(|a, b| a.radius.total_cmp(&b.radius));
    let label = largest.map_or(0, |object| object.shape.label());
    let pixels = canvas.iter().map(|&value| {
        let value = if config.noise > 0.0 { value + config.noise * normal(rng) } else { value };
        (value * 255.0 + 0.5) as u8
    });
    let image = Image::new(size, size, channels, pixels.collect())?;
    Ok(Scene { image, label, boxes, mask: Image::new(size, size, 1, mask)? })
}

/// Objects that do not touch each other, as many as asked for where there is room, at least one.
fn objects(
    config: &ShapesConfig,
    brightness: f32,
    contrast: f32,
    rng: &mut ChaCha8Rng,
) -> Vec<Object> {
    let size = config.size as f32;
    let count = rng.random_range(config.objects.clone());
    let [smallest, largest] = match count {
        1 => [0.26, 0.44],
        2..=3 => [0.15, 0.27],
        _ => [0.11, 0.2],
    };
    // Below 4 pixels shapes cannot be told apart.
    let [smallest, largest] = [smallest, largest].map(|part: f32| (part * size).max(4.0));
    let mut objects: Vec<Object> = Vec::with_capacity(count);
    for _ in 0..count {
        let shape = Shape::ALL[rng.random_range(0..Shape::ALL.len())];
        let mut radius = uniform(rng, smallest, largest);
        let place = (0..TRIES * TRIES).find_map(|attempt| {
            if attempt % TRIES == TRIES - 1 {
                radius = (radius * 0.9).max(smallest);
            }
            let margin = radius.min(size / 2.0 - 0.5);
            let mut along = || uniform(rng, margin, size - margin);
            let (x, y) = (along(), along());
            let free = |o: &Object| (o.x - x).hypot(o.y - y) > o.radius + radius;
            objects.iter().all(free).then_some((x, y, radius))
        });
        let Some((x, y, radius)) = place else { break };
        let angle = uniform(rng, 0.0, TAU);
        // Lighter or darker than the ground, whichever fits; where both do, by chance.
        let apart = contrast + uniform(rng, 0.2, 0.4);
        let lighter = match (brightness + apart <= 0.97, brightness - apart >= 0.03) {
            (true, true) => rng.random(),
            (fits, _) => fits || brightness < 0.5,
        };
        let goal = if lighter { brightness + apart } else { brightness - apart };
        let color = color(rng, 0.6, 1.0, goal.clamp(0.03, 0.97));
        objects.push(Object { shape, x, y, radius, turn: [angle.cos(), angle.sin()], color });
    }
    objects
}

impl Object {
    /// Draws into `canvas` with smooth edges and into `mask`; the box around what `mask` got.
    fn draw(
        &self,
        size: usize,
        channels: usize,
        canvas: &mut [f32],
        mask: &mut [u8],
    ) -> Option<BoundingBox> {
        let span = |center: f32| {
            let first = (center - self.radius - 1.0).max(0.0) as usize;
            first..((center + self.radius + 2.0) as usize).min(size)
        };
        // The corners of the box: the first and last pixel within.
        let mut corners: Option<[usize; 4]> = None;
        for row in span(self.y) {
            for column in span(self.x) {
                let dx = (column as f32 + 0.5 - self.x) / self.radius;
                let dy = (row as f32 + 0.5 - self.y) / self.radius;
                let [cos, sin] = self.turn;
                let distance = self.shape.distance(cos * dx + sin * dy, cos * dy - sin * dx);
                let cover = (0.5 - distance * self.radius).clamp(0.0, 1.0);
                if cover <= 0.0 {
                    continue;
                }
                let at = row * size + column;
                // Light from the upper left.
                let shade = 1.0 - 0.1 * (dx + dy);
                let [r, g, b] = self.color.map(|c| c * shade);
                let gray = [luma([r, g, b])];
                let color = if channels == 3 { &[r, g, b][..] } else { &gray[..] };
                for (value, c) in canvas[at * channels..].iter_mut().zip(color) {
                    *value += (c - *value) * cover;
                }
                if distance < 0.0 {
                    mask[at] = self.shape.label() as u8 + 1;
                    let [left, top, right, bottom] = corners.unwrap_or([column, row, column, row]);
                    corners = Some([left.min(column), top, right.max(column), bottom.max(row)]);
                }
            }
        }
        let [left, top, right, bottom] = corners?;
        Some(BoundingBox {
            class: self.shape.label(),
            x_min: left as f32,
            y_min: top as f32,
            x_max: right as f32 + 1.0,
            y_max: bottom as f32 + 1.0,
            difficult: false,
        })
    }
}

/// Brightness by ITU-R BT.601.
fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// A colour of any hue with that brightness, as strong as asked for where the brightness allows.
fn color(rng: &mut impl Rng, least: f32, most: f32, brightness: f32) -> [f32; 3] {
    let hue = uniform(rng, 0.0, TAU);
    let strength = uniform(rng, least, most);
    let pure = [0.0, 1.0, 2.0].map(|third| 0.5 + 0.5 * (hue + third * TAU / 3.0).cos());
    let pure_luma = luma(pure);
    let offsets = pure.map(|value| value - pure_luma);
    // As far as all channels stay within 0 to 1.
    let room = offsets.iter().map(|&offset| {
        if offset > 0.0 { (1.0 - brightness) / offset } else { brightness / -offset.min(-1e-6) }
    });
    let strength = room.fold(1.5 * strength, f32::min);
    offsets.map(|offset| brightness + strength * offset)
}

/// A value of nearly the standard normal distribution: four uniform ones together.
fn normal(rng: &mut impl Rng) -> f32 {
    let bits: u64 = rng.random();
    let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
    // The sum of four has the mean 2 and the variance 4 / 12.
    (sum as f32 / 65_535.0 - 2.0) * 3.0_f32.sqrt()
}

#[cfg(test)]
mod tests;
