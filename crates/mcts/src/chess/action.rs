//! `AlphaZero`'s numbers of moves: 73 planes of 64 squares, seen by the side to move.

use cozy_chess::{Board, Color, File, Move, Piece, Rank, Square};

use crate::game::Action;

/// How many actions there are.
pub(super) const ACTIONS: usize = PLANES * 64;
const PLANES: usize = 73;
/// Steps of a queen in files and ranks: north, then clockwise.
const QUEEN: [(i8, i8); 8] = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)];
/// Steps of a knight, clockwise.
const KNIGHT: [(i8, i8); 8] =
    [(1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2)];
/// The first plane of knight moves, and of underpromotions.
const KNIGHTS: usize = 56;
const UNDER: usize = 64;
/// What the planes of underpromotions stand for, three files each.
const PROMOTED: [Piece; 3] = [Piece::Knight, Piece::Bishop, Piece::Rook];
const NONE: u8 = u8::MAX;

/// Files and ranks of each plane's step.
const STEPS: [(i8, i8); PLANES] = {
    let mut steps = [(0, 0); PLANES];
    let mut plane = 0;
    while plane < PLANES {
        steps[plane] = if plane < KNIGHTS {
            let (file, rank) = QUEEN[plane / 7];
            let distance = (plane % 7) as i8 + 1;
            (file * distance, rank * distance)
        } else if plane < UNDER {
            KNIGHT[plane - KNIGHTS]
        } else {
            ((plane - UNDER) as i8 % 3 - 1, 1)
        };
        plane += 1;
    }
    steps
};

/// Where the move of an action ends, by the action; `NONE` off the board.
const TARGETS: [u8; ACTIONS] = {
    let mut targets = [NONE; ACTIONS];
    let mut action = 0;
    while action < ACTIONS {
        let (file, rank) = STEPS[action / 64];
        let (file, rank) = ((action % 8) as i8 + file, (action % 64 / 8) as i8 + rank);
        let promotes = action / 64 < UNDER || action % 64 / 8 == 6;
        if file >= 0 && file < 8 && rank >= 0 && rank < 8 && promotes {
            targets[action] = (rank * 8 + file) as u8;
        }
        action += 1;
    }
    targets
};

/// The plane of a move that is no underpromotion, by both squares.
const PLANE: [u8; 64 * 64] = {
    let mut planes = [NONE; 64 * 64];
    let mut action = 0;
    while action < UNDER * 64 {
        if TARGETS[action] != NONE {
            planes[action % 64 * 64 + TARGETS[action] as usize] = (action / 64) as u8;
        }
        action += 1;
    }
    planes
};

/// A square as the side to move sees it, or back again: black turns the ranks around.
#[inline]
pub(super) const fn seen(square: usize, by: Color) -> usize {
    match by {
        Color::White => square,
        Color::Black => square ^ 0o70,
    }
}

/// Where the mover's piece ends: `cozy-chess` writes castling as the king taking its rook.
#[inline]
pub(super) fn target(board: &Board, moved: Move) -> Square {
    if !board.colors(board.side_to_move()).has(moved.to) {
        return moved.to;
    }
    let file = if moved.to.file() > moved.from.file() { File::G } else { File::C };
    Square::new(file, moved.to.rank())
}

/// The number of a legal move.
#[inline]
pub(super) fn number(board: &Board, moved: Move) -> Action {
    let side = board.side_to_move();
    let from = seen(moved.from as usize, side);
    let to = seen(target(board, moved) as usize, side);
    let under = PROMOTED.iter().position(|&piece| moved.promotion == Some(piece));
    let plane = match under {
        Some(piece) => UNDER + 3 * piece + (to % 8 + 1 - from % 8),
        None => usize::from(PLANE[from * 64 + to]),
    };
    (plane * 64 + from) as Action
}

/// The move of a number, for what stands on the board; `None` where nothing could move so. It need not
/// be legal.
#[inline]
pub(super) fn move_of(board: &Board, action: Action) -> Option<Move> {
    let action = usize::from(action);
    let to = TARGETS.get(action).copied().filter(|&to| to != NONE)?;
    let side = board.side_to_move();
    let square = |square: usize| Square::index(seen(square, side));
    let (from, to) = (square(action % 64), square(usize::from(to)));
    if !board.colors(side).has(from) {
        return None;
    }
    let mut moved = Move { from, to, promotion: None };
    let is_pawn = board.pieces(Piece::Pawn).has(from);
    if action / 64 >= UNDER {
        moved.promotion = is_pawn.then(|| PROMOTED[(action / 64 - UNDER) / 3]);
        return moved.promotion.and(Some(moved));
    }
    if is_pawn && to.rank() == Rank::Eighth.relative_to(side) {
        moved.promotion = Some(Piece::Queen);
    }
    if board.colors(side).has(to) {
        return None; // Taking its own rook is not how castling is numbered.
    }
    if from.file() == File::E && board.pieces(Piece::King).has(from) {
        let rook = match to.file() {
            File::G => File::H,
            File::C => File::A,
            _ => return Some(moved),
        };
        moved.to = Square::new(rook, from.rank());
    }
    Some(moved)
}
