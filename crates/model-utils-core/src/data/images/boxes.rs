//! Pictures with boxes around the objects in them.

use serde::{Deserialize, Serialize};

use crate::image::Image;

/// A box around an object, in pixels from the upper left corner of the picture.
///
/// The coordinates are those of edges, not of pixels: a box around the whole of a picture of 4×3
/// pixels goes from (0, 0) to (4, 3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// The class of the object: a place in [`Classes::classes`](crate::data::Classes::classes).
    pub class: usize,
    /// The left edge.
    pub x_min: f32,
    /// The upper edge.
    pub y_min: f32,
    /// The right edge.
    pub x_max: f32,
    /// The lower edge.
    pub y_max: f32,
    /// Marked as hard to recognise: usually not counted in an evaluation.
    pub difficult: bool,
}

impl BoundingBox {
    /// In pixels.
    pub fn width(&self) -> f32 {
        self.x_max - self.x_min
    }

    /// In pixels.
    pub fn height(&self) -> f32 {
        self.y_max - self.y_min
    }

    /// In square pixels; 0 for a box whose edges are in the wrong order.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The part within a picture of that size; it may be empty.
    #[must_use]
    pub fn clipped(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width as f32, height as f32);
        Self {
            x_min: self.x_min.clamp(0.0, width),
            y_min: self.y_min.clamp(0.0, height),
            x_max: self.x_max.clamp(0.0, width),
            y_max: self.y_max.clamp(0.0, height),
            ..*self
        }
    }
}

/// A picture and the objects in it.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxedImage {
    /// The picture.
    pub image: Image,
    /// A box an object.
    pub boxes: Vec<BoundingBox>,
}
