//! Channels that must go together.

use std::collections::{BTreeMap, BTreeSet};

use model_utils::graph::{Dim, Graph, NodeId, Op};

use super::labels::{FIXED, Label};
use super::rules::{Analysis, LeftAlone, is_parameter, op_for};
use super::select::{select, select_quantization};
use crate::error::{ConfigError, Error, Result};
use crate::graph::is_within;

/// What a parameter does with the channels along one of its axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MemberRole {
    /// It gives them: the filters of a convolution, the columns of a linear layer.
    Gives,
    /// It takes them: products with them are summed.
    Takes,
    /// It is the scale of a batch normalisation.
    NormScale,
    /// A number a channel: a bias, a shift, a running statistic.
    Other,
}

/// One axis of a parameter along which channels of a group lie.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The parameter.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// The axis.
    pub axis: usize,
    /// What it does with the channels.
    pub role: MemberRole,
    /// For each channel of the group its places along the axis: one, or a block where features
    /// were flattened or a channel is a whole head.
    pub places: Vec<Vec<usize>>,
}

/// Channels that lie along the same axes of the same parameters. Each may be removed alone; its
/// places in all members go with it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Group {
    /// The layer that gives the channels, or the first that has them.
    pub name: String,
    /// The parameters, in the order of the graph.
    pub members: Vec<Member>,
    /// Whether a layer normalisation takes statistics over these channels: without one of them,
    /// the others are normalised differently, so that removing it is more than taking its
    /// contribution away.
    pub is_normalised_over: bool,
    /// The root of each channel.
    pub(super) roots: Vec<Label>,
}

impl Group {
    /// How many channels it has.
    pub fn channels(&self) -> usize {
        self.roots.len()
    }

    /// Whether one of its parameters is in a layer or below it.
    pub(super) fn is_within(&self, layer: &str) -> bool {
        self.members.iter().any(|member| is_within(&member.name, layer))
    }
}

/// Which channels of a graph must go together, found from its operations.
///
/// Every place along every axis of every tensor has a label. Operations join labels: a batch
/// normalisation those of its scale with its input's, a sum those of both summands, a convolution
/// its input's with the second axis of its weight. What is an input or output of the graph, or is
/// mixed with other places (a softmax, a mean), is fixed. What has the same label is one channel.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::activation::relu;
/// use compress::prune::Dependencies;
/// use model_utils::device::DeviceSpec;
/// use model_utils::graph::Graph;
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let layers = vec![LinearConfig::new(8, 16).init(&device), LinearConfig::new(16, 2).init(&device)];
/// let graph = Graph::trace(&layers, [1, 8], |layers: &Vec<Linear>, x| {
///     layers[1].forward(relu(layers[0].forward(x)))
/// })?;
/// let dependencies = Dependencies::new(&graph);
/// let [hidden] = dependencies.groups() else { panic!("one group") };
/// assert_eq!(hidden.channels(), 16);
/// // Columns of the first weight, its bias, rows of the second weight.
/// assert_eq!(hidden.members.len(), 3);
///
/// let smaller = dependencies.without(&[vec![0, 3, 7]])?;
/// assert_eq!(smaller.learnable_parameters(), 8 * 13 + 13 + 13 * 2 + 2);
/// # Ok::<(), compress::Error>(())
/// ```
///
/// After G. Fang et al., [`DepGraph`](https://arxiv.org/abs/2301.12900).
#[derive(Debug)]
pub struct Dependencies<'a> {
    graph: &'a Graph,
    analysis: Analysis<'a>,
    groups: Vec<Group>,
}

impl<'a> Dependencies<'a> {
    /// Finds the groups of a graph. Where an operation is not known or mixes channels, theirs are
    /// in no group; see [`left_alone`](Self::left_alone).
    pub fn new(graph: &'a Graph) -> Self {
        let analysis = Analysis::new(graph);
        let groups = groups(graph, &analysis);
        Self { graph, analysis, groups }
    }

    /// The groups, in the order of the graph.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Where channels were met that cannot be removed, and why.
    pub fn left_alone(&self) -> &[LeftAlone] {
        &self.analysis.left_alone
    }

    /// The graph without channels: for each group the numbers of those that go.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for another number of lists than groups and for a channel that a group
    /// has not; [`Error::Node`] for a node that would be left with nothing.
    pub fn without(&self, removed: &[Vec<usize>]) -> Result<Graph> {
        let is_removed = self.removed(removed)?;
        let labels = &self.analysis.labels;
        let mut graph = self.graph.clone();
        let kept: BTreeMap<NodeId, Vec<Vec<usize>>> =
            graph.nodes().map(|(id, _)| (id, labels.kept(id, &is_removed))).collect();
        for (id, node) in graph.nodes() {
            let emptied = kept[&id]
                .iter()
                .zip(labels.of(id))
                .position(|(kept, axis)| kept.is_empty() && !axis.is_empty());
            if let Some(axis) = emptied {
                let reason = format!("nothing would be left along axis {axis}");
                return Err(Error::node(&node.name, reason));
            }
        }
        graph.rewrite(|edit| {
            for (id, node) in self.graph.nodes() {
                let kept_here = &kept[&id];
                let is_whole = |(kept, dim): (&Vec<usize>, &Dim)| kept.len() == dim.at(1);
                if let Some(weight) = self.graph.weight(id)
                    && !kept_here.iter().zip(&node.shape).all(is_whole)
                {
                    edit.set_data(id, select(&weight.data, kept_here));
                }
                let input = node.inputs.first().map(|input| {
                    (self.graph.node(*input).shape.as_slice(), kept[input].as_slice())
                });
                if let Some(op) = op_for(&node.op, input, kept_here) {
                    edit.set_op(id, op);
                }
                if let Some(quantization) = &node.quantization {
                    let quantization = select_quantization(quantization, kept_here);
                    edit.set_quantization(id, Some(quantization));
                }
            }
            Ok(())
        })?;
        for (id, node) in graph.nodes() {
            let inferred: Vec<usize> = node.shape.iter().map(|dim| dim.at(1)).collect();
            let expected: Vec<usize> = kept[&id].iter().map(Vec::len).collect();
            if inferred != expected {
                let reason = format!("it has shape {inferred:?}, expected {expected:?}");
                return Err(Error::node(&node.name, reason));
            }
        }
        Ok(graph)
    }

    /// Multiply–adds at a batch of one without channels.
    ///
    /// # Errors
    ///
    /// As [`without`](Self::without), but for what is left with nothing.
    pub fn multiply_adds_without(&self, removed: &[Vec<usize>]) -> Result<u64> {
        let is_removed = self.removed(removed)?;
        Ok(self.analysis.labels.multiply_adds(self.graph, &is_removed))
    }

    /// Whether a label's channel goes, for roots.
    fn removed(&self, removed: &[Vec<usize>]) -> Result<Vec<bool>, ConfigError> {
        if removed.len() != self.groups.len() {
            let expected = format!("one for each of {} groups", self.groups.len());
            return Err(ConfigError::new("removed", format!("{} lists", removed.len()), expected));
        }
        let mut is_removed = vec![false; self.analysis.labels.count()];
        for (group, channels) in self.groups.iter().zip(removed) {
            for &channel in channels {
                let Some(&root) = group.roots.get(channel) else {
                    let value = format!("channel {channel} of `{}`", group.name);
                    let expected = format!("one of {}", group.roots.len());
                    return Err(ConfigError::new("removed", value, expected));
                };
                is_removed[root] = true;
            }
        }
        Ok(is_removed)
    }
}

/// An axis of a parameter, after the parameter's place in the order of the graph.
type Along = (usize, NodeId, usize);
/// The places of one channel.
type Places = BTreeMap<Along, Vec<usize>>;
/// Channels with the same axes, and as many places along each, are a group.
type Signature = Vec<(Along, usize)>;

fn groups(graph: &Graph, analysis: &Analysis) -> Vec<Group> {
    let mut scales = BTreeSet::new();
    for (_, node) in graph.nodes() {
        if let Op::BatchNorm { .. } = node.op {
            scales.insert(node.inputs[1]);
        }
    }
    let mut channels: BTreeMap<Label, Places> = BTreeMap::new();
    for (order, (id, _)) in graph.nodes().filter(|(_, node)| is_parameter(node)).enumerate() {
        for (axis, labels) in analysis.labels.of(id).iter().enumerate() {
            for (place, &label) in labels.iter().enumerate() {
                let root = analysis.labels.root(label);
                if root != FIXED {
                    let places = channels.entry(root).or_default();
                    places.entry((order, id, axis)).or_default().push(place);
                }
            }
        }
    }
    let normalised: BTreeSet<Label> =
        analysis.normalised.iter().map(|&label| analysis.labels.root(label)).collect();
    let mut together: BTreeMap<Signature, Vec<(Label, Places)>> = BTreeMap::new();
    for (root, places) in channels {
        let signature = places.iter().map(|(&axis, places)| (axis, places.len())).collect();
        together.entry(signature).or_default().push((root, places));
    }
    together
        .into_iter()
        .map(|(signature, mut channels)| {
            channels.sort_by(|(_, a), (_, b)| a.values().next().cmp(&b.values().next()));
            let members: Vec<Member> = signature
                .iter()
                .map(|&(key, _)| {
                    let (_, node, axis) = key;
                    let of_node = graph.node(node);
                    let role = if analysis.takes(node, axis) {
                        MemberRole::Takes
                    } else if of_node.shape.len() > 1 {
                        MemberRole::Gives
                    } else if scales.contains(&node) {
                        MemberRole::NormScale
                    } else {
                        MemberRole::Other
                    };
                    let places = channels.iter().map(|(_, places)| places[&key].clone()).collect();
                    Member { node, name: of_node.name.clone(), axis, role, places }
                })
                .collect();
            let giver = members.iter().find(|member| member.role == MemberRole::Gives);
            let of_name = giver.unwrap_or(&members[0]);
            let name = of_name.name.rsplit_once('.').map_or(&*of_name.name, |(layer, _)| layer);
            Group {
                name: name.to_owned(),
                is_normalised_over: channels.iter().any(|(root, _)| normalised.contains(root)),
                roots: channels.iter().map(|(root, _)| *root).collect(),
                members,
            }
        })
        .collect()
}
