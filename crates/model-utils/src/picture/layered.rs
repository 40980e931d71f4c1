//! Where the boxes and arrows of a directed acyclic graph lie, from the top to the bottom.
//!
//! In layers, after Sugiyama, Tagawa and Toda, *Methods for Visual Understanding of Hierarchical
//! System Structures*, 1981:
//!
//! 1. A block's layer is the longest way to it; a block that nothing else hangs on is lowered to
//!    where it is used.
//! 2. What a block gives to blocks further down runs through a point in each layer between: one
//!    trunk for all of them, from which they branch off.
//! 3. Within a layer, points are ordered by the mean place of their neighbours, in sweeps down and
//!    up; the order with the fewest crossings stays.
//! 4. Points below each other share a lane, which is straight (Brandes and Köpf, *Fast and Simple
//!    Horizontal Coordinate Assignment*, 2001): first those on the longest ways, then trunks.
//! 5. Lanes are moved towards what they are connected with, as far as their neighbours let them.
//!
//! Drawn once with trunks on the right at first and once on the left; the one with fewer crossings,
//! or else with shorter ways sideways, is taken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::canvas::{Place, check_size};
use crate::error::Result;

/// The least room between two layers; it grows with how far the lines in it go sideways.
const LAYER_GAP: f64 = 24.0;
const MOST_SLOPE_ROOM: f64 = 48.0;
/// The straight last part of an arrow.
const STUB: f64 = 14.0;
/// The room between neighbours in a layer.
const BLOCK_GAP: f64 = 30.0;
const TRUNK_GAP: f64 = 18.0;
const LINE_GAP: f64 = 12.0;
/// The distance of an arrow's end from the corner of a box, and of two ends from each other.
const PORT_EDGE: f64 = 12.0;
const PORT_STEP: f64 = 14.0;
const LEAST_PORT_STEP: f64 = 9.0;

/// Rounds of ordering, and how many without a gain are the last.
const ROUNDS: usize = 24;
const PATIENCE: usize = 4;
/// Sweeps that move lanes.
const SWEEPS: usize = 16;

/// A drawing, in pixels from its upper left.
pub(super) struct Layout {
    /// The upper left and lower right corner of each block.
    pub(super) boxes: Vec<(Place, Place)>,
    /// A line for each connection, to the upper side of a box; from the lower side of another, or
    /// from a fork in an earlier line.
    pub(super) arrows: Vec<Vec<Place>>,
    /// Where lines branch off a trunk.
    pub(super) forks: Vec<Place>,
    pub(super) size: (f64, f64),
}

/// Places blocks of these sizes. `inputs` are those of each block: earlier ones, each once.
pub(super) fn layout(
    what: &'static str,
    sizes: &[(f64, f64)],
    inputs: &[Vec<usize>],
) -> Result<Layout> {
    let ways = Ways::new(inputs);
    let ranks = ways.ranks();
    check_size(what, least_size(sizes, &ways, &ranks))?;
    let [right, left] = [false, true].map(|left| Draft::new(&ways, &ranks, sizes, left));
    let better = left.crossings < right.crossings
        || left.crossings == right.crossings && left.sideways + 1.0 < right.sideways;
    let Draft { points, lanes, x, .. } = if better { left } else { right };
    Ok(Lines::new(&points, &lanes, &x).layout(&points, &ways, sizes))
}

/// An order of the points, and where their lanes lie.
struct Draft {
    points: Points,
    lanes: Lanes,
    x: Vec<f64>,
    crossings: usize,
    /// How far all lines go sideways together.
    sideways: f64,
}

impl Draft {
    /// With trunks on the right of all blocks at first, or on the left.
    fn new(ways: &Ways<'_>, ranks: &[usize], sizes: &[(f64, f64)], left: bool) -> Self {
        let mut points = Points::new(ways, ranks, left);
        let crossings = points.order();
        let lanes = Lanes::new(&points, ways, sizes);
        let x = lanes.place();
        let apart = |(a, b): (usize, usize)| (x[lanes.of[a]] - x[lanes.of[b]]).abs();
        let sideways = connections(&points).map(apart).sum();
        Self { points, lanes, x, crossings, sideways }
    }
}

/// The connections, and how long the ways over them are.
struct Ways<'a> {
    inputs: &'a [Vec<usize>],
    users: Vec<Vec<usize>>,
    /// Connections on the longest way to each block from the start.
    depth: Vec<usize>,
    /// Connections on the longest way from each block to an end.
    height: Vec<usize>,
}

impl<'a> Ways<'a> {
    fn new(inputs: &'a [Vec<usize>]) -> Self {
        let count = inputs.len();
        let (mut users, mut depth) = (vec![Vec::new(); count], vec![0; count]);
        for (block, inputs) in inputs.iter().enumerate() {
            for &input in inputs {
                users[input].push(block);
                depth[block] = depth[block].max(depth[input] + 1);
            }
        }
        let mut height = vec![0; count];
        for block in (0..count).rev() {
            height[block] = users[block].iter().map(|&user| height[user] + 1).max().unwrap_or(0);
        }
        Self { inputs, users, depth, height }
    }

    /// The layer of each block.
    fn ranks(&self) -> Vec<usize> {
        let mut ranks = self.depth.clone();
        // Whether a block and all before it serve nothing but what follows it.
        let mut loose = vec![true; ranks.len()];
        for (block, inputs) in self.inputs.iter().enumerate() {
            loose[block] = inputs.iter().all(|&input| loose[input] && self.users[input].len() == 1);
        }
        for block in (0..ranks.len()).rev().filter(|&block| loose[block]) {
            if let Some(first) = self.users[block].iter().map(|&user| ranks[user]).min() {
                ranks[block] = first - 1;
            }
        }
        ranks
    }

    /// The layers between a block and the last that takes it.
    fn trunk(&self, block: usize, ranks: &[usize]) -> Range<usize> {
        let last = self.users[block].iter().map(|&user| ranks[user]).max();
        ranks[block] + 1..last.unwrap_or(ranks[block] + 1)
    }

    /// Whether a connection is on the longest way to its end and on that from its beginning.
    fn is_main(&self, from: usize, to: usize) -> bool {
        let user = self.users[from].iter().max_by_key(|&&user| (self.height[user], Reverse(user)));
        let input =
            self.inputs[to].iter().max_by_key(|&&input| (self.depth[input], Reverse(input)));
        user == Some(&to) && input == Some(&from)
    }
}

/// What the drawing needs at least.
fn least_size(sizes: &[(f64, f64)], ways: &Ways<'_>, ranks: &[usize]) -> (f64, f64) {
    let layers = ranks.iter().max().map_or(0, |last| last + 1);
    let (mut widths, mut heights) = (vec![0.0_f64; layers], vec![0.0_f64; layers]);
    // How many trunks begin in a layer more than end.
    let mut trunks = vec![0_i64; layers + 1];
    for (block, &(width, height)) in sizes.iter().enumerate() {
        widths[ranks[block]] += width;
        heights[ranks[block]] = heights[ranks[block]].max(height);
        let trunk = ways.trunk(block, ranks);
        trunks[trunk.start] += 1;
        trunks[trunk.end] -= 1;
    }
    let mut alive = 0;
    let mut widest = 1.0_f64;
    for (width, change) in widths.iter().zip(trunks) {
        alive += change;
        widest = widest.max(width + LINE_GAP * (alive - 1) as f64);
    }
    (widest, heights.iter().sum::<f64>() + (layers.max(1) - 1) as f64 * (LAYER_GAP + STUB))
}

/// The blocks, and the points of their trunks after them.
struct Points {
    blocks: usize,
    rank: Vec<usize>,
    /// The points of each layer, from left to right.
    layers: Vec<Vec<usize>>,
    /// The place of each point in its layer.
    position: Vec<usize>,
    /// The points of the layer before that each is connected with, and of the layer after.
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    /// The first and last point of each block's trunk.
    trunks: Vec<Range<usize>>,
}

impl Points {
    fn new(ways: &Ways<'_>, ranks: &[usize], trunks_first: bool) -> Self {
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

    fn is_block(&self, point: usize) -> bool {
        point < self.blocks
    }

    /// Orders the points of each layer so that few lines cross, and returns how many do.
    fn order(&mut self) -> usize {
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
    fn order_layer(&mut self, layer: usize, by_above: bool) {
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

    fn set_layer(&mut self, layer: usize, points: Vec<usize>) {
        for (position, &point) in points.iter().enumerate() {
            self.position[point] = position;
        }
        self.layers[layer] = points;
    }

    /// How many pairs of lines cross.
    fn crossings(&self) -> usize {
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

/// Points that lie below each other.
struct Lanes {
    /// The lane of each point.
    of: Vec<usize>,
    /// Half the width of the boxes in each lane, which are equally wide.
    half: Vec<f64>,
    /// For each lane those beside it, and how far their middles must be apart.
    left: Vec<Vec<(usize, f64)>>,
    right: Vec<Vec<(usize, f64)>>,
    /// For each lane those it is connected with, and how strongly.
    pulls: Vec<Vec<(usize, f64)>>,
}

impl Lanes {
    fn new(points: &Points, ways: &Ways<'_>, sizes: &[(f64, f64)]) -> Self {
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
    fn aligned(points: &Points, ways: &Ways<'_>) -> Vec<Option<usize>> {
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
    fn assign(points: &Points, aligned: &[Option<usize>]) -> (Vec<usize>, usize) {
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
    fn place(&self) -> Vec<f64> {
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
    fn left_to_right(&self) -> Vec<usize> {
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
    fn least(&self, lane: usize, x: &[f64]) -> f64 {
        let places = self.left[lane].iter().map(|&(other, apart)| x[other] + apart);
        places.fold(f64::NEG_INFINITY, f64::max)
    }

    /// How far right.
    fn most(&self, lane: usize, x: &[f64]) -> f64 {
        let places = self.right[lane].iter().map(|&(other, apart)| x[other] - apart);
        places.fold(f64::INFINITY, f64::min)
    }
}

/// All pairs of connected points, of neighbouring layers.
fn connections(points: &Points) -> impl Iterator<Item = (usize, usize)> {
    let below = points.below.iter().enumerate();
    below.flat_map(|(from, ends)| ends.iter().map(move |&to| (from, to)))
}

/// The ends of all lines, from left to right.
struct Lines {
    /// The middle and half the width of each point.
    points: Vec<(f64, f64)>,
    /// Where the lines from each point begin, and those to each point end.
    begins: Vec<Vec<f64>>,
    ends: Vec<Vec<f64>>,
}

impl Lines {
    fn new(points: &Points, lanes: &Lanes, x: &[f64]) -> Self {
        let place = |point: usize| {
            let lane = lanes.of[point];
            (x[lane], if points.is_block(point) { lanes.half[lane] } else { 0.0 })
        };
        let places: Vec<(f64, f64)> = (0..points.rank.len()).map(place).collect();
        let along = |point: usize, others: &[usize]| {
            let (middle, half) = places[point];
            if !points.is_block(point) {
                return vec![middle; others.len()];
            }
            let wish = |&other: &usize| {
                let sideways = places[other].0 - middle;
                // Two boxes meet halfway.
                middle + if points.is_block(other) { sideways * 0.4 } else { sideways }
            };
            ports(&others.iter().map(wish).collect::<Vec<f64>>(), middle, half)
        };
        let all = |neighbours: &[Vec<usize>]| {
            neighbours.iter().enumerate().map(|(point, others)| along(point, others)).collect()
        };
        Self { begins: all(&points.below), ends: all(&points.above), points: places }
    }

    /// Where a line between two connected points begins and ends.
    fn line(&self, points: &Points, from: usize, to: usize) -> (f64, f64) {
        let at = |ends: &[f64], neighbours: &[usize], other: usize, point: usize| {
            let index = neighbours.iter().position(|&neighbour| neighbour == other);
            index.map_or(self.points[point].0, |index| ends[index])
        };
        let begin = at(&self.begins[from], &points.below[from], to, from);
        (begin, at(&self.ends[to], &points.above[to], from, to))
    }

    fn layout(&self, points: &Points, ways: &Ways<'_>, sizes: &[(f64, f64)]) -> Layout {
        let layers = self.layers(points, sizes);
        let of = |point: usize| layers[points.rank[point]];
        let boxes: Vec<(Place, Place)> = sizes
            .iter()
            .enumerate()
            .map(|(block, &(_, height))| {
                let ((top, bottom), (x, half)) = (of(block), self.points[block]);
                let middle = f64::midpoint(top, bottom);
                ((x - half, middle - height / 2.0), (x + half, middle + height / 2.0))
            })
            .collect();
        let mut arrows = Vec::new();
        for (block, users) in ways.users.iter().enumerate() {
            let trunk = &points.trunks[block];
            let stem = |steps: usize| if steps == 0 { block } else { trunk.start + steps - 1 };
            // The longest first, so that all others branch off it.
            let mut users = users.clone();
            users.sort_by_key(|&user| (Reverse(points.rank[user]), user));
            for (nth, &user) in users.iter().enumerate() {
                let last = points.rank[user] - points.rank[block] - 1;
                let first = if nth == 0 { 0 } else { last };
                let mut arrow = Vec::new();
                for steps in first..=last {
                    let (from, to) =
                        (stem(steps), if steps == last { user } else { stem(steps + 1) });
                    let (begin, end) = self.line(points, from, to);
                    if steps == 0 {
                        arrow.push((begin, boxes[block].1.1));
                    }
                    arrow.push((begin, of(from).1));
                    if steps == last {
                        arrow.push((end, of(user).0 - STUB));
                        arrow.push((end, boxes[user].0.1));
                    } else {
                        arrow.push((end, of(to).0));
                    }
                }
                arrows.push(without_needless(&arrow));
            }
        }
        let trunks = points.blocks..points.rank.len();
        let forks = trunks.filter(|&point| points.below[point].len() > 1);
        let forks = forks.map(|point| (self.points[point].0, of(point).1)).collect();
        let right = self.points.iter().map(|(x, half)| x + half).fold(0.0, f64::max);
        let bottom = layers.last().map_or(0.0, |layer| layer.1);
        Layout { boxes, arrows, forks, size: (right, bottom) }
    }

    /// The top and bottom of each layer.
    fn layers(&self, points: &Points, sizes: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let mut next = 0.0;
        let mut layers = Vec::with_capacity(points.layers.len());
        for layer in &points.layers {
            let heights = layer.iter().filter_map(|&point| sizes.get(point)).map(|size| size.1);
            let bottom = next + heights.fold(0.0, f64::max);
            layers.push((next, bottom));
            let lines =
                layer.iter().flat_map(|&from| points.below[from].iter().map(move |&to| (from, to)));
            let sideways = lines.map(|(from, to)| {
                let (begin, end) = self.line(points, from, to);
                (begin - end).abs()
            });
            let room = (sideways.fold(0.0, f64::max) * 0.2).min(MOST_SLOPE_ROOM);
            next = bottom + LAYER_GAP + room + STUB;
        }
        layers
    }
}

/// Places for the ends of lines on a side of a box, near where they are wanted, in order. One that
/// comes straight from the middle stays straight.
fn ports(wanted: &[f64], middle: f64, half: f64) -> Vec<f64> {
    let room = (half - PORT_EDGE).max(0.0);
    let (low, high) = (middle - room, middle + room);
    let Some(straight) = wanted.iter().position(|x| (x - middle).abs() < 0.5) else {
        return spread(wanted, low, high);
    };
    let (left, right) = (&wanted[..straight], &wanted[straight + 1..]);
    let step = |count: usize| (room / count.max(1) as f64).min(PORT_STEP);
    let mut places = spread(left, low, middle - step(left.len()));
    places.push(middle);
    places.extend(spread(right, middle + step(right.len()), high));
    places
}

/// Places in a range, near where they are wanted, in order and apart.
fn spread(wanted: &[f64], low: f64, high: f64) -> Vec<f64> {
    let last = wanted.len().max(1) - 1;
    let step = ((high - low) / last.max(1) as f64).clamp(0.0, PORT_STEP);
    let mut before = f64::NEG_INFINITY;
    let place = |(index, &wanted): (usize, &f64)| {
        let least = (low + index as f64 * step).max(before + step);
        before = wanted.min(high - (last - index) as f64 * step).max(least);
        before
    };
    wanted.iter().enumerate().map(place).collect()
}

/// The line without points that change nothing.
fn without_needless(line: &[Place]) -> Vec<Place> {
    let mut kept: Vec<Place> = Vec::with_capacity(line.len());
    for &point in line {
        if kept.last() == Some(&point) {
            continue;
        }
        if let [.., before, last] = kept[..]
            && same(before.0, last.0)
            && same(last.0, point.0)
        {
            kept.pop();
        }
        kept.push(point);
    }
    kept
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A layout whose boxes and arrows are where a reader can follow them.
    #[track_caller]
    fn drawn(inputs: &[Vec<usize>]) -> Layout {
        // Of different sizes, some of them wide.
        let size = |block: usize| {
            (80.0 + (block * 37 % 60 + block % 7 / 6 * 150) as f64, 30.0 + (block % 3 * 17) as f64)
        };
        let sizes: Vec<(f64, f64)> = (0..inputs.len()).map(size).collect();
        let layout = layout("test", &sizes, inputs).unwrap();
        let boxes = &layout.boxes;
        for (index, (from, to)) in boxes.iter().enumerate() {
            assert!(from.0 >= 0.0 && from.1 >= 0.0, "{from:?}");
            assert!(to.0 <= layout.size.0 + 1e-6 && to.1 <= layout.size.1 + 1e-6, "{to:?}");
            assert!(to.0 - from.0 >= sizes[index].0 - 1e-6);
            let gap = BLOCK_GAP - 1e-6;
            let overlaps = |(a, b): &(Place, Place)| {
                a.0 < to.0 + gap && from.0 < b.0 + gap && a.1 < to.1 + 20.0 && from.1 < b.1 + 20.0
            };
            assert_eq!(boxes.iter().filter(|other| overlaps(other)).count(), 1, "box {index}");
        }
        let mut found = BTreeSet::new();
        let mut source = None;
        for arrow in &layout.arrows {
            let ((x, y), (tip_x, tip_y)) = (arrow[0], arrow[arrow.len() - 1]);
            let on = |x: f64, (from, to): &(Place, Place)| from.0 < x && x < to.0;
            let begin = boxes.iter().position(|one| on(x, one) && same(one.1.1, y));
            source = begin.or(source.filter(|_| layout.forks.contains(&(x, y))));
            let end = boxes.iter().position(|one| on(tip_x, one) && same(one.0.1, tip_y));
            assert!(found.insert((source.unwrap(), end.unwrap())), "{arrow:?}");
            for pair in arrow.windows(2) {
                assert!(pair[0].1 < pair[1].1, "not downward: {arrow:?}");
                for one in boxes {
                    assert!(!crosses((pair[0], pair[1]), *one), "{pair:?} crosses {one:?}");
                }
            }
            // The head comes straight from above.
            assert!(same(arrow[arrow.len() - 2].0, tip_x));
        }
        let all = inputs.iter().enumerate();
        let expected: BTreeSet<_> =
            all.flat_map(|(to, inputs)| inputs.iter().map(move |&from| (from, to))).collect();
        assert_eq!(found, expected);
        assert_eq!(layout.arrows.len(), expected.len());
        layout
    }

    /// Whether a line that goes down enters a box.
    fn crosses((a, b): (Place, Place), (from, to): (Place, Place)) -> bool {
        let (top, bottom) = (a.1.max(from.1), b.1.min(to.1));
        let at = |y: f64| a.0 + (b.0 - a.0) * (y - a.1) / (b.1 - a.1);
        let inside = |x: f64| from.0 - 1.0 < x && x < to.0 + 1.0;
        top + 1e-6 < bottom && (inside(at(top)) || inside(at(bottom)))
    }

    /// Blocks that each take the one before.
    fn chain(count: usize) -> Vec<Vec<usize>> {
        (0..count).map(|block| block.checked_sub(1).into_iter().collect()).collect()
    }

    /// Pairs of layers with a sum after them.
    fn residual(count: usize) -> Vec<Vec<usize>> {
        let mut inputs = chain(1 + 3 * count);
        for block in (3..inputs.len()).step_by(3) {
            inputs[block].push(block - 3);
        }
        inputs
    }

    /// Layers that each take all before: a join, then a convolution.
    fn dense(count: usize) -> Vec<Vec<usize>> {
        let mut inputs = vec![vec![]];
        for layer in 0..count {
            inputs.push((0..=layer).map(|before| before * 2).collect());
            inputs.push(vec![layer * 2 + 1]);
        }
        inputs
    }

    fn middle((from, to): (Place, Place)) -> f64 {
        f64::midpoint(from.0, to.0)
    }

    #[test]
    fn a_chain_is_a_straight_column() {
        let layout = drawn(&chain(30));
        for (&one, arrow) in layout.boxes.iter().zip(&layout.arrows) {
            assert!(same(middle(one), middle(layout.boxes[0])));
            assert!(same(one.1.0 - one.0.0, layout.size.0));
            assert_eq!(arrow.len(), 2);
            assert!(same(arrow[0].0, middle(one)));
        }
        assert!(layout.forks.is_empty());
    }

    #[test]
    fn shortcuts_run_beside_a_straight_column() {
        let layout = drawn(&residual(5));
        for &one in &layout.boxes {
            assert!(same(middle(one), middle(layout.boxes[0])));
        }
        // Down, beside two layers, and back.
        let bent = layout.arrows.iter().filter(|arrow| arrow.len() > 2);
        assert_eq!(bent.clone().count(), 5);
        assert!(bent.clone().all(|arrow| arrow.len() <= 6 && arrow[0].0 < layout.size.0));
    }

    #[test]
    fn a_shortcut_goes_round_the_shorter_side() {
        // Three branches to the right of the column: the shortcut is on its left.
        let layout = drawn(&[
            vec![],
            vec![0],
            vec![1],
            vec![1],
            vec![1],
            vec![2],
            vec![5, 3, 4],
            vec![6, 0],
        ]);
        let start = layout.boxes[0].0.0;
        assert!(start > 0.0 && layout.boxes.iter().all(|one| one.0.0 >= start));
    }

    #[test]
    fn blocks_that_take_all_before_share_trunks() {
        let layout = drawn(&dense(8));
        assert_eq!(layout.arrows.len(), 36 + 8);
        // Each trunk forks wherever a join takes it, but for the last.
        assert_eq!(layout.forks.len(), 28 - 7);
        for &one in &layout.boxes {
            assert!(same(middle(one), middle(layout.boxes[0])));
        }
        drawn(&dense(40));
    }

    #[test]
    fn other_shapes_are_drawn() {
        // A diamond, and one in which nothing is shared.
        drawn(&[vec![], vec![0], vec![0], vec![1, 2]]);
        drawn(&[vec![], vec![], vec![], vec![0, 1, 2], vec![3], vec![3], vec![3]]);
        // Several charts beside each other, and one block alone.
        drawn(&[vec![], vec![0], vec![], vec![2], vec![], vec![]]);
        drawn(&[vec![]]);
        // Branches of different length, joined.
        drawn(&[vec![], vec![0], vec![0], vec![2], vec![0], vec![4], vec![5], vec![1, 3, 6, 0]]);
        // Down and up again, each level joined with its own.
        drawn(&[vec![], vec![0], vec![1], vec![2], vec![3, 2], vec![4, 1], vec![5, 0]]);
        // A block that takes very many.
        let many: Vec<Vec<usize>> =
            (0..60).map(|block| if block == 59 { (0..59).collect() } else { vec![] }).collect();
        drawn(&many);
    }

    #[test]
    fn what_is_used_late_stands_late() {
        // The end of a chain of six also takes that of a chain of two.
        let inputs = [vec![], vec![0], vec![], vec![2], vec![3], vec![4], vec![5], vec![6, 1]];
        let layout = drawn(&inputs);
        let lies = |block: usize| layout.boxes[block].0.1;
        assert!(lies(2) < lies(0) && lies(5) < lies(1) && lies(1) < lies(7));
        assert!(layout.arrows.iter().all(|arrow| arrow.len() <= 4));
    }

    #[test]
    fn a_size_beyond_all_measure_is_refused_before_it_is_drawn() {
        let inputs = chain(1_000_000);
        assert!(layout("test", &vec![(80.0, 30.0); inputs.len()], &inputs).is_err());
        let inputs = vec![vec![]; 1_000_000];
        assert!(layout("test", &vec![(80.0, 30.0); inputs.len()], &inputs).is_err());
        // All of them are taken by the last block of a chain.
        let mut inputs = chain(1000);
        inputs[999].extend(0..998);
        let mut wide = inputs.clone();
        for _ in 0..9 {
            let start = wide.len();
            wide.extend(inputs.iter().map(|i| i.iter().map(|b| b + start).collect::<Vec<_>>()));
        }
        assert!(layout("test", &vec![(80.0, 30.0); wide.len()], &wide).is_err());
    }

    #[test]
    fn crossings_are_counted() {
        let points = |inputs: &[Vec<usize>]| {
            let ways = Ways::new(inputs);
            Points::new(&ways, &ways.ranks(), false)
        };
        let mut swapped = points(&[vec![], vec![], vec![1], vec![0]]);
        assert_eq!(swapped.crossings(), 1);
        assert_eq!((swapped.order(), swapped.crossings()), (0, 0));
        let all = vec![0, 1, 2];
        assert_eq!(points(&[vec![], vec![], vec![], all.clone(), all.clone(), all]).crossings(), 9);
    }

    #[test]
    fn ends_are_apart_and_in_order() {
        assert_eq!(ports(&[0.0], 0.0, 50.0), [0.0]);
        assert_eq!(ports(&[0.0, 100.0], 0.0, 50.0), [0.0, 38.0]);
        assert_eq!(ports(&[-90.0, -80.0, 0.0, 10.0], 0.0, 50.0), [-38.0, -24.0, 0.0, 14.0]);
        assert_eq!(ports(&[60.0, 70.0], 0.0, 50.0), [24.0, 38.0]);
        let narrow = ports(&[5.0; 9], 0.0, 50.0);
        assert!(narrow.windows(2).all(|pair| pair[1] - pair[0] > 9.0), "{narrow:?}");
    }

    proptest! {
        #[test]
        fn any_graph_is_drawn(
            wanted in prop::collection::vec(prop::collection::btree_set(0_usize..40, 0..4), 1..40),
        ) {
            let inputs = |(block, wanted): (usize, &BTreeSet<usize>)| {
                wanted.iter().copied().filter(|&input| input < block).collect()
            };
            drawn(&wanted.iter().enumerate().map(inputs).collect::<Vec<_>>());
        }
    }
}
