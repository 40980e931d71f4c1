//! The game as a user plays it: who learns when, exact resume, what stops it, what it refuses.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan::reals::Batch;
use gan::{
    DcganConfig, Error, Gan, GanConfig, Images, Loss, Mixture, MlpConfig, Output, Penalty, Reals,
};
use model_utils::checkpoint::Checkpoints;
use model_utils::data::Labelled;
use model_utils::image::Image;
use model_utils::train::{Budget, History, Silent, Stop};
use model_utils::weights::{State, same_names};

/// Weights are drawn from a generator that the whole process shares: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bright squares on black, in 4 classes.
fn images(count: usize) -> Images {
    let items = (0..count).map(|at| {
        let pixels = (0..256).map(|i| {
            let (x, y) = (i % 16, i / 16);
            let inside = (4 + at % 4..12).contains(&x) && (4..12).contains(&y);
            if inside { 200 + (at % 50) as u8 } else { 0 }
        });
        Labelled { image: Image::new(16, 16, 1, pixels.collect()).unwrap(), label: at % 4 }
    });
    let names = ["a", "b", "c", "d"].map(String::from).to_vec();
    Images::new(items, names).unwrap()
}

fn dcgan() -> DcganConfig {
    DcganConfig::for_size(16).with_channels(1).with_width(4).with_latent(6)
}

fn config(networks: DcganConfig, loss: Loss) -> GanConfig<DcganConfig> {
    GanConfig::new(networks, loss).with_batch_size(8).with_log_every(1)
}

/// All weights and running statistics, to the bit.
fn bits<M: Module>(module: &M) -> Vec<(String, Vec<u8>)> {
    let state = State::from_module(module, same_names).unwrap();
    state.tensors.into_iter().map(|(name, x)| (name, x.data.as_bytes().to_vec())).collect()
}

fn changed(before: &[(String, Vec<u8>)], after: &[(String, Vec<u8>)]) -> Vec<String> {
    assert_eq!(before.len(), after.len());
    before.iter().zip(after).filter(|(a, b)| a != b).map(|(a, _)| a.0.clone()).collect()
}

/// With batch norm in both, with packing and spectral norm, and with pairs and penalties.
#[test]
fn the_player_at_rest_stays_the_same_to_the_bit() {
    let _alone = alone();
    let reals = images(64);
    let plain = dcgan().with_normalise_discriminator(false);
    for config in [
        config(dcgan(), Loss::NonSaturating),
        config(dcgan().with_classes(4), Loss::Hinge),
        config(plain.clone().with_spectral_norm(true), Loss::Hinge).with_packing(2),
        config(plain.clone(), Loss::Relativistic),
        config(plain, Loss::Wasserstein),
    ] {
        let mut gan = config.init(&Device::flex()).unwrap();
        for round in 0..2 {
            let (generator, discriminator) = (bits(gan.generator()), bits(gan.discriminator()));
            gan.discriminator_step(&reals, round).unwrap();
            assert_eq!(changed(&generator, &bits(gan.generator())), [""; 0]);
            let learned = changed(&discriminator, &bits(gan.discriminator()));
            let weights = bits(gan.discriminator());
            // The last bias stays where real and made samples pull alike, and the singular vector of
            // a weight with one row has nowhere to go.
            let bias = usize::from(!matches!(config.rules.loss, Loss::NonSaturating));
            let still = bias + usize::from(config.networks.spectral_norm);
            assert!(learned.len() + still >= weights.len(), "of {config:?} only {learned:?}");
        }
        for _ in 0..2 {
            let (generator, discriminator) = (bits(gan.generator()), bits(gan.discriminator()));
            gan.generator_step(&reals).unwrap();
            assert_eq!(changed(&discriminator, &bits(gan.discriminator())), [""; 0]);
            let learned = changed(&generator, &bits(gan.generator()));
            assert!(learned.len() + 1 >= generator.len(), "{learned:?}");
            assert!(learned.iter().any(|name| name.contains("running_mean")), "{learned:?}");
        }
    }
}

fn all_bits<G: gan::Generator<4>, N: gan::Discriminator<4>>(
    gan: &Gan<4, G, N>,
) -> Vec<(String, Vec<u8>)> {
    [bits(gan.generator()), bits(gan.discriminator()), bits(&gan.average())].concat()
}

#[test]
fn the_same_seed_gives_the_same_and_a_resumed_run_goes_on_exactly() {
    let _alone = alone();
    let reals = images(40);
    let networks = dcgan().with_normalise_discriminator(false).with_spectral_norm(true);
    let config = config(networks, Loss::Hinge)
        .with_ema_decay(0.9)
        .with_anneal_steps(20)
        .with_discriminator_steps(2);
    let whole = || {
        let mut gan = config.init(&Device::flex()).unwrap();
        gan.train(&reals, Budget::steps(9), &mut Silent).unwrap();
        gan
    };
    let (first, second) = (whole(), whole());
    assert_eq!(all_bits(&first), all_bits(&second));
    assert_eq!(first.sample(3, 1).unwrap(), second.sample(3, 1).unwrap());
    let mut other = config.clone().with_seed(43).init(&Device::flex()).unwrap();
    other.train(&reals, Budget::steps(9), &mut Silent).unwrap();
    assert_ne!(all_bits(&first), all_bits(&other));

    let folder = tempfile::tempdir().unwrap();
    let open = || Checkpoints::open(folder.path()).unwrap();
    for (steps, expected) in [(4, 4), (5, 5), (9, 9)] {
        let gan = config.init(&Device::flex()).unwrap();
        let mut gan = gan.resume_in(open(), 3).unwrap();
        let trained = gan.train(&reals, Budget::steps(steps), &mut Silent).unwrap();
        assert_eq!(trained.steps, expected);
        if steps == 9 {
            assert_eq!(all_bits(&gan), all_bits(&first));
        }
    }
    let mut gan = config.init(&Device::flex()).unwrap().resume_in(open(), 3).unwrap();
    let error = gan.train(&images(80), Budget::steps(12), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("\"count\":80") && error.contains("the run learned from"), "{error}");
    drop(gan);
    let other = config.clone().with_generator_learning_rate(1e-3);
    let error =
        other.init(&Device::flex()).unwrap().resume_in(open(), 3).err().unwrap().to_string();
    assert!(error.contains("rules.generator_rate") && error.contains("0.001"), "{error}");
    let other = GanConfig { networks: config.networks.clone().with_width(5), ..config.clone() };
    let error =
        other.init(&Device::flex()).unwrap().resume_in(open(), 3).err().unwrap().to_string();
    assert!(error.contains("networks.width") && error.contains('5'), "{error}");
}

/// Whose samples turn to NaN at a batch.
struct Spoiled(Images, u64);

impl Reals<4> for Spoiled {
    fn sample_shape(&self) -> Vec<usize> {
        self.0.sample_shape()
    }

    fn len(&self) -> Option<usize> {
        Reals::len(&self.0)
    }

    fn range(&self) -> Option<[f64; 2]> {
        Reals::range(&self.0)
    }

    fn batch(&self, seed: u64, number: u64, size: usize, device: &Device) -> gan::Result<Batch<4>> {
        let (x, classes) = self.0.batch(seed, number, size, device)?;
        let factor = if number == self.1 { f32::NAN } else { 1.0 };
        Ok((x * factor, classes))
    }
}

#[test]
fn a_nan_stops_the_training_and_the_last_good_state_is_kept() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let reals = Spoiled(images(64), 3);
    let open = || Checkpoints::open(folder.path()).unwrap();
    let config = config(dcgan(), Loss::NonSaturating);
    let mut gan = config.init(&Device::flex()).unwrap().resume_in(open(), 100).unwrap();
    let error = gan.train(&reals, Budget::steps(10), &mut Silent).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("loss of the discriminator is NaN at step 4"), "{text}");
    assert_eq!(gan.steps(), 3);
    let whole = |bits: &[(String, Vec<u8>)]| {
        bits.iter().all(|(_, bytes)| {
            bytes.chunks(4).all(|x| f32::from_le_bytes(x.try_into().unwrap()).is_finite())
        })
    };
    assert!(whole(&all_bits(&gan)), "weights and running statistics");
    drop(gan);
    // What was saved is what a run of three steps gives.
    let saved = config.init(&Device::flex()).unwrap().resume_in(open(), 100).unwrap();
    let mut three = config.init(&Device::flex()).unwrap();
    three.train(&reals, Budget::steps(3), &mut Silent).unwrap();
    assert_eq!(saved.steps(), 3);
    assert_eq!(all_bits(&saved), all_bits(&three));
}

#[test]
fn events_tell_both_players_and_an_observer_stops() {
    let _alone = alone();
    let plain = dcgan().with_normalise_discriminator(false);
    let mut gan = config(plain, Loss::Relativistic).init(&Device::flex()).unwrap();
    let mut history = History::default();
    let mut looks = Vec::new();
    let watch = |gan: &Gan<4, _, _>| {
        looks.push(gan.steps());
        Ok(())
    };
    gan.train_with_callback(&images(32), Budget::epochs(2), &mut history, 3, watch).unwrap();
    assert_eq!(gan.steps(), 8, "two passes over four batches");
    assert_eq!(looks, [0, 3, 6]);
    for name in ["discriminator_loss", "generator_loss", "real", "fake", "penalty"] {
        assert_eq!(history.curve(name).unwrap().points.len(), 8, "{name}");
    }
    let stop = Stop::new();
    stop.stop();
    let trained = gan.train(&images(32), Budget::steps(100), &mut stop.clone()).unwrap();
    assert_eq!(trained.steps, 8);
    // Two parts of 256 are made, and the third is not.
    let gan = gan.with_stop(&Stop::after(2));
    let error = gan.sample_tensor(600, 1).unwrap_err().to_string();
    assert_eq!(error, "sampling was stopped at sample 512 of 600");
}

/// A step of either player moves its loss down on the same batch.
#[test]
fn the_discriminator_learns_to_tell_and_the_generator_to_pass() {
    let _alone = alone();
    let reals = images(64);
    let config = config(dcgan(), Loss::NonSaturating).with_learning_rate(3e-3);
    let mut gan = config.init(&Device::flex()).unwrap();
    let first = gan.discriminator_step(&reals, 0).unwrap();
    for _ in 0..30 {
        gan.discriminator_step(&reals, 0).unwrap();
    }
    let last = gan.discriminator_step(&reals, 0).unwrap();
    assert!(last.loss < 0.5 * first.loss, "{first:?} {last:?}");
    assert!(last.real > 0.8 && last.fake < 0.2, "{last:?}");
    let before = gan.generator_step(&reals).unwrap();
    for _ in 0..60 {
        gan.generator_step(&reals).unwrap();
    }
    let after = gan.generator_step(&reals).unwrap();
    assert!(after.loss < before.loss && after.fake > before.fake, "{before:?} {after:?}");
}

#[test]
fn clipping_holds_every_weight() {
    let _alone = alone();
    let mut gan = GanConfig::new(MlpConfig::new(2).with_hidden(vec![16]), Loss::Wasserstein)
        .with_penalty(Penalty::Clip { limit: 0.02 })
        .init(&Device::flex())
        .unwrap();
    gan.train(&Mixture::ring(), Budget::steps(3), &mut Silent).unwrap();
    let weights = State::from_module(gan.discriminator(), same_names).unwrap();
    for (name, entry) in weights.tensors {
        let largest = entry.data.iter::<f32>().fold(0.0, |most: f32, x| most.max(x.abs()));
        assert!(largest <= 0.02 && largest > 0.019, "{name}: {largest}");
    }
}

#[test]
fn a_small_network_finds_a_single_mode() {
    let _alone = alone();
    let mixture = Mixture { means: vec![[0.5, -0.5]], deviation: 0.1 };
    let networks = MlpConfig::new(2).with_hidden(vec![32, 32]);
    let mut gan = GanConfig::new(networks, Loss::Relativistic)
        .with_penalty(Penalty::R1R2 { gamma: 0.1 })
        .with_learning_rate(2e-3)
        .with_ema_decay(0.99)
        .with_anneal_steps(600)
        .init(&Device::flex())
        .unwrap();
    let before = mixture.coverage(&gan.sample(500, 1).unwrap()).unwrap();
    gan.train(&mixture, Budget::steps(600), &mut Silent).unwrap();
    let after = mixture.coverage(&gan.sample(500, 1).unwrap()).unwrap();
    assert!(after.good > 0.9 && before.good < 0.5, "{before:?} {after:?}");
}

fn refused(result: Result<impl Sized, Error>, words: &[&str]) {
    let text = result.err().expect("it is refused").to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` in: {text}");
    }
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let device = Device::flex();
    let make = |networks: DcganConfig| config(networks, Loss::NonSaturating).init(&device);
    for size in [0, 4, 8, 12, 30, 100, 513] {
        let networks = DcganConfig::for_size(size);
        refused(make(networks), &["`size`", &size.to_string(), "base", "28, 32, 64, 128"]);
    }
    for size in [16, 20, 24, 28, 32, 40, 48, 56, 64] {
        let (generator, _) =
            gan::Networks::init(&DcganConfig::for_size(size).with_width(1), 1, &device).unwrap();
        let z = Tensor::zeros([1, 100], &device);
        let made = gan::Generator::forward(&generator, z, None);
        assert_eq!(made.dims(), [1, 3, size, size]);
    }
    for (size, smallest) in [(32, 2), (32, 1), (12, 3), (28, 4)] {
        for (kernel_size, pooling) in [(4, false), (5, false), (4, true)] {
            let networks = DcganConfig::for_size(size)
                .with_smallest(smallest)
                .with_kernel_size(kernel_size)
                .with_pooling(pooling)
                .with_width(1);
            let (generator, discriminator) = gan::Networks::init(&networks, 1, &device).unwrap();
            let made = gan::Generator::forward(&generator, Tensor::zeros([2, 100], &device), None);
            assert_eq!(made.dims(), [2, 3, size, size]);
            assert_eq!(gan::Discriminator::forward(&discriminator, made, None).dims(), [2, 1]);
        }
    }
    refused(make(dcgan().with_smallest(0)), &["`smallest` is 0", "1 to 4"]);
    refused(make(dcgan().with_smallest(5)), &["`smallest` is 5", "1 to 4"]);
    refused(make(DcganConfig::for_size(28).with_smallest(2)), &["`size` is 28", "2 to 3"]);
    refused(make(dcgan().with_channels(2)), &["`channels` is 2", "1 or 3"]);
    refused(make(dcgan().with_width(0)), &["`width` is 0"]);
    refused(make(dcgan().with_kernel_size(3)), &["`kernel_size` is 3"]);
    refused(make(dcgan().with_slope(1.0)), &["`slope`"]);
    refused(make(dcgan().with_classes(1)), &["`classes` is 1"]);
    let init = |config: GanConfig<DcganConfig>| config.init(&device);
    let plain = || config(dcgan(), Loss::NonSaturating);
    refused(init(plain().with_batch_size(1)), &["`batch_size` is 1"]);
    refused(init(plain().with_packing(3)), &["`batch_size` is 8", "multiple"]);
    refused(init(plain().with_packing(0)), &["`packing` is 0"]);
    refused(init(plain().with_discriminator_steps(0)), &["`discriminator_steps` is 0"]);
    refused(init(plain().with_generator_learning_rate(0.0)), &["`generator_learning_rate` is 0"]);
    refused(
        init(plain().with_discriminator_learning_rate(f64::NAN)),
        &["`discriminator_learning_rate` is NaN"],
    );
    refused(init(plain().with_betas([0.5, 1.0])), &["`betas`"]);
    refused(init(plain().with_ema_decay(1.0)), &["`ema_decay`"]);
    refused(init(plain().with_penalty(Penalty::Clip { limit: 0.0 })), &["`limit` is 0"]);
    let classes = config(dcgan().with_classes(4), Loss::Hinge).with_packing(2);
    refused(init(classes), &["`packing` is 2", "1 where classes"]);
}

#[test]
fn losses_penalties_and_networks_that_do_not_belong_together_are_refused() {
    let device = Device::flex();
    for loss in Loss::ALL {
        let networks = dcgan().with_output(Output::Probability).with_normalise_discriminator(false);
        let made = config(networks, loss).init(&device);
        if loss == Loss::LeastSquares {
            assert!(made.is_ok());
        } else {
            refused(made, &["sigmoid", loss.name(), "logits"]);
        }
    }
    let penalised = config(dcgan(), Loss::Wasserstein).init(&device);
    refused(penalised, &["gradient penalty", "batch normalisation", "normalise_discriminator"]);
    let pooled = dcgan().with_normalise_discriminator(false).with_pooling(true);
    refused(config(pooled, Loss::Relativistic).init(&device), &["max pooling"]);

    // Networks of one's own that do not fit each other.
    let device = device.autodiff();
    let (generator, _) = gan::Networks::init(&dcgan(), 1, &device).unwrap();
    let (_, other) = gan::Networks::init(&DcganConfig::for_size(32), 1, &device).unwrap();
    let rules = gan::Rules::new(Loss::NonSaturating);
    refused(Gan::new(generator.clone(), other, rules.clone()), &["[3, 32, 32]", "[1, 16, 16]"]);
    let (_, other) = gan::Networks::init(&dcgan().with_classes(4), 1, &device).unwrap();
    refused(Gan::new(generator.clone(), other, rules.clone()), &["4 classes"]);
    let (_, other) = gan::Networks::init(&dcgan(), 1, &device).unwrap();
    refused(Gan::new(generator.valid(), other, rules), &["without autodiff"]);
}

#[test]
fn real_samples_that_cannot_be_learned_from_are_refused() {
    let labelled = |image, label| Labelled { image, label };
    let none = || Vec::new();
    refused(Images::new([], none()), &["no image"]);
    let image = |width, height, color: &[u8]| labelled(Image::filled(width, height, color), 0);
    let mixed = Images::new([image(16, 16, &[1]), image(16, 12, &[2])], none());
    refused(mixed, &["image 1 is 16×12", "16×16"]);
    let mixed = Images::new([image(16, 16, &[1]), image(16, 16, &[2, 2, 2])], none());
    refused(mixed, &["image 1", "3 channels", "with 1"]);
    refused(
        Images::new([image(16, 16, &[0]), image(16, 16, &[0])], none()),
        &["all 2 images are 0"],
    );
    let two = [image(4, 4, &[0]), labelled(Image::filled(4, 4, &[9]), 2)];
    refused(Images::new(two, vec!["a".into(), "b".into()]), &["image 1 has label 2", "0 to 1"]);

    let _alone = alone();
    let mut gan = config(dcgan(), Loss::NonSaturating).init(&Device::flex()).unwrap();
    let mut train = |reals: &Images| gan.train(reals, Budget::steps(1), &mut Silent);
    refused(train(&images(7)), &["7 samples", "batch of 8"]);
    let endless = gan.train(&images(8), Budget::episodes(1), &mut Silent);
    refused(endless, &["`budget` is episodes 1", "a limit of steps or epochs or time"]);
    let mut train = |reals: &Images| gan.train(reals, Budget::steps(1), &mut Silent);
    refused(train(&images(16).resized(32, &Stop::new()).unwrap()), &["[1, 16, 16]", "[1, 32, 32]"]);
    let mut bounded = GanConfig::new(MlpConfig::new(2).with_tanh(true), Loss::Hinge)
        .init(&Device::flex())
        .unwrap();
    let far = bounded.train(&Mixture::grid(), Budget::steps(1), &mut Silent);
    refused(far, &["-1 and 1", "real samples need not"]);
    let classes = config(dcgan().with_classes(3), Loss::Hinge);
    let mut gan = classes.init(&Device::flex()).unwrap();
    let other = gan.train(&images(16), Budget::steps(1), &mut Silent);
    refused(other, &["knows 3 classes", "have 4"]);
    refused(gan.generate(gan.latents(2, 0), None), &["one of 3 classes"]);
    refused(gan.generate(gan.latents(2, 0), Some(&[0])), &["1 classes for 2"]);
    refused(gan.generate(gan.latents(2, 0), Some(&[0, 3])), &["below 3"]);
    refused(gan.generate(Tensor::zeros([2, 5], &Device::flex()), Some(&[0, 1])), &["takes 6"]);
}
