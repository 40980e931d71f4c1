//! Positions with what lies behind them, and the rules.

use std::fmt;

use cozy_chess::{BitBoard, Board, Color, File, Piece, Rank, Square, get_pawn_attacks};

use super::action::{ACTIONS, move_of, number};
use crate::error::{Error, Result};
use crate::game::{Action, Game, Hashed, Payoff, Turn, Values};
use crate::random::mix;

/// How many positions before the present one the planes show.
pub(super) const PAST: usize = 7;

/// What stood where, and how often it had stood so before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Placement {
    pub(super) pieces: [BitBoard; 6],
    pub(super) white: BitBoard,
    pub(super) repetitions: u8,
}

impl Placement {
    pub(super) fn new(board: &Board, repetitions: u8) -> Self {
        let pieces = Piece::ALL.map(|piece| board.pieces(piece));
        Self { pieces, white: board.colors(Color::White), repetitions }
    }
}

/// How a game has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The king of the side to move is in check and cannot get out.
    Checkmate,
    /// It is not in check, and there is no legal move.
    Stalemate,
    /// Neither side has the pieces to mate: kings alone, with one bishop or knight, or with bishops on
    /// squares of one colour.
    InsufficientMaterial,
    /// Nothing was taken and no pawn was moved for fifty moves of each side.
    FiftyMoves,
    /// The position has stood for the third time: the same pieces, side to move, castling rights and
    /// en passant captures.
    Repetition,
}

/// Chess by the rules of FIDE.
///
/// The draws that a player may claim, by fifty moves and by the third repetition, end the game at
/// once, as engines and `AlphaZero` play; those that come without a claim, by 75 moves and the fifth
/// repetition, lie beyond. Dead positions other than by [`Ending::InsufficientMaterial`] are
/// played on.
///
/// Actions are `AlphaZero`'s 73 · 64 (Silver et al. 2018), `plane · 64 + square`, where `square` is that
/// of the piece that moves, `rank · 8 + file`, and black sees the board with its own first rank as
/// rank 0:
///
/// | planes | moves |
/// | --- | --- |
/// | 0 to 55 | `direction · 7 + distance − 1`, directions north, then clockwise; a pawn becomes a queen, a castling king goes two squares |
/// | 56 to 63 | knight moves: (1, 2) in files and ranks, then clockwise |
/// | 64 to 72 | underpromotions: `3 · piece` (knight, bishop, rook) `+ file + 1` |
///
/// An action is written as SAN (`Nbd7`, `exd8=Q+`, `O-O#`). [`Game::parse_action`] reads SAN, more
/// loosely than it is written (`0-0`, `ed8Q`, `Nbd7!?`), and the long form of UCI (`e7e8q`).
///
/// ```
/// use mcts::Game as _;
/// use mcts::chess::Chess;
///
/// let mut game = Chess::new();
/// for text in ["e4", "e7e5", "Nf3", "Nc6", "Bb5"] {
///     game.play(game.parse_action(text)?);
/// }
/// assert_eq!(game.fen(), "r1bqkbnr/pppp1ppp/2n5/1B2p3/4P3/5N2/PPPP1PPP/RNBQK2R b KQkq - 3 3");
/// # Ok::<(), mcts::Error>(())
/// ```
#[derive(Debug)]
pub struct Chess {
    pub(super) board: Board,
    /// The hash by which positions are the same.
    key: u64,
    /// How often it has stood before; 2 is the end.
    pub(super) repetitions: u8,
    /// Keys of the positions before this one, back to the last capture or pawn move.
    keys: Vec<u64>,
    /// The positions before this one, the last first.
    pub(super) past: [Placement; PAST],
}

impl Clone for Chess {
    fn clone(&self) -> Self {
        let Self { board, key, repetitions, keys, past } = self;
        let (board, keys) = (board.clone(), keys.clone());
        Self { board, key: *key, repetitions: *repetitions, keys, past: *past }
    }

    fn clone_from(&mut self, source: &Self) {
        self.board.clone_from(&source.board);
        self.keys.clone_from(&source.keys);
        (self.key, self.repetitions) = (source.key, source.repetitions);
        self.past = source.past;
    }
}

/// Whether the future, and what the planes show, are the same.
impl PartialEq for Chess {
    fn eq(&self, other: &Self) -> bool {
        let counts = |game: &Self| {
            (game.key, game.board.halfmove_clock(), game.board.fullmove_number(), game.repetitions)
        };
        counts(self) == counts(other)
            && self.keys == other.keys
            && self.past == other.past
            && self.board.same_position(&other.board)
    }
}

impl Default for Chess {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a pawn may be taken en passant.
pub(super) fn has_en_passant(board: &Board) -> bool {
    let side = board.side_to_move();
    board.en_passant().is_some_and(|file| {
        let to = Square::new(file, Rank::Sixth.relative_to(side));
        let pawns = get_pawn_attacks(to, !side) & board.colored_pieces(side, Piece::Pawn);
        !pawns.is_empty() && board.generate_moves_for(pawns, |moves| moves.to.has(to))
    })
}

fn key_of(board: &Board) -> u64 {
    if has_en_passant(board) { board.hash() } else { board.hash_without_ep() }
}

impl Chess {
    /// The position at the start.
    pub fn new() -> Self {
        Self::from_board(Board::default())
    }

    /// A position without a past, but that of a pawn that has just moved two squares.
    pub(super) fn from_board(board: Board) -> Self {
        let mut past = [Placement::default(); PAST];
        if let Some(file) = board.en_passant() {
            let by = !board.side_to_move();
            let on = |rank: Rank| Square::new(file, rank.relative_to(by)).bitboard();
            let moved = on(Rank::Second) | on(Rank::Fourth);
            past[0] = Placement::new(&board, 0);
            past[0].pieces[Piece::Pawn as usize] ^= moved;
            if by == Color::White {
                past[0].white ^= moved;
            }
        }
        Self { key: key_of(&board), board, repetitions: 0, keys: Vec::new(), past }
    }

    /// The same pieces as if the game began here: no repetitions, no moves counted towards a draw.
    #[must_use]
    pub fn without_past(&self) -> Self {
        let mut board = self.board.clone();
        board.set_halfmove_clock(0);
        Self::from_board(board)
    }

    /// Any move that the pieces have, also where the game is drawn.
    pub(crate) fn any_move(&self) -> Option<Action> {
        let mut any = None;
        self.board.generate_moves(|moves| {
            any = moves.into_iter().next().map(|moved| number(&self.board, moved));
            true
        });
        any
    }

    /// The side to move.
    pub(crate) fn side(&self) -> Color {
        self.board.side_to_move()
    }

    /// How many plies were played since the start, by the number of the move.
    pub(crate) fn ply(&self) -> u32 {
        2 * u32::from(self.board.fullmove_number() - 1) + self.board.side_to_move() as u32
    }

    /// How often the position has stood before, 0 to 2.
    pub const fn repetitions(&self) -> u8 {
        self.repetitions
    }

    /// How the game has ended; `None` while it goes on.
    #[inline]
    pub fn ending(&self) -> Option<Ending> {
        if !self.board.generate_moves(|_| true) {
            let mated = !self.board.checkers().is_empty();
            return Some(if mated { Ending::Checkmate } else { Ending::Stalemate });
        }
        self.draw()
    }

    /// The draw that it is although there are moves.
    #[inline]
    fn draw(&self) -> Option<Ending> {
        if is_insufficient(&self.board) {
            Some(Ending::InsufficientMaterial)
        } else if self.board.halfmove_clock() >= 100 {
            Some(Ending::FiftyMoves)
        } else {
            (self.repetitions >= 2).then_some(Ending::Repetition)
        }
    }
}

/// Whether neither side can mate.
#[inline]
pub(super) fn is_insufficient(board: &Board) -> bool {
    let kings = board.pieces(Piece::King);
    let others = board.occupied() ^ kings;
    let bishops = board.pieces(Piece::Bishop);
    if others.len() <= 1 {
        return others.is_subset(board.pieces(Piece::Knight) | bishops);
    }
    others == bishops
        && (bishops.is_subset(BitBoard::DARK_SQUARES) || bishops.is_subset(BitBoard::LIGHT_SQUARES))
}

impl Game for Chess {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "chess".to_owned()
    }

    fn actions(&self) -> usize {
        ACTIONS
    }

    /// White is player 0.
    #[inline]
    fn turn(&self) -> Turn {
        Turn::Player(self.board.side_to_move() as u8)
    }

    #[inline]
    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.draw().is_some() {
            return;
        }
        let start = actions.len();
        self.board.generate_moves(|moves| {
            actions.extend(moves.into_iter().map(|moved| number(&self.board, moved)));
            false
        });
        actions[start..].sort_unstable();
    }

    #[inline]
    fn is_legal(&self, action: Action) -> bool {
        let legal = move_of(&self.board, action).is_some_and(|moved| self.board.is_legal(moved));
        legal && self.draw().is_none()
    }

    #[inline]
    fn play(&mut self, action: Action) {
        let Some(moved) = move_of(&self.board, action) else { return };
        self.past.copy_within(..PAST - 1, 1);
        self.past[0] = Placement::new(&self.board, self.repetitions);
        self.keys.push(self.key);
        self.board.play_unchecked(moved);
        self.key = key_of(&self.board);
        if self.board.halfmove_clock() == 0 {
            self.keys.clear();
        }
        // The same side was to move two, four, … plies ago.
        let before = self.keys.iter().rev().skip(3).step_by(2);
        self.repetitions = before.filter(|key| **key == self.key).take(2).count() as u8;
    }

    #[inline]
    fn outcome(&self) -> Option<Values> {
        self.ending().map(|ending| match ending {
            Ending::Checkmate => Values::two(self.board.side_to_move() as usize, -1.0),
            _ => Values::DRAW,
        })
    }

    fn action_name(&self, action: Action) -> String {
        self.san(action)
    }

    fn parse_action(&self, text: &str) -> Result<Action> {
        if let Some(ending) = self.ending() {
            let reason = format!("the game has ended: {ending:?}");
            return Err(Error::Parse { what: "chess move", text: text.to_owned(), reason });
        }
        self.read_move(text)
    }
}

/// The board, castling rights, en passant captures, how often the position has stood, and the
/// counter of the fifty moves: what lc0 tells positions apart by. Which other positions have stood
/// before, and would be repeated, does not count.
impl Hashed for Chess {
    fn hash(&self) -> u64 {
        mix(self.key, u64::from(self.board.halfmove_clock()) << 2 | u64::from(self.repetitions))
    }
}

impl fmt::Display for Chess {
    /// Rank 8 on top, white's pieces are capitals; below, the position as FEN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rank in Rank::ALL.into_iter().rev() {
            write!(f, "{rank}")?;
            for file in File::ALL {
                write!(f, " {}", letter(&self.board, Square::new(file, rank)).unwrap_or('.'))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "  a b c d e f g h\n{}", self.fen())
    }
}

/// The letter of what stands on a square, a capital for white.
pub(super) fn letter(board: &Board, square: Square) -> Option<char> {
    let piece = char::from(board.piece_on(square)?);
    let white = board.colors(Color::White).has(square);
    Some(if white { piece.to_ascii_uppercase() } else { piece })
}
