//! Metrics by their names.

use std::fmt;
use std::str::FromStr;

use model_utils::config::ConfigError;
use serde::{Deserialize, Serialize};

use super::bleu::Bleu;
use super::bleu_tokenizer::BleuTokenizer;
use super::chrf::Chrf;
use super::metric::Metric;
use super::ter::Ter;

/// A metric with its usual settings, as a configuration or a command line names it: `bleu` (of words
/// as WMT cuts them), `bleu:intl`, `bleu:char`, `bleu:zh`, `bleu:none`, `chrf`, `chrf++` or `ter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MetricName {
    /// [`Bleu`] of such words.
    Bleu(BleuTokenizer),
    /// [`Chrf`].
    Chrf,
    /// [`Chrf::plus_plus`].
    ChrfPlusPlus,
    /// [`Ter`].
    Ter,
}

impl MetricName {
    fn metric(self) -> Box<dyn Metric> {
        match self {
            Self::Bleu(tokenizer) => Box::new(Bleu::new().with_tokenizer(tokenizer)),
            Self::Chrf => Box::new(Chrf::new()),
            Self::ChrfPlusPlus => Box::new(Chrf::plus_plus()),
            Self::Ter => Box::new(Ter::new()),
        }
    }

    /// The name in tables of figures: `bleu`, `bleu_char`, `chrf`, `chrf_plus_plus`, `ter`.
    pub fn key(self) -> String {
        self.to_string().replace(':', "_").replace("++", "_plus_plus")
    }
}

impl Metric for MetricName {
    fn name(&self) -> &'static str {
        self.metric().name()
    }

    fn signature(&self, references: usize) -> String {
        self.metric().signature(references)
    }

    fn counts(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        self.metric().counts(hypothesis, references)
    }

    fn score_of(&self, counts: &[f64]) -> f64 {
        self.metric().score_of(counts)
    }

    fn is_better(&self, score: f64, than: f64) -> bool {
        self.metric().is_better(score, than)
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bleu(BleuTokenizer::V13a) => f.write_str("bleu"),
            Self::Bleu(tokenizer) => write!(f, "bleu:{tokenizer}"),
            Self::Chrf => f.write_str("chrf"),
            Self::ChrfPlusPlus => f.write_str("chrf++"),
            Self::Ter => f.write_str("ter"),
        }
    }
}

impl From<MetricName> for String {
    fn from(name: MetricName) -> Self {
        name.to_string()
    }
}

impl FromStr for MetricName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "bleu" => Ok(Self::Bleu(BleuTokenizer::V13a)),
            "chrf" => Ok(Self::Chrf),
            "chrf++" => Ok(Self::ChrfPlusPlus),
            "ter" => Ok(Self::Ter),
            _ => {
                let words = name.strip_prefix("bleu:").and_then(|words| words.parse().ok());
                words.map(Self::Bleu).ok_or_else(|| {
                    let expected = "bleu, bleu:13a, bleu:intl, bleu:char, bleu:zh, bleu:none, chrf, \
                                    chrf++ or ter";
                    ConfigError::new("metric", format!("{name:?}"), expected)
                })
            }
        }
    }
}

impl TryFrom<String> for MetricName {
    type Error = ConfigError;

    fn try_from(name: String) -> Result<Self, ConfigError> {
        name.parse()
    }
}
