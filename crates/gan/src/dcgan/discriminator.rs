//! The discriminator: from images to a number.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, Embedding, EmbeddingConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Int, Tensor, activation};
use model_utils::ops;
use model_utils::weights::Stored;

use super::config::{DcganConfig, batch_norm, weights, zero_bias};
use crate::error::{Error, Result};
use crate::jvp::Dual;
use crate::player::{Discriminator, Output};

/// See [`DcganConfig`].
#[derive(Module, Debug)]
pub struct DcganDiscriminator {
    embedding: Option<Embedding>,
    /// The last one sees the whole of the smallest map.
    layers: Vec<Down>,
    /// A fully connected layer before the last.
    hidden: Option<Linear>,
    pool: Option<MaxPool2d>,
    channels: usize,
    #[module(skip)]
    config: DcganConfig,
}

/// A layer with its normalisation.
#[derive(Module, Debug)]
struct Down {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl DcganDiscriminator {
    pub(super) fn new(config: &DcganConfig, packing: usize, device: &Device) -> Result<Self> {
        let (base, doublings) = config.check()?;
        let classes = config.classes;
        let channels = config.channels * packing;
        let mut hidden = config.hidden(doublings);
        hidden.reverse();
        let conv = |from, to, side: usize, stride: usize, padding: [usize; 2], bias| {
            let [before, after] = padding;
            let conv = Conv2dConfig::new([from, to], [side, side])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(before, before, after, after))
                .with_bias(bias)
                .with_initializer(weights())
                .init(device);
            Conv2d { bias: zero_bias(conv.bias.clone(), device), ..conv }
        };
        let mut layers = Vec::new();
        let mut from = channels + usize::from(classes > 0);
        for (at, &to) in hidden.iter().enumerate() {
            let normalised = at > 0 && config.normalise_discriminator;
            let bias = if at == 0 { config.end_bias } else { !normalised };
            let side = config.kernel_size;
            let conv = match (config.pooling, side) {
                (true, _) => conv(from, to, 5, 1, [2, 2], bias),
                (false, 5) => conv(from, to, 5, 2, [2, 2], bias),
                (false, side) => conv(from, to, side, 2, [1, 1], bias),
            };
            layers.push(Down { conv, norm: normalised.then(|| batch_norm(to, device)) });
            from = to;
        }
        let flat = from * base * base;
        let width = config.fully_connected;
        let last = if width > 0 {
            conv(width, 1, 1, 1, [0, 0], config.end_bias)
        } else {
            conv(from, 1, base, 1, [0, 0], config.end_bias)
        };
        layers.push(Down { conv: last, norm: None });
        Ok(Self {
            embedding: (classes > 0).then(|| {
                EmbeddingConfig::new(classes, config.size * config.size)
                    .with_initializer(weights())
                    .init(device)
            }),
            layers,
            hidden: (width > 0).then(|| LinearConfig::new(flat, width).init(device)),
            pool: config.pooling.then(|| MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()),
            channels,
            config: config.clone(),
        })
    }

    /// The class as a further channel.
    fn plane(&self, classes: Option<Tensor<1, Int>>) -> Option<Tensor<4>> {
        let (embedding, classes) = (self.embedding.as_ref()?, classes?);
        let [batch] = classes.dims();
        let plane = ops::embedding(embedding, classes.unsqueeze_dim(1));
        Some(plane.reshape([batch, 1, self.config.size, self.config.size]))
    }

    fn last(&self) -> &Conv2d {
        &self.layers[self.layers.len() - 1].conv
    }

    fn body(&self) -> &[Down] {
        &self.layers[..self.layers.len() - 1]
    }
}

impl Discriminator<4> for DcganDiscriminator {
    fn input_shape(&self) -> Vec<usize> {
        vec![self.channels, self.config.size, self.config.size]
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn output(&self) -> Output {
        self.config.output
    }

    fn forward(&self, x: Tensor<4>, classes: Option<Tensor<1, Int>>) -> Tensor<2> {
        let slope = self.config.slope;
        let mut x = match self.plane(classes) {
            Some(plane) => Tensor::cat(vec![x, plane], 1),
            None => x,
        };
        for Down { conv, norm } in self.body() {
            x = ops::conv2d(conv, x);
            if let Some(norm) = norm {
                x = ops::batch_norm(norm, x);
            }
            x = rectify(x, slope);
            if let Some(pool) = &self.pool {
                x = ops::max_pool2d(pool, x);
            }
        }
        let mut x: Tensor<2> = x.flatten(1, 3);
        if let Some(hidden) = &self.hidden {
            x = rectify(ops::linear(hidden, x), slope);
        }
        // A convolution over the whole map is a matrix product.
        let last = self.last();
        let x = x.matmul(last.weight.val().reshape([-1, 1]));
        let x = match &last.bias {
            Some(bias) => x + bias.val().unsqueeze(),
            None => x,
        };
        match self.config.output {
            Output::Logit => x,
            Output::Probability => activation::sigmoid(x),
        }
    }

    fn no_jvp(&self) -> Option<String> {
        if self.config.normalise_discriminator {
            let why = "batch normalisation ties the samples of a batch together, so that none has a \
                       gradient of its own: build it with `normalise_discriminator` false";
            return Some(why.to_owned());
        }
        self.config.pooling.then(|| "its max pooling has no Jacobian-vector product".to_owned())
    }

    fn jvp(&self, x: Dual<4>, classes: Option<Tensor<1, Int>>) -> Result<Dual<2>> {
        if let Some(reason) = self.no_jvp() {
            return Err(Error::network("discriminator", reason));
        }
        let slope = self.config.slope;
        let mut x = match self.plane(classes) {
            Some(plane) => x.with_constant(plane, 1),
            None => x,
        };
        for Down { conv, .. } in self.body() {
            x = x.conv2d(conv).leaky_relu(slope);
        }
        let mut x = x.map_linear(|x| x.flatten::<2>(1, 3));
        if let Some(hidden) = &self.hidden {
            x = x.linear(hidden).leaky_relu(slope);
        }
        let last = self.last();
        let weight: Tensor<2> = last.weight.val().reshape([-1, 1]);
        let mut x = x.map_linear(|x| x.matmul(weight.clone()));
        if let Some(bias) = &last.bias {
            x.value = x.value + bias.val().unsqueeze();
        }
        Ok(match self.config.output {
            Output::Logit => x,
            Output::Probability => x.sigmoid(),
        })
    }
}

fn rectify<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    if slope == 0.0 { ops::relu(x) } else { ops::leaky_relu(x, slope) }
}

impl Stored for DcganDiscriminator {
    type Config = DcganConfig;
    type Error = Error;
    const CRATE: &'static str = env!("CARGO_PKG_NAME");
    const MODEL: &'static str = "dcgan_discriminator";

    fn config(&self) -> &DcganConfig {
        &self.config
    }

    /// For images that are not packed.
    fn from_config(config: &DcganConfig, device: &Device) -> Result<Self> {
        Self::new(config, 1, device)
    }

    fn torch_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let ["layers", index, kind, leaf] = parts[..] else { return path.to_owned() };
        let index: usize = index.parse().unwrap_or_default();
        let place = if kind == "norm" { 3 * index } else { (3 * index).saturating_sub(1) };
        format!("main.{place}.{leaf}")
    }
}
