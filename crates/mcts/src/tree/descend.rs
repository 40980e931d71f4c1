//! One of the three verbs: a simulation goes down to a leaf, whose batch is backed up when it is judged.

use super::back_up::{First, Late, Simulation, back_up, back_up_net, prove};
use super::graph::{End, Place, expand};
use super::request::Request;
use crate::error::{Error, Result};
use crate::game::{Action, Game, Payoff, Turn, Values, sums_to_zero};
use crate::leaves::Leaves;
use crate::nodes::{Arena, CHANCE, Children, EXPANDING, Link, NET, Proven, ROOT};
use crate::random::Random;
use crate::rule::{Rule, Second};

/// How a simulation ended on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    /// At a leaf, which was added to the batch and waits for its evaluation.
    Leaf,
    /// Where the result is known; it has been backed up already.
    Known,
    /// At a leaf that waits already, or at a full arena: what is on its way must be backed up
    /// first. In a tree [with virtual loss](super::Tree::with_virtual_loss) the visit counts as lost
    /// until then, so that the next one may find another leaf.
    Blocked,
}

/// What all simulations of a search share.
pub(crate) struct Context<'a, G, R: Rule> {
    pub(crate) arena: &'a Arena,
    pub(crate) rule: &'a R,
    pub(crate) root: &'a G,
    pub(crate) root_state: &'a R::Root,
    pub(crate) settings: Settings,
    /// Of a graph: the hash of a position.
    pub(crate) hash: Option<fn(&G) -> u64>,
}

impl<G, R: Rule> Context<'_, G, R> {
    /// Whether a group of children has found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.arena.full() > 0
    }

    /// Whether the root is proven.
    pub(crate) fn is_proven(&self) -> bool {
        self.arena.link(ROOT).proven().is_some()
    }
}

/// What the owner of a tree can set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) solver: bool,
    pub(crate) discount: f32,
    /// Whether leaves are expanded with the priors of an evaluator.
    pub(crate) priors: bool,
    /// What a simulation on its way counts as, where there may be more than one.
    pub(crate) on_way: OnWay,
    /// What the rule wants beside the simulations.
    pub(crate) second: Option<Second>,
}

/// The value of a node for its mover, of its mean for who chose it; none where only its children can
/// tell.
pub(super) fn value_for(
    chooser: usize,
    mover: usize,
    mean: f32,
    sums_to_zero: bool,
) -> Option<f32> {
    if chooser == mover { Some(mean) } else { sums_to_zero.then_some(-mean) }
}

/// Visits and losses that stand in for a simulation on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OnWay {
    pub(super) visits: u32,
    losses: u32,
}

impl OnWay {
    /// So many lost visits; with 0, one visit that is neither won nor lost.
    pub(crate) const fn new(losses: u32) -> Self {
        Self { visits: if losses == 0 { 1 } else { losses }, losses }
    }

    /// Whether simulations on their way are counted.
    pub(crate) const fn counts(self) -> bool {
        self.visits > 0
    }

    fn add<const SHARED: bool>(self, arena: &Arena, slot: u32) {
        arena.add::<SHARED>(slot, self.visits, -self.units(arena));
        if arena.is_graph() {
            arena.add_on_way::<SHARED>(slot, 1);
        }
    }

    pub(super) fn take<const SHARED: bool>(self, arena: &Arena, slot: u32) {
        arena.add::<SHARED>(slot, self.visits.wrapping_neg(), self.units(arena));
        if arena.is_graph() {
            arena.add_on_way::<SHARED>(slot, 1_u32.wrapping_neg());
        }
    }

    /// Visits and sum of an edge of a graph without those on their way.
    pub(super) fn known(self, arena: &Arena, slot: u32) -> (u32, i64) {
        let on_way = if self.counts() { arena.on_way(slot) } else { 0 };
        let visits = arena.visits(slot).wrapping_sub(self.visits.wrapping_mul(on_way));
        (visits, arena.sum(slot) + self.units(arena) * i64::from(on_way))
    }

    /// What its losses are worth.
    pub(super) fn units(self, arena: &Arena) -> i64 {
        arena.units(self.losses as f32 * arena.most())
    }
}

impl Settings {
    #[allow(clippy::float_cmp)] // The one value that changes nothing.
    pub(super) fn is_discounted(self) -> bool {
        self.discount != 1.0
    }
}

/// What one thread needs to run simulations, kept between them.
#[derive(Debug, Clone)]
pub(crate) struct Worker<G> {
    pub(super) game: G,
    pub(super) path: Vec<u32>,
    rewards: Vec<Values>,
    pub(super) actions: Vec<Action>,
    chances: Vec<f32>,
    pub(crate) random: Random,
    /// Simulations on their way: where each path ends, its leaf in the batch.
    pending: Vec<Pending>,
    paths: Vec<u32>,
    path_rewards: Vec<Values>,
    /// The slots of paths that were blocked, each counted as on its way.
    blocked: Vec<u32>,
    /// Visits and units for busy slots that are not added yet.
    late: Late,
    first: First,
    /// Of a graph: the hash of the position at the end of the path, and whether the path has left
    /// the order of the groups.
    pub(super) hash: u64,
    pub(super) went_down: bool,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    leaf: usize,
    end: usize,
    expands: bool,
    turn: Turn,
    hash: u64,
}

impl<G: Game> Worker<G> {
    pub(crate) fn new(game: &G, random: Random) -> Self {
        Self {
            game: game.clone(),
            path: Vec::new(),
            rewards: Vec::new(),
            actions: Vec::new(),
            chances: Vec::new(),
            random,
            pending: Vec::new(),
            paths: Vec::new(),
            path_rewards: Vec::new(),
            blocked: Vec::new(),
            late: Late::new(),
            first: First::default(),
            hash: 0,
            went_down: false,
        }
    }

    /// Adds what waits.
    pub(crate) fn flush<const SHARED: bool>(&mut self, arena: &Arena) {
        for (slot, visits, units) in self.late.drain(..) {
            arena.add::<SHARED>(slot, visits, units);
        }
    }

    /// How many simulations are on their way.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Goes down once. `Err` only for a position without an outcome and without an action.
    #[inline]
    pub(crate) fn select<const SHARED: bool, R: Rule>(
        &mut self,
        context: &Context<'_, G, R>,
        leaves: &mut Leaves<G>,
    ) -> Result<Selected> {
        let &Context { arena, rule, settings, .. } = context;
        let on_way = settings.on_way;
        self.game.clone_from(context.root);
        self.path.clear();
        self.rewards.clear();
        self.went_down = false;
        let mut slot = ROOT;
        // The player who chose `slot`, and its statistics' point of view.
        let mut chooser = arena.link(ROOT).mover();
        loop {
            self.path.push(slot);
            if G::REWARDS {
                self.rewards.push(self.game.rewards());
            }
            let mut link = arena.link(slot);
            if let Some(proven) = link.proven()
                && slot != ROOT
            {
                let values = Values::two(chooser, proven.value());
                self.end::<SHARED>(arena, settings, chooser, values);
                return Ok(Selected::Known);
            }
            if let Some(hash) = context.hash
                && slot != ROOT
            {
                if !link.is_expanded() {
                    self.hash = hash(&self.game);
                    link = self.meet::<SHARED>(arena, settings, slot, chooser, link);
                }
                if link.is_expanded() && self.arrive::<SHARED>(arena, settings, chooser, link) {
                    return Ok(Selected::Known);
                }
            }
            if !link.is_expanded() {
                if let Some(values) = self.game.outcome() {
                    self.check_values(arena, settings, &self.rewards, values).inspect_err(
                        |_| {
                            self.undo::<SHARED>(arena, on_way);
                        },
                    )?;
                    self.end::<SHARED>(arena, settings, chooser, values);
                    return Ok(Selected::Known);
                }
                // Without priors a leaf is judged before it is expanded, or nothing would be.
                let after = rule.expand_after().max(u32::from(!settings.priors));
                if arena.visits(slot) < after {
                    if context.hash.is_some() && slot != ROOT && after == 1 {
                        // A graph remembers what has been judged once.
                        self.expand::<SHARED>(arena, settings, slot, chooser)?;
                    }
                    self.push::<SHARED, R>(context, leaves, link, false);
                    return Ok(Selected::Leaf);
                }
                if settings.priors {
                    if arena.mark::<SHARED>(slot, EXPANDING).has(EXPANDING) {
                        if SHARED {
                            self.undo::<SHARED>(arena, on_way);
                        } else if on_way.counts() {
                            on_way.add::<SHARED>(arena, slot);
                            self.blocked.extend_from_slice(&self.path);
                        }
                        return Ok(Selected::Blocked);
                    }
                    self.list_actions()?;
                    self.push::<SHARED, R>(context, leaves, link, true);
                    return Ok(Selected::Leaf);
                }
                let Some(expanded) = self.expand::<SHARED>(arena, settings, slot, chooser)? else {
                    self.push::<SHARED, R>(context, leaves, link, false);
                    return Ok(Selected::Leaf);
                };
                link = expanded;
            }
            let mover = link.mover();
            let child = if link.has(CHANCE) {
                self.draw(arena, link)
            } else {
                let node = arena.node(slot, link).0;
                let mut value = arena.mean(node);
                if node == slot && slot != ROOT && (G::REWARDS || settings.is_discounted()) {
                    // The slot's value begins one action earlier.
                    let paid = if G::REWARDS { self.game.rewards().of(chooser) } else { 0.0 };
                    value = (value - paid) / settings.discount;
                }
                let value = if slot == ROOT || node != slot {
                    Some(value)
                } else {
                    value_for(chooser, mover, value, sums_to_zero(context.root))
                };
                let children = Children::new(arena, slot, link, value);
                if slot == ROOT {
                    rule.choose_at_root(context.root_state, &children)
                } else {
                    rule.choose(&children)
                }
            };
            if on_way.counts() {
                on_way.add::<SHARED>(arena, slot);
            }
            slot = link.first() + child as u32;
            chooser = mover;
            self.game.play(arena.action(slot));
        }
    }

    /// Gives the root its children, without priors.
    pub(crate) fn expand_root(
        &mut self,
        arena: &Arena,
        settings: Settings,
        root: &G,
    ) -> Result<()> {
        self.game.clone_from(root);
        self.expand::<false>(arena, settings, ROOT, arena.link(ROOT).mover()).map(|_| ())
    }

    /// A child of a chance node, by its probability.
    fn draw(&mut self, arena: &Arena, link: Link) -> usize {
        self.chances.clear();
        self.chances.extend(link.children().map(|child| arena.prior(child)));
        self.random.weighted_f32(&self.chances).unwrap_or(0)
    }

    fn list_actions(&mut self) -> Result<()> {
        self.actions.clear();
        self.game.legal_actions(&mut self.actions);
        if self.actions.is_empty() {
            return Err(Error::NoActions { game: self.game.name() });
        }
        Ok(())
    }

    /// Gives a node children with equal priors (or the probabilities of chance); `None` where
    /// another thread does it, or no room is left.
    fn expand<const SHARED: bool>(
        &mut self,
        arena: &Arena,
        settings: Settings,
        slot: u32,
        chooser: usize,
    ) -> Result<Option<Link>> {
        if SHARED && arena.mark::<SHARED>(slot, EXPANDING).has(EXPANDING) {
            return Ok(None);
        }
        self.list_actions()?;
        let place = |mover, flags| Place { slot, chooser, mover, flags, hash: self.hash };
        let expanded = match self.game.turn() {
            Turn::Player(mover) => {
                // Untried children come in random order.
                self.random.shuffle(&mut self.actions);
                let prior = 1.0 / self.actions.len() as f32;
                let children = self.actions.iter().map(|&action| (action, prior));
                expand::<SHARED>(arena, settings, place(mover, 0), None, children)
            }
            Turn::Chance => {
                self.chances.clear();
                self.game.chances(&mut self.chances);
                let children = self.actions.iter().copied().zip(self.chances.iter().copied());
                expand::<SHARED>(arena, settings, place(chooser as u8, CHANCE), None, children)
            }
        };
        if expanded.is_err() && SHARED {
            arena.unmark(slot, EXPANDING);
        }
        Ok(expanded.ok())
    }

    /// Puts the leaf at the end of the path into the batch.
    #[inline]
    fn push<const SHARED: bool, R: Rule>(
        &mut self,
        context: &Context<'_, G, R>,
        leaves: &mut Leaves<G>,
        link: Link,
        expands: bool,
    ) {
        let leaf = leaves.len();
        leaves.push(&self.game, if expands { &self.actions } else { &[] });
        let slot = self.path[self.path.len() - 1];
        if context.settings.second == Some(Second::Amaf) {
            leaves.want_played(leaf);
        }
        if context.settings.second == Some(Second::Net)
            && !link.has(NET)
            && !context.arena.mark::<SHARED>(slot, NET).has(NET)
        {
            leaves.want_net(leaf);
        }
        if context.settings.on_way.counts() {
            context.settings.on_way.add::<SHARED>(context.arena, slot);
        }
        self.paths.extend_from_slice(&self.path);
        if G::REWARDS {
            self.path_rewards.extend_from_slice(&self.rewards);
        }
        let counts = expands || G::PAYOFF == Payoff::General;
        let turn = if counts { self.game.turn() } else { Turn::Player(0) };
        let (end, hash) = (self.paths.len(), self.hash);
        self.pending.push(Pending { leaf, end, expands, turn, hash });
    }

    /// Backs up the path that has just reached a known result. Its last slot does not count as on
    /// its way yet.
    pub(super) fn finish<const SHARED: bool>(
        &mut self,
        arena: &Arena,
        settings: Settings,
        end: End,
    ) {
        if settings.on_way.counts() {
            settings.on_way.add::<SHARED>(arena, self.path[self.path.len() - 1]);
        }
        let Self { path, rewards, late, first, .. } = self;
        let simulation = Simulation { path, rewards, end, played: &[] };
        back_up::<SHARED, G>(arena, settings, simulation, late, first);
    }

    /// The game is over at the end of the path.
    pub(super) fn end<const SHARED: bool>(
        &mut self,
        arena: &Arena,
        settings: Settings,
        chooser: usize,
        values: Values,
    ) {
        self.finish::<SHARED>(arena, settings, End::Known(values));
        if settings.solver
            && let Some(proven) = Proven::from_value(values.of(chooser))
        {
            prove::<SHARED>(arena, &self.path, proven);
        }
    }

    /// Refuses values that are larger than the game says, on any level of a path that pays these
    /// rewards.
    fn check_values(
        &self,
        arena: &Arena,
        settings: Settings,
        rewards: &[Values],
        mut values: Values,
    ) -> Result<()> {
        let most = 2.0 * arena.most();
        let too_large = |values: &Values| {
            values.as_array().iter().copied().find(|value| value.is_nan() || value.abs() > most)
        };
        let mut found = too_large(&values);
        if G::REWARDS {
            for paid in rewards.iter().skip(1).rev() {
                values = values.discounted(settings.discount, paid);
                found = found.or_else(|| too_large(&values));
            }
        }
        match found {
            None => Ok(()),
            Some(value) => Err(Error::Value { game: self.game.name(), value, most: arena.most() }),
        }
    }

    /// Takes back what a blocked path counted as; its last slot has nothing.
    fn undo<const SHARED: bool>(&self, arena: &Arena, on_way: OnWay) {
        if on_way.counts() {
            for &slot in &self.path[..self.path.len() - 1] {
                on_way.take::<SHARED>(arena, slot);
            }
        }
    }

    /// What the only leaf on its way may get later; `None` where it wants nothing.
    pub(crate) fn request(&self, leaves: &Leaves<G>) -> Option<Request<G>> {
        let &[Pending { leaf, expands, turn, .. }] = self.pending.as_slice() else { return None };
        let wants_net = leaves.wants_net(leaf);
        // Chance has its own probabilities.
        let expands = expands && turn != Turn::Chance;
        (expands || wants_net).then(|| Request {
            path: self.paths.clone(),
            game: leaves.game(leaf).clone(),
            actions: if expands { leaves.actions(leaf).to_vec() } else { Vec::new() },
            wants_net,
        })
    }

    /// Backs up all that was on its way, with the values and priors of an evaluated batch.
    #[inline]
    pub(crate) fn back_up<const SHARED: bool>(
        &mut self,
        arena: &Arena,
        settings: Settings,
        leaves: &Leaves<G>,
    ) -> Result<()> {
        let mut start = 0;
        for &Pending { leaf, end, .. } in &self.pending {
            check(leaves, leaf)?;
            let rewards = if G::REWARDS { &self.path_rewards[start..end] } else { &[] };
            self.check_values(arena, settings, rewards, leaves.values(leaf))?;
            start = end;
        }
        let mut start = 0;
        for &Pending { leaf, end, expands, turn, hash } in &self.pending {
            let path = &self.paths[start..end];
            let rewards = if G::REWARDS { &self.path_rewards[start..end] } else { &[] };
            let slot = path[path.len() - 1];
            let chooser = match path.len() {
                1 => arena.link(ROOT).mover(),
                depth => arena.link(path[depth - 2]).mover(),
            };
            let (mover, flags) = match turn {
                Turn::Player(mover) => (mover, 0),
                Turn::Chance => (chooser as u8, CHANCE),
            };
            if !arena.is_graph() && (expands || G::PAYOFF == Payoff::General) {
                // What the node itself is worth, for its mover.
                arena.set_raw(slot, leaves.values(leaf).of(mover as usize));
            }
            if expands {
                let priors = if turn == Turn::Chance {
                    self.chances.clear();
                    leaves.game(leaf).chances(&mut self.chances);
                    &self.chances
                } else {
                    leaves.priors(leaf)
                };
                let total: f32 = priors.iter().sum();
                let even = 1.0 / priors.len() as f32;
                let priors = priors.iter().map(|&prior| if total > 0.0 { prior } else { even });
                let children = leaves.actions(leaf).iter().copied().zip(priors);
                // The mark stays on a node that has children: a thread that saw it without must not
                // expand it again. Without room it stays a leaf, judged again when next visited.
                let place = Place { slot, chooser, mover, flags, hash };
                let actions = Some(leaves.actions(leaf));
                match expand::<SHARED>(arena, settings, place, actions, children) {
                    Ok(link) if arena.is_graph() => {
                        let value = leaves.values(leaf).of(mover as usize);
                        arena.set_raw(arena.node(slot, link).0, value);
                    }
                    Ok(_) => {}
                    Err(_) => arena.unmark(slot, EXPANDING),
                }
            }
            if let Some(values) = leaves.net_values(leaf) {
                back_up_net::<SHARED>(arena, path, values);
            }
            let judged = End::Judged(leaves.values(leaf));
            let simulation = Simulation { path, rewards, end: judged, played: leaves.played(leaf) };
            back_up::<SHARED, G>(arena, settings, simulation, &mut self.late, &mut self.first);
            start = end;
        }
        self.forget::<SHARED>(arena, settings.on_way);
        Ok(())
    }

    /// Gives up all that is on its way, as if it had never been selected.
    pub(crate) fn cancel<const SHARED: bool>(&mut self, arena: &Arena, settings: Settings) {
        let mut start = 0;
        for &Pending { end, .. } in &self.pending {
            let path = &self.paths[start..end];
            arena.unmark(path[path.len() - 1], EXPANDING | NET);
            if settings.on_way.counts() {
                for &slot in path {
                    settings.on_way.take::<SHARED>(arena, slot);
                }
            }
            start = end;
        }
        self.forget::<SHARED>(arena, settings.on_way);
    }

    fn forget<const SHARED: bool>(&mut self, arena: &Arena, on_way: OnWay) {
        for slot in self.blocked.drain(..) {
            on_way.take::<SHARED>(arena, slot);
        }
        self.pending.clear();
        self.paths.clear();
        self.path_rewards.clear();
    }
}

/// Refuses what is no number or no probability.
pub(crate) fn check<G: Game>(leaves: &Leaves<G>, leaf: usize) -> Result<()> {
    let values = leaves.values(leaf);
    let net = leaves.net_values(leaf).unwrap_or(Values::DRAW);
    if let Some(&value) = values.as_array().iter().chain(net.as_array()).find(|v| !v.is_finite()) {
        return Err(Error::Evaluation { what: "value", value, leaf, expected: "a finite number" });
    }
    let priors = leaves.priors(leaf);
    if let Some(&value) = priors.iter().find(|&&p| !p.is_finite() || p < 0.0) {
        let expected = "a finite number that is not negative";
        return Err(Error::Evaluation { what: "prior", value, leaf, expected });
    }
    Ok(())
}
