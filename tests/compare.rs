//! `compare_backends` as a judge: every workload agrees on every device that answers, and mistakes that
//! are planted on the other devices are all found.
#![allow(missing_docs, clippy::print_stderr)]

mod built;

use std::fs;
use std::path::Path;
use std::process::Output;

use built::example;
use model_utils::compare::{Comparison, Status};
use model_utils::device::DeviceSpec;

/// Runs it on these devices; whether it ended well, and what it measured.
fn compare(out: &Path, devices: &[DeviceSpec], more: &[&str]) -> (bool, String, Comparison) {
    let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let output = example("compare_backends")
        .args(["--devices", &devices.join(","), "--sizes", "tiny", "--budget-s", "0.01", "--out"])
        .arg(out)
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let comparison = Comparison::load(out.join("comparison.json")).expect(&text);
    (output.status.success(), text, comparison)
}

/// Every row agrees, or is half precision where there is none.
fn all_agree(devices: &[DeviceSpec], more: &[&str]) -> Comparison {
    let out = tempfile::tempdir().unwrap();
    let (is_well, text, comparison) = compare(out.path(), devices, more);
    assert!(is_well, "{text}\n{comparison}");
    for row in &comparison.rows {
        match &row.status {
            Status::Measured { .. } => {}
            Status::Unsupported { .. } if row.workload == "matmul_half" => {}
            _ => panic!("{row:?}"),
        }
    }
    comparison
}

#[test]
fn every_workload_agrees_on_both_processor_backends() {
    let comparison = all_agree(&[DeviceSpec::Flex, DeviceSpec::NdArray], &["--seeds", "2"]);
    assert_eq!((comparison.workloads.len(), comparison.rows.len()), (15, 30), "{comparison}");
}

/// Of all workloads a slice: in software a card compiles kernels for ten minutes.
#[test]
fn workloads_agree_on_a_card_that_answers() {
    let card = DeviceSpec::Wgpu(None);
    match card.info() {
        Ok(info) => {
            let slice = "matmul,matmul_half,attention,mlp";
            let comparison = all_agree(&[DeviceSpec::Flex, card], &["--only", slice]);
            eprintln!("on {info}:\n{comparison}");
        }
        Err(error) => eprintln!("not tested on a card: {error}"),
    }
}

#[test]
fn planted_mistakes_are_found() {
    let out = tempfile::tempdir().unwrap();
    let devices = [DeviceSpec::Flex, DeviceSpec::NdArray];
    for (fault, workloads) in [
        ("bias-element", ["mlp", "translation", "decoding"]),
        ("epsilon", ["mobilenet_v2", "resnet18", "policy_value"]),
        ("stride", ["mobilenet_v2", "vgg", "quantized"]),
        ("transposed-weight", ["matmul", "mlp", "translation"]),
        ("dropped-bias", ["mlp", "densenet", "decoding"]),
        ("gradient-sign", ["mlp", "gan", "translation"]),
        ("mask", ["attention", "translation", "decoding"]),
        ("running-statistics", ["densenet", "vgg", "gan"]),
        ("half", ["matmul", "mlp", "resnet18"]),
        ("stale-parameter", ["mlp", "gan", "translation"]),
    ] {
        let only = workloads.join(",");
        let (is_well, text, comparison) =
            compare(out.path(), &devices, &["--plant", fault, "--only", &only]);
        assert!(!is_well, "{fault} went unseen");
        for workload in workloads {
            let row = |device| comparison.row(workload, "tiny", device).unwrap();
            let found = &row(DeviceSpec::NdArray).status;
            assert!(matches!(found, Status::Disagrees { .. }), "{fault}: {found:?}");
            assert!(text.contains(&format!("{workload} tiny disagrees on ndarray")), "{text}");
            assert!(row(DeviceSpec::Flex).measurement().is_some(), "{fault}");
        }
    }
    // What has no place for it is no control.
    for (fault, workload, devices) in
        [("mask", "mlp", &devices[..]), ("dropped-bias", "mlp", &devices[..1])]
    {
        let output = example("compare_backends")
            .args(["--only", workload, "--sizes", "tiny", "--budget-s", "0.01", "--plant", fault])
            .args([
                "--devices",
                &devices.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            ])
            .arg("--out")
            .arg(out.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains("nothing was planted"), "{text}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn compare_backends(out: &Path, args: &[&str]) -> Output {
    example("compare_backends").arg("--out").arg(out).args(args).output().unwrap()
}

#[test]
fn a_comparison_that_cannot_be_made_says_why() {
    let out = tempfile::tempdir().unwrap();
    let refused = |args: &[&str]| {
        let output = compare_backends(out.path(), args);
        assert!(!output.status.success(), "{args:?} succeeded");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        text
    };
    let text = refused(&["--devices", "flex,abacus"]);
    assert!(text.contains("unknown device `abacus`: expected one of flex, ndarray"), "{text}");
    let text = refused(&["--only", "matmul,chess"]);
    assert!(
        text.contains("unknown workload `chess`: expected one of matmul, matmul_half"),
        "{text}"
    );
    assert!(refused(&["--sizes", "giant"]).contains("small, medium, large"));
    let foreign = out.path().join("metrics.json");
    fs::write(&foreign, "{\"test_accuracy\": 0.5}").unwrap();
    let text = refused(&["--against", path(&foreign)]);
    assert!(text.contains("metrics.json is not a valid comparison file"), "{text}");
    let text = refused(&["--devices", "cuda:99", "--only", "matmul", "--sizes", "small"]);
    assert!(text.contains("none of the devices answers"), "{text}");
}

#[test]
fn a_small_comparison_writes_its_files_and_goes_against_itself() {
    let out = tempfile::tempdir().unwrap();
    let mut args = vec!["--devices", "flex,ndarray", "--only", "matmul,mlp"];
    args.extend(["--sizes", "small", "--budget-s", "0.05"]);
    let run = |args: &[&str]| {
        let output = compare_backends(out.path(), args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = run(&args);
    assert!(table.contains("multiply-adds/s") && !table.contains("DISAGREES"), "{table}");
    assert!(table.contains("2 rows agree with flex"), "{table}");

    let metrics = fs::read(out.path().join("metrics.json")).unwrap();
    let metrics = serde_json::from_slice::<serde_json::Value>(&metrics).unwrap();
    for key in ["matmul_small_flex_median_ms", "mlp_small_flex_items_per_s"] {
        assert!(metrics[key].as_f64().unwrap() > 0.0, "{key}: {metrics}");
    }
    assert_eq!(metrics["mlp_small_flex_agrees"], true);
    for file in ["comparison.json", "comparison.csv", "index.html", "matmul.svg", "mlp.svg"] {
        assert!(fs::metadata(out.path().join(file)).unwrap().len() > 500, "{file}");
    }
    let page = fs::read_to_string(out.path().join("index.html")).unwrap();
    assert!(page.contains("data:image/svg+xml;base64,") && !page.contains("src=\"m"));

    let old = out.path().join("comparison.json");
    args.extend(["--against", path(&old)]);
    let text = run(&args);
    assert!(text.contains("before") && !text.contains("differs: processor"), "{text}");

    // Several machines' on one page, without measuring.
    let merged = tempfile::tempdir().unwrap();
    let both = format!("{0},{0}", path(&old));
    let output = compare_backends(merged.path(), &["--merge", &both]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("B ndarray"), "{text}");
    let page = fs::read_to_string(merged.path().join("index.html")).unwrap();
    assert!(page.contains("Machine A") && page.contains("Machine B"));
    let rows = fs::read_to_string(merged.path().join("comparison.csv")).unwrap();
    assert!(rows.contains("\nA,") && rows.contains("\nB,"), "{rows}");
    assert_eq!(rows.lines().count(), 1 + 2 * 4, "{rows}");

    // What does not answer does not agree; the files are there all the same.
    let absent = ["--devices", "flex,cuda:99", "--only", "matmul", "--sizes", "small"];
    let output = compare_backends(out.path(), &absent);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("cuda:99 does not answer"), "{text}");
    let csv = fs::read_to_string(out.path().join("comparison.csv")).unwrap();
    assert!(csv.contains("matmul") && !csv.contains("mlp"), "{csv}");
}
