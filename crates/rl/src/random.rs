//! Random numbers whose generator can be saved: an exact resume needs its state.

use serde::{Deserialize, Serialize};

/// The generator xoshiro256++ (Blackman and Vigna 2021), seeded by `SplitMix64`; its state
/// serialises.
///
/// ```
/// use rl::random::Random;
///
/// let mut random = Random::new(7);
/// random.uniform();
/// let saved = random.clone();
/// assert_eq!(random.below(6), saved.clone().below(6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Random {
    state: [u64; 4],
}

/// A well-mixed function of a seed and an index (`SplitMix64`, Steele et al. 2014).
pub fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed ^ index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    /// A generator that follows from a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: std::array::from_fn(|i| mix(seed, i as u64)) }
    }

    /// 64 even bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// Even in [0, 1).
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Even in [low, high).
    #[inline]
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Even in 0..n (Lemire 2019, without its rejection: the bias is below n / 2⁶⁴). 0 for n = 0.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Whether an event of this probability happens.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Poisson with a mean (Knuth's product of uniforms; time grows with the mean).
    pub fn poisson(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let mut product = self.uniform();
        let mut count = 0;
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// Gamma of scale 1 (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return boost * self.gamma(shape + 1.0);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        x / (x + y)
    }

    /// An index, each with a probability in proportion to its weight; the last for rounding.
    pub fn weighted(&mut self, weights: impl IntoIterator<Item = f64> + Clone) -> usize {
        let total: f64 = weights.clone().into_iter().sum();
        let mut left = self.uniform() * total;
        let mut last = 0;
        for (index, weight) in weights.into_iter().enumerate() {
            if weight > 0.0 {
                last = index;
                if left < weight {
                    return index;
                }
            }
            left -= weight;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut(&mut Random) -> f64) -> (f64, f64) {
        let mut random = Random::new(3);
        let values: Vec<f64> = (0..100_000).map(|_| draw(&mut random)).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e5)
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let near = |(mean, variance): (f64, f64), expected: (f64, f64)| {
            assert!((mean - expected.0).abs() < 0.03, "{mean} for {}", expected.0);
            assert!((variance - expected.1).abs() < 0.08, "{variance} for {}", expected.1);
        };
        near(moments(Random::uniform), (0.5, 1.0 / 12.0));
        near(moments(Random::normal), (0.0, 1.0));
        near(moments(|r| f64::from(r.poisson(1.5))), (1.5, 1.5));
        near(moments(|r| r.gamma(2.5)), (2.5, 2.5));
        near(moments(|r| r.gamma(0.3)), (0.3, 0.3));
        near(moments(|r| r.beta(2.0, 3.0)), (0.4, 0.04));
        near(moments(|r| r.below(3) as f64), (1.0, 2.0 / 3.0));
        near(moments(|r| r.weighted([1.0, 0.0, 3.0]) as f64), (1.5, 0.75));
    }

    /// The authors' generator, from the state 1, 2, 3, 4.
    #[test]
    fn bits_are_those_of_the_authors_code() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }
}
