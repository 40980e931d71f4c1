//! One run as a loop holds it: what a user can see.
#![allow(missing_docs, clippy::float_cmp)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model_utils_core::checkpoint::Checkpoints;
use model_utils_core::event::{Event, Observer, Silent, Stop, StopReason};
use model_utils_core::run::{Ended, Run};
use model_utils_core::{Budget, Error, Result};
use serde_json::{Value, json};

fn about() -> Value {
    json!({ "seed": 42, "schedule": { "cosine": { "rate": 0.1, "steps": 100 } } })
}

/// A clock that a test moves, in seconds.
#[derive(Clone, Default)]
struct Seconds(Arc<AtomicU64>);

impl Seconds {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// Sums its steps, one a second; reports every third, saves every fifth.
#[derive(Debug)]
struct Sum {
    run: Run,
    sum: u64,
}

impl Sum {
    fn new(about: &Value) -> Self {
        Self { run: Run::new("sum", about).unwrap(), sum: 0 }
    }

    fn resume_in(mut self, folder: &Path) -> Result<Self> {
        self.resume(Checkpoints::open(folder)?)?;
        Ok(self)
    }

    fn resume(&mut self, checkpoints: Checkpoints) -> Result<()> {
        if let Some(saved) = self.run.resume_in(checkpoints, Some(5))? {
            self.sum = saved.state()?;
        }
        Ok(())
    }

    fn learn(&mut self, budget: Budget, progress: &mut dyn Observer) -> Result<Ended> {
        let clock = Seconds::default();
        let own = clock.clone();
        let now = move || Duration::from_secs(own.0.load(Ordering::Relaxed));
        self.run = self.run.clone().with_clock(now);
        self.run.start(budget, Some(10), progress)?;
        while self.run.next(progress) {
            self.sum += self.run.steps();
            clock.pass(1);
            self.run.step(4);
            if self.run.is_report_due(3) {
                self.run.report(&[("sum", self.sum as f64)], progress);
            }
            if self.run.batches() == 10 {
                self.run.pause();
                clock.pass(100);
                self.run.epoch_done();
                self.run.evaluated(&[("half", self.sum as f64 / 2.0)], progress);
            }
            if self.run.is_save_due() {
                self.run.save(progress, |checkpoint| checkpoint.state(&self.sum))?;
            }
        }
        if !self.run.is_saved() {
            self.run.save(progress, |checkpoint| checkpoint.state(&self.sum))?;
        }
        Ok(self.run.finish(progress))
    }
}

/// Turns its switch on at a step.
struct StopAt(u64, Stop);

impl Observer for StopAt {
    fn observe(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Step { step, .. } if *step >= self.0) {
            self.1.stop();
        }
    }

    fn wants_stop(&self) -> bool {
        self.1.is_stopped()
    }
}

fn whole(steps: u64) -> Sum {
    let mut whole = Sum::new(&about());
    whole.learn(Budget::steps(steps), &mut Silent).unwrap();
    whole
}

#[test]
fn stopped_resumed_and_lengthened_is_the_unbroken_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Sum::new(&about()).resume_in(folder.path()).unwrap();
    let stopped = first.learn(Budget::steps(20), &mut StopAt(12, Stop::new())).unwrap();
    assert_eq!((stopped.steps, stopped.epochs, stopped.reason), (12, 1, StopReason::Asked));
    let error = stopped.or_stopped().unwrap_err();
    assert!(matches!(&error, Error::Stopped { at, .. } if at == "step 12"), "{error}");
    drop(first);

    let mut second = Sum::new(&about()).resume_in(folder.path()).unwrap();
    let ended = second.learn(Budget::steps(20), &mut Silent).unwrap();
    assert_eq!((ended.steps, ended.epochs, ended.reason), (20, 2, StopReason::BudgetSpent));
    assert_eq!((ended.wall_s, ended.steps_s, ended.items_per_s), (220.0, 20.0, 4.0));
    assert_eq!(second.sum, whole(20).sum);
    assert_eq!(second.run.history(), whole(20).run.history());
    drop(second);

    // A run that has ended begins nothing anew, and goes on with more.
    let mut third = Sum::new(&about()).resume_in(folder.path()).unwrap();
    third.learn(Budget::steps(20), &mut Silent).unwrap();
    assert_eq!(third.sum, whole(20).sum);
    third.learn(Budget::epochs(3), &mut Silent).unwrap();
    assert_eq!(third.sum, whole(30).sum);
    // The step that was the last one was told of.
    let points = |run: &Run| run.history().curve("sum").unwrap().points.clone();
    let mut told = points(&third.run);
    told.retain(|(step, _)| *step != 20);
    assert_eq!(told, points(&whole(30).run));
}

/// What stands in the history behind the checkpoint that a run goes on from was never done.
#[test]
fn a_kill_between_two_saves_loses_only_what_is_behind_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Sum::new(&about()).resume_in(folder.path()).unwrap();
    first.learn(Budget::steps(20), &mut StopAt(12, Stop::new())).unwrap();
    drop(first);
    // As if it had never become whole.
    fs::remove_dir_all(folder.path().join("step-000000000012")).unwrap();
    let mut second = Sum::new(&about()).resume_in(folder.path()).unwrap();
    assert_eq!(second.run.steps(), 10);
    second.learn(Budget::steps(20), &mut Silent).unwrap();
    assert_eq!((second.sum, second.run.history()), (whole(20).sum, whole(20).run.history()));
}

#[test]
fn time_is_counted_over_resumes_by_the_runs_own_clock() {
    let folder = tempfile::tempdir().unwrap();
    let budget = |seconds| Budget::time(Duration::from_secs(seconds));
    let mut first = Sum::new(&about()).resume_in(folder.path()).unwrap();
    assert_eq!(first.learn(budget(4), &mut Silent).unwrap().steps, 4);
    drop(first);
    let mut second = Sum::new(&about()).resume_in(folder.path()).unwrap();
    let ended = second.learn(budget(9), &mut Silent).unwrap();
    assert_eq!((ended.steps, ended.wall_s), (9, 9.0));
    let error = second.learn(Budget::episodes(3), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("a limit of steps or epochs or time"), "{error}");
}

#[test]
fn what_may_not_change_is_named_field_by_field() {
    let folder = tempfile::tempdir().unwrap();
    whole_in(folder.path());
    let mut other = about();
    other["seed"] = json!(7);
    other["schedule"]["cosine"]["rate"] = json!(0.2);
    let error = Sum::new(&other).resume_in(folder.path()).unwrap_err();
    let Error::Mismatch { differences, .. } = error else { panic!("{error}") };
    assert_eq!(
        differences,
        ["`schedule.cosine.rate` is 0.1, expected 0.2", "`seed` is 42, expected 7"]
    );

    // When asked.
    let open = || Checkpoints::open(folder.path()).unwrap().allow_change("schedule");
    let error = Sum::new(&other).resume(open()).unwrap_err().to_string();
    assert!(error.contains("seed") && !error.contains("schedule"), "{error}");
    let mut resumed = Sum::new(&other);
    resumed.resume(open().allow_change("seed")).unwrap();
    assert_eq!(resumed.run.steps(), 10);
    drop(resumed);

    let mut named = Sum::new(&about());
    named.run.set_task("product");
    let error = named.resume_in(folder.path()).unwrap_err().to_string();
    assert!(error.contains("a run of `sum`, expected `product`"), "{error}");
}

fn whole_in(folder: &Path) {
    let mut run = Sum::new(&about()).resume_in(folder).unwrap();
    run.learn(Budget::steps(10), &mut Silent).unwrap();
}

#[test]
fn folders_without_an_index_do_not_begin_anew_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    whole_in(folder.path());
    for step in ["step-000000000005", "step-000000000010"] {
        fs::remove_file(folder.path().join(step).join("checkpoint.json")).unwrap();
    }
    let error = Sum::new(&about()).resume_in(folder.path()).unwrap_err().to_string();
    assert!(error.contains("step-0000000000") && error.contains("remove it to begin"), "{error}");
}

#[test]
fn runs_of_an_earlier_version_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    whole_in(folder.path());
    let index = folder.path().join("step-000000000010/checkpoint.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    text.as_object_mut().unwrap().remove("run");
    text["format_version"] = json!(1);
    fs::write(&index, text.to_string()).unwrap();
    let error = Sum::new(&about()).resume_in(folder.path()).unwrap_err().to_string();
    assert!(error.contains("format 1") && error.contains("begin anew"), "{error}");
    // Its own part can be read all the same.
    let saved = Checkpoints::look(folder.path()).unwrap().latest().unwrap().unwrap();
    assert_eq!(saved.state::<u64>().unwrap(), whole(10).sum);
}
