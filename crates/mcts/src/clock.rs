//! The clock of a game: how long a player may think.

use std::time::Duration;

/// What comes after the main time of a game clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overtime {
    /// Nothing: the main time is all.
    None,
    /// So much more after each move (Fischer).
    Increment(Duration),
    /// So many moves in each period (Canadian; with 1 move, Japanese byo-yomi).
    Period {
        /// How long a period is.
        time: Duration,
        /// How many moves must be made in it; 0 counts as 1.
        moves: u32,
    },
}

/// A player's clock: how long to think about the next move.
///
/// ```
/// use std::time::Duration;
/// use mcts::{Clock, Overtime};
///
/// let mut clock = Clock::new(Duration::from_secs(600), Overtime::None);
/// let first = clock.allot(40); // about 40 moves to come
/// assert!((10..=20).contains(&first.as_secs()));
/// clock.spend(Duration::from_secs(595));
/// assert!(clock.allot(10) < Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    left: Duration,
    overtime: Overtime,
    /// Moves left in the period that runs; 0 in the main time.
    period_moves: u32,
    margin: Duration,
}

impl Clock {
    /// A clock with its main time and what follows.
    pub const fn new(main: Duration, overtime: Overtime) -> Self {
        let margin = Duration::from_millis(50);
        Self { left: main, overtime, period_moves: 0, margin }
    }

    /// The time kept back for the way to the referee: 50 ms unless set.
    #[must_use]
    pub const fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// What the referee says: so much time is left, for so many moves (0: main time).
    pub const fn set_left(&mut self, left: Duration, moves: u32) {
        self.left = left;
        self.period_moves = moves;
    }

    /// What is left of the main time or of the period.
    pub const fn left(&self) -> Duration {
        self.left
    }

    /// How long to think about the next move, when about so many own moves are still to come.
    pub fn allot(&self, moves: u32) -> Duration {
        let moves = moves.max(1);
        let share = match self.overtime {
            _ if self.period_moves > 0 => self.left / self.period_moves,
            Overtime::None => self.left / moves,
            Overtime::Increment(increment) => {
                (self.left / moves).saturating_add(increment.saturating_mul(9) / 10)
            }
            // The main time is spread over fewer moves: the periods carry the rest.
            Overtime::Period { time, moves: period } => {
                let each = time / period.max(1);
                (self.left / moves.min(30)).max(if self.left.is_zero() { each } else { each / 2 })
            }
        };
        let most = match self.overtime {
            Overtime::Period { time, moves } if self.period_moves == 0 => {
                self.left.saturating_add(time / moves.max(1))
            }
            _ => self.left,
        };
        // Never all that is left, and always a little.
        share.min(most.saturating_sub(self.margin)).max(Duration::from_millis(1))
    }

    /// Takes the time of a move off the clock.
    pub fn spend(&mut self, time: Duration) {
        match self.overtime {
            Overtime::None => self.left = self.left.saturating_sub(time),
            Overtime::Increment(increment) => {
                self.left = self.left.saturating_sub(time).saturating_add(increment);
            }
            Overtime::Period { time: period, moves } => {
                let moves = moves.max(1);
                if self.period_moves == 0 && time < self.left {
                    self.left -= time;
                    return;
                }
                if self.period_moves == 0 {
                    self.left = self.left.saturating_add(period).saturating_sub(time);
                    self.period_moves = moves;
                } else {
                    self.left = self.left.saturating_sub(time);
                }
                self.period_moves -= 1;
                if self.period_moves == 0 {
                    (self.left, self.period_moves) = (period, moves);
                }
            }
        }
    }
}
