//! Graphs are saved, changed and counted, and say what does not fit.
#![cfg(feature = "flex")]
#![cfg(feature = "graph")]

#[path = "common/graph.rs"]
mod common;
#[path = "common/graph_models.rs"]
mod models;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::graph::{Binary, Dim, Graph, Op, Role, Unary};
use model_utils::layers::{ConvNormAct, ConvNormActConfig};
use model_utils::ops::FakeQuantize;
use model_utils::weights::{State, same_names};
use model_utils::{Error, ops};
use models::{Block, Generator, Mlp, Tower, device, random, tokens};

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
fn weights_go_between_the_module_and_its_graph() {
    let device = Device::flex();
    let (first, second) = (Tower::new(&device), Tower::new(&device));
    let graph = Graph::trace(&first, [1, 2, 9, 9], Tower::forward).unwrap();
    let module = graph.init(&device).unwrap();
    // From the second module into the graph of the first: same names, same layouts.
    let (loaded, report) =
        State::from_module(&second, same_names).unwrap().apply(module, same_names).unwrap();
    assert!(report.is_complete(), "{report}");
    let x = random([2, 2, 9, 9], &device);
    let (_, found): (Tensor<4>, Tensor<2>) = loaded.forward(x.clone()).unwrap();
    let difference = common::difference(&[found.into()], &[second.forward(x).1.into()]);
    assert!(difference < 1e-5, "{difference}");
    // And back.
    let (back, report) =
        State::from_module(&loaded, same_names).unwrap().apply(first, same_names).unwrap();
    assert!(report.is_complete(), "{report}");
    let (a, b) = (
        State::from_module(&back, same_names).unwrap(),
        State::from_module(&second, same_names).unwrap(),
    );
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
    assert_eq!(again.structure().unwrap(), structure);
    let twin = Graph::trace(&Block::new(&device), tokens(1), Block::forward).unwrap();
    assert_eq!(twin.structure().unwrap(), structure, "other parameters of the same graph");
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
    let state = State::from_module(&smaller.init(&device).unwrap(), same_names).unwrap();
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
