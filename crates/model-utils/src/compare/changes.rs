//! What changed since an earlier comparison.

use std::collections::BTreeSet;
use std::fmt;

use super::comparison::{Comparison, Measurement};
use super::workload::Size;
use crate::device::DeviceSpec;
use crate::table::{self, Column};

/// How a comparison stands against an earlier one. Printed as a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Changes {
    /// What differs between the machines and the settings, a line each: with any, times are not comparable.
    pub machine: Vec<String>,
    /// The rows measured in both, in the order of the new one.
    pub rows: Vec<Change>,
    /// How many measured rows of the new one the old one has no measurement for.
    pub unmatched: usize,
    /// The rows that were measured before and are not any more, in words.
    pub lost: Vec<String>,
}

/// A row of both comparisons.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The workload's name.
    pub workload: String,
    /// The size.
    pub size: Size,
    /// The device.
    pub device: DeviceSpec,
    /// The median before, in seconds.
    pub old_s: f64,
    /// The median now, in seconds.
    pub new_s: f64,
    /// `old_s` ÷ `new_s`: above 1 where it got faster.
    pub speed_up: f64,
    /// Whether the ranges between the quartiles do not touch: where they do, it is noise. They
    /// show the spread within a process; between two processes there is more. A single run has
    /// no range, so a change against one is never clear.
    pub clear: bool,
}

impl Comparison {
    /// Holds this comparison against an earlier one, row by row.
    pub fn against(&self, old: &Self) -> Changes {
        let mut rows = Vec::new();
        let mut unmatched = 0;
        for row in &self.rows {
            let Some(new) = row.measurement() else { continue };
            let before = old
                .rows
                .iter()
                .find(|other| {
                    other.workload == row.workload
                        && other.size == row.size
                        && other.device == row.device
                })
                .and_then(|other| other.measurement());
            let Some(before) = before else {
                unmatched += 1;
                continue;
            };
            rows.push(Change {
                workload: row.workload.clone(),
                size: row.size.clone(),
                device: row.device,
                old_s: before.median_s,
                new_s: new.median_s,
                speed_up: before.median_s / new.median_s.max(f64::MIN_POSITIVE),
                clear: apart(before, new),
            });
        }
        let lost = old.rows.iter().filter(|row| row.measurement().is_some()).filter_map(|row| {
            let now = self.row(&row.workload, &row.size.label, row.device)?;
            now.measurement().is_none().then(|| {
                format!("{} {} on {}: no longer measured", row.workload, row.size, row.device)
            })
        });
        let mut machine = self.machine.differences(&old.machine);
        let names = self.settings.keys().chain(old.settings.keys()).collect::<BTreeSet<_>>();
        for name in names {
            let of = |all: &Self| all.settings.get(name).map_or("none", String::as_str).to_owned();
            if of(self) != of(old) {
                machine.push(format!("{name}: {}, was {}", of(self), of(old)));
            }
        }
        Changes { machine, rows, unmatched, lost: lost.collect() }
    }
}

fn apart(a: &Measurement, b: &Measurement) -> bool {
    a.repetitions > 1 && b.repetitions > 1 && (a.high_s < b.low_s || b.high_s < a.low_s)
}

impl Changes {
    /// The names of the columns of [`cells`](Self::cells).
    pub const HEADER: [&str; 7] =
        ["workload", "size", "device", "before", "now", "speed-up", "change"];

    /// The table's rows as text.
    pub fn cells(&self) -> Vec<[String; 7]> {
        let row = |change: &Change| {
            let verdict = match (change.clear, change.speed_up > 1.0) {
                (false, _) => "within the spread",
                (true, true) => "faster",
                (true, false) => "slower",
            };
            [
                change.workload.clone(),
                change.size.to_string(),
                change.device.to_string(),
                table::time(change.old_s),
                table::time(change.new_s),
                table::ratio(change.speed_up),
                verdict.to_owned(),
            ]
        };
        self.rows.iter().map(row).collect()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Column::{Left, Right};
        for line in &self.machine {
            writeln!(f, "differs: {line}")?;
        }
        let columns = [Left, Left, Left, Right, Right, Right, Left];
        f.write_str(&table::aligned(&Self::HEADER, &columns, &self.cells()))?;
        for line in &self.lost {
            writeln!(f, "{line}")?;
        }
        if self.unmatched > 0 {
            writeln!(f, "{} rows are not in the earlier comparison", self.unmatched)?;
        }
        Ok(())
    }
}
