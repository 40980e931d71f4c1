//! Random numbers whose generator can be saved: an exact resume needs its state.

use std::convert::Infallible;
use std::ops::Range;

use rand_core::{Rng as _, SeedableRng as _, TryRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// The generator xoshiro256++ (Blackman and Vigna 2021), seeded by `SplitMix64`; its state
/// serialises. It is a generator of the crates `rand` and `rand_core` too.
///
/// The draws named `_f32` take fewer bits of the generator's 64 and are the faster ones.
///
/// ```
/// use model_utils_core::random::Random;
///
/// let mut random = Random::new(7);
/// random.uniform();
/// let mut saved = random.clone();
/// assert_eq!(random.below(6), saved.below(6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct Random(Xoshiro256PlusPlus);

/// What is read back: the generator's four words, under its own name `s` or under `state`.
#[derive(Deserialize)]
struct State {
    #[serde(alias = "s")]
    state: [u64; 4],
}

impl TryFrom<State> for Random {
    type Error = &'static str;

    fn try_from(State { state }: State) -> Result<Self, &'static str> {
        // From there the generator never moves.
        let is_stuck = state == [0; 4];
        if is_stuck {
            Err("a generator with a state of zeros alone")
        } else {
            Ok(Self::from_words(state))
        }
    }
}

/// A well-mixed function of a seed and an index (`SplitMix64`, Steele et al. 2014).
pub const fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed ^ index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    /// A generator that follows from a seed.
    pub fn new(seed: u64) -> Self {
        Self::from_words(std::array::from_fn(|i| mix(seed, i as u64)))
    }

    fn from_words(words: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(Xoshiro256PlusPlus::from_seed(seed))
    }

    /// Even in [0, 1), of 53 bits.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Even in [0, 1), of 24 bits.
    #[inline]
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 * (1.0 / (1_u32 << 24) as f32)
    }

    /// Even in a range.
    #[inline]
    pub fn uniform_in(&mut self, range: Range<f64>) -> f64 {
        range.start + (range.end - range.start) * self.uniform()
    }

    /// Even in 0..n (Lemire 2019, without its rejection: the bias is below n / 2⁶⁴). 0 for n = 0.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Even in 0..n, of 32 bits (the bias is below n / 2³²). 0 for n = 0.
    #[inline]
    pub fn below_u32(&mut self, n: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// Whether an event of this probability happens.
    #[inline]
    pub fn bernoulli(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Puts a slice of fewer than 2³² items into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below_u32(last as u32 + 1) as usize);
        }
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        self.normal_from(Self::uniform)
    }

    /// Gamma of scale 1 (Marsaglia and Tsang 2000). 0 for a shape of 0, NaN for one that is negative
    /// or not finite.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        self.gamma_from(shape, Self::uniform, false)
    }

    /// [`gamma`](Self::gamma) from uniform numbers of 24 bits.
    pub fn gamma_f32(&mut self, shape: f64) -> f64 {
        self.gamma_from(shape, |random| random.uniform_f32().into(), true)
    }

    fn normal_from(&mut self, uniform: fn(&mut Self) -> f64) -> f64 {
        let radius = (-2.0 * (1.0 - uniform(self)).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform(self)).cos()
    }

    /// `eager` draws the number that decides also where the proposal is refused without it.
    fn gamma_from(&mut self, shape: f64, uniform: fn(&mut Self) -> f64, eager: bool) -> f64 {
        if shape == 0.0 {
            return 0.0;
        }
        if !(shape.is_finite() && shape > 0.0) {
            return f64::NAN;
        }
        if shape < 1.0 {
            let boost = (1.0 - uniform(self)).powf(1.0 / shape);
            return boost * self.gamma_from(shape + 1.0, uniform, eager);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal_from(uniform);
            let v = (1.0 + c * x).powi(3);
            let is_possible = v > 0.0;
            let u = if eager || is_possible { 1.0 - uniform(self) } else { 1.0 };
            if is_possible && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta; NaN for an `a` or `b` that is negative or not finite, and where both are 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        if x + y == 0.0 {
            // Both too small for a number: then it is near 0 or near 1.
            let one = a / (a + b);
            return if one.is_nan() { one } else { f64::from(u8::from(self.bernoulli(one))) };
        }
        x / (x + y)
    }

    /// Poisson with a mean (Knuth's product of uniforms; time grows with the mean). 0 for a mean that
    /// is negative or NaN, `u32::MAX` for one above it.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        /// The product of a mean of `MOST` is still a normal number.
        const MOST: f64 = 700.0;
        const PART: f64 = 500.0;
        if mean > u32::MAX.into() {
            return u32::MAX;
        }
        let (mut left, mut count) = (mean, 0_u32);
        while left > MOST {
            count = count.saturating_add(self.poisson_part(PART));
            left -= PART;
        }
        count.saturating_add(self.poisson_part(left))
    }

    fn poisson_part(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let mut product = self.uniform();
        let mut count = 0;
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// Standard Gumbel: −ln(−ln u).
    pub fn gumbel(&mut self) -> f32 {
        let u = ((self.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
        -(-u.ln()).ln() as f32
    }

    /// An index, each with a probability in proportion to its weight (the last for rounding);
    /// even where no weight is positive. `None` where there are no weights.
    pub fn weighted(&mut self, weights: impl IntoIterator<Item = f64> + Clone) -> Option<usize> {
        let total: f64 = weights.clone().into_iter().map(|weight| weight.max(0.0)).sum();
        if total <= 0.0 {
            let count = weights.into_iter().count();
            return (count > 0).then(|| self.below(count));
        }
        let mut left = self.uniform() * total;
        let mut last = None;
        for (index, weight) in weights.into_iter().enumerate() {
            if weight > 0.0 {
                last = Some(index);
                if left < weight {
                    break;
                }
                left -= weight;
            }
        }
        last
    }

    /// An index, each with a probability in proportion to its weight (the last for rounding);
    /// even where no weight is positive. `None` for an empty slice.
    pub fn weighted_f32(&mut self, weights: &[f32]) -> Option<usize> {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight.max(0.0))).sum();
        if total <= 0.0 {
            let even = self.below_u32(weights.len() as u32) as usize;
            return (even < weights.len()).then_some(even);
        }
        let mut left = f64::from(self.uniform_f32()) * total;
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
}

impl TryRng for Random {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    #[inline]
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
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
        near(moments(|r| f64::from(r.uniform_f32())), (0.5, 1.0 / 12.0));
        near(moments(|r| r.uniform_in(-1.0..3.0) / 4.0), (0.25, 1.0 / 12.0));
        near(moments(Random::normal), (0.0, 1.0));
        near(moments(|r| f64::from(r.poisson(1.5))), (1.5, 1.5));
        near(moments(|r| r.gamma(2.5)), (2.5, 2.5));
        near(moments(|r| r.gamma(0.3)), (0.3, 0.3));
        near(moments(|r| r.gamma_f32(2.5)), (2.5, 2.5));
        near(moments(|r| r.beta(2.0, 3.0)), (0.4, 0.04));
        near(moments(|r| r.beta(1e-3, 3e-3)), (0.25, 0.1875));
        near(moments(|r| r.weighted([0.0, -1.0]).unwrap() as f64), (0.5, 0.25));
        near(moments(|r| f64::from(r.gumbel())), (0.5772, 1.6449));
        near(moments(|r| r.below(3) as f64), (1.0, 2.0 / 3.0));
        near(moments(|r| f64::from(r.below_u32(3))), (1.0, 2.0 / 3.0));
        near(moments(|r| r.weighted([1.0, 0.0, 3.0]).unwrap() as f64), (1.5, 0.75));
        near(moments(|r| r.weighted_f32(&[1.0, 0.0, 3.0]).unwrap() as f64), (1.5, 0.75));
        near(moments(|r| f64::from(u8::from(r.bernoulli(0.3)))), (0.3, 0.21));
    }

    /// The authors' generator, from the state 1, 2, 3, 4.
    #[test]
    fn bits_are_those_of_the_authors_code() {
        let mut random = Random::from_words([1, 2, 3, 4]);
        let first: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    /// Draws that published figures rest on.
    #[test]
    #[allow(clippy::float_cmp)] // To the bit.
    fn draws_stay_as_they_were() {
        assert_eq!(mix(42, 0), 13_679_457_532_755_275_413);
        assert_eq!(mix(7, 3), 7_862_637_804_313_477_842);

        let mut random = Random::new(42);
        assert_eq!(random.uniform(), 0.814_305_145_122_909_9);
        assert_eq!(random.uniform_in(-1.0..3.0), 0.019_934_624_266_956_47);
        assert_eq!(random.below(1000), 593);
        assert!(!random.bernoulli(0.5));
        assert_eq!(random.normal(), 0.173_233_764_716_091_28);
        assert_eq!(random.poisson(4.5), 3);
        assert_eq!(random.gamma(2.5), 3.772_229_953_832_47);
        assert_eq!(random.gamma(0.3), 0.075_621_255_883_624_76);
        assert_eq!(random.beta(2.0, 3.0), 0.514_784_500_733_309_4);
        assert_eq!(random.weighted([1.0, 0.0, 3.0, 2.0]), Some(0));
        assert_eq!(random.next_u64(), 4_534_491_172_145_390_122);

        let mut random = Random::new(42);
        assert_eq!(random.uniform_f32(), 0.814_305_1);
        assert_eq!(random.below_u32(362), 92);
        assert_eq!(random.normal_from(|r| r.uniform_f32().into()), 0.818_316_493_820_266_7);
        assert_eq!(random.gamma_f32(2.5), 2.431_794_067_133_145_3);
        assert_eq!(random.gamma_f32(0.3), 0.302_951_260_895_591_66);
        assert_eq!(random.gumbel(), 3.890_960_5);
        assert_eq!(random.weighted_f32(&[1.0, 0.0, 3.0, 2.0]), Some(2));
        assert_eq!(random.weighted_f32(&[0.0, 0.0]), Some(0));
        assert_eq!(random.weighted_f32(&[]), None);
        let mut items: Vec<u32> = (0..8).collect();
        random.shuffle(&mut items);
        assert_eq!(items, [6, 2, 7, 5, 0, 3, 1, 4]);
        assert_eq!(random.next_u64(), 16_758_814_753_349_806_474);
    }

    #[test]
    fn arguments_without_a_distribution_end_at_once() {
        let mut random = Random::new(1);
        for shape in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, -1e300] {
            assert!(random.gamma(shape).is_nan() && random.gamma_f32(shape).is_nan(), "{shape}");
            assert!(
                random.beta(shape, 1.0).is_nan() && random.beta(1.0, shape).is_nan(),
                "{shape}"
            );
        }
        assert_eq!(
            (random.gamma(0.0), random.beta(0.0, 2.0), random.beta(2.0, 0.0)),
            (0.0, 0.0, 1.0)
        );
        assert!(random.beta(0.0, 0.0).is_nan());
        assert!(random.gamma(1e308) > 1e307);
        let means = [f64::NAN, -1.0, f64::INFINITY].map(|mean| random.poisson(mean));
        assert_eq!(means, [0, 0, u32::MAX]);
        assert_eq!(random.weighted([]), None);
    }

    #[test]
    fn large_means_of_poisson_are_met() {
        for mean in [600.0, 800.0, 5000.0] {
            let mut random = Random::new(2);
            let draws: Vec<f64> = (0..2000).map(|_| random.poisson(mean).into()).collect();
            let found = draws.iter().sum::<f64>() / 2000.0;
            // Six standard errors.
            assert!((found - mean).abs() < 6.0 * (mean / 2000.0).sqrt(), "{found} for {mean}");
        }
    }

    /// Also where a proposal of gamma is refused at once.
    #[test]
    fn many_gammas_leave_the_generator_where_they_left_it() {
        let after = |draw: fn(&mut Random, f64) -> f64| {
            let mut random = Random::new(1);
            for _ in 0..10_000 {
                draw(&mut random, 1.0);
            }
            random.next_u64()
        };
        assert_eq!(after(Random::gamma), 11_465_454_825_345_225_346);
        assert_eq!(after(Random::gamma_f32), 8_050_073_786_730_284_358);
    }

    #[test]
    fn a_saved_generator_goes_on_also_from_its_bare_words() {
        let mut random = Random::from_words([1, 2, 3, 4]);
        let words: Random = serde_json::from_str(r#"{"state":[1,2,3,4]}"#).unwrap();
        assert_eq!(words, random);
        for zeros in [r#"{"state":[0,0,0,0]}"#, r#"{"s":[0,0,0,0]}"#] {
            let error = serde_json::from_str::<Random>(zeros).unwrap_err().to_string();
            assert!(error.contains("a state of zeros alone"), "{error}");
        }
        random.normal();
        let saved = serde_json::to_string(&random).unwrap();
        assert_eq!(serde_json::from_str::<Random>(&saved).unwrap(), random);
    }
}
