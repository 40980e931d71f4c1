//! Monte Carlo tree search for any game.
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`game`] | what a game is; symmetry, encoding, hash |
//! | [`evaluator`], [`leaves`] | how leaves are judged, in batches |
//! | [`go`], [`sgf`], [`gtp`] | Go, records of its games, the protocol of its programs |
//! | [`random`] | random numbers whose state can be saved |

pub mod arena;
pub mod budget;
#[cfg(feature = "deep")]
pub mod deep;
pub mod error;
pub mod evaluator;
pub mod found;
pub mod game;
pub mod games;
pub mod go;
pub mod gtp;
pub mod leaves;
mod parallel;
pub mod random;
pub mod rollout;
pub mod rule;
pub mod search;
pub mod sgf;
pub mod tree;

pub use budget::{Budget, Clock, Overtime};
pub use error::{Error, Result};
pub use evaluator::{Evaluator, Fork};
pub use found::{Choice, Found};
pub use game::{Action, Encode, Game, Hashed, Symmetry, Turn, Values};
pub use leaves::Leaves;
pub use rollout::{Mixture, Rollout};
pub use search::Search;
pub use tree::Tree;
