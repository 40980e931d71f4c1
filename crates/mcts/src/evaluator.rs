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

impl<G: Game, E: Evaluator<G> + ?Sized> Evaluator<G> for &mut E {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        (**self).evaluate(leaves)
    }

    fn has_priors(&self) -> bool {
        (**self).has_priors()
    }
}

impl<G: Game, E: Evaluator<G> + ?Sized> Evaluator<G> for Box<E> {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        (**self).evaluate(leaves)
    }

    fn has_priors(&self) -> bool {
        (**self).has_priors()
    }
}

/// An evaluator that knows something at once and the rest later, for
/// [`Search::run_asynchronous`](crate::Search::run_asynchronous): rollouts do not wait for nets.
pub trait Deferred<G: Game>: Evaluator<G> {
    /// Sets the values, and priors that hold until [`Deferred::evaluate_later`] has better ones.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    fn evaluate_now(&mut self, leaves: &mut Leaves<G>) -> Result<()>;

    /// Sets the priors of the leaves that have actions, and a net's values of those that
    /// [want](Leaves::wants_net) them.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    fn evaluate_later(&mut self, leaves: &mut Leaves<G>) -> Result<()>;
}

/// An evaluator that can be given to several threads.
pub trait Fork: Send {
    /// The evaluator of a thread: the same, with randomness of its own.
    #[must_use]
    fn fork(&self, worker: u64) -> Self;
}
