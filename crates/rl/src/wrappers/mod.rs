//! Environments around environments.
//!
//! Each of them is an [`Environment`](crate::Environment) again, saves its own state beside that
//! of the environment within, and so can be stacked.

mod action_mask;
mod frame_stack;
mod normalize;
mod time_limit;
mod transform;

pub use action_mask::ActionMask;
pub use frame_stack::FrameStack;
pub use normalize::{Moments, Normalize};
pub use time_limit::TimeLimit;
pub use transform::TransformObservation;
