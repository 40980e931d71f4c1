//! Batch normalisation.

use std::sync::Arc;

use burn::module::RunningState;
use burn::nn::BatchNorm;
use burn::tensor::{Tensor, TensorData};

use super::host::{self, Array, Host, Kernel, three};
use super::kernels::parallel::{channel_sums, for_each_chunk, sum_pairs, written};
use super::sync_batch_norm::{AllReduce, over};
use super::to_vec;

/// Batch normalisation over `[batch, channels, …]` (Ioffe and Szegedy 2015).
///
/// Batch statistics are taken, and the running ones moved, only where input or layer has autodiff and
/// the layer is in training; elsewhere the running statistics are used. As in PyTorch the batch is
/// normalised by its biased variance, and the running variance moves towards the unbiased one; one
/// value a channel has no such variance and leaves it where it is. Workers that each hold a part of a
/// batch may [share](super::sync_batch_norm()) its statistics.
///
/// # Panics
///
/// Where the input has not as many channels as the layer.
pub fn batch_norm<const D: usize>(norm: &BatchNorm, x: Tensor<D>) -> Tensor<D> {
    let (input, channels) = (x.shape(), norm.gamma.lazy_shape()[0]);
    assert!(
        D >= 2 && input[1] == channels,
        "batch_norm: input {input:?} has not the layer's channels, [{channels}]"
    );
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    let has_autodiff = x.device().is_autodiff() || gamma.device().is_autodiff();
    if !(has_autodiff && norm.training.is_enabled()) {
        let device = x.device();
        let [mean, variance] = [&norm.running_mean, &norm.running_var].map(RunningState::value);
        let kernel = host::holds(&x).then(|| Normalize {
            mean: to_vec(mean.clone()),
            variance: to_vec(variance.clone()),
            epsilon: norm.epsilon,
            of_batch: None,
        });
        let burns = |(x, gamma, beta)| {
            let [mean, variance] = [mean, variance].map(|running| running.to_device(&device));
            burn::tensor::module::batch_norm(x, gamma, beta, mean, variance, norm.epsilon)
        };
        return match kernel {
            Some(kernel) => three(kernel, x, gamma, beta).unwrap_or_else(burns),
            None => burns((x, gamma, beta)),
        };
    }
    let over = over();
    let planes = [input[0], channels, input[2..].iter().product()];
    let found = host::read(&x, |x, _| statistics(x, planes, over.as_deref()));
    let (output, mean, variance, count) = if let Some(Statistics { mean, variance, count }) = found
    {
        let plain = x.device().inner();
        let [of_mean, of_variance] = [&mean, &variance].map(|numbers| {
            let numbers = TensorData::new(numbers.clone(), [channels]);
            Tensor::<1>::from_data(numbers, &plain)
        });
        let of_batch = Some(Shared(over));
        let kernel = Normalize { mean, variance, epsilon: norm.epsilon, of_batch };
        let output = three(kernel, x, gamma, beta).unwrap_or_else(|_| {
            panic!("batch_norm: input and layer are of different devices or types")
        });
        (output, of_mean, of_variance, count)
    } else {
        let x = if x.device().is_autodiff() { x } else { x.to_device(&gamma.device()) };
        let result = burn::tensor::module::batch_norm_train(x, gamma, beta, norm.epsilon);
        let count = (planes[0] * planes[2]) as f64;
        (result.output, result.mean.detach(), result.variance.detach(), count)
    };
    let moved = |running: &Tensor<1>, to: Tensor<1>| {
        let now = running.clone().to_device(&to.device());
        now.mul_scalar(1.0 - norm.momentum) + to.mul_scalar(norm.momentum)
    };
    let [running_mean, running_var] =
        [&norm.running_mean, &norm.running_var].map(RunningState::value_sync);
    if count > 0.0 {
        norm.running_mean.update(moved(&running_mean, mean).detach());
    }
    if count > 1.0 {
        let unbiased = variance.mul_scalar(count / (count - 1.0));
        norm.running_var.update(moved(&running_var, unbiased).detach());
    }
    output
}

/// The workers that a batch is divided among, if it is.
#[derive(Debug, Clone)]
struct Shared(Option<Arc<dyn AllReduce>>);

/// `(x − mean) · γ / √(variance + ε) + β` of input, γ and β.
#[derive(Debug, Clone)]
struct Normalize {
    mean: Vec<f32>,
    variance: Vec<f32>,
    epsilon: f64,
    /// Where mean and variance are the batch's own, the workers that it is divided among.
    of_batch: Option<Shared>,
}

impl Kernel<3> for Normalize {
    /// Input and γ.
    type Saved<B: Host> = [Array<B>; 2];

    fn forward<B: Host>(
        &self,
        [x, gamma, beta]: [Array<B>; 3],
        saves: bool,
    ) -> (Array<B>, Option<[Array<B>; 2]>) {
        let output = self.normalize(x.numbers(), x.planes(), gamma.numbers(), beta.numbers());
        (Array::new(output, x.shape()), saves.then_some([x, gamma]))
    }

    fn backward<B: Host>(
        &self,
        [x, gamma]: [Array<B>; 2],
        mut gradient: Array<B>,
        _: [bool; 3],
    ) -> [Option<Array<B>>; 3] {
        let (numbers, scales) = (x.numbers(), gamma.numbers());
        let of_scales = self.backward(gradient.numbers_mut(), numbers, x.planes(), scales);
        let [of_gamma, of_beta] = of_scales.map(|numbers| Array::new(numbers, gamma.shape()));
        [Some(gradient), Some(of_gamma), Some(of_beta)]
    }
}

/// The workers that a batch is divided among, if it is.
type Over<'a> = Option<&'a dyn AllReduce>;

/// Mean and biased variance of each channel, and the values a channel.
struct Statistics {
    mean: Vec<f32>,
    variance: Vec<f32>,
    count: f64,
}

/// In two passes.
fn statistics(x: &[f32], shape: [usize; 3], over: Over) -> Statistics {
    if shape[0] * shape[2] == 0 && over.is_none() {
        let [mean, variance] = [vec![0.0; shape[1]], vec![0.0; shape[1]]];
        return Statistics { mean, variance, count: 0.0 };
    }
    let sums = channel_sums(shape, |_, plane| sum_pairs(&x[plane.clone()], &x[plane], |x, _| [x]));
    let (sums, count) = of_all(sums, shape, over);
    let mean: Vec<f32> = sums.into_iter().map(|[sum]| (sum / count) as f32).collect();
    let squares = channel_sums(shape, |channel, plane| {
        let mean = mean[channel];
        sum_pairs(&x[plane.clone()], &x[plane], |x, _| [(x - mean) * (x - mean)])
    });
    let (squares, count) = of_all(squares, shape, over);
    let variance = squares.into_iter().map(|[sum]| (sum / count) as f32).collect();
    Statistics { mean, variance, count }
}

/// Sums of a channel and the number of places, over all workers.
fn of_all<const K: usize>(
    mut sums: Vec<[f64; K]>,
    [batch, _, space]: [usize; 3],
    over: Over,
) -> (Vec<[f64; K]>, f64) {
    let count = (batch * space) as f64;
    let Some(over) = over else { return (sums, count) };
    let mut numbers: Vec<f64> = sums.iter().flatten().copied().chain([count]).collect();
    over.all_reduce(&mut numbers);
    let (of_channels, _) = numbers.as_chunks::<K>();
    for (sum, of_channel) in sums.iter_mut().zip(of_channels) {
        *sum = *of_channel;
    }
    (sums, numbers[numbers.len() - 1])
}

impl Normalize {
    fn normalize(&self, x: &[f32], shape: [usize; 3], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
        let Self { mean: means, variance: variances, epsilon, .. } = self;
        let [_, channels, space] = shape;
        let scales: Vec<f32> = gamma
            .iter()
            .zip(variances)
            .map(|(gamma, &variance)| gamma * inverse_deviation(variance, *epsilon))
            .collect();
        written(x.len(), space.max(1), |plane, output| {
            let channel = plane % channels;
            let (mean, scale, shift) = (means[channel], scales[channel], beta[channel]);
            for (y, x) in output.iter_mut().zip(&x[plane * space..]) {
                *y = (x - mean) * scale + shift;
            }
        })
    }

    /// Turns the gradient of the output into that of the input, in place, and returns the gradients
    /// of γ and β, `[channels]` each.
    fn backward(
        &self,
        gradient: &mut [f32],
        x: &[f32],
        shape: [usize; 3],
        gamma: &[f32],
    ) -> [Vec<f32>; 2] {
        let Self { mean: means, variance: variances, epsilon, of_batch } = self;
        let (epsilon, [_, channels, space]) = (*epsilon, shape);
        let sums = channel_sums(shape, |channel, plane| {
            let mean = means[channel];
            sum_pairs(&gradient[plane.clone()], &x[plane], |g, x| [g, g * (x - mean)])
        });
        // γ and β get what comes from here; the workers' gradients are added up as all others are.
        let terms: Vec<[f32; 3]> = match of_batch {
            Some(Shared(over)) => {
                let (all, count) = of_all(sums.clone(), shape, over.as_deref());
                (0..channels)
                    .map(|channel| {
                        let inverse = inverse_deviation(variances[channel], epsilon);
                        let [sum, sum_with_x] = all[channel];
                        let along_x = sum_with_x / count * f64::from(inverse) * f64::from(inverse);
                        [gamma[channel] * inverse, (sum / count) as f32, along_x as f32]
                    })
                    .collect()
            }
            // The statistics do not depend on the input.
            None => (0..channels)
                .map(|channel| {
                    [gamma[channel] * inverse_deviation(variances[channel], epsilon), 0.0, 0.0]
                })
                .collect(),
        };
        for_each_chunk(gradient, space.max(1), |plane, gradient| {
            let channel = plane % channels;
            let (mean, [scale, mean_gradient, along_x]) = (means[channel], terms[channel]);
            for (g, x) in gradient.iter_mut().zip(&x[plane * space..]) {
                *g = scale * (*g - mean_gradient - along_x * (x - mean));
            }
        });
        let of_gamma = sums.iter().zip(variances).map(|([_, sum_with_x], &variance)| {
            (sum_with_x * f64::from(inverse_deviation(variance, epsilon))) as f32
        });
        [of_gamma.collect(), sums.iter().map(|[sum, _]| *sum as f32).collect()]
    }
}

fn inverse_deviation(variance: f32, epsilon: f64) -> f32 {
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
}
