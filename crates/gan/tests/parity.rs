//! Losses, penalties, networks and metrics against PyTorch, torch-fidelity and prdc; the fixture
//! and its script stand in `fixtures/`.
#![cfg(any(feature = "flex", feature = "ndarray"))]
#![allow(missing_docs)]

use std::collections::BTreeMap;

use burn::module::{Module, Param, Reparameterization as _, Reparameterizer};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use gan::dcgan::{DcganDiscriminator, DcganGenerator};
use gan::jvp::Dual;
use gan::metrics::{Features, class_score, frechet_distance, kernel_distance, prdc};
use gan::penalty::{GradientPenalty, check_jvp, gradient_penalty, zero_centred_gradient_penalty};
use gan::spectral::Spectral;
use gan::{DcganConfig, Discriminator, Generator, Loss, MlpConfig, Networks};
use model_utils::device::DeviceSpec;
use model_utils::weights::{State, Stored, TensorEntry};
use serde::Deserialize;

/// What every comparison is held to, as a part of the value or of 1.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Fixture {
    losses: BTreeMap<String, Vec<f64>>,
    mlp: Penalties,
    conv: Penalties,
    batch_statistics: Penalties,
    generator: Made,
    spectral: Singular,
    metrics: Metrics,
}

#[derive(Clone, Deserialize)]
struct Numbers {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Clone, Deserialize)]
struct Penalties {
    x: Numbers,
    weights: BTreeMap<String, Numbers>,
    around: Penalty,
    zero_centred: Penalty,
}

#[derive(Clone, Deserialize)]
struct Penalty {
    value: f64,
    norms: Vec<f64>,
    gradients: BTreeMap<String, Numbers>,
}

#[derive(Deserialize)]
struct Made {
    z: Vec<f32>,
    images: Vec<f64>,
    weights: BTreeMap<String, Numbers>,
}

#[derive(Deserialize)]
struct Singular {
    weight: Vec<f32>,
    sigma: f64,
}

#[derive(Deserialize)]
struct Metrics {
    a: Vec<f32>,
    b: Vec<f32>,
    logits: Vec<f32>,
    fid: f64,
    kid: f64,
    kid_unequal: f64,
    kid_far: f64,
    isc: f64,
    prdc: BTreeMap<String, f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/torch_gan.json")).unwrap()
}

/// The processor backends that are built in.
fn devices() -> impl Iterator<Item = Device> {
    let specs = [DeviceSpec::Flex, DeviceSpec::NdArray].into_iter().filter(|spec| spec.is_built());
    specs.map(|spec| spec.open().unwrap())
}

/// The first of them, with autodiff.
fn device() -> Device {
    devices().next().unwrap().autodiff()
}

fn assert_close(what: &str, ours: f64, theirs: f64) {
    let off = (ours - theirs).abs();
    assert!(off <= TOLERANCE * theirs.abs().max(1.0), "{what}: {ours} for {theirs}");
}

fn assert_all_close(what: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_close(what, *ours, *theirs);
    }
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn state(tensors: BTreeMap<String, Numbers>) -> State {
    let entry = |Numbers { shape, values }| TensorEntry {
        data: TensorData::new(values, shape),
        param_id: None,
    };
    State { tensors: tensors.into_iter().map(|(name, x)| (name, entry(x))).collect() }
}

#[test]
fn losses_are_those_of_pytorch() {
    let losses = fixture().losses;
    let logits = |name: &str| {
        let values: Vec<f32> = losses[name].iter().map(|&value| value as f32).collect();
        Tensor::<2>::from_data(TensorData::new(values, [6, 1]), &device())
    };
    for loss in Loss::ALL {
        let [discriminator, generator] = losses[loss.name()][..] else { panic!("two losses") };
        let ours = loss.discriminator(logits("real"), logits("fake"));
        assert_close(loss.name(), numbers(ours)[0], discriminator);
        let ours = loss.generator(Some(logits("real")), logits("fake"));
        assert_close(loss.name(), numbers(ours)[0], generator);
    }
}

/// The gradient of every weight by its name, in PyTorch's layout.
fn gradients<M: Module>(module: &M, loss: Tensor<1>, names: fn(&str) -> String) -> State {
    // A module whose weights are the gradients.
    struct Take(GradientsParams);
    impl burn::module::ModuleMapper for Take {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let gradient = self.0.get::<D>(param.id);
            param.map(|weight| match gradient {
                Some(gradient) => Tensor::from_inner(gradient),
                None => weight.zeros_like(),
            })
        }
    }
    let gradients = GradientsParams::from_grads(loss.backward(), module);
    State::from_module(&module.clone().map(&mut Take(gradients)), names).unwrap()
}

fn assert_penalty<M: Module>(
    module: &M,
    ours: GradientPenalty,
    theirs: &Penalty,
    names: fn(&str) -> String,
) {
    assert_close("value", numbers(ours.value)[0], theirs.value);
    assert_all_close("norms", &numbers(ours.norms), &theirs.norms);
    let found = gradients(module, ours.surrogate, names);
    assert_eq!(found.tensors.len(), theirs.gradients.len());
    let mut largest = 0.0_f64;
    for (name, theirs) in &theirs.gradients {
        let ours: Vec<f64> = found.tensors[name].data.iter::<f64>().collect();
        let theirs: Vec<f64> = theirs.values.iter().map(|&value| f64::from(value)).collect();
        largest = theirs.iter().fold(largest, |most, value| most.max(value.abs()));
        assert_all_close(name, &ours, &theirs);
    }
    assert!(largest > 0.05, "there is something to compare: {largest}");
}

fn assert_penalties<const D: usize>(
    discriminator: impl Discriminator<D>,
    theirs: Penalties,
    names: fn(&str) -> String,
) {
    let device = discriminator.devices()[0].clone();
    let (discriminator, report) = state(theirs.weights).apply(discriminator, names).unwrap();
    assert!(report.is_complete(), "{report}");
    let x = TensorData::new(theirs.x.values, theirs.x.shape);
    let x = Tensor::<D>::from_data(x, &device);
    let ours = gradient_penalty(&discriminator, x.clone(), None, 1.0, 10.0).unwrap();
    assert_penalty(&discriminator, ours, &theirs.around, names);
    let ours = zero_centred_gradient_penalty(&discriminator, x, None, 3.0).unwrap();
    assert_penalty(&discriminator, ours, &theirs.zero_centred, names);
}

#[test]
fn penalties_are_those_of_double_backward() {
    // `nn.Sequential` counts the rectifiers.
    fn names(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let index: usize = parts[1].parse().unwrap();
        format!("{}.{}", 2 * index, parts[2])
    }
    let Fixture { mlp, conv, .. } = fixture();
    let fully_connected = MlpConfig::new(2).with_hidden(vec![7, 5]);
    let convolutions = DcganConfig::for_size(16).with_channels(1).with_width(3);
    let convolutions = convolutions.with_normalise_discriminator(false);
    for device in devices().map(Device::autodiff) {
        let (_, discriminator) = fully_connected.init(1, &device).unwrap();
        assert_penalties(discriminator, mlp.clone(), names);
        let (_, discriminator) = convolutions.init(1, &device).unwrap();
        assert_penalties(discriminator, conv.clone(), DcganDiscriminator::torch_name);
    }
}

/// A critic whose samples share mean and variance of the batch, as batch norm has it; `wrong` leaves
/// that out of its derivative.
#[derive(Module, Debug)]
struct BatchStatistics {
    inner: Linear,
    outer: Linear,
    wrong: bool,
}

impl BatchStatistics {
    fn new(wrong: bool, device: &Device) -> Self {
        let [inner, outer] = [(3, 6), (6, 1)].map(|(i, o)| LinearConfig::new(i, o).init(device));
        Self { inner, outer, wrong }
    }
}

impl Discriminator<2> for BatchStatistics {
    fn input_shape(&self) -> Vec<usize> {
        vec![3]
    }

    fn forward(&self, x: Tensor<2>, _: Option<Tensor<1, Int>>) -> Tensor<2> {
        let x = self.inner.forward(x);
        let x = x.clone() - x.mean_dim(0);
        let deviation = (x.clone().powi_scalar(2).mean_dim(0) + 1e-5).sqrt();
        self.outer.forward((x / deviation).tanh())
    }

    fn no_jvp(&self) -> Option<String> {
        None
    }

    fn jvp(&self, x: Dual<2>, _: Option<Tensor<1, Int>>) -> gan::Result<Dual<2>> {
        let x = x.linear(&self.inner).map_linear(|x| x.clone() - x.mean_dim(0));
        let deviation = (x.value.clone().powi_scalar(2).mean_dim(0) + 1e-5).sqrt();
        let value = x.value / deviation.clone();
        let mut tangent = x.tangent / deviation;
        if !self.wrong {
            let along = (value.clone() * tangent.clone()).mean_dim(0);
            tangent = tangent - value.clone() * along;
        }
        Ok(Dual { value, tangent }.tanh().linear(&self.outer))
    }
}

#[test]
fn penalties_are_exact_where_a_batch_has_statistics_in_common() {
    // Linear layers there lie the other way round.
    fn names(path: &str) -> String {
        path.to_owned()
    }
    for device in devices().map(Device::autodiff) {
        let critic = BatchStatistics::new(false, &device);
        assert_penalties(critic, fixture().batch_statistics, names);
    }
}

#[test]
fn a_wrong_derivative_is_noticed() {
    let Numbers { shape, values } = fixture().batch_statistics.x;
    let x = Tensor::<2>::from_data(TensorData::new(values, shape), &device());
    for wrong in [false, true] {
        let (critic, _) = state(fixture().batch_statistics.weights)
            .apply(BatchStatistics::new(wrong, &device()), str::to_owned)
            .unwrap();
        let found = check_jvp(&critic, x.clone(), None);
        assert_eq!(found.is_err(), wrong, "{found:?}");
        if let Err(error) = found {
            let error = error.to_string();
            assert!(error.contains("`jvp` is not the derivative of its `forward`"), "{error}");
        }
    }
}

/// The Jacobian-vector product of a class told as a channel, and of one told by nothing.
#[test]
fn the_tangent_is_the_slope_along_the_direction() {
    let config = DcganConfig::for_size(16).with_channels(1).with_width(3).with_classes(3);
    let config = config.with_normalise_discriminator(false).with_slope(1.0 - 1e-9);
    let (_, discriminator) = config.init(1, &device()).unwrap();
    // Without bends the network is linear, and a difference is exact.
    let mut noise = gan::noise::Noise::new(1, 0);
    let mut draw = || {
        let values = noise.normal(2 * 256);
        Tensor::<4>::from_data(TensorData::new(values, [2, 1, 16, 16]), &device())
    };
    let (x, direction) = (draw(), draw());
    let classes = Tensor::from_ints([0, 2], &device());
    let dual = gan::jvp::Dual { value: x.clone(), tangent: direction.clone() };
    let dual = discriminator.jvp(dual, Some(classes)).unwrap();
    let classes = || Some(Tensor::from_ints([0, 2], &device()));
    let before = numbers(discriminator.forward(x.clone(), classes()));
    let after = numbers(discriminator.forward(x + direction, classes()));
    assert_all_close("value", &numbers(dual.value), &before);
    for ((after, before), tangent) in after.iter().zip(&before).zip(numbers(dual.tangent)) {
        assert!((after - before - tangent).abs() < 1e-5 && tangent.abs() > 1e-6, "{tangent}");
    }
}

#[test]
fn a_generator_goes_to_and_from_pytorch() {
    let Made { z, images, weights } = fixture().generator;
    let names: Vec<String> = weights.keys().cloned().collect();
    let config = DcganConfig::for_size(16).with_channels(1).with_width(4).with_latent(8);
    let config = config.with_end_bias(false);
    let generators = devices().map(|device| {
        let (generator, _) = config.init(1, &device).unwrap();
        let weights = state(weights.clone());
        let (generator, report) = weights.apply(generator, DcganGenerator::torch_name).unwrap();
        assert!(report.is_complete(), "{report}");
        let z = Tensor::<2>::from_data(TensorData::new(z.clone(), [3, 8]), &device);
        assert_all_close("images", &numbers(generator.forward(z, None)), &images);
        generator
    });
    let generator = generators.last().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generator.safetensors");
    generator.save(&path).unwrap();
    let (saved, _) = State::open(&path).unwrap();
    assert_eq!(saved.tensors.into_keys().collect::<Vec<_>>(), names);
}

#[test]
fn power_iteration_finds_the_largest_singular_value() {
    let Singular { weight, sigma } = fixture().spectral;
    let base = Tensor::<4>::from_data(TensorData::new(weight.clone(), [5, 3, 2, 2]), &device());
    let (param, norm) = Spectral::new().reparameterize("conv.weight", Param::from_tensor(base));
    let norm = norm.expect("a weight of rank 4");
    let mut normalised = norm.apply(param.base());
    for _ in 0..100 {
        normalised = norm.apply(param.base());
    }
    let expected: Vec<f64> = weight.iter().map(|&value| f64::from(value) / sigma).collect();
    assert_all_close("weight", &numbers(normalised), &expected);
    // Without autodiff the vector stays, and so does the answer.
    let still = norm.valid();
    let base = param.base().inner();
    assert_all_close("in inference", &numbers(still.apply(base.clone())), &expected);
    assert_eq!(numbers(still.apply(base.clone())), numbers(still.apply(base)));
}

#[test]
fn metrics_are_those_of_torch_fidelity_and_prdc() {
    let Metrics { a, b, logits, fid, kid, kid_unequal, kid_far, isc, prdc: theirs } =
        fixture().metrics;
    let (a, b) = (Features::new(a, 8).unwrap(), Features::new(b, 8).unwrap());
    let logits = Features::new(logits, 6).unwrap();
    assert_close("FID", frechet_distance(&a, &b).unwrap(), fid);
    let ours = kernel_distance(&a, &b, 1, usize::MAX, 0).unwrap();
    assert_close("KID", ours.mean, kid);
    let few = |x: &Features| x.head(180);
    let ours = kernel_distance(&a, &few(&b), 1, usize::MAX, 0).unwrap();
    assert_close("KID of other numbers", ours.mean, kid_unequal);
    let far = |x: &Features| {
        Features::new(x.values().iter().map(|x| x + 1000.0).collect(), x.width()).unwrap()
    };
    let ours = kernel_distance(&far(&a), &far(&b), 1, usize::MAX, 0).unwrap();
    assert_close("KID far from 0", ours.mean, kid_far);
    assert_close("class score", class_score(&logits, 10).unwrap(), isc);
    let ours = prdc(&a, &b, 5).unwrap();
    assert_close("precision", ours.precision, theirs["precision"]);
    assert_close("recall", ours.recall, theirs["recall"]);
    assert_close("density", ours.density, theirs["density"]);
    assert_close("coverage", ours.coverage, theirs["coverage"]);
}

/// Classes that 64 bits hold no probability of: each of two is sure in half of the rows.
#[test]
fn a_class_score_of_logits_far_apart_is_a_number() {
    let rows: Vec<f32> = (0..10).flat_map(|row| [[0.0, 800.0], [900.0, 0.0]][row % 2]).collect();
    let score = class_score(&Features::new(rows, 2).unwrap(), 1).unwrap();
    assert_close("class score", score, 2.0);
    // Even a class that is sure of nothing anywhere.
    let rows: Vec<f32> = (0..10).flat_map(|_| [0.0, 800.0]).collect();
    let score = class_score(&Features::new(rows, 2).unwrap(), 1).unwrap();
    assert_close("class score", score, 1.0);
}

/// As kernels and linear layers do (Radford et al. 2016, section 4): from N(0, 1) a class drowns what
/// differs within it.
#[test]
fn class_embeddings_start_with_a_deviation_of_a_fiftieth() {
    let config = DcganConfig::for_size(16).with_width(4).with_classes(40);
    let (generator, discriminator) = config.init(1, &device()).unwrap();
    let [made, judged] = [
        State::from_module(&generator, DcganGenerator::torch_name).unwrap(),
        State::from_module(&discriminator, DcganDiscriminator::torch_name).unwrap(),
    ];
    for state in [made, judged] {
        let (_, entry) = state.tensors.iter().find(|(name, _)| name.contains("embedding")).unwrap();
        let values: Vec<f32> = entry.data.iter::<f32>().collect();
        let square = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let deviation = (square / values.len() as f64).sqrt();
        assert!((deviation - 0.02).abs() < 0.002, "{deviation} of {}", values.len());
    }
}
