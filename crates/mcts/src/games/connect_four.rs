//! Connect Four on bitboards.

use std::fmt;

use rand_core::Rng as _;

use crate::error::{Error, Result};
use crate::game::{Action, Encode, Game, Hashed, Payoff, Symmetry, Turn, Values};
use crate::random::{Random, mix};
use crate::symmetry;

/// Columns.
pub(crate) const WIDTH: usize = 7;
/// Rows.
pub(crate) const HEIGHT: usize = 6;
/// Bits of a column: one above the top row stays empty.
const STRIDE: usize = HEIGHT + 1;
/// The lowest point of each column.
pub(crate) const BOTTOM: u64 = 0x0000_0408_1020_4081;
/// All points.
pub(crate) const BOARD: u64 = BOTTOM * ((1 << HEIGHT) - 1);

/// Four in a row on seven columns of six: stones fall to the lowest free point. Actions are
/// columns from 0, written `1` to `7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ConnectFour {
    /// Stones of the player to move: bit `column · 7 + row`, row 0 at the bottom.
    own: u64,
    /// Stones of both.
    mask: u64,
}

/// The points of a column.
pub(crate) const fn column(column: usize) -> u64 {
    ((1 << HEIGHT) - 1) << (column * STRIDE)
}

/// Whether four stones stand in a row.
#[inline]
pub(crate) const fn has_four(stones: u64) -> bool {
    let across = stones & (stones >> STRIDE);
    let falling = stones & (stones >> (STRIDE - 1));
    let rising = stones & (stones >> (STRIDE + 1));
    let up = stones & (stones >> 1);
    (across & (across >> (2 * STRIDE)))
        | (falling & (falling >> (2 * (STRIDE - 1))))
        | (rising & (rising >> (2 * (STRIDE + 1))))
        | (up & (up >> 2))
        != 0
}

impl ConnectFour {
    /// The empty board.
    pub const fn new() -> Self {
        Self { own: 0, mask: 0 }
    }

    /// The position after a line of columns, `1` to `7`, as Pons's benchmark writes them.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] for a character that is no column, [`Error::Illegal`] for a full column
    /// and for a stone after the end.
    pub fn from_columns(columns: &str) -> Result<Self> {
        let mut game = Self::new();
        for (index, character) in columns.chars().enumerate() {
            let column = character.to_digit(10).filter(|digit| (1..=WIDTH as u32).contains(digit));
            let Some(column) = column else {
                return Err(Error::Parse {
                    what: "position",
                    text: columns.to_owned(),
                    reason: format!("character {}, `{character}`, is no column 1 to 7", index + 1),
                });
            };
            game.try_play(column as Action - 1)?;
        }
        Ok(game)
    }

    /// How many stones are on the board.
    pub const fn stones(&self) -> u32 {
        self.mask.count_ones()
    }

    /// Stones of the player to move, and of both.
    pub(crate) const fn boards(&self) -> (u64, u64) {
        (self.own, self.mask)
    }

    /// A number of its own for each position.
    pub(crate) const fn key(&self) -> u64 {
        self.own + self.mask
    }

    /// A stone for the player to move, then the other is to move.
    #[inline]
    const fn put(&mut self, stone: u64) {
        self.own ^= self.mask;
        self.mask |= stone;
    }
}

impl Game for ConnectFour {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "connect_four".to_owned()
    }

    fn actions(&self) -> usize {
        WIDTH
    }

    #[inline]
    fn turn(&self) -> Turn {
        Turn::Player(self.stones() as u8 & 1)
    }

    #[inline]
    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.outcome().is_none() {
            let free = (self.mask + BOTTOM) & BOARD;
            actions.extend((0..WIDTH).filter(|&c| free & column(c) != 0).map(|c| c as Action));
        }
    }

    #[inline]
    fn play(&mut self, action: Action) {
        let action = usize::from(action);
        self.put((self.mask + (1 << (action * STRIDE))) & column(action));
    }

    #[inline]
    fn outcome(&self) -> Option<Values> {
        if has_four(self.own ^ self.mask) {
            Some(Values::two((self.stones() as usize + 1) & 1, 1.0))
        } else {
            (self.mask == BOARD).then_some(Values::DRAW)
        }
    }

    #[inline]
    fn rollout(&mut self, random: &mut Random, _actions: &mut Vec<Action>) -> Option<Values> {
        let mut bits = 0;
        let mut drawn = 0;
        loop {
            if let Some(values) = self.outcome() {
                return Some(values);
            }
            // Columns are drawn until one has room.
            let stone = loop {
                if drawn == 0 {
                    (bits, drawn) = (random.next_u64(), 4);
                }
                // 16 bits: the columns differ by less than a thousandth of a per cent.
                let choice = ((bits & 0xFFFF) as usize * WIDTH) >> 16;
                (bits, drawn) = (bits >> 16, drawn - 1);
                let stone = (self.mask + (1 << (choice * STRIDE))) & column(choice);
                if stone != 0 {
                    break stone;
                }
            };
            self.put(stone);
        }
    }

    fn action_name(&self, action: Action) -> String {
        (action + 1).to_string()
    }
}

impl Encode for ConnectFour {
    fn shape(&self) -> [usize; 3] {
        [2, HEIGHT, WIDTH]
    }

    /// Own stones, the other's stones; row 0 on top.
    fn encode(&self, planes: &mut [f32]) {
        let boards = [self.own, self.own ^ self.mask];
        for (plane, stones) in planes.chunks_exact_mut(HEIGHT * WIDTH).zip(boards) {
            for (point, value) in plane.iter_mut().enumerate() {
                let (row, column) = (HEIGHT - 1 - point / WIDTH, point % WIDTH);
                *value = (stones >> (column * STRIDE + row) & 1) as f32;
            }
        }
    }
}

impl Symmetry for ConnectFour {
    /// Itself and its mirror image.
    fn symmetries(&self) -> usize {
        2
    }

    fn transform_point(&self, symmetry: usize, point: usize) -> usize {
        symmetry::transform(symmetry, WIDTH, HEIGHT, point)
    }
}

impl Hashed for ConnectFour {
    fn hash(&self) -> u64 {
        mix(self.key(), 0)
    }
}

impl fmt::Display for ConnectFour {
    /// The top row first, `X` moves first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = if self.stones() & 1 == 0 { self.own } else { self.own ^ self.mask };
        for row in (0..HEIGHT).rev() {
            for column in 0..WIDTH {
                let bit = 1 << (column * STRIDE + row);
                let stone = match (self.mask & bit != 0, first & bit != 0) {
                    (false, _) => '.',
                    (true, true) => 'X',
                    (true, false) => 'O',
                };
                write!(f, "{stone} ")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "1 2 3 4 5 6 7")
    }
}
