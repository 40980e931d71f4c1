//! Weights as places of a codebook, which is trained.

use burn::tensor::TensorData;
use model_utils::config;
use model_utils::graph::{Binary, Dim, Graph, NodeId, Op, Role};
use model_utils::train::{Asks as _, Stoppable};

use super::kmeans::{codebook, nearest};
use crate::error::Result;
use crate::graph::{check_finite, is_within};
use crate::prune::{Masks, layer_weights};

/// What the names of the parts end in.
const CODEBOOK: &str = "codebook";

/// Weight sharing: the weights of each convolution and linear layer that are not 0 take the values
/// of a codebook of 2ᵇ, found by [k-means](super::codebook).
///
/// In the shared graph a weight is `codebook[codes] ⊙ mask`: its codebook is a parameter, so that
/// training moves the shared values, each by the sum of the gradients of its weights,
///
/// ```math
/// \frac{\partial L}{\partial C_k} = \sum_{i,j} \frac{\partial L}{\partial W_{ij}}
/// \,\mathbb{1}(I_{ij} = k).
/// ```
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use compress::share::Sharing;
/// use model_utils::device::DeviceSpec;
/// use model_utils::graph::Graph;
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let layer = LinearConfig::new(8, 10).init(&device);
/// let graph = Graph::trace(&layer, [1, 8], |layer: &Linear, x: burn::tensor::Tensor<2>| {
///     layer.forward(x)
/// })?;
/// let shared = Sharing::bits(2).share(&graph)?; // train on it: the codebooks move
/// let plain = Sharing::unshare(&shared)?; // an ordinary weight of four values
/// let weight = plain.weight(plain.find("weight").unwrap()).unwrap();
/// let mut values: Vec<f32> = weight.data.iter().collect();
/// values.sort_unstable_by(f32::total_cmp);
/// values.dedup();
/// assert!(values.len() <= 4);
/// # Ok::<(), compress::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sharing {
    bits: u32,
    of_layers: Vec<(String, u32)>,
}

impl Sharing {
    /// Codebooks of 2ᵇ values, b from 1 to 12.
    pub fn bits(bits: u32) -> Self {
        Self { bits, of_layers: Vec::new() }
    }

    /// Another size for the weights of this name or in a layer of it. The paper has 8 bits for
    /// convolutions and 5 for linear layers.
    #[must_use]
    pub fn with_bits(mut self, layer: impl Into<String>, bits: u32) -> Self {
        self.of_layers.push((layer.into(), bits));
        self
    }

    /// The graph with shared weights. What is 0 stays 0. Masks are taken in. `stop.around(&graph)` ends
    /// it between two weights.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for bits that cannot be, and a layer that has no weight;
    /// [`Error::Node`](crate::Error::Node) for weights that are not finite.
    pub fn share<'a>(&self, graph: impl Into<Stoppable<&'a Graph>>) -> Result<Graph> {
        let (graph, stop) = graph.into().into_parts();
        let mut shared = Masks::detach(graph)?;
        let weights = layer_weights(&shared);
        for (layer, _) in &self.of_layers {
            let is_known = weights.iter().any(|&id| is_within(&shared.node(id).name, layer));
            config::require(is_known, "with_bits", layer, "a layer with a weight")?;
        }
        for id in weights {
            let name = shared.node(id).name.clone();
            stop.check("sharing", &name)?;
            let own = self.of_layers.iter().rev().find(|(layer, _)| is_within(&name, layer));
            let bits = own.map_or(self.bits, |(_, bits)| *bits);
            config::require((1..=12).contains(&bits), "bits", bits, "1 to 12")?;
            let Some(weight) = shared.weight(id) else { continue };
            let shape = weight.data.shape().to_vec();
            let values: Vec<f32> = weight.data.iter().collect();
            check_finite(&name, values.iter().copied())?;
            let is_kept = |value: &&f32| **value != 0.0;
            let left: Vec<f32> = values.iter().filter(is_kept).copied().collect();
            if left.is_empty() {
                continue;
            }
            let book = codebook(&left, 1 << bits);
            let codes: Vec<i64> =
                values.iter().map(|&value| nearest(&book, value) as i64).collect();
            let mask: Vec<f32> =
                values.iter().map(|value| f32::from(u8::from(*value != 0.0))).collect();
            let is_sparse = left.len() < values.len();
            shared.rewrite(|edit| {
                let (size, count) = (book.len(), codes.len());
                let book = TensorData::new(book, [size]);
                let book = edit.add_weight(&format!("{name}.{CODEBOOK}"), book, Role::Learnable);
                let codes = TensorData::new(codes, [count]);
                let codes = edit.add_weight(&format!("{name}.codes"), codes, Role::Constant);
                let select = Op::Select { axis: 0 };
                let chosen = edit.add(&format!("{name}.chosen"), select, &[book, codes]);
                let dims: Vec<Dim> = shape.iter().map(|&length| Dim::Fixed(length)).collect();
                let reshape = Op::Reshape { shape: dims };
                let mut last = edit.add(&format!("{name}.shared"), reshape, &[chosen]);
                if is_sparse {
                    let mask = TensorData::new(mask, shape);
                    let mask = edit.add_weight(&format!("{name}.kept"), mask, Role::Constant);
                    let product = Op::Binary(Binary::Mul);
                    last = edit.add(&format!("{name}.sparse"), product, &[last, mask]);
                }
                edit.replace_uses(id, last);
                edit.remove(id)
            })?;
        }
        Ok(shared)
    }

    /// The graph with ordinary weights again, with the values that they share.
    ///
    /// # Errors
    ///
    /// None for a graph that is sound.
    pub fn unshare(graph: &Graph) -> Result<Graph> {
        let mut plain = graph.clone();
        let found: Vec<Shared> =
            graph.nodes().filter_map(|(id, _)| Shared::at(graph, id)).collect();
        plain.rewrite(|edit| {
            for shared in found {
                let weight = edit.add_weight(&shared.name, shared.data, shared.role);
                edit.replace_uses(shared.last, weight);
            }
            edit.remove_dead();
            Ok(())
        })?;
        Ok(plain)
    }
}

/// A weight that is computed from a codebook.
struct Shared {
    name: String,
    last: NodeId,
    data: TensorData,
    role: Role,
}

impl Shared {
    /// The weight of a codebook.
    fn at(graph: &Graph, book: NodeId) -> Option<Self> {
        let name = graph.node(book).name.strip_suffix(&format!(".{CODEBOOK}"))?.to_owned();
        let [select] = graph.users(book)[..] else { return None };
        let of_select = graph.node(select);
        let (Op::Select { axis: 0 }, [_, codes]) = (&of_select.op, &of_select.inputs[..]) else {
            return None;
        };
        let [mut last] = graph.users(select)[..] else { return None };
        let Op::Reshape { .. } = graph.node(last).op else { return None };
        let shape: Vec<usize> = graph.node(last).shape.iter().map(|dim| dim.at(1)).collect();
        let values: Vec<f32> = graph.weight(book)?.data.iter().collect();
        let codes = graph.weight(*codes)?.data.iter::<i64>();
        let mut data: Vec<f32> =
            codes.map(|code| values.get(code as usize).copied()).collect::<Option<_>>()?;
        if let [product] = graph.users(last)[..]
            && graph.node(product).op == Op::Binary(Binary::Mul)
            && let Some(mask) = graph.weight(graph.node(product).inputs[1])
            && mask.role == Role::Constant
        {
            for (value, kept) in data.iter_mut().zip(mask.data.iter::<f32>()) {
                *value = if kept == 0.0 { 0.0 } else { *value };
            }
            last = product;
        }
        let role = graph.weight(book)?.role;
        Some(Self { name, last, data: TensorData::new(data, shape), role })
    }
}
