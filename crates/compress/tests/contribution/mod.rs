//! The reference for pruned graphs: the whole graph, with the weights at 0 that take the channels.
#![allow(dead_code, unreachable_pub)]

use burn::tensor::{Device, Tensor, TensorData};
use compress::prune::{Dependencies, Group, MemberRole};
use model_utils::graph::{AnyTensor, ElementKind, Graph, Op};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

pub fn flex() -> Device {
    Device::flex()
}

pub fn uniform(shape: &[usize], from: f32, to: f32, rng: &mut ChaCha8Rng) -> TensorData {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| rng.random_range(from..to)).collect();
    TensorData::new(values, shape.to_vec())
}

/// All weights and statistics random, so that nothing is 0 or 1 by its initialisation.
pub fn randomised(graph: &Graph, rng: &mut ChaCha8Rng) -> Graph {
    let mut graph = graph.clone();
    graph
        .rewrite(|edit| {
            let variances: Vec<_> = edit
                .nodes()
                .filter(|(_, node)| matches!(node.op, Op::BatchNorm { .. }))
                .map(|(_, node)| node.inputs[4])
                .collect();
            let parameters: Vec<_> = edit
                .nodes()
                .filter(|(_, node)| node.op == Op::Parameter && node.kind == ElementKind::Float)
                .map(|(id, node)| (id, node.shape.iter().map(|dim| dim.at(1)).collect()))
                .collect::<Vec<(_, Vec<usize>)>>();
            for (id, shape) in parameters {
                let reach = match shape.len() {
                    1 => 0.5,
                    _ => (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt().min(0.5),
                };
                let data = if variances.contains(&id) {
                    uniform(&shape, 0.5, 1.5, rng)
                } else {
                    uniform(&shape, -reach, reach, rng)
                };
                edit.set_data(id, data);
            }
            Ok(())
        })
        .unwrap();
    graph
}

/// Some channels of each group that no layer normalisation takes statistics over, never all.
pub fn chosen(groups: &[Group], rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let of_group = |group: &Group| {
        let channels = group.channels();
        if group.is_normalised_over || channels < 2 {
            return Vec::new();
        }
        let (goes, stays) = (rng.random_range(0..channels), rng.random_range(1..channels));
        let stays = (goes + stays) % channels;
        let also = |at: usize, rng: &mut ChaCha8Rng| at != stays && rng.random_bool(0.4);
        (0..channels).filter(|&at| at == goes || also(at, rng)).collect()
    };
    groups.iter().map(of_group).collect()
}

/// The whole graph with the weights at 0 that take the channels.
pub fn without_contribution(graph: &Graph, groups: &[Group], removed: &[Vec<usize>]) -> Graph {
    let mut graph = graph.clone();
    graph
        .rewrite(|edit| {
            for (group, removed) in groups.iter().zip(removed) {
                let taking = group.members.iter().filter(|member| member.role == MemberRole::Takes);
                for member in taking {
                    let data = edit.weight(member.node).unwrap().data.clone();
                    let shape = data.shape().to_vec();
                    let inner: usize = shape[member.axis + 1..].iter().product();
                    let mut values: Vec<f32> = data.iter().collect();
                    for (index, value) in values.iter_mut().enumerate() {
                        let place = index / inner % shape[member.axis];
                        if removed.iter().any(|&at| member.places[at].contains(&place)) {
                            *value = 0.0;
                        }
                    }
                    edit.set_data(member.node, TensorData::new(values, shape));
                }
            }
            Ok(())
        })
        .unwrap();
    graph
}

pub fn outputs(graph: &Graph, inputs: &[AnyTensor]) -> Vec<Vec<f32>> {
    let module = graph.init(&flex()).unwrap();
    let outputs = module.run(inputs.to_vec(), &mut |_, _| {}).unwrap();
    let values = |output: AnyTensor| -> Vec<f32> {
        let shape = output.shape();
        let data = match shape.len() {
            2 => output.typed::<2, burn::tensor::Float>().unwrap().into_data(),
            3 => output.typed::<3, burn::tensor::Float>().unwrap().into_data(),
            _ => output.typed::<4, burn::tensor::Float>().unwrap().into_data(),
        };
        data.iter().collect()
    };
    outputs.into_iter().map(values).collect()
}

pub fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let (a, b) = (a.concat(), b.concat());
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(1e-6_f32, |largest, x| largest.max(x.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

/// The check itself, for several choices of channels.
pub fn agrees(name: &str, graph: &Graph, inputs: &[AnyTensor], seeds: u64) {
    for seed in 0..seeds {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = randomised(graph, &mut rng);
        let dependencies = Dependencies::new(&graph);
        let groups = dependencies.groups();
        assert!(!groups.is_empty(), "{name}");
        let removed = chosen(groups, &mut rng);
        let smaller = dependencies.without(&removed).unwrap();
        let (full, less) = (graph.summary(1).unwrap(), smaller.summary(1).unwrap());
        assert!(less.multiply_adds < full.multiply_adds, "{name}");
        assert_eq!(
            dependencies.multiply_adds_without(&removed).unwrap(),
            less.multiply_adds,
            "{name}"
        );
        let expected = outputs(&without_contribution(&graph, groups, &removed), inputs);
        let found = outputs(&smaller, inputs);
        let off = difference(&expected, &found);
        assert!(off < 2e-5, "{name}, seed {seed}: {off:.1e}");
        // And the contribution is something.
        let whole = difference(&outputs(&graph, inputs), &found);
        assert!(whole > 1e-3, "{name}, seed {seed}: {whole:.1e}");
    }
}

pub fn images(shape: [usize; 4], seed: u64) -> Tensor<4> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Tensor::from_data(uniform(&shape, -1.0, 1.0, &mut rng), &flex())
}

/// The same values, for gradients.
pub fn on_autodiff(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_data(x.into_data(), &flex().autodiff())
}
