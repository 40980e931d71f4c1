//! Against scipy and statsmodels (`tests/fixtures/stats.py`), and what they cannot show.

use serde_json::Value;

use super::interval::t_quantile;
use super::*;
use crate::config::ConfigError;
use crate::error::Error;

/// The values that the fixture script wrote.
fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/stats.json")).expect("a JSON fixture")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1e-300), "{found} is not {expected}");
}

#[test]
fn summaries_and_mean_intervals_are_those_of_numpy_and_scipy() {
    for (name, sample) in reference()["summaries"].as_object().expect("samples") {
        let values = numbers(&sample["values"]);
        let of = |key: &str| sample[key].as_f64().expect("a number");
        close(mean(&values).unwrap(), of("mean"), 1e-12);
        close(standard_deviation(&values).unwrap(), of("standard_deviation"), 1e-12);
        close(median(&values).unwrap(), of("median"), 1e-12);
        for pair in sample["quantiles"].as_array().unwrap() {
            let pair = numbers(pair);
            close(quantile(&values, pair[0]).unwrap(), pair[1], 1e-12);
        }
        for row in sample["intervals"].as_array().unwrap() {
            let row = numbers(row);
            let found = mean_interval(&values, row[0]).unwrap();
            assert_eq!(found.n, values.len(), "{name}");
            // The width too, which a large mean would hide.
            close(found.high - found.low, row[2] - row[1], 1e-6);
            close(found.low, row[1], 1e-9);
            close(found.high, row[2], 1e-9);
        }
    }
}

#[test]
fn students_quantile_holds_for_many_degrees_of_freedom() {
    // scipy.stats.t.ppf(0.975, df) and (0.9995, df).
    close(t_quantile(0.95, 999.0).unwrap(), 1.962_341_461_133_449_3, 1e-10);
    close(t_quantile(0.95, 1000.0).unwrap(), 1.962_339_080_826_408_3, 1e-11);
    close(t_quantile(0.999, 1000.0).unwrap(), 3.300_282_648_423_944, 1e-11);
    close(t_quantile(0.95, 1e6).unwrap(), 1.959_966_356_814_107, 1e-12);
}

#[test]
fn wilson_is_that_of_statsmodels() {
    for row in reference()["wilson"].as_array().unwrap() {
        let row = numbers(row);
        let found = wilson(row[0] as usize, row[1] as usize, row[2]).unwrap();
        assert!((found.low - row[3]).abs() < 1e-12, "{row:?} {found:?}");
        close(found.high, row[4], 1e-9);
        assert!(found.low <= found.estimate && found.estimate <= found.high, "{found:?}");
    }
}

#[test]
fn mcnemar_is_that_of_statsmodels_also_for_large_counts() {
    for row in reference()["mcnemar"].as_array().unwrap() {
        let row = numbers(row);
        let found = mcnemar_counts(row[0] as u64, row[1] as u64).unwrap();
        close(found.p_value, row[2], 1e-9);
    }
    assert!(mcnemar_counts(u64::MAX, 1).is_err());
}

#[test]
fn mcnemar_counts_the_examples_where_one_is_right() {
    let a = [true, true, true, false, false, true];
    let b = [true, false, false, true, false, false];
    let found = mcnemar(&a, &b).unwrap();
    assert_eq!((found.only_a, found.only_b, found.n), (3, 1, 6));
    close(found.p_value, 0.625, 1e-14);
    assert!(matches!(mcnemar(&a, &b[1..]), Err(Error::Shape { .. })));
    assert!(matches!(mcnemar(&[], &[]), Err(Error::Data { .. })));
}

#[test]
fn an_interval_prints_the_digits_that_matter() {
    let interval = |estimate, low, high| Interval { estimate, low, high, confidence: 0.95, n: 5 };
    let accuracy = interval(0.97312, 0.96888, 0.97702);
    assert_eq!(accuracy.to_string(), "0.9731 [0.9689, 0.9770]");
    assert_eq!(format!("{accuracy:.3}"), "0.973 [0.969, 0.977]");
    assert_eq!(interval(1234.5, 1100.2, 1390.1).to_string(), "1234 [1100, 1390]");
    assert_eq!(interval(1.0, 1.0, 1.0).to_string(), "1.000000 [1.000000, 1.000000]");
}

#[test]
fn a_seed_decides_a_bootstrap() {
    let first = |indices: &[usize]| indices[0] as f64;
    let draws = bootstrap(100, 50, 7, first).unwrap();
    assert_eq!(draws, bootstrap(100, 50, 7, first).unwrap());
    assert_ne!(draws, bootstrap(100, 50, 8, first).unwrap());
    assert!(draws.iter().all(|&index| index < 100.0));
}

#[test]
fn bootstrap_intervals_cover_the_truth_about_as_often_as_they_say() {
    // Means of 40 values, 400 times; a uniform value on 0..1 has the mean 0.5.
    let mut covered = 0;
    for seed in 0..400 {
        let values = uniform(seed, 40);
        let zeros = vec![0.0; values.len()];
        let found = bootstrap_paired(&values, &zeros, 400, 0.9, seed).unwrap().difference;
        covered += usize::from(found.low <= 0.5 && 0.5 <= found.high);
    }
    assert!((330..385).contains(&covered), "{covered} of 400 at 90 %");
}

#[test]
fn the_bootstrap_of_a_mean_approaches_its_normal_interval() {
    let a = uniform(3, 2000);
    let b = uniform(4, 2000);
    let found = bootstrap_paired(&a, &b, 4000, 0.95, 1).unwrap();
    let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let expected = mean_interval(&differences, 0.95).unwrap();
    close(found.difference.estimate, expected.estimate, 1e-12);
    assert!((found.difference.low - expected.low).abs() < 0.0015, "{found:?} {expected:?}");
    assert!((found.difference.high - expected.high).abs() < 0.0015, "{found:?} {expected:?}");
}

#[test]
fn a_clear_winner_wins_every_resample_and_a_tie_none() {
    let a = [0.9, 0.8, 0.95, 0.7];
    let b = [0.5, 0.4, 0.55, 0.3];
    close(bootstrap_paired(&a, &b, 200, 0.95, 0).unwrap().share_a_above, 1.0, 0.0);
    assert!(bootstrap_paired(&a, &a, 200, 0.95, 0).unwrap().share_a_above.abs() < 1e-12);
    let one = bootstrap_paired(&a[..1], &b[..1], 10, 0.95, 0).unwrap();
    close(one.difference.low, one.difference.high, 0.0);
}

#[test]
fn what_cannot_be_computed_is_refused_with_its_place() {
    let text = mean(&[1.0, f64::NAN]).unwrap_err().to_string();
    assert!(text.contains("NaN at index 1"), "{text}");
    assert!(matches!(median(&[]), Err(Error::Data { .. })));
    assert!(matches!(standard_deviation(&[1.0]), Err(Error::Data { .. })));
    assert!(matches!(mean_interval(&[1.0], 0.95), Err(Error::Data { .. })));
    assert!(matches!(quantile(&[1.0], 1.5), Err(Error::Config(ConfigError { field: "q", .. }))));
    for confidence in [0.0, 1.0, 95.0, -0.1, f64::NAN] {
        assert!(matches!(
            mean_interval(&[1.0, 2.0], confidence),
            Err(Error::Config(ConfigError { field: "confidence", .. }))
        ));
        assert!(wilson(1, 2, confidence).is_err());
    }
    assert!(matches!(
        wilson(3, 2, 0.95),
        Err(Error::Config(ConfigError { field: "successes", .. }))
    ));
    assert!(matches!(wilson(0, 0, 0.95), Err(Error::Config(ConfigError { field: "n", .. }))));
    assert!(matches!(bootstrap(0, 1, 0, |_| 0.0), Err(Error::Config(_))));
    assert!(matches!(bootstrap(1, 0, 0, |_| 0.0), Err(Error::Config(_))));
    assert!(matches!(bootstrap(1, 1, 0, |_| f64::NAN), Err(Error::Data { .. })));
    assert!(matches!(bootstrap_paired(&[1.0], &[], 1, 0.9, 0), Err(Error::Shape { .. })));
    assert!(matches!(bootstrap_paired(&[], &[], 1, 0.9, 0), Err(Error::Data { .. })));
}

/// `n` values between 0 and 1.
fn uniform(seed: u64, n: usize) -> Vec<f64> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    (0..n).map(|_| rng.random::<f64>()).collect()
}
