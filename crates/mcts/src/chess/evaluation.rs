//! A classical evaluation: material, squares, mobility, pawns, kings; and captures played out.

use cozy_chess::{
    BitBoard, Board, Color, File, Move, Piece, Rank, Square, get_bishop_moves, get_king_moves,
    get_knight_moves, get_pawn_attacks, get_rook_moves,
};

use super::exchange::{exchange, value};
use super::game::is_insufficient;

/// Centipawns in the middle game and in the endgame.
#[derive(Debug, Clone, Copy)]
struct Score(i32, i32);

impl std::ops::AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
        self.1 += other.1;
    }
}

impl Score {
    const fn times(self, n: i32) -> Self {
        Self(self.0 * n, self.1 * n)
    }
}

/// Being mated is worth this much less the plies until then.
pub(super) const MATE: i32 = 30_000;
/// How much of a middle game each piece stands for, by [`Piece`]; all together 24.
const PHASES: [i32; 6] = [0, 1, 1, 2, 4, 0];
const MATERIAL: [Score; 6] = [
    Score(88, 112),
    Score(330, 300),
    Score(345, 320),
    Score(485, 540),
    Score(1000, 990),
    Score(0, 0),
];
const BISHOP_PAIR: Score = Score(28, 45);
/// Each square that a piece can go to, of those that no pawn covers.
const MOBILITY: [Score; 6] =
    [Score(0, 0), Score(4, 4), Score(5, 4), Score(2, 4), Score(1, 3), Score(0, 0)];
/// Squares that a piece goes to usually.
const USUAL: [i32; 6] = [0, 4, 6, 7, 13, 0];
const DOUBLED: Score = Score(-10, -18);
const ISOLATED: Score = Score(-12, -12);
const PASSED: [Score; 8] = [
    Score(0, 0),
    Score(2, 8),
    Score(4, 14),
    Score(12, 28),
    Score(28, 55),
    Score(55, 95),
    Score(90, 150),
    Score(0, 0),
];
const OPEN_FILE: Score = Score(24, 8);
const HALF_OPEN_FILE: Score = Score(11, 5);
/// A pawn missing before a king at home.
const NO_SHIELD: Score = Score(-16, 0);
/// How much an attack on a square beside the king counts, by [`Piece`].
const ATTACK: [i32; 6] = [0, 2, 2, 3, 5, 0];
const TEMPO: i32 = 14;

/// Material and place of a piece, by piece and by the square as its side sees it.
const PLACED: [[Score; 64]; 6] = {
    let mut placed = [[Score(0, 0); 64]; 6];
    let mut piece = 0;
    while piece < 6 {
        let mut square = 0;
        while square < 64 {
            let (file, rank) = (square as i32 % 8, square as i32 / 8);
            let across = if file < 4 { file } else { 7 - file };
            let along = if rank < 4 { rank } else { 7 - rank };
            let Score(middle, end) = match piece {
                0 => {
                    let central = if across == 3 { [0, -14, 4, 18, 20, 16, 8, 0] } else { [0; 8] };
                    let middle = [0, 0, 0, 2, 8, 22, 45, 0][rank as usize];
                    let end = [0, 0, 2, 8, 20, 40, 70, 0][rank as usize];
                    Score(central[rank as usize] + middle + across, end)
                }
                1 => Score(
                    12 * across + 9 * along - 42 + if rank == 4 || rank == 5 { 8 } else { 0 },
                    9 * across + 8 * along - 32,
                ),
                2 => Score(
                    4 * across + 4 * along - 10 - if rank == 0 { 6 } else { 0 },
                    3 * along - 4,
                ),
                3 => Score(
                    3 * across - 5 + if rank == 6 { 18 } else { 0 },
                    if rank == 6 { 8 } else { 0 },
                ),
                4 => Score(across + 2 * along - 5, 7 * across + 7 * along - 22),
                _ => {
                    let home = [18, 30, 8, -8, 0, -6, 32, 20][file as usize];
                    let middle = if rank == 0 { home } else { -16 - 18 * rank };
                    Score(middle, 12 * across + 11 * along - 40)
                }
            };
            placed[piece][square] = Score(MATERIAL[piece].0 + middle, MATERIAL[piece].1 + end);
            square += 1;
        }
        piece += 1;
    }
    placed
};

/// The files beside each file.
fn beside(file: File) -> BitBoard {
    file.adjacent()
}

/// All squares in front of a square, as a side sees it, on its file and those beside.
fn ahead(square: Square, side: Color) -> BitBoard {
    let files = square.file().bitboard() | beside(square.file());
    let rank = square.rank() as u32;
    let ranks = match side {
        Color::White => u64::MAX.checked_shl(8 * (rank + 1)).unwrap_or(0),
        Color::Black => !(u64::MAX << (8 * rank)),
    };
    files & BitBoard(ranks)
}

/// Squares that the pawns of a side attack.
fn covered(pawns: BitBoard, side: Color) -> BitBoard {
    pawns.into_iter().fold(BitBoard::EMPTY, |all, pawn| all | get_pawn_attacks(pawn, side))
}

fn is_passed(square: Square, side: Color, theirs: BitBoard) -> bool {
    (ahead(square, side) & theirs).is_empty()
}

/// What one side has.
fn of_side(board: &Board, side: Color, phase: &mut i32) -> Score {
    let (own, pawns) = (board.colors(side), board.colored_pieces(side, Piece::Pawn));
    let their_pawns = board.colored_pieces(!side, Piece::Pawn);
    let occupied = board.occupied();
    let free = !(own | covered(their_pawns, !side));
    let their_king = board.king(!side);
    let ring = get_king_moves(their_king) | their_king.bitboard();
    let mut score = Score(0, 0);
    let (mut attackers, mut attack) = (0, 0);
    for piece in Piece::ALL {
        for square in own & board.pieces(piece) {
            score += PLACED[piece as usize][square.relative_to(side) as usize];
            *phase += PHASES[piece as usize];
            let reached = match piece {
                Piece::Knight => get_knight_moves(square),
                Piece::Bishop => get_bishop_moves(square, occupied),
                Piece::Rook => get_rook_moves(square, occupied),
                Piece::Queen => {
                    get_bishop_moves(square, occupied) | get_rook_moves(square, occupied)
                }
                Piece::Pawn | Piece::King => continue,
            };
            let moves = (reached & free).len() as i32;
            score += MOBILITY[piece as usize].times(moves - USUAL[piece as usize]);
            let near = (reached & ring).len() as i32;
            if near > 0 {
                attackers += 1;
                attack += near * ATTACK[piece as usize];
            }
            if piece == Piece::Rook {
                let file = square.file().bitboard();
                if (file & pawns).is_empty() {
                    score +=
                        if (file & their_pawns).is_empty() { OPEN_FILE } else { HALF_OPEN_FILE };
                }
            }
        }
    }
    if attackers >= 2 {
        score += Score((attack * attack / 3).min(400), 0);
    }
    if (own & board.pieces(Piece::Bishop)).len() >= 2 {
        score += BISHOP_PAIR;
    }
    for pawn in pawns {
        let file = pawn.file();
        if (beside(file) & pawns).is_empty() {
            score += ISOLATED;
        }
        let rank = pawn.rank().relative_to(side);
        let front = ahead(pawn, side) & file.bitboard();
        if !(front & pawns).is_empty() {
            score += DOUBLED;
        } else if is_passed(pawn, side, their_pawns) {
            let Score(middle, end) = PASSED[rank as usize];
            let stopped = pawn.try_offset(0, if side == Color::White { 1 } else { -1 });
            let blocked = stopped.is_some_and(|square| occupied.has(square));
            score += if blocked { Score(middle / 2, end / 2) } else { Score(middle, end) };
        }
    }
    let king = board.king(side);
    if king.rank().relative_to(side) <= Rank::Second {
        let files = king.file().bitboard() | beside(king.file());
        for file in File::ALL.into_iter().filter(|file| !(files & file.bitboard()).is_empty()) {
            let near = Rank::Second.relative_to(side).bitboard()
                | Rank::Third.relative_to(side).bitboard();
            if (pawns & file.bitboard() & near).is_empty() {
                score += NO_SHIELD;
            }
        }
    }
    score
}

/// How far a square is from another, in king's moves.
pub(super) fn distance(a: Square, b: Square) -> i32 {
    let between = |a: usize, b: usize| a.abs_diff(b) as i32;
    between(a.file() as usize, b.file() as usize).max(between(a.rank() as usize, b.rank() as usize))
}

/// The worth of a position for the side to move, in centipawns, without a look ahead.
pub(super) fn evaluate(board: &Board) -> i32 {
    if is_insufficient(board) {
        return 0;
    }
    let side = board.side_to_move();
    let mut phase = 0;
    let (own, other) = (of_side(board, side, &mut phase), of_side(board, !side, &mut phase));
    let phase = phase.min(24);
    let (middle, end) = (own.0 - other.0, own.1 - other.1);
    let mut score = (middle * phase + end * (24 - phase)) / 24;
    let ahead = if score > 0 { side } else { !side };
    let sign = if ahead == side { 1 } else { -1 };
    let pawns = board.pieces(Piece::Pawn);
    let count = |color: Color| board.colors(color).len();
    if (pawns & board.colors(ahead)).is_empty() {
        let material = |color: Color| -> i32 {
            let pieces = board.colors(color) - board.pieces(Piece::King);
            Piece::ALL.into_iter().map(|p| (pieces & board.pieces(p)).len() as i32 * value(p)).sum()
        };
        let more = material(ahead) - material(!ahead);
        let knights = board.colors(ahead)
            == board.colors(ahead) & (board.pieces(Piece::Knight) | board.pieces(Piece::King));
        if more < 400 || knights && count(ahead) == 3 {
            // Without pawns, less than a rook ahead does not win; nor do two knights.
            score /= 8;
        }
    }
    if count(!ahead) == 1 {
        // A bare king is driven to the edge, and the other king comes near.
        let (king, hunter) = (board.king(!ahead), board.king(ahead));
        let edge = |n: usize| n.min(7 - n) as i32;
        let inner = edge(king.file() as usize) + edge(king.rank() as usize);
        score += sign * (100 * (6 - inner) + 50 * (7 - distance(king, hunter)));
    }
    score + TEMPO
}

/// The worth for the side to move once captures are played out, and checks answered.
pub(super) fn quiesce(board: &Board, mut alpha: i32, beta: i32, plies: u8, depth: i32) -> i32 {
    let checked = !board.checkers().is_empty();
    let mut best = if checked && plies > 0 { depth - MATE } else { evaluate(board) };
    if plies == 0 || best >= beta {
        return best;
    }
    alpha = alpha.max(best);
    let mut moves: Vec<(i32, Move)> = Vec::new();
    let side = board.side_to_move();
    let last = Rank::Eighth.relative_to(side).bitboard();
    let theirs = board.colors(!side);
    board.generate_moves(|mut from| {
        if !checked {
            let wanted = if from.piece == Piece::Pawn { theirs | last } else { theirs };
            from.to &= wanted;
        }
        for moved in from {
            let victim = board.piece_on(moved.to).filter(|_| theirs.has(moved.to)).map_or(0, value);
            let promoted = moved.promotion.map_or(0, value);
            if checked || moved.promotion.is_none_or(|piece| piece == Piece::Queen) {
                moves.push((8 * victim + promoted - value(from.piece) / 8, moved));
            }
        }
        false
    });
    moves.sort_unstable_by_key(|(order, _)| -order);
    for (_, moved) in moves {
        if !checked && exchange(board, moved) < 0 {
            continue;
        }
        let mut next = board.clone();
        next.play_unchecked(moved);
        let score = -quiesce(&next, -beta, -alpha, plies - 1, depth + 1);
        best = best.max(score);
        alpha = alpha.max(score);
        if alpha >= beta {
            break;
        }
    }
    best
}

/// What a quiet move changes about the place of its piece.
pub(super) fn placed_better(board: &Board, piece: Piece, from: Square, to: Square) -> i32 {
    let side = board.side_to_move();
    let middle = board.occupied().len() >= 14;
    let at = |square: Square| {
        let Score(mid, end) = PLACED[piece as usize][square.relative_to(side) as usize];
        if middle { mid } else { end }
    };
    at(to) - at(from)
}
