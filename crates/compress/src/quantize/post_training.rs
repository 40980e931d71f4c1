use std::collections::BTreeMap;

use model_utils::graph::{Graph, NodeId, Quantization, Tensors};
use serde::{Deserialize, Serialize};

use super::calibration::{self, Batch, observe};
use super::insert::{Kept, check_names, check_real, freeze_batch_norms, insert};
use super::plan::{self, WeightPoint};
use super::weights::{Fit, fit, rounded};
use super::{Bounds, Observer, Scheme, bias, equalise};
use crate::error::Result;

/// Quantization of a trained graph without training.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Distribution, Tensor};
/// use compress::quantize::{Coverage, PostTraining};
/// use model_utils::device::{DeviceSpec, seed};
/// use model_utils::graph::Graph;
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// seed(&device, 42);
/// let model = LinearConfig::new(8, 4).init(&device);
/// let graph = Graph::trace(&model, [1, 8], |model: &Linear, x: Tensor<2>| model.forward(x))?;
///
/// let batches = [Tensor::<2>::random([64, 8], Distribution::Normal(0.0, 1.0), &device)];
/// let int8 = PostTraining::per_channel().calibrate(&graph, batches)?;
/// let weight = int8.node(int8.find("weight").unwrap());
/// assert_eq!(weight.quantization.as_ref().unwrap().scale.len(), 4); // one a channel
/// println!("{}", Coverage::of(&int8));
/// # Ok::<(), compress::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostTraining {
    pub(crate) weights: Scheme,
    pub(crate) activations: Option<Scheme>,
    pub(crate) observer: Observer,
    pub(crate) fit: Fit,
    pub(crate) left: Vec<String>,
    equalise: bool,
    correct_bias: bool,
}

impl PostTraining {
    /// Weights in signed, activations in unsigned integers of 8 bits, each tensor with one scale.
    pub fn per_tensor() -> Self {
        Self {
            weights: Scheme::symmetric(8),
            activations: Some(Scheme::affine(8)),
            observer: Observer::MinMax,
            fit: Fit::MinMax,
            left: Vec::new(),
            equalise: false,
            correct_bias: false,
        }
    }

    /// The same with a scale for each output channel of a weight.
    pub fn per_channel() -> Self {
        Self { weights: Scheme::symmetric(8).per_channel(), ..Self::per_tensor() }
    }

    /// Only the weights, by a scheme; nothing needs to be calibrated.
    pub fn weight_only(weights: Scheme) -> Self {
        Self { weights, activations: None, ..Self::per_tensor() }
    }

    /// Sets the scheme of the weights.
    #[must_use]
    pub fn with_weights(self, weights: Scheme) -> Self {
        Self { weights, ..self }
    }

    /// Sets the scheme of the activations, which have one scale a tensor; `None` leaves them.
    #[must_use]
    pub fn with_activations(self, activations: Option<Scheme>) -> Self {
        Self { activations, ..self }
    }

    /// Sets how bounds of activations are chosen.
    #[must_use]
    pub fn with_observer(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    /// Sets how bounds of weights are chosen.
    #[must_use]
    pub fn with_fit(self, fit: Fit) -> Self {
        Self { fit, ..self }
    }

    /// Sets whether neighbouring layers are [equalised](super::equalise()) first.
    #[must_use]
    pub fn with_equalisation(self, equalise: bool) -> Self {
        Self { equalise, ..self }
    }

    /// Sets whether biases are [corrected](super::correct_bias) after, by the calibration batches.
    #[must_use]
    pub fn with_bias_correction(self, correct_bias: bool) -> Self {
        Self { correct_bias, ..self }
    }

    /// Leaves a layer in floating point, by its node's name.
    #[must_use]
    pub fn leaving(mut self, layer: impl Into<String>) -> Self {
        self.left.push(layer.into());
        self
    }

    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        self.weights.check()?;
        if let Some(scheme) = self.activations {
            scheme.check()?;
        }
        self.observer.check()?;
        check_real(graph)?;
        check_names(graph, &self.left)
    }

    /// The quantized graph: batch normalisations folded, weights rounded, and behind every tensor
    /// that an integer engine would hold in integers a
    /// [fake quantization](model_utils::graph::Op::FakeQuantize) that rounds it. Weights and these
    /// nodes carry their [`Quantization`]. It computes in floating point what integers would, to
    /// the last rounding of sums; biases stay as they are.
    ///
    /// A batch is what the graph takes: a tensor, or a tuple of some. All are kept in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for bits that no scheme has and for no batches
    /// where activations are quantized; [`Error::Node`](crate::Error::Node) for a weight or
    /// tensor that is not finite, a layer to be left that is not there, and a graph that is
    /// quantized already; errors of running the graph.
    pub fn calibrate<B: Tensors>(
        &self,
        graph: &Graph,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Graph> {
        let batches: Vec<Batch> = batches.into_iter().map(Tensors::into_any).collect();
        let calibrated = self.observed(graph, &batches)?;
        let points = plan::weights(&calibrated.graph, &self.left);
        let quantized = calibrated.quantized(self, &points, |_| true)?;
        if self.correct_bias {
            calibration::check(&batches)?;
            return bias::correct(&calibrated.graph, &quantized, &points, &batches);
        }
        Ok(quantized)
    }

    /// The graph that is quantized, and the bounds of its tensors.
    pub(crate) fn observed(&self, graph: &Graph, batches: &[Batch]) -> Result<Calibrated> {
        self.check(graph)?;
        if self.activations.is_some() {
            calibration::check(batches)?;
        }
        let mut graph = prepared(graph)?;
        if self.equalise {
            graph = equalise::equalise(&graph)?;
        }
        let bounds = match self.activations {
            Some(scheme) => {
                let wanted = plan::tensors(&graph, &self.left);
                observe(&graph, batches, &wanted, self.observer, scheme)?
            }
            None => BTreeMap::new(),
        };
        Ok(Calibrated { graph, bounds })
    }
}

/// Batch normalisations folded or frozen, and nothing left that changes nothing.
pub(crate) fn prepared(graph: &Graph) -> Result<Graph> {
    let mut graph = graph.clone();
    graph.fold_batch_norm()?;
    graph.remove_identities()?;
    freeze_batch_norms(&mut graph)?;
    Ok(graph)
}

/// A graph in floating point, and what its tensors were seen to hold.
pub(crate) struct Calibrated {
    pub(crate) graph: Graph,
    pub(crate) bounds: BTreeMap<NodeId, Bounds>,
}

impl Calibrated {
    /// The quantization of each weight of a plan.
    pub(crate) fn of_weights(
        &self,
        config: &PostTraining,
        points: &[WeightPoint],
    ) -> Result<Vec<(NodeId, Quantization)>> {
        let of_point = |point: &WeightPoint| {
            let name = &self.graph.node(point.weight).name;
            let data = &self.graph.weight(point.weight).expect("a weight of the plan").data;
            Ok((point.weight, fit(name, data, point.axis, config.weights, config.fit)?))
        };
        points.iter().map(of_point).collect()
    }

    /// The graph with the weights of some points rounded and the tensors of some nodes rounded.
    pub(crate) fn quantized(
        &self,
        config: &PostTraining,
        points: &[WeightPoint],
        is_wanted: impl Fn(NodeId) -> bool,
    ) -> Result<Graph> {
        let of_weights = self.of_weights(config, points)?;
        let mut graph = self.graph.clone();
        graph.rewrite(|edit| {
            for (weight, quantization) in of_weights {
                let data = edit.weight(weight).map(|weight| rounded(&weight.data, &quantization));
                if let Some(data) = data {
                    edit.set_data(weight, data);
                }
                edit.set_quantization(weight, Some(quantization));
            }
            if let Some(scheme) = config.activations {
                for (&id, &bounds) in self.bounds.iter().filter(|(id, _)| is_wanted(**id)) {
                    insert(edit, id, &scheme.quantization(&[bounds], None), Kept::Fixed);
                }
            }
            Ok(())
        })?;
        Ok(graph)
    }
}
