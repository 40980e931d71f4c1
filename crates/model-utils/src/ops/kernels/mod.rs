//! What operations compute, on slices.

pub(super) mod columns;
pub(super) mod convolution;
pub(super) mod convolve;
pub(super) mod depthwise;
pub(super) mod exponential;
pub(super) mod few_rows;
pub(super) mod gates;
pub(super) mod geometry;
pub(super) mod heads;
pub(super) mod kept;
pub(super) mod matrix;
pub(super) mod parallel;
pub(super) mod tangent;
