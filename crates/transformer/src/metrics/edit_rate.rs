//! The edits that make one sentence another: insertions, deletions, substitutions, and runs of words
//! that are moved, found greedily as Tercom does.

use std::cmp::Reverse;

/// The longest run that is moved, in words.
const LONGEST: usize = 10;
/// How far apart two equal runs may start.
const FARTHEST: usize = 50;
/// How far from the diagonal alignments are looked for.
const BEAM: usize = 25;
/// The most moves that are tried for a sentence.
const MOST_TRIED: usize = 1000;
/// The cost of what is outside the beam.
const NEVER: usize = usize::MAX / 2;

/// How many edits make the hypothesis the reference; words are numbers.
pub(super) fn edits(hypothesis: &[usize], reference: &[usize]) -> usize {
    if reference.is_empty() {
        return hypothesis.len();
    }
    let table = Table::new(hypothesis.len(), reference);
    let (mut words, mut moves, mut tried) = (hypothesis.to_vec(), 0, 0);
    loop {
        let found = best_move(&table, &words, &mut tried);
        match found {
            Some((after, moved)) if tried < MOST_TRIED && after < table.distance(&words) => {
                words = moved;
                moves += 1;
            }
            _ => return moves + table.distance(&words),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Edit {
    Keep,
    Substitute,
    /// A word of the reference that the hypothesis lacks.
    Insert,
    /// A word of the hypothesis that the reference lacks.
    Delete,
}

/// Distances from the first words of a hypothesis to beginnings of the reference, near the diagonal.
struct Row {
    start: usize,
    cells: Vec<(usize, Edit)>,
}

impl Row {
    fn at(&self, column: usize) -> (usize, Edit) {
        let cell = column.checked_sub(self.start).and_then(|at| self.cells.get(at));
        cell.copied().unwrap_or((NEVER, Edit::Insert))
    }
}

/// The table of Levenshtein's distance for hypotheses of one length.
struct Table<'a> {
    words: usize,
    reference: &'a [usize],
    /// Words of the reference for one of the hypothesis.
    ratio: f64,
    beam: usize,
}

impl<'a> Table<'a> {
    fn new(words: usize, reference: &'a [usize]) -> Self {
        let ratio = if words > 0 { reference.len() as f64 / words as f64 } else { 1.0 };
        // Rows of sentences of very different length must still overlap.
        let beam = if ratio / 2.0 > BEAM as f64 {
            (ratio / 2.0 + BEAM as f64).ceil() as usize
        } else {
            BEAM
        };
        Self { words, reference, ratio, beam }
    }

    fn first_row(&self) -> Row {
        Row { start: 0, cells: (0..=self.reference.len()).map(|at| (at, Edit::Insert)).collect() }
    }

    /// The row of so many words, of which this is the last.
    fn row(&self, number: usize, word: usize, before: &Row) -> Row {
        let columns = self.reference.len() + 1;
        let diagonal = (number as f64 * self.ratio).floor() as usize;
        let start = diagonal.saturating_sub(self.beam);
        let end = if number == self.words { columns } else { columns.min(diagonal + self.beam) };
        let mut cells: Vec<(usize, Edit)> = Vec::with_capacity(end.saturating_sub(start));
        for column in start..end {
            let mut best = (NEVER, Edit::Insert);
            if column > 0 {
                let (cost, edit) = if word == self.reference[column - 1] {
                    (0, Edit::Keep)
                } else {
                    (1, Edit::Substitute)
                };
                best = (before.at(column - 1).0 + cost, edit);
            }
            let above = before.at(column).0 + 1;
            if above < best.0 {
                best = (above, Edit::Delete);
            }
            if let Some(&(left, _)) = cells.last()
                && left + 1 < best.0
            {
                best = (left + 1, Edit::Insert);
            }
            cells.push(best);
        }
        Row { start, cells }
    }

    fn rows(&self, words: &[usize]) -> Vec<Row> {
        let mut rows = vec![self.first_row()];
        for (at, &word) in words.iter().enumerate() {
            rows.push(self.row(at + 1, word, &rows[at]));
        }
        rows
    }

    fn distance(&self, words: &[usize]) -> usize {
        self.distance_after(&self.first_row(), 0, words)
    }

    /// The distance where the row of the first words is there already.
    fn distance_after(&self, row: &Row, known: usize, words: &[usize]) -> usize {
        let mut last: Option<Row> = None;
        for (at, &word) in words.iter().enumerate().skip(known) {
            last = Some(self.row(at + 1, word, last.as_ref().unwrap_or(row)));
        }
        last.as_ref().unwrap_or(row).at(self.reference.len()).0
    }

    /// How a hypothesis lies beside the reference.
    fn alignment(&self, rows: &[Row]) -> Alignment {
        let (mut word, mut column) = (self.words, self.reference.len());
        let mut alignment = Alignment {
            ends: vec![0; column],
            is_wrong: vec![true; word],
            is_missed: vec![true; column],
        };
        while word > 0 || column > 0 {
            let edit = match rows[word].at(column).1 {
                _ if word == 0 => Edit::Insert,
                _ if column == 0 => Edit::Delete,
                edit => edit,
            };
            if edit != Edit::Delete {
                column -= 1;
                alignment.ends[column] = word;
            }
            if edit != Edit::Insert {
                word -= 1;
            }
            if edit == Edit::Keep {
                (alignment.is_wrong[word], alignment.is_missed[column]) = (false, false);
            }
        }
        alignment
    }
}

struct Alignment {
    /// For each word of the reference, how many words of the hypothesis end with or before it.
    ends: Vec<usize>,
    /// For each word of the hypothesis, whether it is edited.
    is_wrong: Vec<bool>,
    /// For each word of the reference, whether it comes from an edit.
    is_missed: Vec<bool>,
}

/// Of a move: the distance after it, the run's length, its start and its target.
type Rank = (Reverse<usize>, usize, Reverse<usize>, Reverse<usize>);

/// The words with that run moved which leaves the smallest distance; of equals the longest run, then
/// the first, then the one that is moved to the first place. `tried` counts on.
fn best_move(table: &Table<'_>, words: &[usize], tried: &mut usize) -> Option<(usize, Vec<usize>)> {
    let rows = table.rows(words);
    let alignment = table.alignment(&rows);
    let reference = table.reference;
    let mut best: Option<(Rank, Vec<usize>)> = None;
    for (start, place, length) in equal_runs(words, reference) {
        let is_wrong = alignment.is_wrong[start..start + length].contains(&true);
        let is_missed = alignment.is_missed[place..place + length].contains(&true);
        // What stands at the place already is not moved into itself.
        let is_inside = (start + 1..=start + length).contains(&alignment.ends[place]);
        if !is_wrong || !is_missed || is_inside {
            continue;
        }
        let mut before = None;
        // Before the run's place, and after each of the words that are there now.
        for at in place..=place + length {
            let target = match at.checked_sub(1) {
                None => 0,
                Some(at) => match alignment.ends.get(at) {
                    Some(&end) => end,
                    None => break,
                },
            };
            if before.replace(target) == Some(target) {
                continue;
            }
            let moved = moved(words, start, length, target);
            let known = moved.iter().zip(words).take_while(|(a, b)| a == b).count();
            let after = table.distance_after(&rows[known], known, &moved);
            let rank = (Reverse(after), length, Reverse(start), Reverse(target));
            *tried += 1;
            if best.as_ref().is_none_or(|(most, _)| rank > *most) {
                best = Some((rank, moved));
            }
        }
        if *tried >= MOST_TRIED {
            break;
        }
    }
    best.map(|((Reverse(after), ..), moved)| (after, moved))
}

/// Where equal runs start in the words and in the reference, and how long they are.
fn equal_runs<'a>(
    words: &'a [usize],
    reference: &'a [usize],
) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
    (0..words.len()).flat_map(move |start| {
        let near = start.saturating_sub(FARTHEST)..reference.len().min(start + FARTHEST + 1);
        near.flat_map(move |place| {
            let pairs = words[start..].iter().zip(&reference[place..]).take(LONGEST);
            let longest = pairs.take_while(|(a, b)| a == b).count();
            (1..=longest).map(move |length| (start, place, length))
        })
    })
}

/// The run of that length taken out and put where the words before `target` end; a target within
/// the run moves it behind as many of the words that follow.
fn moved(words: &[usize], start: usize, length: usize, target: usize) -> Vec<usize> {
    let run = &words[start..start + length];
    let behind = if target < start {
        return [&words[..target], run, &words[target..start], &words[start + length..]].concat();
    } else if target > start + length {
        target
    } else {
        words.len().min(length + target)
    };
    [&words[..start], &words[start + length..behind], run, &words[behind..]].concat()
}
