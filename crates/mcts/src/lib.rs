//! Monte Carlo tree search for any game, and the pipelines of AlphaGo and AlphaZero.
//!
//! # A first program
//!
//! A game, a way to judge leaves, a rule to choose, limits:
//!
//! ```
//! use mcts::prelude::*;
//!
//! fn main() -> Result<(), Error> {
//!     let mut game = ConnectFour::from_columns("44444")?;
//!     let mut search = Search::new(Uct::default(), Rollout::new(42));
//!     let found = search.run(&game, Limits::simulations(10_000))?;
//!     println!("{found}"); // visits, values, principal variation
//!     game.play(found.best());
//!     search.advance(found.best()) // keeps the subtree
//! }
//! ```
//!
//! # A game of your own
//!
//! One heap, take one to three, who takes the last wins:
//!
//! ```
//! use mcts::rule::Uct;
//! use mcts::tree::Proven;
//! use mcts::{Action, Game, Limits, Payoff, Rollout, Search, Turn, Values};
//!
//! #[derive(Clone, PartialEq)]
//! struct Nim {
//!     heap: u16,
//!     mover: u8,
//! }
//!
//! impl Game for Nim {
//!     // Wins and losses can be proven.
//!     const PAYOFF: Payoff = Payoff::WinDrawLoss;
//!
//!     fn name(&self) -> String {
//!         "nim".to_owned()
//!     }
//!
//!     fn actions(&self) -> usize {
//!         4 // 0 is never legal: an action is what is taken
//!     }
//!
//!     fn turn(&self) -> Turn {
//!         Turn::Player(self.mover)
//!     }
//!
//!     fn legal_actions(&self, actions: &mut Vec<Action>) {
//!         actions.extend(1..=self.heap.min(3));
//!     }
//!
//!     fn play(&mut self, action: Action) {
//!         self.heap -= action;
//!         self.mover ^= 1;
//!     }
//!
//!     fn outcome(&self) -> Option<Values> {
//!         // Who is to move before an empty heap has lost.
//!         (self.heap == 0).then(|| Values::two(self.mover.into(), -1.0))
//!     }
//! }
//!
//! let game = Nim { heap: 14, mover: 0 };
//! let found = Search::new(Uct::default(), Rollout::new(7)).run(&game, Limits::simulations(20_000))?;
//! assert_eq!(found.best(), 2); // 12 is lost for the other
//! assert_eq!(found.proven, Some(Proven::Win));
//! # Ok::<(), mcts::Error>(())
//! ```
//!
//! More players ([`Game::players`]), chance ([`Turn::Chance`]), rewards on the way
//! ([`Game::rewards`]) and faster rollouts ([`Game::rollout`]) are methods with defaults. A net needs
//! [`Encode`], learning from games against itself [`Symmetry`].
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`game`], [`symmetry`] | what a game is: rules, encoding, hash; symmetries of boards |
//! | [`games`] | tic-tac-toe, Connect Four with its exact solver, Othello |
//! | `chess`, `uci` | chess and the protocol of its engines (feature `chess`) |
//! | [`go`], [`sgf`], [`gtp`] | Go, records of its games, the protocol of its programs |
//! | [`alphago`] | AlphaGo's features, rollout policy, and (feature `burn`) its three steps |
//! | [`search`], [`limits`], [`found`] | the driver of one tree, its limits, its result |
//! | [`clock`] | a player's clock in a game: how long to think |
//! | [`tree`] | the three verbs: select leaves, evaluate, back up; for one tree or a thousand, or a graph; trees in files |
//! | [`rule`] | UCT, PUCT, RAVE, AlphaGo's APV, Gumbel with sequential halving |
//! | [`evaluator`], [`leaves`], [`rollout`], [`Cached`] | how leaves are judged, in batches |
//! | [`check`] | whether a game keeps what searches rely on |
//! | [`arena`] | players against each other, Elo with its interval |
//! | [`stopping`] | searches, matches and self-play that can be stopped |
//! | `deep` | the two-headed net, self-play, AlphaZero (feature `burn`, on by default) |
//! | [`random`] | random numbers whose state can be saved |
//!
//! # Design decisions
//!
//! - A tree is a struct of arrays, the children of a node side by side; a simulation allocates
//!   nothing. Playing an action moves the subtree down in place.
//! - Statistics are sums of integers: they do not depend on the order of additions, and one thread
//!   with one seed gives one tree.
//! - A rule is a small type that sees a node and its children; nothing else differs between UCT and
//!   Gumbel `AlphaZero`. `mctx`'s golden tree is reproduced node by node.
//! - Statistics of a node are kept by who chose it, so two players are no special case of more.
//! - Proven wins, losses and draws are followed up; a proven root ends a search.
//! - Without `burn` the crate builds without Burn.
//!
//! # Papers
//!
//! Kocsis and Szepesvári 2006 (UCT); Winands et al. 2008 (MCTS-Solver); Silver et al. 2016, 2017,
//! 2018 (AlphaGo, AlphaGo Zero, `AlphaZero`); Danihelka et al. 2022 (Gumbel). Each item names its own.

pub mod alphago;
pub mod arena;
mod cache;
pub mod check;
#[cfg(feature = "chess")]
pub mod chess;
pub mod clock;
#[cfg(feature = "burn")]
pub mod deep;
pub mod error;
pub mod evaluator;
pub mod found;
pub mod game;
pub mod games;
pub mod go;
pub mod gtp;
pub mod leaves;
pub mod limits;
mod nodes;
mod parallel;
pub mod prelude;
pub mod rollout;
pub mod rule;
pub mod search;
pub mod sgf;
pub mod stopping;
pub mod symmetry;
pub mod tree;
#[cfg(feature = "chess")]
pub mod uci;

pub use cache::Cached;
pub use clock::{Clock, Overtime};
pub use error::{Error, Result};
pub use evaluator::{Deferred, Evaluator, Fork};
pub use found::{Choice, Found};
pub use game::{Action, Encode, Game, Hashed, Payoff, Symmetry, Turn, Values};
pub use leaves::Leaves;
pub use limits::Limits;
pub use model_utils_core::{ConfigError, random};
pub use rollout::{Mixture, Rollout};
pub use search::{Search, SearchSettings};
pub use tree::Tree;
