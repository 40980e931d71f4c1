use std::fmt;

use model_utils::config::{self, ConfigError};
use model_utils::graph::Quantization;
use serde::{Deserialize, Serialize};

use super::Bounds;

/// Which integers real numbers become: their bits, whether the real 0 is the integer 0, and
/// whether each channel has a scale of its own.
///
/// | scheme | integers | scale s and zero point z for numbers from a to b |
/// | --- | --- | --- |
/// | symmetric, n bits | `−(2ⁿ⁻¹ − 1)…2ⁿ⁻¹ − 1` | `s = max(−a, b) / (2ⁿ⁻¹ − 1)`, `z = 0` |
/// | affine, n bits | `0…2ⁿ − 1` | `s = (max(b, 0) − min(a, 0)) / (2ⁿ − 1)`, `z = −⌊min(a, 0) / s⌉` |
///
/// 0 is a number of the scheme in either case, so that padding stays exact. The symmetric scheme
/// leaves the least integer out: no product of two of its numbers needs one bit more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheme {
    bits: u32,
    symmetric: bool,
    per_channel: bool,
}

impl Scheme {
    /// As many numbers below 0 as above; one scale a tensor.
    pub const fn symmetric(bits: u32) -> Self {
        Self { bits, symmetric: true, per_channel: false }
    }

    /// Numbers from any least to any largest one; one scale a tensor.
    pub const fn affine(bits: u32) -> Self {
        Self { bits, symmetric: false, per_channel: false }
    }

    /// The same with a scale for each channel of the output. Only weights have one.
    #[must_use]
    pub const fn per_channel(self) -> Self {
        Self { per_channel: true, ..self }
    }

    /// Bits of an integer.
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Whether the real 0 is the integer 0.
    pub const fn is_symmetric(&self) -> bool {
        self.symmetric
    }

    /// Whether each channel has a scale.
    pub const fn is_per_channel(&self) -> bool {
        self.per_channel
    }

    /// The least integer.
    pub const fn least(&self) -> i64 {
        if self.symmetric { -self.largest() } else { 0 }
    }

    /// The largest integer.
    pub const fn largest(&self) -> i64 {
        (1 << (self.bits - self.symmetric as u32)) - 1
    }

    /// Refuses other numbers of bits than 2 to 8 and 16.
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        let holds = (2..=8).contains(&self.bits) || self.bits == 16;
        config::require(holds, "bits", self.bits, "2 to 8, or 16")
    }

    /// Scale and zero point for numbers within bounds. Where all numbers are 0 any scale holds
    /// them, and it is 1.
    pub fn step(&self, bounds: Bounds) -> (f32, i64) {
        let (min, max) = (bounds.min.min(0.0), bounds.max.max(0.0));
        let (least, largest) = (self.least(), self.largest());
        let scale = if self.symmetric {
            max.max(-min) / largest as f32
        } else {
            // In halves: the difference of two finite numbers may be infinite.
            (max / 2.0 - min / 2.0) / (largest as f32 / 2.0)
        };
        let scale = if max <= min { 1.0 } else { scale.max(f32::EPSILON) };
        let zero_point = if self.symmetric {
            0
        } else {
            (least - (min / scale).round_ties_even() as i64).clamp(least, largest)
        };
        (scale, zero_point)
    }

    /// The quantization for bounds, one for the tensor or one for each place of an axis.
    pub(crate) fn quantization(self, bounds: &[Bounds], axis: Option<usize>) -> Quantization {
        let (scale, zero_point) = bounds.iter().map(|&bounds| self.step(bounds)).unzip();
        Quantization { scale, zero_point, axis, least: self.least(), largest: self.largest() }
    }
}

/// `int8 symmetric, per channel`
impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.symmetric { "int" } else { "uint" };
        let kind = if self.symmetric { "symmetric" } else { "affine" };
        let scales = if self.per_channel { "per channel" } else { "per tensor" };
        write!(f, "{sign}{} {kind}, {scales}", self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_always_a_number_of_the_scheme() {
        let bounds = |min, max| Bounds { min, max };
        assert_eq!(Scheme::affine(8).step(bounds(0.5, 2.55)), (0.01, 0));
        assert_eq!(Scheme::affine(8).step(bounds(-2.55, -0.5)), (0.01, 255));
        assert_eq!(Scheme::symmetric(8).step(bounds(-1.27, 0.3)), (0.01, 0));
        assert_eq!(Scheme::symmetric(2).step(bounds(-0.1, 0.3)), (0.3, 0));
        assert_eq!((Scheme::affine(4).least(), Scheme::affine(4).largest()), (0, 15));
        assert_eq!(
            (Scheme::symmetric(16).least(), Scheme::symmetric(16).largest()),
            (-32767, 32767)
        );
    }

    #[test]
    #[allow(clippy::float_cmp)] // Set, not computed.
    fn constant_and_extreme_numbers_have_a_sensible_scale() {
        let bounds = |min, max| Bounds { min, max };
        assert_eq!(Scheme::affine(8).step(bounds(0.0, 0.0)), (1.0, 0));
        let (scale, zero_point) = Scheme::affine(8).step(bounds(3.0, 3.0));
        assert!((scale * 255.0 - 3.0).abs() < 1e-6 && zero_point == 0);
        let (scale, _) = Scheme::affine(8).step(bounds(f32::MIN, f32::MAX));
        assert!(scale.is_finite());
        assert_eq!(Scheme::symmetric(8).step(bounds(0.0, 1e-30)).0, f32::EPSILON);
    }

    #[test]
    fn bits_out_of_range_are_refused() {
        for bits in [0, 1, 9, 15, 17, 32] {
            let error = Scheme::symmetric(bits).check().unwrap_err().to_string();
            assert!(error.contains("`bits`") && error.contains("2 to 8, or 16"), "{error}");
        }
        (2..=8).chain([16]).for_each(|bits| Scheme::affine(bits).check().unwrap());
    }
}
