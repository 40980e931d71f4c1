//! Lanes, and where they lie from left to right.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::points::{Points, connections};
use super::{BLOCK_GAP, LEAST_PORT_STEP, LINE_GAP, PORT_EDGE, SWEEPS, TRUNK_GAP, Ways};

/// Points that lie below each other.
pub(super) struct Lanes {
    /// The lane of each point.
    pub(super) of: Vec<usize>,
    /// Half the width of the boxes in each lane, which are equally wide.
    pub(super) half: Vec<f64>,
    /// For each lane those beside it, and how far their middles must be apart.
    pub(super) left: Vec<Vec<(usize, f64)>>,
    pub(super) right: Vec<Vec<(usize, f64)>>,
    /// For each lane those it is connected with, and how strongly.
    pub(super) pulls: Vec<Vec<(usize, f64)>>,
}

impl Lanes {
    pub(super) fn new(points: &Points, ways: &Ways<'_>, sizes: &[(f64, f64)]) -> Self {
        let (of, count) = Self::assign(points, &Self::aligned(points, ways));
        let mut half = vec![0.0_f64; count];
        for (block, &(width, _)) in sizes.iter().enumerate() {
            let ends = points.above[block].len().max(points.below[block].len());
            let room = 2.0 * PORT_EDGE + LEAST_PORT_STEP * (ends.max(1) - 1) as f64;
            half[of[block]] = half[of[block]].max(width.max(room) / 2.0);
        }
        let (mut left, mut right) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for pair in points.layers.iter().flat_map(|layer| layer.windows(2)) {
            let half = |point: usize| if points.is_block(point) { half[of[point]] } else { 0.0 };
            let gap = match pair.iter().filter(|&&point| points.is_block(point)).count() {
                0 => LINE_GAP,
                1 => TRUNK_GAP,
                _ => BLOCK_GAP,
            };
            let apart = half(pair[0]) + gap + half(pair[1]);
            left[of[pair[1]]].push((of[pair[0]], apart));
            right[of[pair[0]]].push((of[pair[1]], apart));
        }
        let mut pulls = vec![Vec::new(); count];
        for (from, to) in connections(points) {
            let (a, b) = (of[from], of[to]);
            if a != b {
                let strength = if points.is_block(from) && points.is_block(to) { 3.0 } else { 1.0 };
                pulls[a].push((b, strength));
                pulls[b].push((a, strength));
            }
        }
        Self { of, half, left, right, pulls }
    }

    /// For each point the one that must lie straight below it. No two such lines cross.
    pub(super) fn aligned(points: &Points, ways: &Ways<'_>) -> Vec<Option<usize>> {
        let mut wishes: Vec<_> = connections(points)
            .map(|(from, to)| {
                let (class, length) = match (points.is_block(from), points.is_block(to)) {
                    (true, true) if ways.is_main(from, to) => {
                        (0, ways.depth[from] + ways.height[to])
                    }
                    (false, false) => (1, 0),
                    _ => (2, 0),
                };
                (class, Reverse(length), from, to)
            })
            .collect();
        wishes.sort_unstable();
        let mut granted: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); points.layers.len()];
        let mut aligned = vec![None; points.rank.len()];
        for (_, _, from, to) in wishes {
            let (a, b) = (points.position[from], points.position[to]);
            let lines = &mut granted[points.rank[from]];
            let before = lines.range(..=a).next_back().is_none_or(|(&c, &d)| c < a && d < b);
            if before && lines.range(a..).next().is_none_or(|(_, &d)| d > b) {
                lines.insert(a, b);
                aligned[from] = Some(to);
            }
        }
        aligned
    }

    /// The lane of each point, and how many lanes there are.
    pub(super) fn assign(points: &Points, aligned: &[Option<usize>]) -> (Vec<usize>, usize) {
        let mut of: Vec<Option<usize>> = vec![None; points.rank.len()];
        let mut count = 0;
        let mut lanes = vec![0; points.rank.len()];
        for &point in points.layers.iter().flatten() {
            let lane = of[point].unwrap_or_else(|| {
                count += 1;
                count - 1
            });
            lanes[point] = lane;
            if let Some(next) = aligned[point] {
                of[next] = Some(lane);
            }
        }
        (lanes, count)
    }

    /// The middle of each lane.
    pub(super) fn place(&self) -> Vec<f64> {
        let order = self.left_to_right();
        let mut x: Vec<f64> = self.half.clone();
        for &lane in &order {
            x[lane] = self.least(lane, &x).max(x[lane]);
        }
        // Between as far left and as far right as can be, every lane keeps its distances.
        let whole = x.iter().zip(&self.half).map(|(x, half)| x + half).fold(0.0, f64::max);
        let mut far: Vec<f64> = self.half.iter().map(|half| whole - half).collect();
        for &lane in order.iter().rev() {
            far[lane] = self.most(lane, &far).min(far[lane]);
        }
        for (x, far) in x.iter_mut().zip(far) {
            *x = f64::midpoint(*x, far);
        }
        let pull = |lane: usize, x: &mut Vec<f64>| {
            let pulls = &self.pulls[lane];
            let strength: f64 = pulls.iter().map(|(_, strength)| strength).sum();
            if strength > 0.0 {
                let sum: f64 = pulls.iter().map(|&(other, strength)| x[other] * strength).sum();
                let wanted = (sum / strength).max(self.least(lane, x));
                x[lane] = wanted.min(self.most(lane, x));
            }
        };
        for _ in 0..SWEEPS {
            for &lane in &order {
                pull(lane, &mut x);
            }
            for &lane in order.iter().rev() {
                pull(lane, &mut x);
            }
        }
        let start = x.iter().zip(&self.half).map(|(x, half)| x - half).fold(f64::MAX, f64::min);
        for x in &mut x {
            *x -= start;
        }
        x
    }

    /// The lanes in an order in which each comes after those on its left. There is one, since lanes
    /// do not cross.
    pub(super) fn left_to_right(&self) -> Vec<usize> {
        let mut waits: Vec<usize> = self.left.iter().map(Vec::len).collect();
        let mut ready: VecDeque<usize> =
            (0..waits.len()).filter(|&lane| waits[lane] == 0).collect();
        let mut order = Vec::with_capacity(waits.len());
        while let Some(lane) = ready.pop_front() {
            order.push(lane);
            for &(next, _) in &self.right[lane] {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.push_back(next);
                }
            }
        }
        debug_assert_eq!(order.len(), waits.len());
        order
    }

    /// How far left a lane can lie beside its neighbours.
    pub(super) fn least(&self, lane: usize, x: &[f64]) -> f64 {
        let places = self.left[lane].iter().map(|&(other, apart)| x[other] + apart);
        places.fold(f64::NEG_INFINITY, f64::max)
    }

    /// How far right.
    pub(super) fn most(&self, lane: usize, x: &[f64]) -> f64 {
        let places = self.right[lane].iter().map(|&(other, apart)| x[other] - apart);
        places.fold(f64::INFINITY, f64::min)
    }
}
