//! One run, as a visible loop holds it: how long it may go on, how far it is, who is told, what is
//! saved and when, and what it goes on from.
//!
//! ```
//! use model_utils_core::checkpoint::Checkpoints;
//! use model_utils_core::run::Run;
//! use model_utils_core::{Budget, Result, event::Silent};
//!
//! // Halves the distance to 1 at each step; half a step is never seen, whatever happens meanwhile.
//! fn learn(x: &mut f64, run: &mut Run, budget: Budget) -> Result<()> {
//!     let progress = &mut Silent; // or a ProgressBar, a CsvLog, a Stop, a tuple of them
//!     run.start(budget, None, progress)?;
//!     while run.next(progress) {
//!         *x += (1.0 - *x) / 2.0;
//!         run.step(1);
//!         if run.is_report_due(10) {
//!             run.report(&[("distance", 1.0 - *x)], progress);
//!         }
//!         if run.is_save_due() {
//!             run.save(progress, |checkpoint| checkpoint.state(x))?;
//!         }
//!     }
//!     if !run.is_saved() {
//!         run.save(progress, |checkpoint| checkpoint.state(x))?;
//!     }
//!     run.finish(progress);
//!     Ok(())
//! }
//!
//! # fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! let run = || Run::new("halving", &"what must be the same when it goes on");
//! let mut x = 0.0;
//! let mut first = run()?;
//! first.resume_in(Checkpoints::open(folder)?, Some(5))?;
//! learn(&mut x, &mut first, Budget::steps(7))?;
//! drop(first); // lets go of the folder
//!
//! let mut second = run()?;
//! if let Some(saved) = second.resume_in(Checkpoints::open(folder)?, Some(5))? {
//!     x = saved.state()?;
//! }
//! assert_eq!((second.steps(), x), (7, 1.0 - 0.5_f64.powi(7)));
//! learn(&mut x, &mut second, Budget::steps(20))?;
//! assert_eq!(x, 1.0 - 0.5_f64.powi(20));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::budget::{Budget, Spent};
use crate::checkpoint::{Checkpoint, Checkpoints, Saved};
use crate::config::{self, ConfigError};
use crate::error::{Error, Result};
use crate::event::{Event, Observer, StopReason};
use crate::history::History;

/// How far a run is, the parts before a resume included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Position {
    steps: u64,
    epochs: u64,
    /// Batches of the epoch that are done.
    batches: u64,
    episodes: u64,
    items: u64,
    wall_s: f64,
    /// Of it, in steps.
    steps_s: f64,
    /// How long the file of the history is.
    history_bytes: u64,
}

/// What a run writes of itself into a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    task: String,
    /// What must be the same in the run that goes on.
    about: Value,
    position: Position,
}

/// Where checkpoints go, and how often.
#[derive(Debug, Clone)]
struct Keep {
    checkpoints: Checkpoints,
    every: Option<u64>,
    /// The step of the newest one.
    saved: Option<u64>,
}

/// The time since any moment.
#[derive(Clone)]
struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    fn of_machine() -> Self {
        let started = Instant::now();
        Self(Arc::new(move || started.elapsed()))
    }

    fn now(&self) -> Duration {
        (self.0)()
    }
}

/// One run. A trainer has it as a field; the loop that trains calls [`start`](Self::start),
/// [`next`](Self::next) and [`step`](Self::step), tells, saves and [finishes](Self::finish).
#[derive(Debug, Clone)]
pub struct Run {
    task: String,
    about: Value,
    counted: &'static [&'static str],
    clock: Clock,
    position: Position,
    budget: Budget,
    of: Option<u64>,
    /// The clock's time at the start of this part, and what was spent and done before.
    started: Duration,
    before_s: f64,
    first: u64,
    /// When the step began that is being done.
    stepping: Option<Duration>,
    /// Steps and items at the last report, and the time in steps.
    told: (u64, u64, f64),
    history: Option<History>,
    unsaved: History,
    keep: Option<Keep>,
    reason: Option<StopReason>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Ended {
    /// Steps, in all.
    pub steps: u64,
    /// Passes over the data that are done.
    pub epochs: u64,
    /// Episodes that have ended.
    pub episodes: u64,
    /// Time spent in seconds, the parts before a resume included.
    pub wall_s: f64,
    /// Of it the time in steps, without evaluations and saving.
    pub steps_s: f64,
    /// Items a second of that time.
    pub items_per_s: f64,
    /// Why it ended.
    pub reason: StopReason,
}

impl Run {
    /// A run that has not started. `about` is what the run is, field by field: a run that goes on
    /// must be about the same. What may change (budget, patience, how often is logged and saved) has
    /// no place in it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what JSON cannot hold.
    pub fn new(task: &str, about: &impl Serialize) -> Result<Self> {
        let mut run = Self {
            task: task.to_owned(),
            about: Value::Null,
            counted: &["steps", "epochs", "time"],
            clock: Clock::of_machine(),
            position: Position::default(),
            budget: Budget::default(),
            of: None,
            started: Duration::ZERO,
            before_s: 0.0,
            first: 0,
            stepping: None,
            told: (0, 0, 0.0),
            history: Some(History::default()),
            unsaved: History::default(),
            keep: None,
            reason: None,
        };
        run.set_about(about)?;
        Ok(run)
    }

    /// Gives the run another name.
    pub fn set_task(&mut self, task: &str) {
        task.clone_into(&mut self.task);
    }

    /// Says what the run is, where that is known later than the run.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn set_about(&mut self, about: &impl Serialize) -> Result<()> {
        self.about = serde_json::to_value(about)
            .map_err(|error| ConfigError::new("about", error, "a value that JSON can hold"))?;
        Ok(())
    }

    /// Adds a field to what the run is.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn add_about(&mut self, field: &str, value: &impl Serialize) -> Result<()> {
        let before = std::mem::take(&mut self.about);
        self.set_about(value)?;
        let value = std::mem::replace(&mut self.about, before);
        match &mut self.about {
            Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
            other => *other = json!({ field: value }),
        }
        Ok(())
    }

    /// The limits of a budget that it counts, of which there must be one: `steps`, `epochs` and
    /// `time` unless told otherwise, and `episodes`.
    #[must_use]
    pub fn counting(self, limits: &'static [&'static str]) -> Self {
        Self { counted: limits, ..self }
    }

    /// Keeps no learning curves: for runs of very many reports.
    #[must_use]
    pub fn without_history(self) -> Self {
        Self { history: None, ..self }
    }

    /// With another clock than the machine's: the time since any moment.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Clock(Arc::new(now)), ..self }
    }

    /// Saves checkpoints there, `every` so many steps where that is told, and goes on from the
    /// latest, which is returned for the caller to take its own part from.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with each field in which the checkpoint's run is another one and that
    /// [may not change](Checkpoints::allow_change), and for a checkpoint of an older version;
    /// [`Error::Format`] for one that is damaged; [`Error::Mismatch`] too where there are only folders
    /// without an index.
    pub fn resume_in(
        &mut self,
        checkpoints: Checkpoints,
        every: Option<u64>,
    ) -> Result<Option<Saved>> {
        config::require(every != Some(0), "checkpoint_every", every, "at least 1")?;
        let saved = checkpoints.latest()?;
        if let Some(saved) = &saved {
            let refuse = |differences: Vec<String>| {
                Err(Error::Mismatch { path: saved.folder().to_path_buf(), differences })
            };
            let Some(record) = saved.run() else {
                return refuse(vec![
                    "it is of an earlier version (format 1), whose runs this one cannot go on \
                     with: end the run with the version that began it, or begin anew in another \
                     folder"
                        .to_owned(),
                ]);
            };
            if record.task != self.task {
                return refuse(vec![format!(
                    "it holds a run of `{}`, expected `{}`",
                    record.task, self.task
                )]);
            }
            let differences: Vec<String> = config::differences(&self.about, &record.about)
                .into_iter()
                .filter(|difference| !checkpoints.allows(&difference.field))
                .map(|difference| difference.to_string())
                .collect();
            if !differences.is_empty() {
                return refuse(differences);
            }
            self.position = record.position.clone();
            if let Some(history) = &mut self.history {
                *history = checkpoints.history(self.position.history_bytes)?;
            }
        }
        if saved.is_none()
            && let Some(folder) = checkpoints.incomplete()?.into_iter().next()
        {
            let differences = vec!["it has no checkpoint.json: remove it to begin anew".to_owned()];
            return Err(Error::Mismatch { path: folder, differences });
        }
        let step = saved.as_ref().map(Saved::step);
        self.keep = Some(Keep { checkpoints, every, saved: step });
        Ok(saved)
    }

    /// Starts a part of the run and tells so. `steps_per_epoch` says how many steps an epoch has,
    /// for the number of steps in all.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a budget without any limit that the run counts.
    pub fn start(
        &mut self,
        budget: Budget,
        steps_per_epoch: Option<u64>,
        progress: &mut dyn Observer,
    ) -> Result<()> {
        budget.require_any_of(self.counted)?;
        let of_epochs = budget.epochs.zip(steps_per_epoch);
        let of_epochs = of_epochs.map(|(epochs, steps)| epochs.saturating_mul(steps));
        self.of = match (budget.steps, of_epochs) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.budget = budget;
        self.started = self.clock.now();
        self.before_s = self.position.wall_s;
        self.first = self.position.steps;
        self.told = (self.position.steps, self.position.items, self.position.steps_s);
        self.stepping = None;
        self.reason = None;
        let (step, of) = (self.position.steps, self.of);
        progress.observe(&Event::Started { task: &self.task, step, of });
        Ok(())
    }

    /// Whether a step is to be done: not where the budget is spent, the observer asks to stop, or
    /// [`stop`](Self::stop) was called.
    pub fn next(&mut self, progress: &dyn Observer) -> bool {
        self.pause();
        let now = self.clock.now();
        self.position.wall_s = self.before_s + now.saturating_sub(self.started).as_secs_f64();
        if self.reason.is_none() {
            let Position { steps, epochs, episodes, wall_s, .. } = self.position;
            let time = Duration::from_secs_f64(wall_s);
            if self.budget.is_spent(Spent { steps, epochs, episodes, time }) {
                self.reason = Some(StopReason::BudgetSpent);
            } else if progress.wants_stop() {
                self.reason = Some(StopReason::Asked);
            }
        }
        if self.reason.is_none() {
            self.stepping = Some(now);
        }
        self.reason.is_none()
    }

    /// Ends the run: [`next`](Self::next) is false from here on.
    pub fn stop(&mut self, reason: StopReason) {
        self.reason = Some(reason);
    }

    /// Notes a step that is done, of so many items.
    pub fn step(&mut self, items: usize) {
        self.steps_done(1, 1, items);
    }

    /// Notes steps that are done, of so many batches and items in all.
    pub fn steps_done(&mut self, steps: u64, batches: usize, items: usize) {
        self.position.steps += steps;
        self.position.batches += batches as u64;
        self.position.items += items as u64;
    }

    /// Counts no time in steps from here to the next one: where evaluation begins. Saving does so of
    /// itself.
    pub fn pause(&mut self) {
        self.time_step();
        self.stepping = None;
    }

    /// Counts the time since the step began, or since it was last counted.
    fn time_step(&mut self) {
        if let Some(began) = self.stepping {
            let now = self.clock.now();
            self.position.steps_s += now.saturating_sub(began).as_secs_f64();
            self.stepping = Some(now);
        }
    }

    /// Notes a pass over the data that is done.
    pub fn epoch_done(&mut self) {
        self.position.epochs += 1;
        self.position.batches = 0;
    }

    /// Sets the pass over the data that the next step is of, where it follows from the steps.
    pub fn set_epochs(&mut self, epochs: u64) {
        self.position.epochs = epochs;
    }

    /// Sets what was spent, where the caller's own state holds it.
    pub fn set_spent(&mut self, spent: Spent) {
        let Spent { steps, epochs, episodes, time } = spent;
        let wall_s = time.as_secs_f64();
        self.position = Position { steps, epochs, episodes, wall_s, ..self.position.clone() };
    }

    /// Notes episodes that have ended.
    pub fn episodes_done(&mut self, episodes: u64) {
        self.position.episodes += episodes;
    }

    /// Whether a multiple of so many steps was reached since the last [report](Self::report), or the
    /// last step was done.
    pub fn is_report_due(&self, every: u64) -> bool {
        let steps = self.position.steps;
        let reached = |steps: u64| steps / every.max(1);
        steps > self.told.0 && (reached(steps) > reached(self.told.0) || self.of == Some(steps))
    }

    /// Tells of the steps since the last report.
    pub fn report(&mut self, metrics: &[(&str, f64)], progress: &mut dyn Observer) {
        self.time_step();
        let Position { steps: step, epochs: epoch, items, steps_s, .. } = self.position;
        let event = Event::Step {
            step,
            of: self.of,
            epoch,
            items: (items - self.told.1) as usize,
            metrics,
        };
        self.told = (step, items, steps_s);
        self.tell(&event, progress);
    }

    /// Items a second of the steps since the last report.
    pub fn items_per_s(&mut self) -> f64 {
        let seconds = self.seconds_since_report();
        (self.position.items - self.told.1) as f64 / seconds.max(1e-9)
    }

    /// Seconds in steps since the last report.
    pub fn seconds_since_report(&mut self) -> f64 {
        self.time_step();
        self.position.steps_s - self.told.2
    }

    /// Tells of an evaluation.
    pub fn evaluated(&mut self, metrics: &[(&str, f64)], progress: &mut dyn Observer) {
        self.pause();
        let Position { epochs: epoch, steps: step, .. } = self.position;
        self.tell(&Event::Epoch { epoch, step, metrics }, progress);
    }

    fn tell(&mut self, event: &Event<'_>, progress: &mut dyn Observer) {
        if let Some(history) = &mut self.history {
            history.observe(event);
            if self.keep.is_some() {
                self.unsaved.observe(event);
            }
        }
        progress.observe(event);
    }

    /// Whether a multiple of the steps between two checkpoints was reached since the last one.
    pub fn is_save_due(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| {
            let before = keep.saved.unwrap_or(self.first);
            keep.every.is_some_and(|every| self.position.steps / every > before / every)
        })
    }

    /// Saves a checkpoint of this step, where checkpoints are kept, and tells so. What is in it
    /// `fill` says.
    ///
    /// # Errors
    ///
    /// Those of `fill`, and [`Error::Io`]; the checkpoints before stay.
    pub fn save(
        &mut self,
        progress: &mut dyn Observer,
        fill: impl FnOnce(Checkpoint) -> Result<Checkpoint>,
    ) -> Result<()> {
        self.pause();
        let Some(keep) = &mut self.keep else { return Ok(()) };
        let step = self.position.steps;
        let checkpoint = fill(Checkpoint::new(step))?;
        let elapsed = self.clock.now().saturating_sub(self.started);
        self.position.wall_s = self.before_s + elapsed.as_secs_f64();
        let length = self.position.history_bytes;
        self.position.history_bytes = keep.checkpoints.append_history(length, &self.unsaved)?;
        self.unsaved = History::default();
        let (task, about) = (self.task.clone(), self.about.clone());
        let record = Record { task, about, position: self.position.clone() };
        let saved = keep.checkpoints.save(&checkpoint.with_run(record))?;
        keep.saved = Some(step);
        progress.observe(&Event::Saved { path: saved.folder(), step });
        Ok(())
    }

    /// Whether nothing is to be saved at the end: there is a checkpoint of this step, no step was ever
    /// done, or no checkpoints are kept.
    pub fn is_saved(&self) -> bool {
        let step = self.position.steps;
        step == 0 || self.keep.as_ref().is_none_or(|keep| keep.saved == Some(step))
    }

    /// Whether checkpoints are kept.
    pub fn saves(&self) -> bool {
        self.keep.is_some()
    }

    /// Ends this part of the run and tells so.
    pub fn finish(&mut self, progress: &mut dyn Observer) -> Ended {
        self.pause();
        let elapsed = self.clock.now().saturating_sub(self.started);
        self.position.wall_s = self.before_s + elapsed.as_secs_f64();
        let reason = *self.reason.get_or_insert(StopReason::BudgetSpent);
        let Position { steps, epochs, episodes, items, wall_s, steps_s, .. } = self.position;
        progress.observe(&Event::Finished { step: steps, reason, wall_s });
        let items_per_s = items as f64 / steps_s.max(f64::MIN_POSITIVE);
        Ended { steps, epochs, episodes, wall_s, steps_s, items_per_s, reason }
    }

    /// Why it ended, where it has.
    pub fn reason(&self) -> Option<StopReason> {
        self.reason
    }

    /// Steps, in all.
    pub fn steps(&self) -> u64 {
        self.position.steps
    }

    /// Steps that are left of the budget, where it says.
    pub fn steps_left(&self) -> Option<u64> {
        self.of.map(|of| of.saturating_sub(self.position.steps))
    }

    /// Passes over the data that are done.
    pub fn epochs(&self) -> u64 {
        self.position.epochs
    }

    /// Batches of the pass that are done.
    pub fn batches(&self) -> usize {
        self.position.batches as usize
    }

    /// Episodes that have ended.
    pub fn episodes(&self) -> u64 {
        self.position.episodes
    }

    /// Time spent in seconds, the parts before a resume included, up to the last
    /// [`next`](Self::next), save or end.
    pub fn wall_s(&self) -> f64 {
        self.position.wall_s
    }

    /// Every metric over the steps, the parts before a resume included.
    pub fn history(&self) -> &History {
        const NONE: &History = &History { curves: Vec::new() };
        self.history.as_ref().unwrap_or(NONE)
    }
}

impl Ended {
    /// The same where the run came to its end.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] where it was asked to stop.
    pub fn or_stopped(self) -> Result<Self> {
        self.reason.or_stopped("the run", self.steps).map(|()| self)
    }
}
