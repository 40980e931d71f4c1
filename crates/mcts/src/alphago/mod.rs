//! AlphaGo (Silver et al. 2016, "Mastering the game of Go with deep neural networks and tree
//! search"): three steps of learning, and a search that puts them together.
//!
//! | step | learned from | here |
//! | --- | --- | --- |
//! | rollout policy | records of games | [`RolloutPolicy`], a linear softmax over patterns |
//! | policy net, supervised | records of games | `PolicyNet`, `Trainer` |
//! | policy net, reinforced | games against its own past | `Reinforce` |
//! | value net | one position of each of many games | `ValueNet`, `value_examples` |
//! | search | | [`Apv`](crate::rule::Apv) with `AlphaGoEvaluator` |
//!
//! The nets need the feature `burn`; [`Features`] and [`RolloutPolicy`] do without.
//!
//! # Differences from the paper
//!
//! - The policy's points are those that are legal and fill no own eye; a player passes where none
//!   is left. (The paper's net has no pass either.)
//! - The rollout policy hashes its patterns into tables of a fixed size and tells a stone in atari
//!   from others (not one, two or three liberties).
//! - Adam instead of gradient descent without momentum for the nets, as hours stand for weeks.
//! - [`Search::run_asynchronous`](crate::Search::run_asynchronous) has one queue for both nets, and
//!   priors of a new node are the rollout policy's until the policy net's come (the paper: a tree
//!   policy with more features). [`Search::run`](crate::Search::run) waits for each batch.

mod features;
mod rollout;

#[cfg(feature = "burn")]
mod evaluator;
#[cfg(feature = "burn")]
mod examples;
#[cfg(feature = "burn")]
mod net;
#[cfg(feature = "burn")]
mod player;
#[cfg(feature = "burn")]
mod reinforce;
#[cfg(feature = "burn")]
mod trainer;

#[cfg(feature = "burn")]
pub use evaluator::AlphaGoEvaluator;
#[cfg(feature = "burn")]
pub use examples::{move_examples, value_examples, whole_game_examples};
pub use features::{Features, PLANES, VALUE_PLANES};
#[cfg(feature = "burn")]
pub use net::{PolicyNet, PolicyNetConfig, ValueNet, ValueNetConfig};
#[cfg(feature = "burn")]
pub use player::PolicyPlayer;
#[cfg(feature = "burn")]
pub use reinforce::{Iteration, Reinforce, ReinforceConfig};
pub use rollout::{RolloutPolicy, RolloutTraining};
#[cfg(feature = "burn")]
pub use trainer::{Trainer, TrainerConfig};
