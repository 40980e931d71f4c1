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

mod lanes;
mod lines;
mod points;

use std::cmp::Reverse;
use std::ops::Range;

use self::lanes::Lanes;
use self::lines::Lines;
use self::points::{Points, connections};
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::lines::{ports, same};
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
