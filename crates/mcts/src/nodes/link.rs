//! The word that ties a node to its children and says what is known about it.

use super::proven::Proven;

/// 63..32 the first child, 31..16 how many there are, 15..8 the mover, 7..0 flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) u64);

/// The node has children.
pub(crate) const EXPANDED: u64 = 1;
/// The node waits for its priors.
pub(crate) const EXPANDING: u64 = 2;
/// Chance acts at the node.
pub(crate) const CHANCE: u64 = 4;
/// A child is proven.
pub(crate) const SOLVED_CHILD: u64 = 8;
/// A net has seen the node.
pub(crate) const NET: u64 = 64;
/// The position can be found by its hash.
pub(crate) const LISTED: u64 = 128;

/// What is proven about the node.
pub(crate) const PROVEN: u64 = 48;

impl Link {
    pub(crate) const fn expanded(first: u32, count: u16, mover: u8) -> u64 {
        (first as u64) << 32 | (count as u64) << 16 | (mover as u64) << 8 | EXPANDED
    }

    pub(crate) const fn proof(proven: Proven) -> u64 {
        match proven {
            Proven::Loss => 16,
            Proven::Draw => 32,
            Proven::Win => 48,
        }
    }

    #[inline]
    pub(crate) const fn first(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(crate) const fn count(self) -> usize {
        (self.0 >> 16) as u16 as usize
    }

    /// The slots of the children; empty for a leaf.
    #[inline]
    pub(crate) const fn children(self) -> std::ops::Range<u32> {
        self.first()..self.first() + self.count() as u32
    }

    #[inline]
    pub(crate) const fn mover(self) -> usize {
        (self.0 >> 8) as u8 as usize
    }

    #[inline]
    pub(crate) const fn is_expanded(self) -> bool {
        self.0 & EXPANDED != 0
    }

    #[inline]
    pub(crate) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    pub(crate) const fn proven(self) -> Option<Proven> {
        match self.0 & PROVEN {
            16 => Some(Proven::Loss),
            32 => Some(Proven::Draw),
            48 => Some(Proven::Win),
            _ => None,
        }
    }

    /// The link without its children.
    pub(crate) const fn folded(self) -> Self {
        Self(self.0 & (PROVEN | NET))
    }

    /// With what another link to the same children knows of them.
    pub(crate) const fn with_known_of(self, other: Self) -> Self {
        Self(self.0 | other.0 & SOLVED_CHILD)
    }

    pub(crate) const fn moved_to(self, first: u32) -> Self {
        Self(self.0 & 0xFFFF_FFFF | (first as u64) << 32)
    }

    pub(crate) const fn of_count(self, count: u16) -> Self {
        Self(self.0 & !(0xFFFF << 16) | (count as u64) << 16)
    }

    /// The proof for the other player.
    pub(crate) const fn turned(self) -> Self {
        match self.proven() {
            Some(proven) => Self(self.0 & !PROVEN | Self::proof(proven.turned())),
            None => self,
        }
    }
}
