//! The training of a unigram language model (Kudo 2018, <https://arxiv.org/abs/1804.10959>).
//!
//! Pieces are first all substrings that come more than once; expectation and maximisation weigh them,
//! and those whose loss costs least are dropped until as many are left as asked for. The trainer of the
//! crate `tokenizers` finds its first pieces in a suffix array that panics on some texts, and sums in
//! the order of a hash map; this one has no such texts, and one order.

use std::collections::BTreeMap;

use rayon::prelude::*;
use statrs::function::gamma::digamma;

/// The most characters of a piece.
const LONGEST: usize = 16;
/// The most pieces to begin with.
const SEEDS: usize = 1_000_000;
/// The share of the pieces that is kept each time.
const SHRINK: f64 = 0.75;
/// Pieces that are expected to come less often are dropped.
const LEAST: f64 = 0.5;
/// Parts that words are counted in. Sums are taken part by part, whatever the number of threads.
const PARTS: usize = 8;

/// A piece: where it stands, how long it is, and its log-probability, `-∞` once dropped.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: usize,
    length: usize,
    score: f64,
}

/// The words and all pieces in them.
struct Lattice {
    letters: Vec<char>,
    /// All words, one behind the other, as places in `letters`.
    text: Vec<u32>,
    /// Where each word begins, and the end of the last.
    words: Vec<usize>,
    /// How often each word comes.
    weights: Vec<f64>,
    /// The pieces; the letters come first.
    pieces: Vec<Piece>,
    /// The pieces that begin at each place of the text: `edges[bounds[at]..bounds[at + 1]]`.
    edges: Vec<u32>,
    bounds: Vec<usize>,
}

/// Trains on words with their counts: at most `size` pieces, the letters among them, with their
/// log-probabilities, the likeliest first. `listen` is called before each round and may end it.
pub(super) fn train<E>(
    words: &BTreeMap<String, u64>,
    size: usize,
    listen: impl Fn(usize) -> Result<(), E>,
) -> Result<Vec<(String, f64)>, E> {
    let mut lattice = Lattice::new(words);
    let wanted = size + size / 10;
    for round in 0.. {
        for _ in 0..2 {
            listen(round)?;
            lattice.maximise();
        }
        let alive = lattice.pieces.iter().filter(|piece| piece.score.is_finite()).count();
        if alive <= wanted {
            break;
        }
        let kept = lattice.worth_keeping(wanted.max((alive as f64 * SHRINK) as usize));
        lattice.keep(&kept);
    }
    Ok(lattice.into_best(size))
}

impl Lattice {
    fn new(counts: &BTreeMap<String, u64>) -> Self {
        let mut letters: Vec<char> = counts.keys().flat_map(|word| word.chars()).collect();
        letters.sort_unstable();
        letters.dedup();
        let (mut text, mut words, mut weights) = (Vec::new(), vec![0], Vec::new());
        for (word, &count) in counts {
            text.extend(word.chars().filter_map(|letter| letters.binary_search(&letter).ok()));
            words.push(text.len());
            weights.push(count as f64);
        }
        let text: Vec<u32> = text.into_iter().map(|letter| letter as u32).collect();
        let mut lattice = Self {
            letters,
            text,
            words,
            weights,
            pieces: Vec::new(),
            edges: Vec::new(),
            bounds: Vec::new(),
        };
        lattice.seed();
        lattice
    }

    /// The first pieces: the letters, and every substring of two to [`LONGEST`] letters inside a word
    /// that comes at least twice and is not always followed by the same letter, weighted by how often
    /// it comes times its length.
    fn seed(&mut self) {
        let total = self.text.len();
        // To the end of its word, each place.
        let mut left = vec![0; total];
        let mut weight = vec![0.0; total];
        for (word, bounds) in self.words.windows(2).enumerate() {
            for at in bounds[0]..bounds[1] {
                left[at] = (bounds[1] - at).min(LONGEST);
                weight[at] = self.weights[word];
            }
        }
        let suffix = |at: usize| &self.text[at..at + left[at]];
        let mut order: Vec<usize> = (0..total).collect();
        order.par_sort_unstable_by(|&a, &b| suffix(a).cmp(suffix(b)).then(a.cmp(&b)));
        let shared = |place: usize| {
            let (a, b) = (suffix(order[place - 1]), suffix(order[place]));
            a.iter().zip(b).take_while(|(a, b)| a == b).count()
        };
        let sums: Vec<f64> = std::iter::once(0.0)
            .chain(order.iter().scan(0.0, |sum, &at| {
                *sum += weight[at];
                Some(*sum)
            }))
            .collect();

        // Places in `order` from where to where suffixes begin alike, and for how many letters.
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        let mut open: Vec<(usize, usize)> = vec![(0, 0)];
        for place in 0..=total {
            let depth = if place == 0 || place == total { 0 } else { shared(place) };
            let mut from = place;
            while open.last().is_some_and(|&(_, deep)| deep > depth) {
                if let Some((begin, deep)) = open.pop() {
                    found.push((begin, place, deep));
                    from = begin;
                }
            }
            if open.last().is_some_and(|&(_, deep)| deep < depth) {
                open.push((from, depth));
            }
            // What nothing else begins with goes on to the end of its word.
            if place < total && open.last().is_some_and(|&(_, deep)| deep < left[order[place]]) {
                open.push((place, left[order[place]]));
            }
        }
        found.retain(|&(from, to, deep)| deep >= 2 && sums[to] - sums[from] >= 2.0);
        let worth =
            |&(from, to, deep): &(usize, usize, usize)| (sums[to] - sums[from]) * deep as f64;
        found.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.cmp(b)));
        found.truncate(SEEDS);

        let mut letter_weights = vec![0.0; self.letters.len()];
        let mut first = vec![0; self.letters.len()];
        for (at, &letter) in self.text.iter().enumerate().rev() {
            letter_weights[letter as usize] += weight[at];
            first[letter as usize] = at;
        }
        let whole: f64 = letter_weights.iter().sum::<f64>() + found.iter().map(&worth).sum::<f64>();
        let of_letters = first.into_iter().zip(letter_weights).map(|(at, weight)| Piece {
            at,
            length: 1,
            score: (weight / whole).ln(),
        });
        let of_found = found.iter().map(|seed| Piece {
            at: order[seed.0],
            length: seed.2,
            score: (worth(seed) / whole).ln(),
        });
        self.pieces = of_letters.chain(of_found).collect();

        let mut counts = vec![1_usize; total];
        for &(from, to, _) in &found {
            order[from..to].iter().for_each(|&at| counts[at] += 1);
        }
        self.bounds = std::iter::once(0)
            .chain(counts.iter().scan(0, |sum, &count| {
                *sum += count;
                Some(*sum)
            }))
            .collect();
        self.edges = vec![0; self.bounds[total]];
        let mut next: Vec<usize> = self.bounds[..total].to_vec();
        for (at, &letter) in self.text.iter().enumerate() {
            self.edges[next[at]] = letter;
            next[at] += 1;
        }
        for (number, &(from, to, _)) in found.iter().enumerate() {
            for &at in &order[from..to] {
                self.edges[next[at]] = (self.letters.len() + number) as u32;
                next[at] += 1;
            }
        }
    }

    /// The living pieces that begin at a place and end no later than another.
    fn beginning(&self, at: usize, end: usize) -> impl Iterator<Item = (usize, Piece)> + '_ {
        self.edges[self.bounds[at]..self.bounds[at + 1]]
            .iter()
            .map(|&piece| (piece as usize, self.pieces[piece as usize]))
            .filter(move |(_, piece)| piece.score.is_finite() && at + piece.length <= end)
    }

    /// Sums over all words what `count` adds for each, in one order.
    fn counted(&self, count: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
        let words = self.weights.len();
        let parts: Vec<Vec<f64>> = (0..PARTS)
            .into_par_iter()
            .map(|part| {
                let mut sums = vec![0.0; self.pieces.len()];
                for word in words * part / PARTS..words * (part + 1) / PARTS {
                    count(word, &mut sums);
                }
                sums
            })
            .collect();
        parts.into_iter().fold(vec![0.0; self.pieces.len()], |mut whole, part| {
            whole.iter_mut().zip(part).for_each(|(whole, part)| *whole += part);
            whole
        })
    }

    /// One step of expectation and maximisation. Letters are never dropped.
    fn maximise(&mut self) {
        let mut expected = self.counted(|word, sums| {
            let (begin, end) = (self.words[word], self.words[word + 1]);
            let mut before = vec![f64::NEG_INFINITY; end - begin + 1];
            before[0] = 0.0;
            for at in begin..end {
                for (_, piece) in self.beginning(at, end) {
                    let to = at - begin + piece.length;
                    before[to] = log_add(before[to], before[at - begin] + piece.score);
                }
            }
            let whole = before[end - begin];
            let mut behind = vec![f64::NEG_INFINITY; end - begin + 1];
            behind[end - begin] = 0.0;
            for at in (begin..end).rev() {
                let mut sum = f64::NEG_INFINITY;
                for (number, piece) in self.beginning(at, end) {
                    let rest = piece.score + behind[at - begin + piece.length];
                    sum = log_add(sum, rest);
                    sums[number] += self.weights[word] * (before[at - begin] + rest - whole).exp();
                }
                behind[at - begin] = sum;
            }
        });
        for (number, count) in expected.iter_mut().enumerate() {
            if number < self.letters.len() {
                *count = count.max(LEAST);
            } else if *count < LEAST {
                *count = 0.0;
            }
        }
        // The digamma function in place of the logarithm favours few pieces.
        let whole = digamma(expected.iter().sum());
        for (piece, count) in self.pieces.iter_mut().zip(expected) {
            piece.score = if count > 0.0 { digamma(count) - whole } else { f64::NEG_INFINITY };
        }
    }

    /// The best way from a place to another, as numbers of pieces from the end to the begin; `without`
    /// is not used.
    fn best(&self, begin: usize, end: usize, without: Option<usize>) -> Vec<usize> {
        let mut best = vec![(f64::NEG_INFINITY, 0); end - begin + 1];
        best[0].0 = 0.0;
        for at in begin..end {
            for (number, piece) in self.beginning(at, end) {
                let to = at - begin + piece.length;
                let score = best[at - begin].0 + piece.score;
                if score > best[to].0 && Some(number) != without {
                    best[to] = (score, number);
                }
            }
        }
        let (mut way, mut at) = (Vec::new(), end - begin);
        while at > 0 {
            way.push(best[at].1);
            at -= self.pieces[best[at].1].length;
        }
        way
    }

    /// The letters, and of the other pieces those without which the words would lose most likelihood:
    /// where each has its best way, a piece is replaced by the best way around it.
    fn worth_keeping(&self, count: usize) -> Vec<usize> {
        let used = self.counted(|word, sums| {
            for number in self.best(self.words[word], self.words[word + 1], None) {
                sums[number] += self.weights[word];
            }
        });
        let sum: f64 = used.iter().sum();
        let letters = self.letters.len();
        let mut losses: Vec<(f64, usize)> = (letters..self.pieces.len())
            .into_par_iter()
            .filter(|&number| used[number] > 0.0)
            .map(|number| {
                let Piece { at, length, .. } = self.pieces[number];
                let (own, around) = (used[number], self.best(at, at + length, Some(number)));
                let whole = (sum + own * (around.len() as f64 - 1.0)).ln();
                let instead: f64 =
                    around.iter().map(|&other| (used[other] + own).ln() - whole).sum();
                (own * (own.ln() - sum.ln() - instead), number)
            })
            .collect();
        losses.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        losses.truncate(count.saturating_sub(letters));
        let mut kept: Vec<usize> =
            (0..letters).chain(losses.into_iter().map(|(_, number)| number)).collect();
        kept.sort_unstable();
        kept
    }

    /// Leaves only these pieces.
    fn keep(&mut self, kept: &[usize]) {
        let mut numbers = vec![None; self.pieces.len()];
        for (number, &piece) in kept.iter().enumerate() {
            numbers[piece] = Some(number as u32);
        }
        self.pieces = kept.iter().map(|&piece| self.pieces[piece]).collect();
        let mut edges = Vec::new();
        let mut bounds = vec![0];
        for at in 0..self.text.len() {
            let here = &self.edges[self.bounds[at]..self.bounds[at + 1]];
            edges.extend(here.iter().filter_map(|&piece| numbers[piece as usize]));
            bounds.push(edges.len());
        }
        (self.edges, self.bounds) = (edges, bounds);
    }

    /// The letters and the likeliest other pieces, the likeliest first.
    fn into_best(self, size: usize) -> Vec<(String, f64)> {
        let spelt = |piece: &Piece| -> String {
            let letters = &self.text[piece.at..piece.at + piece.length];
            letters.iter().map(|&letter| self.letters[letter as usize]).collect()
        };
        let by_score =
            |a: &(String, f64), b: &(String, f64)| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0));
        let (letters, others) = self.pieces.split_at(self.letters.len());
        let mut others: Vec<(String, f64)> = others
            .iter()
            .filter(|piece| piece.score.is_finite())
            .map(|piece| (spelt(piece), piece.score))
            .collect();
        others.sort_by(by_score);
        others.truncate(size.saturating_sub(letters.len()));
        let mut pieces: Vec<(String, f64)> =
            letters.iter().map(|piece| (spelt(piece), piece.score)).chain(others).collect();
        pieces.sort_by(by_score);
        pieces
    }
}

/// `ln(e^a + e^b)`.
fn log_add(a: f64, b: f64) -> f64 {
    let (more, less) = if a > b { (a, b) } else { (b, a) };
    if less == f64::NEG_INFINITY { more } else { more + (less - more).exp().ln_1p() }
}
