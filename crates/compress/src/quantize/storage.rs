//! Quantized graphs in files.

use std::path::Path;

use burn::tensor::{DType, FloatDType, TensorData};
use model_utils::graph::{Graph, NodeId, Role};

use super::fake_quantize::check_real;
use super::weights::{bits, integers, stored};
use crate::error::{Error, Result};
use crate::graph::set_values;

/// Saves a quantized graph with its weights as integers, packed where they have fewer than eight
/// bits: to be read by [`load`], or by an engine that computes with integers, through
/// [`Graph::load`].
///
/// # Errors
///
/// [`Error::Node`] for a weight that is not what its quantization can hold, as after training on;
/// errors of writing, after which what was there before is untouched.
pub fn save(graph: &Graph, path: impl AsRef<Path>) -> Result<()> {
    Ok(in_integers(graph)?.save(path)?)
}

/// Reads what [`save`] wrote. The graph computes exactly what the saved one did.
///
/// # Errors
///
/// As those of [`Graph::load`].
pub fn load(path: impl AsRef<Path>) -> Result<Graph> {
    let graph = Graph::load(path)?;
    let narrow: Vec<NodeId> = narrow_floats(&graph);
    let mut graph = graph.dequantize()?;
    let wide = |id| Some((id, graph.weight(id)?.data.clone().convert::<f32>()));
    let values: Vec<_> = narrow.into_iter().filter_map(wide).collect();
    set_values(&mut graph, values)?;
    Ok(graph)
}

/// Parameters in floating point of other than 32 bits.
fn narrow_floats(graph: &Graph) -> Vec<NodeId> {
    let is_narrow = |id: &NodeId| {
        let dtype = graph.weight(*id).map(|weight| weight.data.dtype());
        dtype.is_some_and(|dtype| dtype.is_float() && dtype != DType::F32)
    };
    graph.nodes().map(|(id, _)| id).filter(is_narrow).collect()
}

/// The graph with the integers of its quantized weights in their place.
fn in_integers(graph: &Graph) -> Result<Graph> {
    let mut found: Vec<(NodeId, TensorData)> = Vec::new();
    for (id, node) in graph.nodes() {
        let (Some(quantization), Some(weight)) = (&node.quantization, graph.weight(id)) else {
            continue;
        };
        if !weight.data.dtype().is_float() {
            continue;
        }
        let data = stored(integers(&weight.data, quantization), weight.data.shape(), quantization);
        let differs = quantization
            .real(&data)
            .iter::<f32>()
            .zip(weight.data.iter::<f32>())
            .find(|(stored, weight)| stored - weight != 0.0);
        if let Some((stored, weight)) = differs {
            let reason = format!(
                "a weight of {weight} would be stored as {stored}: it was changed after it was quantized"
            );
            return Err(Error::node(&node.name, reason));
        }
        found.push((id, data));
    }
    let mut graph = graph.clone();
    set_values(&mut graph, found)?;
    Ok(graph)
}

/// Bytes that the parameters of a graph take in a file: quantized weights in the bits that tell their
/// integers apart, with 4 bytes a scale and, where one is not 0, a byte a zero point; all others
/// as they are. Names, shapes and the nodes themselves are not counted.
///
/// # Errors
///
/// As those of [`save`].
pub fn stored_bytes(graph: &Graph) -> Result<u64> {
    check_real(graph)?;
    let mut bytes = 0;
    for (id, weight) in graph.parameters() {
        bytes += match &graph.node(id).quantization {
            Some(quantization) => {
                let all = weight.data.num_elements() as u64;
                let each = u64::from(bits(quantization));
                let points = quantization.zero_point.iter().any(|&zero| zero != 0);
                let scales = quantization.scale.len() as u64;
                (all * each).div_ceil(8) + scales * if points { 5 } else { 4 }
            }
            None => weight.data.as_bytes().len() as u64,
        };
    }
    Ok(bytes)
}

/// Casts all parameters of a graph but integers: what a file of the narrow type would hold. The
/// values are those of the narrow type, and the graph's bytes are its bytes; [`widen`] makes it
/// computable again.
///
/// # Errors
///
/// [`Error::Node`] for a finite number that becomes infinite.
pub fn cast(graph: &Graph, to: FloatDType) -> Result<Graph> {
    let dtype = match to {
        FloatDType::Flex32 => DType::F32,
        to => to.into(),
    };
    let mut found: Vec<(NodeId, TensorData)> = Vec::new();
    for (id, weight) in graph.parameters() {
        let is_float = weight.data.dtype().is_float() && weight.role != Role::Constant;
        if !is_float || graph.node(id).quantization.is_some() {
            continue;
        }
        let data = weight.data.clone();
        let cast = data.convert_dtype(dtype);
        let overflows = weight
            .data
            .iter::<f64>()
            .zip(cast.iter::<f64>())
            .find(|(before, after)| before.is_finite() && !after.is_finite());
        if let Some((before, _)) = overflows {
            let reason = format!("{before} is too large for {to:?}");
            return Err(Error::node(&graph.node(id).name, reason));
        }
        found.push((id, cast));
    }
    let mut graph = graph.clone();
    set_values(&mut graph, found)?;
    Ok(graph)
}

/// The same values in single precision.
///
/// # Errors
///
/// As those of [`cast`].
pub fn widen(graph: &Graph) -> Result<Graph> {
    cast(graph, FloatDType::F32)
}
