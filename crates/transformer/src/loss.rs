//! The loss of translation.

use burn::tensor::{Int, Tensor};
use model_utils::ops;

/// The label-smoothed cross-entropy of `[batch, time, vocabulary]` logits with `[batch, time]`
/// targets, averaged over the targets that are not `pad` (Szegedy et al. 2016, as PyTorch's
/// `label_smoothing`):
///
/// ```math
/// L = -\frac1N \sum_{n:\,y_n \ne \text{pad}} \Big[(1-\varepsilon)\,\log p_{n,y_n} + \frac{\varepsilon}{V}\sum_k \log p_{n,k}\Big]
/// ```
///
/// No dense target is built. 0 where all targets are `pad`.
pub fn cross_entropy(
    logits: Tensor<3>,
    targets: Tensor<2, Int>,
    pad: u32,
    smoothing: f64,
) -> Tensor<1> {
    let [batch, time, vocabulary] = logits.dims();
    let logits = logits.reshape([batch * time, vocabulary]);
    ops::cross_entropy_ignoring(logits, targets.reshape([batch * time]), pad, smoothing)
}
