//! What agents remember: replay, prioritised replay, n-step transitions, rollouts with their
//! advantages. Plain Rust on the host; a batch is uploaded at once.

mod advantage;
mod n_step;
mod replay;
mod sum_tree;

pub use advantage::{Bootstrap, generalized_advantages};
pub use n_step::{NStep, Transition};
#[cfg(feature = "burn")]
pub(crate) use replay::MOST;
pub use replay::{Batch, ReplayBuffer};
