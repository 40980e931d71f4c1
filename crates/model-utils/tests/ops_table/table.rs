//! The rows of the table: an operation's cases, on every device and in every mode.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use model_utils::device::{DeviceClass, DeviceSpec};

use crate::case::{Case, Operation, Role};
use crate::compare::{Expected, Which, difference, outcome};
use crate::draw::Draw;
use crate::panics;
use crate::run::{Mode, Outcome};

/// Cases of an operation on a graphics card, which are of finite numbers alone; none begins after
/// this long, for each shape of a product is tuned anew, for seconds on a software Vulkan.
const CASES_ON_GPU: u64 = 50;
const TIME_ON_GPU: Duration = Duration::from_secs(15);

/// A device, and whose operation runs on it.
pub struct Column {
    pub name: String,
    which: Which,
    device: Device,
    gpu: bool,
}

/// The columns of this build on this machine; says which are left out.
pub fn columns() -> Vec<Column> {
    let found = DeviceSpec::available();
    let mut columns = Vec::new();
    for family in DeviceSpec::built() {
        let Some(info) = found.iter().find(|info| info.spec.feature() == family.feature()) else {
            println!("no {} adapter answers: not tested on it", family.feature());
            continue;
        };
        let device = info.spec.open().expect("it answered");
        let gpu = info.class != DeviceClass::Cpu;
        let name = info.spec.to_string();
        if family == DeviceSpec::Flex {
            let (name, device) = ("Burn's on flex".to_owned(), device.clone());
            columns.push(Column { name, which: Which::Burns, device, gpu });
        }
        columns.push(Column { name, which: Which::Ours, device, gpu });
    }
    columns
}

/// An operation's counts, a column each.
pub struct Row {
    pub name: &'static str,
    pub cases: u64,
    pub seconds: f64,
    /// Cases on a graphics card, and how long they took.
    on_gpu: (u64, Duration),
    /// By column, and whether they are misfits: the cases that differ.
    pub differing: BTreeMap<(String, bool), u64>,
    /// By column, and mode or misfit: the first of them.
    first: BTreeMap<(String, String), String>,
}

/// Runs the cases of these numbers; one case alone is told before it runs.
pub fn row(operation: &Operation, numbers: Range<u64>, columns: &[Column]) -> Row {
    let told = numbers.end - numbers.start == 1;
    panics::silence();
    let start = Instant::now();
    let mut row = Row {
        name: operation.name,
        cases: 0,
        seconds: 0.0,
        on_gpu: (0, Duration::ZERO),
        differing: BTreeMap::new(),
        first: BTreeMap::new(),
    };
    for number in numbers {
        row.cases += 1;
        let case = (operation.generate)(&mut Draw::new(operation.name, number));
        if told {
            println!("{}", case.description());
        }
        let mut expected = Vec::new();
        for column in columns {
            if column.gpu {
                let (cases, spent) = row.on_gpu;
                if cases >= CASES_ON_GPU || spent > TIME_ON_GPU || !case.is_finite() {
                    continue;
                }
                row.on_gpu.0 += 1;
            }
            let start = Instant::now();
            let differences = differences(&case, column, &mut expected);
            row.differs(column, false, number, &case, differences);
            if column.gpu {
                row.on_gpu.1 += start.elapsed();
            }
        }
        // A misfit for every fifth case.
        if let Some(misfit) = operation.misfit.filter(|_| number % 5 == 0) {
            let case = misfit(&mut Draw::new(operation.name, number));
            if told {
                println!("misfit {}", case.description());
            }
            let ours = |column: &&Column| column.which == Which::Ours && !column.gpu;
            for column in columns.iter().filter(ours) {
                let difference = refuses(operation.name, &case, column).err();
                let difference = difference.map(|difference| ("misfit".to_owned(), difference));
                row.differs(column, true, number, &case, difference);
            }
        }
    }
    row.seconds = start.elapsed().as_secs_f64();
    row
}

impl Row {
    /// Takes what differs, by mode or as misfit.
    fn differs(
        &mut self,
        column: &Column,
        misfit: bool,
        number: u64,
        case: &Case,
        differences: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut any = false;
        for (kind, difference) in differences {
            any = true;
            let words = || format!("{number}: {difference}\n      {}", case.description());
            self.first.entry((column.name.clone(), kind)).or_insert_with(words);
        }
        if any {
            *self.differing.entry((column.name.clone(), misfit)).or_default() += 1;
        }
    }

    fn count(&self, column: &Column, misfit: bool) -> u64 {
        self.differing.get(&(column.name.clone(), misfit)).copied().unwrap_or(0)
    }
}

/// Where a case is not as the oracle says, by mode, of the modes that differ from the others.
fn differences(case: &Case, column: &Column, known: &mut Vec<Expected>) -> Vec<(String, String)> {
    let has = |role| case.inputs.iter().any(|input| input.role == role);
    let modes = match (has(Role::Batch), has(Role::Weight)) {
        (_, true) => 4,
        (true, false) => 2,
        (false, false) => 1,
    };
    let mut differences = Vec::new();
    for mode in Mode::ALL.into_iter().take(modes) {
        let found = match outcome(case, column.which, mode, &column.device) {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(panic) => {
                differences.push((format!("{mode:?}"), panic));
                continue;
            }
        };
        let expected = expected(case, mode, &found, known);
        if let Err(found) = difference(case, mode, &found, expected) {
            differences.push((format!("{mode:?}"), found));
        }
    }
    differences
}

/// What the oracle says, from what it said before where nothing else can come of it.
fn expected<'k>(
    case: &Case,
    mode: Mode,
    seen: &Outcome,
    known: &'k mut Vec<Expected>,
) -> &'k Expected {
    if case.call.depends_on_run() {
        known.clear();
    }
    if known.is_empty() {
        known.push(Expected::of(case, mode, seen));
    }
    &known[0]
}

/// Whether an operation refuses a misfit with one panic that names it and a shape.
fn refuses(name: &str, case: &Case, column: &Column) -> Result<(), String> {
    for mode in [Mode::Inference, Mode::Training] {
        panics::take();
        let run = || {
            let mut run = crate::run::Run::new(case, mode, &column.device);
            case.call.ours(&mut run);
        };
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
        let told = panics::take();
        if !panicked {
            return Err(format!("{mode:?}: taken"));
        }
        let [message] = told.as_slice() else {
            return Err(format!("{mode:?}: {} panics: {}", told.len(), told.join("; ")));
        };
        let shapes = case.inputs.iter().map(|input| input.array.shape.clone());
        let mut shapes = shapes.chain(case.call.shapes());
        if !message.contains(name) || !shapes.any(|shape| message.contains(&format!("{shape:?}"))) {
            return Err(format!("{mode:?}: says {message:?}"));
        }
    }
    Ok(())
}

/// The table in words: a line an operation, with how many cases and how many misfits differ, then
/// the first of each.
pub fn report(rows: &[Row], columns: &[Column]) -> String {
    let mut text = format!("{:28} {:>7} {:>8}", "operation", "cases", "s");
    for column in columns {
        let _ = write!(text, " {:>16}", column.name);
    }
    for row in rows {
        let _ = write!(text, "\n{:28} {:>7} {:>8.2}", row.name, row.cases, row.seconds);
        for column in columns {
            let [cases, misfits] = [false, true].map(|misfit| row.count(column, misfit));
            let counts = if column.gpu {
                format!("{cases} of {}", row.on_gpu.0)
            } else {
                format!("{cases} + {misfits}")
            };
            let _ = write!(text, " {counts:>16}");
        }
    }
    for row in rows {
        let mut told: Vec<(&str, Vec<&str>, &str)> = Vec::new();
        for ((column, kind), first) in &row.first {
            match told.iter_mut().find(|(other, _, text)| other == column && text == first) {
                Some((_, kinds, _)) => kinds.push(kind),
                None => told.push((column, vec![kind], first)),
            }
        }
        for (column, kinds, first) in told {
            let kinds = kinds.join(", ");
            let _ = write!(text, "\n{} on {column}, first in {kinds}: {first}", row.name);
        }
    }
    text
}
