//! The two ways to cut a text into pieces.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::SentencePiece;
use super::model_file::Kind;

/// How much less likely than any piece an unknown character is, as a logarithm.
const UNKNOWN_PENALTY: f32 = 10.0;

/// Two neighbours that can be joined.
#[derive(Debug, PartialEq)]
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// The bytes of both, by which a pair is known that is there no more.
    size: usize,
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    /// The highest score first, of equals that on the left.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

/// A part of the text that may be joined with its neighbours.
#[derive(Debug)]
struct Symbol {
    begin: usize,
    /// The same as `begin` once joined to the left.
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
    /// A symbol of the user, never joined.
    whole: bool,
}

impl SentencePiece {
    fn is_unused(&self, id: u32) -> bool {
        self.pieces[id as usize].kind == Kind::Unused
    }

    /// The pieces of the highest sum of scores, in the single precision of SentencePiece, so that of
    /// ways that are all but equal the same one is taken.
    pub(super) fn likeliest<'a>(&self, text: &'a str) -> Vec<(&'a str, u32)> {
        // Of each place the best way to it: its score, where its last piece begins, and that piece.
        let mut best: Vec<(f32, Option<usize>, u32)> =
            vec![(0.0, None, self.unknown); text.len() + 1];
        let unknown_score = self.scores.0 - UNKNOWN_PENALTY;
        for (begin, letter) in text.char_indices() {
            let before = best[begin].0;
            let mut alone = false;
            let ends =
                text[begin..].char_indices().map(|(at, letter)| begin + at + letter.len_utf8());
            for end in ends.take(self.longest) {
                let Some(&id) = self.ids.get(&text[begin..end]) else { continue };
                if self.is_unused(id) {
                    continue;
                }
                let piece = &self.pieces[id as usize];
                let length = end - begin;
                // What the user wants whole is all but certain.
                let score = if piece.kind == Kind::UserDefined {
                    f64::from(length as f32 * self.scores.1) - 0.1
                } else {
                    f64::from(piece.score)
                };
                let score = score + f64::from(before);
                if best[end].1.is_none() || score > f64::from(best[end].0) {
                    best[end] = (score as f32, Some(begin), id);
                }
                alone |= length == letter.len_utf8();
            }
            if !alone {
                let (end, score) = (begin + letter.len_utf8(), unknown_score + before);
                if best[end].1.is_none() || score > best[end].0 {
                    best[end] = (score, Some(begin), self.unknown);
                }
            }
        }
        let (mut parts, mut end) = (Vec::new(), text.len());
        while let (_, Some(begin), id) = best[end] {
            parts.push((&text[begin..end], id));
            end = begin;
        }
        parts.reverse();
        parts
    }

    /// Joins neighbours as long as they make a piece, that with the highest score first.
    pub(super) fn joined<'a>(&self, text: &'a str) -> Vec<(&'a str, u32)> {
        let mut symbols: Vec<Symbol> = Vec::new();
        let mut begin = 0;
        while let Some(letter) = text[begin..].chars().next() {
            let symbol = self.normalizer.symbol(&text[begin..]);
            let end = begin + symbol.map_or(letter.len_utf8(), str::len);
            let number = symbols.len();
            let next = (end < text.len()).then_some(number + 1);
            let previous = number.checked_sub(1);
            symbols.push(Symbol { begin, end, previous, next, whole: symbol.is_some() });
            begin = end;
        }
        let mut pairs = BinaryHeap::new();
        // What an unused piece was joined of.
        let mut joined_of: HashMap<&str, (&str, &str)> = HashMap::new();
        let mut offer = |symbols: &[Symbol], pairs: &mut BinaryHeap<Pair>, left, right| {
            let (Some(left), Some(right)) = (left, right) else { return };
            let (a, b): (&Symbol, &Symbol) = (&symbols[left], &symbols[right]);
            if a.whole || b.whole {
                return;
            }
            let both = &text[a.begin..b.end];
            let Some(&id) = self.ids.get(both) else { return };
            let score = self.pieces[id as usize].score;
            pairs.push(Pair { score, left, right, size: both.len() });
            if self.is_unused(id) {
                joined_of.insert(both, (&text[a.begin..a.end], &text[b.begin..b.end]));
            }
        };
        for right in 1..symbols.len() {
            offer(&symbols, &mut pairs, Some(right - 1), Some(right));
        }
        while let Some(Pair { left, right, size, .. }) = pairs.pop() {
            let lengths = [left, right].map(|at| symbols[at].end - symbols[at].begin);
            if lengths.contains(&0) || lengths[0] + lengths[1] != size {
                continue;
            }
            symbols[left].end = symbols[right].end;
            symbols[right].begin = symbols[right].end;
            let next = symbols[right].next;
            symbols[left].next = next;
            if let Some(next) = next {
                symbols[next].previous = Some(left);
            }
            let previous = symbols[left].previous;
            offer(&symbols, &mut pairs, previous, Some(left));
            offer(&symbols, &mut pairs, Some(left), next);
        }
        let mut parts = Vec::new();
        // The last is looked at first.
        let mut open: Vec<&str> = Vec::new();
        for symbol in symbols.iter().filter(|symbol| symbol.begin < symbol.end) {
            open.push(&text[symbol.begin..symbol.end]);
            while let Some(part) = open.pop() {
                let id = self.ids.get(part).copied().unwrap_or(self.unknown);
                match joined_of.get(part) {
                    Some(&(left, right)) if self.is_unused(id) => open.extend([right, left]),
                    _ => parts.push((part, id)),
                }
            }
        }
        parts
    }
}
