//! Operations on the rows of a tensor, its last axis, with and without a backward pass: fully
//! connected layers, layer normalisation, dropout, attention, rotary positions, cross-entropy.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Int, Tensor};

use super::attention::{self, Layout};
use super::cross_entropy::{self, Targets};
use super::dropout::Kept;
use super::linear;
use super::matrix::Weight;
use super::rotary::Turns;
use super::{FlexTensor, is_float_on_flex, layer_norm, tensor};
use crate::ops::Mask;

/// Whether the operations here apply: 32-bit floats on `flex`, with autodiff or without.
pub(in crate::ops) fn applies<const D: usize>(x: &Tensor<D>) -> bool {
    is_float_on_flex(x)
}

/// A fully connected layer; the weight is `[inputs, outputs]`, or as a table `[outputs, inputs]`.
pub(in crate::ops) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    is_table: bool,
) -> Tensor<D> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::linear_biased(x, weight, bias.into_dispatch(), is_table),
        None => Dispatch::linear_plain(x, weight, is_table),
    })
}

/// Normalisation over the last axis.
pub(in crate::ops) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(Dispatch::normalise_rows(x.into_dispatch(), gamma, beta, epsilon))
}

/// Sets a share of the numbers to 0, by a seed.
pub(in crate::ops) fn dropout<const D: usize>(x: Tensor<D>, share: f64, seed: u32) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::drop_out(x.into_dispatch(), Kept::new(share, seed)))
}

/// Multi-head attention; `dropout` holds a share and a seed.
pub(in crate::ops) fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: &Mask,
    dropout: Option<(f64, u32)>,
) -> Tensor<3> {
    let [_, queries, stride] = q.dims();
    let layout = Layout {
        queries,
        keys: k.dims()[1],
        heads,
        width: stride / heads,
        lengths: mask.lengths.clone(),
        causal: mask.causal,
        slots: None,
    };
    let dropout = dropout.map(|(share, seed)| Kept::new(share, seed));
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attend(q, k, v, layout, dropout))
}

/// Attention of one query a row to a cache of keys and values.
pub(in crate::ops) fn cached_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    slots: &[u32],
) -> Tensor<3> {
    let [rows, queries, stride] = q.dims();
    let layout = Layout {
        queries,
        keys: k.dims()[1],
        heads,
        width: stride / heads,
        lengths: vec![slots.len() / rows; rows],
        causal: false,
        slots: Some(slots.to_vec()),
    };
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attend(q, k, v, layout, None))
}

/// Pairs of numbers turned by the angles of their places.
pub(in crate::ops) fn rotary_embedding(
    x: Tensor<3>,
    sines: Tensor<2>,
    cosines: Tensor<2>,
) -> Tensor<3> {
    let [_, pairs] = sines.dims();
    let [sines, cosines] =
        [sines, cosines].map(|table| table.into_data().iter::<f32>().collect::<Vec<_>>());
    let turns = Turns { sines, cosines, pairs };
    Tensor::from_dispatch(Dispatch::turn_pairs(x.into_dispatch(), turns))
}

/// The mean cross-entropy of the rows whose target is not `ignored`.
pub(in crate::ops) fn cross_entropy(
    ignored: Option<u32>,
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    smoothing: f64,
) -> Tensor<1> {
    let ids = targets.into_data().convert::<i64>();
    let of_rows = ids
        .iter::<i64>()
        .map(|id| (ignored.map(i64::from) != Some(id)).then_some(id as u32))
        .collect();
    let targets = Targets { classes: logits.dims()[1], of_rows, smoothing };
    Tensor::from_dispatch(Dispatch::mean_cross_entropy(logits.into_dispatch(), targets))
}

/// log Σ exp of each row.
pub(in crate::ops) fn log_sum_exp(x: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::log_sum_exp_rows(x.into_dispatch()))
}

/// What the `flex` device adds to Burn's backends for rows.
#[backend_extension(Flex, Autodiff)]
trait Rows: Backend {
    fn linear_plain(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        is_table: bool,
    ) -> FloatTensor<Self>;

    fn linear_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        is_table: bool,
    ) -> FloatTensor<Self>;

    fn normalise_rows(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    fn drop_out(x: FloatTensor<Self>, kept: Kept) -> FloatTensor<Self>;

    fn turn_pairs(x: FloatTensor<Self>, turns: Turns) -> FloatTensor<Self>;

    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        layout: Layout,
        dropout: Option<Kept>,
    ) -> FloatTensor<Self>;

    fn mean_cross_entropy(logits: FloatTensor<Self>, targets: Targets) -> FloatTensor<Self>;
}

/// Without a backward pass.
#[backend_extension(Flex)]
trait Reductions: Backend {
    fn log_sum_exp_rows(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Reductions for Flex {
    fn log_sum_exp_rows(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let [rows, classes] = x.shape().dims();
        tensor(cross_entropy::log_sum_exp(x.storage(), classes), [rows])
    }
}

fn weight(weight: &FlexTensor, is_table: bool) -> Weight<'_> {
    let [rows, columns] = weight.shape().dims();
    let [inputs, outputs] = if is_table { [columns, rows] } else { [rows, columns] };
    Weight { numbers: weight.storage(), inputs, outputs, is_table }
}

fn linear_forward(
    x: &FlexTensor,
    weights: &FlexTensor,
    bias: Option<FlexTensor>,
    is_table: bool,
) -> FlexTensor {
    let bias = bias.map(|bias| bias.to_contiguous());
    let weight = weight(weights, is_table);
    let bias = bias.as_ref().map(FlexTensor::storage);
    let mut shape = x.shape();
    let last = shape.num_dims() - 1;
    shape[last] = weight.outputs;
    tensor(linear::forward(x.storage(), weight, bias), shape)
}

fn turned(x: FlexTensor, turns: &Turns) -> FlexTensor {
    let mut x = x.to_contiguous();
    let shape = x.shape();
    turns.turn(x.storage_mut(), shape[shape.num_dims() - 1]);
    x
}

impl Rows for Flex {
    fn linear_plain(x: FlexTensor, weight: FlexTensor, is_table: bool) -> FlexTensor {
        linear_forward(&x.to_contiguous(), &weight.to_contiguous(), None, is_table)
    }

    fn linear_biased(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        is_table: bool,
    ) -> FlexTensor {
        linear_forward(&x.to_contiguous(), &weight.to_contiguous(), Some(bias), is_table)
    }

    fn normalise_rows(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        let [x, gamma, beta] = [x, gamma, beta].map(|numbers| numbers.to_contiguous());
        let (gamma, beta) = (gamma.storage(), beta.storage());
        tensor(layer_norm::forward(x.storage(), gamma, Some(beta), epsilon).0, x.shape())
    }

    fn drop_out(x: FlexTensor, kept: Kept) -> FlexTensor {
        let mut x = x.to_contiguous();
        kept.apply_to_all(x.storage_mut());
        x
    }

    fn turn_pairs(x: FlexTensor, turns: Turns) -> FlexTensor {
        turned(x, &turns)
    }

    fn attend(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        layout: Layout,
        dropout: Option<Kept>,
    ) -> FlexTensor {
        let [q, k, v] = [q, k, v].map(|numbers| numbers.to_contiguous());
        let inputs = [q.storage(), k.storage(), v.storage()];
        tensor(attention::forward(inputs, &layout, dropout, false).0, q.shape())
    }

    fn mean_cross_entropy(logits: FlexTensor, targets: Targets) -> FlexTensor {
        let logits = logits.to_contiguous();
        let normalisers = cross_entropy::log_sum_exp(logits.storage(), targets.classes);
        let loss = cross_entropy::forward(logits.storage(), &normalisers, &targets);
        tensor(vec![loss], [1])
    }
}

impl<C: CheckpointStrategy> Rows for Autodiff<Flex, C> {
    fn linear_plain(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        is_table: bool,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let kind = LinearBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [x, weight] = [x, weight].map(|numbers| numbers.into_primitive().to_contiguous());
        let output = linear_forward(&x, &weight, None, is_table);
        match kind {
            OpsKind::Tracked(prep) => prep.finish((x, weight, is_table), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn linear_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        is_table: bool,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let kind = LinearBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [x, weight] = [x, weight].map(|numbers| numbers.into_primitive().to_contiguous());
        let output = linear_forward(&x, &weight, Some(bias.into_primitive()), is_table);
        match kind {
            OpsKind::Tracked(prep) => prep.finish((x, weight, is_table), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn normalise_rows(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let kind = LayerNormBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [x, gamma, beta] =
            [x, gamma, beta].map(|numbers| numbers.into_primitive().to_contiguous());
        let (output, moments) =
            layer_norm::forward(x.storage(), gamma.storage(), Some(beta.storage()), epsilon);
        let output = tensor(output, x.shape());
        match kind {
            OpsKind::Tracked(prep) => prep.finish((x, gamma, moments), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn drop_out(x: FloatTensor<Self>, kept: Kept) -> FloatTensor<Self> {
        let kind = DropoutBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let output = Flex::drop_out(x.into_primitive(), kept);
        match kind {
            OpsKind::Tracked(prep) => prep.finish(kept, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn turn_pairs(x: FloatTensor<Self>, turns: Turns) -> FloatTensor<Self> {
        let kind = RotationBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let output = turned(x.into_primitive(), &turns);
        match kind {
            OpsKind::Tracked(prep) => prep.finish(turns, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        layout: Layout,
        dropout: Option<Kept>,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node()];
        let kind = AttentionBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = [q, k, v].map(|numbers| numbers.into_primitive().to_contiguous());
        let numbers = inputs.each_ref().map(FlexTensor::storage);
        let is_tracked = matches!(kind, OpsKind::Tracked(_));
        let (output, weights) = attention::forward(numbers, &layout, dropout, is_tracked);
        let output = tensor(output, inputs[0].shape());
        match kind {
            OpsKind::Tracked(prep) => {
                let state = Attended { inputs, weights, layout, dropout };
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn mean_cross_entropy(logits: FloatTensor<Self>, targets: Targets) -> FloatTensor<Self> {
        let kind = CrossEntropyBackward.prepare::<C>([logits.node()]).compute_bound().stateful();
        let logits = logits.into_primitive().to_contiguous();
        let normalisers = cross_entropy::log_sum_exp(logits.storage(), targets.classes);
        let loss = cross_entropy::forward(logits.storage(), &normalisers, &targets);
        let loss = tensor(vec![loss], [1]);
        match kind {
            OpsKind::Tracked(prep) => prep.finish((logits, normalisers, targets), loss),
            OpsKind::UnTracked(prep) => prep.finish(loss),
        }
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<const N: usize> Backward<Flex, N> for LinearBackward {
    /// Input, weight, whether that is a table.
    type State = (FlexTensor, FlexTensor, bool);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weights, is_table) = ops.state;
        let weight = weight(&weights, is_table);
        for (at, node) in ops.parents.into_iter().enumerate() {
            let Some(node) = node else { continue };
            let gradient = gradient.storage();
            let of_parent = match at {
                0 => tensor(linear::of_x(gradient, weight), x.shape()),
                1 => tensor(linear::of_weight(gradient, x.storage(), weight), weights.shape()),
                _ => tensor(linear::of_bias(gradient, weight.outputs), [weight.outputs]),
            };
            grads.register::<Flex>(node.id, of_parent);
        }
    }
}

#[derive(Debug)]
struct LayerNormBackward;

impl Backward<Flex, 3> for LayerNormBackward {
    /// Input, γ, the moments of each row.
    type State = (FlexTensor, FlexTensor, Vec<[f32; 2]>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let mut gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, gamma, moments) = ops.state;
        let [of_gamma, of_beta] =
            layer_norm::backward(gradient.storage_mut(), x.storage(), gamma.storage(), &moments);
        let width = gamma.shape();
        let gradients = [gradient, tensor(of_gamma, width.clone()), tensor(of_beta, width)];
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct DropoutBackward;

impl Backward<Flex, 1> for DropoutBackward {
    type State = Kept;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let mut gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        if let [Some(node)] = ops.parents {
            ops.state.apply_to_all(gradient.storage_mut());
            grads.register::<Flex>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct RotationBackward;

impl Backward<Flex, 1> for RotationBackward {
    type State = Turns;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(node.id, turned(gradient, &ops.state.back()));
        }
    }
}

/// What the backward pass of attention needs.
#[derive(Debug, Clone)]
struct Attended {
    inputs: [FlexTensor; 3],
    weights: Vec<f32>,
    layout: Layout,
    dropout: Option<Kept>,
}

#[derive(Debug)]
struct AttentionBackward;

impl Backward<Flex, 3> for AttentionBackward {
    type State = Attended;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Attended { inputs, weights, layout, dropout } = ops.state;
        let numbers = inputs.each_ref().map(FlexTensor::storage);
        let gradients =
            attention::backward(gradient.storage(), numbers, &weights, &layout, dropout);
        for ((node, gradient), input) in ops.parents.into_iter().zip(gradients).zip(&inputs) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(gradient, input.shape()));
            }
        }
    }
}

#[derive(Debug)]
struct CrossEntropyBackward;

impl Backward<Flex, 1> for CrossEntropyBackward {
    /// Logits, the log Σ exp of each row, targets.
    type State = (FlexTensor, Vec<f32>, Targets);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (mut logits, normalisers, targets) = ops.state;
        if let [Some(node)] = ops.parents {
            let scale = gradient.storage::<f32>()[0];
            cross_entropy::backward(logits.storage_mut(), &normalisers, &targets, scale);
            grads.register::<Flex>(node.id, logits);
        }
    }
}
