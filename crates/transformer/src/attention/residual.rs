//! What stands around every sub-layer.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};
use model_utils::layers::LayerNorm;
use model_utils::ops;

use super::config::{NormOrder, TransformerConfig};

/// A sub-layer's norm and dropout, around whatever it computes.
#[derive(Module, Debug)]
pub struct Residual {
    /// Before or after.
    pub norm: LayerNorm,
    /// On what is added, in training.
    pub dropout: Dropout,
    #[module(skip)]
    order: NormOrder,
}

impl Residual {
    pub(super) fn new(config: &TransformerConfig, device: &Device) -> Self {
        Self {
            norm: norm(config, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            order: config.norm,
        }
    }

    pub(super) fn around(
        &self,
        x: Tensor<3>,
        compute: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        match self.order {
            NormOrder::Pre => {
                let added = compute(ops::layer_norm(&self.norm, x.clone()));
                x + ops::dropout(&self.dropout, added)
            }
            NormOrder::Post => {
                let added = compute(x.clone());
                ops::layer_norm(&self.norm, x + ops::dropout(&self.dropout, added))
            }
        }
    }
}

/// A norm as the configuration has it.
pub(super) fn norm(config: &TransformerConfig, device: &Device) -> LayerNorm {
    LayerNorm::new(config.d_model, config.norm_epsilon, device)
}

/// The norm behind a stack, where there is one.
pub(super) fn at_the_end(norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => ops::layer_norm(norm, x),
        None => x,
    }
}
