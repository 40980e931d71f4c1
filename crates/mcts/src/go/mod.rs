//! Go on boards from 1×1 to 19×19: rules, scoring, playouts, ladders, exact counts.
//!
//! | file | holds |
//! | --- | --- |
//! | `game` | [`Go`], a game with its past; a [`Game`](crate::Game) to search |
//! | `board` | [`Board`], stones and chains with liberties kept incrementally |
//! | `rules` | [`Rules`]: ko, suicide, scoring, komi, handicap |
//! | `point` | [`Point`], [`Color`], [`Move`] and their GTP names |
//! | `score` | [`Area`] |
//! | `status` | [`statuses`], which stones are dead or in seki at the end |
//! | `region`, `benson`, `solver` | what it rests on: a part of the board, unconditional life, best play to the end |
//! | `knowledge` | [`Knowledge`], an evaluator of priors from features and heavy playouts |
//! | `ladder`, `tactics`, `pattern`, `playout` | what these read and play |
//! | `count` | [`perft`], [`games`], [`legal_positions`] |

mod benson;
mod board;
mod cell;
mod count;
mod game;
mod handicap;
mod knowledge;
mod ladder;
mod pattern;
mod planes;
mod playout;
mod point;
mod region;
mod rules;
mod score;
mod solver;
mod status;
mod tactics;
mod zobrist;

pub use board::Board;
pub use count::{games, legal_positions, perft};
pub use game::Go;
pub use knowledge::Knowledge;
pub use playout::PlayoutPolicy;
pub use point::{Color, MAX_SIDE, Move, Point};
pub use rules::{HandicapBonus, Ko, Rules, Scoring};
pub use score::Area;
pub use status::{Status, Statuses, ownership, statuses};

pub(crate) use cell::{CELLS, EMPTY, OFF, Vertex};
pub(crate) use knowledge::last_vertex;
pub(crate) use ladder::Ladders;
pub(crate) use playout::is_sensible;
#[cfg(feature = "burn")]
pub(crate) use playout::play_out;
