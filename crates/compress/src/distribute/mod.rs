//! The work of training divided among workers.
//!
//! | item | what is divided |
//! | --- | --- |
//! | [`DataParallel`] | the batches: every worker has the whole model |
//! | [`Mode`] | when workers share what they learned: at every step, whenever they like, every few steps |
//! | [`Compression`] | what is left out of the gradients that they exchange |
//! | [`Exchange`], [`Threads`] | how workers speak with each other; between threads |
//! | [`Pipeline`] | the model: each of two devices has a part of it |
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::SgdConfig;
//! use burn::tensor::{Device, Int, Tensor};
//! use compress::distribute::{DataParallel, DataParallelConfig};
//! # use model_utils::device::DeviceSpec;
//! use model_utils::ops;
//! use model_utils::train::{Budget, Evaluation, Silent, StepOutput};
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! let model = LinearConfig::new(2, 2).init(&device.clone().autodiff());
//! let batches = vec![[0.1_f32, 0.9], [0.8, 0.3], [0.2, 0.4], [0.7, 0.6]];
//!
//! // Two workers share the processor's cores; any devices will do.
//! let devices = [device.clone(), device];
//! let config = DataParallelConfig::new(Budget::epochs(10));
//! let trained = DataParallel::new(config, model, SgdConfig::new().init(), 0.1, &devices)?.train(
//!     &batches,
//!     |model: &Linear, x, device: &Device| {
//!         let target = Tensor::<1, Int>::from_ints([i32::from(x[1] > x[0])], device);
//!         let logits = ops::linear(model, Tensor::<2>::from_floats([x], device));
//!         let loss = ops::cross_entropy(logits, target, 0.0);
//!         Ok::<_, compress::Error>(StepOutput { loss, items: 1, correct: None })
//!     },
//!     |_| Ok(Evaluation::new("nothing", 0.0)),
//!     &mut Silent,
//! )?;
//! assert_eq!(trained.step, 20); // four batches are two steps of two workers
//! # Ok::<(), compress::Error>(())
//! ```
//!
//! Burn gives the gradients of a backward pass when it is over, so that adding them up cannot begin
//! within it; it is done in buckets, by all workers at the same time.

mod asynchronous;
mod compression;
mod config;
mod crew;
mod data_parallel;
mod exchange;
mod flat;
mod monitor;
mod pipeline;
mod session;
mod statistics;
mod synchronous;
mod threads;
mod worker;

pub use compression::Compression;
pub use config::{DataParallelConfig, Mode};
pub use data_parallel::DataParallel;
pub use exchange::Exchange;
pub use pipeline::{Passed, Pipeline};
pub use threads::Threads;
