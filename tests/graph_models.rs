//! The image models as graphs: equal outputs, gradients and statistics, published counts, folding.

#[path = "../crates/model-utils/tests/common/graph.rs"]
mod common;

use burn::module::Module as _;
use burn::tensor::{Device, Distribution, Tensor};
use common::agree;
use mobilenet_densenet::{Classifier, DenseNetConfig, MobileNetV2Config};
use model_utils::graph::{Graph, Op};
use model_utils::ops;
use model_utils::weights::Stored;

fn images(batch: usize, side: usize) -> Tensor<4> {
    Tensor::random([batch, 3, side, side], Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn trace<M: Classifier>(model: &M, side: usize) -> Graph {
    Graph::trace(model, [1, 3, side, side], M::forward).unwrap()
}

/// Outputs, gradients and statistics as the model's; then folded with the statistics that a
/// training step left.
fn holds<M: Classifier>(model: &M, side: usize, folded: usize) {
    let graph = trace(model, side);
    let trained = agree(model, &graph, |batch| images(batch, side), M::forward).trained.graph();
    let mut small = trained.clone();
    assert_eq!(small.fold_batch_norm().unwrap(), folded);
    let run = |graph: &Graph, x: Tensor<4>| -> Tensor<2> {
        graph.init(&Device::flex()).unwrap().forward(x).unwrap()
    };
    let x = images(2, side);
    let difference =
        common::difference(&[run(&small, x.clone()).into()], &[run(&trained, x).into()]);
    assert!(difference < 1e-5, "folding changed the outputs by {difference}");
}

#[test]
fn mobilenet_v2_agrees_and_folds_every_normalisation() {
    let device = Device::flex().autodiff();
    let config = MobileNetV2Config::new().with_width(0.35).with_classes(5).with_dropout(0.0);
    holds(&config.with_strides([2, 2, 1, 2, 1]).init(&device).unwrap(), 32, 52);
}

#[test]
fn densenet_agrees_and_folds_what_follows_a_convolution() {
    let device = Device::flex().autodiff();
    let config = DenseNetConfig::new(6, vec![3, 3, 3], 12).with_classes(5);
    // The stem's, and the second of each of nine layers; the others take concatenations.
    holds(&config.init(&device).unwrap(), 16, 10);
}

#[test]
fn counts_are_those_that_are_published() {
    let device = Device::flex();
    let mobile = MobileNetV2Config::new().init(&device).unwrap();
    let dense = DenseNetConfig::densenet121().init(&device).unwrap();
    let counts = |graph: &Graph| {
        let summary = graph.summary(1).unwrap();
        (summary.learnable_parameters, summary.multiply_adds as f64 / 1e9)
    };
    let graph = trace(&mobile, 224);
    let (parameters, giga) = counts(&graph);
    assert_eq!(parameters, 3_504_872);
    assert!((giga / 0.3008 - 1.0).abs() < 0.01, "{giga}");
    assert_eq!(parameters, ops::learnable_parameters(&mobile));
    // Nothing but layers, activations and sums is left.
    let known = ["conv2d", "batch_norm", "relu6", "add", "global_avg_pool", "linear", "input"];
    let ops = common::nodes(&graph);
    assert!(ops.iter().all(|op| known.contains(&op.as_str())), "{ops:?}");
    let other = mobile.num_params() - parameters;
    assert_eq!(graph.summary(1).unwrap().other_parameters, other);

    let graph = trace(&dense, 224);
    let (parameters, giga) = counts(&graph);
    assert_eq!(parameters, 7_978_856);
    assert!((giga / 2.834 - 1.0).abs() < 0.01, "{giga}");
    assert!(graph.nodes().any(|(_, node)| matches!(node.op, Op::Cat { axis: 1 })));
}

#[test]
fn a_traced_model_is_saved_under_the_names_of_pytorch() {
    use mobilenet_densenet::MobileNetV2;
    use model_utils::weights::State;
    let device = Device::flex();
    let model = MobileNetV2Config::new().with_width(0.35).with_classes(3).init(&device).unwrap();
    let module = trace(&model, 32).init(&device).unwrap();
    let names = |state: State| state.tensors.into_keys().collect::<Vec<_>>();
    let expected = State::from_module(&model, MobileNetV2::torch_name).unwrap();
    let found = State::from_module(&module, MobileNetV2::torch_name).unwrap();
    for (name, entry) in &expected.tensors {
        assert_eq!(found.tensors[name].data, entry.data, "{name}");
    }
    assert_eq!(names(found), names(expected));
}
