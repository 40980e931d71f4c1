//! The error of this crate.

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
    /// A node of a graph to which a method cannot be applied.
    #[error("node `{node}`: {reason}")]
    Node {
        /// The node's name.
        node: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A worker that cannot go on; the others stopped.
    #[error("worker {worker}: {reason}")]
    Worker {
        /// Which one, from 0.
        worker: usize,
        /// What happened to it.
        reason: String,
    },
    /// From below: devices, data, graphs, weights, checkpoints, pictures.
    #[error(transparent)]
    Utils(#[from] model_utils::Error),
}

impl Error {
    /// An [`Error::Node`].
    pub(crate) fn node(node: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Node { node: node.into(), reason: reason.into() }
    }
}

/// Refuses a value for which the condition does not hold.
pub(crate) fn require(
    holds: bool,
    field: &'static str,
    value: impl std::fmt::Debug,
    expected: &str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Config { field, value: format!("{value:?}"), expected: expected.to_owned() })
}
