//! Pairs of sentences that translate each other.

use std::io::{BufRead, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::dataset::{Dataset, out_of_range};
use crate::data::unpack::open_unpacked;
use crate::error::{Error, Result};

/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// The most text that is read of one file, unpacked, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 33;

/// A sentence and its translation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SentencePair {
    /// The sentence to translate.
    pub source: String,
    /// Its translation.
    pub target: String,
}

/// Sentence pairs in memory, in the order of their file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SentencePairs {
    pairs: Vec<SentencePair>,
}

impl SentencePairs {
    /// Reads two files whose lines belong together, each gzipped or not (told by its first bytes).
    /// White space around a line is cut off.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read; [`Error::Format`] with file and line if a line is not
    /// UTF-8, empty or longer than 1 MiB; [`Error::Data`] if one file has more lines than the other
    /// or there is none.
    pub fn open(source: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<Self> {
        let (source, target) = (source.as_ref(), target.as_ref());
        let mut sources = Lines::open(source)?;
        let mut targets = Lines::open(target)?;
        let mut pairs = Vec::new();
        loop {
            let pair = match (sources.sentence()?, targets.sentence()?) {
                (None, None) => break,
                (Some(source), Some(target)) => SentencePair { source, target },
                (found, _) => {
                    let (short, long) =
                        if found.is_none() { (source, target) } else { (target, source) };
                    let lines = pairs.len();
                    return Err(Error::data(
                        format!("{} and {}", source.display(), target.display()),
                        format!(
                            "{} ends after {lines} lines, but {} goes on with line {}",
                            short.display(),
                            long.display(),
                            lines + 1
                        ),
                    ));
                }
            };
            pairs.push(pair);
        }
        Self::not_empty(pairs, source)
    }

    /// Reads one file with a pair a line: source, a tab, target; further columns are passed over.
    /// The file may be gzipped.
    ///
    /// # Errors
    ///
    /// As [`SentencePairs::open`], and [`Error::Format`] with the line if it has no tab.
    pub fn open_tsv(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut lines = Lines::open(path)?;
        let mut pairs = Vec::new();
        while let Some(line) = lines.next_line()? {
            let mut columns = line.split('\t').map(str::trim);
            let pair = match (columns.next(), columns.next()) {
                (Some(source), Some(target)) if !source.is_empty() && !target.is_empty() => {
                    SentencePair { source: source.into(), target: target.into() }
                }
                (_, None) => return Err(lines.fail("expected source, tab, target; found no tab")),
                _ => return Err(lines.fail("a sentence is empty")),
            };
            pairs.push(pair);
        }
        Self::not_empty(pairs, path)
    }

    /// Reads one file with a JSON object a line, whose texts of these two keys are a pair; where an
    /// object has the key `translation`, its value is looked into. Empty lines are errors, further
    /// keys are passed over. The file may be gzipped.
    ///
    /// # Errors
    ///
    /// As [`SentencePairs::open`], and [`Error::Format`] with the line if it is not JSON or lacks a
    /// key.
    pub fn open_json_lines(
        path: impl AsRef<Path>,
        source_key: &str,
        target_key: &str,
    ) -> Result<Self> {
        let path = path.as_ref();
        let mut lines = Lines::open(path)?;
        let mut pairs = Vec::new();
        while let Some(line) = lines.sentence()? {
            let value: Value = serde_json::from_str(&line)
                .map_err(|e| lines.fail(format!("expected a JSON object: {e}")))?;
            let object = value.get("translation").unwrap_or(&value);
            let text = |key: &str| match object.get(key).and_then(Value::as_str).map(str::trim) {
                None => Err(lines.fail(format!("expected a text of the key `{key}`"))),
                Some("") => Err(lines.fail(format!("the text of `{key}` is empty"))),
                Some(text) => Ok(text.to_owned()),
            };
            pairs.push(SentencePair { source: text(source_key)?, target: text(target_key)? });
        }
        Self::not_empty(pairs, path)
    }

    fn not_empty(pairs: Vec<SentencePair>, path: &Path) -> Result<Self> {
        if pairs.is_empty() {
            return Err(Error::data(path.display().to_string(), "there is no sentence in it"));
        }
        Ok(Self { pairs })
    }

    /// All pairs.
    pub fn pairs(&self) -> &[SentencePair] {
        &self.pairs
    }

    /// The pairs, taken out.
    pub fn into_pairs(self) -> Vec<SentencePair> {
        self.pairs
    }

    /// The pairs the other way round: what was the target is to be translated.
    #[must_use]
    pub fn reversed(self) -> Self {
        let turn =
            |SentencePair { source, target }| SentencePair { source: target, target: source };
        self.pairs.into_iter().map(turn).collect()
    }
}

impl FromIterator<SentencePair> for SentencePairs {
    fn from_iter<I: IntoIterator<Item = SentencePair>>(pairs: I) -> Self {
        Self { pairs: pairs.into_iter().collect() }
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

/// Reads a text file with a sentence a line, gzipped or not, white space around each cut off.
///
/// # Errors
///
/// As [`SentencePairs::open`].
pub fn read_sentences(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    let mut lines = Lines::open(path)?;
    let mut sentences = Vec::new();
    while let Some(sentence) = lines.sentence()? {
        sentences.push(sentence);
    }
    if sentences.is_empty() {
        return Err(Error::data(path.display().to_string(), "there is no sentence in it"));
    }
    Ok(sentences)
}

/// The lines of a text file, counted.
struct Lines<'a> {
    reader: Box<dyn BufRead + Send>,
    path: &'a Path,
    line: u64,
    bytes: u64,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        Ok(Self { reader: open_unpacked(path)?, path, line: 0, bytes: 0 })
    }

    /// An error at the current line.
    fn fail(&self, reason: impl std::fmt::Display) -> Error {
        Error::format(self.path, "text", format!("line {}: {reason}", self.line))
    }

    /// The next line without its end.
    fn next_line(&mut self) -> Result<Option<String>> {
        self.line += 1;
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut bytes);
        match read {
            Ok(0) => return Ok(None),
            Ok(n) => self.bytes += n as u64,
            Err(e) => return Err(self.fail(e)),
        }
        if bytes.len() as u64 > MAX_LINE_BYTES {
            return Err(self.fail("it is longer than 1 MiB"));
        }
        if self.bytes > MAX_FILE_BYTES {
            return Err(self.fail(format!("there are more than {MAX_FILE_BYTES} bytes")));
        }
        let mut text = String::from_utf8(bytes)
            .map_err(|e| self.fail(format!("it is not UTF-8: {}", e.utf8_error())))?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        if self.line == 1 && text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Ok(Some(text))
    }

    /// The next line as a sentence: trimmed and not empty.
    fn sentence(&mut self) -> Result<Option<String>> {
        let Some(line) = self.next_line()? else { return Ok(None) };
        let sentence = line.trim();
        if sentence.is_empty() { Err(self.fail("it is empty")) } else { Ok(Some(sentence.into())) }
    }
}
