//! Scaled dot-product attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::nn::Dropout;
use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::dropout::{dropout, kept};
use super::host::{self, Array, Host, Kernel, three};
use super::kernels::heads::{self, Layout};
use super::kernels::kept::Kept;

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
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
) -> (Tensor<4>, Tensor<4>) {
    check_values("attention", &q, &k, &v);
    let weights = weights("attention", q, k, mask);
    (weights.clone().matmul(v), weights)
}

/// Attention with all that Burn's own knows: a scale, a cap, a mask that is true where a key is
/// hidden, a bias on the scores, both `[batch or 1, heads or 1, queries, keys]`. Shapes as
/// [`attention`]'s.
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn scaled_dot_product_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
    bias: Option<Tensor<4>>,
    options: AttentionModuleOptions,
) -> Tensor<4> {
    let name = "scaled_dot_product_attention";
    check_scores(name, &q, &k, mask.as_ref().map(Tensor::dims));
    check_scores(name, &q, &k, bias.as_ref().map(Tensor::dims));
    check_values(name, &q, &k, &v);
    burn::tensor::module::attention(q, k, v, mask, bias, options)
}

/// Panics where queries, keys and what is laid over their scores do not fit together.
fn check_scores(name: &str, q: &Tensor<4>, k: &Tensor<4>, over: Option<[usize; 4]>) {
    let ([batch, heads, queries, width], keys) = (q.dims(), k.dims());
    let shape = [batch, heads, queries, keys[2]];
    let fits = over.is_none_or(|over| {
        (0..4).all(|axis| over[axis] == shape[axis] || (axis < 2 && over[axis] == 1))
    });
    assert!(
        fits && keys == [batch, heads, keys[2], width],
        "{name}: queries {:?}, keys {keys:?} and mask {over:?} do not fit",
        q.dims()
    );
}

/// Panics where there is not a value a key.
fn check_values(name: &str, q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>) {
    let ([batch, heads, _, _], keys, values) = (q.dims(), k.dims(), v.dims());
    assert!(
        values[..3] == [batch, heads, keys[2]],
        "{name}: queries {:?}, keys {keys:?} and values {values:?} do not fit",
        q.dims()
    );
}

/// The weights of [`attention`].
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn attention_weights(q: Tensor<4>, k: Tensor<4>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    weights("attention_weights", q, k, mask)
}

fn weights(name: &str, q: Tensor<4>, k: Tensor<4>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    check_scores(name, &q, &k, mask.as_ref().map(Tensor::dims));
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
///
/// # Panics
///
/// Where the shapes do not fit together, or a row sees no key.
pub fn multi_head_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    mask: &Mask,
    on_weights: &Dropout,
) -> Tensor<3> {
    check("multi_head_attention", [&q, &k, &v], heads, &mask.lengths);
    let is_on_host = [&q, &k, &v].into_iter().all(host::holds);
    let kept = if is_on_host { kept(on_weights, &q.device()) } else { None };
    let layout = layout_of(&q, &k, heads, mask.lengths.clone(), mask.causal, None);
    three(Attend { layout, kept }, q, k, v).unwrap_or_else(|(q, k, v)| {
        let (k, v, hidden) = seen(&q, k, v, mask);
        let (q, k, v) = (split_heads(q, heads), split_heads(k, heads), split_heads(v, heads));
        let weights = dropout(on_weights, attention_weights(q, k, hidden));
        join_heads(weights.matmul(v))
    })
}

/// Panics where queries, keys and values of these heads do not fit together.
fn check(name: &str, [q, k, v]: [&Tensor<3>; 3], heads: usize, lengths: &[usize]) {
    let shapes = [q, k, v].map(Tensor::dims);
    let [[batch, _, width], k, v] = shapes;
    assert!(
        k == v && k[2] == width && heads > 0 && width.is_multiple_of(heads),
        "{name}: queries {:?}, keys {k:?} and values {v:?} do not fit {heads} heads",
        shapes[0]
    );
    let is_masked = lengths.len() == batch && k[0] == batch && lengths.iter().all(|&len| len > 0);
    assert!(
        is_masked,
        "{name}: lengths {lengths:?} do not fit queries {:?}, keys {k:?}",
        shapes[0]
    );
}

fn layout_of(
    q: &Tensor<3>,
    k: &Tensor<3>,
    heads: usize,
    lengths: Vec<usize>,
    causal: bool,
    slots: Option<Vec<u32>>,
) -> Layout {
    let ([_, queries, stride], [_, keys, _]) = (q.dims(), k.dims());
    Layout { queries, keys, heads, width: stride / heads, lengths, causal, slots }
}

/// Attention of queries to keys and values.
#[derive(Debug, Clone)]
struct Attend {
    layout: Layout,
    /// Of the weights.
    kept: Option<Kept>,
}

impl Kernel<3> for Attend {
    /// The inputs and the weights.
    type Saved<B: Host> = ([Array<B>; 3], Vec<f32>);

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; 3],
        saves: bool,
    ) -> (Array<B>, Option<Self::Saved<B>>) {
        let numbers = inputs.each_ref().map(Array::numbers);
        let (output, weights) = heads::forward(numbers, &self.layout, self.kept, saves);
        let output = Array::new(output, inputs[0].shape());
        (output, saves.then_some((inputs, weights)))
    }

    fn backward<B: Host>(
        &self,
        (inputs, weights): Self::Saved<B>,
        gradient: Array<B>,
        _: [bool; 3],
    ) -> [Option<Array<B>>; 3] {
        let numbers = inputs.each_ref().map(Array::numbers);
        let gradients =
            heads::backward(gradient.numbers(), numbers, &weights, &self.layout, self.kept);
        let mut shapes = inputs.iter().map(Array::shape);
        gradients.map(|numbers| Some(Array::new(numbers, shapes.next().expect("of each input"))))
    }
}

/// [`multi_head_attention`] of one query a row, without autodiff, among the keys and values of a
/// cache that stay where they were written when its rows change places: what row `r` sees of time
/// `t` lies in row `slots[r · used + t]` of the cache.
///
/// `[rows, 1, heads · d]` queries and `[cached rows, room, heads · d]` keys and values, of which the
/// first `used` times are seen → `[rows, 1, heads · d]`.
///
/// # Panics
///
/// Where the shapes do not fit together, or a slot is no row of the cache.
pub fn cached_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    slots: &[u32],
) -> Tensor<3> {
    let ([rows, _, width], [_, room, _]) = (q.dims(), k.dims());
    let fits = k.dims() == v.dims()
        && k.dims()[2] == width
        && q.dims()[1] == 1
        && heads > 0
        && width.is_multiple_of(heads)
        && slots.len().is_multiple_of(rows.max(1))
        && slots.len() / rows.max(1) <= room
        && slots.iter().all(|&slot| (slot as usize) < k.dims()[0]);
    assert!(
        fits,
        "cached_attention: queries {:?}, keys {:?}, values {:?} and {} slots do not fit {heads} heads",
        q.dims(),
        k.dims(),
        v.dims(),
        slots.len()
    );
    if rows == 0 {
        return q;
    }
    let used = slots.len() / rows;
    let has_autodiff = [&q, &k, &v].into_iter().any(|x| x.device().is_autodiff());
    if !has_autodiff && used > 0 && host::holds(&q) {
        let layout = layout_of(&q, &k, heads, vec![used; rows], false, Some(slots.to_vec()));
        return three(Attend { layout, kept: None }, q, k, v).unwrap_or_else(|_| {
            panic!("cached_attention: queries, keys and values of two devices")
        });
    }
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
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn multi_head_weights(q: Tensor<3>, k: Tensor<3>, heads: usize, mask: &Mask) -> Tensor<4> {
    check("multi_head_weights", [&q, &k, &k], heads, &mask.lengths);
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
    let hides = mask.causal && longest > 1 || mask.lengths.iter().any(|&length| length < longest);
    let device = q.device().without_autodiff();
    (k, v, hides.then(|| mask.to_tensor(queries, longest, &device)))
}

/// `[batch, time, heads · d]` → `[batch, heads, time, d]`.
///
/// # Panics
///
/// Where the heads do not divide the width.
pub fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, time, width] = x.dims();
    assert!(
        heads > 0 && width.is_multiple_of(heads),
        "split_heads: {heads} heads do not divide {:?}",
        x.dims()
    );
    x.reshape([batch, time, heads, width / heads]).swap_dims(1, 2)
}

/// `[batch, heads, time, d]` → `[batch, time, heads · d]`.
pub fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, time, width] = x.dims();
    x.swap_dims(1, 2).reshape([batch, time, heads * width])
}
