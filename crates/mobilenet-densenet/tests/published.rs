//! Published weights. The ImageNet model itself lies beside the project (`../shared/data/imagenet`);
//! where it is absent, what needs it says so and is passed over.
#![cfg(feature = "pretrained")]
#![allow(missing_docs, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::{by_formula, deviation, floats, input, read, uniform};
use mobilenet_densenet::visualization::{feature_maps, grad_cam, overlay};
use mobilenet_densenet::{
    Architecture, Classifier, DenseNetConfig, ImageModel, MobileNetV2, MobileNetV2Config, Padding,
    Pretrained, Result, VggConfig, Weights,
};
use model_utils::device::DeviceSpec;
use model_utils::graph::{Binary, Graph, Op, Unary};
use model_utils::image::Image;
use proptest::prelude::*;

fn flex() -> Device {
    DeviceSpec::Flex.open().unwrap()
}

/// A file of the data beside the project, if it is there.
fn imagenet(name: &str) -> Option<PathBuf> {
    let path = format!("{}/../../../shared/data/imagenet/{name}", env!("CARGO_MANIFEST_DIR"));
    let path = PathBuf::from(path);
    if !path.is_file() {
        eprintln!("{name} is not there: passed over");
    }
    path.is_file().then_some(path)
}

const QUANTIZED: &str = "mobilenet_v2_1.0_224_quant.tflite";

fn mobile_net_v2(weights: Weights<'_>) -> Result<Pretrained> {
    Pretrained::load(Architecture::MobileNetV2, weights, &flex())
}

fn published() -> Option<Pretrained> {
    let file = imagenet(QUANTIZED)?;
    Some(mobile_net_v2(Weights::TfLite(&file)).unwrap())
}

#[test]
fn grace_hopper_wears_a_military_uniform() {
    let Some(model) = published() else { return };
    let labels = imagenet("imagenet_labels.txt").unwrap();
    let model = model.with_labels_from(&labels).unwrap();
    assert_eq!(model.model.classes(), 1001);
    let picture = Image::open(imagenet("grace_hopper.bmp").unwrap()).unwrap();
    let answers = model.classify(&picture, 5).unwrap();
    eprintln!("{answers:?}");
    assert_eq!(answers[0].label, "military uniform");
    // The interpreter, with all its tensors in eight bits, says 0.92.
    assert!((answers[0].probability - 0.92).abs() < 0.03, "{answers:?}");
    // Another number of labels than classes is refused.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("labels.txt"), "cat\ndog\n").unwrap();
    let error = model.with_labels_from(folder.path().join("labels.txt")).unwrap_err().to_string();
    assert!(error.contains("2 lines, expected one for each of 1001 classes"), "{error}");
}

/// Image `i` of `fixtures/tflite.py`.
fn formula_image(i: usize) -> Image {
    const SIDE: usize = 224;
    const CELLS: [usize; 10] = [1, 2, 4, 7, 8, 14, 16, 28, 32, 56];
    let cell = CELLS[i % 10];
    let n = SIDE / cell;
    let count = if i < 50 { n * n * 3 } else { 7 };
    let bytes: Vec<usize> =
        uniform(&format!("image{i}"), count).map(|u| (256.0 * u) as usize).collect();
    let color = |x: usize, y: usize, channel: usize| {
        if i < 50 {
            return bytes[(y * n + x) * 3 + channel];
        }
        let square = |at: usize| (2 * at).abs_diff(n).pow(2);
        let second = match i % 3 {
            0 => (x + 2 * y) % (3 + bytes[6] % 5) < 2,
            1 => (x / 3 + y / 3).is_multiple_of(2),
            _ => square(x) + square(y) < n * n * bytes[6] / 128,
        };
        bytes[channel + if second { 3 } else { 0 }]
    };
    let pixels = (0..SIDE)
        .flat_map(|y| (0..SIDE).flat_map(move |x| (0..3).map(move |c| (x, y, c))))
        .map(|(x, y, channel)| color(x / cell, y / cell, channel) as u8)
        .collect();
    Image::new(SIDE, SIDE, 3, pixels).unwrap()
}

/// The graph of a quantized file with every tensor rounded to the integers that it is stored in.
fn rounded(graph: &Graph) -> Graph {
    let mut graph = graph.dequantize().unwrap();
    let stored: Vec<_> = graph
        .nodes()
        .filter(|(id, _)| graph.weight(*id).is_none())
        .filter_map(|(id, node)| Some((id, node.quantization.clone()?)))
        .collect();
    graph
        .rewrite(|edit| {
            for (id, quantization) in stored {
                let (scale, zero) = (f64::from(quantization.scale[0]), quantization.zero_point[0]);
                let bound = |integer: i64| Some((integer - zero) as f64);
                let (min, max) = (bound(quantization.least), bound(quantization.largest));
                let steps = [
                    Op::Scalar(Binary::Div, scale),
                    Op::Unary(Unary::Round),
                    Op::Clamp { min, max },
                    Op::Scalar(Binary::Mul, scale),
                ];
                let mut last = id;
                for op in steps {
                    last = edit.insert_after(last, "rounded", op);
                }
            }
            Ok(())
        })
        .unwrap();
    graph
}

#[test]
fn the_interpreter_answers_the_same_on_a_hundred_images() {
    let Some(model) = published() else { return };
    let file = model_utils::graph::tflite::import(imagenet(QUANTIZED).unwrap()).unwrap();
    let eight_bits = rounded(&file).init(&flex()).unwrap();
    let found: Vec<[i64; 2]> = serde_json::from_value(common::fixture("tflite.json")).unwrap();
    assert_eq!(found.len(), 100);
    let (mut compared, mut of_floats, mut of_bytes) = (0, 0, 0);
    for (i, &[class, lead]) in found.iter().enumerate() {
        if lead as f64 / 256.0 <= 0.05 {
            continue;
        }
        compared += 1;
        let image = formula_image(i);
        let answer = model.classify(&image, 1).unwrap().swap_remove(0);
        if answer.class as i64 == class {
            of_floats += 1;
        } else {
            eprintln!("image {i}: {answer:?}, the interpreter says {class} by {lead}");
        }
        let images = model.preprocessing.tensor(&image, 3, &flex()).unwrap();
        let scores: burn::tensor::Tensor<2> = eight_bits.forward(images).unwrap();
        of_bytes += i32::from(scores.argmax(1).into_scalar::<i64>() == class);
    }
    eprintln!("of {compared}, floats agree on {of_floats}, eight bits on {of_bytes}");
    // What is left is the rounding of the interpreter's own tensors.
    assert_eq!(compared, 61);
    assert!(of_floats >= 59, "{of_floats}");
    assert_eq!(of_bytes, 61);
}

#[test]
fn the_model_computes_what_the_imported_graph_computes() {
    let Some(file) = imagenet(QUANTIZED) else { return };
    let model = mobile_net_v2(Weights::TfLite(&file)).unwrap();
    let graph = model_utils::graph::tflite::import(&file).unwrap().dequantize().unwrap();
    let image = model.preprocessing.tensor(&formula_image(33), 3, &flex()).unwrap();
    let expected: burn::tensor::Tensor<2> =
        graph.init(&flex()).unwrap().forward(image.clone()).unwrap();
    let found = burn::tensor::activation::softmax(model.model.forward(image), 1);
    let off = deviation(&read(found), &read(expected));
    assert!(off < 1e-4, "{off:.1e}");
    // Bytes become (byte − 128) / 128.
    let normalize = &model.preprocessing.normalize;
    let value = |byte: f32| (byte / 255.0 - normalize.mean()[0]) / normalize.std()[0];
    assert!((value(0.0) + 1.0).abs() < 1e-5 && value(128.0).abs() < 1e-5);
}

#[test]
fn a_file_of_another_model_says_what_differs() {
    let Some(file) = imagenet(QUANTIZED) else { return };
    let weights = Weights::TfLite(&file);
    let error =
        Pretrained::load(Architecture::MobileNetV1, weights, &flex()).unwrap_err().to_string();
    assert!(error.contains("53 convolutions and linear layers, expected 28"), "{error}");
}

/// Folding a model of this crate and reading the graph back is the same as publishing it.
#[test]
fn folded_weights_of_a_graph_come_back() {
    let config = MobileNetV2Config::new()
        .with_width(0.35)
        .with_classes(6)
        .with_padding(Padding::Same)
        .with_epsilon(1e-3);
    let model = by_formula(config.init(&flex()).unwrap());
    let ImageModel::MobileNetV2(inner) = &model else { unreachable!() };
    let mut graph = Graph::trace(inner, [1, 3, 64, 64], MobileNetV2::forward).unwrap();
    graph.fold_batch_norm().unwrap();
    // TensorFlow's zeros: none before, one after, where the stride is 2 and the side even.
    let stem = graph.nodes().find(|(_, node)| matches!(node.op, Op::Conv2d { .. })).unwrap().1;
    assert_eq!(stem.name, "stem.conv");
    let images = input(&serde_json::json!([2, 3, 64, 64]), &flex());
    let expected = read(model.forward(images.clone()));
    let fresh = ImageModel::from(config.init(&flex()).unwrap());
    let loaded = fresh.with_folded(&graph, [64, 64]).unwrap();
    let off = deviation(&read(loaded.forward(images)), &expected);
    assert!(off < 1e-5, "{off:.1e}");
    // Symmetric padding is another model, and is named as what differs.
    let other = ImageModel::from(config.with_padding(Padding::Symmetric).init(&flex()).unwrap());
    let error = other.with_folded(&graph, [64, 64]).unwrap_err().to_string();
    assert!(error.contains("`stem.conv` for `stem.conv`") && error.contains("padding"), "{error}");
}

#[test]
fn a_state_dict_brings_its_classes_and_preprocessing() {
    let path = format!("{}/tests/fixtures/tiny_densenet.pth", env!("CARGO_MANIFEST_DIR"));
    let error = Pretrained::load(
        Architecture::DenseNet121,
        Weights::Torchvision(Path::new(&path)),
        &flex(),
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("`features.conv0.weight` has shape [4, 3, 7, 7]"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mobilenet_v2.safetensors");
    let config = MobileNetV2Config::new().with_width(0.35).with_classes(7);
    let model = by_formula(config.init(&flex()).unwrap());
    model.save(&file).unwrap();
    let loaded = mobile_net_v2(Weights::Torchvision(&file)).unwrap();
    assert_eq!(loaded.model.classes(), 7);
    let images = input(&serde_json::json!([1, 3, 32, 32]), &flex());
    assert_eq!(read(loaded.model.forward(images.clone())), read(model.forward(images)));
    for side in [1, 20, 300] {
        let image = Image::filled(side, 2 * side, &[9, 80, 200]);
        let answers = loaded.classify(&image, 3).unwrap();
        assert_eq!(answers.len(), 3);
        assert!(answers[0].label.starts_with("class "));
    }
}

#[test]
fn timm_names_are_read() {
    let fixture = common::fixture("timm.json");
    for (name, case) in fixture.as_object().unwrap() {
        let mut state = model_utils::weights::State::default();
        for pair in case["keys"].as_array().unwrap() {
            let (key, shape): (String, Vec<usize>) = serde_json::from_value(pair.clone()).unwrap();
            let data = burn::tensor::TensorData::new(common::formula(&key, &shape), shape);
            let entry = model_utils::weights::TensorEntry { data, param_id: None };
            state.tensors.insert(key, entry);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timm.safetensors");
        let manifest = model_utils::weights::Manifest::new("timm", name, &0).unwrap();
        state.save(&path, &manifest).unwrap();
        let images = input(&case["input_shape"], &flex());
        let weights = if case["tf"].as_bool().unwrap() {
            Weights::TimmTf(&path)
        } else {
            Weights::Timm(&path)
        };
        let architecture = match name.as_str() {
            "mobilenetv1_100" => Some(Architecture::MobileNetV1),
            "mobilenetv2_050" => Some(Architecture::MobileNetV2),
            "vgg11" | "vgg11_bn" => None,
            _ => Some(Architecture::MobileNetV3Small),
        };
        let model = if let Some(architecture) = architecture {
            Pretrained::load(architecture, weights, &flex()).unwrap().model
        } else {
            // Narrower than any that is published.
            let config = VggConfig::vgg11().with_batch_norm(name.ends_with("_bn"));
            let config = config.with_width(0.125).with_hidden(32).with_classes(10);
            let fresh = |config: &VggConfig| ImageModel::from(config.init(&flex()).unwrap());
            // Of other layers it says which.
            let other = fresh(&config.clone().with_width(0.25)).with_weights(weights);
            let error = other.unwrap_err().to_string();
            assert!(error.contains("`features.0.weight` has shape [8, 3, 3, 3]"), "{error}");
            fresh(&config).with_weights(weights).unwrap()
        };
        let logits = read(model.forward(images));
        let off = deviation(&logits, &floats(&case["logits"]));
        eprintln!("{name}: {off:.1e}");
        assert!(off < 1e-4, "{name}: {off:.1e}");
    }
}

#[test]
fn heat_maps_show_where_a_class_is_seen() {
    let model =
        by_formula(DenseNetConfig::new(4, vec![2, 2], 8).with_classes(3).init(&flex()).unwrap());
    let images = input(&serde_json::json!([2, 3, 32, 48]), &flex());
    let heat = grad_cam(&model, images.clone(), &[0, 2]).unwrap();
    assert_eq!(heat.dims(), [2, 4, 6]);
    let values = read(heat.clone());
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    for row in values.chunks(24) {
        let largest = row.iter().fold(0.0_f64, |a, &b| a.max(b));
        assert!(largest == 0.0 || (largest - 1.0).abs() < 1e-6, "{largest}");
    }
    // Of a head that is a mean and a linear layer, the weights are the class's row of it.
    let map = model.forward_features(images.clone());
    let state = model_utils::weights::State::from_module(&model, model.torch_names()).unwrap();
    let weight = state.tensors["classifier.weight"].data.clone();
    let row: Vec<f32> = weight.iter::<f32>().take(map.dims()[1]).collect();
    let row = burn::tensor::Tensor::<1>::from_floats(row.as_slice(), &flex());
    let by_hand = (map.narrow(0, 0, 1) * row.reshape([1, -1, 1, 1])).sum_dim(1).clamp_min(0.0);
    let by_hand = by_hand.clone() / by_hand.max_dim(2).max_dim(3).clamp_min(1e-30);
    assert!(deviation(&values[..24], &read(by_hand)) < 1e-5);
    // On a device with autodiff, and in training, the same.
    let live = burn::module::Module::train(model.clone());
    let again = grad_cam(&live, burn::tensor::Tensor::from_inner(images.clone()), &[0, 2]);
    assert!(deviation(&read(again.unwrap()), &values) < 1e-6);

    let picture = Image::filled(48, 32, &[100, 120, 140]);
    let drawn = overlay(&picture, heat.clone().narrow(0, 0, 1).squeeze_dim::<2>(0)).unwrap();
    assert_eq!((drawn.width(), drawn.height(), drawn.channels()), (48, 32, 3));
    let maps = feature_maps(model.forward_stages(images.clone()).remove(0), 1, 5).unwrap();
    assert_eq!(maps.len(), 5);
    assert_eq!((maps[0].1.width(), maps[0].1.height()), (24, 16));
    assert!(grad_cam(&model, images.clone(), &[0]).is_err());
    assert!(grad_cam(&model, images, &[0, 3]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a file holds, reading it ends in an error or a model, never in a panic.
    #[test]
    fn hostile_files_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let mut flatbuffer = vec![0x1c, 0, 0, 0];
        flatbuffer.extend(b"TFL3");
        flatbuffer.extend(&bytes);
        for content in [&bytes, &flatbuffer] {
            std::fs::write(&path, content).unwrap();
            for weights in [
                Weights::TfLite(&path),
                Weights::Torchvision(&path),
                Weights::Timm(&path),
                Weights::Keras(&path),
            ] {
                prop_assert!(mobile_net_v2(weights).is_err());
            }
        }
    }
}
