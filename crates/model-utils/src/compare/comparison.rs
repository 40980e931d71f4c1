//! The result of a comparison.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::crossover::{Crossover, crossover};
use super::machine::Machine;
use super::workload::{Description, Size};
use crate::atomic;
use crate::device::{DeviceClass, DeviceSpec};
use crate::error::{Error, Result};
use crate::table::{self, Column};

/// What marks a file as a comparison.
const FORMAT: &str = "usagi comparison";
/// Raised when a later build can no longer read the files of an earlier one.
const VERSION: u64 = 2;

/// What was measured, and where. Printed as the machine's description and an aligned table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Where.
    pub machine: Machine,
    /// The workloads, in the order they ran.
    pub workloads: Vec<Description>,
    /// A row for each workload, size and device, in the order they ran.
    pub rows: Vec<Row>,
    /// What else it was run with, by name: whoever runs it says so.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// One workload of one size on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The workload's name.
    pub workload: String,
    /// The size.
    pub size: Size,
    /// The device.
    pub device: DeviceSpec,
    /// What came of it.
    pub status: Status,
}

/// What came of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// The outputs agree, and the time was measured.
    Measured {
        /// The largest [`difference`](super::difference) from `flex`; for `flex` itself, between
        /// its first and last run.
        difference: f64,
        /// The time.
        measurement: Measurement,
    },
    /// The outputs do not agree with those of `flex`; the time of wrong work says nothing.
    Disagrees {
        /// The [`difference`](super::difference), where there is one.
        difference: Option<f64>,
        /// The largest that would have agreed.
        tolerance: f64,
        /// Which run was how far off, or why there is no difference.
        reason: String,
    },
    /// The workload says that the device cannot do it.
    Unsupported {
        /// Why.
        reason: String,
    },
    /// An error or a panic.
    Failed {
        /// Its message.
        reason: String,
    },
}

/// The time of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Time of the first run, in seconds: compilation and tuning included, unless an earlier row
    /// of the process already did them.
    pub first_run_s: f64,
    /// Median of the timed runs, in seconds.
    pub median_s: f64,
    /// First quartile, in seconds.
    pub low_s: f64,
    /// Third quartile, in seconds.
    pub high_s: f64,
    /// Timed runs.
    pub repetitions: usize,
    /// Items of the workload a second, at the median.
    pub items_per_s: f64,
    /// Median of `flex` ÷ this median, where `flex` was measured at the same size.
    pub speed_up: Option<f64>,
    /// On a graphics card the bytes that its allocator had reserved after the last run, emptied before the first of
    /// what it did not use. On a processor the most that the process held during the row above what it held
    /// before. `None` where nobody tells.
    pub memory_bytes: Option<u64>,
    /// Joules of one run, of all that ran on the processor or the card; `None` where the machine does not tell
    /// (RAPL, NVML).
    pub energy_j: Option<f64>,
}

impl Status {
    /// How bad it is.
    fn rank(&self) -> u8 {
        match self {
            Self::Measured { .. } => 0,
            Self::Unsupported { .. } => 1,
            Self::Disagrees { .. } => 2,
            Self::Failed { .. } => 3,
        }
    }

    /// Joins the same row of another run, say with another seed: the worse of both stays, with a word of
    /// which run it was, and of two differences the larger.
    pub fn join(&mut self, other: Self, which: &str) {
        let size = |status: &Self| match status {
            Self::Measured { difference, .. } => *difference,
            // None where there is no number: NaN, another shape.
            Self::Disagrees { difference, .. } => difference.unwrap_or(f64::INFINITY),
            _ => 0.0,
        };
        let is_worse = (other.rank(), size(&other)) > (self.rank(), size(self));
        if !is_worse {
            return;
        }
        if let (Self::Measured { difference, .. }, Self::Measured { difference: more, .. }) =
            (&mut *self, &other)
        {
            *difference = *more;
            return;
        }
        *self = other;
        let (Self::Disagrees { reason, .. }
        | Self::Unsupported { reason }
        | Self::Failed { reason }) = self
        else {
            return;
        };
        *reason = format!("{which}: {reason}");
    }
}

impl Row {
    /// The time, where it was measured.
    pub fn measurement(&self) -> Option<&Measurement> {
        match &self.status {
            Status::Measured { measurement, .. } => Some(measurement),
            _ => None,
        }
    }
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct File<C> {
    format: String,
    version: u64,
    comparison: C,
}

impl Comparison {
    /// The row of a workload, a size's label and a device.
    pub fn row(&self, workload: &str, size: &str, device: DeviceSpec) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.workload == workload && row.size.label == size && row.device == device)
    }

    /// `(size, median in seconds)` of a workload on a device, by size, where it was measured.
    pub fn times(&self, workload: &str, device: DeviceSpec) -> Vec<(f64, f64)> {
        let mut times: Vec<_> = self
            .measured(workload, device)
            .map(|(size, found)| (size.value, found.median_s))
            .collect();
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        times
    }

    /// From which size on a device is faster than the fastest processor device of the same
    /// comparison. `None` where there is no size that both were measured at, or where the device
    /// is itself computed by the processor.
    #[allow(clippy::float_cmp)] // A size of two devices is the same number.
    pub fn crossover(&self, workload: &str, device: DeviceSpec) -> Option<Crossover> {
        if self.machine.device(device)?.class? != DeviceClass::Gpu {
            return None;
        }
        let mut best: Vec<(f64, f64)> = Vec::new();
        for processor in self.machine.devices.iter().filter(|d| d.class == Some(DeviceClass::Cpu)) {
            for (size, time_s) in self.times(workload, processor.spec) {
                match best.iter_mut().find(|(other, _)| *other == size) {
                    Some((_, fastest)) => *fastest = fastest.min(time_s),
                    None => best.push((size, time_s)),
                }
            }
        }
        crossover(&self.times(workload, device), &best)
    }

    /// Writes the comparison as JSON, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let file = File { format: FORMAT.to_owned(), version: VERSION, comparison: self };
        let bytes = serde_json::to_vec_pretty(&file)
            .map_err(|error| Error::format(path, "comparison", error.to_string()))?;
        atomic::write(path, &bytes)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Format`] for a truncated or foreign file, or one of another
    /// version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bad = |reason: String| Error::format(path, "comparison", reason);
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| bad(format!("no JSON: {error}")))?;
        if value["format"] != FORMAT {
            let found = &value["format"];
            return Err(bad(format!("`format` is {found}, expected {FORMAT:?}")));
        }
        if value["version"] != VERSION {
            let found = &value["version"];
            return Err(bad(format!("version {found}, this build reads version {VERSION}")));
        }
        let file: File<Self> =
            serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
        file.comparison.check().map_err(bad)?;
        Ok(file.comparison)
    }

    /// What no run writes, and no picture can be drawn of.
    fn check(&self) -> std::result::Result<(), String> {
        let names = self.workloads.iter().map(|workload| &workload.name);
        for name in names.chain(self.rows.iter().map(|row| &row.workload)) {
            let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(format!("workload {name:?}, expected letters, digits, _ and -"));
            }
        }
        for row in &self.rows {
            let found = row.measurement();
            let times = found.into_iter().flat_map(|m| [m.median_s, m.low_s, m.high_s]);
            for value in times.chain([row.size.value, row.size.items]) {
                if !(value > 0.0 && value.is_finite()) {
                    let Row { workload, size, device, .. } = row;
                    return Err(format!(
                        "{workload} {size} on {device} holds {value}, expected a number above 0"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The names of the columns of [`cells`](Self::cells).
    pub const HEADER: [&str; 12] = [
        "workload",
        "size",
        "device",
        "median",
        "quartiles",
        "runs",
        "throughput",
        "speed-up",
        "first run",
        "memory",
        "energy",
        "difference",
    ];

    /// The table's rows as text: the devices that do not open, then every row.
    pub fn cells(&self) -> Vec<[String; 12]> {
        let none = || "–".to_owned();
        let said = |workload: String, size: String, device: DeviceSpec, what: String| {
            let device = device.to_string();
            let [a, b, c, d, e, f, g, h] = std::array::from_fn(|_| none());
            [workload, size, device, a, b, c, d, e, f, g, h, what]
        };
        let absent = self.machine.devices.iter().filter_map(|device| {
            let reason = format!("UNSUPPORTED: {}", table::short(device.absent.as_ref()?));
            Some(said("all".to_owned(), "all".to_owned(), device.spec, reason))
        });
        let rows = self.rows.iter().map(|row| {
            let description = self.workloads.iter().find(|other| other.name == row.workload);
            let items = description.map_or("items", |found| &found.items_unit);
            let size = row.size.to_string();
            let workload = row.workload.clone();
            let (m, difference) = match &row.status {
                Status::Measured { difference, measurement } => (measurement, difference),
                Status::Disagrees { tolerance, reason, .. } => {
                    let what =
                        format!("DISAGREES: {} (tolerance {tolerance:.0e})", table::short(reason));
                    return said(workload, size, row.device, what);
                }
                Status::Unsupported { reason } => {
                    let what = format!("UNSUPPORTED: {}", table::short(reason));
                    return said(workload, size, row.device, what);
                }
                Status::Failed { reason } => {
                    let what = format!("FAILED: {}", table::short(reason));
                    return said(workload, size, row.device, what);
                }
            };
            [
                workload,
                size,
                row.device.to_string(),
                table::time(m.median_s),
                format!("{} to {}", table::time(m.low_s), table::time(m.high_s)),
                m.repetitions.to_string(),
                format!("{} {items}/s", table::scaled(m.items_per_s)),
                m.speed_up.map_or_else(none, table::ratio),
                table::time(m.first_run_s),
                m.memory_bytes
                    .map_or_else(none, |bytes| format!("{}B", table::scaled(bytes as f64))),
                m.energy_j.map_or_else(none, table::energy),
                if row.device == DeviceSpec::Flex {
                    "reference".to_owned()
                } else if *difference == 0.0 {
                    "0".to_owned()
                } else {
                    format!("{difference:.1e}")
                },
            ]
        });
        absent.chain(rows).collect()
    }

    /// Sets every row's speed-up over `flex`.
    pub(super) fn set_speed_ups(&mut self) {
        let flex: Vec<(String, String, f64)> = self
            .rows
            .iter()
            .filter(|row| row.device == DeviceSpec::Flex)
            .filter_map(|row| {
                let median_s = row.measurement()?.median_s;
                Some((row.workload.clone(), row.size.label.clone(), median_s))
            })
            .collect();
        for row in &mut self.rows {
            let Status::Measured { measurement, .. } = &mut row.status else { continue };
            measurement.speed_up = flex
                .iter()
                .find(|(workload, size, _)| *workload == row.workload && *size == row.size.label)
                .map(|(_, _, flex_s)| flex_s / measurement.median_s.max(f64::MIN_POSITIVE));
        }
    }

    /// Sizes and times of a workload on a device, in the order of the rows.
    pub(super) fn measured<'a>(
        &'a self,
        workload: &'a str,
        device: DeviceSpec,
    ) -> impl Iterator<Item = (&'a Size, &'a Measurement)> {
        self.rows
            .iter()
            .filter(move |row| row.workload == workload && row.device == device)
            .filter_map(|row| Some((&row.size, row.measurement()?)))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Column::{Left, Right};
        write!(f, "{}", self.machine)?;
        for (name, value) in &self.settings {
            writeln!(f, "{name}: {value}")?;
        }
        writeln!(f)?;
        let columns =
            [Left, Left, Left, Right, Right, Right, Right, Right, Right, Right, Right, Left];
        f.write_str(&table::aligned(&Self::HEADER, &columns, &self.cells()))
    }
}
