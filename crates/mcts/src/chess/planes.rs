//! `AlphaZero`'s planes.

use cozy_chess::Color;

use super::game::{Chess, PAST, Placement};
use crate::game::Encode;

/// Planes of one position: six kinds of pieces of each side, and two of repetitions.
const OF_POSITION: usize = 14;
/// Colour, number of the move, four castling rights, counter of the fifty moves.
const OF_GAME: usize = 7;
const PLANES: usize = (PAST + 1) * OF_POSITION + OF_GAME;

impl Encode for Chess {
    /// 119 planes.
    fn shape(&self) -> [usize; 3] {
        [PLANES, 8, 8]
    }

    /// Silver et al. 2018, table S1. Row 0 is the first rank of the side to move, columns are files
    /// from `a`. For the position and each of the seven before it, the last first: pawns, knights,
    /// bishops, rooks, queens, king of the side to move now, those of the other side, whether it
    /// had stood once before, and twice. Then whole planes of: 1 for black to move, the number of the
    /// move / 100, own castling rights (short, long), the other's, the counter of the fifty moves
    /// / 100 in plies. Of positions before a FEN nothing is known (zeros), but where a pawn has just
    /// moved two squares: it is seen where it came from.
    fn encode(&self, planes: &mut [f32]) {
        let side = self.board.side_to_move();
        let mut planes = planes.chunks_exact_mut(64);
        let now = Placement::new(&self.board, self.repetitions);
        for placement in std::iter::once(&now).chain(&self.past) {
            let own = if side == Color::White { placement.white } else { !placement.white };
            for of_side in [own, !own] {
                for (pieces, plane) in placement.pieces.into_iter().zip(planes.by_ref()) {
                    let pieces = pieces & of_side;
                    let seen = if side == Color::White { pieces } else { pieces.flip_ranks() };
                    for (point, value) in plane.iter_mut().enumerate() {
                        *value = (seen.0 >> point & 1) as f32;
                    }
                }
            }
            for (times, plane) in (1..=2).zip(planes.by_ref()) {
                plane.fill(f32::from(placement.repetitions >= times));
            }
        }
        let rights = [side, !side].map(|side| *self.board.castle_rights(side));
        let of_game = [
            f32::from(side == Color::Black),
            f32::from(self.board.fullmove_number()) / 100.0,
            f32::from(rights[0].short.is_some()),
            f32::from(rights[0].long.is_some()),
            f32::from(rights[1].short.is_some()),
            f32::from(rights[1].long.is_some()),
            f32::from(self.board.halfmove_clock()) / 100.0,
        ];
        for (plane, value) in planes.zip(of_game) {
            plane.fill(value);
        }
    }
}
