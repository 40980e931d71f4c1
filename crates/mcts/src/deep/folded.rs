//! A net for inference alone: normalisations are folded into the convolutions before them.

use burn::module::Module as _;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use model_utils::ops;

use super::net::{Block, PolicyValue, PolicyValueNet};

/// A convolution with the normalisation that followed it.
#[derive(Debug, Clone)]
struct Conv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    padding: usize,
}

impl Conv {
    /// `γ (w x − μ) / √(σ² + ε) + β` as one convolution.
    fn fold(conv: &Conv2d, norm: Option<&BatchNorm>) -> Self {
        let weight = conv.weight.val();
        let [channels, _, kernel, _] = weight.dims();
        let bias = conv
            .bias
            .as_ref()
            .map_or_else(|| Tensor::zeros([channels], &weight.device()), burn::module::Param::val);
        let padding = kernel / 2;
        let Some(norm) = norm else { return Self { weight, bias, padding } };
        let deviation = (norm.running_var.value_sync() + norm.epsilon).sqrt();
        let scale = norm.gamma.val() / deviation;
        Self {
            weight: weight * scale.clone().reshape([channels, 1, 1, 1]),
            bias: norm.beta.val() + (bias - norm.running_mean.value_sync()) * scale,
            padding,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [self.padding; 2], [1, 1], 1);
        ops::convolve2d(x, self.weight.clone(), Some(self.bias.clone()), options)
    }
}

/// Two convolutions and whether a shortcut leads around them.
#[derive(Debug, Clone)]
struct Pair {
    first: Conv,
    second: Conv,
    residual: bool,
}

/// What [`PolicyValueNet`] computes outside of training, with fewer passes over memory.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    stem: Conv,
    blocks: Vec<Pair>,
    policy: Conv,
    logits: Linear,
    value: Conv,
    hidden: Linear,
    scalar: Linear,
}

impl Folded {
    /// Folds a copy of a net: the net itself may go on learning.
    pub(super) fn new(net: &PolicyValueNet) -> Self {
        let net = net.valid();
        let fold =
            |layer: &model_utils::layers::ConvNormAct| Conv::fold(&layer.conv, layer.norm.as_ref());
        let pair = |block: &Block| match block {
            Block::Residual(block) => Pair {
                first: Conv::fold(&block.conv1, Some(&block.norm1)),
                second: Conv::fold(&block.conv2, Some(&block.norm2)),
                residual: true,
            },
            Block::Plain(block) => {
                Pair { first: fold(&block.first), second: fold(&block.second), residual: false }
            }
        };
        Self {
            stem: fold(&net.stem),
            blocks: net.blocks.iter().map(pair).collect(),
            policy: fold(&net.policy),
            logits: net.logits.clone(),
            value: fold(&net.value),
            hidden: net.hidden.clone(),
            scalar: net.scalar.clone(),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> PolicyValue {
        let mut x = ops::relu(self.stem.forward(x));
        for Pair { first, second, residual } in &self.blocks {
            let y = second.forward(ops::relu(first.forward(x.clone())));
            x = ops::relu(if *residual { x + y } else { y });
        }
        let policy = ops::relu(self.policy.forward(x.clone())).flatten::<2>(1, 3);
        let logits = ops::linear(&self.logits, policy);
        let value = ops::relu(self.value.forward(x)).flatten::<2>(1, 3);
        let hidden = ops::relu(ops::linear(&self.hidden, value));
        let values = ops::tanh(ops::linear(&self.scalar, hidden));
        PolicyValue { logits, values }
    }
}
