//! What the tensors of a graph hold for given inputs.

use std::collections::BTreeMap;

use model_utils::graph::{AnyTensor, Graph, GraphModule, NodeId, Tensors};
use model_utils::train::{Asks as _, Stop};

use super::{Bounds, CalibrationMethod, Histogram, Scheme};
use crate::error::{ConfigError, Error, Result};

/// What is calibrated by, until somebody asks to stop.
pub(crate) struct Calibration {
    /// The inputs of a graph, batch by batch.
    batches: Vec<Vec<AnyTensor>>,
    stop: Option<Stop>,
}

impl Calibration {
    pub(crate) fn new<B: Tensors>(
        batches: impl IntoIterator<Item = B>,
        stop: Option<&Stop>,
    ) -> Self {
        let batches = batches.into_iter().map(Tensors::into_any).collect();
        Self { batches, stop: stop.cloned() }
    }

    /// Refuses to calibrate by nothing.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.batches.iter().flatten().all(|input| input.shape().contains(&0)) {
            let expected = "at least one example to calibrate by";
            return Err(ConfigError::new("batches", "empty", expected));
        }
        Ok(())
    }

    /// Ends here where somebody asks to stop.
    pub(crate) fn listen(&self, what: &str, at: impl std::fmt::Display) -> Result<()> {
        Ok(self.stop.as_ref().map_or(Ok(()), |stop| stop.check(what, at))?)
    }

    /// A graph as a module where the inputs are.
    pub(crate) fn module(&self, graph: &Graph) -> Result<GraphModule> {
        let device = match self.batches.first().and_then(|batch| batch.first()) {
            Some(input) => input.device(),
            None => return Err(Error::node("input", "the graph takes no inputs")),
        };
        Ok(graph.init(&device)?)
    }
}

/// Calls `see` with the numbers of each of some tensors, batch by batch.
pub(crate) fn each(
    graph: &Graph,
    module: &GraphModule,
    calibration: &Calibration,
    wanted: &[NodeId],
    mut see: impl FnMut(NodeId, &[f32], &[usize]),
) -> Result<()> {
    let batches = &calibration.batches;
    for (number, batch) in batches.iter().enumerate() {
        calibration.listen("calibration", format_args!("batch {number} of {}", batches.len()))?;
        let mut fault = None;
        module.run(batch.clone(), &mut |id, tensor| {
            if fault.is_some() || !wanted.contains(&id) {
                return;
            }
            let data = tensor.clone().into_data();
            let shape = data.shape().to_vec();
            let numbers: Vec<f32> = data.iter::<f32>().collect();
            match numbers.iter().find(|number| !number.is_finite()) {
                Some(found) => {
                    let reason =
                        format!("it holds {found} in batch {number}, expected finite numbers");
                    fault = Some(Error::node(&graph.node(id).name, reason));
                }
                None => see(id, &numbers, &shape),
            }
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
    }
    Ok(())
}

/// The bounds of some tensors that a method chooses.
pub(crate) fn observe(
    graph: &Graph,
    calibration: &Calibration,
    wanted: &[NodeId],
    method: CalibrationMethod,
    scheme: Scheme,
) -> Result<BTreeMap<NodeId, Bounds>> {
    let module = calibration.module(graph)?;
    let mut bounds: BTreeMap<NodeId, Bounds> = BTreeMap::new();
    each(graph, &module, calibration, wanted, |id, numbers, _| {
        let of_batch = Bounds::of(numbers.iter().copied());
        bounds.insert(id, method.join(bounds.get(&id).copied(), of_batch));
    })?;
    if !method.needs_histogram() {
        return Ok(bounds);
    }
    let mut histograms: BTreeMap<NodeId, Histogram> =
        bounds.iter().map(|(&id, &bounds)| (id, Histogram::new(bounds))).collect();
    each(graph, &module, calibration, wanted, |id, numbers, _| {
        if let Some(histogram) = histograms.get_mut(&id) {
            histogram.add(numbers);
        }
    })?;
    Ok(histograms.iter().map(|(&id, found)| (id, method.choose(found, scheme))).collect())
}
