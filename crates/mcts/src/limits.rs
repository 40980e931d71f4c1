//! How long a search may last: simulations, nodes, time.

use std::time::{Duration, Instant};

use model_utils_core::{ConfigError, config};

use crate::error::Result;

/// When a search ends: at whichever limit comes first, or when the position is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    simulations: Option<u64>,
    nodes: Option<usize>,
    time: Option<Duration>,
}

impl Limits {
    /// So many simulations; the evaluation of an empty root is one of them, so that a first search
    /// needs 2.
    pub const fn simulations(simulations: u64) -> Self {
        Self { simulations: Some(simulations), nodes: None, time: None }
    }

    /// Until the tree has so many nodes, unvisited children included.
    pub const fn nodes(nodes: usize) -> Self {
        Self { simulations: None, nodes: Some(nodes), time: None }
    }

    /// So long. At least one simulation is run.
    pub const fn time(time: Duration) -> Self {
        Self { simulations: None, nodes: None, time: Some(time) }
    }

    /// The same, and at most so many simulations.
    #[must_use]
    pub const fn or_simulations(mut self, simulations: u64) -> Self {
        self.simulations = Some(simulations);
        self
    }

    /// The same, and at most so many nodes.
    #[must_use]
    pub const fn or_nodes(mut self, nodes: usize) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// The same, and at most so long.
    #[must_use]
    pub const fn or_time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// The limit of simulations.
    pub const fn simulation_limit(&self) -> Option<u64> {
        self.simulations
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::require(self.simulations != Some(0), "limits.simulations", 0, "at least 1")?;
        config::require(self.nodes != Some(0), "limits.nodes", 0, "at least 1")?;
        let none = Duration::ZERO;
        config::require(self.time != Some(none), "limits.time", none, "more than 0 s")
    }

    /// The same, but not beyond this time since the start.
    pub(crate) fn until(mut self, time: Duration) -> Self {
        self.time = Some(self.time.map_or(time, |limit| limit.min(time)));
        self
    }

    /// The same, but not beyond so many simulations.
    pub(crate) fn up_to(mut self, simulations: u64) -> Self {
        self.simulations =
            Some(self.simulations.map_or(simulations, |limit| limit.min(simulations)));
        self
    }

    /// How many simulations may be begun now; 0 at the end. Time is looked at by whoever asks.
    pub(crate) fn left(&self, done: u64, nodes: usize, started: Instant) -> u64 {
        let simulations = self.simulations.map_or(u64::MAX, |limit| limit.saturating_sub(done));
        let late = done > 0 && self.time.is_some_and(|limit| started.elapsed() >= limit);
        if late || self.is_full(nodes) { 0 } else { simulations }
    }

    /// Whether the tree has all the nodes that it may have.
    pub(crate) fn is_full(&self, nodes: usize) -> bool {
        self.nodes.is_some_and(|limit| nodes >= limit)
    }

    /// The share of one of several trees, at least 1.
    pub(crate) fn divided(&self, trees: u64, tree: u64) -> Self {
        let part = |limit: u64| (limit / trees + u64::from(tree < limit % trees)).max(1);
        Self {
            simulations: self.simulations.map(part),
            nodes: self.nodes.map(|limit| part(limit as u64) as usize),
            time: self.time,
        }
    }

    pub(crate) const fn has_time(&self) -> bool {
        self.time.is_some()
    }
}
