//! The error of this crate.

pub use model_utils::ConfigError;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
