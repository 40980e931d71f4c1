//! What a Transformer is made from.

use burn::config::Config;
use model_utils::config::{self, ConfigError};
use model_utils::layers::Activation;
use serde::{Deserialize, Serialize};

use super::position::Positions;

/// Where a sub-layer is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NormOrder {
    /// `x + f(norm(x))`: trains without a warm-up, and needs a norm at the end of the stack.
    #[default]
    Pre,
    /// `norm(x + f(x))`, as in the paper.
    Post,
}

/// Which tables of one row a token are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Tying {
    /// None.
    None,
    /// The target embedding and the output projection (Press and Wolf 2017).
    #[default]
    Output,
    /// These and the source embedding: for one vocabulary on both sides.
    All,
}

/// Configuration of a [`Transformer`](super::Transformer). The defaults are those of the
/// [tutorial](Self::tutorial), but with pre-norm and the output tied.
///
/// ```
/// use transformer::TransformerConfig;
/// # let device = model_utils::device::DeviceSpec::default().open()?;
///
/// let model = TransformerConfig::tiny(1_000, 1_200).init(&device)?;
/// let refused = TransformerConfig::tiny(1_000, 1_200).with_heads(3).init(&device).unwrap_err();
/// assert!(refused.to_string().contains("`heads` is 3"), "{refused}");
/// # Ok::<(), transformer::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
// Each is a choice of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct TransformerConfig {
    /// Ids of the source side.
    pub source_vocabulary: usize,
    /// Ids of the target side.
    pub target_vocabulary: usize,
    /// Width of the vectors between the layers.
    #[config(default = 128)]
    pub d_model: usize,
    /// Heads of each attention; they divide the width.
    #[config(default = 8)]
    pub heads: usize,
    /// Layers of the encoder.
    #[config(default = 4)]
    pub encoder_layers: usize,
    /// Layers of the decoder.
    #[config(default = 4)]
    pub decoder_layers: usize,
    /// Width inside the feed-forward layers.
    #[config(default = 512)]
    pub d_ff: usize,
    /// On embeddings and on what each sub-layer adds, as in the paper.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// On the weights of attention.
    #[config(default = 0.0)]
    pub attention_dropout: f64,
    /// Behind the activation of the feed-forward layers.
    #[config(default = 0.0)]
    pub activation_dropout: f64,
    /// Inside the feed-forward layers.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// Where sub-layers are normalised.
    #[config(default = "NormOrder::Pre")]
    pub norm: NormOrder,
    /// Whether encoder and decoder end in a norm; pre-norm stacks need it.
    #[config(default = true)]
    pub final_norm: bool,
    /// Added to variances.
    #[config(default = 1e-5)]
    pub norm_epsilon: f64,
    /// How the model is told where a token stands.
    #[config(default = "Positions::Sinusoidal")]
    pub positions: Positions,
    /// Most tokens of a sentence, where positions are learned.
    #[config(default = 512)]
    pub max_length: usize,
    /// Whether embeddings are multiplied by the root of the width.
    #[config(default = true)]
    pub scale_embeddings: bool,
    /// Which tables are the same.
    #[config(default = "Tying::Output")]
    pub tying: Tying,
    /// Whether a tied output projection has a bias.
    #[config(default = false)]
    pub output_bias: bool,
    /// Whether, in training, a target token sees only itself and those before it. Without that it
    /// sees the token that it is to predict: for the ablation.
    #[config(default = true)]
    pub causal: bool,
}

impl TransformerConfig {
    /// For tests and the grammar: d 64, 4 heads, 2 + 2 layers, feed-forward 256.
    pub fn tiny(source_vocabulary: usize, target_vocabulary: usize) -> Self {
        Self::new(source_vocabulary, target_vocabulary).with_sizes(64, 4, 2, 256)
    }

    /// For some ten thousand sentence pairs: d 256, 4 heads, 3 + 3 layers, feed-forward 1,024.
    pub fn small(source_vocabulary: usize, target_vocabulary: usize) -> Self {
        Self::new(source_vocabulary, target_vocabulary).with_sizes(256, 4, 3, 1024)
    }

    /// TensorFlow's tutorial on Portuguese and English: d 128, 8 heads, 4 + 4 layers, feed-forward
    /// 512, post-norm, nothing tied.
    pub fn tutorial(source_vocabulary: usize, target_vocabulary: usize) -> Self {
        Self::new(source_vocabulary, target_vocabulary)
            .with_norm(NormOrder::Post)
            .with_final_norm(false)
            .with_tying(Tying::None)
    }

    /// The paper's base model: d 512, 8 heads, 6 + 6 layers, feed-forward 2,048, post-norm, one
    /// vocabulary whose tables are all the same.
    pub fn base(vocabulary: usize) -> Self {
        Self::new(vocabulary, vocabulary)
            .with_sizes(512, 8, 6, 2048)
            .with_norm(NormOrder::Post)
            .with_final_norm(false)
            .with_tying(Tying::All)
    }

    /// The paper's big model: [`base`](Self::base) with d 1,024, 16 heads, feed-forward 4,096 and
    /// dropout 0.3.
    pub fn big(vocabulary: usize) -> Self {
        Self::base(vocabulary).with_sizes(1024, 16, 6, 4096).with_dropout(0.3)
    }

    /// Marian's translation models: [`base`](Self::base) with swish, positions in halves and a
    /// bias on the output.
    pub fn marian(vocabulary: usize) -> Self {
        Self::base(vocabulary)
            .with_activation(Activation::Silu)
            .with_positions(Positions::SinusoidalHalves)
            .with_output_bias(true)
    }

    fn with_sizes(self, d_model: usize, heads: usize, layers: usize, d_ff: usize) -> Self {
        self.with_d_model(d_model)
            .with_heads(heads)
            .with_encoder_layers(layers)
            .with_decoder_layers(layers)
            .with_d_ff(d_ff)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("source_vocabulary", self.source_vocabulary),
            ("target_vocabulary", self.target_vocabulary),
            ("d_model", self.d_model),
            ("heads", self.heads),
            ("encoder_layers", self.encoder_layers),
            ("decoder_layers", self.decoder_layers),
            ("d_ff", self.d_ff),
            ("max_length", self.max_length),
        ];
        for (field, size) in sizes {
            config::at_least(field, size, 1)?;
        }
        let width = self.d_model;
        config::require(width.is_multiple_of(2), "d_model", width, "an even number")?;
        let divides = width.is_multiple_of(self.heads);
        let what = format!("a divisor of `d_model`, which is {width}");
        config::require(divides, "heads", self.heads, what)?;
        let turns = self.positions != Positions::Rotary || (width / self.heads).is_multiple_of(2);
        let what = "heads of even width, as rotary positions need";
        config::require(turns, "heads", self.heads, what)?;
        config::share_below_one("dropout", self.dropout)?;
        config::share_below_one("attention_dropout", self.attention_dropout)?;
        config::share_below_one("activation_dropout", self.activation_dropout)?;
        config::positive("norm_epsilon", self.norm_epsilon)?;
        let fits = self.tying != Tying::All || self.source_vocabulary == self.target_vocabulary;
        let what = format!("{}, as the tables are shared", self.target_vocabulary);
        config::require(fits, "source_vocabulary", self.source_vocabulary, what)
    }
}
