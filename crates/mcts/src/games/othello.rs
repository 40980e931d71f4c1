//! Othello on bitboards.

use std::fmt;

use super::square;
use crate::game::{Action, Encode, Game, Hashed, Payoff, Symmetry, Turn, Values};
use crate::random::{Random, mix};
use crate::symmetry;

/// The action of a player who cannot turn anything.
const PASS: Action = 64;
/// All but the first column.
const NOT_A: u64 = 0xFEFE_FEFE_FEFE_FEFE;
/// All but the last column.
const NOT_H: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// Othello on 8×8 points. Actions are points, `row · 8 + column` from the top left, written `a1`
/// to `h8`; a player who cannot turn a stone has one action, `pass` (64). Black moves first; the
/// game ends when nobody can move, and the majority wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Othello {
    /// Stones of the player to move.
    own: u64,
    /// Stones of the other.
    other: u64,
    /// 0 for black, 1 for white.
    mover: u8,
}

impl Default for Othello {
    fn default() -> Self {
        Self::new()
    }
}

/// Steps in one direction; what leaves the board is lost.
#[inline]
const fn step<const DIRECTION: u8>(stones: u64) -> u64 {
    match DIRECTION {
        0 => (stones << 1) & NOT_A,
        1 => (stones >> 1) & NOT_H,
        2 => stones << 8,
        3 => stones >> 8,
        4 => (stones << 9) & NOT_A,
        5 => (stones >> 9) & NOT_H,
        6 => (stones << 7) & NOT_H,
        _ => (stones >> 7) & NOT_A,
    }
}

/// Stones of `other` in unbroken rows from `from`.
#[inline]
const fn row<const DIRECTION: u8>(from: u64, other: u64) -> u64 {
    let mut stones = step::<DIRECTION>(from) & other;
    stones |= step::<DIRECTION>(stones) & other;
    stones |= step::<DIRECTION>(stones) & other;
    stones |= step::<DIRECTION>(stones) & other;
    stones |= step::<DIRECTION>(stones) & other;
    stones | step::<DIRECTION>(stones) & other
}

/// Free points at the end of rows.
#[inline]
const fn ends<const DIRECTION: u8>(own: u64, other: u64) -> u64 {
    step::<DIRECTION>(row::<DIRECTION>(own, other))
}

/// Stones that a stone turns in one direction.
#[inline]
const fn turned<const DIRECTION: u8>(stone: u64, own: u64, other: u64) -> u64 {
    let stones = row::<DIRECTION>(stone, other);
    if step::<DIRECTION>(stones) & own != 0 { stones } else { 0 }
}

/// The points where the owner of `own` may put a stone.
#[inline]
const fn moves(own: u64, other: u64) -> u64 {
    (ends::<0>(own, other)
        | ends::<1>(own, other)
        | ends::<2>(own, other)
        | ends::<3>(own, other)
        | ends::<4>(own, other)
        | ends::<5>(own, other)
        | ends::<6>(own, other)
        | ends::<7>(own, other))
        & !(own | other)
}

/// All stones that a stone turns.
#[inline]
const fn flips(stone: u64, own: u64, other: u64) -> u64 {
    turned::<0>(stone, own, other)
        | turned::<1>(stone, own, other)
        | turned::<2>(stone, own, other)
        | turned::<3>(stone, own, other)
        | turned::<4>(stone, own, other)
        | turned::<5>(stone, own, other)
        | turned::<6>(stone, own, other)
        | turned::<7>(stone, own, other)
}

impl Othello {
    /// The position at the start: white on d4 and e5, black on e4 and d5.
    pub const fn new() -> Self {
        Self { own: 1 << 28 | 1 << 35, other: 1 << 27 | 1 << 36, mover: 0 }
    }

    /// Stones of black and of white.
    pub const fn stones(&self) -> (u32, u32) {
        let (own, other) = (self.own.count_ones(), self.other.count_ones());
        if self.mover == 0 { (own, other) } else { (other, own) }
    }

    #[inline]
    const fn put(&mut self, stone: u64) {
        let flipped = flips(stone, self.own, self.other);
        let own = self.own | stone | flipped;
        self.own = self.other & !flipped;
        self.other = own;
        self.mover ^= 1;
    }

    #[inline]
    const fn pass(&mut self) {
        (self.own, self.other) = (self.other, self.own);
        self.mover ^= 1;
    }

    fn count(&self) -> Values {
        let (own, other) = (self.own.count_ones(), self.other.count_ones());
        let value = f32::from(i8::from(own > other) - i8::from(own < other));
        Values::two(usize::from(self.mover), value)
    }
}

impl Game for Othello {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "othello".to_owned()
    }

    fn actions(&self) -> usize {
        65
    }

    #[inline]
    fn turn(&self) -> Turn {
        Turn::Player(self.mover)
    }

    #[inline]
    fn legal_actions(&self, actions: &mut Vec<Action>) {
        let mut points = moves(self.own, self.other);
        if points == 0 {
            if moves(self.other, self.own) != 0 {
                actions.push(PASS);
            }
            return;
        }
        while points != 0 {
            actions.push(points.trailing_zeros() as Action);
            points &= points - 1;
        }
    }

    #[inline]
    fn play(&mut self, action: Action) {
        if action == PASS { self.pass() } else { self.put(1 << (action & 63)) }
    }

    #[inline]
    fn outcome(&self) -> Option<Values> {
        let over = moves(self.own, self.other) == 0 && moves(self.other, self.own) == 0;
        over.then(|| self.count())
    }

    #[inline]
    fn rollout(&mut self, random: &mut Random, _actions: &mut Vec<Action>) -> Option<Values> {
        loop {
            let mut points = moves(self.own, self.other);
            if points == 0 {
                self.pass();
                points = moves(self.own, self.other);
                if points == 0 {
                    return Some(self.count());
                }
            }
            for _ in 0..random.below_u32(points.count_ones()) {
                points &= points - 1;
            }
            self.put(points & points.wrapping_neg());
        }
    }

    fn action_name(&self, action: Action) -> String {
        if action == PASS {
            return "pass".to_owned();
        }
        format!("{}{}", char::from(b'a' + (action % 8) as u8), action / 8 + 1)
    }
}

impl Encode for Othello {
    fn shape(&self) -> [usize; 3] {
        [2, 8, 8]
    }

    /// Own stones, the other's stones.
    fn encode(&self, planes: &mut [f32]) {
        square::encode(8, [self.own, self.other], planes);
    }
}

impl Symmetry for Othello {
    fn symmetries(&self) -> usize {
        symmetry::SQUARE
    }

    fn transform_point(&self, symmetry: usize, point: usize) -> usize {
        symmetry::transform(symmetry, 8, 8, point)
    }
}

impl Hashed for Othello {
    fn hash(&self) -> u64 {
        mix(mix(self.own, u64::from(self.mover)), self.other)
    }
}

impl fmt::Display for Othello {
    /// Row 1 on top, `X` is black and moves first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (black, white) =
            if self.mover == 0 { (self.own, self.other) } else { (self.other, self.own) };
        square::write(f, 8, [black, white])
    }
}
