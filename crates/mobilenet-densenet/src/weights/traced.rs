//! The graph of a model of this crate, and the weights that a file has for it.

use std::path::Path;

use burn::tensor::TensorData;
use model_utils::graph::{Graph, NodeId};
use model_utils::weights::{Names, State, TensorEntry};

use crate::classifier::Classifier;
use crate::error::Result;
use crate::image_model::{ImageModel, each};

/// A traced model.
pub(super) struct Traced {
    pub(super) graph: Graph,
    names: Names,
}

impl Traced {
    /// Traces a model for images of a height and width.
    pub(super) fn new(model: &ImageModel, [height, width]: [usize; 2]) -> Result<Self> {
        let shape = [1, model.channels(), height, width];
        let graph = each!(model, model => Graph::trace(model, shape, Classifier::forward))?;
        Ok(Self { graph, names: model.torch_names() })
    }

    /// The name in a `state_dict` of a parameter.
    fn torch_name(&self, id: NodeId) -> String {
        let name = &self.graph.node(id).name;
        // Variants of enums are no part of a name.
        let parts = name.split('.').filter(|part| !part.starts_with(|c: char| c.is_uppercase()));
        let path: Vec<&str> = parts
            .map(|part| match part {
                "gamma" => "weight",
                "beta" => "bias",
                other => other,
            })
            .collect();
        (self.names)(&path.join("."))
    }
}

/// The weights of a file for a traced model, and where the two differ.
#[derive(Default)]
pub(super) struct Found {
    state: State,
    pub(super) differences: Vec<String>,
}

impl Found {
    /// Sets a parameter of the model.
    pub(super) fn set(&mut self, model: &Traced, id: NodeId, values: Vec<f32>, shape: Vec<usize>) {
        let entry = TensorEntry { data: TensorData::new(values, shape), param_id: None };
        self.state.tensors.insert(model.torch_name(id), entry);
    }

    /// All weights, where nothing differs.
    pub(super) fn finish(self, path: &Path) -> Result<State> {
        if self.differences.is_empty() {
            return Ok(self.state);
        }
        let (path, differences) = (path.to_path_buf(), self.differences);
        Err(model_utils::Error::Mismatch { path, differences }.into())
    }
}
