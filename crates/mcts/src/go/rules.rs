//! Rule sets: ko, suicide, komi, handicap, the end.

use model_utils_core::{ConfigError, config};

use super::point::MAX_SIDE;
use crate::error::Result;

/// Which positions may not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ko {
    /// A single stone that has just taken a single stone may not be taken back at once. Longer
    /// cycles are possible; [`Rules::max_moves`] ends them.
    Simple,
    /// No play may make a position of stones that has been before.
    Positional,
    /// No play may make a position of stones that has been before with the same player to move.
    Situational,
}

/// What White gets for Black's handicap stones, beside komi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HandicapBonus {
    /// Nothing.
    None,
    /// One point a stone (Chinese rules).
    Stones,
    /// One point a stone but the first (AGA rules).
    StonesButOne,
}

/// What counts at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Scoring {
    /// Stones on the board and the empty points that touch one colour only.
    Area,
    /// Empty points that touch one colour only, but for those beside stones in seki; stones taken
    /// and stones that are dead.
    Territory,
}

/// A rule set.
///
/// ```
/// use mcts::go::{Ko, Rules};
///
/// let rules = Rules::tromp_taylor().with_komi(5.5);
/// assert!(rules.suicide);
/// assert_eq!(rules.ko, Ko::Positional);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rules {
    /// Which positions may not come back.
    pub ko: Ko,
    /// Whether a move may take its own chain off the board.
    pub suicide: bool,
    /// What counts at the end.
    pub scoring: Scoring,
    /// Points that White gets for moving second.
    pub komi: f32,
    /// What White gets for handicap stones.
    pub bonus: HandicapBonus,
    /// After how many moves the game ends and is counted as it stands.
    pub max_moves: usize,
}

impl Rules {
    /// Tromp–Taylor: positional superko, suicide allowed; komi 7.5.
    #[must_use]
    pub const fn tromp_taylor() -> Self {
        Self {
            ko: Ko::Positional,
            suicide: true,
            scoring: Scoring::Area,
            komi: 7.5,
            bonus: HandicapBonus::None,
            max_moves: usize::MAX,
        }
    }

    /// Chinese, as computers play it: positional superko, no suicide, a point for every handicap
    /// stone; komi 7.5.
    #[must_use]
    pub const fn chinese() -> Self {
        Self {
            ko: Ko::Positional,
            suicide: false,
            scoring: Scoring::Area,
            komi: 7.5,
            bonus: HandicapBonus::Stones,
            max_moves: usize::MAX,
        }
    }

    /// The computer-go rules of 9×9: as [`Rules::chinese`], komi 7.
    #[must_use]
    pub const fn computer() -> Self {
        Self::chinese().with_komi(7.0)
    }

    /// American (AGA): situational superko, no suicide, a point for every handicap stone but the
    /// first; komi 7.5.
    #[must_use]
    pub const fn american() -> Self {
        Self { ko: Ko::Situational, bonus: HandicapBonus::StonesButOne, ..Self::chinese() }
    }

    /// Japanese: simple ko, no suicide, territory and prisoners, nothing for handicap stones; komi
    /// 6.5. A game ends after 1,444 moves at the latest.
    #[must_use]
    pub const fn japanese() -> Self {
        Self {
            ko: Ko::Simple,
            suicide: false,
            scoring: Scoring::Territory,
            komi: 6.5,
            bonus: HandicapBonus::None,
            max_moves: 4 * MAX_SIDE * MAX_SIDE,
        }
    }

    /// Sets the komi.
    #[must_use]
    pub const fn with_komi(mut self, komi: f32) -> Self {
        self.komi = komi;
        self
    }

    /// Sets the number of moves after which the game ends.
    #[must_use]
    pub const fn with_max_moves(mut self, max_moves: usize) -> Self {
        self.max_moves = max_moves;
        self
    }

    /// Scored as the rules of this name in a record: `Japanese`, `Korean`, `Chinese`, `AGA`, `NZ`, `GOE`
    /// or `Ing` (in letters of any case); as before where it is another.
    #[must_use]
    pub fn scored_as(mut self, name: &str) -> Self {
        (self.scoring, self.bonus) = match name.trim().to_ascii_lowercase().as_str() {
            "japanese" | "korean" => (Scoring::Territory, HandicapBonus::None),
            "chinese" => (Scoring::Area, HandicapBonus::Stones),
            "aga" => (Scoring::Area, HandicapBonus::StonesButOne),
            "nz" | "new zealand" | "goe" | "ing" => (Scoring::Area, HandicapBonus::None),
            _ => return self,
        };
        self
    }

    /// The name in a record of rules that score as these.
    pub(crate) fn scoring_name(&self) -> &'static str {
        match (self.scoring, self.bonus) {
            (Scoring::Territory, _) => "Japanese",
            (Scoring::Area, HandicapBonus::Stones) => "Chinese",
            (Scoring::Area, HandicapBonus::StonesButOne) => "AGA",
            (Scoring::Area, HandicapBonus::None) => "NZ",
        }
    }

    /// Refuses what cannot be played.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::finite("komi", self.komi)?;
        config::at_least("max_moves", self.max_moves, 1)?;
        config::require(
            self.ko != Ko::Simple || self.max_moves < usize::MAX,
            "max_moves",
            self.max_moves,
            "a limit, as games under simple ko need not end",
        )
    }

    /// The points that White gets for `stones` handicap stones.
    pub(crate) fn bonus_of(&self, stones: usize) -> f32 {
        match self.bonus {
            HandicapBonus::None => 0.0,
            HandicapBonus::Stones => stones as f32,
            HandicapBonus::StonesButOne => stones.saturating_sub(1) as f32,
        }
    }
}

impl Default for Rules {
    /// [`Rules::chinese`].
    fn default() -> Self {
        Self::chinese()
    }
}
