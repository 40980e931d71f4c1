//! Random numbers for rollouts and searches: fast, seeded, and their state can be saved.

use serde::{Deserialize, Serialize};

/// The generator xoshiro256++ (Blackman and Vigna 2021), seeded by SplitMix64; its state
/// serialises.
///
/// ```
/// use mcts::random::Random;
///
/// let mut random = Random::new(7);
/// let mut again = random.clone();
/// assert_eq!(random.below(362), again.below(362));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Random {
    state: [u64; 4],
}

/// A well-mixed function of a seed and an index (SplitMix64, Steele et al. 2014).
pub const fn mix(seed: u64, index: u64) -> u64 {
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
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 * (1.0 / (1_u32 << 24) as f32)
    }

    /// Even in 0..n (Lemire 2019, without its rejection: the bias is below n / 2³²). 0 for n = 0.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// Puts a slice into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }

    /// An index, each with a probability in proportion to its weight (the last for rounding);
    /// even where no weight is positive. `None` for an empty slice.
    pub fn weighted(&mut self, weights: &[f32]) -> Option<usize> {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight.max(0.0))).sum();
        if total <= 0.0 {
            let even = self.below(weights.len() as u32) as usize;
            return (even < weights.len()).then_some(even);
        }
        let mut left = f64::from(self.uniform()) * total;
        let mut last = None;
        for (index, &weight) in weights.iter().enumerate() {
            if weight > 0.0 {
                last = Some(index);
                left -= f64::from(weight);
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - f64::from(self.uniform())).ln()).sqrt();
        radius * (std::f64::consts::TAU * f64::from(self.uniform())).cos()
    }

    /// Gamma of scale 1 (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - f64::from(self.uniform())).powf(1.0 / shape);
            return boost * self.gamma(shape + 1.0);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            let u = 1.0 - f64::from(self.uniform());
            if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Standard Gumbel: −ln(−ln u).
    pub fn gumbel(&mut self) -> f32 {
        let u = ((self.bits() >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
        -(-u.ln()).ln() as f32
    }
}
