//! Keras's files: two that Keras wrote (`fixtures/keras_layers.py`), others written here, damaged
//! and foreign ones.
#![cfg(feature = "keras")]
#![allow(missing_docs, clippy::float_cmp)]

use std::fs;
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, FileBuilder};
use model_utils::weights::Import;
use model_utils::weights::keras::{Layer, LayerKind, read};
use proptest::prelude::*;

const FILES: [&str; 2] = ["keras_legacy.h5", "keras.weights.h5"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn values(layer: &Layer, name: &str) -> Vec<f32> {
    layer.tensor(name).unwrap().iter::<f32>().collect()
}

/// What reading a file with this content says.
#[track_caller]
fn refusal(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.h5");
    fs::write(&path, content).unwrap();
    read(&path).unwrap_err().to_string()
}

#[test]
fn both_layouts_give_the_same_layers() {
    for file in FILES {
        let layers = read(fixture(file)).unwrap();
        let layer = |name: &str| layers.iter().find(|layer| layer.name == name).unwrap();
        assert_eq!(layers.len(), 4, "{file}");
        let (stem, norm) = (layer("stem"), layer("stem_bn"));
        let (depthwise, linear) = (layer("dw"), layer("predictions"));
        // Weight 0 of Keras is [1, 2, 3, 4]: height, width, in, out.
        assert_eq!((stem.kind, stem.tensors.len()), (LayerKind::Conv, 1));
        assert_eq!(stem.tensor("weight").unwrap().shape().to_vec(), [4, 3, 1, 2]);
        assert_eq!(values(stem, "weight")[..6], [0.0, 12.0, 4.0, 16.0, 8.0, 20.0]);
        assert_eq!(norm.kind, LayerKind::Norm);
        for (name, first) in
            [("weight", 100.0), ("bias", 200.0), ("running_mean", 300.0), ("running_var", 400.0)]
        {
            assert_eq!(values(norm, name), [first, first + 1.0, first + 2.0, first + 3.0]);
        }
        // Weight 5 is [2, 3, 4, 1].
        assert_eq!(depthwise.kind, LayerKind::Depthwise);
        assert_eq!(depthwise.tensor("weight").unwrap().shape().to_vec(), [4, 1, 2, 3]);
        assert_eq!(values(depthwise, "weight")[6..12], [501.0, 505.0, 509.0, 513.0, 517.0, 521.0],);
        assert_eq!(values(depthwise, "bias"), [600.0, 601.0, 602.0, 603.0]);
        // Weight 7 is [4, 2].
        assert_eq!(linear.kind, LayerKind::Linear);
        assert_eq!(linear.tensor("weight").unwrap().shape().to_vec(), [2, 4]);
        let expected = [700.0, 702.0, 704.0, 706.0, 701.0, 703.0, 705.0, 707.0];
        assert_eq!(values(linear, "weight"), expected);
        assert_eq!(values(linear, "bias"), [800.0, 801.0]);
    }
    // The older one has the order of the model.
    let names: Vec<String> =
        read(fixture(FILES[0])).unwrap().into_iter().map(|layer| layer.name).collect();
    assert_eq!(names, ["stem", "stem_bn", "dw", "predictions"]);
}

#[test]
fn an_import_takes_them_under_the_names_of_pytorch() {
    for file in FILES {
        let import = Import::new(fixture(file)).rename("^stem_bn", "norm").unwrap();
        let state = import.state().unwrap();
        let names: Vec<&str> = state.tensors.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "dw.bias",
                "dw.weight",
                "norm.bias",
                "norm.running_mean",
                "norm.running_var",
                "norm.weight",
                "predictions.bias",
                "predictions.weight",
                "stem.weight",
            ],
        );
    }
}

/// A file of the older layout with linear layers of one weight.
fn dense(names: &[String], shape: &[u64], parts: usize, is_whole_model: bool) -> Vec<u8> {
    let mut file = FileBuilder::new();
    let mut root = file.create_group("model_weights");
    let chunks: Vec<_> = names.chunks(names.len().div_ceil(parts)).collect();
    for (part, chunk) in chunks.iter().enumerate() {
        let attribute =
            if parts == 1 { "layer_names".to_owned() } else { format!("layer_names{part}") };
        let value = AttrValue::AsciiStringArray(chunk.to_vec());
        if is_whole_model {
            root.set_attr(&attribute, value);
        } else {
            file.set_attr(&attribute, value);
        }
    }
    for (index, name) in names.iter().enumerate() {
        let mut group =
            if is_whole_model { root.create_group(name) } else { file.create_group(name) };
        group.set_attr("weight_names", AttrValue::AsciiStringArray(vec!["kernel:0".to_owned()]));
        let values = vec![index as f32; shape.iter().product::<u64>() as usize];
        group.create_dataset("kernel:0").with_f32_data(&values).with_shape(shape);
        if is_whole_model {
            root.add_group(group.finish());
        } else {
            file.add_group(group.finish());
        }
    }
    if is_whole_model {
        file.add_group(root.finish());
    }
    file.finish().unwrap()
}

#[test]
fn whole_models_and_long_lists_of_names_are_read() {
    let names: Vec<String> = (0..7).map(|i| format!("dense_{i}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.h5");
    for (parts, is_whole_model) in [(1, false), (3, false), (1, true), (2, true)] {
        fs::write(&path, dense(&names, &[3, 2], parts, is_whole_model)).unwrap();
        let layers = read(&path).unwrap();
        assert_eq!(layers.len(), 7);
        for (index, layer) in layers.iter().enumerate() {
            assert_eq!(layer.name, names[index]);
            assert_eq!(values(layer, "weight"), [index as f32; 6]);
        }
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let missing = read("no/such/file.h5").unwrap_err().to_string();
    assert!(missing.contains("no/such/file.h5"), "{missing}");
    let foreign = refusal(&fs::read(fixture("net.safetensors")).unwrap());
    assert!(foreign.contains("expected the signature of HDF5"), "{foreign}");
    let mut other = FileBuilder::new();
    other.create_dataset("temperature").with_f32_data(&[1.0]);
    let other = refusal(&other.finish().unwrap());
    assert!(other.contains("expected `layer_names`, `model_weights` or `layers`"), "{other}");
    // Convolutions over time have three axes.
    let unknown = refusal(&dense(&["conv1d".to_owned()], &[2, 3, 4], 1, false));
    assert!(
        unknown.contains("layer `conv1d`: weights of shapes [[2, 3, 4]], expected"),
        "{unknown}"
    );
    // The layer that a damaged file breaks off in is named.
    let whole = fs::read(fixture(FILES[0])).unwrap();
    for length in [8, 600, 4_000, whole.len() - 1] {
        let error = refusal(&whole[..length]);
        assert!(error.contains("Keras"), "{length}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is cut off or changed, reading ends in layers or an error.
    #[test]
    fn damaged_files_never_panic(
        which in 0..2_usize,
        cut in 0.0..1.0_f64,
        is_cut: bool,
        changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 0..24),
    ) {
        let mut content = fs::read(fixture(FILES[which])).unwrap();
        for (place, byte) in changes {
            let place = (place * content.len() as f64) as usize;
            content[place] = byte;
        }
        if is_cut {
            content.truncate((cut * content.len() as f64) as usize);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.h5");
        fs::write(&path, content).unwrap();
        if let Ok(layers) = read(&path) {
            prop_assert!(!layers.is_empty());
        }
    }

    #[test]
    fn anything_behind_the_signature_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.h5");
        fs::write(&path, [b"\x89HDF\r\n\x1a\n", &bytes[..]].concat()).unwrap();
        prop_assert!(read(&path).is_err());
    }
}
