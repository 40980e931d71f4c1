//! The supervised loop and its checkpoints as a user sees them.
//!
//! Burn's random generator on processors is one for the whole process, so the tests that train
//! take turns.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

mod common;

use std::cell::Cell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use burn::nn::LinearConfig;
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::Tensor;
use common::{Net, batches, evaluate, flex, read, run, step, weights_of};
use model_utils::checkpoint::{Checkpoints, Goal, HoldsModules as _};
use model_utils::train::{
    Budget, CsvLog, Ema, Evaluation, Event, History, JsonLines, Observer, Schedule, Silent, Stop,
    StopReason, Supervised, SupervisedConfig, Trained, mean_of,
};
use model_utils::{ConfigError, Error};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn config() -> SupervisedConfig {
    SupervisedConfig::new(Budget::epochs(3))
        .with_accumulate(2)
        .with_clip_norm(Some(1.0))
        .with_ema_decay(Some(0.9))
}

/// Trains to the end of the budget, stopping and resuming from disk at each of `stops`.
fn train(config: &SupervisedConfig, folder: Option<&Path>, stops: &[u64]) -> Trained<Net> {
    let data = batches(5, &flex().autodiff());
    for &stop in stops {
        let checkpoints = Checkpoints::open(folder.unwrap()).unwrap();
        let mut until = StopAt(stop, Cell::new(0));
        let fitted = run(config.clone())
            .resume_in(checkpoints)
            .unwrap()
            .train::<_, Error>(&data, step, evaluate, &mut until)
            .unwrap();
        assert_eq!((fitted.step, fitted.reason), (stop, StopReason::Asked));
    }
    let mut last = run(config.clone());
    if let Some(folder) = folder {
        last = last.resume_in(Checkpoints::open(folder).unwrap()).unwrap();
    }
    last.train::<_, Error>(&data, step, evaluate, &mut Silent).unwrap()
}

/// Asks to stop once so many steps are done; it is asked before each.
struct StopAt(u64, Cell<u64>);

impl Observer for StopAt {
    fn observe(&mut self, event: &Event<'_>) {
        if let Event::Started { step, .. } = event {
            self.1.set(*step);
        }
    }

    fn wants_stop(&self) -> bool {
        let done = self.1.replace(self.1.get() + 1);
        done >= self.0
    }
}

#[test]
fn n_stop_resume_n_is_2n_bit_for_bit() {
    let _turn = turn();
    // Also where it is stopped between two reports.
    for config in [config(), config().with_log_every(4)] {
        let whole = train(&config, None, &[]);
        assert_eq!(whole.step, 9);
        let folder = tempfile::tempdir().unwrap();
        // In the middle of an epoch, at its end, and right after it.
        let parts = train(&config, Some(folder.path()), &[1, 3, 4, 8]);
        let average = |trained: &Trained<Net>| weights_of(trained.ema.as_ref().unwrap());
        assert_eq!(weights_of(&whole.model), weights_of(&parts.model));
        assert_eq!(average(&whole), average(&parts));
        assert_eq!(whole.history, parts.history);
        assert_eq!(whole.evaluation, parts.evaluation);
    }
}

#[test]
fn the_same_seed_trains_the_same_and_another_does_not() {
    let _turn = turn();
    let a = train(&config(), None, &[]);
    let b = train(&config(), None, &[]);
    let c = train(&config().with_seed(43), None, &[]);
    assert_eq!(weights_of(&a.model), weights_of(&b.model));
    assert_ne!(weights_of(&a.model), weights_of(&c.model), "dropout follows the seed");
}

#[test]
fn it_learns_and_tells_what_happens() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let logs = [folder.path().join("a/log.jsonl"), folder.path().join("a/log.csv")];
    let mut observer = (
        JsonLines::append(&logs[0]).unwrap(),
        CsvLog::append(&logs[1]).unwrap(),
        History::default(),
    );
    let config = SupervisedConfig::new(Budget::epochs(12));
    let fitted = run(config)
        .train::<_, Error>(&batches(6, &flex().autodiff()), step, evaluate, &mut observer)
        .unwrap();
    let (json, csv, history) = observer;
    json.finish().unwrap();
    csv.finish().unwrap();
    assert_eq!(history, fitted.history);
    let losses = history.curve("train_loss").unwrap().smoothed(6);
    assert!(losses.last().unwrap().1 < 0.8 * losses[0].1, "{losses:?}");
    assert!(fitted.evaluation.unwrap().score >= 0.75);
    assert!(fitted.items_per_s > 0.0 && fitted.wall_s > 0.0);

    let lines = std::fs::read_to_string(&logs[0]).unwrap();
    assert_eq!(lines.lines().count(), 72 + 12);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["step"], &first["kind"]), (&1.into(), &"step".into()));
    let table = std::fs::read_to_string(&logs[1]).unwrap();
    assert!(table.starts_with("step,epoch,metric,value\n1,0,train_loss,"), "{table}");
}

#[test]
fn a_stop_switch_ends_the_run_at_the_next_step() {
    let _turn = turn();
    let stop = Stop::new();
    let mut observer = (stop.clone(), StopAt(u64::MAX, Cell::new(0)));
    stop.stop();
    let fitted = run(config())
        .train::<_, Error>(&batches(4, &flex().autodiff()), step, evaluate, &mut observer)
        .unwrap();
    assert_eq!((fitted.step, fitted.reason), (0, StopReason::Asked));
}

#[test]
fn patience_ends_a_run_that_does_not_improve() {
    let _turn = turn();
    let config =
        SupervisedConfig::new(Budget::epochs(50)).with_patience(Some(2)).with_goal(Goal::Lowest);
    let mut scores = [3.0, 2.0, 2.5, 2.1, 0.0].into_iter();
    let fitted = run(config)
        .train::<_, Error>(
            &batches(1, &flex().autodiff()),
            step,
            |_| Ok(model_utils::train::Evaluation::new("test_loss", scores.next().unwrap())),
            &mut Silent,
        )
        .unwrap();
    assert_eq!((fitted.epoch, fitted.reason), (4, StopReason::NoImprovement));
}

#[test]
fn a_nan_loss_stops_with_its_step_and_keeps_the_checkpoint_before() {
    let _turn = turn();
    for log_every in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path()).unwrap();
        let config = SupervisedConfig::new(Budget::epochs(2))
            .with_checkpoint_every(Some(3))
            .with_log_every(log_every);
        let mut calls = 0;
        let error = run(config)
            .resume_in(checkpoints.clone())
            .unwrap()
            .train::<_, Error>(
                &batches(10, &flex().autodiff()),
                |net, batch| {
                    calls += 1;
                    let mut output = step(net, batch)?;
                    if calls == 5 {
                        output.loss = output.loss * f64::NAN;
                    }
                    Ok(output)
                },
                evaluate,
                &mut Silent,
            )
            .unwrap_err();
        assert!(
            matches!(&error, Error::NotFinite { what, step: 5, .. } if what == "loss"),
            "{error}"
        );
        let saved = checkpoints.latest().unwrap().unwrap();
        assert_eq!(saved.step(), 3);
        saved.module("model", Net::new(&flex())).unwrap();
    }
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let config = SupervisedConfig::new(Budget::epochs(1));
    let error = run(config)
        .resume_in(checkpoints.clone())
        .unwrap()
        .train::<_, Error>(
            &batches(1, &flex().autodiff()),
            |net, batch| {
                let mut output = step(net, batch)?;
                // A finite loss with an infinite gradient: √0 has no slope.
                output.loss = output.loss.clone() + (output.loss.clone() - output.loss).sqrt();
                Ok(output)
            },
            evaluate,
            &mut Silent,
        )
        .unwrap_err();
    assert!(
        matches!(&error, Error::NotFinite { what, step: 1, .. } if what.starts_with("weight")),
        "{error}"
    );
    assert!(checkpoints.latest().unwrap().is_none());
}

#[test]
fn what_cannot_work_is_refused() {
    let _turn = turn();
    let device = flex().autodiff();
    let new = |config: SupervisedConfig, device: &burn::tensor::Device| {
        model_utils::train::Supervised::new(
            config,
            Net::new(device),
            burn::optim::AdamConfig::new().init(),
            0.1,
        )
        .map(|_| ())
    };
    let base = SupervisedConfig::new(Budget::steps(1));
    for (config, field) in [
        (base.clone().with_accumulate(0), "accumulate"),
        (base.clone().with_log_every(0), "log_every"),
        (base.clone().with_clip_norm(Some(f64::NAN)), "clip_norm"),
        (base.clone().with_ema_decay(Some(1.0)), "ema_decay"),
        (base.clone().with_patience(Some(0)), "patience"),
        (SupervisedConfig::new(Budget::default()), "budget"),
        (SupervisedConfig::new(Budget::episodes(1)), "budget"),
    ] {
        let error = new(config, &device).unwrap_err();
        assert!(
            matches!(error, Error::Config(ConfigError { field: f, .. }) if f == field),
            "{field}: {error}"
        );
    }
    assert!(matches!(
        new(base.clone(), &flex()),
        Err(Error::Config(ConfigError { field: "device", .. }))
    ));
    let none: Vec<(Tensor<4>, Tensor<1, burn::tensor::Int>)> = Vec::new();
    let empty = run(base).train::<_, Error>(&none, step, evaluate, &mut Silent);
    assert!(matches!(empty, Err(Error::Data { .. })));
}

#[test]
fn a_run_of_another_configuration_is_not_resumed() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    train(&config(), Some(folder.path()), &[2]);
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let other = run(config().with_seed(1).with_accumulate(1)).resume_in(checkpoints.clone());
    let Err(Error::Mismatch { differences, .. }) = other else { panic!("it was resumed") };
    let named = |field: &str| differences.iter().any(|line| line.contains(field));
    assert!(differences.len() == 2 && named("seed") && named("accumulate"), "{differences:?}");
    // What may change.
    let longer = SupervisedConfig { budget: Budget::epochs(9), ..config() }
        .with_patience(Some(7))
        .with_log_every(2)
        .with_checkpoint_every(Some(5));
    let run = run(longer).resume_in(checkpoints).unwrap();
    assert_eq!(run.step(), 9);
    let fewer = batches(4, &flex().autodiff());
    let error = run.train::<_, Error>(&fewer, step, evaluate, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("`batches` is 4, expected 5"), "{error}");
}

/// NaN among what was measured is no reason to lose a run.
#[test]
fn evaluations_that_are_not_finite_are_resumed() {
    let _turn = turn();
    let data = batches(3, &flex().autodiff());
    for (score, other) in [(f64::NAN, f64::INFINITY), (0.5, f64::NAN), (f64::NEG_INFINITY, 1.0)] {
        let folder = tempfile::tempdir().unwrap();
        let to = |epochs| {
            run(SupervisedConfig::new(Budget::epochs(epochs)).with_patience(Some(9)))
                .resume_in(Checkpoints::open(folder.path()).unwrap())
                .unwrap()
                .train::<_, Error>(
                    &data,
                    step,
                    |_| Ok(Evaluation::new("a", score).with_metric("b", other)),
                    &mut Silent,
                )
                .unwrap()
        };
        let (first, second) = (to(1), to(2));
        assert_eq!((first.epoch, second.epoch), (1, 2));
        let points = second.history.curve("b").unwrap().points.clone();
        assert!(points.len() == 2 && points[0].1.to_bits() == other.to_bits(), "{points:?}");
    }
}

#[test]
fn a_saved_averaged_or_cloned_model_does_not_change_the_live_one() {
    let _turn = turn();
    let device = flex().autodiff();
    let net = Net::new(&device);
    let data = batches(3, &device);
    // A forward in training leaves an update of the running statistics pending.
    let _ = step(&net, data[0].clone()).unwrap();
    let before = weights_of(&net);

    let mut ema = model_utils::train::Ema::new(&net, 0.5).unwrap();
    let other = Net::new(&device);
    let _ = step(&other, data[1].clone()).unwrap();
    ema.update(&other).unwrap();
    let mean = model_utils::train::mean_of(&[net.clone(), other.clone()]).unwrap();
    let copy = model_utils::weights::snapshot(&net);
    let _ = step(&copy, data[2].clone()).unwrap();
    let _ = weights_of(&copy);
    assert_eq!(weights_of(&net), before);

    // And the mean is the mean, statistics included.
    let pick = |model: &Net| read(model.valid_mean());
    for ((m, a), b) in pick(&mean).iter().zip(pick(&net)).zip(pick(&other)) {
        assert!((m - f64::midpoint(a, b)).abs() < 1e-6);
    }
    // One update at decay min(0.5, 1/10).
    for ((e, a), b) in pick(&ema.model()).iter().zip(pick(&net)).zip(pick(&other)) {
        assert!((e - (0.1 * a + 0.9 * b)).abs() < 1e-6);
    }
}

trait ValidMean {
    fn valid_mean(&self) -> Tensor<1>;
}

impl ValidMean for Net {
    fn valid_mean(&self) -> Tensor<1> {
        use burn::module::Module as _;
        self.valid().norm.running_mean.value()
    }
}

#[test]
fn a_stopped_evaluation_is_made_where_the_run_goes_on() {
    let _turn = turn();
    let whole = train(&config(), None, &[]);
    let data = batches(5, &flex().autodiff());
    let folder = tempfile::tempdir().unwrap();
    let resumed = || run(config()).resume_in(Checkpoints::open(folder.path()).unwrap()).unwrap();
    // That of the second epoch, and then that of the last.
    for stopped in [2, 1] {
        let mut evaluations = 0;
        let evaluate = |net: &Net| {
            evaluations += 1;
            if evaluations == stopped {
                return Err(Error::stopped("the evaluation", "its middle"));
            }
            evaluate(net)
        };
        let error = resumed().train(&data, step, evaluate, &mut Silent).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
    }
    let end = resumed().train::<_, Error>(&data, step, evaluate, &mut Silent).unwrap();
    assert_eq!((end.step, end.epoch), (whole.step, whole.epoch));
    assert_eq!(weights_of(&end.model), weights_of(&whole.model));
    assert_eq!((&end.history, &end.evaluation), (&whole.history, &whole.evaluation));
    // What has ended has ended.
    let again = resumed().train::<_, Error>(&data, step, evaluate, &mut Silent).unwrap();
    assert_eq!(weights_of(&again.model), weights_of(&whole.model));
    assert_eq!((again.step, &again.history), (end.step, &end.history));
}

#[test]
fn batches_end_with_the_switch_around_them() {
    let _turn = turn();
    let stop = Stop::new();
    let data = stop.around(batches(5, &flex().autodiff()));
    let mut steps = 0;
    let step = |net: &Net, batch| {
        steps += 1;
        if steps == 3 {
            stop.stop();
        }
        step(net, batch)
    };
    let config = SupervisedConfig::new(Budget::epochs(3));
    let error = run(config).train(&data, step, evaluate, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(steps, 3);
}

#[test]
fn the_rate_changes_when_asked_and_the_optimiser_does_not() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    train(&config(), Some(folder.path()), &[2]);
    let longer = || SupervisedConfig { budget: Budget::epochs(4), ..config() };
    let new = |schedule: Schedule, optimizer: ModuleOptimizer| {
        let device = flex().autodiff();
        Supervised::new(longer(), Net::new(&device), optimizer, schedule).unwrap()
    };
    let open = || Checkpoints::open(folder.path()).unwrap();
    let lower = Schedule::constant(0.001);
    let error = new(lower, AdamConfig::new().init()).resume_in(open()).unwrap_err().to_string();
    assert!(error.contains("`schedule.cosine`") && error.contains("0.05"), "{error}");
    let asked = open().allow_change("schedule");
    let run = new(lower, AdamConfig::new().init()).resume_in(asked).unwrap();
    let data = batches(5, &flex().autodiff());
    let trained = run.train::<_, Error>(&data, step, evaluate, &mut Silent).unwrap();
    assert_eq!(trained.step, 12);
    let rates = &trained.history.curve("learning_rate").unwrap().points;
    assert!(rates[8].1 > 0.04 && (rates[9].1 - 0.001).abs() < 1e-12, "{rates:?}");

    let sgd = SgdConfig::new().init();
    let asked = open().allow_change("schedule");
    let error = new(lower, sgd).resume_in(asked).unwrap_err().to_string();
    assert!(error.contains("an optimiser's state") && error.contains("another kind"), "{error}");
}

#[test]
fn models_of_other_shapes_are_not_averaged() {
    let linear = |inputs: usize| LinearConfig::new(inputs, 2).init(&flex());
    let error = mean_of(&[linear(3), linear(4)]).unwrap_err().to_string();
    assert!(error.contains("a tensor of [4, 2], expected [3, 2]"), "{error}");
    let mut ema = Ema::new(&vec![linear(3)], 0.9).unwrap();
    let error = ema.update(&vec![linear(3), linear(3)]).unwrap_err().to_string();
    assert!(error.contains("`models` is 4, expected 2 tensors"), "{error}");
    assert_eq!(ema.updates(), 0);
}
