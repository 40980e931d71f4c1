//! Single weights removed.

use derive_setters::Setters;
use model_utils::config;
use model_utils::graph::{Graph, NodeId};

use super::masks::{Masks, layer_weights};
use crate::error::{Error, Result};
use crate::graph::{check_finite, is_within};

/// Magnitude pruning: the weights nearest to 0 go. S. Han et al., [Learning both Weights and
/// Connections](https://arxiv.org/abs/1506.02626).
///
/// Biases and normalisations stay. The model gets smaller in a file, see
/// [`DeepCompression`](crate::share::DeepCompression), not faster.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use compress::prune::{Masks, Unstructured};
/// use model_utils::device::DeviceSpec;
/// use model_utils::graph::Graph;
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let layer = LinearConfig::new(8, 10).init(&device);
/// let graph = Graph::trace(&layer, [1, 8], |layer: &Linear, x: burn::tensor::Tensor<2>| {
///     layer.forward(x)
/// })?;
/// let masks = Unstructured::magnitude(0.9).masks(&graph)?;
/// let sparse = masks.attach(&graph)?; // train on it: the zeros stay
/// let plain = Masks::detach(&sparse)?;
/// let weight = plain.find("weight").unwrap();
/// let zeros = plain.weight(weight).unwrap().data.iter::<f32>().filter(|w| *w == 0.0).count();
/// assert_eq!(zeros, 72);
/// # Ok::<(), compress::Error>(())
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
pub struct Unstructured {
    #[setters(skip)]
    sparsity: f64,
    /// Sets whether the weights of all layers are ranked together; by default every layer loses
    /// the same share.
    global_ranking: bool,
    #[setters(skip)]
    excluded: Vec<String>,
}

impl Unstructured {
    /// This share of the weights of each layer goes, from 0 to below 1.
    pub fn magnitude(sparsity: f64) -> Self {
        Self { sparsity, global_ranking: false, excluded: Vec::new() }
    }

    /// Leaves the weights alone that are of this name or lie in a layer of it (`blocks.0`).
    #[must_use]
    pub fn with_excluded(mut self, layer: impl Into<String>) -> Self {
        self.excluded.push(layer.into());
        self
    }

    /// Which weights stay. What is at 0 goes first, so that a second pruning goes on from the
    /// first.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a share that cannot be, and a layer of [`with_excluded`](Self::with_excluded)
    /// that has no weight; [`Error::Node`] for a graph without weights and for one that is not
    /// finite.
    pub fn masks(&self, graph: &Graph) -> Result<Masks> {
        self.choose(graph, |id| {
            let weight = graph.weight(id)?;
            Some(weight.data.iter::<f32>().map(f32::abs).collect())
        })
    }

    /// Keeps the weights with the largest scores.
    pub(super) fn choose(
        &self,
        graph: &Graph,
        scores: impl Fn(NodeId) -> Option<Vec<f32>>,
    ) -> Result<Masks> {
        let sparsity = self.sparsity;
        config::share_below_one("sparsity", sparsity)?;
        let weights = layer_weights(graph);
        let is_in = |id: NodeId, layer: &str| is_within(&graph.node(id).name, layer);
        for layer in &self.excluded {
            let is_known = weights.iter().any(|&id| is_in(id, layer));
            config::require(is_known, "excluded", layer, "a layer with a weight")?;
        }
        let mut scored: Vec<(NodeId, Vec<f32>)> = Vec::new();
        for id in weights {
            if self.excluded.iter().any(|layer| is_in(id, layer)) {
                continue;
            }
            let Some(scores) = scores(id) else { continue };
            check_finite(&graph.node(id).name, scores.iter().copied())?;
            scored.push((id, scores));
        }
        if scored.is_empty() {
            return Err(Error::node("the graph", "it has no weight that could go"));
        }
        let kept = if self.global_ranking {
            let all: Vec<f32> = scored.iter().flat_map(|(_, scores)| scores).copied().collect();
            let mut kept = largest(&all, sparsity).into_iter();
            scored.iter().map(|(_, scores)| kept.by_ref().take(scores.len()).collect()).collect()
        } else {
            scored.iter().map(|(_, scores)| largest(scores, sparsity)).collect::<Vec<_>>()
        };
        let kept = scored.iter().zip(kept).map(|(&(id, _), kept)| (id, kept)).collect();
        Ok(Masks { kept })
    }
}

/// Whether each is among the largest, when a share goes: rounded half to even, as PyTorch does.
fn largest(scores: &[f32], sparsity: f64) -> Vec<bool> {
    let gone = (scores.len() as f64 * sparsity).round_ties_even() as usize;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if gone > 0 && gone < order.len() {
        order.select_nth_unstable_by(gone - 1, |&a, &b| {
            scores[a].total_cmp(&scores[b]).then(a.cmp(&b))
        });
    }
    let mut kept = vec![true; scores.len()];
    for &at in &order[..gone] {
        kept[at] = false;
    }
    kept
}
