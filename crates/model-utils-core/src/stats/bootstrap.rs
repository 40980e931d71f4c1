//! The bootstrap.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::interval::{Interval, check_confidence, percentile_interval};
use super::summary::{check, mean_of};
use crate::config::{self, ConfigError};
use crate::error::{Error, Result};

/// Two systems compared on the same examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The mean of A less the mean of B, in the unit of the scores, and its percentile interval.
    pub difference: Interval,
    /// The share of resamples in which A's mean is above B's, 0 to 1; ties do not count.
    pub share_a_above: f64,
    /// How many resamples were drawn.
    pub resamples: usize,
}

/// The bootstrap of Efron, *Bootstrap Methods: Another Look at the Jackknife*, 1979: draws `n`
/// examples out of `n` with replacement, `resamples` times, and computes the statistic of each draw.
///
/// The statistic is given the indices of the examples drawn, each in `0..n`, so that it can be
/// anything: a corpus score such as BLEU, a median, the difference of two systems on the same
/// examples (use the indices for both). It returns one value per resample, in the order of drawing;
/// [`percentile_interval`] makes an interval of them.
///
/// ```
/// use model_utils_core::stats;
///
/// let times_ms = [12.1, 11.8, 12.4, 30.2, 12.0, 11.9, 12.2, 12.3];
/// let draws = stats::bootstrap(times_ms.len(), 1000, 7, |indices| {
///     let drawn: Vec<f64> = indices.iter().map(|&i| times_ms[i]).collect();
///     stats::median(&drawn).unwrap_or(f64::NAN)
/// })?;
/// let median = stats::percentile_interval(stats::median(&times_ms)?, &draws, 0.95, 8)?;
/// assert!(median.low >= 11.8 && median.high < 30.2);
/// # Ok::<(), model_utils_core::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] when `n` is 0 or above 2³², or `resamples` is 0; [`Error::Data`] when the
/// statistic of a resample is NaN or infinite.
pub fn bootstrap(
    n: usize,
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Result<Vec<f64>> {
    let Some(bound) = u32::try_from(n).ok().filter(|&bound| bound > 0) else {
        return Err(ConfigError::new("n", n, "between 1 and 4294967295 examples").into());
    };
    config::require(resamples > 0, "resamples", resamples, "at least 1, better 1000 or more")?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut indices = vec![0; n];
    let mut draws = Vec::new();
    for resample in 0..resamples {
        // Drawn as 32 bits, so that machines of every word size draw the same.
        indices.fill_with(|| rng.random_range(0..bound) as usize);
        let value = statistic(&indices);
        if !value.is_finite() {
            let reason = format!("the statistic of resample {resample} is {value}");
            return Err(Error::data("bootstrap", reason));
        }
        draws.push(value);
    }
    Ok(draws)
}

/// Do the scores of two systems on the same examples differ? The paired [`bootstrap`] of the
/// difference of means, as Koehn, *Statistical Significance Tests for Machine Translation
/// Evaluation*, 2004, uses it.
///
/// ```math
/// d^* = \frac{1}{n} \sum_{i \in I^*} (a_i - b_i)
/// ```
///
/// over resamples `I*` of the examples; the interval runs between the percentiles of `d*`. With few
/// examples (say below 20) percentile intervals are too narrow; see [`mean_interval`] of the
/// differences instead.
///
/// [`mean_interval`]: super::mean_interval
///
/// # Errors
/// [`Error::Shape`] when the slices differ in length; [`Error::Data`] when they are empty or hold
/// NaN or infinity; [`Error::Config`] for no resamples or a confidence that is not between 0 and 1.
pub fn bootstrap_paired(
    a: &[f64],
    b: &[f64],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Result<Paired> {
    check_confidence(confidence)?;
    if a.len() != b.len() {
        return Err(Error::Shape {
            what: "b".into(),
            expected: format!("[{}]", a.len()),
            found: format!("[{}]", b.len()),
        });
    }
    check("a", a, 1)?;
    check("b", b, 1)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let n = differences.len();
    let draws = bootstrap(n, resamples, seed, |indices| {
        indices.iter().map(|&i| differences[i]).sum::<f64>() / n as f64
    })?;
    let above = draws.iter().filter(|&&difference| difference > 0.0).count();
    Ok(Paired {
        difference: percentile_interval(mean_of(&differences), &draws, confidence, n)?,
        share_a_above: above as f64 / resamples as f64,
        resamples,
    })
}
