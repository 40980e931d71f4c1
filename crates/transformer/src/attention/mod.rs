//! The Transformer (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>): attention alone.

mod cache;
mod config;
mod decoder;
mod encoder;
mod feed_forward;
mod multi_head;
mod position;
mod residual;
mod transformer;

pub use config::{NormOrder, TransformerConfig, Tying};
pub use decoder::{Decoder, DecoderLayer, TransformerState};
pub use encoder::{Encoder, EncoderLayer};
pub use feed_forward::FeedForward;
pub use multi_head::MultiHeadAttention;
pub use position::{PositionalEncoding, Positions, sinusoids};
pub use residual::Residual;
pub use transformer::{AttentionMaps, Transformer};
