//! A graph as a picture.

use std::collections::BTreeMap;

use super::{Graph, NodeId, Op};
use crate::error::{Error, Result};
use crate::picture::FlowChart;

/// The most boxes that anyone still reads.
const MOST_NODES: usize = 200;

impl Graph {
    /// The graph as a flow chart: a box for each node that computes, with its operation, its name
    /// where that is of the module, and its shape, in the colour of its family.
    ///
    /// | colour | family |
    /// | --- | --- |
    /// | blue | convolutions, linear layers, matrix products, embeddings, attention |
    /// | vermilion | activations |
    /// | bluish green | normalisations |
    /// | reddish purple | pooling, reductions, resizing |
    /// | orange | other shapes, parts, joining |
    /// | sky blue | element by element |
    /// | black | inputs and outputs of the graph |
    ///
    /// # Errors
    ///
    /// [`Error::Picture`] for a graph with more than 200 nodes that compute: no one reads that.
    pub fn chart(&self, title: impl Into<String>) -> Result<FlowChart> {
        let drawn: Vec<NodeId> = self
            .nodes()
            .filter(|(_, node)| !matches!(node.op, Op::Parameter | Op::Constant))
            .map(|(id, _)| id)
            .collect();
        if drawn.len() > MOST_NODES {
            let reason = format!("{} nodes compute, expected at most {MOST_NODES}", drawn.len());
            return Err(Error::picture("graph", reason));
        }
        let indices: BTreeMap<NodeId, usize> =
            drawn.iter().enumerate().map(|(index, &id)| (id, index)).collect();
        let chart = FlowChart::new(title);
        Ok(drawn.iter().fold(chart, |chart, &id| {
            let node = self.node(id);
            let [op, name, shape] = self.label(id);
            let lines = if is_numbered(&name, node.op.name()) {
                vec![op, shape]
            } else {
                vec![op, name, shape]
            };
            let ends = self.inputs.contains(&id) || self.outputs.contains(&id);
            let kind = if ends { ENDS } else { family(&node.op) };
            let inputs: Vec<usize> =
                node.inputs.iter().filter_map(|input| indices.get(input).copied()).collect();
            chart.block(lines, kind, &inputs)
        }))
    }
}

/// Whether a name is only that of the operation, perhaps with a number: `relu`, `relu_2`.
fn is_numbered(name: &str, op: &str) -> bool {
    let number = |rest: &str| {
        rest.strip_prefix('_').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    name.strip_prefix(op).is_some_and(|rest| rest.is_empty() || number(rest))
}

/// The colour of inputs and outputs.
const ENDS: usize = 6;

/// The colour of an operation.
fn family(op: &Op) -> usize {
    match op {
        Op::Conv1d { .. }
        | Op::Conv2d { .. }
        | Op::ConvTranspose2d { .. }
        | Op::Linear
        | Op::MatMul
        | Op::Embedding
        | Op::Attention { .. } => 0,
        Op::Activation(_)
        | Op::PRelu
        | Op::HardSigmoid { .. }
        | Op::Softmax { .. }
        | Op::LogSoftmax { .. } => 1,
        Op::BatchNorm { .. } | Op::LayerNorm { .. } => 2,
        Op::MaxPool2d(_)
        | Op::AvgPool2d { .. }
        | Op::AdaptiveAvgPool2d { .. }
        | Op::GlobalAvgPool
        | Op::Interpolate { .. }
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::CumSum { .. } => 3,
        Op::Reshape { .. }
        | Op::Flatten { .. }
        | Op::Permute { .. }
        | Op::Expand { .. }
        | Op::Flip { .. }
        | Op::Slice { .. }
        | Op::Cat { .. }
        | Op::Pad { .. }
        | Op::Repeat { .. }
        | Op::Select { .. }
        | Op::Gather { .. } => 4,
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Scalar(..)
        | Op::Compare(_)
        | Op::CompareScalar(..)
        | Op::Clamp { .. }
        | Op::Cast { .. }
        | Op::MaskFill { .. }
        | Op::MaskWhere
        | Op::FakeQuantize(_) => 5,
        Op::Input | Op::Parameter | Op::Constant | Op::Full { .. } => ENDS,
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::super::Binary;
    use super::*;
    use crate::layers::{ResidualBlock, ResidualBlockConfig};

    fn residual_block() -> Graph {
        let block = ResidualBlockConfig::new([6, 8]).with_stride(2).init(&Device::flex());
        let forward = |block: &ResidualBlock, x: Tensor<4>| block.forward(x);
        Graph::trace(&block, [1, 6, 9, 9], forward).unwrap()
    }

    #[test]
    fn a_chart_shows_every_node_that_computes() {
        let svg = residual_block().chart("A residual block").unwrap().to_svg().unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<&str> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .map(|node| node.text().unwrap().trim())
            .collect();
        let count = |text: &str| texts.iter().filter(|&&found| found == text).count();
        assert_eq!(count("input") + count("relu") + count("add"), 4, "{texts:?}");
        assert_eq!(count("conv2d 3×3, stride 2") + count("conv2d 3×3"), 2);
        assert_eq!(count("conv2d 1×1, stride 2"), 1);
        assert_eq!(count("batch_norm"), 3);
        for name in ["conv1", "conv2", "norm1", "norm2", "shortcut.conv", "shortcut.norm"] {
            assert_eq!(count(name), 1, "{name}: {texts:?}");
        }
        assert_eq!((count("[N, 6, 9, 9]"), count("[N, 8, 5, 5]")), (1, 9));
        assert_eq!((count("relu_2"), count("conv1.weight")), (0, 0));
        // Ten nodes in a ring of two ways from the input to the sum.
        assert_eq!(svg.matches("<polygon").count(), 10);
    }

    #[test]
    fn a_chart_of_too_many_nodes_is_refused() {
        let mut graph = residual_block();
        let grow = |edit: &mut super::super::Edit| {
            for _ in 0..190 {
                let output = edit.outputs()[0];
                edit.insert_after(output, "more", Op::Scalar(Binary::Add, 1.0));
            }
            Ok(())
        };
        graph.rewrite(grow).unwrap();
        graph.chart("").unwrap().to_svg().unwrap();
        graph
            .rewrite(|edit| {
                Ok(edit.insert_after(
                    edit.outputs()[0],
                    "one more",
                    Op::Flatten { first: 1, last: 3 },
                ))
            })
            .unwrap();
        let error = graph.chart("").unwrap_err();
        assert!(matches!(error, Error::Picture { .. }), "{error:?}");
        assert!(error.to_string().contains("201 nodes"), "{error}");
    }

    #[test]
    fn names_that_say_no_more_than_the_operation_are_known() {
        assert!(is_numbered("relu", "relu") && is_numbered("max_pool2d_12", "max_pool2d"));
        assert!(!is_numbered("relu_a", "relu") && !is_numbered("relu6", "relu"));
        assert!(!is_numbered("conv1", "conv2d") && !is_numbered("blocks.0.relu", "relu"));
    }
}
