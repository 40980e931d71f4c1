//! Weights on disk as a user sees them. The files in `fixtures/` are made by
//! `fixtures/torch_import.py`.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::{Net, flex, read, weights_of};
use model_utils::weights::{self, Import, Manifest, Report, State, same_names};
use model_utils::{ConfigError, Error};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn manifest() -> Manifest {
    Manifest::new("model-utils", "net", &serde_json::json!({"classes": 2, "norm": {"eps": 1e-5}}))
        .unwrap()
}

/// `formula.py`'s input.
fn formula_input() -> Tensor<4> {
    let hash =
        "input".bytes().fold(0x811C_9DC5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let values: Vec<f32> = (0..2 * 3 * 8 * 8_u32)
        .map(|i| {
            let mut z = hash
                .wrapping_mul(2_654_435_761)
                .wrapping_add(i.wrapping_mul(40_503))
                .wrapping_add(12_345);
            z ^= z >> 16;
            z = z.wrapping_mul(2_246_822_519);
            z ^= z >> 13;
            z = z.wrapping_mul(3_266_489_917);
            z ^= z >> 16;
            (2.0 * (f64::from(z) / 4_294_967_296.0) - 1.0) as f32
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [2, 3, 8, 8]), &flex())
}

fn outputs(net: &Net) -> Vec<f64> {
    read(net.valid().forward(formula_input()))
}

fn expected(key: &str) -> Vec<f64> {
    let text = fs::read_to_string(fixture("torch_import.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json[key]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{found:?} against {expected:?}");
    }
}

fn import(import: &Import) -> model_utils::Result<(Net, Report)> {
    import.into_module(Net::new(&flex()), same_names)
}

#[test]
fn files_of_pytorch_in_every_form_give_its_outputs() {
    for name in ["net.safetensors", "net.pt", "net_nested.pth", "net_legacy.pt"] {
        let (net, report) =
            import(&Import::new(fixture(name))).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(report.is_complete() && report.applied.len() == 8, "{name}: {report}");
        close(&outputs(&net), &expected("outputs"));
    }
    let (half, _) = import(&Import::new(fixture("net_half.safetensors"))).unwrap();
    close(&outputs(&half), &expected("half_outputs"));
}

#[test]
fn what_does_not_fit_is_reported_by_name() {
    let missing = import(&Import::new(fixture("net_missing.pt"))).unwrap_err().to_string();
    assert!(
        missing.contains("`linear.bias` is missing")
            && missing.contains("`extra.weight` is not in the model"),
        "{missing}"
    );
    let (_, report) =
        import(&Import::new(fixture("net_missing.pt")).allow_missing().allow_unused()).unwrap();
    assert_eq!(
        (report.missing, report.unused),
        (vec!["linear.bias".to_owned()], vec!["extra.weight".to_owned()])
    );

    let shape = import(&Import::new(fixture("net_shape.pt"))).unwrap_err().to_string();
    assert!(shape.contains("`linear.weight` has shape [3, 4], expected [2, 4]"), "{shape}");
    let (_, report) = import(&Import::new(fixture("net_shape.pt")).allow_mismatched()).unwrap();
    assert_eq!(report.mismatched[0].found, [3, 4]);
}

#[test]
fn names_are_changed_by_rules() {
    let away = Import::new(fixture("net.pt")).rename("^conv", "stem").unwrap();
    let error = import(&away).unwrap_err().to_string();
    assert!(
        error.contains("`conv.weight` is missing")
            && error.contains("`stem.weight` is not in the model"),
        "{error}"
    );
    let back = away.rename("^stem", "conv").unwrap();
    assert!(import(&back).unwrap().1.is_complete());
    assert!(matches!(
        Import::new("x").rename("(", ""),
        Err(Error::Config(ConfigError { field: "rename", .. }))
    ));
    let clash = Import::new(fixture("net.pt")).rename("^(conv|norm|linear)", "one").unwrap();
    assert!(import(&clash).unwrap_err().to_string().contains("two tensors are called"));
}

#[test]
fn foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let whole = fs::read(fixture("net.safetensors")).unwrap();
    let torch = fs::read(fixture("net.pt")).unwrap();
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    for path in [
        fixture("foreign.pth"),
        place("empty.pt", b""),
        place("text.pt", b"hello, this is no checkpoint at all"),
        place("cut.safetensors", &whole[..whole.len() - 1]),
        place("head.safetensors", &whole[..40]),
        place("huge.safetensors", &huge),
        place("cut.pt", &torch[..torch.len() / 2]),
    ] {
        let error = import(&Import::new(&path)).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{}: {error}", path.display());
        assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()));
    }
    let missing = import(&Import::new("no/such/file.pt")).unwrap_err();
    assert!(matches!(missing, Error::Io { action: "open", .. }), "{missing}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_never_panic(
        torch in any::<bool>(),
        cut in 0.0..=1.0_f64,
        damage in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 0..8),
    ) {
        let mut bytes = fs::read(fixture(if torch { "net.pt" } else { "net.safetensors" })).unwrap();
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        for (place, value) in damage {
            let place = (bytes.len() as f64 * place) as usize;
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged");
        fs::write(&path, bytes).unwrap();
        let _ = import(&Import::new(&path));
        let _ = Manifest::read(&path);
    }
}

#[test]
fn what_is_saved_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let (net, _) = import(&Import::new(fixture("net.pt"))).unwrap();
    weights::save(&net, &manifest(), same_names, &path).unwrap();
    let back = weights::load(Net::new(&flex()), &manifest(), same_names, &path).unwrap();
    assert_eq!(weights_of(&back), weights_of(&net));
    assert_eq!(Manifest::read(&path).unwrap(), manifest());
    // As PyTorch's load_file sees it: its names, its layouts.
    let (state, _) = State::open(&path).unwrap();
    let names: Vec<&str> = state.tensors.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "conv.bias",
            "conv.weight",
            "linear.bias",
            "linear.weight",
            "norm.bias",
            "norm.running_mean",
            "norm.running_var",
            "norm.weight",
        ]
    );
    assert_eq!(state.tensors["linear.weight"].data.shape().to_vec(), [2, 4]);
}

#[test]
fn another_model_version_or_configuration_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    weights::save(&Net::new(&flex()), &manifest(), same_names, &path).unwrap();
    let load = |manifest: &Manifest| {
        weights::load(Net::new(&flex()), manifest, same_names, &path).unwrap_err().to_string()
    };
    let other = Manifest::new("model-utils", "other", &0).unwrap();
    assert!(
        load(&other).contains("it holds a model model-utils::net, expected model-utils::other")
    );
    let config = serde_json::json!({"classes": 2, "norm": {"eps": 1e-3}});
    let other = Manifest::new("model-utils", "net", &config).unwrap();
    assert!(load(&other).contains("`norm.eps` is 0.00001, expected 0.001"), "{}", load(&other));

    let larger = weights::load(Net::with_classes(3, &flex()), &manifest(), same_names, &path);
    assert!(larger.unwrap_err().to_string().contains("`linear.bias` has shape [2], expected [3]"));

    let newer = Manifest { format_version: 99, ..manifest() };
    weights::save(&Net::new(&flex()), &newer, same_names, &path).unwrap();
    assert!(load(&manifest()).contains("format version is 99"));

    let elsewhere =
        weights::load(Net::new(&flex()), &manifest(), same_names, fixture("net.safetensors"));
    assert!(elsewhere.unwrap_err().to_string().contains("no manifest"));
}

#[test]
fn a_save_that_fails_keeps_the_file_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    weights::save(&Net::new(&flex()), &manifest(), same_names, &path).unwrap();
    let before = fs::read(&path).unwrap();
    // A folder in the place of the file: the rename fails after everything was written.
    let blocked = folder.path().join("blocked.safetensors");
    fs::create_dir_all(blocked.join("x")).unwrap();
    let error = weights::save(&Net::new(&flex()), &manifest(), same_names, &blocked).unwrap_err();
    assert!(matches!(error, Error::Io { action: "replace", .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no litter");
}
