//! Any [Burn](https://burn.dev) model made smaller and faster, and its training divided among
//! workers: quantization, pruning, distillation and distribution, with reports that say which
//! differences are significant.
//!
//! # A first program
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::conv::{Conv2d, Conv2dConfig};
//! use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
//! use burn::tensor::activation::relu;
//! use burn::tensor::{Int, Tensor};
//! use compress::Report;
//! use compress::distill::{SoftTargets, distill};
//! use compress::prune::{Importance, Structured};
//! use compress::quantize::PostTraining;
//! use compress::report::TestSet;
//! use model_utils::device::{DeviceSpec, seed};
//! use model_utils::graph::Graph;
//! use model_utils::ops;
//! use model_utils::train::{InMemory, Silent};
//!
//! // A model of one's own, trained before.
//! #[derive(Module, Debug)]
//! struct Net {
//!     convs: [Conv2d; 2],
//!     norms: [BatchNorm; 2],
//!     head: Linear,
//! }
//!
//! impl Net {
//!     fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
//!         for (conv, norm) in self.convs.iter().zip(&self.norms) {
//!             x = relu(ops::batch_norm(norm, ops::conv2d(conv, x)));
//!         }
//!         ops::linear(&self.head, ops::global_avg_pool(x))
//!     }
//! }
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! seed(&device, 42);
//! let net = Net {
//!     convs: [(1, 16), (16, 32)].map(|(from, to)| Conv2dConfig::new([from, to], [3, 3]).init(&device)),
//!     norms: [16, 32].map(|channels| BatchNormConfig::new(channels).init(&device)),
//!     head: LinearConfig::new(32, 4).init(&device),
//! };
//! # let images = Tensor::<4>::ones([8, 1, 12, 12], &device)
//! #     * Tensor::<1>::from_floats([-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0], &device)
//! #         .reshape([8, 1, 1, 1]);
//!
//! // Any module becomes a graph; a graph is changed, trained on, measured.
//! let graph = Graph::trace(&net, [1, 1, 12, 12], Net::forward)?;
//! let small = Structured::half().ranked_by(Importance::BatchNormScale).prune(&graph)?.graph;
//! assert!(small.summary(1)?.multiply_adds <= graph.summary(1)?.multiply_adds / 2);
//!
//! // The small one learns from the large one's answers.
//! let labels = vec![0, 1, 2, 3, 0, 1, 2, 3];
//! let batches = InMemory(vec![(images.clone(), Tensor::<1, Int>::from_ints([0, 1, 2, 3, 0, 1, 2, 3], &device))]);
//! let small = distill(&graph, &small, &batches, SoftTargets::new(4.0), &device, &mut Silent)?;
//!
//! let int8 = PostTraining::per_channel().calibrate(&small, [images.clone()])?;
//! let test = TestSet::new([(images, labels)])?;
//! println!("{}", Report::new(&test).row("float", &graph)?.row("half", &small)?.row("int8", &int8)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`quantize`] | fewer bits: after training, trained with (LSQ, Esser et al. 2020, <https://arxiv.org/abs/1902.08153>), powers of two (LBW, Yin et al. 2016, <https://arxiv.org/abs/1612.06052>), equalisation and bias correction (Nagel et al. 2019, <https://arxiv.org/abs/1906.04721>) |
//! | [`prune`] | fewer weights: whole channels by dependency groups (Fang et al. 2023, <https://arxiv.org/abs/2301.12900>), single ones by magnitude and movement, lottery tickets |
//! | [`share`] | few values and Huffman's code in one file: Deep Compression (Han et al. 2016, <https://arxiv.org/abs/1510.00149>) |
//! | [`distill`] | a small model learns from a large one: soft targets, hints, attention, relations |
//! | [`distribute`] | training divided among workers and devices, exact where it can be |
//! | [`report`] | one table of variants that says which differences are significant |
//!
//! # Design decisions
//!
//! - Everything works on [`model_utils::graph`]: no model knows of this crate.
//! - A graph goes in, a graph comes out. What was given stays as it was.
//! - What an analysis does not know is named and left alone, never guessed.
//! - Quantized graphs compute in floating point exactly what their integers stand for; their
//!   scales stay on the nodes, for an engine that computes with the integers.
//!
//! # Features
//!
//! `flex` (default), `ndarray`, `wgpu`, `cuda`: the devices.

pub mod distill;
pub mod distribute;
pub mod error;
pub mod prune;
pub mod quantize;
pub mod report;
pub mod share;

pub use error::{Error, Result};
pub use report::Report;
