//! Static exchange evaluation: what captures on one square bring, each side taking with its least piece.

use cozy_chess::{
    BitBoard, Board, Color, Move, Piece, Rank, Square, get_bishop_moves, get_king_moves,
    get_knight_moves, get_pawn_attacks, get_rook_moves,
};

use super::action::{move_of, target};
use super::game::Chess;
use crate::game::Action;

/// Worth of a piece in centipawns, by [`Piece`].
const VALUES: [i32; 6] = [100, 320, 330, 500, 950, 20_000];

/// The worth of a piece in centipawns.
pub(super) const fn value(piece: Piece) -> i32 {
    VALUES[piece as usize]
}

impl Chess {
    /// What a move wins in centipawns once all captures on its target that pay are made; pins are not
    /// looked at. 0 for what is no move.
    pub fn exchange(&self, action: Action) -> i32 {
        move_of(&self.board, action).map_or(0, |moved| exchange(&self.board, moved))
    }
}

/// The pieces of both sides that attack a square.
fn attackers(board: &Board, square: Square, occupied: BitBoard) -> BitBoard {
    let pieces = |piece| board.pieces(piece);
    let queens = pieces(Piece::Queen);
    get_knight_moves(square) & pieces(Piece::Knight)
        | get_king_moves(square) & pieces(Piece::King)
        | get_pawn_attacks(square, Color::White) & board.colored_pieces(Color::Black, Piece::Pawn)
        | get_pawn_attacks(square, Color::Black) & board.colored_pieces(Color::White, Piece::Pawn)
        | get_bishop_moves(square, occupied) & (pieces(Piece::Bishop) | queens)
        | get_rook_moves(square, occupied) & (pieces(Piece::Rook) | queens)
}

/// What a legal move wins.
pub(super) fn exchange(board: &Board, moved: Move) -> i32 {
    let side = board.side_to_move();
    if board.colors(side).has(moved.to) {
        return 0; // Castling.
    }
    let to = target(board, moved);
    let piece = board.piece_on(moved.from).unwrap_or(Piece::Pawn);
    let mut occupied = board.occupied() ^ moved.from.bitboard();
    let mut won = board.piece_on(to).map_or(0, value);
    if piece == Piece::Pawn && moved.from.file() != to.file() && won == 0 {
        // En passant.
        occupied ^= Square::new(to.file(), Rank::Fifth.relative_to(side)).bitboard();
        won = value(Piece::Pawn);
    }
    let standing = moved.promotion.unwrap_or(piece);
    if standing != piece {
        won += value(standing) - value(Piece::Pawn);
    }
    won - retake(board, to, occupied | to.bitboard(), standing, !side)
}

/// What a side wins by taking the piece on a square, if it wants to.
pub(super) fn threat(board: &Board, square: Square, by: Color) -> i32 {
    let piece = board.piece_on(square).unwrap_or(Piece::Pawn);
    retake(board, square, board.occupied(), piece, by)
}

/// What a side wins by captures on a square where a piece of the other stands; at least 0.
fn retake(
    board: &Board,
    square: Square,
    mut occupied: BitBoard,
    mut standing: Piece,
    mut side: Color,
) -> i32 {
    // What is taken, capture by capture.
    let mut taken = [0; 32];
    let mut captures = 0;
    loop {
        let all = attackers(board, square, occupied) & occupied;
        let mine = all & board.colors(side);
        let least = Piece::ALL.into_iter().find(|&piece| !(mine & board.pieces(piece)).is_empty());
        let Some(piece) = least else { break };
        if piece == Piece::King && !(all & board.colors(!side)).is_empty() {
            break; // It would step into check.
        }
        let Some(from) = (mine & board.pieces(piece)).next_square() else { break };
        taken[captures] = value(standing);
        captures += 1;
        occupied ^= from.bitboard();
        standing = piece;
        side = !side;
    }
    // From the last capture back: each is made where it pays.
    taken[..captures].iter().rev().fold(0, |won, taken| 0.max(taken - won))
}
