//! UCI, the Universal Chess Interface (feature `chess`): an engine for Cute Chess, Arena, En Croissant,
//! Lichess bots or python-chess.
//!
//! ```
//! use mcts::chess::Classical;
//! use mcts::uci::Engine;
//!
//! let mut engine = Engine::new("usagi", Classical::rule(), Classical::new());
//! let input = b"uci\nposition startpos moves e2e4\ngo nodes 200\nquit\n".as_slice();
//! let mut output = Vec::new();
//! engine.run(input, &mut output)?;
//! let text = String::from_utf8_lossy(&output);
//! assert!(text.contains("uciok") && text.contains("bestmove "), "{text}");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The protocol: Stefan Meyer-Kahlen, "Description of the universal chess interface", April 2006.

mod depth;
mod engine;
mod go;

pub use engine::Engine;
