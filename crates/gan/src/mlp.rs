//! Networks of fully connected layers, for samples that are vectors.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, activation};
use model_utils::config::{at_least, require};
use model_utils::ops;

use crate::error::Result;
use crate::jvp::Dual;
use crate::player::{Discriminator, Generator, Networks, Output};
use crate::spectral::Spectral;

/// Both networks as fully connected layers: ReLU in the generator, leaky ReLU of slope 0.2 in the
/// discriminator.
///
/// ```
/// use gan::{Gan, GanConfig, Loss, MlpConfig};
/// # let device = model_utils::device::DeviceSpec::default().open()?;
///
/// let gan = GanConfig::new(MlpConfig::new(2).with_hidden(vec![64, 64]), Loss::Hinge).init(&device)?;
/// assert_eq!(gan.sample(5, 42)?.len(), 5);
/// # Ok::<(), gan::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct MlpConfig {
    /// Numbers in a sample.
    pub features: usize,
    /// Random numbers a sample.
    #[config(default = 2)]
    pub latent: usize,
    /// Widths of the hidden layers of either network.
    #[config(default = "vec![128, 128, 128]")]
    pub hidden: Vec<usize>,
    /// Whether the generator's hidden layers are batch-normalised.
    #[config(default = false)]
    pub batch_norm: bool,
    /// Whether the discriminator's weights are spectrally normalised.
    #[config(default = false)]
    pub spectral_norm: bool,
    /// Whether the generator ends in a hyperbolic tangent.
    #[config(default = false)]
    pub tanh: bool,
    /// What the discriminator's last layer gives.
    #[config(default = "Output::Logit")]
    pub output: Output,
}

const SLOPE: f64 = 0.2;

impl Networks<2> for MlpConfig {
    type Generator = MlpGenerator;
    type Discriminator = MlpDiscriminator;

    fn init(&self, packing: usize, device: &Device) -> Result<(MlpGenerator, MlpDiscriminator)> {
        at_least("features", self.features, 1)?;
        at_least("latent", self.latent, 1)?;
        let widths = &self.hidden;
        require(widths.iter().all(|&width| width > 0), "hidden", widths, "widths of at least 1")?;
        let layers = |from: usize, to: usize| -> Vec<Linear> {
            let ends: Vec<usize> = [&[from][..], widths, &[to]].concat();
            ends.windows(2).map(|ends| LinearConfig::new(ends[0], ends[1]).init(device)).collect()
        };
        let norms = if self.batch_norm { widths.as_slice() } else { &[] };
        let generator = MlpGenerator {
            layers: layers(self.latent, self.features),
            norms: norms.iter().map(|&width| BatchNormConfig::new(width).init(device)).collect(),
            latent: self.latent,
            features: self.features,
            tanh: self.tanh,
        };
        let discriminator = MlpDiscriminator {
            layers: layers(self.features * packing, 1),
            features: self.features * packing,
            output: self.output,
        };
        let discriminator = if self.spectral_norm {
            discriminator.apply_reparameterization(Spectral::new())
        } else {
            discriminator
        };
        Ok((generator, discriminator))
    }
}

/// See [`MlpConfig`].
#[derive(Module, Debug)]
pub struct MlpGenerator {
    layers: Vec<Linear>,
    norms: Vec<BatchNorm>,
    latent: usize,
    features: usize,
    tanh: bool,
}

impl Generator<2> for MlpGenerator {
    fn latent(&self) -> usize {
        self.latent
    }

    fn sample_shape(&self) -> Vec<usize> {
        vec![self.features]
    }

    fn range(&self) -> Option<[f64; 2]> {
        self.tanh.then_some([-1.0, 1.0])
    }

    fn forward(&self, z: Tensor<2>, _classes: Option<Tensor<1, Int>>) -> Tensor<2> {
        let mut x = z;
        for (at, layer) in self.layers.iter().enumerate() {
            x = ops::linear(layer, x);
            if at + 1 < self.layers.len() {
                if let Some(norm) = self.norms.get(at) {
                    x = ops::batch_norm(norm, x);
                }
                x = ops::relu(x);
            }
        }
        if self.tanh { ops::tanh(x) } else { x }
    }
}

/// See [`MlpConfig`].
#[derive(Module, Debug)]
pub struct MlpDiscriminator {
    layers: Vec<Linear>,
    features: usize,
    #[module(skip)]
    output: Output,
}

impl Discriminator<2> for MlpDiscriminator {
    fn input_shape(&self) -> Vec<usize> {
        vec![self.features]
    }

    fn output(&self) -> Output {
        self.output
    }

    fn forward(&self, x: Tensor<2>, _classes: Option<Tensor<1, Int>>) -> Tensor<2> {
        let mut x = x;
        for (at, layer) in self.layers.iter().enumerate() {
            x = ops::linear(layer, x);
            if at + 1 < self.layers.len() {
                x = ops::leaky_relu(x, SLOPE);
            }
        }
        match self.output {
            Output::Logit => x,
            Output::Probability => activation::sigmoid(x),
        }
    }

    fn no_jvp(&self) -> Option<String> {
        None
    }

    fn jvp(&self, x: Dual<2>, _classes: Option<Tensor<1, Int>>) -> Result<Dual<2>> {
        let mut x = x;
        for (at, layer) in self.layers.iter().enumerate() {
            x = x.linear(layer);
            if at + 1 < self.layers.len() {
                x = x.leaky_relu(SLOPE);
            }
        }
        Ok(match self.output {
            Output::Logit => x,
            Output::Probability => x.sigmoid(),
        })
    }
}
