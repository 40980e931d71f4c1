//! Precision and recall, density and coverage: by balls around each sample that reach its k-th
//! neighbour.

use model_utils::config;
use model_utils::train::{Asks as _, Stop, Stoppable};
use rayon::prelude::*;

use super::features::{Features, comparable, sum_of};
use crate::error::Result;

const PRDC: &str = "precision and recall";

/// What [`prdc`] found, all between 0 and 1 but the density.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Prdc {
    /// The share of samples within a real one's ball.
    pub precision: f64,
    /// The share of real ones within a sample's ball.
    pub recall: f64,
    /// In how many real balls a sample lies, by k: about 1 for samples like the real ones.
    pub density: f64,
    /// The share of real ones with a sample in their ball.
    pub coverage: f64,
}

/// Compares samples with real ones by their `k` nearest neighbours (5 is usual). Its time grows with
/// the product of the numbers of rows; `stop.around(&real)` ends it between two rows.
///
/// # Errors
///
/// [`Error::Metric`](crate::Error::Metric) for features of other widths or not more than `k` rows,
/// [`Error::Config`](crate::Error::Config) for a `k` of 0.
pub fn prdc<'a>(
    real: impl Into<Stoppable<&'a Features>>,
    fake: &Features,
    k: usize,
) -> Result<Prdc> {
    let (real, stop) = real.into().into_parts();
    config::at_least("k", k, 1)?;
    comparable(PRDC, real, fake, k + 1)?;
    let real_radii = radii(real, k, &stop)?;
    let fake_radii = radii(fake, k, &stop)?;
    // For each real one: whether a sample's ball holds it, and how near the nearest sample is.
    let of_real: Vec<(bool, bool)> = (0..real.len())
        .into_par_iter()
        .map(|at| {
            stop.check(PRDC, format_args!("real row {at}"))?;
            let row = real.row(at);
            let mut recalled = false;
            let mut nearest = f64::INFINITY;
            for (fake, &radius) in fake.rows().zip(&fake_radii) {
                let distance = squared(row, fake);
                recalled |= distance < radius;
                nearest = nearest.min(distance);
            }
            Ok((recalled, nearest < real_radii[at]))
        })
        .collect::<Result<_>>()?;
    // For each sample: how many real balls hold it.
    let of_fake: Vec<usize> = (0..fake.len())
        .into_par_iter()
        .map(|at| {
            stop.check(PRDC, format_args!("sample {at}"))?;
            let row = fake.row(at);
            let balls = real.rows().zip(&real_radii);
            Ok(balls.filter(|(real, radius)| squared(row, real) < **radius).count())
        })
        .collect::<Result<_>>()?;
    let share = |count: usize, of: usize| count as f64 / of as f64;
    Ok(Prdc {
        precision: share(of_fake.iter().filter(|&&count| count > 0).count(), fake.len()),
        recall: share(of_real.iter().filter(|(recalled, _)| *recalled).count(), real.len()),
        density: share(of_fake.iter().sum(), fake.len() * k),
        coverage: share(of_real.iter().filter(|(_, covered)| *covered).count(), real.len()),
    })
}

/// The squared distance from each row to its `k`-th neighbour.
fn radii(features: &Features, k: usize, stop: &Stop) -> Result<Vec<f64>> {
    (0..features.len())
        .into_par_iter()
        .map(|at| {
            stop.check(PRDC, format_args!("the neighbours of row {at}"))?;
            let row = features.row(at);
            let mut distances: Vec<f64> =
                features.rows().map(|other| squared(row, other)).collect();
            distances[at] = f64::NEG_INFINITY;
            Ok(*distances.select_nth_unstable_by(k, f64::total_cmp).1)
        })
        .collect()
}

/// The squared distance.
fn squared(x: &[f32], y: &[f32]) -> f64 {
    sum_of(x, y, |x, y| (x - y) * (x - y))
}
