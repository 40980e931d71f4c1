use model_utils::graph::{AnyTensor, GraphModule, NodeId};

use crate::error::{Error, Result};

/// What a graph gives, and what lies between: the tensors of its outputs, and those of the nodes that
/// are asked for, in that order. For hints, attention and relations between inner layers.
///
/// ```
/// # use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::Tensor;
/// use compress::distill::forward_intermediates;
/// # use model_utils::graph::Graph;
/// # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
/// # let layers = vec![LinearConfig::new(8, 16).init(&device), LinearConfig::new(16, 2).init(&device)];
/// # let graph = Graph::trace(&layers, [1, 8], |layers: &Vec<Linear>, x: Tensor<2>| {
/// #     layers[1].forward(layers[0].forward(x))
/// # })?;
/// let hidden = graph.find("0").expect("the first layer"); // of a list of two linear layers
/// let module = graph.init(&device)?;
/// let inputs = vec![Tensor::<2>::ones([4, 8], &device).into()];
/// let (outputs, inner) = forward_intermediates(&module, inputs, &[hidden])?;
/// assert_eq!((outputs[0].shape(), inner[0].shape()), (vec![4, 2], vec![4, 16]));
/// # Ok::<(), compress::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Node`] for a node that the graph has not; what running the graph brings.
pub fn forward_intermediates(
    module: &GraphModule,
    inputs: Vec<AnyTensor>,
    nodes: &[NodeId],
) -> Result<(Vec<AnyTensor>, Vec<AnyTensor>)> {
    let mut seen: Vec<Option<AnyTensor>> = vec![None; nodes.len()];
    let outputs = module.run(inputs, &mut |id, tensor| {
        for (place, node) in seen.iter_mut().zip(nodes) {
            if *node == id {
                *place = Some(tensor.clone());
            }
        }
    })?;
    let found = seen.into_iter().zip(nodes).map(|(tensor, node)| {
        tensor.ok_or_else(|| Error::node(node.to_string(), "it is not in the graph"))
    });
    Ok((outputs, found.collect::<Result<_>>()?))
}
