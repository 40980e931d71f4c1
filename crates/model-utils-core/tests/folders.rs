//! Folders of checkpoints under a run that saves at every step: looked at by others, killed at any
//! moment, and over many steps. `FOLDERS_OPENS` and `FOLDERS_KILLS` say how often (the book's chapter on
//! training).
#![allow(missing_docs, clippy::float_cmp, clippy::print_stdout)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use model_utils_core::checkpoint::Checkpoints;
use model_utils_core::event::Silent;
use model_utils_core::random::Random;
use model_utils_core::run::Run;
use model_utils_core::{Budget, Error, Result};

const FOLDER: &str = "USAGI_TEST_FOLDER";

fn count(variable: &str, few: u64) -> u64 {
    std::env::var(variable).map_or(few, |count| count.parse().unwrap())
}

/// What step n leaves.
fn numbers(step: u64) -> Vec<u8> {
    let mut random = Random::new(step);
    (0..20_000).map(|_| random.below(256) as u8).collect()
}

/// Saves every so many steps and gives the step of each save that is whole.
fn learn(folder: &Path, steps: u64, every: u64, mut saved: impl FnMut(u64)) -> Result<()> {
    let mut run = Run::new("numbers", &"the same")?;
    let resumed = run.resume_in(Checkpoints::open(folder)?, Some(every))?;
    if let Some(resumed) = resumed {
        assert_eq!(resumed.bytes("numbers")?, numbers(run.steps()));
        let told = &run.history().curve("loss").unwrap().points;
        assert!(told.iter().map(|(step, _)| *step).eq(1..=run.steps()), "the history has holes");
    }
    run.start(Budget::steps(steps), None, &mut Silent)?;
    while run.next(&Silent) {
        run.step(1);
        run.report(&[("loss", 1.0 / run.steps() as f64)], &mut Silent);
        if run.is_save_due() {
            let step = run.steps();
            run.save(&mut Silent, |checkpoint| checkpoint.bytes("numbers", numbers(step)))?;
            saved(step);
        }
    }
    Ok(())
}

/// The child of the tests below: saves on and on, and says what is saved.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut out = std::io::stdout().lock();
    learn(folder.as_ref(), u64::MAX, 1, |step| {
        writeln!(out, "saved {step}").unwrap();
        out.flush().unwrap();
    })
    .unwrap();
}

/// A child, and the steps that it has saved.
fn spawn(folder: &Path) -> (Child, Receiver<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (to, from) = channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || {
        for line in lines.map_while(std::result::Result::ok) {
            let step = line.rsplit_once("saved ").and_then(|(_, step)| step.parse().ok());
            if step.is_some_and(|step| to.send(step).is_err()) {
                break;
            }
        }
    });
    (child, from)
}

#[test]
fn looking_disturbs_no_save_and_no_save_disturbs_a_look() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, saved) = spawn(folder.path());
    saved.recv().unwrap();
    let least = count("FOLDERS_OPENS", 300);
    let (mut opens, mut newest) = (0, 0);
    while opens < least || newest < least / 10 {
        opens += 1;
        let found = Checkpoints::look(folder.path()).unwrap().latest().unwrap().unwrap();
        assert!(found.step() >= newest, "step {} after {newest}", found.step());
        newest = found.step();
        assert!(matches!(Checkpoints::open(folder.path()), Err(Error::InUse { .. })));
    }
    assert!(child.try_wait().unwrap().is_none(), "a save failed");
    child.kill().unwrap();
    child.wait().unwrap();
    let saves = saved.iter().last().unwrap();
    println!("{opens} looks and {opens} opens beside {saves} saves");
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let kills = count("FOLDERS_KILLS", 8);
    let (mut random, mut reached) = (Random::new(42), 0);
    for _ in 0..kills {
        let (mut child, saved) = spawn(folder.path());
        reached = saved.recv().unwrap().max(reached);
        thread::sleep(Duration::from_micros(random.below(120_000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        reached = saved.iter().last().unwrap_or(reached).max(reached);
        let checkpoints = Checkpoints::open(folder.path()).unwrap();
        let latest = checkpoints.latest().unwrap().unwrap();
        assert!(latest.step() >= reached, "step {} after {reached}", latest.step());
        for saved in checkpoints.all().unwrap() {
            assert_eq!(saved.bytes("numbers").unwrap(), numbers(saved.step()));
        }
        let names = fs::read_dir(folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let litter: Vec<_> = names
            .filter(|name| !name.starts_with("step-"))
            .filter(|name| ![".lock", "history.jsonl"].contains(&name.as_str()))
            .collect();
        assert!(litter.is_empty(), "left behind: {litter:?}");
    }
    assert!(reached > kills);
    println!("{kills} kills, {reached} steps saved, none lost");
}

#[test]
fn the_index_stays_small_over_many_steps() {
    let folder = tempfile::tempdir().unwrap();
    learn(folder.path(), 100_000, 10_000, |_| {}).unwrap();
    let index = folder.path().join("step-000000100000/checkpoint.json");
    let bytes = fs::metadata(index).unwrap().len();
    println!("checkpoint.json at step 100,000: {bytes} bytes");
    assert!(bytes < 10_000);
}
