//! What all families share: stages, dilation, other heads, freezing, folding, checkpointing.
#![allow(missing_docs)]

mod common;

use burn::module::Module as _;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Int, Tensor};
use common::{by_formula, deviation, read};
use mobilenet_densenet::{
    Architecture, BuildOptions, Classifier, DenseNetConfig, Error, Family, ImageModel,
    MobileNetV2Config,
};
use model_utils::config::ConfigError;
use model_utils::device::DeviceSpec;
use model_utils::graph::{Graph, GraphModule};
use model_utils::ops;
use model_utils::weights::{State, same_names};

fn flex() -> Device {
    DeviceSpec::Flex.open().unwrap()
}

/// One model a family and variant of code, narrow enough to be quick.
const FAMILIES: [(Architecture, f64); 7] = [
    (Architecture::MobileNetV1, 0.25),
    (Architecture::MobileNetV2, 0.35),
    (Architecture::MobileNetV3Large, 0.35),
    (Architecture::MobileNetV3Small, 0.35),
    (Architecture::DenseNet121, 0.125),
    (Architecture::ResNet50, 0.125),
    (Architecture::Vgg16Bn, 0.0625),
];

fn options(width: f64) -> BuildOptions {
    BuildOptions::new().with_width(width).with_classes(5)
}

/// A model of every family.
fn every_family(
    device: &Device,
    change: impl Fn(BuildOptions) -> BuildOptions,
) -> impl Iterator<Item = (Architecture, ImageModel)> {
    FAMILIES.into_iter().map(move |(architecture, width)| {
        let model = architecture.build(&change(options(width)), device).unwrap();
        (architecture, by_formula(model))
    })
}

#[test]
fn maps_have_the_channels_and_strides_that_are_said() {
    for (architecture, model) in every_family(&flex(), |options| options) {
        let side = 128;
        let images = Tensor::random([2, 3, side, side], Distribution::Default, &flex());
        let maps = model.forward_stages(images.clone());
        assert_eq!(maps.len(), model.stages().len(), "{architecture}");
        for (map, stage) in maps.iter().zip(model.stages()) {
            let expected = [2, stage.channels, side / stage.stride, side / stage.stride];
            assert_eq!(map.dims(), expected, "{architecture}");
        }
        let strides: Vec<_> = model.stages().iter().map(|stage| stage.stride).collect();
        assert!(strides.is_sorted() && *strides.last().unwrap() == 32, "{architecture}");
        assert!([4, 8, 16, 32].iter().all(|stride| strides.contains(stride)), "{architecture}");
        let last = model.forward_features(images.clone());
        assert_eq!(read(last.clone()), read(maps.last().unwrap().clone()));
        assert_eq!(read(model.forward_head(last)), read(model.forward(images)));
    }
}

/// With holes instead of strides, every place of the coarse map is in the fine one.
#[test]
fn a_smaller_output_stride_keeps_every_value() {
    let images = Tensor::random([1, 3, 128, 96], Distribution::Default, &flex());
    for (architecture, width) in FAMILIES {
        let last = |output_stride: usize| {
            let options = options(width).with_output_stride(output_stride);
            let model = by_formula(architecture.build(&options, &flex()).unwrap());
            assert!(model.stages().iter().all(|stage| stage.stride <= output_stride));
            model.forward_features(images.clone())
        };
        let coarse = last(32);
        let [_, channels, rows, columns] = coarse.dims();
        assert_eq!([rows, columns], [4, 3]);
        for (output_stride, factor) in [(16, 2), (8, 4)] {
            let fine = last(output_stride);
            assert_eq!(fine.dims(), [1, channels, rows * factor, columns * factor]);
            // Squeeze-excite averages over the whole map, which has more places now.
            if architecture.family() == Family::MobileNetV3 {
                continue;
            }
            let at = |length: usize| {
                let places: Vec<i64> = (0..length).map(|i| (i * factor) as i64).collect();
                Tensor::<1, Int>::from_ints(places.as_slice(), &flex())
            };
            let picked = fine.select(2, at(rows)).select(3, at(columns));
            let off = deviation(&read(picked), &read(coarse.clone()));
            assert!(off < 1e-5, "{architecture} at {output_stride}: {off:.1e}");
        }
    }
    let error = MobileNetV2Config::new().with_output_stride(4).init(&flex()).unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError { field: "output_stride", .. })), "{error}");
}

#[test]
fn a_head_for_other_classes_takes_the_place_of_the_old_one() {
    for (architecture, model) in every_family(&flex(), |options| options) {
        let images = Tensor::random([1, 3, 64, 64], Distribution::Default, &flex());
        let before = read(model.forward_features(images.clone()));
        let changed = model.clone().reset_classifier(9).unwrap();
        assert_eq!(changed.classes(), 9);
        assert_eq!(changed.forward(images.clone()).dims(), [1, 9], "{architecture}");
        assert_eq!(read(changed.forward_features(images)), before, "{architecture}");
        // The configuration follows, so that the file describes the model.
        let folder = tempfile::tempdir().unwrap();
        changed.save(folder.path().join("m")).unwrap();
        assert_eq!(ImageModel::load(folder.path().join("m"), &flex()).unwrap().classes(), 9);
        assert!(matches!(
            model.reset_classifier(0),
            Err(Error::Config(ConfigError { field: "classes", .. }))
        ));
    }
}

#[test]
fn a_frozen_backbone_stands_still_while_its_head_trains() {
    for (architecture, model) in every_family(&flex().autodiff(), |options| options) {
        let device = flex().autodiff();
        let images = Tensor::random([2, 3, 64, 64], Distribution::Default, &device);
        let labels = Tensor::<1, Int>::from_ints([0, 3], &device);
        let mut model = model.freeze_backbone();
        let before = State::from_module(&model, same_names).unwrap();
        // Batch norm takes running statistics, so training and inference see the same map, but for
        // the rounding of two ways to normalise.
        let training = read(model.forward_features(images.clone()));
        let inference = read(model.valid().forward_features(images.clone().inner()));
        let off = deviation(&training, &inference);
        assert!(off < 1e-4, "{architecture}: {off:.1e}");
        let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
        for _ in 0..2 {
            let loss = ops::cross_entropy(model.forward(images.clone()), labels.clone(), 0.0);
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.1, model, grads);
        }
        let after = State::from_module(&model, same_names).unwrap();
        let mut moved = Vec::new();
        for (name, entry) in &before.tensors {
            if entry.data != after.tensors[name].data {
                moved.push(name.as_str());
            }
        }
        let in_head = |name: &&str| name.starts_with("classifier") || name.starts_with("hidden");
        assert!(moved.contains(&"classifier.weight"), "{architecture}: {moved:?}");
        assert!(moved.iter().all(in_head), "{architecture}: {moved:?}");
    }
}

#[test]
fn folded_batch_norms_change_nothing() {
    for (architecture, model) in every_family(&flex(), |options| options) {
        let images = Tensor::random([2, 3, 64, 64], Distribution::Default, &flex());
        let graph = Graph::trace(&model, [1, 3, 64, 64], ImageModel::forward).unwrap();
        let mut folded = graph.clone();
        assert!(folded.fold_batch_norm().unwrap() > 10, "{architecture}");
        let module: GraphModule = folded.init(&flex()).unwrap();
        let found: Tensor<2> = module.forward(images.clone()).unwrap();
        let off = deviation(&read(found), &read(model.forward(images)));
        assert!(off < 1e-5, "{architecture}: {off:.1e}");
        let left = folded.nodes().filter(|(_, node)| node.op.name() == "batch_norm").count();
        if architecture != Architecture::DenseNet121 {
            assert_eq!(left, 0, "{architecture}");
        }
    }
}

#[test]
fn small_images_have_their_variant() {
    for side in [28, 32] {
        let small = |options: BuildOptions| options.with_side(side).with_channels(1);
        for (architecture, model) in every_family(&flex(), small) {
            for side in [28, 32] {
                let images = Tensor::random([1, 1, side, side], Distribution::Default, &flex());
                if side >= model.min_side() {
                    assert_eq!(model.predict(images, 1).unwrap().len(), 1, "{architecture}");
                }
            }
            let last = model.stages().last().unwrap().stride;
            assert!((8..=32).contains(&last), "{architecture}: {last}");
        }
    }
}

#[test]
fn gradient_checkpointing_gives_the_same_gradients() {
    let config = DenseNetConfig::new(4, vec![3, 3], 8).with_classes(3);
    let gradients = |device: Device| {
        let model = by_formula(config.init(&device).unwrap());
        let images = common::input(&serde_json::json!([2, 3, 32, 32]), &device);
        let labels = Tensor::<1, Int>::from_ints([0, 2], &device);
        let loss = ops::cross_entropy(model.forward(images), labels, 0.0);
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        let mut optimizer: ModuleOptimizer = SgdConfig::new().init();
        State::from_module(&optimizer.step(1.0, model, grads), same_names).unwrap()
    };
    let plain = gradients(flex().autodiff());
    let checkpointed = gradients(flex().autodiff().gradient_checkpointing());
    for (name, entry) in &plain.tensors {
        let values = |state: &State| {
            state.tensors[name].data.clone().convert::<f64>().try_to_vec::<f64>().unwrap()
        };
        let off = deviation(&values(&checkpointed), &values(&plain));
        assert!(off < 1e-6, "{name}: {off:.1e}, {:?}", entry.data.shape());
    }
}

#[test]
fn names_are_read_back_and_unknown_ones_refused() {
    for architecture in Architecture::all() {
        assert_eq!(architecture.name().parse::<Architecture>().unwrap(), architecture);
    }
    let error = "resnet19".parse::<Architecture>().unwrap_err().to_string();
    assert!(error.contains("resnet19") && error.contains("resnet18"), "{error}");
}
