//! What every model built on [Burn](https://burn.dev) needs and Burn does not give: devices by
//! name, weights and checkpoints that survive a kill, training loops that resume exactly, models as
//! graphs, comparisons of devices; and `model-utils-core`, re-exported: data, statistics, pictures.
//!
//! # A first program
//!
//! A classifier is trained for some steps, stopped, and goes on from its checkpoint:
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::AdamConfig;
//! use model_utils::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The device is data, the seed is explicit, errors go up with `?`.
//!     let device = "flex".parse::<DeviceSpec>()?.open()?.autodiff();
//!     seed(&device, 42);
//!
//!     // Which of two numbers is larger?
//!     let batch = |shift: f32| {
//!         let x = [[0.1 + shift, 0.9], [0.8, 0.3 - shift], [0.2, 0.4], [0.7, 0.6 - shift]];
//!         (Tensor::<2>::from_data(x, &device), Tensor::<1, Int>::from_ints([1, 0, 1, 0], &device))
//!     };
//!     let batches = vec![batch(0.0), batch(0.1), batch(0.2)]; // or a Loader over a data set
//!
//!     let folder = std::env::temp_dir().join(format!("larger-{}", std::process::id()));
//!     let train = |budget| {
//!         let config = SupervisedConfig::new(budget);
//!         let model = LinearConfig::new(2, 2).init(&device);
//!         // 0.1 is the learning rate; a `Schedule` would do too.
//!         Supervised::new(config, model, AdamConfig::new().init(), 0.1)?
//!             .resume_in(Checkpoints::open(&folder)?)?
//!             .train(
//!                 &batches,
//!                 |model: &Linear, (x, y)| {
//!                     let loss = ops::cross_entropy(ops::linear(model, x), y, 0.0);
//!                     Ok::<_, Error>(StepOutput { loss, items: 4, correct: None })
//!                 },
//!                 |model| {
//!                     let (x, y) = (batches[0].0.clone().inner(), batches[0].1.clone().inner());
//!                     let correct = ops::count_correct(ops::linear(model, x), y);
//!                     let share = f64::from(correct.into_scalar::<i32>()) / 4.0;
//!                     Ok(Evaluation::new("accuracy", share))
//!                 },
//!                 &mut Silent, // or a ProgressBar, a CsvLog, your own observer
//!             )
//!     };
//!     println!("stopped after {} steps", train(Budget::epochs(10))?.step); // 30
//!     let trained = train(Budget::epochs(40))?; // goes on at step 30
//!     let accuracy = trained.evaluation.map_or(f64::NAN, |evaluation| evaluation.score);
//!     println!("after {} steps: accuracy {accuracy}", trained.step); // 120, 1
//!     std::fs::remove_dir_all(folder)?;
//!     Ok(())
//! }
//! ```
//!
//! # Rooms
//!
//! | module | holds | feature |
//! | --- | --- | --- |
//! | [`device`] | devices by name, opened with clear errors; seeding | |
//! | [`layers`] | convolution–norm–activation, residual block, squeeze-excite, initialisers | |
//! | [`ops`] | the seam for convolutions, normalisations, losses; global-norm clipping | |
//! | [`weights`] | SafeTensors under PyTorch's names, with a manifest; import with a report | `pytorch` for PyTorch's own files, `keras` for Keras's |
//! | [`checkpoint`] | exact resume, whole after a kill at any moment | |
//! | [`train`] | budget, events, observers, early stopping, averaging, a supervised loop | |
//! | `graph` | any module as a graph: counted, rewritten, folded, a module again; TensorFlow Lite import | `graph`, with `pytorch` for TensorFlow Lite |
//! | [`compare`] | the same work on several devices: agreement first, then time | its pictures with `picture` |
//! | [`memory`] | freed memory kept for the next tensors | |
//! | `image`, `data` | images and batches on their way to a device | `images` or `text`, `data` for both |
//! | [`burn`] | Burn itself: a crate that depends on this one needs no version of its own | |
//!
//! From `model-utils-core`, which builds without Burn, come [`error`], [`config`], [`atomic`],
//! [`random`], [`stats`], [`table`], what [`train`] tells (events, budgets), the data sets of `data`,
//! `picture` (feature `picture`) and `download` (feature `download`).
//!
//! Devices are features too: `flex` (default), `ndarray`, `wgpu`, `cuda`.
//!
//! # Design decisions
//!
//! - A library never prints and never panics on input: what happens are
//!   [events](train::Event), what goes wrong is an [`Error`] that says what, where and what was
//!   expected.
//! - Only [`device`] and [`ops`] name a backend.
//! - Burn shares batch-norm statistics between clones of a module. Everything here that saves,
//!   averages or loads works on a detached [snapshot](weights::snapshot).
//! - Burn's random generator can be seeded but not saved: loops seed it at each step from
//!   (seed, step), which makes dropout repeatable and resuming exact.

pub mod checkpoint;
pub mod compare;
#[cfg(any(feature = "text", feature = "images"))]
pub mod data;
pub mod device;
#[cfg(feature = "graph")]
pub mod graph;
#[cfg(any(feature = "images", feature = "picture"))]
pub mod image;
pub mod layers;
pub mod memory;
pub mod ops;
pub mod prelude;
pub mod train;
pub mod weights;

pub use burn;
#[cfg(feature = "download")]
pub use model_utils_core::download;
#[cfg(feature = "picture")]
pub use model_utils_core::picture;
pub use model_utils_core::{ConfigError, Error, Result};
pub use model_utils_core::{atomic, config, error, number, random, stats, table};
