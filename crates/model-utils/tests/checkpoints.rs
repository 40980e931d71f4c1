//! Checkpoint folders as a user sees them.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

mod common;

use std::fs;

use burn::optim::{AdamConfig, ModuleOptimizer};
use common::{Net, flex, weights_of};
use model_utils::Error;
use model_utils::checkpoint::{
    Checkpoint, Checkpoints, Goal, HoldsModules as _, Saved, TakesModules as _,
};
use model_utils::train::History;

fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
    checkpoints.all().unwrap().iter().map(Saved::step).collect()
}

fn checkpoint(step: u64) -> Checkpoint {
    let optimizer: ModuleOptimizer = AdamConfig::new().init();
    Checkpoint::new(step)
        .module("model", &Net::new(&flex()))
        .unwrap()
        .optimizer("optimizer", &optimizer)
        .unwrap()
        .state(&("mine", step))
        .unwrap()
}

#[test]
fn the_last_and_the_best_stay() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints =
        Checkpoints::open(folder.path()).unwrap().keep_last(2).keep_best(Goal::Highest);
    for (step, score) in [(1, 0.5), (2, 0.9), (3, 0.7), (4, f64::NAN), (5, 0.8)] {
        checkpoints.save(&checkpoint(step).score(score)).unwrap();
    }
    assert_eq!(steps(&checkpoints), [2, 4, 5]);
    assert_eq!(checkpoints.best(Goal::Highest).unwrap().unwrap().step(), 2);
    assert_eq!(checkpoints.best(Goal::Lowest).unwrap().unwrap().step(), 5);
    let latest = checkpoints.latest().unwrap().unwrap();
    assert_eq!(latest.state::<(String, u64)>().unwrap(), ("mine".to_owned(), 5));
}

#[test]
fn bytes_come_back_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let saved =
        checkpoints.save(&Checkpoint::new(1).bytes("replay", vec![1, 2, 3]).unwrap()).unwrap();
    assert_eq!(saved.bytes("replay").unwrap(), [1, 2, 3]);
    assert!(matches!(saved.bytes("other"), Err(Error::Format { .. })));
    fs::write(saved.folder().join("replay.bin"), [1, 2, 4]).unwrap();
    let error = saved.bytes("replay").unwrap_err().to_string();
    assert!(error.contains("it is damaged"), "{error}");
}

#[test]
fn the_same_step_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let first = Net::new(&flex());
    let second = Net::new(&flex());
    for net in [&first, &second] {
        checkpoints.save(&Checkpoint::new(7).module("model", net).unwrap()).unwrap();
    }
    let saved = checkpoints.latest().unwrap().unwrap();
    let back = saved.module("model", Net::new(&flex())).unwrap();
    assert_eq!(weights_of(&back), weights_of(&second));
    assert_eq!(steps(&checkpoints), [7]);
}

#[test]
fn leftovers_of_a_killed_save_are_cleared_or_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    checkpoints.save(&checkpoint(1)).unwrap();
    // Killed while writing step 2.
    fs::create_dir(folder.path().join(".making-step-000000000002")).unwrap();
    // Killed between setting step 1 aside and putting the new one in its place.
    fs::rename(
        folder.path().join("step-000000000001"),
        folder.path().join(".replaced-step-000000000001"),
    )
    .unwrap();
    // Whoever only looks clears nothing away.
    assert!(steps(&Checkpoints::look(folder.path()).unwrap()).is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    drop(checkpoints);
    let again = Checkpoints::open(folder.path()).unwrap();
    assert_eq!(steps(&again), [1]);
    // The checkpoint and the lock.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn damage_and_strangers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let saved = checkpoints.save(&checkpoint(1)).unwrap();
    let optimizer: ModuleOptimizer = AdamConfig::new().init();

    let absent = saved.module("generator", Net::new(&flex())).unwrap_err().to_string();
    assert!(
        absent.contains(
            "no `generator.safetensors`, only model.safetensors, optimizer.optimizer.bpk"
        ),
        "{absent}"
    );
    let shape = saved.module("model", Net::with_classes(5, &flex())).unwrap_err().to_string();
    assert!(shape.contains("`linear.bias` has shape [2], expected [5]"), "{shape}");
    assert!(matches!(saved.state::<u64>(), Err(Error::Format { .. })));

    for name in ["model.safetensors", "optimizer.optimizer.bpk"] {
        let path = saved.folder().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let damaged = saved.module("model", Net::new(&flex())).unwrap_err().to_string();
    assert!(damaged.contains("it is damaged") && damaged.contains("CRC-32"), "{damaged}");
    assert!(matches!(saved.optimizer("optimizer", optimizer), Err(Error::Format { .. })));

    let index = saved.folder().join("checkpoint.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("\"format_version\": 2", "\"format_version\": 9")).unwrap();
    assert!(checkpoints.latest().unwrap_err().to_string().contains("format version is 9"));
    fs::write(&index, &text[..text.len() / 2]).unwrap();
    assert!(matches!(checkpoints.latest(), Err(Error::Format { .. })));
}

#[test]
fn a_save_that_cannot_be_written_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    checkpoints.save(&checkpoint(1)).unwrap();
    // A file where the folder of step 2 would be made.
    fs::write(folder.path().join(".making-step-000000000002"), b"").unwrap();
    let error = checkpoints.save(&checkpoint(2)).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(steps(&checkpoints), [1]);
    assert!(checkpoints.latest().unwrap().unwrap().module("model", Net::new(&flex())).is_ok());
}

#[test]
fn one_writes_and_others_look() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Checkpoints::look(folder.path().join("none")), Err(Error::Io { .. })));
    let writer = Checkpoints::open(folder.path()).unwrap();
    writer.save(&checkpoint(1)).unwrap();
    let error = Checkpoints::open(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::InUse { path } if path == folder.path()), "{error}");
    let looker = Checkpoints::look(folder.path()).unwrap();
    assert_eq!(steps(&looker), [1]);
    assert!(looker.save(&checkpoint(2)).unwrap_err().to_string().contains("only looked at"));
    let clone = writer.clone();
    drop(writer);
    assert!(Checkpoints::open(folder.path()).is_err(), "a clone still writes");
    drop(clone);
    Checkpoints::open(folder.path()).unwrap().save(&checkpoint(2)).unwrap();
    assert_eq!(steps(&looker), [1, 2]);
}

#[test]
fn folders_without_an_index_are_passed_over_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let stranger = folder.path().join("step-000000000009");
    fs::create_dir(&stranger).unwrap();
    checkpoints.save(&checkpoint(1)).unwrap();
    assert_eq!(steps(&checkpoints), [1]);
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 1);
    assert_eq!(checkpoints.incomplete().unwrap(), [stranger]);
}

#[test]
fn names_are_typed_by_kind_and_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let optimizer: ModuleOptimizer = AdamConfig::new().init();
    let all = || {
        let all = Checkpoint::new(1).optimizer("x", &optimizer).unwrap();
        all.bytes("x", vec![1]).unwrap().module("x", &Net::new(&flex())).unwrap()
    };
    let saved = checkpoints.save(&all()).unwrap();
    assert!(saved.optimizer("x", AdamConfig::new().init()).is_ok());
    assert!(saved.module("x", Net::new(&flex())).is_ok() && saved.bytes("x").is_ok());
    let refused = [
        all().module("x", &Net::new(&flex())).unwrap_err(),
        all().optimizer("x", &optimizer).unwrap_err(),
        all().bytes("x", Vec::new()).unwrap_err(),
        all().bytes("../x", Vec::new()).unwrap_err(),
        all().bytes("a/b", Vec::new()).unwrap_err(),
        all().bytes("", Vec::new()).unwrap_err(),
        all().module(".hidden", &Net::new(&flex())).unwrap_err(),
    ];
    for error in refused {
        assert!(
            matches!(error, Error::Config(_)) && error.to_string().contains("`name`"),
            "{error}"
        );
    }
}

/// Written before optimisers had a kind of files.
#[test]
fn older_checkpoints_load() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let place = checkpoints.save(&checkpoint(1)).unwrap().folder().to_owned();
    let index = place.join("checkpoint.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace(".optimizer.bpk", ".bpk")).unwrap();
    fs::rename(place.join("optimizer.optimizer.bpk"), place.join("optimizer.bpk")).unwrap();
    let saved = checkpoints.latest().unwrap().unwrap();
    assert!(saved.optimizer("optimizer", AdamConfig::new().init()).is_ok());
}

#[test]
fn scores_that_are_not_finite_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap().keep_last(9);
    for (step, score) in [(1, f64::NAN), (2, f64::INFINITY), (3, f64::NEG_INFINITY), (4, 0.5)] {
        checkpoints.save(&checkpoint(step).score(score)).unwrap();
    }
    let all = checkpoints.all().unwrap();
    let scores: Vec<f64> = all.iter().map(|saved| saved.score().unwrap()).collect();
    assert!(scores[0].is_nan());
    assert_eq!(scores[1..], [f64::INFINITY, f64::NEG_INFINITY, 0.5]);
}

#[test]
fn the_history_is_appended_and_cut_where_a_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let points = |from: u64, value: f64| {
        let mut history = History::default();
        (from..from + 3).for_each(|step| history.push("loss", step, value));
        history
    };
    let first = checkpoints.append_history(0, &points(1, 0.5)).unwrap();
    let second = checkpoints.append_history(first, &points(4, f64::NAN)).unwrap();
    assert!(second > first);
    assert_eq!(checkpoints.history(second).unwrap().curve("loss").unwrap().points.len(), 6);
    // A run that goes on from the first save writes over what came after it.
    let third = checkpoints.append_history(first, &points(4, 0.25)).unwrap();
    let history = checkpoints.history(third).unwrap();
    let values: Vec<f64> =
        history.curve("loss").unwrap().points.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
    assert!(matches!(checkpoints.history(third + 1), Err(Error::Format { .. })));
    assert!(checkpoints.history(0).unwrap().curves.is_empty());
}
