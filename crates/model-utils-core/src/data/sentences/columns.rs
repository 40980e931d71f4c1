//! Which columns of a table are sentences.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::lines::Line;
use crate::config::ConfigError;
use crate::error::{Error, Result};

/// Which two columns of a table are a pair, the source first.
///
/// ```
/// use model_utils_core::data::Columns;
///
/// assert_eq!("4,2".parse::<Columns>()?, Columns::Numbers(4, 2));
/// assert_eq!("pt,en".parse::<Columns>()?, Columns::Names("pt".into(), "en".into()));
/// # Ok::<(), model_utils_core::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Columns {
    /// The first two; the second and fourth where the first and third are numbers, as in an export
    /// of pairs by Tatoeba (id, text, id, text). Any other table with numbers in one of the first two
    /// is refused.
    #[default]
    Guessed,
    /// By number, counted from 1.
    Numbers(usize, usize),
    /// By their names in the first line.
    Names(String, String),
}

/// Two numbers, or two names, with a comma between.
impl FromStr for Columns {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            let expected =
                "two numbers from 1, or two names of the first line, as in `2,4`, not the same";
            ConfigError::new("columns", text, expected)
        };
        let sides: Vec<&str> = text.split(',').map(str::trim).collect();
        let [source, target] = sides[..] else { return Err(wrong()) };
        if source == target {
            return Err(wrong());
        }
        match (source.parse(), target.parse()) {
            (Ok(source @ 1..), Ok(target @ 1..)) => Ok(Self::Numbers(source, target)),
            (Err(_), Err(_)) if !source.is_empty() && !target.is_empty() => {
                Ok(Self::Names(source.to_owned(), target.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

/// The cells of a line.
pub(super) fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split('\t').map(str::trim)
}

/// The places of two columns, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) source: usize,
    pub(super) target: usize,
    /// Whether the first line names them.
    pub(super) has_header: bool,
}

impl Columns {
    /// The places in the table that begins with these lines.
    pub(super) fn places(&self, path: &Path, head: &[Line]) -> Result<Places> {
        let fail = |reason: String| Err(Error::format(path, "table", reason));
        let (source, target) = match self {
            Self::Numbers(0, _) | Self::Numbers(_, 0) => {
                return Err(ConfigError::new("columns", 0, "numbers counted from 1").into());
            }
            Self::Numbers(source, target) if source == target => {
                return Err(ConfigError::new("columns", source, "two that are not the same").into());
            }
            Self::Numbers(source, target) => (source - 1, target - 1),
            Self::Names(source, target) => {
                let names: Vec<&str> = match head.first() {
                    Some(Ok(line)) => cells(line).collect(),
                    _ => Vec::new(),
                };
                let again =
                    |name: &&String| names.iter().filter(|found| *found == name).count() > 1;
                if let Some(name) = [source, target].into_iter().find(again) {
                    return fail(format!("its first line names several columns `{name}`"));
                }
                let place = |name: &str| names.iter().position(|found| *found == name);
                let (Some(source), Some(target)) = (place(source), place(target)) else {
                    let found = shortened(&names.join(", "));
                    return fail(format!(
                        "its first line names no columns `{source}` and `{target}`, but holds: {found}"
                    ));
                };
                return Ok(Places { source, target, has_header: true });
            }
            Self::Guessed => match guessed(head) {
                Ok(places) => places,
                Err(column) => {
                    return fail(format!(
                        "column {column} holds numbers: say which columns are the sentences"
                    ));
                }
            },
        };
        Ok(Places { source, target, has_header: false })
    }
}

/// The columns of sentences, or the first of numbers.
fn guessed(head: &[Line]) -> Result<(usize, usize), usize> {
    let rows: Vec<Vec<&str>> = head
        .iter()
        .flatten()
        .filter(|line| line.contains('\t'))
        .map(|line| cells(line).collect())
        .collect();
    let is_number = |column: usize| {
        let is_number = |row: &Vec<&str>| row.get(column).is_some_and(|cell| number(cell));
        !rows.is_empty() && rows.iter().all(is_number)
    };
    match [0, 1, 2, 3].map(is_number) {
        [true, false, true, false] => Ok((1, 3)),
        [true, ..] => Err(1),
        [_, true, ..] => Err(2),
        _ => Ok((0, 1)),
    }
}

fn number(cell: &str) -> bool {
    cell.bytes().all(|byte| byte.is_ascii_digit() || b".-+eE".contains(&byte))
        && cell.parse::<f64>().is_ok()
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
