//! Weights and inputs by the formula of `fixtures/formula.py`, and the fixtures themselves.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::print_stderr,
    clippy::large_enum_variant
)]

use burn::tensor::{Device, Tensor, TensorData};
use mobilenet_densenet::{
    DenseNetConfig, ImageModel, MobileNetV1Config, MobileNetV2Config, MobileNetV3Config, Padding,
    ResNetConfig, Stem, VggConfig,
};
use model_utils::device::DeviceSpec;
use model_utils::weights::State;
use serde_json::Value;

pub fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// FNV-1a, 32 bit.
pub fn fnv1a(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// Value `i` of the tensor `name`, as `formula.py` makes it.
pub fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in: usize = shape.iter().skip(1).product();
    let leaf = name.rsplit('.').next().unwrap();
    let value = |u: f64| match (leaf, shape.len()) {
        ("input", _) => 2.0 * u - 1.0,
        ("running_mean" | "bias", _) => (2.0 * u - 1.0) * 0.1,
        ("running_var", _) | ("weight", 1) => 0.8 + 0.4 * u,
        ("weight", 4) => (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt(),
        ("weight", 2) => (2.0 * u - 1.0) * (3.0 / fan_in as f64).sqrt(),
        other => panic!("no formula for {other:?}"),
    };
    uniform(name, shape.iter().product()).map(|u| value(u) as f32).collect()
}

/// The first `count` numbers u of `name`, from 0 to 1.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let hash = fnv1a(name);
    (0..count as u32).map(move |i| {
        let mut z = hash
            .wrapping_mul(2_654_435_761)
            .wrapping_add(i.wrapping_mul(40_503))
            .wrapping_add(12_345);
        z ^= z >> 16;
        z = z.wrapping_mul(2_246_822_519);
        z ^= z >> 13;
        z = z.wrapping_mul(3_266_489_917);
        z ^= z >> 16;
        f64::from(z) / 4_294_967_296.0
    })
}

/// A model with all weights and statistics by the formula.
pub fn by_formula(model: impl Into<ImageModel>) -> ImageModel {
    let model = model.into();
    let names = model.torch_names();
    let mut state = State::from_module(&model, names).unwrap();
    for (name, entry) in &mut state.tensors {
        let shape = entry.data.shape().to_vec();
        entry.data = TensorData::new(formula(name, &shape), shape);
    }
    let (model, report) = state.apply(model, names).unwrap();
    assert!(report.is_complete(), "{report}");
    model
}

pub fn input(shape: &Value, device: &Device) -> Tensor<4> {
    let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
    Tensor::from_data(TensorData::new(formula("input", &shape), shape), device)
}

pub fn usize_of(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub fn mobile_config(config: &Value) -> MobileNetV2Config {
    MobileNetV2Config::new()
        .with_width(config["width"].as_f64().unwrap())
        .with_classes(usize_of(&config["num_classes"]))
        .with_dropout(0.0)
}

pub fn dense_config(config: &Value) -> DenseNetConfig {
    let classes = usize_of(&config["num_classes"]);
    if config["model"] == "densenet121" {
        return DenseNetConfig::densenet121().with_classes(classes);
    }
    let blocks = config["block_config"].as_array().unwrap().iter().map(usize_of).collect();
    let bn_size = usize_of(&config["bn_size"]);
    let [growth, init] = ["growth_rate", "num_init_features"].map(|key| usize_of(&config[key]));
    let stem = if config["model"] == "densenet_bc" { Stem::Small } else { Stem::ImageNet };
    DenseNetConfig::new(growth, blocks, init)
        .with_stem(stem)
        .with_bn_size(bn_size)
        .with_classes(classes)
        .with_channels(config.get("in_channels").map_or(3, usize_of))
}

/// A fixture's model, with weights by the formula.
pub fn model(config: &Value, device: &Device) -> ImageModel {
    let classes = usize_of(&config["num_classes"]);
    let width = config.get("width").map_or(1.0, |width| width.as_f64().unwrap());
    match config["model"].as_str().unwrap() {
        "mobilenet_v1" => {
            let same = config["same"].as_bool().unwrap();
            let padding = if same { Padding::Same } else { Padding::Symmetric };
            let model = MobileNetV1Config::new().with_width(width).with_classes(classes);
            by_formula(model.with_padding(padding).init(device).unwrap())
        }
        "mobilenet_v2" => by_formula(mobile_config(config).init(device).unwrap()),
        name @ ("mobilenet_v3_large" | "mobilenet_v3_small") => {
            let model = if name.ends_with("large") {
                MobileNetV3Config::large()
            } else {
                MobileNetV3Config::small()
            };
            by_formula(model.with_width(width).with_classes(classes).init(device).unwrap())
        }
        name @ ("resnet18" | "resnet50") => {
            let model = if name == "resnet18" {
                ResNetConfig::resnet18()
            } else {
                ResNetConfig::resnet50()
            };
            let output_stride = usize_of(&config["output_stride"]);
            let model = model.with_output_stride(output_stride).with_classes(classes);
            by_formula(model.init(device).unwrap())
        }
        "vgg" => {
            let model = match config["letter"].as_str().unwrap() {
                "A" => VggConfig::vgg11(),
                "D" => VggConfig::vgg16(),
                _ => VggConfig::vgg19(),
            };
            let model = model
                .with_batch_norm(config["batch_norm"].as_bool().unwrap())
                .with_width(width)
                .with_hidden(usize_of(&config["hidden"]))
                .with_classes(classes);
            by_formula(model.init(device).unwrap())
        }
        _ => by_formula(dense_config(config).init(device).unwrap()),
    }
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_to_vec::<f64>().unwrap()
}

/// The largest difference, as a share of the largest expected value where that is above 1.
pub fn deviation(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

/// Every device of this build that answers; those that are built but absent are named.
pub fn devices() -> Vec<DeviceSpec> {
    let found: Vec<DeviceSpec> =
        DeviceSpec::available().into_iter().map(|info| info.spec).collect();
    for family in DeviceSpec::built() {
        if !found.iter().any(|spec| spec.feature() == family.feature()) {
            eprintln!("no {} adapter answers: not tested on it", family.feature());
        }
    }
    found
}
