//! What is made of a generator's samples: images, points, walks between random numbers.

use burn::tensor::{Device, Tensor, TensorData};
use model_utils::config;
use model_utils::image::Image;
use model_utils::ops;
use model_utils::train::{Asks as _, Stoppable};

use crate::error::{Error, Result};
use crate::player::{Discriminator, Generator};
use crate::reals::Images;
use crate::trainer::Gan;

impl<G: Generator<4>, N: Discriminator<4>> Gan<4, G, N> {
    /// Images of random numbers that follow from a seed; where there are classes, they take turns.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate) and [`to_images`].
    pub fn sample(&self, count: usize, seed: u64) -> Result<Vec<Image>> {
        to_images(self.sample_tensor(count, seed)?)
    }

    /// [`sample`](Self::sample) as `[count, channels, height, width]` from −1 to 1.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn sample_tensor(&self, count: usize, seed: u64) -> Result<Tensor<4>> {
        let known = self.generator().classes();
        let classes: Option<Vec<usize>> =
            (known > 0).then(|| (0..count).map(|i| i % known).collect());
        self.generate(self.latents(count, seed), classes.as_deref())
    }
}

impl<G: Generator<2>, N: Discriminator<2>> Gan<2, G, N> {
    /// Points of random numbers that follow from a seed, of which the first two coordinates.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate), and [`Error::Network`] for samples of one number.
    pub fn sample(&self, count: usize, seed: u64) -> Result<Vec<[f32; 2]>> {
        let points = self.generate(self.latents(count, seed), None)?;
        let [_, features] = points.dims();
        if features < 2 {
            return Err(Error::network("generator", "its samples are single numbers, not points"));
        }
        Ok(ops::to_vec(points).chunks(features).map(|point| [point[0], point[1]]).collect())
    }
}

/// The images of `[count, channels, height, width]`, −1 as black and 1 as white.
///
/// # Errors
///
/// [`Error::Utils`] for values that are NaN, or other than 1 or 3 channels.
pub fn to_images(samples: Tensor<4>) -> Result<Vec<Image>> {
    let [_, channels, height, width] = samples.dims();
    ops::to_vec(samples)
        .chunks(channels * height * width)
        .map(|values| Ok(Image::from_planes(values, [channels, height, width], -1.0, 1.0)?))
        .collect()
}

/// Points on the straight line from one to the other, both ends included: `[steps, latent]`.
///
/// # Errors
///
/// [`Error::Config`] for ends of different lengths or fewer than two steps.
pub fn linear_path(from: &[f32], to: &[f32], steps: usize, device: &Device) -> Result<Tensor<2>> {
    path(from, to, steps, device, |share| [1.0 - share, share])
}

/// Points on the arc from one to the other, both ends included: `[steps, latent]`. Normal random
/// numbers of many dimensions lie near a sphere, which the straight line leaves (White 2016).
///
/// # Errors
///
/// As [`linear_path`].
pub fn spherical_path(
    from: &[f32],
    to: &[f32],
    steps: usize,
    device: &Device,
) -> Result<Tensor<2>> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let cosine = dot(from, to) / (dot(from, from) * dot(to, to)).sqrt().max(1e-12);
    let angle = cosine.clamp(-1.0, 1.0).acos();
    path(from, to, steps, device, |share| {
        if angle.sin() < 1e-6 {
            return [1.0 - share, share];
        }
        [((1.0 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()]
    })
}

fn path(
    from: &[f32],
    to: &[f32],
    steps: usize,
    device: &Device,
    weights: impl Fn(f64) -> [f64; 2],
) -> Result<Tensor<2>> {
    let expected = format!("{} numbers, as the start has", from.len());
    config::require(from.len() == to.len(), "to", to.len(), expected)?;
    config::at_least("steps", steps, 2)?;
    let points: Vec<f32> = (0..steps)
        .flat_map(|step| {
            let [a, b] = weights(step as f64 / (steps - 1) as f64);
            from.iter()
                .zip(to)
                .map(move |(from, to)| (a * f64::from(*from) + b * f64::from(*to)) as f32)
        })
        .collect();
    Ok(Tensor::from_data(TensorData::new(points, [steps, from.len()]), device))
}

/// The mean of the random numbers of some samples: what Radford et al. add and subtract. Means of
/// three samples each are steadier than single ones.
///
/// # Errors
///
/// [`Error::Config`] for no random numbers.
pub fn mean_latent(latents: Tensor<2>) -> Result<Tensor<2>> {
    config::at_least("latents", latents.dims()[0], 1)?;
    Ok(latents.mean_dim(0))
}

/// For each sample the index of the real image nearest to it by pixels, and the root of the mean
/// squared difference of values from −1 to 1: whether a generator copies. `stop.around(&reals)` ends
/// it between two of them.
///
/// # Errors
///
/// [`Error::Reals`] for real images of another shape; [`Stopped`](model_utils::Error::Stopped).
pub fn nearest<'a>(
    samples: Tensor<4>,
    reals: impl Into<Stoppable<&'a Images>>,
) -> Result<Vec<(usize, f64)>> {
    let (reals, stop) = reals.into().into_parts();
    let [_, channels, height, width] = samples.dims();
    if reals.shape() != [channels, height, width] {
        return Err(Error::Reals(format!(
            "they are {:?}, and the samples [{channels}, {height}, {width}]",
            reals.shape()
        )));
    }
    let size = channels * height * width;
    let samples = ops::to_vec(samples);
    let samples: Vec<Vec<f32>> = samples
        .chunks(size)
        .map(|sample| sample.iter().map(|value| (value + 1.0) * 127.5).collect())
        .collect();
    let mut best = vec![(0, f32::INFINITY); samples.len()];
    for at in 0..reals.count() {
        stop.check("looking for the nearest image", format_args!("image {at}"))?;
        let real = reals.bytes(at);
        for (sample, best) in samples.iter().zip(&mut best) {
            let distance: f32 =
                sample.iter().zip(real).map(|(a, &b)| (a - f32::from(b)).powi(2)).sum();
            if distance < best.1 {
                *best = (at, distance);
            }
        }
    }
    let root = |distance: f32| (f64::from(distance) / size as f64).sqrt() / 127.5;
    Ok(best.into_iter().map(|(at, distance)| (at, root(distance))).collect())
}
