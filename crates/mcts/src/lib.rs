//! Monte Carlo tree search for any game.
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`game`] | what a game is; symmetry, encoding, hash |
//! | [`evaluator`], [`leaves`] | how leaves are judged, in batches |
//! | [`go`], [`sgf`] | Go, and records of its games |
//! | [`random`] | random numbers whose state can be saved |

pub mod error;
pub mod evaluator;
pub mod game;
pub mod go;
pub mod leaves;
pub mod random;
pub mod sgf;

pub use error::{Error, Result};
pub use evaluator::Evaluator;
pub use game::{Action, Encode, Game, Hashed, Symmetry, Turn, Values};
pub use leaves::Leaves;
