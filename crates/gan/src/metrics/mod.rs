//! How good samples are, by the features of a network that learned to tell classes apart.
//!
//! | figure | asks | paper |
//! | --- | --- | --- |
//! | [`frechet_distance`] (FID) | do means and covariances agree? | Heusel et al. 2017 |
//! | [`kernel_distance`] (KID) | do all moments agree? unbiased | Bińkowski et al. 2018 |
//! | [`class_score`] (inception score) | is each sample of a clear class, and all classes there? | Salimans et al. 2016 |
//! | [`prdc`]: precision, recall, density, coverage | do samples lie among real ones, and real ones among samples? | Kynkäänniemi et al. 2019, Naeem et al. 2020 |
//!
//! A figure depends on the extractor, on the number of samples and on the real set: it is only to be
//! compared with figures of the same three. [`Report`] therefore prints the number, the extractor
//! and, beside each figure, what one half of the real set gets against the other. With the
//! [`Judge`] of this crate as extractor an FID is no "Inception FID", and not comparable with
//! published ones.

mod class_score;
mod extractor;
mod features;
mod frechet;
mod judge;
mod kernel;
mod prdc;
mod report;

pub use class_score::class_score;
pub use extractor::{Extracted, Extractor, FeatureCache};
pub use features::Features;
pub use frechet::{Moments, frechet_distance};
pub use judge::{Judge, JudgeConfig};
pub use kernel::{KernelDistance, kernel_distance};
pub use prdc::{Prdc, prdc};
pub use report::{Figures, Report};
