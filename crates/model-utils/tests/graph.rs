//! Traced modules compute what the module computes, train as it trains, and can be changed.
#![cfg(feature = "graph")]

#[path = "common/graph.rs"]
mod common;

use burn::module::Module;
use burn::nn::attention::{
    MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask,
};
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, Gelu, LayerNorm, LayerNormConfig,
    Linear, LinearConfig, Relu,
};
use burn::tensor::activation::{gelu, tanh};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData, s};
use common::{Agreement, agree, nodes};
use model_utils::device::DeviceSpec;
use model_utils::graph::{
    AnyTensor, Binary, Dim, Graph, GraphModule, Op, Role, Tensors, Unary, Whole,
};
use model_utils::layers::{
    Activation, ConvNormAct, ConvNormActConfig, NormOrder, ResidualBlock, ResidualBlockConfig,
    SqueezeExcite, SqueezeExciteConfig,
};
use model_utils::ops::FakeQuantize;
use model_utils::weights::{State, same_names};
use model_utils::{Error, ops};

fn device() -> Device {
    Device::flex().autodiff()
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    norm: BatchNorm,
    activation: Relu,
    last: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(6, 10).init(device),
            norm: BatchNormConfig::new(10).init(device),
            activation: Relu::new(),
            last: LinearConfig::new(10, 3).with_bias(false).init(device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = ops::batch_norm(&self.norm, ops::linear(&self.first, x));
        ops::linear(&self.last, self.activation.forward(x))
    }
}

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

#[derive(Module, Debug)]
struct Tower {
    stem: ConvNormAct,
    blocks: Vec<ResidualBlock>,
    gate: SqueezeExcite,
    head: Linear,
}

impl Tower {
    fn new(device: &Device) -> Self {
        let block = |channels, stride, order| {
            ResidualBlockConfig::new(channels).with_stride(stride).with_order(order).init(device)
        };
        Self {
            stem: ConvNormActConfig::new([2, 6], 3)
                .with_activation(Activation::HardSwish)
                .init(device),
            blocks: vec![
                block([6, 6], 1, NormOrder::Post),
                block([6, 8], 2, NormOrder::Post),
                block([8, 8], 1, NormOrder::Pre),
            ],
            gate: SqueezeExciteConfig::new(8, 2)
                .with_activation(Activation::Silu)
                .with_gate(Activation::HardSigmoid)
                .init(device),
            head: LinearConfig::new(8, 5).init(device),
        }
    }

    /// Two heads: a map and logits.
    fn forward(&self, x: Tensor<4>) -> (Tensor<4>, Tensor<2>) {
        let x = self.blocks.iter().fold(self.stem.forward(x), |x, block| block.forward(x));
        let x = self.gate.forward(x);
        (x.clone(), ops::linear(&self.head, ops::global_avg_pool(x)))
    }
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

#[derive(Module, Debug)]
struct Generator {
    project: Linear,
    up: ConvTranspose2d,
    norm: BatchNorm,
    last: ConvTranspose2d,
}

impl Generator {
    fn new(device: &Device) -> Self {
        let up = |channels, groups| {
            ConvTranspose2dConfig::new(channels, [4, 4])
                .with_stride([2, 2])
                .with_padding([1, 1])
                .with_groups(groups)
                .init(device)
        };
        Self {
            project: LinearConfig::new(5, 6 * 3 * 3).init(device),
            up: up([6, 4], 2),
            norm: BatchNormConfig::new(4).init(device),
            last: up([4, 1], 1),
        }
    }

    fn forward(&self, noise: Tensor<2>) -> Tensor<4> {
        let [batch, _] = noise.dims();
        let x = ops::linear(&self.project, noise).reshape([batch, 6, 3, 3]);
        let x = ops::batch_norm(&self.norm, ops::conv_transpose2d(&self.up, x)).clamp_min(0.0);
        tanh(ops::conv_transpose2d(&self.last, x))
    }
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

#[derive(Module, Debug)]
struct Block {
    tokens: Embedding,
    places: burn::module::Param<Tensor<3>>,
    norm: LayerNorm,
    attention: MultiHeadAttention,
    forward: Vec<Linear>,
    gelu: Gelu,
}

impl Block {
    fn new(device: &Device) -> Self {
        Self {
            tokens: EmbeddingConfig::new(11, 8).init(device),
            places: burn::module::Param::from_tensor(random([1, 7, 8], device)),
            norm: LayerNormConfig::new(8).init(device),
            attention: MultiHeadAttentionConfig::new(8, 2).with_dropout(0.0).init(device),
            forward: vec![
                LinearConfig::new(8, 16).init(device),
                LinearConfig::new(16, 8).init(device),
            ],
            gelu: Gelu::new(),
        }
    }

    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, length] = tokens.dims();
        let mask = generate_autoregressive_mask(batch, length, &tokens.device());
        let x = ops::embedding(&self.tokens, tokens) + self.places.val();
        let input = MhaInput::self_attn(self.norm.forward(x.clone())).mask_attn(mask);
        let x = x + self.attention.forward(input).context;
        let hidden = self.gelu.forward(ops::linear(&self.forward[0], x.clone()));
        x + ops::linear(&self.forward[1], hidden)
    }
}

fn tokens(batch: usize) -> Tensor<2, Int> {
    let values: Vec<i64> = (0..batch as i64 * 7).map(|i| (i * 5 + i / 7) % 11).collect();
    Tensor::from_data(TensorData::new(values, [batch, 7]), &Device::flex())
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
fn changed_files_are_refused_or_sound() {
    let device = Device::flex();
    let graph = Graph::trace(&Generator::new(&device), [1, 5], Generator::forward).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.safetensors");
    graph.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let text = String::from_utf8(bytes[8..8 + header].to_vec()).unwrap();
    let load = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        let mut file = (changed.len() as u64).to_le_bytes().to_vec();
        file.extend(changed.as_bytes());
        file.extend(&bytes[8 + header..]);
        std::fs::write(&path, file).unwrap();
        Graph::load(&path)
    };
    for (from, to) in [
        (r#"\"stride\":[2,2]"#, r#"\"stride\":[0,2]"#),
        (r#"\"groups\":2"#, r#"\"groups\":0"#),
        (r#"\"groups\":2"#, r#"\"groups\":3"#),
        (r#"\"padding\":[1,1]"#, r#"\"padding\":[18446744073709551615,1]"#),
        (r#"{\"batch\":1},{\"fixed\":6}"#, r#"{\"batch\":1},{\"fixed\":9223372036854775811}"#),
        (r#"\"inputs\":[0"#, r#"\"inputs\":[77"#),
        (r#"\"op\":\"linear\""#, r#"\"op\":\"input\""#),
        (r#"\"op\":\"linear\""#, r#"\"op\":\"mat_mul\""#),
    ] {
        assert!(load(from, to).is_err(), "{from} -> {to}");
    }
    assert!(load("norm", "norm").is_ok());
}

#[test]
fn a_traced_module_is_not_touched_and_a_graph_has_the_latest_statistics() {
    let device = device();
    let mlp = Mlp::new(&device);
    // A step in training leaves an update pending that only a snapshot sees.
    let _ = mlp.forward(random([8, 6], &device));
    let before = State::of(&mlp, same_names).unwrap();
    let graph = Graph::trace(&mlp, [1, 6], Mlp::forward).unwrap();
    let module = graph.init(&device).unwrap();
    let _: Tensor<2> = module.forward(random([8, 6], &device)).unwrap();
    let after = State::of(&mlp, same_names).unwrap();
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
            State::of(module, same_names).unwrap().tensors["norm.running_mean"].data.clone()
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
fn weights_go_between_the_module_and_its_graph() {
    let device = Device::flex();
    let (first, second) = (Tower::new(&device), Tower::new(&device));
    let graph = Graph::trace(&first, [1, 2, 9, 9], Tower::forward).unwrap();
    let module = graph.init(&device).unwrap();
    // From the second module into the graph of the first: same names, same layouts.
    let (loaded, report) =
        State::of(&second, same_names).unwrap().apply(module, same_names).unwrap();
    assert!(report.is_complete(), "{report}");
    let x = random([2, 2, 9, 9], &device);
    let (_, found): (Tensor<4>, Tensor<2>) = loaded.forward(x.clone()).unwrap();
    let difference = common::difference(&[found.into()], &[second.forward(x).1.into()]);
    assert!(difference < 1e-5, "{difference}");
    // And back.
    let (back, report) = State::of(&loaded, same_names).unwrap().apply(first, same_names).unwrap();
    assert!(report.is_complete(), "{report}");
    let (a, b) = (State::of(&back, same_names).unwrap(), State::of(&second, same_names).unwrap());
    for (name, entry) in &a.tensors {
        assert_eq!(entry.data, b.tensors[name].data, "{name}");
    }
}

#[test]
fn a_graph_is_saved_and_loaded_with_its_weights() {
    let device = Device::flex();
    let block = Block::new(&device);
    let graph = Graph::trace(&block, tokens(1), Block::forward).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("block.safetensors");
    graph.save(&path).unwrap();
    let loaded = Graph::load(&path).unwrap();
    assert_eq!(loaded.to_string(), graph.to_string());
    let run =
        |graph: &Graph| -> Tensor<3> { graph.init(&device).unwrap().forward(tokens(3)).unwrap() };
    assert_eq!(run(&loaded).into_data(), run(&graph).into_data());

    // Nodes and values apart, for formats of their own.
    let structure = graph.structure().unwrap();
    let values: Vec<TensorData> =
        graph.nodes().filter_map(|(id, _)| Some(graph.weight(id)?.data.clone())).collect();
    let again = Graph::from_structure("memory", &structure, values.clone()).unwrap();
    assert_eq!(run(&again).into_data(), run(&graph).into_data());
    let few = Graph::from_structure("memory", &structure, values[1..].to_vec()).unwrap_err();
    let expected = format!("values of {} weights, expected {}", values.len() - 1, values.len());
    assert!(few.to_string().contains(&expected), "{few}");
    let other = Graph::from_structure("memory", b"{}", values).unwrap_err().to_string();
    assert!(other.starts_with("memory is not a valid graph file"), "{other}");

    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Graph::load(&path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{length}: {error}");
    }
    assert!(matches!(Graph::load(folder.path().join("none")).unwrap_err(), Error::Io { .. }));
    let manifest = model_utils::weights::Manifest::new("other", "mlp", &1).unwrap();
    model_utils::weights::save(&block, &manifest, same_names, &path).unwrap();
    let error = Graph::load(&path).unwrap_err().to_string();
    assert!(error.contains("graph") && error.contains("mlp"), "{error}");
}

#[derive(Module, Debug)]
struct Separable {
    expand: ConvNormAct,
    depthwise: ConvNormAct,
    project: ConvNormAct,
}

impl Separable {
    fn new(device: &Device) -> Self {
        Self {
            expand: ConvNormActConfig::new([2, 6], 1).init(device),
            depthwise: ConvNormActConfig::new([6, 6], 3).with_groups(6).init(device),
            project: ConvNormActConfig::new([6, 3], 1).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.project.forward(self.depthwise.forward(self.expand.forward(x)))
    }
}

/// The values of `data` but for the last two places of an axis.
fn without_last_two(data: &TensorData, axis: usize) -> TensorData {
    let mut shape = data.shape().to_vec();
    let inner: usize = shape[axis + 1..].iter().product();
    let length = shape[axis];
    let kept = |(index, _): &(usize, f32)| index / inner % length + 2 < length;
    let values: Vec<f32> =
        data.iter::<f32>().enumerate().filter(kept).map(|(_, value)| value).collect();
    shape[axis] -= 2;
    TensorData::new(values, shape)
}

#[test]
fn channels_are_taken_away_and_the_rest_trains_on() {
    let device = device();
    let model = Separable::new(&device);
    let graph = Graph::trace(&model, [1, 2, 5, 5], Separable::forward).unwrap();
    let mut small = graph.clone();
    let cut = |small: &mut Graph, parameters: &[(&str, usize)], groups: usize| {
        small.rewrite(|edit| {
            for &(name, axis) in parameters {
                let id = edit.find(name).unwrap();
                let data = without_last_two(&edit.weight(id).unwrap().data, axis);
                edit.set_data(id, data);
            }
            let depthwise = edit.find("depthwise.conv").unwrap();
            let mut op = edit.node(depthwise).op.clone();
            if let Op::Conv2d { groups: of_op, .. } = &mut op {
                *of_op = groups;
            }
            edit.set_op(depthwise, op);
            Ok(())
        })
    };
    let mut group = vec![("expand.conv.weight", 0)];
    let norms = ["expand.norm", "depthwise.norm"].map(|norm| {
        ["gamma", "beta", "running_mean", "running_var"].map(|p| format!("{norm}.{p}"))
    });
    group.extend(norms.iter().flatten().map(|name| (name.as_str(), 0)));
    group.extend([("depthwise.conv.weight", 0), ("project.conv.weight", 1)]);

    // A part of what belongs together does not fit: the place is named, nothing is changed.
    let error = cut(&mut small, &group[..1], 6).unwrap_err().to_string();
    assert!(error.contains("expand.norm (batch_norm)"), "{error}");
    let error = cut(&mut small, &group, 6).unwrap_err().to_string();
    assert!(error.contains("depthwise.conv (conv2d)") && error.contains("4 channels"), "{error}");
    assert_eq!(small.to_string(), graph.to_string());
    cut(&mut small, &group, 4).unwrap();
    let multiply_adds = |graph: &Graph| graph.summary(1).unwrap().multiply_adds;
    assert_eq!(multiply_adds(&small) * 6, multiply_adds(&graph) * 4);

    // The same as the whole graph whose last layer does not look at the two channels.
    let mut blind = graph.clone();
    let project = blind.find("project.conv.weight").unwrap();
    let data = &graph.weight(project).unwrap().data;
    let values: Vec<f32> = data
        .iter::<f32>()
        .enumerate()
        .map(|(index, value)| if index % 6 < 4 { value } else { 0.0 })
        .collect();
    let data = TensorData::new(values, data.shape().to_vec());
    blind
        .rewrite(|edit| {
            edit.set_data(project, data);
            Ok(())
        })
        .unwrap();
    let x = random([3, 2, 5, 5], &Device::flex());
    let run = |graph: &Graph| -> Tensor<4> {
        graph.init(&Device::flex()).unwrap().forward(x.clone()).unwrap()
    };
    let difference = common::difference(&[run(&small).into()], &[run(&blind).into()]);
    assert!(difference < 1e-6, "{difference}");

    // It is a module that trains, and can be cut again.
    let module = small.init(&device).unwrap();
    let (module, losses) = common::descend(module, &x, 20);
    assert!(losses[19] < 0.7 * losses[0], "{losses:?}");
    let mut smaller = module.graph();
    cut(&mut smaller, &group, 2).unwrap();
    assert_eq!(smaller.node(smaller.find("depthwise.conv").unwrap()).shape[1], Dim::Fixed(2));
    // Its weights no longer fit the module they came from, which says so.
    let state = State::of(&smaller.init(&device).unwrap(), same_names).unwrap();
    let (_, report) = state.apply(model, same_names).unwrap();
    assert!(report.to_string().contains("depthwise.conv.weight"), "{report}");
}

#[test]
fn nodes_are_inserted_replaced_and_removed() {
    let device = Device::flex();
    let mlp = Mlp::new(&device);
    let mut graph = Graph::trace(&mlp, [1, 6], Mlp::forward).unwrap();
    let x = random([4, 6], &device);
    let run =
        |graph: &Graph| -> Tensor<2> { graph.init(&device).unwrap().forward(x.clone()).unwrap() };
    let before = run(&graph);
    let doubled = graph
        .rewrite(|edit| {
            let output = edit.outputs()[0];
            Ok(edit.insert_after(output, "doubled", Op::Scalar(Binary::Mul, 2.0)))
        })
        .unwrap();
    assert_eq!(graph.outputs(), [doubled]);
    let after = run(&graph);
    (before.clone() * 2.0).into_data().assert_eq(&after.into_data(), true);

    graph
        .rewrite(|edit| {
            edit.set_op(doubled, Op::Scalar(Binary::Add, 0.0));
            Ok(())
        })
        .unwrap();
    assert_eq!(graph.remove_identities().unwrap(), 1);
    assert_eq!(run(&graph).into_data(), before.into_data());

    let relu = graph.find("relu").unwrap();
    let error = graph.rewrite(|edit| edit.remove(relu)).unwrap_err().to_string();
    assert!(error.contains("relu") && error.contains("`last` takes it"), "{error}");
    // What cannot be computed does not get in.
    for (op, expected) in [
        (Op::Unary(Unary::Not), "holds Float, expected Bool"),
        (Op::Scalar(Binary::Or, 1.0), "true or false with a number"),
        (Op::Input, "inputs"),
        (Op::Slice { ranges: Vec::new() }, "0 ranges"),
    ] {
        let error = graph.rewrite(|edit| Ok(edit.insert_after(relu, "new", op))).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = graph
        .rewrite(|edit| {
            let first = edit.find("first").unwrap();
            edit.set_inputs(first, &[relu]);
            Ok(())
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("itself") || error.contains("inputs"), "{error}");
    let error = graph
        .rewrite(|edit| {
            let (first, weight) = (edit.find("first").unwrap(), edit.find("first.weight").unwrap());
            edit.set_inputs(first, &[relu, weight]);
            Ok(())
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("depends on itself"), "{error}");
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

#[test]
fn a_summary_counts_what_each_node_costs() {
    let device = Device::flex();
    let generator = Generator::new(&device);
    let graph = Graph::trace(&generator, [1, 5], Generator::forward).unwrap();
    let summary = graph.summary(2).unwrap();
    // 5·54, and for each transposed convolution: input elements times taps times outputs a group.
    let expected = 2 * (5 * 54 + 6 * 9 * 16 * 2 + 4 * 36 * 16);
    assert_eq!(summary.multiply_adds, expected);
    assert_eq!(summary.learnable_parameters, ops::learnable_parameters(&generator));
    assert_eq!(summary.other_parameters, 8);
    let text = summary.to_string();
    assert!(text.contains("conv_transpose2d 4×4, stride 2, groups 2"), "{text}");
    assert!(text.contains("[2, 1, 12, 12]"), "{text}");
    assert!(summary.peak_activation_bytes < summary.activation_bytes);
    assert!(graph.summary(0).is_err());
    let dot = graph.to_dot();
    assert!(dot.starts_with("digraph {") && dot.contains("->") && !dot.contains("gamma"));
}

#[test]
fn fake_quantization_is_a_node_and_says_what_does_not_fit() {
    let device = Device::flex();
    let linear = LinearConfig::new(3, 2).init(&device);
    let forward = |linear: &Linear, x: Tensor<2>| ops::linear(linear, x);
    let graph = Graph::trace(&linear, [1, 3], forward).unwrap();
    let rounded = |axis, least, places: usize| {
        let mut graph = graph.clone();
        let data = |value: f32| TensorData::new(vec![value; places], [places]);
        graph
            .rewrite(|edit| {
                let weight = edit.find("weight").unwrap();
                let scale = edit.add_weight("scale", data(0.25), Role::Learnable);
                let zero_point = edit.add_weight("zero_point", data(0.0), Role::Constant);
                let how = FakeQuantize { axis, least, largest: 1, gradient_scale: 1.0 };
                let node = edit.insert_after(weight, "rounded", Op::FakeQuantize(how));
                edit.set_inputs(node, &[weight, scale, zero_point]);
                Ok(())
            })
            .map(|()| graph)
    };
    for (axis, places) in [(None, 1), (Some(0), 3), (Some(1), 2)] {
        let graph = rounded(axis, -1, places).unwrap();
        assert!(graph.summary(1).unwrap().to_string().contains("linear"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.safetensors");
        graph.save(&path).unwrap();
        let x = random([4, 3], &device);
        let of = |graph: &Graph| -> Tensor<2> {
            graph.init(&device).unwrap().forward(x.clone()).unwrap()
        };
        let (expected, found) = (of(&graph), of(&Graph::load(&path).unwrap()));
        expected.clone().into_data().assert_eq(&found.into_data(), true);
        // Three levels of a quarter.
        let weight = graph.weight(graph.find("weight").unwrap()).unwrap();
        let levels = weight.data.iter::<f32>().map(|w| (w / 0.25).round().clamp(-1.0, 1.0) * 0.25);
        let weight = TensorData::new(levels.collect::<Vec<f32>>(), [3, 2]);
        let bias = graph.weight(graph.find("bias").unwrap()).unwrap().data.clone();
        let plain = x.clone().matmul(Tensor::from_data(weight, &device))
            + Tensor::<1>::from_data(bias, &device).unsqueeze();
        let difference = (plain - expected).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }
    for (axis, least, places, reason) in [
        (None, -1, 2, "places of the input: 1, scale: 2"),
        (Some(0), -1, 2, "places of the input: 3, scale: 2"),
        (Some(2), -1, 1, "no axis 2"),
        (None, 1, 1, "integers 1 to 1"),
    ] {
        let error = rounded(axis, least, places).unwrap_err().to_string();
        assert!(error.contains("rounded (fake_quantize)") && error.contains(reason), "{error}");
    }
}
