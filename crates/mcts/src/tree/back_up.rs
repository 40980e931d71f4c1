//! One of the three verbs: what was found at the end of a path goes back up along it.

use super::descend::Settings;
use super::graph::{self, End};
use crate::game::{Action, Game, Values};
use crate::nodes::{Arena, CHANCE, Link, Proven, ROOT, SOLVED_CHILD};
use crate::rule::Second;

/// Additions to slots that every thread adds to: they wait for others to the same slot, since each
/// takes the slot away from the other threads' caches.
pub(super) type Late = Vec<(u32, u32, i64)>;

/// From so many visits on a slot is busy: what waits is a small share of them.
const BUSY: u32 = 1 << 10;

/// What came of going down a path.
pub(super) struct Simulation<'a> {
    pub(super) path: &'a [u32],
    pub(super) rewards: &'a [Values],
    pub(super) end: End,
    pub(super) played: &'a [(u8, Action)],
}

/// Who was the first to play each action, from some point of a simulation on.
#[derive(Debug, Clone, Default)]
pub(super) struct First {
    /// The player and one, or 0, for each action.
    players: Vec<u8>,
    actions: Vec<Action>,
}

impl First {
    /// An action that was played before all that is known.
    fn play(&mut self, player: u8, action: Action) {
        let at = usize::from(action);
        if at >= self.players.len() {
            self.players.resize(at + 1, 0);
        }
        if self.players[at] == 0 {
            self.actions.push(action);
        }
        self.players[at] = player + 1;
    }

    fn clear(&mut self) {
        for action in self.actions.drain(..) {
            self.players[usize::from(action)] = 0;
        }
    }

    /// Adds a value to the children of a node whose actions its mover was the first to play.
    fn credit<const SHARED: bool>(&self, arena: &Arena, link: Link, values: Values) {
        if !link.is_expanded() || link.has(CHANCE) {
            return;
        }
        let (player, units) = (link.mover() as u8 + 1, arena.units(values.of(link.mover())));
        for child in link.children() {
            if self.players.get(usize::from(arena.action(child))) == Some(&player) {
                arena.add_second::<SHARED>(child, units);
            }
        }
    }
}

/// Adds values along a path, each slot seen by its chooser, in place of what was on its way.
#[inline]
pub(super) fn back_up<const SHARED: bool, G: Game>(
    arena: &Arena,
    settings: Settings,
    simulation: Simulation<'_>,
    late: &mut Late,
    first: &mut First,
) {
    let Simulation { path, rewards, end, played } = simulation;
    let mut values = match end {
        _ if arena.is_graph() => {
            return graph::back_up::<SHARED>(arena, settings, path, rewards, end);
        }
        End::Judged(values) | End::Known(values) => values,
        End::Met => return,
    };
    let amaf = settings.second == Some(Second::Amaf);
    if amaf {
        first.clear();
        for &(player, action) in played.iter().rev() {
            first.play(player, action);
        }
        first.credit::<SHARED>(arena, arena.link(path[path.len() - 1]), values);
    }
    let visits = 1_u32.wrapping_sub(settings.on_way.visits);
    let found = settings.on_way.units(arena);
    let mut add = |slot: u32, units: i64| {
        if !SHARED || settings.on_way.counts() || arena.visits(slot) < BUSY {
            arena.add::<SHARED>(slot, visits, units);
        } else if let Some(waiting) = late.iter_mut().find(|waiting| waiting.0 == slot) {
            waiting.1 += visits;
            waiting.2 += units;
        } else {
            late.push((slot, visits, units));
        }
    };
    for depth in (1..path.len()).rev() {
        if G::REWARDS || settings.is_discounted() {
            let paid = rewards.get(depth).copied().unwrap_or_default();
            values = values.discounted(settings.discount, &paid);
        }
        let parent = arena.link(path[depth - 1]);
        add(path[depth], arena.units(values.of(parent.mover())) + found);
        if amaf && !parent.has(CHANCE) {
            first.play(parent.mover() as u8, arena.action(path[depth]));
            first.credit::<SHARED>(arena, parent, values);
        }
    }
    let mover = arena.link(ROOT).mover();
    add(ROOT, arena.units(values.of(mover)) + found);
}

pub(super) fn back_up_net<const SHARED: bool>(arena: &Arena, path: &[u32], values: Values) {
    for pair in path.windows(2) {
        arena.add_second::<SHARED>(pair[1], arena.units(values.of(arena.link(pair[0]).mover())));
    }
    arena.add_second::<SHARED>(ROOT, arena.units(values.of(arena.link(ROOT).mover())));
}

/// Writes a proof at the end of a path and follows it up as far as it reaches.
pub(super) fn prove<const SHARED: bool>(arena: &Arena, path: &[u32], mut proven: Proven) {
    for depth in (0..path.len()).rev() {
        let before = arena.mark::<SHARED>(path[depth], Link::proof(proven));
        // In a graph, a proof may have reached a sibling by another line.
        if depth == 0 || before.proven().is_some() && !arena.is_graph() {
            return;
        }
        let parent = arena.link(path[depth - 1]);
        let (node, _) = arena.node(path[depth - 1], parent);
        arena.mark::<SHARED>(node, SOLVED_CHILD);
        if parent.has(CHANCE) {
            return;
        }
        if proven != Proven::Win {
            // Nothing better is left only where every child is proven.
            let mut children = parent.children();
            let best = children.try_fold(Proven::Loss, |best, child| {
                arena.proven(child, parent.mover()).map(|proven| best.max(proven))
            });
            match best {
                Some(best) => proven = best,
                None => return,
            }
        }
        if arena.is_graph() {
            arena.mark::<SHARED>(node, Link::proof(proven));
        }
        let chooser = if depth >= 2 { arena.link(path[depth - 2]).mover() } else { parent.mover() };
        if chooser != parent.mover() {
            proven = proven.turned();
        }
    }
}
