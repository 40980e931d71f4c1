//! How much channels matter.

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use std::collections::BTreeMap;

use model_utils::graph::{Graph, GraphModule, NodeId};
use model_utils::train::{Asks as _, Stop};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::group::{Group, Member, MemberRole};
use crate::error::{ConfigError, Result};
use crate::graph::{check_finite, freeze_batch_norms};

/// How channels are ranked: the least important go first.
///
/// With `W[m, c]` the slice of member `m` that belongs to channel `c`, the importance of a channel
/// is the mean over the members that count of
///
/// | | members that count | of each |
/// | --- | --- | --- |
/// | `L1` | weights that give or take the channel | ‖W\[m, c\]‖₁, over its mean in the group |
/// | `L2` | the same | ‖W\[m, c\]‖₂, over its mean in the group |
/// | `BatchNormScale` | scales γ of batch normalisations | \|γ\[c\]\| |
/// | `GeometricMedian` | weights that give the channel | Σⱼ ‖W\[m, c\] − W\[m, j\]‖₂, over its mean in the group |
///
/// and `Taylor` is the mean over batches of
///
/// ```math
/// \Big(\sum_m \langle g_{m,c}, W_{m,c} \rangle\Big)^2
/// ```
///
/// with `g` the gradients and the sum over the weights that take the channel: together they see it
/// whole, so that the sum is what the loss loses to first order without it.
///
/// What is divided by its mean can be compared between groups; the others are comparable as they
/// are.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Importance {
    /// Sum of magnitudes. H. Li et al., [Pruning Filters for Efficient
    /// `ConvNets`](https://arxiv.org/abs/1608.08710).
    #[default]
    L1,
    /// Euclidean norm.
    L2,
    /// Scale of the batch normalisation. Z. Liu et al., [Network
    /// Slimming](https://arxiv.org/abs/1708.06519). Channels that no batch normalisation scales
    /// stay.
    BatchNormScale,
    /// Distance to the other filters: what others can stand for goes first. Y. He et al., [Filter
    /// Pruning via Geometric Median](https://arxiv.org/abs/1811.00250).
    GeometricMedian,
    /// Change of the loss to first order. P. Molchanov et al., [Importance Estimation for Neural
    /// Network Pruning](https://arxiv.org/abs/1906.10771).
    Taylor(TaylorProducts),
    /// Random, for control.
    Random {
        /// The seed.
        seed: u64,
    },
}

/// Products of weights and their gradients, batch by batch: what [`Importance::Taylor`] needs.
#[derive(Debug, Clone, Default)]
pub struct TaylorProducts {
    /// Of each batch, for each parameter, element by element.
    batches: Vec<BTreeMap<NodeId, Vec<f32>>>,
}

impl TaylorProducts {
    /// Takes the gradients of a loss.
    ///
    /// `loss` gets the graph as a module on `device` with gradients, in inference mode (running
    /// statistics), and a batch, whose tensors must be on such a device too
    /// (`device.autodiff()`).
    ///
    /// `stop.around(batches.into_iter().map(Ok::<_, Error>))` ends it between two batches: `loss` then
    /// gets results, and gives back the error that one is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) without a batch; errors of `loss` and of [`Graph::init`].
    pub fn new<B>(
        graph: &Graph,
        device: &Device,
        batches: impl IntoIterator<Item = B>,
        mut loss: impl FnMut(&GraphModule, B) -> Result<Tensor<1>>,
    ) -> Result<Self> {
        let mut frozen = graph.clone();
        // Batch statistics would hide what scales a whole channel.
        freeze_batch_norms(&mut frozen)?;
        let module = frozen.init(&device.clone().autodiff())?;
        let mut found = Self::default();
        for batch in batches {
            let gradients = loss(&module, batch)?.backward();
            let mut products =
                Products { graph, gradients: &gradients, path: Vec::new(), found: BTreeMap::new() };
            burn::module::Module::visit(&module, &mut products);
            found.batches.push(products.found);
        }
        if found.batches.is_empty() {
            return Err(ConfigError::new("batches", "none", "one or more").into());
        }
        Ok(found)
    }
}

struct Products<'a> {
    graph: &'a Graph,
    gradients: &'a Gradients,
    path: Vec<String>,
    found: BTreeMap<NodeId, Vec<f32>>,
}

impl ModuleVisitor for Products<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let Some(gradient) = value.grad(self.gradients) else { return };
        let product = value.inner() * gradient;
        if let Some(id) = self.graph.find(&self.path.join(".")) {
            self.found.insert(id, product.into_data().iter::<f32>().collect());
        }
    }
}

impl Importance {
    /// The importance of each channel of each group; `None` for a group that cannot be ranked so.
    pub(super) fn scores(
        &self,
        graph: &Graph,
        groups: &[Group],
        stop: &Stop,
    ) -> Result<Vec<Option<Vec<f64>>>> {
        if let Self::Random { seed } = self {
            let mut rng = ChaCha8Rng::seed_from_u64(*seed);
            return Ok(groups
                .iter()
                .map(|group| Some((0..group.channels()).map(|_| rng.random()).collect()))
                .collect());
        }
        groups.iter().map(|group| self.of_group(graph, group, stop)).collect()
    }

    fn of_group(&self, graph: &Graph, group: &Group, stop: &Stop) -> Result<Option<Vec<f64>>> {
        stop.check("pruning", format_args!("the ranking of {}", group.name))?;
        if let Self::Taylor(products) = self {
            return Ok(products.of_group(graph, group));
        }
        let counts = |member: &&Member| match self {
            Self::BatchNormScale => member.role == MemberRole::NormScale,
            Self::GeometricMedian => member.role == MemberRole::Gives,
            _ => matches!(member.role, MemberRole::Gives | MemberRole::Takes),
        };
        let members: Vec<&Member> = group.members.iter().filter(counts).collect();
        if members.is_empty() {
            return Ok(None);
        }
        let mut scores = vec![0.0; group.channels()];
        for member in &members {
            let slices = Slices::new(graph, member);
            check_finite(&member.name, slices.values.iter().copied())?;
            let mut of_member: Vec<f64> = match self {
                Self::L2 => slices.sums(|value| value * value).iter().map(|s| s.sqrt()).collect(),
                Self::GeometricMedian => slices.distances(stop)?,
                _ => slices.sums(f64::abs),
            };
            if !matches!(self, Self::BatchNormScale) {
                let mean = of_member.iter().sum::<f64>() / of_member.len() as f64;
                if mean > 0.0 {
                    for score in &mut of_member {
                        *score /= mean;
                    }
                }
            }
            for (score, of_member) in scores.iter_mut().zip(of_member) {
                *score += of_member / members.len() as f64;
            }
        }
        Ok(Some(scores))
    }
}

impl TaylorProducts {
    fn of_group(&self, graph: &Graph, group: &Group) -> Option<Vec<f64>> {
        let taking: Vec<&Member> =
            group.members.iter().filter(|member| member.role == MemberRole::Takes).collect();
        if taking.is_empty() {
            return None;
        }
        let mut scores = vec![0.0; group.channels()];
        for batch in &self.batches {
            let mut sums = vec![0.0; group.channels()];
            for member in &taking {
                // A frozen parameter has no gradient and says nothing.
                let Some(products) = batch.get(&member.node) else { continue };
                let slices = Slices { values: products.clone(), ..Slices::new(graph, member) };
                for (sum, of_member) in sums.iter_mut().zip(slices.sums(|product| product)) {
                    *sum += of_member;
                }
            }
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score += sum * sum / self.batches.len() as f64;
            }
        }
        Some(scores)
    }
}

/// A parameter as slices, one a channel.
struct Slices<'a> {
    values: Vec<f32>,
    length: usize,
    inner: usize,
    places: &'a [Vec<usize>],
}

impl<'a> Slices<'a> {
    fn new(graph: &Graph, member: &'a Member) -> Self {
        let data = graph.weight(member.node).map(|weight| &weight.data);
        let shape = data.map(|data| data.shape().to_vec()).unwrap_or_default();
        Self {
            values: data.map(|data| data.iter::<f32>().collect()).unwrap_or_default(),
            length: shape.get(member.axis).copied().unwrap_or(1),
            inner: shape.iter().skip(member.axis + 1).product(),
            places: &member.places,
        }
    }

    /// For each channel the sum of a function of its elements.
    fn sums(&self, of: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut of_place = vec![0.0; self.length];
        for (index, &value) in self.values.iter().enumerate() {
            of_place[index / self.inner % self.length] += of(f64::from(value));
        }
        self.places.iter().map(|places| places.iter().map(|&at| of_place[at]).sum()).collect()
    }

    /// For each channel the sum of its distances to all others.
    fn distances(&self, stop: &Stop) -> Result<Vec<f64>> {
        let row = self.inner * self.length;
        let slices: Vec<Vec<f32>> = self
            .places
            .iter()
            .map(|places| {
                let rows = self.values.chunks(row);
                rows.flat_map(|row| {
                    places.iter().flat_map(|&at| &row[at * self.inner..(at + 1) * self.inner])
                })
                .copied()
                .collect()
            })
            .collect();
        let distance = |a: &[f32], b: &[f32]| {
            let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
            f64::from(squares.sum::<f32>()).sqrt()
        };
        slices
            .par_iter()
            .map(|slice| {
                stop.check("pruning", "the distances of filters")?;
                Ok(slices.iter().map(|other| distance(slice, other)).sum())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_their_places() {
        // [2, 3, 2]: channels of axis 1, the second of two places.
        let places = [vec![1], vec![0, 2]];
        let values = (0..12).map(|n| n as f32).collect();
        let slices = Slices { values, length: 3, inner: 2, places: &places };
        assert_eq!(slices.sums(|x| x), [2.0 + 3.0 + 8.0 + 9.0, 53.0 - 9.0 + 1.0 - 1.0]);
    }

    #[test]
    fn the_geometric_median_is_nearest_to_all() {
        let places = [vec![0], vec![1], vec![2]];
        let values = vec![0.0, 0.0, 3.0, 4.0, 6.0, 8.0];
        let slices = Slices { values, length: 3, inner: 2, places: &places };
        assert_eq!(slices.distances(&Stop::after(3)).unwrap(), [15.0, 10.0, 15.0]);
        assert!(slices.distances(&Stop::after(2)).is_err());
    }
}
