//! Operations that drop numbers by the device's generator, which is one for the whole process: these
//! tests seed it, take turns, and have a process of their own.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use std::sync::{Mutex, PoisonError};

use burn::nn::DropoutConfig;
use burn::tensor::{Device, Distribution, Gradients, Tensor, TensorData};
use model_utils::device::seed;
use model_utils::ops::{self, Mask};

static TURN: Mutex<()> = Mutex::new(());

fn device() -> Device {
    Device::flex().autodiff()
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = device();
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
}

fn grad<const D: usize>(x: &Tensor<D>, gradients: &Gradients) -> Vec<f32> {
    numbers(x.grad(gradients).unwrap())
}

/// Dropout drops its share, and the gradient of what is dropped is 0.
#[test]
fn dropout_drops_numbers_and_their_gradients() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let dropout = DropoutConfig::new(0.25).init();
    let x = (normal([300, 200]).abs() + 0.5).detach().require_grad();
    seed(&device(), 5);
    let dropped = ops::dropout(&dropout, x.clone());
    let gradient = grad(&x, &dropped.clone().sum().backward());
    let (outputs, inputs) = (numbers(dropped), numbers(x.clone()));
    for ((output, input), gradient) in outputs.iter().zip(&inputs).zip(&gradient) {
        let expected = if *output == 0.0 { 0.0 } else { 1.0 / 0.75 };
        assert!((gradient - expected).abs() < 1e-6);
        assert!((output - input * expected).abs() < 1e-5);
    }
    let share = outputs.iter().filter(|output| **output == 0.0).count() as f64 / 60_000.0;
    assert!((share - 0.25).abs() < 0.01, "{share}");
    let again = numbers(ops::dropout(&dropout, x.clone()));
    assert_ne!(again, outputs);
    seed(&device(), 5);
    assert_eq!(numbers(ops::dropout(&dropout, x.clone())), outputs);
    assert_eq!(numbers(ops::dropout(&dropout, x.clone().inner())), inputs);
}

/// With the dropout's seed held, the gradients are those of small differences.
#[test]
fn attention_with_dropout_has_the_gradients_of_small_differences() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let dropout = DropoutConfig::new(0.4).init();
    let mask = Mask::padding(&[5, 7]);
    for queries in [2, 8] {
        let inputs = [normal([2, queries, 6]), normal([2, 7, 6]), normal([2, 7, 6])];
        let value = |inputs: &[Tensor<3>; 3]| {
            seed(&device(), 9);
            let [q, k, v] = inputs.clone();
            let output = ops::multi_head_attention(q, k, v, 2, &mask, &dropout);
            let weights: Vec<f32> = (0..2 * queries * 6).map(|i| (i as f32 * 0.7).sin()).collect();
            let weights = TensorData::new(weights, output.shape());
            (output * Tensor::from_data(weights, &device())).sum()
        };
        let gradients = value(&inputs).backward();
        let none = DropoutConfig::new(0.0).init();
        let [q, k, v] = inputs.clone();
        let undropped = ops::multi_head_attention(q, k, v, 2, &mask, &none);
        seed(&device(), 9);
        let [q, k, v] = inputs.clone();
        let dropped = ops::multi_head_attention(q, k, v, 2, &mask, &dropout);
        assert!((undropped - dropped).abs().max().into_scalar::<f32>() > 0.1);
        for which in 0..3 {
            let analytic = grad(&inputs[which], &gradients);
            let shape = inputs[which].dims();
            for at in (0..analytic.len()).step_by(5) {
                let moved = |by: f32| {
                    let mut steps = vec![0.0; analytic.len()];
                    steps[at] = by;
                    let mut inputs = inputs.clone();
                    let step = Tensor::from_data(TensorData::new(steps, shape), &device());
                    inputs[which] = inputs[which].clone() + step;
                    value(&inputs).into_scalar::<f32>()
                };
                let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                let off = (numeric - analytic[at]).abs();
                assert!(off < 5e-3, "input {which}, {at}: {} for {numeric}", analytic[at]);
            }
        }
    }
}
