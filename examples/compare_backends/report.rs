//! What a comparison leaves behind: the overview, the page, the figures.

use std::fmt::Write as _;
use std::path::Path;

use common::Metrics;
use model_utils::compare::{Changes, Comparison, Overview, Status};
use model_utils::device::DeviceSpec;
use model_utils::picture::{Page, Section};
use model_utils::table::{Column, aligned};

/// The matrix and what follows from it, as text.
pub(super) fn overview(comparisons: &[&Comparison]) -> String {
    let overview = Overview::new(comparisons);
    let header = overview.header();
    let columns: Vec<Column> =
        (0..header.len()).map(|at| if at < 2 { Column::Left } else { Column::Right }).collect();
    let mut text = aligned(&header, &columns, &overview.cells());
    for line in overview.sentences.iter().chain(&crossovers(comparisons)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// A line for each workload and graphics card.
fn crossovers(comparisons: &[&Comparison]) -> Vec<String> {
    let mut lines = Vec::new();
    for (comparison, letter) in comparisons.iter().zip('A'..) {
        let machine = if comparisons.len() > 1 { format!("{letter}: ") } else { String::new() };
        for workload in &comparison.workloads {
            for device in &comparison.machine.devices {
                if let Some(found) = comparison.crossover(&workload.name, device.spec) {
                    let (spec, name, unit) = (device.spec, &workload.name, &workload.size_unit);
                    lines.push(format!(
                        "{machine}{name}: {spec} is faster than the processor {found} ({unit})"
                    ));
                }
            }
        }
    }
    lines
}

/// What to know of a device where one chooses it.
fn note(device: DeviceSpec) -> &'static str {
    match device {
        DeviceSpec::Flex => "the fast one for processors, and what the others are held against",
        DeviceSpec::NdArray => {
            "Burn's other backend for processors, with the same kernels for convolutions and normalisations; small \
             products and attention take longer"
        }
        DeviceSpec::Wgpu(_) => {
            "the first run of each shape compiles and tunes kernels; the same seed may differ in the last bits \
             from run to run"
        }
        _ => {
            "the first run of each shape compiles and tunes kernels; large matrix products may round their \
             factors, which the table says"
        }
    }
}

fn key(device: DeviceSpec) -> String {
    device.to_string().replace(':', "_")
}

/// The figures as flat keys: workload, size, device, figure with its unit.
pub(super) fn metrics(comparison: &Comparison, against: Option<&Changes>) -> Metrics {
    let mut metrics = Metrics::default();
    for row in &comparison.rows {
        let key = format!("{}_{}_{}", row.workload, row.size.label, key(row.device));
        let agrees = match row.status {
            Status::Measured { .. } => Some(true),
            Status::Disagrees { .. } => Some(false),
            _ => None,
        };
        if let Some(agrees) = agrees {
            metrics.set(&format!("{key}_agrees"), agrees);
        }
        if let Status::Measured { difference, .. } = row.status {
            metrics.set(&format!("{key}_difference"), difference);
        }
        let Some(found) = row.measurement() else { continue };
        metrics.set(&format!("{key}_first_run_ms"), 1e3 * found.first_run_s);
        metrics.set(&format!("{key}_median_ms"), 1e3 * found.median_s);
        metrics.set(&format!("{key}_low_ms"), 1e3 * found.low_s);
        metrics.set(&format!("{key}_high_ms"), 1e3 * found.high_s);
        metrics.set(&format!("{key}_repetitions"), found.repetitions);
        metrics.set(&format!("{key}_items_per_s"), found.items_per_s);
        if let Some(speed_up) = found.speed_up {
            metrics.set(&format!("{key}_speed_up"), speed_up);
        }
        if let Some(bytes) = found.memory_bytes {
            metrics.set(&format!("{key}_memory_bytes"), bytes);
        }
        if let Some(joules) = found.energy_j {
            metrics.set(&format!("{key}_energy_j"), joules);
        }
    }
    for change in against.iter().flat_map(|against| &against.rows) {
        let device = key(change.device);
        let key = format!("{}_{}_{device}_against", change.workload, change.size.label);
        metrics.set(&key, change.speed_up);
    }
    metrics
}

/// The rows as a table for a spreadsheet.
pub(super) fn csv(comparisons: &[&Comparison], out: &Path) -> anyhow::Result<()> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "machine",
        "processor",
        "workload",
        "kind",
        "size",
        "value",
        "device",
        "adapter",
        "status",
        "difference",
        "first_run_s",
        "median_s",
        "low_s",
        "high_s",
        "repetitions",
        "items_per_s",
        "speed_up",
        "memory_bytes",
        "energy_j",
    ])?;
    for (comparison, letter) in comparisons.iter().zip('A'..) {
        for row in &comparison.rows {
            let found = row.measurement();
            let number = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
            let (status, difference) = match &row.status {
                Status::Measured { difference, .. } => ("agrees", Some(*difference)),
                Status::Disagrees { difference, .. } => ("disagrees", *difference),
                Status::Unsupported { .. } => ("unsupported", None),
                _ => ("failed", None),
            };
            let workload = comparison.workloads.iter().find(|other| other.name == row.workload);
            let kind = workload.map_or(String::new(), |found| format!("{:?}", found.kind));
            let adapter = comparison.machine.device(row.device);
            table.write_record([
                letter.to_string(),
                comparison.machine.processor.clone(),
                row.workload.clone(),
                kind.to_lowercase(),
                row.size.label.clone(),
                row.size.value.to_string(),
                row.device.to_string(),
                adapter.map_or_else(String::new, |device| device.adapter.clone()),
                status.to_owned(),
                number(difference),
                number(found.map(|it| it.first_run_s)),
                number(found.map(|it| it.median_s)),
                number(found.map(|it| it.low_s)),
                number(found.map(|it| it.high_s)),
                number(found.map(|it| it.repetitions as f64)),
                number(found.map(|it| it.items_per_s)),
                number(found.and_then(|it| it.speed_up)),
                number(found.and_then(|it| it.memory_bytes).map(|it| it as f64)),
                number(found.and_then(|it| it.energy_j)),
            ])?;
        }
    }
    model_utils::atomic::write(out.join("comparison.csv"), &table.into_inner()?)?;
    Ok(())
}

/// Draws a picture a workload, and the page that carries them.
pub(super) fn page(
    comparisons: &[&Comparison],
    against: Option<&Changes>,
    out: &Path,
) -> anyhow::Result<()> {
    let mut page = Page::new("The same work on several devices")
        .text(
            "Each device first has to give the numbers of flex; then its time is measured, with \
             the device synchronised at the end of every run.",
        )
        .embed_from(out);
    for (comparison, letter) in comparisons.iter().zip('A'..) {
        let heading = match comparisons.len() {
            1 => "Machine".to_owned(),
            _ => format!("Machine {letter}"),
        };
        let mut machine = Section::new(heading).header(&["property", "value"]);
        for row in comparison.machine.properties() {
            machine = machine.row(&row);
        }
        for (name, value) in &comparison.settings {
            machine = machine.row(&[name, value]);
        }
        let devices = &comparison.machine.devices;
        for device in devices.iter().filter(|device| device.absent.is_none()) {
            machine = machine.text(format!("{}: {}.", device.spec, note(device.spec)));
        }
        page = page.section(machine);
    }

    let overview = Overview::new(comparisons);
    let mut section = Section::new("Which device for which work").text(
        "Medians at the smallest and the largest size measured; in brackets the time of the first \
         column ÷ this one, so that above 1 is faster.",
    );
    for line in overview.sentences.iter().chain(&crossovers(comparisons)) {
        section = section.text(line);
    }
    section = section.header(&overview.header());
    for row in overview.cells() {
        section = section.row(&row);
    }
    page = page.section(section);

    if let Some(against) = against {
        let mut section = Section::new("Against an earlier run").header(&Changes::HEADER);
        for line in &against.machine {
            section = section.text(format!("Differs: {line}"));
        }
        for cells in against.cells() {
            section = section.row(&cells);
        }
        for line in &against.lost {
            section = section.text(line);
        }
        if against.unmatched > 0 {
            let rows = against.unmatched;
            section = section.text(format!("{rows} rows are not in the earlier comparison"));
        }
        page = page.section(section);
    }
    for (comparison, letter) in comparisons.iter().zip('A'..) {
        for workload in &comparison.workloads {
            let (prefix, stem) = match comparisons.len() {
                1 => (String::new(), workload.name.clone()),
                _ => (format!("{letter}: "), format!("{letter}-{}", workload.name)),
            };
            let heading = format!("{prefix}{}", workload.title);
            let mut section = Section::new(heading).header(&Comparison::HEADER[1..]);
            // Devices that do not open stand in the table of the machine.
            for cells in comparison.cells().iter().filter(|cells| cells[0] == workload.name) {
                section = section.row(&cells[1..]);
            }
            if let Some(curves) = comparison.curves(&workload.name) {
                let file = format!("{stem}.svg");
                curves.save(out.join(&file))?;
                let caption = "Medians, with the quartiles behind them; both axes are logarithmic";
                section = section.picture(file, caption);
            }
            page = page.section(section);
        }
    }
    page.footer(
        "Time: the median of the runs; quartiles: half of the runs lie between them; first run: with \
         compilation and tuning; memory: what the card's allocator reserved, or on a processor the most \
         that the process held above what it held before; energy: of one run, of all that ran on that chip; difference: the largest one \
         from flex, as a share of the tensor's largest value, of a gradient as a share of the largest of all \
         gradients.",
    )
    .save(out.join("index.html"))?;
    Ok(())
}
