//! The hyperbolic tangent, without branches, so that loops over it become vector code.

/// Below this the series of the tangent is used, above it the exponential.
const SMALL: f32 = 0.25;
/// From here on the tangent is 1 in single precision.
const LARGE: f32 = 10.0;
/// 1.5 · 2²³: added to a number, it leaves the nearest whole number in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has few bits.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Takes the tangent of each number; NaN stays NaN.
#[inline(always)]
pub(super) fn tanh(x: &mut [f32]) {
    for x in x {
        *x = of(*x);
    }
}

/// Multiplies by 1 − y², the slope at the output y.
#[inline(always)]
pub(super) fn backward(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g *= 1.0 - y * y;
    }
}

/// x − x³/3 + 2x⁵/15 − … near 0, elsewhere (1 − e⁻²ˣ) / (1 + e⁻²ˣ).
#[inline(always)]
fn of(x: f32) -> f32 {
    let size = x.abs();
    let size = if size > LARGE { LARGE } else { size };
    let y = size * size;
    let series = 1.0
        + y * (-1.0 / 3.0
            + y * (2.0 / 15.0
                + y * (-17.0 / 315.0 + y * (62.0 / 2_835.0 - y * (1_382.0 / 155_925.0)))));
    let fallen = exp(-2.0 * size);
    let ratio = (1.0 - fallen) / (1.0 + fallen);
    let tangent = if size < SMALL { size * series } else { ratio };
    tangent.copysign(x)
}

/// The exponential of a number from −2 · [`LARGE`] to 0: 2ⁿ times the series of what is left.
#[inline(always)]
fn exp(x: f32) -> f32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_tangent_within_a_few_roundings() {
        let mut worst = 0.0_f64;
        for i in -240_000..=240_000 {
            let x = i as f32 / 20_000.0;
            let exact = f64::from(x).tanh();
            worst = worst.max((f64::from(of(x)) - exact).abs() / exact.abs().max(1e-6));
        }
        assert!(worst < 4e-7, "{worst:e}");
        let mut ends = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-30, 50.0];
        tanh(&mut ends);
        assert_eq!(ends.map(f32::to_bits), [0.0, -0.0, 1.0, -1.0, 1e-30, 1.0].map(f32::to_bits));
        assert!(of(f32::NAN).is_nan());
    }
}
