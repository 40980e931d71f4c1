//! The exact value of Connect Four positions: the witness that grades players.

use std::path::Path;

use model_utils_core::config;
use model_utils_core::error::Error as CoreError;
use model_utils_core::event::{Stop, Stoppable};

use super::ConnectFour;
use super::connect_four::{BOARD, BOTTOM, HEIGHT, WIDTH, column, has_four};
use crate::error::{Error, Result};
use crate::game::{Action, Game};
use crate::nodes::Proven;

/// All points of the board.
const POINTS: i32 = (WIDTH * HEIGHT) as i32;
/// Columns from the centre outwards.
const ORDER: [usize; WIDTH] = [3, 2, 4, 1, 5, 0, 6];
/// Scores lie in −21..=21; a table stores them above this.
const LEAST: i32 = -POINTS / 2 + 3;
const GREATEST: i32 = (POINTS + 1) / 2 - 3;
/// Positions between two looks at the switch.
const GLANCE: u64 = 1 << 16;

/// Alpha–beta on bitboards with a transposition table, after Pons's tutorial *Solving Connect 4*
/// (2015 to 2019): moves that lose at once are left out, threats order the rest, and the score is
/// found by bisection with null windows.
///
/// Scores are Pons's: 0 is a draw; if the player to move wins with best play, 1 for a win with
/// the last stone of that player, 2 for the one before, and so on; negative if the other wins.
///
/// ```
/// use mcts::games::{ConnectFour, ConnectFourSolver};
///
/// let mut solver = ConnectFourSolver::new();
/// let game = ConnectFour::from_columns("112233")?; // and now 4 wins
/// assert_eq!(solver.score(&game)?, 18);
/// # Ok::<(), mcts::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConnectFourSolver {
    /// Key of the position (56 bits) and a bound (8 bits); 0 is empty.
    table: Vec<u64>,
    nodes: u64,
}

impl Default for ConnectFourSolver {
    fn default() -> Self {
        Self::new()
    }
}

/// Free points with which the owner of `own` gets four in a row.
const fn winning(own: u64, mask: u64) -> u64 {
    const DIRECTIONS: [usize; 3] = [HEIGHT, HEIGHT + 1, HEIGHT + 2];
    let mut points = (own << 1) & (own << 2) & (own << 3);
    let mut index = 0;
    while index < DIRECTIONS.len() {
        let step = DIRECTIONS[index];
        let above = (own << step) & (own << (2 * step));
        let below = (own >> step) & (own >> (2 * step));
        points |= above & ((own << (3 * step)) | (own >> step));
        points |= below & ((own >> (3 * step)) | (own << step));
        index += 1;
    }
    points & (BOARD ^ mask)
}

/// Points where the next stones fall.
const fn possible(mask: u64) -> u64 {
    (mask + BOTTOM) & BOARD
}

impl ConnectFourSolver {
    /// A solver with a table of 2²² entries (32 MiB).
    pub fn new() -> Self {
        Self { table: vec![0; 1 << 22], nodes: 0 }
    }

    /// A solver with a table of so many entries of 8 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for 0.
    pub fn with_entries(entries: usize) -> Result<Self> {
        config::at_least("entries", entries, 1)?;
        Ok(Self { table: vec![0; entries], nodes: 0 })
    }

    /// How many positions were looked at in all.
    pub const fn nodes(&self) -> u64 {
        self.nodes
    }

    /// The exact score. From an empty board it takes minutes: `solver.score(stop.around(&game))` ends
    /// with [`Stopped`](CoreError::Stopped), and the table is good for what comes next.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] for a game that is over.
    pub fn score<'a>(&mut self, game: impl Into<Stoppable<&'a ConnectFour>>) -> Result<i32> {
        self.solve(&game.into(), -POINTS / 2, POINTS / 2)
    }

    /// The exact result for the player to move: much faster than the score.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    pub fn result<'a>(&mut self, game: impl Into<Stoppable<&'a ConnectFour>>) -> Result<Proven> {
        Ok(match self.solve(&game.into(), -1, 1)? {
            score if score > 0 => Proven::Win,
            0 => Proven::Draw,
            _ => Proven::Loss,
        })
    }

    /// The exact result of each legal action, for the player who takes it.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    pub fn results<'a>(
        &mut self,
        game: impl Into<Stoppable<&'a ConnectFour>>,
    ) -> Result<Vec<(Action, Proven)>> {
        let (game, stop) = game.into().into_parts();
        let mut actions = Vec::new();
        game.legal_actions(&mut actions);
        if actions.is_empty() {
            return Err(Error::Ended { game: game.name() });
        }
        actions
            .into_iter()
            .map(|action| {
                let mut next = *game;
                next.play(action);
                let proven = match next.outcome() {
                    Some(values) => {
                        let player = game.turn().player().unwrap_or(0);
                        Proven::from_value(values.of(player)).unwrap_or(Proven::Draw)
                    }
                    None => self.result(stop.around(&next))?.turned(),
                };
                Ok((action, proven))
            })
            .collect()
    }

    fn solve(&mut self, game: &Stoppable<&ConnectFour>, least: i32, greatest: i32) -> Result<i32> {
        let (game, stop) = (game.inner("solving", "the first position")?, game.stop());
        let (own, mask) = game.boards();
        if has_four(own ^ mask) || mask == BOARD {
            return Err(Error::Ended { game: game.name() });
        }
        let stones = mask.count_ones() as i32;
        if winning(own, mask) & possible(mask) != 0 {
            return Ok((POINTS + 1 - stones) / 2);
        }
        let mut low = (-(POINTS - stones) / 2).max(least);
        let mut high = ((POINTS + 1 - stones) / 2).min(greatest);
        while low < high {
            // Bisection, nearer to 0 first: short windows there cost least.
            let mut middle = low + (high - low) / 2;
            if middle <= 0 && low / 2 < middle {
                middle = low / 2;
            } else if middle >= 0 && high / 2 > middle {
                middle = high / 2;
            }
            let score = self.negamax(own, mask, middle, middle + 1, stop).ok_or_else(|| {
                CoreError::stopped("solving", format_args!("{} positions", self.nodes))
            })?;
            if score <= middle {
                high = score;
            } else {
                low = score;
            }
        }
        Ok(low)
    }

    /// Where a position is stored (Fibonacci hashing).
    const fn place(&self, key: u64) -> usize {
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((hash as u128 * self.table.len() as u128) >> 64) as usize
    }

    /// A bound of the score within `alpha..beta`, or none where it was stopped. The player to move has
    /// no winning stone.
    fn negamax(
        &mut self,
        own: u64,
        mask: u64,
        mut alpha: i32,
        mut beta: i32,
        stop: &Stop,
    ) -> Option<i32> {
        self.nodes += 1;
        if self.nodes.is_multiple_of(GLANCE) && stop.is_stopped() {
            return None;
        }
        let stones = mask.count_ones() as i32;
        let other = own ^ mask;
        // Stones that do not let the other win at once.
        let threats = winning(other, mask);
        let mut next = possible(mask);
        let forced = next & threats;
        if forced != 0 {
            if forced & (forced - 1) != 0 {
                return Some(-(POINTS - stones) / 2);
            }
            next = forced;
        }
        next &= !(threats >> 1);
        if next == 0 {
            return Some(-(POINTS - stones) / 2);
        }
        if stones >= POINTS - 2 {
            return Some(0);
        }
        // The other cannot win with the next stone, nor this player with this one.
        let least = -(POINTS - 2 - stones) / 2;
        alpha = alpha.max(least);
        if alpha >= beta {
            return Some(alpha);
        }
        let key = own + mask;
        let place = self.place(key);
        let mut greatest = (POINTS - 1 - stones) / 2;
        let entry = self.table[place];
        if entry >> 8 == key {
            let stored = (entry & 0xFF) as i32;
            if stored > GREATEST - LEAST + 1 {
                let bound = stored + 2 * LEAST - GREATEST - 2;
                alpha = alpha.max(bound);
                if alpha >= beta {
                    return Some(bound);
                }
            } else if stored > 0 {
                greatest = greatest.min(stored + LEAST - 1);
            }
        }
        beta = beta.min(greatest);
        if alpha >= beta {
            return Some(beta);
        }
        // Insertion sort: most new threats first, of equals the column nearer to the centre.
        let mut moves = [(0, 0); WIDTH];
        let mut count = 0;
        for stone in ORDER.into_iter().rev().map(|c| next & column(c)).filter(|&stone| stone != 0) {
            let new = winning(own | stone, mask).count_ones();
            let mut place = count;
            while place > 0 && moves[place - 1].1 > new {
                moves[place] = moves[place - 1];
                place -= 1;
            }
            moves[place] = (stone, new);
            count += 1;
        }
        for &(stone, _) in moves[..count].iter().rev() {
            let score = -self.negamax(other, mask | stone, -beta, -alpha, stop)?;
            if score >= beta {
                let stored = score + GREATEST - 2 * LEAST + 2;
                self.table[place] = key << 8 | stored as u64;
                return Some(score);
            }
            alpha = alpha.max(score);
        }
        self.table[place] = key << 8 | (alpha.max(LEAST) - LEAST + 1) as u64;
        Some(alpha)
    }
}

/// Reads positions and their exact scores as Pons's benchmark stores them: a line each, columns 1
/// to 7, a space, the score.
///
/// # Errors
///
/// [`Error::Utils`], and [`Error::Parse`] with the line that cannot be read.
pub fn read_positions(path: &Path) -> Result<Vec<(ConnectFour, i32)>> {
    let text = std::fs::read_to_string(path).map_err(model_utils_core::Error::io("read", path))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let positions: Vec<_> = lines
        .map(|(index, line)| {
            let wrong = |reason: String| Error::Parse {
                what: "position",
                text: line.chars().take(60).collect(),
                reason: format!("line {}: {reason}", index + 1),
            };
            let (columns, score) = line
                .trim()
                .split_once(' ')
                .ok_or_else(|| wrong("expected columns, a space and a score".to_owned()))?;
            let score = score.trim().parse();
            let score = score.map_err(|_| wrong("the score is no whole number".to_owned()))?;
            let game = ConnectFour::from_columns(columns);
            Ok((game.map_err(|error| wrong(error.to_string()))?, score))
        })
        .collect::<Result<_>>()?;
    if positions.is_empty() {
        return Err(Error::Parse {
            what: "position",
            text: path.display().to_string(),
            reason: "the file holds no positions".to_owned(),
        });
    }
    Ok(positions)
}
