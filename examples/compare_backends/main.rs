//! The same work on several devices: whether they agree, and which is for what.
//!
//! ```console
//! $ cargo run --release --features ndarray --example compare_backends
//! $ cargo run --release --features wgpu --example compare_backends -- --sizes tiny,small,medium,large,huge
//! $ cargo run --release --features ndarray --example compare_backends -- --plant dropped-bias --only mlp
//! ```
//!
//! With the defaults, under a minute on two processor cores: `flex` and `ndarray` agree on all workloads, and
//! `flex` is a little faster. Where a graphics card is compared all five sizes are measured. The exit status is
//! 1 where a device disagrees or could not be judged; the page and the files are written all the same. After
//! Ctrl-C the same command with `--resume` goes on at the workload that was stopped.
//!
//! What holds for each device:
//!
//! - `ndarray` computes convolutions and normalisations by the same kernels as `flex` and comes close to it there;
//!   small products and attention take longer.
//! - `wgpu` compiles and tunes its kernels in the first run of each shape, seconds to minutes in all: that
//!   run is timed apart. The same seed twice may differ in the last bits, and starts from other weights than on a
//!   processor, where Burn draws them; here weights are made on the host.
//! - `cuda` may round the factors of large products to TensorFloat-32; the machine's table says whether it does,
//!   and the tolerance follows.

#![allow(clippy::print_stdout)]

mod attention;
mod compress;
mod densenet;
mod dqn;
mod gan;
mod matmul;
mod mlp;
mod mobilenet;
mod policy_value;
mod ppo;
mod report;
mod resnet;
mod setup;
mod translation;
mod vgg;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum as _};
use common::flags::{TIME_S, file, positive, signed, within};
use common::{Resume, Session, program};
use model_utils::compare::{CompareConfig, Comparison, Machine, Status, Workload};
use model_utils::device::{DeviceClass, DeviceSpec};

use setup::{Fault, LABELS, Setup};

type Make = fn(Setup) -> Workload;

/// Time for the runs of a row that is only judged, in seconds.
const JUDGED_S: f64 = 1e-3;

/// Each workload from what it is made from, in the order they run.
const WORKLOADS: [Make; 15] = [
    matmul::workload,
    matmul::half,
    attention::workload,
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
    ///
    /// `ndarray` comes close to `flex` but in small products and attention. `wgpu` compiles kernels in the first run of each shape, which
    /// takes seconds to minutes; the same seed may differ there in the last bits. `cuda` may round factors to
    /// TensorFloat-32, and is judged by that.
    #[arg(long, value_name = "SPEC,SPEC,…", value_delimiter = ',')]
    devices: Vec<DeviceSpec>,
    /// Sizes of each workload [default: small and medium; all five where a graphics card is compared]
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(LABELS))]
    sizes: Vec<String>,
    /// Only these workloads
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// An earlier run's comparison.json to hold this one against
    #[arg(long, value_name = "FILE", value_parser = file())]
    against: Option<PathBuf>,
    /// Measure nothing: one page of several machines' comparison.json
    #[arg(
        long,
        value_name = "FILE,FILE,…",
        value_delimiter = ',',
        value_parser = file(),
        conflicts_with_all = ["devices", "sizes", "only", "against", "plant"]
    )]
    merge: Vec<PathBuf>,
    /// A control: a mistake planted on every device but flex, which has to be found
    #[arg(long, value_enum, value_name = "FAULT")]
    plant: Option<Fault>,
    /// Time for the timed runs of a row, in seconds; a row of which one run takes longer is timed
    /// once
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = positive(TIME_S))]
    budget_s: f64,
    /// What weights and inputs follow from
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = within(0..=u64::from(u32::MAX)))]
    seed: u64,
    /// Seeds to judge, from --seed on; the first is timed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1_u64..=1_000_000))]
    seeds: u64,
    /// Folder for the page, the pictures, metrics.json, comparison.json and comparison.csv
    #[arg(long, value_name = "DIR", default_value = "out/compare_backends")]
    out: PathBuf,
}

impl Args {
    /// What is kept beside the rows.
    fn settings(&self) -> BTreeMap<String, String> {
        let plant = self.plant.and_then(|fault| fault.to_possible_value());
        let mut settings = BTreeMap::from([
            ("seed".to_owned(), self.seed.to_string()),
            ("seeds".to_owned(), self.seeds.to_string()),
            ("budget".to_owned(), format!("{} s a row", self.budget_s)),
        ]);
        settings.extend(plant.map(|fault| ("planted".to_owned(), fault.get_name().to_owned())));
        settings
    }

    /// What workloads are made from, with the seed this far from the first.
    fn setup(&self, offset: u64) -> Setup {
        Setup { seed: self.seed + offset, fault: self.plant }
    }
}

fn main() -> ExitCode {
    program("compare_backends", run)
}

fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    model_utils::memory::keep_freed_memory();
    if !args.merge.is_empty() {
        return merge(&args);
    }
    // Before the long work, so that a file that cannot be read is known at once.
    let old = args.against.as_ref().map(Comparison::load).transpose()?;
    let devices = if args.devices.is_empty() {
        DeviceSpec::built().into_iter().filter(|spec| spec.open().is_ok()).collect()
    } else {
        args.devices.clone()
    };
    let machine = Machine::describe(&devices);
    let devices: Vec<DeviceSpec> = machine.devices.iter().map(|device| device.spec).collect();
    let absent: Vec<&str> =
        machine.devices.iter().filter_map(|device| device.absent.as_deref()).collect();
    if absent.len() == devices.len() {
        bail!("--devices: none of the devices answers: {}", absent.join("; "));
    }
    let has_card = machine.devices.iter().any(|one| one.class == Some(DeviceClass::Gpu));
    let workloads = selected(&args)?;

    let mut found = Vec::new();
    for make in workloads {
        let name = make(args.setup(0)).description.name;
        session.stage(&name);
        found.push(session.part(&name, || judged(&args, make, has_card, &devices, session))?);
    }
    let devices_of = |all: &Comparison| -> Vec<DeviceSpec> {
        all.machine.devices.iter().map(|device| device.spec).collect()
    };
    if let Some(other) = found.iter().find(|one| devices_of(one) != devices) {
        bail!(
            "--resume: {} was measured on other devices ({}): leave --resume out",
            other.workloads[0].name,
            devices_of(other).iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        );
    }
    let comparison = found.into_iter().reduce(|mut all: Comparison, next| {
        all.workloads.extend(next.workloads);
        all.rows.extend(next.rows);
        all
    });
    let mut comparison = comparison.context("no workload")?;
    comparison.settings = args.settings();
    comparison.save(args.out.join("comparison.json"))?;
    let against = old.map(|old| comparison.against(&old));
    report::metrics(&comparison, against.as_ref()).write(&args.out)?;
    report::csv(&[&comparison], &args.out)?;
    report::page(&[&comparison], against.as_ref(), &args.out)?;

    print!("\n{comparison}\n{}", report::overview(&[&comparison]));
    if let Some(against) = &against {
        println!("\nagainst {}:\n{against}", args.against.unwrap_or_default().display());
    }
    println!("\nwrote {}; open index.html in a browser", args.out.display());
    verdict(&comparison)
}

/// One page of several machines' files.
fn merge(args: &Args) -> anyhow::Result<()> {
    ensure!(args.merge.len() <= 26, "--merge: {} files, 26 at the most", args.merge.len());
    let loaded = args.merge.iter().map(Comparison::load).collect::<Result<Vec<_>, _>>()?;
    let all: Vec<&Comparison> = loaded.iter().collect();
    report::csv(&all, &args.out)?;
    report::page(&all, None, &args.out)?;
    print!("{}", report::overview(&all));
    println!("\nwrote {}; open index.html in a browser", args.out.display());
    for (comparison, letter) in all.into_iter().zip('A'..) {
        verdict(comparison).with_context(|| format!("machine {letter}"))?;
    }
    Ok(())
}

/// Whether every device was judged and agrees.
fn verdict(comparison: &Comparison) -> anyhow::Result<()> {
    let absent = comparison.machine.devices.iter().filter_map(|device| {
        Some(format!("{} does not answer ({})", device.spec, device.absent.as_ref()?))
    });
    let of_rows = |is_wanted: fn(&Status) -> Option<&'static str>| {
        comparison.rows.iter().filter_map(move |row| {
            let what = is_wanted(&row.status)?;
            Some(format!("{} {} {what} on {}", row.workload, row.size.label, row.device))
        })
    };
    let wrong = of_rows(|status| match status {
        Status::Disagrees { .. } => Some("disagrees"),
        Status::Failed { .. } => Some("failed"),
        _ => None,
    });
    let wrong: Vec<String> = absent.chain(wrong).collect();
    let unsupported = of_rows(|status| match status {
        Status::Unsupported { .. } => Some("is not supported"),
        _ => None,
    });
    for line in unsupported {
        println!("not judged: {line}");
    }
    ensure!(wrong.is_empty(), "not all agree: {}", wrong.join("; "));
    let others = comparison.rows.iter().filter(|row| row.device != DeviceSpec::Flex);
    match others.filter(|row| row.measurement().is_some()).count() {
        0 => println!("nothing was compared with flex"),
        judged => println!("{judged} rows agree with flex"),
    }
    Ok(())
}

/// A workload on all devices, with every seed: timed with the first, judged with each.
fn judged(
    args: &Args,
    make: Make,
    has_card: bool,
    devices: &[DeviceSpec],
    session: &Session,
) -> anyhow::Result<Comparison> {
    let run = |offset: u64, budget_s: f64| {
        let mut workload = make(args.setup(offset));
        workload.sizes.retain(|size| {
            if args.sizes.is_empty() {
                has_card || size.label == "small" || size.label == "medium"
            } else {
                args.sizes.contains(&size.label)
            }
        });
        let config = CompareConfig::new().with_budget_s(budget_s);
        config.run(&[workload], devices, &mut session.progress())
    };
    Setup::was_planted();
    let mut comparison = run(0, args.budget_s)?;
    if args.plant.is_some() && !Setup::was_planted() {
        let name = &comparison.workloads[0].name;
        bail!("--plant: there is no place for it in {name} on these devices: nothing was planted");
    }
    for offset in 1..args.seeds {
        for (row, other) in comparison.rows.iter_mut().zip(run(offset, JUDGED_S)?.rows) {
            row.status.join(other.status, &format!("seed {}", args.seed + offset));
        }
    }
    Ok(comparison)
}

/// The workloads that were asked for.
fn selected(args: &Args) -> anyhow::Result<Vec<Make>> {
    let name = |make: &Make| make(args.setup(0)).description.name;
    for only in &args.only {
        let known: Vec<_> = WORKLOADS.iter().map(name).collect();
        let listed = known.join(", ");
        ensure!(
            known.contains(only),
            "--only: unknown workload `{only}`: expected one of {listed}"
        );
    }
    let is_asked = |make: &Make| args.only.is_empty() || args.only.contains(&name(make));
    Ok(WORKLOADS.into_iter().filter(is_asked).collect())
}
