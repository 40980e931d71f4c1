//! Forsyth–Edwards Notation.

use cozy_chess::{Board, Color, FenParseError, File, Piece, Rank, Square};

use super::game::{Chess, has_en_passant, letter};
use crate::error::{Error, Result};

/// What the six fields are.
const FIELDS: [&str; 6] = [
    "pieces",
    "side to move",
    "castling rights",
    "en passant square",
    "counter of plies without capture or pawn move",
    "number of the move",
];

impl Chess {
    /// Reads a position: all six fields of a FEN, or the first four, then followed by `0 1`. A counter
    /// of plies above 100 counts as 100, which is a draw.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] with the field, what it holds and what was expected: also for what no game
    /// can reach, as a missing king, pawns on the first rank, castling rights without king and rook
    /// at home, the side that has just moved in check, or more than two pieces that give check.
    ///
    /// ```
    /// use mcts::chess::Chess;
    ///
    /// let error = Chess::from_fen("4k3/8/8/8/8/8/4P4/4K3 w - - 0 1").unwrap_err();
    /// assert!(error.to_string().ends_with("rank 2, `4P4`, has 9 squares, expected 8"), "{error}");
    /// ```
    pub fn from_fen(text: &str) -> Result<Self> {
        let fault = |reason| Error::Parse { what: "position (FEN)", text: text.to_owned(), reason };
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() == 4 {
            fields.extend(["0", "1"]);
        }
        let &[pieces, side, rights, passant, counter, number] = fields.as_slice() else {
            let found = fields.len();
            return Err(fault(format!("{found} fields, expected 6: {}", FIELDS.join(", "))));
        };
        let wrong = |field: usize, reason: String| fault(format!("{}: {reason}", FIELDS[field]));
        check_pieces(pieces).map_err(|reason| wrong(0, reason))?;
        if !matches!(side, "w" | "b") {
            return Err(wrong(1, format!("`{side}`, expected `w` or `b`")));
        }
        let sorted = ordered(rights)
            .ok_or_else(|| wrong(2, format!("`{rights}`, expected `-` or each of `KQkq` once")))?;
        let count = |field: usize, text: &str, least: u16| {
            let number = text.parse().ok().filter(|number: &u16| *number >= least);
            let expected = format!("`{text}`, expected a number from {least} to {}", u16::MAX);
            number.ok_or_else(|| wrong(field, expected))
        };
        let (counter, number) = (count(4, counter, 0)?.min(100), count(5, number, 1)?);
        let fen = format!("{pieces} {side} {sorted} {passant} {counter} {number}");
        let board = Board::from_fen(&fen, false).map_err(|error| match error {
            FenParseError::InvalidCastlingRights => {
                wrong(2, format!("`{rights}` without king and rook on their squares"))
            }
            FenParseError::InvalidEnPassant => {
                let mover = if side == "w" { "black" } else { "white" };
                let reason =
                    format!("`{passant}` is not behind a pawn that {mover} has just moved");
                wrong(3, reason)
            }
            _ => wrong(
                0,
                "the side that has just moved is in check, or too many pieces give check"
                    .to_owned(),
            ),
        })?;
        let at_home = |color: Color| {
            let rights = board.castle_rights(color);
            let none = rights.short.is_none() && rights.long.is_none();
            none || board.king(color).file() == File::E
        };
        if !Color::ALL.into_iter().all(at_home) {
            return Err(wrong(2, format!("`{rights}` without the king on the e-file")));
        }
        Ok(Self::from_board(board))
    }

    /// The position as FEN. A square is named for en passant where a pawn may be taken so.
    pub fn fen(&self) -> String {
        let fen = self.board.to_string();
        let Some(file) = self.board.en_passant().filter(|_| !has_en_passant(&self.board)) else {
            return fen;
        };
        let rank = Rank::Sixth.relative_to(self.board.side_to_move());
        fen.replacen(&format!(" {} ", Square::new(file, rank)), " - ", 1)
    }

    /// The letter of what stands on a square, `P`, `N`, `B`, `R`, `Q` or `K` of white, small of black;
    /// squares count from `a1` along the ranks.
    pub fn piece_on(&self, square: usize) -> Option<char> {
        letter(&self.board, Square::try_index(square)?)
    }
}

/// Castling rights in the order in which they are written.
fn ordered(rights: &str) -> Option<String> {
    if rights == "-" {
        return Some(rights.to_owned());
    }
    let sorted: String = "KQkq".chars().filter(|right| rights.contains(*right)).collect();
    (!rights.is_empty() && sorted.len() == rights.len()).then_some(sorted)
}

/// What is wrong with the pieces, before sides and rights are known.
fn check_pieces(pieces: &str) -> Result<(), String> {
    let rows: Vec<&str> = pieces.split('/').collect();
    if rows.len() != 8 {
        return Err(format!("{} ranks, expected 8", rows.len()));
    }
    for (rank, row) in (1..=8).rev().zip(&rows) {
        let mut squares = 0;
        for symbol in row.chars() {
            squares += match symbol {
                '1'..='8' => symbol as usize - '0' as usize,
                _ if Piece::try_from(symbol.to_ascii_lowercase()).is_ok() => 1,
                _ => return Err(format!("`{symbol}` in rank {rank} is no piece and no number")),
            };
            if matches!(symbol, 'P' | 'p') && matches!(rank, 1 | 8) {
                return Err(format!("a pawn on rank {rank}"));
            }
        }
        if squares != 8 {
            return Err(format!("rank {rank}, `{row}`, has {squares} squares, expected 8"));
        }
    }
    for (side, is_of) in [
        ("white", char::is_ascii_uppercase as fn(&char) -> bool),
        ("black", char::is_ascii_lowercase),
    ] {
        let count = |kind: char| {
            pieces.chars().filter(|c| is_of(c) && c.eq_ignore_ascii_case(&kind)).count()
        };
        let (kings, pawns) = (count('k'), count('p'));
        let all = pieces.chars().filter(is_of).count();
        if kings != 1 {
            return Err(format!("{kings} kings of {side}, expected 1"));
        }
        if pawns > 8 {
            return Err(format!("{pawns} pawns of {side}, expected at most 8"));
        }
        // Each piece more than at the start was a pawn.
        let more = |kind: char, at_start: usize| count(kind).saturating_sub(at_start);
        let promoted = more('n', 2) + more('b', 2) + more('r', 2) + more('q', 1);
        if pawns + promoted > 8 || all > 16 {
            let reason = format!("{promoted} promoted pieces and {pawns} pawns of {side}");
            return Err(format!("{reason}, expected at most 8 together"));
        }
    }
    Ok(())
}
