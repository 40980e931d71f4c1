//! The two-headed net of AlphaGo Zero: one tower, a policy and a value.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use model_utils::layers::{ConvNormAct, ConvNormActConfig, ResidualBlock, ResidualBlockConfig};
use model_utils::ops;
use model_utils::weights::Stored;
use model_utils_core::config;

use crate::error::{Error, Result};
use crate::game::{Encode, MAX_PLAYERS, sums_to_zero};

/// Configuration of [`PolicyValueNet`].
#[derive(Config, Debug, PartialEq)]
pub struct PolicyValueConfig {
    /// The game that the net is for, as [`Game::name`](crate::Game::name) writes it.
    pub game: String,
    /// `[planes, height, width]` of a position.
    pub shape: [usize; 3],
    /// How many actions there are.
    pub actions: usize,
    /// Channels of the tower.
    #[config(default = 64)]
    pub channels: usize,
    /// Blocks of two 3×3 convolutions each, after the first convolution.
    #[config(default = 5)]
    pub blocks: usize,
    /// Whether blocks add to what they were given; without, the same convolutions stand in a row.
    #[config(default = true)]
    pub residual: bool,
    /// Channels of the 1×1 convolution before the policy: 2 in the paper.
    #[config(default = 2)]
    pub policy_channels: usize,
    /// Channels of the 1×1 convolution before the value: 1 in the paper.
    #[config(default = 1)]
    pub value_channels: usize,
    /// The hidden layer of the value: 256 in the paper.
    #[config(default = 256)]
    pub value_hidden: usize,
    /// How many players there are, each with a value of its own; `None`: two, and what one gets the
    /// other loses, so that one value says all.
    #[config(default = "None")]
    pub players: Option<usize>,
}

/// What a net says about a batch of positions.
#[derive(Debug, Clone)]
pub struct PolicyValue {
    /// `[batch, actions]`: logits over all actions, legal or not.
    pub logits: Tensor<2>,
    /// `[batch, values]`: −1..1, of [`Game::most_value`](crate::Game::most_value). The first is that
    /// of the player to move, the next those of the players after it in the order of their numbers
    /// ([`PolicyValueConfig::values`]).
    pub values: Tensor<2>,
}

/// A block of two convolutions.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // Few live, and all of one kind.
pub enum Block {
    /// With a shortcut around it.
    Residual(ResidualBlock),
    /// Without.
    Plain(PlainBlock),
}

/// Two convolutions in a row.
#[derive(Module, Debug)]
pub struct PlainBlock {
    /// The first.
    pub first: ConvNormAct,
    /// The second.
    pub second: ConvNormAct,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Residual(block) => block.forward(x),
            Self::Plain(block) => block.second.forward(block.first.forward(x)),
        }
    }
}

/// A tower of convolutions with a policy head and a value head (AlphaGo Zero, Silver et al. 2017).
///
/// Stem: 3×3 convolution, normalisation, ReLU. Tower: residual blocks. Policy: 1×1 convolution,
/// normalisation, ReLU, linear. Value: 1×1 convolution, normalisation, ReLU, linear, ReLU, linear,
/// tanh.
///
/// The paper's sizes are [`PolicyValueConfig::alphago_zero`] (19 blocks of 256 channels) and
/// [`PolicyValueConfig::alphago_zero_40`] (39 blocks).
#[derive(Module, Debug)]
pub struct PolicyValueNet {
    /// The first convolution.
    pub stem: ConvNormAct,
    /// The tower.
    pub blocks: Vec<Block>,
    /// 1×1 convolution before the policy.
    pub policy: ConvNormAct,
    /// The policy.
    pub logits: Linear,
    /// 1×1 convolution before the value.
    pub value: ConvNormAct,
    /// The hidden layer of the value.
    pub hidden: Linear,
    /// The value, or one a player.
    pub scalar: Linear,
    #[module(skip)]
    config: PolicyValueConfig,
}

impl PolicyValueConfig {
    /// A net of 5 blocks with 64 channels for a game: one value where
    /// [`Game::PAYOFF`](crate::Game::PAYOFF) says that what one player gets the other loses, else one a
    /// player.
    pub fn for_game<G: Encode>(game: &G) -> Self {
        let players = (!sums_to_zero(game)).then(|| game.players());
        Self::new(game.name(), game.shape(), game.actions()).with_players(players)
    }

    /// How many values the net has for a position.
    pub fn values(&self) -> usize {
        self.players.unwrap_or(1)
    }

    /// AlphaGo Zero's net of "20 blocks": 19 residual blocks of 256 channels; `AlphaZero`'s too.
    pub fn alphago_zero<G: Encode>(game: &G) -> Self {
        Self::for_game(game).with_channels(256).with_blocks(19)
    }

    /// AlphaGo Zero's net of "40 blocks": 39 residual blocks of 256 channels.
    pub fn alphago_zero_40<G: Encode>(game: &G) -> Self {
        Self::alphago_zero(game).with_blocks(39)
    }

    /// Builds the net.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a size of 0 or more than [`MAX_PLAYERS`], naming the field.
    pub fn init(&self, device: &Device) -> Result<PolicyValueNet> {
        for (field, value) in [
            ("shape[0]", self.shape[0]),
            ("shape[1]", self.shape[1]),
            ("shape[2]", self.shape[2]),
            ("actions", self.actions),
            ("channels", self.channels),
            ("policy_channels", self.policy_channels),
            ("value_channels", self.value_channels),
            ("value_hidden", self.value_hidden),
        ] {
            config::at_least(field, value, 1)?;
        }
        let players = self.players.unwrap_or(2);
        let expected = format!("1 to {MAX_PLAYERS}");
        config::require((1..=MAX_PLAYERS).contains(&players), "players", players, expected)?;
        let [planes, height, width] = self.shape;
        let conv = |channels, kernel| ConvNormActConfig::new(channels, kernel).init(device);
        let square = [self.channels; 2];
        let block = |_| {
            if self.residual {
                Block::Residual(ResidualBlockConfig::new(square).init(device))
            } else {
                Block::Plain(PlainBlock { first: conv(square, 3), second: conv(square, 3) })
            }
        };
        let points = height * width;
        Ok(PolicyValueNet {
            stem: conv([planes, self.channels], 3),
            blocks: (0..self.blocks).map(block).collect(),
            policy: conv([self.channels, self.policy_channels], 1),
            logits: LinearConfig::new(self.policy_channels * points, self.actions).init(device),
            value: conv([self.channels, self.value_channels], 1),
            hidden: LinearConfig::new(self.value_channels * points, self.value_hidden).init(device),
            scalar: LinearConfig::new(self.value_hidden, self.values()).init(device),
            config: self.clone(),
        })
    }

    /// Refuses a game that the net was not made for.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with both.
    pub fn check_game<G: Encode>(&self, game: &G) -> Result<()> {
        let (found, expected) = (
            describe(&self.game, self.shape, self.actions, self.players.unwrap_or(2)),
            describe(&game.name(), game.shape(), game.actions(), game.players()),
        );
        if found == expected {
            return Ok(());
        }
        Err(Error::Mismatch { what: "the net".to_owned(), found, expected })
    }
}

fn describe(
    game: &str,
    [planes, height, width]: [usize; 3],
    actions: usize,
    players: usize,
) -> String {
    let shape = format!("{planes} planes of {height}x{width}");
    format!("{game} with {shape}, {actions} actions and {players} players")
}

impl PolicyValueNet {
    /// `[batch, planes, height, width]` → logits `[batch, actions]` and values `[batch, values]`.
    pub fn forward(&self, x: Tensor<4>) -> PolicyValue {
        let mut x = self.stem.forward(x);
        for block in &self.blocks {
            x = block.forward(x);
        }
        let policy = self.policy.forward(x.clone()).flatten::<2>(1, 3);
        let logits = ops::linear(&self.logits, policy);
        let value = self.value.forward(x).flatten::<2>(1, 3);
        let hidden = ops::relu(ops::linear(&self.hidden, value));
        let values = ops::tanh(ops::linear(&self.scalar, hidden));
        PolicyValue { logits, values }
    }
}

impl Stored for PolicyValueNet {
    type Config = PolicyValueConfig;
    type Error = Error;
    const CRATE: &'static str = env!("CARGO_PKG_NAME");
    const MODEL: &'static str = "policy_value";

    fn config(&self) -> &PolicyValueConfig {
        &self.config
    }

    fn from_config(config: &PolicyValueConfig, device: &Device) -> Result<Self> {
        config.init(device)
    }
}
