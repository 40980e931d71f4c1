//! Fewer bits: post-training quantization, quantization-aware training, powers of two.
//!
//! Everything takes a [`Graph`](model_utils::graph::Graph) and gives one back. A quantized graph
//! computes in floating point exactly the numbers that its integers stand for, so that its accuracy
//! can be judged, and carries the [`Quantization`](model_utils::graph::Quantization) of its weights
//! and of the tensors between layers, so that an engine can compute with the integers themselves.
//!
//! # Map
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Scheme`] | which integers: bits, symmetric or affine, one scale or one a channel |
//! | [`PostTraining`] | from a trained graph and some inputs, no training |
//! | [`QuantizationAware`] | trained with the rounding in place |
//! | [`CalibrationMethod`] | how bounds of activations are chosen: [`Bounds`], [`Histogram`] |
//! | [`WeightRange`] | how bounds of weights are chosen |
//! | [`PowerOfTwo`] | weights that are 0 or a power of two, 2 to 6 bits (LBW) |
//! | [`equalise()`], [`correct_bias`] | what makes rounding cost less (Nagel et al. 2019) |
//! | [`Sensitivity`] | which layer suffers most |
//! | [`Coverage`] | what is quantized and what stayed in floating point |
//! | [`save`], [`load`], [`stored_bytes`] | in files, integers as integers |
//! | [`cast`] | half precision as a format of weights |
//!
//! # Decisions
//!
//! - Batch normalisations are folded first. One that follows no layer (`DenseNet`) stays and keeps
//!   its statistics.
//! - Tensors are rounded where an integer engine would hold integers: the inputs of every operation
//!   that computes with them. A function of each number (ReLU and its like) belongs to the layer
//!   before it, so that the tensor between them is not rounded. What a graph gives back is not.
//! - Operations that are not known to compute with integers take and give floating-point numbers;
//!   [`Coverage`] names them.
//! - Weights never use the least integer: −127 to 127 for eight bits.

mod aware;
mod bias;
mod bounds;
mod calibration;
mod calibration_method;
mod coverage;
mod equalise;
mod fake_quantize;
mod histogram;
mod plan;
mod post_training;
mod power_of_two;
mod scheme;
mod sensitivity;
mod storage;
mod weights;

pub use aware::QuantizationAware;
pub use bias::correct_bias;
pub use bounds::Bounds;
pub use calibration_method::CalibrationMethod;
pub use coverage::Coverage;
pub use equalise::equalise;
pub use fake_quantize::StepSize;
pub use histogram::Histogram;
pub use post_training::PostTraining;
pub use power_of_two::{PowerOfTwo, Projection};
pub use scheme::Scheme;
pub use sensitivity::{LayerSensitivity, Sensitivity};
pub use storage::{cast, load, save, stored_bytes, widen};
pub use weights::WeightRange;
