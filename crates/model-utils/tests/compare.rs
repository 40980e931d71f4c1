//! Comparing devices: what agrees is timed, what does not says why, and the run goes on.
#![allow(missing_docs, clippy::float_cmp)] // Exact numbers where the arithmetic is exact.

use std::cell::Cell;
use std::rc::Rc;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::Error;
use model_utils::compare::{
    BoxError, CompareConfig, Kind, Output, Part, Size, Status, Step, Work, Workload, difference,
    host_labels, host_tensor, host_weights, training_step,
};
use model_utils::device::DeviceSpec;
use model_utils::train::{Event, Observer, Silent, Stop, StopReason};

const FLEX: DeviceSpec = DeviceSpec::Flex;

fn quick() -> CompareConfig {
    CompareConfig::new().with_budget_s(0.01).with_max_repetitions(20)
}

/// Devices of this build whose presence no machine can deny.
fn processors() -> Vec<DeviceSpec> {
    DeviceSpec::built()
        .into_iter()
        .filter(|spec| matches!(spec, DeviceSpec::Flex | DeviceSpec::NdArray))
        .collect()
}

/// The device that is no reference, or none in a build with `flex` alone.
fn other() -> Option<DeviceSpec> {
    processors().into_iter().find(|spec| *spec != FLEX)
}

fn is_flex(device: &Device) -> bool {
    *device == FLEX.open().unwrap()
}

/// A workload whose step gives these values.
fn gives(name: &str, values: impl Fn(&Device) -> Vec<f32> + 'static) -> Workload {
    Workload::new(name, move |device, _| {
        let values = values(device);
        let count = values.len();
        let tensor = Tensor::<1>::from_data(TensorData::new(values, [count]), device);
        Ok(Step::new(move || Ok(Output::from(tensor.clone()))))
    })
    .size(Size::new("small", 1.0, 1.0))
}

fn product() -> Workload {
    Workload::new("product", |device, size| {
        let n = size.value as usize;
        let values: Vec<f32> = (0..n * n).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let a = Tensor::<2>::from_data(TensorData::new(values, [n, n]), device);
        Ok(Step::new(move || Ok(Output::from(a.clone().matmul(a.clone())))))
    })
    .items_unit("multiply-adds")
    .size(Size::new("small", 16.0, 4096.0))
    .size(Size::new("medium", 32.0, 32768.0))
}

#[test]
fn devices_that_agree_are_timed() {
    let comparison = quick().run(&[product()], &processors(), &mut Silent).unwrap();
    assert_eq!(comparison.rows.len(), 2 * processors().len());
    for row in &comparison.rows {
        let Status::Measured { difference, measurement: m } = &row.status else {
            panic!("{row:?}");
        };
        assert!(*difference < 1e-5, "{row:?}");
        assert!(m.low_s <= m.median_s && m.median_s <= m.high_s && m.first_run_s > 0.0, "{m:?}");
        assert!((3..=20).contains(&m.repetitions), "{m:?}");
        assert_eq!(m.items_per_s, row.size.items / m.median_s);
        // Told on Linux, unknown elsewhere.
        assert_eq!(m.memory_bytes.is_some(), cfg!(target_os = "linux"), "{m:?}");
        assert!(m.energy_j.is_none_or(|joules| joules >= 0.0), "{m:?}");
        let flex = comparison.row("product", &row.size.label, FLEX).unwrap();
        let flex_s = flex.measurement().unwrap().median_s;
        assert_eq!(m.speed_up, Some(flex_s / m.median_s));
    }
    let text = comparison.to_string();
    assert!(text.contains("processor ") && text.contains("medium 32"), "{text}");
}

#[test]
fn a_wrong_device_is_flagged_with_its_difference_and_not_timed() {
    let Some(spec) = other() else { return };
    let wrong = gives("wrong", |device| vec![4.0, if is_flex(device) { 2.0 } else { 3.0 }]);
    let comparison =
        quick().run(&[wrong.tolerance(0.2), product()], &[spec, FLEX], &mut Silent).unwrap();
    let row = comparison.row("wrong", "small", spec).unwrap();
    let Status::Disagrees { difference, tolerance, reason } = &row.status else {
        panic!("{row:?}");
    };
    assert_eq!((*difference, *tolerance), (Some(0.25), 0.2));
    assert!(reason.contains("the first run is off by 2.5e-1 in the output"), "{reason}");
    assert!(comparison.to_string().contains("DISAGREES"), "{comparison}");
    assert!(comparison.row("wrong", "small", FLEX).unwrap().measurement().is_some());
    assert!(comparison.row("product", "medium", spec).unwrap().measurement().is_some());
}

#[test]
fn the_reference_is_made_where_flex_is_not_asked_for() {
    let Some(spec) = other() else { return };
    let wrong = gives("wrong", |device| vec![if is_flex(device) { 1.0 } else { 2.0 }]);
    let comparison = quick().run(&[wrong, product()], &[spec], &mut Silent).unwrap();
    let status = &comparison.row("wrong", "small", spec).unwrap().status;
    assert!(matches!(status, Status::Disagrees { difference: Some(1.0), .. }), "{status:?}");
    let found = comparison.row("product", "small", spec).unwrap().measurement().unwrap();
    assert_eq!(found.speed_up, None);
    assert!(comparison.rows.iter().all(|row| row.device == spec));
}

#[test]
fn nan_disagrees_even_with_itself() {
    let nan = gives("nan", |_| vec![1.0, f32::NAN]);
    let comparison = quick().run(&[nan], &processors(), &mut Silent).unwrap();
    for row in &comparison.rows {
        let Status::Disagrees { difference: None, reason, .. } = &row.status else {
            panic!("{row:?}");
        };
        assert!(reason.contains("value 1 of the reference is NaN"), "{reason}");
    }
}

#[test]
fn a_step_that_changes_is_found_in_its_last_run() {
    let drifting = Workload::new("drifting", |device, _| {
        let (calls, device) = (Cell::new(0.0_f32), device.clone());
        Ok(Step::new(move || {
            calls.set(calls.get() + 1.0);
            Ok(Output::from(Tensor::<1>::from_floats([calls.get()], &device)))
        }))
    })
    .size(Size::new("small", 1.0, 1.0));
    let comparison = quick().run(&[drifting], &[FLEX], &mut Silent).unwrap();
    let Status::Disagrees { reason, .. } = &comparison.rows[0].status else {
        panic!("{:?}", comparison.rows)
    };
    assert!(reason.contains("the last run"), "{reason}");
}

#[test]
fn panics_and_errors_become_rows_and_the_run_goes_on() {
    let panics = Workload::new("panics", |_, _| {
        let calls = Cell::new(0);
        Ok(Step::new(move || {
            calls.set(calls.get() + 1);
            assert!(calls.get() < 3, "call {}", calls.get());
            Ok(Output::new(|| Ok(Vec::new())))
        }))
    });
    let fails = Workload::new("fails", |_, _| Err("no weights".into()));
    let cannot = Workload::new("cannot", |_, size| {
        Err(Error::Unsupported { what: size.label.clone(), reason: "no 64-bit".into() }.into())
    });
    let small = || Size::new("small", 1.0, 1.0);
    let workloads = [panics.size(small()), fails.size(small()), cannot.size(small()), product()];
    let comparison = quick().run(&workloads, &processors(), &mut Silent).unwrap();
    let status = |name: &str, spec| &comparison.row(name, "small", spec).unwrap().status;
    for spec in processors() {
        let Status::Failed { reason } = status("panics", spec) else { panic!("{spec}") };
        assert_eq!(reason, "panicked: call 3");
        let Status::Failed { reason } = status("fails", spec) else { panic!("{spec}") };
        assert!(reason.ends_with("no weights"), "{reason}");
        assert!(comparison.row("product", "small", spec).unwrap().measurement().is_some());
    }
    let Status::Unsupported { reason } = status("cannot", FLEX) else { panic!() };
    assert_eq!(reason, "small is not supported: no 64-bit");
    if let Some(spec) = other() {
        let Status::Failed { reason } = status("cannot", spec) else { panic!() };
        assert!(reason.starts_with("flex gave nothing to compare with"), "{reason}");
    }
}

#[test]
fn a_device_that_does_not_open_is_one_row() {
    let absent = DeviceSpec::Cuda(999);
    let comparison = quick().run(&[product()], &[absent, FLEX], &mut Silent).unwrap();
    assert!(comparison.rows.iter().all(|row| row.device == FLEX));
    let cells = comparison.cells();
    let of_absent: Vec<_> = cells.iter().filter(|cells| cells[2] == "cuda:999").collect();
    assert_eq!(of_absent.len(), 1);
    let reason = of_absent[0].last().unwrap();
    assert!(reason.starts_with("UNSUPPORTED: device `cuda:999`"), "{reason}");
}

#[test]
fn what_prepares_a_run_is_not_timed() {
    let work = Workload::new("prepared", |_, _| {
        let prepare = || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(3.0)
        };
        let step = Step::prepared(prepare, |value: f32| {
            let data = TensorData::new(vec![value], [1]);
            Ok(Output::new(move || Ok(vec![Part::value("x", data)])))
        });
        Ok(step.map(|mut parts| {
            parts[0].weight = 0.5;
            parts
        }))
    });
    let comparison = quick().run(&[work.sizes([1])], &[FLEX], &mut Silent).unwrap();
    let found = comparison.rows[0].measurement().unwrap();
    assert!(found.high_s < 0.01 && found.first_run_s < 0.01, "{found:?}");
}

#[test]
fn slow_work_is_timed_once() {
    let runs = Rc::new(Cell::new(0));
    let counted = Rc::clone(&runs);
    let slow = Workload::new("slow", move |_, _| {
        let runs = Rc::clone(&counted);
        Ok(Step::new(move || {
            runs.set(runs.get() + 1);
            std::thread::sleep(std::time::Duration::from_millis(15));
            Ok(Output::new(|| Ok(Vec::new())))
        }))
    })
    .size(Size::new("small", 1.0, 3.0));
    let comparison = quick().run(&[slow], &[FLEX], &mut Silent).unwrap();
    let found = comparison.rows[0].measurement().unwrap();
    assert_eq!((found.repetitions, runs.get()), (1, 2));
    assert!(found.median_s >= 0.015 && found.low_s == found.high_s);
    assert!(found.items_per_s <= 200.0);
}

#[test]
fn observers_hear_of_rows_and_may_stop() {
    struct Heard(Vec<String>, Option<StopReason>);
    impl Observer for Heard {
        fn observe(&mut self, event: &Event<'_>) {
            match event {
                Event::Step { metrics, of: Some(2), .. } => self.0.push(metrics[0].0.to_owned()),
                Event::Finished { reason, .. } => self.1 = Some(*reason),
                _ => {}
            }
        }
    }
    let mut heard = Heard(Vec::new(), None);
    quick().run(&[product()], &[FLEX], &mut heard).unwrap();
    assert_eq!(heard.0, ["product small flex ms", "product medium flex ms"]);
    assert_eq!(heard.1, Some(StopReason::BudgetSpent));

    // Asked before each run; a stop after the second leaves the row out, whatever is measured of it.
    heard.0.clear();
    let runs = Rc::new(Cell::new(0));
    let counted = Rc::clone(&runs);
    let counting = Workload::new("counting", move |_, _| {
        let runs = Rc::clone(&counted);
        Ok(Step::new(move || {
            runs.set(runs.get() + 1);
            Ok(Output::new(|| Ok(Vec::new())))
        }))
    })
    .size(Size::new("small", 1.0, 1.0));
    let error = quick().run(&[counting], &[FLEX], &mut (&mut heard, Stop::after(2))).unwrap_err();
    assert!(matches!(&error, Error::Stopped { at, .. } if at == "counting small flex"), "{error}");
    assert_eq!((runs.get(), heard.0.len(), heard.1), (2, 0, Some(StopReason::Asked)));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let refused = |config: CompareConfig, workloads: &[Workload]| {
        config.run(workloads, &[FLEX], &mut Silent).unwrap_err().to_string()
    };
    let nothing = |name: &str| gives(name, |_| vec![1.0]);
    let text = refused(quick().with_budget_s(0.0), &[]);
    assert!(text.contains("`budget_s` is 0"), "{text}");
    assert!(refused(quick().with_warm_up(0), &[]).contains("`warm_up`"));
    assert!(refused(quick().with_min_repetitions(0), &[]).contains("`min_repetitions`"));
    assert!(refused(quick().with_max_repetitions(1), &[]).contains("`max_repetitions`"));
    assert!(refused(quick(), &[nothing("a"), nothing("a")]).contains("one workload of each name"));
    let text = refused(quick(), &[nothing("a").tolerance(f64::NAN)]);
    assert!(text.contains("`tolerance` is NaN"), "{text}");
    let text = refused(quick(), &[nothing("a").size(Size::new("huge", 0.0, 1.0))]);
    assert!(text.contains("`value` is 0") && text.contains("size huge of a"), "{text}");
    let text = refused(quick(), &[nothing("a").size(Size::new("small", 2.0, 1.0))]);
    assert!(text.contains("one size of each label"), "{text}");
}

#[test]
fn differences_are_shares_of_the_largest_value() {
    let data = |values: &[f32]| TensorData::new(values.to_vec(), [values.len()]);
    let part = |values: &[f32]| Part::value("x", data(values));
    let gradient = |name: &str, values: &[f32]| Part::gradient(name, data(values));
    let of = |a: &[f32], b: &[f32]| difference(&[part(a)], &[part(b)]).map(|found| found.largest);
    assert_eq!(of(&[1.0, -8.0], &[1.0, -8.0]), Ok(0.0));
    // The largest difference is 1, the largest value of the reference 8.
    assert_eq!(of(&[1.5, -7.0, 0.0], &[1.0, -8.0, 0.25]), Ok(0.125));
    assert_eq!(of(&[0.0], &[0.0]), Ok(0.0));
    // Around a reference of nothing but 0 differences are absolute, in units of 1e-12.
    assert!((of(&[1e-12], &[0.0]).unwrap() - 1.0).abs() < 1e-6);
    // Each value has its own scale: the small one is off by half.
    let (a, b) = ([part(&[100.0]), part(&[0.01])], [part(&[100.0]), part(&[0.02])]);
    assert!((difference(&a, &b).unwrap().largest - 0.5).abs() < 1e-6);
    // Gradients have that of the largest of all: one that is 0 but for rounding agrees.
    let reference = [gradient("large", &[2.0]), gradient("none", &[1e-9])];
    let rounded = [gradient("large", &[2.0]), gradient("none", &[-1e-9])];
    assert!(difference(&rounded, &reference).unwrap().largest < 2e-9);
    let wrong = [gradient("large", &[2.0]), gradient("none", &[0.5])];
    let found = difference(&wrong, &reference).unwrap();
    assert!((found.largest - 0.25).abs() < 1e-6 && found.part == "none", "{found}");
    assert_eq!(found.to_string(), "2.5e-1 in none");
    // Values beside them do not count as gradients.
    let with_loss = |off: f32| [part(&[1e-6 + off]), gradient("large", &[2.0])];
    assert!(difference(&with_loss(1e-6), &with_loss(0.0)).unwrap().largest > 0.9);

    assert!(of(&[f32::NAN], &[1.0]).unwrap_err().contains("x: value 0 of the output is NaN"));
    assert!(of(&[1.0], &[f32::INFINITY]).unwrap_err().contains("the reference is inf"));
    assert!(of(&[1.0], &[1.0, 2.0]).unwrap_err().contains("shape [1], expected [2]"));
    let flat = [Part::value("x", TensorData::new(vec![1.0_f32; 6], [6]))];
    let square = [Part::value("x", TensorData::new(vec![1.0_f32; 6], [2, 3]))];
    assert!(difference(&flat, &square).unwrap_err().contains("shape [6], expected [2, 3]"));
    assert!(difference(&flat, &[]).unwrap_err().contains("1 tensors, expected 0"));
    let other = [Part::value("y", TensorData::new(vec![1.0_f32; 6], [6]))];
    assert_eq!(difference(&flat, &other).unwrap_err(), "x, expected y");
    // Halves and integers are read as f32.
    let ints = [Part::value("x", TensorData::new(vec![3_i64, 4], [2]))];
    assert_eq!(difference(&ints, &[part(&[3.0, 4.0])]).map(|found| found.largest), Ok(0.0));
}

/// A layer with the normalisation whose running statistics clones share.
#[derive(Module, Debug)]
struct Net {
    layer: Linear,
    norm: BatchNorm,
}

#[test]
fn a_training_step_gives_the_loss_the_gradients_and_the_running_statistics_each_time() {
    let device = FLEX.open().unwrap().autodiff();
    let net = Net {
        layer: LinearConfig::new(3, 2).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
    };
    let net = host_weights(net, 7).unwrap();
    let x = host_tensor::<2>(8, [4, 3], &device);
    let scale = Tensor::<2>::from_floats([[1.0, 3.0]], &device);
    let loss = move |net: &Net| {
        let y = net.norm.forward(net.layer.forward(x.clone()).unsqueeze_dim::<3>(2));
        (y.flatten::<2>(1, 2) * scale.clone()).powi_scalar(3).sum()
    };
    let expected = {
        let grads = loss(&net).backward();
        net.layer.weight.val().grad(&grads).unwrap().into_data()
    };
    let net = host_weights(net, 7).unwrap(); // the pass above moved its statistics
    let mut step = training_step(net, loss).unwrap();
    let first = step.run().unwrap().into_parts().unwrap();
    let second = step.run().unwrap().into_parts().unwrap();
    assert_eq!(first, second, "a step begins where the first did");
    let names: Vec<_> = first.iter().map(|part| (part.name.as_str(), part.is_gradient)).collect();
    assert_eq!(
        names,
        [
            ("the loss", false),
            ("the gradient of layer.bias", true),
            ("the gradient of layer.weight", true),
            ("the gradient of norm.bias", true),
            ("norm.running_mean", false),
            ("norm.running_var", false),
            ("the gradient of norm.weight", true),
        ]
    );
    // In PyTorch's layout, [out, in].
    let found: Vec<f32> = first[2].data.iter::<f32>().collect();
    let expected: Vec<f32> = expected.iter::<f32>().collect();
    for (at, value) in found.iter().enumerate() {
        let other = expected[at % 3 * 2 + at / 3];
        assert!((value - other).abs() <= 1e-6 * other.abs().max(0.01), "{at}: {value} {other}");
    }
    let labels = host_labels(4, 3, &device).into_data();
    assert_eq!(labels.iter::<i64>().collect::<Vec<_>>(), [0, 1, 2, 0]);
}

/// Work as a type of one's own.
struct Negation;

impl Work for Negation {
    fn start(&self, device: &Device, size: &Size) -> Result<Step, BoxError> {
        let x = host_tensor::<1>(1, [size.value as usize], device);
        Ok(Step::new(move || Ok(Output::from(-x.clone()))))
    }
}

#[test]
fn work_may_be_a_type_and_says_whether_it_trains() {
    let work = Workload::of("negation", Negation).training().size(Size::new("small", 8.0, 8.0));
    assert_eq!(work.description.kind, Kind::Training);
    let comparison = quick().run(&[work], &processors(), &mut Silent).unwrap();
    assert!(comparison.rows.iter().all(|row| row.measurement().is_some()), "{comparison}");
}

/// Counts itself out where it is dropped.
struct Held(Rc<Cell<i32>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn no_two_outputs_are_held_at_a_time() {
    let alive = Rc::new(Cell::new(0_i32));
    let most = Rc::new(Cell::new(0_i32));
    let (a, m) = (Rc::clone(&alive), Rc::clone(&most));
    let work = Workload::new("held", move |_, _| {
        let (alive, most) = (Rc::clone(&a), Rc::clone(&m));
        Ok(Step::new(move || {
            alive.set(alive.get() + 1);
            most.set(most.get().max(alive.get()));
            let held = Held(Rc::clone(&alive));
            Ok(Output::new(move || {
                let _held = held;
                Ok(Vec::new())
            }))
        }))
    })
    .size(Size::new("small", 1.0, 1.0));
    let comparison = quick().run(&[work], &[FLEX], &mut Silent).unwrap();
    assert!(comparison.rows[0].measurement().is_some());
    assert_eq!((alive.get(), most.get()), (0, 1));
}
