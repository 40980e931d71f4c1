//! Rewriting that keeps what a graph computes.

use burn::tensor::TensorData;

use super::canonical::{Change, identity};
use super::{ElementKind, Graph, NodeId, Op, Role};
use crate::error::Result;

impl Graph {
    /// Folds each batch normalisation into the convolution, transposed convolution or linear
    /// layer before it, and returns how many were folded:
    ///
    /// ```math
    /// W' = W\,\frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}}, \qquad
    /// b' = (b - \mu)\,\frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}} + \beta
    /// ```
    ///
    /// with the running statistics μ and σ². The graph computes the same in inference; it no
    /// longer normalises by the batch in training. Left alone are normalisations whose layer has
    /// other users, or that follow anything else (the first of a DenseNet layer).
    ///
    /// # Errors
    ///
    /// None for a graph that is sound; see [`rewrite`](Self::rewrite).
    pub fn fold_batch_norm(&mut self) -> Result<usize> {
        let foldable: Vec<(NodeId, Folded)> =
            self.order.iter().filter_map(|&id| Some((id, self.folded(id)?))).collect();
        let count = foldable.len();
        self.rewrite(|edit| {
            for (norm, folded) in foldable {
                let layer = folded.layer;
                let mut inputs = edit.node(layer).inputs.clone();
                edit.set_data(inputs[1], folded.weight);
                if let Some(&bias) = inputs.get(2) {
                    edit.set_data(bias, folded.bias);
                } else {
                    let weight = &edit.node(inputs[1]).name;
                    let path = weight.rsplit_once('.').map_or("", |(path, _)| path);
                    let name = format!("{path}.bias");
                    let name = name.trim_start_matches('.');
                    inputs.push(edit.add_weight(name, folded.bias, Role::Learnable));
                    edit.set_inputs(layer, &inputs);
                }
                edit.replace_uses(norm, layer);
            }
            edit.remove_dead();
            Ok(())
        })?;
        Ok(count)
    }

    /// The layer before a normalisation, and its weights with the normalisation in them.
    fn folded(&self, norm: NodeId) -> Option<Folded> {
        let node = self.node(norm);
        let Op::BatchNorm { epsilon, .. } = node.op else { return None };
        let layer = node.inputs[0];
        let of_layer = self.node(layer);
        let is_alone = self.users(layer) == [norm] && !self.outputs.contains(&layer);
        // Which axis of the weight runs over the output's channels, within a group.
        let (axis, groups) = match of_layer.op {
            Op::Conv1d { .. } | Op::Conv2d { .. } => (0, 1),
            Op::ConvTranspose2d { groups, .. } => (1, groups),
            Op::Linear if of_layer.shape.len() == 2 => (1, 1),
            _ => return None,
        };
        let own = of_layer.inputs[1..].iter().all(|&input| {
            self.weight(input).is_some_and(|weight| weight.role != Role::Constant)
                && self.users(input) == [layer]
        });
        if !is_alone || !own {
            return None;
        }
        let values = |id: NodeId| -> Option<Vec<f64>> {
            Some(self.weight(id)?.data.iter::<f64>().collect())
        };
        let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|at| values(node.inputs[at]));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&variance)
            .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
            .collect();

        let data = &self.weight(of_layer.inputs[1])?.data;
        let shape = data.shape().to_vec();
        let inner: usize = shape[axis + 1..].iter().product();
        let rows: usize = shape[..axis].iter().product();
        let weight: Vec<f32> = data
            .iter::<f64>()
            .enumerate()
            .map(|(index, value)| {
                let within = index / inner % shape[axis];
                // Rows of a transposed convolution's weight are grouped.
                let group = index / inner / shape[axis] * groups / rows.max(1);
                (value * scale[group * shape[axis] + within]) as f32
            })
            .collect();
        let bias: Vec<f64> = match of_layer.inputs.get(2) {
            Some(&bias) => values(bias)?,
            None => vec![0.0; scale.len()],
        };
        let bias: Vec<f32> = (0..scale.len())
            .map(|channel| {
                ((bias[channel] - mean[channel]) * scale[channel] + beta[channel]) as f32
            })
            .collect();
        let channels = bias.len();
        Some(Folded {
            layer,
            weight: TensorData::new(weight, shape),
            bias: TensorData::new(bias, [channels]),
        })
    }

    /// Removes nodes that change nothing (a reshape to the same shape, a sum with 0), and returns
    /// how many there were.
    ///
    /// # Errors
    ///
    /// None for a graph that is sound; see [`rewrite`](Self::rewrite).
    pub fn remove_identities(&mut self) -> Result<usize> {
        let before = self.order.len();
        self.rewrite(|edit| {
            let ids = edit.order.clone();
            for id in ids {
                // What only tells how a tensor is stored stays.
                let quantization = &edit.node(id).quantization;
                if let Some(Change::Drop(input)) = identity(edit, id)
                    && (quantization.is_none() || *quantization == edit.node(input).quantization)
                {
                    edit.replace_uses(id, input);
                    edit.remove(id)?;
                }
            }
            Ok(())
        })?;
        Ok(before - self.order.len())
    }

    /// Removes nodes that no output depends on, and returns how many there were.
    ///
    /// # Errors
    ///
    /// None for a graph that is sound; see [`rewrite`](Self::rewrite).
    pub fn remove_dead(&mut self) -> Result<usize> {
        let before = self.order.len();
        self.rewrite(|edit| {
            edit.remove_dead();
            Ok(())
        })?;
        Ok(before - self.order.len())
    }

    /// Turns parameters and constants that are stored as integers into the real numbers that
    /// their quantization says they stand for. The quantization stays on the nodes.
    ///
    /// # Errors
    ///
    /// None for a graph that is sound; see [`rewrite`](Self::rewrite).
    pub fn dequantize(&self) -> Result<Self> {
        let mut graph = self.clone();
        let is_stored = |id: &NodeId| {
            self.node(*id).quantization.is_some()
                && ElementKind::from(self.weights[id].data.dtype()) == ElementKind::Int
        };
        let stored: Vec<NodeId> = self.weights.keys().copied().filter(is_stored).collect();
        graph.rewrite(|edit| {
            for id in stored {
                if let (Some(weight), Some(quantization)) =
                    (edit.weight(id), &edit.node(id).quantization)
                {
                    let data = quantization.real(&weight.data);
                    edit.set_data(id, data);
                }
            }
            Ok(())
        })?;
        Ok(graph)
    }
}

impl super::Quantization {
    /// The real numbers that integers stand for.
    pub fn real(&self, data: &TensorData) -> TensorData {
        let shape = data.shape().to_vec();
        let inner = |axis: usize| shape[axis + 1..].iter().product::<usize>().max(1);
        let values: Vec<f32> = data
            .iter::<i64>()
            .enumerate()
            .map(|(index, value)| {
                let at = self.axis.map_or(0, |axis| index / inner(axis) % shape[axis]);
                (f64::from(self.scale[at]) * (value as f64 - self.zero_point[at] as f64)) as f32
            })
            .collect();
        TensorData::new(values, shape)
    }
}

/// The new weights of a layer.
struct Folded {
    layer: NodeId,
    weight: TensorData,
    bias: TensorData,
}
