//! The points of a drawing, and their order.

use std::ops::Range;

use super::{PATIENCE, ROUNDS, Ways};

/// The blocks, and the points of their trunks after them.
pub(super) struct Points {
    pub(super) blocks: usize,
    pub(super) rank: Vec<usize>,
    /// The points of each layer, from left to right.
    pub(super) layers: Vec<Vec<usize>>,
    /// The place of each point in its layer.
    pub(super) position: Vec<usize>,
    /// The points of the layer before that each is connected with, and of the layer after.
    pub(super) above: Vec<Vec<usize>>,
    pub(super) below: Vec<Vec<usize>>,
    /// The first and last point of each block's trunk.
    pub(super) trunks: Vec<Range<usize>>,
}

impl Points {
    pub(super) fn new(ways: &Ways<'_>, ranks: &[usize], trunks_first: bool) -> Self {
        let blocks = ranks.len();
        let mut rank = ranks.to_vec();
        let mut trunks = Vec::with_capacity(blocks);
        for block in 0..blocks {
            let layers = ways.trunk(block, ranks);
            trunks.push(rank.len()..rank.len() + layers.len());
            rank.extend(layers);
        }
        let count = rank.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![Vec::new(); count];
        let mut position = vec![0; rank.len()];
        let (first, then) = (0..blocks, blocks..rank.len());
        let (first, then) = if trunks_first { (then, first) } else { (first, then) };
        for point in first.chain(then) {
            let layer = &mut layers[rank[point]];
            position[point] = layer.len();
            layer.push(point);
        }
        let (mut above, mut below) = (vec![Vec::new(); rank.len()], vec![Vec::new(); rank.len()]);
        let mut connect = |from: usize, to: usize| {
            below[from].push(to);
            above[to].push(from);
        };
        for (block, trunk) in trunks.iter().enumerate() {
            let stem = |steps: usize| if steps == 0 { block } else { trunk.start + steps - 1 };
            for steps in 0..trunk.len() {
                connect(stem(steps), stem(steps + 1));
            }
            for &user in &ways.users[block] {
                connect(stem(rank[user] - rank[block] - 1), user);
            }
        }
        Self { blocks, rank, layers, position, above, below, trunks }
    }

    pub(super) fn is_block(&self, point: usize) -> bool {
        point < self.blocks
    }

    /// Orders the points of each layer so that few lines cross, and returns how many do.
    pub(super) fn order(&mut self) -> usize {
        let mut best = (self.crossings(), self.layers.clone());
        let mut since = 0;
        for _ in 0..ROUNDS {
            if best.0 == 0 || since == PATIENCE {
                break;
            }
            for layer in 1..self.layers.len() {
                self.order_layer(layer, true);
            }
            for layer in (0..self.layers.len() - 1).rev() {
                self.order_layer(layer, false);
            }
            let crossings = self.crossings();
            since += 1;
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
                since = 0;
            }
        }
        for (layer, points) in best.1.into_iter().enumerate() {
            self.set_layer(layer, points);
        }
        let position = &self.position;
        for neighbours in self.above.iter_mut().chain(&mut self.below) {
            neighbours.sort_unstable_by_key(|&point| position[point]);
        }
        best.0
    }

    /// Orders a layer by the mean place of its neighbours in the layer above or below.
    pub(super) fn order_layer(&mut self, layer: usize, by_above: bool) {
        let mean = |&point: &usize| {
            let neighbours = if by_above { &self.above[point] } else { &self.below[point] };
            let sum: usize = neighbours.iter().map(|&other| self.position[other]).sum();
            match neighbours.len() {
                0 => self.position[point] as f64,
                count => sum as f64 / count as f64,
            }
        };
        let mut keyed: Vec<(f64, usize)> =
            self.layers[layer].iter().map(|point| (mean(point), *point)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.set_layer(layer, keyed.into_iter().map(|(_, point)| point).collect());
    }

    pub(super) fn set_layer(&mut self, layer: usize, points: Vec<usize>) {
        for (position, &point) in points.iter().enumerate() {
            self.position[point] = position;
        }
        self.layers[layer] = points;
    }

    /// How many pairs of lines cross.
    pub(super) fn crossings(&self) -> usize {
        let mut crossings = 0;
        for pair in self.layers.windows(2) {
            // A tree of sums over the lower ends so far: Fenwick, 1994.
            let mut sums = vec![0; pair[1].len() + 1];
            let mut lines = 0;
            for &point in &pair[0] {
                let mut ends: Vec<usize> =
                    self.below[point].iter().map(|&end| self.position[end]).collect();
                ends.sort_unstable();
                for &end in &ends {
                    let mut at = end + 1;
                    let mut not_right = 0;
                    while at > 0 {
                        not_right += sums[at];
                        at &= at - 1;
                    }
                    crossings += lines - not_right;
                }
                for &end in &ends {
                    let mut at = end + 1;
                    while at < sums.len() {
                        sums[at] += 1;
                        at += at & at.wrapping_neg();
                    }
                }
                lines += ends.len();
            }
        }
        crossings
    }
}

/// All pairs of connected points, of neighbouring layers.
pub(super) fn connections(points: &Points) -> impl Iterator<Item = (usize, usize)> {
    let below = points.below.iter().enumerate();
    below.flat_map(|(from, ends)| ends.iter().map(move |&to| (from, to)))
}
