//! The error of this crate.

use model_utils_core::ConfigError;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An action that the rules do not allow here.
    #[error("illegal action {action} ({name}) in {game}: {reason}")]
    Illegal {
        /// The action that was given, an [`Action`](crate::Action).
        action: u16,
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
    /// A value that is larger than the game says.
    #[error("{game}: a value of {value}, expected at most {most} in size, by `Game::most_value`")]
    Value {
        /// The game.
        game: String,
        /// What came up.
        value: f32,
        /// What the game says.
        most: f32,
    },
    /// A game, a rule or an evaluator panicked in a thread of a search.
    #[error("a thread of the search panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
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
    /// From below: files, devices, weights, checkpoints.
    #[error(transparent)]
    Utils(#[from] model_utils_core::Error),
}
