//! The driver of one tree: a rule, an evaluator, limits.

use std::path::Path;
use std::time::Instant;

use model_utils_core::{ConfigError, config};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::evaluator::{Evaluator, Fork};
use crate::found::Found;
use crate::game::{Action, Game, Hashed};
use crate::leaves::Leaves;
use crate::limits::Limits;
use crate::random::mix;
use crate::rule::Rule;
use crate::tree::{Selected, Tree};

/// How searches grow their trees, whoever drives them: [`Search`],
/// [`SearchPlayer`](crate::arena::SearchPlayer), self-play.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchSettings {
    /// How many leaves of a tree are judged together (by virtual loss): 1 unless set.
    pub batch: usize,
    /// Whether proven results are followed up ([`Tree::with_solver`]); so unless set.
    pub solver: bool,
    /// How much a value is worth one action earlier: 1 unless set.
    pub discount: f32,
    /// The most nodes of a tree ([`Tree::with_most_nodes`]); `None`: as many as it needs.
    pub most_nodes: Option<usize>,
    /// Whether a search of a number of simulations ends as soon as no other action can still get as
    /// many visits as the best; not unless set.
    pub early_stop: bool,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self { batch: 1, solver: true, discount: 1.0, most_nodes: None, early_stop: false }
    }
}

impl SearchSettings {
    /// Whether the most visited action stays so, whatever the simulations left do, and the search
    /// is to end then.
    pub(crate) fn is_decided<G: Game, R: Rule>(&self, tree: &Tree<G, R>, left: u64) -> bool {
        let asked = self.early_stop && left != u64::MAX && !tree.rule().needs_simulations();
        let Some(children) = tree.children().filter(|_| asked) else { return false };
        let (mut first, mut second) = (0, 0);
        for child in 0..children.len() {
            let visits = children.visits(child);
            if visits > first {
                (first, second) = (visits, first);
            } else {
                second = second.max(visits);
            }
        }
        u64::from(first - second) > left
    }
}

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
    pub(crate) rule: R,
    pub(crate) evaluator: E,
    pub(crate) seed: u64,
    pub(crate) settings: SearchSettings,
    pub(crate) tree: Option<Tree<G, R>>,
    allowed: Option<Vec<Action>>,
    /// Of a graph: the hash of a position.
    hash: Option<fn(&G) -> u64>,
    leaves: Leaves<G>,
}

impl<G: Game, R: Rule, E: Evaluator<G>> Search<G, R, E> {
    /// A search with a rule and a way to judge leaves.
    pub fn new(rule: R, evaluator: E) -> Self {
        let (settings, leaves) = (SearchSettings::default(), Leaves::new());
        Self { rule, evaluator, seed: 0, settings, tree: None, allowed: None, hash: None, leaves }
    }

    /// What the order of untried actions, noise and chance follow: 0 unless set.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.tree = None;
        self
    }

    /// All settings at once.
    #[must_use]
    pub fn with_settings(mut self, settings: SearchSettings) -> Self {
        self.settings = settings;
        self.tree = None;
        self
    }

    /// Sets [`SearchSettings::batch`].
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        let settings = SearchSettings { batch, ..self.settings };
        self.with_settings(settings)
    }

    /// Sets [`SearchSettings::solver`].
    #[must_use]
    pub fn with_solver(self, solver: bool) -> Self {
        let settings = SearchSettings { solver, ..self.settings };
        self.with_settings(settings)
    }

    /// Sets [`SearchSettings::discount`].
    #[must_use]
    pub fn with_discount(self, discount: f32) -> Self {
        let settings = SearchSettings { discount, ..self.settings };
        self.with_settings(settings)
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

    /// Sets [`SearchSettings::most_nodes`].
    #[must_use]
    pub fn with_most_nodes(self, nodes: usize) -> Self {
        let settings = SearchSettings { most_nodes: Some(nodes), ..self.settings };
        self.with_settings(settings)
    }

    /// Sets [`SearchSettings::early_stop`].
    #[must_use]
    pub fn with_early_stop(self) -> Self {
        let settings = SearchSettings { early_stop: true, ..self.settings };
        self.with_settings(settings)
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
        let done = self.simulate(limits, started, 0)?;
        self.close(done, started)
    }

    /// A tree for the position, and the begin of the search in it.
    pub(crate) fn open(&mut self, game: &G, limits: Limits) -> Result<()> {
        limits.check()?;
        match &mut self.tree {
            Some(tree) if tree.game() == game => {}
            Some(tree) => tree.set_game(game),
            None => self.tree = Some(self.plant(game, self.seed)?),
        }
        match &mut self.tree {
            Some(tree) => tree.begin(limits.simulation_limit()),
            None => Ok(()),
        }
    }

    /// A new tree with the settings of this search.
    pub(crate) fn plant(&self, game: &G, seed: u64) -> Result<Tree<G, R>> {
        let settings = &self.settings;
        config::at_least("batch", settings.batch, 1)?;
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

    /// Goes on after so many simulations, up to the limits. How many are done then.
    pub(crate) fn simulate(
        &mut self,
        limits: Limits,
        started: Instant,
        before: u64,
    ) -> Result<u64> {
        let mut progress = Progress { done: before, end: before };
        let mut tree = self.tree.take();
        let of_tree = std::slice::from_mut(&mut progress);
        let grown = self.grow(tree.as_mut_slice(), of_tree, limits, started);
        self.tree = tree;
        grown.map(|()| progress.done)
    }

    /// Goes on with trees [planted](Self::plant) here, all in common batches, up to the limits of
    /// each.
    pub(crate) fn grow(
        &mut self,
        trees: &mut [Tree<G, R>],
        progress: &mut [Progress],
        limits: Limits,
        started: Instant,
    ) -> Result<()> {
        let (settings, mut look) = (self.settings, Look::default());
        loop {
            // As many batches as go without a look at the clock.
            let rounds = if limits.has_time() || settings.early_stop {
                look.rounds(limits.has_time()).saturating_mul(settings.batch as u64)
            } else {
                u64::MAX
            };
            for (tree, progress) in trees.iter().zip(&mut *progress) {
                let left = limits.left(progress.done, tree.nodes(), started);
                let is_over = progress.done > 0 && settings.is_decided(tree, left);
                let more = if is_over { 0 } else { left.min(rounds) };
                progress.end = progress.done.saturating_add(more);
            }
            if !progress.iter().zip(&*trees).any(Progress::goes_on) {
                return Ok(());
            }
            loop {
                let round = self.round(trees, progress);
                let leaves = round.inspect_err(|_| trees.iter_mut().for_each(Tree::cancel))?;
                for (tree, progress) in trees.iter().zip(&mut *progress) {
                    if limits.is_full(tree.nodes()) {
                        progress.end = progress.done;
                    }
                }
                if leaves == 0 && !progress.iter().zip(&*trees).any(Progress::goes_on) {
                    break;
                }
            }
        }
    }

    /// select → leaves, evaluate, back up: one batch of each tree, all judged together. How many
    /// leaves that were.
    #[inline]
    pub(crate) fn round(
        &mut self,
        trees: &mut [Tree<G, R>],
        progress: &mut [Progress],
    ) -> Result<usize> {
        let Self { evaluator, leaves, settings, .. } = self;
        leaves.clear();
        for (tree, progress) in trees.iter_mut().zip(progress) {
            let (mut found, mut blocked) = (0, 0);
            // Known results cost nothing; where leaves meet, virtual loss sends the next ones
            // elsewhere.
            while found < settings.batch && blocked < settings.batch && progress.goes_on_in(tree) {
                match tree.select(leaves)? {
                    Selected::Blocked => blocked += 1,
                    selected => {
                        progress.done += 1;
                        found += usize::from(selected == Selected::Leaf);
                    }
                }
            }
        }
        if !leaves.is_empty() {
            evaluator.evaluate(leaves)?;
            for tree in trees {
                tree.back_up(leaves)?;
            }
        }
        Ok(leaves.len())
    }

    pub(crate) fn close(&self, done: u64, started: Instant) -> Result<Found> {
        let tree = self.tree.as_ref();
        let mut found = tree.and_then(Tree::found).ok_or_else(|| too_few(done))?;
        found.simulations = done;
        found.elapsed = started.elapsed();
        Ok(found)
    }

    /// The same search without a tree, with randomness of its own.
    pub(crate) fn sibling(&self, thread: u64) -> Self
    where
        E: Fork,
    {
        let (seed, settings) = (mix(self.seed, thread), self.settings);
        let evaluator = self.evaluator.fork(thread);
        let (allowed, hash) = (self.allowed.clone(), self.hash);
        Self { seed, settings, allowed, hash, ..Self::new(self.rule.clone(), evaluator) }
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
        let mut tree = self.plant(game, self.seed)?;
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

    /// The actions that are looked at alone; `None`: all.
    pub(crate) fn allowed(&self) -> Option<&[Action]> {
        self.allowed.as_deref()
    }

    /// The evaluator.
    pub const fn evaluator(&mut self) -> &mut E {
        &mut self.evaluator
    }
}

/// What a search ends with that did not get to expand its root.
pub(crate) fn too_few(done: u64) -> ConfigError {
    let found = format!("enough for {done} simulation{}", if done == 1 { "" } else { "s" });
    let expected = "enough for the root to be judged and expanded, 2 simulations";
    ConfigError::new("limits", found, expected)
}

/// How far the search in a tree has come, in simulations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) done: u64,
    /// Where it pauses.
    pub(crate) end: u64,
}

impl Progress {
    /// Whether there is more to do in a tree.
    fn goes_on_in<G: Game, R: Rule>(&self, tree: &Tree<G, R>) -> bool {
        self.done < self.end && tree.proven().is_none()
    }

    fn goes_on<G: Game, R: Rule>((progress, tree): (&Self, &Tree<G, R>)) -> bool {
        progress.goes_on_in(tree)
    }
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
