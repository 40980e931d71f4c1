//! A tree whose lines meet again is a graph: slots are its edges, and each group of children has a
//! *head*, the slot before its first child, with what is known of the position, whichever edge leads
//! there.
//!
//! Statistics and proof of a head are those of its own mover: its visits are the judgements of the
//! position itself and the visits of its children, its sum is theirs. The head has the hash of the
//! position: the upper half where a link has its first child, the lower where it has its prior.

use std::sync::atomic::{AtomicU64, Ordering};

use super::arena::{Arena, Full, ROOT};
use super::link::{CHANCE, LISTED, Link};
use super::proven::Proven;
use crate::random::mix;

/// Heads by their hashes: open addressing, never more than half full.
///
/// A word is the upper half of a hash and the head; 0 is free.
#[derive(Debug, Default)]
pub(super) struct Table {
    words: Vec<AtomicU64>,
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let copy = |word: &AtomicU64| AtomicU64::new(word.load(Ordering::Relaxed));
        Self { words: self.words.iter().map(copy).collect() }
    }
}

impl Table {
    pub(super) fn clear(&mut self) {
        self.words.fill_with(AtomicU64::default);
    }

    /// The head of a hash, else where it belongs.
    fn find(&self, arena: &Arena, hash: u64) -> Result<u32, usize> {
        let mut place = hash as usize;
        loop {
            place &= self.words.len() - 1;
            match self.words[place].load(Ordering::Acquire) {
                0 => return Err(place),
                word if word >> 32 == hash >> 32 && arena.hash(word as u32) == hash => {
                    return Ok(word as u32);
                }
                _ => place += 1,
            }
        }
    }

    /// Lists a head; `false` where its hash has one.
    fn insert(&self, arena: &Arena, head: u32) -> bool {
        let hash = arena.hash(head);
        let word = hash >> 32 << 32 | u64::from(head);
        let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
        while let Err(place) = self.find(arena, hash) {
            if self.words[place].compare_exchange(0, word, release, relaxed).is_ok() {
                return true;
            }
        }
        false
    }
}

/// An edge without children yet: its slot, who chose it, and what its own visits have found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) slot: u32,
    pub(crate) chooser: usize,
    pub(crate) visits: u32,
    pub(crate) sum: i64,
}

impl Arena {
    /// Makes a graph of an empty tree.
    pub(crate) fn connect(&mut self) {
        self.table = Some(Table::default());
        self.list_heads();
    }

    /// Whether lines may meet again.
    #[inline]
    pub(crate) const fn is_graph(&self) -> bool {
        self.table.is_some()
    }

    /// The head of an expanded slot of a graph, with the slot's link and what is known of the
    /// children; of a tree, the slot itself.
    #[inline]
    pub(crate) fn node(&self, slot: u32, link: Link) -> (u32, Link) {
        if !self.is_graph() {
            return (slot, link);
        }
        let head = link.first() - 1;
        (head, link.with_known_of(self.link(head)))
    }

    /// What is proven about a slot, for its chooser.
    #[inline]
    pub(crate) fn proven(&self, slot: u32, chooser: usize) -> Option<Proven> {
        let link = self.link(slot);
        if !self.is_graph() || !link.is_expanded() || link.proven().is_some() {
            return link.proven();
        }
        let proven = self.link(link.first() - 1).proven()?;
        Some(if link.mover() == chooser { proven } else { proven.turned() })
    }

    fn hash(&self, head: u32) -> u64 {
        u64::from(self.link(head).first()) << 32 | u64::from(self.prior(head).to_bits())
    }

    /// The head of the position with this hash.
    pub(crate) fn head_of(&self, hash: u64) -> Option<u32> {
        self.table.as_ref()?.find(self, spread(hash)).ok()
    }

    /// Whether a head may be that of a position: who acts there, and the actions in ascending order.
    pub(crate) fn fits(&self, head: u32, mover: u8, flags: u64, actions: &[u16]) -> bool {
        let link = self.link(head);
        let is_listed = |child| actions.binary_search(&self.action(child)).is_ok();
        link.mover() == usize::from(mover)
            && link.has(CHANCE) == (flags & CHANCE != 0)
            && link.count() == actions.len()
            && (head + 1..).take(actions.len()).all(is_listed)
    }

    /// Ties an edge to a head, which takes over what the edge has found.
    pub(crate) fn tie<const SHARED: bool>(&self, edge: Edge, head: u32) -> Link {
        let node = self.link(head);
        let bits = Link::expanded(head + 1, node.count() as u16, node.mover() as u8);
        let link = self.set_children(edge.slot, bits | node.0 & CHANCE);
        if let Ok(link) = link {
            let sum = if edge.chooser == node.mover() { edge.sum } else { -edge.sum };
            self.add::<SHARED>(head, edge.visits, sum);
            return link;
        }
        // Another thread was faster.
        self.link(edge.slot)
    }

    /// Gives an edge a head and children of its own, to which others may be tied later where it has
    /// a hash.
    pub(crate) fn expand_edge<const SHARED: bool>(
        &self,
        edge: Edge,
        hash: Option<u64>,
        mover: u8,
        flags: u64,
        children: impl ExactSizeIterator<Item = (u16, f32)>,
    ) -> Result<Link, Full> {
        let count = children.len() as u16;
        let head = self.place::<SHARED>(children)? - 1;
        let hash = hash.map(spread);
        let link = Link::expanded((hash.unwrap_or(0) >> 32) as u32, count, mover) | flags;
        self.reset(head, 0, f32::from_bits(hash.unwrap_or(0) as u32));
        self.mark::<false>(head, link);
        if let Some(table) = self.table.as_ref().filter(|_| hash.is_some()) {
            // Marked before: another thread may find it at once.
            self.mark::<false>(head, LISTED);
            if !table.insert(self, head) {
                self.unmark(head, LISTED);
            }
        }
        Ok(self.tie::<SHARED>(edge, head))
    }

    /// Lists the heads anew.
    pub(crate) fn list_heads(&mut self) {
        let Some(mut table) = self.table.take() else { return };
        table.words.clear();
        table.words.resize_with(self.capacity().next_power_of_two(), AtomicU64::default);
        let mut head = ROOT + 1;
        while (head as usize) < self.used() {
            if self.link(head).has(LISTED) {
                table.insert(self, head);
            }
            head += 1 + self.link(head).count() as u32;
        }
        self.table = Some(table);
    }

    /// Gives a new root what its head knows; whether it has one. `chooser` chose it.
    pub(super) fn settle_root(&self, chooser: usize) -> bool {
        let link = self.link(ROOT);
        if !self.is_graph() || !link.is_expanded() {
            return false;
        }
        let head = link.first() - 1;
        let proven = self.proven(ROOT, chooser);
        let turned =
            |proven: Proven| if link.mover() == chooser { proven } else { proven.turned() };
        self.set_root(self.visits(head), self.sum(head), proven.map(turned));
        true
    }
}

/// Games may leave either end of their hashes poor.
const fn spread(hash: u64) -> u64 {
    mix(hash, 0)
}
