//! What is made of a comparison's rows: crossovers, the overview, files, what changed since.
#![allow(missing_docs, clippy::float_cmp)] // Exact numbers where the arithmetic is exact.

use std::fs;

use model_utils::Error;
use model_utils::compare::{
    CompareConfig, Comparison, Crossover, Measurement, Overview, Row, Size, Status, Workload,
    crossover,
};
use model_utils::device::{DeviceClass, DeviceSpec};
use model_utils::train::Silent;

const FLEX: DeviceSpec = DeviceSpec::Flex;

#[test]
fn crossovers_lie_where_straight_lines_on_logarithmic_axes_meet() {
    let at = |found| match found {
        Some(Crossover::From(size)) => size,
        other => panic!("{other:?}"),
    };
    // 8 against 2 · size: equal at 4.
    let constant = [(1.0, 8.0), (16.0, 8.0)];
    assert!((at(crossover(&constant, &[(16.0, 32.0), (1.0, 2.0)])) - 4.0_f64).abs() < 1e-12);
    // Ratio 4 at size 2, ratio 1/4 at size 32: equal at the geometric mean, 8.
    let found = crossover(&[(2.0, 4.0), (32.0, 1.0)], &[(2.0, 1.0), (32.0, 4.0)]);
    assert!((at(found) - 8.0_f64).abs() < 1e-12);
    // It counts from where it stays faster: won at 1, lost at 2, won at 4 and 8.
    let wobbly = [(1.0, 0.5), (2.0, 2.0), (4.0, 0.5), (8.0, 0.5)];
    let even = [(1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (8.0, 1.0)];
    assert!((at(crossover(&wobbly, &even)) - 8.0_f64.sqrt()).abs() < 1e-12);
    // Equal is not faster; just then it begins.
    assert!((at(crossover(&[(1.0, 1.0), (2.0, 0.5)], &even)) - 1.0).abs() < 1e-12);

    assert_eq!(crossover(&[(1.0, 0.5), (2.0, 0.9)], &even), Some(Crossover::Always));
    assert_eq!(crossover(&[(1.0, 0.5), (2.0, 1.1)], &even), Some(Crossover::Never));
    assert_eq!(crossover(&[(3.0, 0.5)], &even), None);
    assert_eq!(crossover(&[], &even), None);
}

/// A comparison of made-up times: `flex`, and a card that starts slow.
fn made_up() -> Comparison {
    let devices = [FLEX, DeviceSpec::Cuda(999)];
    let mut comparison = CompareConfig::new().run(&[], &devices, &mut Silent).unwrap();
    let description =
        Workload::new("net", |_, _| Err("never started".into())).title("A net").description;
    comparison.workloads.push(description);
    let card = &mut comparison.machine.devices[1];
    (card.class, card.absent) = (Some(DeviceClass::Gpu), None);
    "a card".clone_into(&mut card.adapter);
    for (label, size, flex_s, cuda_s) in
        [("small", 1.0, 0.002, 0.008), ("large", 16.0, 0.032, 0.008)]
    {
        for (device, median_s) in [(FLEX, flex_s), (DeviceSpec::Cuda(999), cuda_s)] {
            let measurement = Measurement {
                first_run_s: 1.0,
                median_s,
                low_s: 0.9 * median_s,
                high_s: 1.1 * median_s,
                repetitions: 11,
                items_per_s: size / median_s,
                speed_up: Some(flex_s / median_s),
                memory_bytes: (device != FLEX).then_some(3_000_000),
                energy_j: (device != FLEX).then_some(1.5),
            };
            comparison.rows.push(Row {
                workload: "net".to_owned(),
                size: Size::new(label, size, size),
                device,
                status: Status::Measured { difference: 1.25e-7, measurement },
            });
        }
    }
    comparison
}

#[test]
fn a_card_wins_from_its_crossover_on() {
    let comparison = made_up();
    assert_eq!(comparison.times("net", FLEX), [(1.0, 0.002), (16.0, 0.032)]);
    let Some(Crossover::From(size)) = comparison.crossover("net", DeviceSpec::Cuda(999)) else {
        panic!("{comparison}");
    };
    assert!((size - 4.0).abs() < 1e-9, "{size}");
    assert_eq!(comparison.crossover("net", FLEX), None);
    let mut software = made_up();
    software.machine.devices[1].class = Some(DeviceClass::SoftwareGpu);
    assert_eq!(software.crossover("net", DeviceSpec::Cuda(999)), None);
    let text = comparison.to_string();
    let line = text.lines().last().unwrap();
    for part in
        ["net", "large 16", "cuda:999", "8.00 ms", "2.00 k items/s", "4.00×", "3.00 MB", "1.50 J"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn the_overview_gives_ratios_means_and_sentences() {
    let one = made_up();
    let overview = Overview::new(&[&one]);
    assert_eq!(overview.columns, ["flex", "cuda:999"]);
    let cells = overview.cells();
    assert_eq!(cells[0], ["net", "small 1", "2.00 ms", "8.00 ms (0.25×)"]);
    assert_eq!(cells[1], ["net", "large 16", "32.0 ms", "8.00 ms (4.00×)"]);
    assert_eq!(cells[2][1..], ["inference, smallest sizes", "1.00× of 1", "0.25× of 1"]);
    assert_eq!(overview.sentences, ["net: cuda:999 from a size of about 4.0 on, flex below it."]);

    // Of two workloads the mean is geometric: 4 and 1 are 2.
    let mut two = made_up();
    let mut other = two.workloads[0].clone();
    "other".clone_into(&mut other.name);
    two.workloads.push(other);
    let large: Vec<Row> =
        two.rows.iter().filter(|row| row.size.label == "large").cloned().collect();
    let flex = large.iter().find(|row| row.device == FLEX).unwrap().clone();
    for row in large {
        two.rows.push(Row { workload: "other".into(), device: row.device, ..flex.clone() });
    }
    let overview = Overview::new(&[&two]);
    let means = overview.means.last().unwrap();
    assert_eq!(means.work, "inference, largest sizes");
    let (mean, count) = means.cells[1].unwrap();
    assert!((mean - 2.0).abs() < 1e-12 && count == 2, "{means:?}");
    assert!(
        overview.sentences.iter().any(|line| line == "flex and cuda:999 are about even in other."),
        "{overview:?}"
    );

    // Two machines' side by side; a software GPU is in the table and not in the sentences.
    let mut software = made_up();
    software.machine.devices[1].class = Some(DeviceClass::SoftwareGpu);
    let overview = Overview::new(&[&one, &software]);
    assert_eq!(overview.columns, ["A flex", "A cuda:999", "B flex", "B cuda:999"]);
    assert!(overview.sentences.iter().all(|line| !line.contains("B cuda")), "{overview:?}");
    assert!(Overview::new(&[&software]).sentences.is_empty());
}

#[cfg(feature = "picture")]
#[test]
fn the_picture_marks_the_crossover() {
    let comparison = made_up();
    let svg = comparison.curves("net").unwrap().to_svg().unwrap();
    assert!(svg.contains("A net") && svg.contains("cuda:999 faster from 4.0 on"), "{svg}");
    assert!(comparison.curves("other").is_none());
}

#[test]
fn a_comparison_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/comparison.json");
    let mut comparison = made_up();
    for status in [
        Status::Disagrees { difference: None, tolerance: 1e-4, reason: "shape".into() },
        Status::Unsupported { reason: "no".into() },
        Status::Failed { reason: "panicked: here".into() },
    ] {
        let row = Row { status, ..comparison.rows[0].clone() };
        comparison.rows.push(row);
    }
    comparison.save(&path).unwrap();
    assert_eq!(Comparison::load(&path).unwrap(), comparison);
}

#[test]
fn of_several_runs_the_worst_stays() {
    let measured = |difference| {
        let Status::Measured { measurement, .. } = made_up().rows[0].status.clone() else {
            panic!()
        };
        Status::Measured { difference, measurement }
    };
    let disagrees =
        |difference| Status::Disagrees { difference, tolerance: 1e-5, reason: "off".into() };
    let joined = |mut status: Status, other: Status| {
        status.join(other, "seed 7");
        status
    };
    assert_eq!(joined(measured(1e-7), measured(1e-6)), measured(1e-6));
    assert_eq!(joined(measured(1e-6), measured(1e-7)), measured(1e-6));
    let unsupported = || Status::Unsupported { reason: "no".into() };
    let failed = || Status::Failed { reason: "panicked".into() };
    assert_eq!(joined(failed(), disagrees(Some(0.1))), failed());
    assert_eq!(joined(disagrees(Some(0.2)), disagrees(Some(0.1))), disagrees(Some(0.2)));
    for (status, other) in [
        (unsupported(), disagrees(Some(0.1))),
        (measured(0.0), failed()),
        (disagrees(Some(0.1)), disagrees(None)),
    ] {
        match joined(status, other) {
            Status::Disagrees { reason, .. } | Status::Failed { reason } => {
                assert!(reason.starts_with("seed 7: "), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn bad_files_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("comparison.json");
    let refused = || {
        let error = Comparison::load(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("comparison.json"), "{text}");
        (matches!(error, Error::Format { .. }), text)
    };
    assert!(matches!(Comparison::load(&path), Err(Error::Io { action: "read", .. })));

    made_up().save(&path).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (is_format, text) = refused();
    assert!(is_format && text.contains("no JSON: EOF while parsing"), "{text}");

    fs::write(&path, "{\"test_accuracy\": 0.9}").unwrap();
    assert!(refused().1.contains("`format` is null, expected \"usagi comparison\""));

    fs::write(&path, whole.replace("\"version\": 2,", "\"version\": 99,")).unwrap();
    assert!(refused().1.contains("version 99, this build reads version 2"));

    fs::write(&path, whole.replace("\"median_s\"", "\"middle_s\"")).unwrap();
    assert!(refused().1.contains("missing field `median_s`"), "{}", refused().1);

    fs::write(&path, whole.replace("\"net\"", "\"../net\"")).unwrap();
    assert!(refused().1.contains("workload \"../net\", expected letters"), "{}", refused().1);
    fs::write(&path, whole.replace("\"median_s\": 0.002,", "\"median_s\": -1.0,")).unwrap();
    assert!(refused().1.contains("holds -1, expected a number above 0"), "{}", refused().1);

    fs::write(&path, whole.replace("\"cuda:999\"", "\"abacus\"")).unwrap();
    assert!(refused().1.contains("unknown device `abacus`"), "{}", refused().1);
}

#[test]
fn later_runs_are_held_against_earlier_ones_row_by_row() {
    let old = made_up();
    let mut new = made_up();
    new.machine.cores += 2;
    let scale = |row: &mut Row, factor: f64| {
        let Status::Measured { measurement: m, .. } = &mut row.status else { panic!() };
        (m.median_s, m.low_s, m.high_s) =
            (factor * m.median_s, factor * m.low_s, factor * m.high_s);
    };
    scale(&mut new.rows[0], 0.5); // clearly faster
    scale(&mut new.rows[1], 1.05); // within the quartiles
    scale(&mut new.rows[2], 2.0); // clearly slower
    new.rows[3].size.value = 17.0; // another size
    let against = new.against(&old);
    let found: Vec<_> = against.rows.iter().map(|c| (c.speed_up, c.clear)).collect();
    assert_eq!(found.len(), 3);
    for ((speed_up, clear), expected) in
        found.iter().zip([(2.0, true), (1.0 / 1.05, false), (0.5, true)])
    {
        assert!((speed_up - expected.0).abs() < 1e-12 && *clear == expected.1, "{found:?}");
    }
    assert_eq!(against.unmatched, 1);
    assert!(against.lost.is_empty());
    assert_eq!(against.machine.len(), 1);
    let text = against.to_string();
    for part in ["differs: logical cores", "2.00×", "within the spread", "slower"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("1 rows are not in the earlier comparison"), "{text}");
}

#[test]
fn what_is_not_measured_any_more_and_other_settings_are_named() {
    let old = made_up();
    let mut new = made_up();
    new.rows[3].status = Status::Failed { reason: "panicked".into() };
    new.settings.insert("plant".to_owned(), "mask".to_owned());
    let against = new.against(&old);
    assert_eq!(against.lost, ["net large 16 on cuda:999: no longer measured"]);
    assert_eq!(against.machine, ["plant: mask, was none"]);
}
