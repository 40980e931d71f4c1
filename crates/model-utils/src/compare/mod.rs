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
//! [`Comparison::save`] keeps a run, [`Comparison::against`] holds a later one against it,
//! [`Overview`] says which device is for which work,
//! [`Comparison::crossover`] says from which size on a graphics card wins.
//!
//! # A model of your own
#![doc = include_str!("own.md")]

mod changes;
mod comparison;
mod crossover;
#[cfg(feature = "picture")]
mod draw;
mod energy;
mod host;
mod judge;
mod machine;
mod measure;
mod overview;
mod workload;

pub use changes::{Change, Changes};
pub use comparison::{Comparison, Measurement, Row, Status};
pub use crossover::{Crossover, crossover};
pub use host::{host_labels, host_tensor, host_values, host_weights, training_step};
pub use judge::{Difference, Part, difference};
pub use machine::{Machine, MachineDevice};
pub use measure::CompareConfig;
pub use overview::{Overview, OverviewMean, OverviewRow};
pub use workload::{BoxError, Description, Kind, Output, Size, Step, Work, Workload};
