//! Confidence intervals.

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::summary::{check, mean_of, quantile_of_sorted, standard_deviation};
use crate::config::{self, ConfigError};
use crate::error::Result;

/// An estimate and the interval in which the true value lies with a given confidence.
///
/// Printed as `0.973 [0.969, 0.977]`, with as many digits as the width of the interval gives sense
/// to; a precision (`{:.4}`) overrides the choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate, in the unit of the values.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The confidence, for example 0.95.
    pub confidence: f64,
    /// How many values, trials or examples it was made from.
    pub n: usize,
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = (self.high - self.low) / 2.0;
        // Two significant digits of the half width; six where the interval is a point.
        let digits = f.precision().unwrap_or_else(|| {
            let wanted = 1.0 - half.log10().floor();
            if half > 0.0 && wanted.is_finite() { wanted.clamp(0.0, 12.0) as usize } else { 6 }
        });
        write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.estimate, self.low, self.high)
    }
}

/// The mean of a sample and its interval after Student, *The Probable Error of a Mean*, 1908: right
/// for few values, such as the accuracies of five seeds, as long as they are roughly normal.
///
/// ```math
/// \bar{x} \pm t_{n-1,\,(1+c)/2} \, \frac{s}{\sqrt{n}}
/// ```
///
/// with the confidence `c` and the [`standard_deviation`](super::standard_deviation) `s`.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) when there are fewer than two values, or one is NaN or infinite;
/// [`Error::Config`](crate::Error::Config) when `confidence` is not between 0 and 1.
pub fn mean_interval(values: &[f64], confidence: f64) -> Result<Interval> {
    check_confidence(confidence)?;
    check("values", values, 2)?;
    let n = values.len();
    let estimate = mean_of(values);
    let half =
        t_quantile(confidence, (n - 1) as f64)? * (standard_deviation(values)? / (n as f64).sqrt());
    Ok(Interval { estimate, low: estimate - half, high: estimate + half, confidence, n })
}

/// The share of successes and its score interval after Wilson, *Probable Inference, the Law of
/// Succession, and Statistical Inference*, 1927: unlike the normal approximation it stays within 0
/// and 1, and is right for few trials and for shares near the ends.
///
/// ```math
/// \frac{1}{1 + z^2/n} \left( \hat{p} + \frac{z^2}{2n}
///     \pm z \sqrt{\frac{\hat{p}(1 - \hat{p})}{n} + \frac{z^2}{4n^2}} \right)
/// ```
///
/// with `z` the quantile of the normal distribution at `(1 + confidence) / 2`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) when `n` is 0, `successes` exceeds `n`, or `confidence` is not between 0 and 1.
pub fn wilson(successes: usize, n: usize, confidence: f64) -> Result<Interval> {
    check_confidence(confidence)?;
    config::require(n > 0, "n", n, "at least one trial")?;
    config::require(successes <= n, "successes", successes, format!("at most {n}, the trials"))?;
    let trials = n as f64;
    let estimate = successes as f64 / trials;
    let z = Normal::standard().inverse_cdf(0.5 + confidence / 2.0);
    let z2 = z * z;
    let scale = 1.0 + z2 / trials;
    let center = (estimate + z2 / (2.0 * trials)) / scale;
    let spread = estimate * (1.0 - estimate) / trials + z2 / (4.0 * trials * trials);
    let half = z * spread.sqrt() / scale;
    // Exactly 0 and 1 at the ends, where the difference of two equal numbers leaves dust.
    let low = if successes == 0 { 0.0 } else { (center - half).max(0.0) };
    let high = if successes == n { 1.0 } else { (center + half).min(1.0) };
    Ok(Interval { estimate, low, high, confidence, n })
}

/// The percentile interval of statistics that [`bootstrap`](super::bootstrap) computed: the
/// quantiles of `draws` at `(1 - confidence) / 2` and `(1 + confidence) / 2`.
///
/// `estimate` is the statistic of the sample itself, and `n` the size of the sample.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) when there is no draw, or one is NaN or infinite; [`Error::Config`](crate::Error::Config) when
/// `confidence` is not between 0 and 1.
pub fn percentile_interval(
    estimate: f64,
    draws: &[f64],
    confidence: f64,
    n: usize,
) -> Result<Interval> {
    check_confidence(confidence)?;
    check("draws", draws, 1)?;
    let mut sorted = draws.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let low = quantile_of_sorted(&sorted, 0.5 - confidence / 2.0);
    let high = quantile_of_sorted(&sorted, 0.5 + confidence / 2.0);
    Ok(Interval { estimate, low, high, confidence, n })
}

/// Refuses a confidence that is not strictly between 0 and 1.
pub(super) fn check_confidence(confidence: f64) -> Result<()> {
    let fits = confidence > 0.0 && confidence < 1.0;
    let expected = "a share between 0 and 1, for example 0.95";
    Ok(config::require(fits, "confidence", confidence, expected)?)
}

/// The quantile at `(1 + confidence) / 2` of Student's distribution.
///
/// Above a thousand degrees of freedom this is the Cornish–Fisher expansion around the normal
/// quantile (Abramowitz and Stegun, 26.7.5), which is then the more accurate of the two.
pub(super) fn t_quantile(confidence: f64, freedom: f64) -> Result<f64> {
    let p = 0.5 + confidence / 2.0;
    if freedom < 1000.0 {
        let student = StudentsT::new(0.0, 1.0, freedom)
            .map_err(|_| ConfigError::new("freedom", freedom, "a positive number"))?;
        return Ok(student.inverse_cdf(p));
    }
    let z = Normal::standard().inverse_cdf(p);
    let z2 = z * z;
    let g1 = z * (z2 + 1.0) / 4.0;
    let g2 = z * ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let g3 = z * (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    let g4 = z * ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0;
    Ok(z + (g1 + (g2 + (g3 + g4 / freedom) / freedom) / freedom) / freedom)
}
