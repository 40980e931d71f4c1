//! Scaled dot-product attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::nn::Dropout;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::dropout;

/// Which keys a query does not see: those behind the end of its row, and, if causal, those after
/// its own place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Keys of each row that are not padding; at least 1.
    pub lengths: Vec<usize>,
    /// Whether query `t` sees keys `0..=t` alone.
    pub causal: bool,
}

impl Mask {
    /// Hides the padding behind rows of these lengths.
    pub fn padding(lengths: &[usize]) -> Self {
        Self { lengths: lengths.to_vec(), causal: false }
    }

    /// Hides the padding, and from each query what comes after it.
    pub fn causal(lengths: &[usize]) -> Self {
        Self { lengths: lengths.to_vec(), causal: true }
    }

    /// Whether a row's query does not see a key.
    pub fn hides(&self, row: usize, query: usize, key: usize) -> bool {
        key >= self.lengths[row] || (self.causal && key > query)
    }

    /// As a tensor, `[batch, 1, queries, keys]`, true where hidden.
    pub fn to_tensor(&self, queries: usize, keys: usize, device: &Device) -> Tensor<4, Bool> {
        let batch = self.lengths.len();
        let mut hidden = Vec::with_capacity(batch * queries * keys);
        for row in 0..batch {
            for query in 0..queries {
                hidden.extend((0..keys).map(|key| self.hides(row, query, key)));
            }
        }
        Tensor::from_data(TensorData::new(hidden, [batch, 1, queries, keys]), device)
    }
}

/// Looks queries up among keys and returns the values, weighted:
///
/// ```math
/// \text{attention}(Q, K, V) = \text{softmax}\Big(\frac{Q K^\top}{\sqrt{d}}\Big) V
/// ```
///
/// `[batch, heads, queries, d]` queries, `[batch, heads, keys, d]` keys and values, and a mask
/// `[batch or 1, heads or 1, queries, keys]` that is true where a key is hidden → the output
/// `[batch, heads, queries, d]` and the weights `[batch, heads, queries, keys]`.
pub fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
) -> (Tensor<4>, Tensor<4>) {
    let weights = attention_weights(q, k, mask);
    (weights.clone().matmul(v), weights)
}

/// The weights of [`attention`].
pub fn attention_weights(q: Tensor<4>, k: Tensor<4>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    let scale = (q.dims()[3] as f64).powf(-0.5);
    let scores = (q * scale).matmul(k.transpose());
    let scores = match mask {
        // The softmax makes 0 of it in every float type, and a row without keys stays finite.
        Some(mask) => scores.mask_fill(mask, -1e4),
        None => scores,
    };
    softmax(scores, 3)
}

/// [`attention`] by `heads` heads side by side: `[batch, queries, heads · d]` queries and
/// `[batch, keys, heads · d]` keys and values → `[batch, queries, heads · d]`. In training the
/// weights pass through the dropout.
pub fn multi_head_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: &Mask,
    on_weights: &Dropout,
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if super::rows::applies(&q) {
        let dropped = super::dropped(on_weights, &q.device());
        return super::rows::attention(q, k, v, heads, mask, dropped);
    }
    let (k, v, hidden) = seen(&q, k, v, mask);
    let (q, k, v) = (split_heads(q, heads), split_heads(k, heads), split_heads(v, heads));
    let weights = dropout(on_weights, attention_weights(q, k, hidden));
    join_heads(weights.matmul(v))
}

/// [`multi_head_attention`] of one query a row, without autodiff, among the keys and values of a
/// cache that stay where they were written when its rows change places: what row `r` sees of time
/// `t` lies in row `slots[r · used + t]` of the cache.
///
/// `[rows, 1, heads · d]` queries and `[cached rows, room, heads · d]` keys and values, of which the
/// first `used` times are seen → `[rows, 1, heads · d]`.
pub fn cached_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    slots: &[u32],
) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if super::inference::applies(&q) {
        return super::rows::cached_attention(q, k, v, heads, slots);
    }
    let ([rows, _, width], [_, room, _]) = (q.dims(), k.dims());
    let used = slots.len() / rows;
    let place = |(at, &slot): (usize, &u32)| (slot as usize * room + at % used) as i32;
    let places: Vec<i32> = slots.iter().enumerate().map(place).collect();
    let places = TensorData::new(places, [slots.len()]);
    let places = Tensor::<1, Int>::from_data(places, &q.device().without_autodiff());
    let [k, v] = [k, v].map(|all| {
        let found = all.reshape([-1, width as i64]).select(0, places.clone());
        split_heads(found.reshape([rows, used, width]), heads)
    });
    let (output, _) = attention(split_heads(q, heads), k, v, None);
    join_heads(output)
}

/// The weights of [`multi_head_attention`] without dropout, `[batch, heads, queries, keys]`, where
/// keys are those up to the longest row's end.
pub fn multi_head_weights(q: Tensor<3>, k: Tensor<3>, heads: usize, mask: &Mask) -> Tensor<4> {
    let (k, _, hidden) = seen(&q, k.clone(), k, mask);
    attention_weights(split_heads(q, heads), split_heads(k, heads), hidden)
}

/// Keys and values without what is padding in all rows, and the mask, if it hides any.
fn seen(
    q: &Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    mask: &Mask,
) -> (Tensor<3>, Tensor<3>, Option<Tensor<4, Bool>>) {
    let [_, queries, _] = q.dims();
    let [_, keys, _] = k.dims();
    let longest = mask.lengths.iter().copied().max().unwrap_or(keys).min(keys);
    let (k, v) =
        if longest < keys { (k.narrow(1, 0, longest), v.narrow(1, 0, longest)) } else { (k, v) };
    let hides = mask.causal && queries > 1 || mask.lengths.iter().any(|&length| length < longest);
    let device = q.device().without_autodiff();
    (k, v, hides.then(|| mask.to_tensor(queries, longest, &device)))
}

/// `[batch, time, heads · d]` → `[batch, heads, time, d]`.
pub fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, time, width] = x.dims();
    x.reshape([batch, time, heads, width / heads]).swap_dims(1, 2)
}

/// `[batch, heads, time, d]` → `[batch, time, heads · d]`.
pub fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, time, width] = x.dims();
    x.swap_dims(1, 2).reshape([batch, time, heads * width])
}
