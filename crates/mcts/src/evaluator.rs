//! How leaves are judged: a batch of positions goes in, priors and values come out.

use crate::error::Result;
use crate::game::Game;
use crate::leaves::Leaves;

/// Judges the leaves of one search or of a thousand.
///
/// A random rollout is one evaluator, a net another, a mixture of both a third.
pub trait Evaluator<G: Game> {
    /// Sets the value of every leaf, and its priors where [`Evaluator::has_priors`] says so.
    ///
    /// # Errors
    ///
    /// What the evaluator runs on may fail; then the whole batch counts as not evaluated.
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()>;

    /// Whether it sets priors. Without, all actions are equal, and a search expands a leaf as it
    /// comes by rather than with the priors.
    fn has_priors(&self) -> bool {
        true
    }
}
