//! Weights that share few values, and their file.
//!
//! S. Han, H. Mao and W. Dally, [Deep Compression](https://arxiv.org/abs/1510.00149): prune, let
//! the weights that are left share few values, code what is left by how often it is.
//!
//! | item | what it does |
//! | --- | --- |
//! | [`Sharing`] | weights of each layer take the values of a codebook, which is trained on |
//! | [`DeepCompression`] | one file for a sparse graph with shared weights |

mod bits;
mod deep_compression;
mod huffman;
mod kmeans;
mod sharing;
mod sparse;

pub use deep_compression::{DeepCompression, PackedWeight};
pub use kmeans::codebook;
pub use sharing::Sharing;
