//! Reinforcement learning: which decisions bring reward in the long run.
pub mod bandits;
pub mod environment;
pub mod environments;
pub mod error;
pub mod evaluate;
mod files;
pub mod planning;
pub mod random;
pub mod space;
pub mod tabular;
pub mod vector;
pub mod wrappers;

pub use environment::{Environment, Policy, Step};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, evaluate};
pub use space::{Space, Spaces};
