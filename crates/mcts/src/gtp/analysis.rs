//! What `lz-analyze` and `kata-analyze` ask for, and their reports.

use std::fmt::Write as _;
use std::time::Duration;

use super::engine::color;
use super::line::Command;
use crate::found::{Choice, Found};
use crate::game::{Action, Game as _};
use crate::go::{Color, Go, Move, Point};

/// An analysis as it is asked for.
#[derive(Debug)]
pub(super) struct Analysis {
    /// In `KataGo`'s words, else in Leela Zero's.
    kata: bool,
    pub(super) color: Color,
    pub(super) every: Duration,
    /// Moves that are looked at; none: all.
    allow: Option<Vec<Action>>,
    avoid: Vec<Action>,
}

impl Analysis {
    /// Whether a command of this name is one.
    pub(super) fn is_known(name: &str) -> bool {
        matches!(name, "lz-analyze" | "kata-analyze")
    }

    /// `[COLOR] [CENTISECONDS]`, then words with their values: `interval N`,
    /// `avoid|allow COLOR MOVE,… DEPTH`; others are read and left out.
    pub(super) fn read(command: &Command, game: &Go) -> Result<Self, String> {
        let mut analysis = Self {
            kata: command.name == "kata-analyze",
            color: game.to_play(),
            every: Duration::from_secs(1),
            allow: None,
            avoid: Vec::new(),
        };
        let mut at = 0;
        if let Ok(color) = color(command, at) {
            analysis.color = color;
            at += 1;
        }
        while let Some(word) = command.arguments.get(at) {
            at += 1;
            match word.to_ascii_lowercase().as_str() {
                "interval" => {
                    analysis.every = centiseconds(command.number(at, "centiseconds")?);
                    at += 1;
                }
                word @ ("avoid" | "allow") => {
                    let moves = (color(command, at)?, command.argument(at + 1, "moves")?);
                    let _: usize = command.number(at + 2, "a depth")?;
                    at += 3;
                    if moves.0 != analysis.color {
                        continue;
                    }
                    let actions: Result<Vec<Action>, String> =
                        moves.1.split(',').map(|name| action(game, name)).collect();
                    match word {
                        "avoid" => analysis.avoid.extend(actions?),
                        _ => analysis.allow.get_or_insert_default().extend(actions?),
                    }
                }
                word if word.bytes().all(|byte| byte.is_ascii_digit()) => {
                    analysis.every = centiseconds(command.number(at - 1, "centiseconds")?);
                }
                // `minmoves N`, `ownership true` and their like.
                _ => at += 1,
            }
        }
        Ok(analysis)
    }

    /// The moves that are looked at; none: all.
    pub(super) fn allowed(&self, game: &Go) -> Result<Option<Vec<Action>>, String> {
        if self.avoid.is_empty() && self.allow.is_none() {
            return Ok(None);
        }
        let mut legal = Vec::new();
        game.legal_actions(&mut legal);
        let is_allowed = |action: &Action| {
            let allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(action));
            allowed && !self.avoid.contains(action)
        };
        legal.retain(is_allowed);
        if legal.is_empty() {
            Err("no move is left to analyze".to_owned())
        } else {
            Ok(Some(legal))
        }
    }

    /// All visited moves on one line, the best first.
    pub(super) fn report(&self, game: &Go, found: &Found) -> String {
        let height = game.board().height();
        let mut line = String::new();
        let visited = found.choices.iter().filter(|choice| choice.visits > 0);
        for (order, choice) in visited.enumerate() {
            let name = game.move_of(choice.action).name(height);
            let rate = |value: f32| f64::midpoint(1.0, f64::from(value).clamp(-1.0, 1.0));
            // A rough lower bound, as of a share of won games.
            let deviation = (1.0 / f64::from(choice.visits + 1)).sqrt();
            let (won, bound) = (rate(choice.value), (rate(choice.value) - deviation).max(0.0));
            let Choice { visits, prior, .. } = choice;
            let space = if order == 0 { "" } else { " " };
            let _ = write!(line, "{space}info move {name} visits {visits} ");
            let _ = if self.kata {
                let utility = choice.value;
                write!(
                    line,
                    "utility {utility:.4} winrate {won:.6} prior {prior:.6} lcb {bound:.6} "
                )
            } else {
                let share = |x: f64| (10_000.0 * x).round();
                let (won, bound) = (share(won), share(bound));
                let prior = share(f64::from(*prior));
                write!(line, "winrate {won} prior {prior} lcb {bound} ")
            };
            let _ = write!(line, "order {order} pv {name}");
            if order == 0 {
                for (action, _) in found.principal_variation.iter().skip(1) {
                    let _ = write!(line, " {}", game.move_of(*action).name(height));
                }
            }
        }
        line
    }
}

fn centiseconds(count: u32) -> Duration {
    Duration::from_millis(10 * u64::from(count.max(1)))
}

/// An action by its name on the board.
fn action(game: &Go, name: &str) -> Result<Action, String> {
    let board = game.board();
    if name.eq_ignore_ascii_case("pass") {
        return Ok(game.pass());
    }
    let point = Point::parse(name, board.width(), board.height());
    let action = point.and_then(|point| game.action(Move::Play(point)));
    action.ok_or_else(|| format!("invalid vertex `{name}`"))
}
