//! Imported TensorFlow Lite models compute what its own interpreter computes.
//!
//! The expected outputs in `fixtures/tflite.json` come from `fixtures/tflite.py`, which runs the
//! interpreter on the files that the ignored test `write_files` writes.
#![cfg(feature = "flex")]
#![cfg(all(feature = "graph", feature = "pytorch"))]

#[path = "common/tflite.rs"]
mod builder;

use std::path::Path;

use builder::{FLOAT16, FLOAT32, INT8, INT32, Model as File, Operator, Tensor, UINT8, Value};
use burn::tensor::{Device, Float, Tensor as Burn, TensorData};
use model_utils::Error;
use model_utils::graph::{Dim, ElementKind, Graph, Op, Role, tflite};
use proptest::prelude::*;

/// Even numbers between −1 and 1, the same in `fixtures/tflite.py`.
fn number(seed: u32, index: usize) -> f32 {
    let mut z = seed.wrapping_mul(2_654_435_761).wrapping_add((index as u32).wrapping_mul(40_503));
    z ^= z >> 16;
    z = z.wrapping_mul(2_246_822_519);
    z ^= z >> 13;
    (f64::from(z) / 4_294_967_296.0 * 2.0 - 1.0) as f32
}

fn count(shape: &[i32]) -> usize {
    shape.iter().product::<i32>() as usize
}

/// A model being built: each tensor is called by its index.
#[derive(Default)]
struct Build {
    file: File,
}

impl Build {
    fn add(&mut self, tensor: Tensor) -> i32 {
        self.file.tensors.push(tensor);
        self.file.tensors.len() as i32 - 1
    }

    fn float(&mut self, shape: &[i32]) -> i32 {
        let name = format!("t{}", self.file.tensors.len());
        self.add(Tensor::new(&name, shape, FLOAT32))
    }

    /// A constant of even numbers times a scale.
    fn weight(&mut self, shape: &[i32], scale: f32) -> i32 {
        let seed = self.file.tensors.len() as u32;
        let values = (0..count(shape)).flat_map(|i| (scale * number(seed, i)).to_le_bytes());
        let tensor = Tensor::new(&format!("w{seed}"), shape, FLOAT32).data(values);
        self.add(tensor)
    }

    fn integers(&mut self, values: &[i32], shape: &[i32]) -> i32 {
        let name = format!("i{}", self.file.tensors.len());
        let data = values.iter().flat_map(|value| value.to_le_bytes());
        self.add(Tensor::new(&name, shape, INT32).data(data))
    }

    fn quantized(&mut self, shape: &[i32], element: u8, scale: f32, zero: i64) -> i32 {
        let name = format!("q{}", self.file.tensors.len());
        self.add(Tensor::new(&name, shape, element).quantized(scale, zero))
    }

    fn then(&mut self, operator: Operator) {
        self.file.operators.push(operator);
    }

    fn done(mut self, input: i32, output: i32) -> Vec<u8> {
        (self.file.inputs, self.file.outputs) = (vec![input], vec![output]);
        self.file.file()
    }
}

const SAME: u8 = 0;
const VALID: u8 = 1;
const NONE: u8 = 0;
const RELU: u8 = 1;
const RELU6: u8 = 3;

fn pool(code: i32, io: [i32; 2], padding: u8, stride: i32, filter: i32) -> Operator {
    use Value::{I32, U8};
    let fields = vec![U8(padding), I32(stride), I32(stride), I32(filter), I32(filter), U8(NONE)];
    Operator::new(code, &[io[0]], &[io[1]]).options(5, fields)
}

/// Uneven sides, strides and windows: a small classifier.
fn classifier() -> Vec<u8> {
    use Value::{I32, U8};
    let mut build = Build::default();
    let x = build.float(&[1, 5, 7, 3]);
    let (w, b) = (build.weight(&[4, 3, 3, 3], 0.6), build.weight(&[4], 0.3));
    let conv = build.float(&[1, 3, 4, 4]);
    build.then(Operator::conv2d([x, w, b], conv, SAME, [2, 2], RELU6));
    let (w, b) = (build.weight(&[1, 3, 3, 8], 0.6), build.weight(&[8], 0.3));
    let depthwise = build.float(&[1, 3, 4, 8]);
    let fields = vec![U8(SAME), I32(1), I32(1), I32(2), U8(RELU)];
    build.then(Operator::new(4, &[conv, w, b], &[depthwise]).options(2, fields));
    let average = build.float(&[1, 3, 4, 8]);
    build.then(pool(1, [depthwise, average], SAME, 1, 2));
    let largest = build.float(&[1, 2, 2, 8]);
    build.then(pool(17, [average, largest], SAME, 2, 2));
    let joined = build.float(&[1, 2, 2, 16]);
    let cat = Operator::new(2, &[largest, largest], &[joined]);
    build.then(cat.options(10, vec![I32(-1), U8(NONE)]));
    let axes = build.integers(&[1, 2], &[2]);
    let mean = build.float(&[1, 16]);
    build.then(Operator::new(40, &[joined, axes], &[mean]).options(27, vec![U8(0)]));
    let (w, b) = (build.weight(&[5, 16], 0.9), build.weight(&[5], 0.3));
    let logits = build.float(&[1, 5]);
    build.then(Operator::new(9, &[mean, w, b], &[logits]).options(8, vec![U8(NONE)]));
    let output = build.float(&[1, 5]);
    build.then(Operator::new(25, &[logits], &[output]).options(9, vec![Value::F32(1.5)]));
    build.done(x, output)
}

/// The order of elements matters: padding, a valid convolution, a flattening, and back.
fn flattened() -> Vec<u8> {
    use Value::U8;
    let mut build = Build::default();
    let x = build.float(&[1, 4, 3, 2]);
    let amounts = build.integers(&[0, 0, 1, 0, 0, 2, 0, 0], &[4, 2]);
    let padded = build.float(&[1, 5, 5, 2]);
    build.then(Operator::new(34, &[x, amounts], &[padded]).options(22, vec![]));
    let (w, b) = (build.weight(&[3, 3, 2, 2], 0.6), build.weight(&[3], 0.3));
    let conv = build.float(&[1, 3, 4, 3]);
    build.then(Operator::conv2d([padded, w, b], conv, VALID, [1, 1], NONE));
    let flat = build.float(&[1, 36]);
    let shape = build.integers(&[1, 36], &[2]);
    build.then(Operator::new(22, &[conv, shape], &[flat]));
    let w = build.weight(&[12, 36], 0.3);
    let dense = build.float(&[1, 12]);
    build.then(Operator::new(9, &[flat, w, -1], &[dense]).options(8, vec![U8(RELU)]));
    let shape = build.integers(&[1, 2, 3, 2], &[4]);
    let image = build.float(&[1, 2, 3, 2]);
    build.then(Operator::new(22, &[dense, shape], &[image]));
    let axes = build.integers(&[0, 2, 1, 3], &[4]);
    let turned = build.float(&[1, 3, 2, 2]);
    build.then(Operator::new(39, &[image, axes], &[turned]).options(26, vec![]));
    let shape = build.integers(&[1, 12], &[2]);
    let output = build.float(&[1, 12]);
    build.then(Operator::new(22, &[turned, shape], &[output]));
    build.done(x, output)
}

/// Upwards: a transposed convolution, a resize, gates.
fn upwards() -> Vec<u8> {
    use Value::{I32, U8};
    let mut build = Build::default();
    let x = build.float(&[1, 3, 2, 4]);
    let shape = build.integers(&[1, 6, 4, 3], &[4]);
    let w = build.weight(&[3, 3, 3, 4], 0.5);
    let up = build.float(&[1, 6, 4, 3]);
    let fields = vec![U8(SAME), I32(2), I32(2)];
    build.then(Operator::new(67, &[shape, w, x], &[up]).options(49, fields));
    let size = build.integers(&[9, 7], &[2]);
    let resized = build.float(&[1, 9, 7, 3]);
    let fields = vec![Value::Absent, Value::Absent, U8(0), U8(1)];
    build.then(Operator::new(23, &[up, size], &[resized]).options(15, fields));
    let swished = build.float(&[1, 9, 7, 3]);
    build.then(Operator::new(117, &[resized], &[swished]).options(91, vec![]));
    let scale = build.weight(&[3], 2.0);
    let scaled = build.float(&[1, 9, 7, 3]);
    build.then(Operator::new(18, &[swished, scale], &[scaled]).options(21, vec![U8(NONE)]));
    let gate = build.float(&[1, 9, 7, 3]);
    build.then(Operator::new(14, &[scaled], &[gate]));
    let output = build.float(&[1, 9, 7, 3]);
    build.then(Operator::new(0, &[gate, resized], &[output]).options(11, vec![U8(RELU)]));
    build.done(x, output)
}

/// Integers: a residual block and a softmax in unsigned bytes with one scale a tensor.
fn unsigned() -> Vec<u8> {
    use Value::{I32, U8};
    let mut build = Build::default();
    let byte = |seed: u32, i: usize| (127.0 + 120.0 * number(seed, i)) as u8;
    let x = build.quantized(&[1, 6, 6, 3], UINT8, 1.0 / 128.0, 128);
    let w = build.add(
        Tensor::new("w", &[8, 3, 3, 3], UINT8)
            .data((0..216).map(|i| byte(1, i)))
            .quantized(0.004, 120),
    );
    let bias = |seed: u32, scale: f32| {
        let values = (0..8).flat_map(move |i| ((300.0 * number(seed, i)) as i32).to_le_bytes());
        Tensor::new(&format!("b{seed}"), &[8], INT32).data(values).quantized(scale, 0)
    };
    let b = build.add(bias(2, 0.004 / 128.0));
    let conv = build.quantized(&[1, 3, 3, 8], UINT8, 6.0 / 255.0, 0);
    build.then(Operator::conv2d([x, w, b], conv, SAME, [2, 2], RELU6));
    let w = build.add(
        Tensor::new("d", &[1, 3, 3, 8], UINT8)
            .data((0..72).map(|i| byte(3, i)))
            .quantized(0.005, 130),
    );
    let b = build.add(bias(4, 0.005 * 6.0 / 255.0));
    let depthwise = build.quantized(&[1, 3, 3, 8], UINT8, 0.04, 128);
    let fields = vec![U8(SAME), I32(1), I32(1), I32(1), U8(NONE)];
    build.then(Operator::new(4, &[conv, w, b], &[depthwise]).options(2, fields));
    let sum = build.quantized(&[1, 3, 3, 8], UINT8, 0.05, 100);
    build.then(Operator::new(0, &[conv, depthwise], &[sum]).options(11, vec![U8(NONE)]));
    let pooled = build.quantized(&[1, 1, 1, 8], UINT8, 0.05, 100);
    build.then(pool(1, [sum, pooled], VALID, 3, 3));
    let flat = build.quantized(&[1, 8], UINT8, 0.05, 100);
    build.then(Operator::new(22, &[pooled], &[flat]).options(17, vec![Value::I32s(vec![1, 8])]));
    let output = build.quantized(&[1, 8], UINT8, 1.0 / 256.0, 0);
    build.then(Operator::new(25, &[flat], &[output]).options(9, vec![Value::F32(1.0)]));
    build.done(x, output)
}

/// Integers: signed bytes with a scale a channel.
fn by_channel() -> Vec<u8> {
    use Value::{I32, U8};
    let mut build = Build::default();
    let x = build.quantized(&[1, 5, 5, 2], INT8, 0.01, -3);
    let byte = |seed: u32, i: usize| (120.0 * number(seed, i)) as i8 as u8;
    let scales = [0.002, 0.0005, 0.003, 0.001];
    let w = build.add(
        Tensor::new("w", &[4, 3, 3, 2], INT8)
            .data((0..72).map(|i| byte(1, i)))
            .quantized_by_channel(&scales, 0),
    );
    let b = build.add(
        Tensor::new("b", &[4], INT32)
            .data((0..4).flat_map(|i| ((2000.0 * number(2, i)) as i32).to_le_bytes()))
            .quantized_by_channel(&scales.map(|scale| scale * 0.01), 0),
    );
    let conv = build.quantized(&[1, 5, 5, 4], INT8, 0.01, -10);
    build.then(Operator::conv2d([x, w, b], conv, SAME, [1, 1], NONE));
    let scales = [0.001, 0.004, 0.003, 0.002];
    let w = build.add(
        Tensor::new("d", &[1, 3, 3, 4], INT8)
            .data((0..36).map(|i| byte(3, i)))
            .quantized_by_channel(&scales, 3),
    );
    let b = build.add(
        Tensor::new("e", &[4], INT32)
            .data((0..4).flat_map(|i| ((500.0 * number(4, i)) as i32).to_le_bytes()))
            .quantized_by_channel(&scales.map(|scale| scale * 0.01), 0),
    );
    let output = build.quantized(&[1, 3, 3, 4], INT8, 0.005, 5);
    let fields = vec![U8(VALID), I32(1), I32(1), I32(1), U8(NONE)];
    build.then(Operator::new(4, &[conv, w, b], &[output]).options(2, fields));
    build.done(x, output)
}

/// Means that leave an image's axes in another order, half floats, a shared weight.
fn means() -> Vec<u8> {
    use Value::U8;
    let mut build = Build::default();
    let x = build.float(&[1, 2, 3, 4]);
    // Half floats: 0.5, -1, 2, 0.25, again and again.
    let halves = [0x3800_u16, 0xBC00, 0x4000, 0x3400];
    let data = (0..16).flat_map(|i| halves[(i * 3 + i / 4) % 4].to_le_bytes());
    let half = build.add(Tensor::new("half", &[4, 1, 1, 4], FLOAT16).data(data));
    let weight = build.float(&[4, 1, 1, 4]);
    build.then(Operator::new(6, &[half], &[weight]).options(46, vec![]));
    let bias = build.weight(&[4], 0.3);
    let first = build.float(&[1, 2, 3, 4]);
    build.then(Operator::conv2d([x, weight, bias], first, VALID, [1, 1], NONE));
    let second = build.float(&[1, 2, 3, 4]);
    build.then(Operator::conv2d([first, weight, bias], second, VALID, [1, 1], RELU));
    let axes = build.integers(&[1], &[1]);
    let rows = build.float(&[1, 3, 4]);
    build.then(Operator::new(40, &[second, axes], &[rows]).options(27, vec![U8(0)]));
    let shape = build.integers(&[1, 12], &[2]);
    let output = build.float(&[1, 12]);
    build.then(Operator::new(22, &[rows, shape], &[output]));
    build.done(x, output)
}

/// A model's name, its file, and the step of its output's integers, if it has them.
fn models() -> [(&'static str, Vec<u8>, Option<f32>); 6] {
    [
        ("means", means(), None),
        ("classifier", classifier(), None),
        ("flattened", flattened(), None),
        ("upwards", upwards(), None),
        ("unsigned", unsigned(), Some(1.0 / 256.0)),
        ("by_channel", by_channel(), Some(0.005)),
    ]
}

#[test]
#[ignore = "writes the files that fixtures/tflite.py reads, into the folder TFLITE_FILES"]
fn write_files() {
    let folder = std::env::var("TFLITE_FILES").unwrap();
    for (name, file, _) in models() {
        std::fs::write(Path::new(&folder).join(format!("{name}.tflite")), file).unwrap();
    }
}

fn import(file: &[u8]) -> Graph {
    tflite::from_bytes(file, "a.tflite").unwrap()
}

/// Image `[batch, height, width, channels]` to `[batch, channels, height, width]`.
fn turned(values: &[f32], shape: &[usize]) -> Burn<4> {
    let shape: [usize; 4] = shape.try_into().unwrap();
    let there = Burn::<4>::from_data(TensorData::new(values.to_vec(), shape), &Device::flex());
    there.permute([0, 3, 1, 2])
}

#[test]
fn outputs_are_those_of_the_interpreter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tflite.json");
    let fixture: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, file, step) in models() {
        let case = &fixture[name];
        let numbers =
            |key: &str| -> Vec<f32> { serde_json::from_value(case[key].clone()).unwrap() };
        let shape: Vec<usize> = serde_json::from_value(case["input_shape"].clone()).unwrap();
        let graph = import(&file);
        assert_eq!(graph.node(graph.inputs()[0]).shape[0], Dim::Batch(1));
        let module = graph.dequantize().unwrap().init(&Device::flex()).unwrap();
        let x = turned(&numbers("input"), &shape);
        let run = |x: Burn<4>| module.run(vec![x.into()], &mut |_, _| {}).unwrap().remove(0);
        let output = run(x.clone());
        let found: Vec<f32> = match output.shape().len() {
            4 => {
                let there = output.typed::<4, Float>().unwrap().permute([0, 2, 3, 1]);
                there.into_data().iter().collect()
            }
            _ => output.typed::<2, Float>().unwrap().into_data().iter().collect(),
        };
        let expected = numbers("output");
        assert_eq!(found.len(), expected.len(), "{name}");
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Integers round at every operator: a few steps of the last one.
        let allowed = step.map_or(1e-5, |step| 2.5 * step);
        assert!(off < allowed, "{name}: off by {off}, {allowed} allowed");

        // Images of a batch are computed each by itself.
        let two = run(Burn::cat(vec![x.clone() * 0.5, x], 0));
        assert_eq!(two.shape()[0], 2, "{name}");
        let again: Vec<f32> = match two.shape().len() {
            4 => {
                let there = two.typed::<4, Float>().unwrap().permute([0, 2, 3, 1]);
                there.slice(1..2).into_data().iter().collect()
            }
            _ => two.typed::<2, Float>().unwrap().slice(1..2).into_data().iter().collect(),
        };
        let off = found.iter().zip(&again).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{name}: {off}");
    }
}

#[test]
fn a_graph_keeps_what_the_integers_mean() {
    let graph = import(&by_channel());
    let weight = graph.find("w").unwrap();
    // [4, 3, 3, 2] there, channels first here.
    assert_eq!(graph.weight(weight).unwrap().data.shape().to_vec(), [4, 2, 3, 3]);
    let quantization = graph.node(weight).quantization.clone().unwrap();
    assert_eq!((quantization.axis, quantization.scale.len()), (Some(0), 4));
    assert_eq!((quantization.least, quantization.largest), (-128, 127));
    // The channels of a depthwise convolution lie last there and first here.
    let depthwise = graph.find("d").unwrap();
    assert_eq!(graph.weight(depthwise).unwrap().data.shape().to_vec(), [4, 1, 3, 3]);
    assert_eq!(graph.node(depthwise).quantization.as_ref().unwrap().axis, Some(0));
    assert_eq!(graph.node(depthwise).kind, ElementKind::Float);

    let error = graph.init(&Device::flex()).unwrap_err().to_string();
    assert!(error.contains("dequantize"), "{error}");
    let real = graph.dequantize().unwrap();
    let data = &real.weight(depthwise).unwrap().data;
    let stored: Vec<i64> = graph.weight(depthwise).unwrap().data.iter().collect();
    let scales = [0.001_f32, 0.004, 0.003, 0.002];
    for (index, value) in data.iter::<f32>().enumerate() {
        let expected = scales[index / 9] * stored[index] as f32;
        assert_eq!(value.to_bits(), expected.to_bits());
    }
    assert_eq!(real.node(depthwise).quantization, graph.node(depthwise).quantization);
    assert_eq!(real.weight(depthwise).unwrap().role, Role::Learnable);
    let output = graph.node(graph.outputs()[0]);
    assert_eq!(output.quantization.as_ref().unwrap().scale, [0.005]);

    // Saved and loaded with both.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.safetensors");
    graph.save(&path).unwrap();
    let loaded = Graph::load(&path).unwrap();
    assert_eq!(loaded.node(depthwise).quantization, graph.node(depthwise).quantization);
    assert_eq!(loaded.weight(weight).unwrap().data, graph.weight(weight).unwrap().data);
}

#[test]
fn scales_and_zero_points_are_matched_or_refused() {
    // One zero point for all channels, and one scale.
    let mut file = File::conv2d();
    (file.tensors[1].scale, file.tensors[1].zero_point) = (vec![0.1, 0.2, 0.3], vec![7]);
    file.tensors[2].scale = vec![0.05, 0.1, 0.15];
    file.tensors[2].zero_point = vec![0];
    let graph = import(&file.file());
    let weight = graph.find("weights").unwrap();
    let quantization = graph.node(weight).quantization.as_ref().unwrap();
    assert_eq!((quantization.zero_point.as_slice(), quantization.axis), (&[7, 7, 7][..], Some(0)));
    let real = graph.dequantize().unwrap();
    let first = real.weight(weight).unwrap().data.iter::<f32>().next().unwrap();
    assert!((first - 0.1 * (100.0 - 7.0)).abs() < 1e-5, "{first}");

    // What no longer fits the shape is named.
    let mut graph = graph;
    let narrow = TensorData::new(vec![1_u8; 2 * 18], [2, 2, 3, 3]);
    let error = graph.rewrite(|edit| {
        edit.set_data(weight, narrow);
        Ok(())
    });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("weights (parameter)") && text.contains("3 scales"), "{text}");
}

#[test]
fn a_weight_that_two_layers_share_is_one_parameter() {
    let graph = import(&means());
    let half = graph.find("half").unwrap();
    assert_eq!(graph.users(half).len(), 2);
    assert_eq!(graph.learnable_parameters(), 16 + 4);
}

#[test]
fn sizes_that_no_image_has_are_refused_at_once() {
    let mut build = Build::default();
    let x = build.float(&[1, 100_000, 100_000, 1]);
    let pooled = build.float(&[1, 100_000, 100_000, 1]);
    build.then(pool(1, [x, pooled], SAME, 1, 2));
    let text = tflite::from_bytes(&build.done(x, pooled), "a.tflite").unwrap_err().to_string();
    assert!(text.contains("100000 rows or columns"), "{text}");
}

/// Reads the published model and the photograph, which the project does not contain.
#[test]
#[ignore = "reads mobilenet_v2_1.0_224_quant.tflite, grace_hopper.bmp and imagenet_labels.txt from the folder IMAGENET"]
#[cfg(feature = "images")]
fn the_published_model_calls_the_photograph_a_military_uniform() {
    let folder = std::path::PathBuf::from(std::env::var("IMAGENET").unwrap());
    let graph = tflite::import(folder.join("mobilenet_v2_1.0_224_quant.tflite")).unwrap();
    let module = graph.dequantize().unwrap().init(&Device::flex()).unwrap();
    let image = model_utils::image::Image::open(folder.join("grace_hopper.bmp")).unwrap();
    let pixels = image.to_rgb().resize(224, 224).to_planes();
    let values: Vec<f32> = pixels.iter().map(|value| value * 255.0 / 128.0 - 1.0).collect();
    let x = Burn::<4>::from_data(TensorData::new(values, [1, 3, 224, 224]), &Device::flex());
    let output: Burn<2> = module.forward(x).unwrap();
    let probabilities: Vec<f32> = output.into_data().iter().collect();
    let labels = std::fs::read_to_string(folder.join("imagenet_labels.txt")).unwrap();
    let best = (0..1001).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap();
    assert_eq!(labels.lines().nth(best).unwrap(), "military uniform");
    // The interpreter, in integers: 0.9219.
    assert!((probabilities[best] - 0.92).abs() < 0.03, "{}", probabilities[best]);
}

#[test]
fn what_cannot_be_imported_is_named() {
    let error = |file: &[u8]| tflite::from_bytes(file, "a.tflite").unwrap_err();
    let mut file = File::conv2d();
    file.operators[0] = Operator::new(27, &[0], &[3]);
    let text = error(&file.file()).to_string();
    assert!(text.contains("operator 0 (SVDF) of a.tflite") && text.contains("27"), "{text}");
    assert!(matches!(error(&file.file()), Error::Unsupported { .. }));

    // Weights that do not fit the input, though each tensor is sound.
    let mut file = File::conv2d();
    file.tensors[0].shape = vec![1, 4, 4, 3];
    let text = error(&file.file()).to_string();
    assert!(text.contains("a.tflite is not a valid TensorFlow Lite file"), "{text}");
    assert!(text.contains("3 channels for weights of 2"), "{text}");
    // An output of another shape than the operator gives.
    let mut file = File::conv2d();
    file.tensors[3].shape = vec![1, 4, 3, 3];
    let text = error(&file.file()).to_string();
    assert!(text.contains("[1, 3, 4, 4]") && text.contains("[1, 3, 4, 3]"), "{text}");

    assert!(matches!(tflite::import("no/such.tflite").unwrap_err(), Error::Io { .. }));
    assert!(matches!(error(b"not a model"), Error::Format { .. }));
    let whole = classifier();
    for length in [0, 8, 100, whole.len() / 2] {
        assert!(matches!(error(&whole[..length]), Error::Format { .. }), "{length}");
    }
}

#[test]
fn a_pooling_over_uneven_sides_needs_no_permutation() {
    let graph = import(&classifier());
    assert!(!graph.nodes().any(|(_, node)| matches!(node.op, Op::Permute { .. })));
    let graph = import(&flattened());
    let permutations = graph.nodes().filter(|(_, node)| matches!(node.op, Op::Permute { .. }));
    assert_eq!(permutations.count(), 4);
}

proptest! {
    /// No change of some bytes makes the import panic.
    #[test]
    fn changed_files_are_refused_or_imported(
        which in 0_usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = models().into_iter().nth(which).unwrap().1;
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(graph) = tflite::from_bytes(&file, "a.tflite") {
            let _ = graph.dequantize().and_then(|graph| graph.init(&Device::flex()));
        }
    }
}
