//! What follows from the rows: which device for which work, from which size on.

use std::collections::BTreeMap;

use super::comparison::{Comparison, Measurement};
use super::crossover::{Crossover, crossover};
use super::workload::{Description, Kind};
use crate::device::{DeviceClass, DeviceSpec};
use crate::table;

/// Two medians closer than this are about even: as far apart as two runs of one program may be.
const EVEN: f64 = 1.1;
/// The same where either is a single run, whose spread nobody knows.
const EVEN_ONCE: f64 = 1.5;

/// One or several comparisons at a glance: a column a device, a row a workload at its smallest and its
/// largest size, and the geometric means of both kinds of work.
///
/// Ratios are the first column's time ÷ this one's: above 1 where this device is faster. They stand behind the
/// times of the other columns.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Overview {
    /// The devices; with several comparisons each with a letter for its machine, `A flex`.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<OverviewRow>,
    /// Of training at the smallest and the largest sizes, then of inference.
    pub means: Vec<OverviewMean>,
    /// Which device for which work, a sentence each.
    pub sentences: Vec<String>,
}

/// A workload at one size.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OverviewRow {
    /// The workload's name.
    pub workload: String,
    /// Training or inference.
    pub kind: Kind,
    /// Its size in words.
    pub size: String,
    /// Whether it is the largest of the sizes.
    pub is_largest: bool,
    /// For each column the median in seconds and the ratio, where it was measured.
    pub cells: Vec<Option<(f64, Option<f64>)>>,
}

/// The geometric means of one kind of work.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OverviewMean {
    /// Which work, at which sizes.
    pub work: String,
    /// For each column the mean of the ratios, and of how many workloads.
    pub cells: Vec<Option<(f64, usize)>>,
}

/// A device of one of the comparisons.
struct Source<'a> {
    name: String,
    comparison: &'a Comparison,
    device: DeviceSpec,
    class: DeviceClass,
}

impl Source<'_> {
    fn at<'w>(&'w self, workload: &'w str, size: f64) -> Option<&'w Measurement> {
        let mut found = self.comparison.measured(workload, self.device);
        #[allow(clippy::float_cmp)] // A size of two devices is the same number.
        found.find(|(other, _)| other.value == size).map(|(_, measurement)| measurement)
    }
}

impl Overview {
    /// The overview of one comparison, or of several machines'.
    pub fn new(comparisons: &[&Comparison]) -> Self {
        let sources = sources(comparisons);
        let mut workloads: Vec<&Description> = Vec::new();
        for workload in comparisons.iter().flat_map(|comparison| &comparison.workloads) {
            if workloads.iter().all(|known| known.name != workload.name) {
                workloads.push(workload);
            }
        }
        let rows: Vec<OverviewRow> =
            workloads.iter().flat_map(|workload| rows(workload, &sources)).collect();
        Self {
            columns: sources.iter().map(|source| source.name.clone()).collect(),
            means: means(&rows, sources.len()),
            sentences: sentences(&workloads, &sources),
            rows,
        }
    }

    /// The names of the columns of [`cells`](Self::cells).
    pub fn header(&self) -> Vec<String> {
        let first = ["workload", "size"].map(str::to_owned);
        first.into_iter().chain(self.columns.iter().cloned()).collect()
    }

    /// The table's rows as text, the means last.
    pub fn cells(&self) -> Vec<Vec<String>> {
        let none = || "–".to_owned();
        let rows = self.rows.iter().map(|row| {
            let cells = row.cells.iter().enumerate().map(|(at, cell)| match cell {
                Some((time_s, Some(ratio))) if at > 0 => {
                    format!("{} ({})", table::time(*time_s), table::ratio(*ratio))
                }
                Some((time_s, _)) => table::time(*time_s),
                None => none(),
            });
            [row.workload.clone(), row.size.clone()].into_iter().chain(cells).collect()
        });
        let means = self.means.iter().map(|OverviewMean { work, cells }| {
            let cells = cells.iter().map(|mean| match mean {
                Some((mean, count)) => format!("{} of {count}", table::ratio(*mean)),
                None => none(),
            });
            ["geometric mean".to_owned(), work.clone()].into_iter().chain(cells).collect()
        });
        rows.chain(means).collect()
    }
}

/// Every device that opened, in order.
fn sources<'a>(comparisons: &[&'a Comparison]) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for (comparison, letter) in comparisons.iter().zip('A'..) {
        for device in &comparison.machine.devices {
            let Some(class) = device.class else { continue };
            let name = if comparisons.len() > 1 {
                format!("{letter} {}", device.spec)
            } else {
                device.spec.to_string()
            };
            sources.push(Source { name, comparison, device: device.spec, class });
        }
    }
    sources
}

/// The sizes of a workload that two devices at least were measured at, in order; of one device's where there
/// are none.
fn sizes(workload: &str, sources: &[Source<'_>]) -> Vec<(f64, String)> {
    let mut all: Vec<(f64, String)> = sources
        .iter()
        .flat_map(|source| source.comparison.measured(workload, source.device))
        .map(|(size, _)| (size.value, size.to_string()))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let is_same = |a: &(f64, String), b: &(f64, String)| a.0.total_cmp(&b.0).is_eq();
    let mut common: Vec<(f64, String)> =
        all.windows(2).filter(|two| is_same(&two[0], &two[1])).map(|two| two[0].clone()).collect();
    if common.is_empty() {
        common = all;
    }
    common.dedup_by(|a, b| is_same(a, b));
    common
}

/// The smallest and the largest size of a workload.
fn rows(workload: &Description, sources: &[Source<'_>]) -> Vec<OverviewRow> {
    let sizes = sizes(&workload.name, sources);
    let ends = match sizes.as_slice() {
        [] => return Vec::new(),
        [only] => vec![(only, true)],
        [smallest, .., largest] => vec![(smallest, false), (largest, true)],
    };
    let row = |((value, size), is_largest): (&(f64, String), bool)| {
        let times: Vec<Option<f64>> = sources
            .iter()
            .map(|source| source.at(&workload.name, *value).map(|found| found.median_s))
            .collect();
        let first = times.first().copied().flatten();
        let ratio = |time_s: f64| first.map(|first| first / time_s.max(f64::MIN_POSITIVE));
        OverviewRow {
            workload: workload.name.clone(),
            kind: workload.kind,
            size: size.clone(),
            is_largest,
            cells: times.into_iter().map(|time| Some((time?, ratio(time?)))).collect(),
        }
    };
    ends.into_iter().map(row).collect()
}

fn means(rows: &[OverviewRow], columns: usize) -> Vec<OverviewMean> {
    let mut means = Vec::new();
    for (kind, name) in [(Kind::Training, "training"), (Kind::Inference, "inference")] {
        for (is_largest, which) in [(false, "smallest"), (true, "largest")] {
            let of: Vec<&OverviewRow> = rows
                .iter()
                .filter(|row| row.kind == kind && row.is_largest == is_largest)
                .collect();
            if of.is_empty() {
                continue;
            }
            let column = |at: usize| {
                let logs: Vec<f64> =
                    of.iter().filter_map(|row| Some(row.cells[at]?.1?.ln())).collect();
                let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
                (!logs.is_empty()).then_some((mean, logs.len()))
            };
            let work = format!("{name}, {which} sizes");
            means.push(OverviewMean { work, cells: (0..columns).map(column).collect() });
        }
    }
    means
}

/// Which device for which work. A software GPU is left out: its times say nothing of a card.
fn sentences(workloads: &[&Description], sources: &[Source<'_>]) -> Vec<String> {
    let ranked: Vec<&Source<'_>> =
        sources.iter().filter(|source| source.class != DeviceClass::SoftwareGpu).collect();
    let mut ahead: BTreeMap<(usize, bool), Vec<&str>> = BTreeMap::new();
    let mut even: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
    let mut changing = Vec::new();
    for workload in workloads {
        let name = workload.name.as_str();
        let lines: Vec<Vec<Timed>> = ranked
            .iter()
            .map(|source| {
                let measured = source.comparison.measured(name, source.device);
                measured.map(|(size, found)| Timed::new(size.value, found)).collect()
            })
            .collect();
        match verdict(&lines) {
            Some(Verdict::Ahead(at)) => {
                let is_inference = workload.kind == Kind::Inference;
                ahead.entry((at, is_inference)).or_default().push(name);
            }
            Some(Verdict::Even(devices)) => even.entry(devices).or_default().push(name),
            Some(Verdict::From { last, size, first }) => changing.push(format!(
                "{name}: {} from a {} of about {} on, {} below it.",
                ranked[last].name,
                workload.size_unit,
                if size < 10.0 { format!("{size:.1}") } else { format!("{size:.0}") },
                ranked[first].name,
            )),
            Some(Verdict::Mixed(leaders)) => {
                let leaders: Vec<String> = leaders
                    .iter()
                    .map(|&(size, at)| format!("{} at {size}", ranked[at].name))
                    .collect();
                let unit = &workload.size_unit;
                changing.push(format!("{name}: by {unit}, {}.", leaders.join(", ")));
            }
            None => {}
        }
    }
    let ahead = ahead.into_iter().map(|((at, is_inference), names)| {
        let kind = if is_inference { "Inference" } else { "Training" };
        let (name, works) = (&ranked[at].name, names.join(", "));
        format!("{kind}: {name} is the fastest, or about even with it, at every size of {works}.")
    });
    let even = even.into_iter().map(|(devices, names)| {
        let devices: Vec<&str> = devices.iter().map(|&at| ranked[at].name.as_str()).collect();
        format!("{} are about even in {}.", devices.join(" and "), names.join(", "))
    });
    ahead.chain(even).chain(changing).collect()
}

/// A row as far as it is ranked.
#[derive(Debug, Clone, Copy)]
struct Timed {
    size: f64,
    median_s: f64,
    /// The quartiles.
    low_s: f64,
    high_s: f64,
    is_single: bool,
}

impl Timed {
    fn new(size: f64, found: &Measurement) -> Self {
        let Measurement { median_s, low_s, high_s, repetitions, .. } = *found;
        Self { size, median_s, low_s, high_s, is_single: repetitions == 1 }
    }

    /// Whether it is faster by more than two runs of one program differ.
    fn is_clearly_before(&self, other: &Self) -> bool {
        let least = if self.is_single || other.is_single { EVEN_ONCE } else { EVEN };
        other.median_s >= least * self.median_s && other.low_s > self.high_s
    }
}

/// Who is the fastest.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// This one, wherever anyone clearly is.
    Ahead(usize),
    /// No one clearly, at any size: these are not clearly behind the fastest anywhere.
    Even(Vec<usize>),
    /// `last` from this size on, `first` below it.
    From { last: usize, size: f64, first: usize },
    /// By size, where anyone clearly is.
    Mixed(Vec<(f64, usize)>),
}

/// From the rows of each device. `None` where no two were measured at one size.
#[allow(clippy::float_cmp)] // A size of two devices is the same number.
fn verdict(lines: &[Vec<Timed>]) -> Option<Verdict> {
    let mut sizes: Vec<f64> = lines.iter().flatten().map(|timed| timed.size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let mut near: Option<Vec<usize>> = None;
    let mut leaders = Vec::new();
    for size in sizes {
        let mut ranking: Vec<(Timed, usize)> = lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| Some((*line.iter().find(|timed| timed.size == size)?, at)))
            .collect();
        ranking.sort_by(|(a, _), (b, _)| a.median_s.total_cmp(&b.median_s));
        let [(fastest, leader), (next, _), ..] = ranking[..] else { continue };
        if fastest.is_clearly_before(&next) {
            leaders.push((size, leader));
        }
        let is_near = |at: &usize| {
            ranking.iter().any(|(timed, other)| other == at && !fastest.is_clearly_before(timed))
        };
        let all = near.take().unwrap_or_else(|| (0..lines.len()).collect());
        near = Some(all.into_iter().filter(is_near).collect());
    }
    let near = near?;
    let (Some(&(_, first)), Some(&(_, last))) = (leaders.first(), leaders.last()) else {
        return Some(Verdict::Even(near));
    };
    if leaders.iter().all(|(_, leader)| *leader == last) {
        return Some(Verdict::Ahead(last));
    }
    let times = |at: usize| -> Vec<(f64, f64)> {
        lines[at].iter().map(|timed| (timed.size, timed.median_s)).collect()
    };
    let is_one_change = leaders.windows(2).filter(|two| two[0].1 != two[1].1).count() == 1;
    match crossover(&times(last), &times(first)) {
        Some(Crossover::From(size)) if is_one_change => Some(Verdict::From { last, size, first }),
        _ => Some(Verdict::Mixed(leaders)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with quartiles 2 % around the median.
    fn line(times: &[(f64, f64)]) -> Vec<Timed> {
        let timed = |&(size, median_s): &(f64, f64)| Timed {
            size,
            median_s,
            low_s: 0.98 * median_s,
            high_s: 1.02 * median_s,
            is_single: false,
        };
        times.iter().map(timed).collect()
    }

    #[test]
    fn the_fastest_is_named_with_the_size_from_which_on_it_is() {
        let flat = |time: f64| line(&[(1.0, time), (4.0, time), (16.0, time)]);
        let steep = line(&[(1.0, 1.0), (4.0, 4.0), (16.0, 16.0)]);
        assert_eq!(verdict(&[flat(1.0), flat(2.0)]), Some(Verdict::Ahead(0)));
        assert_eq!(verdict(&[flat(1.0), flat(1.05)]), Some(Verdict::Even(vec![0, 1])));
        // Two that are close, and one that is not.
        let found = verdict(&[flat(1.0), flat(50.0), flat(1.05)]);
        assert_eq!(found, Some(Verdict::Even(vec![0, 2])));
        let found = verdict(&[steep.clone(), flat(2.0)]);
        let Some(Verdict::From { last: 1, size, first: 0 }) = found else { panic!("{found:?}") };
        assert!((size - 2.0).abs() < 1e-9, "{size}");
        // A third one changes nothing where it is never the fastest.
        let found = verdict(&[steep, flat(2.0), flat(50.0)]);
        assert!(matches!(found, Some(Verdict::From { last: 1, first: 0, .. })), "{found:?}");
        assert_eq!(verdict(&[flat(1.0), line(&[(2.0, 1.0)])]), None);
        assert_eq!(verdict(&[]), None);

        // To and fro: no one size says it.
        let wave = line(&[(1.0, 2.0), (4.0, 0.5), (16.0, 2.0)]);
        let found = verdict(&[flat(1.0), wave]);
        assert_eq!(found, Some(Verdict::Mixed(vec![(1.0, 0), (4.0, 1), (16.0, 0)])));
        // Three in turn.
        let found = verdict(&[
            line(&[(1.0, 1.0), (4.0, 4.0), (16.0, 16.0)]),
            line(&[(1.0, 2.0), (4.0, 2.0), (16.0, 8.0)]),
            flat(4.0),
        ]);
        assert_eq!(found, Some(Verdict::Mixed(vec![(1.0, 0), (4.0, 1), (16.0, 2)])));
        // Won at one size and even at the last.
        let found = verdict(&[flat(1.0), line(&[(1.0, 2.0), (4.0, 0.5), (16.0, 1.05)])]);
        assert_eq!(found, Some(Verdict::Mixed(vec![(1.0, 0), (4.0, 1)])));

        // Within the quartiles, or run once: not clearly.
        let mut wide = flat(1.2);
        for timed in &mut wide {
            timed.low_s = 1.0;
        }
        assert_eq!(verdict(&[flat(1.0), wide]), Some(Verdict::Even(vec![0, 1])));
        let mut once = flat(1.4);
        for timed in &mut once {
            timed.is_single = true;
        }
        assert_eq!(verdict(&[flat(1.0), once.clone()]), Some(Verdict::Even(vec![0, 1])));
        assert_eq!(verdict(&[flat(0.9), once]), Some(Verdict::Ahead(0)));
    }
}
