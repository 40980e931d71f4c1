//! A module against its graph: outputs, gradients, statistics, shapes.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::graph::{AnyTensor, ElementKind, Graph, GraphModule, Op, Tensors};
use model_utils::weights::{State, same_names};

/// The operations that compute, in order.
pub fn nodes(graph: &Graph) -> Vec<String> {
    graph
        .nodes()
        .filter(|(_, node)| !matches!(node.op, Op::Parameter | Op::Constant))
        .map(|(_, node)| node.op.name().to_owned())
        .collect()
}

/// The values of a tensor of floating-point numbers.
pub fn values(tensor: &AnyTensor) -> Vec<f32> {
    assert_eq!(tensor.kind(), ElementKind::Float);
    let data: TensorData = match tensor.shape().len() {
        1 => tensor.clone().typed::<1, burn::tensor::Float>().unwrap().into_data(),
        2 => tensor.clone().typed::<2, burn::tensor::Float>().unwrap().into_data(),
        3 => tensor.clone().typed::<3, burn::tensor::Float>().unwrap().into_data(),
        _ => tensor.clone().typed::<4, burn::tensor::Float>().unwrap().into_data(),
    };
    data.iter::<f32>().collect()
}

/// The largest difference, as a share of the largest expected value.
pub fn difference(found: &[AnyTensor], expected: &[AnyTensor]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| {
            assert_eq!(a.shape(), b.shape());
            apart(&values(a), &values(b))
        })
        .fold(0.0, f32::max)
}

/// The largest difference, as a share of the largest expected value.
pub fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-6_f32, |a, b| a.max(b.abs()));
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off.is_finite());
    off / scale
}

/// What came out.
pub struct Agreement {
    /// The graph's module after a step in training.
    pub trained: GraphModule,
}

/// Holds a graph against the module it was traced from: outputs at several batch sizes within
/// 1e-5, every node's shape, and, in training, outputs, gradients within 1e-4 and statistics.
pub fn agree<M: Module, I: Tensors + Clone, O: Tensors>(
    model: &M,
    graph: &Graph,
    inputs: impl Fn(usize) -> I,
    forward: impl Fn(&M, I) -> O,
) -> Agreement {
    let still = model.valid();
    let module = graph.init(&Device::flex()).unwrap();
    for batch in [1, 4] {
        let x = inputs(batch);
        let expected = forward(&still, x.clone()).into_any();
        let mut shapes = 0;
        let found = module
            .run(x.into_any(), &mut |id, tensor| {
                let node = graph.node(id);
                let expected: Vec<usize> = node.shape.iter().map(|dim| dim.at(batch)).collect();
                assert_eq!(tensor.shape(), expected, "{}", node.name);
                assert_eq!(tensor.kind(), node.kind, "{}", node.name);
                shapes += 1;
            })
            .unwrap();
        assert_eq!(shapes, graph.nodes().count());
        let difference = difference(&found, &expected);
        assert!(difference < 1e-5, "batch {batch}: {difference}");
    }

    let device = Device::flex().autodiff();
    let module = graph.init(&device).unwrap();
    let x = inputs(4);
    // A clone shares its statistics with the original.
    let model = model_utils::weights::snapshot(model);
    let (loss, expected) = trained(forward(&model, on(&x, &device)).into_any(), &model);
    let run = module.run(on(&x, &device).into_any(), &mut |_, _| {}).unwrap();
    let (found_loss, found) = trained(run, &module);
    assert!(
        (loss - found_loss).abs() <= 1e-5 * loss.abs().max(1.0),
        "{found_loss}, expected {loss}"
    );
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(!found.is_empty());
    let largest = expected.values().flatten().fold(1e-6_f32, |a, b| a.max(b.abs()));
    for (name, gradient) in &expected {
        let off = found[name].iter().zip(gradient).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Of its own largest one, unless that is close to nothing (the bias of keys has no effect).
        let scale = gradient.iter().fold(1e-2 * largest, |a, b| a.max(b.abs()));
        assert!(off <= 1e-4 * scale, "{name}: gradients differ by {off} of {scale}");
    }
    let (expected, found) =
        (State::from_module(&model, same_names), State::from_module(&module, same_names));
    let (expected, found) = (expected.unwrap().tensors, found.unwrap().tensors);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, entry) in &expected {
        let (a, b) = (&found[name].data, &entry.data);
        let (a, b): (Vec<f32>, Vec<f32>) = (a.iter().collect(), b.iter().collect());
        assert!(apart(&a, &b) < 1e-5, "{name}");
    }
    Agreement { trained: module }
}

/// Steps of gradient descent towards zero output, and the loss before each.
pub fn descend(mut module: GraphModule, x: &Tensor<4>, steps: usize) -> (GraphModule, Vec<f32>) {
    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    let mut losses = Vec::new();
    for _ in 0..steps {
        let output: Tensor<4> = module.forward(Tensor::from_inner(x.clone())).unwrap();
        let loss = output.powi_scalar(2).mean();
        losses.push(loss.clone().into_scalar::<f32>());
        let grads = GradientsParams::from_grads(loss.backward(), &module);
        module = optimizer.step(0.3, module, grads);
    }
    (module, losses)
}

/// The same inputs on a device with autodiff.
fn on<I: Tensors + Clone>(x: &I, device: &Device) -> I {
    let moved: Vec<AnyTensor> = x
        .clone()
        .into_any()
        .into_iter()
        .map(|tensor| match (tensor.kind(), tensor.shape().len()) {
            (ElementKind::Float, 2) => with_autodiff::<2>(tensor),
            (ElementKind::Float, 3) => with_autodiff::<3>(tensor),
            (ElementKind::Float, 4) => with_autodiff::<4>(tensor),
            (ElementKind::Int, 2) => {
                let tensor = tensor.typed::<2, burn::tensor::Int>().unwrap();
                Tensor::<2, burn::tensor::Int>::from_inner(tensor).into()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let _ = device;
    I::from_any(&mut moved.into_iter()).unwrap()
}

fn with_autodiff<const D: usize>(tensor: AnyTensor) -> AnyTensor {
    Tensor::<D>::from_inner(tensor.typed().unwrap()).into()
}

/// A loss that weighs every output value differently, and the gradients of all parameters.
fn trained<M: Module>(outputs: Vec<AnyTensor>, model: &M) -> (f32, BTreeMap<String, Vec<f32>>) {
    let loss = outputs
        .into_iter()
        .map(|output| match output.shape().len() {
            2 => weighed(output.typed::<2, burn::tensor::Float>().unwrap()),
            3 => weighed(output.typed::<3, burn::tensor::Float>().unwrap()),
            _ => weighed(output.typed::<4, burn::tensor::Float>().unwrap()),
        })
        .reduce(|a, b| a + b)
        .unwrap();
    let value = loss.clone().into_scalar::<f32>();
    let grads = GradientsParams::from_grads(loss.backward(), model);
    let mut collected = Collect { grads: &grads, path: Vec::new(), found: BTreeMap::new() };
    model.visit(&mut collected);
    (value, collected.found)
}

fn weighed<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    let shape = output.dims();
    let count: usize = shape.iter().product();
    let weights: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let weights = Tensor::<D>::from_data(TensorData::new(weights, shape), &output.device());
    (output * weights).mean()
}

struct Collect<'a> {
    grads: &'a GradientsParams,
    path: Vec<String>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.grads.get::<D>(param.id) {
            self.found.insert(self.path.join("."), gradient.into_data().iter::<f32>().collect());
        }
    }
}
