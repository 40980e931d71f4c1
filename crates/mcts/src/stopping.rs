//! Searches, matches and self-play that can be stopped: by what judges or plays in them.
//!
//! ```
//! use mcts::games::ConnectFour;
//! use mcts::rule::Uct;
//! use mcts::{Limits, Rollout, Search};
//! use model_utils_core::event::Stop;
//!
//! let stop = Stop::new(); // a signal handler or another thread has a clone
//! let mut search = Search::new(Uct::default(), stop.around(Rollout::new(42)));
//! search.run(&ConnectFour::new(), Limits::simulations(100))?;
//! stop.stop();
//! let error = search.run(&ConnectFour::new(), Limits::simulations(u64::MAX)).unwrap_err();
//! assert!(error.to_string().starts_with("the search was stopped"), "{error}");
//! # Ok::<(), mcts::Error>(())
//! ```

use model_utils_core::event::{Asks, Stoppable};

use crate::arena::Player;
#[cfg(feature = "burn")]
use crate::error::Error;
use crate::error::Result;
use crate::evaluator::{Deferred, Evaluator, Fork};
use crate::game::{Action, Game};
use crate::leaves::Leaves;

const SEARCH: [&str; 2] = ["the search", "a batch of leaves"];

/// Asks before each batch of leaves.
impl<G: Game, E: Evaluator<G>, S: Asks> Evaluator<G> for Stoppable<E, S> {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        self.inner_mut(SEARCH[0], SEARCH[1])?.evaluate(leaves)
    }

    fn has_priors(&self) -> bool {
        self.get_ref().has_priors()
    }
}

impl<G: Game, E: Deferred<G>, S: Asks> Deferred<G> for Stoppable<E, S> {
    fn evaluate_now(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        self.inner_mut(SEARCH[0], SEARCH[1])?.evaluate_now(leaves)
    }

    fn evaluate_later(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        self.inner_mut(SEARCH[0], SEARCH[1])?.evaluate_later(leaves)
    }
}

impl<E: Fork, S: Asks + Clone + Send> Fork for Stoppable<E, S> {
    fn fork(&self, worker: u64) -> Self {
        Self::new(self.get_ref().fork(worker), self.stop().clone())
    }
}

/// Asks before each turn.
impl<G: Game, P: Player<G>, S: Asks> Player<G> for Stoppable<P, S> {
    fn act(&mut self, games: &[G]) -> Result<Vec<Action>> {
        self.inner_mut("the match", "a turn")?.act(games)
    }
}

/// What was not stopped; none of what was.
#[cfg(feature = "burn")]
pub(crate) fn unless_stopped<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::Utils(model_utils_core::Error::Stopped { .. })) => Ok(None),
        result => result.map(Some),
    }
}
