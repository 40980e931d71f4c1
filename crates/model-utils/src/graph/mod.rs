//! A model as a graph.
mod canonical;
mod dim;
mod file;
mod module;
mod op;
mod passes;
mod record;
mod run;
mod shape;
mod structure;
mod summary;
mod tensors;
#[cfg(feature = "import")]
pub mod tflite;
mod trace;

pub use dim::Dim;
pub use module::GraphModule;
pub use op::{Binary, Comparison, Interpolation, Kind, Op, Pool, Range, Reduction, Unary};
pub use structure::{Edit, Graph, Node, NodeId, Quantization, Role, Weight};
pub use summary::{Summary, SummaryRow};
pub use tensors::{AnyTensor, Example, Tensors, Whole};
