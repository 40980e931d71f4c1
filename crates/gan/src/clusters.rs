//! Images that look alike, found without labels: classes for a conditional game where nothing is
//! known of the images (Sage et al. 2018, <https://arxiv.org/abs/1712.04407>).

use model_utils::train::{Asks as _, Stop};
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::error::Result;
use crate::noise::Noise;

/// Rounds of k-means.
const ROUNDS: usize = 40;

/// How much dearer a cluster of twice the even size becomes in a round, as a share of the mean
/// squared distance.
const PACE: f32 = 0.02;

/// What the random numbers are for.
const OF_CLUSTERS: u64 = 0xC105;

const CLUSTERING: &str = "clustering";

/// The cluster of each point, a column of `points`; those that touch have about as many.
///
/// It is k-means (Lloyd 1982) from the seeds of k-means++ (Arthur and Vassilvitskii 2007), with a
/// price beside each squared distance: it rises while a cluster has more than its share and falls
/// while it has less.
pub(crate) fn balanced_clusters(
    points: &DMatrix<f32>,
    count: usize,
    seed: u64,
    stop: &Stop,
) -> Result<Vec<usize>> {
    let mut centres = scattered(points, count, &mut Noise::new(seed, OF_CLUSTERS), stop)?;
    let even = points.ncols() as f32 / count as f32;
    let squares = points.norm_squared();
    let mut prices = vec![0.0f32; count];
    let mut found = Vec::new();
    for round in 0..ROUNDS {
        stop.check(CLUSTERING, format_args!("round {round} of {ROUNDS}"))?;
        // |x − c|² less |x|², which all clusters share.
        let mut costs = centres.tr_mul(points);
        for (mut row, (centre, price)) in
            costs.row_iter_mut().zip(centres.column_iter().zip(&prices))
        {
            let constant = centre.norm_squared() + price;
            row.apply(|product| *product = constant - 2.0 * *product);
        }
        found = costs.column_iter().map(|costs| costs.imin()).collect();

        let mut sums = DMatrix::<f32>::zeros(points.nrows(), count);
        let mut sizes = vec![0.0f32; count];
        let mut distances = squares;
        for ((point, costs), &cluster) in points.column_iter().zip(costs.column_iter()).zip(&found)
        {
            let mut sum = sums.column_mut(cluster);
            sum += point;
            sizes[cluster] += 1.0;
            distances += costs[cluster] - prices[cluster];
        }
        let mean = distances / points.ncols() as f32;
        for (cluster, &size) in sizes.iter().enumerate() {
            prices[cluster] += PACE * mean * (size / even - 1.0).clamp(-1.0, 1.0);
            if size > 0.0 {
                centres.set_column(cluster, &(sums.column(cluster) / size));
            }
        }
    }
    Ok(found)
}

/// Points far from each other: each is drawn with a chance as its squared distance from the nearest
/// before it.
fn scattered(
    points: &DMatrix<f32>,
    count: usize,
    noise: &mut Noise,
    stop: &Stop,
) -> Result<DMatrix<f32>> {
    let total = points.ncols();
    let mut centres = DMatrix::zeros(points.nrows(), count);
    let mut nearest = vec![f64::INFINITY; total];
    let mut at = noise.below(total);
    for centre in 0..count {
        stop.check(CLUSTERING, format_args!("centre {centre} of {count}"))?;
        let chosen = points.column(at);
        centres.set_column(centre, &chosen);
        nearest.par_iter_mut().enumerate().for_each(|(other, nearest)| {
            let distance = (points.column(other) - chosen).norm_squared();
            *nearest = nearest.min(f64::from(distance));
        });
        let sum: f64 = nearest.iter().sum();
        let mut rest = noise.uniform() * sum;
        at = nearest
            .iter()
            .position(|distance| {
                rest -= distance;
                rest < 0.0
            })
            .unwrap_or(total - 1);
    }
    Ok(centres)
}
