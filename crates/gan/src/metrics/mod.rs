//! How good samples are, by the features of a network that learned to tell classes apart.
//!
//! | figure | asks | paper |
//! | --- | --- | --- |
//! | [`frechet_distance`] (FID) | do means and covariances agree? | Heusel et al. 2017 |
//! | [`kernel_distance`] (KID) | do all moments agree? unbiased | Bińkowski et al. 2018 |
//! | [`class_score`] (inception score) | is each sample of a clear class, and all classes there? | Salimans et al. 2016 |
//! | [`manifold`]: precision, recall, density, coverage | do samples lie among real ones, and real ones among samples? | Kynkäänniemi et al. 2019, Naeem et al. 2020 |
//!
//! A figure depends on the extractor, on the number of samples and on the real set: it is only to be
//! compared with figures of the same three. [`Report`] therefore prints the number, the extractor
//! and, beside each figure, what one half of the real set gets against the other. With the
//! [`Classifier`] of this crate as extractor an FID is no "Inception FID", and not comparable with
//! published ones.

mod class_score;
mod classifier;
mod extractor;
mod frechet;
mod kernel;
mod manifold;
mod report;

pub use class_score::class_score;
pub use classifier::{Classifier, ClassifierConfig};
pub use extractor::{Extracted, Extractor, FeatureCache};
pub use frechet::{Moments, frechet_distance};
pub use kernel::{KernelDistance, kernel_distance};
pub use manifold::{Manifold, manifold};
pub use report::{Figures, Report};

use crate::error::{Error, Result};

/// Rows of features on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    values: Vec<f32>,
    width: usize,
}

impl Features {
    /// Rows of `width` numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] for a width of 0, numbers that do not fill their last row, or one that is
    /// not finite.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) {
            let count = values.len();
            return Err(Error::metric("features", format!("{count} numbers in rows of {width}")));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, value) = (at / width, values[at]);
            return Err(Error::metric("features", format!("row {row} holds {value}")));
        }
        Ok(Self { values, width })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks(self.width)
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// Like indexing a slice, for a row that is not there.
    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..][..self.width]
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Chosen rows, in that order.
    ///
    /// # Panics
    ///
    /// As [`row`](Self::row).
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Self { values, width: self.width }
    }

    /// Rows from `from` on, `count` of them or as many as there are.
    #[must_use]
    pub fn part(&self, from: usize, count: usize) -> Self {
        let to = (from + count).min(self.len());
        self.select(&(from.min(to)..to).collect::<Vec<_>>())
    }
}

/// Refuses features that cannot be compared.
fn comparable(metric: &'static str, a: &Features, b: &Features, least: usize) -> Result<()> {
    if a.width != b.width {
        let reason = format!("features of {} and {} numbers cannot be compared", a.width, b.width);
        return Err(Error::metric(metric, reason));
    }
    let fewest = a.len().min(b.len());
    if fewest < least {
        return Err(Error::metric(metric, format!("{fewest} rows, expected at least {least}")));
    }
    Ok(())
}
