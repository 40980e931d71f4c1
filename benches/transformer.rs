//! Training steps and decoding of translation models: `cargo bench --bench transformer`.
//!
//! Every device of the build that answers is measured and named in the benchmark's id. The peer of
//! the first two groups is `benches/transformer_peer.py`.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model_utils::device::{DeviceSpec, seed};
use model_utils::ops;
use transformer::{
    Beam, Decoding, DecodingStrategy, EncoderDecoder, Greedy, LengthLimits, Padded, SpecialTokens,
    Transformer, TransformerConfig,
};

const VOCABULARY: usize = 8_000;

fn devices() -> impl Iterator<Item = (DeviceSpec, Device)> {
    DeviceSpec::available().into_iter().map(|info| info.spec).map(|spec| {
        let device = spec.open().expect("an available device opens");
        seed(&device, 42);
        (spec, device)
    })
}

/// Sentences of tokens that say something.
fn sentences(batch: usize, time: usize, device: &Device) -> Padded {
    let id = |row: usize, t: usize| 4 + ((row * 131 + t * 977) % (VOCABULARY - 4)) as u32;
    let rows: Vec<Vec<u32>> =
        (0..batch).map(|row| (0..time).map(|t| id(row, t)).collect()).collect();
    Padded::new(&rows, 0, device)
}

fn training(criterion: &mut Criterion) {
    const BATCH: usize = 64;
    const TIME: usize = 32;
    model_utils::memory::keep_freed_memory();
    let mut group = criterion.benchmark_group("training, d 128, 4+4 layers, batch 64 x 32");
    group.sample_size(10).throughput(Throughput::Elements((BATCH * TIME) as u64));
    for (spec, device) in devices() {
        let config = TransformerConfig::tutorial(VOCABULARY, VOCABULARY);
        let mut model = config.init(&device.clone().autodiff()).expect("the preset works");
        let mut optimizer = AdamConfig::new().with_beta_2(0.98).with_epsilon(1e-9).init();
        let (source, target) = (sentences(BATCH, TIME, &device), sentences(BATCH, TIME, &device));
        group.bench_function(spec.to_string(), |bencher| {
            bencher.iter(|| {
                let logits = model.logits(&source, &target).flatten(0, 1);
                let loss =
                    ops::cross_entropy_ignoring(logits, target.ids.clone().flatten(0, 1), 0, 0.1);
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                model = optimizer.step(1e-4, model.clone(), gradients);
                loss.into_scalar::<f32>()
            });
        });
    }
    group.finish();
}

/// d 256, 3+3 layers, feed-forward 1,024.
fn small(device: &Device) -> Transformer {
    TransformerConfig::small(VOCABULARY, VOCABULARY).init(device).expect("the preset works")
}

fn decoding(criterion: &mut Criterion) {
    const MADE: usize = 30;
    let limits =
        LengthLimits::new(SpecialTokens::default()).with_min_length(MADE).with_max_length(MADE);
    for batch in [32, 1] {
        let mut group =
            criterion.benchmark_group(format!("decoding, d 256, batch {batch}, 20 to 30"));
        group.sample_size(10).throughput(Throughput::Elements((batch * MADE) as u64));
        for (spec, device) in devices() {
            let model = small(&device);
            let source = sentences(batch, 20, &device);
            group.bench_function(format!("greedy/{spec}"), |bencher| {
                bencher.iter(|| Greedy.decode(&model, &source, &limits).expect("the limits work"));
            });
            group.bench_function(format!("beam 4/{spec}"), |bencher| {
                bencher.iter(|| Beam::new(4).decode(&model, &source, &limits).expect("they work"));
            });
        }
        group.finish();
    }
}

/// The cost of one more token behind 20 and behind 200.
fn positions(criterion: &mut Criterion) {
    for rows in [1, 32] {
        let mut group =
            criterion.benchmark_group(format!("one token, d 256, 3+3 layers, {rows} at a time"));
        group.sample_size(20).throughput(Throughput::Elements(rows as u64));
        for (spec, device) in devices() {
            for position in [20, 200] {
                group.bench_function(format!("behind {position}/{spec}"), |bencher| {
                    let model = small(&device);
                    let source = sentences(rows, 20, &device);
                    let decoding = Decoding { steps: 256, beams: 1, attention: false };
                    let mut state = model.start(&source, decoding);
                    let ids = vec![5; rows];
                    for _ in 0..position {
                        model.step(&ids, &mut state);
                    }
                    bencher.iter_custom(|iterations| {
                        let mut spent = std::time::Duration::ZERO;
                        for _ in 0..iterations {
                            let mut state = state.clone();
                            // The first step copies what the clone shares.
                            model.step(&ids, &mut state);
                            let start = std::time::Instant::now();
                            model.step(&ids, &mut state).logits.into_data();
                            spent += start.elapsed();
                        }
                        spent
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, training, decoding, positions);
criterion_main!(benches);
