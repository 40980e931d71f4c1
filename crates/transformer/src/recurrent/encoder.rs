//! Reading in both directions.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};
use model_utils::ops;

use super::cell::{Memory, RecurrentLayer};
use super::config::RecurrentConfig;

/// Layers that read the source from both ends.
#[derive(Module, Debug)]
pub struct RecurrentEncoder {
    /// From the first token on.
    pub forwards: Vec<RecurrentLayer>,
    /// From the last token on.
    pub backwards: Vec<RecurrentLayer>,
    /// Between layers, in training.
    pub dropout: Dropout,
}

impl RecurrentEncoder {
    pub(super) fn new(config: &RecurrentConfig, device: &Device) -> Self {
        let layers = || {
            let from = |layer| if layer == 0 { config.d_embedding } else { 2 * config.d_hidden };
            let layer =
                |layer| RecurrentLayer::new(from(layer), config.d_hidden, config.cell, device);
            (0..config.layers).map(layer).collect()
        };
        Self {
            forwards: layers(),
            backwards: layers(),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// `[batch, time, d_embedding]` → the states behind each token in both directions, `[batch,
    /// time, 2 · d_hidden]`, and the last states of each layer, `[batch, 2 · d_hidden]`.
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize]) -> (Tensor<3>, Vec<Memory>) {
        let mut x = x;
        let mut last = Vec::with_capacity(self.forwards.len());
        for (at, (there, back)) in self.forwards.iter().zip(&self.backwards).enumerate() {
            if at > 0 {
                x = ops::dropout(&self.dropout, x);
            }
            let (a, at_end) = there.run(x.clone(), None, lengths, false);
            let (b, at_start) = back.run(x, None, lengths, true);
            x = Tensor::cat(vec![a, b], 2);
            let both = |a: Tensor<2>, b: Tensor<2>| Tensor::cat(vec![a, b], 1);
            last.push(Memory {
                hidden: both(at_end.hidden, at_start.hidden),
                cell: at_end.cell.zip(at_start.cell).map(|(a, b)| both(a, b)),
            });
        }
        (x, last)
    }
}
