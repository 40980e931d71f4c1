//! Fake quantization and observers agree with torch.ao.
#![cfg(feature = "flex")]

use burn::tensor::{Device, Tensor, TensorData};
use compress::quantize::{Bounds, CalibrationMethod, Histogram, Scheme};
use model_utils::ops::{FakeQuantize, fake_quantize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    fake_quantize: Vec<Case>,
    observers: Vec<Observed>,
    per_channel: PerChannel,
}

#[derive(Deserialize)]
struct Case {
    shape: Vec<usize>,
    axis: Option<usize>,
    least: i64,
    largest: i64,
    gradient_scale: f64,
    x: Vec<f32>,
    scale: Vec<f32>,
    zero_point: Vec<f32>,
    upstream: Vec<f32>,
    output: Vec<f32>,
    of_x: Vec<f32>,
    of_scale: Vec<f32>,
    of_zero_point: Vec<f32>,
}

#[derive(Deserialize)]
struct Observed {
    name: String,
    symmetric: bool,
    batches: Vec<Vec<f32>>,
    scale: Vec<f32>,
    zero_point: Vec<i64>,
}

#[derive(Deserialize)]
struct PerChannel {
    weight: Vec<f32>,
    scale: Vec<f32>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/quantize.json")).unwrap()
}

fn close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        let bound = tolerance * b.abs().max(1.0);
        assert!((a - b).abs() <= bound, "{name} {at}: {a}, expected {b}");
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn agrees<const D: usize>(case: &Case, device: &Device) {
    let shape: [usize; D] = case.shape.clone().try_into().unwrap();
    let tensor = |values: &[f32], device: &Device| {
        Tensor::<D>::from_data(TensorData::new(values.to_vec(), shape), device)
    };
    let steps = |values: &[f32], device: &Device| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
    };
    let how = FakeQuantize {
        axis: case.axis,
        least: case.least,
        largest: case.largest,
        gradient_scale: case.gradient_scale,
    };
    let name = format!("{:?} along {:?}", case.shape, case.axis);
    let still = fake_quantize(
        tensor(&case.x, device),
        steps(&case.scale, device),
        steps(&case.zero_point, device),
        how,
    );
    close(&format!("{name}, inference"), &numbers(still), &case.output, 1e-6);

    let device = device.clone().autodiff();
    let x = tensor(&case.x, &device).require_grad();
    let scale = steps(&case.scale, &device).require_grad();
    let zero_point = steps(&case.zero_point, &device).require_grad();
    let output = fake_quantize(x.clone(), scale.clone(), zero_point.clone(), how);
    let upstream = tensor(&case.upstream, &device);
    let gradients = (output.clone() * upstream).sum().backward();
    close(&name, &numbers(output), &case.output, 1e-6);
    close(&format!("{name}, of x"), &numbers(x.grad(&gradients).unwrap()), &case.of_x, 1e-6);
    // Sums of many numbers.
    let of_scale = numbers(scale.grad(&gradients).unwrap());
    close(&format!("{name}, of the scale"), &of_scale, &case.of_scale, 1e-5);
    let of_zero = numbers(zero_point.grad(&gradients).unwrap());
    close(&format!("{name}, of the zero point"), &of_zero, &case.of_zero_point, 1e-5);
}

fn all_agree(device: &Device) {
    for case in fixture().fake_quantize {
        match case.shape.len() {
            2 => agrees::<2>(&case, device),
            _ => agrees::<4>(&case, device),
        }
    }
}

#[test]
#[cfg(feature = "flex")]
fn outputs_and_gradients_agree_on_flex() {
    all_agree(&Device::flex());
}

#[test]
#[cfg(feature = "ndarray")]
#[allow(deprecated)] // The project supports it.
fn outputs_and_gradients_agree_on_ndarray() {
    all_agree(&Device::ndarray());
}

#[test]
#[cfg(feature = "flex")]
fn large_tensors_that_cores_share_agree_with_small_ones() {
    let device = Device::flex().autodiff();
    let values: Vec<f32> =
        (0..300_000).map(|i| ((i * 7919 % 2003) as f32 - 1000.0) / 300.0).collect();
    let how = FakeQuantize { axis: None, least: -31, largest: 31, gradient_scale: 1.0 };
    let of = |values: &[f32]| {
        let data = TensorData::new(values.to_vec(), [values.len() / 10, 10]);
        let x = Tensor::<2>::from_data(data, &device).require_grad();
        let scale = Tensor::<1>::from_floats([0.07], &device).require_grad();
        let zero_point = Tensor::<1>::from_floats([3.0], &device);
        let output = fake_quantize(x.clone(), scale.clone(), zero_point, how);
        let gradients = (output.clone() * output.clone()).sum().backward();
        let of_scale = numbers(scale.grad(&gradients).unwrap())[0];
        (numbers(output), numbers(x.grad(&gradients).unwrap()), f64::from(of_scale))
    };
    let (output, of_x, of_scale) = of(&values);
    let mut parts = (Vec::new(), Vec::new(), 0.0);
    for part in values.chunks(1000) {
        let (output, of_x, of_scale) = of(part);
        parts.0.extend(output);
        parts.1.extend(of_x);
        parts.2 += of_scale;
    }
    assert_eq!(output, parts.0);
    assert_eq!(of_x, parts.1);
    assert!((of_scale - parts.2).abs() < 1e-4 * parts.2.abs(), "{of_scale} {}", parts.2);
}

#[test]
fn observers_agree() {
    for Observed { name, symmetric, batches, scale, zero_point } in fixture().observers {
        let observer = match name.as_str() {
            name if name.starts_with("min_max") => CalibrationMethod::MinMax,
            name if name.starts_with("moving") => CalibrationMethod::MovingAverage { share: 0.1 },
            _ => CalibrationMethod::MeanSquaredError,
        };
        let scheme = if symmetric { Scheme::symmetric(8) } else { Scheme::affine(8) };
        let of_batch = |batch: &Vec<f32>| {
            let min = batch.iter().copied().fold(f32::INFINITY, f32::min);
            let max = batch.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            Bounds { min, max }
        };
        let mut bounds = None;
        for batch in &batches {
            bounds = Some(observer.join(bounds, of_batch(batch)));
        }
        let mut bounds = bounds.unwrap();
        if observer.needs_histogram() {
            let mut histogram = Histogram::new(bounds);
            for batch in &batches {
                histogram.add(batch);
            }
            bounds = observer.choose(&histogram, scheme);
        }
        let (found, zero) = scheme.step(bounds);
        assert!((found - scale[0]).abs() <= 1e-6 * scale[0].abs(), "{name}: {found} {scale:?}");
        assert_eq!(zero, zero_point[0], "{name}");
    }
}

#[test]
fn the_scale_of_each_channel_agrees() {
    let PerChannel { weight, scale } = fixture().per_channel;
    for (channel, expected) in weight.chunks(weight.len() / scale.len()).zip(&scale) {
        let bounds = CalibrationMethod::MinMax.join(
            None,
            Bounds {
                min: channel.iter().copied().fold(f32::INFINITY, f32::min),
                max: channel.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            },
        );
        let (found, zero) = Scheme::symmetric(8).step(bounds);
        assert!(
            (found - expected).abs() <= 1e-6 * expected.abs() && zero == 0,
            "{found} {expected}"
        );
    }
}
