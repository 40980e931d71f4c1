//! The operations on sequences that `ops` computes itself on `flex`, against Burn's own.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use burn::module::Param;
use burn::nn::{DropoutConfig, LayerNormConfig, LinearConfig};
use burn::tensor::activation::{self, log_softmax};
use burn::tensor::{Device, Distribution, Gradients, Int, Tensor, TensorData};
use model_utils::layers::LayerNorm;
use model_utils::ops::{self, Mask};
use proptest::prelude::*;

/// How far numbers may be from Burn's, in parts of the largest of them.
const TOLERANCE: f32 = 2e-5;

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

fn assert_near(what: &str, ours: &[f32], burns: &[f32]) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    let largest = burns.iter().fold(1.0_f32, |largest, x| largest.max(x.abs()));
    for (at, (ours, burns)) in ours.iter().zip(burns).enumerate() {
        let off = (ours - burns).abs();
        assert!(off <= TOLERANCE * largest, "{what}[{at}]: {ours} for {burns}");
    }
}

/// That a gradient is what [`gradients`] weighs the outputs with, added up over the rows: sums of up to
/// thousands of numbers of either sign, held against the exact ones, of which plain addition in 32
/// bits is off by more than [`TOLERANCE`].
fn assert_sums(what: &str, found: &[f32], rows: usize) {
    let width = found.len();
    for (at, &found) in found.iter().enumerate() {
        let of_row = |row: usize| f64::from(((row * width + at) as f32 * 0.7).sin());
        let exact: f64 = (0..rows).map(of_row).sum();
        let bound = 1e-4 * exact.abs().max(1.0);
        assert!((f64::from(found) - exact).abs() <= bound, "{what}[{at}]: {found} for {exact}");
    }
}

/// The gradients of a sum in which each output weighs differently.
fn gradients<const D: usize>(output: &Tensor<D>) -> Gradients {
    let weights: Vec<f32> =
        (0..output.shape().num_elements()).map(|i| (i as f32 * 0.7).sin()).collect();
    let weights =
        Tensor::<D>::from_data(TensorData::new(weights, output.shape()), &output.device());
    (output.clone() * weights).sum().backward()
}

fn grad<const D: usize>(x: &Tensor<D>, gradients: &Gradients) -> Vec<f32> {
    numbers(x.grad(gradients).unwrap())
}

/// Both give the same output and the same gradients for the tensors given.
macro_rules! assert_same {
    ($ours:expr, $burns:expr, $($input:expr),+) => {{
        let (ours, burns) = ($ours, $burns);
        assert_eq!(ours.dims(), burns.dims());
        assert_near("output", &numbers(ours.clone()), &numbers(burns.clone()));
        let (of_ours, of_burns) = (gradients(&ours), gradients(&burns));
        $(assert_near(stringify!($input), &grad(&$input, &of_ours), &grad(&$input, &of_burns));)+
    }};
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_linear_layer_agrees(
        batch in 1..70_usize, time in 1..40_usize, from in 1..40_usize, to in 1..70_usize,
        bias in any::<bool>(),
    ) {
        let linear = LinearConfig::new(from, to).with_bias(bias).init(&device());
        let x = normal([batch, time, from]);
        if let Some(bias) = linear.bias.as_ref().map(Param::val) {
            let (ours, burns) = (ops::linear(&linear, x.clone()), linear.forward(x.clone()));
            assert_same!(ours, burns, x, linear.weight.val());
            let of_ours = gradients(&ops::linear(&linear, x.clone()));
            assert_sums("bias", &grad(&bias, &of_ours), batch * time);
        } else {
            let (ours, burns) = (ops::linear(&linear, x.clone()), linear.forward(x.clone()));
            assert_same!(ours, burns, x, linear.weight.val());
        }
        let plain = ops::linear(&linear, x.clone().inner().set_require_grad(false));
        assert_near("without autodiff", &numbers(plain), &numbers(linear.forward(x)));
    }

    #[test]
    fn a_projection_onto_a_table_agrees(
        rows in 1..300_usize, width in 1..40_usize, outputs in 1..90_usize,
    ) {
        let (x, table, bias) = (normal([rows, width]), normal([outputs, width]), normal([outputs]));
        let burns = || x.clone().matmul(table.clone().transpose());
        assert_same!(ops::linear_transposed(x.clone(), table.clone(), None), burns(), x, table);
        let ours = ops::linear_transposed(x.clone(), table.clone(), Some(bias.clone()));
        assert_same!(ours, burns() + bias.clone().unsqueeze(), x, table, bias);
    }

    #[test]
    fn rotated_pairs_agree(
        batch in 1..40_usize, time in 1..40_usize, heads in 1..5_usize, pairs in 1..20_usize,
    ) {
        let x = normal([batch, time, heads * 2 * pairs]);
        let angles = normal::<2>([time, pairs]).inner();
        let (sines, cosines) = (angles.clone().sin(), angles.cos());
        let burns = {
            let x = x.clone().reshape([batch, time, heads, 2, pairs]);
            let [a, b] = [0, 1].map(|half| x.clone().narrow(3, half, 1));
            let [s, c] = [&sines, &cosines]
                .map(|table| Tensor::from_inner(table.clone()).reshape([1, time, 1, 1, pairs]));
            let turned = [
                a.clone() * c.clone() - b.clone() * s.clone(),
                b * c + a * s,
            ];
            Tensor::cat(turned.to_vec(), 3).reshape([batch, time, heads * 2 * pairs])
        };
        let ours = ops::rotary_embedding(x.clone(), sines.clone(), cosines.clone(), heads);
        assert_same!(ours, burns.clone(), x);
        let plain = ops::rotary_embedding(x.inner(), sines, cosines, heads);
        assert_near("without autodiff", &numbers(plain), &numbers(burns));
    }

    #[test]
    fn layer_normalisation_agrees(rows in 1..400_usize, width in 2..90_usize) {
        let (gamma, beta) = (normal([width]), normal([width]));
        let mut burns = LayerNormConfig::new(width).with_epsilon(1e-4).init(&device());
        let mut ours = LayerNorm::new(width, 1e-4, &device());
        burns.gamma = Param::from_tensor(gamma.clone());
        ours.gamma = burns.gamma.clone();
        burns.beta = Some(Param::from_tensor(beta.clone()));
        ours.beta = Param::from_tensor(beta);
        let x = (normal([rows, 1, width]) * 3.0 + 1.5).detach().require_grad();
        let (of_ours, of_burns) = (ops::layer_norm(&ours, x.clone()), burns.forward(x.clone()));
        assert_near("output", &numbers(of_ours.clone()), &numbers(of_burns.clone()));
        let (of_ours, of_burns) = (gradients(&of_ours), gradients(&of_burns));
        assert_near("x", &grad(&x, &of_ours), &grad(&x, &of_burns));
        let gammas = [grad(&ours.gamma.val(), &of_ours), grad(&burns.gamma.val(), &of_burns)];
        assert_near("gamma", &gammas[0], &gammas[1]);
        assert_sums("beta", &grad(&ours.beta.val(), &of_ours), rows);
    }

    #[test]
    fn attention_agrees(
        batch in 1..6_usize, queries in 1..14_usize, keys in 1..40_usize, heads in 1..5_usize,
        width in 1..24_usize, causal in any::<bool>(), itself in any::<bool>(),
    ) {
        let keys = if causal { queries } else { keys };
        let lengths: Vec<usize> = (0..batch).map(|row| 1 + (row * 7 + keys / 2) % keys).collect();
        let mask = if causal { Mask::causal(&lengths) } else { Mask::padding(&lengths) };
        let all = heads * width;
        let (q, k, v) = (normal([batch, queries, all]), normal([batch, keys, all]), normal([batch, keys, all]));
        let k = if itself && queries == keys { q.clone() } else { k };
        let none = DropoutConfig::new(0.0).init();
        let ours = ops::multi_head_attention(q.clone(), k.clone(), v.clone(), heads, &mask, &none);
        let hidden = mask.to_tensor(queries, keys, &device());
        let split = |x: &Tensor<3>| ops::split_heads(x.clone(), heads);
        let (output, weights) = ops::attention(split(&q), split(&k), split(&v), Some(hidden));
        assert_same!(ours, ops::join_heads(output), q, k, v);
        // Without autodiff, and the weights up to the longest row's end.
        let plain = |x: &Tensor<3>| x.clone().inner();
        let output =
            ops::multi_head_attention(plain(&q), plain(&k), plain(&v), heads, &mask, &none);
        let of_all = ops::multi_head_weights(plain(&q), plain(&k), heads, &mask);
        let longest = lengths.iter().copied().max().unwrap();
        assert_near("weights", &numbers(of_all), &numbers(weights.narrow(3, 0, longest)));
        let again = ops::multi_head_attention(q, k, v, heads, &mask, &none);
        assert_near("without autodiff", &numbers(output), &numbers(again));
    }

    #[test]
    fn cached_attention_agrees(
        rows in 1..6_usize, cached in 1..9_usize, used in 1..20_usize, heads in 1..5_usize,
        width in 1..24_usize,
    ) {
        let (all, room) = (heads * width, used + 3);
        let q = normal([rows, 1, all]);
        let (k, v) = (normal([cached, room, all]), normal([cached, room, all]));
        let slots: Vec<u32> = (0..rows * used).map(|at| ((at * 5 + 3) % cached) as u32).collect();
        let gathered = |x: &Tensor<3>| {
            let one = |(at, &slot): (usize, &u32)| {
                x.clone().slice([slot as usize..slot as usize + 1, at % used..at % used + 1])
            };
            let found: Vec<Tensor<3>> = slots.iter().enumerate().map(one).collect();
            ops::split_heads(Tensor::cat(found, 0).reshape([rows, used, all]), heads)
        };
        let (output, _) =
            ops::attention(ops::split_heads(q.clone(), heads), gathered(&k), gathered(&v), None);
        let expected = numbers(ops::join_heads(output));
        let plain = [&q, &k, &v].map(|x| x.clone().inner());
        let [own_q, own_k, own_v] = plain;
        let ours = ops::cached_attention(own_q, own_k, own_v, heads, &slots);
        assert_near("in place", &numbers(ours), &expected);
        let gathers = ops::cached_attention(q, k, v, heads, &slots);
        assert_near("gathered", &numbers(gathers), &expected);
    }

    #[test]
    fn recurrent_cells_agree(rows in 1..90_usize, width in 1..40_usize) {
        let (input, state) = (normal([rows, 3 * width]), normal([rows, 3 * width]));
        let (hidden, gates) = (normal([rows, width]), normal([rows, 4 * width]));
        let gate = |x: &Tensor<2>, at: usize| x.clone().narrow(1, at * width, width);
        let (sigmoid, tanh) = (activation::sigmoid::<2>, activation::tanh::<2>);
        let reset = sigmoid(gate(&input, 0) + gate(&state, 0));
        let update = sigmoid(gate(&input, 1) + gate(&state, 1));
        let new = tanh(gate(&input, 2) + reset * gate(&state, 2));
        let burns = (-update.clone() + 1.0) * new + update * hidden.clone();
        let ours = ops::gru_cell(input.clone(), state.clone(), hidden.clone());
        assert_same!(ours, burns, input, state, hidden);
        let cell = sigmoid(gate(&gates, 1)) * hidden.clone()
            + sigmoid(gate(&gates, 0)) * tanh(gate(&gates, 2));
        let burns = sigmoid(gate(&gates, 3)) * tanh(cell.clone()) + cell * 0.3;
        let (output, cell) = ops::lstm_cell(gates.clone(), hidden.clone());
        assert_same!(output + cell * 0.3, burns, gates, hidden);
    }

    #[test]
    fn cross_entropy_agrees(rows in 1..70_usize, classes in 2..90_usize, smooth in any::<bool>()) {
        let smoothing = if smooth { 0.1 } else { 0.0 };
        let logits = (normal([rows, classes]) * 4.0).detach().require_grad();
        let ids: Vec<i32> = (0..rows).map(|row| ((row * 13) % classes) as i32).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(ids.clone(), [rows]), &device());
        let ours = ops::cross_entropy_ignoring(logits.clone(), targets.clone(), 0, smoothing);
        let log_p = log_softmax(logits.clone(), 1);
        let counted = targets.clone().not_equal_elem(0).float();
        let picked = log_p.clone().gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1);
        let gained = picked * (1.0 - smoothing) + log_p.mean_dim(1).squeeze_dim::<1>(1) * smoothing;
        let count = ids.iter().filter(|&&id| id != 0).count().max(1);
        let burns = (gained * counted).sum().neg() / count as f32;
        assert_same!(ours * 5.0, burns * 5.0, logits);
        let plain = logits.clone().inner();
        let sums = ops::log_sum_exp(plain.clone());
        assert_near("log sum exp", &numbers(sums), &numbers(plain.exp().sum_dim(1).log()));
    }
}

#[test]
fn large_inputs_are_shared_between_threads_and_agree() {
    let linear = LinearConfig::new(96, 200).init(&device());
    let x = normal([700, 96]);
    let (ours, burns) = (ops::linear(&linear, x.clone()), linear.forward(x.clone()));
    assert_same!(ours, burns, x, linear.weight.val());
    let relu = |x: &Tensor<2>| activation::relu(x.clone());
    assert_same!(ops::relu(x.clone()), relu(&x), x);
}
