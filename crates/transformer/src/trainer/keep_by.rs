//! By what weights are kept.

use std::fmt;
use std::str::FromStr;

use model_utils::config::ConfigError;
use serde::{Deserialize, Serialize};

use super::validation::Validation;
use crate::metrics::{Metric as _, MetricName};

/// By what the weights of one validation are better than those of another.
///
/// The default is chrF: it asks for no words, so that it is as good for scripts without spaces, where
/// BLEU of WMT's words is near 0 and tells nothing apart, and it agrees with people's judgement more
/// often than BLEU (Kocmi et al. 2021, <https://aclanthology.org/2021.wmt-1.57>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeepBy {
    /// By translations; of equal scores by perplexity.
    Metric(MetricName),
    /// By perplexity, that is, by the loss of a token without label smoothing: `perplexity` or `loss`.
    Perplexity,
}

impl KeepBy {
    /// The metric, where it is one.
    pub fn metric(self) -> Option<MetricName> {
        match self {
            Self::Metric(metric) => Some(metric),
            Self::Perplexity => None,
        }
    }

    /// Its name in tables of figures: that of the metric ([`MetricName::key`]), or `perplexity`.
    pub fn key(self) -> String {
        self.metric().map_or_else(|| self.to_string(), MetricName::key)
    }

    pub(super) fn is_better(self, found: &Validation, than: &Validation) -> bool {
        if let Self::Metric(metric) = self {
            if metric.is_better(found.score, than.score) {
                return true;
            }
            if metric.is_better(than.score, found.score) {
                return false;
            }
        }
        let (found, than) = (found.perplexity, than.perplexity);
        found < than || than.is_nan() && !found.is_nan()
    }
}

impl Default for KeepBy {
    fn default() -> Self {
        Self::Metric(MetricName::Chrf)
    }
}

impl From<MetricName> for KeepBy {
    fn from(metric: MetricName) -> Self {
        Self::Metric(metric)
    }
}

impl fmt::Display for KeepBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(metric) => metric.fmt(f),
            Self::Perplexity => f.write_str("perplexity"),
        }
    }
}

impl From<KeepBy> for String {
    fn from(keep_by: KeepBy) -> Self {
        keep_by.to_string()
    }
}

impl FromStr for KeepBy {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "perplexity" | "loss" => Ok(Self::Perplexity),
            _ => name.parse().map(Self::Metric).map_err(|error: ConfigError| {
                let expected =
                    format!("{}, perplexity or loss", error.expected.replace(" or ", ", "));
                ConfigError::new("keep_by", format!("{name:?}"), expected)
            }),
        }
    }
}

impl TryFrom<String> for KeepBy {
    type Error = ConfigError;

    fn try_from(name: String) -> Result<Self, ConfigError> {
        name.parse()
    }
}
