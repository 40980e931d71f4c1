//! Points, colours and moves, and their names in GTP.

use std::fmt;

/// The widest and highest board.
pub const MAX_SIDE: usize = 19;

/// Black or White.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Color {
    /// The player who moves first where there is no handicap.
    Black,
    /// The player who receives komi.
    White,
}

impl Color {
    /// The other colour.
    #[must_use]
    pub fn opponent(self) -> Self {
        match self {
            Self::Black => Self::White,
            Self::White => Self::Black,
        }
    }

    /// 0 for Black, 1 for White: the player's number in a [`Game`](crate::Game).
    pub fn index(self) -> usize {
        self as usize
    }

    /// The colour of a player's number: even numbers are Black.
    #[must_use]
    pub fn from_index(player: usize) -> Self {
        if player.is_multiple_of(2) { Self::Black } else { Self::White }
    }

    /// As a cell of the board holds it.
    pub(crate) fn cell(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Black => "black",
            Self::White => "white",
        })
    }
}

/// An intersection: `x` from the left and `y` from the top, both from 0, as SGF counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The column, from 0 at the left.
    pub x: u8,
    /// The row, from 0 at the top.
    pub y: u8,
}

impl Point {
    /// The intersection in column `x` and row `y`, both from 0 at the top left.
    #[must_use]
    pub fn new(x: usize, y: usize) -> Self {
        Self { x: x.min(255) as u8, y: y.min(255) as u8 }
    }

    /// The name that GTP gives the point: the column as a letter without `I`, the row from 1 at
    /// the bottom of a board `height` rows high.
    pub fn name(self, height: usize) -> String {
        let letter = b'A' + self.x + u8::from(self.x >= 8);
        format!("{}{}", char::from(letter), height.saturating_sub(usize::from(self.y)))
    }

    /// The point of a GTP name on a board of this size; `None` where there is no such point.
    #[must_use]
    pub fn parse(name: &str, width: usize, height: usize) -> Option<Self> {
        let mut letters = name.chars();
        let letter = letters.next()?.to_ascii_uppercase();
        let digits = letters.as_str();
        if !letter.is_ascii_uppercase() || letter == 'I' {
            return None;
        }
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let x = letter as usize - usize::from(b'A') - usize::from(letter > 'I');
        let row: usize = digits.parse().ok()?;
        (x < width && (1..=height).contains(&row)).then(|| Self::new(x, height - row))
    }
}

/// A stone on a point, or a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// A stone on this point.
    Play(Point),
    /// No stone.
    Pass,
}

impl Move {
    /// The name that GTP gives the move on a board `height` rows high.
    pub fn name(self, height: usize) -> String {
        match self {
            Self::Play(point) => point.name(height),
            Self::Pass => "pass".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_skip_the_letter_i_and_count_rows_from_the_bottom() {
        assert_eq!(Point::new(0, 18).name(19), "A1");
        assert_eq!(Point::new(7, 0).name(19), "H19");
        assert_eq!(Point::new(8, 0).name(19), "J19");
        assert_eq!(Point::new(18, 9).name(19), "T10");
        for y in 0..19 {
            for x in 0..19 {
                let point = Point::new(x, y);
                assert_eq!(Point::parse(&point.name(19), 19, 19), Some(point));
            }
        }
    }

    #[test]
    fn names_outside_the_board_are_no_points() {
        for name in ["", "I5", "K1", "A0", "A10", "A", "5", "A-1", "A+1", "AA1", "Ä1", "A1x"] {
            assert_eq!(Point::parse(name, 9, 9), None, "{name}");
        }
        assert_eq!(Point::parse("j9", 9, 9), Some(Point::new(8, 0)));
    }
}
