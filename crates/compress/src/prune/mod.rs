//! What contributes little is removed.
//!
//! | item | what it does |
//! | --- | --- |
//! | [`Structured`] | removes whole channels: the model is smaller and faster |
//! | [`Dependencies`] | finds which channels of which parameters must go together |
//! | [`Importance`] | ranks channels |
//! | [`Unstructured`] | finds the single weights that go, by magnitude |
//! | [`Movement`] | finds them by where training moves them |
//! | [`Masks`] | which weights stay, held through training |
//! | [`SparsitySchedule`] | when how much goes |
//! | [`Lottery`] | trains what is left from where it began |

mod group;
mod importance;
mod labels;
mod lottery;
mod masks;
mod movement;
mod report;
mod reshape;
mod rules;
mod schedule;
mod select;
mod structured;
mod unstructured;

pub use group::{Dependencies, Group, Member, MemberRole};
pub use importance::{Importance, TaylorProducts};
pub use lottery::{Lottery, Ticket};
pub use masks::Masks;
pub(crate) use masks::layer_weights;
pub use movement::Movement;
pub use report::{GroupChange, PruneReport};
pub use rules::LeftAlone;
pub use schedule::SparsitySchedule;
pub use structured::{Pruned, Structured};
pub use unstructured::Unstructured;
