//! Traced modules compute what the module computes and train as it trains.
#![cfg(feature = "flex")]
#![cfg(feature = "graph")]

#[path = "common/graph.rs"]
mod common;
#[path = "common/graph_models.rs"]
mod models;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Distribution, Int, Tensor, s};
use common::{Agreement, agree, nodes};
use model_utils::device::DeviceSpec;
use model_utils::graph::{AnyTensor, Dim, Graph, GraphModule, Op, Role, Tensors, Whole};
use model_utils::layers::{ConvNormAct, ConvNormActConfig};
use model_utils::weights::{State, same_names};
use model_utils::{Error, ops};
use models::{Block, Generator, Mlp, Tower, device, random, tokens};

#[test]
fn a_perceptron_agrees_and_its_products_are_linear_layers() {
    let device = device();
    let mlp = Mlp::new(&device);
    let graph = Graph::trace(&mlp, [1, 6], Mlp::forward).unwrap();
    assert_eq!(nodes(&graph), ["input", "linear", "batch_norm", "relu", "linear"]);
    let names: Vec<&str> = graph.parameters().map(|(id, _)| graph.node(id).name.as_str()).collect();
    let expected = [
        "first.weight",
        "first.bias",
        "norm.gamma",
        "norm.beta",
        "norm.running_mean",
        "norm.running_var",
        "last.weight",
    ];
    assert_eq!(names, expected);
    assert_eq!(graph.node(graph.find("first").unwrap()).op, Op::Linear);
    assert_eq!(graph.node(graph.outputs()[0]).shape, [Dim::Batch(1), Dim::Fixed(3)]);
    assert_eq!(graph.learnable_parameters(), ops::learnable_parameters(&mlp));
    agree(&mlp, &graph, |batch| random([batch, 6], &Device::flex()), Mlp::forward);
}

#[test]
fn a_residual_tower_with_two_heads_agrees() {
    let device = device();
    let tower = Tower::new(&device);
    let graph = Graph::trace(&tower, [4, 2, 9, 9], Tower::forward).unwrap();
    let found = nodes(&graph);
    for op in ["hard_swish", "silu", "hard_sigmoid", "global_avg_pool", "mean", "mul", "add"] {
        assert!(found.contains(&op.to_owned()), "{op}: {found:?}");
    }
    assert!(!found.iter().any(|op| ["sigmoid", "clamp", "div", "reshape"].contains(&op.as_str())));
    agree(&tower, &graph, |batch| random([batch, 2, 9, 9], &Device::flex()), Tower::forward);
}

#[test]
fn a_generator_of_transposed_convolutions_agrees_and_folds() {
    let device = device();
    let generator = Generator::new(&device);
    let graph = Graph::trace(&generator, [1, 5], Generator::forward).unwrap();
    assert_eq!(nodes(&graph)[..3], ["input", "linear", "reshape"]);
    let Agreement { trained, .. } =
        agree(&generator, &graph, |batch| random([batch, 5], &Device::flex()), Generator::forward);
    // With statistics that are not 0 and 1.
    folds(trained.graph(), 1, random([3, 5], &Device::flex()));
}

/// Folding batch normalisations changes nothing in inference.
fn folds<I: Tensors + Clone>(graph: Graph, count: usize, input: I) {
    let device = Device::flex();
    let mut folded = graph.clone();
    assert_eq!(folded.fold_batch_norm().unwrap(), count);
    let run = |graph: &Graph| {
        let module = graph.init(&device).unwrap();
        module.run(input.clone().into_any(), &mut |_, _| {}).unwrap().remove(0)
    };
    let (before, after) = (run(&graph), run(&folded));
    assert_eq!(before.shape(), after.shape());
    let difference = common::difference(&[after], &[before]);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn an_attention_block_with_a_causal_mask_agrees() {
    let device = device();
    let block = Block::new(&device);
    let graph = Graph::trace(&block, tokens(1), Block::forward).unwrap();
    let found = nodes(&graph);
    // Linear layers work on `[batch, length, features]` without reshapes around them.
    assert_eq!(found.iter().filter(|op| *op == "linear").count(), 6);
    let output = graph.node(graph.outputs()[0]);
    assert_eq!(output.shape, [Dim::Batch(1), Dim::Fixed(7), Dim::Fixed(8)]);
    agree(&block, &graph, tokens, Block::forward);
}

#[test]
fn every_axis_and_kind_of_plain_operations_agrees() {
    let forward = |_: &Linear, (x, mask): (Tensor<3>, Tensor<2>)| {
        let [batch, rows, columns] = x.dims();
        let halves = x.clone().chunk(2, 2);
        let joined = Tensor::cat(vec![halves[1].clone(), halves[0].clone()], 2);
        let swapped = joined.swap_dims(1, 2).reshape([batch * columns, rows]);
        let chosen = swapped.clone().select(1, Tensor::from_ints([2, 0], &x.device()));
        let hidden =
            swapped.clone().greater_elem(0.5).float() + swapped.clone().lower_elem(-0.5).float();
        let filled = swapped.mask_fill(hidden.clone().greater_elem(0.0), -2.0);
        let scaled = gelu(filled).powf_scalar(2.0) * 0.5 - 1.0;
        let padded = scaled.clone().pad((1, 1, 0, 0), 0.25);
        let (variance, mean) = padded.var_mean(1);
        let all = (scaled - mean) / (variance + 1e-5).sqrt();
        let best = chosen.argmax(1).float();
        let mixed = (all * best).reshape([batch, columns, rows]).matmul(x.clone().abs().sqrt());
        let shared = mask.exp().unsqueeze::<3>();
        (
            mixed.clone().max_dim(2) + mixed.slice([0..batch, 1..3]).sum_dim(1) * shared,
            x.mean_dim(0),
        )
    };
    let device = device();
    let unused = LinearConfig::new(2, 2).init(&device);
    let example = ([1, 3, 4], Whole([4, 1]));
    let graph = Graph::trace(&unused, example, |linear, tensors| forward(linear, tensors).0);
    let graph = graph.unwrap();
    assert_eq!(graph.parameters().count(), 0, "what the forward pass does not use is left out");
    let inputs = |batch| (random([batch, 3, 4], &Device::flex()), random([4, 1], &Device::flex()));
    let module = graph.init(&Device::flex()).unwrap();
    for batch in [1, 5] {
        let (x, mask) = inputs(batch);
        let expected = forward(&unused, (x.clone(), mask.clone())).0;
        let found: Tensor<3> = module.forward((x, mask)).unwrap();
        let difference = common::difference(&[found.into()], &[expected.into()]);
        assert!(difference < 1e-6, "{difference}");
    }
}

/// An input on a device.
type Input<'a> = &'a dyn Fn(&Device) -> AnyTensor;

#[test]
fn graphs_compute_the_same_on_every_device() {
    let flex = Device::flex();
    let (tower, generator, block) = (Tower::new(&flex), Generator::new(&flex), Block::new(&flex));
    let image = random([3, 2, 9, 9], &flex);
    let noise = random([3, 5], &flex);
    let tower = Graph::trace(&tower, [1, 2, 9, 9], Tower::forward).unwrap();
    let generator = Graph::trace(&generator, [1, 5], Generator::forward).unwrap();
    let block = Graph::trace(&block, tokens(1), Block::forward).unwrap();
    for info in DeviceSpec::available() {
        let device = info.spec.open().unwrap();
        // The first has batch normalisations, which train on a device with autodiff.
        for device in [device.clone(), device.autodiff()] {
            let reference =
                if device.is_autodiff() { flex.clone().autodiff() } else { flex.clone() };
            let run = |graph: &Graph, input: AnyTensor, device: &Device| {
                let module = graph.init(device).unwrap();
                let outputs = module.run(vec![input], &mut |_, _| {}).unwrap();
                outputs.iter().map(common::values).collect::<Vec<_>>()
            };
            let cases: [(&Graph, Input); 3] = [
                (&tower, &|device| Tensor::<4>::from_data(image.to_data(), device).into()),
                (&generator, &|device| Tensor::<2>::from_data(noise.to_data(), device).into()),
                (&block, &|device| {
                    Tensor::<2, Int>::from_data(tokens(3).into_data(), device).into()
                }),
            ];
            for (graph, input) in cases {
                let found = run(graph, input(&device), &device);
                let expected = run(graph, input(&reference), &reference);
                for (a, b) in found.iter().zip(&expected) {
                    let off = common::apart(a, b);
                    assert!(off < 1e-4, "{}: {off}", info.spec);
                }
            }
        }
    }
}

#[test]
fn rarer_operations_agree() {
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::{Conv1d, Conv1dConfig};
    use burn::nn::interpolate::{Interpolate2dConfig, InterpolateMode};
    use burn::nn::pool::{AvgPool2dConfig, MaxPool2dConfig};
    let device = Device::flex();
    let conv = Conv1dConfig::new(4, 6, 3).with_stride(2).with_groups(2).init(&device);
    let forward = |conv: &Conv1d, x: Tensor<4>| {
        // Windows over the end, uneven sides, a padding with minus infinity.
        let ceil = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init();
        let same = MaxPool2dConfig::new([2, 2])
            .with_strides([1, 1])
            .with_padding(PaddingConfig2d::Same)
            .init();
        let mean = AvgPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init();
        let pooled = ceil.forward(x.clone()) + mean.forward(x.clone());
        let wide = Interpolate2dConfig::new()
            .with_output_size(Some([9, 7]))
            .with_mode(InterpolateMode::Linear)
            .init()
            .forward(same.forward(pooled));
        let last = wide.clone().slice(s![.., .., -3.., 1..6]);
        let [batch, ..] = last.dims();
        let lines = conv.forward(last.clone().slice(s![.., .., 0..1, ..]).reshape([batch, 4, 5]));
        let whole = last.clone().int().clamp(-1, 2).pad((1, 0, 0, 1), 3);
        let mean = last.remainder_scalar(0.7).mean().reshape([1, 1, 1, 1]);
        let rest = whole.remainder_scalar(2).float() + mean;
        let masked = rest.clone().mask_fill(rest.clone().greater_elem(1.0), f32::NEG_INFINITY);
        (lines, burn::tensor::activation::softmax(masked, 3), wide.flip([2]).cumsum(1))
    };
    let graph = Graph::trace(&conv, [1, 4, 6, 6], forward).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rare.safetensors");
    graph.save(&path).unwrap();
    // Minus infinity has its way through the file.
    let module = Graph::load(&path).unwrap().init(&device).unwrap();
    for batch in [1, 3] {
        let x = random([batch, 4, 6, 6], &device);
        let expected = forward(&conv, x.clone()).into_any();
        let found = module.run(vec![x.into()], &mut |_, _| {}).unwrap();
        let difference = common::difference(&found, &expected);
        assert!(difference < 1e-5, "{difference}");
    }
    // A window larger than its image fits once.
    let small = |_: &Conv1d, x: Tensor<4>| {
        MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).with_ceil_mode(true).init().forward(x)
    };
    let graph = Graph::trace(&conv, [1, 4, 2, 2], small).unwrap();
    assert_eq!(graph.node(graph.outputs()[0]).shape[2], Dim::Fixed(1));
}

#[derive(Module, Debug)]
struct Named {
    conv: ConvNormAct,
    conv_2: ConvNormAct,
    mean: burn::module::Param<Tensor<1>>,
}

#[test]
fn names_are_those_of_the_module_and_no_two_are_the_same() {
    let device = Device::flex();
    let conv = || ConvNormActConfig::new([2, 2], 1).with_norm(None).init(&device);
    let mean = burn::module::Param::from_tensor(random([1], &device));
    let module = Named { conv: conv(), conv_2: conv(), mean };
    let mut graph = Graph::trace(&module, [1, 2, 3, 3], |module: &Named, x| {
        let x = module.conv_2.forward(module.conv.forward(module.conv.forward(x)));
        x.mean_dim(1) * module.mean.val().reshape([1, 1, 1, 1])
    })
    .unwrap();
    assert_eq!(graph.node(graph.find("mean").unwrap()).op, Op::Parameter);
    assert!(graph.find("conv.conv").is_some() && graph.find("conv.conv_2").is_some());
    assert_eq!(graph.remove_dead().unwrap(), 0);
}

#[test]
fn what_is_frozen_stays_so_through_a_graph() {
    let device = device();
    let mlp = Mlp::new(&device);
    let graph = Graph::trace(&mlp, [1, 6], Mlp::forward).unwrap();
    let again = graph.init(&device).unwrap().freeze().graph();
    assert_eq!(again.learnable_parameters(), 0);
    let norm = again.node(again.find("norm").unwrap());
    assert!(matches!(norm.op, Op::BatchNorm { training: false, .. }));
    let again = again.init(&device).unwrap().unfreeze().graph();
    assert_eq!(again.learnable_parameters(), graph.learnable_parameters());
    let norm = again.node(again.find("norm").unwrap());
    assert!(matches!(norm.op, Op::BatchNorm { training: true, .. }));
}

#[test]
fn a_traced_module_is_not_touched_and_a_graph_has_the_latest_statistics() {
    let device = device();
    let mlp = Mlp::new(&device);
    // A step in training leaves an update pending that only a snapshot sees.
    let _ = mlp.forward(random([8, 6], &device));
    let before = State::from_module(&mlp, same_names).unwrap();
    let graph = Graph::trace(&mlp, [1, 6], Mlp::forward).unwrap();
    let module = graph.init(&device).unwrap();
    let _: Tensor<2> = module.forward(random([8, 6], &device)).unwrap();
    let after = State::from_module(&mlp, same_names).unwrap();
    for (name, entry) in &before.tensors {
        assert_eq!(entry.data.as_bytes(), after.tensors[name].data.as_bytes(), "{name}");
        assert_eq!(entry.param_id, after.tensors[name].param_id);
    }
    let mean = graph.find("norm.running_mean").unwrap();
    assert_eq!(graph.weight(mean).unwrap().role, Role::Running);
    let pending = graph.weight(mean).unwrap().data.as_bytes();
    assert_eq!(pending, before.tensors["norm.running_mean"].data.as_bytes());
}

#[test]
fn frozen_parts_stay_frozen() {
    let device = device();
    let mut mlp = Mlp::new(&device);
    mlp.norm = mlp.norm.freeze();
    mlp.first = mlp.first.no_grad();
    for on_plain_device in [false, true] {
        let live = if on_plain_device { mlp.valid() } else { mlp.clone() };
        let graph = Graph::trace(&live, [1, 6], Mlp::forward).unwrap();
        let role = |name: &str| graph.weight(graph.find(name).unwrap()).unwrap().role;
        assert_eq!(role("first.weight"), Role::Frozen);
        assert_eq!(role("norm.gamma"), Role::Frozen);
        assert_eq!(role("last.weight"), Role::Learnable);
        let module = graph.init(&device).unwrap();
        let stats = |module: &GraphModule| {
            State::from_module(module, same_names).unwrap().tensors["norm.running_mean"]
                .data
                .clone()
        };
        let before = stats(&module);
        let _: Tensor<2> = module.forward(random([8, 6], &device)).unwrap();
        assert_eq!(stats(&module), before);
    }
    // And a graph can be frozen as any module.
    let graph = Graph::trace(&Mlp::new(&device), [1, 6], Mlp::forward).unwrap();
    let frozen = graph.init(&device).unwrap().freeze();
    let x = random([8, 6], &Device::flex());
    let a: Tensor<2> = frozen.forward(Tensor::from_inner(x.clone())).unwrap();
    let b: Tensor<2> = frozen.valid().forward(x).unwrap();
    let difference = common::difference(&[a.inner().into()], &[b.into()]);
    assert!(difference < 1e-6, "frozen batch norm uses running statistics: {difference}");
}

#[test]
fn what_a_graph_cannot_hold_is_named() {
    let device = Device::flex();
    let linear = LinearConfig::new(4, 4).init(&device);
    let refused = |forward: fn(&Linear, Tensor<2>) -> Tensor<2>| {
        let error = Graph::trace(&linear, [1, 4], forward).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        error.to_string()
    };
    let text = refused(|_, x| {
        let sum = x.clone().sum().into_scalar::<f32>();
        x * sum
    });
    assert!(text.contains("values cannot be looked at"), "{text}");
    let text =
        refused(|_, x| x.clone() + Tensor::random(x.dims(), Distribution::Default, &x.device()));
    assert!(text.contains("random numbers"), "{text}");
    let text = refused(|_, x| x.sort(1));
    assert!(text.contains("Sort") && text.contains("[2, 4]"), "{text}");
    let text = refused(|linear, mut x| {
        for _ in 0..x.dims()[0] {
            x = ops::linear(linear, x);
        }
        x
    });
    assert!(text.contains("depends on the batch size"), "{text}");
    let text = refused(|linear, x| {
        let y = ops::linear(linear, x.clone());
        if x.dims()[0] == 2 { x - y } else { y - x }
    });
    assert!(text.contains("takes other tensors"), "{text}");
    let text = refused(|_, x| {
        let batch = x.dims()[0];
        x / batch as f64
    });
    assert!(text.contains("depends on the batch size") && text.contains("div"), "{text}");
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let graph = Graph::trace(&Mlp::new(&device), [1, 6], Mlp::forward).unwrap();
    let module = graph.init(&device).unwrap();
    let wrong = |result: model_utils::Result<Tensor<2>>| match result.unwrap_err() {
        Error::Shape { what, expected, found } => format!("{what}: {expected} / {found}"),
        other => panic!("{other}"),
    };
    let text = wrong(module.forward(random([2, 7], &device)));
    assert!(text.contains("[N, 6]") && text.contains("[2, 7]"), "{text}");
    let text = wrong(module.forward((random([2, 6], &device), random([2, 6], &device))));
    assert!(text.contains("1 tensors") && text.contains("2 tensors"), "{text}");
    let text = wrong(module.forward(tokens(2)));
    assert!(text.contains("Float") && text.contains("Int"), "{text}");
    let rank: model_utils::Result<Tensor<3>> = module.forward(random([2, 6], &device));
    assert!(rank.is_err());
    let too_many: model_utils::Result<(Tensor<2>, Tensor<2>)> =
        module.forward(random([2, 6], &device));
    assert!(too_many.is_err());
}
