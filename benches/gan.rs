//! Training steps of generative adversarial networks: `cargo bench --bench gan`.
//!
//! Every device of the build that answers is measured and named in the benchmark's id. A step is
//! the discriminator's and the generator's, with both optimisers. The peer for the first group is
//! `benches/gan_peer.py`.

use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gan::dcgan::{DcganDiscriminator, DcganGenerator};
use gan::noise::{Noise, Prior};
use gan::reals::Batch;
use gan::{DcganConfig, Gan, GanConfig, Loss, Penalty, Reals};
use model_utils::device::DeviceSpec;

/// The same batch again and again.
struct Still(Tensor<4>);

impl Reals<4> for Still {
    fn sample_shape(&self) -> Vec<usize> {
        self.0.dims()[1..].to_vec()
    }

    fn len(&self) -> Option<usize> {
        None
    }

    fn range(&self) -> Option<[f64; 2]> {
        Some([-1.0, 1.0])
    }

    fn batch(&self, _: u64, _: u64, _: usize, _: &Device) -> gan::Result<Batch<4>> {
        Ok((self.0.clone(), None))
    }
}

fn images(batch: usize, channels: usize, size: usize, device: &Device) -> Still {
    let mut noise = Noise::new(0, 0);
    let device = device.clone().autodiff();
    let numbers = Prior::Uniform.draw(&mut noise, batch, channels * size * size, &device);
    Still(numbers.reshape([batch, channels, size, size]))
}

type Dcgan = Gan<4, DcganGenerator, DcganDiscriminator>;

/// One turn, synchronised: reading the losses waits for the device.
fn turn(gan: &mut Dcgan, reals: &Still) {
    for round in 0..gan.rules().discriminator_steps {
        gan.discriminator_step(reals, round).expect("the numbers stay finite");
    }
    gan.generator_step(reals).expect("the numbers stay finite");
}

fn devices() -> impl Iterator<Item = (DeviceSpec, Device)> {
    DeviceSpec::available().into_iter().map(|info| info.spec).map(|spec| {
        let device = spec.open().expect("an available device opens");
        (spec, device)
    })
}

fn dcgan(criterion: &mut Criterion) {
    const BATCH: usize = 64;
    model_utils::memory::keep_freed_memory();
    let mut group = criterion.benchmark_group("DCGAN step, width 64, batch 64");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    for (spec, device) in devices() {
        for (size, channels) in [(28, 1), (64, 3)] {
            if spec == DeviceSpec::NdArray && size > 28 {
                continue; // Minutes a step.
            }
            let config = DcganConfig::for_size(size).with_channels(channels).with_end_bias(false);
            let config = GanConfig::new(config, Loss::NonSaturating).with_batch_size(BATCH);
            let mut gan = config.init(&device).expect("the preset works");
            let reals = images(BATCH, channels, size, &device);
            group.bench_function(BenchmarkId::new(spec.to_string(), size), |bencher| {
                bencher.iter(|| turn(&mut gan, &reals));
            });
        }
    }
    group.finish();
}

/// What a penalty costs: five steps of the critic and one of the generator.
fn penalties(criterion: &mut Criterion) {
    const BATCH: usize = 32;
    let mut group = criterion.benchmark_group("Wasserstein turn, 32x32, width 32, batch 32");
    group.sample_size(10).throughput(Throughput::Elements(5 * BATCH as u64));
    for (spec, device) in devices().filter(|(spec, _)| *spec != DeviceSpec::NdArray) {
        for (name, penalty) in
            [("plain", Penalty::None), ("penalty", Penalty::Interpolated { weight: 10.0 })]
        {
            let config =
                DcganConfig::for_size(32).with_width(32).with_normalise_discriminator(false);
            let config = GanConfig::new(config, Loss::Wasserstein)
                .with_penalty(penalty)
                .with_batch_size(BATCH);
            let mut gan = config.init(&device).expect("the preset works");
            let reals = images(BATCH, 3, 32, &device);
            group.bench_function(format!("{name}/{spec}"), |bencher| {
                bencher.iter(|| turn(&mut gan, &reals));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, dcgan, penalties);
criterion_main!(benches);
