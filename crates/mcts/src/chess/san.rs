//! Names of moves: Standard Algebraic Notation, and UCI's long form.

use cozy_chess::{BitBoard, Board, File, Move, Piece, Rank, Square};

use super::action::{move_of, number, target};
use super::game::Chess;
use crate::error::{Error, Result};
use crate::game::Action;

impl Chess {
    /// A move as UCI writes it: both squares and what a pawn becomes, `e2e4`, `e1g1`, `e7e8q`.
    pub fn uci(&self, action: Action) -> String {
        let Some(moved) = move_of(&self.board, action) else { return action.to_string() };
        let to = target(&self.board, moved);
        let promotion = moved.promotion.map_or_else(String::new, |piece| piece.to_string());
        format!("{}{to}{promotion}", moved.from)
    }

    /// A legal move as SAN; another by its squares, or its number.
    pub(super) fn san(&self, action: Action) -> String {
        let board = &self.board;
        match move_of(board, action) {
            Some(moved) if board.is_legal(moved) => san(board, moved),
            _ => self.uci(action),
        }
    }

    /// Reads a legal move; draws are for the caller to see.
    pub(crate) fn read_move(&self, text: &str) -> Result<Action> {
        let fault = |reason| Error::Parse { what: "chess move", text: text.to_owned(), reason };
        let board = &self.board;
        let mut legal = Vec::new();
        board.generate_moves(|moves| {
            legal.extend(moves);
            false
        });
        let readings = Reading::all(text);
        for reading in &readings {
            let fits: Vec<Move> =
                legal.iter().copied().filter(|moved| reading.fits(board, *moved)).collect();
            match fits.as_slice() {
                [] => {}
                [moved] => return Ok(number(board, *moved)),
                several => {
                    let names: Vec<_> = several.iter().map(|moved| san(board, *moved)).collect();
                    return Err(fault(format!("it may be {}", names.join(" or "))));
                }
            }
        }
        Err(fault(match (readings.is_empty(), legal.first()) {
            (false, _) => "no legal move is this one".to_owned(),
            (true, Some(&first)) => format!(
                "expected SAN or two squares, as {} or {}",
                san(board, first),
                self.uci(number(board, first))
            ),
            (true, None) => "there is no move".to_owned(),
        }))
    }
}

/// A legal move.
fn san(board: &Board, moved: Move) -> String {
    let side = board.side_to_move();
    let own = board.colors(side);
    let piece = board.piece_on(moved.from).unwrap_or(Piece::Pawn);
    let to = moved.to;
    let takes =
        board.occupied().has(to) || (piece == Piece::Pawn && moved.from.file() != to.file());
    let mut text = String::new();
    if own.has(to) {
        text.push_str(if to.file() > moved.from.file() { "O-O" } else { "O-O-O" });
    } else {
        if piece == Piece::Pawn {
            if takes {
                text.push(moved.from.file().into());
            }
        } else {
            text.push(char::from(piece).to_ascii_uppercase());
            text.push_str(&which(board, piece, moved));
        }
        if takes {
            text.push('x');
        }
        text.push_str(&to.to_string());
        if let Some(promotion) = moved.promotion {
            text.push('=');
            text.push(char::from(promotion).to_ascii_uppercase());
        }
    }
    let mut next = board.clone();
    next.play_unchecked(moved);
    if !next.checkers().is_empty() {
        text.push(if next.generate_moves(|_| true) { '+' } else { '#' });
    }
    text
}

/// What of its square tells a piece from others that could go to the same.
fn which(board: &Board, piece: Piece, moved: Move) -> String {
    let from = moved.from;
    let mut others = BitBoard::EMPTY;
    let alike = board.colored_pieces(board.side_to_move(), piece) - from.bitboard();
    board.generate_moves_for(alike, |moves| {
        if moves.to.has(moved.to) {
            others |= moves.from.bitboard();
        }
        false
    });
    if others.is_empty() {
        String::new()
    } else if (others & from.file().bitboard()).is_empty() {
        from.file().to_string()
    } else if (others & from.rank().bitboard()).is_empty() {
        from.rank().to_string()
    } else {
        from.to_string()
    }
}

/// One way to understand a text.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Castles {
        short: bool,
    },
    Moves {
        /// None where both squares are given.
        piece: Option<Piece>,
        file: Option<File>,
        rank: Option<Rank>,
        to: Square,
        promotion: Option<Piece>,
    },
}

impl Reading {
    /// The ways to understand a text, the most literal first.
    fn all(text: &str) -> Vec<Self> {
        let text = text.trim().trim_end_matches(['+', '#', '!', '?']).trim_end();
        let text = text.trim_end_matches("e.p.").trim_end();
        let kept: Vec<char> = text
            .chars()
            .filter(|c| !matches!(c, '-' | 'x' | 'X' | ':' | '=' | '/' | '(' | ')'))
            .collect();
        if kept.len() > 7 {
            return Vec::new();
        }
        if (2..=3).contains(&kept.len()) && kept.iter().all(|c| matches!(c, 'O' | 'o' | '0')) {
            return vec![Self::Castles { short: kept.len() == 2 }];
        }
        let Some(first) = kept.first() else { return Vec::new() };
        let piece = Piece::try_from(first.to_ascii_lowercase()).ok();
        let small: String = kept.iter().collect::<String>().to_ascii_lowercase();
        let as_piece = piece.and_then(|piece| Self::squares(&small[1..], Some(piece)));
        let as_pawn = Self::squares(&small, None);
        // `b` is a file, `B` a bishop; where that is no move, each may be the other.
        let readings =
            if first.is_ascii_uppercase() { [as_piece, as_pawn] } else { [as_pawn, as_piece] };
        readings.into_iter().flatten().collect()
    }

    /// What follows the letter of a piece: what tells it from others, the target, what it becomes.
    fn squares(text: &str, piece: Option<Piece>) -> Option<Self> {
        let promotion = text.chars().last().and_then(|last| Piece::try_from(last).ok());
        let text = if promotion.is_some() { &text[..text.len() - 1] } else { text };
        let (from, to) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let to: Square = to.parse().ok()?;
        let mut from = from.chars().peekable();
        let file = from.peek().and_then(|c| File::try_from(*c).ok());
        from.next_if(|_| file.is_some());
        let rank = from.peek().and_then(|c| Rank::try_from(*c).ok());
        from.next_if(|_| rank.is_some());
        if from.next().is_some() {
            return None;
        }
        // Both squares are enough; else what has no letter is a pawn.
        let any = file.is_some() && rank.is_some();
        let piece = piece.or((!any).then_some(Piece::Pawn));
        Some(Self::Moves { piece, file, rank, to, promotion })
    }

    fn fits(self, board: &Board, moved: Move) -> bool {
        let castles = board.colors(board.side_to_move()).has(moved.to);
        match self {
            Self::Castles { short } => castles && short == (moved.to.file() > moved.from.file()),
            Self::Moves { piece, file, rank, to, promotion } => {
                target(board, moved) == to
                    && moved.promotion == promotion
                    && piece.is_none_or(|piece| board.pieces(piece).has(moved.from))
                    && file.is_none_or(|file| moved.from.file() == file)
                    && rank.is_none_or(|rank| moved.from.rank() == rank)
            }
        }
    }
}
