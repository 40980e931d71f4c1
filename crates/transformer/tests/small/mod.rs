//! Few pairs and a small model, for tests that train.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use model_utils::device::DeviceSpec;
use transformer::{
    Grammar, ModelConfig, Splits, TokenizerConfig, TransformerConfig, TranslatorConfig, Tying,
};

/// Weights and dropout draw from the process's one generator: tests that hold this run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn device() -> Device {
    DeviceSpec::default().open().unwrap()
}

pub(crate) fn splits() -> Splits {
    Grammar::Simple.splits([200, 20, 20], 3).unwrap()
}

/// Without a training of its own.
pub(crate) fn config(dropout: f64) -> TranslatorConfig {
    let model = TransformerConfig::new(0, 0)
        .with_d_model(16)
        .with_heads(2)
        .with_encoder_layers(1)
        .with_decoder_layers(1)
        .with_d_ff(32)
        .with_dropout(dropout)
        .with_tying(Tying::All);
    TranslatorConfig::new(ModelConfig::Transformer(model))
        .with_tokenizer(TokenizerConfig::new().with_vocabulary(120).with_byte_fallback(false))
}
