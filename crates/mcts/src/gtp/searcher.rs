//! A player that searches.

use std::ops::ControlFlow;
use std::time::Duration;

use super::move_generator::{Decision, MoveGenerator};
use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::found::Found;
use crate::game::{Action, Game as _};
use crate::go::{Color, Go, Knowledge, Move};
use crate::limits::Limits;
use crate::rule::{Rave, Rule};
use crate::search::Search;

/// Plays Go by a tree search; the tree is kept from move to move.
///
/// It passes when the opponent has just passed and the stones on the board, all counted as alive,
/// win the game.
#[derive(Debug)]
pub struct Searcher<R: Rule, E> {
    name: String,
    search: Search<Go, R, E>,
    limits: Limits,
    threads: usize,
    resign_below: f32,
    found: Option<Found>,
}

impl Searcher<Rave, Knowledge> {
    /// A player without a net: priors and playouts of [`Knowledge`], guided by [`Rave`].
    #[must_use]
    pub fn knowing(seed: u64) -> Self {
        Self::new("usagi", Search::new(Rave::default(), Knowledge::new(seed)).with_seed(seed))
    }
}

impl<R: Rule, E: Evaluator<Go> + Fork> Searcher<R, E> {
    /// A player with a name and a search: 1 s a move where no clock runs, one thread, and it
    /// never resigns.
    pub fn new(name: &str, search: Search<Go, R, E>) -> Self {
        Self {
            name: name.to_owned(),
            search,
            limits: Limits::time(Duration::from_secs(1)),
            threads: 1,
            resign_below: f32::NEG_INFINITY,
            found: None,
        }
    }

    /// How long it thinks where no clock runs.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many threads search the tree.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Limits the memory of the tree ([`Search::with_most_nodes`]), which grows for as long as an
    /// analysis or pondering goes on.
    #[must_use]
    pub fn with_most_nodes(mut self, nodes: usize) -> Self {
        self.search = self.search.with_most_nodes(nodes);
        self
    }

    /// Below which value, from −1 to 1, it gives up: −0.8 in `AlphaGo`.
    #[must_use]
    pub fn with_resignation(mut self, below: f32) -> Self {
        self.resign_below = below;
        self
    }

    /// What the last search found.
    pub fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }
}

impl<R: Rule, E: Evaluator<Go> + Fork> MoveGenerator for Searcher<R, E> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn choose(&mut self, game: &Go, time: Option<Duration>) -> Result<Decision> {
        let ahead = match game.to_play() {
            Color::Black => game.score() > 0.0,
            Color::White => game.score() < 0.0,
        };
        if game.moves().last() == Some(&game.pass()) && ahead {
            return Ok(Decision::Move(Move::Pass));
        }
        let limits = time.map_or(self.limits, Limits::time);
        let found = self.search.run_tree_parallel(game, limits, self.threads)?;
        let (value, best) = (found.value, found.best());
        self.found = Some(found);
        if value < self.resign_below {
            return Ok(Decision::Resign);
        }
        Ok(Decision::Move(game.move_of(best)))
    }

    fn analyze(
        &mut self,
        game: &Go,
        allowed: Option<Vec<Action>>,
        every: Duration,
        see: &mut dyn FnMut(&Found) -> ControlFlow<()>,
    ) -> Result<Found> {
        self.search.allow(allowed);
        let endless = Limits::simulations(u64::MAX);
        let found = self.search.watch(game, endless, self.threads, every, see);
        self.search.allow(None);
        found
    }

    /// Keeps the subtree of what was played; of another game nothing.
    fn changed(&mut self, game: &Go) {
        let Some(root) = self.search.tree().map(|tree| tree.game().clone()) else { return };
        let known = root.moves().len();
        let follows = game.moves().starts_with(root.moves()) && root.rules() == game.rules();
        let mut next = root;
        for &action in game.moves().iter().skip(if follows { known } else { usize::MAX }) {
            if !next.is_legal(action) || self.search.advance(action).is_err() {
                return;
            }
            next.play(action);
        }
    }
}
