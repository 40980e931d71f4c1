//! Agreement with Keras Applications on weights made by one formula in both languages
//! (`fixtures/keras_models.py`), written here under Keras's names and in its layout.
#![cfg(feature = "pretrained")]
#![allow(missing_docs, clippy::print_stderr, clippy::float_cmp)]

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use common::{deviation, fixture, floats, formula, input, read};
use hdf5_pure::{AttrValue, FileBuilder};
use mobilenet_densenet::{
    Architecture, Classifier, Error, ImageModel, MobileNetV1Config, Pretrained, VggConfig, Weights,
};
use model_utils::config::ConfigError;
use model_utils::device::DeviceSpec;
use model_utils::image::Image;
use serde_json::Value;

fn flex() -> Device {
    DeviceSpec::Flex.open().unwrap()
}

/// The values of a tensor in PyTorch's layout, in Keras's, and Keras's shape.
fn in_keras(kind: &str, shape: &[usize], values: &[f32]) -> (Vec<f32>, Vec<u64>) {
    let sides = |sides: &[usize]| sides.iter().map(|&side| side as u64).collect::<Vec<_>>();
    match (kind, shape) {
        ("conv" | "depthwise", &[out, inner, height, width]) => {
            let is_depthwise = kind == "depthwise";
            let last = if is_depthwise { [out, inner] } else { [inner, out] };
            let mut turned = Vec::with_capacity(values.len());
            for place in 0..height * width {
                for a in 0..last[0] {
                    for b in 0..last[1] {
                        let (o, i) = if is_depthwise { (a, b) } else { (b, a) };
                        turned.push(values[(o * inner + i) * height * width + place]);
                    }
                }
            }
            (turned, sides(&[height, width, last[0], last[1]]))
        }
        ("linear", &[out, inner]) => {
            let at = |i: usize| values[i % out * inner + i / out];
            ((0..out * inner).map(at).collect(), sides(&[inner, out]))
        }
        _ => (values.to_vec(), sides(shape)),
    }
}

/// Writes the layers of a case as Keras does.
fn write(layers: &Value, path: &Path) {
    let mut file = FileBuilder::new();
    let mut names = Vec::new();
    for layer in layers.as_array().unwrap() {
        let (name, kind, shape, has_bias): (String, String, Vec<usize>, bool) =
            serde_json::from_value(layer.clone()).unwrap();
        let mut group = file.create_group(&name);
        let channels = shape[0];
        let mut weights = vec![("weight", "kernel", shape)];
        if kind == "norm" {
            weights[0].1 = "gamma";
            weights.push(("bias", "beta", vec![channels]));
            weights.push(("running_mean", "moving_mean", vec![channels]));
            weights.push(("running_var", "moving_variance", vec![channels]));
        } else if has_bias {
            weights.push(("bias", "bias", vec![channels]));
        }
        let called = weights.iter().map(|(_, called, _)| format!("{called}:0")).collect();
        group.set_attr("weight_names", AttrValue::AsciiStringArray(called));
        for (ours, theirs, shape) in weights {
            let values = formula(&format!("{name}.{ours}"), &shape);
            let kind = if ours == "weight" { kind.as_str() } else { "" };
            let (values, shape) = in_keras(kind, &shape, &values);
            let data = group.create_dataset(&format!("{theirs}:0"));
            data.with_f32_data(&values).with_shape(&shape);
        }
        file.add_group(group.finish());
        names.push(name);
    }
    file.set_attr("layer_names", AttrValue::AsciiStringArray(names));
    file.write(path).unwrap();
}

/// The logits of a case's file.
fn logits(name: &str, path: &Path, images: Tensor<4>) -> Vec<f64> {
    if name == "vgg16" {
        // An eighth as wide, with a smaller map to flatten.
        let config = VggConfig::vgg16().with_width(0.125).with_hidden(32).with_pooled(2);
        let model = ImageModel::from(config.with_classes(10).init(&flex()).unwrap());
        let model = model.with_weights(Weights::Keras(path)).unwrap();
        return read(model.forward(images));
    }
    let found = Pretrained::load(name.parse().unwrap(), Weights::Keras(path), &flex()).unwrap();
    assert_eq!(found.model.classes(), 10);
    read(found.model.forward(images))
}

fn agree(name: &str, case: &Value, path: &Path) {
    let images = input(&case["input_shape"], &flex());
    let off = deviation(&logits(name, path, images), &floats(&case["logits"]));
    eprintln!("{}: {off:.1e}", path.file_name().unwrap().display());
    assert!(off < 1e-4, "{name}: {off:.1e}");
}

#[test]
fn logits_agree_with_keras() {
    let folder = tempfile::tempdir().unwrap();
    let cases = fixture("keras.json");
    assert_eq!(cases.as_object().unwrap().len(), 6);
    for (name, case) in cases.as_object().unwrap() {
        let path = folder.path().join(format!("{name}.h5"));
        write(&case["layers"], &path);
        agree(name, case, &path);
    }
}

/// The files of `keras_models.py --files DIR`, in both layouts.
#[test]
#[ignore = "needs KERAS_FILES=DIR with the files that fixtures/keras_models.py writes"]
fn files_that_keras_wrote_agree() {
    let folder = PathBuf::from(std::env::var("KERAS_FILES").unwrap());
    for (name, case) in fixture("keras.json").as_object().unwrap() {
        for ending in ["h5", "weights.h5"] {
            agree(name, case, &folder.join(format!("{name}.{ending}")));
        }
    }
}

/// Loads a case's file as another architecture.
fn refusal(architecture: Architecture, layers: &Value) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.h5");
    write(layers, &path);
    Pretrained::load(architecture, Weights::Keras(&path), &flex()).unwrap_err()
}

#[test]
fn files_of_another_model_say_what_differs() {
    let cases = fixture("keras.json");
    let layers = &cases["mobilenet_v1"]["layers"];
    let error = refusal(Architecture::MobileNetV2, layers).to_string();
    assert!(
        error.contains("`conv1` for `stem.conv`: weight [8, 3, 3, 3], expected [32, 3, 3, 3]"),
        "{error}"
    );
    // Without its classifier.
    let mut headless = layers.as_array().unwrap().clone();
    headless.pop();
    let error = refusal(Architecture::MobileNetV1, &headless.into()).to_string();
    assert!(error.contains("no layer for `classifier`"), "{error}");
    // A layer more.
    let mut longer = layers.as_array().unwrap().clone();
    longer.push(serde_json::json!(["more", "norm", [4], true]));
    let config = MobileNetV1Config::new().with_width(0.25).with_classes(10);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("longer.h5");
    write(&longer.into(), &path);
    let model = ImageModel::from(config.init(&flex()).unwrap());
    let error = model.with_weights(Weights::Keras(&path)).unwrap_err().to_string();
    assert!(error.contains("`more` is not in the model"), "{error}");
    // Keras's ResNets are built in another way, and it has no VGG with batch norm.
    let error = refusal(Architecture::ResNet50, layers);
    assert!(matches!(error, Error::Config(ConfigError { field: "architecture", .. })), "{error}");
    assert!(error.to_string().contains("stride in the first 1×1 convolution"), "{error}");
    let error = refusal(Architecture::Vgg16Bn, layers).to_string();
    assert!(error.contains("vgg16_bn") && error.contains("mobilenet_v1"), "{error}");
}

#[test]
fn a_file_brings_its_width_preprocessing_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mobilenet_2_5_128_tf.h5");
    write(&fixture("keras.json")["mobilenet_v1"]["layers"], &path);
    let weights = Weights::Keras(&path);
    let model = Pretrained::load(Architecture::MobileNetV1, weights, &flex()).unwrap();
    assert_eq!(model.model.stages().last().unwrap().channels, 256, "a quarter of 1024");
    let image = Image::filled(40, 30, &[255, 0, 0]);
    let images = model.preprocessing.tensor(&image, 3, &flex()).unwrap();
    assert_eq!(images.dims(), [1, 3, 128, 128]);
    let values = read(images);
    assert!((values[0] - 1.0).abs() < 1e-6 && (values[128 * 128] + 1.0).abs() < 1e-6);

    let list = folder.path().join("imagenet_class_index.json");
    let index = |classes: std::ops::Range<usize>| {
        let entry = |class| {
            (format!("{class}"), serde_json::json!([format!("n{class}"), format!("name {class}")]))
        };
        serde_json::Value::Object(classes.map(entry).collect()).to_string()
    };
    std::fs::write(&list, index(0..10)).unwrap();
    let model = model.with_labels_from(&list).unwrap();
    assert_eq!(model.label(7), "name 7");
    assert!(model.classify(&image, 1).unwrap()[0].label.starts_with("name "));
    std::fs::write(&list, index(1..11)).unwrap();
    let error = model.with_labels_from(&list).unwrap_err().to_string();
    assert!(error.contains("class 0 is missing"), "{error}");

    assert_eq!(weights.source(), "Keras Applications");
    // Bytes less the mean, in the order red, green, blue.
    let caffe = weights.preprocessing(Architecture::Vgg16).tensor(&image, 3, &flex()).unwrap();
    let values = read(caffe);
    assert!((values[0] - (255.0 - 123.68)).abs() < 1e-4, "{}", values[0]);
    assert!((values[2 * 128 * 128] + 103.939).abs() < 1e-4);
    let torch = weights.preprocessing(Architecture::DenseNet121);
    assert_eq!(torch.normalize, model_utils::data::Normalize::imagenet());
}
