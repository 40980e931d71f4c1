//! When how much is pruned.

use model_utils::config;

use crate::error::Result;

/// The sparsity over the steps of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SparsitySchedule {
    from: f64,
    to: f64,
    begin: u64,
    end: u64,
    every: u64,
}

impl SparsitySchedule {
    /// All at one step.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a sparsity outside 0 to 1, 1 not included.
    pub fn one_shot(sparsity: f64, step: u64) -> Result<Self> {
        Self::cubic(sparsity, sparsity, step..step, 1)
    }

    /// From one sparsity to another over the steps `begin..end`, fast first and slow at the end,
    /// pruned anew every so many steps:
    ///
    /// ```math
    /// s_t = s_f + (s_i - s_f)\Big(1 - \frac{t - t_0}{t_1 - t_0}\Big)^3
    /// ```
    ///
    /// M. Zhu and S. Gupta, [To prune, or not to prune](https://arxiv.org/abs/1710.01878).
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a sparsity outside 0 to 1, 1 not included, a
    /// second one below the first, steps that run backwards, and `every` of 0.
    pub fn cubic(from: f64, to: f64, steps: std::ops::Range<u64>, every: u64) -> Result<Self> {
        config::share_below_one("from", from)?;
        let fits = (from..1.0).contains(&to);
        config::require(fits, "to", to, format!("{from} to below 1"))?;
        config::require(
            steps.start <= steps.end,
            "steps",
            &steps,
            "a range that does not run backwards",
        )?;
        config::at_least("every", every, 1)?;
        Ok(Self { from, to, begin: steps.start, end: steps.end, every })
    }

    /// The sparsity at a step.
    pub fn sparsity(&self, step: u64) -> f64 {
        if step < self.begin {
            return 0.0;
        }
        if step >= self.end {
            return self.to;
        }
        let left = 1.0 - (step - self.begin) as f64 / (self.end - self.begin) as f64;
        self.to + (self.from - self.to) * left.powi(3)
    }

    /// The sparsity to prune to at a step; `None` where nothing is pruned then.
    pub fn at(&self, step: u64) -> Option<f64> {
        let due = step == self.end
            || (self.begin..self.end).contains(&step)
                && (step - self.begin).is_multiple_of(self.every);
        due.then(|| self.sparsity(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cubic_schedule_has_the_papers_values() {
        let schedule = SparsitySchedule::cubic(0.2, 0.8, 100..200, 10).unwrap();
        assert_eq!(schedule.at(99), None);
        assert!((schedule.at(100).unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(schedule.at(105), None);
        assert!((schedule.at(150).unwrap() - (0.8 - 0.6 * 0.125)).abs() < 1e-12);
        assert_eq!(schedule.at(200), Some(0.8));
        assert_eq!((schedule.at(201), schedule.sparsity(500)), (None, 0.8));
        let once = SparsitySchedule::one_shot(0.5, 7).unwrap();
        assert_eq!((once.at(6), once.at(7), once.at(8)), (None, Some(0.5), None));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to, steps, every) in
            [(-0.1, 0.5, 0..1, 1), (0.5, 0.4, 0..1, 1), (0.0, 1.0, 0..1, 1), (0.0, 0.5, 0..1, 0)]
        {
            assert!(
                SparsitySchedule::cubic(from, to, steps, every).is_err(),
                "{from}, {to}, {every}"
            );
        }
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = SparsitySchedule::cubic(0.0, 0.5, 2..1, 1).unwrap_err().to_string();
        assert!(backwards.contains("2..1"), "{backwards}");
    }
}
