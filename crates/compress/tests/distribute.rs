//! Distributed training: equal to one worker with all batches, exact resume, workers that die.
#![cfg(feature = "flex")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use compress::distribute::{
    Compression, DataParallel, DataParallelConfig, Exchange, Mode, Pipeline, Threads,
};
use compress::error::ConfigError;
use compress::{Error, Result};
use model_utils::checkpoint::Checkpoints;
use model_utils::ops;
use model_utils::train::{Budget, Evaluation, Silent, StepOutput, StopReason, Trained};

/// Numbers between −0.5 and 0.5 that no generator draws.
fn numbers(count: usize, shift: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + shift * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
}

fn weights<const D: usize>(shape: [usize; D], shift: usize, device: &Device) -> Param<Tensor<D>> {
    let data = TensorData::new(numbers(shape.iter().product(), shift), shape);
    Param::from_tensor(Tensor::from_data(data, device))
}

/// A convolution, a normalisation where it is asked for, and two linear layers.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    hidden: Linear,
    out: Linear,
    /// Nothing uses it.
    idle: Linear,
}

impl Net {
    fn new(norm: bool, device: &Device) -> Self {
        let mut net = Self {
            conv: Conv2dConfig::new([1, 4], [3, 3]).init(device),
            norm: norm.then(|| BatchNormConfig::new(4).init(device)),
            hidden: LinearConfig::new(64, 24).init(device),
            out: LinearConfig::new(24, 3).init(device),
            idle: LinearConfig::new(2, 2).init(device),
        };
        net.conv.weight = weights([4, 1, 3, 3], 1, device);
        net.conv.bias = Some(weights([4], 2, device));
        net.hidden.weight = weights([64, 24], 3, device);
        net.hidden.bias = Some(weights([24], 4, device));
        net.out.weight = weights([24, 3], 5, device);
        net.out.bias = Some(weights([3], 6, device));
        net.idle.weight = weights([2, 2], 7, device);
        net.idle.bias = Some(weights([2], 8, device));
        net
    }

    fn first(&self, x: Tensor<4>) -> Tensor<2> {
        let x = ops::conv2d(&self.conv, x);
        let x = match &self.norm {
            Some(norm) => ops::batch_norm(norm, x),
            None => x,
        };
        ops::relu(x).flatten(1, 3)
    }

    fn second(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(&self.out, ops::relu(ops::linear(&self.hidden, x)))
    }

    /// All weights and running statistics.
    fn all(&self) -> Vec<f32> {
        let mut all = Vec::new();
        let mut take = |tensor: TensorData| all.extend(tensor.iter::<f32>());
        take(self.conv.weight.val().into_data());
        take(self.hidden.weight.val().into_data());
        take(self.out.weight.val().into_data());
        take(self.out.bias.as_ref().unwrap().val().into_data());
        take(self.idle.weight.val().into_data());
        if let Some(norm) = &self.norm {
            take(norm.gamma.val().into_data());
            take(norm.beta.val().into_data());
            take(norm.running_mean.value_sync().into_data());
            take(norm.running_var.value_sync().into_data());
        }
        all
    }
}

/// Pictures and their classes, on the host.
#[derive(Clone)]
struct Batch {
    pixels: Vec<f32>,
    labels: Vec<i32>,
}

impl Batch {
    fn of(items: std::ops::Range<usize>) -> Self {
        let picture = |item: usize| {
            let own = numbers(36, item + 40);
            own.into_iter().map(move |pixel| pixel * 2.0 + (item % 3) as f32 / 2.0)
        };
        let labels = items.clone().map(|item| (item % 3) as i32).collect();
        Self { pixels: items.flat_map(picture).collect(), labels }
    }

    fn images(&self, device: &Device) -> Tensor<4> {
        let shape = [self.labels.len(), 1, 6, 6];
        Tensor::from_data(TensorData::new(self.pixels.clone(), shape), device)
    }

    fn labels(&self, device: &Device) -> Tensor<1, Int> {
        Tensor::from_ints(self.labels.as_slice(), device)
    }
}

/// Batches of so many items.
fn batches(sizes: &[usize]) -> Vec<Batch> {
    let mut start = 0;
    let batch = |size: &usize| {
        start += size;
        Batch::of(start - size..start)
    };
    sizes.iter().map(batch).collect()
}

#[allow(clippy::unnecessary_wraps)] // As `train` asks for it.
fn step(net: &Net, batch: Batch, device: &Device) -> Result<StepOutput> {
    let labels = batch.labels(device);
    let logits = net.second(net.first(batch.images(device)));
    let correct = Some(ops::count_correct(logits.clone(), labels.clone()));
    let items = batch.labels.len();
    Ok(StepOutput { loss: ops::cross_entropy(logits, labels, 0.0), items, correct })
}

#[allow(clippy::unnecessary_wraps)] // As `train` asks for it.
fn none(_: &Net) -> Result<Evaluation> {
    Ok(Evaluation::new("nothing", 0.0))
}

fn flex() -> Device {
    Device::flex()
}

fn config(epochs: u64) -> DataParallelConfig {
    DataParallelConfig::new(Budget::epochs(epochs)).with_threads(Some(1)).with_bucket(100)
}

fn parallel(
    workers: usize,
    norm: bool,
    config: DataParallelConfig,
    optimizer: impl Into<ModuleOptimizer>,
) -> DataParallel<Net> {
    let model = Net::new(norm, &flex().autodiff());
    DataParallel::new(config, model, optimizer, 0.05, &vec![flex(); workers]).unwrap()
}

fn trained(
    workers: usize,
    norm: bool,
    sizes: &[usize],
    config: DataParallelConfig,
    optimizer: impl Into<ModuleOptimizer>,
) -> Trained<Net> {
    parallel(workers, norm, config, optimizer)
        .train(&batches(sizes), step, none, &mut Silent)
        .unwrap()
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn momentum() -> ModuleOptimizer {
    SgdConfig::new().with_momentum(Some(MomentumConfig::new())).init()
}

#[test]
fn workers_equal_one_with_all_batches() {
    let before = Net::new(false, &flex()).all();
    for (workers, sizes, joined) in [
        (2, vec![6; 8], vec![12; 4]),
        (3, vec![4; 6], vec![12; 2]),
        // Uneven batches, and one that is left over.
        (2, vec![8, 4, 6, 2, 5], vec![12, 8]),
    ] {
        let one = trained(1, false, &joined, config(3), momentum());
        let many = trained(workers, false, &sizes, config(3), momentum());
        assert_eq!(one.step, many.step);
        let (one_model, many_model) = (one.model.all(), many.model.all());
        let off = farthest(&one_model, &many_model);
        assert!(off < 1e-5, "{workers} workers: {off}");
        assert!(farthest(&one_model, &before) > 0.05);
        let (one, many) = (one.history, many.history);
        for name in ["train_loss", "train_accuracy"] {
            let (one, many) = (one.last(name).unwrap(), many.last(name).unwrap());
            assert!((one - many).abs() < 1e-5, "{name}: {one}, {many}");
        }
    }
}

#[test]
fn batch_normalisation_shares_its_statistics() {
    // The bias before a normalisation has no gradient but rounding, which Adam would blow up.
    let sizes = vec![4, 8, 6, 6, 5, 7];
    let one = trained(1, true, &[12; 3], config(2), momentum()).model.all();
    let many = trained(2, true, &sizes, config(2), momentum()).model.all();
    let off = farthest(&one, &many);
    assert!(off < 1e-5, "{off}");
    let apart = config(2).with_sync_batch_norm(false);
    let apart = trained(2, true, &sizes, apart, momentum()).model.all();
    assert!(farthest(&one, &apart) > 1e-3, "without it they are others");
}

#[test]
fn the_norm_that_is_clipped_is_that_of_all() {
    let clipped = || config(2).with_clip_norm(Some(0.05));
    let one = trained(1, false, &[12; 3], clipped(), momentum()).model.all();
    let many = trained(2, false, &[6; 6], clipped(), momentum()).model.all();
    assert!(farthest(&one, &many) < 1e-5);
    let free = trained(2, false, &[6; 6], config(2), momentum()).model.all();
    assert!(farthest(&one, &free) > 1e-3);
}

#[test]
fn averaging_after_each_plain_step_is_averaging_gradients() {
    let local = config(3).with_mode(Mode::Local { steps: 1 });
    let averaged = trained(2, false, &[6; 8], local, SgdConfig::new().init()).model.all();
    let synchronous = trained(2, false, &[6; 8], config(3), SgdConfig::new().init()).model.all();
    assert!(farthest(&averaged, &synchronous) < 1e-5);
    let seldom = config(3).with_mode(Mode::Local { steps: 5 });
    let seldom = trained(2, false, &[6; 8], seldom, SgdConfig::new().init());
    assert!(farthest(&seldom.model.all(), &synchronous) > 1e-5);
    let losses = &seldom.history.curve("train_loss").unwrap().points;
    assert!(losses.last().unwrap().1 < losses[0].1);
}

#[test]
fn compressed_gradients_still_lead_down() {
    let all = config(3).with_compression(Compression::TopK { share: 1.0 });
    let plain = trained(2, false, &[6; 8], config(3), momentum()).model.all();
    let kept = trained(2, false, &[6; 8], all, momentum()).model.all();
    assert!(farthest(&plain, &kept) < 1e-6);
    let sent = |fitted: &Trained<Net>| fitted.history.last("sent_bytes").unwrap();
    let full = trained(2, false, &[6; 8], config(40), SgdConfig::new().init());
    let first = full.history.curve("train_loss").unwrap().points[0].1;
    let last = |fitted: &Trained<Net>| fitted.history.last("train_loss").unwrap();
    assert!(last(&full) < 0.1 * first);
    for (compression, share) in
        [(Compression::TopK { share: 0.05 }, 0.12), (Compression::EightBit, 0.3)]
    {
        let config = config(40).with_compression(compression);
        let fitted = trained(2, false, &[6; 8], config, SgdConfig::new().init());
        assert!(sent(&fitted) < share * sent(&full), "{compression:?}: {}", sent(&fitted));
        assert!(last(&fitted) < 0.2 * first, "{compression:?}: {} of {first}", last(&fitted));
    }
}

#[test]
fn asynchronous_workers_stay_within_their_staleness() {
    let alone = config(3).with_mode(Mode::Asynchronous { staleness: 0 });
    let alone = trained(1, true, &[12; 4], alone, momentum());
    let plain = trained(1, true, &[12; 4], config(3), momentum());
    assert!(farthest(&alone.model.all(), &plain.model.all()) < 1e-5);
    assert_eq!(alone.history.last("gradient_age_steps"), Some(0.0));
    for (workers, staleness) in [(3, 0), (2, 1), (3, 2), (4, 1)] {
        let config = config(12).with_mode(Mode::Asynchronous { staleness });
        let fitted = trained(workers, false, &[6; 8], config, SgdConfig::new().init());
        assert_eq!((fitted.step, fitted.epoch), (96, 12));
        let ages = fitted.history.curve("gradient_age_steps").unwrap();
        let oldest = ages.points.iter().map(|(_, age)| *age).fold(0.0, f64::max);
        assert!(oldest <= staleness as f64, "{oldest} of {staleness}");
        let losses = &fitted.history.curve("train_loss").unwrap().points;
        assert!(losses.last().unwrap().1 < 0.5 * losses[0].1);
    }
}

/// A run that stops and goes on is the one that does not.
#[test]
fn a_run_goes_on_exactly() {
    let modes = [
        config(4).with_checkpoint_every(Some(3)),
        config(4).with_checkpoint_every(Some(3)).with_compression(Compression::TopK { share: 0.1 }),
        config(4).with_checkpoint_every(Some(3)).with_mode(Mode::Local { steps: 2 }),
    ];
    for config in modes {
        let run = |config: DataParallelConfig, folder: &std::path::Path| {
            parallel(2, true, config, AdamConfig::new().init())
                .resume_in(Checkpoints::open(folder).unwrap())
                .unwrap()
                .train(&batches(&[6; 8]), step, none, &mut Silent)
                .unwrap()
        };
        let whole = tempfile::tempdir().unwrap();
        let whole = run(config.clone(), whole.path());
        let parts = tempfile::tempdir().unwrap();
        let part = |steps| DataParallelConfig { budget: Budget::steps(steps), ..config.clone() };
        // Stopped within an epoch, at a checkpoint's step: what ends a run averages no weights.
        run(part(3), parts.path());
        run(part(9), parts.path());
        let parts = run(config.clone(), parts.path());
        assert_eq!((whole.step, whole.reason), (16, StopReason::BudgetSpent));
        assert_eq!(whole.step, parts.step);
        assert_eq!(whole.model.all(), parts.model.all(), "{config}");
        let losses =
            |fitted: &Trained<Net>| fitted.history.curve("train_loss").unwrap().points.clone();
        assert_eq!(losses(&whole), losses(&parts));
    }
}

/// Two workers stop within an epoch, four go on, and one ends it: all batches are seen once, and
/// where they step together the weights are those of one worker that sees as many at a step.
#[test]
fn a_run_goes_on_with_another_number_of_workers() {
    let modes = [
        config(2),
        config(2).with_compression(Compression::TopK { share: 0.1 }),
        config(2).with_mode(Mode::Local { steps: 2 }),
        config(2).with_mode(Mode::Asynchronous { staleness: 1 }),
    ];
    for config in modes {
        let folder = tempfile::tempdir().unwrap();
        let seen = AtomicUsize::new(0);
        let part = |workers, steps: Option<u64>| {
            let budget = Budget { steps, ..config.budget };
            let config = DataParallelConfig { budget, ..config.clone() };
            let count = |net: &Net, batch, device: &Device| {
                seen.fetch_add(1, Ordering::SeqCst);
                step(net, batch, device)
            };
            parallel(workers, false, config, momentum())
                .resume_in(Checkpoints::open(folder.path()).unwrap())
                .unwrap()
                .train(&batches(&[6; 8]), count, none, &mut Silent)
                .unwrap()
        };
        let apart = matches!(config.mode, Mode::Asynchronous { .. });
        part(2, Some(if apart { 4 } else { 2 }));
        part(4, Some(if apart { 8 } else { 3 }));
        let end = part(1, None);
        assert_eq!(seen.load(Ordering::SeqCst), 16, "{config}");
        assert_eq!((end.epoch, end.reason), (2, StopReason::BudgetSpent), "{config}");
        let losses = &end.history.curve("train_loss").unwrap().points;
        assert!(losses.iter().all(|(_, loss)| loss.is_finite()), "{config}");
        if config.mode == Mode::Synchronous && config.compression == Compression::None {
            let as_many = [batches(&[12, 12, 24]), batches(&[6; 8])].concat();
            let alone = parallel(1, false, self::config(1), momentum());
            let alone = alone.train(&as_many, step, none, &mut Silent).unwrap();
            assert_eq!(end.step, alone.step);
            assert!(farthest(&end.model.all(), &alone.model.all()) < 1e-5);
        }
    }
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Checkpoints::open(folder.path()).unwrap();
    let train =
        |parallel: DataParallel<Net>| parallel.train(&batches(&[6; 4]), step, none, &mut Silent);
    train(parallel(2, false, config(1), momentum()).resume_in(open()).unwrap()).unwrap();
    let other = config(1).with_mode(Mode::Local { steps: 3 }).with_clip_norm(Some(1.0));
    let error = parallel(2, false, other, momentum()).resume_in(open()).unwrap_err().to_string();
    assert!(error.contains("`mode") && error.contains("`clip_norm`"), "{error}");
    let resumed = parallel(2, false, config(2), momentum()).resume_in(open()).unwrap();
    let fewer = resumed.train(&batches(&[6; 3]), step, none, &mut Silent).unwrap_err();
    assert!(fewer.to_string().contains("`batches` is 3, expected 4"), "{fewer}");
    // An asynchronous run goes on from its step.
    let folder = tempfile::tempdir().unwrap();
    let open = || Checkpoints::open(folder.path()).unwrap();
    let asynchronous = |steps| {
        let config = DataParallelConfig { budget: Budget::steps(steps), ..config(1) };
        config.with_mode(Mode::Asynchronous { staleness: 1 })
    };
    train(parallel(2, true, asynchronous(3), momentum()).resume_in(open()).unwrap()).unwrap();
    let resumed = parallel(2, true, asynchronous(9), momentum()).resume_in(open()).unwrap();
    let fitted = train(resumed).unwrap();
    assert_eq!((fitted.step, fitted.epoch), (9, 2));
    assert_eq!(fitted.history.curve("train_loss").unwrap().points.len(), 9);
}

#[test]
fn what_cannot_work_is_named() {
    let model = || Net::new(false, &flex().autodiff());
    let new = |config, devices: &[Device]| {
        DataParallel::new(config, model(), momentum(), 0.1, devices).unwrap_err().to_string()
    };
    let error = new(config(1), &[]);
    assert!(error.contains("`devices` is 0, expected at least one"), "{error}");
    for (bad, expected) in [
        (config(1).with_bucket(0), "`bucket` is 0"),
        (config(1).with_threads(Some(0)), "`threads` is 0"),
        (config(1).with_log_every(0), "`log_every` is 0"),
        (config(1).with_clip_norm(Some(-1.0)), "`clip_norm`"),
        (DataParallelConfig::new(Budget::default()), "`budget` is without a limit"),
        (DataParallelConfig::new(Budget::episodes(1)), "`budget` is episodes 1"),
        (config(1).with_mode(Mode::Local { steps: 0 }), "`steps` is 0"),
        (config(1).with_compression(Compression::TopK { share: 0.0 }), "`share` is 0.0"),
        (
            config(1).with_mode(Mode::Local { steps: 2 }).with_compression(Compression::EightBit),
            "`compression` is",
        ),
    ] {
        let error = new(bad, &[flex()]);
        assert!(error.contains(expected), "{error}; expected {expected}");
    }
    let train = |workers| {
        parallel(workers, false, config(1), momentum()).train(
            &batches(&[6; 2]),
            step,
            none,
            &mut Silent,
        )
    };
    let error = train(3).unwrap_err().to_string();
    assert!(error.contains("2 batches for 3 workers"), "{error}");
}

/// The third step of worker 1 goes wrong; worker 1 has every second batch.
fn failing(mode: Mode, wrong: impl Fn() -> Result<f64> + Sync) -> Error {
    let config = config(5).with_mode(mode);
    let counted = AtomicU64::new(0);
    let step = |net: &Net, batch: Batch, device: &Device| {
        let of_second = batch.labels.len() == 5;
        let mut output = step(net, batch, device)?;
        if of_second && counted.fetch_add(1, Ordering::SeqCst) == 2 {
            output.loss = output.loss * wrong()?;
        }
        Ok::<_, Error>(output)
    };
    let error = parallel(2, true, config, momentum())
        .train(&batches(&[6, 5, 6, 5]), step, none, &mut Silent)
        .unwrap_err();
    assert!(counted.load(Ordering::SeqCst) <= 5, "the others stopped");
    error
}

#[test]
fn a_worker_that_dies_is_named_and_the_others_stop() {
    let modes = [Mode::Synchronous, Mode::Local { steps: 1 }, Mode::Local { steps: 4 }];
    for mode in modes {
        let error = failing(mode, || Ok(f64::NAN)).to_string();
        assert!(error.starts_with("worker 1: its loss is NaN"), "{mode:?}: {error}");
        let bad = || Err(ConfigError::new("x", 1, "2").into());
        let error = failing(mode, bad).to_string();
        assert!(error.starts_with("worker 1: invalid configuration: `x`"), "{mode:?}: {error}");
        let error = failing(mode, || std::panic::panic_any("no more paper")).to_string();
        assert_eq!(error, "worker 1: it panicked: no more paper", "{mode:?}");
    }
    // Who takes which batch is chance here.
    for staleness in [0, 1] {
        let error = failing(Mode::Asynchronous { staleness }, || Ok(f64::NAN)).to_string();
        assert!(error.contains(": its loss is NaN") && error.starts_with("worker "), "{error}");
    }
}

#[test]
fn errors_of_batches_and_evaluation_come_through() {
    struct Torn;
    impl model_utils::train::Batches for Torn {
        type Batch = Batch;
        fn batches_per_epoch(&self) -> usize {
            4
        }
        fn epoch(
            &self,
            _: u64,
            _: usize,
        ) -> Box<dyn Iterator<Item = model_utils::Result<Batch>> + '_> {
            Box::new((0..4).map(|at| match at {
                3 => Err(model_utils::Error::data("torn", "item 3")),
                _ => Ok(Batch::of(at * 6..at * 6 + 6)),
            }))
        }
    }
    for mode in [Mode::Synchronous, Mode::Local { steps: 1 }, Mode::Asynchronous { staleness: 1 }] {
        let parallel = || parallel(2, true, config(2).with_mode(mode), momentum());
        let error = parallel().train(&Torn, step, none, &mut Silent).unwrap_err().to_string();
        assert!(error.contains("torn"), "{mode:?}: {error}");
        let bad = |_: &Net| Err(ConfigError::new("y", 1, "2").into());
        let error = parallel().train(&batches(&[6; 4]), step, bad, &mut Silent).unwrap_err();
        assert!(error.to_string().contains("`y`"), "{mode:?}: {error}");
    }
}

#[test]
#[allow(clippy::float_cmp)] // Sums of small whole numbers are exact.
fn threads_exchange_what_they_give() {
    // More numbers than each adds up alone.
    let bucket = |worker: usize, at: usize| -> Vec<f32> {
        (0..9000 + at).map(|i| (i * (worker + 1)) as f32).collect()
    };
    let ends = Threads::new(3);
    let results: Vec<_> = std::thread::scope(|scope| {
        let work = |end: Threads| {
            move || {
                let worker = end.worker();
                assert_eq!(end.workers(), 3);
                let sums = end.all_reduce((0..5).map(|at| bucket(worker, at)).collect()).unwrap();
                let mut two = [worker as f64, 1.0];
                end.all_reduce_f64(&mut two).unwrap();
                (sums, two, end.all_gather(vec![worker as u8; worker]).unwrap())
            }
        };
        let threads: Vec<_> = ends.into_iter().map(|end| scope.spawn(work(end))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (sums, two, gathered) in &results {
        assert_eq!(sums.len(), 5);
        for (at, sum) in sums.iter().enumerate() {
            assert_eq!(sum.len(), 9000 + at);
            assert!(sum.iter().enumerate().all(|(i, sum)| *sum == (i * 6) as f32));
        }
        assert_eq!(*two, [3.0, 3.0]);
        assert_eq!(*gathered, [vec![], vec![1], vec![2, 2]]);
    }
}

#[test]
fn a_pipeline_is_the_whole_model() {
    let device = flex().autodiff();
    let net = Net::new(false, &device);
    let batch = Batch::of(0..20);
    let whole = step(&net, batch.clone(), &device).unwrap();
    let expected = f64::from(whole.loss.clone().into_scalar::<f32>());
    let mut grads = burn::optim::GradientsParams::from_grads(whole.loss.backward(), &net);
    let pipeline = Pipeline::new([flex(), flex()]).with_threads(1).unwrap();
    for sizes in [vec![20], vec![5; 4], vec![8, 8, 4], vec![1; 20]] {
        let parts = batches(&sizes).into_iter().map(|part| {
            let items = part.labels.len();
            (part, items)
        });
        let mut passed = pipeline
            .pass(
                (&net, &net),
                parts.collect(),
                |net: &Net, batch, device| Ok::<_, Error>(net.first(batch.images(device))),
                |net: &Net, x, batch, device| {
                    Ok(ops::cross_entropy(net.second(x), batch.labels(device), 0.0))
                },
            )
            .unwrap();
        assert!((passed.loss - expected).abs() < 1e-6, "{}: {expected}", passed.loss);
        let near = |found: Option<Tensor<2>>, expected: Option<Tensor<2>>| {
            let (found, expected) = (found.unwrap().into_data(), expected.unwrap().into_data());
            let (found, expected): (Vec<f32>, Vec<f32>) =
                (found.iter().collect(), expected.iter().collect());
            let off = farthest(&found, &expected);
            assert!(off < 1e-5 && expected.iter().any(|x| x.abs() > 1e-3), "{off}");
        };
        let flat = |grad: Option<Tensor<4>>| grad.map(|grad| grad.flatten::<2>(1, 3));
        near(
            flat(passed.first.remove::<4>(net.conv.weight.id)),
            flat(grads.get::<4>(net.conv.weight.id)),
        );
        for id in [net.hidden.weight.id, net.out.weight.id] {
            near(passed.second.remove::<2>(id), grads.get::<2>(id));
        }
    }
    assert!(grads.remove::<2>(net.idle.weight.id).is_none());
}

#[test]
fn a_part_that_fails_is_named() {
    let device = flex().autodiff();
    let net = Net::new(false, &device);
    let pipeline = Pipeline::new([flex(), flex()]).with_threads(1).unwrap();
    let parts = || batches(&[4; 3]).into_iter().map(|part| (part, 4)).collect::<Vec<_>>();
    let bad = || Error::from(ConfigError::new("x", 1, "2"));
    let forward = |net: &Net, batch: &Batch, device: &Device| Ok(net.first(batch.images(device)));
    let loss = |net: &Net, x: Tensor<2>, batch: &Batch, device: &Device| {
        Ok(ops::cross_entropy(net.second(x), batch.labels(device), 0.0))
    };
    let broken = |_: &Net, _: &Batch, _: &Device| -> Result<Tensor<2>> { Err(bad()) };
    let error = pipeline.pass((&net, &net), parts(), broken, loss).unwrap_err().to_string();
    assert!(error.starts_with("worker 0: invalid configuration"), "{error}");
    let panics = |_: &Net, _: Tensor<2>, _: &Batch, _: &Device| -> Result<Tensor<1>> {
        std::panic::panic_any("tired")
    };
    let error = pipeline.pass((&net, &net), parts(), forward, panics).unwrap_err().to_string();
    assert_eq!(error, "worker 1: it panicked: tired");
    let apart = |_: &Net, _: Tensor<2>, _: &Batch, device: &Device| -> Result<Tensor<1>> {
        Ok(Tensor::<1>::ones([1], device).require_grad().sum())
    };
    let error = pipeline.pass((&net, &net), parts(), forward, apart).unwrap_err().to_string();
    assert!(error.starts_with("worker 1: its loss does not depend"), "{error}");
    let error = pipeline.pass((&net, &net), Vec::new(), forward, loss).unwrap_err().to_string();
    assert!(error.contains("`micro_batches` is 0"), "{error}");
    assert!(Pipeline::new([flex(), flex()]).with_threads(0).is_err());
}
