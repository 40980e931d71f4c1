//! Fake quantization as nodes of a graph.

use burn::tensor::TensorData;
use model_utils::graph::{Edit, ElementKind, Graph, NodeId, Op, Quantization, Role, Unary};
use model_utils::ops::FakeQuantize;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What training does to the scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepSize {
    /// Nothing: they stay as calibrated.
    Fixed,
    /// They are learned as they are (LSQ, Esser et al. 2020, <https://arxiv.org/abs/1902.08153>).
    /// Their gradients are scaled for plain gradient descent; an optimiser that takes steps of the
    /// learning rate's length whatever the gradient, such as Adam, needs a learning rate far below
    /// the smallest scale.
    Learned,
    /// Their logarithms are learned (Jain et al. 2020, <https://arxiv.org/abs/1903.08066>): a step
    /// changes a scale by a share of itself, so any optimiser will do, and none falls below 0.
    LearnedLogarithms,
}

/// Puts a fake quantization behind a node.
pub(crate) fn insert(
    edit: &mut Edit,
    id: NodeId,
    to: &Quantization,
    step_size: StepSize,
) -> NodeId {
    let name = edit.node(id).name.clone();
    let shape = &edit.node(id).shape;
    // The batch counts as one.
    let elements: usize = shape.iter().map(|dim| dim.at(1)).product();
    let each = elements / to.scale.len().max(1);
    let how = FakeQuantize {
        axis: to.axis,
        least: to.least,
        largest: to.largest,
        gradient_scale: ((each.max(1) as f64) * to.largest as f64).sqrt().recip(),
    };
    let places = to.scale.len();
    let base = match edit.weight(id) {
        Some(_) => name.clone(),
        None => format!("{name}.output"),
    };
    let scales = |values: Vec<f32>| TensorData::new(values, [places]);
    let scale = match step_size {
        StepSize::Fixed => {
            edit.add_weight(&format!("{base}_scale"), scales(to.scale.clone()), Role::Constant)
        }
        StepSize::Learned => {
            edit.add_weight(&format!("{base}_scale"), scales(to.scale.clone()), Role::Learnable)
        }
        StepSize::LearnedLogarithms => {
            let logarithms = to.scale.iter().map(|scale| scale.ln()).collect();
            let path = format!("{base}_log_scale");
            let logarithm = edit.add_weight(&path, scales(logarithms), Role::Learnable);
            edit.add(&format!("{base}_scale"), Op::Unary(Unary::Exp), &[logarithm])
        }
    };
    let zero_point = to.zero_point.iter().map(|&zero| zero as f32).collect();
    let zero_point =
        edit.add_weight(&format!("{base}_zero_point"), scales(zero_point), Role::Constant);
    let node = edit.insert_after(id, &format!("{name}.quantized"), Op::FakeQuantize(how));
    edit.set_inputs(node, &[id, scale, zero_point]);
    if step_size == StepSize::Fixed {
        edit.set_quantization(node, Some(to.clone()));
    }
    node
}

/// The quantization that a fake quantization computes, from the scale and zero point it takes.
pub(crate) fn quantization(graph: &Graph, id: NodeId) -> Result<Quantization> {
    let node = graph.node(id);
    let Op::FakeQuantize(how) = node.op else {
        return Err(Error::node(&node.name, "it is no fake quantization"));
    };
    let values = |input: NodeId| -> Result<Vec<f32>> {
        let at = graph.node(input);
        if let Some(weight) = graph.weight(input) {
            return Ok(weight.data.iter::<f32>().collect());
        }
        match (&at.op, at.inputs.first().and_then(|&input| graph.weight(input))) {
            (Op::Unary(Unary::Exp), Some(weight)) => {
                Ok(weight.data.iter::<f32>().map(f32::exp).collect())
            }
            _ => Err(Error::node(
                &at.name,
                "the scale is computed, expected a parameter or its exponential",
            )),
        }
    };
    let scale: Vec<f32> = values(node.inputs[1])?
        .into_iter()
        // As the operation does.
        .map(|scale| if scale.is_nan() { scale } else { scale.max(f32::EPSILON) })
        .collect();
    if let Some(scale) = scale.iter().find(|scale| !scale.is_finite()) {
        return Err(Error::node(&node.name, format!("a scale of {scale}, expected a finite one")));
    }
    let zero_point = values(node.inputs[2])?
        .into_iter()
        .map(|zero| (zero.round_ties_even() as i64).clamp(how.least, how.largest))
        .collect();
    let FakeQuantize { axis, least, largest, .. } = how;
    Ok(Quantization { scale, zero_point, axis, least, largest })
}

/// Refuses names of layers that the graph does not have.
pub(crate) fn check_names(graph: &Graph, names: &[String]) -> Result<()> {
    match names.iter().find(|name| graph.find(name).is_none()) {
        Some(name) => {
            Err(Error::node(name, "it is to be left out, but the graph has no such node"))
        }
        None => Ok(()),
    }
}

/// Whether a graph holds weights as integers still.
pub(crate) fn check_real(graph: &Graph) -> Result<()> {
    for (id, node) in graph.nodes() {
        let is_stored = node.kind == ElementKind::Float
            && graph.weight(id).is_some_and(|weight| !weight.data.dtype().is_float());
        if is_stored {
            return Err(Error::node(
                &node.name,
                "it is stored in integers: dequantize the graph first",
            ));
        }
    }
    Ok(())
}
