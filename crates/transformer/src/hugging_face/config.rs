//! `config.json` of a Marian model.

use std::path::Path;

use model_utils::layers::Activation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attention::{NormOrder, Positions, TransformerConfig, Tying};
use crate::error::{Error, Result};
use crate::text::SpecialTokens;

/// The fields that say what the model is. Those that are left out have the values of
/// `MarianConfig` in `transformers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // The file has them.
pub(super) struct MarianConfig {
    pub(super) model_type: String,
    #[serde(default)]
    architectures: Vec<String>,
    vocab_size: usize,
    d_model: usize,
    encoder_layers: usize,
    decoder_layers: usize,
    encoder_attention_heads: usize,
    decoder_attention_heads: usize,
    encoder_ffn_dim: usize,
    decoder_ffn_dim: usize,
    #[serde(default = "gelu")]
    activation_function: String,
    #[serde(default)]
    scale_embedding: bool,
    #[serde(default = "yes")]
    static_position_embeddings: bool,
    #[serde(default)]
    normalize_before: bool,
    #[serde(default)]
    add_final_layer_norm: bool,
    #[serde(default)]
    normalize_embedding: bool,
    #[serde(default = "yes")]
    share_encoder_decoder_embeddings: bool,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default = "positions")]
    pub(super) max_position_embeddings: usize,
    #[serde(default = "tenth")]
    dropout: f64,
    #[serde(default)]
    attention_dropout: f64,
    #[serde(default)]
    activation_dropout: f64,
    pad_token_id: u32,
    bos_token_id: Option<u32>,
    #[serde(default)]
    eos_token_id: u32,
    decoder_start_token_id: u32,
    #[serde(default = "yes")]
    is_encoder_decoder: bool,
    /// `null`: what is generated at the length limit is told in `generation_config.json`.
    #[serde(default, skip_deserializing)]
    forced_eos_token_id: Option<u32>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn yes() -> bool {
    true
}

fn positions() -> usize {
    1024
}

fn tenth() -> f64 {
    0.1
}

/// Activations and their names.
const ACTIVATIONS: [(&str, Activation); 7] = [
    ("swish", Activation::Silu),
    ("silu", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
];

impl MarianConfig {
    pub(super) fn read(told: &Value, path: &Path) -> Result<Self> {
        let kind = &told["model_type"];
        if kind != "marian" {
            let reason = format!("`model_type` is {kind}, expected \"marian\"");
            return Err(Error::hugging_face(path, reason));
        }
        Self::deserialize(told).map_err(|error| Error::hugging_face(path, error.to_string()))
    }

    /// Pad, begin and end.
    pub(super) fn special(&self) -> [u32; 3] {
        [self.pad_token_id, self.decoder_start_token_id, self.eos_token_id]
    }

    pub(super) fn transformer(&self, path: &Path) -> Result<TransformerConfig> {
        let refused = |field: &str, found: &dyn std::fmt::Display, expected: &str| {
            Error::hugging_face(path, format!("`{field}` is {found}, expected {expected}"))
        };
        let flags = [
            ("static_position_embeddings", self.static_position_embeddings, true),
            ("normalize_before", self.normalize_before, false),
            ("add_final_layer_norm", self.add_final_layer_norm, false),
            ("normalize_embedding", self.normalize_embedding, false),
            ("share_encoder_decoder_embeddings", self.share_encoder_decoder_embeddings, true),
            ("tie_word_embeddings", self.tie_word_embeddings, true),
        ];
        for (field, found, expected) in flags {
            if found != expected {
                return Err(refused(field, &found, &expected.to_string()));
            }
        }
        let sides = [
            ("decoder_attention_heads", self.decoder_attention_heads, self.encoder_attention_heads),
            ("decoder_ffn_dim", self.decoder_ffn_dim, self.encoder_ffn_dim),
        ];
        for (field, found, expected) in sides {
            if found != expected {
                return Err(refused(field, &found, &format!("{expected}, the encoder's")));
            }
        }
        let name = self.activation_function.as_str();
        let activation = ACTIVATIONS.iter().find(|(known, _)| *known == name);
        let names = || ACTIVATIONS.map(|(known, _)| known).join(", ");
        let (_, activation) =
            activation.ok_or_else(|| refused("activation_function", &name, &names()))?;
        Ok(TransformerConfig::marian(self.vocab_size)
            .with_d_model(self.d_model)
            .with_heads(self.encoder_attention_heads)
            .with_encoder_layers(self.encoder_layers)
            .with_decoder_layers(self.decoder_layers)
            .with_d_ff(self.encoder_ffn_dim)
            .with_activation(*activation)
            .with_scale_embeddings(self.scale_embedding)
            .with_max_length(self.max_position_embeddings)
            .with_dropout(self.dropout)
            .with_attention_dropout(self.attention_dropout)
            .with_activation_dropout(self.activation_dropout))
    }

    /// That of a model made here, or the field that cannot be told.
    pub(super) fn of(
        config: &TransformerConfig,
        special: SpecialTokens,
        max_tokens: usize,
    ) -> std::result::Result<Self, String> {
        let require = |holds: bool, field: &str, found: &dyn std::fmt::Debug, expected: &str| {
            if holds { Ok(()) } else { Err(format!("`{field}` is {found:?}, expected {expected}")) }
        };
        require(config.norm == NormOrder::Post, "norm", &config.norm, "Post")?;
        require(!config.final_norm, "final_norm", &config.final_norm, "false")?;
        require(config.tying == Tying::All, "tying", &config.tying, "All")?;
        let positions = config.positions;
        let is_sinusoidal =
            matches!(positions, Positions::Sinusoidal | Positions::SinusoidalHalves);
        require(is_sinusoidal, "positions", &positions, "Sinusoidal or SinusoidalHalves")?;
        require(config.causal, "causal", &config.causal, "true")?;
        let epsilon = config.norm_epsilon;
        require((epsilon - 1e-5).abs() < 1e-9, "norm_epsilon", &epsilon, "1e-5")?;
        let known = ACTIVATIONS.iter().find(|(_, known)| *known == config.activation);
        let names = || ACTIVATIONS.map(|(known, _)| known).join(", ");
        require(known.is_some(), "activation", &config.activation, &names())?;
        let activation = known.map_or("", |(name, _)| name);
        Ok(Self {
            model_type: "marian".to_owned(),
            architectures: vec!["MarianMTModel".to_owned()],
            vocab_size: config.target_vocabulary,
            d_model: config.d_model,
            encoder_layers: config.encoder_layers,
            decoder_layers: config.decoder_layers,
            encoder_attention_heads: config.heads,
            decoder_attention_heads: config.heads,
            encoder_ffn_dim: config.d_ff,
            decoder_ffn_dim: config.d_ff,
            activation_function: activation.to_owned(),
            scale_embedding: config.scale_embeddings,
            static_position_embeddings: true,
            normalize_before: false,
            add_final_layer_norm: false,
            normalize_embedding: false,
            share_encoder_decoder_embeddings: true,
            tie_word_embeddings: true,
            // Room for translations of twice the longest source.
            max_position_embeddings: config.max_length.max(2 * max_tokens),
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
            activation_dropout: config.activation_dropout,
            pad_token_id: special.pad,
            bos_token_id: Some(special.bos),
            eos_token_id: special.eos,
            decoder_start_token_id: special.bos,
            is_encoder_decoder: true,
            forced_eos_token_id: None,
        })
    }
}
