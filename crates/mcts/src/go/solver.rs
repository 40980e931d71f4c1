//! The best play of both sides in a region, to the end: who holds the points in question.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use super::point::Color;
use super::region::{Points, Region, Stones};

/// Plies of the deepest look.
const DEPTH: u32 = 300;

/// The hash of no positions before.
const START: u64 = 1;

/// The place of what holds whatever was before.
const ANY: u64 = 0;

/// What is known of a position.
#[derive(Clone, Copy)]
struct Entry {
    /// Black gets so much at least.
    low: i32,
    /// Black gets so much at most.
    high: i32,
    /// The last question that was left open: bound and depth.
    open: (i32, u32),
    /// The move to try first: a point, or the number of points for a pass.
    best: usize,
}

/// A position in the search.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node<const N: usize> {
    stones: Stones<N>,
    turn: Color,
    /// Whether the other has just passed.
    passed: bool,
}

/// A question about a position: whether Black gets at least `bound` within `depth` plies.
#[derive(Clone, Copy)]
struct Question {
    bound: i32,
    depth: u32,
}

/// An answer (`None`: left open), and whether it rests on a ko: on the positions before.
type Answer = (Option<bool>, bool);

/// Searches a region to the end: two passes, or all points in question settled. No position may
/// come back (positional superko), nothing is threatened elsewhere, and moves cost nothing.
///
/// The value is how many points in question Black holds less those that White holds; empty points
/// count for the colour that alone reaches them.
///
/// Depth-first with iterative deepening. What is found without a ko holds however a position came
/// about; what rests on one is kept for the same positions before only, as it may be otherwise
/// after others (the problem of graph history interaction).
pub(crate) struct Solver<'r, const N: usize> {
    region: &'r Region<N>,
    counted: Points<N>,
    /// By position and the positions since the last move that took no ko.
    known: HashMap<(Node<N>, u64), Entry>,
    path: Vec<Stones<N>>,
    /// How often a move of each colour was the answer; the last is the pass.
    answers: [Vec<u32>; 2],
    nodes: u32,
}

impl<'r, const N: usize> Solver<'r, N> {
    /// A solver that looks at no more than `nodes` positions in all.
    pub(crate) fn new(region: &'r Region<N>, counted: Points<N>, nodes: u32) -> Self {
        let (known, path) = (HashMap::new(), Vec::new());
        let answers = [0, 1].map(|_| vec![0; region.cells.len() + 1]);
        Self { region, counted, known, path, answers, nodes }
    }

    /// Positions that are left to look at.
    pub(crate) fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Whether Black gets at least `bound` where `turn` moves first; `None` where the limit of
    /// positions ends the search.
    pub(crate) fn at_least(&mut self, stones: &Stones<N>, turn: Color, bound: i32) -> Option<bool> {
        let root = Node { stones: *stones, turn, passed: false };
        for depth in 1..=DEPTH {
            let (answer, _) = self.search(&root, START, Question { bound, depth });
            if answer.is_some() || self.nodes == 0 {
                return answer;
            }
        }
        None
    }

    /// The value where all stones are alive.
    pub(crate) fn value(&self, stones: &Stones<N>) -> i32 {
        let [black, white] = self.region.held(stones).map(|held| held.and(self.counted).len());
        black - white
    }

    fn search(&mut self, node: &Node<N>, kos: u64, question: Question) -> Answer {
        let Question { bound, depth } = question;
        let black = node.turn == Color::Black;
        // Both pass: the end.
        if node.passed && (self.value(&node.stones) >= bound) == black {
            return (Some(black), false);
        }
        let mut first = usize::MAX;
        for (ko, before) in [(false, ANY), (true, kos)] {
            let Some(entry) = self.known.get(&(*node, before)) else { continue };
            if entry.low >= bound || entry.high < bound {
                return (Some(entry.low >= bound), ko);
            }
            if !ko && entry.open.0 == bound && entry.open.1 >= depth {
                return (None, false);
            }
            first = entry.best;
        }
        if self.nodes == 0 {
            return (None, false);
        }
        self.nodes -= 1;
        let settled =
            [Color::Black, Color::White].map(|c| self.region.life(&node.stones, c, true).all());
        let all = self.counted.len();
        let low = 2 * settled[0].and(self.counted).len() - all;
        let high = all - 2 * settled[1].and(self.counted).len();
        if low >= bound || high < bound {
            self.store((*node, ANY), Entry { low, high, open: (bound, 0), best: first });
            return (Some(low >= bound), false);
        }
        if depth == 0 {
            return (None, false);
        }
        if !node.passed {
            self.path.push(node.stones);
        }
        let settled = settled[0].or(settled[1]);
        let (answer, ko, best) = self.best(node, kos, settled, question, first);
        if !node.passed {
            self.path.pop();
        }
        let (low, high) = match answer {
            Some(true) => (bound, high),
            Some(false) => (low, bound - 1),
            None => (low, high),
        };
        self.store(
            (*node, if ko { kos } else { ANY }),
            Entry { low, high, open: (bound, depth), best },
        );
        (answer, ko)
    }

    /// Tries the moves one after another: the answer, whether it rests on a ko, and its move.
    fn best(
        &mut self,
        node: &Node<N>,
        kos: u64,
        settled: Points<N>,
        question: Question,
        first: usize,
    ) -> (Option<bool>, bool, usize) {
        let Node { stones, turn, passed } = *node;
        let wins = turn == Color::Black;
        let other = turn.opponent();
        let pass = self.region.cells.len();
        let mut moves = Vec::new();
        let mut rests = false;
        for point in self.region.empty(&stones).less(settled).iter() {
            if self.region.is_eye(&stones, point, turn) {
                continue;
            }
            let Some(after) = self.region.play(&stones, point, turn) else { continue };
            if self.path.contains(&after) {
                rests = true;
                continue;
            }
            let taken = stones.0[other.index()].less(after.0[other.index()]);
            let ko = taken.len() == 1 && self.region.is_ko(&after, point, taken);
            moves.push((point, taken.len(), ko, after));
        }
        // The other could have ended the game.
        if !passed {
            moves.push((pass, 0, false, stones));
        }
        let answers = &self.answers[turn.index()];
        moves.sort_by_key(|&(point, taken, ..)| {
            (point != first, -taken, std::cmp::Reverse(answers[point]))
        });
        let question = Question { depth: question.depth - 1, ..question };
        let mut hasher = DefaultHasher::new();
        node.stones.hash(&mut hasher);
        let hash = hasher.finish();
        let mut open = false;
        for (point, _, ko, stones) in moves {
            let next = Node { stones, turn: other, passed: point == pass };
            let before = match (ko, next.passed) {
                (true, _) => kos ^ hash,
                (false, true) => kos,
                (false, false) => START,
            };
            let (answer, below) = self.search(&next, before, question);
            if answer == Some(wins) {
                self.answers[turn.index()][point] += 1;
                return (answer, ko || below, point);
            }
            open |= answer.is_none();
            rests |= ko || below;
            if self.nodes == 0 {
                return (None, rests, first);
            }
        }
        ((!open).then_some(!wins), rests, first)
    }

    fn store(&mut self, key: (Node<N>, u64), found: Entry) {
        let entry = self.known.entry(key).or_insert(found);
        let (low, high) = (entry.low.max(found.low), entry.high.min(found.high));
        *entry = Entry { low, high, ..found };
    }
}
