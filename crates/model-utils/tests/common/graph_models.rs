//! The modules that the tests of graphs trace.
#![allow(missing_docs, unreachable_pub, dead_code)] // Each takes what it needs.

use burn::module::Module;
use burn::nn::attention::{
    MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask,
};
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, Gelu, LayerNorm, LayerNormConfig,
    Linear, LinearConfig, Relu,
};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use model_utils::layers::{
    Activation, ConvNormAct, ConvNormActConfig, NormOrder, ResidualBlock, ResidualBlockConfig,
    SqueezeExcite, SqueezeExciteConfig,
};
use model_utils::ops;

pub fn device() -> Device {
    Device::flex().autodiff()
}

pub fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

#[derive(Module, Debug)]
pub struct Mlp {
    pub first: Linear,
    pub norm: BatchNorm,
    pub activation: Relu,
    pub last: Linear,
}

impl Mlp {
    pub fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(6, 10).init(device),
            norm: BatchNormConfig::new(10).init(device),
            activation: Relu::new(),
            last: LinearConfig::new(10, 3).with_bias(false).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = ops::batch_norm(&self.norm, ops::linear(&self.first, x));
        ops::linear(&self.last, self.activation.forward(x))
    }
}

#[derive(Module, Debug)]
pub struct Tower {
    pub stem: ConvNormAct,
    pub blocks: Vec<ResidualBlock>,
    pub gate: SqueezeExcite,
    pub head: Linear,
}

impl Tower {
    pub fn new(device: &Device) -> Self {
        let block = |channels, stride, order| {
            ResidualBlockConfig::new(channels).with_stride(stride).with_order(order).init(device)
        };
        Self {
            stem: ConvNormActConfig::new([2, 6], 3)
                .with_activation(Activation::HardSwish)
                .init(device),
            blocks: vec![
                block([6, 6], 1, NormOrder::Post),
                block([6, 8], 2, NormOrder::Post),
                block([8, 8], 1, NormOrder::Pre),
            ],
            gate: SqueezeExciteConfig::new(8, 2)
                .with_activation(Activation::Silu)
                .with_gate(Activation::HardSigmoid)
                .init(device),
            head: LinearConfig::new(8, 5).init(device),
        }
    }

    /// Two heads: a map and logits.
    pub fn forward(&self, x: Tensor<4>) -> (Tensor<4>, Tensor<2>) {
        let x = self.blocks.iter().fold(self.stem.forward(x), |x, block| block.forward(x));
        let x = self.gate.forward(x);
        (x.clone(), ops::linear(&self.head, ops::global_avg_pool(x)))
    }
}

#[derive(Module, Debug)]
pub struct Generator {
    pub project: Linear,
    pub up: ConvTranspose2d,
    pub norm: BatchNorm,
    pub last: ConvTranspose2d,
}

impl Generator {
    pub fn new(device: &Device) -> Self {
        let up = |channels, groups| {
            ConvTranspose2dConfig::new(channels, [4, 4])
                .with_stride([2, 2])
                .with_padding([1, 1])
                .with_groups(groups)
                .init(device)
        };
        Self {
            project: LinearConfig::new(5, 6 * 3 * 3).init(device),
            up: up([6, 4], 2),
            norm: BatchNormConfig::new(4).init(device),
            last: up([4, 1], 1),
        }
    }

    pub fn forward(&self, noise: Tensor<2>) -> Tensor<4> {
        let [batch, _] = noise.dims();
        let x = ops::linear(&self.project, noise).reshape([batch, 6, 3, 3]);
        let x = ops::batch_norm(&self.norm, ops::conv_transpose2d(&self.up, x)).clamp_min(0.0);
        tanh(ops::conv_transpose2d(&self.last, x))
    }
}

#[derive(Module, Debug)]
pub struct Block {
    pub tokens: Embedding,
    pub places: burn::module::Param<Tensor<3>>,
    pub norm: LayerNorm,
    pub attention: MultiHeadAttention,
    pub forward: Vec<Linear>,
    pub gelu: Gelu,
}

impl Block {
    pub fn new(device: &Device) -> Self {
        Self {
            tokens: EmbeddingConfig::new(11, 8).init(device),
            places: burn::module::Param::from_tensor(random([1, 7, 8], device)),
            norm: LayerNormConfig::new(8).init(device),
            attention: MultiHeadAttentionConfig::new(8, 2).with_dropout(0.0).init(device),
            forward: vec![
                LinearConfig::new(8, 16).init(device),
                LinearConfig::new(16, 8).init(device),
            ],
            gelu: Gelu::new(),
        }
    }

    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, length] = tokens.dims();
        let mask = generate_autoregressive_mask(batch, length, &tokens.device());
        let x = ops::embedding(&self.tokens, tokens) + self.places.val();
        let input = MhaInput::self_attn(self.norm.forward(x.clone())).mask_attn(mask);
        let x = x + self.attention.forward(input).context;
        let hidden = self.gelu.forward(ops::linear(&self.forward[0], x.clone()));
        x + ops::linear(&self.forward[1], hidden)
    }
}

pub fn tokens(batch: usize) -> Tensor<2, Int> {
    let values: Vec<i64> = (0..batch as i64 * 7).map(|i| (i * 5 + i / 7) % 11).collect();
    Tensor::from_data(TensorData::new(values, [batch, 7]), &Device::flex())
}
