use burn::tensor::TensorData;
use model_utils::graph::{Graph, NodeId, Op, Role, Tensors};
use model_utils::train::Stoppable;

use super::calibration::{Calibration, each};
use super::plan::{self, WeightPoint};
use super::weights::Places;
use crate::error::Result;

/// [`correct_bias`] of the layers of a plan, for graphs with the same nodes.
pub(crate) fn correct(
    float: &Graph,
    quantized: &Graph,
    points: &[WeightPoint],
    calibration: &Calibration,
) -> Result<Graph> {
    let layers: Vec<NodeId> = points
        .iter()
        .flat_map(|point| point.layers.iter().copied())
        .filter(|&layer| has_bias(&quantized.node(layer).op))
        .collect();
    let wanted = means(float, calibration, &layers)?;
    let mut graph = quantized.clone();
    for (&layer, wanted) in layers.iter().zip(&wanted) {
        let found = means(&graph, calibration, &[layer])?.remove(0);
        let shift: Vec<f64> =
            wanted.iter().zip(&found).map(|(wanted, found)| wanted - found).collect();
        shift_bias(&mut graph, layer, &shift)?;
    }
    Ok(graph)
}

/// Moves the bias of each layer of a quantized graph so that each channel of its output has the
/// mean that it had in floating point (Nagel et al. 2019, section 4.2,
/// <https://arxiv.org/abs/1906.04721>), by the batches. Layer after layer: each is corrected
/// behind those that are corrected already. A layer without bias gets one.
///
/// `float` is the graph that was quantized, with its batch normalisations folded: the two have the
/// same layers. [`PostTraining`](super::PostTraining::with_bias_correction) does it where it is asked
/// to. `stop.around(&float)` ends it between two batches.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for no batches; [`Error::Node`](crate::Error::Node) for
/// a tensor that is not finite and for graphs that are not of one origin.
pub fn correct_bias<'a, B: Tensors>(
    float: impl Into<Stoppable<&'a Graph>>,
    quantized: &Graph,
    batches: impl IntoIterator<Item = B>,
) -> Result<Graph> {
    let (float, stop) = float.into().into_parts();
    let calibration = Calibration::new(batches, Some(&stop));
    calibration.check()?;
    let points: Vec<WeightPoint> = plan::weights(quantized, &[])
        .into_iter()
        .filter(|point| quantized.node(point.weight).quantization.is_some())
        .collect();
    for &layer in points.iter().flat_map(|point| &point.layers) {
        let node = quantized.node(layer);
        let is_same = float
            .get(layer)
            .is_some_and(|of_float| (&of_float.name, &of_float.op) == (&node.name, &node.op));
        if !is_same {
            let reason = "the graph in floating point has no such layer";
            return Err(crate::Error::node(&node.name, reason));
        }
    }
    correct(float, quantized, &points, &calibration)
}

const fn has_bias(op: &Op) -> bool {
    matches!(op, Op::Conv1d { .. } | Op::Conv2d { .. } | Op::ConvTranspose2d { .. } | Op::Linear)
}

/// The mean of each channel of some layers' outputs.
fn means(graph: &Graph, calibration: &Calibration, layers: &[NodeId]) -> Result<Vec<Vec<f64>>> {
    let module = calibration.module(graph)?;
    let mut sums: Vec<(Vec<f64>, usize)> = vec![(Vec::new(), 0); layers.len()];
    each(graph, &module, calibration, layers, |id, numbers, shape| {
        let axis = if graph.node(id).op == Op::Linear { shape.len() - 1 } else { 1 };
        let places = Places::new(shape, Some(axis));
        let at = layers.iter().position(|&layer| layer == id).unwrap_or_default();
        let (sums, count) = &mut sums[at];
        sums.resize(places.count, 0.0);
        for (index, &number) in numbers.iter().enumerate() {
            sums[places.of(index)] += f64::from(number);
        }
        *count += numbers.len() / places.count.max(1);
    })?;
    let mean = |(sums, count): (Vec<f64>, usize)| {
        sums.into_iter().map(|sum| sum / count.max(1) as f64).collect()
    };
    Ok(sums.into_iter().map(mean).collect())
}

fn shift_bias(graph: &mut Graph, layer: NodeId, shift: &[f64]) -> Result<()> {
    let node = graph.node(layer);
    let mut inputs = node.inputs.clone();
    let bias = inputs.get(2).copied();
    // A bias that other layers share cannot be moved for one of them.
    if bias.is_some_and(|bias| graph.weight(bias).is_none() || graph.users(bias) != [layer]) {
        return Ok(());
    }
    let old: Vec<f64> = match bias.and_then(|bias| graph.weight(bias)) {
        Some(weight) => weight.data.iter::<f64>().collect(),
        None => vec![0.0; shift.len()],
    };
    let moved: Vec<f32> = old.iter().zip(shift).map(|(old, by)| (old + by) as f32).collect();
    let data = TensorData::new(moved, [shift.len()]);
    let path = graph.node(inputs[1]).name.clone();
    graph.rewrite(|edit| {
        if let Some(bias) = bias {
            edit.set_data(bias, data);
        } else {
            let path = path.rsplit_once('.').map_or("", |(path, _)| path);
            let name = format!("{path}.bias");
            inputs.push(edit.add_weight(name.trim_start_matches('.'), data, Role::Learnable));
            edit.set_inputs(layer, &inputs);
        }
        Ok(())
    })?;
    Ok(())
}
