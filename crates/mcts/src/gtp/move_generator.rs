//! Who chooses the engine's moves.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::found::Found;
use crate::game::Action;
use crate::go::{Go, Move};

/// What is done when it is the engine's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It plays.
    Move(Move),
    /// It gives up.
    Resign,
}

/// Chooses moves for an [`Engine`](super::Engine).
pub trait MoveGenerator {
    /// The name that controllers show.
    fn name(&self) -> String;

    /// Chooses a move for the player to move, in about this time where a clock runs.
    ///
    /// # Errors
    ///
    /// What it runs on may fail; the engine answers with the reason and goes on.
    fn choose(&mut self, game: &Go, time: Option<Duration>) -> Result<Decision>;

    /// Thinks about the moves of the player to move, of `allowed` alone where there are some, and
    /// tells about every `every` what it has found, until it is told to stop; what it has found then.
    ///
    /// # Errors
    ///
    /// Unless it can, that it cannot; and what it runs on may fail.
    fn analyze(
        &mut self,
        _game: &Go,
        _allowed: Option<Vec<Action>>,
        _every: Duration,
        _see: &mut dyn FnMut(&Found) -> ControlFlow<()>,
    ) -> Result<Found> {
        let (what, text) = ("command", "analyze".to_owned());
        let reason = format!("{} cannot analyze", self.name());
        Err(Error::Parse { what, text, reason })
    }

    /// Told after every change of the game that was not [`MoveGenerator::choose`]'s doing as well as
    /// after its own moves, so that it can keep what it knows.
    fn changed(&mut self, _game: &Go) {}

    /// Refuses games that it cannot play, as a net for one size does.
    ///
    /// # Errors
    ///
    /// The reason.
    fn accepts(&self, _game: &Go) -> Result<()> {
        Ok(())
    }
}
