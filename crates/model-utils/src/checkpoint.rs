//! Checkpoints from which training goes on as if it had never stopped.
//!
//! A checkpoint is a folder `step-000000001200` with a file for each module (SafeTensors, as
//! [`weights`] writes them), optimiser and schedule, and `checkpoint.json` with
//! the step, the caller's own state and the length and CRC-32 of every file. It is written
//! beside its place and renamed, so that it is whole or not there: a kill at any moment leaves
//! the checkpoints before it.
//!
//! ```no_run
//! use model_utils::checkpoint::{Checkpoint, Checkpoints};
//! # use burn::{nn::Linear, optim::ModuleOptimizer};
//! # fn f(model: Linear, optimizer: ModuleOptimizer) -> Result<(), model_utils::Error> {
//! let checkpoints = Checkpoints::open("runs/digits")?.keep_last(3);
//! let checkpoint = Checkpoint::new(1200)
//!     .module("model", &model)?
//!     .optimizer("optimizer", &optimizer)?
//!     .state(&("anything that serialises", 42))?;
//! checkpoints.save(&checkpoint)?;
//!
//! if let Some(saved) = checkpoints.latest()? {
//!     let model = saved.module("model", model)?;
//!     let optimizer = saved.optimizer("optimizer", optimizer)?;
//!     let (_, answer): (String, u32) = saved.state()?;
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::lr_scheduler::LrSchedulerRecord;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic;
use crate::config::{self, ConfigError};
use crate::error::{Error, Result, catch_panic};
use crate::train::{Curve, History};
use crate::weights::{self, Manifest, State};

/// The version of the folders that this crate writes.
const FORMAT_VERSION: u32 = 1;
const INDEX: &str = "checkpoint.json";
/// Learning curves, a line a save and metric.
const HISTORY: &str = "history.jsonl";
/// Locked by the writer.
const LOCK: &str = ".lock";
const PREFIX: &str = "step-";
/// Folders in the making and folders being replaced; neither survives the next opening.
const MAKING: &str = ".making-";
const REPLACED: &str = ".replaced-";

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
    modules: Vec<(String, State)>,
    /// By file name.
    records: Vec<(String, Vec<u8>)>,
    state: Value,
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
}

impl Checkpoint {
    /// An empty checkpoint of a step.
    pub fn new(step: u64) -> Self {
        Self { step, ..Self::default() }
    }

    /// How good the model is at this step, for keeping the best.
    #[must_use]
    pub fn score(mut self, score: f64) -> Self {
        self.score = Some(score);
        self
    }

    /// Adds a module with its batch-norm statistics. The live module is not touched.
    ///
    /// # Errors
    ///
    /// Where its tensors cannot be read back from the device.
    pub fn module<M: Module>(mut self, name: &str, module: &M) -> Result<Self> {
        self.check(name, &file_of_module(name))?;
        self.modules.push((name.to_owned(), State::from_module(module, weights::same_names)?));
        Ok(self)
    }

    /// Refuses a name that leaves the folder, and one that is taken.
    fn check(&self, name: &str, file: &str) -> Result<()> {
        let is_plain = !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || "-_. ".contains(c))
            && !name.starts_with('.');
        let expected = "letters, digits, `-`, `_`, `.` and spaces, no `.` at its beginning";
        config::require(is_plain, "name", name, expected)?;
        let is_taken = self.records.iter().any(|(other, _)| other == file)
            || self.modules.iter().any(|(other, _)| file_of_module(other) == file)
            || file == INDEX;
        Ok(config::require(!is_taken, "name", name, "one that the checkpoint does not hold yet")?)
    }

    /// Adds an optimiser's state.
    ///
    /// # Errors
    ///
    /// Where its tensors cannot be read back from the device.
    pub fn optimizer(mut self, name: &str, optimizer: &ModuleOptimizer) -> Result<Self> {
        let bytes =
            optimizer.to_record().into_bytes().map_err(|e| Error::data(name, e.to_string()))?;
        let file = file_of_optimizer(name);
        self.check(name, &file)?;
        self.records.push((file, bytes.to_vec()));
        Ok(self)
    }

    /// Adds a learning-rate schedule's state.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn schedule(mut self, name: &str, schedule: &ModuleLrScheduler) -> Result<Self> {
        let bytes =
            schedule.to_record().into_bytes().map_err(|e| Error::data(name, e.to_string()))?;
        let file = file_of_schedule(name);
        self.check(name, &file)?;
        self.records.push((file, bytes.to_vec()));
        Ok(self)
    }

    /// Adds bytes of the caller's own, for what JSON would bloat: a replay buffer, moments.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a name that cannot be a file's or is taken.
    pub fn bytes(mut self, name: &str, bytes: Vec<u8>) -> Result<Self> {
        let file = file_of_bytes(name);
        self.check(name, &file)?;
        self.records.push((file, bytes));
        Ok(self)
    }

    /// The tensors of the modules that were added.
    pub fn modules(&self) -> impl Iterator<Item = &State> {
        self.modules.iter().map(|(_, state)| state)
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
}

/// A folder of checkpoints of one run: one writer, and as many that look as there are.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    keep_last: usize,
    keep_best: Option<Goal>,
    /// Of the writer; the operating system lets go of it when the process ends, however it ends.
    lock: Option<Arc<File>>,
}

impl Checkpoints {
    /// Opens or creates a folder for writing, and clears away what an interrupted save left there.
    /// Keeps the last two checkpoints. Whoever only reads [looks](Self::look).
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] as long as another run writes to the folder, [`Error::Io`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(Error::io("create folder", &folder))?;
        let path = folder.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: folder }),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        for name in names(&folder)? {
            let place = folder.join(&name);
            if let Some(original) = name.strip_prefix(REPLACED) {
                // Killed between setting the old one aside and putting the new one there.
                let original = folder.join(original);
                if !original.exists() {
                    fs::rename(&place, &original).map_err(Error::io("rename", &place))?;
                    continue;
                }
            }
            if name.starts_with(MAKING) || name.starts_with(REPLACED) {
                fs::remove_dir_all(&place).map_err(Error::io("remove", &place))?;
            }
        }
        Ok(Self { folder, keep_last: 2, keep_best: None, lock: Some(Arc::new(lock)) })
    }

    /// Opens a folder to read what is there, also while a run writes to it; nothing in it is
    /// touched.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where there is no such folder.
    pub fn look(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        names(&folder)?;
        Ok(Self { folder, keep_last: 2, keep_best: None, lock: None })
    }

    fn check_writes(&self) -> Result<()> {
        let expected = "opened by `Checkpoints::open`";
        Ok(config::require(self.lock.is_some(), "checkpoints", "only looked at", expected)?)
    }

    /// How many of the latest checkpoints stay; at least one does.
    #[must_use]
    pub fn keep_last(mut self, count: usize) -> Self {
        self.keep_last = count.max(1);
        self
    }

    /// Keeps the one with the best score too.
    #[must_use]
    pub fn keep_best(mut self, goal: Goal) -> Self {
        self.keep_best = Some(goal);
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves a checkpoint, then removes those that need not be kept.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] (a full disk, a folder that may not be written): the checkpoints that were
    /// there are untouched; [`Error::Config`] where the folder is only looked at.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<Saved> {
        self.check_writes()?;
        let name = format!("{PREFIX}{:012}", checkpoint.step);
        let making = self.folder.join(format!("{MAKING}{name}"));
        if making.exists() {
            fs::remove_dir_all(&making).map_err(Error::io("remove", &making))?;
        }
        let index = checkpoint.write(&making).inspect_err(|_| {
            // The save failed already; its leftovers are cleared at the next opening at latest.
            let _ = fs::remove_dir_all(&making);
        })?;
        let place = self.folder.join(&name);
        let aside = self.folder.join(format!("{REPLACED}{name}"));
        if place.exists() {
            fs::rename(&place, &aside).map_err(Error::io("rename", &place))?;
        }
        fs::rename(&making, &place).map_err(Error::io("rename", &making))?;
        atomic::sync_folder(&self.folder)?;
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
        }
        let saved = Saved { folder: place, index };
        self.remove_old()?;
        Ok(saved)
    }

    /// All checkpoints, the oldest first. Folders without an index, which are none, are passed
    /// over; [`incomplete`](Self::incomplete) names them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Format`] for a checkpoint whose index cannot be read.
    pub fn all(&self) -> Result<Vec<Saved>> {
        let mut all = Vec::new();
        for folder in self.steps()? {
            match Saved::open(folder) {
                Ok(saved) => all.push(saved),
                // Without an index, or removed by the writer since it was listed.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by_key(Saved::step);
        Ok(all)
    }

    /// Folders that look like checkpoints and hold no index.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn incomplete(&self) -> Result<Vec<PathBuf>> {
        let mut found = self.steps()?;
        found.retain(|folder| folder.exists() && !folder.join(INDEX).exists());
        Ok(found)
    }

    fn steps(&self) -> Result<Vec<PathBuf>> {
        let names = names(&self.folder)?.into_iter().filter(|name| name.starts_with(PREFIX));
        Ok(names.map(|name| self.folder.join(name)).collect())
    }

    /// Adds points to the run's history, a file of its own beside the checkpoints, and returns the
    /// file's length in bytes, which a checkpoint should hold. What stands behind `length`, written
    /// after the checkpoint that the run went on from, is cut off.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and [`Error::Config`] where the folder is only looked at.
    pub fn append_history(&self, length: u64, points: &History) -> Result<u64> {
        self.check_writes()?;
        let path = self.folder.join(HISTORY);
        let mut text = Vec::new();
        for curve in &points.curves {
            let line = serde_json::to_vec(curve)
                .map_err(|error| Error::format(&path, "history", error.to_string()))?;
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let write = || {
            let mut file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.set_len(length.min(file.metadata()?.len()))?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(&text)?;
            file.sync_all()?;
            file.stream_position()
        };
        write().map_err(Error::io("write", &path))
    }

    /// The first `length` bytes of the run's history; none where that is 0.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Format`] for a file that is damaged or shorter.
    pub fn history(&self, length: u64) -> Result<History> {
        let mut history = History::default();
        if length == 0 {
            return Ok(history);
        }
        let path = self.folder.join(HISTORY);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let text = usize::try_from(length).ok().and_then(|length| text.get(..length));
        let text = text.ok_or_else(|| {
            let reason =
                format!("it is shorter than {length} bytes, what the checkpoint knew of it");
            Error::format(&path, "history", reason)
        })?;
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let curve: Curve = serde_json::from_slice(line)
                .map_err(|error| Error::format(&path, "history", error.to_string()))?;
            for (step, value) in curve.points {
                history.push(&curve.name, step, value);
            }
        }
        Ok(history)
    }

    /// The checkpoint of the highest step.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub fn latest(&self) -> Result<Option<Saved>> {
        Ok(self.all()?.pop())
    }

    /// The checkpoint with the best score.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub fn best(&self, goal: Goal) -> Result<Option<Saved>> {
        Ok(best(self.all()?, goal))
    }

    fn remove_old(&self) -> Result<()> {
        let all = self.all()?;
        let best =
            self.keep_best.and_then(|goal| best(all.clone(), goal)).map(|saved| saved.step());
        let old = all.len().saturating_sub(self.keep_last);
        for saved in all.into_iter().take(old).filter(|saved| Some(saved.step()) != best) {
            // Out of sight first: a kill within the removal leaves no half checkpoint.
            let name = saved.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let aside = self.folder.join(format!("{MAKING}{name}"));
            fs::rename(&saved.folder, &aside).map_err(Error::io("rename", &saved.folder))?;
            fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
        }
        Ok(())
    }
}

fn best(all: Vec<Saved>, goal: Goal) -> Option<Saved> {
    all.into_iter().filter(|saved| saved.score().is_some_and(|s| !s.is_nan())).reduce(|a, b| {
        let (x, y) = (a.score().unwrap_or(f64::NAN), b.score().unwrap_or(f64::NAN));
        if goal.is_better(y, x) { b } else { a }
    })
}

fn names(folder: &Path) -> Result<Vec<String>> {
    fs::read_dir(folder)
        .map_err(Error::io("list", folder))?
        .map(|entry| {
            let entry = entry.map_err(Error::io("list", folder))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

fn file_of_module(name: &str) -> String {
    format!("{name}.safetensors")
}

fn file_of_optimizer(name: &str) -> String {
    format!("{name}.optimizer.bpk")
}

fn file_of_schedule(name: &str) -> String {
    format!("{name}.schedule.bpk")
}

/// Of both kinds, in older checkpoints.
fn file_of_record(name: &str) -> String {
    format!("{name}.bpk")
}

fn file_of_bytes(name: &str) -> String {
    format!("{name}.bin")
}

impl Checkpoint {
    /// Writes all files into a new folder and flushes them.
    fn write(&self, folder: &Path) -> Result<Index> {
        fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        for (name, state) in &self.modules {
            let manifest = Manifest::new("checkpoint", name, &Value::Null)?;
            state.save(folder.join(file_of_module(name)), &manifest)?;
        }
        for (name, bytes) in &self.records {
            atomic::write(folder.join(name), bytes)?;
        }
        let mut files = BTreeMap::new();
        for name in names(folder)? {
            let path = folder.join(&name);
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            files.insert(name, (bytes.len() as u64, crc32fast::hash(&bytes)));
        }
        let index = Index {
            format_version: FORMAT_VERSION,
            step: self.step,
            score: self.score,
            files,
            state: self.state.clone(),
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
        let index: Index = serde_json::from_slice(&text)
            .map_err(|error| Error::format(&path, "checkpoint", error.to_string()))?;
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

    /// A module with the saved weights, statistics and parameter identities.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a damaged file, [`Error::Mismatch`] for a module of another
    /// configuration, with every difference.
    pub fn module<M: Module>(&self, name: &str, module: M) -> Result<M> {
        let path = self.checked(&file_of_module(name))?;
        let manifest = Manifest::new("checkpoint", name, &Value::Null)?;
        weights::load(module, &manifest, weights::same_names, path)
    }

    /// An optimiser with the saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a damaged file; [`Error::DeviceAbsent`] in the case told there.
    pub fn optimizer(&self, name: &str, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let (path, bytes) = self.record(name, file_of_optimizer(name))?;
        let record = OptimizerRecord::from_bytes(bytes)
            .map_err(|error| Error::format(&path, "optimiser state", error.to_string()))?;
        // Burn stages the state on `Device::default()`, the best backend of this build, whatever
        // device is trained on; without an adapter for it that panics.
        catch_panic(|| optimizer.load_record(record)).map_err(|panic| Error::DeviceAbsent {
            spec: "Burn's default".to_owned(),
            reason: format!(
                "{panic}; optimiser state passes through that device: set BURN_DEVICE=flex, or \
                     build without the backends that are not there"
            ),
        })
    }

    /// A schedule with the saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a damaged file.
    pub fn schedule(&self, name: &str, schedule: ModuleLrScheduler) -> Result<ModuleLrScheduler> {
        let (path, bytes) = self.record(name, file_of_schedule(name))?;
        let record = LrSchedulerRecord::from_bytes(bytes)
            .map_err(|error| Error::format(&path, "schedule state", error.to_string()))?;
        Ok(schedule.load_record(record))
    }

    /// Bytes of the caller's own.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where there are none of this name, or they are damaged.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.checked(&file_of_bytes(name))?;
        fs::read(&path).map_err(Error::io("read", &path))
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

    fn record(&self, name: &str, file: String) -> Result<(PathBuf, Bytes)> {
        let older = file_of_record(name);
        let is_older =
            !self.index.files.contains_key(&file) && self.index.files.contains_key(&older);
        let path = self.checked(if is_older { &older } else { &file })?;
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        Ok((path, Bytes::from_bytes_vec(bytes)))
    }

    /// The path of a file whose length and checksum are those of the index.
    fn checked(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let Some((length, crc)) = self.index.files.get(name).copied() else {
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
        Ok(path)
    }
}
