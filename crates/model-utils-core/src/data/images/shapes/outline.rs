//! The outlines of the shapes as signed distances.

use std::f32::consts::{PI, TAU};

use serde::{Deserialize, Serialize};

/// The shapes that [`Shapes`](super::Shapes) draws; their order is that of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A disc.
    Circle,
    /// A disc with a round hole.
    Ring,
    /// A square.
    Square,
    /// A square with a square hole.
    Frame,
    /// An equilateral triangle.
    Triangle,
    /// A star with five points.
    Star,
    /// Two crossed beams of equal length.
    Cross,
    /// A heart.
    Heart,
    /// A moon.
    Crescent,
    /// A bar with round ends.
    Bar,
}

impl Shape {
    /// All of them, in the order of the labels.
    pub const ALL: [Self; 10] = [
        Self::Circle,
        Self::Ring,
        Self::Square,
        Self::Frame,
        Self::Triangle,
        Self::Star,
        Self::Cross,
        Self::Heart,
        Self::Crescent,
        Self::Bar,
    ];

    /// The label: the place in [`Shape::ALL`].
    pub fn label(self) -> usize {
        self as usize
    }

    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Ring => "ring",
            Self::Square => "square",
            Self::Frame => "frame",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Heart => "heart",
            Self::Crescent => "crescent",
            Self::Bar => "bar",
        }
    }

    /// How far a point lies outside the outline, negative inside. The shape lies within a circle of
    /// radius 1 around the origin; close to the outline the distance is that to the nearest point.
    pub(super) fn distance(self, x: f32, y: f32) -> f32 {
        match self {
            Self::Circle => x.hypot(y) - 0.88,
            Self::Ring => (x.hypot(y) - 0.72).abs() - 0.2,
            Self::Square => rectangle(x, y, 0.7, 0.7),
            Self::Frame => rectangle(x, y, 0.7, 0.7).max(-rectangle(x, y, 0.37, 0.37)),
            Self::Triangle => {
                let (half_x, half_y) = (x * 0.75_f32.sqrt(), y * 0.5);
                y.max(half_x - half_y).max(-half_x - half_y) - 0.5
            }
            Self::Star => star(x, y),
            Self::Cross => rectangle(x, y, 0.9, 0.27).min(rectangle(x, y, 0.27, 0.9)),
            Self::Heart => heart(x, y),
            Self::Crescent => ((x + 0.1).hypot(y) - 0.88).max(0.72 - (x - 0.34).hypot(y)),
            Self::Bar => (x.abs() - 0.7).max(0.0).hypot(y) - 0.26,
        }
    }
}

/// A rectangle around the origin.
fn rectangle(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    let (dx, dy) = (x.abs() - half_width, y.abs() - half_height);
    dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0)
}

/// Five points at radius 1, five notches at radius 0.42: turned and mirrored, ten times one edge.
fn star(x: f32, y: f32) -> f32 {
    const NOTCH: f32 = 0.42;
    const SECTOR: f32 = TAU / 5.0;
    let (radius, angle) = (x.hypot(y), y.atan2(x));
    let angle = (angle.rem_euclid(SECTOR) - SECTOR / 2.0).abs();
    // Now 0 is a notch and half a sector a point.
    let (sin, cos) = angle.sin_cos();
    let (x, y) = (radius * cos, radius * sin);
    let (tip_sin, tip_cos) = (PI / 5.0).sin_cos();
    let (along_x, along_y) = (tip_cos - NOTCH, tip_sin);
    ((x - NOTCH) * along_y - y * along_x) / along_x.hypot(along_y)
}

/// Two discs, and below them the corner between their tangents.
fn heart(x: f32, y: f32) -> f32 {
    const RADIUS: f32 = 0.47;
    // Rows count downwards, so the tip is at positive y. The halves are mirror images.
    let (disc_x, disc_y, tip_y) = (0.43, -0.26, 0.95);
    let (x, from_tip) = (x.abs(), y - tip_y);
    let (dx, dy) = (x - disc_x, y - disc_y);
    let disc = dx.hypot(dy) - RADIUS;
    // The tangent from the tip touches the disc in the direction of its normal.
    let (to_x, to_y) = (disc_x, disc_y - tip_y);
    let length = to_x.hypot(to_y);
    let sin = RADIUS / length;
    let cos = (1.0 - sin * sin).sqrt();
    let (normal_x, normal_y) =
        ((-to_y * cos - to_x * sin) / length, (to_x * cos - to_y * sin) / length);
    let below_tangent = normal_x * x + normal_y * from_tip;
    let below_touch = normal_y * dx - normal_x * dy;
    disc.min(below_tangent.max(below_touch).max(-dy))
}
