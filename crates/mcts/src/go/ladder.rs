//! Ladders: chains that are chased with atari at every move.

use super::board::Board;
use super::cell::{EMPTY, Vertex};
use super::point::Point;
use super::tactics::cell_color;

/// Positions that reading one ladder may look at; then the chain counts as safe.
const NODES: u32 = 300;

/// Plies of the longest ladder: two and a half times across 19×19.
const PLIES: usize = 100;

/// Reads ladders; the positions on the way are kept and used again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ladders {
    /// The position after each ply; the first is the one asked about.
    line: Vec<Board>,
    nodes: u32,
}

impl Board {
    /// Whether the attacker, who is to move, captures the chain on a point in a ladder: by
    /// threats to take it at every move. The chain has two liberties, or one.
    ///
    /// Reading is given up after a few hundred positions: then the chain counts as safe.
    pub fn is_ladder(&self, chain: Point) -> bool {
        self.stone(chain).is_some() && Ladders::default().attack(self, self.vertex(chain)).is_some()
    }
}

impl Ladders {
    /// The first move of a ladder that captures a chain of one or two liberties, with the attacker
    /// to move.
    pub(crate) fn attack(&mut self, board: &Board, prey: Vertex) -> Option<Vertex> {
        let (liberties, count) = board.two_liberties(prey);
        match count {
            1 => Some(liberties[0]),
            2 => liberties.into_iter().find(|&v| self.captures(board, prey, v)),
            _ => None,
        }
    }

    /// Whether a stone on a liberty begins a ladder that captures a chain of two liberties.
    pub(crate) fn captures(&mut self, board: &Board, prey: Vertex, v: Vertex) -> bool {
        self.set(board);
        self.attack_works(0, prey, v)
    }

    /// Whether a chain in atari, with its owner to move, gets away by this move.
    pub(crate) fn escapes(&mut self, board: &Board, prey: Vertex, v: Vertex) -> bool {
        self.set(board);
        self.defence_works(0, prey, v)
    }

    fn set(&mut self, board: &Board) {
        self.nodes = NODES;
        match self.line.first_mut() {
            Some(first) => first.clone_from(board),
            None => self.line.push(board.clone()),
        }
    }

    /// Copies the position of a ply to the next; `None` where reading is given up.
    fn next(&mut self, ply: usize) -> Option<&mut Board> {
        self.nodes = self.nodes.checked_sub(1)?;
        if ply >= PLIES {
            return None;
        }
        if self.line.len() == ply + 1 {
            self.line.push(self.line[ply].clone());
        } else {
            let (before, after) = self.line.split_at_mut(ply + 1);
            after[0].clone_from(&before[ply]);
        }
        Some(&mut self.line[ply + 1])
    }

    /// Whether a stone on a liberty leads to the capture of a chain of two liberties.
    fn attack_works(&mut self, ply: usize, prey: Vertex, v: Vertex) -> bool {
        let Some(board) = self.next(ply) else { return false };
        let attacker = cell_color(board.cell(prey)).opponent();
        if v == board.ko_vertex() || board.is_suicide(v, attacker) {
            return false;
        }
        board.play(v, attacker);
        if board.cell(prey) == EMPTY || !board.in_atari(prey) {
            return false;
        }
        let extend = board.pseudo(prey).only();
        let captures = board.counter_captures(prey);
        let ply = ply + 1;
        let escapes = captures.as_slice().iter().any(|&v| self.defence_works(ply, prey, v));
        !escapes && !self.defence_works(ply, prey, extend)
    }

    /// Whether a move of a chain in atari saves it.
    fn defence_works(&mut self, ply: usize, prey: Vertex, v: Vertex) -> bool {
        let Some(board) = self.next(ply) else { return true };
        let defender = cell_color(board.cell(prey));
        if v == board.ko_vertex() || board.is_suicide(v, defender) {
            return false;
        }
        board.play(v, defender);
        let (liberties, count) = board.two_liberties(prey);
        match count {
            0 | 1 => false,
            2 => !liberties.into_iter().any(|at| self.attack_works(ply + 1, prey, at)),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::Color;
    use super::*;

    /// A white stone on the third line with black stones around, and perhaps a
    /// ladder breaker.
    fn chased(breaker: bool) -> Board {
        let mut board = Board::new(9, 9);
        let stones = [(2, 2, Color::White), (1, 2, Color::Black), (2, 1, Color::Black)];
        for (x, y, color) in stones.into_iter().chain([(3, 1, Color::Black)]) {
            board.play(board.vertex(Point::new(x, y)), color);
        }
        if breaker {
            board.play(board.vertex(Point::new(6, 6)), Color::White);
        }
        board
    }

    #[test]
    fn a_ladder_runs_to_the_edge_unless_it_is_broken() {
        let chain = Point::new(2, 2);
        assert!(chased(false).is_ladder(chain));
        assert!(!chased(true).is_ladder(chain));
        assert!(!chased(false).is_ladder(Point::new(3, 1)), "black has liberties enough");
        assert!(!chased(false).is_ladder(Point::new(8, 8)), "nothing is there");
    }

    #[test]
    fn a_chain_in_atari_escapes_by_taking_the_attacker() {
        let mut board = Board::new(5, 5);
        for (x, y, color) in [(0, 0, Color::White), (1, 0, Color::Black), (1, 1, Color::White)] {
            board.play(board.vertex(Point::new(x, y)), color);
        }
        let prey = board.vertex(Point::new(1, 0));
        assert!(board.in_atari(prey));
        let take = board.vertex(Point::new(0, 1));
        assert_eq!(board.counter_captures(prey).as_slice(), [take]);
        assert!(Ladders::default().escapes(&board, prey, board.vertex(Point::new(2, 0))));
    }
}
