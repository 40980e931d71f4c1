//! Where a tree is stored: a struct of arrays, one slot a node, the children of a node side by side.

use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::link::Link;

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
    visits: Vec<AtomicU32>,
    sums: Vec<AtomicI64>,
    links: Vec<AtomicU64>,
    actions: Vec<AtomicU16>,
    /// Bits of an `f32`.
    priors: Vec<AtomicU32>,
    /// What the evaluator said of the node itself, for its own mover; bits of an `f32`.
    raw: Vec<AtomicU32>,
    /// A second statistic beside the first; empty where it is not used.
    second_visits: Vec<AtomicU32>,
    second_sums: Vec<AtomicI64>,
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
        let count = children.len();
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
        for (child, (action, prior)) in (used..).zip(children) {
            self.reset(child, action, prior);
        }
        let bits = Link::expanded(used, count as u16, mover) | flags;
        Ok(Link(self.mark::<SHARED>(slot, bits).0 | bits))
    }

    #[inline]
    fn reset(&self, slot: u32, action: u16, prior: f32) {
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
        // Live groups: first slot, number of slots, slot of the parent.
        let mut groups = Vec::new();
        let mut open = vec![root];
        while let Some(slot) = open.pop() {
            let link = self.link(slot);
            if !link.is_expanded() {
                continue;
            }
            if slot != root && self.visits(slot) < least {
                // A leaf again; what it has learned stays, its proof too.
                self.links[slot as usize].store(link.folded().0, Ordering::Relaxed);
                continue;
            }
            groups.push((link.first(), link.count(), slot));
            open.extend(link.children());
        }
        groups.sort_unstable();
        // Children lie above their parents, so every group moves down or stays.
        let mut free = 1;
        for &(_, count, parent) in &groups {
            let link = self.link(parent).moved_to(free);
            self.links[parent as usize].store(link.0, Ordering::Relaxed);
            free += count as u32;
        }
        self.copy(root, ROOT);
        let mut free = 1;
        for &(first, count, _) in &groups {
            for offset in 0..count as u32 {
                self.copy(first + offset, free + offset);
            }
            free += count as u32;
        }
        self.used.0.store(free, Ordering::Relaxed);
    }

    /// How many slots would stay under [`Arena::keep`] with the root as it is.
    pub(crate) fn kept(&self, least: u32) -> usize {
        let mut kept = 1;
        let mut open = vec![ROOT];
        while let Some(slot) = open.pop() {
            let link = self.link(slot);
            if link.is_expanded() && (slot == ROOT || self.visits(slot) >= least) {
                kept += link.count();
                open.extend(link.children());
            }
        }
        kept
    }

    /// Sees the statistics of the root with the eyes of its own mover; where the players' values do
    /// not sum to zero, through its children.
    pub(crate) fn turn_root(&self, chooser: usize, mover: usize, sums_to_zero: bool) {
        if chooser == mover {
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
