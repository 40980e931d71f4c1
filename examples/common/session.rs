//! How a program begins, is stopped, goes on and ends.

use std::fs::{DirEntry, File, Metadata};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Parser;
use model_utils::checkpoint::Checkpoints;
use model_utils::train::{CsvLog, Event, Observer, ProgressBar, Stop, Stoppable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::Metrics;

/// The exit status of a program that was stopped.
const STOPPED: u8 = 130;
/// How long a program may take to end by itself.
const PATIENCE: Duration = Duration::from_millis(2300);
const GLANCE: Duration = Duration::from_millis(20);
const LOCK: &str = ".lock";
/// Signals so close to each other are one.
const ONE_PRESS: Duration = Duration::from_millis(200);

/// The flag of programs that can go on where they were stopped.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Resume {
    /// Go on where an earlier run with this output folder was stopped
    #[arg(long)]
    pub resume: bool,
}

/// Runs a program: reads its flags, makes its folder, and ends it as Ctrl-C and errors ask for. A
/// second Ctrl-C ends it at once.
pub fn program<A: Parser>(
    name: &'static str,
    body: impl FnOnce(A, &Session) -> anyhow::Result<()>,
) -> ExitCode {
    let session = Arc::new(Session::of::<A>(name));
    let result = session.begin().and_then(|()| body(A::parse(), &session));
    ExitCode::from(session.end(result))
}

/// The same for a program that talks with its user, or with another program: Ctrl-C ends it at once.
pub fn conversation<A: Parser>(
    name: &'static str,
    body: impl FnOnce(A, &Session) -> anyhow::Result<()>,
) -> ExitCode {
    let session = Session::of::<A>(name);
    let begun = end_without_reader().and_then(|()| end_on_ctrl_c());
    let result = begun.and_then(|()| body(A::parse(), &session));
    ExitCode::from(session.end(result))
}

/// From here on Ctrl-C ends the program at once.
pub fn end_on_ctrl_c() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(signal, i32::from(STOPPED), always)?;
    }
    Ok(())
}

/// A reader that went away, as `head` does, ends a program as it ends others.
fn end_without_reader() -> anyhow::Result<()> {
    #[cfg(unix)]
    flag::register_conditional_default(
        signal_hook::consts::SIGPIPE,
        Arc::new(AtomicBool::new(true)),
    )?;
    Ok(())
}

/// A program asked to stop before it came to its end.
#[derive(Debug)]
struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

/// Who ends the program.
const NOBODY: u8 = 0;
const ITSELF: u8 = 1;
const WATCHER: u8 = 2;

/// One run of a program. As an observer it stops trainings, and notes how far they are.
pub struct Session {
    name: &'static str,
    out: PathBuf,
    /// Without `--resume`.
    flags: Vec<String>,
    /// `None` where there is nothing to resume.
    resume: Option<bool>,
    started: SystemTime,
    stop: Stop,
    place: Mutex<Place>,
    /// Whether the folder of checkpoints is as this run wants it.
    is_prepared: Mutex<bool>,
    ends: AtomicU8,
    /// Of the folder: one program writes to it.
    lock: Mutex<Option<File>>,
}

/// How far a program is.
#[derive(Default)]
struct Place {
    stage: String,
    step: Option<u64>,
    of: Option<u64>,
    /// Figures of what is finished.
    figures: Metrics,
}

/// Something that took long, and the flags that it was made with.
#[derive(Serialize, Deserialize)]
struct Part<T> {
    flags: Vec<String>,
    value: T,
}

impl Session {
    fn of<A: Parser>(name: &'static str) -> Self {
        let flags = A::command().get_matches();
        let out = flags.try_get_one::<PathBuf>("out").ok().flatten();
        let out = out.cloned().unwrap_or_else(|| Path::new("out").join(name));
        let resume = flags.try_get_one::<bool>("resume").ok().flatten().copied();
        let flags = std::env::args_os().skip(1).map(|flag| flag.to_string_lossy().into_owned());
        Self::new(name, out, flags.collect(), resume)
    }

    fn new(name: &'static str, out: PathBuf, mut flags: Vec<String>, resume: Option<bool>) -> Self {
        flags.retain(|flag| flag != "--resume");
        Self {
            name,
            out,
            flags,
            resume,
            started: SystemTime::now(),
            stop: Stop::new(),
            place: Mutex::default(),
            is_prepared: Mutex::default(),
            ends: AtomicU8::new(NOBODY),
            lock: Mutex::default(),
        }
    }

    /// The folder for pictures, metrics.json and checkpoints.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The switch that Ctrl-C throws.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The switch around what a long call takes.
    pub fn around<T>(&self, inner: T) -> Stoppable<T> {
        self.stop.around(inner)
    }

    /// Names what comes next, for whoever stops it there.
    pub fn stage(&self, name: impl Into<String>) {
        let mut place = self.place();
        (place.stage, place.step, place.of) = (name.into(), None, None);
    }

    /// Refuses to go on where Ctrl-C was pressed: before anything is made of what may not have come
    /// to its end.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.stop.is_stopped() { Err(Stopped.into()) } else { Ok(()) }
    }

    /// Figures that stand, whatever happens to the rest.
    pub fn keep(&self, figures: &Metrics) {
        self.place().figures = figures.clone();
    }

    /// A progress bar, and the session itself.
    pub fn progress(&self) -> (ProgressBar, &Self) {
        (ProgressBar::new(), self)
    }

    /// Whether what an earlier run kept is used.
    pub fn resumes(&self) -> bool {
        self.resume == Some(true)
    }

    /// Where a training keeps its checkpoints: those of an earlier run are there with `--resume`, and
    /// gone without.
    pub fn checkpoints(&self, training: &str) -> anyhow::Result<Checkpoints> {
        Ok(Checkpoints::open(self.kept()?.join(training))?)
    }

    /// A log of events that goes on with a resumed run.
    pub fn log(&self, path: impl AsRef<Path>) -> anyhow::Result<CsvLog> {
        let path = path.as_ref();
        if !self.resumes() && path.is_file() {
            std::fs::remove_file(path)
                .with_context(|| format!("cannot clear {}", path.display()))?;
        }
        Ok(CsvLog::resume(path)?)
    }

    /// What takes long and has no checkpoint: a run that goes on with the same flags finds it made.
    pub fn part<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.check()?;
        let path = self.kept()?.join(format!("{name}.json"));
        if let Ok(text) = std::fs::read(&path) {
            let part: Part<T> = serde_json::from_slice(&text)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let [made, given] = [&part.flags, &self.flags].map(|flags| without_out(flags));
            anyhow::ensure!(
                made == given,
                "--resume: `{name}` was made with the flags `{}`, and these are `{}`: give the same, \
                 or begin anew without --resume",
                made.join(" "),
                given.join(" ")
            );
            return Ok(part.value);
        }
        let part = Part { flags: self.flags.clone(), value: make()? };
        self.check()?;
        model_utils::atomic::write(&path, &serde_json::to_vec(&part)?)?;
        Ok(part.value)
    }

    /// Whether what is kept under a name is of a run with the same flags, which is resumed.
    pub fn goes_on(&self, name: &str) -> anyhow::Result<bool> {
        let mut goes_on = true;
        self.part(name, || {
            goes_on = false;
            Ok(())
        })?;
        Ok(goes_on)
    }

    /// The folder of checkpoints and parts.
    pub fn kept(&self) -> anyhow::Result<PathBuf> {
        let folder = self.out.join("checkpoints");
        let mut is_prepared = lock(&self.is_prepared);
        let is_empty =
            || std::fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
        if !*is_prepared && self.resumes() && is_empty() {
            println!("nothing to resume in {}: it begins anew", self.out.display());
        }
        if !*is_prepared && !self.resumes() && folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        *is_prepared = true;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// Prints the figures and writes them; the program is at its end.
    pub fn finish(&self, metrics: &Metrics) -> anyhow::Result<()> {
        self.check()?;
        self.take_the_end();
        metrics.finish(&self.out)
    }

    /// The same without printing them, for a program that has told what they say.
    pub fn finish_silently(&self, metrics: &Metrics) -> anyhow::Result<()> {
        self.check()?;
        self.take_the_end();
        metrics.write(&self.out)
    }

    /// For what has no end of its own, as a server: a stop ends it in order, however long that takes.
    pub fn end_by_itself(&self) {
        self.take_the_end();
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        lock(&self.place)
    }

    /// Makes the folder and listens to signals.
    fn begin(self: &Arc<Self>) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot create {}", self.out.display()))?;
        let path = self.out.join(LOCK);
        let lock =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if lock.try_lock().is_err() {
            return Err(model_utils::Error::InUse { path: self.out.clone() }.into());
        }
        *self::lock(&self.lock) = Some(lock);
        end_without_reader()?;
        let [pressed, again] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, i32::from(STOPPED), again.clone())?;
            flag::register(signal, pressed.clone())?;
        }
        let session = self.clone();
        std::thread::spawn(move || session.watch(&pressed, &again));
        Ok(())
    }

    /// Waits for Ctrl-C, asks the program to stop, and ends it where it does not.
    fn watch(&self, pressed: &AtomicBool, again: &AtomicBool) {
        while !pressed.load(Ordering::SeqCst) {
            std::thread::sleep(GLANCE);
        }
        self.stop.stop();
        // `timeout` and some terminals send a signal twice, and mean one.
        std::thread::sleep(ONE_PRESS);
        again.store(true, Ordering::SeqCst);
        if std::io::stderr().is_terminal() {
            eprintln!("\nstopping (again: at once)");
        }
        std::thread::sleep(PATIENCE);
        if self.ends.compare_exchange(NOBODY, WATCHER, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.tell_stopped();
            low_level::exit(i32::from(STOPPED));
        }
    }

    /// From here on the watcher lets the program end by itself.
    fn take_the_end(&self) {
        let taken = self.ends.compare_exchange(NOBODY, ITSELF, Ordering::SeqCst, Ordering::SeqCst);
        while taken == Err(WATCHER) {
            std::thread::park();
        }
    }

    /// The exit status for what the program came to.
    fn end(&self, result: anyhow::Result<()>) -> u8 {
        self.take_the_end();
        match result {
            Ok(()) => 0,
            Err(error) if self.stop.is_stopped() => {
                // The crates' own words for it say nothing new.
                let text = format!("{error:#}");
                if !error.is::<Stopped>() && !text.contains("was stopped at") {
                    eprintln!("error: {text}");
                }
                self.tell_stopped();
                STOPPED
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                1
            }
        }
    }

    /// Writes metrics.json, and the last line.
    fn tell_stopped(&self) {
        let place = self.place();
        let mut metrics = place.figures.clone();
        metrics.set("stopped", true);
        metrics.set("stopped_stage", place.stage.clone());
        if let Some(step) = place.step {
            metrics.set("stopped_step", step);
        }
        if let Err(error) = metrics.write(&self.out) {
            eprintln!("error: {error:#}");
        }
        let earlier = self.files_from_before();
        if !self.resumes() && !earlier.is_empty() {
            eprintln!("of an earlier run in {}: {}", self.out.display(), earlier.join(", "));
        }
        let mut stdout = std::io::stdout();
        let _ = writeln!(stdout, "{}", self.last_line(&place)).and_then(|()| stdout.flush());
    }

    /// Names of the files in the folder that this run has not written.
    fn files_from_before(&self) -> Vec<String> {
        let is_from_before = |entry: &DirEntry| {
            let metadata = entry.metadata().ok().filter(Metadata::is_file);
            let modified = metadata.and_then(|metadata| metadata.modified().ok());
            modified.is_some_and(|modified| modified < self.started)
        };
        let entries = std::fs::read_dir(&self.out).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(is_from_before)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != LOCK)
            .collect();
        names.sort();
        names
    }

    fn last_line(&self, place: &Place) -> String {
        let stage = match place.stage.as_str() {
            "" => String::new(),
            stage => format!(" in {stage}"),
        };
        let step = match (place.step, place.of) {
            (Some(step), Some(of)) => format!(" at step {step} of {of}"),
            (Some(step), None) => format!(" at step {step}"),
            _ => String::new(),
        };
        let goes_on = if self.resume.is_some() { "it goes on with" } else { "it begins anew with" };
        format!("stopped{stage}{step}; {goes_on}: {}", self.command())
    }

    /// What to type to go on.
    fn command(&self) -> String {
        let mut words = vec!["cargo run --release".to_owned()];
        let built = [
            ("ndarray", cfg!(feature = "ndarray")),
            ("wgpu", cfg!(feature = "wgpu")),
            ("cuda", cfg!(feature = "cuda")),
            ("download", cfg!(feature = "download")),
        ];
        let features: Vec<&str> =
            built.iter().filter(|(_, is_in)| *is_in).map(|(name, _)| *name).collect();
        if !features.is_empty() {
            words.push(format!("--features {}", features.join(",")));
        }
        words.push(format!("--example {}", self.name));
        let resume = self.resume.map(|_| "--resume".to_owned());
        let flags: Vec<String> = self.flags.iter().map(|flag| quoted(flag)).chain(resume).collect();
        if !flags.is_empty() {
            words.push("--".to_owned());
        }
        words.extend(flags);
        words.join(" ")
    }
}

/// Stops what it observes, and notes its step.
impl Observer for &Session {
    fn observe(&mut self, event: &Event<'_>) {
        let mut place = self.place();
        match event {
            Event::Started { step, of, .. } | Event::Step { step, of, .. } => {
                (place.step, place.of) = (Some(*step), *of);
            }
            Event::Epoch { step, .. } | Event::Finished { step, .. } => place.step = Some(*step),
            _ => {}
        }
    }

    fn wants_stop(&self) -> bool {
        self.stop.is_stopped()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Flags without the folder: what is made does not depend on it.
fn without_out(flags: &[String]) -> Vec<String> {
    let mut flags = flags.iter();
    let mut kept = Vec::new();
    while let Some(flag) = flags.next() {
        if flag == "--out" {
            flags.next();
        } else if !flag.starts_with("--out=") {
            kept.push(flag.clone());
        }
    }
    kept
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+%@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(out: &Path, flags: &[&str], resume: Option<bool>) -> Session {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Session::new("rl_maze", out.to_path_buf(), flags, resume)
    }

    #[test]
    fn the_last_line_says_where_and_how_it_goes_on() {
        let session = session(Path::new("out"), &["--resume", "--title", "it's"], Some(true));
        session.stage("learning");
        let of = Some(9);
        (&session).observe(&Event::Started { task: "any", step: 7, of });
        let line = session.last_line(&session.place());
        let begin = "stopped in learning at step 7 of 9; it goes on with: cargo run --release ";
        // Between them stand the features it was built with.
        let end = "--example rl_maze -- --title 'it'\\''s' --resume";
        assert!(line.starts_with(begin) && line.ends_with(end), "{line}");
    }

    #[test]
    fn a_program_without_resume_begins_anew() {
        let session = session(Path::new("out"), &[], None);
        let line = session.last_line(&session.place());
        assert!(line.starts_with("stopped; it begins anew with: cargo run"), "{line}");
        assert!(line.ends_with("--example rl_maze"), "{line}");
    }

    #[test]
    fn a_stop_ends_it_with_its_figures() {
        let out = tempfile::tempdir().unwrap();
        let session = session(out.path(), &[], Some(false));
        let mut figures = Metrics::default();
        figures.set("score", 0.5);
        session.keep(&figures);
        session.check().unwrap();
        session.stop().stop();
        assert!((&session).wants_stop());
        let error = session.finish(&figures).unwrap_err();
        assert_eq!(session.end(Err(error)), STOPPED);
        let text = std::fs::read_to_string(out.path().join("metrics.json")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["stopped"], &value["score"]), (&true.into(), &0.5.into()));
    }

    #[test]
    fn parts_are_found_again_with_the_same_flags_alone() {
        let out = tempfile::tempdir().unwrap();
        let make = |flags: &[&str], resume: bool, value: u32| {
            session(out.path(), flags, Some(resume)).part("grade", || Ok(value))
        };
        assert_eq!(make(&["--games", "2"], false, 1).unwrap(), 1);
        assert_eq!(make(&["--games", "2", "--resume"], true, 2).unwrap(), 1);
        // Where it stands changes nothing.
        assert_eq!(make(&["--out", "./x", "--games", "2"], true, 2).unwrap(), 1);
        let error = make(&["--games", "3", "--resume"], true, 3).unwrap_err().to_string();
        assert!(error.contains("`--games 2`, and these are `--games 3`"), "{error}");
        assert_eq!(make(&["--games", "3"], false, 4).unwrap(), 4);
    }
}
