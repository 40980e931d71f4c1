//! Weights that move towards 0 go.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use model_utils::graph::{Binary, Graph, GraphModule, NodeId, Op, Role};

use super::masks::{Masks, layer_weights, product};
use super::unstructured::Unstructured;
use crate::error::{Error, Result};

/// What the name of a probe ends in.
const PROBE: &str = "probe";

/// Movement pruning: a weight's score rises where training moves it away from 0, and those with
/// the least scores go, whatever their magnitude. V. Sanh et al., [Movement
/// Pruning](https://arxiv.org/abs/2005.07683).
///
/// ```math
/// S^{(T)} = -\alpha \sum_{t < T} \Big(\frac{\partial L}{\partial W'}\Big)^{(t)} \odot W^{(t)},
/// \qquad W' = W \odot M
/// ```
///
/// The gradient of the scores passes straight through the mask: a weight that is masked now gets
/// a score too and may come back. To that end [`watch`](Self::watch) gives the graph a probe a
/// weight, which stays 0: a layer's weight becomes `W ⊙ (M + P)`, so that the gradient of the probe
/// `P` is the one above.
#[derive(Debug, Clone)]
pub struct Movement {
    /// Of the scores.
    learning_rate: f64,
    scores: BTreeMap<NodeId, Vec<f32>>,
}

impl Movement {
    /// Scores of 0; the learning rate of the scores is of no effect on their order, but says what
    /// they are.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, scores: BTreeMap::new() }
    }

    /// The graph with masks that can be moved through, all ones where there are no masks yet.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] where masks do not fit the graph.
    pub fn watch(&self, graph: &Graph, masks: &Masks) -> Result<Graph> {
        let mut watched = Self::unwatch(graph)?;
        let weights = layer_weights(&watched);
        let masks = Masks {
            kept: weights
                .iter()
                .filter_map(|&id| {
                    let size = watched.weight(id)?.data.num_elements();
                    let kept = masks.get(id).map_or_else(|| vec![true; size], <[bool]>::to_vec);
                    Some((id, kept))
                })
                .collect(),
        };
        let values = watched.clone();
        watched = masks.attach(&watched)?;
        watched.rewrite(|edit| {
            for &id in &weights {
                let Some(weight) = values.weight(id) else { continue };
                // What is masked keeps its value: its score depends on it.
                edit.set_data(id, weight.data.clone());
                let shape = weight.data.shape().to_vec();
                let zeros = TensorData::zeros::<f32, _>(shape);
                let Some((product, mask)) = product(edit, id) else { continue };
                let name = edit.node(id).name.clone();
                let probe = edit.add_weight(&format!("{name}.{PROBE}"), zeros, Role::Learnable);
                let name = format!("{name}.{PROBE}d");
                let sum = edit.add(&name, Op::Binary(Binary::Add), &[mask, probe]);
                edit.set_inputs(product, &[id, sum]);
            }
            Ok(())
        })?;
        Ok(watched)
    }

    /// Takes the probes' gradients of a step out of the others, before the optimiser sees them.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] where the module has no probe, or a probe no gradient.
    pub fn observe(&mut self, module: &GraphModule, gradients: &mut GradientsParams) -> Result<()> {
        let graph = module.graph();
        let mut probes =
            Probes { path: Vec::new(), gradients, found: BTreeMap::new(), missing: None };
        module.visit(&mut probes);
        if let Some(name) = probes.missing {
            return Err(Error::node(name, "it has no gradient"));
        }
        if probes.found.is_empty() {
            return Err(Error::node("the graph", "it is not watched"));
        }
        for (name, gradient) in probes.found {
            let Some(id) = graph.find(&name) else { continue };
            let rate = self.learning_rate as f32;
            let scores = self.scores.entry(id).or_insert_with(|| vec![0.0; gradient.len()]);
            for (score, gradient) in scores.iter_mut().zip(gradient) {
                *score -= rate * gradient;
            }
        }
        Ok(())
    }

    /// The weights that stay by their scores; `rule` says how many and where.
    ///
    /// # Errors
    ///
    /// As [`Unstructured::masks`]; [`Error::Node`] where nothing was observed.
    pub fn masks(&self, graph: &Graph, rule: &Unstructured) -> Result<Masks> {
        rule.choose(graph, |id| self.scores.get(&id).cloned())
    }

    /// The graph without probes, its masks attached but its weights as they are.
    ///
    /// # Errors
    ///
    /// None for a graph that is sound.
    pub fn unwatch(graph: &Graph) -> Result<Graph> {
        let mut plain = graph.clone();
        plain.rewrite(|edit| {
            let probes: Vec<(NodeId, NodeId)> = edit
                .nodes()
                .filter(|(_, node)| {
                    let second = node.inputs.get(1).map(|&id| &edit.node(id).name);
                    second.is_some_and(|name| name.ends_with(&format!(".{PROBE}")))
                })
                .map(|(id, node)| (id, node.inputs[0]))
                .collect();
            for (sum, mask) in probes {
                edit.replace_uses(sum, mask);
            }
            edit.remove_dead();
            Ok(())
        })?;
        Ok(plain)
    }
}

struct Probes<'a> {
    path: Vec<String>,
    gradients: &'a mut GradientsParams,
    /// By the names of their weights.
    found: BTreeMap<String, Vec<f32>>,
    missing: Option<String>,
}

impl ModuleVisitor for Probes<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some((PROBE, weight)) = self.path.split_last().map(|(last, path)| (&**last, path))
        else {
            return;
        };
        match self.gradients.remove::<D>(param.id) {
            Some(gradient) => {
                self.found.insert(weight.join("."), gradient.into_data().iter().collect());
            }
            None => self.missing = Some(self.path.join(".")),
        }
    }
}
