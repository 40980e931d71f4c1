//! The same work on several devices: agreement first, then time.
//!
//! A [`Workload`] builds a step for a device and a size. For each size it runs on `flex` first,
//! whose output is the reference, then on the other devices. On each
//!
//! 1. the first run is timed apart: on graphics cards it compiles and tunes kernels;
//! 2. its output is compared with the reference; a device that disagrees is not timed;
//! 3. some runs warm the device up;
//! 4. runs are timed until a budget is spent, each with the device synchronised at its end;
//! 5. the output of the last run is compared too: what was timed is what was checked.
//!
//! What is wrong, unsupported or panics becomes a row that says so, and the others go on. Only
//! what ends the process (an abort, the system's memory running out) ends the run.
//!
//! ```
//! use burn::tensor::{Tensor, TensorData};
//! use model_utils::compare::{CompareConfig, Output, Size, Step, Workload};
//! use model_utils::device::DeviceSpec;
//! use model_utils::train::Silent;
//!
//! let product = Workload::new("matmul", |device, size| {
//!     let n = size.value as usize;
//!     let values: Vec<f32> = (0..n * n).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect();
//!     // The same values everywhere: made on the host, not drawn on the device.
//!     let a = Tensor::<2>::from_data(TensorData::new(values, [n, n]), device);
//!     Ok(Step::new(move || Ok(Output::from(a.clone().matmul(a.clone())))))
//! })
//! .size_unit("rows")
//! .items_unit("multiply-adds")
//! .tolerance(1e-4)
//! .size(Size::new("small", 64.0, 64f64.powi(3)))
//! .size(Size::new("medium", 128.0, 128f64.powi(3)));
//!
//! let config = CompareConfig::new().with_budget_s(0.05);
//! let comparison = config.run(&[product], &DeviceSpec::built(), &mut Silent)?;
//! println!("{comparison}");
//! # assert!(comparison.row("matmul", "small", DeviceSpec::Flex).unwrap().measurement().is_some());
//! # Ok::<(), model_utils::Error>(())
//! ```
//!
//! [`Comparison::save`] keeps a run, [`Comparison::against`] holds a later one against it,
//! [`Comparison::crossover`] says from which size on a graphics card wins.

mod changes;
mod comparison;
mod crossover;
#[cfg(feature = "picture")]
mod draw;
mod machine;
mod measure;
mod workload;

pub use changes::{Change, Changes};
pub use comparison::{Comparison, Measurement, Row, Status};
pub use crossover::{Crossover, crossover};
pub use machine::{Machine, MachineDevice};
pub use measure::{CompareConfig, difference};
pub use workload::{BoxError, Description, Output, Size, Step, Workload};
