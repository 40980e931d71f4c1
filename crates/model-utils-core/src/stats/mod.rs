//! How sure a measured number is: intervals, paired tests, the bootstrap.
//!
//! | question | function |
//! | --- | --- |
//! | how far may the mean of a few runs be off? | [`mean_interval`] |
//! | how far may an accuracy of `k` right out of `n` be off? | [`wilson`] |
//! | do two classifiers differ on the same examples? | [`mcnemar`] |
//! | do two systems differ in a score per example? | [`bootstrap_paired`] |
//! | how far may any other statistic be off, for example a corpus score? | [`bootstrap`] |
//! | mean, spread, median, quantiles | [`mean`], [`standard_deviation`], [`median`], [`quantile`] |
//!
//! Nothing here draws random numbers of its own: the functions that resample take a seed, and the
//! same seed gives the same result on every machine.
//!
//! ```
//! use model_utils_core::stats;
//!
//! let accuracy = stats::mean_interval(&[0.9731, 0.9702, 0.9745, 0.9689, 0.9718], 0.95)?;
//! assert_eq!(accuracy.to_string(), "0.9717 [0.9689, 0.9745]");
//!
//! // Of 10 000 examples, A alone is right on 121 and B alone on 59: more than chance explains.
//! assert!(stats::mcnemar_counts(121, 59)?.p_value < 1e-5);
//! # Ok::<(), model_utils_core::error::Error>(())
//! ```

mod bootstrap;
mod interval;
mod mcnemar;
mod summary;
#[cfg(test)]
mod tests;

pub use bootstrap::{Paired, bootstrap, bootstrap_paired};
pub use interval::{Interval, mean_interval, percentile_interval, wilson};
pub use mcnemar::{McNemar, mcnemar, mcnemar_counts};
pub use summary::{mean, median, quantile, standard_deviation};
