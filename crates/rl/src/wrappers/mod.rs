//! Environments around environments.
//!
//! | wrapper | changes |
//! | --- | --- |
//! | [`TimeLimit`] | truncates after so many steps |
//! | [`TransformObservation`], [`TransformAction`], [`TransformReward`] | by a function of the user's |
//! | [`FrameStack`] | observes the last few observations |
//! | [`Normalize`] | observations and rewards by running statistics |
//! | [`ActionRange`] | numbers in −1..=1 of their range, or clipped to it |
//! | [`ActionMask`] | says which choices are possible |
//!
//! Each of them is an [`Environment`](crate::Environment) again, saves its own state beside that
//! of the environment within, and so can be stacked.

mod action_mask;
mod action_range;
mod frame_stack;
mod normalize;
mod time_limit;
mod transform;

pub use action_mask::ActionMask;
pub use action_range::ActionRange;
pub use frame_stack::FrameStack;
pub use normalize::{Moments, Normalize};
pub use time_limit::TimeLimit;
pub use transform::{TransformAction, TransformObservation, TransformReward};
