//! The policy net and the value net.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use model_utils::layers::{Activation, ConvNormAct, ConvNormActConfig};
use model_utils::ops;
use model_utils::weights::Stored;
use model_utils_core::{ConfigError, config};

use super::features::{PLANES, SENSIBLE, VALUE_PLANES};
use crate::error::{Error, Result};
use crate::game::Game as _;
use crate::go::{Go, MAX_SIDE};

/// Added to the logits of points that it may not play.
const FORBIDDEN: f32 = 1e9;

/// Configuration of [`PolicyNet`].
#[derive(Config, Debug, PartialEq)]
pub struct PolicyNetConfig {
    /// Columns and rows of the board.
    pub side: usize,
    /// Filters of each convolution: 192 in the paper's match version, 256 in its best.
    #[config(default = 192)]
    pub filters: usize,
    /// Convolutions in all, the first (5×5) and the last (1×1) included: 13 in the paper.
    #[config(default = 13)]
    pub layers: usize,
}

impl PolicyNetConfig {
    /// The paper's net for 19×19: 13 layers of 192 filters.
    #[must_use]
    pub fn alphago() -> Self {
        Self::new(19)
    }

    /// A net that learns in minutes on a processor: 5 layers of 32 filters.
    #[must_use]
    pub fn small(side: usize) -> Self {
        Self::new(side).with_filters(32).with_layers(5)
    }

    /// Builds the net.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a side outside 1 to 19, no filters, fewer than 2 layers.
    pub fn init(&self, device: &Device) -> Result<PolicyNet> {
        check(self.side, self.filters, self.layers)?;
        let bias = Tensor::zeros([self.side * self.side], device);
        Ok(PolicyNet {
            tower: tower(PLANES, self.filters, self.layers - 2, device),
            last: convolution([self.filters, 1], 1, Activation::Identity, device),
            bias: Param::from_tensor(bias),
            config: self.clone(),
        })
    }
}

/// Configuration of [`ValueNet`].
#[derive(Config, Debug, PartialEq)]
pub struct ValueNetConfig {
    /// Columns and rows of the board.
    pub side: usize,
    /// Filters of each convolution: 192 in the paper.
    #[config(default = 192)]
    pub filters: usize,
    /// Convolutions in all, the first (5×5) and the last (1×1) included: 13 in the paper; two
    /// linear layers follow.
    #[config(default = 13)]
    pub layers: usize,
    /// The hidden linear layer: 256 in the paper.
    #[config(default = 256)]
    pub hidden: usize,
}

impl ValueNetConfig {
    /// The paper's net for 19×19.
    #[must_use]
    pub fn alphago() -> Self {
        Self::new(19)
    }

    /// A net that learns in minutes on a processor: 5 layers of 32 filters, 64 hidden.
    #[must_use]
    pub fn small(side: usize) -> Self {
        Self::new(side).with_filters(32).with_layers(5).with_hidden(64)
    }

    /// Builds the net.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a side outside 1 to 19, a size of 0, fewer than 2 layers.
    pub fn init(&self, device: &Device) -> Result<ValueNet> {
        check(self.side, self.filters, self.layers)?;
        config::at_least("hidden", self.hidden, 1)?;
        let points = self.side * self.side;
        Ok(ValueNet {
            tower: tower(VALUE_PLANES, self.filters, self.layers - 2, device),
            // Without a rectifier: a single filter that dies would take the whole net with it.
            last: convolution([self.filters, 1], 1, Activation::Identity, device),
            hidden: LinearConfig::new(points, self.hidden).init(device),
            scalar: LinearConfig::new(self.hidden, 1).init(device),
            config: self.clone(),
        })
    }
}

/// Planes, row-major, as a tensor.
pub(super) fn planes(planes: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(planes, shape), device)
}

fn check(side: usize, filters: usize, layers: usize) -> Result<(), ConfigError> {
    config::require((1..=MAX_SIDE).contains(&side), "side", side, "1 to 19")?;
    config::at_least("filters", filters, 1)?;
    config::at_least("layers", layers, 2)
}

/// A convolution with a bias, padded so that the size stays.
fn convolution(
    channels: [usize; 2],
    kernel: usize,
    activation: Activation,
    device: &Device,
) -> ConvNormAct {
    ConvNormActConfig::new(channels, kernel)
        .with_norm(None)
        .with_activation(activation)
        .init(device)
}

/// A 5×5 convolution and `more` of 3×3.
fn tower(planes: usize, filters: usize, more: usize, device: &Device) -> Vec<ConvNormAct> {
    let first = convolution([planes, filters], 5, Activation::Relu, device);
    let rest = (0..more).map(|_| convolution([filters; 2], 3, Activation::Relu, device));
    std::iter::once(first).chain(rest).collect()
}

/// AlphaGo's policy net: a 5×5 convolution, 3×3 convolutions, a 1×1 convolution with a bias for
/// each point, softmax; no normalisation.
#[derive(Module, Debug)]
pub struct PolicyNet {
    /// The convolutions but the last.
    pub tower: Vec<ConvNormAct>,
    /// The 1×1 convolution.
    pub last: ConvNormAct,
    /// `[points]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    config: PolicyNetConfig,
}

impl PolicyNet {
    /// `[batch, 48, side, side]` → logits `[batch, points]`; points where no move is sensible
    /// (plane 46) are far below the others.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let sensible = x.clone().narrow(1, SENSIBLE, 1).flatten::<2>(1, 3);
        let mut x = x;
        for layer in &self.tower {
            x = layer.forward(x);
        }
        let logits = self.last.forward(x).flatten::<2>(1, 3) + self.bias.val().unsqueeze();
        logits + (sensible - 1.0) * FORBIDDEN
    }

    /// Refuses a game on another board.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with both.
    pub fn check_game(&self, game: &Go) -> Result<()> {
        check_side("the policy net", self.config.side, game)
    }

    /// Columns and rows of the board.
    pub fn side(&self) -> usize {
        self.config.side
    }

    /// The device that it is on, without autodiff.
    pub fn device(&self) -> Device {
        self.bias.lazy_device().without_autodiff()
    }
}

fn check_side(what: &str, side: usize, game: &Go) -> Result<()> {
    if [game.board().width(), game.board().height()] == [side; 2] {
        return Ok(());
    }
    Err(Error::Mismatch {
        what: what.to_owned(),
        found: format!("go {side}x{side}"),
        expected: game.name(),
    })
}

impl Stored for PolicyNet {
    type Config = PolicyNetConfig;
    type Error = Error;
    const CRATE: &'static str = env!("CARGO_PKG_NAME");
    const MODEL: &'static str = "alphago_policy";

    fn config(&self) -> &PolicyNetConfig {
        &self.config
    }

    fn from_config(config: &PolicyNetConfig, device: &Device) -> Result<Self> {
        config.init(device)
    }
}

/// AlphaGo's value net: the policy net's tower on 49 planes, a 1×1 convolution, a rectified linear
/// layer, a linear layer, tanh.
#[derive(Module, Debug)]
pub struct ValueNet {
    /// The convolutions but the last.
    pub tower: Vec<ConvNormAct>,
    /// The 1×1 convolution.
    pub last: ConvNormAct,
    /// The hidden layer.
    pub hidden: Linear,
    /// The value.
    pub scalar: Linear,
    #[module(skip)]
    config: ValueNetConfig,
}

impl ValueNet {
    /// `[batch, 49, side, side]` → `[batch]`: −1..1 for the player to move.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<1> {
        let mut x = x;
        for layer in &self.tower {
            x = layer.forward(x);
        }
        let x = self.last.forward(x).flatten::<2>(1, 3);
        let x = ops::relu(ops::linear(&self.hidden, x));
        ops::tanh(ops::linear(&self.scalar, x)).flatten::<1>(0, 1)
    }

    /// Refuses a game on another board.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with both.
    pub fn check_game(&self, game: &Go) -> Result<()> {
        check_side("the value net", self.config.side, game)
    }

    /// Columns and rows of the board.
    pub fn side(&self) -> usize {
        self.config.side
    }

    /// The device that it is on, without autodiff.
    pub fn device(&self) -> Device {
        self.scalar.weight.lazy_device().without_autodiff()
    }
}

impl Stored for ValueNet {
    type Config = ValueNetConfig;
    type Error = Error;
    const CRATE: &'static str = env!("CARGO_PKG_NAME");
    const MODEL: &'static str = "alphago_value";

    fn config(&self) -> &ValueNetConfig {
        &self.config
    }

    fn from_config(config: &ValueNetConfig, device: &Device) -> Result<Self> {
        config.init(device)
    }
}
