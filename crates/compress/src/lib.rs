#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`quantize`] | fewer bits: after training, trained with (LSQ, Esser et al. 2020, <https://arxiv.org/abs/1902.08153>), powers of two (LBW, Yin et al. 2016, <https://arxiv.org/abs/1612.06052>), equalisation and bias correction (Nagel et al. 2019, <https://arxiv.org/abs/1906.04721>) |
//! | [`prune`] | fewer weights: whole channels by dependency groups (Fang et al. 2023, <https://arxiv.org/abs/2301.12900>), single ones by magnitude and movement, lottery tickets |
//! | [`share`] | few values and Huffman's code in one file: Deep Compression (Han et al. 2016, <https://arxiv.org/abs/1510.00149>) |
//! | [`distill`] | a small model learns from a large one: soft targets, hints, attention, relations |
//! | [`distribute`] | training divided among workers and devices, exact where it can be |
//! | [`report`] | one table of variants that says which differences are significant |
//! | [`prelude`] | what a first program needs, Burn and devices included |
//!
//! # Design decisions
//!
//! - Everything works on [`model_utils::graph`]: no model knows of this crate.
//! - A graph goes in, a graph comes out. What was given stays as it was.
//! - What an analysis does not know is named and left alone, never guessed.
//! - Quantized graphs compute in floating point exactly what their integers stand for; their
//!   scales stay on the nodes, for an engine that computes with the integers.

pub mod distill;
pub mod distribute;
pub mod error;
mod graph;
pub mod prelude;
pub mod prune;
pub mod quantize;
pub mod report;
pub mod share;

pub use error::{Error, Result};
pub use report::Report;
