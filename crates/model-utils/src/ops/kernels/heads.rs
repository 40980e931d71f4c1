//! Multi-head attention, head by head in the caches: `[batch, time, heads · width]` throughout.

use rayon::prelude::*;

use super::exponential::{exp, largest};
use super::kept::Kept;
use super::matrix::{Matrix, product_into_part};
use super::parallel::{LANES, fetch, sum_pairs, vectorised};

/// With fewer queries a head than this, products of matrices cost more than they save.
const FEW_QUERIES: usize = 6;
/// How many keys ahead keys and values are fetched.
const AHEAD: usize = 8;
/// Multiplications that are not worth waking another thread for.
const WORTH_SHARING: usize = 1 << 15;

/// Sizes and mask.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Layout {
    pub(in crate::ops) queries: usize,
    pub(in crate::ops) keys: usize,
    pub(in crate::ops) heads: usize,
    /// Of one head.
    pub(in crate::ops) width: usize,
    /// Keys of each row of the batch that are seen.
    pub(in crate::ops) lengths: Vec<usize>,
    pub(in crate::ops) causal: bool,
    /// Of few queries in a cache: the row of keys and values that holds each key that a row of the
    /// batch sees, `[batch, seen]`; otherwise its own row.
    pub(in crate::ops) slots: Option<Vec<u32>>,
}

impl Layout {
    /// From one token to the next.
    fn stride(&self) -> usize {
        self.heads * self.width
    }

    /// Keys that one query sees.
    fn seen(&self, row: usize, query: usize) -> usize {
        let length = self.lengths[row].min(self.keys);
        if self.causal { length.min(query + 1) } else { length }
    }

    /// Where each key that a row's query sees starts, among those of all rows.
    fn place(&self, row: usize, seen: usize) -> impl Fn(usize) -> usize {
        let (keys, stride) = (self.keys, self.stride());
        let slots = self.slots.as_ref().map(|slots| &slots[row * seen..][..seen]);
        let slot = move |key: usize| slots.map_or(row, |slots| slots[key] as usize);
        move |key| (slot(key) * keys + key) * stride
    }

    /// Weights of one row of the batch.
    fn weights(&self) -> usize {
        self.heads * self.queries * self.keys
    }

    fn scale(&self) -> f32 {
        (self.width as f32).sqrt().recip()
    }

    /// Numbers of one row of the batch: of queries, and of keys.
    fn row_sizes(&self) -> [usize; 2] {
        [self.queries * self.stride(), self.keys * self.stride()]
    }
}

/// The output, and the weights `[batch, heads, queries, keys]` where they are to be kept. Keys that
/// are not seen have weights of 0.
pub(in crate::ops) fn forward(
    [q, k, v]: [&[f32]; 3],
    layout: &Layout,
    dropout: Option<Kept>,
    keeps_weights: bool,
) -> (Vec<f32>, Vec<f32>) {
    let batch = layout.lengths.len();
    let [of_queries, _] = layout.row_sizes();
    let mut output = vec![0.0; q.len()];
    let a_row = layout.weights();
    let mut kept = vec![0.0; if keeps_weights { batch * a_row } else { 0 }];
    let row = |row: usize, output: &mut [f32], weights: &mut [f32], scratch: &mut Vec<f32>| {
        let inputs = [&q[row * of_queries..][..of_queries], k, v];
        vectorised(|| forward_row(inputs, layout, row, dropout, output, weights, scratch));
    };
    if keeps_weights {
        output
            .par_chunks_mut(of_queries)
            .zip(kept.par_chunks_mut(a_row))
            .enumerate()
            .for_each_init(Vec::new, |scratch, (at, (output, weights))| {
                row(at, output, weights, scratch);
            });
    } else if batch * of_queries * layout.keys < WORTH_SHARING {
        let (mut weights, mut scratch) = (vec![0.0; a_row], Vec::new());
        for (at, output) in output.chunks_mut(of_queries).enumerate() {
            row(at, output, &mut weights, &mut scratch);
        }
    } else {
        output
            .par_chunks_mut(of_queries)
            .enumerate()
            .with_min_len(batch.div_ceil(16))
            .for_each_init(
                || (vec![0.0; a_row], Vec::new()),
                |(weights, scratch), (at, output)| row(at, output, weights, scratch),
            );
    }
    (output, kept)
}

/// The queries of one row, among the keys and values of all.
#[inline(always)]
fn forward_row(
    [q, k, v]: [&[f32]; 3],
    layout: &Layout,
    row: usize,
    dropout: Option<Kept>,
    output: &mut [f32],
    weights: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let &Layout { queries, keys, heads, width, .. } = layout;
    let stride = layout.stride();
    let most = layout.seen(row, queries - 1);
    let scale = layout.scale();
    if queries < FEW_QUERIES {
        for query in 0..queries {
            let asked = &q[query * stride..][..stride];
            let found = &mut output[query * stride..][..stride];
            let seen = layout.seen(row, query);
            few(asked, [k, v], layout, row, (query, seen), dropout, found, weights, scratch);
        }
        return;
    }
    let [_, of_keys] = layout.row_sizes();
    let [k, v] = [k, v].map(|all| &all[row * of_keys..][..of_keys]);
    for head in 0..heads {
        let at = head * width;
        let weights = &mut weights[head * queries * keys..][..queries * keys];
        let asked = Matrix::part(&q[at..], queries, width, stride);
        let looked_up = Matrix::part(&k[at..], most, width, stride).transposed();
        product_into_part(asked, looked_up, weights, keys, false);
        for query in 0..queries {
            let scores = &mut weights[query * keys..][..keys];
            softmax(scores, layout.seen(row, query), scale);
        }
        let weights = match dropout {
            Some(kept) => {
                scratch.clear();
                scratch.extend_from_slice(weights);
                kept.apply(scratch, (row * heads + head) * queries * keys);
                scratch.as_slice()
            }
            None => weights,
        };
        let weights = Matrix::part(weights, queries, most, keys);
        let values = Matrix::part(&v[at..], most, width, stride);
        product_into_part(weights, values, &mut output[at..], stride, false);
    }
}

/// One query by all heads, key by key, as they lie in memory.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn few(
    asked: &[f32],
    [k, v]: [&[f32]; 2],
    layout: &Layout,
    row: usize,
    (query, seen): (usize, usize),
    dropout: Option<Kept>,
    found: &mut [f32],
    weights: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let &Layout { queries, keys, heads, width, .. } = layout;
    let stride = layout.stride();
    // [keys seen, heads]
    scratch.clear();
    scratch.resize(seen * heads, 0.0);
    let place = layout.place(row, seen);
    for (at, scores) in scratch.chunks_mut(heads).enumerate() {
        if at + AHEAD < seen {
            fetch(k, place(at + AHEAD), stride);
        }
        let key = &k[place(at)..][..stride];
        for ((score, asked), key) in
            scores.iter_mut().zip(asked.chunks(width)).zip(key.chunks(width))
        {
            *score = dot(asked, key);
        }
    }
    for head in 0..heads {
        let start = (head * queries + query) * keys;
        let weights = &mut weights[start..start + keys];
        for (weight, scores) in weights.iter_mut().zip(scratch.chunks(heads)) {
            *weight = scores[head];
        }
        softmax(weights, seen, layout.scale());
        let place = ((row * heads + head) * queries + query) * keys;
        for (key, (scores, &weight)) in scratch.chunks_mut(heads).zip(&*weights).enumerate() {
            scores[head] = weight * dropout.map_or(1.0, |kept| kept.factor(place + key));
        }
    }
    found.fill(0.0);
    for (at, weights) in scratch.chunks(heads).enumerate() {
        if at + AHEAD < seen {
            fetch(v, place(at + AHEAD), stride);
        }
        let value = &v[place(at)..][..stride];
        for ((&weight, found), value) in
            weights.iter().zip(found.chunks_mut(width)).zip(value.chunks(width))
        {
            for (found, &value) in found.iter_mut().zip(value) {
                *found += weight * value;
            }
        }
    }
}

/// The sum of products, in lanes that are added in halves.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] += a * b;
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Of the first `seen` scores times `scale`; the others become 0.
#[inline(always)]
fn softmax(scores: &mut [f32], seen: usize, scale: f32) {
    let (scores, hidden) = scores.split_at_mut(seen);
    hidden.fill(0.0);
    let most = largest(scores);
    for score in scores.iter_mut() {
        *score = exp((*score - most) * scale);
    }
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = scores.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    let sum = lanes.iter().sum::<f32>() + rest.iter().sum::<f32>();
    for score in scores {
        *score /= sum;
    }
}

/// The gradients of queries, keys and values.
pub(in crate::ops) fn backward(
    gradient: &[f32],
    [q, k, v]: [&[f32]; 3],
    weights: &[f32],
    layout: &Layout,
    dropout: Option<Kept>,
) -> [Vec<f32>; 3] {
    let [of_queries, of_keys] = layout.row_sizes();
    let a_row = layout.weights();
    let [mut dq, mut dk, mut dv] = [q, k, v].map(|of| vec![0.0; of.len()]);
    dq.par_chunks_mut(of_queries)
        .zip(dk.par_chunks_mut(of_keys))
        .zip(dv.par_chunks_mut(of_keys))
        .enumerate()
        .for_each_init(Vec::new, |scratch, (row, ((dq, dk), dv))| {
            let gradient = &gradient[row * of_queries..][..of_queries];
            let inputs = [
                &q[row * of_queries..][..of_queries],
                &k[row * of_keys..][..of_keys],
                &v[row * of_keys..][..of_keys],
            ];
            let weights = &weights[row * a_row..][..a_row];
            let gradients = [dq, dk, dv];
            vectorised(|| {
                backward_row(gradient, inputs, weights, layout, row, dropout, gradients, scratch);
            });
        });
    [dq, dk, dv]
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn backward_row(
    gradient: &[f32],
    [q, k, v]: [&[f32]; 3],
    weights: &[f32],
    layout: &Layout,
    row: usize,
    dropout: Option<Kept>,
    [dq, dk, dv]: [&mut [f32]; 3],
    scratch: &mut Vec<f32>,
) {
    let &Layout { queries, keys, heads, width, .. } = layout;
    let stride = layout.stride();
    let most = layout.seen(row, queries - 1);
    let scale = layout.scale();
    let size = queries * keys;
    scratch.resize(2 * size, 0.0);
    let (dropped, of_weights) = scratch.split_at_mut(size);
    for head in 0..heads {
        let at = head * width;
        let place = (row * heads + head) * size;
        let weights = &weights[head * size..][..size];
        let part = |numbers| Matrix::part(numbers, queries, most, keys);
        let of_output = Matrix::part(&gradient[at..], queries, width, stride);
        let used = match dropout {
            Some(kept) => {
                dropped.copy_from_slice(weights);
                kept.apply(dropped, place);
                &*dropped
            }
            None => weights,
        };
        product_into_part(part(used).transposed(), of_output, &mut dv[at..], stride, false);
        let values = Matrix::part(&v[at..], most, width, stride).transposed();
        product_into_part(of_output, values, of_weights, keys, false);
        if let Some(kept) = dropout {
            kept.apply(of_weights, place);
        }
        // The gradient of the softmax and of the scale.
        for query in 0..queries {
            let seen = layout.seen(row, query);
            let of_weights = &mut of_weights[query * keys..][..keys];
            let weights = &weights[query * keys..][..seen];
            let [dot] = sum_pairs(&of_weights[..seen], weights, |a, b| [a * b]);
            for (of_weight, &weight) in of_weights[..seen].iter_mut().zip(weights) {
                *of_weight = (*of_weight - dot) * weight * scale;
            }
            of_weights[seen..].fill(0.0);
        }
        let asked = Matrix::part(&q[at..], queries, width, stride);
        let looked_up = Matrix::part(&k[at..], most, width, stride);
        product_into_part(part(of_weights), looked_up, &mut dq[at..], stride, false);
        product_into_part(part(of_weights).transposed(), asked, &mut dk[at..], stride, false);
    }
}
