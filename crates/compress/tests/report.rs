//! The report: what it counts, what it compares, what it refuses.
#![cfg(feature = "flex")]

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use compress::report::{
    Report, Row, TestSet, Variant, Verdict, smallest_significant, storage_bytes,
};
use model_utils::graph::{Binary, Graph, Op, Quantization, Role};
use model_utils::stats::mcnemar_counts;
use model_utils::train::Stop;

/// The class is the larger of two numbers, unless `swapped`.
#[derive(Module, Debug)]
struct Larger {
    layer: Linear,
}

fn graph(weights: [[f32; 2]; 2]) -> Graph {
    let device = Device::flex();
    let mut layer = LinearConfig::new(2, 2).init(&device);
    layer.weight = Param::from_tensor(Tensor::from_data(weights, &device));
    layer.bias = Some(Param::from_tensor(Tensor::zeros([2], &device)));
    Graph::trace(&Larger { layer }, [1, 2], |model, x: Tensor<2>| model.layer.forward(x)).unwrap()
}

/// `n` examples; a graph of the identity has all right but each `wrong`th.
fn test_set(n: usize, wrong: usize) -> TestSet {
    let device = Device::flex();
    let batch = |first: usize, count: usize| {
        let numbers = (first..first + count).flat_map(|i| {
            let x = 1.0 + (i % 7) as f32;
            [x, 4.5]
        });
        let values: Vec<f32> = numbers.collect();
        let labels = values
            .chunks(2)
            .enumerate()
            .map(|(i, pair)| {
                usize::from(pair[1] > pair[0]) ^ usize::from((first + i).is_multiple_of(wrong))
            })
            .collect();
        (Tensor::<2>::from_data(TensorData::new(values, [count, 2]), &device), labels)
    };
    TestSet::new([batch(0, n / 2), batch(n / 2, n - n / 2)]).unwrap()
}

#[test]
fn rows_are_counted_and_compared() {
    let test = test_set(1000, 10);
    assert_eq!(test.len(), 1000);
    let identity = graph([[1.0, 0.0], [0.0, 1.0]]);
    // Takes 5 for less than 4.5: wrong on a seventh of the examples.
    let worse = graph([[0.85, 0.0], [0.0, 1.0]]);
    let report = Report::new(&test)
        .repeats(3)
        .latency_batch(4)
        .row("float", &identity)
        .unwrap()
        .row("copy", Variant::new(&identity).bytes(5))
        .unwrap()
        .row("worse", &worse)
        .unwrap();
    let [float, copy, other] = report.rows() else { panic!("three rows") };
    assert_eq!((float.bytes, float.parameters, float.zeros), (24, 6, 4));
    assert_eq!((copy.bytes, float.multiply_adds), (5, 4));
    assert!(report.rows().iter().all(|row| row.latency_ms > 0.0));
    assert_eq!(float.correct.iter().filter(|right| **right).count(), 900);
    assert!((float.share_right() - 0.9).abs() < 1e-12);
    let interval = float.accuracy.unwrap();
    assert!(interval.low < 0.9 && interval.high > 0.9 && interval.n == 1000);

    assert_eq!((float.verdict(), copy.verdict()), (Verdict::Original, Verdict::NotDistinguishable));
    assert_eq!((copy.gained_points(), copy.against_first.unwrap().p_value), (0.0, 1.0));
    let test_of = other.against_first.unwrap();
    let differ = float.correct.iter().zip(&other.correct);
    let only = |first: bool| differ.clone().filter(|(a, b)| a != b && **a == first).count() as u64;
    assert_eq!((test_of.only_a, test_of.only_b), (only(true), only(false)));
    assert!(test_of.only_a > 100 && test_of.only_b > 5);
    let expected = mcnemar_counts(only(true), only(false)).unwrap().p_value;
    assert!((test_of.p_value - expected).abs() < 1e-15);
    assert_eq!(other.verdict(), Verdict::Worse);
    let points = 100.0 * (other.share_right() - float.share_right());
    assert!((other.gained_points() - points).abs() < 1e-9);

    let text = report.to_string();
    assert!(text.contains("not distinguishable") && text.contains("worse"), "{text}");
    assert!(text.contains("p > 0.05 at n = 1,000"), "{text}");
    let markdown = report.to_markdown();
    assert!(markdown.starts_with("| variant | bytes |"), "{markdown}");
    assert!(markdown.contains("| float | 24 | 6 (67 % zero) | 4 |"), "{markdown}");
    for picture in [report.by_size(), report.by_time()] {
        let svg = picture.to_svg().unwrap();
        assert!(["float", "copy", "worse"].iter().all(|name| svg.contains(name)));
    }
    let again = report.clone().time_in_turns().unwrap();
    assert_eq!(again.rows()[2].correct, report.rows()[2].correct);
}

#[test]
fn what_was_measured_elsewhere_is_compared_too() {
    let test = test_set(100, 10);
    let identity = graph([[1.0, 0.0], [0.0, 1.0]]);
    let report = Report::new(&test).repeats(1).row("float", &identity).unwrap();
    let row = |name: &str, correct: Vec<bool>| Row {
        name: name.to_owned(),
        bytes: 7,
        correct,
        ..Row::default()
    };
    let better = report.clone().measured(row("engine", vec![true; 100])).unwrap();
    assert_eq!(better.rows()[1].verdict(), Verdict::Better);
    assert_eq!(better.find("engine").unwrap().bytes, 7);
    let error = report.clone().measured(row("engine", vec![true; 99])).unwrap_err().to_string();
    assert!(error.contains("`correct` is 99, expected 100 answers"), "{error}");
    let error = report.measured(row("float", vec![true; 100])).unwrap_err().to_string();
    assert!(error.contains("`name` is \"float\""), "{error}");
}

#[test]
fn quantized_parameters_count_in_their_bits() {
    let mut graph = graph([[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(storage_bytes(&graph), 24);
    let quantization = |scales: usize, zero: i64, [least, largest]: [i64; 2]| Quantization {
        scale: vec![0.1; scales],
        zero_point: vec![zero; scales],
        axis: (scales > 1).then_some(1),
        least,
        largest,
    };
    let weight = graph.find("layer.weight").unwrap();
    let mut set = |quantization| {
        graph
            .rewrite(|edit| {
                edit.set_quantization(weight, Some(quantization));
                Ok(())
            })
            .unwrap();
        storage_bytes(&graph)
    };
    // Four integers, a scale, and the bias.
    assert_eq!(set(quantization(1, 0, [-127, 127])), 4 + 4 + 8);
    assert_eq!(set(quantization(2, 0, [-8, 7])), 2 + 8 + 8);
    assert_eq!(set(quantization(2, 3, [0, 255])), 4 + 8 + 2 + 8);
    assert_eq!(set(quantization(1, 0, [-1, 1])), 1 + 4 + 8);

    // On what is computed from the parameter alone: fake quantization.
    let mut fake = self::graph([[1.0, 0.0], [0.0, 1.0]]);
    fake.rewrite(|edit| {
        let weight = edit.find("layer.weight").expect("it is there");
        let rounded = edit.insert_after(weight, "fake", Op::Scalar(Binary::Mul, 1.0));
        edit.set_quantization(rounded, Some(quantization(1, 0, [-127, 127])));
        Ok(())
    })
    .unwrap();
    assert_eq!(storage_bytes(&fake), 4 + 4 + 8);
    // One on the activations says nothing of the weights.
    let mut activations = self::graph([[1.0, 0.0], [0.0, 1.0]]);
    activations
        .rewrite(|edit| {
            let out = edit.outputs()[0];
            edit.set_quantization(out, Some(quantization(1, 0, [-127, 127])));
            Ok(())
        })
        .unwrap();
    assert_eq!(storage_bytes(&activations), 24);
}

#[test]
fn bad_input_is_named() {
    let device = Device::flex();
    let none: [(Tensor<2>, Vec<usize>); 0] = [];
    let error = TestSet::new(none).unwrap_err().to_string();
    assert!(error.contains("at least one labelled example"), "{error}");
    let on_autodiff = Tensor::<2>::ones([1, 2], &device.clone().autodiff());
    let error = TestSet::new([(on_autodiff, vec![0])]).unwrap_err().to_string();
    assert!(error.contains("a device without autodiff"), "{error}");

    let test = test_set(100, 10);
    let identity = graph([[1.0, 0.0], [0.0, 1.0]]);
    let error = Report::new(&test).latency_batch(51).row("x", &identity).unwrap_err().to_string();
    assert!(error.contains("`latency_batch` is 51, expected 1 to 50"), "{error}");
    let error = Report::new(&test).repeats(0).row("x", &identity).unwrap_err().to_string();
    assert!(error.contains("`repeats` is 0"), "{error}");
    let twice = Report::new(&test).repeats(1).row("x", &identity).unwrap();
    let error = twice.row("x", &identity).unwrap_err().to_string();
    assert!(error.contains("a name that no other row has"), "{error}");

    let stop = Stop::new();
    let stopping = test.clone().with_stop(&stop);
    let report = Report::new(&stopping).repeats(1).row("x", &identity).unwrap();
    stop.stop();
    for error in [
        stopping.correct(&identity).unwrap_err().to_string(),
        report.clone().row("y", &identity).unwrap_err().to_string(),
        report.time_in_turns().unwrap_err().to_string(),
    ] {
        assert!(error.contains("was stopped at"), "{error}");
    }

    // Three runs to warm up and five, then two batches of fifty.
    let after = |asked| Report::new(&test.clone().with_stop(&Stop::after(asked))).repeats(5);
    for (asked, place) in [(4, "timing run 4"), (9, "example 50 of 100")] {
        let error = after(asked).row("x", &identity).unwrap_err().to_string();
        assert_eq!(error, format!("judging a graph was stopped at {place}"));
    }
    assert!(after(10).row("x", &identity).is_ok());

    let not_a_number = graph([[f32::NAN, 0.0], [0.0, 1.0]]);
    let error = test.correct(&not_a_number).unwrap_err().to_string();
    assert!(error.contains("node `layer`: a logit of example 0 is NaN"), "{error}");
    let labels = TestSet::new([(Tensor::<2>::ones([2, 2], &device), vec![0, 1, 1])]).unwrap();
    let error = labels.correct(&identity).unwrap_err().to_string();
    assert!(error.contains("it gives [2, 2] for 3 labels"), "{error}");
    let labels = TestSet::new([(Tensor::<2>::ones([2, 2], &device), vec![0, 2])]).unwrap();
    let error = labels.correct(&identity).unwrap_err().to_string();
    assert!(error.contains("the label of example 1 is 2, expected below 2"), "{error}");
    let wide = TestSet::new([(Tensor::<2>::ones([1, 3], &device), vec![0])]).unwrap();
    assert!(wide.correct(&identity).is_err());
    let mut frozen = identity.clone();
    frozen
        .rewrite(|edit| {
            let weight = edit.find("layer.weight").expect("it is there");
            edit.set_role(weight, Role::Frozen);
            Ok(())
        })
        .unwrap();
    let frozen = Report::new(&test).repeats(1).row("frozen", &frozen).unwrap();
    assert_eq!(frozen.rows()[0].parameters, 6);
}

#[test]
fn the_smallest_difference_that_counts() {
    for discordant in [0, 1, 5, 6, 7, 20, 99, 100, 1000, 12_345] {
        let found = smallest_significant(discordant, 0.05).unwrap();
        let p = |difference: u64| {
            let more = u64::midpoint(discordant, difference);
            mcnemar_counts(more, discordant - more).unwrap().p_value
        };
        match found {
            Some(difference) => {
                assert_eq!(difference % 2, discordant % 2);
                assert!(p(difference) <= 0.05, "{discordant}");
                assert!(difference < 2 || p(difference - 2) > 0.05, "{discordant}");
                let about = 1.96 * (discordant as f64).sqrt();
                assert!((difference as f64 - about).abs() < 3.5, "{discordant}: {difference}");
            }
            None => assert!(discordant < 6),
        }
    }
    assert!(smallest_significant(10, 0.0).is_err());
    assert!(smallest_significant(10, f64::NAN).is_err());
    assert!(smallest_significant(u64::MAX, 0.05).is_err());
}
