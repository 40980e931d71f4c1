//! All figures of one set of samples, each beside what real images get.

use std::fmt;

use burn::tensor::Tensor;

use super::extractor::in_parts;
use super::{
    Extracted, Extractor, Features, Manifold, class_score, frechet_distance, kernel_distance,
    manifold,
};
use crate::error::{Error, Result};

/// Figures of samples against real images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Fréchet distance.
    pub fid: f64,
    /// Kernel distance, over 20 subsets of 500.
    pub kid: f64,
    /// Precision, recall, density and coverage with 5 neighbours.
    pub manifold: Manifold,
    /// The inception score of the extractor's classes in 10 parts, where it tells classes.
    pub class_score: Option<f64>,
}

/// Figures of samples, beside those of real images against other real ones: the floor.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of the samples.
    pub samples: Figures,
    /// Of as many real images that the reference does not hold.
    pub floor: Figures,
    /// Rows on either side.
    pub count: usize,
    /// The extractor's identity.
    pub extractor: String,
}

/// Rows that precision and recall look at: their time grows with the square.
const NEIGHBOURS_OF: usize = 5000;

impl Figures {
    /// Of what was extracted from samples and from real images.
    ///
    /// # Errors
    ///
    /// Those of the single figures.
    pub fn of(samples: &Extracted, real: &Extracted) -> Result<Self> {
        let (a, b) = (&samples.features, &real.features);
        let some = |features: &Features| features.part(0, NEIGHBOURS_OF);
        Ok(Self {
            fid: frechet_distance(a, b)?,
            kid: kernel_distance(a, b, 20, 500, 0)?.mean,
            manifold: manifold(&some(b), &some(a), 5)?,
            class_score: samples
                .logits
                .as_ref()
                .map(|logits| class_score(logits, 10))
                .transpose()?,
        })
    }
}

impl Report {
    /// Of samples, `[count, channels, height, width]`, against `real`; `others` are real images
    /// that are not in `real`.
    ///
    /// # Errors
    ///
    /// Those of the extractor and of the single figures; [`Error::Metric`] for other numbers of
    /// samples, real ones and others: figures would not be comparable.
    pub fn new(
        extractor: &impl Extractor,
        samples: &Tensor<4>,
        real: &Extracted,
        others: &Extracted,
    ) -> Result<Self> {
        let samples = in_parts(extractor, samples)?;
        let count = samples.features.len();
        let (reals, other) = (real.features.len(), others.features.len());
        if reals != count || other != count {
            let reason = format!("{count} samples, {reals} real images and {other} others");
            return Err(Error::metric("report", format!("{reason}, expected as many of each")));
        }
        Ok(Self {
            samples: Figures::of(&samples, real)?,
            floor: Figures::of(others, real)?,
            count,
            extractor: extractor.identity(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "n = {}, extractor {} (not Inception)", self.count, self.extractor)?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, of: &dyn Fn(&Figures) -> f64| {
            let (sample, floor) = (of(&self.samples), of(&self.floor));
            writeln!(f, "{name:12} {sample:10.4}   real against real {floor:10.4}")
        };
        row(f, "FID", &|x| x.fid)?;
        row(f, "KID", &|x| x.kid)?;
        row(f, "precision", &|x| x.manifold.precision)?;
        row(f, "recall", &|x| x.manifold.recall)?;
        row(f, "density", &|x| x.manifold.density)?;
        row(f, "coverage", &|x| x.manifold.coverage)?;
        if self.samples.class_score.is_some() {
            row(f, "class score", &|x| x.class_score.unwrap_or(f64::NAN))?;
        }
        Ok(())
    }
}
