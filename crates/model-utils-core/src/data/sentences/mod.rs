//! Pairs of sentences that translate each other.

mod columns;
mod lines;
mod report;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::dataset::{Dataset, out_of_range};
use crate::error::{Error, Result};

pub use columns::Columns;
use columns::cells;
use lines::{Line, Lines};
pub use report::{DropReason, Dropped, PairReport};

/// Lines of a table that are looked at before its columns are guessed.
const HEAD_LINES: usize = 16;

/// A sentence and its translation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SentencePair {
    /// The sentence to translate.
    pub source: String,
    /// Its translation.
    pub target: String,
}

/// Sentence pairs in memory, in the order of their file.
///
/// A line that is no pair is dropped and counted in the [report](Self::report), with its reason; the
/// others are read. Files of which most lines are no pairs are refused. Two sets are equal where their
/// pairs are.
#[derive(Debug, Clone, Default)]
pub struct SentencePairs {
    pairs: Vec<SentencePair>,
    /// Where the pairs stand in their file; empty for those that come from none.
    lines: Vec<u64>,
    /// Without the number of pairs.
    report: PairReport,
}

impl SentencePairs {
    /// Reads two files whose lines belong together (as OPUS, Moses and WMT have them), each packed by
    /// gzip or Zstandard or not (told by its first bytes). White space around a line is cut off. A
    /// line that is blank on a side is dropped on both.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read; [`Error::Format`] with file and line if a packed file is
    /// damaged or ends too early; [`Error::Data`] if one file has more lines than the other, more
    /// lines are [at fault](DropReason::is_fault) than are pairs, or there is no pair.
    pub fn open(source: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<Self> {
        let (source, target) = (source.as_ref(), target.as_ref());
        let mut sources = Lines::open(source)?;
        let mut targets = Lines::open(target)?;
        let mut reading = Reading::new(format!("{} and {}", source.display(), target.display()));
        loop {
            match (sources.next()?, targets.next()?) {
                (None, None) => return reading.done(),
                (Some(source), Some(target)) => {
                    let pair = source.and_then(|source| pair(&source, &target?));
                    reading.add(sources.number(), pair);
                }
                _ => {
                    let reason = format!(
                        "the first has {} lines and the second {}",
                        sources.count()?,
                        targets.count()?
                    );
                    return Err(Error::data(reading.pairs.report.origin, reason));
                }
            }
        }
    }

    /// Reads a table with a pair a line and tabs between its columns; quotation marks are text. The
    /// file may be packed.
    ///
    /// # Errors
    ///
    /// As [`SentencePairs::open`], and [`Error::Format`] where columns cannot be guessed or no column
    /// has such a name, [`Error::Config`] for a column 0.
    pub fn open_tsv(path: impl AsRef<Path>, columns: &Columns) -> Result<Self> {
        let path = path.as_ref();
        let mut lines = Lines::open(path)?;
        let mut head = Vec::new();
        while head.len() < HEAD_LINES
            && let Some(line) = lines.next()?
        {
            head.push(line);
        }
        let places = columns.places(path, &head)?;
        let mut reading = Reading::new(path.display().to_string());
        let add = |reading: &mut Reading, number: u64, line: Line| {
            let row = |line: String| {
                let cell = |place| cells(&line).nth(place).ok_or(DropReason::TooFewColumns);
                if cells(&line).all(str::is_empty) {
                    Err(DropReason::BlankBoth)
                } else {
                    pair(cell(places.source)?, cell(places.target)?)
                }
            };
            let few = places.source.max(places.target) + 1;
            let hint = || format!("expected at least {few} columns with a tab between");
            reading.add_or(number, line.and_then(row), hint);
        };
        for (number, line) in (1..).zip(head).skip(usize::from(places.has_header)) {
            add(&mut reading, number, line);
        }
        while let Some(line) = lines.next()? {
            add(&mut reading, lines.number(), line);
        }
        reading.done()
    }

    /// Reads one file with a JSON object a line, whose texts of these two keys are a pair. A key is
    /// looked for in the object and in that of its key `translation`, where the data sets of Hugging
    /// Face have it; one that begins with `/` is a JSON pointer (RFC 6901). The file may be packed.
    ///
    /// # Errors
    ///
    /// As [`SentencePairs::open`].
    pub fn open_json_lines(
        path: impl AsRef<Path>,
        source_key: &str,
        target_key: &str,
    ) -> Result<Self> {
        let path = path.as_ref();
        let mut lines = Lines::open(path)?;
        let mut reading = Reading::new(path.display().to_string());
        while let Some(line) = lines.next()? {
            let row = |line: String| {
                if line.trim().is_empty() {
                    return Err(DropReason::BlankBoth);
                }
                let value: Value = serde_json::from_str(&line).map_err(|_| DropReason::NotJson)?;
                let text = |key| json_text(&value, key).ok_or(DropReason::NoKey);
                pair(text(source_key)?, text(target_key)?)
            };
            let hint = || format!("expected a JSON object with `{source_key}` and `{target_key}`");
            reading.add_or(lines.number(), line.and_then(row), hint);
        }
        reading.done()
    }

    /// All pairs.
    pub fn pairs(&self) -> &[SentencePair] {
        &self.pairs
    }

    /// The pairs, taken out.
    pub fn into_pairs(self) -> Vec<SentencePair> {
        self.pairs
    }

    /// The line of a pair in its file, counted from 1; of pairs that come from none, its number.
    pub fn line(&self, index: usize) -> u64 {
        self.lines.get(index).copied().unwrap_or(index as u64 + 1)
    }

    /// How many pairs there are, and what was dropped to come to them.
    pub fn report(&self) -> PairReport {
        PairReport { kept: self.pairs.len() as u64, ..self.report.clone() }
    }

    /// The pairs for which there is no reason to drop them; the others are counted in the report.
    #[must_use]
    pub fn dropping(mut self, mut reason: impl FnMut(&SentencePair) -> Option<DropReason>) -> Self {
        let mut kept = Self { report: std::mem::take(&mut self.report), ..Self::default() };
        let lines: Vec<u64> = (0..self.pairs.len()).map(|at| self.line(at)).collect();
        for (pair, line) in self.pairs.into_iter().zip(lines) {
            if let Some(reason) = reason(&pair) {
                kept.report.count(reason, line);
            } else {
                kept.pairs.push(pair);
                kept.lines.push(line);
            }
        }
        kept
    }

    /// Cuts the set in parts: `part` says of a place in which of them its pair belongs. The report on
    /// what was dropped before stays with the first.
    pub fn partition<const N: usize>(self, part: impl Fn(usize) -> usize) -> [Self; N] {
        let origin = self.report.origin.clone();
        let mut parts: [Self; N] = std::array::from_fn(|_| Self {
            report: PairReport { origin: origin.clone(), ..PairReport::default() },
            ..Self::default()
        });
        let lines: Vec<u64> = (0..self.pairs.len()).map(|at| self.line(at)).collect();
        for (at, (pair, line)) in self.pairs.into_iter().zip(lines).enumerate() {
            let part = &mut parts[part(at).min(N - 1)];
            part.pairs.push(pair);
            part.lines.push(line);
        }
        if let Some(first) = parts.first_mut() {
            first.report = self.report;
        }
        parts
    }

    /// The pairs the other way round: what was the target is to be translated.
    #[must_use]
    pub fn reversed(self) -> Self {
        let turn =
            |SentencePair { source, target }| SentencePair { source: target, target: source };
        Self {
            pairs: self.pairs.into_iter().map(turn).collect(),
            report: self.report.turned(),
            ..self
        }
    }
}

impl PartialEq for SentencePairs {
    fn eq(&self, other: &Self) -> bool {
        self.pairs == other.pairs
    }
}

impl Eq for SentencePairs {}

impl FromIterator<SentencePair> for SentencePairs {
    fn from_iter<I: IntoIterator<Item = SentencePair>>(pairs: I) -> Self {
        Self { pairs: pairs.into_iter().collect(), ..Self::default() }
    }
}

impl<S: Into<String>, T: Into<String>> FromIterator<(S, T)> for SentencePairs {
    fn from_iter<I: IntoIterator<Item = (S, T)>>(pairs: I) -> Self {
        let pair = |(source, target): (S, T)| SentencePair {
            source: source.into(),
            target: target.into(),
        };
        pairs.into_iter().map(pair).collect()
    }
}

impl Dataset for SentencePairs {
    type Item = SentencePair;

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn get(&self, index: usize) -> Result<SentencePair> {
        let pair = self.pairs.get(index).cloned();
        pair.ok_or_else(|| out_of_range("sentence pairs", index, self.pairs.len()))
    }
}

/// A pair, if neither side is blank.
fn pair(source: &str, target: &str) -> Result<SentencePair, DropReason> {
    let (source, target) = (source.trim(), target.trim());
    match (source.is_empty(), target.is_empty()) {
        (true, true) => Err(DropReason::BlankBoth),
        (true, false) => Err(DropReason::BlankSource),
        (false, true) => Err(DropReason::BlankTarget),
        (false, false) => Ok(SentencePair { source: source.into(), target: target.into() }),
    }
}

fn json_text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    let found = if key.starts_with('/') {
        value.pointer(key)
    } else {
        value.get(key).or_else(|| value.get("translation")?.get(key))
    };
    found?.as_str()
}

/// Pairs that are being read.
struct Reading {
    pairs: SentencePairs,
    /// What was expected of the first line at fault.
    hint: Option<String>,
}

impl Reading {
    fn new(origin: String) -> Self {
        let report = PairReport { origin, ..PairReport::default() };
        Self { pairs: SentencePairs { report, ..SentencePairs::default() }, hint: None }
    }

    fn add(&mut self, line: u64, pair: Result<SentencePair, DropReason>) {
        match pair {
            Ok(pair) => {
                self.pairs.pairs.push(pair);
                self.pairs.lines.push(line);
            }
            Err(reason) => self.pairs.report.count(reason, line),
        }
    }

    /// The same; `hint` says what was expected of a line.
    fn add_or(
        &mut self,
        line: u64,
        pair: Result<SentencePair, DropReason>,
        hint: impl Fn() -> String,
    ) {
        use DropReason::{NoKey, NotJson, TooFewColumns};
        if matches!(pair, Err(NoKey | NotJson | TooFewColumns)) {
            self.hint.get_or_insert_with(hint);
        }
        self.add(line, pair);
    }

    /// The pairs, if most lines are some.
    fn done(self) -> Result<SentencePairs> {
        let report = self.pairs.report();
        if report.kept > 0 && report.faults() <= report.kept {
            return Ok(self.pairs);
        }
        let what = match (report.kept, report.dropped()) {
            (0, 0) => "there is no sentence in it".to_owned(),
            (0, _) => format!("there is no sentence pair in it: {}", report.reasons()),
            (kept, _) => format!("only {kept} lines are pairs: {}", report.reasons()),
        };
        let hint = self.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Err(Error::data(report.origin, what + &hint))
    }
}

/// Reads a text file with a sentence a line, packed or not, white space around each cut off. A blank
/// line is an empty text, so that lines keep their numbers.
///
/// # Errors
///
/// As [`SentencePairs::open`], and [`Error::Format`] with the line if it is not UTF-8 or longer than
/// 1 MiB.
pub fn read_sentences(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    let mut lines = Lines::open(path)?;
    let mut sentences = Vec::new();
    while let Some(line) = lines.next()? {
        let wrong =
            |reason| Error::format(path, "text", format!("line {}: {reason}", lines.number()));
        sentences.push(line.map_err(wrong)?.trim().to_owned());
    }
    if sentences.iter().all(String::is_empty) {
        return Err(Error::data(path.display().to_string(), "there is no sentence in it"));
    }
    Ok(sentences)
}

/// The first line of a text file, packed or not; none where it is not text.
///
/// # Errors
///
/// As [`SentencePairs::open`], for a file that cannot be read.
pub fn first_line(path: impl AsRef<Path>) -> Result<Option<String>> {
    Ok(Lines::open(path.as_ref())?.next()?.and_then(Result::ok))
}
