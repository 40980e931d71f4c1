//! Where the nodes of a tree are stored, and what is seen of them: the floor on which rules and trees
//! stand.

mod arena;
mod children;
mod graph;
mod link;
mod proven;
mod save;

pub(crate) use arena::{Apart, Arena, Full, ROOT};
pub use children::Children;
pub(crate) use graph::Edge;
pub(crate) use link::{CHANCE, EXPANDING, Link, NET, PROVEN, SOLVED_CHILD};
pub use proven::Proven;
