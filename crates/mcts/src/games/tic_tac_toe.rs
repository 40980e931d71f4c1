//! Tic-tac-toe on two bit masks.

use std::fmt;

use super::square;
use crate::game::{Action, Encode, Game, Hashed, Payoff, Symmetry, Turn, Values};
use crate::random::mix;
use crate::symmetry;

const LINES: [u16; 8] = [0o7, 0o70, 0o700, 0o111, 0o222, 0o444, 0o421, 0o124];
const FULL: u16 = 0o777;

/// Three in a row on 3×3 points. Actions are points, `row · 3 + column`, written `a1` to `c3` with
/// row 1 on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TicTacToe {
    /// Stones of the player to move.
    own: u16,
    /// Stones of the other.
    other: u16,
}

impl TicTacToe {
    /// The empty board.
    pub const fn new() -> Self {
        Self { own: 0, other: 0 }
    }

    const fn stones(self) -> u32 {
        (self.own | self.other).count_ones()
    }
}

impl Game for TicTacToe {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "tic_tac_toe".to_owned()
    }

    fn actions(&self) -> usize {
        9
    }

    fn turn(&self) -> Turn {
        Turn::Player(self.stones() as u8 & 1)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.outcome().is_none() {
            let free = FULL & !(self.own | self.other);
            actions.extend((0..9).filter(|point| free >> point & 1 != 0));
        }
    }

    fn play(&mut self, action: Action) {
        let own = self.own | 1 << action;
        (self.own, self.other) = (self.other, own);
    }

    fn outcome(&self) -> Option<Values> {
        let last = (self.stones() as usize + 1) & 1;
        if LINES.iter().any(|line| self.other & line == *line) {
            Some(Values::two(last, 1.0))
        } else {
            (self.own | self.other == FULL).then_some(Values::DRAW)
        }
    }

    fn action_name(&self, action: Action) -> String {
        format!("{}{}", char::from(b'a' + (action % 3) as u8), action / 3 + 1)
    }
}

impl Encode for TicTacToe {
    fn shape(&self) -> [usize; 3] {
        [2, 3, 3]
    }

    /// Own stones, the other's stones.
    fn encode(&self, planes: &mut [f32]) {
        square::encode(3, [self.own, self.other].map(u64::from), planes);
    }
}

impl Symmetry for TicTacToe {
    fn symmetries(&self) -> usize {
        symmetry::SQUARE
    }

    fn transform_point(&self, symmetry: usize, point: usize) -> usize {
        symmetry::transform(symmetry, 3, 3, point)
    }
}

impl Hashed for TicTacToe {
    fn hash(&self) -> u64 {
        mix(u64::from(self.own) << 16 | u64::from(self.other), 0)
    }
}

impl fmt::Display for TicTacToe {
    /// Rows from 1, `X` moves first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (x, o) =
            if self.stones() & 1 == 0 { (self.own, self.other) } else { (self.other, self.own) };
        square::write(f, 3, [x, o].map(u64::from))
    }
}
