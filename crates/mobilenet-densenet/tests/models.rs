//! Saving, loading, freezing and refusing, as a user sees them.
#![allow(missing_docs)]

mod common;

use burn::module::Module;
use burn::nn::LinearConfig;
use burn::tensor::{Distribution, Int, Tensor};
use common::{by_formula, read};
use mobilenet_densenet::{
    Batch, BatchMix, Classifier, DenseNet, DenseNetConfig, Error, ImageModel, MobileNetV2Config,
};
use model_utils::config::ConfigError;
use model_utils::device::DeviceSpec;
use model_utils::weights::{Import, Manifest, State, Stored, same_names};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

fn flex() -> burn::tensor::Device {
    DeviceSpec::Flex.open().unwrap()
}

fn small_mobile() -> MobileNetV2Config {
    MobileNetV2Config::new().with_width(0.25).with_classes(3)
}

fn small_dense() -> DenseNetConfig {
    DenseNetConfig::small(10, 4).unwrap().with_classes(3)
}

#[test]
fn a_saved_model_is_rebuilt_from_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    for model in [
        by_formula(small_mobile().init(&flex()).unwrap()),
        by_formula(small_dense().init(&flex()).unwrap()),
    ] {
        let path = folder.path().join(model.family().name());
        model.save(&path).unwrap();
        let back = ImageModel::load(&path, &flex()).unwrap();
        assert_eq!(back.family(), model.family());
        let x = Tensor::random([1, 3, 32, 32], Distribution::Default, &flex());
        assert_eq!(read(back.forward(x.clone())), read(model.forward(x)));
        // The file carries torchvision's names, so it imports like any of PyTorch's.
        let (_, report) = back.import(&Import::new(&path)).unwrap();
        assert!(report.is_complete(), "{report}");
    }
    // One type alone finds its configuration again too.
    let path = folder.path().join("densenet");
    assert_eq!(*DenseNet::load(&path, &flex()).unwrap().config(), small_dense());
}

#[test]
fn a_file_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mobile.safetensors");
    small_mobile().init(&flex()).unwrap().save(&path).unwrap();
    let error = DenseNet::load(&path, &flex()).unwrap_err().to_string();
    assert!(error.contains("mobilenet_v2, expected mobilenet-densenet::densenet"), "{error}");
    // A model that is none of these.
    let other = folder.path().join("other.safetensors");
    let linear = LinearConfig::new(2, 2).init(&flex());
    let manifest = Manifest::new("elsewhere", "linear", &0).unwrap();
    State::from_module(&linear, same_names).unwrap().save(&other, &manifest).unwrap();
    let error = ImageModel::load(&other, &flex()).unwrap_err().to_string();
    assert!(error.contains("it holds a model linear, expected an image model"), "{error}");
    // A head for other classes, taken over without it.
    let other = small_mobile().with_classes(5).init(&flex()).unwrap();
    let error = other.clone().import(&Import::new(&path)).unwrap_err().to_string();
    assert!(
        error.contains("`classifier.1.weight` has shape [3, 1280], expected [5, 1280]"),
        "{error}"
    );
    let (_, report) = other.import(&Import::new(&path).allow_mismatched()).unwrap();
    assert_eq!(report.mismatched.len(), 2);
}

#[test]
fn frozen_and_valid_models_leave_their_statistics_alone() {
    let device = flex().autodiff();
    let model = ImageModel::from(small_mobile().init(&device).unwrap());
    let x = Tensor::random([2, 3, 32, 32], Distribution::Default, &device);
    let bits = |model: &ImageModel| {
        let state = State::from_module(model, same_names).unwrap();
        let bytes: Vec<Vec<u8>> =
            state.tensors.into_values().map(|entry| entry.data.as_bytes().to_vec()).collect();
        bytes
    };
    let before = bits(&model);
    let frozen = model.clone().freeze();
    let _ = read(frozen.forward(x.clone()));
    let _ = read(model.valid().forward(x.clone().inner()));
    assert_eq!(bits(&model), before);
    assert_eq!(bits(&frozen), before);
    let _ = read(model.forward(x));
    assert_ne!(bits(&model), before, "training moves the statistics");
}

#[test]
fn predictions_are_sorted_probabilities() {
    let model = by_formula(small_dense().init(&flex()).unwrap());
    let x = Tensor::random([2, 3, 17, 23], Distribution::Default, &flex());
    let answers = model.predict(x, 3).unwrap();
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let sum: f32 = answer.iter().map(|p| p.probability).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert!(answer.is_sorted_by(|a, b| a.probability >= b.probability));
    }
}

#[test]
fn evaluation_counts_every_image() {
    let model = by_formula(small_mobile().init(&flex()).unwrap());
    let batch = |labels: [i32; 2]| {
        Ok(Batch {
            images: Tensor::random([2, 3, 32, 32], Distribution::Default, &flex()),
            labels: Tensor::<1, Int>::from_ints(labels, &flex()),
        })
    };
    let report = model.evaluate([batch([0, 1]), batch([2, 2])]).unwrap();
    assert_eq!(report.labels, [0, 1, 2, 2]);
    let confusion = report.confusion_matrix();
    assert_eq!(confusion.iter().map(|row| row.iter().sum::<u64>()).collect::<Vec<_>>(), [1, 1, 2]);
    let diagonal: u64 = (0..3).map(|k| confusion[k][k]).sum();
    assert_eq!(diagonal, report.correct() as u64);
    assert!(matches!(model.evaluate([]), Err(Error::Utils(_))));
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let dense = DenseNetConfig::new(4, vec![1, 1, 1, 1], 8).init(&flex()).unwrap();
    let side = dense.min_side();
    assert_eq!(side, 29);
    let x = |channels, side| Tensor::zeros([1, channels, side, side], &flex());
    assert!(dense.predict(x(3, side), 1).is_ok());
    for (channels, side) in [(3, side - 1), (1, 64), (4, 64)] {
        let error = dense.predict(x(channels, side), 1).unwrap_err();
        assert!(matches!(error, Error::Images { channels: 3, min_side: 29, .. }), "{error}");
    }
    let mobile = small_mobile().init(&flex()).unwrap();
    assert!(mobile.predict(x(3, 1), 1).is_ok(), "1×1 is the least");
    let small = small_dense().init(&flex()).unwrap();
    assert_eq!(small.min_side(), 4);
    assert!(small.predict(x(3, 4), 1).is_ok());
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let model = small_dense().init(&flex()).unwrap();
    let batch = |labels: &[i32]| Batch {
        images: Tensor::zeros([2, 3, 8, 8], &flex()),
        labels: Tensor::<1, Int>::from_ints(labels, &flex()),
    };
    assert!(model.training_step(batch(&[0, 2]), 0.0).is_ok());
    for smoothing in [-0.1, 1.0, f64::NAN] {
        let error = model.training_step(batch(&[0, 2]), smoothing).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("`label_smoothing`"), "{error}");
        let mixed = BatchMix::Mixup { alpha: 0.5 };
        let mixed = mixed.apply(batch(&[0, 2]), &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert!(mixed.training_step(&model, smoothing).is_err());
    }
    for labels in [&[0, 3][..], &[-1, 0], &[0], &[0, 1, 2]] {
        let errors = [
            model.training_step(batch(labels), 0.0).map(|_| ()).unwrap_err(),
            model.evaluate([Ok(batch(labels))]).map(|_| ()).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("`labels`"), "{labels:?}: {error}");
        }
    }
}

#[test]
fn configurations_that_cannot_work_name_the_field() {
    let mobile = MobileNetV2Config::new();
    for (config, field) in [
        (mobile.clone().with_width(0.0), "width"),
        (mobile.clone().with_width(f64::NAN), "width"),
        (mobile.clone().with_classes(0), "classes"),
        (mobile.clone().with_channels(0), "channels"),
        (mobile.clone().with_dropout(1.0), "dropout"),
        (mobile.with_strides([1, 2, 3, 1, 1]), "strides"),
    ] {
        let error = config.init(&flex()).unwrap_err();
        assert!(
            matches!(error, Error::Config(ConfigError { field: f, .. }) if f == field),
            "{error}"
        );
    }
    let dense = DenseNetConfig::new(12, vec![2, 2], 24);
    for (config, field) in [
        (DenseNetConfig::new(0, vec![2], 24), "growth_rate"),
        (DenseNetConfig::new(12, vec![], 24), "blocks"),
        (DenseNetConfig::new(12, vec![2, 0], 24), "blocks"),
        (DenseNetConfig::new(12, vec![2], 0), "init_features"),
        (dense.clone().with_bn_size(0), "bn_size"),
        (dense.clone().with_compression(0.0), "compression"),
        (dense.with_compression(1.1), "compression"),
    ] {
        let error = config.init(&flex()).unwrap_err();
        assert!(
            matches!(error, Error::Config(ConfigError { field: f, .. }) if f == field),
            "{error}"
        );
    }
    assert!(matches!(
        DenseNetConfig::small(11, 12),
        Err(Error::Config(ConfigError { field: "depth", .. }))
    ));
}

#[test]
fn the_same_seed_starts_the_same_model() {
    // Nothing else in this binary may draw between the seed and the last weight: one test draws
    // images, so a few tries tell a race from a broken seed.
    let start = || {
        model_utils::device::seed(&flex(), 9);
        let state = State::from_module(&small_dense().init(&flex()).unwrap(), same_names).unwrap();
        state.tensors["classifier.weight"].data.clone()
    };
    assert!((0..20).any(|_| start() == start()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any width, class count and image size gives logits of the right shape.
    #[test]
    fn every_size_gives_logits(
        width in 0.1..1.5_f64,
        classes in 1..12_usize,
        height in 1..50_usize,
        sides in 1..50_usize,
        channels in 1..4_usize,
    ) {
        let config = MobileNetV2Config::new()
            .with_width(width)
            .with_classes(classes)
            .with_channels(channels);
        let model = config.init(&flex()).unwrap();
        let x = Tensor::zeros([1, channels, height, sides], &flex());
        prop_assert_eq!(model.forward(x).dims(), [1, classes]);
    }
}
