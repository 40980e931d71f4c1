//! How deep a search looks: an evaluator that counts the plies of the leaves that it judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chess::Chess;
use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::leaves::Leaves;

/// What all threads count together.
#[derive(Debug, Default)]
struct Counts {
    /// The ply of the root in its game.
    root: AtomicU64,
    deepest: AtomicU64,
    sum: AtomicU64,
    leaves: AtomicU64,
}

/// An evaluator, and the depths of its leaves.
#[derive(Debug)]
pub(super) struct Depths<E> {
    inner: E,
    counts: Arc<Counts>,
}

impl<E> Depths<E> {
    pub(super) fn new(inner: E) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// Begins to count, from a position on.
    pub(super) fn begin(&self, root: &Chess) {
        let Counts { root: ply, deepest, sum, leaves } = &*self.counts;
        ply.store(u64::from(root.ply()), Ordering::Relaxed);
        for count in [deepest, sum, leaves] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The mean and the most, in plies below the root.
    pub(super) fn depths(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { deepest, sum, leaves, .. } = &*self.counts;
        (load(sum) / load(leaves).max(1), load(deepest))
    }
}

impl<E: Evaluator<Chess>> Evaluator<Chess> for Depths<E> {
    fn evaluate(&mut self, leaves: &mut Leaves<Chess>) -> Result<()> {
        let root = self.counts.root.load(Ordering::Relaxed);
        for game in leaves.games() {
            let depth = u64::from(game.ply()).saturating_sub(root);
            self.counts.sum.fetch_add(depth, Ordering::Relaxed);
            self.counts.deepest.fetch_max(depth, Ordering::Relaxed);
        }
        self.counts.leaves.fetch_add(leaves.len() as u64, Ordering::Relaxed);
        self.inner.evaluate(leaves)
    }

    fn has_priors(&self) -> bool {
        self.inner.has_priors()
    }
}

impl<E: Fork> Fork for Depths<E> {
    fn fork(&self, worker: u64) -> Self {
        Self { inner: self.inner.fork(worker), counts: Arc::clone(&self.counts) }
    }
}
