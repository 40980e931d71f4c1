use std::fmt;

use model_utils::graph::{Graph, NodeId, Tensors};

use super::PostTraining;
use super::calibration::Calibration;
use super::plan;
use crate::error::Result;

/// What quantizing one layer alone does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LayerSensitivity {
    /// The layer's name.
    pub layer: String,
    /// The score with this layer quantized, its weight and the tensor it takes, and no other.
    pub score: f64,
}

/// What each layer costs where it alone is quantized. Prints itself as a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sensitivity {
    /// The score of the graph in floating point.
    pub float: f64,
    /// The layers, in the order of the graph.
    pub layers: Vec<LayerSensitivity>,
}

impl Sensitivity {
    /// The layers with what each changes, the largest loss first.
    pub fn worst_first(&self) -> Vec<(&str, f64)> {
        let change = |layer: &LayerSensitivity| layer.score - self.float;
        let mut all: Vec<_> =
            self.layers.iter().map(|layer| (layer.layer.as_str(), change(layer))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all
    }
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.layers.iter().map(|layer| layer.layer.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:width$}  {:>9}  {:>9}", "layer", "score", "change")?;
        for LayerSensitivity { layer, score } in &self.layers {
            writeln!(f, "{layer:width$}  {score:>9.4}  {:>+9.4}", score - self.float)?;
        }
        write!(f, "{:width$}  {:>9.4}", "none", self.float)
    }
}

impl PostTraining {
    /// Quantizes one layer at a time and asks the caller for a score of the graph, higher being
    /// better: an accuracy, or a loss with a minus.
    ///
    /// # Errors
    ///
    /// As those of [`calibrate`](Self::calibrate), and those of `score`.
    pub fn sensitivity<B: Tensors>(
        &self,
        graph: &Graph,
        batches: impl IntoIterator<Item = B>,
        mut score: impl FnMut(&Graph) -> Result<f64>,
    ) -> Result<Sensitivity> {
        let calibration = Calibration::new(batches, self.stop.as_ref());
        let calibrated = self.observed(graph, &calibration)?;
        let float = score(&calibrated.graph)?;
        let mut layers = Vec::new();
        for point in plan::weights(&calibrated.graph, &self.excluded) {
            let taken: Vec<NodeId> = point
                .layers
                .iter()
                .map(|&layer| held(&calibrated.graph, calibrated.graph.node(layer).inputs[0]))
                .collect();
            let name = calibrated.graph.node(point.layers[0]).name.clone();
            calibration.listen("the sensitivity", &name)?;
            let one = calibrated.quantized(self, &[point], |id| taken.contains(&id))?;
            layers.push(LayerSensitivity { layer: name, score: score(&one)? });
        }
        Ok(Sensitivity { float, layers })
    }
}

/// The tensor that an input is, before it was handed on.
fn held(graph: &Graph, mut id: NodeId) -> NodeId {
    while plan::part(&graph.node(id).op) == plan::Part::Carries {
        id = graph.node(id).inputs[0];
    }
    id
}
