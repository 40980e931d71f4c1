//! Which files of a folder hold which pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model_utils::data::{Columns, SentencePairs, first_line};

use super::splits::{NAMES, Side};
use crate::error::{Error, Result};

/// What the files of a part may be called.
const PARTS: [&[&str]; 3] = [
    &["train", "training"],
    &["valid", "val", "validation", "dev", "newsdev"],
    &["test", "devtest", "newstest"],
];
/// Files about the data, by the head of their names.
const ABOUT: [&str; 11] = [
    "readme",
    "license",
    "licence",
    "copying",
    "notice",
    "authors",
    "citation",
    "changelog",
    "changes",
    "contributing",
    "makefile",
];
/// Endings of two or three letters that are no language.
const NO_LANGUAGE: [&str; 42] = [
    "avi", "bat", "bin", "bpe", "bz", "cfg", "csv", "dat", "doc", "exe", "git", "htm", "ids",
    "ini", "ipa", "jpg", "js", "lm", "log", "lst", "md", "md5", "mp3", "mp4", "npy", "npz", "pdf",
    "php", "pkl", "png", "py", "rb", "rst", "sgm", "sql", "svg", "tmx", "txt", "wav", "xml", "yml",
    "zip",
];
/// What sides are called where it is not by their language.
const SOURCES: [&str; 2] = ["src", "source"];
const TARGETS: [&str; 4] = ["tgt", "trg", "target", "ref"];
/// What English is called: the usual target where no direction is given.
const ENGLISH: [&str; 2] = ["en", "eng"];
/// Languages or sets that are named in a message.
const SHOWN: usize = 12;

/// The files of a folder and of those within it.
pub(super) struct Folder {
    path: PathBuf,
    files: Vec<File>,
}

/// A file of pairs, or of one side of them.
struct File {
    /// What it shares with its other side: `train` of `train.de.gz`, `dev/newstest2013`.
    set: String,
    holds: Holds,
    path: PathBuf,
}

enum Holds {
    /// Sentences of a language, and the side that its name says they are.
    Sentences(String, Option<Side>),
    /// A pair a line, tabs between.
    Table,
    /// An object a line.
    JsonLines,
}

/// From which language to which; none where neither is known.
pub(super) type Direction = Option<[String; 2]>;

/// The sets that were found.
pub(super) enum Found {
    /// Training, validation, test.
    Parts([String; 3]),
    /// One that is to be cut.
    One(String),
}

impl Folder {
    /// Looks at the names of all files.
    pub(super) fn list(path: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for (name, entry) in visible(path)? {
            if entry.is_dir() {
                let within = visible(&entry)?.into_iter();
                files.extend(within.filter_map(|(file, path)| File::named(&name, &file, path)));
            } else {
                files.extend(File::named("", &name, entry));
            }
        }
        Ok(Self { path: path.to_path_buf(), files })
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        Err(Error::pairs(self.path.display().to_string(), reason))
    }

    /// From which language to which.
    pub(super) fn direction(&self, given: Option<&[String; 2]>) -> Result<Direction> {
        let mut of_sets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut told: BTreeMap<&str, [Option<&str>; 2]> = BTreeMap::new();
        for file in &self.files {
            let Holds::Sentences(language, role) = &file.holds else { continue };
            if is_language(language) || is_side(language) {
                of_sets.entry(&file.set).or_default().insert(language);
            }
            if let Some(role) = role {
                told.entry(&file.set).or_default()[*role as usize] = Some(language);
            }
        }
        let of_sets = of_sets.into_values().filter(|languages| languages.len() > 1);
        let languages: BTreeSet<&str> = of_sets.flatten().collect();
        let languages: Vec<&str> = languages.into_iter().collect();
        let whole = || self.files.iter().filter(|file| !file.is_one_side());
        if let Some(given) = given {
            if self.sets(&Some(given.clone())).is_empty() {
                let [source, target] = given;
                let found = match languages.as_slice() {
                    [] => "neither is there".to_owned(),
                    found => format!("found {}", list(found)),
                };
                return self.fail(format!("no pairs of `{source}` and `{target}`: {found}"));
            }
            return Ok(Some(given.clone()));
        }
        // WMT's names say which side was translated.
        let told: BTreeSet<[&str; 2]> =
            told.into_values().filter_map(|sides| Some([sides[0]?, sides[1]?])).collect();
        if let (Some(told), 1) = (told.first(), told.len()) {
            return Ok(Some(told.map(str::to_owned)));
        }
        if languages.is_empty() {
            let Some(first) = whole().next() else {
                return self.fail(
                    "no pairs in it: expected two files `NAME.LANGUAGE`, a `NAME.tsv` or a \
                     `NAME.jsonl`",
                );
            };
            let json = whole().find(|file| matches!(file.holds, Holds::JsonLines));
            let keys = languages_of(&first_line(&json.unwrap_or(first).path)?.unwrap_or_default());
            return Ok(usual(&keys.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        match usual(&languages) {
            Some(direction) => Ok(Some(direction)),
            None => {
                self.fail(format!("found {}: say from which to which language", list(&languages)))
            }
        }
    }

    /// The files of a set that are read in this direction: two of one side each, or one of both.
    fn files_of<'a>(&'a self, set: &str, direction: &Direction) -> Vec<&'a File> {
        let of_set = || self.files.iter().filter(move |file| file.set == set);
        let side = |side: Side| -> Vec<&File> {
            let Some(direction) = direction else { return Vec::new() };
            let wanted = &direction[side as usize];
            of_set()
                .filter(|file| match &file.holds {
                    Holds::Sentences(language, role) => {
                        language == wanted && role.is_none_or(|role| role == side)
                    }
                    _ => false,
                })
                .collect()
        };
        let [source, target] = [Side::Source, Side::Target].map(side);
        if source.is_empty() || target.is_empty() {
            return of_set().filter(|file| !file.is_one_side()).collect();
        }
        [source, target].concat()
    }

    /// The names of all sets of pairs.
    fn sets(&self, direction: &Direction) -> Vec<String> {
        let names: BTreeSet<&str> = self.files.iter().map(|file| file.set.as_str()).collect();
        let is_set = |set: &&str| !self.files_of(set, direction).is_empty();
        names.into_iter().filter(is_set).map(str::to_owned).collect()
    }

    /// Which sets are the parts; `chosen` names some of them.
    pub(super) fn parts(&self, direction: &Direction, chosen: [Option<&str>; 3]) -> Result<Found> {
        let sets = self.sets(direction);
        let mut parts: [Option<String>; 3] = [None, None, None];
        for (part, name) in chosen.into_iter().enumerate() {
            let Some(name) = name else { continue };
            let named: Vec<&String> =
                sets.iter().filter(|set| is_called(set, name, direction)).collect();
            let [set] = named[..] else {
                return self.fail(match named.len() {
                    0 => format!("no set is called `{name}`: found {}", list(&sets)),
                    _ => format!("several sets are called `{name}`: {}", list(&named)),
                });
            };
            parts[part] = Some(set.clone());
        }
        let taken: Vec<String> = parts.iter().flatten().cloned().collect();
        for part in 0..parts.len() {
            if parts[part].is_some() {
                continue;
            }
            let mut found: Vec<(&String, bool)> = sets
                .iter()
                .filter(|set| !taken.contains(set))
                .filter_map(|set| Some((set, part_of(set, direction).filter(|p| p.0 == part)?.1)))
                .collect();
            if found.iter().any(|&(_, is_exact)| is_exact) {
                found.retain(|&(_, is_exact)| is_exact);
            }
            match found[..] {
                [] => {}
                [(set, _)] => parts[part] = Some(set.clone()),
                _ => {
                    let names: Vec<&String> = found.iter().map(|&(set, _)| set).collect();
                    return self.fail(format!(
                        "several sets may be the {} part: {}: say which by its name",
                        NAMES[part],
                        list(&names)
                    ));
                }
            }
        }
        match parts {
            [Some(train), Some(valid), Some(test)] => Ok(Found::Parts([train, valid, test])),
            [None, None, None] if sets.len() == 1 => Ok(Found::One(sets.concat())),
            [None, None, None] => self.fail(format!(
                "expected `train`, `valid` and `test` parts or one set of pairs, found {}",
                if sets.is_empty() { "neither".to_owned() } else { list(&sets) }
            )),
            parts => {
                let missing = parts.iter().position(Option::is_none).unwrap_or_default();
                self.fail(format!(
                    "there is no {} part (`{}`), found {}",
                    NAMES[missing],
                    PARTS[missing].join("`, `"),
                    list(&sets)
                ))
            }
        }
    }

    /// Reads a set.
    pub(super) fn read(
        &self,
        set: &str,
        direction: &Direction,
        columns: &Columns,
    ) -> Result<SentencePairs> {
        let files = self.files_of(set, direction);
        match (files.as_slice(), direction) {
            ([source, target], _) if source.is_one_side() && !source.is_like(target) => {
                Ok(SentencePairs::open(&source.path, &target.path)?)
            }
            ([File { holds: Holds::JsonLines, path, .. }], direction) => {
                let [source, target] = match direction {
                    Some([source, target]) => [source.as_str(), target],
                    None => ["source", "target"],
                };
                Ok(SentencePairs::open_json_lines(path, source, target)?)
            }
            ([File { path, .. }], direction) => {
                let columns = match columns {
                    Columns::Guessed => self.columns(path, direction)?,
                    chosen => chosen.clone(),
                };
                Ok(SentencePairs::open_tsv(path, &columns)?)
            }
            (files, _) => {
                let names: Vec<String> =
                    files.iter().map(|file| file.path.display().to_string()).collect();
                self.fail(format!("several files are `{set}`: {}: leave one of them", list(&names)))
            }
        }
    }

    /// The columns of a table of which none were chosen.
    fn columns(&self, path: &Path, direction: &Direction) -> Result<Columns> {
        let first = first_line(path)?.unwrap_or_default();
        let has = |name: &str| first.split('\t').any(|cell| cell.trim() == name);
        let [source, target] = match direction {
            Some([source, target]) => [source.as_str(), target],
            None => ["source", "target"],
        };
        if has(source) && has(target) {
            return Ok(Columns::Names(source.to_owned(), target.to_owned()));
        }
        if !(is_side(source) && is_side(target)) {
            return self.fail(format!(
                "{}: its first line does not name `{source}` and `{target}`: say which columns they \
                 are",
                path.display()
            ));
        }
        Ok(Columns::Guessed)
    }
}

impl File {
    /// What a file holds by its name; none where it is no pairs. `within` is the folder that it is in.
    fn named(within: &str, name: &str, path: PathBuf) -> Option<Self> {
        let head = name.split(['.', '-', '_']).next().unwrap_or(name).to_lowercase();
        if ABOUT.contains(&head.as_str()) || path.is_dir() {
            return None;
        }
        let packed = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending));
        let plain = packed.unwrap_or(name);
        let under = |set: &str| match (within, set) {
            ("", set) => set.to_owned(),
            (within, "") => within.to_owned(),
            (within, set) => format!("{within}/{set}"),
        };
        let whole = |set: &str, holds| Some((under(set), holds));
        let (set, holds) = match plain.rsplit_once('.') {
            Some((set, "tsv")) => whole(set, Holds::Table),
            Some((set, "jsonl")) => whole(set, Holds::JsonLines),
            Some((set, "txt")) => match first_line(&path) {
                Ok(Some(line)) if line.contains('\t') => whole(set, Holds::Table),
                _ => sentences(set)
                    .filter(|(_, holds)| holds.is_language())
                    .map(|(set, holds)| (under(set), holds)),
            },
            _ => sentences(plain).map(|(set, holds)| (under(set), holds)),
        }?;
        (!set.is_empty()).then_some(Self { set, holds, path })
    }

    fn is_one_side(&self) -> bool {
        matches!(self.holds, Holds::Sentences(..))
    }

    /// Whether two files hold the same language.
    fn is_like(&self, other: &Self) -> bool {
        match (&self.holds, &other.holds) {
            (Holds::Sentences(a, _), Holds::Sentences(b, _)) => a == b,
            _ => false,
        }
    }
}

impl Holds {
    fn is_language(&self) -> bool {
        matches!(self, Self::Sentences(language, _) if is_language(language) || is_side(language))
    }
}

/// The set and the language of `SET.LANGUAGE`, of `LANGUAGE.PART` as FLORES has it, and of `LANGUAGE`.
fn sentences(name: &str) -> Option<(&str, Holds)> {
    let Some((set, ending)) = name.rsplit_once('.') else {
        return is_language(name).then(|| ("", Holds::Sentences(name.to_owned(), None)));
    };
    if is_language(set) && part_of(ending, &None).is_some() {
        return Some((ending, Holds::Sentences(set.to_owned(), None)));
    }
    let roles = [("src", Side::Source), ("ref", Side::Target)];
    let role = roles.into_iter().find_map(|(name, side)| {
        let set = set.strip_suffix(name)?.strip_suffix(['-', '.'])?;
        Some((set, Some(side)))
    });
    let (set, role) = role.unwrap_or((set, None));
    Some((set, Holds::Sentences(ending.to_owned(), role)))
}

/// The files and folders in one, by name, hidden ones left out.
fn visible(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).map_err(model_utils::Error::io("list", path))? {
        let entry = entry.map_err(model_utils::Error::io("list", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(['.', '_']) && !name.ends_with('~') {
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}

/// Whether it is written as a language is: `de`, `deu`, `pt_BR`, `zh-Hant`, `deu_Latn`.
fn is_language(name: &str) -> bool {
    let mut parts = name.split(['_', '-']);
    let main = parts.next().unwrap_or_default();
    (2..=3).contains(&main.len())
        && main.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !NO_LANGUAGE.contains(&main.to_ascii_lowercase().as_str())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn is_side(name: &str) -> bool {
    SOURCES.contains(&name) || TARGETS.contains(&name)
}

/// The direction between two languages that needs not be said.
fn usual(languages: &[&str]) -> Direction {
    let is_english = |name: &str| {
        let main = name.split(['_', '-']).next().unwrap_or(name);
        ENGLISH.contains(&main.to_ascii_lowercase().as_str())
    };
    let is_target = |target: &str, source: &str| {
        TARGETS.contains(&target) && SOURCES.contains(&source)
            || is_english(target) && !is_english(source)
    };
    match *languages {
        [a, b] if is_target(b, a) => Some([a, b].map(str::to_owned)),
        [a, b] if is_target(a, b) => Some([b, a].map(str::to_owned)),
        _ => None,
    }
}

/// The languages that are keys of texts in a line of JSON.
fn languages_of(line: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let object = value.get("translation").unwrap_or(&value).as_object();
    let texts = object.into_iter().flatten().filter(|(_, value)| value.is_string());
    texts.map(|(key, _)| key.clone()).filter(|key| is_language(key) || is_side(key)).collect()
}

/// A piece of a set's name without its direction: `train` of `train.de-en`, `newstest2014` of
/// `newstest2014-deen`.
fn without_direction<'a>(piece: &'a str, direction: &Direction) -> &'a str {
    let Some([a, b]) = direction else { return piece };
    let tags = [(a, b), (b, a)]
        .into_iter()
        .flat_map(|(a, b)| ["-", "_", ""].map(|between| format!("{a}{between}{b}")));
    let cut = |tag: String| piece.strip_suffix(&tag)?.strip_suffix(['.', '-', '_']);
    tags.into_iter().find_map(cut).unwrap_or(piece)
}

/// Which part a set is by its name or that of its folder, and whether it is called just that.
fn part_of(set: &str, direction: &Direction) -> Option<(usize, bool)> {
    set.rsplit('/').find_map(|piece| {
        let piece = without_direction(piece, direction).to_ascii_lowercase();
        PARTS.iter().enumerate().find_map(|(part, names)| {
            let mut rests = names.iter().filter_map(|name| piece.strip_prefix(name));
            let rest = rests.find(|rest| !rest.starts_with(char::is_alphabetic))?;
            Some((part, rest.is_empty()))
        })
    })
}

/// Whether a set has this name, its folder and direction told or not.
fn is_called(set: &str, name: &str, direction: &Direction) -> bool {
    let file = set.rsplit('/').next().unwrap_or(set);
    [set, file, without_direction(file, direction)].contains(&name)
}

/// The first names of a list, and how many more there are.
fn list(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
