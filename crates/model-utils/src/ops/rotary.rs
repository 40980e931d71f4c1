//! Rotary positions (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).

use burn::tensor::Tensor;

/// Turns pairs of numbers by the angle of their place: in each of `heads` heads number `i` of the
/// first half and number `i` of the second are a pair,
///
/// ```math
/// (a, b) \mapsto (a \cos\theta - b \sin\theta,\; b \cos\theta + a \sin\theta)
/// ```
///
/// `[batch, time, heads · 2 · pairs]`, and sines and cosines `[time, pairs]` without autodiff → as
/// the first.
pub fn rotary_embedding(
    x: Tensor<3>,
    sines: Tensor<2>,
    cosines: Tensor<2>,
    heads: usize,
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if super::rows::applies(&x) {
        return super::rows::rotary_embedding(x, sines, cosines);
    }
    let [batch, time, width] = x.dims();
    let pairs = width / heads / 2;
    let x = x.reshape([batch, time, heads, 2 * pairs]);
    let (a, b) = (x.clone().narrow(3, 0, pairs), x.narrow(3, pairs, pairs));
    let [sines, cosines] = [sines, cosines].map(|table| table.reshape([1, time, 1, pairs]));
    let turned = Tensor::cat(
        vec![a.clone() * cosines.clone() - b.clone() * sines.clone(), b * cosines + a * sines],
        3,
    );
    turned.reshape([batch, time, width])
}
