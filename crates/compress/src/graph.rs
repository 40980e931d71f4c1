//! What several rooms ask of a graph.

use burn::tensor::TensorData;
use model_utils::graph::{Graph, NodeId, Op};

use crate::error::{Error, Result};

/// Lets batch normalisations keep their statistics, whether the module trains or not.
pub(crate) fn freeze_batch_norms(graph: &mut Graph) -> Result<()> {
    graph.rewrite(|edit| {
        let ops: Vec<_> = edit.nodes().map(|(id, node)| (id, node.op.clone())).collect();
        for (id, mut op) in ops {
            if let Op::BatchNorm { training, .. } = &mut op {
                *training = false;
                edit.set_op(id, op);
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// Gives parameters other values.
pub(crate) fn set_values(
    graph: &mut Graph,
    values: impl IntoIterator<Item = (NodeId, TensorData)>,
) -> Result<()> {
    graph.rewrite(|edit| {
        values.into_iter().for_each(|(id, data)| edit.set_data(id, data));
        Ok(())
    })?;
    Ok(())
}

/// Whether a parameter's name is that of a layer, or of something in it.
pub(crate) fn is_within(name: &str, layer: &str) -> bool {
    name.strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Refuses numbers of a node that are not finite.
pub(crate) fn check_finite(
    node: &str,
    numbers: impl IntoIterator<Item = impl Into<f64>>,
) -> Result<()> {
    let mut numbers = numbers.into_iter().map(Into::into).enumerate();
    match numbers.find(|(_, number): &(usize, f64)| !number.is_finite()) {
        Some((at, number)) => {
            Err(Error::node(node, format!("element {at} is {number}, expected finite numbers")))
        }
        None => Ok(()),
    }
}
