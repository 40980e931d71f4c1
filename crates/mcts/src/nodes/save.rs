//! An arena as bytes: its arrays up to what is used, one after another, little-endian.

use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::arena::Arena;
use super::link::Link;

/// Calls a macro with each array that an arena has and the kind of its cells.
macro_rules! arrays {
    ($arena:expr, $each:ident) => {
        $each!($arena.visits, AtomicU32, u32);
        $each!($arena.sums, AtomicI64, i64);
        $each!($arena.links, AtomicU64, u64);
        $each!($arena.actions, AtomicU16, u16);
        $each!($arena.priors, AtomicU32, u32);
        $each!($arena.raw, AtomicU32, u32);
        if $arena.has_second() {
            $each!($arena.second_visits, AtomicU32, u32);
            $each!($arena.second_sums, AtomicI64, i64);
        }
    };
}

impl Arena {
    /// Appends the arrays.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let used = self.used();
        macro_rules! write {
            ($array:expr, $kind:ident, $number:ident) => {
                for cell in &$array[..used] {
                    bytes.extend($kind::load(cell, Ordering::Relaxed).to_le_bytes());
                }
            };
        }
        arrays!(self, write);
    }

    /// An arena of the same kind with so many slots in use; `None` where the bytes are no such.
    pub(crate) fn read(&self, used: u32, mut bytes: &[u8]) -> Option<Self> {
        let mut arena = Self::new(self.has_second(), self.most());
        if self.is_graph() {
            arena.connect();
        }
        // All arrays together have more bytes a slot.
        let is_possible = used > 0 && used as usize <= bytes.len();
        if !is_possible {
            return None;
        }
        arena.grow(used as usize);
        macro_rules! read {
            ($array:expr, $kind:ident, $number:ident) => {
                for cell in &mut $array[..used as usize] {
                    let (number, rest) = bytes.split_first_chunk()?;
                    *cell = $kind::new($number::from_le_bytes(*number));
                    bytes = rest;
                }
            };
        }
        arrays!(arena, read);
        arena.set_used(used);
        bytes.is_empty().then_some(arena)
    }

    /// Whether a slot's children lie among those in use.
    pub(crate) fn holds(&self, link: Link) -> bool {
        let least = 1 + u32::from(self.is_graph());
        link.first() >= least
            && link.count() > 0
            && link.first() as usize + link.count() <= self.used()
            && (!self.is_graph() || self.link(link.first() - 1).count() == link.count())
    }
}
