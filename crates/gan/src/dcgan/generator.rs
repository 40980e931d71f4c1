//! The generator: from random numbers to images.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, Embedding, EmbeddingConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Int, Tensor};
use model_utils::ops;
use model_utils::weights::Stored;

use super::config::{DcganConfig, batch_norm, weights, zero_bias};
use crate::error::{Error, Result};
use crate::player::Generator;

/// See [`DcganConfig`].
///
/// It is [`Stored`]: `save` writes SafeTensors that PyTorch loads, of the preset
/// [`DcganConfig::pytorch`] straight into the `nn.Sequential` called `main` of PyTorch's example.
#[derive(Module, Debug)]
pub struct DcganGenerator {
    embedding: Option<Embedding>,
    hidden: Option<Linear>,
    layers: Vec<Up>,
    base: usize,
    #[module(skip)]
    config: DcganConfig,
}

/// A layer with its normalisation.
#[derive(Module, Debug)]
struct Up {
    conv: UpConv,
    norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
enum UpConv {
    Transposed(ConvTranspose2d),
    /// After the pixels were repeated.
    Repeated(Conv2d),
}

impl DcganGenerator {
    pub(super) fn new(config: &DcganConfig, device: &Device) -> Result<Self> {
        let (base, doublings) = config.check()?;
        let hidden = config.hidden(doublings);
        let numbers = config.latent + if config.classes > 0 { config.embedding } else { 0 };
        let width = config.fully_connected;
        let transposed = |from, to, side, stride, padding, padding_out, bias| {
            let conv = ConvTranspose2dConfig::new([from, to], [side, side])
                .with_stride([stride, stride])
                .with_padding([padding, padding])
                .with_padding_out([padding_out, padding_out])
                .with_bias(bias)
                .with_initializer(weights())
                .init(device);
            ConvTranspose2d { bias: zero_bias(conv.bias.clone(), device), ..conv }
        };
        let norm = |channels| config.normalise_generator.then(|| batch_norm(channels, device));
        let from = if width > 0 { width } else { numbers };
        let conv = transposed(from, hidden[0], base, 1, 0, 0, !config.normalise_generator);
        let mut layers = vec![Up { conv: UpConv::Transposed(conv), norm: norm(hidden[0]) }];
        for at in 0..doublings {
            let is_last = at + 1 == doublings;
            let to = if is_last { config.channels } else { hidden[at + 1] };
            let bias = if is_last { config.end_bias } else { !config.normalise_generator };
            let side = config.kernel_size;
            let conv = if config.pooling {
                let conv = Conv2dConfig::new([hidden[at], to], [5, 5])
                    .with_padding(PaddingConfig2d::Explicit(2, 2, 2, 2))
                    .with_bias(bias)
                    .with_initializer(weights())
                    .init(device);
                UpConv::Repeated(Conv2d { bias: zero_bias(conv.bias.clone(), device), ..conv })
            } else {
                UpConv::Transposed(transposed(hidden[at], to, side, 2, side - 3, side - 4, bias))
            };
            layers.push(Up { conv, norm: if is_last { None } else { norm(to) } });
        }
        let classes = config.classes;
        Ok(Self {
            embedding: (classes > 0).then(|| {
                EmbeddingConfig::new(classes, config.embedding)
                    .with_initializer(weights())
                    .init(device)
            }),
            hidden: (width > 0).then(|| LinearConfig::new(numbers, width).init(device)),
            layers,
            base,
            config: config.clone(),
        })
    }
}

impl Up {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.conv {
            UpConv::Transposed(conv) => ops::conv_transpose2d(conv, x),
            UpConv::Repeated(conv) => {
                let [batch, channels, height, width] = x.dims();
                let x: Tensor<6> = x.reshape([batch, channels, height, 1, width, 1]);
                let x = x.repeat(&[1, 1, 1, 2, 1, 2]);
                ops::conv2d(conv, x.reshape([batch, channels, 2 * height, 2 * width]))
            }
        }
    }

    /// From a map of one pixel: the transposed convolution is a matrix product.
    fn project(&self, z: Tensor<2>, base: usize) -> Tensor<4> {
        let UpConv::Transposed(conv) = &self.conv else {
            unreachable!("the first layer has nothing to repeat")
        };
        let weight = conv.weight.val();
        let [numbers, channels, ..] = weight.dims();
        let [batch, _] = z.dims();
        let x = z.matmul(weight.reshape([numbers, channels * base * base]));
        let x = x.reshape([batch, channels, base, base]);
        match &conv.bias {
            Some(bias) => x + bias.val().reshape([1, channels, 1, 1]),
            None => x,
        }
    }
}

impl Generator<4> for DcganGenerator {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn sample_shape(&self) -> Vec<usize> {
        vec![self.config.channels, self.config.size, self.config.size]
    }

    fn range(&self) -> Option<[f64; 2]> {
        self.config.tanh.then_some([-1.0, 1.0])
    }

    fn forward(&self, z: Tensor<2>, classes: Option<Tensor<1, Int>>) -> Tensor<4> {
        let z = match (&self.embedding, classes) {
            (Some(embedding), Some(classes)) => {
                let embedded = ops::embedding(embedding, classes.unsqueeze_dim(1));
                Tensor::cat(vec![z, embedded.squeeze_dim(1)], 1)
            }
            _ => z,
        };
        let z = match &self.hidden {
            Some(hidden) => ops::relu(ops::linear(hidden, z)),
            None => z,
        };
        let mut x = self.layers[0].project(z, self.base);
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 {
                x = layer.forward(x);
            }
            if let Some(norm) = &layer.norm {
                x = ops::batch_norm(norm, x);
            }
            if at + 1 < self.layers.len() {
                x = ops::relu(x);
            }
        }
        if self.config.tanh { ops::tanh(x) } else { x }
    }
}

impl Stored for DcganGenerator {
    type Config = DcganConfig;
    type Error = Error;
    const CRATE: &'static str = env!("CARGO_PKG_NAME");
    const MODEL: &'static str = "dcgan_generator";

    fn config(&self) -> &DcganConfig {
        &self.config
    }

    fn from_config(config: &DcganConfig, device: &Device) -> Result<Self> {
        Self::new(config, device)
    }

    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let ["layers", index, kind, leaf] = parts[..] else { return path.to_owned() };
        let index: usize = index.parse().unwrap_or_default();
        format!("main.{}.{leaf}", 3 * index + usize::from(kind == "norm"))
    }
}
