//! Any module as a graph: what it computes as data, which can be counted, changed, saved and computed
//! again.
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::conv::{Conv2d, Conv2dConfig};
//! use burn::nn::{BatchNorm, BatchNormConfig};
//! use burn::tensor::{Device, Tensor, activation::relu};
//! use model_utils::device::DeviceSpec;
//! use model_utils::graph::Graph;
//! use model_utils::ops;
//!
//! #[derive(Module, Debug)]
//! struct Net {
//!     conv: Conv2d,
//!     norm: BatchNorm,
//! }
//!
//! impl Net {
//!     fn forward(&self, x: Tensor<4>) -> Tensor<2> {
//!         let x = ops::batch_norm(&self.norm, ops::conv2d(&self.conv, x));
//!         ops::global_avg_pool(relu(x))
//!     }
//! }
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! let net = Net {
//!     conv: Conv2dConfig::new([3, 8], [3, 3]).init(&device),
//!     norm: BatchNormConfig::new(8).init(&device),
//! };
//! let mut graph = Graph::trace(&net, [1, 3, 16, 16], Net::forward)?;
//! println!("{}", graph.summary(1)?); // every node, parameters, multiply–adds, bytes
//! assert_eq!(graph.summary(1)?.multiply_adds, 14 * 14 * 8 * 3 * 3 * 3);
//!
//! // Changed, and a module again: on any device, with gradients, for any batch.
//! assert_eq!(graph.fold_batch_norm()?, 1);
//! let folded = graph.init(&device)?;
//! let features: Tensor<2> = folded.forward(Tensor::<4>::ones([5, 3, 16, 16], &device))?;
//! assert_eq!(features.dims(), [5, 8]);
//! # Ok::<(), model_utils::Error>(())
//! ```
//!
//! # Map
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Graph`] | nodes in order, inputs, outputs, the values of parameters and constants |
//! | [`Graph::trace`] | from a module, by Burn's capture device |
//! | [`Op`] | an operation with its attributes; states which inputs it takes |
//! | [`Dim`] | a length: fixed, or a multiple of the batch |
//! | [`GraphModule`] | the graph as a module: trains, loads and saves as the traced one |
//! | [`Graph::rewrite`] | changes that hold together, or an error that names what does not fit |
//! | [`Graph::fold_batch_norm`] and others | passes that keep what is computed |
//! | [`Summary`] | what each node costs |
//! | [`Quantization`] | what integers stand for; [`Op::FakeQuantize`] computes as they would |
//! | `tflite` | import of TensorFlow Lite files (feature `pytorch`) |
//!
//! # Decisions
//!
//! - Parameters and constants are nodes like any other, so that an inserted operation may stand
//!   before a weight as well as before an activation.
//! - Node identities outlive rewriting; names are unique and are those of the module.
//! - What cannot be recorded is an error with its place, never left out: see
//!   [`Graph::trace`].

mod canonical;
mod dim;
#[cfg(feature = "picture")]
mod draw;
mod module;
mod op;
mod pack;
mod passes;
mod record;
mod run;
mod saved;
mod shape;
mod structure;
mod summary;
mod tensors;
#[cfg(feature = "pytorch")]
pub mod tflite;
mod trace;
mod value;

pub use dim::Dim;
pub use module::GraphModule;
pub use op::{Binary, ElementKind, Interpolation, Op, Pool, Range, Reduction, Relation, Unary};
pub use structure::{Edit, Graph, Node, NodeId, Quantization, Role, Weight};
pub use summary::{Summary, SummaryRow};
pub use tensors::{AnyTensor, Example, Tensors, Whole};
