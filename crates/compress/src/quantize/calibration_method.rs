use model_utils::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use super::{Bounds, Histogram, Scheme};

/// How the bounds of activations are chosen from what calibration shows.
///
/// | method | bounds | agrees with |
/// | --- | --- | --- |
/// | `MinMax` | of all numbers | `torch.ao` `MinMaxObserver` |
/// | `MovingAverage` | `m += share · (m of the batch − m)` | `MovingAverageMinMaxObserver` |
/// | `Percentile` | leave the given share of the numbers out | |
/// | `MeanSquaredError` | a search over a histogram for the least squared error | `HistogramObserver` |
/// | `Entropy` | the least Kullback–Leibler divergence of what is rounded (Migacz 2017, `TensorRT`) | |
///
/// The last three see the data twice: the first pass finds the ends of a histogram of 2048 bins,
/// the second fills it. `HistogramObserver` sees it once and stretches its histogram as larger
/// numbers come; the two agree where the first batch holds the least and the largest number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalibrationMethod {
    /// The least and the largest number.
    MinMax,
    /// An exponential average of the batches' least and largest numbers.
    MovingAverage {
        /// The share of the newest batch, above 0 to 1.
        share: f64,
    },
    /// Bounds that hold a share of the numbers.
    Percentile {
        /// The share in percent, above 50 to 100.
        percent: f64,
    },
    /// The bounds with the least squared error.
    MeanSquaredError,
    /// The bounds that change the distribution least.
    Entropy,
}

impl CalibrationMethod {
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        match self {
            Self::MovingAverage { share } => config::share_above_zero("share", share),
            Self::Percentile { percent } => config::require(
                percent > 50.0 && percent <= 100.0,
                "percent",
                percent,
                "above 50, to 100",
            ),
            _ => Ok(()),
        }
    }

    /// Whether it needs a second pass over the data, for a histogram.
    pub const fn needs_histogram(self) -> bool {
        matches!(self, Self::Percentile { .. } | Self::MeanSquaredError | Self::Entropy)
    }

    /// What the first batch's bounds and those of the next batches are together.
    pub fn join(self, so_far: Option<Bounds>, batch: Bounds) -> Bounds {
        let Some(so_far) = so_far else { return batch };
        match self {
            Self::MovingAverage { share } => {
                let share = share as f32;
                Bounds {
                    min: so_far.min + share * (batch.min - so_far.min),
                    max: so_far.max + share * (batch.max - so_far.max),
                }
            }
            _ => Bounds { min: so_far.min.min(batch.min), max: so_far.max.max(batch.max) },
        }
    }

    /// The bounds that it chooses of a histogram; all of it where it needs none.
    pub fn choose(self, histogram: &Histogram, scheme: Scheme) -> Bounds {
        match self {
            Self::MinMax | Self::MovingAverage { .. } => histogram.bounds(),
            Self::Percentile { percent } => histogram.percentile(percent, scheme),
            Self::MeanSquaredError => histogram.least_squares(scheme),
            Self::Entropy => histogram.least_divergence(scheme),
        }
    }
}
