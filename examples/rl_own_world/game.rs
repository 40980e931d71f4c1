//! A masked game: four in a row on 4×5 against a player who moves at random.

use rl::environment::{from_state, to_state};
use rl::random::Random;
use rl::{Environment, Error, Result, Space, Spaces, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const ROWS: usize = 4;
const COLUMNS: usize = 5;

/// The learner begins; the other player answers within the same step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Game {
    /// 0 free, 1 the learner's, 2 the other's; the lowest row first.
    board: Vec<u8>,
    /// Columns with room.
    mask: Vec<bool>,
    random: Random,
    running: bool,
}

impl Game {
    pub(super) fn new() -> Self {
        let (board, mask) = (vec![0; ROWS * COLUMNS], vec![true; COLUMNS]);
        Self { board, mask, random: Random::new(0), running: false }
    }

    /// Two planes: the learner's stones, the other's.
    fn seen(&self) -> Vec<f64> {
        let plane = |stone| self.board.iter().map(move |s| f64::from(u8::from(*s == stone)));
        plane(1).chain(plane(2)).collect()
    }

    /// Drops a stone; whether it makes four in a row.
    fn drop(&mut self, column: usize, stone: u8) -> bool {
        let free = (0..ROWS).find(|row| self.board[row * COLUMNS + column] == 0);
        let Some(row) = free else { return false };
        self.board[row * COLUMNS + column] = stone;
        self.mask[column] = row + 1 < ROWS;
        let run = |down: isize, right: isize| {
            let own = |k: &isize| {
                let (r, c) = (row as isize + k * down, column as isize + k * right);
                let inside = (0..ROWS as isize).contains(&r) && (0..COLUMNS as isize).contains(&c);
                inside && self.board[r as usize * COLUMNS + c as usize] == stone
            };
            (1..4).take_while(own).count()
        };
        let ways = [(0, 1), (1, 0), (1, 1), (1, -1)];
        ways.iter().any(|(down, right)| 1 + run(*down, *right) + run(-down, -right) >= 4)
    }
}

impl Environment for Game {
    type Observation = Vec<f64>;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        Spaces {
            observation: Space::Image { shape: [2, ROWS, COLUMNS], most: 1.0 },
            action: Space::Discrete(COLUMNS),
        }
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        *self = Self { random: Random::new(seed), running: true, ..Self::new() };
        Ok(self.seen())
    }

    fn step(&mut self, column: &usize) -> Result<Step<Vec<f64>>> {
        if !self.running {
            return Err(Error::Ended);
        }
        if self.mask.get(*column) != Some(&true) {
            let expected = "a column with room".to_owned();
            return Err(Error::Action { action: column.to_string(), expected });
        }
        let won = self.drop(*column, 1);
        let mut lost = false;
        if !won && self.mask.contains(&true) {
            let answer = self.random.weighted(self.mask.iter().map(|m| f64::from(u8::from(*m))));
            lost = self.drop(answer.unwrap_or(0), 2);
        }
        let over = won || lost || !self.mask.contains(&true);
        self.running = !over;
        let reward = f64::from(u8::from(won)) - f64::from(u8::from(lost));
        Ok(Step::new(self.seen(), reward).terminated(over).info("won", f64::from(u8::from(won))))
    }

    fn mask(&self) -> Option<&[bool]> {
        Some(&self.mask)
    }

    fn state(&self) -> Result<Value> {
        to_state(self)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = from_state(state)?;
        Ok(())
    }
}
