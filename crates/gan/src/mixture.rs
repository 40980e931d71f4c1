//! Mixtures of Gaussians in the plane: the test of whether a generator finds every mode.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::reals::{Batch, Reals};

/// Round Gaussians of equal weight and deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Where they stand.
    pub means: Vec<[f64; 2]>,
    /// The deviation along either axis.
    pub deviation: f64,
}

impl Mixture {
    /// Eight on the circle of radius 1, deviation 0.01: the ring of `PacGAN` (Lin et al. 2018).
    pub fn ring() -> Self {
        let means = (0..8).map(|at| (TAU * f64::from(at) / 8.0).sin_cos()).map(|(y, x)| [x, y]);
        Self { means: means.collect(), deviation: 0.01 }
    }

    /// 25 at {−4, −2, 0, 2, 4}², deviation 0.05: the grid of `PacGAN`.
    pub fn grid() -> Self {
        let steps = [-4.0, -2.0, 0.0, 2.0, 4.0];
        let means = steps.iter().flat_map(|&x| steps.map(|y| [x, y]));
        Self { means: means.collect(), deviation: 0.05 }
    }

    /// One point.
    pub fn draw(&self, noise: &mut Noise) -> [f32; 2] {
        let [x, y] = self.means[noise.below(self.means.len())];
        let off = noise.normal(2);
        [
            (x + self.deviation * f64::from(off[0])) as f32,
            (y + self.deviation * f64::from(off[1])) as f32,
        ]
    }

    /// Which modes samples found: a sample is good within three deviations of the nearest mean, and
    /// a mode is found where it has at least one good sample.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] for no samples.
    pub fn coverage(&self, samples: &[[f32; 2]]) -> Result<Coverage> {
        if samples.is_empty() {
            return Err(Error::metric("mode coverage", "there is no sample"));
        }
        let mut of_mode = vec![0; self.means.len()];
        for &[x, y] in samples {
            let distance = |mean: &[f64; 2]| (f64::from(x) - mean[0]).hypot(f64::from(y) - mean[1]);
            let nearest =
                self.means.iter().map(distance).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((mode, distance)) = nearest
                && distance <= 3.0 * self.deviation
            {
                of_mode[mode] += 1;
            }
        }
        let good: usize = of_mode.iter().sum();
        Ok(Coverage {
            modes: of_mode.iter().filter(|&&count| count > 0).count(),
            good: good as f64 / samples.len() as f64,
            of_mode,
        })
    }
}

/// What [`Mixture::coverage`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Coverage {
    /// Modes with at least one good sample.
    pub modes: usize,
    /// The share of good samples. Of the mixture itself 98.9 % are.
    pub good: f64,
    /// Good samples of each mode.
    pub of_mode: Vec<usize>,
}

impl Reals<2> for Mixture {
    fn sample_shape(&self) -> Vec<usize> {
        vec![2]
    }

    fn len(&self) -> Option<usize> {
        None
    }

    fn batch(&self, seed: u64, number: u64, size: usize, device: &Device) -> Result<Batch<2>> {
        let mut noise = Noise::new(seed ^ 0x0D0E, number);
        let points: Vec<f32> = (0..size).flat_map(|_| self.draw(&mut noise)).collect();
        Ok((Tensor::from_data(TensorData::new(points, [size, 2]), device), None))
    }
}
