//! Numbers kept or set to 0 by a seed.

/// Which numbers are kept: a function of the seed and the place alone, so that the backward pass
/// knows it without a memory of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Kept {
    seed: u32,
    /// Hashes below it are dropped.
    threshold: u32,
    /// What the kept are multiplied by.
    scale: f32,
}

impl Kept {
    /// All but a share of `dropped`.
    pub(in crate::ops) fn new(dropped: f64, seed: u32) -> Self {
        let threshold = (dropped * 2.0_f64.powi(32)) as u32;
        let scale = if dropped < 1.0 { 1.0 / (1.0 - dropped) } else { 0.0 };
        Self { seed, threshold, scale: scale as f32 }
    }

    /// What the number at a place is multiplied by.
    #[inline(always)]
    pub(in crate::ops) fn factor(self, place: usize) -> f32 {
        let kept = hash(place as u32, self.seed) >= self.threshold;
        if kept { self.scale } else { 0.0 }
    }

    /// Multiplies each number by its factor; the first stands at `from`.
    #[inline(always)]
    pub(in crate::ops) fn apply(self, numbers: &mut [f32], from: usize) {
        for (at, number) in numbers.iter_mut().enumerate() {
            *number *= self.factor(from + at);
        }
    }
}

/// A well-mixed function of both: two rounds of `MurmurHash3`'s finaliser, the seed between them.
#[inline(always)]
fn hash(place: u32, seed: u32) -> u32 {
    let mut h = place.wrapping_mul(0x9E37_79B9);
    h ^= h >> 16;
    h = h.wrapping_add(seed).wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_and_the_places_are_as_by_chance() {
        for (seed, share) in [(1, 0.1), (2, 0.5), (0xDEAD_BEEF, 0.3)] {
            let kept = Kept::new(share, seed);
            let dropped = |place: usize| f64::from(kept.factor(place) == 0.0);
            let count = 1_000_000;
            let part = (0..count).map(dropped).sum::<f64>() / count as f64;
            assert!((part - share).abs() < 0.002, "{part} for {share}");
            // Neighbours, near and a row away, and another seed's, know nothing of each other.
            let other = Kept::new(share, seed + 1);
            for apart in [1, 2, 128, 512, 4096] {
                let both = (0..count).map(|at| dropped(at) * dropped(at + apart)).sum::<f64>();
                assert!((both / count as f64 - share * share).abs() < 0.002, "{apart}");
            }
            let both = |at| dropped(at) * f64::from(other.factor(at) == 0.0);
            let both = (0..count).map(both).sum::<f64>() / count as f64;
            assert!((both - share * share).abs() < 0.002, "{both}");
        }
    }
}
