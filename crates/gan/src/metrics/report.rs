//! All figures of one set of samples, each beside what real images get.

use std::fmt;

use burn::tensor::Tensor;
use model_utils::train::Stoppable;

use super::class_score::class_score;
use super::extractor::{Extracted, Extractor};
use super::features::Features;
use super::frechet::frechet_distance;
use super::kernel::kernel_distance;
use super::prdc::{Prdc, prdc};
use crate::error::{Error, Result};

/// Figures of samples against real images.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Fréchet distance.
    pub fid: f64,
    /// Kernel distance, over 20 subsets of 500.
    pub kid: f64,
    /// Precision, recall, density and coverage with 5 neighbours.
    pub prdc: Prdc,
    /// The inception score of the extractor's classes in 10 parts, where it tells classes.
    pub class_score: Option<f64>,
}

/// Figures of samples, beside those of real images against other real ones: the floor.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// Figures of what was extracted from samples, against what was from real images;
    /// `stop.around(&samples)` ends them.
    ///
    /// # Errors
    ///
    /// Those of the single figures.
    pub fn new<'a>(samples: impl Into<Stoppable<&'a Extracted>>, real: &Extracted) -> Result<Self> {
        let (samples, stop) = samples.into().into_parts();
        let (a, b) = (&samples.features, &real.features);
        let some = |features: &Features| features.head(NEIGHBOURS_OF);
        Ok(Self {
            fid: frechet_distance(stop.around(a), b)?,
            kid: kernel_distance(stop.around(a), b, 20, 500, 0)?.mean,
            prdc: prdc(stop.around(&some(b)), &some(a), 5)?,
            class_score: samples
                .logits
                .as_ref()
                .map(|logits| class_score(logits, 10))
                .transpose()?,
        })
    }
}

impl Report {
    /// A report of samples, `[count, channels, height, width]`, against `real`; `others` are real images
    /// that are not in `real`. To be stopped at any time it takes both `&stop.around(&extractor)` and
    /// `stop.around(&real)`.
    ///
    /// # Errors
    ///
    /// Those of the extractor and of the single figures; [`Error::Metric`] for other numbers of
    /// samples, real ones and others: figures would not be comparable.
    pub fn new<'a>(
        extractor: &impl Extractor,
        samples: &Tensor<4>,
        real: impl Into<Stoppable<&'a Extracted>>,
        others: &Extracted,
    ) -> Result<Self> {
        let (real, stop) = real.into().into_parts();
        let samples = extractor.extract_in_parts(samples)?;
        let count = samples.features.len();
        let (reals, other) = (real.features.len(), others.features.len());
        if reals != count || other != count {
            let reason = format!("{count} samples, {reals} real images and {other} others");
            return Err(Error::metric("report", format!("{reason}, expected as many of each")));
        }
        Ok(Self {
            samples: Figures::new(stop.around(&samples), real)?,
            floor: Figures::new(stop.around(others), real)?,
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
        row(f, "precision", &|x| x.prdc.precision)?;
        row(f, "recall", &|x| x.prdc.recall)?;
        row(f, "density", &|x| x.prdc.density)?;
        row(f, "coverage", &|x| x.prdc.coverage)?;
        if self.samples.class_score.is_some() {
            row(f, "class score", &|x| x.class_score.unwrap_or(f64::NAN))?;
        }
        Ok(())
    }
}
