//! The kernel distance: the squared maximum mean discrepancy with a cubic kernel.

use model_utils::config;
use model_utils::train::{Asks as _, Stoppable};

use super::features::{Features, comparable, sum_of};
use crate::error::Result;
use crate::noise::Noise;

/// Mean and deviation over subsets.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct KernelDistance {
    /// The mean.
    pub mean: f64,
    /// The deviation, 0 for one subset.
    pub deviation: f64,
}

/// The unbiased kernel distance with `(x·y/d + 1)³`, averaged over `subsets` random subsets of
/// `size` rows of either set; of a set with fewer rows all are taken, and where that is so of both, one
/// subset says all. It may be negative: its mean over samples of one distribution is
/// 0. `stop.around(&a)` ends it between two subsets.
///
/// # Errors
///
/// [`Error::Metric`](crate::Error::Metric) for features of other widths or fewer than two rows,
/// [`Error::Config`](crate::Error::Config) for no subsets or a size below 2.
pub fn kernel_distance<'a>(
    a: impl Into<Stoppable<&'a Features>>,
    b: &Features,
    subsets: usize,
    size: usize,
    seed: u64,
) -> Result<KernelDistance> {
    let (a, stop) = a.into().into_parts();
    comparable("KID", a, b, 2)?;
    config::at_least("subsets", subsets, 1)?;
    config::at_least("size", size, 2)?;
    let distances: Vec<f64> = (0..subsets as u64)
        .map(|subset| {
            stop.check("KID", format_args!("subset {subset} of {subsets}"))?;
            let mut noise = Noise::new(seed, subset);
            let a = a.select(&choose(&mut noise, a.len(), size.min(a.len())));
            let b = b.select(&choose(&mut noise, b.len(), size.min(b.len())));
            Ok(discrepancy(&a, &b))
        })
        .collect::<Result<_>>()?;
    let mean = distances.iter().sum::<f64>() / subsets as f64;
    let variance = distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / subsets as f64;
    Ok(KernelDistance { mean, deviation: variance.sqrt() })
}

/// `count` of 0..n, none twice.
fn choose(noise: &mut Noise, n: usize, count: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..n).collect();
    for at in 0..count {
        let other = at + noise.below(n - at);
        indices.swap(at, other);
    }
    indices.truncate(count);
    indices
}

/// Of two sets.
fn discrepancy(a: &Features, b: &Features) -> f64 {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let within = |x: &Features| -> f64 {
        let pairs = (0..x.len()).map(|i| {
            let row = x.row(i);
            (0..i).map(|j| kernel(row, x.row(j))).sum::<f64>()
        });
        let n = x.len() as f64;
        2.0 * pairs.sum::<f64>() / (n * (n - 1.0))
    };
    let between: f64 = a.rows().map(|x| b.rows().map(|y| kernel(x, y)).sum::<f64>()).sum();
    within(a) + within(b) - 2.0 * between / (n * m)
}

fn kernel(x: &[f32], y: &[f32]) -> f64 {
    (sum_of(x, y, |x, y| x * y) / x.len() as f64 + 1.0).powi(3)
}
