//! TensorFlow Lite files as graphs.
//!
//! Images are `[batch, height, width, channels]` there and `[batch, channels, height, width]`
//! here: weights and axes are turned, and permutations stand only where the order of elements
//! matters (a flattening of more than one place). The first axis of the inputs becomes the batch.
//! Integers keep their [`Quantization`](super::Quantization); [`Graph::dequantize`] turns them into
//! the real numbers that they stand for, after which the graph computes as the file says, but for
//! the rounding and the saturation of integers.
//!
//! ```no_run
//! use burn::tensor::Tensor;
//! use model_utils::graph::tflite;
//! # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
//!
//! let graph = tflite::import("mobilenet_v2_1.0_224_quant.tflite")?;
//! println!("{}", graph.summary(1)?);
//! let model = graph.dequantize()?.init(&device)?;
//! let images = Tensor::<4>::zeros([2, 3, 224, 224], &device); // −1 to 1, as the model was trained
//! let probabilities: Tensor<2> = model.forward(images)?;
//! # Ok::<(), model_utils::Error>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | what the file says of its tensors and operators |
//! | [`reader`] | flatbuffers, each access checked against the bytes that are there |

mod convert;
mod importer;
pub mod model;
mod operator;
pub mod reader;
mod values;

use std::path::Path;

use self::importer::Importer;
use self::model::Model;
use super::Graph;
use crate::error::{Error, Result};

/// Reads the first graph of a `.tflite` file.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Format`] for a truncated, foreign or inconsistent file, with the place;
/// [`Error::Unsupported`] for an operator that is not known, by name and number.
pub fn import(path: impl AsRef<Path>) -> Result<Graph> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    from_bytes(&bytes, path)
}

/// Reads the content of a `.tflite` file; `origin` is what errors call it.
///
/// # Errors
///
/// As [`import`].
pub fn from_bytes(bytes: &[u8], origin: impl AsRef<Path>) -> Result<Graph> {
    let origin = origin.as_ref();
    let bad = |reason: String| Error::format(origin, "TensorFlow Lite", reason);
    let model = Model::parse(bytes).map_err(|error| bad(error.to_string()))?;
    let subgraph = &model.subgraphs[0];
    let mut importer = Importer::new(bytes, subgraph);
    importer.inputs().map_err(bad)?;
    for (place, operator) in subgraph.operators.iter().enumerate() {
        importer.operator(operator).map_err(|reason| {
            let what = format!("operator {place} ({}) of {}", operator.name(), origin.display());
            match reason {
                Refused::Unsupported(reason) => Error::Unsupported { what, reason },
                Refused::Wrong(reason) => bad(format!("{what}: {reason}")),
            }
        })?;
    }
    for &output in &subgraph.outputs {
        let id = importer.tensor(output).map_err(|refused| bad(refused.text()))?;
        importer.graph.outputs.push(id);
    }
    let mut graph = importer.graph;
    graph.settle().map_err(|error| bad(error.to_string()))?;
    graph.remove_dead()?;
    Ok(graph)
}

/// Why an operator is not imported.
enum Refused {
    /// It is not known here.
    Unsupported(String),
    /// The file contradicts itself.
    Wrong(String),
}

impl Refused {
    fn text(self) -> String {
        match self {
            Self::Unsupported(reason) | Self::Wrong(reason) => reason,
        }
    }
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

type Imported<T = ()> = std::result::Result<T, Refused>;

fn unsupported<T>(reason: impl Into<String>) -> Imported<T> {
    Err(Refused::Unsupported(reason.into()))
}
