//! The exponential function, without branches, so that loops over it become vector code.

use super::parallel::LANES;

/// 1.5 · 2²³: added to a number, it leaves the nearest whole number in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has few bits.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// From here on down the exponential is taken to be that of this number, 10⁻³⁸.
const LEAST: f32 = -87.0;

/// The exponential of a number that is not above 0: 2ⁿ times the series of what is left.
#[inline(always)]
pub(in crate::ops) fn exp(x: f32) -> f32 {
    let x = if x < LEAST { LEAST } else { x };
    let whole = x * std::f32::consts::LOG2_E + ROUND;
    let count = whole - ROUND;
    let left = x - count * LN_2[0] - count * LN_2[1];
    let series = 1.0
        + left
            * (1.0
                + left
                    * (1.0 / 2.0
                        + left
                            * (1.0 / 6.0
                                + left
                                    * (1.0 / 24.0
                                        + left
                                            * (1.0 / 120.0
                                                + left * (1.0 / 720.0 + left / 5_040.0))))));
    let exponent = whole.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
}

/// The largest number; NaN is passed over.
#[inline(always)]
pub(in crate::ops) fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_exponential_within_a_few_roundings() {
        let mut worst = 0.0_f64;
        for i in 0..=870_000 {
            let x = -(i as f32) / 10_000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 4e-7, "{worst:e}");
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
    }
}
