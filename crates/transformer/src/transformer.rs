//! The Transformer (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear};
use burn::tensor::{Device, Int, Tensor, TensorData};
use model_utils::layers::{Activation, normal};
use model_utils::ops;
use serde::{Deserialize, Serialize};

use crate::attention::{Mask, MultiHeadAttention, xavier};
use crate::decoder::{Decoder, TransformerState, Weights};
use crate::encoder::{Encoder, NormOrder};
use crate::error::{Result, require};
use crate::feed_forward::FeedForward;
use crate::model::{Decoding, EncoderDecoder, Padded, Step};
use crate::position::{PositionalEncoding, Positions, Rotation};

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

/// Configuration of a [`Transformer`]. The defaults are those of the
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

    /// Builds the model with fresh weights: Glorot's spread for layers, d^−½ for embeddings.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) that names the field that cannot work.
    pub fn init(&self, device: &Device) -> Result<Transformer> {
        self.check()?;
        let width = self.d_model;
        let embedding = |vocabulary| {
            let spread = normal((width as f64).powf(-0.5));
            EmbeddingConfig::new(vocabulary, width).with_initializer(spread).init(device)
        };
        let is_tied = self.tying != Tying::None;
        let is_shared = self.tying == Tying::All;
        let positions = || PositionalEncoding::new(self.positions, self.max_length, width, device);
        Ok(Transformer {
            source_embedding: (!is_shared).then(|| embedding(self.source_vocabulary)),
            target_embedding: embedding(self.target_vocabulary),
            source_positions: positions(),
            target_positions: positions(),
            encoder: Encoder::new(self, device),
            decoder: Decoder::new(self, device),
            projection: (!is_tied).then(|| xavier(width, self.target_vocabulary, device)),
            output_bias: (is_tied && self.output_bias)
                .then(|| Initializer::Zeros.init([self.target_vocabulary], device)),
            dropout: DropoutConfig::new(self.dropout).init(),
            config: self.clone(),
        })
    }

    fn check(&self) -> Result<()> {
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
            require(size > 0, field, size, "at least 1")?;
        }
        let width = self.d_model;
        require(width.is_multiple_of(2), "d_model", width, "an even number")?;
        let divides = width.is_multiple_of(self.heads);
        let what = format!("a divisor of `d_model`, which is {width}");
        require(divides, "heads", self.heads, &what)?;
        let turns = self.positions != Positions::Rotary || (width / self.heads).is_multiple_of(2);
        require(turns, "heads", self.heads, "heads of even width, as rotary positions need")?;
        let shares = [
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("activation_dropout", self.activation_dropout),
        ];
        for (field, share) in shares {
            require((0.0..1.0).contains(&share), field, share, "at least 0 and below 1")?;
        }
        let epsilon = self.norm_epsilon;
        require(epsilon > 0.0 && epsilon.is_finite(), "norm_epsilon", epsilon, "above 0")?;
        let fits = self.tying != Tying::All || self.source_vocabulary == self.target_vocabulary;
        let what = format!("{}, as the tables are shared", self.target_vocabulary);
        require(fits, "source_vocabulary", self.source_vocabulary, &what)
    }

    pub(crate) fn attention(&self, device: &Device) -> MultiHeadAttention {
        MultiHeadAttention::new(self.d_model, self.heads, self.attention_dropout, device)
    }

    pub(crate) fn feed_forward(&self, device: &Device) -> FeedForward {
        let sizes = [self.d_model, self.d_ff];
        FeedForward::new(sizes, self.activation, self.activation_dropout, device)
    }
}

/// An encoder and a decoder of attention alone. See [`TransformerConfig`].
#[derive(Module, Debug)]
pub struct Transformer {
    /// Of the source, where it is not the target's.
    pub source_embedding: Option<Embedding>,
    /// Of the target, and the output projection where it is tied.
    pub target_embedding: Embedding,
    /// Of the source.
    pub source_positions: PositionalEncoding,
    /// Of the target.
    pub target_positions: PositionalEncoding,
    /// The side that reads.
    pub encoder: Encoder,
    /// The side that writes.
    pub decoder: Decoder,
    /// Onto the vocabulary, where it is not the target embedding.
    pub projection: Option<Linear>,
    /// Of the tied projection.
    pub output_bias: Option<Param<Tensor<1>>>,
    /// On embeddings, in training.
    pub dropout: Dropout,
    #[module(skip)]
    config: TransformerConfig,
}

/// The weights of all attentions over one batch, a tensor `[batch, heads, queries, keys]` a layer.
#[derive(Debug, Clone)]
pub struct AttentionMaps {
    /// The encoder's, among source tokens.
    pub encoder: Vec<Tensor<4>>,
    /// The decoder's, among target tokens.
    pub decoder: Vec<Tensor<4>>,
    /// The decoder's, from target to source tokens.
    pub cross: Vec<Tensor<4>>,
}

impl Transformer {
    /// What it was made from.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// The memory of the source, `[batch, source_time, d_model]`.
    pub fn encode(&self, source: &Padded) -> Tensor<3> {
        self.encode_with(source, &mut None)
    }

    fn encode_with(&self, source: &Padded, weights: &mut Option<Vec<Tensor<4>>>) -> Tensor<3> {
        let table = self.source_embedding.as_ref().unwrap_or(&self.target_embedding);
        let x = self.embed(table, &self.source_positions, source.ids.clone(), 0);
        let rotation = self.rotation(0, source.time(), &x.device());
        self.encoder.forward(x, &Mask::padding(&source.lengths), rotation.as_ref(), weights)
    }

    /// What the projection turns into logits, `[batch, target_time, d_model]`.
    pub fn decode(&self, target: &Padded, memory: &Tensor<3>, source: &[usize]) -> Tensor<3> {
        self.decode_with(target, memory, source, &mut Weights::default())
    }

    fn decode_with(
        &self,
        target: &Padded,
        memory: &Tensor<3>,
        source: &[usize],
        weights: &mut Weights,
    ) -> Tensor<3> {
        let x = self.embed(&self.target_embedding, &self.target_positions, target.ids.clone(), 0);
        let rotation = self.rotation(0, target.time(), &x.device());
        let own = if self.config.causal { Mask::causal } else { Mask::padding };
        let (own, source) = (own(&target.lengths), Mask::padding(source));
        self.decoder.forward(x, &own, (memory, &source), rotation.as_ref(), weights)
    }

    /// The weights of all attentions over teacher-forced targets.
    pub fn attention_maps(&self, source: &Padded, target: &Padded) -> AttentionMaps {
        let mut encoder = Some(Vec::new());
        let memory = self.encode_with(source, &mut encoder);
        let mut weights = Weights { own: Some(Vec::new()), cross: Some(Vec::new()) };
        self.decode_with(target, &memory, &source.lengths, &mut weights);
        let taken = Option::unwrap_or_default;
        AttentionMaps {
            encoder: taken(encoder),
            decoder: taken(weights.own),
            cross: taken(weights.cross),
        }
    }

    fn embed(
        &self,
        table: &Embedding,
        positions: &PositionalEncoding,
        ids: Tensor<2, Int>,
        from: usize,
    ) -> Tensor<3> {
        let x = ops::embedding(table, ids);
        let x =
            if self.config.scale_embeddings { x * (self.config.d_model as f64).sqrt() } else { x };
        ops::dropout(&self.dropout, positions.forward(x, from))
    }

    fn rotation(&self, from: usize, time: usize, device: &Device) -> Option<Rotation> {
        let width = self.config.d_model / self.config.heads;
        let is_rotary = self.config.positions == Positions::Rotary;
        is_rotary.then(|| Rotation::new(from, time, width, device))
    }

    fn project<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some(projection) = &self.projection {
            return ops::linear(projection, x);
        }
        let bias = self.output_bias.as_ref().map(Param::val);
        ops::linear_transposed(x, self.target_embedding.weight.val(), bias)
    }
}

impl EncoderDecoder for Transformer {
    type State = TransformerState;

    fn logits(&self, source: &Padded, target: &Padded) -> Tensor<3> {
        let memory = self.encode(source);
        self.project(self.decode(target, &memory, &source.lengths))
    }

    fn start(&self, source: &Padded, decoding: Decoding) -> TransformerState {
        let memory = self.encode(source);
        let mask = Mask::padding(&source.lengths);
        let mut state = self.decoder.start(&memory, mask, decoding.steps, decoding.beams);
        state.attention = decoding.attention;
        state
    }

    fn step(&self, tokens: &[u32], state: &mut TransformerState) -> Step {
        let device = self.target_embedding.weight.val().device().without_autodiff();
        let ids: Vec<i32> = tokens.iter().map(|&id| id as i32).collect();
        let ids = Tensor::from_data(TensorData::new(ids, [tokens.len(), 1]), &device);
        let at = state.position;
        let x = self.embed(&self.target_embedding, &self.target_positions, ids, at);
        let rotation = self.rotation(at, 1, &device);
        let (x, weights) = self.decoder.step(x, state, rotation.as_ref());
        // Of the last layer but one, whose attention follows the words best (Garg et al. 2019).
        let attention = weights.and_then(|mut weights| {
            let layer = weights.len().saturating_sub(2);
            (layer < weights.len()).then(|| {
                let weights = weights.swap_remove(layer);
                let [sentences, _, beams, keys] = weights.dims();
                weights.mean_dim(1).reshape([sentences * beams, keys])
            })
        });
        Step { logits: self.project(x.squeeze_dim::<2>(1)), attention }
    }

    fn vocabularies(&self) -> [usize; 2] {
        [self.config.source_vocabulary, self.config.target_vocabulary]
    }

    fn max_length(&self) -> Option<usize> {
        self.source_positions.learned_weight().map(|_| self.config.max_length)
    }
}
