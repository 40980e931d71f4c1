//! GTP 2, the Go Text Protocol: an engine for Sabaki, `GoGui`, `gogui-twogtp` or GNU Go's tools,
//! and a controller that plays against other engines.
//!
//! ```
//! use mcts::gtp::Engine;
//! # use mcts::gtp::{Decision, MoveGenerator};
//! # use mcts::go::{Go, Move};
//! # struct Passes;
//! # impl MoveGenerator for Passes {
//! #     fn name(&self) -> String { "passes".into() }
//! #     fn choose(&mut self, _: &Go, _: Option<std::time::Duration>) -> mcts::Result<Decision> {
//! #         Ok(Decision::Move(Move::Pass))
//! #     }
//! # }
//! let mut engine = Engine::new(Passes);
//! assert_eq!(engine.answer("1 protocol_version").unwrap().to_string(), "=1 2\n\n");
//! assert_eq!(engine.answer("boardsize 20").unwrap().to_string(), "? unacceptable size\n\n");
//! assert_eq!(engine.answer("play black e5").unwrap().to_string(), "=\n\n");
//! assert!(engine.answer("# a comment").is_none());
//! ```
//!
//! The protocol: Gunnar Farnebäck, "Specification of the Go Text Protocol, version 2, draft 2",
//! 2002.

mod analysis;
mod client;
mod engine;
mod line;
mod move_generator;
mod searcher;

pub use client::Client;
pub use engine::Engine;
pub use line::{Command, Reply};
pub use move_generator::{Decision, MoveGenerator};
pub use searcher::Searcher;
