//! What the table of operations does not see: large shapes against Burn's own, threads, checkpoints.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use model_utils::ops;
use proptest::prelude::*;

/// How far numbers may be from Burn's, in parts of the largest of them.
const TOLERANCE: f32 = 1e-5;

fn device() -> Device {
    Device::flex().autodiff()
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// The output, and the gradients of a weighted sum of it.
struct Results(Vec<(&'static str, Vec<f32>)>);

impl Results {
    /// Of `forward` and `x`, and of the parameters given with their names.
    fn of<const D: usize>(
        x: &Tensor<D>,
        parameters: &[(&'static str, &dyn HasGradient)],
        forward: impl Fn(Tensor<D>) -> Tensor<D>,
    ) -> Self {
        let x = x.clone().require_grad();
        let output = forward(x.clone());
        let weights: Vec<f32> =
            (0..output.shape().num_elements()).map(|i| (i as f32 * 0.7).sin()).collect();
        let weights = TensorData::new(weights, output.shape());
        let weights = Tensor::<D>::from_data(weights, &output.device());
        let gradients = (output.clone() * weights).sum().backward();
        let mut results =
            vec![("output", numbers(output)), ("x", numbers(x.grad(&gradients).unwrap()))];
        results
            .extend(parameters.iter().map(|(name, parameter)| (*name, parameter.of(&gradients))));
        Self(results)
    }

    fn assert_close(&self, expected: &Self) {
        for ((name, ours), (_, burns)) in self.0.iter().zip(&expected.0) {
            assert_near(name, ours, burns);
        }
    }
}

fn assert_near(name: &str, ours: &[f32], burns: &[f32]) {
    assert_eq!(ours.len(), burns.len(), "{name}");
    let largest = burns.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    for (at, (ours, burns)) in ours.iter().zip(burns).enumerate() {
        let off = (ours - burns).abs();
        assert!(off <= TOLERANCE * largest, "{name}[{at}]: {ours} for {burns}");
    }
}

trait HasGradient {
    fn of(&self, gradients: &burn::tensor::Gradients) -> Vec<f32>;
}

impl<const D: usize> HasGradient for Param<Tensor<D>> {
    fn of(&self, gradients: &burn::tensor::Gradients) -> Vec<f32> {
        numbers(self.val().grad(gradients).unwrap())
    }
}

fn conv_results(conv: &Conv2d, x: &Tensor<4>, forward: impl Fn(Tensor<4>) -> Tensor<4>) -> Results {
    let mut parameters: Vec<(&str, &dyn HasGradient)> = vec![("weight", &conv.weight)];
    if let Some(bias) = &conv.bias {
        parameters.push(("bias", bias));
    }
    Results::of(x, &parameters, forward)
}

fn assert_plain_conv(conv: &Conv2d, x: Tensor<4>) {
    let (ours, burns) = (ops::conv2d(conv, x.clone()), conv.forward(x));
    assert_eq!(ours.dims(), burns.dims());
    assert_near("without autodiff", &numbers(ours), &numbers(burns));
}

fn assert_conv(conv: &Conv2d, x: &Tensor<4>) {
    assert_plain_conv(&conv.clone().valid(), x.clone().inner());
    conv_results(conv, x, |x| ops::conv2d(conv, x))
        .assert_close(&conv_results(conv, x, |x| conv.forward(x)));
}

#[derive(Debug, Clone)]
struct Sizes {
    batch: usize,
    channels: [usize; 2],
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: PaddingConfig2d,
    groups: usize,
    bias: bool,
}

impl Sizes {
    fn conv(&self) -> Conv2d {
        Conv2dConfig::new(self.channels, self.kernel)
            .with_stride(self.stride)
            .with_dilation(self.dilation)
            .with_padding(self.padding.clone())
            .with_groups(self.groups)
            .with_bias(self.bias)
            .init(&device())
    }

    fn input(&self) -> Tensor<4> {
        normal([self.batch, self.channels[0], self.size[0], self.size[1]], &device())
    }
}

/// Dense, depthwise and grouped convolutions that leave at least one output, of images that are
/// at least `least` and below `most` wide and high.
fn sizes(least: usize, most: usize) -> impl Strategy<Value = Sizes> {
    let groups = prop_oneof![
        (1..6_usize, 1..24_usize).prop_map(|(from, to)| ([from, to], 1)),
        (2..6_usize).prop_map(|channels| ([channels, channels], channels)),
        (2..4_usize).prop_map(|half| ([2 * half, 2 * half + 2 * (half % 2)], 2)),
    ];
    let kernel = prop_oneof![Just([1, 1]), Just([3, 3]), Just([5, 5]), [1..5_usize, 1..5_usize]];
    let padding = prop_oneof![
        Just(PaddingConfig2d::Valid),
        Just(PaddingConfig2d::Same),
        [0..4_usize, 0..4_usize, 0..4_usize, 0..4_usize].prop_map(|[top, left, bottom, right]| {
            PaddingConfig2d::Explicit(top, left, bottom, right)
        }),
    ];
    (
        1..5_usize,
        groups,
        [least..most, least..most],
        kernel,
        [1..4_usize, 1..4_usize],
        [1..3_usize, 1..3_usize],
        padding,
        any::<bool>(),
    )
        .prop_map(
            |(batch, (channels, groups), size, kernel, stride, dilation, padding, bias)| {
                let dilation = if padding == PaddingConfig2d::Same { [1, 1] } else { dilation };
                let reach: [usize; 2] =
                    std::array::from_fn(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
                let size = std::array::from_fn(|axis| size[axis].max(reach[axis]));
                Sizes { batch, channels, size, kernel, stride, dilation, padding, groups, bias }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_convolution_of_any_geometry_agrees(sizes in sizes(1, 14)) {
        assert_conv(&sizes.conv(), &sizes.input());
    }

    /// Of images that take several tiles and tasks; sums of gradients over them only round more.
    #[test]
    fn a_convolution_of_larger_images_agrees(sizes in sizes(10, 70)) {
        assert_plain_conv(&sizes.conv().valid(), sizes.input().inner());
    }
}

/// Large enough to be shared among threads and put side by side.
#[test]
fn the_convolutions_of_the_vision_models_agree() {
    let layer = |channels, size, kernel: usize, stride, groups| Sizes {
        batch: 37,
        channels,
        size: [size; 2],
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        padding: {
            let padding = kernel / 2;
            PaddingConfig2d::Explicit(padding, padding, padding, padding)
        },
        groups,
        bias: false,
    };
    for sizes in [
        layer([3, 16], 32, 3, 2, 1),
        layer([16, 48], 14, 1, 1, 1),
        layer([48, 24], 28, 1, 1, 1),
        layer([24, 12], 14, 3, 1, 1),
        layer([48, 48], 14, 3, 1, 48),
        layer([48, 48], 15, 3, 2, 48),
        layer([24, 24], 14, 5, 1, 24),
        // Small planes, and more channels than have their columns made at once.
        layer([70, 33], 8, 3, 2, 1),
        layer([300, 20], 5, 1, 1, 1),
        layer([90, 5], 9, 3, 2, 1),
        layer([31, 64], 2, 3, 1, 1),
        layer([6, 10], 9, 4, 3, 1),
    ] {
        let sizes = Sizes { bias: sizes.channels[0] > 60, ..sizes };
        assert_conv(&sizes.conv(), &sizes.input());
    }
}

/// The sum over the batch is taken in one order, whoever takes it.
#[test]
fn gradients_do_not_depend_on_the_number_of_threads() {
    let x = normal([50, 24, 14, 14], &device());
    let norm = BatchNormConfig::new(24).init(&device());
    let dense = Conv2dConfig::new([24, 24], [3, 3]).with_bias(false).init(&device());
    let depthwise =
        Conv2dConfig::new([24, 24], [3, 3]).with_groups(24).with_bias(false).init(&device());
    let transposed = ConvTranspose2dConfig::new([24, 12], [4, 4]).with_stride([2, 2]);
    let transposed = transposed.with_bias(false).init(&device());
    let many = Conv2dConfig::new([24, 70], [5, 5]).with_stride([3, 3]).with_bias(false);
    let many = many.init(&device());
    let all = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            [
                Results::of(&x, &[("gamma", &norm.gamma), ("beta", &norm.beta)], |x| {
                    ops::batch_norm(&norm, x)
                }),
                conv_results(&dense, &x, |x| ops::conv2d(&dense, x)),
                conv_results(&depthwise, &x, |x| ops::conv2d(&depthwise, x)),
                conv_results(&many, &x, |x| ops::conv2d(&many, x)),
                Results::of(&x, &[("weight", &transposed.weight)], |x| {
                    ops::conv_transpose2d(&transposed, x)
                }),
            ]
        })
    };
    for (alone, shared) in all(1).into_iter().zip(all(5)) {
        for ((name, alone), (_, shared)) in alone.0.iter().zip(&shared.0) {
            assert!(alone == shared, "{name}");
        }
    }
}

/// A mean a thousand deviations from zero does not swallow the variance.
#[test]
fn batch_norm_of_a_far_mean_keeps_its_variance() {
    let norm = BatchNormConfig::new(2).init(&device());
    let x = normal([64, 2, 8, 8], &device()) + 1000.0;
    let output = numbers(ops::batch_norm(&norm, x));
    let variance = output.iter().map(|y| y * y).sum::<f32>() / output.len() as f32;
    assert!((variance - 1.0).abs() < 1e-3, "{variance}");
}

#[test]
fn a_nan_in_the_input_reaches_every_gradient() {
    let conv = Conv2dConfig::new([2, 2], [1, 1]).with_bias(false).init(&device());
    let norm = BatchNormConfig::new(2).init(&device());
    let mut input = vec![1.0_f32; 2 * 2 * 3 * 3];
    input[5] = f32::NAN;
    let x = Tensor::<4>::from_data(TensorData::new(input, [2, 2, 3, 3]), &device());
    let results = Results::of(&x, &[("weight", &conv.weight), ("gamma", &norm.gamma)], |x| {
        ops::batch_norm(&norm, ops::conv2d(&conv, x))
    });
    for (name, numbers) in &results.0 {
        assert!(numbers.iter().any(|x| x.is_nan()), "{name}");
    }
}

/// With gradient checkpointing, parents are computed again in the backward pass.
#[test]
fn checkpointing_changes_nothing() {
    let weights = normal([4, 3, 3, 3], &Device::flex()).into_data();
    let last_weights = normal([2, 4, 1, 1], &Device::flex()).into_data();
    let input = normal([2, 3, 6, 6], &Device::flex()).into_data();
    let block = |device: &Device| {
        let conv = |channels, kernel, weights: &TensorData| {
            let mut conv = Conv2dConfig::new(channels, kernel).with_bias(false).init(device);
            let weights = Tensor::from_data(weights.clone(), device);
            conv.weight = conv.weight.map(|_| weights.require_grad());
            conv
        };
        let first = conv([3, 4], [3, 3], &weights);
        let last = conv([4, 2], [1, 1], &last_weights);
        let norm = BatchNormConfig::new(4).init(device);
        let x = Tensor::<4>::from_data(input.clone(), device);
        // The element-wise steps between are what is computed again.
        Results::of(&x, &[("conv", &first.weight), ("gamma", &norm.gamma)], |x| {
            let x = ops::conv2d(&first, x.mul_scalar(2.0)).exp();
            let x = ops::relu6(ops::batch_norm(&norm, x).mul_scalar(1.5));
            ops::conv2d(&last, x + 1.0)
        })
    };
    let plain = block(&device());
    let again = block(&Device::flex().autodiff().gradient_checkpointing());
    assert!(plain.0 == again.0);
}

/// Where only the input or only the parameters are tracked, only their gradients are computed.
#[test]
fn untracked_inputs_and_weights_get_no_gradient() {
    let conv = Conv2dConfig::new([3, 4], [3, 3]).init(&device());
    let x = normal([2, 3, 6, 6], &device());
    let gradients = ops::conv2d(&conv, x.clone()).sum().backward();
    assert!(x.grad(&gradients).is_none());
    assert!(conv.weight.val().grad(&gradients).is_some());

    let frozen = conv.no_grad();
    let x = x.require_grad();
    let gradients = ops::conv2d(&frozen, x.clone()).sum().backward();
    assert!(x.grad(&gradients).is_some());
    assert!(frozen.weight.val().grad(&gradients).is_none());
}

/// Doubles go through Burn.
#[test]
fn other_inputs_take_burns_way() {
    let x = Tensor::<1>::from_data(TensorData::from([-1.0_f64, 8.0]), &device());
    let y: Vec<f32> = ops::relu6(x).into_data().convert::<f32>().try_to_vec().unwrap();
    assert_eq!(y, [0.0, 6.0]);
}

/// As PyTorch: `[1, 2, 3, 4]` and momentum 1 leave 1.6667, and one value leaves it where it is.
#[test]
fn the_running_variance_is_unbiased() {
    let mut norm = BatchNormConfig::new(1).with_momentum(1.0).init(&device());
    let variance = |norm: &BatchNorm| numbers(norm.running_var.value_sync())[0];
    ops::batch_norm(&norm, Tensor::<2>::from_data([[1.0], [2.0], [3.0], [4.0]], &device()));
    assert!((variance(&norm) - 5.0 / 3.0).abs() < 1e-6, "{}", variance(&norm));
    ops::batch_norm(&norm, Tensor::<2>::from_data([[7.0]], &device()));
    assert!((variance(&norm) - 5.0 / 3.0).abs() < 1e-6, "{}", variance(&norm));
    norm.momentum = 0.5;
    ops::batch_norm(&norm, Tensor::<2>::from_data([[7.0], [9.0]], &device()));
    assert!((variance(&norm) - f32::midpoint(5.0 / 3.0, 2.0)).abs() < 1e-6, "{}", variance(&norm));
}

#[test]
fn large_layers_are_shared_between_threads_and_agree() {
    let linear = LinearConfig::new(96, 200).init(&device());
    let x = normal([700, 96], &device());
    let parameters: [(&str, &dyn HasGradient); 1] = [("weight", &linear.weight)];
    let ours = Results::of(&x, &parameters, |x| ops::linear(&linear, x));
    ours.assert_close(&Results::of(&x, &parameters, |x| linear.forward(x)));
}
