//! 3×3 patterns around an empty point, as `MoGo`'s playouts have them (Gelly, Wang, Munos and
//! Teytaud 2006, "Modification of UCT with Patterns in Monte-Carlo Go"): hane, cuts, moves at the
//! edge.

use std::sync::LazyLock;

use super::board::Board;
use super::cell::Vertex;
use crate::symmetry;

/// The patterns row by row, the point in the middle: `X` the one colour, `O` the other, `.` empty,
/// `#` outside, `?` anything, `x` no `X` (but on the board), `o` no `O` (but on the board). Each
/// holds turned, mirrored, and for either colour to move.
const SHAPES: [&str; 13] = [
    // Hane: around the opponent's stone that has a stone of ours beside it.
    "XOX...???",
    "XO....?.?",
    "XO?X..x.?",
    "XOO...?.?",
    // Cuts: an unprotected one, a peeped one, pushing between two stones.
    "XO?O.o?o?",
    "XO?O.X???",
    "?X?O.Oooo",
    "OX?o.O???",
    // The edge.
    "X.?O.?##?",
    "OX?X.O###",
    "?X?x.O###",
    "?OXX.O###",
    "?XOO.X###",
];

/// For every code of eight neighbours, whether a pattern fits.
static FITS: LazyLock<Box<[bool]>> = LazyLock::new(|| {
    let mut fits = vec![false; 1 << 16].into_boxed_slice();
    for shape in SHAPES {
        for symmetry in 0..symmetry::SQUARE {
            for swapped in [false, true] {
                mark(&mut fits, cells(shape, symmetry, swapped), 0, 0);
            }
        }
    }
    fits
});

/// A shape turned, mirrored and with colours exchanged: what each of the eight neighbours may be,
/// as bits 1 empty, 2 Black, 4 White, 8 outside, in the order of the board's codes.
fn cells(shape: &str, symmetry: usize, swapped: bool) -> [u8; 8] {
    // Rows of the picture, in the order of the codes.
    const AT: [usize; 8] = [1, 3, 5, 7, 0, 2, 6, 8];
    let marks = shape.as_bytes();
    std::array::from_fn(|direction| {
        let place = symmetry::transform(symmetry, 3, 3, AT[direction]);
        let (one, other) = if swapped { (4, 2) } else { (2, 4) };
        match marks[place] {
            b'X' => one,
            b'O' => other,
            b'x' => 7 & !one,
            b'o' => 7 & !other,
            b'.' => 1,
            b'#' => 8,
            _ => 15,
        }
    })
}

/// Marks every code that the cells allow.
fn mark(fits: &mut [bool], cells: [u8; 8], direction: usize, code: usize) {
    if direction == 8 {
        fits[code] = true;
        return;
    }
    for cell in 0..4 {
        if cells[direction] >> cell & 1 == 1 {
            mark(fits, cells, direction + 1, code | cell << (2 * direction));
        }
    }
}

/// The table of patterns, looked up once a playout.
#[derive(Clone, Copy)]
pub(crate) struct Patterns(&'static [bool]);

impl Patterns {
    pub(crate) fn get() -> Self {
        Self(&FITS)
    }

    /// Whether a pattern fits around an empty point.
    #[inline]
    pub(crate) fn fits(self, board: &Board, v: Vertex) -> bool {
        self.0[usize::from(board.code(v))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::{Color, Point};
    use super::*;

    fn fits(rows: [&str; 3]) -> bool {
        let mut board = Board::new(5, 5);
        for (y, row) in rows.iter().enumerate() {
            for (x, mark) in row.chars().enumerate() {
                let v = board.vertex(Point::new(x + 1, y + 1));
                match mark {
                    'X' => drop(board.play(v, Color::Black)),
                    'O' => drop(board.play(v, Color::White)),
                    _ => {}
                }
            }
        }
        Patterns::get().fits(&board, board.vertex(Point::new(2, 2)))
    }

    #[test]
    fn hane_and_cuts_fit_in_all_forms() {
        assert!(fits(["XOX", "...", "..."]));
        assert!(fits(["...", "...", "OXO"]));
        assert!(fits(["X..", "O..", "X.."]));
        assert!(fits(["XO.", "O..", "..."]), "a cut");
        assert!(!fits(["XO.", "O.O", "..."]), "no cut: the stones are joined");
        assert!(!fits(["...", "...", "..."]));
        assert!(!fits(["X..", "...", "..."]));
    }

    #[test]
    fn the_edge_has_its_own() {
        let mut board = Board::new(5, 5);
        board.play(board.vertex(Point::new(1, 1)), Color::Black);
        assert!(!Patterns::get().fits(&board, board.vertex(Point::new(1, 0))));
        board.play(board.vertex(Point::new(0, 1)), Color::White);
        board.play(board.vertex(Point::new(2, 0)), Color::White);
        board.play(board.vertex(Point::new(0, 0)), Color::Black);
        assert!(Patterns::get().fits(&board, board.vertex(Point::new(1, 0))));
    }
}
