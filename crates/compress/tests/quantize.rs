//! Quantized graphs compute what their integers stand for, train, and keep in files.
#![cfg(feature = "flex")]

#[path = "common/quantize.rs"]
mod common;

use burn::module::Module as _;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use common::{batches, difference, images, net, run, with_weights};
use compress::quantize::{
    CalibrationMethod, Coverage, PostTraining, PowerOfTwo, QuantizationAware, Scheme, StepSize,
    WeightRange, cast, correct_bias, equalise, load, save, stored_bytes, widen,
};
use mobilenet_densenet::{
    Classifier as _, DenseNet, DenseNetConfig, MobileNetV2, MobileNetV2Config, MobileNetV3,
    MobileNetV3Config,
};
use model_utils::graph::{Graph, NodeId, Op, Quantization, Role};
use model_utils::train::Stop;

const OBSERVERS: [CalibrationMethod; 5] = [
    CalibrationMethod::MinMax,
    CalibrationMethod::MovingAverage { share: 0.3 },
    CalibrationMethod::Percentile { percent: 99.9 },
    CalibrationMethod::MeanSquaredError,
    CalibrationMethod::Entropy,
];

fn quantization<'a>(graph: &'a Graph, name: &str) -> &'a Quantization {
    graph.node(graph.find(name).unwrap()).quantization.as_ref().unwrap()
}

fn rounded_tensors(graph: &Graph) -> Vec<NodeId> {
    let rounds = |op: &Op| matches!(op, Op::FakeQuantize(_));
    graph.nodes().filter(|(_, node)| rounds(&node.op)).map(|(id, _)| id).collect()
}

#[test]
fn eight_bits_are_close_to_floating_point_by_every_observer() {
    let graph = net();
    let x = images([32, 2, 8, 8], 99, &Device::flex());
    let float = run(&graph, x.clone());
    for observer in OBSERVERS {
        let config = PostTraining::per_channel().with_calibration_method(observer);
        let int8 = config.calibrate(&graph, batches(3)).unwrap();
        let lost = difference(&float, &run(&int8, x.clone()));
        assert!(lost > 0.0 && lost < 0.06, "{observer:?}: {lost}");
        // The input, both ReLUs, the convolution before the pooling, the pooling.
        assert_eq!(rounded_tensors(&int8).len(), 5, "{int8}");
        assert!(rounded_tensors(&int8).iter().all(|&id| int8.node(id).quantization.is_some()));
        assert_eq!(quantization(&int8, "stem.weight").scale.len(), 6);
        assert_eq!(quantization(&int8, "head.weight").scale.len(), 4);
        assert_eq!(quantization(&int8, "head.weight").axis, Some(1));
    }
    let per_tensor = PostTraining::per_tensor().calibrate(&graph, batches(3)).unwrap();
    assert_eq!(quantization(&per_tensor, "stem.weight").scale.len(), 1);
}

/// What an engine with integers alone would compute of the last layer.
#[test]
fn integers_compute_the_same_as_the_graph() {
    let graph = net();
    let int8 = PostTraining::per_channel().calibrate(&graph, batches(3)).unwrap();
    let module = int8.init(&Device::flex()).unwrap();
    let head = int8.find("head").unwrap();
    let inputs = int8.node(head).inputs.clone();
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    let x = images([8, 2, 8, 8], 5, &Device::flex());
    module
        .run(vec![x.into()], &mut |id, tensor| {
            let numbers = || tensor.clone().into_data().iter::<f32>().collect::<Vec<f32>>();
            if id == inputs[0] {
                taken = numbers();
            } else if id == head {
                given = numbers();
            }
        })
        .unwrap();
    let of_x = int8.node(inputs[0]).quantization.clone().unwrap();
    let of_weight = int8.node(inputs[1]).quantization.clone().unwrap();
    let integer = |real: f32, scale: f32| {
        let steps = real / scale;
        assert!((steps - steps.round()).abs() < 1e-3, "{real} is no multiple of {scale}");
        steps.round() as i64
    };
    let weight: Vec<f32> = int8.weight(inputs[1]).unwrap().data.iter::<f32>().collect();
    let bias: Vec<f32> = int8.weight(inputs[2]).unwrap().data.iter::<f32>().collect();
    for (row, found) in taken.chunks(8).zip(given.chunks(4)) {
        for (column, found) in found.iter().enumerate() {
            let products = row.iter().enumerate().map(|(at, &x)| {
                let x = integer(x, of_x.scale[0]) + of_x.zero_point[0];
                assert!((0..=255).contains(&x));
                let weight = integer(weight[at * 4 + column], of_weight.scale[column]);
                assert!((-127..=127).contains(&weight));
                (x - of_x.zero_point[0]) * weight
            });
            let sum = products.sum::<i64>() as f32;
            let expected = sum * of_x.scale[0] * of_weight.scale[column] + bias[column];
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0));
        }
    }
}

#[test]
fn a_stopped_calibration_gives_no_graph() {
    let stop = Stop::new();
    let config = PostTraining::per_channel().with_stop(Some(stop.clone()));
    assert!(config.calibrate(&net(), batches(2)).is_ok());
    stop.stop();
    let score = |_: &Graph| -> compress::Result<f64> { unreachable!("nothing is scored") };
    for error in [
        config.calibrate(&net(), batches(2)).unwrap_err().to_string(),
        config.sensitivity(&net(), batches(2), score).unwrap_err().to_string(),
    ] {
        assert!(error.contains("calibration was stopped at batch 0 of 2"), "{error}");
    }
    // Two batches; then a layer is scored, and a second is not.
    let mut scored = 0;
    let count = |_: &Graph| {
        scored += 1;
        Ok(0.0)
    };
    let config = PostTraining::per_channel().with_stop(Some(Stop::after(3)));
    let error = config.sensitivity(&net(), batches(2), count).unwrap_err().to_string();
    assert!(error.starts_with("the sensitivity was stopped at"), "{error}");
    assert_eq!(scored, 2, "the graph itself and one layer");
    let int8 = PostTraining::per_channel().calibrate(&net(), batches(2)).unwrap();
    let aware = QuantizationAware::new(Scheme::symmetric(4));
    let error = aware.prepare(Stop::after(1).around(&net()), batches(2)).unwrap_err().to_string();
    assert_eq!(error, "calibration was stopped at batch 1 of 2");
    let corrected = correct_bias(Stop::after(1).around(&net()), &int8, batches(2));
    let error = corrected.unwrap_err().to_string();
    assert_eq!(error, "calibration was stopped at batch 1 of 2");
}

#[test]
fn files_hold_integers_and_give_the_same_outputs() {
    let graph = net();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.safetensors");
    let x = images([4, 2, 8, 8], 3, &Device::flex());
    let float_bytes = stored_bytes(&graph).unwrap();
    let mut last = float_bytes;
    for bits in [16, 8, 6, 4, 3, 2] {
        let config =
            PostTraining::per_channel().with_weights(Scheme::symmetric(bits).per_channel());
        let quantized = config.calibrate(&graph, batches(1)).unwrap();
        save(&quantized, &path).unwrap();
        let again = load(&path).unwrap();
        assert_eq!(run(&quantized, x.clone()), run(&again, x.clone()), "{bits} bits");
        let id = again.find("stem.weight").unwrap();
        assert_eq!(quantized.node(id).quantization, again.node(id).quantization);
        let stored = Graph::load(&path).unwrap();
        assert!(!stored.weight(id).unwrap().data.dtype().is_float());
        let bytes = stored_bytes(&quantized).unwrap();
        assert!(bytes < last, "{bits} bits: {bytes} after {last}");
        last = bytes;
    }
    for bits in 2..=6 {
        let powers = PowerOfTwo::new(bits).unwrap().quantize(&graph).unwrap();
        let text = Coverage::new(&powers).to_string();
        assert!(text.starts_with("4 weights of "), "{text}");
        assert!(Coverage::new(&powers).weights.iter().all(|(_, found)| *found <= bits), "{text}");
        save(&powers, &path).unwrap();
        let again = load(&path).unwrap();
        assert_eq!(run(&powers, x.clone()), run(&again, x.clone()));
    }
    let affine = PostTraining::weight_only(Scheme::affine(5).per_channel());
    let quantized = affine.calibrate(&graph, Vec::<Tensor<4>>::new()).unwrap();
    assert!(rounded_tensors(&quantized).is_empty());
    save(&quantized, &path).unwrap();
    assert_eq!(run(&quantized, x.clone()), run(&load(&path).unwrap(), x));
}

#[test]
fn weights_that_moved_after_they_were_quantized_are_not_saved() {
    let mut int8 = PostTraining::per_tensor().calibrate(&net(), batches(1)).unwrap();
    let id = int8.find("head.weight").unwrap();
    let moved: Vec<f32> = int8.weight(id).unwrap().data.iter::<f32>().map(|w| w + 1e-3).collect();
    int8.rewrite(|edit| {
        edit.set_data(id, TensorData::new(moved, [8, 4]));
        Ok(())
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = save(&int8, folder.path().join("x")).unwrap_err().to_string();
    assert!(error.contains("`head.weight`") && error.contains("changed after"), "{error}");
}

#[test]
fn models_of_the_workspace_are_covered_whole() {
    let device = Device::flex();
    let v2 = MobileNetV2Config::new().with_width(0.25).with_channels(2).with_classes(4);
    let v3 = MobileNetV3Config::small().with_channels(2).with_classes(4);
    let dense = DenseNetConfig::new(4, vec![2, 2], 8).with_channels(2).with_classes(4);
    let shape = [1, 2, 32, 32];
    let graphs = [
        Graph::trace(&v2.init(&device).unwrap(), shape, MobileNetV2::forward).unwrap(),
        Graph::trace(&v3.init(&device).unwrap(), shape, MobileNetV3::forward).unwrap(),
        Graph::trace(&dense.init(&device).unwrap(), shape, DenseNet::forward).unwrap(),
    ];
    for (at, graph) in graphs.into_iter().enumerate() {
        let graph = with_weights(graph, 2);
        let batch = images([4, 2, 32, 32], 1, &device);
        let int8 = PostTraining::per_channel().calibrate(&graph, [batch.clone()]).unwrap();
        let coverage = Coverage::new(&int8);
        assert!(coverage.float_layers.is_empty(), "model {at}: {:?}", coverage.float_layers);
        assert!(
            coverage.float_operations.is_empty(),
            "model {at}: {:?}",
            coverage.float_operations
        );
        assert!(coverage.weights.len() > 8 && coverage.weights.iter().all(|(_, bits)| *bits == 8));
        let lost = difference(&run(&graph, batch.clone()), &run(&int8, batch));
        assert!(lost < 0.25, "model {at}: {lost}");
    }
}

#[test]
fn layers_may_be_left_and_are_named() {
    let graph = net();
    let config = PostTraining::per_channel().with_excluded("head").with_excluded("stem");
    let coverage = Coverage::new(&config.calibrate(&graph, batches(1)).unwrap());
    assert_eq!(coverage.float_layers, ["stem", "head"]);
    assert_eq!(coverage.weights.len(), 2);
    let text = coverage.to_string();
    assert!(text.contains("`stem`: its weight is in floating point"), "{text}");
    let error = PostTraining::per_channel().with_excluded("hat").calibrate(&graph, batches(1));
    assert!(error.unwrap_err().to_string().contains("`hat`"));
}

#[test]
fn bad_input_is_named() {
    let graph = net();
    let none = Vec::<Tensor<4>>::new();
    let int8 = PostTraining::per_channel();
    let error = int8.calibrate(&graph, none.clone()).unwrap_err().to_string();
    assert!(error.contains("`batches` is empty"), "{error}");
    let error = QuantizationAware::new(Scheme::symmetric(4)).prepare(&graph, none.clone());
    assert!(error.unwrap_err().to_string().contains("`batches` is empty"));
    let error = correct_bias(&graph, &graph, none).unwrap_err().to_string();
    assert!(error.contains("`batches` is empty"), "{error}");

    let nan = images([2, 2, 8, 8], 1, &Device::flex()) * f32::NAN;
    let error = int8.calibrate(&graph, [batches(1).remove(0), nan]).unwrap_err().to_string();
    assert!(error.contains("NaN in batch 1") && error.contains("input"), "{error}");

    let mut broken = graph.clone();
    let id = broken.find("pointwise.bias").unwrap();
    broken
        .rewrite(|edit| {
            edit.set_data(id, TensorData::new(vec![f32::INFINITY; 8], [8]));
            Ok(())
        })
        .unwrap();
    let error = int8.calibrate(&broken, batches(1)).unwrap_err().to_string();
    assert!(error.contains("`pointwise`") && error.contains("inf in batch 0"), "{error}");

    for bits in [1, 9, 32] {
        let config = int8.clone().with_weights(Scheme::symmetric(bits));
        let error = config.calibrate(&graph, batches(1)).unwrap_err().to_string();
        assert!(error.contains("`bits`"), "{error}");
    }
    for observer in [
        CalibrationMethod::Percentile { percent: 0.0 },
        CalibrationMethod::MovingAverage { share: 0.0 },
    ] {
        let config = int8.clone().with_calibration_method(observer);
        assert!(config.calibrate(&graph, batches(1)).is_err());
    }
    let error = QuantizationAware::new(Scheme::symmetric(4)).convert(&graph).unwrap_err();
    assert!(error.to_string().contains("prepare it first"), "{error}");
}

#[test]
fn constant_inputs_have_a_sensible_scale() {
    let graph = net();
    let constant = Tensor::<4>::zeros([4, 2, 8, 8], &Device::flex());
    for observer in OBSERVERS {
        let config = PostTraining::per_tensor().with_calibration_method(observer);
        let int8 = config.calibrate(&graph, [constant.clone()]).unwrap();
        let id = int8.find("input.quantized").unwrap();
        assert_eq!(int8.node(id).quantization.as_ref().unwrap().scale, [1.0]);
        assert!(run(&int8, constant.clone()).iter().all(|x| x.is_finite()));
    }
}

/// The squared error of outputs against targets after a training of some steps.
fn train(graph: &Graph, steps: usize, rate: f64) -> (Graph, Vec<f32>) {
    let device = Device::flex().autodiff();
    let mut module = graph.init(&device).unwrap();
    let mut optimizer = AdamConfig::new().init();
    let x = images([32, 2, 8, 8], 50, &device);
    // What another network says.
    let wanted = run(&with_weights(net(), 9), images([32, 2, 8, 8], 50, &Device::flex()));
    let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [32, 4]), &device);
    let mut losses = Vec::new();
    for _ in 0..steps {
        let output: Tensor<2> = module.forward(x.clone()).unwrap();
        let loss = (output - wanted.clone()).powi_scalar(2).mean();
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &module);
        module = optimizer.step(rate, module, gradients);
    }
    (module.graph(), losses)
}

#[test]
fn training_moves_weights_and_scales_and_converts_to_the_same_outputs() {
    let graph = net();
    for steps in [StepSize::LearnedLogarithms, StepSize::Learned, StepSize::Fixed] {
        let aware =
            QuantizationAware::new(Scheme::symmetric(4).per_channel()).with_step_size(steps);
        let prepared = aware.prepare(&graph, batches(2)).unwrap();
        let scales: Vec<NodeId> = prepared
            .parameters()
            .filter(|(id, weight)| {
                weight.role == Role::Learnable && prepared.node(*id).name.ends_with("_scale")
            })
            .map(|(id, _)| id)
            .collect();
        assert_eq!(scales.len(), if steps == StepSize::Fixed { 0 } else { 4 + 5 }, "{steps:?}");
        let rate = if steps == StepSize::Learned { 1e-4 } else { 3e-3 };
        let (trained, losses) = train(&prepared, 40, rate);
        assert!(losses.last().unwrap() < &(0.97 * losses[0]), "{steps:?}: {losses:?}");
        for id in scales {
            let values = |graph: &Graph| graph.weight(id).unwrap().data.clone();
            assert_ne!(values(&trained), values(&prepared), "{}", prepared.node(id).name);
        }
        let x = images([8, 2, 8, 8], 4, &Device::flex());
        let fixed = aware.convert(&trained).unwrap();
        let lost = difference(&run(&trained, x.clone()), &run(&fixed, x.clone()));
        assert!(lost < 0.02, "{steps:?}: {lost}");
        assert_eq!(rounded_tensors(&fixed).len(), 5);
        assert_eq!(quantization(&fixed, "stem.weight").largest, 7);
        // Nothing of the training is left.
        assert!(fixed.parameters().all(|(id, _)| !fixed.node(id).name.contains("scale")));
        let folder = tempfile::tempdir().unwrap();
        save(&fixed, folder.path().join("graph")).unwrap();
        assert_eq!(run(&fixed, x.clone()), run(&load(folder.path().join("graph")).unwrap(), x));
    }
}

#[test]
fn norms_that_cannot_be_folded_keep_their_statistics() {
    let device = Device::flex();
    let config = DenseNetConfig::new(4, vec![2, 2], 8).with_channels(2).with_classes(4);
    let model = config.init(&device).unwrap();
    let graph = with_weights(Graph::trace(&model, [1, 2, 8, 8], DenseNet::forward).unwrap(), 3);
    let aware = QuantizationAware::new(Scheme::symmetric(4).per_channel());
    let prepared = aware.prepare(&graph, batches(1)).unwrap();
    let running = |graph: &Graph| -> Vec<TensorData> {
        let all = graph.parameters().filter(|(_, weight)| weight.role == Role::Running);
        all.map(|(_, weight)| weight.data.clone()).collect()
    };
    assert!(running(&prepared).len() > 4);
    let (trained, losses) = train(&prepared, 3, 1e-3);
    assert!(losses.iter().all(|loss| loss.is_finite()));
    assert_eq!(running(&prepared), running(&trained));
}

#[test]
fn equalised_layers_compute_the_same_and_round_better() {
    let mut graph = net();
    graph.fold_batch_norm().unwrap();
    // One channel far larger than the others, as depthwise layers have them.
    for (name, channel, by) in [("stem.weight", 2, 60.0), ("depthwise.weight", 1, 40.0)] {
        let id = graph.find(name).unwrap();
        let data = graph.weight(id).unwrap().data.clone();
        let inner = data.num_elements() / 6;
        let scaled = data.iter::<f32>().enumerate();
        let scaled = scaled.map(|(at, w)| if at / inner == channel { by * w } else { w });
        let scaled = TensorData::new(scaled.collect::<Vec<f32>>(), data.shape().to_vec());
        graph
            .rewrite(|edit| {
                edit.set_data(id, scaled);
                Ok(())
            })
            .unwrap();
    }
    let x = images([16, 2, 8, 8], 8, &Device::flex());
    let float = run(&graph, x.clone());
    let equal = equalise(&graph).unwrap();
    assert!(difference(&float, &run(&equal, x.clone())) < 1e-4);
    let range = |graph: &Graph, name: &str, axis: usize| -> Vec<f32> {
        let data = &graph.weight(graph.find(name).unwrap()).unwrap().data;
        let inner: usize = data.shape()[axis + 1..].iter().product();
        let mut ranges = vec![0.0f32; data.shape()[axis]];
        for (at, weight) in data.iter::<f32>().enumerate() {
            let place = at / inner % ranges.len();
            ranges[place] = ranges[place].max(weight.abs());
        }
        ranges
    };
    // Stem and depthwise, depthwise and pointwise: the same range in each channel.
    let pairs = [
        (("stem.weight", 0), ("depthwise.weight", 0)),
        (("depthwise.weight", 0), ("pointwise.weight", 1)),
    ];
    for ((a, of_a), (b, of_b)) in pairs {
        for (a, b) in range(&equal, a, of_a).iter().zip(range(&equal, b, of_b)) {
            assert!((a / b - 1.0).abs() < 0.01, "{a} {b}");
        }
    }
    let config = PostTraining::weight_only(Scheme::symmetric(8));
    let lost = |config: PostTraining| {
        let int8 = config.calibrate(&graph, batches(1)).unwrap();
        difference(&float, &run(&int8, x.clone()))
    };
    let (plain, equalised) = (lost(config.clone()), lost(config.with_equalisation(true)));
    assert!(equalised < 0.5 * plain, "{plain} without, {equalised} with");
}

#[test]
fn corrected_biases_bring_the_means_back() {
    let graph = net();
    let config = PostTraining::weight_only(Scheme::symmetric(3));
    let means = |graph: &Graph| -> Vec<f64> {
        let mut sums = vec![0.0; 4];
        for batch in batches(3) {
            let output = run(graph, batch);
            output.iter().enumerate().for_each(|(at, x)| sums[at % 4] += f64::from(*x) / 48.0);
        }
        sums
    };
    let float = means(&graph);
    let off = |graph: &Graph| {
        let found = means(graph);
        found.iter().zip(&float).map(|(a, b)| (a - b).abs()).sum::<f64>()
    };
    let plain = config.calibrate(&graph, batches(3)).unwrap();
    let corrected = config.with_bias_correction(true).calibrate(&graph, batches(3)).unwrap();
    assert!(off(&plain) > 1e-2, "{}", off(&plain));
    assert!(off(&corrected) < 1e-4, "{}", off(&corrected));
    // The weights are the same.
    let id = plain.find("stem.weight").unwrap();
    assert_eq!(plain.weight(id).unwrap().data, corrected.weight(id).unwrap().data);
}

#[test]
fn the_layer_that_suffers_most_is_found() {
    let mut graph = net();
    // One large weight spoils the scale of its tensor.
    let id = graph.find("pointwise.weight").unwrap();
    let mut values: Vec<f32> = graph.weight(id).unwrap().data.iter::<f32>().collect();
    values[0] = 40.0;
    graph
        .rewrite(|edit| {
            edit.set_data(id, TensorData::new(values, [8, 6, 1, 1]));
            Ok(())
        })
        .unwrap();
    let x = images([16, 2, 8, 8], 8, &Device::flex());
    let float = run(&graph, x.clone());
    let config = PostTraining::per_tensor().with_weights(Scheme::symmetric(4));
    let found = config
        .sensitivity(&graph, batches(1), |graph| {
            Ok(-f64::from(difference(&float, &run(graph, x.clone()))))
        })
        .unwrap();
    let names: Vec<&str> = found.layers.iter().map(|layer| layer.layer.as_str()).collect();
    assert_eq!(names, ["stem", "depthwise", "pointwise", "head"]);
    assert!(found.float > -1e-5);
    assert_eq!(found.worst_first()[0].0, "pointwise", "{found}");
    assert!(found.to_string().contains("pointwise"));
}

#[test]
fn powers_of_two_are_trained_behind_their_projection() {
    let graph = net();
    let powers = PowerOfTwo::new(3).unwrap().with_excluded("head");
    let device = Device::flex().autodiff();
    let module = graph.init(&device).unwrap();
    let projected = powers.project(&graph, &module).unwrap();
    let quantized = powers.quantize(&graph).unwrap();
    // The projection computes what the quantized graph does, statistics of the batch aside.
    let x = images([4, 2, 8, 8], 1, &Device::flex());
    let still: Tensor<2> =
        powers.project(&graph, &module.valid()).unwrap().forward(x.clone()).unwrap();
    let still: Vec<f32> = still.into_data().iter::<f32>().collect();
    assert!(difference(&run(&quantized, x), &still) < 1e-5);
    // Gradients reach the weights of the module itself.
    let output: Tensor<2> = projected.forward(images([4, 2, 8, 8], 1, &device)).unwrap();
    let gradients = output.powi_scalar(2).mean().backward();
    let gradients = GradientsParams::from_grads(gradients, &module);
    assert_eq!(
        gradients.len(),
        graph.parameters().filter(|(_, w)| w.role == Role::Learnable).count()
    );
    let before = module.graph();
    let after = AdamConfig::new().init().step(0.01, module, gradients).graph();
    for name in ["stem.weight", "head.weight", "pointwise.bias"] {
        let of = |graph: &Graph| graph.weight(graph.find(name).unwrap()).unwrap().data.clone();
        assert_ne!(of(&before), of(&after), "{name}");
    }
    assert!(quantized.node(quantized.find("head.weight").unwrap()).quantization.is_none());
    let weight = quantized.weight(quantized.find("stem.weight").unwrap()).unwrap();
    for value in weight.data.iter::<f32>().filter(|value| *value != 0.0) {
        assert!(value.abs().log2().fract().abs() < f32::EPSILON, "{value}");
    }
}

#[test]
fn narrow_floats_halve_the_bytes() {
    let graph = net();
    let whole = stored_bytes(&graph).unwrap();
    let x = images([4, 2, 8, 8], 1, &Device::flex());
    let float = run(&graph, x.clone());
    for (to, bytes, most) in [
        (FloatDType::F64, 2 * whole, 1e-9),
        (FloatDType::F32, whole, 1e-9),
        (FloatDType::F16, whole / 2, 3e-3),
        (FloatDType::BF16, whole / 2, 3e-2),
    ] {
        let narrow = cast(&graph, to).unwrap();
        assert_eq!(stored_bytes(&narrow).unwrap(), bytes, "{to:?}");
        let folder = tempfile::tempdir().unwrap();
        save(&narrow, folder.path().join("graph")).unwrap();
        let wide = widen(&narrow).unwrap();
        assert!(difference(&float, &run(&wide, x.clone())) < most, "{to:?}");
        let again = load(folder.path().join("graph")).unwrap();
        assert_eq!(run(&wide, x.clone()), run(&again, x.clone()));
    }
    let mut large = graph;
    let id = large.find("head.bias").unwrap();
    large
        .rewrite(|edit| {
            edit.set_data(id, TensorData::new(vec![1e6f32; 4], [4]));
            Ok(())
        })
        .unwrap();
    let error = cast(&large, FloatDType::F16).unwrap_err().to_string();
    assert!(error.contains("`head.bias`") && error.contains("too large"), "{error}");
    assert!(cast(&large, FloatDType::BF16).is_ok());
}

#[test]
fn squared_errors_serve_few_bits_better() {
    let graph = net();
    let x = images([32, 2, 8, 8], 77, &Device::flex());
    let float = run(&graph, x.clone());
    let error = |how| {
        let config =
            PostTraining::weight_only(Scheme::symmetric(3).per_channel()).with_weight_range(how);
        let found = run(&config.calibrate(&graph, batches(1)).unwrap(), x.clone());
        float.iter().zip(&found).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    assert!(error(WeightRange::MeanSquaredError) < error(WeightRange::MinMax));
}
