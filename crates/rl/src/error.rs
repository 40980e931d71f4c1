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
    /// An action that the action space does not hold, or that the mask forbids.
    #[error("action {action} is not possible: expected {expected}")]
    Action {
        /// The action that was given.
        action: String,
        /// The actions that are possible.
        expected: String,
    },
    /// A step after the end of an episode.
    #[error("the episode has ended: call `reset` before the next step")]
    Ended,
    /// A step of environments side by side after one of them failed.
    #[error("an environment has failed, the others went on: call `reset` before the next step")]
    Broken,
    /// A network that cannot be one of an agent.
    #[error("network: {0}")]
    Network(String),
    /// An observation or reward that is NaN or infinite.
    #[error("{what} of environment {environment} is {value} at step {step}")]
    NotFinite {
        /// `observation`, `reward` or `action`.
        what: &'static str,
        /// What it is.
        value: f64,
        /// Which of the environments, from 0.
        environment: usize,
        /// The step at which it was seen, counted from 1; 0 is a reset.
        step: u64,
    },
    /// Environments that do not have the spaces that an agent was built for.
    #[error("the {what} space is {found}, expected {expected}")]
    Spaces {
        /// `observation` or `action`.
        what: &'static str,
        /// The space that was found.
        found: String,
        /// The space that was expected.
        expected: String,
    },
    /// An observation that its space does not hold.
    #[error(
        "the observation of environment {environment} at step {step} is {found}, expected {expected}"
    )]
    Observation {
        /// What it is.
        found: String,
        /// The observation space.
        expected: String,
        /// Which of the environments, from 0.
        environment: usize,
        /// The step at which it was seen, counted from 1; 0 is a reset.
        step: u64,
    },
    /// A mask that is not one of the action space, or that leaves no choice.
    #[error("the action mask is {found}, expected {expected}")]
    Mask {
        /// What it is.
        found: String,
        /// What it is to be.
        expected: String,
    },
    /// An episode without an end in sight.
    #[error("the episode has not ended after {steps} steps: `TimeLimit` ends one")]
    Endless {
        /// The steps that were taken.
        steps: u64,
    },
    /// A reward matrix that is no maze.
    #[error("reward matrix: {0}")]
    RewardMatrix(String),
    /// A map or transition table that is no world.
    #[error("{world}: {reason}")]
    World {
        /// The kind of world.
        world: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// More transitions were asked for than are stored.
    #[error("a batch of {batch} was asked for, only {stored} transitions are stored")]
    Batch {
        /// How many were asked for.
        batch: usize,
        /// How many there are.
        stored: usize,
    },
    /// A program at the other end of a socket that is gone, or does not speak as it should.
    #[cfg(feature = "gymnasium")]
    #[error("{peer}: {reason}")]
    Peer {
        /// Who, and where.
        peer: String,
        /// What it did, or what it answered.
        reason: String,
    },
    /// A state that cannot be saved or taken up again.
    #[error("cannot resume: {0}")]
    Resume(String),
    /// From below: files, devices, weights, checkpoints.
    #[error(transparent)]
    Utils(#[from] model_utils_core::Error),
}

impl Error {
    /// An [`Error::Spaces`].
    pub(crate) fn spaces(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Spaces { what, found: found.to_string(), expected: expected.into() }
    }

    /// An [`Error::World`].
    pub(crate) fn world(world: &'static str, reason: impl Into<String>) -> Self {
        Self::World { world, reason: reason.into() }
    }
}
