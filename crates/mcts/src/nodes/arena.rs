//! Where a tree is stored: a struct of arrays, one slot a node, the children of a node side by side.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::graph::Table;
use super::link::{Link, PROVEN};
use super::proven::Proven;

/// The slot of the root.
pub(crate) const ROOT: u32 = 0;

/// Units in the most that a value can be. Sums of values are integers of that unit: additions are
/// exact, whatever their order, and no sum of 2³¹ values of twice the most overflows.
const UNITS: f64 = (1_u64 << 30) as f64;

/// Alone in its cache lines: what a thread writes here does not slow down what others read beside.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

/// All nodes of a tree.
///
/// Statistics of a slot are seen by the player who chose it, that is, by the mover of its parent;
/// those of the root by its own mover. Every method takes `&self` so that threads can share a
/// tree; `SHARED` says whether they do. Without, an update is a plain load and store.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(super) visits: Vec<AtomicU32>,
    pub(super) sums: Vec<AtomicI64>,
    pub(super) links: Vec<AtomicU64>,
    pub(super) actions: Vec<AtomicU16>,
    /// Bits of an `f32`.
    pub(super) priors: Vec<AtomicU32>,
    /// What the evaluator said of the node itself, for its own mover; bits of an `f32`. Of an edge of
    /// a graph: how many simulations on their way it counts.
    pub(super) raw: Vec<AtomicU32>,
    /// A second statistic beside the first; empty where it is not used.
    pub(super) second_visits: Vec<AtomicU32>,
    pub(super) second_sums: Vec<AtomicI64>,
    /// Of a graph: where positions are found again.
    pub(super) table: Option<Table>,
    used: Apart<AtomicU32>,
    /// How many slots the last group had that did not fit; 0 where all did.
    full: Apart<AtomicU32>,
    /// The most that a value can be, in size.
    most: f32,
    /// How many units 1 is.
    scale: f64,
}

impl Clone for Arena {
    fn clone(&self) -> Self {
        macro_rules! copy {
            ($kind:ident, $array:ident) => {
                self.$array.iter().map(|cell| $kind::new(cell.load(Ordering::Relaxed))).collect()
            };
        }
        let single =
            |cell: &Apart<AtomicU32>| Apart(AtomicU32::new(cell.0.load(Ordering::Relaxed)));
        Self {
            visits: copy!(AtomicU32, visits),
            sums: copy!(AtomicI64, sums),
            links: copy!(AtomicU64, links),
            actions: copy!(AtomicU16, actions),
            priors: copy!(AtomicU32, priors),
            raw: copy!(AtomicU32, raw),
            second_visits: copy!(AtomicU32, second_visits),
            second_sums: copy!(AtomicI64, second_sums),
            table: self.table.clone(),
            used: single(&self.used),
            full: single(&self.full),
            most: self.most,
            scale: self.scale,
        }
    }
}

/// Nothing was free for the children of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

macro_rules! add {
    ($shared:expr, $cell:expr, $amount:expr) => {
        if $shared {
            // An atomic addition costs much, one of nothing too.
            if $amount != 0 {
                $cell.fetch_add($amount, Ordering::Relaxed);
            }
        } else {
            $cell.store($cell.load(Ordering::Relaxed).wrapping_add($amount), Ordering::Relaxed);
        }
    };
}

impl Arena {
    /// An arena with an empty root; `second` says whether it keeps a second statistic.
    pub(crate) fn new(second: bool, most: f32) -> Self {
        let mut arena = Self {
            visits: Vec::new(),
            sums: Vec::new(),
            links: Vec::new(),
            actions: Vec::new(),
            priors: Vec::new(),
            raw: Vec::new(),
            second_visits: Vec::new(),
            second_sums: Vec::new(),
            table: None,
            used: Apart(AtomicU32::new(1)),
            full: Apart(AtomicU32::new(0)),
            most,
            scale: UNITS / f64::from(most),
        };
        if second {
            arena.second_visits.push(AtomicU32::new(0));
            arena.second_sums.push(AtomicI64::new(0));
        }
        arena.grow(64);
        arena
    }

    /// How many slots are taken.
    pub(crate) fn used(&self) -> usize {
        (self.used.0.load(Ordering::Relaxed) as usize).min(self.capacity())
    }

    /// Takes so many slots in all.
    pub(super) fn set_used(&self, used: u32) {
        self.used.0.store(used, Ordering::Relaxed);
    }

    /// How many slots there are.
    pub(crate) fn capacity(&self) -> usize {
        self.visits.len()
    }

    /// Makes room for so many slots in all.
    pub(crate) fn grow(&mut self, capacity: usize) {
        let capacity = capacity.min(u32::MAX as usize / 2);
        self.full.0.store(0, Ordering::Relaxed);
        if capacity <= self.capacity() {
            return;
        }
        self.visits.resize_with(capacity, AtomicU32::default);
        self.sums.resize_with(capacity, AtomicI64::default);
        self.links.resize_with(capacity, AtomicU64::default);
        self.actions.resize_with(capacity, AtomicU16::default);
        self.priors.resize_with(capacity, AtomicU32::default);
        self.raw.resize_with(capacity, AtomicU32::default);
        if self.has_second() {
            self.second_visits.resize_with(capacity, AtomicU32::default);
            self.second_sums.resize_with(capacity, AtomicI64::default);
        }
        self.list_heads();
    }

    /// The most that a value can be, in size.
    pub(crate) const fn most(&self) -> f32 {
        self.most
    }

    /// A value as a number of units.
    #[inline]
    pub(crate) fn units(&self, value: f32) -> i64 {
        (f64::from(value) * self.scale) as i64
    }

    /// A sum of units as a mean; 0 without visits.
    #[inline]
    pub(crate) fn mean_of(&self, sum: i64, visits: u32) -> f32 {
        if visits == 0 { 0.0 } else { (sum as f64 / (self.scale * f64::from(visits))) as f32 }
    }

    /// How many slots the last group had that did not fit; 0 where all did.
    pub(crate) fn full(&self) -> usize {
        self.full.0.load(Ordering::Relaxed) as usize
    }

    /// Empties the tree and keeps the memory; values are at most so large from now on.
    pub(crate) fn clear(&mut self, most: f32) {
        (self.most, self.scale) = (most, UNITS / f64::from(most));
        self.full.0.store(0, Ordering::Relaxed);
        self.used.0.store(1, Ordering::Relaxed);
        self.reset(ROOT, 0, 1.0);
        if let Some(table) = &mut self.table {
            table.clear();
        }
    }

    pub(crate) fn has_second(&self) -> bool {
        !self.second_visits.is_empty()
    }

    #[inline]
    pub(crate) fn visits(&self, slot: u32) -> u32 {
        self.visits[slot as usize].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn sum(&self, slot: u32) -> i64 {
        self.sums[slot as usize].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn action(&self, slot: u32) -> u16 {
        self.actions[slot as usize].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn prior(&self, slot: u32) -> f32 {
        f32::from_bits(self.priors[slot as usize].load(Ordering::Relaxed))
    }

    pub(crate) fn set_prior(&self, slot: u32, prior: f32) {
        self.priors[slot as usize].store(prior.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn raw(&self, slot: u32) -> f32 {
        f32::from_bits(self.raw[slot as usize].load(Ordering::Relaxed))
    }

    pub(crate) fn set_raw(&self, slot: u32, value: f32) {
        self.raw[slot as usize].store(value.to_bits(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn link(&self, slot: u32) -> Link {
        Link(self.links[slot as usize].load(Ordering::Acquire))
    }

    /// Sets bits of a link and says what it was before.
    #[inline]
    pub(crate) fn mark<const SHARED: bool>(&self, slot: u32, bits: u64) -> Link {
        let cell = &self.links[slot as usize];
        Link(if SHARED {
            cell.fetch_or(bits, Ordering::AcqRel)
        } else {
            let before = cell.load(Ordering::Relaxed);
            cell.store(before | bits, Ordering::Relaxed);
            before
        })
    }

    /// Takes bits of a link away.
    pub(crate) fn unmark(&self, slot: u32, bits: u64) {
        self.links[slot as usize].fetch_and(!bits, Ordering::AcqRel);
    }

    /// Adds visits (modulo 2³²: a negative number in two's complement takes away) and units.
    #[inline]
    pub(crate) fn add<const SHARED: bool>(&self, slot: u32, visits: u32, units: i64) {
        add!(SHARED, self.visits[slot as usize], visits);
        add!(SHARED, self.sums[slot as usize], units);
    }

    /// Adds a value to the second statistic.
    pub(crate) fn add_second<const SHARED: bool>(&self, slot: u32, units: i64) {
        add!(SHARED, self.second_visits[slot as usize], 1);
        add!(SHARED, self.second_sums[slot as usize], units);
    }

    /// The mean value of a slot; 0 without visits.
    #[inline]
    pub(crate) fn mean(&self, slot: u32) -> f32 {
        self.mean_of(self.sum(slot), self.visits(slot))
    }

    /// The statistics of a group of slots: visits and sums.
    #[inline]
    pub(crate) fn group(&self, first: u32, count: usize) -> (&[AtomicU32], &[AtomicI64]) {
        let range = first as usize..first as usize + count;
        (&self.visits[range.clone()], &self.sums[range])
    }

    /// Visits and mean of the second statistic; (0, 0) where none is kept.
    pub(crate) fn second(&self, slot: u32) -> (u32, f32) {
        match self.second_visits.get(slot as usize) {
            Some(visits) => {
                let visits = visits.load(Ordering::Relaxed);
                let sum = self.second_sums[slot as usize].load(Ordering::Relaxed);
                (visits, self.mean_of(sum, visits))
            }
            None => (0, 0.0),
        }
    }

    /// Gives a node its children, each with an action and a prior.
    #[inline]
    pub(crate) fn expand<const SHARED: bool>(
        &self,
        slot: u32,
        mover: u8,
        flags: u64,
        children: impl ExactSizeIterator<Item = (u16, f32)>,
    ) -> Result<Link, Full> {
        let count = children.len() as u16;
        let first = self.place::<SHARED>(children)?;
        let bits = Link::expanded(first, count, mover) | flags;
        Ok(Link(self.mark::<SHARED>(slot, bits).0 | bits))
    }

    /// Slots side by side for children, each with an action and a prior; of a graph, after one for
    /// their head. The first child.
    #[inline]
    pub(super) fn place<const SHARED: bool>(
        &self,
        children: impl ExactSizeIterator<Item = (u16, f32)>,
    ) -> Result<u32, Full> {
        let heads = u32::from(self.is_graph());
        let count = children.len() + heads as usize;
        let used = if SHARED {
            self.used.0.fetch_add(count as u32, Ordering::Relaxed)
        } else {
            self.used.0.load(Ordering::Relaxed)
        };
        if used as usize + count > self.capacity() {
            if SHARED {
                self.used.0.fetch_sub(count as u32, Ordering::Relaxed);
                self.full.0.store(count as u32, Ordering::Relaxed);
            }
            return Err(Full);
        }
        if !SHARED {
            self.used.0.store(used + count as u32, Ordering::Relaxed);
        }
        let first = used + heads;
        for (child, (action, prior)) in (first..).zip(children) {
            self.reset(child, action, prior);
        }
        Ok(first)
    }

    /// Links a slot to children, unless it has some.
    pub(super) fn set_children(&self, slot: u32, bits: u64) -> Result<Link, Link> {
        let set = |link| (!Link(link).is_expanded()).then_some(link | bits);
        let before =
            self.links[slot as usize].fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
        before.map(|link| Link(link | bits)).map_err(Link)
    }

    #[inline]
    pub(super) fn reset(&self, slot: u32, action: u16, prior: f32) {
        let slot = slot as usize;
        self.visits[slot].store(0, Ordering::Relaxed);
        self.sums[slot].store(0, Ordering::Relaxed);
        self.links[slot].store(0, Ordering::Relaxed);
        self.actions[slot].store(action, Ordering::Relaxed);
        self.priors[slot].store(prior.to_bits(), Ordering::Relaxed);
        self.raw[slot].store(0, Ordering::Relaxed);
        if self.has_second() {
            self.second_visits[slot].store(0, Ordering::Relaxed);
            self.second_sums[slot].store(0, Ordering::Relaxed);
        }
    }

    /// Takes children of a node away whose actions are not to be kept.
    pub(crate) fn restrict(&self, slot: u32, keeps: impl Fn(u16) -> bool) {
        let link = self.link(slot);
        let mut to = link.first();
        for child in link.children() {
            if keeps(self.action(child)) {
                self.copy(child, to);
                to += 1;
            }
        }
        let count = (to - link.first()) as u16;
        self.links[slot as usize].store(link.of_count(count).0, Ordering::Relaxed);
    }

    /// Makes a node the root and keeps only what lies below it and has a parent with at least
    /// `least` visits. Nothing is copied elsewhere: groups of children move down to where room
    /// came free.
    pub(crate) fn keep(&mut self, root: u32, least: u32) {
        // Live groups, as often as a slot leads to them: first slot, number of slots, the slot that
        // leads there.
        let mut groups = Vec::new();
        self.walk(root, least, |slot, link, is_kept, proven| {
            if is_kept {
                let (first, count) = self.block(link);
                groups.push((first, count, slot));
            } else {
                // A leaf again; what it has learned stays, its proof too.
                let bits = link.folded().0 | proven.map_or(0, Link::proof);
                self.links[slot as usize].store(bits, Ordering::Relaxed);
            }
        });
        groups.sort_unstable();
        // Children lie above their parents, so every group moves down or stays.
        let (mut free, mut moves) = (1, Vec::new());
        for &(first, count, slot) in &groups {
            if moves.last().is_none_or(|&(last, _, _)| last != first) {
                moves.push((first, free, count));
                free += count;
            }
            let link = self.link(slot);
            let to = free - count + link.first() - first;
            self.links[slot as usize].store(link.moved_to(to).0, Ordering::Relaxed);
        }
        self.copy(root, ROOT);
        for (from, to, count) in moves {
            for offset in 0..count {
                self.copy(from + offset, to + offset);
            }
        }
        self.used.0.store(free, Ordering::Relaxed);
        self.list_heads();
    }

    /// How many slots would stay under [`Arena::keep`] with the root as it is.
    pub(crate) fn kept(&self, least: u32) -> usize {
        let mut kept = 1;
        let mut seen = HashSet::new();
        self.walk(ROOT, least, |_, link, is_kept, _| {
            let (first, count) = self.block(link);
            if is_kept && (!self.is_graph() || seen.insert(first)) {
                kept += count as usize;
            }
        });
        kept
    }

    /// The slots of a group: the first, and how many there are.
    fn block(&self, link: Link) -> (u32, u32) {
        if self.is_graph() {
            let head = link.first() - 1;
            return (head, 1 + self.link(head).count() as u32);
        }
        (link.first(), link.count() as u32)
    }

    /// Looks at every expanded slot below a root, a group of a graph as often as a slot leads to it:
    /// whether it has `least` visits, and what is proven about it. Below others it does not look.
    fn walk(&self, root: u32, least: u32, mut see: impl FnMut(u32, Link, bool, Option<Proven>)) {
        let mut seen = HashSet::new();
        let mut open = vec![(root, self.link(root).mover())];
        while let Some((slot, chooser)) = open.pop() {
            let link = self.link(slot);
            if !link.is_expanded() {
                continue;
            }
            let is_kept = slot == root || self.visits(self.node(slot, link).0) >= least;
            if is_kept && (!self.is_graph() || seen.insert(link.first())) {
                open.extend(link.children().map(|child| (child, link.mover())));
            }
            see(slot, link, is_kept, self.proven(slot, chooser));
        }
    }

    /// Sees the statistics of the root with the eyes of its own mover; where the players' values do
    /// not sum to zero, through its children.
    pub(crate) fn turn_root(&self, chooser: usize, mover: usize, sums_to_zero: bool) {
        if self.settle_root(chooser) || chooser == mover {
            return;
        }
        let mut sum = -self.sum(ROOT);
        if !sums_to_zero {
            sum = self.sum_of_children(self.link(ROOT), ROOT);
        } else if self.has_second() {
            let second = self.second_sums[0].load(Ordering::Relaxed);
            self.second_sums[0].store(-second, Ordering::Relaxed);
        }
        self.sums[0].store(sum, Ordering::Relaxed);
        let link = self.link(ROOT);
        self.links[0].store(link.turned().0, Ordering::Relaxed);
    }

    /// The sum of a node's visits for its own mover: what the children say, and for the rest the
    /// node's own value.
    pub(crate) fn sum_of_children(&self, link: Link, slot: u32) -> i64 {
        let visits: u32 = link.children().map(|child| self.visits(child)).sum();
        let rest = self.visits(slot).saturating_sub(visits);
        let children = link.children().map(|child| self.sum(child)).sum::<i64>();
        children + self.units(self.raw(slot)) * i64::from(rest)
    }

    /// Sets what the root knows of itself, for its own mover.
    pub(super) fn set_root(&self, visits: u32, sum: i64, proven: Option<Proven>) {
        self.visits[0].store(visits, Ordering::Relaxed);
        self.sums[0].store(sum, Ordering::Relaxed);
        self.unmark(ROOT, PROVEN);
        self.mark::<false>(ROOT, proven.map_or(0, Link::proof));
    }

    /// Counts simulations on their way through an edge of a graph, modulo 2³².
    pub(crate) fn add_on_way<const SHARED: bool>(&self, slot: u32, count: u32) {
        add!(SHARED, self.raw[slot as usize], count);
    }

    /// How many simulations are on their way through an edge of a graph.
    pub(crate) fn on_way(&self, slot: u32) -> u32 {
        self.raw[slot as usize].load(Ordering::Relaxed)
    }

    fn copy(&self, from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        if from == to {
            return;
        }
        macro_rules! copy {
            ($($array:ident),*) => {$(
                self.$array[to].store(self.$array[from].load(Ordering::Relaxed), Ordering::Relaxed);
            )*};
        }
        copy!(visits, sums, links, actions, priors, raw);
        if self.has_second() {
            copy!(second_visits, second_sums);
        }
    }
}
