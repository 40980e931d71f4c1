//! Checkpoint folders as a user sees them.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

mod common;

use std::fs;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::{AdamConfig, ModuleOptimizer};
use common::{Net, flex, weights_of};
use model_utils::Error;
use model_utils::checkpoint::{Checkpoint, Checkpoints, Goal, Saved};

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
        .schedule("schedule", &ModuleLrScheduler::new(0.1))
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
    let saved = checkpoints.save(&Checkpoint::new(1).bytes("replay", vec![1, 2, 3])).unwrap();
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
    let again = Checkpoints::open(folder.path()).unwrap();
    assert_eq!(steps(&again), [1]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn damage_and_strangers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let saved = checkpoints.save(&checkpoint(1)).unwrap();
    let optimizer: ModuleOptimizer = AdamConfig::new().init();

    let absent = saved.module("generator", Net::new(&flex())).unwrap_err().to_string();
    assert!(
        absent.contains("no `generator.safetensors`, only model.safetensors, optimizer.bpk"),
        "{absent}"
    );
    let shape = saved.module("model", Net::with_classes(5, &flex())).unwrap_err().to_string();
    assert!(shape.contains("`linear.bias` has shape [2], expected [5]"), "{shape}");
    assert!(matches!(saved.state::<u64>(), Err(Error::Format { .. })));

    for name in ["model.safetensors", "optimizer.bpk"] {
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
    fs::write(&index, text.replace("\"format_version\": 1", "\"format_version\": 9")).unwrap();
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
