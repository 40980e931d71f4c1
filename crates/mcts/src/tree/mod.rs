//! A search tree: selects leaves, takes their evaluations, is advanced and read.
//!
//! The three verbs of a search are in plain sight, so that one driver serves one tree, many leaves
//! of one tree, or a thousand games:
//!
//! ```
//! use mcts::games::TicTacToe;
//! use mcts::rule::Uct;
//! use mcts::tree::Tree;
//! use mcts::{Evaluator as _, Leaves, Rollout};
//!
//! let mut trees = Vec::new();
//! for seed in 0..100 {
//!     trees.push(Tree::new(Uct::default(), &TicTacToe::new(), seed)?.with_priors(false));
//! }
//! let (mut leaves, mut rollout) = (Leaves::new(), Rollout::new(42));
//! for _ in 0..50 {
//!     leaves.clear();
//!     for tree in &mut trees {
//!         tree.select(&mut leaves)?;
//!     }
//!     rollout.evaluate(&mut leaves)?; // all games in one batch
//!     for tree in &mut trees {
//!         tree.back_up(&leaves)?;
//!     }
//! }
//! assert_eq!(trees[0].visits(), 50);
//! # Ok::<(), mcts::Error>(())
//! ```

mod back_up;
mod descend;
mod dot;
mod graph;
mod request;
mod save;
mod text;

pub use crate::nodes::{Children, Proven};
pub use descend::Selected;
use descend::value_for;
pub(crate) use descend::{Context, Worker, check};
pub(crate) use request::Request;

use std::collections::HashSet;

use self::descend::{OnWay, Settings};
use model_utils_core::config;

use crate::error::{Error, Result};
use crate::found::{Choice, Found};
use crate::game::{Action, Game, Hashed, Payoff, sums_to_zero};
use crate::leaves::Leaves;
use crate::nodes::{Arena, CHANCE, PROVEN, ROOT};
use crate::random::Random;
use crate::rule::{Rule, Second};

/// A tree over the positions of one game.
#[derive(Debug, Clone)]
pub struct Tree<G, R: Rule> {
    arena: Arena,
    rule: R,
    root: G,
    root_state: R::Root,
    settings: Settings,
    worker: Worker<G>,
    simulations: Option<u64>,
    prepared: bool,
    noisy: bool,
    most_nodes: usize,
    /// The actions of the root that are looked at; none: all.
    allowed: Option<Vec<Action>>,
    /// Of a graph: the hash of a position.
    hash: Option<fn(&G) -> u64>,
}

impl<G: Game, R: Rule> Tree<G, R> {
    /// A tree whose root is a position. Same rule, position, seed and evaluations: same tree.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a rule that cannot work.
    pub fn new(rule: R, game: &G, seed: u64) -> Result<Self> {
        rule.check()?;
        let second = rule.second();
        let most = game.most_value();
        config::positive("most_value", most)?;
        let mut tree = Self {
            arena: Arena::new(second.is_some(), most),
            rule,
            root: game.clone(),
            root_state: R::Root::default(),
            settings: Settings {
                solver: true,
                discount: 1.0,
                priors: true,
                on_way: OnWay::default(),
                second,
            },
            worker: Worker::new(game, Random::new(seed)),
            simulations: None,
            prepared: false,
            noisy: false,
            most_nodes: usize::MAX,
            allowed: None,
            hash: None,
        };
        tree.set_game(game);
        Ok(tree)
    }

    /// Whether leaves are expanded with an evaluator's priors (so unless set) or as they come by
    /// ([`Evaluator::has_priors`](crate::Evaluator::has_priors)).
    #[must_use]
    pub fn with_priors(mut self, priors: bool) -> Self {
        self.settings.priors = priors;
        self
    }

    /// Whether wins, losses and draws that are proven are followed up (so unless set). Only where
    /// the game says that its outcomes are such ([`Payoff::WinDrawLoss`]).
    #[must_use]
    pub fn with_solver(mut self, solver: bool) -> Self {
        self.settings.solver = solver && solvable(&self.root);
        self
    }

    /// How much a value is worth one action earlier: 1 unless set.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where it is not positive or above 1.
    pub fn with_discount(mut self, discount: f32) -> Result<Self> {
        config::share_above_zero("discount", discount)?;
        self.settings.discount = discount;
        self.settings.solver &= discount >= 1.0;
        Ok(self)
    }

    /// Lets several leaves of this tree be on their way at once: each counts as lost visits
    /// ([`Rule::virtual_loss`]).
    #[must_use]
    pub fn with_virtual_loss(mut self) -> Self {
        self.share();
        self
    }

    /// Makes one node of all lines that lead to the same position, by its [hash](Hashed::hash)
    /// (Monte-Carlo graph search; Czech et al. 2021). A line that comes to a position that is known
    /// better than through it takes over what is known, and nothing is judged: fewer evaluations
    /// for the same strength, in games whose lines meet.
    ///
    /// The hash must tell apart what the rules tell apart: where they look at the past (repetitions,
    /// superko) and the hash does not, values and proofs are those of one past. A line that
    /// comes back to a position on it ends there.
    ///
    /// Before the first search.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a game of more players than two or whose players' values are not
    /// opposite ([`Game::PAYOFF`]), and for a rule that
    /// [keeps a second statistic](Rule::second).
    pub fn with_transpositions(self) -> Result<Self>
    where
        G: Hashed,
    {
        self.with_hash(G::hash)
    }

    pub(crate) fn with_hash(mut self, hash: fn(&G) -> u64) -> Result<Self> {
        let game = &self.root;
        let fits = game.players() == 1 || sums_to_zero(game);
        let found = format!("for {}, {} players, {:?}", game.name(), game.players(), G::PAYOFF);
        let expected = "a game of one player, or of two with opposite values (`Game::PAYOFF`)";
        config::require(fits, "transpositions", found, expected)?;
        let (found, expected) = (format!("{:?}", self.rule), "a rule that keeps one value a node");
        config::require(self.settings.second.is_none(), "transpositions", found, expected)?;
        self.hash = Some(hash);
        self.arena.connect();
        Ok(self)
    }

    /// Limits the tree to so many nodes, unvisited children included. When it is full, the
    /// children of the least visited nodes are given up until half is free.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] below four times the game's actions.
    pub fn with_most_nodes(mut self, nodes: usize) -> Result<Self> {
        let least = 4 * (self.root.actions() + 1);
        config::at_least("most_nodes", nodes, least)?;
        self.most_nodes = nodes;
        Ok(self)
    }

    /// Looks at these actions of the root alone. Before the first search.
    pub(crate) fn with_allowed(mut self, allowed: Option<Vec<Action>>) -> Self {
        self.allowed = allowed;
        self
    }

    /// Makes a position the root of an empty tree; the memory is kept.
    pub fn set_game(&mut self, game: &G) {
        self.worker.cancel::<false>(&self.arena, self.settings);
        self.root.clone_from(game);
        self.arena.clear(game.most_value());
        self.settings.solver &= solvable(game);
        self.new_root(0);
    }

    /// What follows from a new position at the root. Where chance acts there, its statistics stay
    /// those of who chose it.
    fn new_root(&mut self, chooser: usize) {
        let mover = self.root.turn().player().unwrap_or(chooser);
        self.arena.mark::<false>(ROOT, (mover as u64) << 8);
        if !self.arena.link(ROOT).is_expanded() {
            // Which action it was that proved it has been forgotten.
            self.arena.unmark(ROOT, PROVEN);
        }
        self.prepared = false;
        self.noisy = false;
    }

    /// Begins a search from the root: `simulations` is its limit, where it is one of simulations
    /// (a [`Gumbel`](crate::rule::Gumbel) rule needs it).
    ///
    /// # Errors
    ///
    /// [`Error::Ended`], [`Error::Chance`] and [`Error::NoActions`] where there is nothing to
    /// choose, [`Error::Config`] where the rule needs another limit.
    pub fn begin(&mut self, simulations: Option<u64>) -> Result<()> {
        let game = &self.root;
        if game.outcome().is_some() {
            return Err(Error::Ended { game: game.name() });
        }
        if game.turn().player().is_none() {
            return Err(Error::Chance { game: game.name() });
        }
        let mut actions = Vec::new();
        game.legal_actions(&mut actions);
        if actions.is_empty() {
            return Err(Error::NoActions { game: game.name() });
        }
        if let Some(allowed) = &self.allowed {
            let some = actions.iter().any(|action| allowed.contains(action));
            let expected = "an action that is legal in the position";
            config::require(some, "allowed", format!("{allowed:?}"), expected)?;
        }
        if self.rule.needs_simulations() {
            let expected = "a limit of simulations, which this rule divides among the actions";
            config::require(simulations.is_some(), "limits", simulations, expected)?;
        }
        // The evaluation of an empty root is one of the simulations.
        let fresh = u64::from(!self.arena.link(ROOT).is_expanded());
        self.simulations = simulations.map(|simulations| simulations.saturating_sub(fresh));
        self.prepared = false;
        Ok(())
    }

    /// Goes down from the root to a leaf and adds it to the batch.
    ///
    /// # Errors
    ///
    /// [`Error::NoActions`] for a position without an outcome and without an action.
    #[inline]
    pub fn select(&mut self, leaves: &mut Leaves<G>) -> Result<Selected> {
        if !self.make_room(1) {
            return Ok(Selected::Blocked);
        }
        if !self.settings.on_way.counts() && self.worker.waiting() > 0 {
            return Ok(Selected::Blocked);
        }
        if !self.prepared {
            self.meet_root()?;
        }
        let Self { arena, rule, root, root_state, settings, worker, hash, .. } = self;
        let (settings, hash) = (*settings, *hash);
        let context = Context { arena, rule, root, root_state, settings, hash };
        worker.select::<false, R>(&context, leaves)
    }

    /// Takes the evaluations of all leaves that this tree put into the batch.
    ///
    /// # Errors
    ///
    /// [`Error::Evaluation`] for a prior or value that is no number; then nothing was backed up:
    /// try again or [`cancel`](Self::cancel).
    #[inline]
    pub fn back_up(&mut self, leaves: &Leaves<G>) -> Result<()> {
        self.worker.back_up::<false>(&self.arena, self.settings, leaves)
    }

    /// Gives up the leaves that are on their way.
    pub fn cancel(&mut self) {
        self.worker.cancel::<false>(&self.arena, self.settings);
    }

    /// Plays an action at the root, or what chance plays there, and keeps the subtree below it.
    ///
    /// # Errors
    ///
    /// [`Error::Illegal`] for an action that the rules do not allow; the tree stays as it was.
    pub fn advance(&mut self, action: Action) -> Result<()> {
        self.cancel();
        let mut next = self.root.clone();
        next.try_play(action)?;
        let link = self.arena.link(ROOT);
        let child = link.children().find(|&child| self.arena.action(child) == action);
        match child.filter(|_| next.outcome().is_none()) {
            Some(child) => {
                self.arena.keep(child, 0);
                self.root = next;
                self.new_root(link.mover());
                let mover = self.arena.link(ROOT).mover();
                self.arena.turn_root(link.mover(), mover, sums_to_zero(&self.root));
            }
            None => self.set_game(&next),
        }
        Ok(())
    }

    /// The position at the root.
    pub const fn game(&self) -> &G {
        &self.root
    }

    /// The rule.
    pub const fn rule(&self) -> &R {
        &self.rule
    }

    /// How often the root was visited.
    pub fn visits(&self) -> u32 {
        self.arena.visits(ROOT)
    }

    /// How many nodes there are, unvisited children included.
    pub fn nodes(&self) -> usize {
        self.arena.used()
    }

    /// For how many nodes there is memory.
    pub fn capacity(&self) -> usize {
        self.arena.capacity()
    }

    /// What is proven about the root, for the player to move there.
    pub fn proven(&self) -> Option<Proven> {
        self.arena.link(ROOT).proven()
    }

    /// The generator of this tree, for what its owner draws (a temperature).
    pub const fn random(&mut self) -> &mut Random {
        &mut self.worker.random
    }

    /// The children of the root; `None` before it was judged.
    pub fn children(&self) -> Option<Children<'_>> {
        let link = self.arena.link(ROOT);
        let value = self.arena.mean(ROOT);
        link.is_expanded().then(|| Children::new(&self.arena, ROOT, link, Some(value)))
    }

    /// The children of the node that a line of actions leads to; `None` where the tree ends
    /// earlier.
    pub fn children_after(&self, line: &[Action]) -> Option<Children<'_>> {
        let (mut slot, mut link) = (ROOT, self.arena.link(ROOT));
        let mut chooser = link.mover();
        for &action in line {
            chooser = link.mover();
            slot = link.children().find(|&child| self.arena.action(child) == action)?;
            link = self.arena.link(slot);
        }
        link.is_expanded().then(|| {
            let (node, _) = self.arena.node(slot, link);
            let mean = self.arena.mean(node);
            // A head sees its own mover's values.
            let chooser = if node == slot { chooser } else { link.mover() };
            let value = value_for(chooser, link.mover(), mean, sums_to_zero(&self.root));
            Children::new(&self.arena, slot, link, value)
        })
    }

    /// The policy found, one probability a child of the root in the order of
    /// [`Children`], appended: where the root is proven, it lies even on the actions that keep
    /// the result.
    pub fn policy(&self, policy: &mut Vec<f32>) {
        let Some(children) = self.children() else { return };
        match self.proven() {
            Some(proven) => {
                let best = |child: &usize| children.proven(*child) == Some(proven);
                let count = (0..children.len()).filter(best).count().max(1) as f32;
                policy.extend((0..children.len()).map(|c| f32::from(best(&c)) / count));
            }
            None => self.rule.policy(&self.root_state, &children, policy),
        }
    }

    /// The child to play; `None` before the root was judged.
    pub fn best(&self) -> Option<usize> {
        let children = self.children()?;
        Some(match self.proven() {
            // Of the actions that keep the result, the most visited.
            Some(proven) => {
                let keeps = |child: &usize| children.proven(*child) == Some(proven);
                let visits = |child: &usize| children.visits(*child);
                (0..children.len()).filter(keeps).max_by_key(visits).unwrap_or(0)
            }
            None => self.rule.best(&self.root_state, &children),
        })
    }

    /// All that the search has found so far; `None` before the root was judged.
    pub fn found(&self) -> Option<Found> {
        let (children, best) = (self.children()?, self.best()?);
        let mut policy = Vec::with_capacity(children.len());
        self.policy(&mut policy);
        let choice = |child: usize| {
            let action = children.action(child);
            let name = self.root.action_name(action);
            let (net_visits, net_value) = match self.settings.second {
                Some(Second::Net) => children.second(child),
                _ => (0, 0.0),
            };
            Choice {
                action,
                name,
                visits: children.visits(child),
                value: children.mean(child),
                prior: children.prior(child),
                policy: policy[child],
                proven: children.proven(child),
                net: (net_visits > 0).then_some(net_value),
            }
        };
        let best = children.action(best);
        let mut choices: Vec<_> = (0..children.len()).map(choice).collect();
        choices.sort_by(|a, b| {
            (b.action == best, b.visits, b.value)
                .partial_cmp(&(a.action == best, a.visits, a.value))
                .unwrap_or(std::cmp::Ordering::Equal)
                .then(a.action.cmp(&b.action))
        });
        Some(Found {
            game: self.root.name(),
            choices,
            value: self.proven().map_or_else(|| self.arena.mean(ROOT), Proven::value),
            visits: self.visits(),
            simulations: 0,
            nodes: self.nodes(),
            proven: self.proven(),
            principal_variation: self.principal_variation(best),
            elapsed: std::time::Duration::ZERO,
        })
    }

    /// The best action, then the most visited ones, with their names.
    fn principal_variation(&self, best: Action) -> Vec<(Action, String)> {
        let mut game = self.root.clone();
        let mut line = Vec::new();
        let mut link = self.arena.link(ROOT);
        let mut next = link.children().find(|&child| self.arena.action(child) == best);
        // Lines of a graph may come back to where they were.
        let mut seen = HashSet::new();
        while let Some(slot) = next.filter(|&slot| seen.insert(slot)) {
            let action = self.arena.action(slot);
            line.push((action, game.action_name(action)));
            game.play(action);
            link = self.arena.link(slot);
            next = (link.is_expanded() && !link.has(CHANCE))
                .then(|| {
                    link.children().filter(|&child| self.arena.visits(child) > 0).max_by_key(
                        |&child| {
                            let proven = self.arena.proven(child, link.mover());
                            (proven == Some(Proven::Win), self.arena.visits(child))
                        },
                    )
                })
                .flatten();
        }
        line
    }

    /// Counts simulations on their way from now on. What it was before.
    pub(crate) fn share(&mut self) -> OnWay {
        std::mem::replace(&mut self.settings.on_way, OnWay::new(self.rule.virtual_loss()))
    }

    /// The same for threads. Without priors nobody waits for a leaf: two threads may judge one, and
    /// nothing is counted before it is known (Enzenberger and Müller 2009).
    pub(crate) fn share_with_threads(&mut self) -> OnWay {
        if self.settings.priors { self.share() } else { std::mem::take(&mut self.settings.on_way) }
    }

    /// Goes back to what [`Tree::share`] returned.
    pub(crate) const fn unshare(&mut self, on_way: OnWay) {
        self.settings.on_way = on_way;
    }

    /// Makes sure that so many simulations can expand a node; `false` where leaves on their way
    /// have to come back first.
    pub(crate) fn make_room(&mut self, simulations: usize) -> bool {
        let expanding = self.worker.waiting() + simulations;
        // A group of a graph has a head.
        let group = self.root.actions().max(1) + usize::from(self.arena.is_graph());
        let wanted = self.arena.used() + expanding * group;
        if wanted <= self.arena.capacity() {
            return true;
        }
        if self.arena.capacity() < self.most_nodes {
            self.arena.grow((wanted + self.arena.used()).min(self.most_nodes));
            if wanted <= self.arena.capacity() {
                return true;
            }
        }
        if self.worker.waiting() > 0 {
            return false;
        }
        self.fold();
        true
    }

    /// Makes room for threads, which stop where a group of children finds none: twice what is used.
    pub(crate) fn make_shared_room(&mut self) {
        const LEAST: usize = 1 << 12;
        let used = self.arena.used();
        let needed = used + self.arena.full();
        let wanted = needed.max(2 * used).max(LEAST);
        self.arena.grow(wanted.min(self.most_nodes).max(self.arena.capacity()));
        if needed > self.arena.capacity() {
            self.fold();
        }
    }

    /// Gives up the children of the least visited nodes until half of the room is free.
    fn fold(&mut self) {
        let mut least = 2;
        while self.arena.kept(least) > self.most_nodes / 2 && least < u32::MAX / 2 {
            least *= 2;
        }
        self.arena.keep(ROOT, least);
    }

    /// Prepares the root as soon as it has children; without priors, it gets them here.
    fn meet_root(&mut self) -> Result<()> {
        let due = self.arena.visits(ROOT) >= self.rule.expand_after();
        if !self.settings.priors && due && !self.arena.link(ROOT).is_expanded() {
            self.worker.expand_root(&self.arena, self.settings, &self.root)?;
        }
        if self.arena.link(ROOT).is_expanded() {
            self.prepare();
        }
        Ok(())
    }

    /// Noise and schedule, once the root has children.
    pub(crate) fn prepare(&mut self) {
        if let Some(allowed) = &self.allowed {
            self.arena.restrict(ROOT, |action| allowed.contains(&action));
        }
        let link = self.arena.link(ROOT);
        if let Some(noise) = self.rule.root_noise()
            && !self.noisy
        {
            let slots = || link.children();
            let mut priors: Vec<f32> = slots().map(|slot| self.arena.prior(slot)).collect();
            noise.mix(&mut priors, &mut self.worker.random);
            for (slot, prior) in slots().zip(priors) {
                self.arena.set_prior(slot, prior);
            }
            self.noisy = true;
        }
        let children = Children::new(&self.arena, ROOT, link, Some(self.arena.mean(ROOT)));
        self.root_state = self.rule.prepare(&children, self.simulations, &mut self.worker.random);
        self.prepared = true;
    }

    /// What threads need to share this tree: the root must be prepared.
    pub(crate) fn context(&self) -> Context<'_, G, R> {
        Context {
            arena: &self.arena,
            rule: &self.rule,
            root: &self.root,
            root_state: &self.root_state,
            settings: self.settings,
            hash: self.hash,
        }
    }

    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared
    }
}

/// Whether proofs make sense in a game.
fn solvable<G: Game>(game: &G) -> bool {
    game.players() == 2 && !G::REWARDS && G::PAYOFF == Payoff::WinDrawLoss
}
