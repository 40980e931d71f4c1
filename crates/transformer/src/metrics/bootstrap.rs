//! How sure a score is, and whether two systems differ (Koehn 2004, <https://aclanthology.org/W04-3250>).

use model_utils::stats::{Interval, bootstrap, percentile_interval};
use serde::{Deserialize, Serialize};

use super::metric::{Metric, sum};
use crate::error::Result;

/// Two systems on the same sentences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PairedBootstrap {
    /// The first system's score.
    pub first: f64,
    /// The second's.
    pub second: f64,
    /// The first less the second, and where 95 % of the resamples lie.
    pub difference: Interval,
    /// The share of resamples in which the first is better than the second, 0 to 1.
    pub share_first_better: f64,
}

/// A system's corpus score, and where 95 % of the scores lie when sentences are drawn with
/// replacement.
///
/// # Errors
///
/// As [`paired_bootstrap`].
pub fn bootstrap_interval<H: AsRef<str>, R: AsRef<str>>(
    metric: &impl Metric,
    hypotheses: &[H],
    references: &[R],
    resamples: usize,
    seed: u64,
) -> Result<Interval> {
    let counts = metric.counts_of(hypotheses, &[references])?;
    let draws =
        bootstrap(counts.len(), resamples, seed, |indices| drawn(metric, &counts, indices))?;
    Ok(percentile_interval(metric.score_of(&sum(&counts)), &draws, 0.95, counts.len())?)
}

/// The paired bootstrap: sentences are drawn with replacement, the same for both systems, and the
/// difference of their corpus scores is taken, again and again.
///
/// # Errors
///
/// [`Error::Metric`](crate::Error::Metric) where there are not as many sentences everywhere, and for
/// no resamples.
pub fn paired_bootstrap<F: AsRef<str>, S: AsRef<str>, R: AsRef<str>>(
    metric: &impl Metric,
    first: &[F],
    second: &[S],
    references: &[R],
    resamples: usize,
    seed: u64,
) -> Result<PairedBootstrap> {
    let first = metric.counts_of(first, &[references])?;
    let second = metric.counts_of(second, &[references])?;
    let draws = bootstrap(first.len(), resamples, seed, |indices| {
        drawn(metric, &first, indices) - drawn(metric, &second, indices)
    })?;
    let better = draws.iter().filter(|&&difference| metric.is_better(difference, 0.0)).count();
    let (a, b) = (metric.score_of(&sum(&first)), metric.score_of(&sum(&second)));
    Ok(PairedBootstrap {
        first: a,
        second: b,
        difference: percentile_interval(a - b, &draws, 0.95, first.len())?,
        share_first_better: better as f64 / resamples as f64,
    })
}

/// The score of the sentences drawn.
fn drawn(metric: &impl Metric, counts: &[Vec<f64>], indices: &[usize]) -> f64 {
    metric.score_of(&sum(indices.iter().map(|&at| &counts[at])))
}
