//! The error of this crate.

use std::path::PathBuf;

use crate::game::Action;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error("invalid configuration: `{field}` is {value}, expected {expected}")]
    Config {
        /// The field at fault.
        field: &'static str,
        /// Its value.
        value: String,
        /// The values that work.
        expected: String,
    },
    /// An action that the rules do not allow here.
    #[error("illegal action {action} ({name}) in {game}: {reason}")]
    Illegal {
        /// The action that was given.
        action: Action,
        /// How the game writes it.
        name: String,
        /// The game.
        game: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// Text that is no action, no position or no record of a game.
    #[error("cannot read {what} `{text}`: {reason}")]
    Parse {
        /// What was expected: `action`, `position`.
        what: &'static str,
        /// What was found.
        text: String,
        /// Why it does not fit.
        reason: String,
    },
    /// A game record (SGF) that cannot be read or played.
    #[error("game record, line {line}, column {column}: {reason}")]
    Record {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What was found and what was expected.
        reason: String,
    },
    /// A position without an outcome and without a legal action.
    #[error("{game}: no legal action and no outcome, so nothing can be searched or played")]
    NoActions {
        /// The game.
        game: String,
    },
    /// A search was asked for where the game has ended.
    #[error("{game}: the game has ended, there is nothing to search")]
    Ended {
        /// The game.
        game: String,
    },
    /// A search was asked for where chance acts.
    #[error("{game}: chance acts here, there is nothing to choose")]
    Chance {
        /// The game.
        game: String,
    },
    /// An evaluator gave a prior or a value that is no number.
    #[error("the evaluator gave {what} {value} for leaf {leaf}, expected {expected}")]
    Evaluation {
        /// `prior` or `value`.
        what: &'static str,
        /// What it is.
        value: f32,
        /// Which leaf of the batch, from 0.
        leaf: usize,
        /// What would do.
        expected: &'static str,
    },
    /// A net, record or file that was made for something else.
    #[error("{what} was made for {found}, expected {expected}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What it was made for.
        found: String,
        /// What it should have been made for.
        expected: String,
    },
    /// A state that cannot be saved or taken up again.
    #[error("cannot resume: {0}")]
    Resume(String),
    /// A file that could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// From below: devices, weights, checkpoints.
    #[cfg(feature = "deep")]
    #[error(transparent)]
    Utils(#[from] model_utils::Error),
}

impl Error {
    /// An [`Error::Config`].
    pub(crate) fn config(field: &'static str, value: impl std::fmt::Debug, expected: &str) -> Self {
        Self::Config { field, value: format!("{value:?}"), expected: expected.to_owned() }
    }
}

/// Refuses a value for which the condition does not hold.
pub(crate) fn require(
    holds: bool,
    field: &'static str,
    value: impl std::fmt::Debug,
    expected: &str,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::config(field, value, expected)) }
}
