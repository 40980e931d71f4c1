//! Models and losses against PyTorch; the fixture and its script stand in
//! `fixtures/`.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use std::collections::BTreeMap;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::layers::LayerNorm;
use model_utils::ops;
use serde::Deserialize;
use transformer::attention::{FeedForward, MultiHeadAttention, Residual, sinusoids};
use transformer::recurrent::{Cell, RecurrentLayer};
use transformer::{NormOrder, Padded, RecurrentConfig, TransformerConfig};

/// What every comparison is held to.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Fixture {
    post: Core,
    pre: Core,
    gru: Layer,
    lstm: Layer,
    loss: serde_json::Value,
}

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<usize>,
    values: Vec<f32>,
}

type Weights = BTreeMap<String, Numbers>;

#[derive(Deserialize)]
struct Core {
    weights: Weights,
    source: Numbers,
    target: Numbers,
    output: Numbers,
}

#[derive(Deserialize)]
struct Layer {
    weights: Weights,
    x: Numbers,
    outputs: Numbers,
    hidden: Numbers,
    cell: Option<Numbers>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/torch_translation.json")).unwrap()
}

fn device() -> Device {
    Device::flex()
}

fn tensor<const D: usize>(numbers: &Numbers) -> Tensor<D> {
    let data = TensorData::new(numbers.values.clone(), numbers.shape.clone());
    Tensor::from_data(data, &device())
}

fn assert_close<const D: usize>(what: &str, ours: Tensor<D>, theirs: &[f32]) {
    let ours: Vec<f32> = ours.into_data().try_to_vec().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let off = (ours - theirs).abs();
        assert!(off <= TOLERANCE * theirs.abs().max(1.0), "{what}[{at}]: {ours} for {theirs}");
    }
}

fn fill_linear(linear: &mut Linear, weight: Tensor<2>, bias: Tensor<1>) {
    linear.weight = Param::from_tensor(weight.transpose());
    linear.bias = Some(Param::from_tensor(bias));
}

fn linear(linear: &mut Linear, weights: &Weights, name: &str) {
    let [weight, bias] = ["weight", "bias"].map(|part| &weights[&format!("{name}.{part}")]);
    fill_linear(linear, tensor(weight), tensor(bias));
}

fn norm(norm: &mut LayerNorm, weights: &Weights, name: &str) {
    norm.gamma = Param::from_tensor(tensor(&weights[&format!("{name}.weight")]));
    norm.beta = Param::from_tensor(tensor(&weights[&format!("{name}.bias")]));
}

/// PyTorch's, whose three projections are one matrix.
fn attention(attention: &mut MultiHeadAttention, weights: &Weights, name: &str) {
    let together: Tensor<2> = tensor(&weights[&format!("{name}.in_proj_weight")]);
    let biases: Tensor<1> = tensor(&weights[&format!("{name}.in_proj_bias")]);
    let width = together.dims()[1];
    let parts = [&mut attention.query, &mut attention.key, &mut attention.value];
    for (at, part) in parts.into_iter().enumerate() {
        let weight = together.clone().narrow(0, at * width, width);
        fill_linear(part, weight, biases.clone().narrow(0, at * width, width));
    }
    linear(&mut attention.output, weights, &format!("{name}.out_proj"));
}

fn feed_forward(layers: &mut FeedForward, weights: &Weights, name: &str, names: [&str; 2]) {
    linear(&mut layers.inner, weights, &format!("{name}.{}", names[0]));
    linear(&mut layers.outer, weights, &format!("{name}.{}", names[1]));
}

/// Ids whose embeddings are these vectors less the positions that the model adds.
fn embedded(x: &Numbers) -> (Padded, Tensor<2>) {
    let [batch, time, width]: [usize; 3] = x.shape.clone().try_into().unwrap();
    let rows: Vec<Vec<u32>> =
        (0..batch).map(|row| (0..time).map(|t| (row * time + t) as u32).collect()).collect();
    let positions = sinusoids(0, time, width, false, &device()).unsqueeze::<3>();
    let table = (tensor::<3>(x) - positions).reshape([batch * time, width]);
    (Padded::new(&rows, 0, &device()), table)
}

fn assert_core(core: &Core, order: NormOrder) {
    let (mut source, source_table) = embedded(&core.source);
    let (target, target_table) = embedded(&core.target);
    source.lengths = vec![5, 3];
    let mut model = TransformerConfig::new(10, 8)
        .with_d_model(8)
        .with_heads(2)
        .with_encoder_layers(2)
        .with_decoder_layers(2)
        .with_d_ff(12)
        .with_norm(order)
        .with_scale_embeddings(false)
        .init(&device())
        .unwrap();
    model.source_embedding.as_mut().unwrap().weight = Param::from_tensor(source_table);
    model.target_embedding.weight = Param::from_tensor(target_table);
    let weights = &core.weights;
    let around = |residual: &mut Residual, name: &str| norm(&mut residual.norm, weights, name);
    for (at, layer) in model.encoder.layers.iter_mut().enumerate() {
        let name = format!("encoder.layers.{at}");
        attention(&mut layer.self_attention, weights, &format!("{name}.self_attn"));
        around(&mut layer.around_attention, &format!("{name}.norm1"));
        feed_forward(&mut layer.feed_forward, weights, &name, ["linear1", "linear2"]);
        around(&mut layer.around_feed_forward, &format!("{name}.norm2"));
    }
    for (at, layer) in model.decoder.layers.iter_mut().enumerate() {
        let name = format!("decoder.layers.{at}");
        attention(&mut layer.self_attention, weights, &format!("{name}.self_attn"));
        around(&mut layer.around_self, &format!("{name}.norm1"));
        attention(&mut layer.cross_attention, weights, &format!("{name}.multihead_attn"));
        around(&mut layer.around_cross, &format!("{name}.norm2"));
        feed_forward(&mut layer.feed_forward, weights, &name, ["linear1", "linear2"]);
        around(&mut layer.around_feed_forward, &format!("{name}.norm3"));
    }
    norm(model.encoder.norm.as_mut().unwrap(), weights, "encoder.norm");
    norm(model.decoder.norm.as_mut().unwrap(), weights, "decoder.norm");
    let output = model.decode(&target, &model.encode(&source), &source.lengths);
    assert_close("output", output, &core.output.values);
}

#[test]
fn transformers_are_pytorchs() {
    let fixture = fixture();
    assert_core(&fixture.post, NormOrder::Post);
    assert_core(&fixture.pre, NormOrder::Pre);
}

fn assert_recurrent(layer: &Layer, cell: Cell) {
    let config = RecurrentConfig::new(5, 5).with_d_embedding(4).with_d_hidden(6).with_cell(cell);
    let mut encoder = config.init(&device()).unwrap().encoder;
    let fill = |layers: &mut RecurrentLayer, suffix: &str| {
        for (linear, name) in [(&mut layers.input, "ih"), (&mut layers.hidden, "hh")] {
            let [weight, bias] =
                ["weight", "bias"].map(|part| &layer.weights[&format!("{part}_{name}_l0{suffix}")]);
            fill_linear(linear, tensor(weight), tensor(bias));
        }
    };
    fill(&mut encoder.forwards[0], "");
    fill(&mut encoder.backwards[0], "_reverse");
    let lengths = [5, 2, 4];
    let (outputs, last) = encoder.forward(tensor(&layer.x), &lengths);
    for (row, &length) in lengths.iter().enumerate() {
        let ours = outputs.clone().slice([row..row + 1, 0..length, 0..12]);
        assert_close("outputs", ours, &layer.outputs.values[row * 60..][..length * 12]);
    }
    // [directions, batch, width] → [batch, directions · width].
    let joined = |x: &Numbers| {
        let joined = tensor::<3>(x).swap_dims(0, 1).reshape([3, 12]);
        joined.into_data().try_to_vec::<f32>().unwrap()
    };
    assert_close("hidden", last[0].hidden.clone(), &joined(&layer.hidden));
    assert_eq!(layer.cell.is_some(), cell == Cell::Lstm);
    if let Some(cell) = &layer.cell {
        assert_close("cell", last[0].cell.clone().unwrap(), &joined(cell));
    }
}

#[test]
fn recurrent_layers_are_pytorchs() {
    assert_recurrent(&fixture().gru, Cell::Gru);
    assert_recurrent(&fixture().lstm, Cell::Lstm);
}

#[test]
fn the_loss_and_its_gradient_are_pytorchs() {
    let loss = fixture().loss;
    let read = |value: &serde_json::Value| Numbers::deserialize(value).unwrap();
    let targets = Vec::<Vec<i32>>::deserialize(&loss["targets"]).unwrap().concat();
    for device in [Device::flex().autodiff(), other_device().autodiff()] {
        let logits = read(&loss["logits"]);
        let data = TensorData::new(logits.values, logits.shape);
        let logits = Tensor::<3>::from_data(data, &device).require_grad();
        let targets = TensorData::new(targets.clone(), [2, 4]);
        let targets = Tensor::<2, Int>::from_data(targets, &device);
        for (key, smoothing) in [("0.0", 0.0), ("0.1", 0.1)] {
            let (flat, wanted) = (logits.clone().flatten(0, 1), targets.clone().flatten(0, 1));
            let ours = ops::cross_entropy_ignoring(flat, wanted, 0, smoothing);
            let expected = loss[key]["loss"].as_f64().unwrap() as f32;
            assert_close("loss", ours.clone(), &[expected]);
            let gradient = logits.grad(&ours.backward()).unwrap();
            assert_close("gradient", gradient, &read(&loss[key]["gradient"]).values);
        }
    }
}

/// A device on which all is plain Burn, where it is built.
#[allow(deprecated)]
fn other_device() -> Device {
    #[cfg(feature = "ndarray")]
    return Device::ndarray();
    #[cfg(not(feature = "ndarray"))]
    Device::flex()
}
