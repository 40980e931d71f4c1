//! Who chooses the engine's moves.

use std::time::Duration;

use crate::error::Result;
use crate::go::{Go, Move};

/// What a player does when it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It plays.
    Move(Move),
    /// It gives up.
    Resign,
}

/// Chooses moves for an [`Engine`](super::Engine).
pub trait Player {
    /// The name that controllers show.
    fn name(&self) -> String;

    /// Chooses a move for the player to move, in about this time where a clock runs.
    ///
    /// # Errors
    ///
    /// What the player runs on may fail; the engine answers with the reason and goes on.
    fn choose(&mut self, game: &Go, time: Option<Duration>) -> Result<Decision>;

    /// Told after every change of the game that was not [`Player::choose`]'s doing as well as after
    /// its own moves, so that a player can keep what it knows.
    fn changed(&mut self, _game: &Go) {}

    /// Refuses games that the player cannot play, as a net for one size does.
    ///
    /// # Errors
    ///
    /// The reason.
    fn accepts(&self, _game: &Go) -> Result<()> {
        Ok(())
    }
}
