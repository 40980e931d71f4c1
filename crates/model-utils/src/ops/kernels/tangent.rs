//! The hyperbolic tangent, without branches, so that loops over it become vector code.

use super::exponential::exp;

/// Below this the series of the tangent is used, above it the exponential.
const SMALL: f32 = 0.25;
/// From here on the tangent is 1 in single precision.
const LARGE: f32 = 10.0;

/// Takes the tangent of each number; NaN stays NaN.
#[inline(always)]
pub(in crate::ops) fn tanh(x: &mut [f32]) {
    for x in x {
        *x = of(*x);
    }
}

/// Multiplies by 1 − y², the slope at the output y.
#[inline(always)]
pub(in crate::ops) fn backward(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g *= 1.0 - y * y;
    }
}

/// x − x³/3 + 2x⁵/15 − … near 0, elsewhere (1 − e⁻²ˣ) / (1 + e⁻²ˣ).
#[inline(always)]
pub(in crate::ops) fn of(x: f32) -> f32 {
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
