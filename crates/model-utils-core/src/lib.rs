//! The ground that all crates of the workspace stand on and that needs no
//! [Burn](https://burn.dev): errors, files that are whole or not there, random numbers that can be
//! saved, events, budgets, data, statistics and pictures. `model-utils` re-exports it.
//!
//! # A first program
//!
//! A loop that draws numbers, tells what it does, and ends when its budget is spent:
//!
//! ```
//! use model_utils_core::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Throws darts at a square and counts those within the circle, until the budget is spent.
//!     let mut progress = (History::default(), Silent); // or a ProgressBar, a CsvLog, your own
//!     let mut random = Random::new(42); // its state can be saved
//!     let (budget, mut spent, mut inside) = (Budget::steps(100_000), Spent::default(), 0);
//!     while !budget.is_spent(spent) {
//!         spent.steps += 1;
//!         inside += u32::from(random.uniform().hypot(random.uniform()) < 1.0);
//!         if spent.steps.is_multiple_of(10_000) {
//!             let pi = 4.0 * f64::from(inside) / spent.steps as f64;
//!             let (step, of, metrics) = (spent.steps, budget.steps, &[("pi", pi)]);
//!             progress.observe(&Event::Step { step, of, epoch: 0, items: 10_000, metrics });
//!         }
//!     }
//!     let pi = progress.0.last("pi").unwrap_or(f64::NAN);
//!     // Whole or not there, whatever happens meanwhile.
//!     atomic::write(std::env::temp_dir().join("pi.txt"), format!("{pi:.4}").as_bytes())?;
//!     println!("π is about {pi:.4}");
//!     Ok(())
//! }
//! ```
//!
//! # Map
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | [`error`], [`config`] | what went wrong, where, and what was expected; checks of configurations | |
//! | [`atomic`] | files and folders that are whole or not there | |
//! | [`random`] | a generator whose state can be saved | |
//! | [`event`], [`history`], [`log`] | what happens in a run, and who is told | |
//! | `progress` | a bar on the terminal | `progress` |
//! | [`budget`] | how long a run may go on | |
//! | [`run`], [`checkpoint`] | one run as a loop holds it; what it goes on from | |
//! | [`schedule`] | the learning rate of a step | |
//! | [`table`] | numbers and tables as text | |
//! | `stats` | intervals, McNemar's test, bootstrap | `stats` |
//! | `data` | data sets, seeded batches | `text` for sentences, `images` for pictures, `data` for both |
//! | `image` | decode, encode, resize | `images` or `picture` |
//! | `picture` | grids, heat maps, curves, bars, GIFs, an HTML page | `picture` |
//! | `download` | files by address and SHA-256 | `download` |
//!
//! # Design decisions
//!
//! - A library never prints and never panics on input: what happens are [events](event::Event),
//!   what goes wrong is an [`Error`] that says what, where and what was expected.
//! - What is heavy is a feature: without one the crate compiles no image, no plot, no network.
//! - Nothing here draws random numbers of its own: whoever draws is given a seed.

pub mod atomic;
pub mod budget;
pub mod checkpoint;
pub mod config;
#[cfg(any(feature = "text", feature = "images"))]
pub mod data;
#[cfg(feature = "download")]
pub mod download;
pub mod error;
pub mod event;
pub mod history;
#[cfg(any(feature = "images", feature = "picture"))]
pub mod image;
pub mod log;
pub mod number;
#[cfg(feature = "picture")]
pub mod picture;
pub mod prelude;
#[cfg(feature = "progress")]
pub mod progress;
pub mod random;
pub mod run;
pub mod schedule;
#[cfg(feature = "stats")]
pub mod stats;
pub mod table;

pub use budget::{Budget, Spent};
pub use config::ConfigError;
pub use error::{Error, Result};
