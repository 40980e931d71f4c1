//! What a rule sees of a node: the statistics of its children, side by side.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use super::arena::Arena;
use super::link::{Link, SOLVED_CHILD};
use super::proven::Proven;

/// A node and its children. Values are those of the player to move at the node; visits that are
/// still on their way (virtual loss) are counted.
#[derive(Debug, Clone, Copy)]
pub struct Children<'a> {
    arena: &'a Arena,
    visits: &'a [AtomicU32],
    sums: &'a [AtomicI64],
    slot: u32,
    link: Link,
    value: Option<f32>,
}

impl<'a> Children<'a> {
    /// The children of an expanded slot; `value` is the mean of the slot for its own mover, where it
    /// is known otherwise than from the children.
    #[inline]
    pub(crate) fn new(arena: &'a Arena, slot: u32, link: Link, value: Option<f32>) -> Self {
        let (slot, link) = arena.node(slot, link);
        let (visits, sums) = arena.group(link.first(), link.count());
        Self { arena, visits, sums, slot, link, value }
    }

    /// How many children there are.
    #[inline]
    #[allow(clippy::len_without_is_empty)] // An expanded node has at least one child.
    pub const fn len(&self) -> usize {
        self.visits.len()
    }

    /// How often the node itself was visited, its own evaluation included.
    #[inline]
    pub fn node_visits(&self) -> u32 {
        self.arena.visits(self.slot)
    }

    /// The mean of all that was found below the node.
    #[inline]
    pub fn node_value(&self) -> f32 {
        self.value.unwrap_or_else(|| {
            let sum = self.arena.sum_of_children(self.link, self.slot);
            self.arena.mean_of(sum, self.node_visits())
        })
    }

    /// What the evaluator said of the node itself; 0 for rollouts.
    pub fn node_raw_value(&self) -> f32 {
        self.arena.raw(self.slot)
    }

    /// The action that leads to a child.
    pub fn action(&self, child: usize) -> u16 {
        self.arena.action(self.child(child))
    }

    /// How often a child was visited.
    #[inline]
    pub fn visits(&self, child: usize) -> u32 {
        self.visits[child].load(Ordering::Relaxed)
    }

    /// Its mean value: exact where it is proven, 0 where it was never visited.
    #[inline]
    pub fn mean(&self, child: usize) -> f32 {
        if self.has_proven()
            && let Some(proven) = self.proven(child)
        {
            return proven.value();
        }
        self.arena.mean_of(self.sums[child].load(Ordering::Relaxed), self.visits(child))
    }

    /// Its prior probability.
    #[inline]
    pub fn prior(&self, child: usize) -> f32 {
        self.arena.prior(self.child(child))
    }

    /// Visits and mean of what the search keeps of a child beside its own simulations
    /// ([`Rule::second`](crate::rule::Rule::second)); (0, 0) where it keeps nothing.
    #[inline]
    pub fn second(&self, child: usize) -> (u32, f32) {
        self.arena.second(self.child(child))
    }

    /// What is proven about a child.
    pub fn proven(&self, child: usize) -> Option<Proven> {
        self.arena.proven(self.child(child), self.link.mover())
    }

    /// Whether something is proven about any child.
    #[inline]
    pub const fn has_proven(&self) -> bool {
        self.link.has(SOLVED_CHILD)
    }

    /// Whether a child is known to lose.
    #[inline]
    pub fn is_lost(&self, child: usize) -> bool {
        self.has_proven() && self.proven(child) == Some(Proven::Loss)
    }

    /// The child with the highest score, the first of equals; children that are known to lose
    /// only where all do.
    #[inline]
    pub fn argmax(&self, mut score: impl FnMut(usize) -> f32) -> usize {
        let mut best = None;
        for child in 0..self.len() {
            if self.is_lost(child) {
                continue;
            }
            let score = score(child);
            if best.is_none_or(|(_, highest)| score > highest) {
                best = Some((child, score));
            }
        }
        best.map_or(0, |(child, _)| child)
    }

    /// The sum of the priors of the children that were visited.
    pub fn visited_prior(&self) -> f32 {
        (0..self.len()).filter(|&child| self.visits(child) > 0).map(|child| self.prior(child)).sum()
    }

    #[inline]
    fn child(&self, child: usize) -> u32 {
        self.link.first() + child as u32
    }
}
