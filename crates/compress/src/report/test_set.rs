use std::sync::Arc;

use burn::tensor::{Bool, Device, Float, Int, Tensor};
use model_utils::config;
use model_utils::graph::{AnyTensor, Dim, ElementKind, Graph, GraphModule, Tensors};
use model_utils::train::{Asks as _, Stop};

use crate::error::{ConfigError, Error, Result};

/// Labelled examples on a device, in batches. Clones share them.
#[derive(Debug, Clone)]
pub struct TestSet {
    batches: Arc<Vec<Batch>>,
    device: Device,
    len: usize,
    stop: Stop,
}

#[derive(Debug)]
struct Batch {
    inputs: Vec<AnyTensor>,
    labels: Vec<usize>,
}

impl TestSet {
    /// Inputs of a graph (one tensor or a tuple) and the class of each example, batch by batch.
    ///
    /// For logits of `[batch, length, classes]` there is a label for each place.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where there is no example, and for tensors on a device with autodiff.
    pub fn new<I: Tensors>(batches: impl IntoIterator<Item = (I, Vec<usize>)>) -> Result<Self> {
        let batches: Vec<Batch> = batches
            .into_iter()
            .map(|(inputs, labels)| Batch { inputs: inputs.into_any(), labels })
            .filter(|batch| !batch.labels.is_empty())
            .collect();
        let len = batches.iter().map(|batch| batch.labels.len()).sum();
        let Some(device) = batches.first().and_then(|batch| Some(batch.inputs.first()?.device()))
        else {
            let expected = "at least one labelled example";
            return Err(ConfigError::new("batches", "empty", expected).into());
        };
        let expected = "tensors on a device without autodiff";
        config::require(!device.is_autodiff(), "device", &device, expected)?;
        Ok(Self { batches: Arc::new(batches), device, len, stop: Stop::new() })
    }

    /// Ends every judgement and timing by it with [`model_utils::Error::Stopped`] once the switch is
    /// turned on.
    #[must_use]
    pub fn with_stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    pub(super) fn check_stop(&self, at: impl std::fmt::Display) -> Result<()> {
        Ok(self.stop.check("judging a graph", at)?)
    }

    /// Labelled answers: the `n` of every test.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none: never.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the examples are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Which answers of a graph are right: the label has the largest logit of its first output.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] for an output that is no logits for the labels, or not finite, and for a label
    /// that is none of its classes; what running the graph brings.
    pub fn correct(&self, graph: &Graph) -> Result<Vec<bool>> {
        self.judge(graph, &graph.init(&self.device)?)
    }

    /// [`correct`](Self::correct) of a module of the graph.
    pub(super) fn judge(&self, graph: &Graph, module: &GraphModule) -> Result<Vec<bool>> {
        let output = graph
            .outputs()
            .first()
            .map_or_else(|| "a graph without output".to_owned(), |id| graph.node(*id).name.clone());
        let mut correct = Vec::with_capacity(self.len);
        for Batch { inputs, labels } in self.batches.iter() {
            self.check_stop(format_args!("example {} of {}", correct.len(), self.len))?;
            let logits = module.run(inputs.clone(), &mut |_, _| {})?.into_iter().next();
            let answers = match logits {
                Some(logits) => answers(logits, labels, correct.len()),
                None => Err("expected logits".to_owned()),
            };
            let answers = answers.map_err(|reason| Error::node(&output, reason))?;
            correct.extend(answers.iter().zip(labels).map(|(answer, label)| answer == label));
        }
        Ok(correct)
    }

    /// Examples in the first batch.
    pub(super) fn first_batch(&self) -> usize {
        self.batches.first().map_or(0, |batch| batch.labels.len())
    }

    /// The first examples as inputs of a graph, which were checked to be there.
    pub(super) fn examples(&self, graph: &Graph, count: usize) -> Result<Vec<AnyTensor>> {
        let inputs = self.batches.first().map_or(&[][..], |batch| &batch.inputs);
        let nodes = graph.inputs().iter().map(|id| graph.node(*id));
        let first = |(input, dim): (&AnyTensor, Option<&Dim>)| match dim {
            Some(Dim::Batch(times)) => first_rows(input, count * times),
            _ => Ok(input.clone()),
        };
        inputs.iter().zip(nodes.map(|node| node.shape.first())).map(first).collect()
    }
}

/// The place of the largest logit in each row.
fn answers(logits: AnyTensor, labels: &[usize], before: usize) -> Result<Vec<usize>, String> {
    let shape = logits.shape();
    let classes = shape.last().copied().unwrap_or(0);
    let rows: usize = shape.iter().rev().skip(1).product();
    let count = labels.len();
    if classes == 0 || rows != count || !(2..=4).contains(&shape.len()) {
        return Err(format!("it gives {shape:?} for {count} labels, expected [{count}, classes]"));
    }
    if let Some(at) = labels.iter().position(|&label| label >= classes) {
        let (label, example) = (labels[at], before + at);
        return Err(format!("the label of example {example} is {label}, expected below {classes}"));
    }
    let data = match shape.len() {
        2 => logits.typed::<2, Float>().map(Tensor::into_data),
        3 => logits.typed::<3, Float>().map(Tensor::into_data),
        _ => logits.typed::<4, Float>().map(Tensor::into_data),
    };
    let values: Vec<f32> = data.map_err(|error| error.to_string())?.iter::<f32>().collect();
    values
        .chunks(classes)
        .enumerate()
        .map(|(at, row)| {
            if let Some(logit) = row.iter().find(|logit| !logit.is_finite()) {
                return Err(format!("a logit of example {} is {logit}", before + at));
            }
            let largest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            Ok(largest.map_or(0, |(class, _)| class))
        })
        .collect()
}

/// The first rows of a tensor of any rank and kind.
fn first_rows(tensor: &AnyTensor, rows: usize) -> Result<AnyTensor> {
    macro_rules! narrowed {
        ($($rank:literal),+) => {
            match (tensor.kind(), tensor.shape().len()) {
                $(
                    (ElementKind::Float, $rank) => {
                        tensor.clone().typed::<$rank, Float>()?.narrow(0, 0, rows).into()
                    }
                    (ElementKind::Int, $rank) => tensor
                        .clone()
                        .typed::<$rank, Int>()?
                        .narrow(0, 0, rows)
                        .into(),
                    (ElementKind::Bool, $rank) => tensor
                        .clone()
                        .typed::<$rank, Bool>()?
                        .narrow(0, 0, rows)
                        .into(),
                )+
                _ => tensor.clone(),
            }
        };
    }
    Ok(narrowed!(1, 2, 3, 4, 5))
}
