//! Inference and training steps of the image models: `cargo bench --bench vision`.
//!
//! Every device of the build that answers is measured and named in the benchmark's id.

use std::hint::black_box;

use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mobilenet_densenet::{Batch, Classifier, DenseNetConfig, MobileNetV2Config};
use model_utils::device::DeviceSpec;
use model_utils::graph::Graph;

/// Waits until all that was asked of the device is done.
fn synchronise(device: &Device) {
    device.sync().expect("the device answers");
}

/// The graph of a model with its batch normalisations folded.
fn folded<M: Classifier>(model: &M) -> Graph {
    let mut graph =
        Graph::trace(model, [1, 3, 224, 224], M::forward).expect("a model can be traced");
    graph.fold_batch_norm().expect("a traced graph is sound");
    graph
}

fn inference(criterion: &mut Criterion) {
    model_utils::memory::keep_freed_memory();
    let mut group = criterion.benchmark_group("inference 224x224");
    group.sample_size(10);
    for spec in DeviceSpec::available().into_iter().map(|info| info.spec) {
        let device = spec.open().expect("an available device opens");
        let mobile = MobileNetV2Config::new().init(&device).expect("the default works");
        let dense = DenseNetConfig::densenet121().init(&device).expect("the preset works");
        for batch in [1, 8] {
            let images = Tensor::random([batch, 3, 224, 224], Distribution::Default, &device);
            group.throughput(Throughput::Elements(batch as u64));
            let id = |model: &str| BenchmarkId::new(format!("{model}/{spec}"), batch);
            group.bench_function(id("mobilenet_v2"), |bencher| {
                bencher.iter(|| {
                    black_box(mobile.forward(images.clone()));
                    synchronise(&device);
                });
            });
            group.bench_function(id("densenet121"), |bencher| {
                bencher.iter(|| {
                    black_box(dense.forward(images.clone()));
                    synchronise(&device);
                });
            });
            for (model, graph) in
                [("mobilenet_v2", folded(&mobile)), ("densenet121", folded(&dense))]
            {
                let module = graph.init(&device).expect("the graph of a model is whole");
                group.bench_function(id(&format!("{model} folded")), |bencher| {
                    bencher.iter(|| {
                        let logits: Tensor<2> = module.forward(images.clone()).expect("it fits");
                        black_box(logits);
                        synchronise(&device);
                    });
                });
            }
        }
    }
    group.finish();
}

fn training_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("training step 32x32, batch 32");
    group.sample_size(10).throughput(Throughput::Elements(32));
    for spec in DeviceSpec::available().into_iter().map(|info| info.spec) {
        let device = spec.open().expect("an available device opens").autodiff();
        let batch = Batch {
            images: Tensor::random([32, 3, 32, 32], Distribution::Default, &device),
            labels: Tensor::<1, Int>::zeros([32], &device),
        };
        let mobile = MobileNetV2Config::new().with_width(0.25).with_classes(10);
        let mobile = mobile.init(&device).expect("the configuration works");
        let dense = DenseNetConfig::new(12, vec![4, 4, 4], 24).with_classes(10);
        let dense = dense.init(&device).expect("the configuration works");
        let id = |model: &str| format!("{model}/{spec}");
        group.bench_function(id("mobilenet_v2 0.25"), |bencher| {
            bencher.iter(steps(mobile.clone(), &batch));
        });
        group.bench_function(id("densenet k=12 4-4-4"), |bencher| {
            bencher.iter(steps(dense.clone(), &batch));
        });
    }
    group.finish();
}

/// A closure that trains one step further at each call.
fn steps<M: Classifier>(model: M, batch: &Batch) -> impl FnMut() {
    let device = model.devices().swap_remove(0);
    let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
    let mut model = Some(model);
    move || {
        let trained = model.take().expect("put back after each step");
        let output = trained.training_step(batch.clone(), 0.0).expect("the batch fits");
        let grads = GradientsParams::from_grads(output.loss.backward(), &trained);
        model = Some(optimizer.step(0.01, trained, grads));
        synchronise(&device);
    }
}

criterion_group!(benches, inference, training_step);
criterion_main!(benches);
