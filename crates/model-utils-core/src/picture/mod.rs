//! Pictures of what a model is and does: image grids, heat maps, curves, bars, flow charts,
//! animations, and a page that shows them together.
//!
//! | picture | type | written as |
//! | --- | --- | --- |
//! | images side by side, with captions | [`Grid`], [`grid`] | PNG |
//! | a matrix, for example of confusions | [`HeatMap`] | SVG |
//! | learning curves, trade-offs | [`Curves`] | SVG |
//! | groups of bars with error bars | [`Bars`] | SVG |
//! | boxes and the arrows between them | [`FlowChart`] | SVG |
//! | images one after the other | [`Animation`] | GIF |
//! | headings, text, tables and the pictures above | [`Page`], [`Section`] | HTML |
//!
//! ```
//! use model_utils_core::picture::Curves;
//!
//! let folder = tempfile::tempdir()?;
//! Curves::new("Loss on the training set")
//!     .x_label("step")
//!     .y_label("cross-entropy")
//!     .line("5 seeds, mean", &[(0.0, 2.30), (100.0, 0.61), (200.0, 0.32)])
//!     .band("smallest to largest", &[(0.0, 2.29, 2.31), (100.0, 0.52, 0.70), (200.0, 0.27, 0.38)])
//!     .save(folder.path().join("loss.svg"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Decisions
//! - No font is read from the system. An SVG names the generic family `sans-serif` and keeps its
//!   text as text; images get the bitmap fonts of `embedded-graphics`.
//! - Series take the colours of Okabe and Ito, which people with any common colour blindness can
//!   tell apart; heat maps take viridis, which is as even in brightness as in hue.
//! - A point that cannot be drawn (NaN, infinite, not positive on a logarithmic axis) is left out
//!   and breaks its line; a series of nothing else is an error, never an empty picture.
//! - A file is written beside its place and then renamed, so that a reader never sees half of one.
//! - The same input gives the same bytes.

mod animation;
mod axis;
mod bars;
mod canvas;
mod curves;
mod file;
mod flow;
mod frame;
mod grid;
mod heat_map;
mod layered;
mod page;
mod palette;
mod raster;
#[cfg(test)]
mod tests;

pub use animation::Animation;
pub use bars::Bars;
pub use curves::Curves;
pub use flow::FlowChart;
pub use grid::{Grid, grid};
pub use heat_map::HeatMap;
pub use page::{Page, Section};
pub use palette::{GREEN, RED, SERIES, viridis};
