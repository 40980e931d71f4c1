//! What the tests of quantization share: small graphs with weights drawn on the host.
#![allow(dead_code, unreachable_pub)] // Each file of tests takes what it needs.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::graph::{Graph, NodeId, Role};
use model_utils::ops;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Convolution, norm, ReLU; depthwise convolution, ReLU; pooling and a linear layer.
#[derive(Module, Debug)]
pub struct Net {
    stem: Conv2d,
    norm: BatchNorm,
    depthwise: Conv2d,
    pointwise: Conv2d,
    head: Linear,
}

impl Net {
    pub fn new(device: &Device) -> Self {
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        Self {
            stem: Conv2dConfig::new([2, 6], [3, 3]).with_bias(false).init(device),
            norm: BatchNormConfig::new(6).init(device),
            depthwise: Conv2dConfig::new([6, 6], [3, 3])
                .with_groups(6)
                .with_padding(padding)
                .init(device),
            pointwise: Conv2dConfig::new([6, 8], [1, 1]).init(device),
            head: LinearConfig::new(8, 4).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = ops::relu(ops::batch_norm(&self.norm, ops::conv2d(&self.stem, x)));
        let x = ops::relu(ops::conv2d(&self.depthwise, x));
        let x = ops::conv2d(&self.pointwise, x);
        ops::linear(&self.head, ops::global_avg_pool(x))
    }
}

pub fn net() -> Graph {
    let net = Net::new(&Device::flex());
    let graph = Graph::trace(&net, [1, 2, 8, 8], Net::forward).unwrap();
    with_weights(graph, 1)
}

/// The graph with weights from a seed, each layer's outputs of about the size of its inputs.
pub fn with_weights(mut graph: Graph, seed: u64) -> Graph {
    let mut rng = StdRng::seed_from_u64(seed);
    let drawn: Vec<(NodeId, TensorData)> = graph
        .parameters()
        .map(|(id, weight)| {
            let shape = weight.data.shape().to_vec();
            let name = &graph.node(id).name;
            let elements = weight.data.num_elements();
            // Convolutions `[out, in, …]`, linear layers `[in, out]`.
            let fan_in = match shape.len() {
                1 => 10,
                2 => shape[0],
                _ => elements / shape[0],
            };
            let (centre, spread) = match (weight.role, shape.len()) {
                (Role::Running, _) if name.ends_with("var") => (1.0, 0.5),
                (_, 1) if name.ends_with("gamma") => (1.0, 0.5),
                (_, 1) => (0.0, 0.2),
                _ => (0.0, (6.0 / fan_in as f32).sqrt()),
            };
            let mut draw = || centre + spread * (2.0 * rng.random::<f32>() - 1.0);
            let values: Vec<f32> = (0..elements).map(|_| draw()).collect();
            (id, TensorData::new(values, shape))
        })
        .collect();
    graph
        .rewrite(|edit| {
            for (id, data) in drawn {
                edit.set_data(id, data);
            }
            Ok(())
        })
        .unwrap();
    graph
}

/// Numbers about 0 with a spread of about 1.
pub fn images<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = StdRng::seed_from_u64(seed);
    let elements = shape.iter().product();
    let mut draw = || (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 1.7;
    let values: Vec<f32> = (0..elements).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub fn batches(count: usize) -> Vec<Tensor<4>> {
    (0..count).map(|at| images([16, 2, 8, 8], at as u64, &Device::flex())).collect()
}

pub fn run(graph: &Graph, x: Tensor<4>) -> Vec<f32> {
    let module = graph.init(&Device::flex()).unwrap();
    let output: Tensor<2> = module.forward(x).unwrap();
    output.into_data().iter::<f32>().collect()
}

/// The largest difference, as a share of the largest number.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}
