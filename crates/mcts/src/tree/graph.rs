//! Simulations in a graph: lines meet, and what is known of a position is backed up along them.

use super::descend::{Settings, Worker};
use crate::game::{Action, Game, Turn, Values};
use crate::nodes::{Arena, CHANCE, Edge, Full, Link, ROOT};

/// What a simulation ends with.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// What an evaluator says of the position.
    Judged(Values),
    /// A result that is certain.
    Known(Values),
    /// What other lines have found of the position.
    Met,
}

impl Settings {
    /// A slot as an edge, with what its own visits have found.
    pub(super) fn edge(self, arena: &Arena, slot: u32, chooser: usize) -> Edge {
        let (visits, sum) = self.on_way.known(arena, slot);
        Edge { slot, chooser, visits, sum }
    }
}

impl<G: Game> Worker<G> {
    /// Ties a slot without children to the node of the position at the end of the path, where there
    /// is one. Its link then.
    pub(super) fn meet<const SHARED: bool>(
        &mut self,
        arena: &Arena,
        settings: Settings,
        slot: u32,
        chooser: usize,
        link: Link,
    ) -> Link {
        let Some(head) = arena.head_of(self.hash) else { return link };
        self.actions.clear();
        self.game.legal_actions(&mut self.actions);
        if self.actions.is_empty() {
            // The end, whatever has the same hash.
            return link;
        }
        let (mover, flags) = match self.game.turn() {
            Turn::Player(mover) => (mover, 0),
            Turn::Chance => (chooser as u8, CHANCE),
        };
        if arena.fits(head, mover, flags, &self.actions) {
            return arena.tie::<SHARED>(settings.edge(arena, slot, chooser), head);
        }
        link
    }

    /// Ends the simulation at the end of the path where the position is known better than through
    /// it; whether it does.
    pub(super) fn arrive<const SHARED: bool>(
        &mut self,
        arena: &Arena,
        settings: Settings,
        chooser: usize,
        link: Link,
    ) -> bool {
        let slot = self.path[self.path.len() - 1];
        if let Some(proven) = arena.proven(slot, chooser) {
            self.end::<SHARED>(arena, settings, chooser, Values::two(chooser, proven.value()));
            return true;
        }
        let (head, _) = arena.node(slot, link);
        let lags = settings.on_way.known(arena, slot).0 < arena.visits(head);
        if lags || self.comes_back(arena, link) {
            self.finish::<SHARED>(arena, settings, End::Met);
            return true;
        }
        false
    }

    /// Whether the path has been at its last position before.
    fn comes_back(&mut self, arena: &Arena, link: Link) -> bool {
        let first = |slot: &u32| arena.link(*slot).first();
        let before = &self.path[..self.path.len() - 1];
        // Groups lie above those that lead to them, but where a line met another.
        self.went_down |= before.last().is_some_and(|slot| first(slot) >= link.first());
        self.went_down && before.iter().any(|slot| first(slot) == link.first())
    }
}

/// A slot that gets children, and what is known of its position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) chooser: usize,
    pub(super) mover: u8,
    pub(super) flags: u64,
    pub(super) hash: u64,
}

/// Gives a slot its children. In a graph, those of its position if it has some by now, which its
/// actions in ascending order tell.
#[inline]
pub(super) fn expand<const SHARED: bool>(
    arena: &Arena,
    settings: Settings,
    Place { slot, chooser, mover, flags, hash }: Place,
    actions: Option<&[Action]>,
    children: impl ExactSizeIterator<Item = (Action, f32)>,
) -> Result<Link, Full> {
    if !arena.is_graph() {
        return arena.expand::<SHARED>(slot, mover, flags, children);
    }
    let link = arena.link(slot);
    if link.is_expanded() {
        return Ok(link);
    }
    let edge = settings.edge(arena, slot, chooser);
    // The root may lack some of its actions.
    let hash = (slot != ROOT).then_some(hash);
    let head = hash.zip(actions).and_then(|(hash, actions)| {
        arena.head_of(hash).filter(|&head| arena.fits(head, mover, flags, actions))
    });
    match head {
        Some(head) => Ok(arena.tie::<SHARED>(edge, head)),
        None => arena.expand_edge::<SHARED>(edge, hash, mover, flags, children),
    }
}

/// Backs up along a path of edges. Each edge has of its node's sum the share of its own visits
/// afterwards, and what it gained by that is what its parent's node gains.
pub(super) fn back_up<const SHARED: bool>(
    arena: &Arena,
    settings: Settings,
    path: &[u32],
    rewards: &[Values],
    end: End,
) {
    let Settings { on_way, discount, .. } = settings;
    let changes = settings.is_discounted() || !rewards.is_empty();
    // What the position gained, for its mover.
    let mut gained = None;
    for depth in (0..path.len()).rev() {
        let (slot, chooser) = (path[depth], arena.link(path[depth.saturating_sub(1)]).mover());
        let paid = rewards.get(depth).filter(|_| depth > 0).copied().unwrap_or_default();
        let discount = if depth > 0 { discount } else { 1.0 };
        if on_way.counts() {
            on_way.take::<SHARED>(arena, slot);
        }
        // First the edge: a node must not seem to know more than the edges to it.
        arena.add::<SHARED>(slot, 1, 0);
        let link = arena.link(slot);
        let (head, gain) = match end {
            End::Judged(values) | End::Known(values) if depth + 1 == path.len() => {
                let is_judged = matches!(end, End::Judged(_)) && link.is_expanded();
                if is_judged {
                    gained = Some(arena.units(values.of(link.mover())));
                }
                let values = values.discounted(discount, &paid);
                (is_judged, arena.units(values.of(chooser)))
            }
            _ => (true, 0),
        };
        let gain = if head {
            let (head, _) = arena.node(slot, link);
            if let Some(gained) = gained {
                arena.add::<SHARED>(head, 1, gained);
            }
            let paid = changes.then_some((discount, paid.of(chooser)));
            lag(arena, settings, slot, link, chooser, paid)
        } else {
            gain
        };
        arena.add::<SHARED>(slot, 0, gain);
        gained = Some(gain);
    }
}

/// What an edge lacks of its visits' share in the sum of its node; `paid`: the discount, and what was
/// paid on the way.
fn lag(
    arena: &Arena,
    settings: Settings,
    slot: u32,
    link: Link,
    chooser: usize,
    paid: Option<(f32, f32)>,
) -> i64 {
    let (head, _) = arena.node(slot, link);
    let (visits, sum) = settings.on_way.known(arena, slot);
    let (all, mut share) = (arena.visits(head), arena.sum(head));
    if all != visits {
        share = (share as f64 * (f64::from(visits) / f64::from(all))) as i64;
    }
    if link.mover() != chooser {
        share = -share;
    }
    if let Some((discount, paid)) = paid {
        let paid = f64::from(visits) * arena.units(paid) as f64;
        share = (paid + f64::from(discount) * share as f64) as i64;
    }
    share - sum
}
