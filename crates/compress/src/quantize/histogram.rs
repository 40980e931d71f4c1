use super::{Bounds, Scheme};

/// Bins of a histogram.
const BINS: usize = 2048;

/// How often numbers between two ends occur, in 2048 bins of the same width.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: Bounds,
    counts: Vec<f64>,
}

impl Histogram {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, counts: vec![0.0; BINS] }
    }

    /// Counts numbers; those outside go to the bin at the end.
    pub fn add(&mut self, numbers: &[f32]) {
        let Bounds { min, max } = self.bounds;
        // In f64: a bin's edge falls on the same side as in exact arithmetic.
        let per_width = BINS as f64 / (f64::from(max) - f64::from(min)).max(f64::MIN_POSITIVE);
        for &number in numbers {
            let bin = ((f64::from(number) - f64::from(min)) * per_width) as usize;
            self.counts[bin.min(BINS - 1)] += 1.0;
        }
    }

    /// Its ends.
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn width(&self) -> f64 {
        (f64::from(self.bounds.max) - f64::from(self.bounds.min)) / BINS as f64
    }

    /// From the first edge of a bin to the last of another.
    fn between(&self, first: usize, last: usize) -> Bounds {
        let edge = |bin: usize| (f64::from(self.bounds.min) + self.width() * bin as f64) as f32;
        Bounds { min: edge(first), max: edge(last + 1) }
    }

    fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// Leaves out the numbers beyond `percent`: of the magnitudes for a symmetric scheme, else half
    /// of them at either end.
    pub(crate) fn percentile(&self, percent: f64, scheme: Scheme) -> Bounds {
        let total = self.total();
        if scheme.is_symmetric() {
            let magnitudes = self.magnitudes();
            let last = last_within(&magnitudes.counts, total * percent / 100.0);
            return magnitudes.around(last, self.bounds);
        }
        let outside = total * (100.0 - percent) / 200.0;
        let last = last_within(&self.counts, total - outside);
        let reversed: Vec<f64> = self.counts.iter().rev().copied().collect();
        let first = BINS - 1 - last_within(&reversed, total - outside);
        self.between(first.min(last), last)
    }

    /// The bounds with about the least squared error: from either end numbers are left out, one
    /// bin or more at a time at the end where that takes the fewer, until the error grows. It is
    /// the search of `torch.ao`'s `HistogramObserver`.
    pub(crate) fn least_squares(&self, scheme: Scheme) -> Bounds {
        /// The share of the numbers that a step leaves out.
        const STEP: f64 = 1e-5;
        let total = self.total();
        let mut sums = self.counts.clone();
        for bin in 1..BINS {
            sums[bin] += sums[bin - 1];
        }
        let (mut alpha, mut beta) = (0.0, 1.0);
        let (mut first, mut last) = (0, BINS - 1);
        let mut least = f64::INFINITY;
        while alpha < beta {
            let (next_alpha, next_beta) = (alpha + STEP, beta - STEP);
            let (mut left, mut right) = (first, last);
            while left < last && sums[left] < next_alpha * total {
                left += 1;
            }
            while right > first && sums[right] > next_beta * total {
                right -= 1;
            }
            let (mut next_first, mut next_last) = (first, last);
            if left - first > last - right {
                next_first = left;
                alpha = next_alpha;
            } else {
                next_last = right;
                beta = next_beta;
            }
            if (next_first, next_last) == (first, last) {
                continue;
            }
            let error = self.squared_error(next_first, next_last, scheme);
            if error > least {
                break;
            }
            least = error;
            (first, last) = (next_first, next_last);
        }
        self.between(first, last)
    }

    /// The squared error of rounding, the numbers of a bin taken to lie evenly in it.
    fn squared_error(&self, first: usize, last: usize, scheme: Scheme) -> f64 {
        let levels = (1u64 << scheme.bits()) as f64;
        let width = self.width();
        let step = width * (last - first + 1) as f64 / levels;
        if step == 0.0 {
            return 0.0;
        }
        let cube = |begin: f64, end: f64| (end.powi(3) - begin.powi(3)) / 3.0;
        let level = |at: f64| (at / step).floor().clamp(0.0, levels - 1.0);
        let half = step / 2.0;
        let of_bin = |(bin, count): (usize, &f64)| {
            let begin = (bin as f64 - first as f64) * width;
            let end = begin + width;
            let (of_begin, of_end) = (level(begin), level(end));
            let centre = |level: f64| (level + 0.5) * step;
            let whole = (of_end - of_begin - 1.0) * cube(-half, half);
            let parts = cube(begin - centre(of_begin), half) + cube(-half, end - centre(of_end));
            count / width * (parts + whole)
        };
        self.counts.iter().enumerate().map(of_bin).sum()
    }

    /// The bounds of the least Kullback–Leibler divergence (Migacz, *8-bit Inference with
    /// `TensorRT`*, 2017): magnitudes beyond a threshold are clamped, the rest rounded to the
    /// scheme's levels, and of all thresholds that one is taken whose rounded distribution tells
    /// most of the clamped one. Here the divergence that chance alone makes of few numbers is taken
    /// off (Miller 1955): without that few numbers look best where nearly all are clamped. The many zeros
    /// behind a `ReLU` are exact at any scale and are left out: the first bin counts as the second
    /// does, as in NVIDIA's `pytorch-quantization`.
    pub(crate) fn least_divergence(&self, scheme: Scheme) -> Bounds {
        let mut magnitudes = self.magnitudes();
        magnitudes.counts[0] = magnitudes.counts[1];
        let one_sided = self.bounds.min >= 0.0 || self.bounds.max <= 0.0;
        let levels = if scheme.is_symmetric() || one_sided {
            scheme.largest() as usize + 1
        } else {
            (scheme.largest() as usize).div_ceil(2)
        };
        let levels = levels.min(BINS / 2);
        let best = (levels..=BINS)
            .map(|kept| (divergence(&magnitudes.counts, kept, levels), kept))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        magnitudes.around(best.map_or(BINS, |(_, kept)| kept) - 1, self.bounds)
    }

    /// The histogram of the magnitudes; what a bin holds is spread evenly over those that it
    /// covers.
    fn magnitudes(&self) -> Self {
        let Bounds { min, max } = self.bounds;
        let largest = max.abs().max(min.abs());
        let mut spread = Self::new(Bounds { min: 0.0, max: largest });
        let (from, to) = (self.width(), spread.width());
        if to == 0.0 || from == 0.0 {
            spread.counts[BINS - 1] = self.total();
            return spread;
        }
        for (bin, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let begin = f64::from(min) + bin as f64 * from;
            // A bin across 0 is two.
            let (begin, end) = (begin, begin + from);
            let parts = if begin < 0.0 && end > 0.0 {
                vec![(0.0, -begin), (0.0, end)]
            } else {
                vec![(begin.abs().min(end.abs()), begin.abs().max(end.abs()))]
            };
            for (low, high) in parts {
                let first = ((low / to) as usize).min(BINS - 1);
                let last = ((high / to) as usize).min(BINS - 1);
                for (at, held) in spread.counts.iter_mut().enumerate().take(last + 1).skip(first) {
                    let (left, right) = (at as f64 * to, (at + 1) as f64 * to);
                    let right = if at == BINS - 1 { right.max(high) } else { right };
                    *held += count * (right.min(high) - left.max(low)).max(0.0) / from;
                }
            }
        }
        spread
    }

    /// From minus to plus the last edge of a bin, no further than the numbers go.
    fn around(&self, last: usize, within: Bounds) -> Bounds {
        let threshold = self.between(0, last).max;
        Bounds { min: within.min.max(-threshold), max: within.max.min(threshold) }
    }
}

/// The first bin up to which `wanted` numbers lie.
fn last_within(counts: &[f64], wanted: f64) -> usize {
    let mut sum = 0.0;
    let found = counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    });
    found.unwrap_or(counts.len() - 1)
}

/// How much the first `kept` bins, the rest clamped to the last of them, differ from the same
/// rounded to `levels`.
fn divergence(counts: &[f64], kept: usize, levels: usize) -> f64 {
    let beyond: f64 = counts[kept..].iter().sum();
    let total: f64 = counts.iter().sum();
    // The rounded distribution knows nothing of what is clamped.
    let inside: f64 = counts[..kept].iter().sum();
    if inside == 0.0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    for level in 0..levels {
        let bins = level * kept / levels..(level + 1) * kept / levels;
        let held = &counts[bins.clone()];
        let filled = |bin: usize| counts[bin] > 0.0 || (bin == kept - 1 && beyond > 0.0);
        let occupied = bins.clone().filter(|&bin| filled(bin)).count();
        let mass: f64 = held.iter().sum();
        sum -= occupied.saturating_sub(1) as f64 / (2.0 * total);
        for bin in bins.filter(|&bin| filled(bin)) {
            let p = (counts[bin] + if bin == kept - 1 { beyond } else { 0.0 }) / total;
            let q = mass / occupied as f64 / inside;
            // Where only what is clamped lies, half a number more is expected.
            sum += p * (p / q.max(0.5 / total)).ln();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of a triangle from −1 to 1, and one far out.
    fn with_outlier() -> Histogram {
        let mut numbers: Vec<f32> = (0..100_000i64)
            .map(|i| ((i * 7919 % 1000) + (i * 104_729 % 997)) as f32 / 998.0 - 1.0)
            .collect();
        numbers.push(20.0);
        let mut histogram = Histogram::new(Bounds::of(numbers.iter().copied()));
        histogram.add(&numbers);
        histogram
    }

    #[test]
    fn outliers_are_left_out() {
        let histogram = with_outlier();
        for scheme in [Scheme::affine(8), Scheme::symmetric(8), Scheme::affine(4)] {
            let percentile = histogram.percentile(99.9, scheme);
            assert!(percentile.max < 1.1 && percentile.max > 0.8, "{percentile:?}");
            assert!(percentile.min > -1.1 && percentile.min < -0.8, "{percentile:?}");
            let squares = histogram.least_squares(scheme);
            assert!(squares.max < 20.0 && squares.min < -0.8, "{squares:?}");
            let entropy = histogram.least_divergence(scheme);
            assert!(entropy.max < 5.0 && entropy.max > 0.5, "{entropy:?}");
        }
        assert_eq!(histogram.percentile(100.0, Scheme::affine(8)), histogram.bounds());
    }

    #[test]
    fn even_numbers_are_kept_whole() {
        let numbers: Vec<f32> = (0..=20_480).map(|i| i as f32 / 20_480.0).collect();
        let mut histogram = Histogram::new(Bounds::of(numbers.iter().copied()));
        histogram.add(&numbers);
        for bounds in [
            histogram.least_squares(Scheme::affine(8)),
            histogram.least_divergence(Scheme::affine(8)),
        ] {
            assert!(bounds.min == 0.0 && bounds.max > 0.98, "{bounds:?}");
        }
    }

    #[test]
    fn magnitudes_keep_all_numbers() {
        let histogram = with_outlier();
        assert!(
            (histogram.magnitudes().total() - histogram.total()).abs() < 1e-6 * histogram.total()
        );
    }

    #[test]
    fn a_constant_stays_in_its_bounds() {
        let mut histogram = Histogram::new(Bounds { min: 2.0, max: 2.0 });
        histogram.add(&[2.0; 10]);
        for scheme in [Scheme::affine(8), Scheme::symmetric(8)] {
            assert_eq!(histogram.least_divergence(scheme), histogram.bounds());
            assert_eq!(histogram.least_squares(scheme), histogram.bounds());
        }
    }
}
