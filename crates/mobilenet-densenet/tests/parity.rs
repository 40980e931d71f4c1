//! Agreement with torchvision on weights made by one formula in both languages
//! (`fixtures/torchvision.py`).
#![allow(missing_docs, clippy::print_stderr)]

mod common;

use burn::module::Module as _;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::Tensor;
use common::{deviation, devices, fixture, floats, input, model, read, usize_of};
use mobilenet_densenet::{
    Architecture, BuildOptions, Classifier, DenseNetConfig, Family, ImageModel, MobileNetV2Config,
};
use model_utils::device::{DeviceClass, DeviceSpec};
use model_utils::graph::Graph;
use model_utils::ops;
use model_utils::weights::{Import, State, Stored, TensorEntry};
use serde_json::Value;

/// The largest difference of a logit, as a share of the largest logit.
const TOLERANCE: f64 = 1e-4;

#[test]
fn the_formula_is_the_same_in_both_languages() {
    for sample in fixture("torchvision.json")["formula"].as_array().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(sample["shape"].clone()).unwrap();
        let values = common::formula(sample["name"].as_str().unwrap(), &shape);
        for (found, expected) in values.iter().zip(floats(&sample["first"])) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{sample}");
        }
    }
}

#[test]
fn logits_agree_with_torchvision_on_every_device() {
    for spec in devices() {
        let device = spec.open().unwrap();
        // A GPU in software takes seconds to compile for each new shape: one case a model.
        let in_software = spec.info().unwrap().class == DeviceClass::SoftwareGpu;
        let mut seen = Vec::new();
        for case in fixture("torchvision.json")["cases"].as_array().unwrap() {
            let kind = case["config"]["model"].to_string();
            if in_software && seen.contains(&kind) {
                eprintln!("{spec} {}: not tested in software", case["name"]);
                continue;
            }
            seen.push(kind);
            let images = input(&case["input_shape"], &device);
            let logits = model(&case["config"], &device).forward(images);
            let off = deviation(&read(logits), &floats(&case["logits"]));
            eprintln!("{spec} {}: {off:.1e}", case["name"]);
            assert!(off < TOLERANCE, "{spec} {}: {off:.1e}", case["name"]);
        }
    }
}

#[test]
fn a_training_step_agrees_with_pytorch() {
    for case in fixture("torchvision.json")["cases"].as_array().unwrap() {
        if case.get("train").is_none() {
            continue;
        }
        let device = DeviceSpec::Flex.open().unwrap().autodiff();
        training_step(model(&case["config"], &device), case);
    }
}

fn training_step(mut model: ImageModel, case: &Value) {
    let train = &case["train"];
    let device = model.devices()[0].clone();
    let images = input(&case["input_shape"], &device);
    let labels: Vec<i32> = serde_json::from_value(train["labels"].clone()).unwrap();
    let labels = Tensor::<1, burn::tensor::Int>::from_ints(labels.as_slice(), &device);
    let name = &case["name"];

    let logits = model.forward(images.clone());
    let off = deviation(&read(logits.clone()), &floats(&train["logits"]));
    assert!(off < TOLERANCE, "{name} logits: {off:.1e}");
    let loss = ops::cross_entropy(logits, labels.clone(), 0.0);
    let off = (read(loss.clone())[0] - train["loss"].as_f64().unwrap()).abs();
    assert!(off < 1e-5, "{name} loss: {off:.1e}");

    let grads = GradientsParams::from_grads(loss.backward(), &model);
    let (grads, norm) = ops::clip_grad_norm(&model, grads, 1e9);
    let expected = train["gradient_norm"].as_f64().unwrap();
    let off = (read(norm)[0] - expected).abs() / expected;
    assert!(off < 1e-3, "{name} gradient norm: {off:.1e}");

    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    model = optimizer.step(train["lr"].as_f64().unwrap(), model, grads);
    let after = ops::cross_entropy(model.forward(images), labels, 0.0);
    let off = (read(after)[0] - train["loss_after"].as_f64().unwrap()).abs();
    assert!(off < 1e-3, "{name} loss after the step: {off:.1e}");

    let state = State::from_module(&model, model.torch_names()).unwrap();
    for (key, expected) in train["tensors"].as_object().unwrap() {
        let values = state.tensors[key].data.clone().convert::<f64>().try_to_vec::<f64>().unwrap();
        let expected = floats(expected);
        let off = deviation(&values[..expected.len()], &expected);
        assert!(off < 2e-5, "{name} {key}: {off:.1e}");
    }
}

/// The number and hash of the names and shapes of a model's tensors.
fn keys(model: &ImageModel) -> [u64; 2] {
    let state = State::from_module(model, model.torch_names()).unwrap();
    let line = |(name, entry): (&String, &TensorEntry)| {
        format!("{name} {:?}\n", entry.data.shape().to_vec())
    };
    let mut lines: Vec<String> = state.tensors.iter().map(line).collect();
    lines.sort();
    [lines.len() as u64, u64::from(common::fnv1a(&lines.concat()))]
}

#[test]
fn parameters_names_and_shapes_are_as_published() {
    let device = DeviceSpec::Flex.open().unwrap();
    let fixture = fixture("torchvision.json");
    for architecture in Architecture::all() {
        // Parameters are counted without making them.
        let model = architecture.build(&BuildOptions::new(), &device).unwrap();
        let expected = usize_of(&fixture["parameters"][parameters_key(architecture)]);
        assert_eq!(ops::learnable_parameters(&model), expected, "{architecture}");
        assert_eq!(model.family(), architecture.family());
        if is_kin(architecture) {
            continue;
        }
        let expected: [u64; 2] =
            serde_json::from_value(fixture["keys"][architecture.name()].clone()).unwrap();
        assert_eq!(keys(&model), expected, "{architecture}: names and shapes of tensors");
    }
}

/// Whether a model has hundreds of millions of weights and differs from another that is looked at
/// only in the number of layers.
fn is_kin(architecture: Architecture) -> bool {
    architecture.family() == Family::Vgg
        && !matches!(architecture, Architecture::Vgg11 | Architecture::Vgg16Bn)
}

fn parameters_key(architecture: Architecture) -> &'static str {
    if architecture == Architecture::MobileNetV2 {
        "mobilenet_v2_w1.0"
    } else {
        architecture.name()
    }
}

#[test]
fn parameters_of_other_widths_are_counted_as_published() {
    let device = DeviceSpec::Flex.open().unwrap();
    let fixture = fixture("torchvision.json");
    let mut checked = 0;
    for (name, expected) in fixture["parameters"].as_object().unwrap() {
        let Some(width) = name.strip_prefix("mobilenet_v2_w") else { continue };
        let config = MobileNetV2Config::new().with_width(width.parse().unwrap());
        let model = config.init(&device).unwrap();
        assert_eq!(ops::learnable_parameters(&model), usize_of(expected), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 6);
    let small = DenseNetConfig::small(100, 12).unwrap().init(&device).unwrap();
    let expected = &fixture["parameters"]["densenet_bc_l100_k12"];
    assert_eq!(ops::learnable_parameters(&small), usize_of(expected));
}

#[test]
fn multiply_adds_are_as_published() {
    let device = DeviceSpec::Flex.open().unwrap();
    let fixture = fixture("torchvision.json");
    for architecture in Architecture::all().filter(|&architecture| !is_kin(architecture)) {
        let model = architecture.build(&BuildOptions::new(), &device).unwrap();
        let graph = Graph::trace(&model, [1, 3, 224, 224], ImageModel::forward).unwrap();
        // In units of 1e9.
        let found = graph.summary(1).unwrap().multiply_adds as f64 / 1e9;
        let stated = fixture["multiply_adds"][architecture.name()].as_f64().unwrap();
        eprintln!("{architecture}: {found:.4} G multiply-adds, stated {stated}");
        // The figures are rounded to a thousandth.
        assert!((found - stated).abs() <= 0.01 * stated, "{architecture}: {found} {stated}");
    }
}

#[test]
fn an_old_checkpoint_of_pytorch_is_imported() {
    let device = DeviceSpec::Flex.open().unwrap();
    let path = format!("{}/tests/fixtures/tiny_densenet.pth", env!("CARGO_MANIFEST_DIR"));
    let fixture = fixture("torchvision.json");
    let cases = fixture["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == "densenet_tiny").unwrap();
    let model = common::dense_config(&case["config"]).init(&device).unwrap();
    let (model, report) = model.import(&Import::new(&path)).unwrap();
    assert!(report.is_complete(), "{report}");
    let logits = model.forward(input(&case["input_shape"], &device));
    let off = deviation(&read(logits), &floats(&case["logits"]));
    assert!(off < TOLERANCE, "{off:.1e}");
    // Weights of another family say that, and what is missing.
    let other = MobileNetV2Config::new().init(&device).unwrap();
    let error = other.import(&Import::new(&path)).unwrap_err().to_string();
    assert!(error.contains("no tensor has a name of this model"), "{error}");
    assert!(error.contains("`features.0.0.weight` is missing"), "{error}");
}

#[test]
fn exported_names_and_shapes_are_torchvisions() {
    let device = DeviceSpec::Flex.open().unwrap();
    let keys = fixture("keys.json");
    let mobile = MobileNetV2Config::new().init(&device).unwrap();
    same_keys(
        &State::from_module(&mobile, mobilenet_densenet::MobileNetV2::torch_name).unwrap(),
        &keys["mobilenet_v2"],
    );
    let dense = DenseNetConfig::densenet121().init(&device).unwrap();
    same_keys(
        &State::from_module(&dense, mobilenet_densenet::DenseNet::torch_name).unwrap(),
        &keys["densenet121"],
    );
}

fn same_keys(state: &State, keys: &Value) {
    let expected: std::collections::BTreeMap<String, Vec<usize>> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| serde_json::from_value::<(String, Vec<usize>)>(pair.clone()).unwrap())
        .filter(|(key, _)| !key.ends_with("num_batches_tracked"))
        .collect();
    let found: std::collections::BTreeMap<String, Vec<usize>> = state
        .tensors
        .iter()
        .map(|(name, entry)| (name.clone(), entry.data.shape().to_vec()))
        .collect();
    assert_eq!(found, expected);
}
