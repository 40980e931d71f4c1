//! The driver of one tree: a rule, an evaluator, limits.

use std::path::Path;
use std::time::Instant;

use model_utils_core::{ConfigError, config};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::found::Found;
use crate::game::{Action, Game, Hashed};
use crate::leaves::Leaves;
use crate::limits::Limits;
use crate::random::mix;
use crate::rule::Rule;
use crate::tree::{Selected, Tree};

/// Searches positions of a game, one after another.
///
/// ```
/// use mcts::games::ConnectFour;
/// use mcts::rule::Uct;
/// use mcts::{Limits, Game as _, Rollout, Search};
///
/// let mut game = ConnectFour::new();
/// let mut search = Search::new(Uct::default(), Rollout::new(42));
/// while game.outcome().is_none() {
///     let found = search.run(&game, Limits::simulations(500))?;
///     game.play(found.best());
///     search.advance(found.best())?; // keeps the subtree
/// }
/// # Ok::<(), mcts::Error>(())
/// ```
#[derive(Debug)]
pub struct Search<G: Game, R: Rule, E> {
    rule: R,
    pub(crate) evaluator: E,
    pub(crate) settings: SearchSettings,
    pub(crate) tree: Option<Tree<G, R>>,
    allowed: Option<Vec<Action>>,
    /// Of a graph: the hash of a position.
    hash: Option<fn(&G) -> u64>,
    leaves: Leaves<G>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchSettings {
    pub(crate) seed: u64,
    pub(crate) batch: usize,
    solver: bool,
    discount: f32,
    most_nodes: Option<usize>,
    early_stop: bool,
}

impl<G: Game, R: Rule, E: Evaluator<G>> Search<G, R, E> {
    /// A search with a rule and a way to judge leaves.
    pub fn new(rule: R, evaluator: E) -> Self {
        let settings = SearchSettings {
            seed: 0,
            batch: 1,
            solver: true,
            discount: 1.0,
            most_nodes: None,
            early_stop: false,
        };
        let leaves = Leaves::new();
        Self { rule, evaluator, settings, tree: None, allowed: None, hash: None, leaves }
    }

    /// What the order of untried actions, noise and chance follow: 0 unless set.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self.tree = None;
        self
    }

    /// How many leaves of the tree are judged together (by virtual loss): 1 unless set.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.settings.batch = batch;
        self.tree = None;
        self
    }

    /// Whether proven results are followed up; so unless set ([`Tree::with_solver`]).
    #[must_use]
    pub fn with_solver(mut self, solver: bool) -> Self {
        self.settings.solver = solver;
        self.tree = None;
        self
    }

    /// How much a value is worth one action earlier: 1 unless set.
    #[must_use]
    pub fn with_discount(mut self, discount: f32) -> Self {
        self.settings.discount = discount;
        self.tree = None;
        self
    }

    /// Limits the memory of the tree ([`Tree::with_most_nodes`]).
    #[must_use]
    pub fn with_most_nodes(mut self, nodes: usize) -> Self {
        self.settings.most_nodes = Some(nodes);
        self.tree = None;
        self
    }

    /// Makes one node of all lines that lead to the same position
    /// ([`Tree::with_transpositions`], with what it asks of the game and the rule).
    #[must_use]
    pub fn with_transpositions(mut self) -> Self
    where
        G: Hashed,
    {
        self.hash = Some(G::hash);
        self.tree = None;
        self
    }

    /// Ends a search of a number of simulations as soon as no other action can still get as many
    /// visits as the best.
    #[must_use]
    pub const fn with_early_stop(mut self) -> Self {
        self.settings.early_stop = true;
        self
    }

    /// Looks at these actions of the root alone from now on; none: at all. Where that is another
    /// choice than before, the tree begins anew.
    pub fn allow(&mut self, actions: Option<Vec<Action>>) {
        if actions != self.allowed {
            self.allowed = actions;
            self.tree = None;
        }
    }

    /// Searches a position. What is known of it from before is kept, if the search was
    /// [advanced](Self::advance) to it, or has searched it before.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a limit of 0 or parameters that cannot work;
    /// [`Error::Ended`](crate::Error::Ended), [`Error::Chance`](crate::Error::Chance) and
    /// [`Error::NoActions`](crate::Error::NoActions) where there is nothing to choose; and what the
    /// evaluator says.
    pub fn run(&mut self, game: &G, limits: Limits) -> Result<Found> {
        let started = Instant::now();
        self.open(game, limits)?;
        let done = self.simulate(limits, started, 0, 0)?;
        self.close(done, started)
    }

    /// A tree for the position, and the begin of the search in it.
    pub(crate) fn open(&mut self, game: &G, limits: Limits) -> Result<()> {
        limits.check()?;
        config::at_least("batch", self.settings.batch, 1)?;
        match &mut self.tree {
            Some(tree) if tree.game() == game => {}
            Some(tree) => tree.set_game(game),
            None => self.tree = Some(self.plant(game, self.settings.seed)?),
        }
        match &mut self.tree {
            Some(tree) => tree.begin(limits.simulation_limit()),
            None => Ok(()),
        }
    }

    /// A new tree with the settings of this search.
    pub(crate) fn plant(&self, game: &G, seed: u64) -> Result<Tree<G, R>> {
        let settings = &self.settings;
        let mut tree = Tree::new(self.rule.clone(), game, seed)?
            .with_priors(self.evaluator.has_priors())
            .with_solver(settings.solver)
            .with_allowed(self.allowed.clone())
            .with_discount(settings.discount)?;
        if let Some(nodes) = settings.most_nodes {
            tree = tree.with_most_nodes(nodes)?;
        }
        if let Some(hash) = self.hash {
            tree = tree.with_hash(hash)?;
        }
        Ok(if settings.batch > 1 { tree.with_virtual_loss() } else { tree })
    }

    /// Goes on after so many simulations, up to the limits, or with `at_most` where that is not 0.
    /// How many are done then.
    pub(crate) fn simulate(
        &mut self,
        limits: Limits,
        started: Instant,
        before: u64,
        at_most: u64,
    ) -> Result<u64> {
        let Self { evaluator, tree: Some(tree), leaves, settings, .. } = self else {
            return Ok(before);
        };
        let last = if at_most > 0 { before + at_most } else { u64::MAX };
        let mut done = before;
        let mut look = Look::default();
        while tree.proven().is_none() {
            let left = limits.left(done, tree.nodes(), started);
            let stop = left == 0
                || done >= last
                || (settings.early_stop && done > 0 && is_decided(tree, left));
            if stop {
                break;
            }
            // As many batches as go without a look at the clock.
            let limit = left.min(last - done);
            let batch = settings.batch as u64;
            let end = done + look.rounds(limits.has_time()).saturating_mul(batch).min(limit);
            while done < end && tree.proven().is_none() {
                let batch = batch.min(end - done);
                let round = round(tree, evaluator, leaves, batch);
                done += round.inspect_err(|_| tree.cancel())?;
                if limits.is_full(tree.nodes()) {
                    break;
                }
            }
        }
        Ok(done)
    }

    pub(crate) fn close(&self, done: u64, started: Instant) -> Result<Found> {
        let tree = self.tree.as_ref();
        let mut found = tree.and_then(Tree::found).ok_or_else(|| {
            let found = format!("enough for {done} simulation{}", if done == 1 { "" } else { "s" });
            let expected = "enough for the root to be judged and expanded, 2 simulations";
            ConfigError::new("limits", found, expected)
        })?;
        found.simulations = done;
        found.elapsed = started.elapsed();
        Ok(found)
    }

    /// The same search without a tree, with randomness of its own.
    pub(crate) fn sibling(&self, thread: u64) -> Self
    where
        E: Fork,
    {
        let seed = mix(self.settings.seed, thread);
        let settings = SearchSettings { seed, ..self.settings };
        let evaluator = self.evaluator.fork(thread);
        let (allowed, hash) = (self.allowed.clone(), self.hash);
        Self { settings, allowed, hash, ..Self::new(self.rule.clone(), evaluator) }
    }

    /// Plays an action in the tree and keeps what is known below it. Before a first search there
    /// is nothing to keep; after one of [some actions](Self::allow) nothing is kept, and all are
    /// allowed again.
    ///
    /// # Errors
    ///
    /// [`Error::Illegal`](crate::Error::Illegal) for an action that the rules do not allow.
    pub fn advance(&mut self, action: Action) -> Result<()> {
        if self.allowed.is_some() {
            // The next root has other actions.
            self.allow(None);
        }
        self.tree.as_mut().map_or(Ok(()), |tree| tree.advance(action))
    }

    /// Writes the tree to a file ([`Tree::save`]).
    ///
    /// # Errors
    ///
    /// As [`Tree::save`]; [`Error::Config`](crate::Error::Config) before something was searched.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()>
    where
        G: Hashed,
        R::Root: Serialize + DeserializeOwned,
    {
        let expected = "a position that was searched";
        let tree = self.tree.as_ref();
        tree.ok_or_else(|| ConfigError::new("tree", "none", expected))?.save(path)
    }

    /// Goes on from a tree that was [saved](Self::save) with the same rule and settings: its root is
    /// this position.
    ///
    /// # Errors
    ///
    /// As [`Tree::load`]; the search stays as it was.
    pub fn load(&mut self, path: impl AsRef<Path>, game: &G) -> Result<()>
    where
        G: Hashed,
        R::Root: Serialize + DeserializeOwned,
    {
        let mut tree = self.plant(game, self.settings.seed)?;
        tree.load(path)?;
        self.tree = Some(tree);
        Ok(())
    }

    /// Starts anew at the root's position and keeps the memory.
    pub fn restart(&mut self) {
        if let Some(tree) = &mut self.tree {
            let game = tree.game().clone();
            tree.set_game(&game);
        }
    }

    /// Forgets the tree and gives its memory back.
    pub fn clear(&mut self) {
        self.tree = None;
    }

    /// The tree, once something was searched.
    pub const fn tree(&self) -> Option<&Tree<G, R>> {
        self.tree.as_ref()
    }

    /// The evaluator.
    pub const fn evaluator(&mut self) -> &mut E {
        &mut self.evaluator
    }
}

/// select → leaves, evaluate, back up: one batch. How many simulations that were.
#[inline]
fn round<G: Game, R: Rule, E: Evaluator<G>>(
    tree: &mut Tree<G, R>,
    evaluator: &mut E,
    leaves: &mut Leaves<G>,
    batch: u64,
) -> Result<u64> {
    leaves.clear();
    let (mut done, mut blocked) = (0, 0);
    // Where leaves meet, virtual loss sends the next ones elsewhere.
    while done < batch && blocked < batch {
        match tree.select(leaves)? {
            Selected::Leaf | Selected::Known => done += 1,
            Selected::Blocked => blocked += 1,
        }
    }
    if !leaves.is_empty() {
        evaluator.evaluate(leaves)?;
        tree.back_up(leaves)?;
    }
    Ok(done)
}

/// Whether the most visited action stays so, whatever the simulations left do.
fn is_decided<G: Game, R: Rule>(tree: &Tree<G, R>, left: u64) -> bool {
    let Some(children) = tree.children() else { return false };
    let (mut first, mut second) = (0, 0);
    for child in 0..children.len() {
        let visits = children.visits(child);
        if visits > first {
            (first, second) = (visits, first);
        } else {
            second = second.max(visits);
        }
    }
    left != u64::MAX && u64::from(first - second) > left && !tree.rule().needs_simulations()
}

/// How many rounds, of a batch each, pass between two looks at the clock.
#[derive(Debug)]
pub(crate) struct Look {
    last: Option<Instant>,
    rounds: u64,
}

impl Default for Look {
    fn default() -> Self {
        Self { last: None, rounds: 1 }
    }
}

impl Look {
    /// Doubles where less than 0.1 ms went by, halves where more than 0.4 ms did.
    pub(crate) fn rounds(&mut self, timed: bool) -> u64 {
        if timed {
            let now = Instant::now();
            if let Some(last) = self.last.replace(now) {
                match (now - last).as_micros() {
                    0..100 => self.rounds = (self.rounds * 2).min(1 << 12),
                    400.. => self.rounds = (self.rounds / 2).max(1),
                    _ => {}
                }
            }
        } else {
            self.rounds = 1 << 8;
        }
        self.rounds
    }
}
