//! Folders of checkpoints: one writer, and as many that look as there are.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Checkpoint, Goal, INDEX, Saved};
use crate::atomic;
use crate::config;
use crate::error::{Error, Result};
use crate::history::{Curve, History};

/// Learning curves, a line a save and metric.
const HISTORY: &str = "history.jsonl";
/// Locked by the writer.
const LOCK: &str = ".lock";
const PREFIX: &str = "step-";
/// Folders in the making and folders being replaced; neither survives the next opening.
const MAKING: &str = ".making-";
const REPLACED: &str = ".replaced-";

/// A folder of checkpoints of one run: one writer, and as many that look as there are.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    keep_last: usize,
    keep_best: Option<Goal>,
    may_change: Vec<String>,
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
        Ok(Self::new(folder, Some(Arc::new(lock))))
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
        Ok(Self::new(folder, None))
    }

    fn new(folder: PathBuf, lock: Option<Arc<File>>) -> Self {
        Self { folder, keep_last: 2, keep_best: None, may_change: Vec::new(), lock }
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

    /// Lets a [run](crate::run::Run) that goes on here have another value of a field of its
    /// configuration, or of all below it (`schedule`, `optimizer.learning_rate`), than it was begun
    /// with; without, that is refused. What a run is (budget, patience, how often it logs and saves)
    /// may change in any case.
    #[must_use]
    pub fn allow_change(mut self, field: &str) -> Self {
        self.may_change.push(field.to_owned());
        self
    }

    /// Whether a field, `.` between its levels, may have changed.
    pub(crate) fn allows(&self, field: &str) -> bool {
        self.may_change.iter().any(|allowed| {
            field
                .strip_prefix(allowed.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
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
        let name = format!("{PREFIX}{:012}", checkpoint.step());
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
        // Those that a writer removed since they were listed may have been all: listed again then.
        let mut gone = true;
        let mut all = Vec::new();
        while gone {
            (gone, all) = (false, Vec::new());
            for folder in self.steps()? {
                match Saved::open(&folder) {
                    Ok(saved) => all.push(saved),
                    Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                        gone |= !folder.exists();
                    }
                    Err(error) => return Err(error),
                }
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
            let name =
                saved.folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let aside = self.folder.join(format!("{MAKING}{name}"));
            fs::rename(saved.folder(), &aside).map_err(Error::io("rename", saved.folder()))?;
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

pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    fs::read_dir(folder)
        .map_err(Error::io("list", folder))?
        .map(|entry| {
            let entry = entry.map_err(Error::io("list", folder))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}
