//! SGF, the Smart Game Format (FF\[4\], read in its older forms too): trees of nodes, and games of
//! Go in them.
//!
//! [`Sgf`] is the file as it stands: every property of every variation, written back as it was
//! read, in UTF-8. [`Record`] is one game in it, main line only, ready to be played; read strictly, or
//! [leniently](Record::lenient).
//!
//! ```
//! use mcts::go::{Color, Rules};
//! use mcts::sgf::{Record, Sgf};
//!
//! let sgf: Sgf = "(;GM[1]SZ[9]KM[6.5]RE[B+R];B[ee](;W[cc];B[gg])(;W[gc]))".parse()?;
//! let record = Record::from_sgf(&sgf)?;
//! assert_eq!((record.width, record.komi, record.winner()), (9, Some(6.5), Some(Color::Black)));
//! let game = record.replay(Rules::chinese())?;
//! assert_eq!(game.moves().len(), 3); // the first variation is the main line
//!
//! let error = "(;SZ[9]\n;B[ee".parse::<Sgf>().unwrap_err();
//! assert!(error.to_string().contains("line 2, column 6"));
//! # Ok::<(), mcts::Error>(())
//! ```

mod charset;
mod parse;
mod record;
mod tree;

pub use record::{Record, Step};
pub use tree::{Node, Property, Sgf, Value};
