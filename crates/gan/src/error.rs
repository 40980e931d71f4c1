//! The error of this crate.

use model_utils::ConfigError;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A set of real samples that cannot be learned from.
    #[error("real samples: {0}")]
    Reals(String),
    /// A network that does not do what the loss, the penalty or the data need.
    #[error("the {network} does not fit: {reason}")]
    Network {
        /// `generator` or `discriminator`.
        network: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// A loss or gradient that is NaN or infinite; the networks are as they were before the step.
    #[error(
        "the {what} of the {network} is {value} at step {step}: training stopped, the networks are as \
         they were before it"
    )]
    NotFinite {
        /// `generator` or `discriminator`.
        network: &'static str,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// What it is.
        value: f64,
        /// The step, counted from 1.
        step: u64,
    },
    /// Features that a metric cannot be computed of.
    #[error("{metric}: {reason}")]
    Metric {
        /// The metric.
        metric: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// From below: devices, data, weights, checkpoints, pictures.
    #[error(transparent)]
    Utils(#[from] model_utils::Error),
}

impl Error {
    /// An [`Error::Network`].
    pub(crate) fn network(network: &'static str, reason: impl Into<String>) -> Self {
        Self::Network { network, reason: reason.into() }
    }

    /// An [`Error::Metric`].
    pub(crate) fn metric(metric: &'static str, reason: impl Into<String>) -> Self {
        Self::Metric { metric, reason: reason.into() }
    }
}
