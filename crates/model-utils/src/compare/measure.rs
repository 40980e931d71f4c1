//! Running the rows.

use std::time::Instant;

use burn::config::Config;
use burn::tensor::{Device, TensorData};

use super::comparison::{Comparison, Measurement, Row, Status};
use super::machine::Machine;
use super::workload::{BoxError, Output, Size, Step, Workload};
use crate::config::{self, ConfigError};
use crate::device::DeviceSpec;
use crate::error::{Error, Result, catch_panic};
use crate::stats::{median, quantile};
use crate::train::{Asks as _, Event, Observer, StopReason};

/// Below this a reference counts as 0, and differences from it are absolute.
const LEAST_SCALE: f64 = 1e-12;

/// How a comparison is run.
#[derive(Config, Debug, PartialEq)]
pub struct CompareConfig {
    /// Time for the timed runs of a row, in seconds. Above 0. A row of which a single run takes
    /// longer is timed once.
    #[config(default = 1.0)]
    pub budget_s: f64,
    /// Runs between the first one and the timed ones; they end early when half the budget is
    /// spent. At least 1.
    #[config(default = 3)]
    pub warm_up: usize,
    /// The fewest timed runs of a row whose single run fits the budget. At least 1.
    #[config(default = 3)]
    pub min_repetitions: usize,
    /// The most timed runs of a row.
    #[config(default = 1000)]
    pub max_repetitions: usize,
}

impl CompareConfig {
    /// Runs every size of every workload on every device, `flex` before the others: it gives
    /// the reference, and is run for it even where it is not among `devices`.
    ///
    /// A device that does not open is named once, in [`Machine::devices`]; a row that disagrees,
    /// is unsupported or fails says so. `progress` hears of every row, and may ask to stop between two
    /// runs of a workload.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] where `progress` asked to stop: of the row that was measured nothing is told.
    /// [`Error::Config`] for settings, tolerances or sizes that cannot work, or two workloads of
    /// one name; [`Error::DeviceNotBuilt`] where this build has no `flex`.
    pub fn run(
        &self,
        workloads: &[Workload],
        devices: &[DeviceSpec],
        progress: &mut dyn Observer,
    ) -> Result<Comparison> {
        self.check(workloads)?;
        let reference_device = DeviceSpec::Flex.open()?;
        let started = Instant::now();
        let mut comparison = Comparison {
            machine: Machine::describe(devices),
            workloads: workloads.iter().map(|workload| workload.description.clone()).collect(),
            rows: Vec::new(),
        };
        let mut opened: Vec<(DeviceSpec, Device)> = comparison
            .machine
            .devices
            .iter()
            .filter(|device| device.absent.is_none())
            .filter_map(|device| Some((device.spec, device.spec.open().ok()?)))
            .collect();
        opened.sort_by_key(|(spec, _)| *spec != DeviceSpec::Flex);

        let sizes: usize = workloads.iter().map(|workload| workload.sizes.len()).sum();
        let of = Some((sizes * opened.len()) as u64);
        let task = "compare";
        progress.observe(&Event::Started { task, step: 0, of });
        for workload in workloads {
            let Workload { description, sizes, .. } = workload;
            for size in sizes {
                let mut reference = None;
                for (spec, device) in &opened {
                    let asked: &dyn Observer = &*progress;
                    let listen = || {
                        let row = format_args!("{} {} {spec}", description.name, size.label);
                        asked.check("the comparison", row)
                    };
                    if reference.is_none() && *spec != DeviceSpec::Flex {
                        reference = Some(output_of(workload, &reference_device, size));
                    }
                    let status = self.row(workload, device, size, &mut reference, &listen);
                    if let Err(stopped) = listen() {
                        finish(&comparison, StopReason::Asked, started, progress);
                        return Err(stopped);
                    }
                    let row = Row {
                        workload: description.name.clone(),
                        size: size.clone(),
                        device: *spec,
                        status,
                    };
                    comparison.rows.push(row);
                    announce(&comparison.rows, of, progress);
                }
            }
        }
        comparison.set_speed_ups();
        finish(&comparison, StopReason::BudgetSpent, started, progress);
        Ok(comparison)
    }

    fn check(&self, workloads: &[Workload]) -> Result<(), ConfigError> {
        config::positive("budget_s", self.budget_s)?;
        config::at_least("warm_up", self.warm_up, 1)?;
        config::at_least("min_repetitions", self.min_repetitions, 1)?;
        config::at_least("max_repetitions", self.max_repetitions, self.min_repetitions)?;
        for (index, Workload { description, sizes, .. }) in workloads.iter().enumerate() {
            let name = &description.name;
            let is_new = workloads[..index].iter().all(|other| other.description.name != *name);
            config::require(is_new, "name", name, "one workload of each name")?;
            let tolerance = description.tolerance;
            let expected = format!("0 or a number above, for workload {name}");
            let fits = tolerance >= 0.0 && tolerance.is_finite();
            config::require(fits, "tolerance", tolerance, expected)?;
            for (at, size) in sizes.iter().enumerate() {
                let is_new = sizes[..at].iter().all(|other| other.label != size.label);
                let expected = format!("one size of each label in workload {name}");
                config::require(is_new, "label", &size.label, expected)?;
                for (field, value) in [("value", size.value), ("items", size.items)] {
                    let fits = value > 0.0 && value.is_finite();
                    let expected = format!("a number above 0, for size {} of {name}", size.label);
                    config::require(fits, field, value, expected)?;
                }
            }
        }
        Ok(())
    }

    /// Measures one row. Sets the reference where there is none yet. `listen` is called before each
    /// run, and may end it.
    fn row(
        &self,
        workload: &Workload,
        device: &Device,
        size: &Size,
        reference: &mut Option<Result<Vec<TensorData>, String>>,
        listen: &impl Fn() -> Result<()>,
    ) -> Status {
        if let Some(Err(reason)) = reference {
            let reason = format!("flex gave nothing to compare with: {reason}");
            return Status::Failed { reason };
        }
        let tolerance = workload.description.tolerance;
        let measured = catch_panic(|| -> Result<Status, BoxError> {
            listen()?;
            device.memory_cleanup();
            let mut step = workload.start(device, size)?;
            let (first_run_s, output) = timed(&mut step, device)?;
            let output = output.read()?;
            let reference = reference
                .get_or_insert_with(|| Ok(output.clone()))
                .as_ref()
                .map_err(String::as_str)?;
            let first = match difference(&output, reference) {
                Ok(first) if first <= tolerance => first,
                found => return Ok(disagrees(found, tolerance, "the first run")),
            };
            let (times, last) = self.repeat(&mut step, device, listen)?;
            let memory_bytes = device.memory_pool_usage().map(|usage| usage.bytes_reserved);
            match difference(&last.read()?, reference) {
                Ok(last) if last <= tolerance => Ok(Status::Measured {
                    difference: first.max(last),
                    measurement: Measurement {
                        first_run_s,
                        median_s: median(&times)?,
                        low_s: quantile(&times, 0.25)?,
                        high_s: quantile(&times, 0.75)?,
                        repetitions: times.len(),
                        items_per_s: size.items / median(&times)?.max(f64::MIN_POSITIVE),
                        speed_up: None,
                        memory_bytes,
                    },
                }),
                found => Ok(disagrees(found, tolerance, "the last run")),
            }
        });
        let status = match measured {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => match error.downcast_ref() {
                Some(Error::Unsupported { .. }) => Status::Unsupported { reason: text(&error) },
                _ => Status::Failed { reason: text(&error) },
            },
            Err(panic) => Status::Failed { reason: format!("panicked: {panic}") },
        };
        if let (None, Status::Failed { reason } | Status::Unsupported { reason }) =
            (&reference, &status)
        {
            *reference = Some(Err(reason.clone()));
        }
        status
    }

    /// The times of the steady state in seconds, and the output of the last run.
    fn repeat(
        &self,
        step: &mut Step,
        device: &Device,
        listen: &impl Fn() -> Result<()>,
    ) -> Result<(Vec<f64>, Output), BoxError> {
        listen()?;
        let started = Instant::now();
        let (single_s, mut last) = timed(step, device)?;
        if single_s >= self.budget_s {
            return Ok((vec![single_s], last));
        }
        for _ in 1..self.warm_up {
            if started.elapsed().as_secs_f64() >= self.budget_s / 2.0 {
                break;
            }
            listen()?;
            drop(last);
            last = timed(step, device)?.1;
        }
        let started = Instant::now();
        let mut times = Vec::new();
        while times.len() < self.min_repetitions
            || (times.len() < self.max_repetitions
                && started.elapsed().as_secs_f64() < self.budget_s)
        {
            listen()?;
            drop(last);
            let (time_s, output) = timed(step, device)?;
            times.push(time_s);
            last = output;
        }
        Ok((times, last))
    }
}

/// One run and its time in seconds, from the call until the device has nothing left to do.
fn timed(step: &mut Step, device: &Device) -> Result<(f64, Output), BoxError> {
    let started = Instant::now();
    let output = step.run()?;
    device.sync()?;
    Ok((started.elapsed().as_secs_f64(), output))
}

/// The output of a workload's first run.
fn output_of(workload: &Workload, device: &Device, size: &Size) -> Result<Vec<TensorData>, String> {
    let run = || workload.start(device, size)?.run()?.read();
    catch_panic(run)?.map_err(|error: BoxError| text(&error))
}

fn disagrees(found: Result<f64, String>, tolerance: f64, run: &str) -> Status {
    let (difference, reason) = match found {
        Ok(found) => (Some(found), format!("{run} is off by {found:.1e}")),
        Err(reason) => (None, format!("{run}: {reason}")),
    };
    Status::Disagrees { difference, tolerance, reason }
}

/// How far outputs are from a reference: for each tensor the largest difference of two values as
/// a share of the largest value of the reference, and of these the largest.
///
/// ```math
/// \max_k \frac{\max_i |a_{ki} - b_{ki}|}{\max(\max_i |b_{ki}|,\ 10^{-12})}
/// ```
///
/// with the outputs `a` and the reference `b`, read as f32.
///
/// # Errors
///
/// The reason why there is no such number: another count of tensors, another shape, a value that
/// is NaN or infinite.
pub fn difference(outputs: &[TensorData], reference: &[TensorData]) -> Result<f64, String> {
    if outputs.len() != reference.len() {
        return Err(format!("{} tensors, expected {}", outputs.len(), reference.len()));
    }
    let mut largest = 0.0_f64;
    for (index, (output, reference)) in outputs.iter().zip(reference).enumerate() {
        let (found, expected) = (output.shape().to_vec(), reference.shape().to_vec());
        if found != expected {
            return Err(format!("tensor {index}: shape {found:?}, expected {expected:?}"));
        }
        let (mut off, mut scale) = (0.0_f64, LEAST_SCALE);
        for (at, (a, b)) in output.iter::<f32>().zip(reference.iter::<f32>()).enumerate() {
            for (whose, value) in [("the reference", b), ("the output", a)] {
                if !value.is_finite() {
                    return Err(format!("tensor {index}: value {at} of {whose} is {value}"));
                }
            }
            off = off.max((f64::from(a) - f64::from(b)).abs());
            scale = scale.max(f64::from(b).abs());
        }
        largest = largest.max(off / scale);
    }
    Ok(largest)
}

/// Tells the observer of the end.
fn finish(
    comparison: &Comparison,
    reason: StopReason,
    started: Instant,
    progress: &mut dyn Observer,
) {
    let (step, wall_s) = (comparison.rows.len() as u64, started.elapsed().as_secs_f64());
    progress.observe(&Event::Finished { step, reason, wall_s });
}

/// Tells the observer of the newest row.
fn announce(rows: &[Row], of: Option<u64>, progress: &mut dyn Observer) {
    let step = rows.len() as u64;
    let Some(row) = rows.last() else { return };
    let name = format!("{} {} {} ms", row.workload, row.size.label, row.device);
    let metric = row.measurement().map(|found| (name.as_str(), 1e3 * found.median_s));
    let metrics = metric.as_slice();
    progress.observe(&Event::Step { step, of, epoch: 0, items: 1, metrics });
}

/// An error with its causes, in one line.
fn text(error: &BoxError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}
