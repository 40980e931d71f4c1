//! Cells of the padded board, sets of cells, and the liberties of a chain as sums.

/// The length of the arrays: a power of two, so that indices are masked and never checked.
pub(crate) const CELLS: usize = 512;

/// A cell without a stone.
pub(crate) const EMPTY: u8 = 0;
/// A cell outside the board.
pub(crate) const OFF: u8 = 3;

/// A cell of the padded board, numbered row by row with one border column between rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Vertex(pub(crate) u16);

impl Vertex {
    /// No cell: the corner of the border.
    pub(crate) const NONE: Self = Self(0);

    /// The index into an array of [`CELLS`].
    #[inline]
    pub(crate) fn at(self) -> usize {
        usize::from(self.0) & (CELLS - 1)
    }
}

/// Pseudo-liberties of a chain: count (12 bits), sum (20 bits), sum of squares (32 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Liberties(u64);

impl Liberties {
    pub(crate) const ZERO: Self = Self(0);

    #[inline]
    pub(crate) fn new(vertex: Vertex) -> Self {
        let v = u64::from(vertex.0);
        Self(1 | v << 12 | (v * v) << 32)
    }

    #[inline]
    pub(crate) fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    #[inline]
    pub(crate) fn remove(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }

    /// Whether all pseudo-liberties are one and the same point.
    #[inline]
    pub(crate) fn single(self) -> bool {
        let count = self.0 & 0xFFF;
        let sum = self.0 >> 12 & 0xF_FFFF;
        let squares = self.0 >> 32;
        count * squares == sum * sum && count > 0
    }

    /// The only liberty of a chain in atari.
    #[inline]
    pub(crate) fn only(self) -> Vertex {
        let count = self.0 & 0xFFF;
        let sum = self.0 >> 12 & 0xF_FFFF;
        Vertex((sum / count.max(1)) as u16)
    }
}

/// A set of cells.
#[derive(Clone, Copy, Default)]
pub(crate) struct Marks([u64; CELLS / 64]);

impl Marks {
    /// Whether the cell was not in the set before.
    #[inline]
    pub(crate) fn insert(&mut self, v: Vertex) -> bool {
        let (word, bit) = (v.at() / 64, 1 << (v.at() % 64));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}
