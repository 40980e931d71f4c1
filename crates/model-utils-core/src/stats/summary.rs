//! Mean, standard deviation, median, quantiles.

use crate::config;
use crate::error::{Error, Result};

/// The arithmetic mean.
///
/// ```math
/// \bar{x} = \frac{1}{n} \sum_i x_i
/// ```
///
/// # Errors
/// [`Error::Data`] when there is no value, or one is NaN or infinite.
pub fn mean(values: &[f64]) -> Result<f64> {
    check("values", values, 1)?;
    Ok(mean_of(values))
}

/// The standard deviation of the population that a sample stands for (Bessel's correction).
///
/// ```math
/// s = \sqrt{\frac{1}{n - 1} \sum_i (x_i - \bar{x})^2}
/// ```
///
/// # Errors
/// [`Error::Data`] when there are fewer than two values, or one is NaN or infinite.
pub fn standard_deviation(values: &[f64]) -> Result<f64> {
    check("values", values, 2)?;
    let mean = mean_of(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Ok((squares / (values.len() - 1) as f64).sqrt())
}

/// The middle value, or the mean of the two in the middle.
///
/// # Errors
/// [`Error::Data`] when there is no value, or one is NaN or infinite.
pub fn median(values: &[f64]) -> Result<f64> {
    quantile(values, 0.5)
}

/// The value below which the share `q` of the values lies, linear between neighbours: type 7 of
/// Hyndman and Fan, *Sample Quantiles in Statistical Packages*, 1996, and the default of numpy.
///
/// With the values sorted and counted from 0:
///
/// ```math
/// h = q (n - 1), \qquad Q(q) = x_{\lfloor h \rfloor} + (h - \lfloor h \rfloor)
///     (x_{\lfloor h \rfloor + 1} - x_{\lfloor h \rfloor})
/// ```
///
/// # Errors
/// [`Error::Data`] when there is no value, or one is NaN or infinite; [`Error::Config`] when `q`
/// is not in `0..=1`.
pub fn quantile(values: &[f64], q: f64) -> Result<f64> {
    check("values", values, 1)?;
    config::share("q", q)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(quantile_of_sorted(&sorted, q))
}

/// [`quantile`] of values that are sorted, finite and at least one.
pub(super) fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = position - below as f64;
    sorted[below] + share * (sorted[above] - sorted[below])
}

/// [`mean`] of values that have been checked.
pub(super) fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Refuses too few values, and values that are not finite.
pub(super) fn check(origin: &str, values: &[f64], at_least: usize) -> Result<()> {
    if values.len() < at_least {
        let reason = format!("expected at least {at_least}, found {}", values.len());
        return Err(Error::data(origin, reason));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            let reason = format!("expected finite values, found {} at index {at}", values[at]);
            Err(Error::data(origin, reason))
        }
        None => Ok(()),
    }
}
