/// Weights in a binary tree of sums: setting one and drawing in proportion take the logarithm of
/// their number in steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SumTree {
    /// The root at 1; the children of `i` at `2i` and `2i + 1`; the leaves at the end.
    sums: Vec<f64>,
    leaves: usize,
}

impl SumTree {
    /// So many weights, all 0.
    pub(super) fn new(count: usize) -> Self {
        let leaves = count.next_power_of_two().max(1);
        Self { sums: vec![0.0; 2 * leaves], leaves }
    }

    /// Sets a weight.
    pub(super) fn set(&mut self, index: usize, weight: f64) {
        let mut at = self.leaves + index;
        self.sums[at] = weight;
        while at > 1 {
            at /= 2;
            // A sum of its children, not an increment: no rounding piles up.
            self.sums[at] = self.sums[2 * at] + self.sums[2 * at + 1];
        }
    }

    /// A weight.
    pub(super) fn get(&self, index: usize) -> f64 {
        self.sums[self.leaves + index]
    }

    /// The sum of all weights.
    pub(super) fn total(&self) -> f64 {
        self.sums[1]
    }

    /// The index at which the sum of the weights before it passes `value`.
    pub(super) fn find(&self, mut value: f64) -> usize {
        let mut at = 1;
        while at < self.leaves {
            let left = self.sums[2 * at];
            // Rounding must not lead into an empty branch.
            if value < left || self.sums[2 * at + 1] <= 0.0 {
                at *= 2;
            } else {
                value -= left;
                at = 2 * at + 1;
            }
        }
        at - self.leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_utils_core::random::Random;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_linear_search_finds(
            weights in prop::collection::vec(0.0..10.0_f64, 1..40),
            share in 0.0..1.0_f64,
        ) {
            let mut tree = SumTree::new(weights.len());
            weights.iter().enumerate().for_each(|(i, w)| tree.set(i, *w));
            let total: f64 = weights.iter().sum();
            prop_assert!((tree.total() - total).abs() < 1e-9);
            let found = tree.find(share * tree.total());
            let before: f64 = weights[..found].iter().sum();
            prop_assert!(before <= share * total + 1e-9);
            prop_assert!(before + weights[found] >= share * total - 1e-9);
        }
    }

    #[test]
    fn draws_in_proportion_and_never_an_empty_place() {
        let mut tree = SumTree::new(5);
        tree.set(1, 1.0);
        tree.set(4, 3.0);
        let mut random = Random::new(1);
        let mut counts = [0; 8];
        (0..40_000).for_each(|_| counts[tree.find(random.uniform() * tree.total())] += 1);
        assert_eq!(counts[1] + counts[4], 40_000);
        assert!((counts[4] - 30_000_i32).abs() < 500, "{counts:?}");
    }
}
