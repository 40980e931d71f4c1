//! The error of this crate.

use model_utils::config::ConfigError;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Sentence pairs that cannot be learned from or measured on.
    #[error("sentence pairs of {place}: {reason}")]
    Pairs {
        /// Which, for example a file or `the validation part`.
        place: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A sentence of more tokens than a model takes.
    #[error(
        "{place}: the sentence has {tokens} tokens, expected at most {limit}; ask for truncation, or \
         filter the pairs by length"
    )]
    TooLong {
        /// Where it stands, with its line counted from 1.
        place: String,
        /// Its length in tokens, with those for begin and end.
        tokens: usize,
        /// The most that there may be.
        limit: usize,
    },
    /// A tokenizer that cannot be trained, read or used.
    #[error("tokenizer {place}: {reason}")]
    Tokenizer {
        /// Its file, or the side that it is for.
        place: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A model that does not do what the tokenizer, the data or the decoding need.
    #[error("the model does not fit: {0}")]
    Model(String),
    /// A sentence for which no translation was found.
    #[error("{place}: no translation was found: {reason}")]
    Untranslated {
        /// Which, counted from 1.
        place: String,
        /// Why.
        reason: String,
    },
    /// A folder of Hugging Face that cannot be read, or a model that cannot be told in its format.
    #[error("{place}: {reason}")]
    HuggingFace {
        /// The folder or file.
        place: String,
        /// The field, what was found and what was expected.
        reason: String,
    },
    /// A loss or gradient that is NaN or infinite; the model is as it was before the step.
    #[error(
        "the {what} is {value} at step {step}: training stopped, the model is as it was before it"
    )]
    NotFinite {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// What it is.
        value: f64,
        /// The step, counted from 1.
        step: u64,
    },
    /// Sentences that a metric cannot be computed of.
    #[error("{metric}: {reason}")]
    Metric {
        /// The metric.
        metric: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// From below: devices, data, weights, checkpoints, statistics.
    #[error(transparent)]
    Utils(#[from] model_utils::Error),
}

impl Error {
    /// An [`Error::Pairs`].
    pub(crate) fn pairs(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Pairs { place: place.into(), reason: reason.into() }
    }

    /// An [`Error::HuggingFace`].
    pub(crate) fn hugging_face(
        place: impl AsRef<std::path::Path>,
        reason: impl Into<String>,
    ) -> Self {
        Self::HuggingFace { place: place.as_ref().display().to_string(), reason: reason.into() }
    }

    /// An [`Error::Tokenizer`].
    pub(crate) fn tokenizer(place: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Tokenizer { place: place.into(), reason: reason.to_string() }
    }
}
