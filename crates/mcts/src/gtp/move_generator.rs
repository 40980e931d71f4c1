//! Who chooses the engine's moves.

use std::time::Duration;

use crate::error::Result;
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
