//! The Fréchet distance of two Gaussians fitted to features.

use model_utils::train::{Asks as _, Stoppable};
use nalgebra::{DMatrix, DVector};

use super::features::Features;
use crate::error::{Error, Result};

const FID: &str = "FID";

/// Mean and covariance of features, in double precision.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Moments {
    /// Those of features, with n − 1 in the covariance.
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] for fewer than two rows.
    pub fn new(features: &Features) -> Result<Self> {
        let (count, width) = (features.len(), features.width());
        if count < 2 {
            return Err(Error::metric(FID, format!("{count} rows, expected at least 2")));
        }
        let rows = features.values().iter().map(|&value| f64::from(value));
        let mut centred = DMatrix::from_row_iterator(count, width, rows);
        let mean = centred.row_mean().transpose();
        for mut row in centred.row_iter_mut() {
            row -= mean.transpose();
        }
        let covariance = centred.tr_mul(&centred) / (count - 1) as f64;
        Ok(Self { mean, covariance })
    }

    /// ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (√Σ₁ Σ₂ √Σ₁)^½)
    ///
    /// # Errors
    ///
    /// [`Error::Metric`] for moments of other widths; [`Stopped`](model_utils::Error::Stopped) for
    /// `stop.around(other)` between the two decompositions.
    pub fn distance<'a>(&self, other: impl Into<Stoppable<&'a Self>>) -> Result<f64> {
        let (other, stop) = other.into().into_parts();
        if self.mean.len() != other.mean.len() {
            let (a, b) = (self.mean.len(), other.mean.len());
            let reason = format!("features of {a} and {b} numbers cannot be compared");
            return Err(Error::metric(FID, reason));
        }
        stop.check(FID, "the root of the first covariance")?;
        let root = square_root(&self.covariance);
        stop.check(FID, "the root of the product")?;
        let product = &root * &other.covariance * &root;
        // Symmetric but for rounding.
        let product = (&product + product.transpose()) / 2.0;
        let eigenvalues = product.symmetric_eigenvalues();
        let trace_of_root: f64 = eigenvalues.iter().map(|value| value.max(0.0).sqrt()).sum();
        let means = (&self.mean - &other.mean).norm_squared();
        let traces = self.covariance.trace() + other.covariance.trace();
        Ok((means + traces - 2.0 * trace_of_root).max(0.0))
    }
}

/// The symmetric root of a positive semidefinite matrix.
fn square_root(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = matrix.clone().symmetric_eigen();
    let roots = eigen.eigenvalues.map(|value| value.max(0.0).sqrt());
    &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose()
}

/// The Fréchet distance of two sets of features: FID, where they are a network's. It falls with the
/// number of rows, even between samples of one distribution. `stop.around(&a)` ends it between its
/// parts: two covariances, two decompositions.
///
/// # Errors
///
/// [`Error::Metric`] for features of other widths or fewer than two rows;
/// [`Stopped`](model_utils::Error::Stopped).
pub fn frechet_distance<'a>(a: impl Into<Stoppable<&'a Features>>, b: &Features) -> Result<f64> {
    let (a, stop) = a.into().into_parts();
    stop.check(FID, "the first covariance")?;
    let a = Moments::new(a)?;
    stop.check(FID, "the second covariance")?;
    a.distance(stop.around(&Moments::new(b)?))
}
