//! A part of the board on its own: sets of points as bits, stones that come and go, chains that
//! reach a stone outside which stays.

use super::board::Board;
use super::cell::{CELLS, EMPTY, OFF, Vertex};
use super::point::Color;

/// A set of a region's points, numbered from 0; up to 64 · `N` of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Points<const N: usize>([u64; N]);

impl<const N: usize> Points<N> {
    pub(crate) const NONE: Self = Self([0; N]);

    /// The set of one point.
    pub(crate) fn one(point: usize) -> Self {
        let mut set = Self::NONE;
        set.insert(point);
        set
    }

    #[inline]
    pub(crate) fn insert(&mut self, point: usize) {
        self.0[point / 64] |= 1 << (point % 64);
    }

    #[inline]
    pub(crate) fn contains(&self, point: usize) -> bool {
        self.0[point / 64] >> (point % 64) & 1 == 1
    }

    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    #[inline]
    pub(crate) fn less(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; N]
    }

    #[inline]
    pub(crate) fn meets(&self, other: &Self) -> bool {
        (0..N).any(|i| self.0[i] & other.0[i] != 0)
    }

    #[inline]
    pub(crate) fn len(&self) -> i32 {
        self.0.iter().map(|word| word.count_ones() as i32).sum()
    }

    /// The points in ascending order.
    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, word)| {
            let words = std::iter::successors(Some(word), |word| Some(word & (word - 1)));
            words.take_while(|word| *word != 0).map(move |w| 64 * at + w.trailing_zeros() as usize)
        })
    }
}

/// Points of a board whose neighbours outside are all stones, or none: what is played within
/// changes nothing there.
#[derive(Clone)]
pub(crate) struct Region<const N: usize> {
    /// The cells of the points.
    pub(crate) cells: Vec<Vertex>,
    /// All points.
    pub(crate) all: Points<N>,
    /// The neighbours of each point within the region.
    near: Vec<Points<N>>,
    /// Points beside a stone outside the region, by its colour. Such a stone stays, and what is
    /// joined to it.
    pub(crate) wall: [Points<N>; 2],
}

/// The stones of a region, by colour.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stones<const N: usize>(pub(crate) [Points<N>; 2]);

impl<const N: usize> Region<N> {
    /// The region of these cells with its stones; `None` where it is too large.
    pub(crate) fn new(board: &Board, cells: Vec<Vertex>) -> Option<(Self, Stones<N>)> {
        if cells.len() > 64 * N {
            return None;
        }
        let mut number = [usize::MAX; CELLS];
        for (point, cell) in cells.iter().enumerate() {
            number[cell.at()] = point;
        }
        let mut region =
            Self { all: Points::NONE, near: Vec::new(), wall: [Points::NONE; 2], cells };
        let mut stones = Stones([Points::NONE; 2]);
        for (point, &cell) in region.cells.iter().enumerate() {
            region.all.insert(point);
            if let color @ (1 | 2) = board.cell(cell) {
                stones.0[usize::from(color) - 1].insert(point);
            }
            let mut near = Points::NONE;
            for n in board.near(cell) {
                match (number[n.at()], board.cell(n)) {
                    (_, OFF) | (usize::MAX, EMPTY) => {}
                    (usize::MAX, color) => region.wall[usize::from(color) - 1].insert(point),
                    (n, _) => near.insert(n),
                }
            }
            region.near.push(near);
        }
        Some((region, stones))
    }

    /// The number of a cell's point, where it is of the region.
    pub(crate) fn point(&self, cell: Vertex) -> Option<usize> {
        self.cells.iter().position(|other| *other == cell)
    }

    /// The neighbours of a set, also those in it.
    #[inline]
    pub(crate) fn beside(&self, set: Points<N>) -> Points<N> {
        set.iter().fold(Points::NONE, |beside, point| beside.or(self.near[point]))
    }

    /// The points of `of` that are connected to `start` within it.
    #[inline]
    pub(crate) fn connected(&self, start: usize, of: Points<N>) -> Points<N> {
        let mut found = Points::one(start);
        let mut fresh = found;
        while !fresh.is_empty() {
            fresh = self.beside(fresh).and(of).less(found);
            found = found.or(fresh);
        }
        found
    }

    /// The connected parts of a set.
    pub(crate) fn parts(&self, set: Points<N>) -> impl Iterator<Item = Points<N>> + '_ {
        let mut left = set;
        std::iter::from_fn(move || {
            let part = self.connected(left.iter().next()?, left);
            left = left.less(part);
            Some(part)
        })
    }

    /// The points without a stone.
    #[inline]
    pub(crate) fn empty(&self, stones: &Stones<N>) -> Points<N> {
        self.all.less(stones.0[0]).less(stones.0[1])
    }

    /// Whether a chain has a liberty, or reaches a stone that stays.
    #[inline]
    fn breathes(&self, chain: Points<N>, color: Color, empty: Points<N>) -> bool {
        chain.meets(&self.wall[color.index()]) || self.beside(chain).meets(&empty)
    }

    /// Takes off the chains of a colour beside a point, or everywhere, that cannot breathe.
    pub(crate) fn without_dead(
        &self,
        stones: &Stones<N>,
        color: Color,
        beside: Points<N>,
    ) -> Stones<N> {
        let empty = self.empty(stones);
        let mut after = *stones;
        let own = stones.0[color.index()];
        let mut left = beside.and(own);
        while let Some(start) = left.iter().next() {
            let chain = self.connected(start, own);
            left = left.less(chain);
            if !self.breathes(chain, color, empty) {
                after.0[color.index()] = after.0[color.index()].less(chain);
            }
        }
        after
    }

    /// The stones after a move to an empty point; `None` where that is suicide.
    #[inline]
    pub(crate) fn play(&self, stones: &Stones<N>, point: usize, color: Color) -> Option<Stones<N>> {
        let mut after = *stones;
        after.0[color.index()].insert(point);
        let after = self.without_dead(&after, color.opponent(), self.near[point]);
        let chain = self.connected(point, after.0[color.index()]);
        self.breathes(chain, color, self.empty(&after)).then_some(after)
    }

    /// Whether an empty point is surrounded by one chain of a colour that has other liberties, or by
    /// stones that stay.
    #[inline]
    pub(crate) fn is_eye(&self, stones: &Stones<N>, point: usize, color: Color) -> bool {
        let (near, own) = (self.near[point], stones.0[color.index()]);
        if self.wall[1 - color.index()].contains(point) || !near.less(own).is_empty() {
            return false;
        }
        let Some(first) = near.iter().next() else { return true };
        let (chain, wall) = (self.connected(first, own), self.wall[color.index()]);
        let stays = chain.meets(&wall);
        near.less(chain).is_empty()
            && (stays
                || !wall.contains(point) && self.beside(chain).and(self.empty(stones)).len() > 1)
    }

    /// Whether a stone that has just taken one may be taken back at once.
    #[inline]
    pub(crate) fn is_ko(&self, stones: &Stones<N>, point: usize, taken: Points<N>) -> bool {
        let color = usize::from(stones.0[1].contains(point));
        !self.wall[color].contains(point)
            && !self.near[point].meets(&stones.0[color])
            && self.near[point].and(self.empty(stones)) == taken
    }

    /// The points that each colour holds where all stones are alive: its own, and empty ones that
    /// reach no other.
    pub(crate) fn held(&self, stones: &Stones<N>) -> [Points<N>; 2] {
        let mut held = stones.0;
        for part in self.parts(self.empty(stones)) {
            let beside = self.beside(part);
            let reached = [0, 1].map(|c| beside.meets(&stones.0[c]) || part.meets(&self.wall[c]));
            match reached {
                [true, false] => held[0] = held[0].or(part),
                [false, true] => held[1] = held[1].or(part),
                _ => {}
            }
        }
        held
    }
}
