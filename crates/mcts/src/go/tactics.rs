//! Reading that a move needs no search for: liberties, also after a move, and ways out of atari.

use super::board::Board;
use super::cell::{EMPTY, Marks, Vertex};
use super::point::Color;

/// The most liberties that [`Board::liberties_after`] tells apart.
pub(crate) const MOST_LIBERTIES: usize = 8;

/// A short list of cells without an allocation.
#[derive(Clone, Copy)]
pub(crate) struct Few<const N: usize> {
    cells: [Vertex; N],
    len: usize,
}

impl<const N: usize> Few<N> {
    pub(crate) const fn new() -> Self {
        Self { cells: [Vertex::NONE; N], len: 0 }
    }

    /// Adds a cell that is not there yet, as long as there is room.
    #[inline]
    pub(crate) fn add(&mut self, v: Vertex) {
        if self.len < N && !self.as_slice().contains(&v) {
            self.cells[self.len] = v;
            self.len += 1;
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Vertex] {
        &self.cells[..self.len]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Board {
    /// The distinct liberties of a stone's chain, counted up to `limit`.
    pub(crate) fn count_liberties(&self, v: Vertex, limit: usize) -> usize {
        let mut seen = Marks::default();
        let mut count = 0;
        for stone in self.chain_stones(v) {
            for n in self.near(stone) {
                if self.cell(n) == EMPTY && seen.insert(n) {
                    count += 1;
                    if count >= limit {
                        return count;
                    }
                }
            }
        }
        count
    }

    /// Up to two distinct liberties of a stone's chain, and whether it has more.
    pub(crate) fn two_liberties(&self, v: Vertex) -> ([Vertex; 2], usize) {
        let mut found = [Vertex::NONE; 2];
        let mut count = 0;
        for stone in self.chain_stones(v) {
            for n in self.near(stone) {
                if self.cell(n) == EMPTY && !found[..count].contains(&n) {
                    if count == 2 {
                        return (found, 3);
                    }
                    found[count] = n;
                    count += 1;
                }
            }
        }
        (found, count)
    }

    /// How many liberties the chain of a new stone has, counted up to `limit` (at most
    /// [`MOST_LIBERTIES`]); of what it captures only the points next to the stone count.
    #[inline]
    pub(crate) fn liberties_after(&self, v: Vertex, color: Color, limit: usize) -> usize {
        let mut found = Few::<MOST_LIBERTIES>::new();
        let own = color.cell();
        for n in self.near(v) {
            let cell = self.cell(n);
            if cell == EMPTY || (cell == own ^ 3 && self.in_atari(n)) {
                found.add(n);
            }
        }
        for n in self.near(v) {
            if self.cell(n) != own || self.in_atari(n) {
                continue;
            }
            for stone in self.chain_stones(n) {
                for liberty in self.near(stone) {
                    if liberty != v && self.cell(liberty) == EMPTY {
                        found.add(liberty);
                    }
                }
                if found.len() >= limit {
                    return limit;
                }
            }
        }
        found.len().min(limit)
    }

    /// Whether a stone would stand in atari with its chain.
    #[inline]
    pub(crate) fn is_self_atari(&self, v: Vertex, color: Color) -> bool {
        let code = self.code(v);
        let empty = !(code | code >> 1) & 0x55;
        empty.count_ones() < 2 && self.liberties_after(v, color, 2) < 2
    }

    /// The liberties of enemy chains in atari that touch a chain: moves that take them.
    pub(crate) fn counter_captures(&self, chain: Vertex) -> Few<4> {
        let mut moves = Few::new();
        let enemy = self.cell(chain) ^ 3;
        for stone in self.chain_stones(chain) {
            for n in self.near(stone) {
                if self.cell(n) == enemy && self.in_atari(n) {
                    moves.add(self.pseudo(n).only());
                }
            }
        }
        moves
    }
}

/// The colour of a stone's cell.
#[inline]
pub(crate) fn cell_color(cell: u8) -> Color {
    if cell == Color::Black.cell() { Color::Black } else { Color::White }
}
