//! Rows of numbers that a network sees in images.

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

    /// The first `count` rows, or as many as there are.
    #[must_use]
    pub fn head(&self, count: usize) -> Self {
        let values = self.values[..count.min(self.len()) * self.width].to_vec();
        Self { values, width: self.width }
    }
}

/// Refuses features that cannot be compared.
pub(super) fn comparable(
    metric: &'static str,
    a: &Features,
    b: &Features,
    least: usize,
) -> Result<()> {
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

/// The sum of `term` over pairs of numbers in 64 bits, in lanes, which the compiler makes vectors of.
pub(super) fn sum_of(x: &[f32], y: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let term = |(x, y): (&f32, &f32)| term(f64::from(*x), f64::from(*y));
    let (x_chunks, x_rest) = x.as_chunks::<8>();
    let (y_chunks, y_rest) = y.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for (lane, pair) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += term(pair);
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(term).sum();
    lanes.iter().sum::<f64>() + rest
}
