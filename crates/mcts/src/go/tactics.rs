//! Reading that a move needs no search for: liberties, also after a move, and ways out of atari.

use super::board::Board;
use super::cell::{EMPTY, Liberties, Marks, Vertex};
use super::point::Color;

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

    /// Whether a stone would stand in atari with its chain, or have no liberty; of what it captures
    /// only the points next to it count.
    #[inline]
    pub(crate) fn is_self_atari(&self, v: Vertex, color: Color) -> bool {
        let code = self.code(v);
        let empty = !(code | code >> 1) & 0x55;
        if empty.count_ones() >= 2 {
            return false;
        }
        let own = color.cell();
        let mut only = Vertex::NONE;
        for n in self.near(v) {
            let cell = self.cell(n);
            let liberty = if cell == EMPTY || (cell == own ^ 3 && self.in_atari(n)) {
                n
            } else if cell == own {
                // The sums of its chain without this point.
                let mut rest = self.pseudo(n);
                for stone in self.near(v) {
                    if self.cell(stone) == own && self.head(stone) == self.head(n) {
                        rest.remove(Liberties::new(v));
                    }
                }
                if rest == Liberties::ZERO {
                    continue;
                }
                if !rest.single() {
                    return false;
                }
                rest.only()
            } else {
                continue;
            };
            if only != Vertex::NONE && only != liberty {
                return false;
            }
            only = liberty;
        }
        true
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    /// The liberties of a new stone's chain, by looking at all of it.
    fn liberties(board: &Board, v: Vertex, color: Color) -> usize {
        let own = color.cell();
        let mut found = BTreeSet::new();
        for n in board.near(v) {
            let cell = board.cell(n);
            if cell == EMPTY || (cell == own ^ 3 && board.in_atari(n)) {
                found.insert(n);
            } else if cell == own {
                let of_chain = board.chain_stones(n).flat_map(|stone| board.near(stone));
                found.extend(of_chain.filter(|&at| at != v && board.cell(at) == EMPTY));
            }
        }
        found.len()
    }

    #[test]
    fn self_atari_is_known_by_sums() {
        let mut counts = [0; 2];
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let mut board = Board::new(2 + seed as usize % 6, 2 + seed as usize % 5);
            for turn in 0..120 {
                let color = if turn % 2 == 0 { Color::Black } else { Color::White };
                let empty: Vec<Vertex> =
                    board.empty_points().iter().map(|&index| Vertex(index)).collect();
                for &v in &empty {
                    let slow = liberties(&board, v, color) < 2;
                    assert_eq!(board.is_self_atari(v, color), slow, "seed {seed}, turn {turn}");
                    counts[usize::from(slow)] += 1;
                }
                let left: Vec<Vertex> =
                    empty.into_iter().filter(|&v| !board.is_suicide(v, color)).collect();
                if !left.is_empty() {
                    board.play(left[random.below_u32(left.len() as u32) as usize], color);
                }
            }
        }
        assert!(counts.iter().all(|&count| count > 1000), "{counts:?}");
    }
}
