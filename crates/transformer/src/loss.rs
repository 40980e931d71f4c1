//! The loss of translation.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

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
    let targets = targets.reshape([batch * time]);
    let counted = targets.clone().not_equal_elem(pad as i32).float();
    let log_p = log_softmax(logits, 1);
    let picked = log_p.clone().gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1);
    let gained = if smoothing == 0.0 {
        picked
    } else {
        let all = log_p.mean_dim(1).squeeze_dim::<1>(1);
        picked * (1.0 - smoothing) + all * smoothing
    };
    let count = counted.clone().sum().clamp_min(1.0);
    (gained * counted).sum().neg() / count
}
