//! Lines between the points, and the finished drawing.

use std::cmp::Reverse;

use super::super::canvas::Place;
use super::lanes::Lanes;
use super::points::Points;
use super::{LAYER_GAP, Layout, MOST_SLOPE_ROOM, PORT_EDGE, PORT_STEP, STUB, Ways};

/// The ends of all lines, from left to right.
pub(super) struct Lines {
    /// The middle and half the width of each point.
    pub(super) points: Vec<(f64, f64)>,
    /// Where the lines from each point begin, and those to each point end.
    pub(super) begins: Vec<Vec<f64>>,
    pub(super) ends: Vec<Vec<f64>>,
}

impl Lines {
    pub(super) fn new(points: &Points, lanes: &Lanes, x: &[f64]) -> Self {
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
    pub(super) fn line(&self, points: &Points, from: usize, to: usize) -> (f64, f64) {
        let at = |ends: &[f64], neighbours: &[usize], other: usize, point: usize| {
            let index = neighbours.iter().position(|&neighbour| neighbour == other);
            index.map_or(self.points[point].0, |index| ends[index])
        };
        let begin = at(&self.begins[from], &points.below[from], to, from);
        (begin, at(&self.ends[to], &points.above[to], from, to))
    }

    pub(super) fn layout(&self, points: &Points, ways: &Ways<'_>, sizes: &[(f64, f64)]) -> Layout {
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
    pub(super) fn layers(&self, points: &Points, sizes: &[(f64, f64)]) -> Vec<(f64, f64)> {
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
pub(super) fn ports(wanted: &[f64], middle: f64, half: f64) -> Vec<f64> {
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
pub(super) fn spread(wanted: &[f64], low: f64, high: f64) -> Vec<f64> {
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
pub(super) fn without_needless(line: &[Place]) -> Vec<Place> {
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

pub(super) fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}
