//! From which size on one device is faster than another.

use std::fmt;

/// Where a device begins to be faster, and stays so for all larger sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Crossover {
    /// It is faster at every size that was measured.
    Always,
    /// From this size on, between two sizes that were measured.
    From(f64),
    /// It is not faster at the largest size that was measured.
    Never,
}

impl fmt::Display for Crossover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("at every size measured"),
            Self::From(size) if *size < 10.0 => write!(f, "from {size:.1} on"),
            Self::From(size) => write!(f, "from {size:.0} on"),
            Self::Never => f.write_str("at no size measured"),
        }
    }
}

/// From which size on `challenger` takes less time than `champion`, both given as
/// `(size, time)` with sizes and times above 0, in any order. Only sizes that both have count;
/// `None` where there is none.
///
/// Between two sizes both times are taken for powers of the size, straight lines on logarithmic
/// axes: with the ratio r of challenger to champion, at sizes a (r ≥ 1) and b (r < 1),
///
/// ```math
/// \ln x = \ln a + (\ln b - \ln a) \frac{\ln r_a}{\ln r_a - \ln r_b}
/// ```
///
/// ```
/// use model_utils::compare::{Crossover, crossover};
///
/// // A device that needs 8 ms whatever the batch, against 2 ms an image.
/// let found = crossover(&[(1.0, 8.0), (16.0, 8.0)], &[(1.0, 2.0), (16.0, 32.0)]);
/// let Some(Crossover::From(size)) = found else { panic!() };
/// assert!((size - 4.0).abs() < 1e-12);
/// ```
#[allow(clippy::float_cmp)] // A size of both is the same number.
pub fn crossover(challenger: &[(f64, f64)], champion: &[(f64, f64)]) -> Option<Crossover> {
    let mut ratios: Vec<(f64, f64)> = challenger
        .iter()
        .filter_map(|&(size, time)| {
            let (_, other) = champion.iter().find(|(at, _)| *at == size)?;
            Some((size.ln(), (time / other).ln()))
        })
        .collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lost = ratios.iter().rposition(|(_, ratio)| *ratio >= 0.0);
    match (lost, ratios.len()) {
        (_, 0) => None,
        (None, _) => Some(Crossover::Always),
        (Some(last), n) if last + 1 == n => Some(Crossover::Never),
        (Some(at), _) => {
            let ((a, lost), (b, won)) = (ratios[at], ratios[at + 1]);
            Some(Crossover::From((a + (b - a) * lost / (lost - won)).exp()))
        }
    }
}
