//! The backward passes of convolutions, batch normalisation and activations.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::ops::ModuleOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::geometry::Geometry;
use super::{
    FlexTensor, Transposed, batch_norm, changed, conv2d, inference, leaky_relu, planes, relu6,
    tanh, tensor,
};
use crate::ops::AllReduce;

#[derive(Debug)]
pub(super) struct ConvTranspose2dBackward;

impl Backward<Flex, 2> for ConvTranspose2dBackward {
    /// Input, weight, options.
    type State = (NodeId, NodeId, ConvTransposeOptions<2>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weight, options) = ops.state;
        let x = checkpointer.retrieve_node_output::<FlexTensor>(x).to_contiguous();
        let weight = checkpointer.retrieve_node_output::<FlexTensor>(weight).to_contiguous();
        let [wants_x, wants_weight] = [ops.parents[0].is_some(), ops.parents[1].is_some()];
        let transposed = Transposed::new(x.shape().dims(), weight.shape().dims(), &options);
        let [of_x, of_weight] = if let Some(Transposed { geometry, options, .. }) = transposed {
            let of_weight = wants_weight.then(|| {
                let wanted = [false, true];
                let (gradient, x) = (gradient.storage(), x.storage());
                conv2d::backward(gradient, weight.storage(), x, &geometry, wanted).weight
            });
            [
                wants_x
                    .then(|| inference::convolve(gradient.clone(), weight.clone(), None, options)),
                of_weight.flatten().map(|of_weight| tensor(of_weight, weight.shape())),
            ]
        } else {
            let parts = || (x.clone(), weight.clone(), gradient.clone(), options.clone());
            [
                wants_x.then(|| {
                    let (_, weight, gradient, options) = parts();
                    Flex::conv_transpose2d_x_backward(weight, gradient, options)
                }),
                wants_weight.then(|| {
                    let (x, weight, gradient, options) = parts();
                    Flex::conv_transpose2d_weight_backward(x, weight, gradient, options)
                }),
            ]
        };
        for (node, gradient) in ops.parents.into_iter().zip([of_x, of_weight]) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// Registers what `backward(gradient, output)` makes of the gradient of an activation, number by
/// number.
fn register_by_output(
    parent: Option<NodeId>,
    gradient: FlexTensor,
    output: &FlexTensor,
    grads: &mut Gradients,
    backward: impl Fn(&mut [f32], &[f32]) + Sync,
) {
    if let Some(parent) = parent {
        let output = output.storage::<f32>();
        let gradient = changed(gradient, |at, gradient| backward(gradient, &output[at..]));
        grads.register::<Flex>(parent, gradient);
    }
}

#[derive(Debug)]
pub(super) struct LeakyReluBackward;

impl Backward<Flex, 1> for LeakyReluBackward {
    /// The output, which has the input's sign, and the slope.
    type State = (FlexTensor, f64);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let parent = ops.parents[0].as_ref().map(|node| node.id);
        let (output, slope) = ops.state;
        let backward = |gradient: &mut [f32], output: &[f32]| {
            leaky_relu::backward(gradient, output, slope as f32);
        };
        register_by_output(parent, gradient, &output, grads, backward);
    }
}

#[derive(Debug)]
pub(super) struct BatchNormBackward;

impl Backward<Flex, 3> for BatchNormBackward {
    /// Input, γ, mean, variance, ε, the workers that share the batch.
    type State = (NodeId, NodeId, FlexTensor, FlexTensor, f64, Option<Arc<dyn AllReduce>>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let mut gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, gamma, mean, variance, epsilon, over) = ops.state;
        let x = checkpointer.retrieve_node_output::<FlexTensor>(x).to_contiguous();
        let gamma = checkpointer.retrieve_node_output::<FlexTensor>(gamma).to_contiguous();
        let shape = planes(&x);
        let (of_gamma, of_beta) = batch_norm::backward(
            gradient.storage_mut(),
            x.storage(),
            shape,
            gamma.storage(),
            (mean.storage(), variance.storage()),
            epsilon,
            over.as_deref(),
        );
        let channels = [shape[1]];
        let gradients = [gradient, tensor(of_gamma, channels), tensor(of_beta, channels)];
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Relu6Backward;

impl Backward<Flex, 1> for Relu6Backward {
    /// The output.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let parent = ops.parents[0].as_ref().map(|node| node.id);
        register_by_output(parent, gradient, &ops.state, grads, relu6::backward);
    }
}

#[derive(Debug)]
pub(super) struct TanhBackward;

impl Backward<Flex, 1> for TanhBackward {
    /// The output.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let parent = ops.parents[0].as_ref().map(|node| node.id);
        register_by_output(parent, gradient, &ops.state, grads, tanh::backward);
    }
}

#[derive(Debug)]
pub(super) struct Conv2dBackward;

impl Backward<Flex, 2> for Conv2dBackward {
    /// Input, weight, options.
    type State = (NodeId, NodeId, ConvOptions<2>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weight, options) = ops.state;
        let x = checkpointer.retrieve_node_output::<FlexTensor>(x).to_contiguous();
        let weight = checkpointer.retrieve_node_output::<FlexTensor>(weight).to_contiguous();
        let [_, _, height, width] = gradient.shape().dims();
        let geometry =
            Geometry::new(x.shape().dims(), weight.shape().dims(), [height, width], &options);
        let wanted = [ops.parents[0].is_some(), ops.parents[1].is_some()];
        let [of_x, of_weight] = if geometry.is_known() {
            let gradients = conv2d::backward(
                x.storage(),
                weight.storage(),
                gradient.storage(),
                &geometry,
                wanted,
            );
            [
                gradients.x.map(|of_x| tensor(of_x, x.shape())),
                gradients.weight.map(|of_weight| tensor(of_weight, weight.shape())),
            ]
        } else {
            let [wants_x, wants_weight] = wanted;
            let gradient = || gradient.clone();
            [
                wants_x.then(|| {
                    Flex::conv2d_x_backward(x.clone(), weight.clone(), gradient(), options.clone())
                }),
                wants_weight.then(|| {
                    Flex::conv2d_weight_backward(
                        x.clone(),
                        weight.clone(),
                        gradient(),
                        options.clone(),
                    )
                }),
            ]
        };
        for (node, gradient) in ops.parents.into_iter().zip([of_x, of_weight]) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}
