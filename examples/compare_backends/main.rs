//! The same work on several devices: whether they agree, and what each costs.
//!
//! ```console
//! $ cargo run --release --features ndarray --example compare_backends
//! $ cargo run --release --features wgpu --example compare_backends -- --sizes small,medium,large
//! ```
//!
//! With the defaults, under three minutes on two processor cores: `flex` and `ndarray` agree within
//! 1e-3 on all workloads, and `flex` is a little faster. After
//! Ctrl-C the same command with `--resume` goes on at the workload that was stopped.

#![allow(clippy::print_stdout)]

mod compress;
mod densenet;
mod dqn;
mod gan;
mod matmul;
mod mlp;
mod mobilenet;
mod policy_value;
mod ppo;
mod resnet;
mod shared;
mod translation;
mod vgg;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use common::flags::{TIME_S, file, positive, signed, within};
use common::{Metrics, Resume, Session, program};
use model_utils::compare::{Changes, CompareConfig, Comparison, Status, Workload};
use model_utils::device::DeviceSpec;
use model_utils::picture::{Page, Section};

/// Each workload from the seed of its weights and inputs, in the order they run.
const WORKLOADS: [fn(u64) -> Workload; 13] = [
    matmul::workload,
    mlp::workload,
    mobilenet::workload,
    densenet::workload,
    ppo::workload,
    dqn::workload,
    resnet::workload,
    vgg::workload,
    policy_value::workload,
    gan::workload,
    translation::training,
    translation::decoding,
    compress::workload,
];

/// Compare devices: agreement first, then time
#[derive(Debug, Parser)]
#[command(mut_args(signed))]
struct Args {
    #[command(flatten)]
    resume: Resume,
    /// Devices to compare [default: one of each kind in this build that answers]
    #[arg(long, value_name = "SPEC,SPEC,…", value_delimiter = ',')]
    devices: Vec<DeviceSpec>,
    /// Sizes of each workload
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Label::Small, Label::Medium])]
    sizes: Vec<Label>,
    /// Only these workloads
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// An earlier run's comparison.json to hold this one against
    #[arg(long, value_name = "FILE", value_parser = file())]
    against: Option<PathBuf>,
    /// Time for the timed runs of a row, in seconds; a row of which one run takes longer is timed
    /// once
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = positive(TIME_S))]
    budget_s: f64,
    /// What weights and inputs follow from
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = within(0..=u64::from(u32::MAX)))]
    seed: u64,
    /// Folder for the page, the pictures, metrics.json and comparison.json
    #[arg(long, value_name = "DIR", default_value = "out/compare_backends")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Label {
    Small,
    Medium,
    Large,
}

impl Label {
    fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

fn main() -> ExitCode {
    program("compare_backends", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    model_utils::memory::keep_freed_memory();
    let workloads = selected(&args)?;
    // Before the long work, so that a file that cannot be read is known at once.
    let old = args.against.as_ref().map(Comparison::load).transpose()?;
    let devices = if args.devices.is_empty() {
        DeviceSpec::built().into_iter().filter(|spec| spec.open().is_ok()).collect()
    } else {
        args.devices.clone()
    };

    let closed = devices.iter().filter_map(|device| device.open().err()).collect::<Vec<_>>();
    if closed.len() == devices.len() {
        let reasons: Vec<String> = closed.iter().map(ToString::to_string).collect();
        bail!("--devices: none of the devices answers: {}", reasons.join("; "));
    }
    let config = CompareConfig::new().with_budget_s(args.budget_s);
    let mut found = Vec::new();
    for workload in workloads.chunks(1) {
        let name = &workload[0].description.name;
        session.stage(name);
        found.push(
            session
                .part(name, || Ok(config.run(workload, &devices, &mut session.progress())?))?,
        );
    }
    let comparison = found.into_iter().reduce(|mut all: Comparison, next| {
        all.workloads.extend(next.workloads);
        all.rows.extend(next.rows);
        all
    });
    let comparison = comparison.context("no workload")?;
    comparison.save(args.out.join("comparison.json"))?;
    let against = old.map(|old| comparison.against(&old));
    metrics(&comparison, against.as_ref()).write(&args.out)?;
    page(&comparison, against.as_ref(), &args.out)?;

    println!("\n{comparison}");
    for line in crossovers(&comparison) {
        println!("{line}");
    }
    if let Some(against) = &against {
        println!("against {}:\n{against}", args.against.unwrap_or_default().display());
    }
    println!("wrote {}; open index.html in a browser", args.out.display());
    Ok(())
}

/// The workloads and sizes that were asked for.
fn selected(args: &Args) -> anyhow::Result<Vec<Workload>> {
    let mut workloads: Vec<Workload> = WORKLOADS.iter().map(|make| make(args.seed)).collect();
    for name in &args.only {
        if workloads.iter().all(|workload| workload.description.name != *name) {
            let known: Vec<_> =
                workloads.iter().map(|workload| workload.description.name.as_str()).collect();
            bail!("--only: unknown workload `{name}`: expected one of {}", known.join(", "));
        }
    }
    if !args.only.is_empty() {
        workloads.retain(|workload| args.only.contains(&workload.description.name));
    }
    for workload in &mut workloads {
        workload.sizes.retain(|size| args.sizes.iter().any(|label| label.name() == size.label));
    }
    Ok(workloads)
}

/// A line for each workload and graphics card.
fn crossovers(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for workload in &comparison.workloads {
        for device in &comparison.machine.devices {
            if let Some(found) = comparison.crossover(&workload.name, device.spec) {
                let (spec, name, unit) = (device.spec, &workload.name, &workload.size_unit);
                lines.push(format!("{name}: {spec} is faster than the processor {found} ({unit})"));
            }
        }
    }
    lines
}

/// The figures as flat keys: workload, size, device, figure with its unit.
fn metrics(comparison: &Comparison, against: Option<&Changes>) -> Metrics {
    let mut metrics = Metrics::default();
    let device_key = |device: DeviceSpec| device.to_string().replace(':', "_");
    for row in &comparison.rows {
        let key = format!("{}_{}_{}", row.workload, row.size.label, device_key(row.device));
        metrics.set(&format!("{key}_agrees"), matches!(row.status, Status::Measured { .. }));
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
    }
    for change in against.iter().flat_map(|against| &against.rows) {
        let device = device_key(change.device);
        let key = format!("{}_{}_{device}_against", change.workload, change.size.label);
        metrics.set(&key, change.speed_up);
    }
    metrics
}

/// Draws a picture a workload, and the page that carries them.
fn page(comparison: &Comparison, against: Option<&Changes>, out: &Path) -> anyhow::Result<()> {
    let mut machine = Section::new("Machine").header(&["property", "value"]);
    for row in comparison.machine.properties() {
        machine = machine.row(&row);
    }
    let mut page = Page::new("The same work on several devices")
        .text(
            "Each device first has to give the numbers of flex; then its time is measured, with \
             the device synchronised at the end of every run. Time: the median of the runs; \
             quartiles: half of the runs lie between them; first run: with compilation and \
             tuning; difference: the largest one from flex, as a share of the largest value.",
        )
        .embed_from(out);
    for workload in &comparison.workloads {
        let mut section = Section::new(&workload.title).header(&Comparison::HEADER[1..]);
        // Devices that do not open stand in the table of the machine.
        for cells in comparison.cells().iter().filter(|cells| cells[0] == workload.name) {
            section = section.row(&cells[1..]);
        }
        for line in crossovers(comparison) {
            if line.starts_with(&format!("{}: ", workload.name)) {
                section = section.text(line);
            }
        }
        if let Some(curves) = comparison.curves(&workload.name) {
            let file = format!("{}.svg", workload.name);
            curves.save(out.join(&file))?;
            let caption = "Medians, with the quartiles behind them; both axes are logarithmic";
            section = section.picture(file, caption);
        }
        page = page.section(section);
    }
    if let Some(against) = against {
        let mut section = Section::new("Against an earlier run").header(&Changes::HEADER);
        for line in &against.machine {
            section = section.text(format!("Another machine: {line}"));
        }
        for cells in against.cells() {
            section = section.row(&cells);
        }
        page = page.section(section);
    }
    page.section(machine).save(out.join("index.html"))?;
    Ok(())
}
