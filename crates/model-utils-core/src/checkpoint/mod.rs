//! Checkpoints: files and a state that a run goes on from as if it had never stopped.
//!
//! A checkpoint is a folder `step-000000001200` with files and `checkpoint.json`: the step, the
//! caller's own state and the length and CRC-32 of every file. It is written beside its place and
//! renamed, so that it is whole or not there: a kill at any moment leaves the checkpoints before it.
//! What of it is a network or an optimiser, `model-utils` knows.
//!
//! ```
//! use model_utils_core::checkpoint::{Checkpoint, Checkpoints};
//!
//! # fn main() -> model_utils_core::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! let checkpoints = Checkpoints::open(folder)?.keep_last(3);
//! checkpoints.save(&Checkpoint::new(1200).bytes("table", vec![1, 2, 3])?.state(&"any state")?)?;
//!
//! // Also from another process, while a run writes.
//! let saved = Checkpoints::look(folder)?.latest()?.expect("one was saved");
//! assert_eq!((saved.step(), saved.bytes("table")?), (1200, vec![1, 2, 3]));
//! assert_eq!(saved.state::<String>()?, "any state");
//! # Ok(())
//! # }
//! ```

mod folder;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic;
use crate::config::{self, ConfigError};
use crate::error::{Error, Result};
use crate::run::Record;

pub use folder::Checkpoints;

/// The version of the folders that this crate writes; older ones are read, newer ones refused.
const FORMAT_VERSION: u32 = 2;
const INDEX: &str = "checkpoint.json";

/// Which scores are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// Accuracy, reward, BLEU.
    Highest,
    /// Loss, FID.
    Lowest,
}

impl Goal {
    /// Whether `a` is better than `b`; NaN never is.
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Highest => a > b,
            Self::Lowest => a < b,
        }
    }
}

/// What goes into one checkpoint: taken from the running training, then saved at once.
#[derive(Debug, Default)]
pub struct Checkpoint {
    step: u64,
    score: Option<f64>,
    files: Vec<(String, Vec<u8>)>,
    state: Value,
    run: Option<Record>,
}

/// What `checkpoint.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Index {
    format_version: u32,
    step: u64,
    #[serde(with = "crate::number::option")]
    score: Option<f64>,
    /// Length in bytes and CRC-32 of each file.
    files: BTreeMap<String, (u64, u32)>,
    state: Value,
    /// Since version 2, of a checkpoint that a [run](crate::run::Run) saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Record>,
}

impl Checkpoint {
    /// An empty checkpoint of a step.
    pub fn new(step: u64) -> Self {
        Self { step, ..Self::default() }
    }

    /// The step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// How good the model is at this step, for keeping the best.
    #[must_use]
    pub fn score(mut self, score: f64) -> Self {
        self.score = Some(score);
        self
    }

    /// Adds bytes of the caller's own, for what JSON would bloat: a replay buffer, moments.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a name that cannot be a file's or is taken.
    pub fn bytes(self, name: &str, bytes: Vec<u8>) -> Result<Self> {
        self.file(name, "bin", bytes)
    }

    /// Adds a file of a kind, which its extension tells: things of several kinds may have one name.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a name that cannot be a file's or is taken.
    pub fn file(mut self, name: &str, kind: &str, bytes: Vec<u8>) -> Result<Self> {
        let is_plain = !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || "-_. ".contains(c))
            && !name.starts_with('.');
        let expected = "letters, digits, `-`, `_`, `.` and spaces, no `.` at its beginning";
        config::require(is_plain, "name", name, expected)?;
        let file = format!("{name}.{kind}");
        let is_taken = file == INDEX || self.files.iter().any(|(other, _)| *other == file);
        config::require(!is_taken, "name", name, "one that the checkpoint does not hold yet")?;
        self.files.push((file, bytes));
        Ok(self)
    }

    /// Sets the caller's own part: position in the data, seeds, anything that serialises.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what JSON cannot hold.
    pub fn state(mut self, state: &impl Serialize) -> Result<Self> {
        self.state = serde_json::to_value(state)
            .map_err(|error| ConfigError::new("state", error, "a value that JSON can hold"))?;
        Ok(self)
    }

    pub(crate) fn with_run(mut self, run: Record) -> Self {
        self.run = Some(run);
        self
    }

    /// Writes all files into a new folder and flushes them.
    fn write(&self, folder: &Path) -> Result<Index> {
        fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        let mut files = BTreeMap::new();
        for (name, bytes) in &self.files {
            atomic::write(folder.join(name), bytes)?;
            files.insert(name.clone(), (bytes.len() as u64, crc32fast::hash(bytes)));
        }
        let index = Index {
            format_version: FORMAT_VERSION,
            step: self.step,
            score: self.score,
            files,
            state: self.state.clone(),
            run: self.run.clone(),
        };
        let path = folder.join(INDEX);
        let text = serde_json::to_vec_pretty(&index)
            .map_err(|error| Error::format(&path, "checkpoint", error.to_string()))?;
        atomic::write(path, &text)?;
        Ok(index)
    }
}

/// A checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Saved {
    folder: PathBuf,
    index: Index,
}

impl Saved {
    /// Opens the folder of one checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Format`] for an index that cannot be read, [`Error::Mismatch`]
    /// for one of a newer version.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let path = folder.join(INDEX);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let index: Index = serde_json::from_slice(&text).map_err(|error| {
            let reason = format!("{error}; remove its folder to go on from the one before");
            Error::format(&path, "checkpoint", reason)
        })?;
        if index.format_version > FORMAT_VERSION {
            return Err(Error::Mismatch {
                path,
                differences: vec![format!(
                    "its format version is {}, this build reads up to {FORMAT_VERSION}",
                    index.format_version
                )],
            });
        }
        Ok(Self { folder, index })
    }

    /// The step it was taken at.
    pub fn step(&self) -> u64 {
        self.index.step
    }

    /// How good the model was.
    pub fn score(&self) -> Option<f64> {
        self.index.score
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a run wrote of itself; none in checkpoints of version 1.
    pub(crate) fn run(&self) -> Option<&Record> {
        self.index.run.as_ref()
    }

    /// Bytes of the caller's own.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where there are none of this name, or they are damaged.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.file(name, "bin")?.1)
    }

    /// Whether it holds a file of a name and kind.
    pub fn has(&self, name: &str, kind: &str) -> bool {
        self.index.files.contains_key(&format!("{name}.{kind}"))
    }

    /// The path and the bytes of a file of a name and kind, whose length and checksum are those of
    /// the index.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where there is none, or it is damaged.
    pub fn file(&self, name: &str, kind: &str) -> Result<(PathBuf, Vec<u8>)> {
        let name = format!("{name}.{kind}");
        let path = self.folder.join(&name);
        let Some((length, crc)) = self.index.files.get(&name).copied() else {
            let has: Vec<_> = self.index.files.keys().map(String::as_str).collect();
            let reason = format!("it has no `{name}`, only {}", has.join(", "));
            return Err(Error::format(&self.folder, "checkpoint", reason));
        };
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let found = (bytes.len() as u64, crc32fast::hash(&bytes));
        if found != (length, crc) {
            return Err(Error::format(
                &path,
                "checkpoint",
                format!(
                    "it is damaged: {} bytes with CRC-32 {:08x}, expected {length} with {crc:08x}; \
                     remove its folder to go on from the one before",
                    found.0, found.1
                ),
            ));
        }
        Ok((path, bytes))
    }

    /// The caller's own part.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where it is not of this type.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S> {
        S::deserialize(&self.index.state).map_err(|error| {
            Error::format(self.folder.join(INDEX), "checkpoint", format!("state: {error}"))
        })
    }
}
