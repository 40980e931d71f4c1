//! Chess (feature `chess`): the rules on `cozy-chess`, `AlphaZero`'s moves and planes, FEN and SAN, and a
//! search without a net.
//!
//! ```
//! use mcts::chess::{Chess, Classical};
//! use mcts::tree::Proven;
//! use mcts::{Game as _, Limits, Search};
//!
//! let mut game = Chess::from_fen("6k1/5ppp/8/8/8/8/5PPP/3RR1K1 w - - 0 1")?;
//! let mut search = Search::new(Classical::rule(), Classical::new());
//! let found = search.run(&game, Limits::simulations(1000))?;
//! assert_eq!(found.proven, Some(Proven::Win));
//! game.play(found.best());
//! assert!(game.outcome().is_some(), "{game}"); // Re8# or Rd8#
//! # Ok::<(), mcts::Error>(())
//! ```

mod action;
mod classical;
mod evaluation;
mod exchange;
mod fen;
mod game;
mod planes;
mod san;

pub use classical::Classical;
pub use game::{Chess, Ending};
