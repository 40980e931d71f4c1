//! What `go` asks for.

use std::time::Duration;

use cozy_chess::Color;

use crate::clock::{Clock, Overtime};

/// How many moves are still to come, where a clock does not say.
const MOVES: u32 = 30;

/// The arguments of `go`. What is no number, or not known, is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Go {
    pub(super) infinite: bool,
    pub(super) ponder: bool,
    pub(super) move_time: Option<Duration>,
    pub(super) nodes: Option<u64>,
    pub(super) depth: Option<usize>,
    pub(super) mate: Option<u32>,
    /// Moves as they are written.
    pub(super) search_moves: Vec<String>,
    /// Time left and increment, of white and of black.
    left: [Option<Duration>; 2],
    increment: [Duration; 2],
    moves_left: Option<u32>,
}

/// A number of milliseconds; what is below 0 is 0.
fn milliseconds(text: &str) -> Option<Duration> {
    let number: i64 = text.parse().ok()?;
    Some(Duration::from_millis(number.max(0) as u64))
}

impl Go {
    pub(super) fn read<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut go = Self::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            match word {
                "infinite" => go.infinite = true,
                "ponder" => go.ponder = true,
                "searchmoves" => {
                    while let Some(text) = words.next_if(|text| is_move(text)) {
                        go.search_moves.push(text.to_owned());
                    }
                }
                _ => {
                    let Some(value) = words.peek() else { continue };
                    let number = || value.parse().ok();
                    match word {
                        "wtime" => go.left[0] = milliseconds(value),
                        "btime" => go.left[1] = milliseconds(value),
                        "winc" => go.increment[0] = milliseconds(value).unwrap_or_default(),
                        "binc" => go.increment[1] = milliseconds(value).unwrap_or_default(),
                        "movetime" => go.move_time = milliseconds(value),
                        "movestogo" => {
                            let moves: Option<u64> = number();
                            go.moves_left = moves.filter(|m| *m > 0).map(|m| m.min(1000) as u32);
                        }
                        "nodes" => go.nodes = number(),
                        "depth" => go.depth = number().map(|depth: u64| depth.min(1000) as usize),
                        "mate" => go.mate = number().map(|moves: u64| moves.min(1000) as u32),
                        _ => {}
                    }
                }
            }
        }
        go
    }

    /// Whether it goes on until it is told to stop.
    pub(super) fn is_endless(&self, side: Color) -> bool {
        self.infinite
            || (self.move_time.is_none()
                && self.nodes.is_none()
                && self.depth.is_none()
                && self.mate.is_none()
                && self.left[side as usize].is_none())
    }

    /// How long a side may think; none: as long as it likes. `margin` is kept back, and is not counted on
    /// of any increment, as every move may lose as much on its way.
    pub(super) fn time(&self, side: Color, margin: Duration) -> Option<Duration> {
        if self.infinite {
            return None;
        }
        let least = Duration::from_millis(1);
        let fixed = self.move_time.map(|time| time.saturating_sub(margin.min(time / 4)).max(least));
        let allotted = self.left[side as usize].map(|left| {
            let increment = self.increment[side as usize].saturating_sub(margin);
            let clock = Clock::new(left, Overtime::Increment(increment)).with_margin(margin);
            clock.allot(self.moves_left.unwrap_or(MOVES))
        });
        fixed.into_iter().chain(allotted).min()
    }
}

/// Whether a word is written as a move.
fn is_move(word: &str) -> bool {
    let bytes = word.as_bytes();
    (4..=5).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[1].is_ascii_digit()
        && bytes[2].is_ascii_lowercase()
        && bytes[3].is_ascii_digit()
}
