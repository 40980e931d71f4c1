//! Recurrent cells, with and without a backward pass.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::{FlexTensor, gates, tensor};

/// A step of a gated recurrent unit.
pub(in crate::ops) fn gru_cell(input: Tensor<2>, state: Tensor<2>, hidden: Tensor<2>) -> Tensor<2> {
    let (input, state) = (input.into_dispatch(), state.into_dispatch());
    Tensor::from_dispatch(Dispatch::gru_step(input, state, hidden.into_dispatch()))
}

/// The new cell of a long short-term memory.
pub(in crate::ops) fn lstm_memory(gates: Tensor<2>, cell: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::lstm_remember(gates.into_dispatch(), cell.into_dispatch()))
}

/// The new output of a long short-term memory, of its new cell.
pub(in crate::ops) fn lstm_output(gates: Tensor<2>, cell: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::lstm_show(gates.into_dispatch(), cell.into_dispatch()))
}

/// What the `flex` device adds to Burn's backends for recurrent cells.
#[backend_extension(Flex, Autodiff)]
trait Cells: Backend {
    fn gru_step(
        input: FloatTensor<Self>,
        state: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn lstm_remember(gates: FloatTensor<Self>, cell: FloatTensor<Self>) -> FloatTensor<Self>;

    fn lstm_show(gates: FloatTensor<Self>, cell: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn width(x: &FlexTensor) -> usize {
    x.shape()[1]
}

impl Cells for Flex {
    fn gru_step(input: FlexTensor, state: FlexTensor, hidden: FlexTensor) -> FlexTensor {
        let [x, s, h] = [input, state, hidden].map(|numbers| numbers.to_contiguous());
        tensor(gates::gru(x.storage(), s.storage(), h.storage(), width(&h)), h.shape())
    }

    fn lstm_remember(gates: FlexTensor, cell: FlexTensor) -> FlexTensor {
        let [g, c] = [gates, cell].map(|numbers| numbers.to_contiguous());
        tensor(gates::lstm_memory(g.storage(), c.storage(), width(&c)), c.shape())
    }

    fn lstm_show(gates: FlexTensor, cell: FlexTensor) -> FlexTensor {
        let [g, c] = [gates, cell].map(|numbers| numbers.to_contiguous());
        tensor(gates::lstm_output(g.storage(), c.storage(), width(&c)), c.shape())
    }
}

impl<C: CheckpointStrategy> Cells for Autodiff<Flex, C> {
    fn gru_step(
        input: FloatTensor<Self>,
        state: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), state.node(), hidden.node()];
        let kind = GruBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = [input, state, hidden].map(|numbers| numbers.into_primitive().to_contiguous());
        let [x, s, h] = inputs.clone();
        let output = Flex::gru_step(x, s, h);
        match kind {
            OpsKind::Tracked(prep) => prep.finish(inputs, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn lstm_remember(gates: FloatTensor<Self>, cell: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gates.node(), cell.node()];
        let kind = LstmMemoryBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = [gates, cell].map(|numbers| numbers.into_primitive().to_contiguous());
        let [g, c] = inputs.clone();
        let output = Flex::lstm_remember(g, c);
        match kind {
            OpsKind::Tracked(prep) => prep.finish(inputs, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn lstm_show(gates: FloatTensor<Self>, cell: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gates.node(), cell.node()];
        let kind = LstmOutputBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inputs = [gates, cell].map(|numbers| numbers.into_primitive().to_contiguous());
        let [g, c] = inputs.clone();
        let output = Flex::lstm_show(g, c);
        match kind {
            OpsKind::Tracked(prep) => prep.finish(inputs, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// A backward pass whose state is the inputs.
macro_rules! backward {
    ($name:ident, $count:literal, $gradients:expr) => {
        #[derive(Debug)]
        struct $name;

        impl Backward<Flex, $count> for $name {
            /// The inputs; the last is as wide as the state.
            type State = [FlexTensor; $count];

            fn backward(
                self,
                ops: Ops<Self::State, $count>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
                let inputs = ops.state;
                let width = width(&inputs[$count - 1]);
                let numbers = inputs.each_ref().map(FlexTensor::storage);
                let gradients = $gradients(gradient.storage(), numbers, width);
                for ((node, of_input), input) in ops.parents.into_iter().zip(gradients).zip(&inputs)
                {
                    if let Some(node) = node {
                        grads.register::<Flex>(node.id, tensor(of_input, input.shape()));
                    }
                }
            }
        }
    };
}

backward!(GruBackward, 3, |g, [x, s, h]: [&[f32]; 3], width| gates::gru_backward(
    g, x, s, h, width
));
backward!(LstmMemoryBackward, 2, |g, [gates, c]: [&[f32]; 2], width| {
    gates::lstm_memory_backward(g, gates, c, width)
});
backward!(LstmOutputBackward, 2, |g, [gates, c]: [&[f32]; 2], width| {
    gates::lstm_output_backward(g, gates, c, width)
});
