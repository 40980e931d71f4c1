use derive_setters::Setters;
use model_utils::graph::{Graph, NodeId, Op, Quantization, Tensors};
use model_utils::train::Stoppable;
use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::fake_quantize::{StepSize, insert, quantization};
use super::plan;
use super::weights::{WeightRange, rounded};
use super::{CalibrationMethod, PostTraining, Scheme};
use crate::error::{Error, Result};

/// Quantization that is trained with: weights and activations are rounded in every forward pass,
/// and the gradient passes through as if they were not (Jacob et al. 2018,
/// <https://arxiv.org/abs/1712.05877>).
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::optim::{GradientsParams, SgdConfig};
/// use burn::tensor::{Distribution, Tensor};
/// use compress::quantize::{QuantizationAware, Scheme};
/// use model_utils::device::{DeviceSpec, seed};
/// use model_utils::graph::Graph;
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// seed(&device, 42);
/// let model = LinearConfig::new(8, 4).init(&device);
/// let graph = Graph::trace(&model, [1, 8], |model: &Linear, x: Tensor<2>| model.forward(x))?;
/// let batches = [Tensor::<2>::random([64, 8], Distribution::Normal(0.0, 1.0), &device)];
///
/// // prepare → train as any other module → convert
/// let aware = QuantizationAware::new(Scheme::symmetric(4).per_channel());
/// let device = device.autodiff();
/// let mut module = aware.prepare(&graph, batches)?.init(&device)?;
/// let mut optimizer = SgdConfig::new().init();
/// let x = Tensor::<2>::random([64, 8], Distribution::Normal(0.0, 1.0), &device);
/// let loss = (module.forward::<_, Tensor<2>>(x.clone())? - x.narrow(1, 0, 4)).powi_scalar(2).mean();
/// let gradients = GradientsParams::from_grads(loss.backward(), &module);
/// module = optimizer.step(0.1, module, gradients);
///
/// let int4 = aware.convert(&module.graph())?;
/// assert_eq!(int4.node(int4.find("weight").unwrap()).quantization.as_ref().unwrap().largest, 7);
/// # Ok::<(), compress::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
pub struct QuantizationAware {
    #[setters(skip)]
    start: PostTraining,
    /// Sets what training does to the scales.
    step_size: StepSize,
}

impl QuantizationAware {
    /// Weights by a scheme, activations in unsigned integers of 8 bits; scales learned as
    /// logarithms.
    pub fn new(weights: Scheme) -> Self {
        let start = PostTraining::per_tensor()
            .with_weights(weights)
            .with_weight_range(WeightRange::MeanSquaredError);
        Self { start, step_size: StepSize::LearnedLogarithms }
    }

    /// Sets the scheme of the activations; `None` leaves them.
    #[must_use]
    pub fn with_activations(self, activations: Option<Scheme>) -> Self {
        Self { start: self.start.with_activations(activations), ..self }
    }

    /// Sets how the bounds that activations start with are chosen.
    #[must_use]
    pub fn with_calibration_method(self, calibration_method: CalibrationMethod) -> Self {
        Self { start: self.start.with_calibration_method(calibration_method), ..self }
    }

    /// Sets how the bounds that weights start with are chosen.
    #[must_use]
    pub fn with_weight_range(self, weight_range: WeightRange) -> Self {
        Self { start: self.start.with_weight_range(weight_range), ..self }
    }

    /// Leaves a layer in floating point, by its node's name.
    #[must_use]
    pub fn with_excluded(self, layer: impl Into<String>) -> Self {
        Self { start: self.start.with_excluded(layer), ..self }
    }

    /// The graph with a fake quantization behind every weight and every tensor that an integer
    /// engine would hold in integers: to be trained as a module. Batch normalisations are folded
    /// first; those that cannot be keep their statistics. The scales start from what calibration
    /// shows, which `stop.around(&graph)` ends between two batches.
    ///
    /// # Errors
    ///
    /// As those of [`PostTraining::calibrate`].
    pub fn prepare<'a, B: Tensors>(
        &self,
        graph: impl Into<Stoppable<&'a Graph>>,
        batches: impl IntoIterator<Item = B>,
    ) -> Result<Graph> {
        let (graph, stop) = graph.into().into_parts();
        let calibration = Calibration::new(batches, Some(&stop));
        let calibrated = self.start.observed(graph, &calibration)?;
        let points = plan::weights(&calibrated.graph, &self.start.excluded);
        let of_weights = calibrated.of_weights(&self.start, &points)?;
        let mut graph = calibrated.graph;
        graph.rewrite(|edit| {
            for (weight, quantization) in &of_weights {
                insert(edit, *weight, quantization, self.step_size);
            }
            if let Some(scheme) = self.start.activations {
                for (&id, &bounds) in &calibrated.bounds {
                    insert(edit, id, &scheme.quantization(&[bounds], None), self.step_size);
                }
            }
            Ok(())
        })?;
        Ok(graph)
    }

    /// The trained graph with its quantization fixed, as [`PostTraining`] gives it: weights
    /// rounded, scales as constants.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] for a scale that is not finite or is computed from anything but a
    /// parameter, and for a graph that was not prepared.
    pub fn convert(&self, graph: &Graph) -> Result<Graph> {
        let mut found: Vec<(NodeId, Quantization)> = Vec::new();
        for (id, node) in graph.nodes() {
            if matches!(node.op, Op::FakeQuantize(_)) {
                found.push((id, quantization(graph, id)?));
            }
        }
        if found.is_empty() {
            return Err(Error::node("graph", "it has no fake quantization: prepare it first"));
        }
        let mut graph = graph.clone();
        graph.rewrite(|edit| {
            for (id, quantization) in found {
                let input = edit.node(id).inputs[0];
                if let Some(weight) = edit.weight(input) {
                    let data = rounded(&weight.data, &quantization);
                    edit.set_data(input, data);
                    edit.set_quantization(input, Some(quantization));
                    edit.replace_uses(id, input);
                } else {
                    // Again with constants: the learned scales are no parameters any more.
                    edit.replace_uses(id, input);
                    edit.remove(id)?;
                    edit.remove_dead();
                    insert(edit, input, &quantization, StepSize::Fixed);
                }
            }
            edit.remove_dead();
            Ok(())
        })?;
        Ok(graph)
    }
}
