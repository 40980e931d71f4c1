//! Running the rows.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::config::Config;
use burn::tensor::Device;

use super::comparison::{Comparison, Measurement, Row, Status};
use super::energy::{self, Meter};
use super::judge::{Difference, Part, difference};
use super::machine::{Machine, MachineDevice};
use super::workload::{BoxError, Output, Size, Step, Workload};
use crate::config::{self, ConfigError};
use crate::device::DeviceSpec;
use crate::error::{Error, Result, catch_panic};
use crate::memory::Peak;
use crate::stats::{median, quantile};
use crate::train::{Asks as _, Event, Observer, StopReason};

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
            settings: BTreeMap::new(),
        };
        let described = comparison.machine.devices.clone();
        let mut opened: Vec<Opened> = described.iter().filter_map(Opened::new).collect();
        opened.sort_by_key(|opened| opened.spec != DeviceSpec::Flex);

        let sizes: usize = workloads.iter().map(|workload| workload.sizes.len()).sum();
        let of = Some((sizes * opened.len()) as u64);
        let task = "compare";
        progress.observe(&Event::Started { task, step: 0, of });
        for workload in workloads {
            let Workload { description, sizes, .. } = workload;
            for size in sizes {
                let mut reference = None;
                for opened in &opened {
                    let spec = opened.spec;
                    let asked: &dyn Observer = &*progress;
                    let listen = || {
                        let row = format_args!("{} {} {spec}", description.name, size.label);
                        asked.check("the comparison", row)
                    };
                    if reference.is_none() && spec != DeviceSpec::Flex {
                        reference = Some(output_of(workload, &reference_device, size));
                    }
                    let status = self.row(workload, opened, size, &mut reference, &listen);
                    if let Err(stopped) = listen() {
                        finish(&comparison, StopReason::Asked, started, progress);
                        return Err(stopped);
                    }
                    let row = Row {
                        workload: description.name.clone(),
                        size: size.clone(),
                        device: spec,
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
            for (field, tolerance) in [
                ("tolerance", description.tolerance),
                ("coarse_tolerance", description.coarse_tolerance),
            ] {
                let expected = format!("0 or a number above, for workload {name}");
                let fits = tolerance >= 0.0 && tolerance.is_finite();
                config::require(fits, field, tolerance, expected)?;
            }
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
        opened: &Opened,
        size: &Size,
        reference: &mut Option<Result<Vec<Part>, String>>,
        listen: &impl Fn() -> Result<()>,
    ) -> Status {
        if let Some(Err(reason)) = reference {
            let reason = format!("flex gave nothing to compare with: {reason}");
            return Status::Failed { reason };
        }
        let tolerance = if opened.is_coarse {
            workload.description.coarse_tolerance
        } else {
            workload.description.tolerance
        };
        let device = &opened.device;
        let measured = catch_panic(|| -> Result<Status, BoxError> {
            listen()?;
            device.memory_cleanup();
            let peak = Peak::start();
            let mut step = workload.start(device, size)?;
            let (first_run_s, output) = timed(&mut step, device)?;
            let output = output.into_parts()?;
            let reference = reference
                .get_or_insert_with(|| Ok(output.clone()))
                .as_ref()
                .map_err(String::as_str)?;
            let first = match difference(&output, reference) {
                Ok(first) if first.largest <= tolerance => first.largest,
                found => return Ok(disagrees(found, tolerance, "the first run")),
            };
            let Repeated { times, last, energy_j } = self.repeat(&mut step, opened, listen)?;
            let memory_bytes = match device.memory_pool_usage() {
                Some(usage) => Some(usage.bytes_reserved),
                None => peak.bytes(),
            };
            match difference(&last.into_parts()?, reference) {
                Ok(last) if last.largest <= tolerance => Ok(Status::Measured {
                    difference: first.max(last.largest),
                    measurement: Measurement {
                        first_run_s,
                        median_s: median(&times)?,
                        low_s: quantile(&times, 0.25)?,
                        high_s: quantile(&times, 0.75)?,
                        repetitions: times.len(),
                        items_per_s: size.items / median(&times)?.max(f64::MIN_POSITIVE),
                        speed_up: None,
                        memory_bytes,
                        energy_j,
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

    /// The steady state.
    fn repeat(
        &self,
        step: &mut Step,
        Opened { device, meter, .. }: &Opened,
        listen: &impl Fn() -> Result<()>,
    ) -> Result<Repeated, BoxError> {
        let joules = || meter.as_ref().and_then(Meter::joules);
        listen()?;
        let (started, before) = (Instant::now(), joules());
        let (single_s, mut last) = timed(step, device)?;
        if single_s >= self.budget_s {
            let energy_j = energy::of_runs(before, joules(), &[single_s], started.elapsed());
            return Ok(Repeated { times: vec![single_s], last, energy_j });
        }
        for _ in 1..self.warm_up {
            if started.elapsed().as_secs_f64() >= self.budget_s / 2.0 {
                break;
            }
            listen()?;
            drop(last);
            last = timed(step, device)?.1;
        }
        let (started, before) = (Instant::now(), joules());
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
        let energy_j = energy::of_runs(before, joules(), &times, started.elapsed());
        Ok(Repeated { times, last, energy_j })
    }
}

/// A device that answered, and what is known of it.
struct Opened {
    spec: DeviceSpec,
    device: Device,
    /// Whether its matrix products round their factors.
    is_coarse: bool,
    meter: Option<Meter>,
}

impl Opened {
    fn new(described: &MachineDevice) -> Option<Self> {
        let device = described.spec.open().ok().filter(|_| described.absent.is_none())?;
        Some(Self {
            spec: described.spec,
            device,
            is_coarse: described.is_coarse(),
            meter: Meter::of(described),
        })
    }
}

/// What came of the timed runs.
struct Repeated {
    /// In seconds, a run each.
    times: Vec<f64>,
    last: Output,
    /// Of one run, in joules.
    energy_j: Option<f64>,
}

/// One run and its time in seconds, from the call until the device has nothing left to do.
fn timed(step: &mut Step, device: &Device) -> Result<(f64, Output), BoxError> {
    step.prepare()?;
    device.sync()?;
    let started = Instant::now();
    let output = step.run()?;
    device.sync()?;
    Ok((started.elapsed().as_secs_f64(), output))
}

/// The output of a workload's first run.
fn output_of(workload: &Workload, device: &Device, size: &Size) -> Result<Vec<Part>, String> {
    let run = || workload.start(device, size)?.run()?.into_parts();
    catch_panic(run)?.map_err(|error: BoxError| text(&error))
}

fn disagrees(found: Result<Difference<'_>, String>, tolerance: f64, run: &str) -> Status {
    let (difference, reason) = match found {
        Ok(found) => (Some(found.largest), format!("{run} is off by {found}")),
        Err(reason) => (None, format!("{run}: {reason}")),
    };
    Status::Disagrees { difference, tolerance, reason }
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
