//! From a model to sentences.
//!
//! Each strategy is a value: [`Greedy`], [`Sampling`], [`Beam`], or a [`Strategy`] that is chosen while
//! the program runs. What they find for a sentence does
//! not depend on the others in its batch.

mod batched;
mod beam;
mod greedy;
mod length_limits;
mod rows;
mod sampling;
mod scores;
mod strategy;
mod stream;

pub(crate) use batched::decode_batched;
pub use beam::{Beam, LengthPenalty};
pub use greedy::Greedy;
pub use length_limits::LengthLimits;
pub use sampling::Sampling;
pub use strategy::{DecodingStrategy, Hypothesis, Strategy};
pub use stream::Stream;
