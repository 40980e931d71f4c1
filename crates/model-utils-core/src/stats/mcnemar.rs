//! `McNemar`'s test.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

use crate::config;
use crate::error::{Error, Result};

/// The most discordant examples that the exact test is computed for: far above any data set, and
/// the sum is still short (its terms grow with the square root).
const MOST_DISCORDANT: u64 = 1_000_000_000_000;

/// Two classifiers on the same examples: where they disagree, and how likely that is by chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Examples that A alone has right.
    pub only_a: u64,
    /// Examples that B alone has right.
    pub only_b: u64,
    /// The chance of a split at least as uneven if both were equally good.
    pub p_value: f64,
    /// Examples that were compared; from [`mcnemar_counts`], which knows no others, the discordant.
    pub n: u64,
}

/// The exact two-sided test of `McNemar`, *Note on the sampling error of the difference between
/// correlated proportions*, 1947: do two classifiers have different accuracies, given which of the
/// same examples each has right?
///
/// Only the examples where exactly one is right count. Were both equally good, the `b` that A alone
/// has right and the `c` that B alone has right would be a fair coin's:
///
/// ```math
/// p = \min\left(1,\; 2 \sum_{k=0}^{\min(b, c)} \binom{b + c}{k} 2^{-(b + c)} \right)
/// ```
///
/// which is what `mcnemar(exact=True)` of statsmodels computes.
///
/// # Errors
/// [`Error::Shape`] when the slices differ in length; [`Error::Data`] when they are empty.
pub fn mcnemar(a_correct: &[bool], b_correct: &[bool]) -> Result<McNemar> {
    if a_correct.len() != b_correct.len() {
        return Err(Error::Shape {
            what: "b_correct".into(),
            expected: format!("[{}]", a_correct.len()),
            found: format!("[{}]", b_correct.len()),
        });
    }
    if a_correct.is_empty() {
        return Err(Error::data("a_correct", "expected at least 1 example, found 0"));
    }
    let count = |a: bool| {
        let pairs = a_correct.iter().zip(b_correct);
        pairs.filter(|&(&x, &y)| x != y && x == a).count() as u64
    };
    let result = mcnemar_counts(count(true), count(false))?;
    Ok(McNemar { n: a_correct.len() as u64, ..result })
}

/// [`mcnemar`] from the two counts of disagreement; `n` is their sum.
///
/// # Errors
/// [`Error::Config`] when there are more than 10¹² disagreements.
pub fn mcnemar_counts(only_a: u64, only_b: u64) -> Result<McNemar> {
    let n = only_a.saturating_add(only_b);
    let expected = format!("at most {MOST_DISCORDANT}");
    config::require(n <= MOST_DISCORDANT, "only_a + only_b", n, expected)?;
    let p_value = (2.0 * lower_tail(only_a.min(only_b), n)).min(1.0);
    Ok(McNemar { only_a, only_b, p_value, n })
}

/// The chance that a fair coin shows at most `k` heads in `n` throws, for `k <= n / 2`.
///
/// Summed downwards from its largest term, with the ratio of neighbours, until nothing is added.
fn lower_tail(k: u64, n: u64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for j in (1..=k).rev() {
        term *= j as f64 / (n - j + 1) as f64;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    // In logarithms: the term alone may be too small for a float where the sum is not.
    (coin_log_probability(k, n) + sum.ln()).exp()
}

/// The logarithm of the chance of exactly `k` heads in `n` throws of a fair coin, by the saddle
/// point expansion of Loader, *Fast and Accurate Computation of Binomial Probabilities*, 2000: the
/// large logarithms of the factorials, whose difference loses digits, never appear.
fn coin_log_probability(k: u64, n: u64) -> f64 {
    let (k, n) = (k as f64, n as f64);
    if k <= 0.0 || k >= n {
        return -n * std::f64::consts::LN_2;
    }
    let rest = n - k;
    stirling_error(n)
        - stirling_error(k)
        - stirling_error(rest)
        - deviance(k, n / 2.0)
        - deviance(rest, n / 2.0)
        + 0.5 * (n / (std::f64::consts::TAU * k * rest)).ln()
}

/// `ln n! - ln(sqrt(2 π n) (n / e)^n)`.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        return ln_gamma(n + 1.0) - (n + 0.5) * n.ln() + n - 0.5 * std::f64::consts::TAU.ln();
    }
    let n2 = n * n;
    let tail = 1.0 / 1260.0 - (1.0 / 1680.0 - (1.0 / 1188.0) / n2) / n2;
    (1.0 / 12.0 - (1.0 / 360.0 - tail / n2) / n2) / n
}

/// `x ln(x / m) + m - x`, by a series where `x` is near `m`.
fn deviance(x: f64, m: f64) -> f64 {
    let v = (x - m) / (x + m);
    if v.abs() >= 0.1 {
        return x * (x / m).ln() + m - x;
    }
    let mut sum = (x - m) * v;
    let mut power = 2.0 * x * v;
    for j in 1..1000 {
        power *= v * v;
        let next = sum + power / f64::from(2 * j + 1);
        if next.to_bits() == sum.to_bits() {
            break;
        }
        sum = next;
    }
    sum
}
