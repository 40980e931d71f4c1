//! Sentence pairs in three parts: to learn from, to choose by, and to measure on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use model_utils::config;
use model_utils::data::{SentencePair, SentencePairs};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A side of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The sentence to translate.
    Source,
    /// Its translation.
    Target,
}

impl Side {
    /// The sentence of a pair on this side.
    pub fn sentence(self, pair: &SentencePair) -> &str {
        match self {
            Self::Source => &pair.source,
            Self::Target => &pair.target,
        }
    }
}

/// Pairs that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The fewest words on either side.
    pub min_words: usize,
    /// The most words on either side.
    pub max_words: usize,
    /// How many times as many words one side may have as the other.
    pub max_ratio: f64,
}

impl Default for Filter {
    fn default() -> Self {
        Self { min_words: 1, max_words: usize::MAX, max_ratio: f64::INFINITY }
    }
}

impl Filter {
    /// Whether a pair is kept.
    pub fn keeps(&self, pair: &SentencePair) -> bool {
        let [a, b] = [&pair.source, &pair.target].map(|text| text.split_whitespace().count());
        let (less, more) = (a.min(b), a.max(b));
        less >= self.min_words
            && more <= self.max_words
            && more as f64 <= self.max_ratio * less as f64
    }

    /// The pairs that are kept.
    pub fn apply(&self, pairs: &SentencePairs) -> SentencePairs {
        pairs.pairs().iter().filter(|pair| self.keeps(pair)).cloned().collect()
    }
}

/// Pairs in three parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splits {
    /// To learn from.
    pub train: SentencePairs,
    /// To choose by: when to stop, which weights are best.
    pub valid: SentencePairs,
    /// To measure on, once.
    pub test: SentencePairs,
}

/// What the files of a part may be called.
const PARTS: [&[&str]; 3] = [&["train"], &["valid", "val", "dev"], &["test"]];
/// The parts' names in messages.
const NAMES: [&str; 3] = ["training", "validation", "test"];
/// What English is called in file names: the usual target where no direction is given.
const ENGLISH: [&str; 2] = ["en", "eng"];

impl Splits {
    /// Cuts pairs at random. Pairs with the same sentence on `side` stay together, so that no
    /// sentence of that side is in two parts. `shares` are those of validation and test, of the
    /// different sentences.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for shares that are not above 0 or leave nothing to learn from,
    /// [`Error::Pairs`] for fewer than three different sentences.
    pub fn by_unique(
        pairs: &SentencePairs,
        side: Side,
        shares: [f64; 2],
        seed: u64,
    ) -> Result<Self> {
        let holds = shares.iter().all(|&share| share > 0.0) && shares[0] + shares[1] < 1.0;
        config::require(holds, "shares", shares, "both above 0, together below 1")?;
        // In the order of their first appearance, which the file alone decides.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, pair) in pairs.pairs().iter().enumerate() {
            let place = *places.entry(side.sentence(pair)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(at);
        }
        let count = groups.len();
        if count < 3 {
            let reason =
                format!("{count} different sentences, expected at least 3 for three parts");
            return Err(Error::pairs("the set", reason));
        }
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let size = |share: f64| ((count as f64 * share).round() as usize).clamp(1, count / 3);
        let (valid, rest) = groups.split_at(size(shares[0]));
        let (test, train) = rest.split_at(size(shares[1]));
        let part = |groups: &[Vec<usize>]| {
            let mut places: Vec<usize> = groups.iter().flatten().copied().collect();
            places.sort_unstable();
            places.into_iter().map(|at| pairs.pairs()[at].clone()).collect()
        };
        Ok(Self { train: part(train), valid: part(valid), test: part(test) })
    }

    /// Reads a folder: parts in files `train`, `valid` (or `val`, `dev`) and `test…`, or one set
    /// that is cut by different target sentences into 90, 5 and 5 %. Each part is two files
    /// `NAME.LANGUAGE` whose lines belong together, or one `NAME.tsv`, or one `NAME.jsonl` whose keys
    /// are the languages; all gzipped or not. Without a direction, there must be two languages, and
    /// English is the target. Of several test parts the first by name is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Pairs`] where the folder does not hold such files, and what reading them brings.
    pub fn open(
        folder: impl AsRef<Path>,
        direction: Option<(&str, &str)>,
        seed: u64,
    ) -> Result<Self> {
        let folder = Folder::list(folder.as_ref())?;
        let direction = folder.direction(direction)?;
        let parts: Vec<Option<String>> =
            PARTS.iter().map(|names| folder.part(names, &direction)).collect();
        if let [Some(train), valid, test] = parts.as_slice() {
            let missing = |what: &str| {
                let place = folder.path.display().to_string();
                Err(Error::pairs(place, format!("there is a training part, but no {what} part")))
            };
            let Some(valid) = valid else { return missing("validation (`valid`, `val`, `dev`)") };
            let Some(test) = test else { return missing("test") };
            let read = |name: &String| folder.read(name, &direction);
            return Ok(Self { train: read(train)?, valid: read(valid)?, test: read(test)? });
        }
        let sets = folder.sets(&direction);
        let [set] = sets.as_slice() else {
            let reason = format!(
                "expected `train`, `valid` and `test` parts or one set of pairs, found {}",
                if sets.is_empty() { "neither".to_owned() } else { sets.join(", ") }
            );
            return Err(Error::pairs(folder.path.display().to_string(), reason));
        };
        Self::by_unique(&folder.read(set, &direction)?, Side::Target, [0.05, 0.05], seed)
    }

    /// Takes out of the training part every pair of which one side stands in validation or test,
    /// and every pair that comes again. Tells how many went.
    #[must_use]
    pub fn deduplicated(self) -> (Self, usize) {
        let before = self.train.pairs().len();
        let mut seen = HashSet::new();
        let train: SentencePairs = {
            let held: Vec<&SentencePair> =
                self.valid.pairs().iter().chain(self.test.pairs()).collect();
            let sources: HashSet<&str> = held.iter().map(|pair| pair.source.as_str()).collect();
            let targets: HashSet<&str> = held.iter().map(|pair| pair.target.as_str()).collect();
            let is_new = |pair: &&SentencePair| {
                !sources.contains(pair.source.as_str())
                    && !targets.contains(pair.target.as_str())
                    && seen.insert((pair.source.clone(), pair.target.clone()))
            };
            self.train.pairs().iter().filter(is_new).cloned().collect()
        };
        let gone = before - train.pairs().len();
        (Self { train, ..self }, gone)
    }

    /// Filters the training part; validation and test stay as they are, so that figures compare.
    #[must_use]
    pub fn filtered(self, filter: &Filter) -> Self {
        Self { train: filter.apply(&self.train), ..self }
    }

    /// The pairs the other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            train: self.train.reversed(),
            valid: self.valid.reversed(),
            test: self.test.reversed(),
        }
    }

    /// Refuses parts that are empty.
    pub(crate) fn check(&self) -> Result<()> {
        let parts = [&self.train, &self.valid];
        for (part, name) in parts.into_iter().zip(NAMES) {
            if part.pairs().is_empty() {
                return Err(Error::pairs(format!("the {name} part"), "there is none"));
            }
        }
        Ok(())
    }
}

/// The files of a folder, by name and ending: `train` and `de` of `train.de.gz`.
struct Folder {
    path: PathBuf,
    files: BTreeMap<(String, String), PathBuf>,
}

/// Endings of files that hold both sides.
const WHOLE: [&str; 2] = ["tsv", "jsonl"];

impl Folder {
    fn list(path: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let listed = std::fs::read_dir(path).map_err(model_utils::Error::io("list", path))?;
        for entry in listed {
            let entry = entry.map_err(model_utils::Error::io("list", path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let plain = name.strip_suffix(".gz").unwrap_or(&name);
            if let Some((stem, ending)) = plain.rsplit_once('.')
                && !stem.is_empty()
            {
                files.insert((stem.to_owned(), ending.to_owned()), entry.path());
            }
        }
        Ok(Self { path: path.to_path_buf(), files })
    }

    /// From which language to which.
    fn direction(&self, given: Option<(&str, &str)>) -> Result<(String, String)> {
        if let Some((source, target)) = given {
            return Ok((source.to_owned(), target.to_owned()));
        }
        // Languages are the endings that a name has two or more of.
        let mut endings: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (stem, ending) in self.files.keys().filter(|(_, e)| !WHOLE.contains(&e.as_str())) {
            endings.entry(stem).or_default().insert(ending);
        }
        let languages: BTreeSet<&str> =
            endings.into_values().filter(|endings| endings.len() > 1).flatten().collect();
        let place = self.path.display().to_string();
        let whole = self.files.keys().find(|(_, ending)| WHOLE.contains(&ending.as_str()));
        match languages.iter().copied().collect::<Vec<_>>().as_slice() {
            [a, b] if ENGLISH.contains(b) => Ok(((*a).to_owned(), (*b).to_owned())),
            [a, b] if ENGLISH.contains(a) => Ok(((*b).to_owned(), (*a).to_owned())),
            [] if whole.is_some() => Ok(("source".to_owned(), "target".to_owned())),
            [] => Err(Error::pairs(
                place,
                "no pairs in it: expected two files `NAME.LANGUAGE`, a `NAME.tsv` or a `NAME.jsonl`",
            )),
            found => {
                let found = found.join(", ");
                Err(Error::pairs(place, format!("found {found}: say from which to which language")))
            }
        }
    }

    fn has(&self, stem: &str, ending: &str) -> bool {
        self.files.contains_key(&(stem.to_owned(), ending.to_owned()))
    }

    /// The names of all sets of pairs.
    fn sets(&self, (source, target): &(String, String)) -> Vec<String> {
        let stems: BTreeSet<&String> = self.files.keys().map(|(stem, _)| stem).collect();
        let is_set = |stem: &str| {
            (self.has(stem, source) && self.has(stem, target))
                || WHOLE.iter().any(|ending| self.has(stem, ending))
        };
        stems.into_iter().filter(|stem| is_set(stem)).cloned().collect()
    }

    /// The first set by one of the names, or that begins with it.
    fn part(&self, names: &[&str], direction: &(String, String)) -> Option<String> {
        let sets = self.sets(direction);
        let exact = names.iter().find_map(|name| sets.iter().find(|set| set == name));
        let begins = || names.iter().find_map(|name| sets.iter().find(|set| set.starts_with(name)));
        exact.or_else(begins).cloned()
    }

    fn read(&self, stem: &str, (source, target): &(String, String)) -> Result<SentencePairs> {
        let file = |ending: &str| self.files.get(&(stem.to_owned(), ending.to_owned()));
        let pairs = match (file(source), file(target), file("tsv"), file("jsonl")) {
            (Some(source), Some(target), ..) => SentencePairs::open(source, target),
            (_, _, Some(tsv), _) => SentencePairs::open_tsv(tsv),
            (_, _, _, Some(jsonl)) => SentencePairs::open_json_lines(jsonl, source, target),
            _ => {
                let reason = format!("`{stem}` is not there in `{source}` and `{target}`");
                return Err(Error::pairs(self.path.display().to_string(), reason));
            }
        };
        Ok(pairs?)
    }
}
