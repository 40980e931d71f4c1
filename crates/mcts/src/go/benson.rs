//! Unconditional life: chains that no play captures though their owner always passes (Benson,
//! "Life in the game of Go", 1976).

use super::point::Color;
use super::region::{Points, Region, Stones};

/// Empty points of an eye space that make two eyes of it, whoever moves first, as good as always.
pub(super) const ROOM: i32 = 7;

/// Empty points of a colour's own in which the other does not live, as good as always.
const HALL: i32 = 14;

/// What is settled for a colour.
#[derive(Clone, Copy)]
pub(crate) struct Life<const N: usize> {
    /// Stones that stay.
    pub(crate) alive: Points<N>,
    /// Points that are its own, and stones on them that the other loses.
    pub(crate) territory: Points<N>,
}

impl<const N: usize> Life<N> {
    /// Everything that is settled.
    pub(crate) fn all(&self) -> Points<N> {
        self.alive.or(self.territory)
    }
}

/// A chain, its liberties, and whether it counts as alive so far.
struct Chain<const N: usize> {
    stones: Points<N>,
    liberties: Points<N>,
    alive: bool,
    fixed: bool,
}

/// Points that a colour surrounds.
struct Part<const N: usize> {
    points: Points<N>,
    empty: Points<N>,
    enclosed: bool,
    roomy: bool,
}

impl<const N: usize> Region<N> {
    /// What is settled for a colour. Stones outside the region stay. Where `rooms` count, an eye
    /// space of seven points or more is enough to live: no proof any more.
    pub(crate) fn life(&self, stones: &Stones<N>, color: Color, rooms: bool) -> Life<N> {
        let c = color.index();
        let (own, empty) = (stones.0[c], self.empty(stones));
        let mut chains: Vec<Chain<N>> = Vec::new();
        for chain in self.parts(own) {
            let fixed = chain.meets(&self.wall[c]);
            let liberties = self.beside(chain).and(empty);
            chains.push(Chain { stones: chain, liberties, alive: true, fixed });
        }
        let mut parts: Vec<Part<N>> = Vec::new();
        for points in self.parts(self.all.less(own)) {
            let enclosed = !points.meets(&self.wall[1 - c]);
            let empty = points.and(empty);
            let roomy = rooms && empty.len() >= ROOM && empty == points;
            parts.push(Part { points, empty, enclosed, roomy });
        }
        loop {
            let mut changed = false;
            for chain in chains.iter_mut().filter(|chain| chain.alive && !chain.fixed) {
                let eyes = parts.iter().filter(|part| part.enclosed).map(|part| {
                    let vital = part.empty.less(chain.liberties).is_empty();
                    match (part.empty.meets(&chain.liberties), part.roomy) {
                        (false, _) => 0,
                        (true, true) => 2,
                        (true, false) => i32::from(vital),
                    }
                });
                if eyes.sum::<i32>() < 2 {
                    chain.alive = false;
                    changed = true;
                }
            }
            for part in parts.iter_mut().filter(|part| part.enclosed) {
                let beside = self.beside(part.points);
                if chains.iter().any(|chain| !chain.alive && beside.meets(&chain.stones)) {
                    part.enclosed = false;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let alive = chains.iter().filter(|chain| chain.alive);
        let alive = alive.fold(Points::NONE, |alive, chain| alive.or(chain.stones));
        let reached = self.beside(alive).or(self.wall[c]);
        let mut territory = Points::NONE;
        for part in parts.iter().filter(|part| part.enclosed) {
            // With a single point that no living stone touches the other has one eye at most.
            let hall = rooms && part.empty == part.points && part.empty.len() <= HALL;
            let inner = part.points.less(reached);
            if inner != part.points && (hall || inner.len() <= 1) {
                territory = territory.or(part.points);
            }
        }
        Life { alive, territory }
    }
}
