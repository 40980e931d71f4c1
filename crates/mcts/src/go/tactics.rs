//! Reading that a move needs no search for: liberties after a move, ways out of atari, ladders.

use super::board::Board;
use super::cell::{EMPTY, Vertex};
use super::point::{Color, Point};

/// The most liberties that [`Board::liberties_after`] tells apart.
pub(crate) const MOST_LIBERTIES: usize = 8;

/// Positions that reading one ladder may look at.
const LADDER_NODES: u32 = 400;

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

    /// Whether the attacker, who is to move, captures the chain on a point in a ladder: by
    /// threats to take it at every move. The chain has two liberties, or one.
    ///
    /// Long ladders are given up after a few hundred positions: then the chain counts as safe.
    pub fn is_ladder(&self, chain: Point) -> bool {
        self.stone(chain).is_some() && self.ladder_attack(self.vertex(chain)).is_some()
    }

    /// The first move of a ladder that captures a chain of one or two liberties, with the attacker
    /// to move.
    pub(crate) fn ladder_attack(&self, prey: Vertex) -> Option<Vertex> {
        let (liberties, count) = self.two_liberties(prey);
        match count {
            1 => Some(liberties[0]),
            2 => {
                let mut nodes = LADDER_NODES;
                liberties.into_iter().find(|&v| self.attack_works(prey, v, &mut nodes))
            }
            _ => None,
        }
    }

    /// Whether the chain, in atari and to move, gets away by this move.
    pub(crate) fn ladder_escape(&self, prey: Vertex, v: Vertex) -> bool {
        let mut nodes = LADDER_NODES;
        self.defence_works(prey, v, &mut nodes)
    }

    /// Whether a stone on a liberty leads to the capture of a chain of two liberties.
    fn attack_works(&self, prey: Vertex, v: Vertex, nodes: &mut u32) -> bool {
        let attacker = cell_color(self.cell(prey)).opponent();
        if *nodes == 0 || v == self.ko_vertex() || self.is_suicide(v, attacker) {
            return false;
        }
        *nodes -= 1;
        let mut board = self.clone();
        board.play(v, attacker);
        board.cell(prey) != EMPTY && board.in_atari(prey) && !board.can_escape(prey, nodes)
    }

    /// Whether a chain in atari, to move, gets away.
    fn can_escape(&self, prey: Vertex, nodes: &mut u32) -> bool {
        let captures = self.counter_captures(prey);
        captures.as_slice().iter().any(|&v| self.defence_works(prey, v, nodes))
            || self.defence_works(prey, self.pseudo(prey).only(), nodes)
    }

    /// Whether a move of a chain in atari saves it.
    fn defence_works(&self, prey: Vertex, v: Vertex, nodes: &mut u32) -> bool {
        let defender = cell_color(self.cell(prey));
        if *nodes == 0 {
            return true;
        }
        *nodes -= 1;
        if v == self.ko_vertex() || self.is_suicide(v, defender) {
            return false;
        }
        let mut board = self.clone();
        board.play(v, defender);
        let (liberties, count) = board.two_liberties(prey);
        match count {
            0 | 1 => false,
            2 => !liberties.into_iter().any(|at| board.attack_works(prey, at, nodes)),
            _ => true,
        }
    }
}

/// The colour of a stone's cell.
#[inline]
pub(crate) fn cell_color(cell: u8) -> Color {
    if cell == Color::Black.cell() { Color::Black } else { Color::White }
}
