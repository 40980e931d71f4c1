//! Nets and the pipeline that trains them (feature `burn`).
//!
//! | item | what |
//! | --- | --- |
//! | [`PolicyValueNet`] | the residual, two-headed net; presets with the papers' sizes |
//! | [`NetEvaluator`] | a net as the evaluator of searches, many games in one batch |
//! | [`SelfPlay`], [`Replay`] | games of a net against itself, and what they leave to learn from |
//! | [`AlphaZero`] | self-play, learning, gate, checkpoints |
//!
//! Any game of one to eight players that act in turn, with chance, rewards and payoffs of any size. What
//! [`Game`](crate::Game) cannot tell is not learned: moves at the same time, and information that a player
//! does not have; a search looks at the whole position.

mod alpha_zero;
mod evaluator;
mod folded;
mod net;
mod replay;
mod self_play;

pub use alpha_zero::{AlphaZero, AlphaZeroConfig, Gate, Generation, Learned};
pub use evaluator::NetEvaluator;
pub use net::{Block, PlainBlock, PolicyValue, PolicyValueConfig, PolicyValueNet};
pub use replay::{Replay, Samples, SymmetryTables};
pub use self_play::{Exploration, Played, SelfPlay};
