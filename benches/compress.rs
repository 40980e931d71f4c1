//! What compression costs and gains: `cargo bench --bench compress`.
//!
//! Training steps and inference of one VGG-11 (width 0.25, 32×32 images) as it is, rounded to 8 bits
//! and with half of its multiply–adds; the analysis of whole networks; projections and clusters of
//! many weights. Every device of the build that answers is measured and named in the benchmark's id.
//! The peer of the first group is `benches/compress_peer.py`.

use std::hint::black_box;

use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use compress::prune::Structured;
use compress::quantize::{PostTraining, PowerOfTwo, QuantizationAware, Scheme};
use compress::share::codebook;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mobilenet_densenet::{
    Classifier as _, DenseNet, DenseNetConfig, ResNet, ResNetConfig, Vgg, VggConfig,
};
use model_utils::device::{DeviceSpec, seed, step_seed};
use model_utils::graph::Graph;
use model_utils::ops;

const BATCH: usize = 64;
const CLASSES: usize = 10;

fn devices() -> impl Iterator<Item = (DeviceSpec, Device)> {
    DeviceSpec::available().into_iter().map(|info| info.spec).map(|spec| {
        let device = spec.open().expect("an available device opens");
        seed(&device, 42);
        (spec, device)
    })
}

fn images(device: &Device) -> Tensor<4> {
    Tensor::random([BATCH, 3, 32, 32], Distribution::Uniform(-1.0, 1.0), device)
}

fn vgg(device: &Device) -> Graph {
    let config =
        VggConfig::vgg11().with_width(0.25).with_hidden(0).with_pooled(1).with_classes(CLASSES);
    let model = config.init(device).expect("the preset works");
    Graph::trace(&model, [1, 3, 32, 32], Vgg::forward).expect("every model can be traced")
}

fn training(criterion: &mut Criterion) {
    model_utils::memory::keep_freed_memory();
    let mut group = criterion.benchmark_group("training step, VGG-11 (width 0.25), batch 64");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    for (spec, device) in devices() {
        let float = vgg(&device);
        let aware = QuantizationAware::new(Scheme::symmetric(8).per_channel());
        let aware = aware.prepare(&float, [images(&device)]).expect("it is calibrated");
        let device = device.autodiff();
        let images = images(&device);
        let labels: Vec<i64> = (0..BATCH).map(|at| (at % CLASSES) as i64).collect();
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [BATCH]), &device);
        for (name, graph) in [("float", float), ("8 bits", aware)] {
            let mut module = graph.init(&device).expect("the device holds it");
            let mut optimizer = SgdConfig::new().init();
            group.bench_function(format!("{name}/{spec}"), |bencher| {
                bencher.iter(|| {
                    let logits: Tensor<2> = module.forward(images.clone()).expect("such images");
                    let loss = ops::cross_entropy(logits, labels.clone(), 0.0);
                    let gradients = GradientsParams::from_grads(loss.backward(), &module);
                    module = optimizer.step(1e-3, module.clone(), gradients);
                    loss.into_scalar::<f32>()
                });
            });
        }
    }
    group.finish();
}

fn inference(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inference, VGG-11 (width 0.25), batch 64");
    group.sample_size(20).throughput(Throughput::Elements(BATCH as u64));
    for (spec, device) in devices() {
        let (float, images) = (vgg(&device), images(&device));
        let int8 = PostTraining::per_channel().calibrate(&float, [images.clone()]);
        let int8 = int8.expect("it is calibrated");
        let half = Structured::half().prune(&float).expect("it can be halved").graph;
        for (name, graph) in [("float", float), ("8 bits, simulated", int8), ("half", half)] {
            let module = graph.init(&device).expect("the device holds it");
            group.bench_function(format!("{name}/{spec}"), |bencher| {
                bencher.iter(|| {
                    let logits: Tensor<2> = module.forward(images.clone()).expect("such images");
                    logits.into_data()
                });
            });
        }
    }
    group.finish();
}

/// Finding what depends on what, choosing half of it and cutting it out: the work is the host's.
fn pruning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prune to half the multiply-adds");
    group.sample_size(10);
    let Some((_, device)) = devices().next() else { return };
    let resnet = ResNetConfig::resnet18().init(&device).expect("the preset works");
    let densenet = DenseNetConfig::densenet121().init(&device).expect("the preset works");
    let shape = [1, 3, 224, 224];
    let graphs = [
        ("ResNet-18", Graph::trace(&resnet, shape, ResNet::forward)),
        ("DenseNet-121", Graph::trace(&densenet, shape, DenseNet::forward)),
    ];
    for (name, graph) in graphs {
        let graph = graph.expect("every model can be traced");
        group.bench_function(name, |bencher| {
            bencher.iter(|| Structured::half().prune(&graph).expect("it can be halved"));
        });
    }
    group.finish();
}

/// Numbers as weights are: around 0, the large ones rare.
fn weights(count: usize) -> Vec<f32> {
    let uniform = |at: u64| (step_seed(42, at) >> 40) as f32 / 8_388_608.0 - 1.0;
    (0..count as u64).map(|at| (0..4).map(|k| uniform(4 * at + k)).sum::<f32>() * 0.05).collect()
}

fn projection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("LBW projection");
    for count in [10_000, 100_000, 1_000_000] {
        let weights = weights(count);
        group.throughput(Throughput::Elements(count as u64));
        for (name, bits) in [("ternary", 2), ("6 bits", 6)] {
            let rule = PowerOfTwo::new(bits).expect("2 to 6");
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| rule.project_values(black_box(&weights)));
            });
        }
    }
    group.finish();
}

fn clusters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("k-means of weights");
    group.sample_size(10);
    let weights = weights(235_200);
    group.throughput(Throughput::Elements(weights.len() as u64));
    for clusters in [32, 256] {
        group.bench_function(BenchmarkId::from_parameter(clusters), |bencher| {
            bencher.iter(|| codebook(black_box(&weights), clusters));
        });
    }
    group.finish();
}

criterion_group!(benches, training, inference, pruning, projection, clusters);
criterion_main!(benches);
