use std::collections::BTreeMap;

use derive_setters::Setters;
use model_utils::graph::{Graph, NodeId, Quantization, Tensors};
use model_utils::train::Stop;
use serde::{Deserialize, Serialize};

use super::calibration::{Calibration, observe};
use super::fake_quantize::{StepSize, check_names, check_real, insert};
use super::plan::{self, WeightPoint};
use super::weights::{WeightRange, quantization, rounded};
use super::{Bounds, CalibrationMethod, Scheme, bias, equalise};
use crate::error::Result;
use crate::graph::freeze_batch_norms;

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
/// println!("{}", Coverage::new(&int8));
/// # Ok::<(), compress::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
pub struct PostTraining {
    /// Sets the scheme of the weights.
    pub(crate) weights: Scheme,
    /// Sets the scheme of the activations, which have one scale a tensor; `None` leaves them.
    pub(crate) activations: Option<Scheme>,
    /// Sets how bounds of activations are chosen.
    pub(crate) calibration_method: CalibrationMethod,
    /// Sets how bounds of weights are chosen.
    pub(crate) weight_range: WeightRange,
    #[setters(skip)]
    pub(crate) excluded: Vec<String>,
    /// Sets whether neighbouring layers are [equalised](super::equalise()) first.
    equalisation: bool,
    /// Sets whether biases are [corrected](super::correct_bias) after, by the calibration batches.
    bias_correction: bool,
    /// Sets the switch that ends calibration with [`model_utils::Error::Stopped`].
    #[serde(skip)]
    pub(crate) stop: Option<Stop>,
}

impl PostTraining {
    /// Weights in signed, activations in unsigned integers of 8 bits, each tensor with one scale.
    pub fn per_tensor() -> Self {
        Self {
            weights: Scheme::symmetric(8),
            activations: Some(Scheme::affine(8)),
            calibration_method: CalibrationMethod::MinMax,
            weight_range: WeightRange::MinMax,
            excluded: Vec::new(),
            equalisation: false,
            bias_correction: false,
            stop: None,
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

    /// Leaves a layer in floating point, by its node's name.
    #[must_use]
    pub fn with_excluded(mut self, layer: impl Into<String>) -> Self {
        self.excluded.push(layer.into());
        self
    }

    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        self.weights.check()?;
        if let Some(scheme) = self.activations {
            scheme.check()?;
        }
        self.calibration_method.check()?;
        check_real(graph)?;
        check_names(graph, &self.excluded)
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
        let calibration = Calibration::new(batches, self.stop.as_ref());
        let calibrated = self.observed(graph, &calibration)?;
        let points = plan::weights(&calibrated.graph, &self.excluded);
        let quantized = calibrated.quantized(self, &points, |_| true)?;
        if self.bias_correction {
            calibration.check()?;
            return bias::correct(&calibrated.graph, &quantized, &points, &calibration);
        }
        Ok(quantized)
    }

    /// The graph that is quantized, and the bounds of its tensors.
    pub(crate) fn observed(&self, graph: &Graph, calibration: &Calibration) -> Result<Calibrated> {
        self.check(graph)?;
        if self.activations.is_some() {
            calibration.check()?;
        }
        let mut graph = prepared(graph)?;
        if self.equalisation {
            graph = equalise::equalise(&graph)?;
        }
        let bounds = match self.activations {
            Some(scheme) => {
                let wanted = plan::tensors(&graph, &self.excluded);
                observe(&graph, calibration, &wanted, self.calibration_method, scheme)?
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
            let (scheme, range) = (config.weights, config.weight_range);
            Ok((point.weight, quantization(name, data, point.axis, scheme, range)?))
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
                    insert(edit, id, &scheme.quantization(&[bounds], None), StepSize::Fixed);
                }
            }
            Ok(())
        })?;
        Ok(graph)
    }
}
